//! Taking another device's sender key, or seeing our own in the log.

use super::distribute::SenderKeyContent;
use super::epoch::SeedAndChain;
use super::event::{Event, Sender};
use super::pending::PendingMessages;
use super::receive::{CertificateError, ReceiveError};
use super::sender_key::{PeerKey, PeerSender, commitment, first_link};
use super::state::Group;
use crate::device::Device;
use crate::envelope::{EnvelopeContext, OpenError, Purpose};
use crate::pairwise::{Opened, Upload};
use crate::ratchet::Chain;
use crate::record::Changes;
use crate::secret::Secret;
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
        self.verify_device(index)?;
        let found = distribution.body().epoch;
        if found != self.epoch() {
            return Err(ReceiveError::other_epoch(self.epoch(), found));
        }
        check_certificate(&self.public, leaf, certificate.body()).map_err(ReceiveError::Certificate)?;
        let sender = Sender { account: leaf.account, device: from, leaf: index };
        let generation = certificate.body().generation;
        if from == self.me.device {
            self.activate(&distribution, changes)?;
            self.settle(&[index], changes);
            return Ok(Event::SenderKey { sender, generation, readable: true, lost_chain: None });
        }

        let since = leaf.since;
        let known = self.senders.get(&from).filter(|known| known.since == since);
        if let Some(known) = known.filter(|known| generation <= known.generation) {
            return Err(if known.certificate == certificate.hash() {
                ReceiveError::RepeatedDistribution
            } else if known.generation == generation {
                ReceiveError::Certificate(CertificateError::Conflict { device: from })
            } else {
                ReceiveError::Certificate(CertificateError::Generation)
            });
        }
        let mut link = known.and_then(|known| known.link);
        if certificate.body().first_link {
            link = Some(first_link(&certificate.hash()));
        }
        // The log has shown the generation, so older ones are refused from here on, whether or not we can read it.
        let certificate_hash = certificate.hash();
        let (mut key, mut lost_chain) = (None, None);
        match self.open_content_key(device, entry, &distribution, &from) {
            Ok((content_key, opened)) => {
                key = sender_key(&content_key, &distribution, certificate);
                self.pairwise.accept(device, opened, now, changes);
            }
            Err(error) => lost_chain = (error == OpenError::Chain).then_some(from),
        }
        let readable = key.is_some();
        if !readable {
            // Nobody can say what comes between: no alarm over what we could not have read.
            link = None;
        }
        let pending = PendingMessages::default();
        let (certificate, from_log) = (certificate_hash, true);
        let sender_state = PeerSender { since, generation, certificate, from_log, key, link, pending };
        self.senders.insert(from, sender_state);
        self.put_sender_key(&from, changes);
        self.put_sender_chain(&from, changes);
        self.settle(&[index], changes);
        Ok(Event::SenderKey { sender, generation, readable, lost_chain })
    }

    /// The content key and what opening its delivery consumes.
    fn open_content_key(
        &self,
        device: &Device,
        entry: &Entry,
        distribution: &Distribution,
        from: &DeviceId,
    ) -> Result<(Secret<32>, Opened), OpenError> {
        let body = distribution.body();
        let context = EnvelopeContext { purpose: Purpose::ContentKey, group: self.id(), epoch: body.epoch };
        let delivery = entry.delivery.as_ref().map(|delivery| delivery.0.as_slice());
        self.pairwise.open_secret(device, delivery, from, context, &body.commitment)
    }

    /// Our own distribution is in the log: the staged sender key seals from now on.
    fn activate(&mut self, distribution: &Distribution, changes: &mut Changes) -> Result<(), ReceiveError> {
        let Some((key, digest)) = self.own.staged.take_if(|(_, digest)| digest == distribution.digest())
        else {
            let known = self.own.is_past(distribution.digest());
            return Err(if known { ReceiveError::RepeatedDistribution } else { ReceiveError::NotOurs });
        };
        self.own.remember(&digest);
        self.pairwise.install(Upload::Distribution, changes);
        if key.certificate.body().first_link {
            self.own.confirmed_link = Some(first_link(&key.certificate.hash()));
        }
        // What the generation before sealed and the log has not shown comes too late: receivers refuse it.
        self.own.give_up_unconfirmed();
        self.own.link = self.own.confirmed_link;
        self.own.active = Some(key);
        self.put_own_keys(changes);
        self.put_own_state(changes);
        self.put_own_past(changes);
        Ok(())
    }
}

/// The sender key inside, if it is the one that the certificate commits to.
fn sender_key(
    content_key: &Secret<32>,
    distribution: &Distribution,
    certificate: Certificate,
) -> Option<PeerKey> {
    let ciphertext = &distribution.body().ciphertext.0;
    let content = SenderKeyContent::open(content_key, &certificate.hash(), ciphertext)?;
    if commitment(&content.seed, &content.chain) != certificate.body().commitment || content.index.0 != 0 {
        return None;
    }
    let secrets = SeedAndChain { seed: content.seed, chain: Chain::new(content.chain, content.index) };
    PeerKey::new(certificate, secrets).ok()
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
    if is_too_old(group, certificate) {
        return Err(CertificateError::Age);
    }
    Ok(())
}

/// Measured against the log and not against a clock, so that everybody decides alike whenever they read.
pub(super) fn is_too_old(group: &PublicGroup, certificate: &CertificateBody) -> bool {
    group.head_time().since(certificate.time) > MAX_CERTIFICATE_AGE + CLOCK_SKEW
}
