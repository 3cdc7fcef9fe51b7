//! Sections 7 and 8: what the server has in its files.

use super::cast::Said;
use super::hex;
use super::search::{self, Needles};
use super::{DemoError, Story};
use crate::failure::Failure;
use conclave_client::{Entry, EntryKind, Seq};
use std::fs;

/// Rows of the hex dump.
const ROWS: usize = 12;
/// Bytes of any message that may not stand together in a file.
const FRAGMENT: usize = 16;
/// Longest words are looked for by themselves too.
const WORD: usize = 9;

/// The whole log as Alice, who was in the group all the time, gets it from the server.
pub(super) async fn fetch(story: &mut Story<'_>) -> Result<Vec<Entry>, Failure> {
    let log = story.cast.alice.sealed(Seq(1)).await?;
    story.counts.epochs = log.iter().filter(|entry| entry.kind == EntryKind::Commit).count();
    Ok(log)
}

/// One message: as it was read, and as it is stored.
pub(super) fn side_by_side(story: &mut Story<'_>, log: &[Entry]) -> Result<(), Failure> {
    story.page.section(
        "What a member read, what the server stored",
        "The server has been stopped; all that it keeps is in its files. The bytes on the right are read from \
         there, at the place where the message lies. A terminal shows them as on the far right.",
    )?;
    let said = story.ledger.said.first().ok_or(DemoError::Story("nothing was said"))?;
    let sealed =
        log.iter().find(|entry| entry.seq == said.seq).ok_or(DemoError::Story("an entry is gone"))?;
    let sealed = sealed.body.0.as_slice();
    let place = search::locate(&story.server_dir, sealed).map_err(DemoError::Scratch)?;
    let found = place.is_some();
    if let Some(place) = place {
        let content = fs::read(&place.file).map_err(DemoError::Scratch)?;
        let end = place.offset.saturating_add(sealed.len());
        let bytes = content.get(place.offset..end).unwrap_or_default();
        let file = place.file.strip_prefix(&story.server_dir).unwrap_or(&place.file).display().to_string();
        let read = format!("#{} {}: {}", said.seq, said.sender, said.text);
        let page = &mut story.page;
        page.line(&hex::header("Bob read", &format!("{file}, byte {}", place.offset)))?;
        for row in hex::side_by_side(&read, bytes, ROWS) {
            page.line(&row)?;
        }
        let rest = bytes.len().saturating_sub(ROWS * 12);
        if rest > 0 {
            page.line(&hex::header("", &format!("… and {rest} bytes more")))?;
        }
        page.line("")?;
        page.say(
            "What the server can tell from them stands in the first 16: version, epoch, the sender's place in the \
             group, and how many messages came before.",
        )?;
        page.line("")?;
    }
    story.page.check("the message lies in the server's files exactly as it was sealed", found)
}

/// Everything that was said, looked for in everything that the server stored.
pub(super) fn search(story: &mut Story<'_>, log: &[Entry]) -> Result<(), Failure> {
    story.page.section(
        "Looking for readable text in the server's files",
        "Every byte of every file is compared with every run of 16 bytes of every message, the README's \
         included, and with every long word of the short ones. The same search looks for the sealed messages, \
         to see that it would find what is there.",
    )?;
    let texts = || story.ledger.said.iter().map(|said| said.text.as_bytes());
    let fragments = Needles::windows(texts(), FRAGMENT);
    let words = Needles::windows(words(&story.ledger.said), WORD);
    let sealed =
        Needles::windows(log.iter().filter(is_message).map(|entry| entry.body.0.as_slice()), FRAGMENT);

    let mut plain = search::search(&story.server_dir, &[&fragments, &words]).map_err(DemoError::Scratch)?;
    let own = search::search(&story.empty_dir, &[&fragments, &words]).map_err(DemoError::Scratch)?;
    plain.found.retain(|needle| !own.found.contains(needle));
    let control = search::search(&story.server_dir, &[&sealed]).map_err(DemoError::Scratch)?;
    let profiles = search::search(&story.people_dir, &[&fragments, &words]).map_err(DemoError::Scratch)?;
    let mut names = 0;
    for person in story.cast.everybody() {
        let name = person.name.as_str().as_bytes();
        names += usize::from(search::locate(&story.server_dir, name).map_err(DemoError::Scratch)?.is_some());
    }

    let counts = &mut story.counts;
    counts.plaintext_on_server = plain.found.len();
    counts.plaintext_in_profiles = profiles.found.len();
    counts.server_files = plain.files;
    counts.server_bytes = plain.bytes;
    let needles = fragments.count() + words.count();
    let count = |files: usize, bytes: u64| format!("{files} files, {bytes} bytes");
    let rows = [
        vec!["the messages' text".into(), count(plain.files, plain.bytes), found(plain.found.len(), needles)],
        vec![
            "the sealed messages".into(),
            count(control.files, control.bytes),
            found(control.found.len(), sealed.count()),
        ],
        vec!["the five names".into(), count(plain.files, plain.bytes), found(names, 5)],
        vec![
            "text, in the profiles".into(),
            count(profiles.files, profiles.bytes),
            found(profiles.found.len(), needles),
        ],
    ];
    let page = &mut story.page;
    page.table(&["looked for", "in", "found"], &rows)?;
    if !own.found.is_empty() {
        page.say(&format!(
            "{} of these stood in the server's files before anybody was registered, such as its own name, which the \
             README mentions; they are not counted.",
            own.found.len()
        ))?;
        page.line("")?;
    }
    page.check("no piece of any message is readable on the server", plain.found.is_empty())?;
    let seen = control.found.len() == sealed.count() && names == 5;
    page.check("the search sees what is there: names and sealed messages, to the last byte", seen)?;
    page.check("nor is any in the people's profiles, which are encrypted too", profiles.found.is_empty())
}

fn found(found: usize, of: usize) -> String {
    format!("{found} of {of}")
}

fn is_message(entry: &&Entry) -> bool {
    entry.kind == EntryKind::Message
}

/// The words of short messages: chosen so that no file has a reason to contain them.
fn words(said: &[Said]) -> impl Iterator<Item = &[u8]> {
    let short = said.iter().filter(|said| said.text.len() < 200);
    short.flat_map(|said| said.text.split(|c: char| !c.is_alphabetic())).map(str::as_bytes)
}
