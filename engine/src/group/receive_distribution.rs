//! Taking another device's sender key, or seeing our own in the log.

use super::distribute::SenderKeyContent;
use super::epoch::SeedAndChain;
use super::event::{Event, Sender};
use super::pending::PendingMessages;
use super::receive::{CertificateError, ReceiveError};
use super::sender_key::{PeerKey, PeerSender, commitment, first_link};
use super::state::Group;
use crate::device::{Device, Opened};
use crate::envelope::{EnvelopeContext, Purpose};
use crate::ratchet::Chain;
use crate::record::Changes;
use conclave_wire::certificate::{Certificate, CertificateBody, UnverifiedCertificate};
use conclave_wire::distribution::{Distribution, UnverifiedDistribution};
use conclave_wire::entry::Entry;
use conclave_wire::ids::{DeviceId, Epoch, Timestamp};
use conclave_wire::limits::{CLOCK_SKEW, MAX_CERTIFICATE_AGE};
use conclave_wire::public_group::PublicGroup;
use conclave_wire::roster::Leaf;

impl Group {
    pub(super) fn receive_distribution(
        &mut self,
        device: &mut Device,
        entry: &Entry,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<Event, ReceiveError> {
        let distribution = UnverifiedDistribution::decode(&entry.body.0)?;
        let certificate = UnverifiedCertificate::decode(&distribution.claimed().certificate.0)?;
        let from = certificate.claimed().device;
        let (index, leaf) = self.roster().device(&from).ok_or(ReceiveError::NotMember)?;
        let distribution = distribution.verify(leaf.device.as_bytes())?;
        let certificate = certificate.verify(leaf.device.as_bytes())?;
        let found = distribution.body().epoch;
        if found != self.epoch() {
            return Err(ReceiveError::Epoch { current: self.epoch(), found });
        }
        check_certificate(&self.public, leaf, certificate.body()).map_err(ReceiveError::Certificate)?;
        let sender = Sender { account: leaf.account, device: from, leaf: index };
        let generation = certificate.body().generation;
        if from == self.me.device {
            self.activate(&distribution, changes)?;
            return Ok(Event::SenderKey { sender, generation, readable: true });
        }

        let since = leaf.since;
        let known = self.senders.get(&from).filter(|known| known.since == since);
        if known.is_some_and(|known| generation <= known.generation) {
            return Err(ReceiveError::Certificate(CertificateError::Generation));
        }
        let mut link = known.and_then(|known| known.link);
        if certificate.body().first_link {
            link = Some(first_link(&certificate.hash()));
        }
        // The log has shown the generation, so older ones are refused from here on, whether or not we can read it.
        let (key, opened) = match self.open_sender_key(device, entry, &distribution, certificate) {
            Some((key, opened)) => (Some(key), Some(opened)),
            None => (None, None),
        };
        let readable = key.is_some();
        if let Some(opened) = opened {
            device.accept(opened, now, changes);
        }
        self.senders
            .insert(from, PeerSender { since, generation, key, link, pending: PendingMessages::default() });
        self.put_sender_key(&from, changes);
        self.put_sender_chain(&from, changes);
        Ok(Event::SenderKey { sender, generation, readable })
    }

    /// The sender key inside, if its delivery opens and it is the one that was committed to.
    fn open_sender_key(
        &self,
        device: &Device,
        entry: &Entry,
        distribution: &Distribution,
        certificate: Certificate,
    ) -> Option<(PeerKey, Opened)> {
        let from: DeviceId = certificate.body().device;
        let body = distribution.body();
        let context = EnvelopeContext { purpose: Purpose::ContentKey, group: self.id(), epoch: body.epoch };
        let delivery = entry.delivery.as_ref().map(|delivery| delivery.0.as_slice());
        let (content_key, opened) = device.open_secret(delivery, &from, context, &body.commitment).ok()?;
        let content = SenderKeyContent::open(&content_key, &certificate.hash(), &body.ciphertext.0)?;
        if commitment(&content.seed, &content.chain) != certificate.body().commitment || content.index.0 != 0
        {
            return None;
        }
        let secrets = SeedAndChain { seed: content.seed, chain: Chain::new(content.chain, content.index) };
        Some((PeerKey::new(certificate, secrets).ok()?, opened))
    }

    /// Our own distribution is in the log: the staged sender key seals from now on.
    fn activate(&mut self, distribution: &Distribution, changes: &mut Changes) -> Result<(), ReceiveError> {
        let (key, _) = self
            .own
            .staged
            .take_if(|(_, digest)| digest == distribution.digest())
            .ok_or(ReceiveError::Cloned)?;
        if key.certificate.body().first_link {
            self.own.confirmed_link = Some(first_link(&key.certificate.hash()));
        }
        // What the generation before sealed and the log has not shown comes too late: receivers refuse it.
        self.own.unconfirmed.clear();
        self.own.link = self.own.confirmed_link;
        self.own.active = Some(key);
        self.put_own_keys(changes);
        self.put_own_state(changes);
        Ok(())
    }
}

/// (R60) What makes a certificate void in the present state of the group.
pub(super) fn check_certificate(
    group: &PublicGroup,
    leaf: &Leaf,
    certificate: &CertificateBody,
) -> Result<(), CertificateError> {
    if certificate.group != group.id() {
        return Err(CertificateError::Group);
    }
    if certificate.device != leaf.device.id() {
        return Err(CertificateError::Device);
    }
    let Epoch(start) = certificate.start_epoch;
    if start < leaf.since.0 || start > group.epoch().0 {
        return Err(CertificateError::StartEpoch);
    }
    if certificate.start_epoch == group.epoch() && certificate.head != group.head() {
        return Err(CertificateError::Head);
    }
    // Measured against the log and not against a clock, so that everybody decides alike whenever they read.
    if group.head_time().since(certificate.time) > MAX_CERTIFICATE_AGE + CLOCK_SKEW {
        return Err(CertificateError::Age);
    }
    Ok(())
}
