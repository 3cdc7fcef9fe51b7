//! What the signature of a message covers, alone or in a run.
//!
//! ```text
//!     digest    = H("group message", header 16 ‖ group 32 ‖ head commit 32 ‖ certificate 32 ‖ key commitment 32
//!                                    ‖ link 16 ‖ hedge 8 ‖ ciphertext)
//!     digest i  = H("group message in a run", header 16 at index + i ‖ group 32 ‖ head commit 32 ‖ certificate 32
//!                                    ‖ key commitment 32 ‖ before 32 ‖ hedge 8 ‖ ciphertext)
//!     before 0  = link 16 ‖ 16 zeros;   before i = digest i - 1
//!     link of the sender's next message = first 16 bytes of the digest, or of a run's last one
//! ```
//!
//! Head commit, certificate and key commitment are covered and not sent: a receiver with another view of the group or
//! another key fails the verification (R62). In a run only the last digest is signed; as each covers the one before,
//! the signature covers all of them and their order (R141). Contexts, flags in the header and the labels of the signatures
//! differ, so nothing of a run is ever taken for a single message, or the other way round.

use conclave_wire::hash::{Context, GROUP_MESSAGE, GROUP_MESSAGE_IN_RUN};
use conclave_wire::ids::{CertificateHash, CommitHash, GroupId};
use conclave_wire::message::{Header, Hedge, Link};
use conclave_wire::signature::Label;

/// Of a message's signature.
pub(super) const LABEL: Label = Label("conclave v1 sign group message");

/// Of a run's signature.
pub(super) const RUN_LABEL: Label = Label("conclave v1 sign group message run");

/// What a message's digest covers and the message does not carry.
pub(super) struct Binding {
    pub(super) group: GroupId,
    pub(super) head: CommitHash,
    pub(super) certificate: CertificateHash,
}

impl Binding {
    pub(super) fn digest(
        &self,
        header: &Header,
        link: &Link,
        hedge: &Hedge,
        commitment: &[u8; 32],
        ciphertext: &[u8],
    ) -> [u8; 32] {
        self.hash(&GROUP_MESSAGE, &header.encode(), commitment, link, hedge, ciphertext)
    }

    /// Of one message in a run, after the one with the digest `before`.
    pub(super) fn digest_in_run(
        &self,
        header: &Header,
        before: &[u8; 32],
        hedge: &Hedge,
        commitment: &[u8; 32],
        ciphertext: &[u8],
    ) -> [u8; 32] {
        self.hash(&GROUP_MESSAGE_IN_RUN, &header.encode_in_run(), commitment, before, hedge, ciphertext)
    }

    fn hash(
        &self,
        context: &Context,
        header: &[u8; 16],
        commitment: &[u8; 32],
        before: &[u8],
        hedge: &Hedge,
        ciphertext: &[u8],
    ) -> [u8; 32] {
        context.hash(&[
            header,
            self.group.as_bytes(),
            self.head.as_bytes(),
            self.certificate.as_bytes(),
            commitment,
            before,
            hedge,
            ciphertext,
        ])
    }
}

/// What stands before the first message of a run.
pub(super) fn before_first(link: &Link) -> [u8; 32] {
    let mut before = [0; 32];
    let (first, _) = before.split_at_mut(link.len());
    first.copy_from_slice(link);
    before
}

/// What the sender's next message links to.
pub(super) fn link_of(digest: &[u8; 32]) -> Link {
    let mut link = Link::default();
    let (first, _) = digest.split_at(link.len());
    link.copy_from_slice(first);
    link
}
