//! The chain of an account's manifests, as its own devices keep it: what a server may show, and what may be signed. (R16) (R17)

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::ids::{DeviceId, ManifestVersion, Timestamp};
use conclave_engine::wire::limits::MAX_MANIFEST_CHAIN;
use conclave_engine::wire::manifest::{Manifest, ManifestBody};
use conclave_engine::wire::membership::Membership;
use conclave_engine::wire::signature::SigningKey;
use conclave_engine::{AdoptError, Device, LoadError, RevokeError, Scope, SignManifestError, StagedManifest};
use support::{Forger, Person, START, flip};

/// Who holds the account key and signs what they like.
struct Signer {
    account: SigningKey,
}

impl Signer {
    fn of(person: &Person) -> Self {
        Self { account: Forger::of(person).account }
    }

    /// The manifest after `before` with these devices.
    fn next(&self, before: &Manifest, time: u64, members: &[Membership]) -> Manifest {
        let body = ManifestBody {
            account: before.account(),
            version: before.body().version.next().unwrap(),
            time: Timestamp(time),
            previous: Some(before.hash()),
            devices: members.iter().map(Membership::device).collect(),
        };
        Manifest::sign(&body, &self.account, members).unwrap()
    }

    /// `count` manifests after `before`, with the same devices.
    fn chain(&self, before: &Manifest, count: usize, time: u64) -> Vec<Manifest> {
        let mut chain = vec![before.clone()];
        for _ in 0..count {
            let last = chain.last().unwrap();
            chain.push(self.next(last, time, last.memberships()));
        }
        chain.remove(0);
        chain
    }
}

fn encoded(chain: &[Manifest]) -> Vec<&[u8]> {
    chain.iter().map(Manifest::encoded).collect()
}

/// Shows manifests; what changed is stored, and a refusal changes nothing.
fn show(person: &mut Person, chain: &[Manifest]) -> Result<Option<StagedManifest>, AdoptError> {
    show_bytes(person, &encoded(chain))
}

fn show_bytes(person: &mut Person, shown: &[&[u8]]) -> Result<Option<StagedManifest>, AdoptError> {
    let state = |device: &Device| {
        (device.manifests().cloned().collect::<Vec<_>>(), device.staged_manifest().cloned())
    };
    let before = state(&person.device);
    let adopted = person.device.adopt(shown).inspect_err(|_| assert_eq!(state(&person.device), before))?;
    person.save(adopted.changes);
    let after = state(&person.device);
    person.restart();
    assert_eq!(state(&person.device), after, "as it was stored");
    Ok(adopted.staged)
}

fn version(person: &Person) -> u64 {
    person.device.manifest().body().version.0
}

/// (R11) (R16) Newer manifests follow; what is known already is compared and passed over.
#[test]
fn newer_manifests_are_taken_over() {
    let mut bob = Person::new("bob", 2);
    let first = bob.device.manifest().clone();
    let chain = Signer::of(&bob).chain(&first, 6, 1);
    assert_eq!(show(&mut bob, &chain[..2]), Ok(None));
    assert_eq!(version(&bob), 2);
    assert_eq!(show(&mut bob, &chain[..2]), Ok(None), "again");
    assert_eq!(show(&mut bob, &[&[first], &chain[..4]].concat()), Ok(None), "from the beginning");
    assert_eq!(version(&bob), 4);
    assert_eq!(show(&mut bob, &chain[3..]), Ok(None), "with an overlap");
    assert_eq!(bob.device.manifest(), &chain[5]);
    assert_eq!(bob.device.manifests().count(), 7);
}

/// (R16) A gap, an older one shown as the newest, a list in disorder, none, too many, another account's, one that is not valid.
#[test]
fn what_a_server_cannot_show() {
    let (mut bob, carol) = (Person::new("bob", 2), Person::new("carol", 3));
    let (signer, first) = (Signer::of(&bob), bob.device.manifest().clone());
    let chain = signer.chain(&first, 70, 1);
    show(&mut bob, &chain[..4]).unwrap();
    let newest = ManifestVersion(4);
    let gap = AdoptError::Gap { newest, shown: ManifestVersion(6) };
    assert_eq!(show(&mut bob, &chain[5..6]), Err(gap));
    let rolled_back = AdoptError::RolledBack { newest, shown: ManifestVersion(3) };
    assert_eq!(show(&mut bob, &chain[..3]), Err(rolled_back));
    assert_eq!(show(&mut bob, &[chain[4].clone(), chain[6].clone()]), Err(AdoptError::Order));
    assert_eq!(show(&mut bob, &[chain[5].clone(), chain[4].clone()]), Err(AdoptError::Order));
    assert_eq!(show(&mut bob, &[chain[4].clone(), chain[4].clone()]), Err(AdoptError::Order));
    assert_eq!(show(&mut bob, &[]), Err(AdoptError::Count));
    assert_eq!(show(&mut bob, &chain[..MAX_MANIFEST_CHAIN + 1]), Err(AdoptError::Count));
    assert_eq!(show(&mut bob, &[carol.device.manifest().clone()]), Err(AdoptError::Account));
    let broken = flip(chain[4].encoded(), chain[4].encoded().len() - 1);
    assert!(matches!(show_bytes(&mut bob, &[&broken]), Err(AdoptError::Manifest(_))));
    assert_eq!(show(&mut bob, &chain[4..6]), Ok(None));
}

