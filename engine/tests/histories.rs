//! Random histories of a group, against a model that knows who may read what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{DeviceId, Seq};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Event, GroupState};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::{Act, History, Log, Person};

/// The same histories in every run; `CONCLAVE_CASES` asks for more of them, `CONCLAVE_SEED` for others.
fn config() -> ProptestConfig {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    ProptestConfig {
        cases: number("CONCLAVE_CASES").map_or(64, |cases| u32::try_from(cases).unwrap()),
        rng_seed: RngSeed::Fixed(number("CONCLAVE_SEED").unwrap_or(1)),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![4 => Just(Role::Member), 2 => Just(Role::Admin), 1 => Just(Role::Owner)]
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0_usize..60;
    prop_oneof![
        6 => (who(), who(), role()).prop_map(|(by, who, role)| Act::Add { by, who, role }),
        3 => (who(), who()).prop_map(|(by, who)| Act::Remove { by, who }),
        2 => (who(), who(), role()).prop_map(|(by, who, role)| Act::SetRole { by, who, role }),
        1 => who().prop_map(|by| Act::Rotate { by }),
        8 => who().prop_map(|by| Act::Send { by }),
        3 => (who(), 2..5_usize).prop_map(|(by, count)| Act::SendRun { by, count }),
        1 => who().prop_map(|by| Act::Lose { by }),
        1 => who().prop_map(|from| Act::Withhold { from }),
        2 => who().prop_map(|who| Act::CatchUp { who }),
        1 => who().prop_map(|who| Act::Crash { who }),
        2 => (who(), who(), who()).prop_map(|(winner, loser, who)| Act::Race { winner, loser, who }),
        2 => (who(), who(), who()).prop_map(|(by, committer, who)| Act::SealBeforeCommit { by, committer, who }),
        2 => (who(), who(), who())
            .prop_map(|(by, committer, who)| Act::DistributeBeforeCommit { by, committer, who }),
        2 => (who(), who(), who())
            .prop_map(|(by, distributor, who)| Act::CommitBeforeDistribution { by, distributor, who }),
        2 => (who(), who(), any::<bool>()).prop_map(|(by, who, uploaded)| Act::CrashStaging { by, who, uploaded }),
        1 => (who(), any::<bool>()).prop_map(|(by, uploaded)| Act::CrashDistributing { by, uploaded }),
        2 => who().prop_map(|by| Act::Heal { by }),
        1 => (who(), who(), who()).prop_map(|(winner, loser, who)| Act::RaceWithHeal { winner, loser, who }),
        1 => who().prop_map(|by| Act::Reset { by }),
        1 => (who(), who()).prop_map(|(by, who)| Act::Leave { by, who }),
        2 => any::<bool>().prop_map(|tablet| Act::List { tablet }),
        3 => who().prop_map(|by| Act::Update { by }),
    ]
}

proptest! {
    #![proptest_config(config())]

    /// Each message is read by exactly the devices of its epoch, once, in order, from the right sender; everybody ends
    /// with one view of the group; who copied a device reads nothing after its heal (R48); and neither restarts nor
    /// lateness leave a trace (R90).
    #[test]
    fn members_read_what_is_theirs(people in 3_usize..=6, acts in prop::collection::vec(act(), 1..30)) {
        let mut history = History::new(people);
        // Most histories begin with several people in the group, some of them able to change it.
        history.act(Act::Add { by: 0, who: 1, role: Role::Owner });
        history.act(Act::Add { by: 1, who: 2, role: Role::Admin });
        for act in acts {
            history.act(act);
        }
        history.check();
        for (gone, removal) in &history.gone {
            reads_nothing_after(gone, *removal, GroupState::Removed, &history.log);
        }
        for (robbed, heal) in &history.robbed {
            reads_nothing_after(robbed, *heal, GroupState::NeedWelcome, &history.log);
        }
        for person in &mut history.people {
            reads_nothing_before(person, &history.log);
        }
    }
}

/// The full state of one who was removed or healed, from just before it, meets all that follows, with everybody's
/// deliveries.
fn reads_nothing_after(gone: &Person, removal: Seq, ends: GroupState, log: &Log) {
    let devices: Vec<DeviceId> = log.roster().devices().map(|(_, leaf)| leaf.device.id()).collect();
    for sees_the_removal in [true, false] {
        let mut thief = gone.copy();
        if sees_the_removal {
            thief.read_next(log).unwrap();
            assert_eq!(thief.group().state(), ends);
        }
        for seq in (removal.0..=log.head().0).map(Seq) {
            let next = thief.group().cursor().next().unwrap();
            for device in devices.iter().chain([&gone.device.id()]) {
                // In its place, and moved to where the thief stands.
                let entry = log.entry(seq, device);
                for entry in [Entry { seq: next, ..entry.clone() }, entry] {
                    assert!(!matches!(thief.copy().receive(&entry), Ok(Event::Message(_) | Event::Run(_))));
                }
            }
            if thief.group().cursor() < seq {
                let entry = log.entry(seq, &gone.device.id());
                let changes = thief.group().skip(&entry).unwrap();
                thief.save(changes);
            }
        }
        assert_eq!(thief.read, []);
    }
}

/// A member meets what the log held before they came.
fn reads_nothing_before(person: &mut Person, log: &Log) {
    let Some((joined, next)) =
        person.joined.zip(person.group.as_ref().and_then(|group| group.cursor().next()))
    else {
        return;
    };
    for seq in (1..joined.0).map(Seq) {
        let entry = log.entry(seq, &person.device.id());
        if entry.kind == EntryKind::Message {
            assert!(person.receive(&entry).is_err());
            assert!(person.receive(&Entry { seq: next, ..entry }).is_err());
        }
    }
}
