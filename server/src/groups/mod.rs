//! What is checked of an entry before it is queued, against the group as it is now.
//!
//! All of it holds as long as the epoch does, and the store appends nothing of another epoch. Clients check everything
//! again; the server refuses what would stop the honest members of a group, and what comes from nobody of it.

mod cache;
mod deliveries;
mod leases;
mod letters;

pub(crate) use cache::GroupCache;
pub(crate) use deliveries::Attached;
pub(crate) use leases::Leases;
pub(crate) use letters::check_letter;

use crate::clock;
use crate::session::Identity;
use crate::store::{Append, Change, StoredGroup, StoredUpload};
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::codec::DecodeError;
use conclave_wire::commit::{Operation, UnverifiedCommit};
use conclave_wire::distribution::UnverifiedDistribution;
use conclave_wire::ids::{DeviceId, Epoch, GroupId, Opaque, Seq, UploadId};
use conclave_wire::message_entry::MessageEntry;
use conclave_wire::public_group::{CommitError, PublicGroup};
use conclave_wire::reply::Refusal;
use deliveries::{Fitting, Resolved};

/// Why an entry is not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// For this reason.
    Refused(Refusal),
    /// Of another epoch than this, the current one.
    Stale(Epoch),
    /// Not on top of the head.
    Behind,
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An entry on its way into the log, beside commits.
#[derive(Debug)]
pub(crate) enum Upload {
    /// A message.
    Message(Opaque),
    /// A sender key.
    Distribution {
        /// The encoded distribution.
        distribution: Opaque,
        /// For each other device.
        attached: Attached,
    },
}

impl Upload {
    /// The upload in parts that it names, if it does.
    pub(crate) fn staged(&self) -> Option<UploadId> {
        match self {
            Self::Distribution { attached, .. } => attached.staged(),
            Self::Message(_) => None,
        }
    }
}

/// Whether what is known of a group may be older than what the author of an entry knows: somebody else serves the group as
/// well. A commit is always checked against the present.
pub(crate) fn may_be_behind(stored: &StoredGroup, author: &Identity, upload: &Upload) -> bool {
    let epoch = match upload {
        Upload::Message(message) => MessageEntry::parse(&message.0).ok().map(|entry| entry.header().epoch),
        Upload::Distribution { distribution, .. } => {
            UnverifiedDistribution::decode(&distribution.0).ok().map(|unverified| unverified.claimed().epoch)
        }
    };
    stored.public.roster().index_of(&author.device).is_none() || epoch != Some(stored.public.epoch())
}

/// Checks an entry that is no commit. `parts` is the upload that it names, if it names one.
pub(crate) fn check(
    stored: &StoredGroup,
    author: &Identity,
    upload: Upload,
    parts: Option<StoredUpload>,
) -> Result<Append, Unfit> {
    match upload {
        Upload::Message(message) => check_message(stored, author, message),
        Upload::Distribution { distribution, attached } => {
            check_distribution(stored, author, distribution, attached.resolve(parts)?)
        }
    }
}

/// A message or a run: from a member, sealed in the current epoch, under the member's own leaf.
fn check_message(stored: &StoredGroup, author: &Identity, message: Opaque) -> Result<Append, Unfit> {
    let public = &stored.public;
    let (leaf, _) = public.roster().device(&author.device).ok_or(Refusal::NotMember)?;
    let entry = MessageEntry::parse(&message.0).map_err(invalid_entry)?;
    if entry.header().epoch != public.epoch() {
        return Err(Unfit::Stale(public.epoch()));
    }
    if entry.header().leaf != leaf {
        return Err(invalid("the message is under another member's leaf").into());
    }
    let change = Change::Message(public.epoch());
    Ok(Append {
        group: public.id(),
        change,
        body: message.0.into(),
        deliveries: Vec::new(),
        staged: None,
        now: clock::now(),
    })
}

