//! Who of a hub is subscribed to what, and from where on.

use super::{Interest, Published};
use bytes::Bytes;
use conclave_wire::ids::{DeviceId, GroupId, Seq};
use slab::Slab;
use std::collections::HashMap;
use std::sync::Arc;

/// A connection, as the registry sees it.
pub(crate) trait Member: Clone {
    /// Whose it is.
    fn device(&self) -> DeviceId;

    /// Queues a frame, or says that there is no room.
    fn offer(&self, frame: &Bytes) -> bool;

    /// Hears that its subscription to a group is no longer live.
    fn fell_behind(&self, group: GroupId);
}

/// Where a subscription stands in its group's list; the connection remembers it.
pub(crate) type Place = usize;

/// All subscriptions of one hub.
pub(crate) struct Registry<M> {
    groups: HashMap<GroupId, Slab<Subscription<M>>>,
    /// Which groups these are, with those of the other hubs.
    interest: Arc<Interest>,
}

struct Subscription<M> {
    member: M,
    /// The entry that the member gets next.
    next: Seq,
    /// `None` if live. Behind, the last entry that passed meanwhile.
    passed: Option<Seq>,
    /// How often it was started again; what was read for an earlier start is void.
    start: u32,
}

/// What a subscription that is behind wants to be fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// The group.
    pub(crate) group: GroupId,
    /// The first entry wanted.
    pub(crate) next: Seq,
    place: Place,
    start: u32,
}

/// What was read for a [`Want`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fed {
    /// The entry after the last one read.
    pub(crate) next: Seq,
    /// Whether the log had no more.
    pub(crate) complete: bool,
    /// Whether there never will be more, because the device has left.
    pub(crate) left: bool,
}

/// What is to be done with what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Hand it on; the subscription is live.
    Live,
    /// Hand it on; there is more to read.
    More,
    /// Hand it on; the subscription has ended.
    Ended,
    /// Throw it away: the subscription began again meanwhile.
    Again,
    /// Throw it away: the subscription is gone.
    Gone,
}

impl<M: Member> Registry<M> {
    /// Without subscriptions. What comes and goes is told to `interest`.
    pub(crate) fn new(interest: Arc<Interest>) -> Self {
        Self { groups: HashMap::new(), interest }
    }

    /// Subscribes a member from `next` on, behind at first.
    pub(crate) fn insert(&mut self, group: GroupId, member: &M, next: Seq) -> Place {
        let subscription = Subscription { member: member.clone(), next, passed: Some(Seq(0)), start: 0 };
        let interest = &self.interest;
        let members = self.groups.entry(group).or_insert_with(|| {
            interest.begin(group);
            Slab::new()
        });
        let place = members.insert(subscription);
        member.fell_behind(group);
        place
    }

    /// Begins a subscription again at `next`.
    pub(crate) fn restart(&mut self, group: &GroupId, place: Place, next: Seq) {
        let Some(subscription) = self.subscription(group, place) else { return };
        subscription.next = next;
        subscription.start = subscription.start.wrapping_add(1);
        if subscription.passed.is_none() {
            subscription.passed = Some(Seq(0));
            subscription.member.fell_behind(*group);
        }
    }

    /// Hears that the entry `seq` brings the member into the group, which it was in before: what it has not been fed of
    /// that time it may no longer read. A member that asked from a later entry on has heard of it already.
    pub(crate) fn rejoin(&mut self, group: &GroupId, place: Place, seq: Seq) {
        if self.subscription(group, place).is_some_and(|subscription| subscription.next <= seq) {
            self.restart(group, place, seq);
        }
    }

    /// Ends a subscription.
    pub(crate) fn remove(&mut self, group: &GroupId, place: Place) {
        let Some(members) = self.groups.get_mut(group) else { return };
        members.try_remove(place);
        if members.is_empty() {
            self.groups.remove(group);
            self.interest.end(group);
        }
    }

