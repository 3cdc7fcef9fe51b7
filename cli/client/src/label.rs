//! Labels: what a profile calls its groups. Local, unique in the profile, and safe to print on a line.
//!
//! Whoever adds somebody suggests the group's label, inside the welcome:
//!
//! ```text
//!     note    version ‖ CBOR [ label: tstr ]
//! ```

use conclave_engine::limits::MAX_NOTE;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::GroupId;
use minicbor::{Decode, Encode};

/// Longest label in characters.
pub(crate) const MAX_LABEL: usize = 64;

#[derive(Debug, PartialEq, Encode, Decode)]
struct Note(#[n(0)] String);

impl Structure for Note {
    const NAME: &'static str = "note to newcomers";
    const MAX_BYTES: usize = MAX_NOTE;
}

/// Whether a label can be used as it is.
pub(crate) fn is_clean(label: &str) -> bool {
    clean(label).as_deref() == Some(label)
}

/// The label without what could deceive or disturb a reader, or `None` if nothing is left.
pub(crate) fn clean(label: &str) -> Option<String> {
    let plain: String = label.chars().filter(|c| !is_harmful(*c)).take(MAX_LABEL).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// Control characters, and those that hide or turn around what follows them.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The label, with the first number that makes it unlike all that are `taken`.
pub(crate) fn unique(label: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(label) {
        return label.to_owned();
    }
    let numbered = |n: u64| {
        let end = format!("-{n}");
        let room = MAX_LABEL - end.len();
        let start: String = label.chars().take(room).collect();
        format!("{}{end}", start.trim_end())
    };
    // A profile has fewer groups than there are numbers.
    (2..=u64::MAX).map(numbered).find(|label| !taken(label)).unwrap_or_else(|| label.to_owned())
}

/// The label of a group that came without one.
pub(crate) fn fallback(group: &GroupId) -> String {
    format!("group-{:.8}", group.to_string())
}

/// The note to newcomers that carries a label.
pub(crate) fn encode_note(label: &str) -> Vec<u8> {
    codec::encode(&Note(label.to_owned()))
}

/// The label that a note carries, cleaned; `None` if it carries none that could be used.
pub(crate) fn decode_note(note: &[u8]) -> Option<String> {
    clean(&codec::decode::<Note>(note).ok()?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned() {
        assert_eq!(clean("team").as_deref(), Some("team"));
        assert_eq!(clean("  team\n\u{1b}[31m ").as_deref(), Some("team[31m"));
        assert_eq!(clean("a\u{202e}b\u{200b}").as_deref(), Some("ab"));
        assert_eq!(clean(" \t\u{200b}"), None);
        assert_eq!(clean(&"ä".repeat(100)), Some("ä".repeat(64)));
        assert!(is_clean("two words") && !is_clean(" team") && !is_clean("") && !is_clean(&"x".repeat(65)));
    }

    #[test]
    fn numbered() {
        let taken = ["team", "team-2"];
        assert_eq!(unique("team", |l| taken.contains(&l)), "team-3");
        assert_eq!(unique("other", |l| taken.contains(&l)), "other");
        let long = "x".repeat(64);
        let numbered = unique(&long, |l| l == long);
        assert_eq!(numbered, format!("{}-2", "x".repeat(62)));
    }

    #[test]
    fn notes() {
        assert_eq!(decode_note(&encode_note("team")).as_deref(), Some("team"));
        assert!(encode_note(&"\u{1f600}".repeat(MAX_LABEL)).len() <= MAX_NOTE);
        assert_eq!(decode_note(&encode_note("\u{7}")), None);
        assert_eq!(decode_note(b""), None);
        assert_eq!(decode_note(b"team"), None);
    }
}
