//! This process's own memory, as Linux shows it: safe code cannot look at what was dropped, the kernel can.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt;

/// Reads memory by address.
pub(crate) struct Memory(File);

impl Memory {
    /// `None`, and a line that says so, where the system has no `/proc`.
    pub(crate) fn open() -> Option<Self> {
        let file = File::open("/proc/self/mem");
        if file.is_err() {
            eprintln!("skipped: this system does not show a process its memory in /proc/self/mem");
        }
        file.ok().map(Self)
    }

    /// Fills `into` with what lies at `address`; allocates nothing, so that memory just freed is not taken for it.
    /// False if there is nothing any more.
    pub(crate) fn read(&self, address: usize, into: &mut [u8]) -> bool {
        self.0.read_exact_at(into, address.try_into().unwrap()).is_ok()
    }

    /// Every writable mapping without a file behind it, start and end, but this thread's stack: the heap, whatever the
    /// allocator calls it.
    pub(crate) fn heap() -> Vec<(usize, usize)> {
        let here = 0_u8;
        let stack = std::ptr::from_ref(&here).addr();
        let maps = read_to_string("/proc/self/maps").unwrap();
        maps.lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace();
                let (range, rights, inode) = (fields.next()?, fields.next()?, fields.nth(2)?);
                let name = fields.next().unwrap_or("[heap]");
                let (start, end) = range.split_once('-')?;
                let hex = |text| usize::from_str_radix(text, 16).ok();
                let (start, end) = (hex(start)?, hex(end)?);
                let wanted = rights == "rw-p" && inode == "0" && name == "[heap]";
                (wanted && !(start..end).contains(&stack)).then_some((start, end))
            })
            .collect()
    }
}
