//! The whole heap: whether any copy of a secret is anywhere in it. This sees what a look at one value cannot: copies that a
//! container, a buffer that grew or a moved value left behind.

use super::memory::Memory;
use std::collections::HashMap;
use std::hint::black_box;

/// What is XORed to a secret that is looked for, so that looking for it does not put it into memory.
const MASK: u8 = 0x5a;

/// Bytes of a secret that are looked for: the last ones, because an allocator writes over the beginning.
const PART: usize = 8;

/// Secrets to look for.
#[derive(Default)]
pub(crate) struct Wanted(HashMap<[u8; PART], &'static str>);

impl Wanted {
    pub(crate) fn add(&mut self, name: &'static str, secret: &[u8]) {
        let mut part = [0; PART];
        part.copy_from_slice(&secret[secret.len() - PART..]);
        self.0.insert(part.map(|byte| byte ^ MASK), name);
    }

    /// The names of those that are in the heap, with how often.
    pub(crate) fn found(&self, memory: &Memory) -> HashMap<&'static str, usize> {
        let firsts: Vec<bool> =
            (0..=u8::MAX).map(|byte| self.0.keys().any(|part| part[0] == byte ^ MASK)).collect();
        let mut found = HashMap::new();
        let mut buffer = vec![0; 1 << 16];
        for (start, end) in Memory::heap() {
            let mut at = start;
            while at + PART <= end {
                let length = buffer.len().min(end - at);
                // What was read before is secret too, and would be found when the buffer itself is read.
                buffer.fill(0);
                black_box(&mut buffer);
                let chunk = &mut buffer[..length];
                if memory.read(at, chunk) {
                    for window in chunk.windows(PART).filter(|window| firsts[usize::from(window[0])]) {
                        let mut part = [0; PART];
                        part.copy_from_slice(window);
                        if let Some(name) = self.0.get(&part.map(|byte| byte ^ MASK)) {
                            *found.entry(*name).or_default() += 1;
                        }
                    }
                }
                at += if at + length == end { length } else { length - PART + 1 };
            }
        }
        buffer.fill(0);
        black_box(&mut buffer);
        found
    }
}

/// The control: bytes that were freed and not wiped are found.
#[test]
fn what_is_not_wiped_is_found() {
    let Some(memory) = Memory::open() else { return };
    let mut wanted = Wanted::default();
    let mut careless = Box::new([0_u8; 1000]);
    for (byte, value) in careless.iter_mut().zip((0x11..0x88).cycle()) {
        *byte = value;
    }
    black_box(&mut careless);
    wanted.add("careless", careless.as_slice());
    drop(careless);
    assert!(wanted.found(&memory).contains_key("careless"));
}
