//! What the demonstration shows: headings, sentences, tables, and each check with its outcome.

use crate::failure::Failure;
use crate::output::Output;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// Columns of a small terminal.
const WIDTH: usize = 80;
const INDENT: &str = "   ";

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

/// The page, written from top to bottom. Silent where JSON is asked for; it counts checks all the same.
pub(super) struct Page<'a> {
    output: &'a mut Output,
    silent: bool,
    sections: usize,
    checks: Vec<Check>,
}

/// A property and whether it held.
pub(super) struct Check {
    pub(super) property: String,
    pub(super) holds: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(output: &'a mut Output, silent: bool) -> Self {
        Self { output, silent, sections: 0, checks: Vec::new() }
    }

    /// The title of the whole.
    pub(super) fn title(&mut self, title: &str) -> Result<(), Failure> {
        self.put(&format!("{BOLD}{title}{BOLD:#}"))
    }

    /// Begins a section: its heading, and in a few sentences what it shows.
    pub(super) fn section(&mut self, heading: &str, what: &str) -> Result<(), Failure> {
        self.sections += 1;
        self.put("")?;
        let number = self.sections;
        self.put(&format!("{BOLD}{number}  {heading}{BOLD:#}"))?;
        self.say(what)?;
        self.put("")
    }

    /// Sentences, broken at the page's width.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        for line in wrap(text, WIDTH - INDENT.len() - 1) {
            self.put(&format!("{INDENT}{DIM}{line}{DIM:#}"))?;
        }
        Ok(())
    }

    /// A line as it is.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.put(format!("{INDENT}{line}").trim_end())
    }

    /// A table: its header, then its rows; columns as wide as what is in them. Ends with an empty line.
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let join = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.put(&format!("{INDENT}{DIM}{}{DIM:#}", join(&mut header.iter().copied())))?;
        for row in rows {
            self.put(&format!("{INDENT}{}", join(&mut row.iter().map(String::as_str))))?;
        }
        self.put("")
    }

    /// A property, and whether it was found to hold.
    pub(super) fn check(&mut self, property: &str, holds: bool) -> Result<(), Failure> {
        self.checks.push(Check { property: property.to_owned(), holds });
        let mark = if holds { format!("{GREEN}ok{GREEN:#}    ") } else { format!("{RED}FAILED{RED:#}") };
        for (n, line) in wrap(property, WIDTH - INDENT.len() - 9).into_iter().enumerate() {
            let mark = if n == 0 { mark.as_str() } else { "      " };
            self.put(&format!("{INDENT}{mark}  {line}"))?;
        }
        Ok(())
    }

    /// The one object that programs get.
    pub(super) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        self.output.object(object)?;
        self.output.flush()
    }

    /// Every check so far.
    pub(super) fn checks(&self) -> &[Check] {
        &self.checks
    }

    fn put(&mut self, line: &str) -> Result<(), Failure> {
        if self.silent {
            return Ok(());
        }
        self.output.line(line)?;
        self.output.flush()
    }
}

/// Breaks at spaces, so that no line is longer than `width` unless one word is.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let length = line.chars().count();
        if length > 0 && length + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if length > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two  three\nfour", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("immeasurable it is", 5), ["immeasurable", "it is"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
