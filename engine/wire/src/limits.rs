//! Every bound of what travels, with its reason. Checked before anything is allocated for the value.

use std::time::Duration;

/// Longest frame on the socket: what a phone can hold twice without thinking, and a server a thousand times.
pub const MAX_FRAME: usize = 1 << 20;

/// Longest padded plaintext of a group message. Larger content belongs in an attachment.
pub const MAX_PADDED: usize = 64 << 10;

/// Bytes around the padded plaintext of a group message.
pub const MESSAGE_OVERHEAD: usize = 120;

/// Messages of one run: as many as a sender may have under way, and few enough that one entry is opened in about 1 ms.
pub const MAX_RUN: usize = 256;

/// Fewest messages of a run. One alone is a message, so that there is one way to write each.
pub const MIN_RUN: usize = 2;

/// Padded plaintexts of a run together: four messages of the longest kind, a quarter of a frame.
pub const MAX_RUN_PADDED: usize = 256 << 10;

/// Devices of one account: a person's, with room to spare, so that a manifest stays below 4 KiB.
pub const MAX_DEVICES: usize = 32;

/// Manifests of one account that are handed over at once, the oldest first: more than two years of them, signed again
/// every 15 days. A device keeps as many of its own account, and one update of
/// a roster takes as many.
pub const MAX_MANIFEST_CHAIN: usize = 64;

/// Operations of one commit. Signatures of that many manifests are checked in about 0.1 s.
pub const MAX_OPERATIONS: usize = 1000;

/// Leaves of a roster: a million devices, an index of 20 bits, a tree of 64 MiB.
pub const MAX_LEAVES: usize = 1 << 20;

/// Message keys of one chain within an epoch. A sender rotates its key before; a receiver derives no further, which
/// bounds what a hostile index costs to about 2 ms.
pub const MAX_MESSAGES_PER_CHAIN: u16 = 10_000;

/// How far two honest clocks may differ.
pub const CLOCK_SKEW: Duration = Duration::from_secs(10 * 60);

/// A manifest is signed again every 30 days; an add refuses an older one, so that a server cannot hide for longer
/// that a device was revoked.
pub const MAX_MANIFEST_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A leave request is executed within this time or asked for again, so that nobody is held to an old wish.
pub const MAX_LEAVE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Senders accept prekeys of this age, so that a device that was away for a season still gets its secrets.
pub const MAX_PREKEYS_AGE: Duration = Duration::from_secs(90 * 24 * 3600);

/// A sender key's certificate is void after this, so that a stolen old signing key dies by itself.
pub const MAX_CERTIFICATE_AGE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Longest name.
pub const MAX_NAME: usize = 32;

/// Devices asked for in one prekeys request: their prekeys fit a frame.
pub const MAX_PREKEYS_PER_REQUEST: usize = 256;

/// Unused one-time prekeys of a device that are kept, here and at a server: as many first contacts between two times online.
pub const MAX_ONE_TIME_PREKEYS: usize = 200;

/// Accounts asked for in one names request.
pub const MAX_ACCOUNTS_PER_REQUEST: usize = 256;

/// Bytes of one letter: with what stands around it, it fits a frame.
pub const MAX_LETTER: usize = MAX_FRAME - 1024;

/// Letters of one device that wait in one mailbox: a question and an answer in several groups that both are in.
pub const MAX_LETTERS_PER_SENDER: usize = 16;

/// How long a letter waits to be fetched: nobody answers an older request (R117), and an older answer is for an epoch
/// that has ended.
pub const LETTER_PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Groups in one subscribe request.
pub const MAX_CURSORS: usize = 4096;

/// Bytes of the deliveries in one part of an upload: small enough that a log writer which stores one keeps nobody
/// waiting for long.
pub const MAX_PART_BYTES: usize = 256 << 10;

/// Deliveries in one part: as many wraps as fit it.
pub const MAX_PART_DELIVERIES: usize = 4096;

/// Bytes of all deliveries of one upload: a first contact with 130,000 devices, or six million wraps.
pub const MAX_UPLOAD_BYTES: u64 = 256 << 20;

/// Epochs for which a device keeps the server's receipt, and as many as it is given at once: about 12 KiB.
pub const MAX_RECEIPTS: usize = 64;
