//! Names and accounts: what the server's directory says is believed the first time and pinned; what contradicts it
//! later is refused.

use crate::client::Client;
use crate::connection::unexpected;
use crate::error::ClientError;
use crate::notice::Person;
use crate::store::{Contact, InboxKind, InboxRow, KnownManifest};
use conclave_wire::ids::{AccountId, Seq};
use conclave_wire::limits::MAX_ACCOUNTS_PER_REQUEST;
use conclave_wire::manifest::Manifest;
use conclave_wire::name::Name;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use std::collections::{HashMap, HashSet};

/// Names kept in memory; beyond it they are read from the store again.
const MAX_CACHED: usize = 10_000;

/// What this process knows of names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    cached: HashMap<AccountId, Option<Name>>,
    /// Accounts for which the server had no name.
    asked: HashSet<AccountId>,
}

impl Client {
    /// An account as people know it.
    pub(crate) fn person(&mut self, account: AccountId) -> Result<Person, ClientError> {
        if let Some(name) = self.names.cached.get(&account) {
            return Ok(Person { account, name: name.clone() });
        }
        let name = self.local.store.contact(&account)?.and_then(|contact| contact.name);
        if self.names.cached.len() >= MAX_CACHED {
            self.names.cached.clear();
        }
        self.names.cached.insert(account, name.clone());
        Ok(Person { account, name })
    }

    /// The account that a name is pinned to, or that the directory gives for it.
    pub(crate) async fn account_of(&mut self, name: &Name) -> Result<AccountId, ClientError> {
        match self.local.store.contact_named(name)? {
            Some(contact) => Ok(contact.account),
            None => Ok(self.lookup(name).await?.account()),
        }
    }

    /// Finds an account by its name, and compares what the directory says with what it said before.
    pub(crate) async fn lookup(&mut self, name: &Name) -> Result<Manifest, ClientError> {
        let manifest = match self.request(Request::Lookup { name: name.clone() }).await? {
            Reply::Account { manifest } => manifest,
            Reply::Refused { refusal: Refusal::UnknownName } => {
                return Err(ClientError::UnknownName { name: name.clone() });
            }
            other => return Err(unexpected(other)),
        };
        let manifest = Manifest::decode_and_verify(&manifest.0)
            .map_err(|error| ClientError::Contradiction { name: name.clone(), what: error.to_string() })?;
        let pinned = self.local.store.contact_named(name)?;
        let known = self.local.store.contact(&manifest.account())?;
        let contact = compare(name, &manifest, pinned.as_ref(), known.as_ref())?;
        if known.as_ref() != Some(&contact) {
            self.local.write(|step| step.set_contact(&contact))?;
            self.names.cached.remove(&contact.account);
        }
        Ok(manifest)
    }

    /// Asks for the names of accounts that were met in groups, and pins them.
    pub(crate) async fn name_contacts(&mut self) -> Result<(), ClientError> {
        let mut unnamed = self.local.store.unnamed_contacts()?;
        unnamed.retain(|contact| !self.names.asked.contains(&contact.account));
        for contacts in unnamed.chunks(MAX_ACCOUNTS_PER_REQUEST) {
            let accounts = contacts.iter().map(|contact| contact.account).collect();
            match self.request(Request::Names { accounts }).await? {
                Reply::Names { names } if names.len() == contacts.len() => {
                    for (contact, name) in contacts.iter().zip(names) {
                        self.name_contact(contact, name)?;
                    }
                }
                other => return Err(unexpected(other)),
            }
        }
        Ok(())
    }

    fn name_contact(&mut self, contact: &Contact, name: Option<Name>) -> Result<(), ClientError> {
        if self.names.asked.len() >= MAX_CACHED {
            self.names.asked.clear();
        }
        self.names.asked.insert(contact.account);
        let Some(name) = name else { return Ok(()) };
        let holder = self.local.store.contact_named(&name)?;
        let Some(holder) = holder.filter(|holder| holder.account != contact.account) else {
            let named = Contact { name: Some(name), ..contact.clone() };
            self.names.cached.remove(&contact.account);
            return self.local.write(|step| step.set_contact(&named));
        };
        if contact.refused_name.as_ref() == Some(&name) {
            return Ok(());
        }
        // The pinned account keeps the name; this one goes without.
        let told = Contact { refused_name: Some(name.clone()), ..contact.clone() };
        let alarm = contact.met.map(|group| InboxRow {
            group,
            seq: Seq(0),
            kind: InboxKind::Alarm {
                what: format!(
                    "the server calls two accounts {name}: {:.16} and {:.16}",
                    holder.account.to_string(),
                    contact.account.to_string()
                ),
                advice: format!("ask {name} over another channel which account is theirs"),
            },
        });
        self.local.write(|step| {
            step.set_contact(&told)?;
            alarm.iter().try_for_each(|alarm| step.push_inbox(alarm))
        })
    }
}

