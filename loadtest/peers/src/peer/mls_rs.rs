//! mls-rs with AWS-LC: X25519, AES-128-GCM, SHA-256, Ed25519.

use super::{LargeGroup, MLS_RS, Talk};
use crate::Failure;
use conclave_village::Stopwatch;
use mls_rs::client_builder::{
    BaseConfig, PaddingMode, WithCryptoProvider, WithIdentityProvider, WithMlsRules,
};
use mls_rs::group::ReceivedMessage;
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions};
use mls_rs::{
    CipherSuite, CipherSuiteProvider, Client, CryptoProvider, Group, GroupStateStorage, MlsMessage,
};
use mls_rs_crypto_awslc::AwsLcCryptoProvider;
use std::time::Duration;

const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;

type Config = WithMlsRules<
    DefaultMlsRules,
    WithCryptoProvider<AwsLcCryptoProvider, WithIdentityProvider<BasicIdentityProvider, BaseConfig>>,
>;

/// How messages are padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// As the library does unless told otherwise.
    Default,
    /// Not at all.
    None,
}

fn client(name: usize, padding: Padding) -> Result<Client<Config>, Failure> {
    let crypto = AwsLcCryptoProvider::default();
    let suite = crypto.cipher_suite_provider(SUITE).ok_or("AWS-LC lacks the cipher suite")?;
    let (secret, public) = suite.signature_key_generate()?;
    let credential = BasicCredential::new(format!("device {name:08}").into_bytes()).into_credential();
    let padding = match padding {
        Padding::Default => PaddingMode::default(),
        Padding::None => PaddingMode::None,
    };
    // A path in each commit keeps the tree warm.
    let rules = DefaultMlsRules::new()
        .with_commit_options(CommitOptions::new().with_path_required(true))
        .with_encryption_options(EncryptionOptions::new(false, padding));
    Ok(Client::builder()
        .identity_provider(BasicIdentityProvider::new())
        .crypto_provider(crypto)
        .mls_rules(rules)
        .signing_identity(SigningIdentity::new(credential, public), secret, SUITE)
        .build())
}

fn key_package(client: &Client<Config>) -> Result<MlsMessage, Failure> {
    Ok(client.generate_key_package_message(Default::default(), Default::default(), None)?)
}

/// What adding members made.
struct Added {
    commit: MlsMessage,
    welcome: MlsMessage,
    /// Time to build the commit and to apply it.
    spent: Duration,
}

fn add(group: &mut Group<Config>, key_packages: Vec<MlsMessage>) -> Result<Added, Failure> {
    let begun = Stopwatch::start();
    let mut builder = group.commit_builder();
    for key_package in key_packages {
        builder = builder.add_member(key_package)?;
    }
    let output = builder.build()?;
    group.apply_pending_commit()?;
    let spent = begun.elapsed();
    let welcome = output.welcome_messages.into_iter().next().ok_or("a commit without its welcome")?;
    Ok(Added { commit: output.commit_message, welcome, spent })
}

/// Two members that talk.
pub(crate) struct MlsRsPair {
    sender: Group<Config>,
    reader: Group<Config>,
}

impl MlsRsPair {
    /// A new group of two.
    pub(crate) fn new(padding: Padding) -> Result<Self, Failure> {
        let (alice, bob) = (client(0, padding)?, client(1, padding)?);
        let mut sender = alice.create_group(Default::default(), Default::default(), None)?;
        let added = add(&mut sender, vec![key_package(&bob)?])?;
        let (reader, _) = bob.join_group(None, &added.welcome, None)?;
        Ok(Self { sender, reader })
    }
}

impl Talk for MlsRsPair {
    fn name(&self) -> &'static str {
        MLS_RS
    }

    fn seal(&mut self, content: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(self.sender.encrypt_application_message(content, Vec::new())?.to_bytes()?)
    }

    fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        match self.reader.process_incoming_message(MlsMessage::from_bytes(message)?)? {
            ReceivedMessage::ApplicationMessage(message) => Ok(message.data().to_vec()),
            _ => Err("a message is none".into()),
        }
    }
}

/// A large group.
pub(crate) struct MlsRsGroup {
    founder: Group<Config>,
    member_client: Client<Config>,
    member: Group<Config>,
    newcomer: Client<Config>,
    welcome: Vec<u8>,
    leaver: u32,
    /// What adding everybody cost the founder; of the fresh group only.
    pub(crate) grown: Duration,
}

