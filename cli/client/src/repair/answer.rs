//! Questions of others, and answers to our own.

use super::need::Need;
use crate::client::Client;
use crate::error::{ClientError, what_and_advice};
use crate::local::now;
use crate::store::{InboxKind, InboxRow, OutboxItem};
use conclave_engine::{
    AcceptError, Alarm, Answer, AnswerContent, AnswerError, KeyRepair, PrekeyBook, Repair, Repaired,
};
use conclave_wire::ids::{AccountId, DeviceId, GroupId, Opaque};
use conclave_wire::letter::LetterKind;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long no prekeys are fetched again of who could not be answered with those that there were.
const DEAF_FOR: Duration = Duration::from_secs(600);

/// Askers of whom that is remembered.
const MAX_DEAF: usize = 1024;

/// Askers who cannot be answered at present: nobody makes this device fetch prekeys again and again.
#[derive(Debug, Default)]
pub(crate) struct Deaf(HashMap<DeviceId, Instant>);

impl Deaf {
    fn has(&self, device: &DeviceId) -> bool {
        self.0.get(device).is_some_and(|since| since.elapsed() < DEAF_FOR)
    }

    fn note(&mut self, device: DeviceId) {
        if self.0.len() >= MAX_DEAF {
            self.0.retain(|_, since| since.elapsed() < DEAF_FOR);
        }
        if self.0.len() < MAX_DEAF {
            self.0.insert(device, Instant::now());
        }
    }
}

impl Client {
    /// Answers a question, if it may be answered. Everything is checked before the asker's prekeys are fetched.
    pub(super) async fn answer(
        &mut self,
        id: GroupId,
        from: DeviceId,
        request: &[u8],
    ) -> Result<(), ClientError> {
        let (mut book, mut fetched, mut caught_up) = (PrekeyBook::default(), false, false);
        loop {
            let (group, device) = self.local.group_and_device(id)?;
            let answered = group.answer(device, request, &book, now(), &mut rand::rng());
            match answered {
                Ok(answer) => return self.send_answer(id, answer).await,
                Err(AnswerError::Unreachable) if !fetched && !self.session.deaf.has(&from) => {
                    fetched = true;
                    (book, _) = self.prekeys(&[from]).await?;
                }
                Err(AnswerError::Behind) if !caught_up => {
                    caught_up = true;
                    self.catch_up(id).await?;
                }
                Err(error) => {
                    if fetched {
                        self.session.deaf.note(from);
                    }
                    tracing::info!(%error, group = %id, "a member's question is not answered");
                    return Ok(());
                }
            }
        }
    }

    async fn send_answer(&mut self, id: GroupId, answer: Answer) -> Result<(), ClientError> {
        let Answer { to, content, alarm, changes } = answer;
        let alarm = self.alarm(id, alarm)?;
        self.local.write(|step| {
            step.apply(&changes)?;
            alarm.iter().try_for_each(|row| step.push_inbox(row))?;
            if let AnswerContent::Send(body) = content {
                let (kind, body) = (LetterKind::RepairAnswer, Opaque(body));
                step.push_outbox(id, &OutboxItem::Letter { to, kind, body })?;
            }
            Ok(())
        })?;
        self.flush_leftovers(id).await
    }

    /// Takes an answer to a question of this device.
    pub(super) async fn take_answer(&mut self, id: GroupId, answer: &[u8]) -> Result<(), ClientError> {
        let mut caught_up = false;
        loop {
            let (group, device) = self.local.group_and_device(id)?;
            match group.accept_answer(device, answer) {
                Ok(repaired) => return self.note_repaired(id, repaired).await,
                Err(AcceptError::Early) if !caught_up => {
                    caught_up = true;
                    self.catch_up(id).await?;
                }
                Err(error) => {
                    tracing::info!(%error, group = %id, "an answer is of no use");
                    let alarm = self.alarm(id, error.alarm())?;
                    return self.local.write(|step| alarm.iter().try_for_each(|row| step.push_inbox(row)));
                }
            }
        }
    }

    async fn note_repaired(&mut self, id: GroupId, repaired: Repaired) -> Result<(), ClientError> {
        let Repaired { repair, changes } = repaired;
        let alarm = self.alarm(id, repair.alarm())?;
        let (need, told) = match repair {
            Repair::SenderKey { device, key, .. } => {
                let who = self.account_of_device(id, device)?;
                let told = if key == KeyRepair::Same { made_up() } else { InboxKind::Repaired { who } };
                (Some(Need::SenderKey(device)), Some(told))
            }
            Repair::Welcome { .. } => (Some(Need::Welcome), Some(InboxKind::Repaired { who: None })),
            _ => (None, None),
        };
        let seq = self.local.group(id)?.cursor();
        self.local.write(|step| {
            step.apply(&changes)?;
            need.map_or(Ok(()), |need| step.remove_need(id, need))?;
            told.map_or(Ok(()), |kind| step.push_inbox(&InboxRow { group: id, seq, kind }))?;
            alarm.iter().try_for_each(|row| step.push_inbox(row))
        })?;
        if let Some(need) = need {
            self.local.needs.remove(id, need);
        }
        // What could not be sent without the secrets.
        self.flush_leftovers(id).await
    }

    /// An alarm as a notice, at the place in the log where the group stands.
    fn alarm(&mut self, group: GroupId, alarm: Option<Alarm>) -> Result<Option<InboxRow>, ClientError> {
        let Some(alarm) = alarm else { return Ok(None) };
        let seq = self.local.group(group)?.cursor();
        let text = alarm.to_string();
        let (what, advice) = what_and_advice(&text);
        let kind = InboxKind::Alarm { what: what.to_owned(), advice: advice.to_owned() };
        Ok(Some(InboxRow { group, seq, kind }))
    }

    fn account_of_device(&mut self, id: GroupId, device: DeviceId) -> Result<Option<AccountId>, ClientError> {
        let roster = self.local.group(id)?.roster();
        Ok(roster.device(&device).map(|(_, leaf)| leaf.account))
    }
}

/// The sender has shown its key, and it is the one that is here.
fn made_up() -> InboxKind {
    InboxKind::Alarm {
        what: "a message that could not be read was not written by the sender that it names".into(),
        advice:
            "the server or a member made it up: tell the others, and distrust the server if it happens again"
                .into(),
    }
}
