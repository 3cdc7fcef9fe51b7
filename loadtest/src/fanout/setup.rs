//! The preparation: devices register, groups are founded and joined, senders give out their keys, everybody subscribes.

use super::device::Participant;
use super::plan::Plan;
use super::target::Target;
use crate::failure::Failure;
use conclave_engine::PrekeyBook;
use conclave_engine::wire::ids::{DeviceId, GroupId, LeafIndex, Seq, Timestamp};
use conclave_engine::wire::limits::MAX_FRAME;
use conclave_engine::wire::name::Name;
use conclave_engine::wire::request::Cursor;
use conclave_report::Progress;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::future::Future;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

/// Steps under way at once: enough to keep two cores busy, few enough not to be a load test already.
const AT_ONCE: usize = 32;

/// What a newcomer costs in the upload that adds it: manifest, welcome, and room to spare.
const NEWCOMER_BYTES: usize = 4500;

/// Groups that are ready for messages.
pub(super) struct Stage {
    pub(super) participants: Vec<Participant>,
    pub(super) groups: Vec<Ready>,
}

/// A group that is ready for messages.
pub(super) struct Ready {
    pub(super) id: GroupId,
    /// Participants, in the plan's order.
    pub(super) members: Vec<usize>,
    pub(super) senders: Vec<(LeafIndex, u32)>,
    /// Up to where the log is, and pushes begin after it.
    pub(super) head: Seq,
    /// Everybody's prekeys, for senders that need another key.
    pub(super) book: Arc<PrekeyBook>,
}

type People = Arc<Vec<Mutex<Participant>>>;

/// Prepares everything.
pub(super) async fn prepare(
    plan: &Arc<Plan>,
    targets: &[Target],
    progress: &Progress,
) -> Result<Stage, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = Timestamp(u64::try_from(now).unwrap_or(u64::MAX));
    let mut rng = match plan.seed {
        0 => StdRng::from_rng(&mut rand::rng()),
        seed => StdRng::seed_from_u64(seed),
    };
    // Names differ from run to run, keys and contents do not.
    let run: u32 = rand::rng().random();
    let mut newcomers = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        newcomers.push((index, StdRng::from_rng(&mut rng)));
    }
    let (dialled, sources) = (targets.to_vec(), plan.sources);
    let of_plan = Arc::clone(plan);
    let done = |count| progress.say(format!("{count} of {} devices registered", plan.connections));
    let participants = in_parallel(newcomers, done, move |(index, rng)| {
        let (target, from) = (dialled.get(of_plan.node_of(index)).cloned(), sources.address(index));
        async move {
            let target = target.ok_or(Failure::Unexpected("a server"))?;
            let name: Name =
                format!("load-{run:08x}-{index}").parse().map_err(|_| Failure::Unexpected("a name"))?;
            Participant::register(&target, from, name, now, rng).await
        }
    })
    .await?;
    let ids: Arc<Vec<(Name, DeviceId)>> =
        Arc::new(participants.iter().map(|person| (person.name.clone(), person.device.id())).collect());
    let people: People = Arc::new(participants.into_iter().map(Mutex::new).collect());

    let mut groups = Vec::with_capacity(plan.groups);
    for number in 0..plan.groups {
        progress.say(format!("{number} of {} groups prepared", plan.groups));
        groups.push(prepare_group(plan, number, &people, &ids).await?);
    }
    subscribe(plan, &people, &groups).await?;
    let people = Arc::into_inner(people).ok_or(Failure::Unexpected("the preparation"))?;
    Ok(Stage { participants: people.into_iter().map(Mutex::into_inner).collect(), groups })
}