/// A distribution: by a member, for this group and epoch, with one delivery for each other device.
fn check_distribution(
    stored: &StoredGroup,
    author: &Identity,
    distribution: Opaque,
    attached: Resolved,
) -> Result<Append, Unfit> {
    let public = &stored.public;
    let (_, leaf) = public.roster().device(&author.device).ok_or(Refusal::NotMember)?;
    let unverified = UnverifiedDistribution::decode(&distribution.0).map_err(invalid_entry)?;
    if unverified.claimed().epoch != public.epoch() {
        return Err(Unfit::Stale(public.epoch()));
    }
    let signed = unverified
        .verify(leaf.device.as_bytes())
        .map_err(|_| invalid("the distribution is not signed by the device that posts it"))?;
    let certificate = UnverifiedCertificate::decode(&signed.body().certificate.0).map_err(invalid_entry)?;
    let claimed = certificate.claimed();
    if claimed.group != public.id() || claimed.device != author.device {
        return Err(invalid("the certificate is for another group or device").into());
    }
    if clock::is_ahead(claimed.time) {
        return Err(invalid("the certificate is from the future; set the device's clock").into());
    }
    certificate
        .verify(leaf.device.as_bytes())
        .map_err(|_| invalid("the certificate is not signed by the device that posts it"))?;
    let others = public.roster().devices().map(|(_, leaf)| leaf.device.id());
    let others: Vec<DeviceId> = others.filter(|device| *device != author.device).collect();
    let Fitting { deliveries, staged } = attached.fit(&author.device, &others, &[], distribution.0.len())?;
    // A device that cannot be reached has an empty one.
    let deliveries = deliveries.into_iter().filter(|(_, delivery)| !delivery.is_empty()).collect();
    let change = Change::Distribution(public.epoch());
    Ok(Append {
        group: public.id(),
        change,
        body: distribution.0.into(),
        deliveries,
        staged,
        now: clock::now(),
    })
}

/// A commit with everything that hangs on it, as it came.
#[derive(Debug)]
pub(crate) struct CommitUpload {
    /// What it says, not yet verified.
    pub(crate) unverified: UnverifiedCommit,
    /// The encoded commit.
    pub(crate) commit: Opaque,
    /// The commit secret for each recipient, and a welcome for each newcomer.
    pub(crate) attached: Attached,
}

impl CommitUpload {
    /// The group that it would begin or change.
    pub(crate) fn group(&self) -> GroupId {
        if self.is_genesis() { self.unverified.hash().into() } else { self.unverified.claimed().group }
    }

    /// The upload in parts that it names, if it does.
    pub(crate) fn staged(&self) -> Option<UploadId> {
        self.attached.staged()
    }

    /// Whether it removes anybody.
    pub(crate) fn removes(&self) -> bool {
        self.operations().iter().any(|operation| matches!(operation, Operation::Remove { .. }))
    }

    /// Whether it heals its author's device, or brings an account to other devices: what every member may do, as often as
    /// it likes.
    pub(crate) fn renews(&self) -> bool {
        let renews = |operation: &Operation| {
            matches!(operation, Operation::Heal { .. } | Operation::UpdateDevices { .. })
        };
        self.operations().iter().any(renews)
    }

    fn operations(&self) -> &[Operation] {
        &self.unverified.claimed().operations
    }

    /// Whether it founds a group.
    pub(crate) fn is_genesis(&self) -> bool {
        self.unverified.claimed().epoch == Epoch(0)
    }
}

/// A commit that may be appended, or that has been.
#[derive(Debug)]
pub(crate) enum CheckedCommit {
    /// To be appended.
    New(Append),
    /// The head already, at this position: its author did not hear of it and asks again.
    Head(Seq),
}

/// A commit on top of `stored`, the group that it is for; `None` if there is none, as for a genesis. `parts` is the upload
/// that it names, if it names one.
pub(crate) fn check_commit(
    stored: Option<&StoredGroup>,
    author: &Identity,
    upload: CommitUpload,
    parts: Option<StoredUpload>,
) -> Result<CheckedCommit, Unfit> {
    let group = upload.group();
    if upload.unverified.claimed().author != author.device {
        return Err(invalid_commit("its author is another device").into());
    }
    if clock::is_ahead(upload.unverified.claimed().time) {
        return Err(invalid_commit("it is from the future; set the device's clock").into());
    }
    if let Some(stored) = stored {
        stored.public.roster().device(&author.device).ok_or(Refusal::NotMember)?;
        if stored.public.head() == upload.unverified.hash() {
            return Ok(CheckedCommit::Head(stored.commit_seq));
        }
    }
    let genesis = upload.is_genesis();
    let (step, recipients) = match (stored, genesis) {
        (Some(_), true) => return Err(Unfit::Behind),
        (None, false) => return Err(Refusal::NotMember.into()),
        // Nobody is in a group before its genesis, so its secret goes to nobody but newcomers.
        (None, true) => (PublicGroup::from_genesis(upload.unverified).map_err(unfit_commit)?.1, Vec::new()),
        (Some(stored), false) => {
            let step = stored.public.check(upload.unverified).map_err(unfit_commit)?;
            let recipients = deliveries::recipients(&stored.public, step.commit().body(), step.outcome());
            (step, recipients)
        }
    };
    let newcomers = deliveries::newcomers(&step);
    let attached = upload.attached.resolve(parts)?;
    let Fitting { deliveries, staged } =
        attached.fit(&author.device, &recipients, &newcomers, upload.commit.0.len())?;
    let change = Change::Commit(Box::new(step));
    Ok(CheckedCommit::New(Append {
        group,
        change,
        body: upload.commit.0.into(),
        deliveries,
        staged,
        now: clock::now(),
    }))
}

