//! The order of the work, and what its parts share.

mod catch_up;
mod growth;
mod large_group;
mod messages;
mod sender_keys;

use crate::Failure;
use crate::args::{Args, Part};
use crate::results::{Results, Row};
use conclave_report::{Machine, Program, Progress, Saver};
use conclave_village::{Plan, Village};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Members whose sender keys a member of the large group holds, if the engine lets that many reach it.
const SENDERS: usize = 1000;
const QUICK_DEVICES: usize = 16;

/// Commits that made the large group before somebody joins, the genesis and the first member's included.
const COMMITS: usize = 10;

/// A run under way.
pub(crate) struct Bench {
    scale: Scale,
    rng: StdRng,
    results: Results,
    saver: Saver,
    progress: Progress,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
struct Scale {
    devices: usize,
    /// Of blocks of messages.
    message_repetitions: usize,
    /// Of steps of a group.
    group_repetitions: usize,
    backlog: u32,
    backlog_repetitions: usize,
}

impl Scale {
    fn of(args: &Args) -> Result<Self, Failure> {
        let devices = usize::try_from(args.devices)?;
        Ok(if args.quick {
            Self {
                devices: devices.min(QUICK_DEVICES),
                message_repetitions: 3,
                group_repetitions: 3,
                backlog: 600,
                backlog_repetitions: 1,
            }
        } else {
            Self {
                devices,
                message_repetitions: 31,
                group_repetitions: 11,
                backlog: 10_000,
                backlog_repetitions: 5,
            }
        })
    }
}

impl Bench {
    /// Measures everything, and says it.
    pub(crate) fn run(args: &Args) -> Result<(), Failure> {
        let machine = Machine::here();
        if let Some(processor) = args.pin {
            conclave_report::pin([processor])?;
        }
        let program =
            Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), command: "peers" };
        let mut bench = Self {
            scale: Scale::of(args)?,
            rng: StdRng::seed_from_u64(args.seed),
            results: Results::new(),
            saver: Saver::new(program, args.json.clone(), machine.clone()),
            progress: Progress::new(),
        };
        for part in [Part::Messages, Part::CatchUp, Part::SenderKeys, Part::LargeGroup, Part::Growth] {
            if args.only.is_none_or(|only| only == part) {
                bench.measure(part, args.large)?;
            }
        }
        bench.saver.save(&bench.results, true)?;
        bench.progress.done();
        println!("{}\n\n{}", machine.lines(), bench.results);
        Ok(())
    }

    fn measure(&mut self, part: Part, large: bool) -> Result<(), Failure> {
        match part {
            Part::Messages => self.messages(),
            Part::CatchUp => self.catch_up(),
            Part::SenderKeys => self.sender_keys(),
            Part::LargeGroup => self.large_group(),
            Part::Growth => self.growth(large),
        }
    }

    fn say(&self, what: &str) {
        self.progress.say(what);
    }

    /// Notes rows, and saves them.
    fn add(&mut self, rows: impl IntoIterator<Item = Row>) -> Result<(), Failure> {
        self.results.rows.extend(rows);
        Ok(self.saver.save(&self.results, false)?)
    }

    fn settle(&mut self, plan: Plan) -> Result<Village, Failure> {
        let progress = &self.progress;
        let say = |what: &str| progress.say(format!("a group of {}: {what}", plan.devices));
        Ok(Village::settle(plan, &say, &mut self.rng)?)
    }
}

fn nothing() -> Failure {
    "nothing was measured".into()
}