async fn prepare_group(
    plan: &Arc<Plan>,
    number: usize,
    people: &People,
    ids: &[(Name, DeviceId)],
) -> Result<Ready, Failure> {
    let members = plan.members_of(number);
    let known: Vec<&(Name, DeviceId)> = members.iter().filter_map(|member| ids.get(*member)).collect();
    let devices: Vec<DeviceId> = known.iter().map(|(_, id)| *id).collect();
    let founder = person(people, &members, 0)?;

    // The founder founds, looks everybody up and adds them.
    let (id, book, joins) = {
        let mut founder = founder.lock().await;
        let id = founder.found(number).await?;
        let book = founder.prekeys(&devices).await?;
        let mut joins = vec![Seq(1)];
        for chunk in known.get(1..).unwrap_or_default().chunks(MAX_FRAME / NEWCOMER_BYTES) {
            let mut manifests = Vec::with_capacity(chunk.len());
            for (name, _) in chunk {
                manifests.push(founder.lookup(name.clone()).await?);
            }
            let added = founder.add(number, &manifests, &book).await?;
            joins.extend(chunk.iter().map(|_| added));
        }
        (id, Arc::new(book), joins)
    };

    // Newcomers join.
    let joining: Vec<(usize, Seq)> = (1..)
        .zip(members.iter().zip(&joins).skip(1))
        .filter(|(place, _)| plan.opens(*place))
        .map(|(_, (member, added))| (*member, *added))
        .collect();
    let everybody = Arc::clone(people);
    in_parallel(
        joining,
        |_| (),
        move |(member, added)| {
            let people = Arc::clone(&everybody);
            async move {
                let person = people.get(member).ok_or(Failure::Unexpected("a member"))?;
                person.lock().await.join(number, id, added).await
            }
        },
    )
    .await?;

    // Senders give out their keys, one after the other.
    let mut senders = Vec::with_capacity(plan.senders);
    for place in 0..plan.senders {
        let mut sender = person(people, &members, place)?.lock().await;
        let generation = sender.distribute(number, &book).await?;
        let device = sender.device.id();
        let group = sender.groups.get(&number);
        let leaf = group.and_then(|group| group.roster().index_of(&device));
        senders.push((leaf.ok_or(Failure::Unexpected("a sender"))?, generation.0));
    }
    let last = person(people, &members, plan.senders.saturating_sub(1))?.lock().await;
    let head = last.groups.get(&number).ok_or(Failure::Unexpected("a sender"))?.cursor();
    drop(last);

    // Everybody reads up to there.
    let reading: Vec<usize> =
        (0..).zip(&members).filter(|(place, _)| plan.opens(*place)).map(|(_, member)| *member).collect();
    let everybody = Arc::clone(people);
    let read = move |member: usize| {
        let people = Arc::clone(&everybody);
        async move {
            let person = people.get(member).ok_or(Failure::Unexpected("a member"))?;
            person.lock().await.catch_up(number).await.map(drop)
        }
    };
    in_parallel(reading, |_| (), read).await?;
    Ok(Ready { id, members, senders, head, book })
}

/// Everybody asks for what comes, in all groups at once: a connection that has subscribed to one group is pushed the
/// history of others from the moment it is added to them.
async fn subscribe(plan: &Plan, people: &People, groups: &[Ready]) -> Result<(), Failure> {
    let mut cursors: Vec<Vec<Cursor>> = (0..plan.connections).map(|_| Vec::new()).collect();
    for ready in groups {
        for member in &ready.members {
            if let Some(cursors) = cursors.get_mut(*member) {
                cursors.push(Cursor { group: ready.id, seq: ready.head });
            }
        }
    }
    let everybody = Arc::clone(people);
    let ask = move |(member, cursors): (usize, Vec<Cursor>)| {
        let people = Arc::clone(&everybody);
        async move {
            let person = people.get(member).ok_or(Failure::Unexpected("a member"))?;
            person.lock().await.subscribe(&cursors).await
        }
    };
    in_parallel(cursors.into_iter().enumerate().collect(), |_| (), ask).await.map(drop)
}

fn person<'a>(
    people: &'a People,
    members: &[usize],
    place: usize,
) -> Result<&'a Mutex<Participant>, Failure> {
    members.get(place).and_then(|member| people.get(*member)).ok_or(Failure::Unexpected("a member"))
}

/// Does `work` for each item, a few at once, and keeps their order.
async fn in_parallel<T, R, F>(
    items: Vec<T>,
    done: impl Fn(usize),
    work: impl Fn(T) -> F,
) -> Result<Vec<R>, Failure>
where
    R: Send + 'static,
    F: Future<Output = Result<R, Failure>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (place, item) in items.into_iter().enumerate() {
        let (task, room) = (work(item), Arc::clone(&room));
        tasks.spawn(async move {
            let _place = room.acquire().await;
            task.await.map(|result| (place, result))
        });
    }
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        results.push(ended.map_err(|_| Failure::Unexpected("the preparation"))??);
        done(results.len());
    }
    results.sort_by_key(|(place, _)| *place);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
