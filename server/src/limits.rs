//! Every bound of the server, with its reason. What travels is bounded in [`conclave_wire::limits`].

use std::time::Duration;

/// Threads that own sockets. More than any machine has cores is a typing error.
pub(crate) const MAX_WORKERS: usize = 256;

/// Connections of one worker: what actix accepts by default, about 60 MB idle. Above that the operating system's
/// backlog holds them until others leave.
pub const MAX_CONNECTIONS_PER_WORKER: usize = 25_600;

/// Open files that no connection gets, of a limit of at least twice as many: those of the store, which reads from as many
/// as half of them, and of everything else that is not a client.
pub(crate) const RESERVED_FILES: usize = 2_000;

/// Threads of one worker that read the store, so that a cold disk does not stop the sockets. Few: the store's reads
/// are short, and each connection has at most two under way.
pub(crate) const READERS_PER_WORKER: usize = 4;

/// Connections that the operating system completes before they are accepted: a restarted server is met by everybody at
/// once.
pub(crate) const BACKLOG: u32 = 4096;

/// Time to log in. A phone on a bad network needs three round trips.
pub(crate) const LOGIN_DEADLINE: Duration = Duration::from_secs(10);

/// Sockets that one address opens in a minute: a school behind one address that comes back all at once.
pub(crate) const CONNECTIONS_PER_MINUTE: u32 = 1200;

/// Registrations from one address in an hour: a class that makes its accounts together.
pub(crate) const REGISTRATIONS_PER_HOUR: u32 = 60;

/// Requests of one device in a minute: it catches up in thousands of groups, or writes as fast as a program that mirrors
/// another network.
pub(crate) const REQUESTS_PER_MINUTE: u32 = 12_000;

/// A request counts as one for each of these that it begins: so one device has no more than 47 MiB stored in a minute.
pub(crate) const REQUEST_BYTES: usize = 4 << 10;

/// Devices whose prekeys one device asks for in an hour: it makes two groups of thousands.
pub(crate) const PREKEYS_PER_HOUR: u32 = 10_000;

/// Groups that one account founds in an hour: a program that mirrors another network, room by room. Each is kept for ever.
pub(crate) const FOUNDINGS_PER_HOUR: u32 = 200;

/// How often addresses and devices that were not heard of lately are forgotten.
pub(crate) const FORGET_RATES_EVERY: Duration = Duration::from_secs(60);

/// Time for a TLS handshake, on the same network.
pub(crate) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Failed logins of one connection; a client that holds the right key needs one.
pub(crate) const MAX_FAILED_LOGINS: u8 = 4;

/// Silence after which a connection is asked whether it is there. Below the 60 s of many middleboxes.
pub(crate) const PING_AFTER: Duration = Duration::from_secs(30);

/// Silence after which a connection is dropped: two pings without any answer.
pub(crate) const DROP_AFTER: Duration = Duration::from_secs(75);

/// Time in which a client that has stopped reading must take at least one byte.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(30);

/// How often silence is looked for; the deadlines above are exact to within this.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(2);

/// Time for a client to answer a close frame before the socket is dropped.
pub(crate) const CLOSE_LINGER: Duration = Duration::from_secs(1);

/// What is read and thrown away of a connection that is being closed.
pub(crate) const CLOSE_LINGER_BYTES: usize = 4 << 20;

/// Time in which a shutdown is done, whatever clients do.
pub(crate) const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// Appends of one connection that wait for the disk. Enough to fill a group commit alone; above it the connection is
/// not read.
pub(crate) const MAX_IN_FLIGHT: u16 = 1024;

/// Bytes that wait for one socket. A reader that is further behind reads from the log instead, which costs no memory.
pub(crate) const OUTBOX_BYTES: usize = 1 << 20;

/// Bytes that may still wait when a reader of the log is handed its next page: keeps the socket busy meanwhile.
pub(crate) const OUTBOX_LOW: usize = 256 << 10;

/// Frames of one vectored write: the kernel takes 1,024, but a socket's buffer seldom takes more than this.
pub(crate) const FRAMES_PER_WRITE: usize = 64;

/// Messages that a hub takes from its queue before it writes its sockets.
pub(crate) const HUB_BATCH: usize = 256;

/// Bytes of entries that wait for one hub. Above it the hub's members read from the log.
pub(crate) const HUB_BACKLOG_BYTES: usize = 64 << 20;

/// Groups that one task of a connection looks up in the log at once, so that nobody waits for somebody in thousands.
pub(crate) const GROUPS_PER_FEED: usize = 64;

/// Writes of one group commit. Beyond it the sync no longer dominates.
pub(crate) const BATCH_WRITES: usize = 1024;

/// Bytes of one group commit, so that small messages do not wait behind many large ones.
pub(crate) const BATCH_BYTES: usize = 4 << 20;

/// Bytes that wait for the log writer.
pub(crate) const LOG_QUEUE_BYTES: usize = 64 << 20;

/// What a queued write is taken to cost beside its bytes.
pub(crate) const WRITE_OVERHEAD: usize = 512;

/// How long a connection waits for room in the log's queue before it is told to come back.
pub(crate) const LOG_QUEUE_PATIENCE: Duration = Duration::from_secs(5);

/// What it is told.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often acknowledgements are written. A lost one only delivers again.
pub(crate) const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(1);

/// Acknowledgements that wait to be written; beyond it those of further devices are forgotten.
pub(crate) const MAX_ACKNOWLEDGEMENTS: usize = 1 << 16;

/// Entries of one page.
pub(crate) const PAGE_ENTRIES: usize = 1000;

/// Bytes of one page, unless its first entry is larger: half a frame, which a phone can hold.
pub(crate) const PAGE_BYTES: usize = 512 << 10;

