//! Test vectors of groups: commits with the key schedule, sender keys, messages, welcomes. See [`crate::vectors`].

mod commits;
mod messages;
mod runs;
mod sender_keys;
mod welcome;
