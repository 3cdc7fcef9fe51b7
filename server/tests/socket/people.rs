//! People with real keys, and groups as a client sees them from outside: what the server may see, it sees here; what it
//! may not see is arbitrary bytes.

use conclave_wire::certificate::{Certificate, CertificateBody, SenderPublicKey};
use conclave_wire::commit::{Commit, CommitBody, Operation, UnverifiedCommit};
use conclave_wire::distribution::{Distribution, DistributionBody};
use conclave_wire::ids::{
    AccountId, CommitHash, Commitment, Confirmation, DeviceId, DeviceKey, Epoch, Generation, GroupId,
    LeafIndex, ManifestVersion, MessageIndex, Opaque, PrekeysHash, Seq, Timestamp,
};
use conclave_wire::login::{Login, Nonce};
use conclave_wire::manifest::{Manifest, ManifestBody};
use conclave_wire::membership::Membership;
use conclave_wire::message::{Header, assemble};
use conclave_wire::prekeys::{AgreementKey, KemKey, Prekeys, PrekeysBody};
use conclave_wire::public_group::PublicGroup;
use conclave_wire::repair::{Question, RepairRequest, RepairRequestBody, UnverifiedRepairRequest};
use conclave_wire::request::Request;
use conclave_wire::roster::{Leaf, PinnedPrekeys, Role, Roster};
use conclave_wire::run;
use conclave_wire::signature::{Signature, SigningKey};

/// When everything here was made.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// An account with one device.
pub(crate) struct Person {
    pub(crate) name: String,
    account: SigningKey,
    device: SigningKey,
    pub(crate) manifest: Manifest,
    pub(crate) prekeys: Vec<u8>,
}

impl Person {
    /// Always the same person for the same name.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_device(name, name)
    }

    /// The account of `name` on the device of `device`.
    pub(crate) fn with_device(name: &str, device: &str) -> Self {
        let key = |purpose: &str, of: &str| SigningKey::from_bytes(&blake_like(purpose, of));
        let (account, device) = (key("account", name), key("device", device));
        let body = ManifestBody {
            account: AccountId::from_bytes(account.verifying_key().to_bytes()),
            version: ManifestVersion(0),
            time: NOW,
            previous: None,
            devices: vec![DeviceKey::from_bytes(device.verifying_key().to_bytes())],
        };
        let member = Membership::sign(body.account, &device);
        let manifest = Manifest::sign(&body, &account, &[member]).unwrap();
        let prekeys = prekeys(&device, 1);
        Self { name: name.to_owned(), account, device, manifest, prekeys }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.manifest.account()
    }

    pub(crate) fn device_key(&self) -> DeviceKey {
        DeviceKey::from_bytes(self.device.verifying_key().to_bytes())
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.device_key().id()
    }

    pub(crate) fn login(&self, server: &str, nonce: &Nonce) -> Login {
        Login::sign(self.account(), &self.device, server, nonce)
    }

    pub(crate) fn register(&self, server: &str, nonce: &Nonce) -> Request {
        Request::Register {
            name: self.name.parse().unwrap(),
            manifest: Opaque(self.manifest.encoded().to_vec()),
            prekeys: Opaque(self.prekeys.clone()),
            login: self.login(server, nonce),
            invite: None,
        }
    }

    /// Other prekeys of the same device.
    pub(crate) fn prekeys(&self, fill: u8) -> Vec<u8> {
        prekeys(&self.device, fill)
    }

    /// The next manifest of the account: the same device, signed again.
    pub(crate) fn renew_manifest(&mut self) {
        let old = self.manifest.body();
        let body = ManifestBody {
            version: ManifestVersion(old.version.0 + 1),
            previous: Some(self.manifest.hash()),
            ..old.clone()
        };
        self.manifest = Manifest::sign(&body, &self.account, self.manifest.memberships()).unwrap();
    }

    pub(crate) fn add(&self) -> Operation {
        Operation::Add { role: Role::Member, manifest: Opaque(self.manifest.encoded().to_vec()) }
    }

    pub(crate) fn remove(&self) -> Operation {
        Operation::Remove { account: self.account() }
    }
}

fn prekeys(device: &SigningKey, fill: u8) -> Vec<u8> {
    let body = PrekeysBody {
        device: DeviceKey::from_bytes(device.verifying_key().to_bytes()),
        time: NOW,
        agreement: AgreementKey::from_bytes([fill; 32]),
        kem: KemKey::from_bytes([fill; 1184]),
    };
    Prekeys::new(body, device).encode()
}

fn blake_like(purpose: &str, of: &str) -> [u8; 32] {
    conclave_wire::hash::Context::new("conclave v1 server tests").hash(&[
        purpose.as_bytes(),
        b"/",
        of.as_bytes(),
    ])
}

/// A group as its members see it from outside.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) public: PublicGroup,
    pub(crate) last_distribution: Seq,
}

impl Room {
    /// A new group of one, and the commit that begins it.
    pub(crate) fn genesis(owner: &Person, nonce: u8) -> (Vec<u8>, Self) {
        let leaf = Leaf {
            account: owner.account(),
            role: Role::Owner,
            pinned: None,
            manifest: owner.manifest.hash(),
            manifest_version: owner.manifest.body().version,
            device: owner.device_key(),
            since: Epoch(0),
        };
        let body = CommitBody {
            group: GroupId::from_bytes([nonce; 32]),
            epoch: Epoch(0),
            previous: CommitHash::from_bytes([0; 32]),
            last_distribution: Seq(0),
            author: owner.device(),
            commitment: Some(Commitment::from_bytes([1; 32])),
            operations: vec![Operation::Add {
                role: Role::Owner,
                manifest: Opaque(owner.manifest.encoded().to_vec()),
            }],
            roster: Roster::default().step(vec![(LeafIndex(0), Some(leaf))]).hash(),
            unreachable: Vec::new(),
            time: NOW,
        };
        let bytes = Commit::sign(body, Confirmation::from_bytes([2; 32]), &owner.device).encode();
        let (public, _) = PublicGroup::from_genesis(UnverifiedCommit::decode(&bytes).unwrap()).unwrap();
        (bytes, Self { public, last_distribution: Seq(0) })
    }