/// What an entry's frame is taken to cost beside its body and delivery.
pub(crate) const ENTRY_OVERHEAD: usize = 128;

/// Groups listed in one answer: they fit a frame.
pub(crate) const MAX_GROUPS_LISTED: usize = 8192;

/// Connections to a database that read, of one node: each holds a process there.
pub(crate) const DATABASE_READERS: usize = 8;

/// Time to connect to a database.
pub(crate) const DATABASE_CONNECT: Duration = Duration::from_secs(3);

/// How long a read or a batch waits for a connection, or for a new one, before it is refused.
pub(crate) const DATABASE_PATIENCE: Duration = Duration::from_secs(5);

/// Longest statement. The longest there is reads the leaves of the largest roster.
pub(crate) const DATABASE_STATEMENT: Duration = Duration::from_secs(30);

/// How long a batch waits for another node's.
pub(crate) const DATABASE_LOCK: Duration = Duration::from_secs(10);

/// After this the database itself ends a transaction of a node that has stopped in the middle.
pub(crate) const DATABASE_TRANSACTION: Duration = Duration::from_secs(60);

/// How often one batch is tried when other nodes are in its way.
pub(crate) const DATABASE_TRIES: usize = 5;

/// How long a database that went away during a commit is asked what became of it: a restart with recovery.
pub(crate) const OUTCOME_PATIENCE: Duration = Duration::from_secs(60);

/// How often.
pub(crate) const OUTCOME_EVERY: Duration = Duration::from_millis(200);

/// Batches that wait to be told to other nodes. Beyond it these are told to look for themselves.
pub(crate) const ANNOUNCEMENTS: usize = 1024;

/// Notifications of other nodes that wait. Beyond it the database's connection waits, and with it the database keeps them.
pub(crate) const NOTIFICATIONS: usize = 1024;

/// How long after a failed connection to the database the next is tried.
pub(crate) const RECONNECT_DATABASE: Duration = Duration::from_millis(500);

/// How often a node looks for what another has stored and not told: it died in between.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Leaves of all rosters kept in memory, about 400 bytes each.
pub(crate) const MAX_CACHED_LEAVES: usize = 1 << 18;

/// Log positions kept in memory by the store, about 150 bytes each.
pub(crate) const MAX_CACHED_HEADS: usize = 1 << 16;

/// Uploads in parts that a device may have under way: one for each of its groups that it changes at once. A further one
/// takes the place of the oldest.
pub(crate) const MAX_OPEN_UPLOADS: usize = 4;

/// Uploads of one device that are under way or being deleted: who begins more than are deleted meanwhile has to wait.
pub(crate) const MAX_KEPT_UPLOADS: usize = 64;

/// Time in which an entry names an upload after its first part. A phone on a bad network sends 256 MiB in less.
pub(crate) const UPLOAD_PATIENCE: Duration = Duration::from_secs(3600);

/// How often uploads that nothing has named are looked for, and old letters in the next few mailboxes.
pub(crate) const FORGET_EVERY: Duration = Duration::from_secs(10);

/// Rows of forgotten uploads deleted at once, so that nobody waits behind that.
pub(crate) const FORGET_ROWS: usize = 4096;

/// How often it is noted when a group's entries come: as exact as anybody needs it who keeps them for days.
pub(crate) const DATE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Bytes of a group's messages after which it is noted as well: as exact as the bound on them.
pub(crate) const DATE_BYTES: u64 = 4 << 20;

/// How far apart these notes are where messages are gone, and only what is kept longer is left.
pub(crate) const THIN_DATES: Duration = Duration::from_secs(30 * 24 * 3600);

/// Groups whose logs are looked at for one step of trimming: a million in three hours.
pub(crate) const TRIM_GROUPS: usize = 1024;

/// Rows of one step of trimming, so that nobody waits behind it. As long as there are more, each batch has one.
pub(crate) const TRIM_ROWS: usize = 1024;

/// The pause between two steps where nobody writes.
pub(crate) const TRIM_PAUSE: Duration = Duration::from_millis(10);

/// How long distributions are kept, and what hangs on an entry for a device, if messages are not kept for longer: who was
/// away for more than a year asks members for what it missed.
pub(crate) const KEEP_KEYS: Duration = Duration::from_secs(400 * 24 * 3600);

/// Commits of one device in one group in an hour that heal it or bring an account to other devices: every member may make
/// them, and each makes everybody else's wait.
pub(crate) const RENEWALS_PER_HOUR: u32 = 6;

/// How long an admin whose removal lost its race goes first: time to read what came in between, to seal again for
/// thousands, and to upload it.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// How long after a lease there is no other in the same group, so that no admin keeps a group to himself.
pub(crate) const LEASE_PAUSE: Duration = Duration::from_secs(30);

/// Leases at once, about 100 bytes each. Beyond it removals race like everything else.
pub(crate) const MAX_LEASES: usize = 4096;

/// Letters in one mailbox: those of sixteen devices that use all their room. A device that is away finds no more than
/// this of what others asked of it, and they ask again.
pub(crate) const MAX_LETTERS: usize = 256;

/// Bytes of the letters in one mailbox.
pub(crate) const MAX_MAILBOX_BYTES: u64 = 16 << 20;

/// Bytes of the letters in one mailbox that are of one device: two of the largest.
pub(crate) const MAX_SENDER_BYTES: u64 = 2 << 20;

/// Mailboxes whose old letters are taken out at once: few, so that nobody waits behind that, and two millions in a day.
pub(crate) const SWEPT_MAILBOXES: usize = 256;

/// What a row of an upload is taken to cost beside its bytes.
pub(crate) const PART_ROW_OVERHEAD: usize = 64;
