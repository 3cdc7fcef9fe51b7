//! `seal`: what the engine costs, alone, in one thread.

mod catch_up;
mod commits;
mod messages;
mod results;
mod runs;

use crate::Verdict;
use crate::args::SealArgs;
use crate::failure::Failure;
use crate::program::program;
use conclave_engine::limits::MAX_CONTENT;
use conclave_report::{Machine, Progress, Saver};
use rand::SeedableRng;
use rand::rngs::StdRng;
use results::Results;

const SIZES: [usize; 6] = [32, 256, 1024, 4096, 16 * 1024, MAX_CONTENT];
const QUICK_DEVICES: [u32; 2] = [4, 10];

/// Repetitions of a message size: blocks of messages.
const REPETITIONS: u32 = 31;
const QUICK_REPETITIONS: u32 = 3;

/// Measures everything, size by size.
pub(crate) fn run(args: &SealArgs) -> Result<Verdict, Failure> {
    let plan = Plan::of(args);
    let machine = Machine::here();
    if let Some(processor) = args.pin {
        conclave_report::pin([processor])?;
    }
    let saver = Saver::new(program("seal"), args.json.clone(), machine.clone());
    let progress = Progress::new();
    let mut rng = rng(args.seed);
    let mut results = Results::new();

    let mut bench = messages::Bench::new(&mut rng)?;
    for size in SIZES {
        progress.say(format!("sealing and opening {size} bytes"));
        results.messages.push(bench.measure(size, plan.repetitions, &mut rng)?);
        saver.save(&results, false)?;
    }
    progress.say("sealing and opening runs");
    results.runs.push(runs::measure(&mut bench, 256, plan.repetitions, &mut rng)?);
    saver.save(&results, false)?;
    progress.say("sealing behind many messages that wait to be confirmed");
    results.outstanding.push(bench.measure_outstanding(256, plan.repetitions, &mut rng)?);
    saver.save(&results, false)?;
    progress.say("reading a backlog");
    results.catch_up.push(catch_up::measure(plan.repetitions, args.quick, &mut rng)?);
    saver.save(&results, false)?;
    for devices in plan.devices {
        let devices = usize::try_from(devices).unwrap_or(usize::MAX);
        let senders = plan.senders.min(devices / 2 - 1);
        let say = |what: &str| progress.say(format!("{devices} devices: {what}"));
        let rows = commits::measure(devices, senders, plan.repetitions, &say, &mut rng)?;
        results.groups.extend(rows);
        saver.save(&results, false)?;
    }
    saver.save(&results, true)?;
    progress.done();
    println!("{}\n\n{results}", machine.lines());
    Ok(Verdict::Sound)
}

/// The settings, resolved.
struct Plan {
    devices: Vec<u32>,
    senders: usize,
    repetitions: usize,
}

impl Plan {
    fn of(args: &SealArgs) -> Self {
        let repetitions =
            args.repetitions.unwrap_or(if args.quick { QUICK_REPETITIONS } else { REPETITIONS });
        Self {
            devices: if args.quick { QUICK_DEVICES.to_vec() } else { args.devices.clone() },
            senders: usize::try_from(args.senders).unwrap_or(usize::MAX),
            repetitions: usize::try_from(repetitions).unwrap_or(usize::MAX),
        }
    }
}

fn rng(seed: u64) -> StdRng {
    if seed == 0 { StdRng::from_rng(&mut rand::rng()) } else { StdRng::seed_from_u64(seed) }
}