    pub(crate) fn id(&self) -> GroupId {
        self.public.id()
    }

    /// A commit on top of this state.
    pub(crate) fn commit(&self, author: &Person, operations: Vec<Operation>) -> Vec<u8> {
        self.commit_with(author, operations, |_| {})
    }

    /// A commit on top of this state, changed before it is signed.
    pub(crate) fn commit_with(
        &self,
        author: &Person,
        operations: Vec<Operation>,
        change: impl FnOnce(&mut CommitBody),
    ) -> Vec<u8> {
        let outcome = self.public.outcome(&author.device(), &operations, NOW);
        let roster = outcome.map_or(self.public.roster().hash(), |outcome| outcome.roster_hash());
        let secret = operations.iter().any(Operation::needs_secret);
        let mut body = CommitBody {
            group: self.id(),
            epoch: self.public.epoch().next().unwrap(),
            previous: self.public.head(),
            last_distribution: self.last_distribution,
            author: author.device(),
            commitment: secret.then(|| Commitment::from_bytes([1; 32])),
            operations,
            roster,
            unreachable: Vec::new(),
            time: NOW,
        };
        change(&mut body);
        Commit::sign(body, Confirmation::from_bytes([2; 32]), &author.device).encode()
    }

    /// Moves on over a commit.
    pub(crate) fn advance(&mut self, commit: &[u8]) {
        let step = self.public.check(UnverifiedCommit::decode(commit).unwrap()).unwrap();
        self.public.advance(step);
    }

    /// A message of the current epoch.
    pub(crate) fn message(&self, sender: &Person, text: &[u8]) -> Vec<u8> {
        let leaf = self.public.roster().index_of(&sender.device()).unwrap_or(LeafIndex(99));
        self.message_of(leaf, text)
    }

    /// A message of the current epoch that claims to come from a leaf.
    pub(crate) fn message_of(&self, leaf: LeafIndex, text: &[u8]) -> Vec<u8> {
        let header =
            Header { epoch: self.public.epoch(), leaf, generation: Generation(0), index: MessageIndex(0) };
        let sealed = [text, &[0; 16]].concat();
        assemble(&header, &[0; 16], &[0; 8], &sealed, &Signature::from_bytes([0; 64]))
    }

    /// A run of the current epoch that claims to come from a leaf.
    #[allow(dead_code, reason = "the tests inside the crate post none")]
    pub(crate) fn run_of(&self, leaf: LeafIndex, texts: &[&[u8]]) -> Vec<u8> {
        let header =
            Header { epoch: self.public.epoch(), leaf, generation: Generation(0), index: MessageIndex(0) };
        let sealed: Vec<_> = texts.iter().map(|text| [*text, &[0; 16]].concat()).collect();
        let sealed: Vec<_> = sealed.iter().map(Vec::as_slice).collect();
        run::assemble(&header, &[0; 16], &[0; 8], &sealed, &Signature::from_bytes([0; 64]))
    }

    /// Asks a device for its sender key.
    #[allow(dead_code, reason = "the tests inside the crate ask nobody")]
    pub(crate) fn repair_request(&self, asker: &Person, of: DeviceId) -> Vec<u8> {
        let body = RepairRequestBody {
            question: Question::SenderKey { known: None, of },
            group: self.id(),
            epoch: self.public.epoch(),
            head: self.public.head(),
            asker: asker.device(),
            since: Epoch(0),
            prekeys: PinnedPrekeys { hash: PrekeysHash::from_bytes([8; 32]), time: NOW },
            time: NOW,
        };
        RepairRequest::new(body, &asker.device).encode()
    }

    /// The same, signed by somebody else in the asker's name.
    #[allow(dead_code, reason = "the tests inside the crate ask nobody")]
    pub(crate) fn forged_request(&self, by: &Person, asker: &Person, of: DeviceId) -> Vec<u8> {
        let own = UnverifiedRepairRequest::decode(&self.repair_request(asker, of)).unwrap();
        RepairRequest::new(own.claimed().clone(), &by.device).encode()
    }

    /// A distribution of the current epoch.
    pub(crate) fn distribution(&self, sender: &Person) -> Vec<u8> {
        self.distribution_with(sender, |_| {})
    }

    /// A distribution of the current epoch whose certificate is changed before it is signed.
    pub(crate) fn distribution_with(
        &self,
        sender: &Person,
        change: impl FnOnce(&mut CertificateBody),
    ) -> Vec<u8> {
        let mut certificate = CertificateBody {
            group: self.id(),
            device: sender.device(),
            generation: Generation(0),
            time: NOW,
            start_epoch: self.public.epoch(),
            head: self.public.head(),
            signing_key: SenderPublicKey::from_bytes([4; 32]),
            commitment: Commitment::from_bytes([5; 32]),
            first_link: true,
        };
        change(&mut certificate);
        let body = DistributionBody {
            certificate: Opaque(Certificate::new(certificate, &sender.device).encode()),
            epoch: self.public.epoch(),
            commitment: Commitment::from_bytes([6; 32]),
            ciphertext: Opaque(vec![7; 80]),
        };
        Distribution::new(body, &sender.device).encode()
    }
}
