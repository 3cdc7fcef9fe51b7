//! What a server, and a device that should have no say, try with requests and approvals. Each is refused by its type, and
//! afterwards the honest one still works.

use super::approval::{ApprovalPayload, CONTEXT};
use super::request::{EncodedRequest, LinkRequest};
use super::{ApproveError, LinkCode, LinkError, Linking, ShareAccountKey};
use crate::envelope::{EnvelopeContext, OpenError, Purpose, Recipient, Sender, seal_initial};
use crate::prekeys::{PrekeyBookError, PrivatePrekeys, UsablePrekeys};
use crate::secret::Secret;
use crate::support::{Person, START, SeedRng};
use crate::{aead, kdf};
use conclave_wire::codec;
use conclave_wire::ids::{AccountId, GroupId, Opaque, Timestamp};
use conclave_wire::limits::MAX_MANIFEST_CHAIN;
use conclave_wire::manifest::{Manifest, ManifestBody, ManifestError};
use conclave_wire::membership::Membership;
use conclave_wire::prekeys::Prekeys;
use conclave_wire::signature::SigningKey;
use std::time::Duration;
use zeroize::Zeroizing;

fn key(fill: u8) -> SigningKey {
    SigningKey::from_bytes(&[fill; 32])
}

fn id(account: &SigningKey) -> AccountId {
    AccountId::from_bytes(account.verifying_key().to_bytes())
}

/// A request as any program could write it.
fn request(account: AccountId, device: &SigningKey, time: Timestamp, salt: u8) -> LinkRequest {
    let prekeys = PrivatePrekeys::generate(device, time, &mut SeedRng::new(u64::from(salt)));
    LinkRequest {
        account,
        prekeys: Opaque(prekeys.public().encode()),
        membership: Membership::sign(account, device).signature(),
        salt: [salt; 16],
    }
}

/// What Alice's device says to a request whose code its maker shows, and that nothing has changed.
fn refusal(alice: &mut Person, request: &LinkRequest) -> ApproveError {
    let encoded = EncodedRequest::new(request);
    approve(alice, &encoded.seal(), &encoded.code())
}

fn approve(alice: &mut Person, sealed: &[u8], code: &LinkCode) -> ApproveError {
    let before = alice.device.manifest().clone();
    let mut rng = SeedRng::new(5);
    let refusal = alice.device.approve_link(sealed, code, ShareAccountKey::Yes, START, &mut rng);
    assert_eq!(alice.device.manifest(), &before);
    assert_eq!(alice.device.staged_manifest(), None);
    refusal.unwrap_err()
}

/// (R18) Who overheard the code can write a request that it opens, and none that it fits.
#[test]
fn a_request_under_an_overheard_code() {
    let mut alice = Person::new("alice", 1);
    let (linking, _changes) = Linking::begin(alice.device.account(), START, &mut SeedRng::new(2));
    let code = linking.code();
    let (key, nonce) = kdf::derive_aead(&kdf::LINK_REQUEST, &[code.as_bytes()]);
    let mallorys = codec::encode(&request(alice.device.account(), &self::key(66), START, 1));
    let ciphertext = aead::seal(&key, &nonce, &[], Zeroizing::new(mallorys));
    // The same shape as a sealed request: an array of one byte string.
    let sealed = [&[1, 0x81, 0x59][..], &u16::try_from(ciphertext.len()).unwrap().to_be_bytes(), &ciphertext];
    let sealed = sealed.concat();
    assert!(EncodedRequest::unseal(&linking.request(), &code).is_ok());
    assert_eq!(approve(&mut alice, &sealed, &code), ApproveError::Code);
    // It was the code alone that was wrong: under its own it would have been taken.
    let encoded = EncodedRequest::new(&request(alice.device.account(), &self::key(66), START, 1));
    let mut rng = SeedRng::new(5);
    let own = encoded.code();
    let sealed = encoded.seal();
    assert!(alice.device.approve_link(&sealed, &own, ShareAccountKey::No, START, &mut rng).is_ok());
}

