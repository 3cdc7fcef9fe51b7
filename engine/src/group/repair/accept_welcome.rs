//! Taking the epoch's secrets from a member.
//!
//! A member may lie about the sender keys, which nobody else vouches for in this form. What the log has shown to this
//! device itself counts more: it goes on noting which certificate each sender distributed while it cannot read, and
//! takes no other one from a member, nor one in the place of a key that it has (R124).

use super::accept::{AcceptError, Repair};
use super::payload::WelcomeAnswer;
use crate::group::epoch;
use crate::group::join::key_from_welcome;
use crate::group::sender_key::PeerSender;
use crate::group::state::Group;
use crate::group::welcome::WelcomeSender;
use crate::record::Changes;
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::ids::{DeviceId, Generation, Opaque};
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use std::collections::BTreeMap;

impl Group {
    /// Takes the epoch's `init`, if it is the one that the head commit confirms, and the sender keys that the log does
    /// not contradict.
    pub(super) fn accept_welcome(
        &mut self,
        from: DeviceId,
        answer: WelcomeAnswer,
        changes: &mut Changes,
    ) -> Result<Repair, AcceptError> {
        if self.init.is_some() {
            return Err(AcceptError::Unneeded);
        }
        if epoch::confirmation(&answer.init) != self.confirmation {
            return Err(AcceptError::Confirmation);
        }
        let mut taken = BTreeMap::new();
        for sender in answer.senders {
            if let Some((device, sender)) = self.sender_from_answer(sender) {
                taken.entry(device).or_insert(sender);
            }
        }
        let own_generation = answer.yours.and_then(|certificate| self.own_generation(&certificate));

        // Everything has been checked.
        let senders = taken.len();
        for (device, sender) in taken {
            self.senders.insert(device, sender);
            self.put_sender_anew(&device, changes);
        }
        if let Some(next) = own_generation.and_then(Generation::next) {
            self.own.next_generation = self.own.next_generation.max(next);
            self.put_own_state(changes);
        }
        self.init = Some(answer.init);
        self.put_head(changes);
        Ok(Repair::Welcome { by: from, senders })
    }

    /// A sender key that a member gives, if nothing that this device knows contradicts it. What is left out, its sender
    /// can be asked for.
    fn sender_from_answer(&self, sender: WelcomeSender) -> Option<(DeviceId, PeerSender)> {
        if sender.index.0 > MAX_MESSAGES_PER_CHAIN {
            return None;
        }
        let (device, since, key) = key_from_welcome(&self.public, sender)?;
        if device == self.me.device {
            return None;
        }
        let mut sender = PeerSender::from_member(since, key);
        if let Some(known) = self.senders.get(&device).filter(|known| known.since == since) {
            let is_known = sender.generation == known.generation && sender.certificate == known.certificate;
            let is_later = sender.generation > known.generation && !known.from_log;
            if known.key.is_some() || !(is_known || is_later) {
                return None;
            }
            sender.from_log = is_known && known.from_log;
        }
        Some((device, sender))
    }

    /// The generation in a certificate that is our own: nobody else can make us believe that we were that far.
    fn own_generation(&self, certificate: &Opaque) -> Option<Generation> {
        let (_, own) = self.roster().device(&self.me.device)?;
        let certificate = UnverifiedCertificate::decode(&certificate.0).ok()?;
        let certificate = certificate.verify(own.device.as_bytes()).ok()?;
        let body = certificate.body();
        let is_ours =
            body.group == self.id() && body.device == self.me.device && body.start_epoch >= own.since;
        is_ours.then_some(body.generation)
    }
}
