//! Asking members for what this device needs.

use super::need::{Need, NeedRow};
use crate::client::Client;
use crate::error::ClientError;
use crate::local::now;
use crate::store::OutboxItem;
use conclave_engine::{AskError, AskedFor, GroupState};
use conclave_wire::ids::{DeviceId, GroupId, Opaque, Timestamp};
use conclave_wire::letter::LetterKind;
use rand::seq::IndexedRandom;
use std::collections::BTreeSet;
use std::time::Duration;

/// Members who are asked for a welcome at once: one may be away, and one may lie.
const WELCOMERS: usize = 3;

/// When a question that cannot be asked now is looked at again.
const LATER: Duration = Duration::from_secs(600);

/// What became of one question.
enum Outcome {
    /// To send to this device.
    Asked(DeviceId, AskedFor),
    /// Not before.
    Wait(Timestamp),
    /// There is no need of it, or nobody to ask.
    Moot,
}

impl Client {
    /// Asks for everything that is needed and was not asked for lately.
    pub(crate) async fn ask_for_what_is_needed(&mut self) -> Result<(), ClientError> {
        let mut groups = BTreeSet::new();
        for row in self.local.needs.due(now()) {
            if self.ask_for(row)? {
                groups.insert(row.group);
            }
        }
        for group in groups {
            self.flush_leftovers(group).await?;
        }
        Ok(())
    }

    /// How long until there is something to ask for.
    pub(crate) fn next_question(&self) -> Option<Duration> {
        self.local.needs.next(now())
    }

    /// Puts the questions about one need into the outbox. Returns whether there are any.
    fn ask_for(&mut self, row: NeedRow) -> Result<bool, ClientError> {
        let NeedRow { group: id, need, .. } = row;
        let now = now();
        let mut asked = Vec::new();
        let mut wait = None;
        let is_open = self.local.is_open(&id);
        for target in if is_open { self.whom_to_ask(id, need)? } else { Vec::new() } {
            match self.question(id, need, target, now)? {
                Outcome::Asked(to, question) => asked.push((to, question)),
                Outcome::Wait(until) => wait = wait.max(Some(until)),
                Outcome::Moot => {}
            }
        }
        let next = match (asked.is_empty(), wait) {
            // One letter is all that it takes: the next delivery tells whether it helped.
            (false, _) if matches!(need, Need::Chain(_)) => None,
            (false, _) => row.asked(now),
            (true, Some(until)) => Some(row.postponed(until)),
            (true, None) => None,
        };
        self.local.write(|step| {
            for (to, AskedFor { request, changes }) in &asked {
                step.apply(changes)?;
                let (to, body) = (*to, Opaque(request.clone()));
                step.push_outbox(id, &OutboxItem::Letter { to, kind: LetterKind::RepairRequest, body })?;
            }
            match &next {
                Some(row) => step.set_need(row),
                None => step.remove_need(id, need),
            }
        })?;
        match next {
            Some(row) => self.local.needs.set(row),
            None => self.local.needs.remove(id, need),
        }
        Ok(!asked.is_empty())
    }

    fn whom_to_ask(&mut self, id: GroupId, need: Need) -> Result<Vec<DeviceId>, ClientError> {
        match need {
            Need::SenderKey(device) | Need::Chain(device) => Ok(vec![device]),
            Need::Welcome => {
                let me = self.local.device.id();
                let devices = self.local.group(id)?.roster().devices().map(|(_, leaf)| leaf.device.id());
                let others: Vec<_> = devices.filter(|device| *device != me).collect();
                Ok(others.sample(&mut rand::rng(), WELCOMERS).copied().collect())
            }
        }
    }

    fn question(
        &mut self,
        id: GroupId,
        need: Need,
        to: DeviceId,
        now: Timestamp,
    ) -> Result<Outcome, ClientError> {
        let (group, device) = self.local.group_and_device(id)?;
        let asked = match need {
            Need::SenderKey(of) => group.ask_sender_key(device, of, now),
            Need::Welcome => group.ask_welcome(device, Some(to), now),
            Need::Chain(of) => group.ask_initial(device, Some(of), now),
        };
        Ok(match asked {
            Ok(question) => Outcome::Asked(to, question),
            Err(AskError::TooSoon { until }) => Outcome::Wait(until),
            Err(AskError::TooMany | AskError::NoPrekeys) => Outcome::Wait(now.plus(LATER)),
            // A sender key is of use when the secrets are there.
            Err(AskError::State(GroupState::NeedWelcome)) => Outcome::Wait(now.plus(LATER)),
            Err(_) => Outcome::Moot,
        })
    }
}