/// (R18) The request is the new device's own, for this account, recent, and with keys that can be sealed to.
#[test]
fn requests_that_are_not_as_they_must_be() {
    let mut alice = Person::new("alice", 1);
    let (account, new) = (alice.device.account(), key(7));
    let good = |salt| request(account, &new, START, salt);

    // A server told the new device that the name is Mallory's: her account is not asked, and does not learn the code.
    let mallory = id(&key(66));
    let refused = refusal(&mut alice, &request(mallory, &new, START, 1));
    assert_eq!(refused, ApproveError::Account { asked: mallory });

    // Somebody else's device, whose prekeys a server hands to everybody: it never said that it belongs to Alice.
    let bob = Person::new("bob", 2);
    let bobs = Opaque(bob.device.prekeys().unwrap().encode());
    let theirs = bob.device.manifest().memberships()[0].signature();
    for membership in [theirs, good(1).membership] {
        let claimed = LinkRequest { prekeys: bobs.clone(), membership, ..good(1) };
        assert_eq!(refusal(&mut alice, &claimed), ApproveError::Membership);
    }

    let mut broken = good(1);
    let last = broken.prekeys.0.len() - 1;
    broken.prekeys.0[last] ^= 1;
    assert!(matches!(refusal(&mut alice, &broken), ApproveError::Prekeys(PrekeyBookError::Prekeys(_))));
    let mut unusable = Prekeys::decode_and_verify(&good(1).prekeys.0).unwrap().body().clone();
    unusable.agreement = conclave_wire::prekeys::AgreementKey::from_bytes([0; 32]);
    let unusable = LinkRequest { prekeys: Opaque(Prekeys::new(unusable, &new).encode()), ..good(1) };
    assert_eq!(refusal(&mut alice, &unusable), ApproveError::Prekeys(PrekeyBookError::Unusable));

    let minute = Duration::from_secs(60);
    let old = Timestamp(START.0 - u64::try_from((minute * (24 * 60 + 11)).as_millis()).unwrap());
    assert_eq!(refusal(&mut alice, &request(account, &new, old, 1)), ApproveError::Age);
    let future = START.plus(minute * 11);
    assert_eq!(refusal(&mut alice, &request(account, &new, future, 1)), ApproveError::Age);

    // Each of them was refused for its own reason: the good one is taken.
    let (encoded, mut rng) = (EncodedRequest::new(&good(1)), SeedRng::new(5));
    let (sealed, code) = (encoded.seal(), encoded.code());
    assert!(alice.device.approve_link(&sealed, &code, ShareAccountKey::No, START, &mut rng).is_ok());
}

/// Alice's account, which its thief or its malicious device holds, and a device that waits for an approval.
struct Case {
    alice: SigningKey,
    account: SigningKey,
    linking: Linking,
}

impl Case {
    fn new() -> Self {
        let account = key(1);
        let (linking, _changes) = Linking::begin(id(&account), START, &mut SeedRng::new(2));
        Self { alice: key(3), account, linking }
    }

    /// The account's manifests: first with Alice's device alone, then with `second` too.
    fn chain(&self, account: &SigningKey, second: Membership) -> Vec<Manifest> {
        self.chain_of(account, second, 2)
    }

    /// The same, signed again up to `count` of them.
    fn chain_of(&self, account: &SigningKey, second: Membership, count: usize) -> Vec<Manifest> {
        let first = Membership::sign(id(account), &self.alice);
        let next = |before: Option<&Manifest>, members: &[Membership]| {
            let body = ManifestBody {
                account: id(account),
                version: before.map_or_else(Default::default, |b| b.body().version.next().unwrap()),
                time: START,
                previous: before.map(Manifest::hash),
                devices: members.iter().map(Membership::device).collect(),
            };
            Manifest::sign(&body, account, members).unwrap()
        };
        let mut chain = vec![next(None, &[first])];
        while chain.len() < count {
            chain.push(next(chain.last(), &[first, second]));
        }
        chain
    }

    fn member(&self) -> Membership {
        let request = self.linking.request.decode().unwrap();
        let device = self.linking.prekeys.public().body().device;
        Membership::verify(request.account, device, request.membership).unwrap()
    }

    fn good(&self) -> ApprovalPayload {
        let manifests = self.chain(&self.account, self.member());
        ApprovalPayload {
            request: Secret::from_bytes(*self.linking.request.hash()),
            manifests: manifests.iter().map(|manifest| Opaque(manifest.encoded().to_vec())).collect(),
            account_key: Some(Secret::from_bytes(self.account.to_bytes())),
        }
    }

