//! The run: start, prepare, load, drain, judge.

use super::check::{Checker, Sent};
use super::drive::{Driver, Seen, Shared, Wake};
use super::finding::{Findings, Violation};
use super::ledger::{GroupLedger, SenderLedger};
use super::meter::{Clock, Meter};
use super::pace;
use super::plan::{Arrivals, Depth, Plan};
use super::results::{Results, ServerFacts};
use super::seat::{Seat, Sending};
use super::server_process::{Servers, Usage, own_usage};
use super::setup::{self, Ready, Stage};
use super::source;
use super::target::Target;
use crate::Verdict;
use crate::args::FanoutArgs;
use crate::failure::Failure;
use crate::program::program;
use conclave_report::{Machine, Progress, Saver};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long what is on its way may take to arrive after the last message was sent.
const DRAIN: Duration = Duration::from_secs(15);

/// How often the line, and the file, are brought up to date.
const REFRESH: Duration = Duration::from_secs(2);

/// Lag of the generator that is no matter, in milliseconds.
const HARMLESS_LAG: f64 = 1.0;

/// Runs `fanout`.
pub(crate) fn run(args: &FanoutArgs) -> Result<Verdict, Failure> {
    let plan = Arc::new(Plan::of(args)?);
    source::check_files(conclave_report::raise_file_limit(), plan.connections)?;
    let machine = Machine::here();
    let saver = Saver::new(program("fanout"), args.json.clone(), machine.clone());
    let server = match plan.target {
        Some(_) => None,
        None => Some(Servers::start(&plan)?),
    };
    if plan.pin {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        conclave_report::pin(1..processors.max(2))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::system("cannot start a runtime"))?;
    let results = runtime.block_on(load(&plan, server.as_ref(), &saver))?;
    drop(runtime);
    drop(server);
    saver.save(&results, !results.interrupted)?;
    println!("{}\n\n{results}", machine.lines());
    if results.found.violations > 0 {
        return Ok(Verdict::Violated);
    }
    if results.deliveries == 0 && !results.interrupted {
        return Err(Failure::Wrong("nothing was delivered within the measurement; make it longer".into()));
    }
    Ok(Verdict::Sound)
}

async fn load(plan: &Arc<Plan>, server: Option<&Servers>, saver: &Saver) -> Result<Results, Failure> {
    let targets = match (server, &plan.target) {
        (Some(servers), _) => servers.targets(),
        (None, Some(target)) => vec![target.clone()],
        (None, None) => Vec::new(),
    };
    let Some(first) = targets.first() else {
        return Err(Failure::Settings("there is no server".into()));
    };
    let progress = Progress::new();
    let mut results = Results::new(plan, facts(server, first));
    saver.save(&results, false)?;

    let begun = Instant::now();
    let stage = tokio::select! {
        stage = setup::prepare(plan, &targets, &progress) => stage?,
        _ = tokio::signal::ctrl_c() => {
            results.interrupted = true;
            return Ok(results);
        }
    };
    results.setup_seconds = Some(begun.elapsed().as_secs_f64());
    results.server.rss_kib_idle = server.and_then(Servers::usage).map(|usage| usage.rss_kib);
    saver.save(&results, false)?;

    let (finish, finished) = watch::channel(false);
    let mut running = Running::start(plan, stage, &finished)?;
    results.interrupted = measure(&running.shared, server, &mut results, saver, &progress).await?;
    progress.say("waiting for what is on its way");
    drain(&running.shared).await;
    // Whoever listens is told; nobody listening is fine too.
    let _ = finish.send(true);
    let mut seen = Vec::new();
    while let Some(ended) = running.tasks.join_next().await {
        let (of_one, never_sent) = ended.map_err(|_| Failure::Wrong("a connection's task failed".into()))?;
        results.never_sent += never_sent;
        seen.extend(of_one);
    }
    judge(&running.shared, &seen);
    results.messages_checked = running
        .shared
        .groups
        .iter()
        .flat_map(|group| &group.senders)
        .map(|sender| sender.sent().accepted)
        .sum();
    results.server.rss_kib_end = server.and_then(Servers::usage).map(|usage| usage.rss_kib);
    read(&running.shared, &mut results);
    progress.done();
    Ok(results)
}

