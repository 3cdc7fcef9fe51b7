//! Members whose manifests were read on the way into the group, and are verified when they are first needed (R73).
//!
//! | name | content | rewritten by |
//! |---|---|---|
//! | `endorsement/` page | for each of 32 leaves: what is left to verify, or null | joining; each device when it is first needed; commits that change such a leaf |

use super::state::Group;
use crate::limits::SLOTS_PER_PAGE;
use crate::record::{Changes, LoadError};
use crate::slots::Page;
use conclave_wire::codec::{self, Structure};
use conclave_wire::endorsement::Endorsement;
use conclave_wire::ids::{AccountId, DeviceId, LeafIndex};
use conclave_wire::public_group::Step;
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;
use thiserror::Error;

/// A device in the roster that is not its account's: nothing is taken from it and nothing sealed to it.
///
/// Every member that processed the commit which added it has refused that commit. So its author and the server together
/// have shown this device a history that nobody else accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error(
    "the history that this device was shown when it joined lists a device which its account did not sign for: the server \
     and a member made it up; leave the group, and ask another member which history is theirs"
)]
pub struct ForgedMember {
    /// The account that the device was said to belong to.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
}

/// What is left to verify, by leaf. What is null at the end is left out.
#[derive(Encode, Decode)]
#[cbor(transparent)]
struct EndorsementPage(#[n(0)] Vec<Option<Endorsement>>);

impl Structure for EndorsementPage {
    const NAME: &'static str = "page of endorsements";
    const MAX_BYTES: usize = 8 + 133 * SLOTS_PER_PAGE as usize;
}

const ENDORSEMENT: &[u8] = b"endorsement/";

impl Group {
    /// How many devices of the roster have not been verified: they are when they are first heard of or sent to. None is
    /// left after [`verify_members`](Self::verify_members) but those that are forged.
    pub fn unverified_devices(&self) -> usize {
        self.public.unverified().count()
    }

    /// Verifies all devices that have not been, two signatures each. For an application that has time, or that shows its
    /// user who is in the group. Returns those that are not their accounts', and what to store.
    pub fn verify_members(&mut self) -> (Vec<ForgedMember>, Changes) {
        let (mut forged, mut settled, mut changes) = (Vec::new(), Vec::new(), Changes::default());
        for index in self.public.unverified() {
            match self.verify_device(index) {
                Ok(()) => settled.push(index),
                Err(member) => forged.push(member),
            }
        }
        self.settle(&settled, &mut changes);
        (forged, changes)
    }

    /// Verifies, if that is still to be done, that the device on a leaf is its account's; changes nothing.
    pub(super) fn verify_device(&self, index: LeafIndex) -> Result<(), ForgedMember> {
        let Some(leaf) = self.roster().leaf(index) else { return Ok(()) };
        let forged = |_| ForgedMember { account: leaf.account, device: leaf.device.id() };
        self.public.verify_device(index).map_err(forged)
    }

    /// As [`verify_device`](Self::verify_device), for all who are to be sent to.
    pub(super) fn verify_devices(
        &self,
        devices: impl IntoIterator<Item = DeviceId>,
    ) -> Result<Vec<LeafIndex>, ForgedMember> {
        let indices = devices.into_iter().filter_map(|device| self.roster().index_of(&device));
        let unverified = indices.filter(|index| self.public.endorsement(*index).is_some());
        unverified.map(|index| self.verify_device(index).map(|()| index)).collect()
    }

    /// Notes that these have been verified.
    pub(super) fn settle(&mut self, indices: &[LeafIndex], changes: &mut Changes) {
        let settled = indices.iter().filter(|index| self.public.settle(**index));
        let pages: BTreeSet<Page> = settled.map(|index| Page::of_leaf(*index)).collect();
        self.put_endorsement_pages(pages, changes);
    }

    /// The pages that a commit changes: to be written when it has been made.
    pub(super) fn endorsement_pages(&self, step: &Step) -> BTreeSet<Page> {
        let author = self.roster().index_of(&step.commit().body().author);
        let changed = step.outcome().leaf_changes().iter().map(|(index, _)| *index);
        let unverified = changed.chain(author).filter(|index| self.public.endorsement(*index).is_some());
        unverified.map(Page::of_leaf).collect()
    }

    pub(super) fn put_endorsements(&self, changes: &mut Changes) {
        let pages: BTreeSet<Page> = self.public.unverified().map(Page::of_leaf).collect();
        self.put_endorsement_pages(pages, changes);
    }

    pub(super) fn put_endorsement_pages(&self, pages: BTreeSet<Page>, changes: &mut Changes) {
        for page in pages {
            let mut endorsements: Vec<_> =
                page.leaves().map(|index| self.public.endorsement(index).copied()).collect();
            while endorsements.pop_if(|last| last.is_none()).is_some() {}
            match endorsements.is_empty() {
                true => changes.delete(self.scope(), page.name(ENDORSEMENT)),
                false => changes.put(self.scope(), page.name(ENDORSEMENT), &EndorsementPage(endorsements)),
            }
        }
    }
}

/// Takes a record, if it is one of these.
pub(super) fn take(
    name: &[u8],
    bytes: &[u8],
    endorsements: &mut Vec<(LeafIndex, Endorsement)>,
) -> Result<bool, LoadError> {
    let Some(rest) = name.strip_prefix(ENDORSEMENT) else { return Ok(false) };
    let page = Page::parse(rest).ok_or(LoadError::Damaged("endorsement"))?;
    let on_page = codec::decode::<EndorsementPage>(bytes)?.0;
    if on_page.len() > SLOTS_PER_PAGE as usize {
        return Err(LoadError::Damaged("endorsement"));
    }
    endorsements
        .extend(page.leaves().zip(on_page).filter_map(|(index, endorsement)| Some((index, endorsement?))));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::support::{Log, Person, SeedRng, book, gather};
    use crate::{
        AcceptError, AnswerError, DistributeError, ForgedMember, PrekeyBook, ReceiveError, StageError,
    };
    use conclave_wire::entry::Entry;
    use conclave_wire::ids::Seq;
    use conclave_wire::public_group::CommitError;
    use conclave_wire::roster::Role;

    /// Alice, Bob, and Dave, whose view of Bob is forged: a server that would show him that must have had Alice's help.
    fn deceived() -> (Log, PrekeyBook, [Person; 3], ForgedMember) {
        let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("dave", 3)];
        let [alice, bob, dave] = &mut people;
        let (mut log, _) = gather(&mut [alice, bob], &[Role::Admin]);
        let keys = book(&[alice, bob, dave]);
        bob.send(&mut log, &keys, b"before dave");
        alice.change(&mut log, &keys, vec![dave.add_operation(Role::Member)]);
        dave.join(&log, log.head()).unwrap();
        bob.catch_up(&log);
        let (account, device) = (bob.device.account(), bob.device.id());
        let group = dave.group();
        let index = group.roster().index_of(&device).unwrap();
        let signature = [&[0x58, 64], [0; 64].as_slice()].concat();
        let nobodys = minicbor::decode(&[[0x82].as_slice(), &signature, &signature].concat()).unwrap();
        group.public = group.public.clone().with_endorsements([(index, nobodys)]);
        (log, keys, people, ForgedMember { account, device })
    }

    fn unread(person: &mut Person, log: &Log) -> Vec<Entry> {
        let first = person.group().cursor().0 + 1;
        (first..=log.head().0).map(|seq| log.entry(Seq(seq), &person.device.id())).collect()
    }

    /// (R73) Nothing is taken from it: whatever it sends, and whichever way it is read.
    #[test]
    fn nothing_is_taken_from_a_forged_device() {
        let (mut log, keys, [_, mut bob, mut dave], forged) = deceived();
        for text in [b"one", b"two"] {
            let message = bob.seal(text).unwrap();
            log.post(&message).unwrap();
        }
        let run = bob.seal_run(&[b"three", b"four"]).unwrap();
        log.post(&run).unwrap();
        let upload = bob.stage_key(&keys);
        log.distribute(&bob.device.id(), &upload).unwrap();
        let request = dave.ask_sender_key(&bob).unwrap();
        let answer = bob.answer_with(&request, &keys);
        assert_eq!(dave.accept(&answer), Err(AcceptError::Forged(forged)));
        let entries = unread(&mut dave, &log);
        assert_eq!(entries.len(), 4);
        for entry in &entries {
            let before = dave.snapshot();
            assert_eq!(dave.receive(entry).unwrap_err(), ReceiveError::Forged(forged));
            assert_eq!(dave.snapshot(), before);
            let changes = dave.group().skip(entry).unwrap();
            dave.save(changes);
        }
        let (mut log, keys, [_, mut bob, mut dave], _) = deceived();
        for text in [b"one", b"two"] {
            let message = bob.seal(text).unwrap();
            log.post(&message).unwrap();
        }
        let entries = unread(&mut dave, &log);
        let now = dave.now;
        let read = dave.group.as_mut().unwrap().receive_all(&mut dave.device, &entries, now);
        let refused = |(_, event): &(_, Result<_, _>)| *event == Err(ReceiveError::Forged(forged));
        assert_eq!((read.events.len(), read.events.iter().all(refused)), (2, true));

        let add = vec![Person::new("erin", 9).add_operation(Role::Member)];
        let upload = bob.stage(add, &keys).unwrap();
        log.commit(&upload).unwrap();
        let error = dave.read_next(&log).unwrap_err();
        assert!(matches!(error, ReceiveError::Commit(CommitError::Manifest(_))), "{error:?}");
    }

    /// (R73) Nothing is sealed to it.
    #[test]
    fn nothing_is_sealed_to_a_forged_device() {
        let (_, mut keys, [_, mut bob, mut dave], forged) = deceived();
        dave.begin_heal(&mut keys);
        let (before, now) = (dave.snapshot(), dave.now);
        assert_eq!(dave.stage_heal(&keys), Err(StageError::Forged(forged)));
        let group = dave.group.as_mut().unwrap();
        let refused = group.distribute(&dave.device, &keys, now, &mut SeedRng::new(1)).map(drop);
        assert_eq!(refused, Err(DistributeError::Forged(forged)));
        assert_eq!(dave.snapshot(), before);
        let request = bob.ask_initial(Some(dave.device.id())).unwrap();
        assert_eq!(dave.answer(&request, &keys).map(drop), Err(AnswerError::Forged(forged)));
    }
}
