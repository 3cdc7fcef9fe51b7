//! Taking another device's sender key from itself.

use super::accept::{AcceptError, Repair};
use super::payload::SenderKeyAnswer;
use crate::group::alarm::SplitView;
use crate::group::epoch::SeedAndChain;
use crate::group::pending::PendingMessages;
use crate::group::receive_distribution::check_certificate;
use crate::group::sender_key::{PeerKey, PeerSender};
use crate::group::state::Group;
use crate::kdf;
use crate::ratchet::Chain;
use crate::record::Changes;
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::ids::DeviceId;
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;

/// What was wrong with a sender key before it was given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRepair {
    /// This device had none.
    Missing,
    /// It had another one, which whoever gave it made up.
    Differed,
    /// Nothing: what did not verify was not written by the sender.
    Same,
}

impl Group {
    /// Takes the sender key of `from`, unless it is the one that is here (R123).
    pub(super) fn accept_sender_key(
        &mut self,
        from: DeviceId,
        answer: SenderKeyAnswer,
        changes: &mut Changes,
    ) -> Result<Repair, AcceptError> {
        if self.init.is_none() {
            return Err(AcceptError::Unneeded);
        }
        let (_, leaf) = self.roster().device(&from).ok_or(AcceptError::NotMember)?;
        let since = leaf.since;
        let certificate = UnverifiedCertificate::decode(&answer.certificate.0)?;
        if certificate.claimed().device != from {
            return Err(AcceptError::NotMember);
        }
        let certificate = certificate.verify(leaf.device.as_bytes()).map_err(|_| AcceptError::Signature)?;
        check_certificate(&self.public, leaf, certificate.body()).map_err(AcceptError::Certificate)?;
        let (generation, hash) = (certificate.body().generation, certificate.hash());
        let known = self.senders.get(&from).filter(|known| known.since == since);
        if let Some(known) = known {
            if generation < known.generation {
                return Err(AcceptError::Stale);
            }
            // Either the device certified two keys of one generation, or the log lacks what it distributed: we have
            // processed it as far as the device had.
            let is_other = generation == known.generation && hash != known.certificate;
            if is_other || (generation > known.generation && known.from_log) {
                return Err(AcceptError::SplitView(SplitView::Certificate { device: from }));
            }
        }
        let from_log = known.is_some_and(|known| known.from_log);
        let chain = Chain::new(answer.chain, answer.index);
        let secrets = SeedAndChain { seed: answer.seed, chain };
        let key = PeerKey::new(certificate, secrets).map_err(|_| AcceptError::Signature)?;
        let held = known.and_then(|known| known.key.as_ref());
        let repair = match held {
            None => KeyRepair::Missing,
            Some(held) if is_same(held, &key) => KeyRepair::Same,
            Some(_) => KeyRepair::Differed,
        };
        if repair != KeyRepair::Same {
            // Where the log has gone on since, nobody can say what comes between.
            let link = answer.link.filter(|_| answer.seq == self.cursor).map(|link| *link);
            let pending = PendingMessages::default();
            let (certificate, key) = (hash, Some(key));
            let sender = PeerSender { since, generation, certificate, from_log, key, link, pending };
            self.senders.insert(from, sender);
            self.put_sender_anew(&from, changes);
        }
        Ok(Repair::SenderKey { device: from, generation, key: repair })
    }
}

/// Whether two chains of one generation are one: the one that is behind is followed to where the other stands.
fn is_same(held: &PeerKey, given: &PeerKey) -> bool {
    let (a, b) = (held.chain.chain(), given.chain.chain());
    let (behind, ahead) = if a.index() <= b.index() { (a, b) } else { (b, a) };
    if held.certificate.hash() != given.certificate.hash() || held.seed != given.seed {
        return false;
    }
    if ahead.index().0 > MAX_MESSAGES_PER_CHAIN {
        return false;
    }
    let mut behind = behind.duplicate();
    while behind.index() < ahead.index() {
        let Some((_, next)) = behind.peek(&kdf::CHAIN) else { return false };
        behind = next;
    }
    behind == *ahead
}