    fn seal(&self, by: &SigningKey, context: EnvelopeContext, payload: &[u8]) -> Vec<u8> {
        let account = self.linking.account();
        let prekeys = UsablePrekeys::new(self.linking.prekeys.public().clone()).unwrap();
        let manifest = self.chain(&self.account, self.member())[0].hash();
        let recipient =
            Recipient { account, device: self.linking.id(), prekeys: &prekeys, one_time: None, payload };
        let sender = Sender { account, manifest, key: by };
        codec::encode(&seal_initial(&sender, vec![recipient], context, &mut SeedRng::new(6))[0].0)
    }

    fn complete(&self, approval: &[u8]) -> Result<(), LinkError> {
        self.linking.complete(approval, START, &mut SeedRng::new(7)).map(drop)
    }

    fn of(&self, change: impl FnOnce(&mut ApprovalPayload)) -> Result<(), LinkError> {
        let mut payload = self.good();
        change(&mut payload);
        self.complete(&self.seal(&self.alice, CONTEXT, &codec::encode(&payload)))
    }
}

/// (R19) An approval is for this request, of this account, by one of its devices, and lists this device.
#[test]
fn approvals_that_are_not_as_they_must_be() {
    let case = Case::new();
    let (mallory, good) = (key(66), codec::encode(&case.good()));
    let encoded = |chain: &[Manifest]| -> Vec<_> {
        chain.iter().map(|manifest| Opaque(manifest.encoded().to_vec())).collect()
    };

    // What is sealed to it for something else, or by somebody else.
    let other_purpose = EnvelopeContext { purpose: Purpose::Welcome, ..CONTEXT };
    let other_group = EnvelopeContext { group: GroupId::from_bytes([1; 32]), ..CONTEXT };
    for context in [other_purpose, other_group] {
        let misused = case.complete(&case.seal(&case.alice, context, &good));
        assert_eq!(misused, Err(LinkError::Open(OpenError::Context)));
    }
    assert_eq!(case.complete(&case.seal(&mallory, CONTEXT, &good)), Err(LinkError::Sender));
    let not_an_approval = case.complete(&case.seal(&case.alice, CONTEXT, b"\x01\x80"));
    assert!(matches!(not_an_approval, Err(LinkError::Decode(_))));

    // Who was not told the code does not know the request.
    assert_eq!(case.of(|p| p.request = Secret::from_bytes([0; 32])), Err(LinkError::Request));

    // Manifests of another account, in which the device was listed although it asked for this one, cannot exist; those
    // in which it is not listed do.
    let stranger = Membership::sign(id(&mallory), &key(67));
    let theirs = encoded(&case.chain(&mallory, stranger));
    assert_eq!(case.of(|p| p.manifests = theirs), Err(LinkError::Account));
    let mut of_mallory = case.chain(&mallory, stranger)[1].encoded().to_vec();
    let length = of_mallory.len();
    of_mallory[length - 64..].copy_from_slice(case.member().signature().as_bytes());
    let forged = Err(LinkError::Manifest(ManifestError::DeviceSignature));
    assert_eq!(case.of(|p| p.manifests = vec![Opaque(of_mallory)]), forged);
    assert_eq!(case.of(|p| p.manifests.truncate(1)), Err(LinkError::NotListed));
    let another = Membership::sign(id(&case.account), &key(67));
    let instead = encoded(&case.chain(&case.account, another));
    assert_eq!(case.of(|p| p.manifests = instead), Err(LinkError::NotListed));

    // No chain.
    assert_eq!(case.of(|p| p.manifests.clear()), Err(LinkError::Chain));
    assert_eq!(case.of(|p| p.manifests.reverse()), Err(LinkError::Chain));
    assert_eq!(case.of(|p| p.manifests = vec![p.manifests[1].clone(); 2]), Err(LinkError::Chain));
    let long = encoded(&case.chain_of(&case.account, case.member(), MAX_MANIFEST_CHAIN + 1));
    assert_eq!(case.of(|p| p.manifests = long[1..].to_vec()), Ok(()));
    assert_eq!(case.of(|p| p.manifests = long), Err(LinkError::Chain), "one too many");

    assert_eq!(
        case.of(|p| p.account_key = Some(Secret::from_bytes(mallory.to_bytes()))),
        Err(LinkError::AccountKey)
    );

    // A chain whose beginning is no longer kept, with and without the account key, is good.
    assert_eq!(case.of(|p| drop(p.manifests.remove(0))), Ok(()));
    assert_eq!(case.of(|p| p.account_key = None), Ok(()));
    assert_eq!(case.of(|_| ()), Ok(()));
}
