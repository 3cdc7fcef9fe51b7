//! OpenMLS with RustCrypto: X25519, AES-128-GCM, SHA-256, Ed25519.

use super::{LargeGroup, OPENMLS, Talk};
use crate::Failure;
use conclave_village::Stopwatch;
use openmls::prelude::tls_codec::{DeserializeBytes, Serialize};
use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, KeyPackage, LeafNodeIndex, MlsGroup,
    MlsGroupCreateConfig, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, OpenMlsProvider,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent, ProtocolMessage, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use std::time::Duration;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Commits in the clear; messages are always encrypted.
fn config() -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .ciphersuite(SUITE)
        .use_ratchet_tree_extension(true)
        .build()
}

/// A device with its store.
struct Party {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
}

impl Party {
    fn new(name: usize) -> Result<Self, Failure> {
        let signer =
            SignatureKeyPair::new(SUITE.signature_algorithm()).map_err(|error| format!("{error:?}"))?;
        let credential = BasicCredential::new(format!("device {name:08}").into_bytes());
        let credential =
            CredentialWithKey { credential: credential.into(), signature_key: signer.to_public_vec().into() };
        Ok(Self { provider: OpenMlsRustCrypto::default(), signer, credential })
    }

    fn found(&self) -> Result<MlsGroup, Failure> {
        Ok(MlsGroup::new(&self.provider, &self.signer, &config(), self.credential.clone())?)
    }

    fn key_package(&self) -> Result<KeyPackage, Failure> {
        let built =
            KeyPackage::builder().build(SUITE, &self.provider, &self.signer, self.credential.clone())?;
        Ok(built.key_package().clone())
    }

    fn add(&self, group: &mut MlsGroup, key_packages: &[KeyPackage]) -> Result<Added, Failure> {
        let begun = Stopwatch::start();
        let (commit, welcome, _) = group.add_members(&self.provider, &self.signer, key_packages)?;
        group.merge_pending_commit(&self.provider)?;
        let spent = begun.elapsed();
        Ok(Added { commit: bytes(&commit)?, welcome: bytes(&welcome)?, spent })
    }

    fn join(&self, welcome: &[u8]) -> Result<MlsGroup, Failure> {
        join(&self.provider, welcome)
    }

    /// A copy of the store, and the group read from it.
    fn copy(&self, group: &GroupId) -> Result<(OpenMlsRustCrypto, MlsGroup), Failure> {
        let provider = self.copy_store()?;
        let group = MlsGroup::load(provider.storage(), group)?.ok_or("the group is not in its store")?;
        Ok((provider, group))
    }

    fn copy_store(&self) -> Result<OpenMlsRustCrypto, Failure> {
        let values = self.provider.storage().values.read().map_err(|_| "the store is poisoned")?.clone();
        let provider = OpenMlsRustCrypto::default();
        *provider.storage().values.write().map_err(|_| "the store is poisoned")? = values;
        Ok(provider)
    }
}

/// What adding members made.
struct Added {
    commit: Vec<u8>,
    welcome: Vec<u8>,
    /// Time to build the commit and to apply it.
    spent: Duration,
}

fn bytes(message: &MlsMessageOut) -> Result<Vec<u8>, Failure> {
    Ok(message.tls_serialize_detached()?)
}

fn protocol_message(bytes: &[u8]) -> Result<ProtocolMessage, Failure> {
    Ok(MlsMessageIn::tls_deserialize_exact_bytes(bytes)?.try_into_protocol_message()?)
}

fn join(provider: &OpenMlsRustCrypto, welcome: &[u8]) -> Result<MlsGroup, Failure> {
    let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::tls_deserialize_exact_bytes(welcome)?.extract()
    else {
        return Err("a welcome is none".into());
    };
    let staged = StagedWelcome::new_from_welcome(provider, config().join_config(), welcome, None)?;
    Ok(staged.into_group(provider)?)
}

fn take_commit(provider: &OpenMlsRustCrypto, group: &mut MlsGroup, commit: &[u8]) -> Result<(), Failure> {
    let processed = group.process_message(provider, protocol_message(commit)?)?;
    match processed.into_content() {
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            Ok(group.merge_staged_commit(provider, *staged)?)
        }
        _ => Err("a commit is none".into()),
    }
}

/// Two members that talk.
pub(crate) struct OpenMlsPair {
    alice: Party,
    bob: Party,
    sender: MlsGroup,
    reader: MlsGroup,
}

impl OpenMlsPair {
    /// A new group of two.
    pub(crate) fn new() -> Result<Self, Failure> {
        let (alice, bob) = (Party::new(0)?, Party::new(1)?);
        let mut sender = alice.found()?;
        let added = alice.add(&mut sender, &[bob.key_package()?])?;
        let reader = bob.join(&added.welcome)?;
        Ok(Self { alice, bob, sender, reader })
    }
}

