//! The search for readable bytes in files: every file, every byte.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Byte strings of one length to look for.
pub(super) struct Needles {
    length: usize,
    known: HashSet<Vec<u8>>,
    /// Which first two bytes occur at all: passes over most places without hashing.
    begins: Vec<bool>,
}

/// What a search went through, and what it found.
pub(super) struct Searched {
    pub(super) files: usize,
    pub(super) bytes: u64,
    /// Which needles were found. As a set: one that is found twice is no second finding.
    pub(super) found: HashSet<Vec<u8>>,
}

/// Where something is.
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) offset: usize,
}

impl Needles {
    /// Every run of `length` bytes of `texts`, but for those too uniform to mean anything, such as a row of dashes.
    pub(super) fn windows<'a>(texts: impl IntoIterator<Item = &'a [u8]>, length: usize) -> Self {
        let windows = texts.into_iter().flat_map(|text| text.windows(length));
        Self::of(length, windows.filter(|window| distinct(window) * 2 > length).map(<[u8]>::to_vec).collect())
    }

    fn of(length: usize, known: HashSet<Vec<u8>>) -> Self {
        let mut begins = vec![false; 1 << 16];
        for needle in &known {
            if let Some(begin) = pair(needle).and_then(|pair| begins.get_mut(pair)) {
                *begin = true;
            }
        }
        Self { length, known, begins }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    fn find_in(&self, haystack: &[u8], found: &mut HashSet<Vec<u8>>) {
        for window in haystack.windows(self.length) {
            let begins = pair(window).and_then(|pair| self.begins.get(pair)).copied().unwrap_or(false);
            if begins && self.known.contains(window) && !found.contains(window) {
                found.insert(window.to_vec());
            }
        }
    }
}

/// Searches every file below `dir` for all of `needles`.
pub(super) fn search(dir: &Path, needles: &[&Needles]) -> io::Result<Searched> {
    let mut searched = Searched { files: 0, bytes: 0, found: HashSet::new() };
    for file in files_below(dir)? {
        let content = fs::read(&file)?;
        searched.files += 1;
        searched.bytes += content.len() as u64;
        // A preallocated file is mostly zeros, in which nothing is hidden: stretches of them are stepped over.
        for part in without_zeros(&content) {
            for needles in needles {
                needles.find_in(part, &mut searched.found);
            }
        }
    }
    Ok(searched)
}

/// The first place below `dir` that has exactly `bytes`.
pub(super) fn locate(dir: &Path, bytes: &[u8]) -> io::Result<Option<Place>> {
    let Some((first, _)) = bytes.split_first() else { return Ok(None) };
    for file in files_below(dir)? {
        let content = fs::read(&file)?;
        let starts = content.iter().enumerate().filter(|(_, byte)| *byte == first).map(|(offset, _)| offset);
        for offset in starts {
            if content.get(offset..).is_some_and(|rest| rest.starts_with(bytes)) {
                return Ok(Some(Place { file, offset }));
            }
        }
    }
    Ok(None)
}

fn files_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The parts of `content` between stretches of zeros of at least a page.
fn without_zeros(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    const PAGE: usize = 4096;
    let mut rest = content;
    std::iter::from_fn(move || {
        while rest.first_chunk::<PAGE>().is_some_and(|page| *page == [0; PAGE]) {
            rest = rest.get(PAGE..)?;
        }
        if rest.is_empty() {
            return None;
        }
        let pages = rest.chunks(PAGE).take_while(|page| page.iter().any(|byte| *byte != 0)).count().max(1);
        let (part, after) = rest.split_at_checked(pages * PAGE).unwrap_or((rest, &[]));
        rest = after;
        Some(part)
    })
}

fn distinct(window: &[u8]) -> usize {
    window.iter().collect::<HashSet<_>>().len()
}

fn pair(bytes: &[u8]) -> Option<usize> {
    let (first, second) = (bytes.first()?, bytes.get(1)?);
    Some(usize::from(*first) << 8 | usize::from(*second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with(contents: &[&[u8]]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        for (n, content) in contents.iter().enumerate() {
            fs::write(dir.path().join("below").join(n.to_string()), content).unwrap();
        }
        dir
    }

    #[test]
    fn finds_what_is_there_wherever_it_is() {
        let mut long = vec![0; 9000];
        long.extend(b"....lighthouse");
        long.extend(vec![0; 5000]);
        long.extend(b"x");
        let dir = dir_with(&[b"nothing", &long]);
        let needles = Needles::windows([&b"lighthouse"[..]], 8);
        assert_eq!(needles.count(), 3);
        let searched = search(dir.path(), &[&needles]).unwrap();
        assert_eq!((searched.files, searched.bytes), (2, 7 + long.len() as u64));
        assert_eq!(searched.found.len(), 3);
        let place = locate(dir.path(), b"lighthouse").unwrap().unwrap();
        assert_eq!((place.offset, place.file.file_name().unwrap().to_str()), (9004, Some("1")));
    }

    #[test]
    fn finds_nothing_else() {
        let dir = dir_with(&[b"lighthous", b"e lightXhouse", &[]]);
        let needles = Needles::windows([&b"lighthouse"[..]], 10);
        assert!(search(dir.path(), &[&needles]).unwrap().found.is_empty());
        assert!(locate(dir.path(), b"lighthouse").unwrap().is_none());
    }

    #[test]
    fn every_window_on_a_page_boundary_is_seen() {
        for start in 4080..4100 {
            let mut content = vec![1; start];
            content.extend(b"lighthouse");
            let dir = dir_with(&[&content]);
            let needles = Needles::windows([&b"lighthouse"[..]], 10);
            assert_eq!(search(dir.path(), &[&needles]).unwrap().found.len(), 1, "{start}");
        }
    }
}
