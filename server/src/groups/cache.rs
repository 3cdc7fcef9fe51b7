//! Groups in memory: what a message is checked against, without touching the store.

use crate::limits::MAX_CACHED_LEAVES;
use crate::store::{Store, StoreError, StoredGroup};
use conclave_wire::ids::{GroupId, Seq};
use conclave_wire::public_group::Step;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Groups as they are in the store, those lately used.
///
/// A cached group is never older than what the log writer has told anybody: the writer moves it on before it tells, and
/// a group that moves on while it is being loaded is loaded again.
pub(crate) struct GroupCache {
    store: Arc<dyn Store>,
    generations: Mutex<Generations>,
}

/// Two halves: what is used moves to `young`; when that is full it becomes `old`, and what was old is forgotten. So
/// nothing used within the last half of the room is forgotten, and nothing is ever searched.
#[derive(Default)]
struct Generations {
    young: HashMap<GroupId, Arc<StoredGroup>>,
    old: HashMap<GroupId, Arc<StoredGroup>>,
    /// Leaves of the rosters in `young`.
    leaves: usize,
    /// Groups that are being loaded, and how often each has moved on meanwhile.
    loading: HashMap<GroupId, Loading>,
}

#[derive(Default)]
struct Loading {
    loaders: usize,
    moves: usize,
}

impl GroupCache {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, generations: Mutex::default() }
    }

    /// A group that is in memory.
    pub(crate) fn cached(&self, group: &GroupId) -> Option<Arc<StoredGroup>> {
        self.lock().find(group)
    }

    /// A group, from memory or the store. Blocks.
    pub(crate) fn load(&self, group: &GroupId) -> Result<Option<Arc<StoredGroup>>, StoreError> {
        loop {
            let moves = {
                let mut generations = self.lock();
                if let Some(found) = generations.find(group) {
                    return Ok(Some(found));
                }
                generations.begin_loading(group)
            };
            let stored = self.store.group(group);
            let mut generations = self.lock();
            let moved = generations.end_loading(group) != moves;
            let Some(stored) = stored?.map(Arc::new) else { return Ok(None) };
            if !moved {
                generations.insert(*group, stored.clone());
                return Ok(Some(stored));
            }
        }
    }

    /// Makes a step that has become durable.
    pub(crate) fn advance(&self, group: &GroupId, step: Step, seq: Seq) {
        let mut generations = self.lock();
        if let Some(loading) = generations.loading.get_mut(group) {
            loading.moves += 1;
        }
        let Some(mut stored) = generations.remove(group) else { return };
        if stored.public.head() == step.commit().body().previous {
            // Copies the roster only while somebody checks a request against it.
            let next = Arc::make_mut(&mut stored);
            next.public.advance(step);
            next.commit_seq = seq;
            generations.insert(*group, stored);
        } else if stored.public.head() == step.commit().hash() {
            generations.insert(*group, stored);
        }
    }

    /// A group as it is now, also if other servers change it: what is in memory counts only if its head still is. Blocks.
    pub(crate) fn load_present(&self, group: &GroupId) -> Result<Option<Arc<StoredGroup>>, StoreError> {
        if let Some(cached) = self.cached(group)
            && self.store.head(group)? != Some(cached.public.head())
        {
            self.forget(group);
        }
        self.load(group)
    }

    /// Forgets a group, which has moved on.
    fn forget(&self, group: &GroupId) {
        let mut generations = self.lock();
        if let Some(loading) = generations.loading.get_mut(group) {
            loading.moves += 1;
        }
        generations.remove(group);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn find(&mut self, group: &GroupId) -> Option<Arc<StoredGroup>> {
        if let Some(found) = self.young.get(group) {
            return Some(found.clone());
        }
        let found = self.old.remove(group)?;
        self.insert(*group, found.clone());
        Some(found)
    }

    fn insert(&mut self, group: GroupId, stored: Arc<StoredGroup>) {
        if self.leaves >= MAX_CACHED_LEAVES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.leaves = 0;
        }
        self.leaves += stored.public.roster().leaf_count().max(1);
        self.old.remove(&group);
        if let Some(replaced) = self.young.insert(group, stored) {
            self.leaves = self.leaves.saturating_sub(replaced.public.roster().leaf_count().max(1));
        }
    }

    fn remove(&mut self, group: &GroupId) -> Option<Arc<StoredGroup>> {
        if let Some(found) = self.young.remove(group) {
            self.leaves = self.leaves.saturating_sub(found.public.roster().leaf_count().max(1));
            return Some(found);
        }
        self.old.remove(group)
    }

    fn begin_loading(&mut self, group: &GroupId) -> usize {
        let loading = self.loading.entry(*group).or_default();
        loading.loaders += 1;
        loading.moves
    }

    fn end_loading(&mut self, group: &GroupId) -> usize {
        let Some(loading) = self.loading.get_mut(group) else { return 0 };
        let moves = loading.moves;
        loading.loaders -= 1;
        if loading.loaders == 0 {
            self.loading.remove(group);
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{Person, Room};
    use crate::store::Change;
    use crate::store::contract::{append, genesis_of};
    use crate::store::embedded::Embedded;
    use crate::store::hooked::{Hooked, When};
    use conclave_wire::commit::UnverifiedCommit;

    type Meanwhile = Box<dyn FnOnce(&Embedded) + Send>;

    fn step(room: &mut Room, commit: &[u8]) -> Step {
        let step = room.public.check(UnverifiedCommit::decode(commit).unwrap()).unwrap();
        room.advance(commit);
        step
    }

    #[test]
    fn a_commit_while_a_group_is_loaded_is_not_overlooked() {
        let alice = Person::new("alice");
        let (genesis, mut room) = Room::genesis(&alice, 1);
        let id = room.id();
        let dir = tempfile::tempdir().unwrap();
        let meanwhile = Arc::new(Mutex::new(None::<Meanwhile>));
        let hook = meanwhile.clone();
        let store = Hooked::new(Embedded::open(dir.path()).unwrap(), move |when, store| {
            let meanwhile = if when == When::GroupRead { hook.lock().unwrap().take() } else { None };
            meanwhile.into_iter().for_each(|meanwhile| meanwhile(store));
            Ok(())
        });
        store.write(&[genesis_of(&genesis)]).unwrap();
        let cache = Arc::new(GroupCache::new(Arc::new(store)));

        // The log writer stores a commit and moves the cache on, just after the loader has read the old state.
        let commit = room.commit(&alice, vec![Person::new("bob").add()]);
        let stored = room.public.check(UnverifiedCommit::decode(&commit).unwrap()).unwrap();
        let stored = append(id, Change::Commit(Box::new(stored)), &commit, Vec::new());
        let first = step(&mut room, &commit);
        let writer = cache.clone();
        *meanwhile.lock().unwrap() = Some(Box::new(move |store: &Embedded| {
            store.write(&[stored]).unwrap();
            writer.advance(&id, first, Seq(2));
        }));
        assert_eq!(cache.load(&id).unwrap().unwrap().commit_seq, Seq(2));

        // From now on it is moved on in memory, also while somebody holds it.
        let held = cache.load(&id).unwrap().unwrap();
        let commit = room.commit(&alice, vec![Person::new("carol").add()]);
        let second = step(&mut room, &commit);
        cache.advance(&id, second, Seq(3));
        let cached = cache.cached(&id).unwrap();
        assert_eq!(cached.public.roster().hash(), room.public.roster().hash());
        assert_eq!((cached.commit_seq, held.commit_seq), (Seq(3), Seq(2)));
        assert!(cache.lock().loading.is_empty());
    }
}