/// The connections at work.
struct Running {
    shared: Arc<Shared>,
    tasks: JoinSet<(Vec<Seen>, u64)>,
}

impl Running {
    fn start(plan: &Plan, stage: Stage, finished: &watch::Receiver<bool>) -> Result<Self, Failure> {
        let Stage { participants, groups } = stage;
        let (mut people, mut wakes): (Vec<_>, Vec<_>) = participants
            .into_iter()
            .map(|person| {
                let (wake, waking) = unbounded_channel();
                ((person, Vec::new(), waking), wake)
            })
            .unzip();
        let mut ledgers = Vec::with_capacity(groups.len());
        let mut books = Vec::with_capacity(groups.len());
        let mut senders = Vec::new();
        for (number, ready) in groups.into_iter().enumerate() {
            let mut of_group = Vec::with_capacity(plan.senders);
            for (place, member) in ready.members.iter().enumerate() {
                let Some((person, seats, _)) = people.get_mut(*member) else { continue };
                let engine = person.groups.remove(&number);
                if let (Some((leaf, generation)), Some(wake)) = (ready.senders.get(place), wakes.get(*member))
                {
                    of_group.push(SenderLedger::new(*leaf, *generation, wake.clone(), seats.len()));
                    senders.push((wake.clone(), seats.len()));
                }
                seats.push(seat(plan, &ready, number, place, engine));
            }
            ledgers.push(GroupLedger::new(ready.members.len(), of_group));
            books.push(ready.book);
        }
        // The ledgers hold what wakes a sender; the rest would keep nobody awake.
        wakes.clear();
        let shared = Arc::new(Shared {
            plan: plan.clone(),
            meter: Meter::new(Clock::new(plan.warm_up, plan.duration)),
            findings: Findings::default(),
            groups: ledgers,
            books,
        });
        begin(plan, &shared, senders)?;
        let mut tasks = JoinSet::new();
        for (index, (person, seats, waking)) in people.into_iter().enumerate() {
            let (shared, finished) = (Arc::clone(&shared), finished.clone());
            let driver =
                Driver { index, device: person.device, rng: person.rng, now: person.now, seats, shared };
            tasks.spawn(driver.run(person.connection, waking, finished));
        }
        Ok(Self { shared, tasks })
    }
}

fn seat(
    plan: &Plan,
    ready: &Ready,
    number: usize,
    place: usize,
    engine: Option<conclave_engine::Group>,
) -> Seat {
    Seat {
        group: number,
        member: place,
        id: ready.id,
        checker: Checker::new(ready.head.0, plan.senders),
        engine,
        sending: (place < plan.senders).then(|| Sending::new(place)),
    }
}

fn begin(
    plan: &Plan,
    shared: &Arc<Shared>,
    senders: Vec<(UnboundedSender<Wake>, usize)>,
) -> Result<(), Failure> {
    let started = match plan.arrivals {
        Arrivals::Window(_) => pace::probe(shared),
        Arrivals::Rate(rate) => pace::start(shared, senders, rate),
    };
    started.map_err(Failure::system("cannot start a thread"))
}

/// Waits through warm-up and measurement; whether it was interrupted.
async fn measure(
    shared: &Shared,
    server: Option<&Servers>,
    results: &mut Results,
    saver: &Saver,
    progress: &Progress,
) -> Result<bool, Failure> {
    let clock = &shared.meter.clock;
    progress.say("warming up");
    let mut interrupted = false;
    tokio::select! {
        () = tokio::time::sleep_until(clock.at(clock.from()).into()) => {}
        _ = tokio::signal::ctrl_c() => interrupted = true,
    }
    let before = (server.and_then(Servers::usage), own_usage());
    let from = clock.now();
    while !interrupted && clock.now() < clock.until() {
        let until = clock.at(clock.until()).min(Instant::now() + REFRESH);
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            _ = tokio::signal::ctrl_c() => interrupted = true,
        }
        account(results, before, (server.and_then(Servers::usage), own_usage()), clock.now() - from);
        if clock.now() < clock.until() {
            read(shared, results);
            progress.say(results.line());
            saver.save(results, false)?;
        }
    }
    clock.stop();
    Ok(interrupted)
}

