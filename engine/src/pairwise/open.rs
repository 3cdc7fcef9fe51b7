//! From other devices to this one: opening what was delivered, and consuming it once everything has been checked.

use super::Pairwise;
use super::peer::{ChainId, OpenedChain};
use crate::device::Device;
use crate::envelope::{
    Delivery, EnvelopeContext, InitialOpening, OpenError, Opening, SpentEnvelope, wrap_pad,
};
use crate::kdf;
use crate::ratchet::Advance;
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::ids::{Commitment, DeviceId, MessageIndex, Timestamp};

/// What opening a delivery will consume, once everything else about the entry has been checked.
pub(crate) enum Opened {
    Step { sender: DeviceId, chain: ChainId, advance: Advance },
    Initial { sender: DeviceId, chain: OpenedChain, spent: SpentEnvelope },
}

impl Pairwise {
    /// Opens a delivered secret and checks it against its commitment; changes nothing.
    pub(crate) fn open_secret(
        &self,
        at: &Device,
        delivery: Option<&[u8]>,
        sender: &DeviceId,
        context: EnvelopeContext,
        commitment: &Commitment,
    ) -> Result<(Secret<32>, Opened), OpenError> {
        let (secret, opened) = match Delivery::decode(delivery.ok_or(OpenError::Missing)?)? {
            Delivery::Wrap(wrap) => {
                let advance = self.peek(sender, &wrap.chain, wrap.index)?;
                let secret = wrap_pad(advance.key(), &context, sender, &at.id(), commitment, &wrap.masked);
                (secret, Opened::Step { sender: *sender, chain: wrap.chain, advance })
            }
            other => {
                let (payload, opened) = self.open(at, other, sender, context)?;
                let bytes = payload.as_slice().try_into().map_err(|_| OpenError::Commitment)?;
                (Secret::from_bytes(bytes), opened)
            }
        };
        let expected = context.purpose.commitment().map(|context| kdf::commit(context, &[secret.as_bytes()]));
        if expected != Some(*commitment) {
            return Err(OpenError::Commitment);
        }
        Ok((secret, opened))
    }

    /// As [`open_secret`](Self::open_secret), for a secret that may come by an initial envelope only (R47).
    pub(crate) fn open_initial_secret(
        &self,
        at: &Device,
        delivery: Option<&[u8]>,
        sender: &DeviceId,
        context: EnvelopeContext,
        commitment: &Commitment,
    ) -> Result<(Secret<32>, Opened), OpenError> {
        match Delivery::decode(delivery.ok_or(OpenError::Missing)?)? {
            Delivery::Initial(_) => self.open_secret(at, delivery, sender, context, commitment),
            Delivery::Wrap(_) | Delivery::Continued(_) => Err(OpenError::Form),
        }
    }

    /// Opens an envelope of any payload; changes nothing.
    pub(crate) fn open_payload(
        &self,
        at: &Device,
        delivery: Option<&[u8]>,
        sender: &DeviceId,
        context: EnvelopeContext,
    ) -> Result<(Opening, Opened), OpenError> {
        self.open(at, Delivery::decode(delivery.ok_or(OpenError::Missing)?)?, sender, context)
    }

    fn open(
        &self,
        at: &Device,
        delivery: Delivery,
        sender: &DeviceId,
        context: EnvelopeContext,
    ) -> Result<(Opening, Opened), OpenError> {
        match delivery {
            Delivery::Wrap(_) => Err(OpenError::NotAuthentic),
            Delivery::Continued(envelope) => {
                let advance = self.peek(sender, &envelope.chain, envelope.index)?;
                let payload = envelope
                    .open(advance.key(), &context, sender, &at.id())
                    .map_err(|_| OpenError::NotAuthentic)?;
                Ok((payload, Opened::Step { sender: *sender, chain: envelope.chain, advance }))
            }
            Delivery::Initial(envelope) => {
                let InitialOpening { sender: by, context: found, payload, chain, spent } =
                    at.open_initial(&envelope)?;
                if by != *sender || found != context {
                    return Err(OpenError::Context);
                }
                Ok((payload, Opened::Initial { sender: by, chain, spent }))
            }
        }
    }

    fn peek(&self, sender: &DeviceId, chain: &ChainId, index: MessageIndex) -> Result<Advance, OpenError> {
        self.peers.get(sender).and_then(|peer| peer.peek(chain, index)).ok_or(OpenError::Chain)
    }

    /// Consumes what a delivery was opened with.
    pub(crate) fn accept(&mut self, at: &mut Device, opened: Opened, now: Timestamp, changes: &mut Changes) {
        match opened {
            Opened::Step { sender, chain, advance } => {
                if let Some(peer) = self.peers.get_mut(&sender) {
                    peer.apply(&chain, advance, now);
                }
                self.put_peer(&sender, changes);
            }
            Opened::Initial { sender, chain, spent } => {
                self.peers.entry(sender).or_default().open_incoming(chain);
                self.put_peer(&sender, changes);
                at.spend(spent, changes);
            }
        }
    }
}
