//! Accounts of several devices: the one place where tests sign manifests by hand.

use super::{Forger, Person};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::ids::{AccountId, DeviceKey, ManifestVersion, Opaque, Timestamp};
use conclave_engine::wire::manifest::{Manifest, ManifestBody};
use conclave_engine::wire::membership::Membership;
use conclave_engine::wire::signature::SigningKey;

/// A manifest of `account` with these devices, following `previous`.
pub fn sign_manifest(
    account: &SigningKey,
    previous: Option<&Manifest>,
    devices: &[&SigningKey],
    time: Timestamp,
) -> Manifest {
    let account_id = AccountId::from_bytes(account.verifying_key().to_bytes());
    let members: Vec<Membership> =
        devices.iter().map(|device| Membership::sign(account_id, device)).collect();
    let key = |device: &&SigningKey| DeviceKey::from_bytes(device.verifying_key().to_bytes());
    let body = ManifestBody {
        account: account_id,
        version: previous.map_or(ManifestVersion(0), |manifest| manifest.body().version.next().unwrap()),
        time,
        previous: previous.map(Manifest::hash),
        devices: devices.iter().map(key).collect(),
    };
    Manifest::sign(&body, account, &members).unwrap()
}

/// The operation that brings a group from one manifest to another.
pub fn update(manifests: &[&Manifest]) -> Operation {
    let manifests = manifests.iter().map(|manifest| Opaque(manifest.encoded().to_vec())).collect();
    Operation::UpdateDevices { manifests }
}

/// An account's keys and its newest manifest.
pub struct Household {
    pub account: SigningKey,
    pub manifest: Manifest,
}

impl Household {
    pub fn of(person: &Person) -> Self {
        Self { account: Forger::of(person).account, manifest: person.device.manifest().clone() }
    }

    /// The next manifest, with the devices of these people, each of whom holds it from then on.
    pub fn list(&mut self, people: &mut [&mut Person]) -> Manifest {
        let keys: Vec<SigningKey> = people.iter().map(|person| Forger::of(person).device).collect();
        let now = people.first().map_or(super::START, |person| person.now);
        self.manifest =
            sign_manifest(&self.account, Some(&self.manifest), &keys.iter().collect::<Vec<_>>(), now);
        for person in people {
            person.hold(&self.account, &self.manifest);
        }
        self.manifest.clone()
    }
}
