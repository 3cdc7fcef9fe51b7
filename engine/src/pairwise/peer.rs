//! The chains between this device and one other, in one group.
//!
//! Two one-way chains with no shared ratchet: nothing can desynchronise. An outgoing chain is replaced after 7 days or
//! 100 envelopes; of incoming ones the newest two per sender are kept.
//!
//! An initial envelope opens its chain on the sending side only when the log shows the entry that it hangs on: the
//! recipient has it then, and reads it before anything later. An upload that lost a race, or never left, opens nothing,
//! and the next one goes by initial envelopes again (R58).

use crate::kdf;
use crate::limits::{MAX_CHAIN_AGE, MAX_INCOMING_CHAINS, MAX_PER_PAIRWISE_CHAIN};
use crate::ratchet::{Advance, Chain, MessageKey, ReceivingChain};
use conclave_wire::ids::{MessageIndex, Timestamp};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

/// Identifies a pairwise chain between its two ends.
pub(crate) type ChainId = [u8; 4];

/// A chain that an initial envelope has just opened, on either side.
#[derive(Debug, PartialEq)]
pub(crate) struct OpenedChain {
    pub(crate) id: ChainId,
    pub(crate) chain: Chain,
}

/// The chains to and from one other device.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Peer {
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Vec<IncomingChain>,
}

/// The chains to one other device; also what stands on its slot of a page.
#[derive(Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Outgoing {
    #[n(0)]
    used: Option<OutgoingChain>,
    /// Opened by our commit that the log has not shown.
    #[n(1)]
    by_commit: Option<OutgoingChain>,
    /// Opened by our distribution that the log has not shown.
    #[n(2)]
    by_distribution: Option<OutgoingChain>,
}

/// What an initial envelope of ours hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upload {
    Commit,
    Distribution,
}

#[derive(Debug, PartialEq, Encode, Decode)]
struct OutgoingChain {
    #[n(0)]
    id: ByteArray<4>,
    #[n(1)]
    chain: Chain,
    /// When it was opened, by our clock.
    #[n(2)]
    opened: Timestamp,
}

#[derive(Debug, PartialEq, Encode, Decode)]
pub(super) struct IncomingChain {
    #[n(0)]
    id: ByteArray<4>,
    #[n(1)]
    chain: ReceivingChain,
}

impl Peer {
    /// Whether something can be sent without an initial envelope.
    pub(crate) fn can_continue(&self, now: Timestamp) -> bool {
        self.outgoing.used.as_ref().is_some_and(|outgoing| outgoing.is_live(now))
    }

    /// Takes the next step of the outgoing chain and erases what it came from. `None` if there is no live chain.
    pub(crate) fn step(&mut self, now: Timestamp) -> Option<(ChainId, MessageIndex, MessageKey)> {
        let outgoing = self.outgoing.used.as_mut().filter(|outgoing| outgoing.is_live(now))?;
        let index = outgoing.chain.index();
        let (key, next) = outgoing.chain.peek(&kdf::PAIRWISE)?;
        outgoing.chain = next;
        Some((*outgoing.id, index, key))
    }

    /// Forgets the chain in use, so that the next delivery begins another. Says whether there was one.
    pub(crate) fn drop_outgoing(&mut self) -> bool {
        self.outgoing.used.take().is_some()
    }

    /// Keeps a new outgoing chain until the log shows what it hangs on.
    pub(crate) fn open_outgoing(&mut self, opened: OpenedChain, upload: Upload, now: Timestamp) {
        let chain = OutgoingChain { id: opened.id.into(), chain: opened.chain, opened: now };
        *self.opened_by(upload) = Some(chain);
    }

    /// The log has shown the upload: its chain is the one to use. Says whether there was one.
    pub(crate) fn install(&mut self, upload: Upload) -> bool {
        let opened = self.opened_by(upload).take();
        let installed = opened.is_some();
        self.outgoing.used = opened.or(self.outgoing.used.take());
        installed
    }

    /// The upload will not be in the log. Says whether it had opened a chain.
    pub(crate) fn discard(&mut self, upload: Upload) -> bool {
        self.opened_by(upload).take().is_some()
    }

    /// Every secret in it.
    #[cfg(test)]
    pub(super) fn secrets(&self) -> Vec<[u8; 32]> {
        let Outgoing { used, by_commit, by_distribution } = &self.outgoing;
        let outgoing = [used, by_commit, by_distribution].into_iter().flatten();
        let outgoing = outgoing.map(|outgoing| *outgoing.chain.key().as_bytes());
        outgoing.chain(self.incoming.iter().flat_map(|incoming| incoming.chain.secrets())).collect()
    }

    /// Forgets every chain but the one that our commit has opened. Says whether there is one.
    pub(crate) fn keep_staged(&mut self) -> bool {
        let by_commit = self.outgoing.by_commit.take();
        let keeps = by_commit.is_some();
        *self = Self { outgoing: Outgoing { by_commit, ..Outgoing::default() }, incoming: Vec::new() };
        keeps
    }

    fn opened_by(&mut self, upload: Upload) -> &mut Option<OutgoingChain> {
        match upload {
            Upload::Commit => &mut self.outgoing.by_commit,
            Upload::Distribution => &mut self.outgoing.by_distribution,
        }
    }

    /// Begins a new incoming chain; the oldest beyond [`MAX_INCOMING_CHAINS`] is forgotten.
    pub(crate) fn open_incoming(&mut self, opened: OpenedChain) {
        self.incoming.retain(|incoming| *incoming.id != opened.id);
        let chain = ReceivingChain::new(opened.chain);
        self.incoming.push(IncomingChain { id: opened.id.into(), chain });
        if self.incoming.len() > MAX_INCOMING_CHAINS {
            self.incoming.remove(0);
        }
    }

    /// Looks up the step of an incoming chain; changes nothing.
    pub(crate) fn peek(&self, id: &ChainId, index: MessageIndex) -> Option<Advance> {
        let incoming = self.incoming.iter().find(|incoming| *incoming.id == *id)?;
        incoming.chain.peek(&kdf::PAIRWISE, index, MAX_PER_PAIRWISE_CHAIN).ok()
    }

    /// Takes a step that was looked up.
    pub(crate) fn apply(&mut self, id: &ChainId, advance: Advance, now: Timestamp) {
        if let Some(incoming) = self.incoming.iter_mut().find(|incoming| *incoming.id == *id) {
            incoming.chain.apply(advance, now);
        }
    }
}

impl Outgoing {
    pub(super) fn is_none(&self) -> bool {
        self.used.is_none() && self.by_commit.is_none() && self.by_distribution.is_none()
    }
}

impl OutgoingChain {
    fn is_live(&self, now: Timestamp) -> bool {
        now.since(self.opened) < MAX_CHAIN_AGE && self.chain.index().0 < MAX_PER_PAIRWISE_CHAIN
    }
}