/// CPU time of server and generator within the measurement so far.
fn account(
    results: &mut Results,
    before: (Option<Usage>, Option<Usage>),
    after: (Option<Usage>, Option<Usage>),
    nanos: u64,
) {
    let spent = |before: Option<Usage>, after: Option<Usage>| Some(after?.cpu_seconds - before?.cpu_seconds);
    let seconds = nanos as f64 / 1e9;
    results.measured_seconds = Some(seconds);
    results.server.cpu_seconds = spent(before.0, after.0);
    results.server.cores_used = results.server.cpu_seconds.map(|cpu| cpu / seconds);
    results.generator_cpu_seconds = spent(before.1, after.1);
}

/// Brings the results up to date with the meter.
fn read(shared: &Shared, results: &mut Results) {
    let reading = shared.meter.read();
    let per_second = |count: u64| results.measured_seconds.map(|seconds| count as f64 / seconds);
    results.messages_per_s = per_second(reading.messages);
    results.deliveries_per_s = per_second(reading.deliveries);
    let cpu = results.server.cpu_seconds.filter(|_| reading.deliveries > 0);
    results.cpu_us_per_delivery = cpu.map(|cpu| cpu * 1e6 / reading.deliveries as f64);
    results.messages = reading.messages;
    results.deliveries = reading.deliveries;
    results.latency_ms = reading.pushed;
    results.latency_elsewhere_ms = reading.elsewhere;
    results.opened_ms = reading.opened.filter(|_| shared.plan.depth == Depth::Encrypted);
    results.accepted_ms = reading.accepted;
    results.generator_lag_ms = reading.lag;
    results.reliable = match (reading.lag, reading.pushed) {
        (Some(lag), Some(latency)) => lag.p99 <= HARMLESS_LAG.max(latency.p99 / 4.0),
        _ => false,
    };
    results.found = shared.findings.so_far();
}

/// Waits until everything has arrived and every answer has come, or for [`DRAIN`].
async fn drain(shared: &Shared) {
    let begun = Instant::now();
    let busy = || shared.groups.iter().flat_map(|group| &group.senders).any(SenderLedger::is_busy);
    // Twice in a row, because a sender that was held up may send once more.
    let mut quiet = 0;
    while quiet < 2 && begun.elapsed() < DRAIN {
        tokio::time::sleep(Duration::from_millis(50)).await;
        quiet = if busy() { 0 } else { quiet + 1 };
    }
}

/// Compares what every member saw with what was sent, and members with each other.
fn judge(shared: &Shared, seen: &[Seen]) {
    let mut first: Vec<Option<&Seen>> = shared.groups.iter().map(|_| None).collect();
    for member in seen {
        let Some(ledger) = shared.groups.get(member.group) else { continue };
        let sent: Vec<Sent> = ledger.senders.iter().map(SenderLedger::sent).collect();
        for violation in member.checker.finish(&sent) {
            shared.findings.violation(Some(member.group), member.member, &violation);
        }
        let Some(first) = first.get_mut(member.group) else { continue };
        match first {
            None => *first = Some(member),
            Some(first) if first.checker.order() == member.checker.order() => {}
            Some(first) => {
                let violation = Violation::Disagree { a: first.member, b: member.member };
                shared.findings.violation(Some(member.group), member.member, &violation);
            }
        }
    }
}

fn facts(server: Option<&Servers>, target: &Target) -> ServerFacts {
    ServerFacts {
        url: format!("ws://{}", target.name()),
        started_here: server.is_some(),
        file_system: server.and_then(Servers::file_system),
        rss_kib_empty: server.and_then(Servers::usage).map(|usage| usage.rss_kib),
        ..ServerFacts::default()
    }
}