fn unfit_commit(error: CommitError) -> Unfit {
    match error {
        CommitError::Epoch { .. } | CommitError::Previous => Unfit::Behind,
        error => invalid_commit(&error.to_string()).into(),
    }
}

fn invalid_commit(reason: &str) -> Refusal {
    Refusal::InvalidCommit { reason: reason.to_owned() }
}

fn invalid(reason: &str) -> Refusal {
    Refusal::InvalidEntry { reason: reason.to_owned() }
}

fn invalid_entry(error: DecodeError) -> Refusal {
    match error {
        DecodeError::TooLarge { structure, max, .. } => {
            Refusal::TooLarge { what: structure.to_owned(), max: max as u64 }
        }
        error => Refusal::InvalidEntry { reason: error.to_string() },
    }
}

/// Why bytes are not a commit at all.
pub(crate) fn not_a_commit(error: DecodeError) -> Refusal {
    match error {
        DecodeError::TooLarge { structure, max, .. } => {
            Refusal::TooLarge { what: structure.to_owned(), max: max as u64 }
        }
        error => invalid_commit(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{Person, Room};
    use conclave_wire::commit::Operation;
    use conclave_wire::ids::{LeafIndex, Timestamp};
    use conclave_wire::roster::Role;

    fn stored(room: &Room) -> StoredGroup {
        StoredGroup { public: room.public.clone(), commit_seq: Seq(7) }
    }

    fn identity(person: &Person) -> Identity {
        Identity::new(person.account(), person.device_key())
    }

    fn distribution(bytes: Vec<u8>) -> Upload {
        Upload::Distribution { distribution: Opaque(bytes), attached: Attached::default() }
    }

    fn upload(commit: Vec<u8>) -> CommitUpload {
        let unverified = UnverifiedCommit::decode(&commit).unwrap();
        CommitUpload { unverified, commit: Opaque(commit), attached: Attached::default() }
    }

    fn with_deliveries(commit: Vec<u8>, count: usize) -> CommitUpload {
        let deliveries = vec![Opaque(vec![1; 40]); count];
        CommitUpload { attached: Attached::Here { deliveries, welcomes: Vec::new() }, ..upload(commit) }
    }

    /// Alice's group, and Bob who is not in it.
    fn alone() -> (Person, Person, Room) {
        let (alice, bob) = (Person::new("alice"), Person::new("bob"));
        let (_, room) = Room::genesis(&alice, 1);
        (alice, bob, room)
    }

    #[test]
    fn messages() {
        let (alice, bob, room) = alone();
        let group = stored(&room);
        let check = |person, bytes: Vec<u8>| check_message(&group, &identity(person), Opaque(bytes));
        assert!(matches!(
            check(&alice, room.message(&alice, b"hi")),
            Ok(Append { change: Change::Message(Epoch(0)), .. })
        ));
        assert_eq!(check(&bob, room.message(&alice, b"hi")).unwrap_err(), Refusal::NotMember.into());
        let foreign = check(&alice, room.message_of(LeafIndex(1), b"hi"));
        assert!(matches!(foreign, Err(Unfit::Refused(Refusal::InvalidEntry { .. }))));
        let mut later = room.message(&alice, b"hi");
        later[5] = 1;
        assert_eq!(check(&alice, later).unwrap_err(), Unfit::Stale(Epoch(0)));
    }

    #[test]
    fn distributions() {
        let (alice, bob, room) = alone();
        let group = stored(&room);
        let post = |person, bytes: Vec<u8>| check(&group, &identity(person), distribution(bytes), None);
        assert!(post(&alice, room.distribution(&alice)).is_ok());
        assert_eq!(post(&bob, room.distribution(&bob)).unwrap_err(), Refusal::NotMember.into());
        let invalid = [
            room.distribution(&bob),
            room.distribution_with(&alice, |c| c.device = bob.device()),
            room.distribution_with(&alice, |c| c.group = GroupId::from_bytes([3; 32])),
            room.distribution_with(&alice, |c| c.time = Timestamp(u64::MAX)),
            vec![1],
        ];
        for bytes in invalid {
            let refused = post(&alice, bytes);
            assert!(matches!(refused, Err(Unfit::Refused(Refusal::InvalidEntry { .. }))), "{refused:?}");
        }
    }

    #[test]
    fn commits() {
        let (alice, bob, room) = alone();
        let group = stored(&room);
        let add = || upload(room.commit(&alice, vec![bob.add()]));
        let check = |stored, person, upload| check_commit(stored, &identity(person), upload, None);
        let missing = Refusal::WrongDeliveries { expected: 1, found: 0 };
        assert_eq!(check(Some(&group), &alice, add()).unwrap_err(), missing.into());
        let others = check(Some(&group), &bob, add()).unwrap_err();
        assert!(matches!(others, Unfit::Refused(Refusal::InvalidCommit { .. })));
        assert_eq!(check(None, &alice, add()).unwrap_err(), Refusal::NotMember.into());
        let ahead = room.commit_with(&alice, vec![bob.add()], |body| body.time = Timestamp(u64::MAX));
        let ahead = check(Some(&group), &alice, upload(ahead)).unwrap_err();
        assert!(
            matches!(&ahead, Unfit::Refused(Refusal::InvalidCommit { reason }) if reason.contains("future"))
        );
        // The head, once more.
        let genesis = upload(Room::genesis(&alice, 1).0);
        assert!(matches!(check(Some(&group), &alice, genesis), Ok(CheckedCommit::Head(Seq(7)))));
        let genesis = upload(Room::genesis(&alice, 1).0);
        assert!(matches!(check(None, &alice, genesis), Ok(CheckedCommit::New(_))));
        // Of the past.
        let mut moved = room.clone();
        moved.advance(&room.commit(&alice, vec![Person::new("carol").add()]));
        let moved = stored(&moved);
        assert_eq!(check_commit(Some(&moved), &identity(&alice), add(), None).unwrap_err(), Unfit::Behind);
        let genesis = upload(Room::genesis(&alice, 1).0);
        assert_eq!(check_commit(Some(&moved), &identity(&alice), genesis, None).unwrap_err(), Unfit::Behind);
    }

    /// (R31) (R103) The server refuses what the group's members refuse: of two admins who remove each other the second,
    /// and a member's reset.
    #[test]
    fn commits_that_lost_or_exceed_a_role() {
        let (alice, bob, mut room) = alone();
        let carol = Person::new("carol");
        let set = |person: &Person| Operation::SetRole { account: person.account(), role: Role::Admin };
        for operations in [vec![bob.add(), carol.add()], vec![set(&bob), set(&carol)]] {
            let commit = room.commit(&alice, operations);
            room.advance(&commit);
        }
        let (by_bob, by_carol) =
            (room.commit(&bob, vec![carol.remove()]), room.commit(&carol, vec![bob.remove()]));
        let before = stored(&room);
        let first = check_commit(Some(&before), &identity(&bob), with_deliveries(by_bob.clone(), 1), None);
        assert!(matches!(first, Ok(CheckedCommit::New(_))));
        let reset = |author: &Person| {
            let reset = with_deliveries(room.commit(author, vec![Operation::Reset]), 2);
            check_commit(Some(&before), &identity(author), reset, None)
        };
        assert!(matches!(reset(&carol), Ok(CheckedCommit::New(_))));
        room.advance(&by_bob);
        let after = stored(&room);
        let second = check_commit(Some(&after), &identity(&carol), with_deliveries(by_carol, 1), None);
        assert_eq!(second.unwrap_err(), Refusal::NotMember.into());
        let demoted =
            room.commit(&alice, vec![Operation::SetRole { account: bob.account(), role: Role::Member }]);
        room.advance(&demoted);
        let after = stored(&room);
        let reset = with_deliveries(room.commit(&bob, vec![Operation::Reset]), 1);
        let refused = check_commit(Some(&after), &identity(&bob), reset, None).unwrap_err();
        assert!(matches!(refused, Unfit::Refused(Refusal::InvalidCommit { .. })));
    }
}
