//! The shapes of a group's records. Live types do not serialise: these do.

use super::last_read::LastRead;
use super::sender_key::PeerSender;
use crate::ratchet::{Chain, ReceivingChain};
use crate::secret::Secret;
use crate::slots::Slot;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{
    AccountId, CertificateHash, CommitHash, Confirmation, DeviceId, Epoch, Generation, MessageIndex, Opaque,
    Seq, Timestamp,
};
use conclave_wire::limits::MAX_FRAME;
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

/// Declares that a type is a record, bounded like everything that is decoded.
macro_rules! record {
    ($type:ty, $name:literal) => {
        impl Structure for $type {
            const NAME: &'static str = $name;
            const MAX_BYTES: usize = MAX_FRAME;
        }
    };
}

#[derive(Encode, Decode)]
pub(super) struct CursorRecord {
    #[n(0)]
    pub(super) cursor: Seq,
    #[n(1)]
    pub(super) last_distribution: Seq,
}
record!(CursorRecord, "group cursor record");

#[derive(Encode, Decode)]
pub(super) struct HeadRecord {
    #[n(0)]
    pub(super) account: AccountId,
    #[n(1)]
    pub(super) device: DeviceId,
    #[n(2)]
    pub(super) epoch: Epoch,
    #[n(3)]
    pub(super) head: CommitHash,
    #[n(4)]
    pub(super) head_time: Timestamp,
    #[n(5)]
    pub(super) leaves: u32,
    #[n(6)]
    pub(super) init: Option<Secret<32>>,
    #[n(7)]
    pub(super) staged: Option<StagedRecord>,
    #[n(8)]
    pub(super) removed: bool,
    #[n(9)]
    pub(super) confirmation: Confirmation,
}
record!(HeadRecord, "group head record");

#[derive(Encode, Decode)]
pub(super) struct StagedRecord {
    #[n(0)]
    pub(super) secret: Option<Secret<32>>,
    #[n(1)]
    pub(super) hash: CommitHash,
}

#[derive(Encode, Decode)]
pub(super) struct OwnKeyRecord {
    #[n(0)]
    pub(super) certificate: Opaque,
    #[n(1)]
    pub(super) signing: Secret<32>,
}
record!(OwnKeyRecord, "own sender key record");

#[derive(Encode, Decode)]
pub(super) struct OwnStagedRecord {
    #[n(0)]
    pub(super) key: OwnKeyRecord,
    #[n(1)]
    pub(super) secrets: SecretsRecord,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) digest: [u8; 32],
}
record!(OwnStagedRecord, "staged sender key record");

#[derive(Encode, Decode)]
pub(super) struct SecretsRecord {
    #[n(0)]
    pub(super) seed: Secret<32>,
    #[n(1)]
    pub(super) chain: Chain,
}

#[derive(Encode, Decode)]
pub(super) struct OwnStateRecord {
    #[n(0)]
    pub(super) secrets: Option<SecretsRecord>,
    #[n(1)]
    pub(super) link: Option<ByteArray<16>>,
    #[n(2)]
    pub(super) confirmed_link: Option<ByteArray<16>>,
    #[n(3)]
    pub(super) sealed: u32,
    #[n(4)]
    pub(super) next_generation: Generation,
    #[n(5)]
    pub(super) unconfirmed: Vec<UnconfirmedRecord>,
}
record!(OwnStateRecord, "own sender state record");

/// Apart from the state, because sealing does not touch it.
#[derive(Encode, Decode)]
pub(super) struct OwnPastRecord {
    #[n(0)]
    pub(super) tags: Vec<ByteArray<8>>,
}
record!(OwnPastRecord, "own past record");

#[derive(Encode, Decode)]
pub(super) struct UnconfirmedRecord {
    #[n(0)]
    pub(super) tag: ByteArray<8>,
    #[n(1)]
    pub(super) ids: Vec<ByteArray<16>>,
    #[n(2)]
    pub(super) link: ByteArray<16>,
}

#[derive(Encode, Decode)]
pub(super) struct SenderRecord {
    #[n(0)]
    pub(super) since: Epoch,
    /// Of the key, if we have it.
    #[n(1)]
    pub(super) certificate: Option<Opaque>,
    #[n(2)]
    pub(super) generation: Generation,
    /// Its place in the pages of secrets.
    #[n(3)]
    pub(super) slot: Slot,
    /// What its next generation's first message links to, where a heal or reset ended the last one.
    #[n(4)]
    pub(super) awaited: Option<ByteArray<16>>,
    #[n(5)]
    pub(super) certificate_hash: CertificateHash,
    #[n(6)]
    pub(super) from_log: bool,
}
record!(SenderRecord, "sender record");