    /// Hands a new entry to the live members of its group. Returns those for whom it is the last.
    pub(crate) fn publish(&mut self, entry: &Published) -> Vec<M> {
        let Some(members) = self.groups.get_mut(&entry.group) else { return Vec::new() };
        match &entry.particular {
            None => {
                for (_, subscription) in members.iter_mut() {
                    subscription.publish(entry, entry.frame.as_ref());
                }
                Vec::new()
            }
            Some(particular) => {
                let mut ended = Vec::new();
                members.retain(|_, subscription| {
                    let device = subscription.member.device();
                    let own = entry.frame.is_some().then(|| particular.frame(entry, &device)).flatten();
                    subscription.publish(entry, own.as_ref().or(entry.frame.as_ref()));
                    let ends = subscription.passed.is_none() && particular.removed.contains(&device);
                    if ends {
                        ended.push(subscription.member.clone());
                    }
                    !ends
                });
                if members.is_empty() {
                    self.groups.remove(&entry.group);
                    self.interest.end(&entry.group);
                }
                ended
            }
        }
    }

    /// What a subscription is to be fed next; `None` if it is live or gone.
    pub(crate) fn want(&mut self, group: &GroupId, place: Place) -> Option<Want> {
        let subscription = self.subscription(group, place)?;
        subscription.passed?;
        Some(Want { group: *group, next: subscription.next, place, start: subscription.start })
    }

    /// Decides about what was read.
    pub(crate) fn fed(&mut self, want: &Want, fed: Fed) -> Verdict {
        let Some(subscription) = self.subscription(&want.group, want.place) else { return Verdict::Gone };
        if subscription.start != want.start {
            return Verdict::Again;
        }
        subscription.next = fed.next.max(subscription.next);
        if !fed.complete {
            return Verdict::More;
        }
        if fed.left {
            self.remove(&want.group, want.place);
            return Verdict::Ended;
        }
        if subscription.passed.is_some_and(|passed| passed >= subscription.next) {
            return Verdict::More;
        }
        subscription.passed = None;
        Verdict::Live
    }

    fn subscription(&mut self, group: &GroupId, place: Place) -> Option<&mut Subscription<M>> {
        self.groups.get_mut(group)?.get_mut(place)
    }
}

