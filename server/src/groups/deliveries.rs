//! What hangs on an entry: one delivery or welcome for exactly the devices that the roster asks for.

use crate::store::{StagedUpload, StoredUpload};
use bytes::Bytes;
use conclave_wire::commit::CommitBody;
use conclave_wire::ids::{DeviceId, Opaque, UploadId};
use conclave_wire::limits::MAX_FRAME;
use conclave_wire::public_group::{Outcome, PublicGroup, Step};
use conclave_wire::reply::Refusal;
use conclave_wire::request::WelcomeFor;
use std::collections::BTreeMap;

/// More than a page's reply takes around a single entry.
const AROUND: usize = 256;

/// Where the deliveries and welcomes of an entry are.
#[derive(Debug)]
pub(crate) enum Attached {
    /// They came with it.
    Here {
        /// For each recipient in leaf order.
        deliveries: Vec<Opaque>,
        /// For each newcomer.
        welcomes: Vec<WelcomeFor>,
    },
    /// They came before it, in parts.
    Staged(UploadId),
}

impl Default for Attached {
    fn default() -> Self {
        Self::Here { deliveries: Vec::new(), welcomes: Vec::new() }
    }
}

impl Attached {
    /// As a request brings them. None may come both ways.
    pub(crate) fn new(
        deliveries: Vec<Opaque>,
        welcomes: Vec<WelcomeFor>,
        staged: Option<UploadId>,
    ) -> Result<Self, Refusal> {
        match staged {
            None => Ok(Self::Here { deliveries, welcomes }),
            Some(upload) if deliveries.is_empty() && welcomes.is_empty() => Ok(Self::Staged(upload)),
            Some(_) => {
                let reason = "deliveries stand in the request or in an upload, not in both".to_owned();
                Err(Refusal::Malformed { reason })
            }
        }
    }

    pub(super) fn staged(&self) -> Option<UploadId> {
        match self {
            Self::Here { .. } => None,
            Self::Staged(upload) => Some(*upload),
        }
    }

    /// With the upload that it names, as the store has it.
    pub(super) fn resolve(self, parts: Option<StoredUpload>) -> Result<Resolved, Refusal> {
        match self {
            Self::Here { deliveries, welcomes } => Ok(Resolved::Here { deliveries, welcomes }),
            Self::Staged(id) => parts.map(|parts| Resolved::Staged(id, parts)).ok_or(Refusal::UnknownUpload),
        }
    }
}

/// The same, with what the store has of an upload.
pub(super) enum Resolved {
    Here { deliveries: Vec<Opaque>, welcomes: Vec<WelcomeFor> },
    Staged(UploadId, StoredUpload),
}

/// Deliveries that are for exactly the right devices.
pub(super) struct Fitting {
    /// Those that came with the entry.
    pub(super) deliveries: Vec<(DeviceId, Bytes)>,
    /// Where the others are.
    pub(super) staged: Option<StagedUpload>,
}

impl Resolved {
    /// Checks that there is one for each device and for no other, and that the entry fits a frame with any of them.
    pub(super) fn fit(
        self,
        author: &DeviceId,
        recipients: &[DeviceId],
        newcomers: &[DeviceId],
        body: usize,
    ) -> Result<Fitting, Refusal> {
        match self {
            Self::Here { deliveries, welcomes } => {
                let mut all = pair(recipients, deliveries)?;
                all.extend(pair_welcomes(newcomers, welcomes)?);
                let largest = all.iter().map(|(_, delivery)| delivery.len()).max().unwrap_or(0);
                check_frame(body, largest)?;
                Ok(Fitting { deliveries: all, staged: None })
            }
            Self::Staged(upload, parts) => {
                if parts.by != *author {
                    return Err(Refusal::UnknownUpload);
                }
                let mut wanted: Vec<DeviceId> = recipients.iter().chain(newcomers).copied().collect();
                wanted.sort_unstable();
                if wanted != parts.devices {
                    let (expected, found) = (wanted.len() as u64, parts.devices.len() as u64);
                    return Err(Refusal::WrongDeliveries { expected, found });
                }
                check_frame(body, usize::try_from(parts.largest).unwrap_or(usize::MAX))?;
                Ok(Fitting {
                    deliveries: Vec::new(),
                    staged: Some(StagedUpload { upload, parts: parts.parts }),
                })
            }
        }
    }
}