/// What is to be known of an account after a lookup of `name` gave `manifest`; `pinned` is who had the name, `known`
/// what was known of the account.
fn compare(
    name: &Name,
    manifest: &Manifest,
    pinned: Option<&Contact>,
    known: Option<&Contact>,
) -> Result<Contact, ClientError> {
    let account = manifest.account();
    if let Some(pinned) = pinned.filter(|pinned| pinned.account != account) {
        return Err(ClientError::AccountChanged {
            name: name.clone(),
            pinned: pinned.account,
            found: account,
        });
    }
    let contradiction = |what| Err(ClientError::Contradiction { name: name.clone(), what });
    let found = KnownManifest { version: manifest.body().version, hash: manifest.hash() };
    let mut contact = known.cloned().unwrap_or_else(|| Contact::new(account));
    if let Some(other) = contact.name.as_ref().filter(|other| *other != name) {
        return contradiction(format!("the same account was called {other}"));
    }
    if let Some(before) = contact.manifest {
        if found.version < before.version {
            return contradiction("it shows an old list of their devices".into());
        }
        if found.version == before.version && found.hash != before.hash {
            return contradiction("it shows two lists of their devices of one version".into());
        }
    }
    contact.name = Some(name.clone());
    contact.manifest = Some(found);
    Ok(contact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_engine::Device;
    use conclave_wire::ids::Timestamp;

    fn manifest(at: u64) -> (Device, Manifest) {
        let (device, _) = Device::create(Timestamp(at), &mut rand::rng()).unwrap();
        let manifest = device.manifest().clone();
        (device, manifest)
    }

    #[test]
    fn the_first_sight_is_pinned_and_stays() {
        let bob: Name = "bob".parse().unwrap();
        let (mut device, first) = manifest(1);
        let pinned = compare(&bob, &first, None, None).unwrap();
        assert_eq!((pinned.account, pinned.name.as_ref()), (first.account(), Some(&bob)));
        assert_eq!(compare(&bob, &first, Some(&pinned), Some(&pinned)).unwrap(), pinned);

        let (_, other) = manifest(2);
        let changed = compare(&bob, &other, Some(&pinned), None).unwrap_err();
        let ClientError::AccountChanged { pinned: was, found, .. } = changed else { panic!("{changed}") };
        assert_eq!((was, found), (first.account(), other.account()));

        let _ = device.renew_manifest(Timestamp(3)).unwrap();
        let renewed = device.staged_manifest().unwrap().encoded().to_vec();
        let _ = device.adopt(&[&renewed]).unwrap();
        let newer = compare(&bob, device.manifest(), Some(&pinned), Some(&pinned)).unwrap();
        assert_ne!(newer.manifest, pinned.manifest);
        let older = compare(&bob, &first, Some(&newer), Some(&newer)).unwrap_err();
        assert!(matches!(older, ClientError::Contradiction { .. }));
    }

    #[test]
    fn an_account_has_one_name() {
        let (_, first) = manifest(1);
        let bob = compare(&"bob".parse().unwrap(), &first, None, None).unwrap();
        let renamed = compare(&"rob".parse().unwrap(), &first, None, Some(&bob)).unwrap_err();
        assert!(matches!(renamed, ClientError::Contradiction { .. }));
    }

    /// An account that was met in a group before it was looked up.
    #[test]
    fn a_met_account_gets_its_name() {
        let (_, first) = manifest(1);
        let met = Contact::new(first.account());
        let named = compare(&"bob".parse().unwrap(), &first, None, Some(&met)).unwrap();
        assert_eq!(named.name, Some("bob".parse().unwrap()));
    }
}
