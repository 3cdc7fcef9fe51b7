//! Records: what the engine asks its embedder to keep.
//!
//! Every call that changes state returns its [`Changes`]; the embedder commits them in one transaction, together with
//! whatever it sends, *before* it sends (R90). Loading feeds the records back. A record is one structure of
//! [`conclave_wire::codec`], its version byte first.

use conclave_wire::codec::{self, DecodeError, Structure};
use conclave_wire::ids::GroupId;
use minicbor::Encode;
use thiserror::Error;
use zeroize::Zeroizing;

/// To whom a record belongs, which is also what is loaded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The device: identity, prekeys, pairwise chains.
    Device,
    /// One group.
    Group(GroupId),
}

/// A record's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// What it is loaded with.
    pub scope: Scope,
    /// Its name within the scope. It may hold identifiers of other devices: keep it encrypted or hashed.
    pub name: Vec<u8>,
}

/// A record's bytes, which hold secrets: encrypt them at rest. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordValue(Zeroizing<Vec<u8>>);

impl RecordValue {
    /// Takes bytes that came from a store.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for RecordValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordValue({} bytes)", self.0.len())
    }
}

/// A record's new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which record.
    pub key: RecordKey,
    /// The value; `None` deletes the record, and the store must make the old value unrecoverable.
    pub value: Option<RecordValue>,
}

/// What one call changed, in order: of two changes of one record the later one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "commit the changes in one transaction before anything that the call returned leaves the device"]
pub struct Changes(pub Vec<Change>);

impl Changes {
    pub(crate) fn put<T: Structure>(&mut self, scope: Scope, name: Vec<u8>, value: &T) {
        self.put_encoded(scope, name, value);
    }

    /// As [`put`](Self::put), for a value that stands in for a structure and encodes just as it does.
    pub(crate) fn put_encoded(&mut self, scope: Scope, name: Vec<u8>, value: &impl Encode<()>) {
        let value = Some(RecordValue::new(codec::encode_as(value)));
        self.0.push(Change { key: RecordKey { scope, name }, value });
    }

    pub(crate) fn delete(&mut self, scope: Scope, name: Vec<u8>) {
        self.0.push(Change { key: RecordKey { scope, name }, value: None });
    }

    /// Appends `later` changes.
    pub fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

/// All records of one scope: name and value.
pub type Records = Vec<(Vec<u8>, RecordValue)>;

/// Why records cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A record is damaged, or of a version that this program does not know.
    #[error("a stored record cannot be read: {0}")]
    Record(#[from] DecodeError),
    /// A record that must be there is not.
    #[error("the stored {0} is missing; restore the profile from a backup")]
    Missing(&'static str),
    /// A record contradicts itself or another.
    #[error("the stored {0} is damaged; restore the profile from a backup")]
    Damaged(&'static str),
    /// The device is not one yet: its linking goes on with [`Linking::load`](crate::Linking::load).
    #[error("this device is still being linked to its account; approve its link code on another device")]
    Linking,
    /// A record with a name that this program does not know.
    #[error("a stored record is of an unknown kind; it was written by a newer program")]
    Unknown,
}