/// What stands on one slot of a page: a sender's secrets that commits move.
#[derive(Encode, Decode)]
pub(super) struct SlotRecord {
    #[n(0)]
    pub(super) seed: Secret<32>,
    /// The chain key at index 0; none once something was read on the chain in this epoch.
    #[n(1)]
    pub(super) chain: Option<Secret<32>>,
    /// None as soon as the chain is: it moves with it.
    #[n(2)]
    pub(super) link: Option<ByteArray<16>>,
}

/// A page of senders' secrets, by slot. Those at the end that are null are left out.
#[derive(Encode, Decode)]
#[cbor(transparent)]
pub(super) struct SecretsPage(#[n(0)] pub(super) Vec<Option<SlotRecord>>);

impl Structure for SecretsPage {
    const NAME: &'static str = "page of sender secrets";
    const MAX_BYTES: usize = 4096;
}

/// Encodes as [`SlotRecord`] does.
#[derive(Encode)]
pub(super) struct SlotRecordRef<'a> {
    #[n(0)]
    pub(super) seed: &'a Secret<32>,
    #[n(1)]
    pub(super) chain: Option<&'a Secret<32>>,
    #[n(2)]
    pub(super) link: Option<ByteArray<16>>,
}

/// A sender's chain from its first message in an epoch on: what each further message moves.
#[derive(Encode, Decode)]
pub(super) struct ChainRecord {
    #[n(0)]
    pub(super) link: Option<ByteArray<16>>,
    #[n(1)]
    pub(super) chain: ReceivingChain,
    #[n(2)]
    pub(super) last_read: Option<LastReadRecord>,
    #[n(3)]
    pub(super) pending: Vec<PendingRecord>,
}
record!(ChainRecord, "sender chain record");

/// Encodes as [`ChainRecord`] does.
pub(super) struct ChainRecordRef<'a>(pub(super) &'a PeerSender, pub(super) &'a ReceivingChain);

/// The entry of a sender that was read last.
#[derive(Encode, Decode)]
pub(super) struct LastReadRecord {
    #[n(0)]
    pub(super) first: MessageIndex,
    #[n(1)]
    pub(super) commitments: Vec<ByteArray<32>>,
    #[n(2)]
    pub(super) digest: ByteArray<32>,
}

/// A message that waits for a later one to vouch for it.
#[derive(Encode, Decode)]
pub(super) struct PendingRecord {
    #[n(0)]
    pub(super) seq: Seq,
    #[n(1)]
    pub(super) index: MessageIndex,
    #[n(2)]
    pub(super) link: ByteArray<16>,
    #[n(3)]
    pub(super) own_link: ByteArray<16>,
    #[n(4)]
    pub(super) id: ByteArray<16>,
    #[n(5)]
    pub(super) content: Opaque,
}

impl<C> Encode<C> for ChainRecordRef<'_> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let Self(sender, chain) = self;
        e.array(4)?;
        e.encode_with(sender.link.map(ByteArray::from), ctx)?;
        e.encode_with(chain, ctx)?;
        match sender.key.as_ref().and_then(|key| key.last_read.as_ref()) {
            None => e.null()?,
            Some(last) => {
                e.array(3)?.encode_with(last.first, ctx)?.array(last.commitments.len() as u64)?;
                for commitment in &last.commitments {
                    e.bytes(commitment)?;
                }
                e.bytes(&last.digest)?
            }
        };
        e.array(sender.pending.iter().count() as u64)?;
        for pending in sender.pending.iter() {
            e.array(6)?.encode_with(pending.seq, ctx)?.encode_with(pending.index, ctx)?;
            e.bytes(&pending.link)?.bytes(&pending.own_link)?.bytes(pending.id.as_bytes())?;
            e.bytes(&pending.content)?;
        }
        e.ok()
    }
}

impl From<LastReadRecord> for LastRead {
    fn from(record: LastReadRecord) -> Self {
        let commitments = record.commitments.into_iter().map(|commitment| *commitment).collect();
        Self { first: record.first, commitments, digest: *record.digest }
    }
}
