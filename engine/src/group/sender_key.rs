//! Sender keys: our own, which seals, and the others', which open.

use super::epoch::{EpochSecrets, SeedAndChain};
use super::last_read::LastRead;
use super::message_id::MessageId;
use super::pending::PendingMessages;
use crate::kdf;
use crate::limits::MAX_PAST;
use crate::ratchet::{Chain, ReceivingChain};
use crate::secret::Secret;
use conclave_wire::certificate::{Certificate, CertificateBody, SenderPublicKey};
use conclave_wire::ids::{CertificateHash, Commitment, Epoch, Generation, MessageIndex, Timestamp};
use conclave_wire::message::Link;
use conclave_wire::signature::{PublicKey, SignatureError, SigningKey};
use rand_core::CryptoRng;
use std::collections::VecDeque;

/// Our own sender key of one generation.
pub(crate) struct OwnKey {
    pub(crate) certificate: Certificate,
    pub(crate) signing: SigningKey,
    pub(crate) secrets: SeedAndChain,
    /// Messages sealed by this generation, in all epochs.
    pub(crate) sealed: u32,
}

impl OwnKey {
    /// A new sender key; `describe` completes the certificate's body with the public key and the commitment.
    pub(crate) fn generate(
        device: &SigningKey,
        rng: &mut impl CryptoRng,
        describe: impl FnOnce(SenderPublicKey, Commitment) -> CertificateBody,
    ) -> Self {
        let signing = SigningKey::from_bytes(Secret::random(rng).as_bytes());
        let (seed, chain) = (Secret::random(rng), Secret::random(rng));
        let public = SenderPublicKey::from_bytes(signing.verifying_key().to_bytes());
        let body = describe(public, commitment(&seed, &chain));
        let secrets = SeedAndChain { seed, chain: Chain::new(chain, MessageIndex(0)) };
        Self { certificate: Certificate::new(body, device), signing, secrets, sealed: 0 }
    }

    pub(crate) fn made(&self) -> Timestamp {
        self.certificate.body().time
    }
}

/// A message or run of ours that was sealed in this epoch and has not been seen in the log.
#[derive(Debug, PartialEq)]
pub(crate) struct Unconfirmed {
    pub(crate) tag: Tag,
    /// Of the message, or of each one of the run.
    pub(crate) ids: Vec<MessageId>,
    /// What the next message links to if this is in the log.
    pub(crate) link: Link,
}

/// Recognises a message, run or distribution of ours, byte for byte, when the log shows it.
pub(crate) type Tag = [u8; 8];

/// Everything about this device as a sender.
#[derive(Default)]
pub(crate) struct OwnSender {
    /// Seals. It is in the log.
    pub(crate) active: Option<OwnKey>,
    /// Made and not yet seen in the log, with the digest of its distribution.
    pub(crate) staged: Option<(OwnKey, [u8; 32])>,
    pub(crate) next_generation: Generation,
    /// What the next message sealed links to; `None` before the first message of all.
    pub(crate) link: Option<Link>,
    /// What the next message would link to if nothing unconfirmed ever reaches the log.
    pub(crate) confirmed_link: Option<Link>,
    pub(crate) unconfirmed: VecDeque<Unconfirmed>,
    /// Messages, runs and distributions of this epoch that are done with: seen in the log, or given up. One that comes (once
    /// more) is recognised as ours.
    pub(crate) past: VecDeque<Tag>,
}

impl OwnSender {
    /// Stages a sender key in the place of what was staged before.
    pub(crate) fn replace_staged(&mut self, key: OwnKey, digest: [u8; 32]) {
        if let Some((_, replaced)) = self.staged.replace((key, digest)) {
            self.remember(&replaced);
        }
    }

    /// Keeps a distribution's digest among what is done with.
    pub(crate) fn remember(&mut self, digest: &[u8; 32]) {
        self.push_past(tag_of(digest));
    }

    /// Whether a distribution is one that is done with.
    pub(crate) fn is_past(&self, digest: &[u8; 32]) -> bool {
        self.past.contains(&tag_of(digest))
    }

    /// Gives up what was sealed and not seen in the log.
    pub(crate) fn give_up_unconfirmed(&mut self) {
        while let Some(sent) = self.unconfirmed.pop_front() {
            self.push_past(sent.tag);
        }
    }

    fn push_past(&mut self, tag: Tag) {
        if self.past.len() >= MAX_PAST {
            self.past.pop_front();
        }
        self.past.push_back(tag);
    }

    /// Enters a new epoch: what was sealed and not accepted in the old one never will be.
    pub(crate) fn step(&mut self, secrets: Option<&EpochSecrets>) {
        self.staged = None;
        self.unconfirmed.clear();
        self.past.clear();
        self.link = self.confirmed_link;
        self.active = self.active.take().and_then(|mut key| {
            key.secrets = secrets?.step(&key.secrets.seed);
            Some(key)
        });
    }

