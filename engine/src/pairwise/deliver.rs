//! From this device to others: deliveries on pairwise chains, and first contacts.

use super::Pairwise;
use super::peer::Upload;
use crate::addressee::Addressee;
use crate::device::Device;
use crate::envelope::{
    CommittedSecret, ContinuedOpening, Delivery, EnvelopeContext, Recipient, Sender, Wrap, seal_initial,
    wrap_pad,
};
use crate::prekeys::{Reach, UsablePrekeys};
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::ids::{DeviceId, Timestamp};
use rand_core::CryptoRng;

/// What is handed over, from whom, and on which entry of the log it will hang.
#[derive(Clone, Copy)]
pub(crate) struct Dispatch<'a> {
    pub(crate) from: &'a Device,
    pub(crate) context: EnvelopeContext,
    pub(crate) upload: Upload,
    pub(crate) reach: Reach<'a>,
}

impl Pairwise {
    /// Whether something can be sent to `device` without its prekeys.
    pub(crate) fn can_continue(&self, device: &DeviceId, now: Timestamp) -> bool {
        self.peers.get(device).is_some_and(|peer| peer.can_continue(now))
    }

    /// Whether something can be sent to a device at all.
    pub(crate) fn can_reach(&self, to: &Addressee, reach: Reach<'_>) -> bool {
        self.can_continue(&to.device, reach.now) || reach.prekeys(to).is_some()
    }

    /// Hands one secret to many devices: a wrap where there is a chain, an initial envelope where there is none, all of
    /// these with one ephemeral key and one signature. One item for each recipient, in their order; `None` for those
    /// that cannot be reached.
    ///
    /// The chains are stepped whatever becomes of the deliveries: commit `changes` before any of them leaves (R55).
    pub(crate) fn deliver(
        &mut self,
        secret: &CommittedSecret,
        recipients: &[Addressee],
        dispatch: Dispatch<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Option<Vec<u8>>> {
        let CommittedSecret { secret, commitment } = secret;
        let Dispatch { from, context, reach, .. } = dispatch;
        let me = from.id();
        let mut first_contacts = Vec::new();
        let mut deliveries = Vec::with_capacity(recipients.len());
        for (position, to) in recipients.iter().enumerate() {
            let device = &to.device;
            let step = self.peers.get_mut(device).and_then(|peer| peer.step(reach.now));
            deliveries.push(step.map(|(chain, index, step)| {
                let masked = wrap_pad(&step, &context, &me, device, commitment, secret.as_bytes());
                Delivery::encode_wrap(&Wrap { chain, index, masked: *masked.as_bytes() })
            }));
            match deliveries.last() {
                Some(Some(_)) => self.touch(device),
                _ => first_contacts.extend(reach.prekeys(to).map(|prekeys| (position, *to, prekeys))),
            }
        }
        self.seal_into(&mut deliveries, &first_contacts, secret, dispatch, rng, changes);
        deliveries
    }

    /// As [`deliver`](Self::deliver), by initial envelopes alone: no chain that is there plays a part (R47).
    pub(crate) fn deliver_initial(
        &mut self,
        secret: &CommittedSecret,
        recipients: &[Addressee],
        dispatch: Dispatch<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Option<Vec<u8>>> {
        let contact =
            |(position, to): (usize, &Addressee)| Some((position, *to, dispatch.reach.prekeys(to)?));
        let contacts: Vec<_> = recipients.iter().enumerate().filter_map(contact).collect();
        let mut deliveries = vec![None; recipients.len()];
        self.seal_into(&mut deliveries, &contacts, &secret.secret, dispatch, rng, changes);
        deliveries
    }

    /// Seals a secret in initial envelopes, each into its place.
    fn seal_into(
        &mut self,
        deliveries: &mut [Option<Vec<u8>>],
        contacts: &[(usize, Addressee, &UsablePrekeys)],
        secret: &Secret<32>,
        dispatch: Dispatch<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) {
        let envelopes = self.seal(contacts, secret.as_bytes(), dispatch, rng, changes);
        for ((position, ..), envelope) in contacts.iter().zip(envelopes) {
            if let Some(delivery) = deliveries.get_mut(*position) {
                *delivery = Some(envelope);
            }
        }
        self.write_pages(changes);
    }

    /// Seals `payload` to each of some devices by itself, on its chain if there is one. `None` for those that cannot be
    /// reached.
    pub(crate) fn seal_to(
        &mut self,
        recipients: &[Addressee],
        payload: &[u8],
        dispatch: Dispatch<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Option<Vec<u8>>> {
        let seal = |to: &Addressee| self.seal_one(to, payload, dispatch, rng, changes);
        let sealed = recipients.iter().map(seal).collect();
        self.write_pages(changes);
        sealed
    }

    fn seal_one(
        &mut self,
        to: &Addressee,
        payload: &[u8],
        dispatch: Dispatch<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Option<Vec<u8>> {
        let Dispatch { from, context, reach, .. } = dispatch;
        let (me, device) = (from.id(), &to.device);
        if let Some((chain, index, step)) = self.peers.get_mut(device).and_then(|peer| peer.step(reach.now)) {
            self.touch(device);
            let ends = (&me, device);
            return Some(ContinuedOpening::seal(chain, index, &step, &context, ends, payload, rng));
        }
        let prekeys = reach.prekeys(to)?;
        self.seal(&[(0, *to, prekeys)], payload, dispatch, rng, changes).pop()
    }

    /// Seals initial envelopes with one payload and keeps the chains that they open; their pages are the caller's to
    /// write.
    fn seal(
        &mut self,
        recipients: &[(usize, Addressee, &UsablePrekeys)],
        payload: &[u8],
        dispatch: Dispatch<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Vec<u8>> {
        if recipients.is_empty() {
            return Vec::new();
        }
        let Dispatch { from, context, upload, reach } = dispatch;
        let sender =
            Sender { account: from.account(), manifest: from.manifest().hash(), key: from.signing_key() };
        let addressed: Vec<_> = recipients
            .iter()
            .map(|(_, to, prekeys)| Recipient {
                account: to.account,
                device: to.device,
                prekeys,
                one_time: reach.give_one_time(&to.device),
                payload,
            })
            .collect();
        let sealed = seal_initial(&sender, addressed, context, rng);
        let mut envelopes = Vec::with_capacity(sealed.len());
        for ((_, to, _), (envelope, chain)) in recipients.iter().zip(sealed) {
            self.peers.entry(to.device).or_default().open_outgoing(chain, upload, reach.now);
            self.touch_new(&to.device, changes);
            envelopes.push(Delivery::encode_initial(&envelope));
        }
        envelopes
    }
}
