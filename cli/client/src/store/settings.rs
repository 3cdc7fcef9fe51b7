//! What the profile as a whole is.

use super::crypto::Table;
use super::{Step, Store, damaged, parse};
use crate::error::ClientError;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{ManifestHash, PrekeysHash};
use conclave_wire::name::Name;
use minicbor::{Decode, Encode};
use rusqlite::params;

const SETTING: Table = Table("setting");

/// Who the profile is and where it is registered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProfileRow {
    #[n(0)]
    pub(crate) name: Name,
    /// The server's address as it was given.
    #[n(1)]
    pub(crate) server: String,
    /// Whether the server has said that it knows the account. Until then name and server may still change.
    #[n(2)]
    pub(crate) registered: bool,
    /// The prekeys that the server has.
    #[n(3)]
    pub(crate) published: Option<PrekeysHash>,
    /// The manifest that the directory has.
    #[n(4)]
    pub(crate) manifest: Option<ManifestHash>,
    /// Whether the server may be another machine although the way to it is not encrypted.
    #[n(5)]
    pub(crate) plain: bool,
    /// The operator's invite, until the server has taken it.
    #[n(6)]
    pub(crate) invite: Option<String>,
    /// The key of the server's receipts, as it was first given.
    #[n(7)]
    pub(crate) receipt_key: Option<[u8; 32]>,
}

impl Structure for ProfileRow {
    const NAME: &'static str = "profile";
    const MAX_BYTES: usize = 4096;
}

impl Store {
    /// The profile's row, which every finished profile has.
    pub(crate) fn profile(&self) -> Result<ProfileRow, ClientError> {
        let place = self.keys.place(SETTING, &[b"profile"]);
        let sealed: Vec<u8> = self
            .db
            .query_row("select sealed from setting where place = ?1", params![place], |row| row.get(0))
            .map_err(|_| damaged("its name and server are missing"))?;
        parse(&self.keys.open(SETTING, &[&place], &sealed)?)
    }
}

impl Step<'_> {
    /// Replaces the profile's row.
    pub(crate) fn set_profile(&mut self, row: &ProfileRow) -> Result<(), ClientError> {
        let place = self.keys.place(SETTING, &[b"profile"]);
        let sealed = self.keys.seal(SETTING, &[&place], &codec::encode(row))?;
        self.tx.execute(
            "insert or replace into setting (place, sealed) values (?1, ?2)",
            params![place, sealed],
        )?;
        Ok(())
    }
}
