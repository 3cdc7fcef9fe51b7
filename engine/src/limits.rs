//! Every bound of the engine's state, with its reason. Bounds of what travels are in [`conclave_wire::limits`].

use conclave_wire::limits::MAX_PADDED;
use std::time::Duration;

/// Longest content of a group message: what the padded plaintext leaves beside the message id and the padding mark.
pub const MAX_CONTENT: usize = MAX_PADDED - 16 - 1;

/// Skipped message keys kept per sender key: a server that reorders more than this within an epoch loses messages, a
/// sender who skips more to exhaust memory gains nothing.
pub const MAX_SKIPPED_PER_CHAIN: usize = 1000;

/// Skipped message keys kept per group; beyond it the sender that holds most loses its oldest.
pub const MAX_SKIPPED_PER_GROUP: usize = 10_000;

/// How long a skipped key waits for its message.
pub const MAX_SKIPPED_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A sender key is replaced after this, so that what a thief copied dies.
pub const MAX_SENDER_KEY_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A sender key is replaced after this many messages, as many as a receiver's chain can follow.
pub const MAX_MESSAGES_PER_SENDER_KEY: u32 = conclave_wire::limits::MAX_MESSAGES_PER_CHAIN as u32;

/// A pairwise chain is replaced after this: its next initial envelope brings fresh prekeys into play.
pub const MAX_CHAIN_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Envelopes and wraps of one pairwise chain; also the furthest that a receiver derives ahead.
pub const MAX_PER_PAIRWISE_CHAIN: u16 = 100;

/// Incoming pairwise chains kept per sender device: the newest, and the one that envelopes in flight still use.
pub const MAX_INCOMING_CHAINS: usize = 2;

/// Prekeys are replaced daily.
pub const PREKEYS_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long replaced prekeys still open what was sealed to them.
pub const PREKEYS_OVERLAP: Duration = Duration::from_secs(48 * 3600);

/// Unused one-time prekeys of a device.
pub use conclave_wire::limits::MAX_ONE_TIME_PREKEYS;

/// How old a link request may be when it is approved: whoever links a device has both in hand, and a code that was noted
/// down and forgotten ends.
pub const MAX_LINK_REQUEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// Own messages sealed and not yet seen in the log. A client that cannot post stops sealing here.
pub const MAX_UNCONFIRMED: usize = 256;

/// Own messages and distributions remembered after they were seen or given up, so that one posted twice is recognised:
/// no fewer than can be posted again after a crash.
pub const MAX_PAST: usize = MAX_UNCONFIRMED;

/// Messages without a valid signature of their own that are kept for each sender until a later one vouches for them.
/// Reading in bulk verifies at least every so many signatures, so that both ways of reading accept the same.
pub const MAX_PENDING: usize = 64;

/// Bytes of content among these.
pub const MAX_PENDING_BYTES: usize = 256 << 10;

/// How often one thing is asked of one device, and one device answered about one kind of thing: often enough for a user
/// who waits, and too seldom to make anybody work.
pub const REPAIR_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// How old a repair request may be when it is answered: as old as a sender key, so that it can wait in a mailbox for who
/// is away, and no longer, because the memory against repeats is bounded too.
pub const MAX_REQUEST_AGE: Duration = MAX_SENDER_KEY_AGE;

/// Open questions that a device remembers in each group, and so the most that it asks in [`REPAIR_INTERVAL`].
pub const MAX_ASKED: usize = 256;

/// Devices that a device answers about sender keys in [`REPAIR_INTERVAL`], in each group: one small initial envelope for
/// each. As many again are answered about pairwise chains, which costs nothing until the next delivery.
pub const MAX_ANSWERED: usize = 256;

/// Devices that a device welcomes again in [`REPAIR_INTERVAL`], in each group: such an answer has all sender keys, at most
/// 450 bytes for each.
pub const MAX_WELCOMED: usize = 32;

/// Epochs for which a device keeps the server's receipt.
pub const MAX_RECEIPTS: usize = conclave_wire::limits::MAX_RECEIPTS;

/// Other members' sender keys in a welcome, or in the answer to a request for one: it stays below three quarters of a
/// frame, however many send. Of the others a newcomer asks the sender when a message comes.
pub const MAX_WELCOME_SENDERS: usize = 1500;

/// The embedder's note to newcomers.
pub const MAX_NOTE: usize = 1024;

/// Devices in one record of those that hold many: a commit in a group of 1,000 senders writes 32 records instead of
/// 1,000, and a record stays below 4 KiB, so that the first message of a sender in an epoch, which rewrites one, is cheap.
pub const SLOTS_PER_PAGE: u32 = 32;

/// Renewals of the own manifest, the devices being the same, that a group may miss before it is brought up to date: a
/// commit for each would cost a secret for everybody, and this many leave room in one update.
pub const MAX_MANIFESTS_BEHIND: u64 = (conclave_wire::limits::MAX_MANIFEST_CHAIN / 4) as u64;

/// History in one backup: what can be sealed and opened in memory on a phone. Longer ones are the embedder's to cut.
pub const MAX_BACKUP_HISTORY: usize = 16 << 20;

/// Groups that a backup lists: more than anybody reads, and 2 MiB.
pub const MAX_BACKUP_GROUPS: usize = 1 << 16;
