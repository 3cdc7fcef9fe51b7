//! Accounts that were met, pinned: which name stands for which account, and the newest list of devices seen.

use super::crypto::{Place, Table};
use super::{Step, Store, damaged, parse};
use crate::error::ClientError;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{AccountId, GroupId, ManifestHash, ManifestVersion};
use conclave_wire::name::Name;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};

const CONTACT: Table = Table("contact");
const CONTACT_NAME: Table = Table("contact name");

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Contact {
    #[n(0)]
    pub(crate) account: AccountId,
    /// The name under which it was first seen.
    #[n(1)]
    pub(crate) name: Option<Name>,
    /// The newest manifest seen: an older one from the server is a lie.
    #[n(2)]
    pub(crate) manifest: Option<KnownManifest>,
    /// The group in which it was met, if it was not looked up.
    #[n(3)]
    pub(crate) met: Option<GroupId>,
    /// A name that the server gave for it and that is pinned to another account: told once.
    #[n(4)]
    pub(crate) refused_name: Option<Name>,
}

impl Contact {
    /// An account that was seen for the first time.
    pub(crate) fn new(account: AccountId) -> Self {
        Self { account, name: None, manifest: None, met: None, refused_name: None }
    }
}

/// A manifest that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct KnownManifest {
    #[n(0)]
    pub(crate) version: ManifestVersion,
    #[n(1)]
    pub(crate) hash: ManifestHash,
}

impl Structure for Contact {
    const NAME: &'static str = "contact";
    const MAX_BYTES: usize = 4096;
}

impl Store {
    /// The contact with this account.
    pub(crate) fn contact(&self, account: &AccountId) -> Result<Option<Contact>, ClientError> {
        let place = self.keys.place(CONTACT, &[account.as_bytes()]);
        let sealed: Option<Vec<u8>> = self
            .db
            .prepare_cached("select sealed from contact where account = ?1")?
            .query_row(params![place], |row| row.get(0))
            .optional()?;
        sealed.map(|sealed| self.open_contact(&place, &sealed)).transpose()
    }

    /// The contact that was pinned under this name.
    pub(crate) fn contact_named(&self, name: &Name) -> Result<Option<Contact>, ClientError> {
        let named = self.keys.place(CONTACT_NAME, &[name.as_str().as_bytes()]);
        let found: Option<(Place, Vec<u8>)> = self
            .db
            .prepare_cached("select account, sealed from contact where name = ?1")?
            .query_row(params![named], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let contact = found.map(|(place, sealed)| self.open_contact(&place, &sealed)).transpose()?;
        match &contact {
            Some(found) if found.name.as_ref() != Some(name) => Err(damaged("a contact")),
            _ => Ok(contact),
        }
    }

    /// Contacts without a name, the oldest first.
    pub(crate) fn unnamed_contacts(&self) -> Result<Vec<Contact>, ClientError> {
        let mut query = self
            .db
            .prepare_cached("select account, sealed from contact where name is null order by rowid")?;
        let mut rows = query.query([])?;
        let mut contacts = Vec::new();
        while let Some(row) = rows.next()? {
            let place: Place = row.get(0)?;
            contacts.push(
                self.open_contact(&place, row.get_ref(1)?.as_blob().map_err(|_| damaged("a contact"))?)?,
            );
        }
        Ok(contacts)
    }

    fn open_contact(&self, place: &Place, sealed: &[u8]) -> Result<Contact, ClientError> {
        parse(&self.keys.open(CONTACT, &[place], sealed)?)
    }
}

impl Step<'_> {
    /// Adds an account that was met in a group, unless it is known.
    pub(crate) fn meet(&mut self, account: AccountId, group: GroupId) -> Result<(), ClientError> {
        let contact = Contact { met: Some(group), ..Contact::new(account) };
        let place = self.keys.place(CONTACT, &[account.as_bytes()]);
        let known =
            self.tx.prepare_cached("select 1 from contact where account = ?1")?.exists(params![place])?;
        if known { Ok(()) } else { self.set_contact(&contact) }
    }

    /// Adds or replaces a contact. The caller has made sure that the name is not another's.
    pub(crate) fn set_contact(&mut self, contact: &Contact) -> Result<(), ClientError> {
        let place = self.keys.place(CONTACT, &[contact.account.as_bytes()]);
        let named = contact.name.as_ref().map(|n| self.keys.place(CONTACT_NAME, &[n.as_str().as_bytes()]));
        let sealed = self.keys.seal(CONTACT, &[&place], &codec::encode(contact))?;
        self.tx
            .prepare_cached(
                "insert into contact (account, name, sealed) values (?1, ?2, ?3)
                 on conflict (account) do update set name = excluded.name, sealed = excluded.sealed",
            )?
            .execute(params![place, named, sealed])?;
        Ok(())
    }
}
