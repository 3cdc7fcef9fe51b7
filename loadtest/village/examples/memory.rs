//! What a device keeps of a group, for each device in its roster: in memory, and stored.
//!
//!     cargo run --release -p conclave-village --example memory -- 1000
//!
//! A device walks the commits from the genesis, several times, and all groups that come of it are kept: what each further one adds
//! to the process's resident memory is what one takes. One size for each run, or what an earlier one has freed is not seen. Nobody has sent anything: a sender key comes on top.

use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::Seq;
use conclave_engine::{Changes, Group, Newcomer};
use conclave_village::{Plan, Trouble, Village, entry, stored_bytes};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::io::{self, Write};
use std::num::NonZeroUsize;

/// Devices in all groups that are kept, if the second argument says no number of groups. The first half uses up what was free before
/// and is not counted: with 100,000 devices that takes 40 groups.
const KEPT: usize = 1_200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let devices = std::env::args().nth(1).unwrap_or_default().parse::<NonZeroUsize>()?.get();
    let kept = std::env::args().nth(2).map(|kept| kept.parse()).transpose()?;
    let village = Village::settle(Plan::new(devices, 0), &|_| {}, &mut StdRng::seed_from_u64(1))?;
    let half: usize = kept.unwrap_or(KEPT / devices) / 2;
    let half = half.max(1);
    let mut groups = Vec::with_capacity(2 * half);
    let (mut before, mut stored) = (0, 0);
    for number in 0..2 * half {
        if number == half {
            before = resident()?;
        }
        let (group, changes) = walk(&village)?;
        stored = stored_bytes(&changes);
        groups.push(group);
    }
    let memory = resident()?.saturating_sub(before) / half / devices;
    let mut out = io::stdout();
    writeln!(out, "{devices} devices, each {memory} B in memory and {} B stored", stored / devices)?;
    Ok(())
}

/// A group as somebody has it who was added last, but for secrets.
fn walk(village: &Village) -> Result<(Group, Changes), Trouble> {
    let (newcomer, last) = village.newcomer.as_ref().ok_or(Trouble::Wrong("nobody is new"))?;
    let mut walk = Newcomer::new(last.group);
    for (commit, seq) in village.commits.iter().zip(1..) {
        let commit = entry(last.group, Seq(seq), EntryKind::Commit, commit, None);
        walk.pass(&newcomer.device, &commit).map_err(|_| Trouble::Wrong("the commits cannot be walked"))?;
    }
    walk.without_welcome(&newcomer.device).map_err(|_| Trouble::Wrong("the group cannot be entered"))
}

/// Bytes of this process in memory.
fn resident() -> io::Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("no /proc/self/statm"))?;
    Ok(pages * rustix::param::page_size())
}
