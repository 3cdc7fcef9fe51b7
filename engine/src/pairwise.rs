//! Pairwise chains: one-way ratchets between this device and others, opened by initial envelopes.
//!
//! Two one-way chains with no shared ratchet: nothing can desynchronise. An outgoing chain is replaced after 7 days or
//! 100 envelopes; of incoming ones the newest two per sender are kept.

use crate::kdf;
use crate::limits::{MAX_CHAIN_AGE, MAX_INCOMING_CHAINS, MAX_PER_PAIRWISE_CHAIN};
use crate::ratchet::{Advance, Chain, MessageKey, ReceivingChain};
use conclave_wire::codec::Structure;
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

/// The chains to and from one other device; also their record.
#[derive(Debug, Default, PartialEq, Encode, Decode)]
pub(crate) struct Peer {
    #[n(0)]
    outgoing: Option<OutgoingChain>,
    #[n(1)]
    incoming: Vec<IncomingChain>,
}

impl Structure for Peer {
    const NAME: &'static str = "pairwise chains record";
    const MAX_BYTES: usize = 64 << 10;
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
    /// What the log must show before the recipient can have this chain: until then nothing continues it, because the
    /// upload that carries its initial envelope may lose a race or never be sent.
    #[n(3)]
    awaits: Option<ByteArray<32>>,
}

/// What the entry that carries an initial envelope shows in public: the commitment to the secret inside, or the hash of
/// the commit to which a welcome belongs.
pub(crate) type Carrier = [u8; 32];

#[derive(Debug, PartialEq, Encode, Decode)]
struct IncomingChain {
    #[n(0)]
    id: ByteArray<4>,
    #[n(1)]
    chain: ReceivingChain,
}

impl Peer {
    /// Whether something can be sent without an initial envelope.
    pub(crate) fn can_continue(&self, now: Timestamp) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.is_live(now))
    }

    /// Takes the next step of the outgoing chain and erases what it came from. `None` if there is no live chain.
    pub(crate) fn step(&mut self, now: Timestamp) -> Option<(ChainId, MessageIndex, MessageKey)> {
        let outgoing = self.outgoing.as_mut().filter(|outgoing| outgoing.is_live(now))?;
        let index = outgoing.chain.index();
        let (key, next) = outgoing.chain.peek(&kdf::PAIRWISE)?;
        outgoing.chain = next;
        Some((*outgoing.id, index, key))
    }

    /// Begins a new outgoing chain, to be continued once the log shows `carrier`.
    pub(crate) fn open_outgoing(&mut self, opened: OpenedChain, carrier: Carrier, now: Timestamp) {
        let (id, awaits) = (opened.id.into(), Some(carrier.into()));
        self.outgoing = Some(OutgoingChain { id, chain: opened.chain, opened: now, awaits });
    }

    /// Notes that the log shows `carrier`; returns whether the outgoing chain waited for it.
    pub(crate) fn confirm_outgoing(&mut self, carrier: &Carrier) -> bool {
        let waiting = |chain: &&mut OutgoingChain| chain.awaits.as_deref() == Some(carrier);
        self.outgoing.as_mut().filter(waiting).is_some_and(|chain| chain.awaits.take().is_some())
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

impl OutgoingChain {
    fn is_live(&self, now: Timestamp) -> bool {
        self.awaits.is_none()
            && now.since(self.opened) < MAX_CHAIN_AGE
            && self.chain.index().0 < MAX_PER_PAIRWISE_CHAIN
    }
}
