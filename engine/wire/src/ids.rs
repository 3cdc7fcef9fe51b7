//! Identifiers and counters, each of its own type so that one cannot stand for another.

use crate::byte_newtype::byte_newtype;
use crate::hash;
use minicbor::{Decode, Encode};

byte_newtype!(
    /// An account: its Ed25519 public key. Safety numbers compare these.
    AccountId, 32
);
byte_newtype!(
    /// A device's Ed25519 public key.
    DeviceKey, 32
);
byte_newtype!(
    /// A device: the hash of its [`DeviceKey`].
    DeviceId, 32
);
byte_newtype!(
    /// A group: the hash of its genesis commit.
    GroupId, 32
);
byte_newtype!(
    /// A commit: the hash of its body and confirmation.
    CommitHash, 32
);
byte_newtype!(
    /// A manifest: the hash of its body.
    ManifestHash, 32
);
byte_newtype!(
    /// A device's signed prekeys: the hash of their body.
    PrekeysHash, 32
);
byte_newtype!(
    /// A sender-key certificate: the hash of its body.
    CertificateHash, 32
);
byte_newtype!(
    /// An upload in parts: a random number that its author gives it.
    UploadId, 16
);
byte_newtype!(
    /// The root over a roster's leaves.
    RosterHash, 32
);
byte_newtype!(
    /// A commitment to a 32-byte secret, public and signed; the secret is checked against it on arrival.
    Commitment, 32, compared in constant time
);
byte_newtype!(
    /// What a commit's author computed from the new epoch's secrets; whoever drifted learns it here.
    Confirmation, 32, compared in constant time
);

impl DeviceKey {
    /// The device that has this key.
    pub fn id(&self) -> DeviceId {
        DeviceId(hash::DEVICE_ID.hash(&[&self.0]))
    }
}

impl From<CommitHash> for GroupId {
    /// `GroupId` of the group whose genesis commit has this hash.
    fn from(genesis: CommitHash) -> Self {
        Self(genesis.0)
    }
}

/// Declares a counter newtype, a CBOR unsigned integer on the wire.
macro_rules! counter {
    ($(#[$meta:meta])* $name:ident($int:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub $int);

        impl $name {
            /// The next one, or `None` at the end of the counter's range.
            pub fn next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// How many commits stand before this one; the genesis is epoch 0.
    Epoch(u32)
);
counter!(
    /// Position of an entry in its group's log, contiguous from 1.
    Seq(u64)
);
counter!(
    /// Position of a device in the roster.
    LeafIndex(u32)
);
counter!(
    /// Which of a device's sender keys in a group; only ever grows.
    Generation(u32)
);
counter!(
    /// Position of a message key in its chain.
    MessageIndex(u16)
);
counter!(
    /// Which of a device's one-time prekeys; only ever grows.
    OneTimePrekeyId(u32)
);
counter!(
    /// Position of a letter in its mailbox, from 1; only ever grows.
    LetterNumber(u64)
);
counter!(
    /// Version of a device manifest; only ever grows.
    ManifestVersion(u64)
);

/// Milliseconds since 1970-01-01 00:00 UTC, as its writer's clock said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] pub u64);

impl Timestamp {
    /// `self + millis`, or the end of time.
    pub fn plus(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Bytes that this layer carries and does not look into; a CBOR byte string.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Opaque(pub Vec<u8>);

impl std::fmt::Debug for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opaque({} bytes)", self.0.len())
    }
}

impl<C> Encode<C> for Opaque {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Opaque {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(d.bytes()?.to_vec()))
    }
}