    /// How many messages have not been seen in the log, those of runs counted one by one.
    pub(crate) fn unconfirmed_messages(&self) -> usize {
        self.unconfirmed.iter().map(|sent| sent.ids.len()).sum()
    }

    /// Notes that the log shows a message or run of ours; `None` if it is none that we wrote.
    pub(crate) fn confirm(&mut self, tag: &Tag) -> Option<Vec<MessageId>> {
        let position = self.unconfirmed.iter().position(|sent| sent.tag == *tag)?;
        let sent = self.unconfirmed.remove(position)?;
        self.confirmed_link = Some(sent.link);
        self.push_past(sent.tag);
        Some(sent.ids)
    }
}

/// Another device's sender key of one generation.
#[derive(Debug)]
pub(crate) struct PeerKey {
    pub(crate) certificate: Certificate,
    pub(crate) verifying: PublicKey,
    pub(crate) seed: Secret<32>,
    pub(crate) chain: ReceivingChain,
    /// What was read last with it in this epoch.
    pub(crate) last_read: Option<LastRead>,
}

impl PeerKey {
    pub(crate) fn new(certificate: Certificate, secrets: SeedAndChain) -> Result<Self, SignatureError> {
        let verifying = PublicKey::parse(certificate.body().signing_key.as_bytes())?;
        let SeedAndChain { seed, chain } = secrets;
        Ok(Self { certificate, verifying, seed, chain: ReceivingChain::new(chain), last_read: None })
    }

    pub(crate) fn generation(&self) -> Generation {
        self.certificate.body().generation
    }
}

/// Everything about another device as a sender.
#[derive(Debug)]
pub(crate) struct PeerSender {
    /// The device's `since` when this was begun: a device that was removed and added again is another sender.
    pub(crate) since: Epoch,
    /// The highest generation that the log has shown; lower ones are refused.
    pub(crate) generation: Generation,
    /// The certificate of that generation, whether or not its key could be had: nobody can hand us another (R60).
    pub(crate) certificate: CertificateHash,
    /// Whether the log has shown it, to this device itself, and not only a member said so.
    pub(crate) from_log: bool,
    /// The key of that generation; `None` if its delivery could not be opened, or it ended with a heal or reset.
    pub(crate) key: Option<PeerKey>,
    /// What the next message should link to; `None` until one was seen.
    pub(crate) link: Option<Link>,
    /// Messages of this epoch that wait for a later one to vouch for them.
    pub(crate) pending: PendingMessages,
}

impl PeerSender {
    /// A sender as a member described it.
    pub(crate) fn from_member(since: Epoch, key: PeerKey) -> Self {
        Self {
            since,
            generation: key.generation(),
            certificate: key.certificate.hash(),
            from_log: false,
            key: Some(key),
            link: None,
            pending: PendingMessages::default(),
        }
    }

    /// Enters a new epoch.
    pub(crate) fn step(&mut self, secrets: Option<&EpochSecrets>) {
        self.pending.clear();
        let Some(secrets) = secrets else { return self.drop_key() };
        // One that waits for its next generation goes on waiting.
        self.key = self.key.take().map(|key| {
            let SeedAndChain { seed, chain } = secrets.step(&key.seed);
            PeerKey { seed, chain: ReceivingChain::new(chain), last_read: None, ..key }
        });
    }

    /// Whether something was read on the chain in this epoch, so that from here on messages move it, and not only
    /// commits.
    pub(crate) fn has_moved(&self) -> bool {
        let at_start = |key: &PeerKey| key.chain.chain().index() == MessageIndex(0);
        self.key.as_ref().is_some_and(|key| !at_start(key)) || !self.pending.is_empty()
    }

    /// Forgets the key with its secrets, and waits for the next generation, whose first message links to what was read
    /// last.
    pub(crate) fn await_next(&mut self) {
        self.key = None;
        self.pending.clear();
    }

    /// Whether the next generation is awaited, with what its first message links to.
    pub(crate) fn awaits(&self) -> bool {
        self.key.is_none() && self.link.is_some()
    }

    /// Forgets the key, and with it what would come next: no alarm over what could not have been read.
    pub(crate) fn drop_key(&mut self) {
        self.key = None;
        self.link = None;
        self.pending.clear();
    }
}

fn tag_of(digest: &[u8; 32]) -> Tag {
    let mut tag = Tag::default();
    let (first, _) = digest.split_at(tag.len());
    tag.copy_from_slice(first);
    tag
}

/// The commitment in a certificate.
pub(crate) fn commitment(seed: &Secret<32>, chain: &Secret<32>) -> Commitment {
    kdf::commit(&kdf::SENDER_KEY_COMMITMENT, &[seed.as_bytes(), chain.as_bytes()])
}

/// What the first message of all under a certificate links to.
pub(crate) fn first_link(certificate: &CertificateHash) -> Link {
    let mut link = [0; 16];
    let (first, _) = certificate.as_bytes().split_at(16);
    link.copy_from_slice(first);
    link
}