impl MlsRsGroup {
    /// Each newcomer adds the next and so commits once: no node of the tree is blank.
    pub(crate) fn warm(devices: usize, say: &dyn Fn(&str)) -> Result<Self, Failure> {
        let founder_client = client(0, Padding::Default)?;
        let mut founder = founder_client.create_group(Default::default(), Default::default(), None)?;
        let mut last: Option<(Client<Config>, Group<Config>)> = None;
        for index in 1..devices.saturating_sub(1) {
            say(&format!("a warm tree, {index} members"));
            let next = client(index, Padding::Default)?;
            let added = match &mut last {
                None => add(&mut founder, vec![key_package(&next)?])?,
                Some((_, last)) => {
                    let added = add(last, vec![key_package(&next)?])?;
                    founder.process_incoming_message(added.commit.clone())?;
                    added
                }
            };
            let (group, _) = next.join_group(None, &added.welcome, None)?;
            last = Some((next, group));
        }
        let (member_client, member) = last.ok_or("too few devices")?;
        Self::complete(founder, member_client, member, devices, Duration::ZERO)
    }

    /// The founder adds everybody, `at_once` in a commit: most nodes of the tree are blank.
    pub(crate) fn fresh(devices: usize, at_once: usize, say: &dyn Fn(&str)) -> Result<Self, Failure> {
        say("a fresh tree: making keys");
        let founder_client = client(0, Padding::Default)?;
        let mut founder = founder_client.create_group(Default::default(), Default::default(), None)?;
        let clients = (1..devices.saturating_sub(1))
            .map(|index| client(index, Padding::Default))
            .collect::<Result<Vec<_>, _>>()?;
        let mut grown = Duration::ZERO;
        let mut last = None;
        for batch in clients.chunks(at_once) {
            say(&format!("a fresh tree, {} members", founder.roster().members_iter().count()));
            let key_packages = batch.iter().map(key_package).collect::<Result<Vec<_>, _>>()?;
            let added = add(&mut founder, key_packages)?;
            grown += added.spent;
            last = batch.last().map(|client| (client, added.welcome));
        }
        let (client, welcome) = last.ok_or("too few devices")?;
        let (member, _) = client.join_group(None, &welcome, None)?;
        Self::complete(founder, client.clone(), member, devices, grown)
    }

    fn complete(
        mut founder: Group<Config>,
        member_client: Client<Config>,
        mut member: Group<Config>,
        devices: usize,
        grown: Duration,
    ) -> Result<Self, Failure> {
        let newcomer = client(devices, Padding::Default)?;
        let added = add(&mut founder, vec![key_package(&newcomer)?])?;
        member.process_incoming_message(added.commit)?;
        if founder.roster().members_iter().count() != devices {
            return Err("the group has not the size asked for".into());
        }
        let (leaver, welcome) = (u32::try_from(devices / 2)?, added.welcome.to_bytes()?);
        Ok(Self { founder, member_client, member, newcomer, welcome, leaver, grown })
    }
}

impl LargeGroup for MlsRsGroup {
    fn name(&self) -> &'static str {
        MLS_RS
    }

    fn remove(&self) -> Result<(Duration, Vec<u8>), Failure> {
        let mut founder = self.founder.clone();
        let begun = Stopwatch::start();
        let output = founder.commit_builder().remove_member(self.leaver)?.build()?;
        let commit = output.commit_message.to_bytes()?;
        founder.apply_pending_commit()?;
        Ok((begun.elapsed(), commit))
    }

    fn take_removal(&self, commit: &[u8]) -> Result<Duration, Failure> {
        let mut member = self.member.clone();
        let begun = Stopwatch::start();
        let received = member.process_incoming_message(MlsMessage::from_bytes(commit)?)?;
        let spent = begun.elapsed();
        match received {
            ReceivedMessage::Commit(_) if member.current_epoch() == self.member.current_epoch() + 1 => {
                Ok(spent)
            }
            _ => Err("a removal is none".into()),
        }
    }

    fn join(&self) -> Result<Duration, Failure> {
        let begun = Stopwatch::start();
        let joined = self.newcomer.join_group(None, &MlsMessage::from_bytes(&self.welcome)?, None)?;
        let spent = begun.elapsed();
        drop(joined);
        Ok(spent)
    }

    fn stored_bytes(&self) -> Result<usize, Failure> {
        let mut member = self.member.clone();
        member.write_to_storage()?;
        let state = self.member_client.group_state_storage().state(member.group_id())?;
        Ok(state.ok_or("the group is not in its store")?.len())
    }
}
