//! vodozemac's Olm: how a Megolm session key reaches many devices.

use crate::Failure;
use conclave_village::Stopwatch;
use std::time::Duration;
use vodozemac::Curve25519PublicKey;
use vodozemac::megolm::{GroupSession, SessionConfig as MegolmConfig};
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

/// One device, and all those that its session key goes to.
pub(crate) struct Olm {
    account: Account,
    /// Identity key and one-time key of each.
    devices: Vec<(Curve25519PublicKey, Curve25519PublicKey)>,
    /// An established session with each.
    sessions: Vec<Session>,
}

/// Whether there are sessions already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    First,
    Known,
}

impl Olm {
    /// With so many other devices.
    pub(crate) fn new(others: usize) -> Result<Self, Failure> {
        let account = Account::new();
        let (mut devices, mut sessions) = (Vec::with_capacity(others), Vec::with_capacity(others));
        for _ in 0..others {
            let mut device = Account::new();
            device.generate_one_time_keys(1);
            let one_time = *device.one_time_keys().values().next().ok_or("no one-time key")?;
            devices.push((device.curve25519_key(), one_time));
            sessions.push(establish(&account, &mut device, one_time)?);
        }
        Ok(Self { account, devices, sessions })
    }

    /// Makes a session key and seals it for each device; gives the time and the bytes of all.
    pub(crate) fn hand_out(&mut self, contact: Contact) -> Result<(Duration, usize), Failure> {
        let mut sealed = Vec::with_capacity(self.devices.len());
        let begun = Stopwatch::start();
        let key = GroupSession::new(MegolmConfig::default()).session_key().to_bytes();
        match contact {
            Contact::First => {
                for (identity, one_time) in &self.devices {
                    let mut session = self.account.create_outbound_session(
                        SessionConfig::default(),
                        *identity,
                        *one_time,
                    )?;
                    sealed.push(session.encrypt(&key)?.to_parts().1);
                }
            }
            Contact::Known => {
                for session in &mut self.sessions {
                    sealed.push(session.encrypt(&key)?.to_parts().1);
                }
            }
        }
        let spent = begun.elapsed();
        Ok((spent, sealed.iter().map(Vec::len).sum()))
    }
}

/// A session that has had an answer, and has sent once since: what is sent next costs no Diffie-Hellman.
fn establish(
    account: &Account,
    device: &mut Account,
    one_time: Curve25519PublicKey,
) -> Result<Session, Failure> {
    let config = SessionConfig::default();
    let mut session = account.create_outbound_session(config, device.curve25519_key(), one_time)?;
    let OlmMessage::PreKey(first) = session.encrypt("hello")? else {
        return Err("the first message of a session is no pre-key message".into());
    };
    let mut other = device.create_inbound_session(config, account.curve25519_key(), &first)?.session;
    if session.decrypt(&other.encrypt("hello yourself")?)? != b"hello yourself" {
        return Err("an answer did not come out as it went in".into());
    }
    let _ = session.encrypt("and on")?;
    Ok(session)
}
