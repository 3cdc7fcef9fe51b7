//! Text from others, made safe to show in a terminal.
//!
//! A message may contain anything. Shown as it is, an escape sequence could move the cursor and overwrite who said
//! what, and a bidirectional override could turn a sentence around; so neither reaches the terminal.

use std::fmt::Write as _;

/// One line: nothing in `text` can end it, and nothing can change what stands around it.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut safe, c);
    }
    safe
}

/// Several lines, each after the first begun with `indent`, so that none can pass for a line of ours.
pub(crate) fn block(text: &str, indent: &str) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut safe = String::with_capacity(text.len());
    for (n, text_line) in text.split('\n').enumerate() {
        if n > 0 {
            safe.push('\n');
            safe.push_str(indent);
        }
        for c in text_line.strip_suffix('\r').unwrap_or(text_line).chars() {
            if c == '\t' { safe.push_str("    ") } else { push(&mut safe, c) }
        }
    }
    safe
}

/// Encoded JSON that is also safe to look at: what `serde_json` leaves as it is and a terminal acts on is written as
/// `\uXXXX`, which means the same to whoever parses it.
pub(crate) fn json(encoded: &str) -> String {
    let mut safe = String::with_capacity(encoded.len());
    for c in encoded.chars() {
        if acts_on_terminal(c) {
            // All of these are in the basic plane, so that one unit is the character.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn push(safe: &mut String, c: char) {
    if acts_on_terminal(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
}

/// Whether a terminal would do something else with `c` than show it where it stands.
fn acts_on_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{2028}' | '\u{2029}'                             // line and paragraph separators
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // bidirectional embeddings, overrides, isolates
            | '\u{fff9}'..='\u{fffb}' | '\u{feff}'              // annotations, byte order mark
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays() {
        for text in ["hello", "Grüße", "日本語", "שלום", "👩‍👩‍👧", "a\\b", ""] {
            assert_eq!(line(text), text);
            assert_eq!(block(text, "| "), text);
        }
    }

    #[test]
    fn escapes_and_overrides_are_shown() {
        assert_eq!(line("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(line("a\r\nb\tc\u{7f}"), "a\\u{d}\\u{a}b\\u{9}c\\u{7f}");
        assert_eq!(line("c1 \u{9b}31m"), "c1 \\u{9b}31m");
        assert_eq!(line("evil\u{202e}txt.exe"), "evil\\u{202e}txt.exe");
        assert_eq!(block("a\u{1b}c\nb\u{2066}", "  "), "a\\u{1b}c\n  b\\u{2066}");
    }

    #[test]
    fn no_line_of_a_block_passes_for_ours() {
        assert_eq!(block("hi\n#7  alice: lie\n", "    | "), "hi\n    | #7  alice: lie");
        assert_eq!(block("dos\r\nlines", "> "), "dos\n> lines");
        assert_eq!(block("over\rwritten", "> "), "over\\u{d}written");
    }

    #[test]
    fn json_means_the_same_afterwards() {
        for text in ["a\u{1b}[2J\u{9b}\u{202e}\u{7f}\u{2028}\"\\", "plain", "日本語"] {
            let encoded = json(&serde_json::to_string(text).unwrap());
            assert!(!encoded.chars().any(acts_on_terminal), "{encoded}");
            assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), text);
        }
    }
}