impl<M: Member> Subscription<M> {
    fn publish(&mut self, entry: &Published, frame: Option<&Bytes>) {
        if let Some(passed) = &mut self.passed {
            *passed = entry.seq;
            return;
        }
        if entry.seq < self.next {
            return;
        }
        let taken = entry.seq == self.next && frame.is_some_and(|frame| self.member.offer(frame));
        if taken {
            self.next = Seq(entry.seq.0.saturating_add(1));
        } else {
            self.passed = Some(entry.seq);
            self.member.fell_behind(entry.group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::Particular;
    use conclave_wire::entry::EntryKind;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    const GROUP: GroupId = GroupId::from_bytes([1; 32]);

    #[derive(Default)]
    struct Mock {
        got: RefCell<Vec<Bytes>>,
        full: Cell<bool>,
        falls: Cell<u32>,
    }

    impl Member for Rc<Mock> {
        fn device(&self) -> DeviceId {
            DeviceId::from_bytes([3; 32])
        }

        fn offer(&self, frame: &Bytes) -> bool {
            if !self.full.get() {
                self.got.borrow_mut().push(frame.clone());
            }
            !self.full.get()
        }

        fn fell_behind(&self, _: GroupId) {
            self.falls.set(self.falls.get() + 1);
        }
    }

    fn entry(seq: u64) -> Published {
        let frame = Some(Bytes::from(format!("entry {seq}")));
        Published { group: GROUP, seq: Seq(seq), frame, particular: None }
    }

    fn fed(next: u64) -> Fed {
        Fed { next: Seq(next), complete: true, left: false }
    }

    /// A member that is live from entry 5 on.
    fn live() -> (Registry<Rc<Mock>>, Rc<Mock>, Place) {
        let (mut registry, member) = (Registry::new(Arc::default()), Rc::new(Mock::default()));
        let place = registry.insert(GROUP, &member, Seq(5));
        let want = registry.want(&GROUP, place).unwrap();
        assert_eq!(want.next, Seq(5));
        assert_eq!(registry.fed(&want, fed(5)), Verdict::Live);
        assert_eq!(registry.want(&GROUP, place), None);
        (registry, member, place)
    }

    #[test]
    fn live_members_get_each_entry_once() {
        let (mut registry, member, _) = live();
        for seq in [3, 4, 5, 5, 6, 5, 7] {
            registry.publish(&entry(seq));
        }
        assert_eq!(*member.got.borrow(), ["entry 5", "entry 6", "entry 7"]);
        assert_eq!(member.falls.get(), 1);
    }

    #[test]
    fn a_gap_a_full_queue_or_a_missing_frame_put_it_behind() {
        let (mut registry, member, place) = live();
        registry.publish(&entry(6));
        assert_eq!((registry.want(&GROUP, place).unwrap().next, member.falls.get()), (Seq(5), 2));

        let (mut registry, member, place) = live();
        member.full.set(true);
        registry.publish(&entry(5));
        assert_eq!((registry.want(&GROUP, place).unwrap().next, member.falls.get()), (Seq(5), 2));

        let (mut registry, member, place) = live();
        registry.publish(&Published { frame: None, ..entry(5) });
        assert_eq!((registry.want(&GROUP, place).unwrap().next, member.falls.get()), (Seq(5), 2));
    }

    #[test]
    fn what_passes_while_it_is_fed_is_fed_too() {
        let (mut registry, member, place) = live();
        registry.publish(&entry(6));
        let want = registry.want(&GROUP, place).unwrap();
        registry.publish(&entry(7));
        // The page was read before entry 7 was stored.
        assert_eq!(registry.fed(&want, fed(7)), Verdict::More);
        let want = registry.want(&GROUP, place).unwrap();
        assert_eq!(want.next, Seq(7));
        // The page holds entry 8, which the hub has not seen yet: it is not pushed again.
        assert_eq!(registry.fed(&want, fed(9)), Verdict::Live);
        registry.publish(&entry(8));
        registry.publish(&entry(9));
        assert_eq!(*member.got.borrow(), ["entry 9"]);
    }

    #[test]
    fn what_was_read_for_an_earlier_start_is_void() {
        let (mut registry, member, place) = live();
        registry.publish(&entry(7));
        let want = registry.want(&GROUP, place).unwrap();
        registry.restart(&GROUP, place, Seq(2));
        assert_eq!(registry.fed(&want, fed(8)), Verdict::Again);
        assert_eq!(registry.want(&GROUP, place).unwrap().next, Seq(2));
        registry.remove(&GROUP, place);
        assert_eq!(registry.fed(&want, fed(8)), Verdict::Gone);
        assert!(member.got.borrow().is_empty());
    }

    #[test]
    fn who_comes_in_again_begins_there() {
        let (mut registry, _, place) = live();
        registry.publish(&entry(7));
        registry.rejoin(&GROUP, place, Seq(9));
        assert_eq!(registry.want(&GROUP, place).unwrap().next, Seq(9));
        // It was fed the addition before its hub heard of it.
        registry.rejoin(&GROUP, place, Seq(8));
        assert_eq!(registry.want(&GROUP, place).unwrap().next, Seq(9));
    }

    #[test]
    fn the_removed_get_their_removal_last() {
        let (mut registry, member, _) = live();
        let device = member.device();
        let particular = Particular {
            kind: EntryKind::Commit,
            body: Bytes::from_static(b"removal"),
            deliveries: HashMap::new(),
            added: Vec::new(),
            removed: vec![device],
        };
        let removal = Published { particular: Some(Arc::new(particular)), ..entry(5) };
        assert_eq!(registry.publish(&removal).len(), 1);
        registry.publish(&entry(6));
        assert_eq!(*member.got.borrow(), ["entry 5"]);
    }

    #[test]
    fn who_hangs_back_when_removed_is_fed_the_removal() {
        let (mut registry, _, place) = live();
        registry.publish(&entry(6));
        let want = registry.want(&GROUP, place).unwrap();
        let verdict = registry.fed(&want, Fed { next: Seq(9), complete: true, left: true });
        assert_eq!(verdict, Verdict::Ended);
        assert_eq!(registry.want(&GROUP, place), None);
    }

    #[test]
    fn deliveries_are_each_devices_own() {
        let (mut registry, member, _) = live();
        let particular = Particular {
            kind: EntryKind::Distribution,
            body: Bytes::from_static(b"key"),
            deliveries: HashMap::from([(member.device(), Bytes::from_static(b"mine"))]),
            added: Vec::new(),
            removed: Vec::new(),
        };
        registry.publish(&Published { particular: Some(Arc::new(particular)), ..entry(5) });
        let got = member.got.borrow().concat();
        assert!(got.windows(4).any(|bytes| bytes == b"mine"), "{got:?}");
    }
}