/// (R16) Two manifests of one version are a proof, whichever way they are met.
#[test]
fn forks_are_proven() {
    let mut bob = Person::new("bob", 2);
    let (signer, first) = (Signer::of(&bob), bob.device.manifest().clone());
    let chain = signer.chain(&first, 4, 1);
    let rival = signer.chain(&chain[0], 4, 2);
    show(&mut bob, &chain[..3]).unwrap();
    let mut forks = |shown: &[Manifest]| match show(&mut bob, shown) {
        Err(AdoptError::Forked(fork)) => {
            assert_eq!(fork.account(), first.account());
            (fork.known().body().version.0, fork.shown().body().version.0)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(forks(&rival[1..2]), (3, 3), "another of the version that is the newest");
    assert_eq!(forks(&rival[..1]), (2, 2), "another of an older version, which would be a rollback too");
    assert_eq!(forks(&rival[2..3]), (3, 4), "the next one, which names another before it");
    assert_eq!(forks(&rival), (2, 2), "the whole branch");
    assert_eq!(show(&mut bob, &chain[3..]), Ok(None), "it stays on its own");
}

/// (R16) As many as groups may need are kept, the oldest are dropped.
#[test]
fn the_chain_is_bounded() {
    let mut bob = Person::new("bob", 2);
    let (signer, first) = (Signer::of(&bob), bob.device.manifest().clone());
    let chain = signer.chain(&first, 150, 1);
    for part in chain.chunks(MAX_MANIFEST_CHAIN) {
        show(&mut bob, part).unwrap();
    }
    assert_eq!(bob.device.manifests().count(), MAX_MANIFEST_CHAIN);
    let stored = bob.records(Scope::Device);
    assert_eq!(stored.iter().filter(|(name, _)| name.starts_with(b"manifest/")).count(), MAX_MANIFEST_CHAIN);
    assert!(bob.device.manifests().eq(&chain[150 - MAX_MANIFEST_CHAIN..]));
    // What is no longer kept cannot be compared, and is not the newest.
    assert!(matches!(show(&mut bob, &chain[..1]), Err(AdoptError::RolledBack { .. })));
}

/// (R16) A device that was revoked is told so, and not by less than the account's own word.
#[test]
fn a_revoked_device_is_told() {
    let mut bob = Person::new("bob", 2);
    let (signer, first) = (Signer::of(&bob), bob.device.manifest().clone());
    let phone = Membership::sign(first.account(), &SigningKey::from_bytes(&[7; 32]));
    let without = signer.next(&first, 1, &[phone]);
    let revoked = AdoptError::Revoked { version: ManifestVersion(1) };
    assert_eq!(show(&mut bob, std::slice::from_ref(&without)), Err(revoked));
    // Listed again before it looked: a device of the account.
    let again = signer.next(&without, 2, &[phone, first.memberships()[0]]);
    assert_eq!(show(&mut bob, &[without, again]), Ok(None));
}

/// (R17) What a device signs waits until it is published, and one at a time.
#[test]
fn a_signed_manifest_waits_to_be_published() {
    let mut bob = Person::new("bob", 2);
    let changes = bob.device.renew_manifest(START).unwrap();
    bob.save(changes);
    bob.restart();
    assert_eq!(version(&bob), 0);
    let waiting = bob.device.staged_manifest().unwrap().clone();
    let refused = SignManifestError::Waiting { version: ManifestVersion(1) };
    assert_eq!(bob.device.renew_manifest(START).unwrap_err(), refused);
    // Shown what is in force: nothing new.
    let first = bob.device.manifest().clone();
    assert_eq!(show(&mut bob, &[first]), Ok(None));
    assert_eq!(bob.device.staged_manifest(), Some(&waiting));
    assert_eq!(show(&mut bob, std::slice::from_ref(&waiting)), Ok(Some(StagedManifest::InForce)));
    assert_eq!((bob.device.manifest(), bob.device.staged_manifest()), (&waiting, None));
    assert!(bob.device.renew_manifest(START).is_ok());
}

/// (R17) Two devices that both hold the account key sign the same version: the one that was published counts, without a
/// fork, and the other one learns that what it signed did nothing.
#[test]
fn an_honest_race() {
    let mut bob = Person::new("bob", 2);
    let mut tablet = bob.copy();
    for (device, time) in [(&mut bob, 1), (&mut tablet, 2)] {
        let changes = device.device.renew_manifest(Timestamp(time)).unwrap();
        device.save(changes);
    }
    let published = tablet.device.staged_manifest().unwrap().clone();
    assert_eq!(show(&mut tablet, std::slice::from_ref(&published)), Ok(Some(StagedManifest::InForce)));
    assert_eq!(show(&mut bob, std::slice::from_ref(&published)), Ok(Some(StagedManifest::Lost)));
    assert_eq!((bob.device.manifest(), bob.device.staged_manifest()), (&published, None));
    assert!(!bob.stored().keys().any(|key| key.name == b"staged manifest"));
    assert!(bob.device.renew_manifest(START).is_ok());
}

/// (R17) Revoking: a device of the account, not oneself.
#[test]
fn revoking() {
    let mut bob = Person::new("bob", 2);
    let (signer, first) = (Signer::of(&bob), bob.device.manifest().clone());
    let phone = Membership::sign(first.account(), &SigningKey::from_bytes(&[7; 32]));
    let both = signer.next(&first, 1, &[first.memberships()[0], phone]);
    show(&mut bob, std::slice::from_ref(&both)).unwrap();
    let (own, stranger) = (bob.device.id(), DeviceId::from_bytes([9; 32]));
    assert_eq!(bob.device.revoke(&own, START).unwrap_err(), RevokeError::ThisDevice);
    assert_eq!(bob.device.revoke(&stranger, START).unwrap_err(), RevokeError::NotListed);
    let changes = bob.device.revoke(&phone.device().id(), START).unwrap();
    bob.save(changes);
    let staged = bob.device.staged_manifest().unwrap().clone();
    assert!(staged.follows(&first.account(), both.body().version, &both.hash()));
    assert_eq!(staged.body().devices, first.body().devices);
    assert!(bob.device.manifest().lists(&phone.device().id()), "until it is published");
    show(&mut bob, &[staged]).unwrap();
    assert!(!bob.device.manifest().lists(&phone.device().id()));
    assert_eq!(bob.device.revoke(&phone.device().id(), START).unwrap_err(), RevokeError::NotListed);
}

/// Stored manifests that do not fit together: a typed error.
#[test]
fn damaged_records() {
    let mut bob = Person::new("bob", 2);
    let first = bob.device.manifest().clone();
    let chain = Signer::of(&bob).chain(&first, 3, 1);
    show(&mut bob, &chain).unwrap();
    let changes = bob.device.renew_manifest(START).unwrap();
    bob.save(changes);
    let records = bob.records(Scope::Device);
    assert!(Device::load(records.clone()).is_ok());
    let name = |version: u64| [&b"manifest/"[..], &version.to_be_bytes()].concat();
    let without = |gone: &[u8]| records.iter().filter(|(name, _)| name != gone).cloned().collect();
    let damaged = Err(LoadError::Damaged("device manifest"));
    assert_eq!(Device::load(without(&name(2))).map(drop), damaged, "one is missing");
    assert_eq!(Device::load(without(&name(3))).map(drop), damaged, "the newest is missing");
    assert!(Device::load(without(&name(0))).is_ok(), "the oldest may be");
    let under = |under: Vec<u8>, version: u64| {
        let value = bob.record(Scope::Device, &name(version));
        let mut more: Vec<_> = records.iter().filter(|(name, _)| *name != under).cloned().collect();
        more.push((under, value));
        Device::load(more).map(drop)
    };
    assert_eq!(under(name(1), 1), Ok(()));
    assert_eq!(under(name(1), 2), damaged, "under another version");
    assert_eq!(under(b"staged manifest".to_vec(), 3), damaged, "does not follow");
    let none = records.iter().filter(|(name, _)| !name.starts_with(b"manifest/")).cloned().collect();
    assert_eq!(Device::load(none).map(drop), Err(LoadError::Missing("device manifest")));
}
