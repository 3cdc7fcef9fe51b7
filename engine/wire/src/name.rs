//! Names, under which a server's directory knows accounts.

use crate::limits::MAX_NAME;
use minicbor::{Decode, Encode};
use std::str::FromStr;
use thiserror::Error;

/// 1 to 32 of `a`-`z`, `0`-`9`, `.`, `_`, `-`, beginning with a letter or digit. No two names look alike in a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
#[cbor(transparent)]
pub struct Name(#[n(0)] String);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a name is 1 to {MAX_NAME} of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")]
pub struct NameError;

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let first = bytes.first().is_some_and(|c| plain(*c));
        let rest = bytes.iter().all(|c| plain(*c) || matches!(c, b'.' | b'_' | b'-'));
        if first && rest && bytes.len() <= MAX_NAME { Ok(Self(text.to_owned())) } else { Err(NameError) }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_: NameError| minicbor::decode::Error::message("not a name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "bob", "carol-2", "7", "a.b_c", &"x".repeat(32)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "Bob", "-a", ".a", "a b", "ä", "a\n", "a/b", &"x".repeat(33)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