impl Talk for OpenMlsPair {
    fn name(&self) -> &'static str {
        OPENMLS
    }

    fn seal(&mut self, content: &[u8]) -> Result<Vec<u8>, Failure> {
        bytes(&self.sender.create_message(&self.alice.provider, &self.alice.signer, content)?)
    }

    fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let processed = self.reader.process_message(&self.bob.provider, protocol_message(message)?)?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => Ok(message.into_bytes()),
            _ => Err("a message is none".into()),
        }
    }
}

/// A large group.
pub(crate) struct OpenMlsGroup {
    group: GroupId,
    founder: Party,
    member: Party,
    newcomer: Party,
    welcome: Vec<u8>,
    leaver: LeafNodeIndex,
    /// What adding everybody cost the founder; of the fresh group only.
    pub(crate) grown: Duration,
}

impl OpenMlsGroup {
    /// Each newcomer adds the next and so commits once: no node of the tree is blank.
    pub(crate) fn warm(devices: usize, say: &dyn Fn(&str)) -> Result<Self, Failure> {
        let founder = Party::new(0)?;
        let mut at_founder = founder.found()?;
        let mut last: Option<(Party, MlsGroup)> = None;
        for index in 1..devices.saturating_sub(1) {
            say(&format!("a warm tree, {index} members"));
            let next = Party::new(index)?;
            let added = match &mut last {
                None => founder.add(&mut at_founder, &[next.key_package()?])?,
                Some((party, group)) => {
                    let added = party.add(group, &[next.key_package()?])?;
                    take_commit(&founder.provider, &mut at_founder, &added.commit)?;
                    added
                }
            };
            let group = next.join(&added.welcome)?;
            last = Some((next, group));
        }
        let (member, at_member) = last.ok_or("too few devices")?;
        Self::complete(founder, at_founder, member, at_member, devices, Duration::ZERO)
    }

    /// The founder adds everybody, `at_once` in a commit: most nodes of the tree are blank.
    pub(crate) fn fresh(devices: usize, at_once: usize, say: &dyn Fn(&str)) -> Result<Self, Failure> {
        say("a fresh tree: making keys");
        let founder = Party::new(0)?;
        let mut at_founder = founder.found()?;
        let mut parties = (1..devices.saturating_sub(1)).map(Party::new).collect::<Result<Vec<_>, _>>()?;
        let mut grown = Duration::ZERO;
        let mut welcome = None;
        for batch in parties.chunks(at_once) {
            say(&format!("a fresh tree, {} members", at_founder.members().count()));
            let key_packages = batch.iter().map(Party::key_package).collect::<Result<Vec<_>, _>>()?;
            let added = founder.add(&mut at_founder, &key_packages)?;
            grown += added.spent;
            welcome = Some(added.welcome);
        }
        let member = parties.pop().ok_or("too few devices")?;
        let at_member = member.join(&welcome.ok_or("too few devices")?)?;
        Self::complete(founder, at_founder, member, at_member, devices, grown)
    }

    fn complete(
        founder: Party,
        mut at_founder: MlsGroup,
        member: Party,
        mut at_member: MlsGroup,
        devices: usize,
        grown: Duration,
    ) -> Result<Self, Failure> {
        let newcomer = Party::new(devices)?;
        let added = founder.add(&mut at_founder, &[newcomer.key_package()?])?;
        take_commit(&member.provider, &mut at_member, &added.commit)?;
        if at_founder.members().count() != devices {
            return Err("the group has not the size asked for".into());
        }
        let leaver = LeafNodeIndex::new(u32::try_from(devices / 2)?);
        let group = at_founder.group_id().clone();
        Ok(Self { group, founder, member, newcomer, welcome: added.welcome, leaver, grown })
    }
}

impl LargeGroup for OpenMlsGroup {
    fn name(&self) -> &'static str {
        OPENMLS
    }

    fn remove(&self) -> Result<(Duration, Vec<u8>), Failure> {
        let (provider, mut group) = self.founder.copy(&self.group)?;
        let begun = Stopwatch::start();
        let (commit, _, _) = group.remove_members(&provider, &self.founder.signer, &[self.leaver])?;
        let commit = bytes(&commit)?;
        group.merge_pending_commit(&provider)?;
        Ok((begun.elapsed(), commit))
    }

    fn take_removal(&self, commit: &[u8]) -> Result<Duration, Failure> {
        let (provider, mut group) = self.member.copy(&self.group)?;
        let begun = Stopwatch::start();
        take_commit(&provider, &mut group, commit)?;
        Ok(begun.elapsed())
    }

    fn join(&self) -> Result<Duration, Failure> {
        let provider = self.newcomer.copy_store()?;
        let begun = Stopwatch::start();
        let joined = join(&provider, &self.welcome)?;
        let spent = begun.elapsed();
        drop(joined);
        Ok(spent)
    }

    fn stored_bytes(&self) -> Result<usize, Failure> {
        let values = self.member.provider.storage().values.read().map_err(|_| "the store is poisoned")?;
        Ok(values.iter().map(|(key, value)| key.len() + value.len()).sum())
    }
}