/// Who gets the secret of a commit.
pub(super) fn recipients(public: &PublicGroup, body: &CommitBody, outcome: &Outcome) -> Vec<DeviceId> {
    if body.commitment.is_none() {
        return Vec::new();
    }
    let all = public.recipients(outcome, &body.author).map(|(_, leaf)| leaf.device.id());
    all.filter(|device| body.unreachable.binary_search(device).is_err()).collect()
}

/// Who gets a welcome with a commit.
pub(super) fn newcomers(step: &Step) -> Vec<DeviceId> {
    let body = step.commit().body();
    let newcomers = step.outcome().added().iter().map(|(_, leaf)| leaf.device.id());
    newcomers
        .filter(|device| *device != body.author && body.unreachable.binary_search(device).is_err())
        .collect()
}

/// One delivery for each device, in the order of the devices.
fn pair(devices: &[DeviceId], deliveries: Vec<Opaque>) -> Result<Vec<(DeviceId, Bytes)>, Refusal> {
    if devices.len() != deliveries.len() {
        let (expected, found) = (devices.len() as u64, deliveries.len() as u64);
        return Err(Refusal::WrongDeliveries { expected, found });
    }
    Ok(devices.iter().copied().zip(deliveries.into_iter().map(|delivery| delivery.0.into())).collect())
}

/// One welcome for each newcomer, in any order.
fn pair_welcomes(
    newcomers: &[DeviceId],
    welcomes: Vec<WelcomeFor>,
) -> Result<Vec<(DeviceId, Bytes)>, Refusal> {
    let found = welcomes.len();
    let mut given: BTreeMap<DeviceId, Opaque> =
        welcomes.into_iter().map(|welcome| (welcome.device, welcome.welcome)).collect();
    let all: Option<Vec<_>> =
        newcomers.iter().map(|device| Some((*device, Bytes::from(given.remove(device)?.0)))).collect();
    match all {
        Some(all) if found == newcomers.len() => Ok(all),
        _ => Err(Refusal::WrongDeliveries { expected: newcomers.len() as u64, found: found as u64 }),
    }
}

/// The entry will fit a frame with what hangs on it for any one device.
fn check_frame(body: usize, largest: usize) -> Result<(), Refusal> {
    if body.saturating_add(largest).saturating_add(AROUND) > MAX_FRAME {
        let what = "the entry with a delivery or welcome".to_owned();
        return Err(Refusal::TooLarge { what, max: (MAX_FRAME - AROUND) as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: DeviceId = DeviceId::from_bytes([9; 32]);

    fn device(id: u8) -> DeviceId {
        DeviceId::from_bytes([id; 32])
    }

    fn staged(devices: &[u8], largest: u64) -> Resolved {
        let devices = devices.iter().copied().map(device).collect();
        Resolved::Staged(
            UploadId::from_bytes([5; 16]),
            StoredUpload { by: AUTHOR, parts: 2, largest, devices },
        )
    }

    #[test]
    fn parts_are_for_exactly_the_right_devices() {
        let (recipients, newcomers) = ([device(3), device(1)], [device(2)]);
        let fit = |parts: Resolved| parts.fit(&AUTHOR, &recipients, &newcomers, 100);
        let fitting = fit(staged(&[1, 2, 3], 40)).unwrap();
        assert!(fitting.deliveries.is_empty());
        assert_eq!(fitting.staged.map(|staged| staged.parts), Some(2));
        for wrong in [&[1, 2][..], &[1, 2, 3, 4], &[1, 2, 4], &[]] {
            let (expected, found) = (3, wrong.len() as u64);
            assert_eq!(fit(staged(wrong, 40)).err(), Some(Refusal::WrongDeliveries { expected, found }));
        }
        let too_large = fit(staged(&[1, 2, 3], MAX_FRAME as u64 - 300)).err();
        assert!(matches!(too_large, Some(Refusal::TooLarge { .. })));
        let others = staged(&[1, 2, 3], 40).fit(&device(8), &recipients, &newcomers, 100).err();
        assert_eq!(others, Some(Refusal::UnknownUpload));
    }

    #[test]
    fn an_upload_is_named_or_not_needed() {
        let upload = UploadId::from_bytes([5; 16]);
        assert!(matches!(
            Attached::new(vec![Opaque(vec![1])], Vec::new(), Some(upload)),
            Err(Refusal::Malformed { .. })
        ));
        let attached = Attached::new(Vec::new(), Vec::new(), Some(upload)).unwrap();
        assert_eq!(attached.resolve(None).err(), Some(Refusal::UnknownUpload));
    }
}
