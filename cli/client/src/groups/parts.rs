//! Uploads in parts: what hangs on an entry and does not fit a frame with it goes to the server first.

use crate::client::Client;
use crate::connection::done;
use crate::error::ClientError;
use crate::store::OutboxItem;
use conclave_wire::ids::{DeviceId, Opaque, UploadId};
use conclave_wire::limits::{MAX_FRAME, MAX_PART_BYTES, MAX_PART_DELIVERIES};
use conclave_wire::request::{DeliveryFor, Request, WelcomeFor};
use minicbor::{Decode, Encode};
use rand::Rng;

/// What a commit or distribution may bring along, in bytes: the device holds it in memory a few times over. A first
/// contact with 30,000 devices, or a removal from a million.
pub(crate) const MAX_UPLOAD: usize = 64 << 20;

/// Bytes of deliveries and welcomes that travel with their entry: the rest of a frame is for the entry.
const MAX_INLINE: usize = MAX_FRAME / 2;

/// What CBOR puts around a delivery, at most.
const AROUND: usize = 48;

/// An upload that its outbox row waits for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Parts {
    /// Its number. The same after a crash, so that what was sent before need not be stored again.
    #[n(0)]
    pub(crate) upload: UploadId,
    /// Whom the row's deliveries are for, in their order.
    #[n(1)]
    pub(crate) recipients: Vec<DeviceId>,
}

impl Parts {
    /// Of what hangs on an entry; `None` if it fits a frame with the entry.
    pub(super) fn of(
        entry: usize,
        deliveries: &[Opaque],
        recipients: Vec<DeviceId>,
        welcomes: &[WelcomeFor],
    ) -> Option<Self> {
        let welcomes = welcomes.iter().map(|welcome| welcome.welcome.0.len() + AROUND);
        let attached =
            deliveries.iter().map(|delivery| delivery.0.len() + AROUND).chain(welcomes).sum::<usize>();
        (attached > MAX_INLINE || entry + attached > MAX_FRAME - AROUND)
            .then(|| Self { upload: new_upload(), recipients })
    }

    /// The requests that upload it, in order.
    pub(super) fn requests(
        &self,
        deliveries: Vec<Opaque>,
        welcomes: Vec<WelcomeFor>,
    ) -> impl Iterator<Item = Request> {
        let deliveries = self.recipients.iter().zip(deliveries);
        let deliveries = deliveries.map(|(device, delivery)| DeliveryFor { device: *device, delivery });
        let welcomes = welcomes.into_iter();
        let welcomes =
            welcomes.map(|WelcomeFor { device, welcome }| DeliveryFor { device, delivery: welcome });
        let upload = self.upload;
        let parts = pack(deliveries.chain(welcomes));
        (0..).zip(parts).map(move |(number, deliveries)| Request::StagePart { upload, number, deliveries })
    }
}

fn new_upload() -> UploadId {
    let mut bytes = [0; UploadId::SIZE];
    rand::rng().fill_bytes(&mut bytes);
    UploadId::from_bytes(bytes)
}

/// Fills parts, one after the other. The same deliveries always fill the same ones.
fn pack(deliveries: impl Iterator<Item = DeliveryFor>) -> Vec<Vec<DeliveryFor>> {
    let mut parts: Vec<Vec<DeliveryFor>> = Vec::new();
    let mut room = 0;
    for delivery in deliveries {
        let bytes = delivery.delivery.0.len();
        match parts.last_mut() {
            Some(part) if bytes <= room && part.len() < MAX_PART_DELIVERIES => {
                room -= bytes;
                part.push(delivery);
            }
            _ => {
                room = MAX_PART_BYTES.saturating_sub(bytes);
                parts.push(vec![delivery]);
            }
        }
    }
    parts
}

impl Client {
    /// Uploads what an item of the outbox does not bring along, and leaves the rest of it. What the server has of it
    /// already, from before a crash, it takes again and forgets.
    pub(super) async fn send_ahead(&mut self, item: &mut OutboxItem) -> Result<(), ClientError> {
        let (parts, deliveries, welcomes) = match item {
            OutboxItem::Commit { parts: Some(parts), deliveries, welcomes, .. } => {
                (parts, std::mem::take(deliveries), std::mem::take(welcomes))
            }
            OutboxItem::Distribution { parts: Some(parts), deliveries, .. } => {
                (parts, std::mem::take(deliveries), Vec::new())
            }
            _ => return Ok(()),
        };
        for request in parts.requests(deliveries, welcomes) {
            done(self.request(request).await?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(sizes: &[usize]) -> Vec<Opaque> {
        sizes.iter().map(|size| Opaque(vec![7; *size])).collect()
    }

    fn devices(count: u8) -> Vec<DeviceId> {
        (0..count).map(|i| DeviceId::from_bytes([i; 32])).collect()
    }

    #[test]
    fn what_fits_a_frame_needs_no_parts() {
        let of = |entry, sizes: &[usize]| {
            Parts::of(entry, &deliveries(sizes), devices(u8::try_from(sizes.len()).unwrap()), &[])
        };
        assert_eq!(of(1000, &[1000; 100]), None);
        assert!(of(1000, &[MAX_INLINE]).is_some());
        assert!(of(MAX_FRAME - 10_000, &[10_000]).is_some());
        let welcome = WelcomeFor { device: devices(1)[0], welcome: Opaque(vec![0; MAX_INLINE]) };
        assert!(Parts::of(0, &[], Vec::new(), &[welcome]).is_some());
    }

    #[test]
    fn parts_are_in_order_and_within_their_bounds() {
        let sizes = [MAX_PART_BYTES / 2, MAX_PART_BYTES / 2, 1, MAX_PART_BYTES, 40, 40];
        let parts = Parts { upload: UploadId::from_bytes([1; 16]), recipients: devices(6) };
        let welcome = WelcomeFor { device: DeviceId::from_bytes([99; 32]), welcome: Opaque(vec![1; 10]) };
        let mut seen: Vec<Vec<(u8, usize)>> = Vec::new();
        for (expected, request) in (0..).zip(parts.requests(deliveries(&sizes), vec![welcome])) {
            let Request::StagePart { number, deliveries, .. } = request else { panic!() };
            assert_eq!(number, expected);
            assert!(deliveries.iter().map(|each| each.delivery.0.len()).sum::<usize>() <= MAX_PART_BYTES);
            seen.push(
                deliveries.iter().map(|each| (each.device.as_bytes()[0], each.delivery.0.len())).collect(),
            );
        }
        let half = MAX_PART_BYTES / 2;
        let expected: [Vec<(u8, usize)>; 4] = [
            vec![(0, half), (1, half)],
            vec![(2, 1)],
            vec![(3, MAX_PART_BYTES)],
            vec![(4, 40), (5, 40), (99, 10)],
        ];
        assert_eq!(seen, expected);
        let many = pack(
            (0..MAX_PART_DELIVERIES + 1)
                .map(|_| DeliveryFor { device: DeviceId::from_bytes([0; 32]), delivery: Opaque::default() }),
        );
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_PART_DELIVERIES, 1]);
    }
}
