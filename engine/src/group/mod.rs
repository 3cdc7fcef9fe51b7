//! Groups by sender keys, one log each.

#[cfg(test)]
mod adversary;
mod alarm;
mod catch_up;
mod create;
mod digest;
mod distribute;
mod epoch;
#[cfg(test)]
mod erasure;
#[cfg(test)]
mod erasure_in_memory;
mod event;
#[cfg(test)]
pub(crate) mod forgetting;
mod heal;
mod join;
mod last_read;
mod leave;
mod message_id;
mod message_keys;
mod open;
mod open_run;
#[cfg(test)]
mod page_counts;
mod pending;
mod reading;
mod receipts;
mod receive;
mod receive_commit;
mod receive_distribution;
mod records;
mod renewal;
mod repair;
mod reset;
#[cfg(test)]
mod restored;
mod seal;
mod seal_run;
mod sender_key;
mod sender_storage;
mod stage;
mod state;
mod storage;
mod summary;
mod thread;
mod unverified;
mod update;
mod welcome;

#[cfg(test)]
mod vectors;

pub use alarm::{Alarm, SplitView};
pub use catch_up::CaughtUp;
pub use create::{CreateError, NewGroup};
pub use distribute::{DistributeError, Distributed, DistributionUpload};
pub use event::{Continuity, Event, GroupMessage, GroupState, Origin, Received, Recovered, Sender};
pub use join::{JoinError, Joined, Newcomer};
pub use leave::LeaveError;
pub use message_id::MessageId;
pub use receipts::{NotedReceipt, ReceiptError, Verdict};
pub use receive::{CertificateError, ReceiveError};
pub use repair::{
    AcceptError, Answer, AnswerContent, AnswerError, AskError, AskedFor, KeyRepair, Need, Repair, Repaired,
};
pub use seal::{SealError, Sealed};
pub use seal_run::SealedRun;
pub use stage::{CommitUpload, StageError, StagedCommit};
pub use state::Group;
pub use unverified::ForgedMember;
