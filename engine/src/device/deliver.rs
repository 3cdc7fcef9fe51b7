//! From this device to others: deliveries on pairwise chains, and first contacts.

use super::state::Device;
use crate::envelope::{
    CommittedSecret, ContinuedOpening, Delivery, EnvelopeContext, Recipient, Sender, Wrap, seal_initial,
    wrap_pad,
};
use crate::pairwise::Carrier;
use crate::prekeys::{Reach, UsablePrekeys};
use crate::record::Changes;
use conclave_wire::ids::{AccountId, DeviceId, Timestamp};
use rand_core::CryptoRng;

impl Device {
    /// Whether something can be sent to `device` without its prekeys.
    pub(crate) fn can_continue(&self, device: &DeviceId, now: Timestamp) -> bool {
        self.peers.get(device).is_some_and(|peer| peer.can_continue(now))
    }

    /// Whether something can be sent to `device` at all.
    pub(crate) fn can_reach(&self, device: &DeviceId, reach: Reach<'_>) -> bool {
        self.can_continue(device, reach.now) || reach.prekeys(device).is_some()
    }

    /// Hands one secret to many devices: a wrap where there is a chain, an initial envelope where there is none, all of
    /// these with one ephemeral key and one signature. One item for each recipient, in their order; `None` for those
    /// that cannot be reached.
    ///
    /// The chains are stepped whatever becomes of the deliveries: commit `changes` before any of them leaves (R55).
    pub(crate) fn deliver(
        &mut self,
        secret: &CommittedSecret,
        recipients: &[(AccountId, DeviceId)],
        context: EnvelopeContext,
        reach: Reach<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Option<Vec<u8>>> {
        let CommittedSecret { secret, commitment } = secret;
        let me = self.id();
        let mut first_contacts = Vec::new();
        let mut deliveries = Vec::with_capacity(recipients.len());
        for (position, (account, device)) in recipients.iter().enumerate() {
            let step = self.peers.get_mut(device).and_then(|peer| peer.step(reach.now));
            deliveries.push(step.map(|(chain, index, step)| {
                let masked = wrap_pad(&step, &context, &me, device, commitment, secret.as_bytes());
                Delivery::encode_wrap(&Wrap { chain, index, masked: *masked.as_bytes() })
            }));
            match deliveries.last() {
                Some(Some(_)) => self.put_peer(device, changes),
                _ => first_contacts
                    .extend(reach.prekeys(device).map(|keys| (position, *account, *device, keys))),
            }
        }
        let carrier = *commitment.as_bytes();
        let envelopes =
            self.seal(&first_contacts, secret.as_bytes(), context, carrier, reach.now, rng, changes);
        for ((position, ..), envelope) in first_contacts.iter().zip(envelopes) {
            if let Some(delivery) = deliveries.get_mut(*position) {
                *delivery = Some(envelope);
            }
        }
        deliveries
    }

    /// Seals `payload` to one device, on its chain if there is one; it will hang on the entry that shows `carrier`.
    /// `None` if the device cannot be reached.
    #[expect(clippy::too_many_arguments, reason = "what an envelope is made of")]
    pub(crate) fn seal_to(
        &mut self,
        (account, device): (AccountId, DeviceId),
        payload: &[u8],
        context: EnvelopeContext,
        carrier: Carrier,
        reach: Reach<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Option<Vec<u8>> {
        let me = self.id();
        if let Some((chain, index, step)) = self.peers.get_mut(&device).and_then(|peer| peer.step(reach.now))
        {
            self.put_peer(&device, changes);
            let ends = (&me, &device);
            return Some(ContinuedOpening::seal(chain, index, &step, &context, ends, payload, rng));
        }
        let prekeys = reach.prekeys(&device)?;
        self.seal(&[(0, account, device, prekeys)], payload, context, carrier, reach.now, rng, changes).pop()
    }

    /// Notes that the log shows an entry of ours: the chains that its initial envelopes open can be continued.
    pub(crate) fn confirm_chains(&mut self, carrier: &Carrier, changes: &mut Changes) {
        let confirmed =
            self.peers.iter_mut().filter_map(|(id, peer)| peer.confirm_outgoing(carrier).then_some(*id));
        let confirmed: Vec<DeviceId> = confirmed.collect();
        for device in &confirmed {
            self.put_peer(device, changes);
        }
    }

    /// Seals initial envelopes with one payload and begins the chains that they open.
    #[expect(clippy::too_many_arguments, reason = "what an envelope is made of")]
    fn seal(
        &mut self,
        recipients: &[(usize, AccountId, DeviceId, &UsablePrekeys)],
        payload: &[u8],
        context: EnvelopeContext,
        carrier: Carrier,
        now: Timestamp,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Vec<u8>> {
        if recipients.is_empty() {
            return Vec::new();
        }
        let sender =
            Sender { account: self.account(), manifest: self.manifest().hash(), key: self.signing_key() };
        let addressed: Vec<_> = recipients
            .iter()
            .map(|(_, account, device, prekeys)| Recipient {
                account: *account,
                device: *device,
                prekeys,
                payload,
            })
            .collect();
        let sealed = seal_initial(&sender, &addressed, context, rng);
        let mut envelopes = Vec::with_capacity(sealed.len());
        for ((_, _, device, _), (envelope, chain)) in recipients.iter().zip(sealed) {
            self.peers.entry(*device).or_default().open_outgoing(chain, carrier, now);
            self.put_peer(device, changes);
            envelopes.push(Delivery::encode_initial(&envelope));
        }
        envelopes
    }
}
