//! The link code, that a person carries from a new device to one of the account.
//!
//! ```text
//!     code  first 100 bits of H("link code", link request), in Crockford's base32:  5JK7N-XQ2RA-0W8ZD-M4HPT
//! ```
//!
//! It does two things. It says *which* request is meant: another request with the same code is a second preimage of 100
//! bits, so the code may be overheard. And as long as it is not overheard, only who was told it can open the request,
//! which travels encrypted under it, so the approval can only come from where the person typed it.
//!
//! Source: Douglas Crockford, "Base 32", for the alphabet, which has no I, L, O and U.

use crate::secret::Secret;
use std::str::FromStr;
use thiserror::Error;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SYMBOLS: usize = 20;
const GROUP: usize = 5;

/// 100 bits that stand for a link request, 20 characters for people, in groups of five. Keep it between the two devices.
#[derive(PartialEq)]
pub struct LinkCode(Secret<13>);

/// Why a text is not a link code. Nothing is known then about whether it was the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkCodeError {
    /// Too few or too many characters.
    #[error(
        "a link code has {SYMBOLS} letters and digits, this one has {found}; type it as the new device shows it"
    )]
    Length {
        /// How many there are, dashes and spaces left out.
        found: usize,
    },
    /// A character that no link code has.
    #[error("no link code has the character {character:?}; type it as the new device shows it")]
    Character {
        /// The first such character.
        character: char,
    },
}

impl LinkCode {
    /// The code of the request with this hash.
    pub(super) fn of(hash: &[u8; 32]) -> Self {
        let mut bytes = Secret::zeroed();
        let (first, _) = hash.split_at(13);
        bytes.as_bytes_mut().copy_from_slice(first);
        if let Some(last) = bytes.as_bytes_mut().last_mut() {
            *last &= 0xf0;
        }
        Self(bytes)
    }

    /// The 100 bits, and four that are zero.
    pub(super) fn as_bytes(&self) -> &[u8; 13] {
        self.0.as_bytes()
    }

    fn number(&self) -> Zeroizing<u128> {
        let mut wide = Zeroizing::new([0; 16]);
        let (_, low) = wide.split_at_mut(3);
        low.copy_from_slice(self.as_bytes());
        Zeroizing::new(u128::from_be_bytes(*wide) >> 4)
    }
}

impl std::fmt::Display for LinkCode {
    /// As people carry it; this is the secret itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.number();
        for at in 0..SYMBOLS {
            if at > 0 && at % GROUP == 0 {
                f.write_str("-")?;
            }
            let symbol = (*number >> (5 * (SYMBOLS - 1 - at))) & 31;
            let symbol = usize::try_from(symbol).ok().and_then(|symbol| ALPHABET.get(symbol));
            write!(f, "{}", char::from(*symbol.unwrap_or(&b'0')))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkCode(…)")
    }
}

impl FromStr for LinkCode {
    type Err = LinkCodeError;

    /// Takes what a person typed: in either case, with or without spaces and dashes, I and L for 1 and O for 0.
    fn from_str(text: &str) -> Result<Self, LinkCodeError> {
        let (mut number, mut found) = (Zeroizing::new(0_u128), 0_usize);
        for character in text.chars().filter(|character| !is_filler(*character)) {
            let value = value(character).ok_or(LinkCodeError::Character { character })?;
            found += 1;
            if found <= SYMBOLS {
                *number = *number << 5 | value;
            }
        }
        if found != SYMBOLS {
            return Err(LinkCodeError::Length { found });
        }
        let wide = Zeroizing::new((*number << 4).to_be_bytes());
        let mut bytes = Secret::zeroed();
        let (_, low) = wide.split_at(3);
        bytes.as_bytes_mut().copy_from_slice(low);
        Ok(Self(bytes))
    }
}

/// Spaces, and dashes of every kind that a keyboard puts in.
fn is_filler(character: char) -> bool {
    character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn value(character: char) -> Option<u128> {
    let symbol = match character.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    let at = ALPHABET.iter().position(|known| char::from(*known) == symbol)?;
    u128::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(fill: impl Fn(u8) -> u8) -> LinkCode {
        LinkCode::of(&std::array::from_fn(|at| fill(u8::try_from(at).unwrap())))
    }

    /// (R18) What is shown is what is read, however it is typed.
    #[test]
    fn typed_as_shown_and_otherwise() {
        let shown = "Z0123-456AB-CDEFG-HJKMN";
        let code: LinkCode = shown.parse().unwrap();
        assert_eq!(code.to_string(), shown);
        for typed in [
            "z0123-456ab-cdefg-hjkmn",
            "  Z0123 456AB CDEFG HJKMN\n",
            "zO123456abcdefghjkmn",
            "Zo1\u{2013}2\u{2212}3456ABCDEFGHJKMN",
            "Z0I23-456AB-CDEFG-HJKMN",
            "Z0l23-456AB-CDEFG-HJKMN",
        ] {
            assert!(typed.parse::<LinkCode>().unwrap() == code, "{typed}");
        }
        for fill in [0, 1, 0x5a, 0xff] {
            let code = self::code(|at| fill ^ at);
            assert!(code.to_string().parse::<LinkCode>().unwrap() == code);
        }
        assert_eq!(self::code(|_| 0xff).to_string(), "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ");
        assert_eq!(format!("{code:?}"), "LinkCode(…)");
    }

    /// (R18) Every bit of the code counts, and none after it.
    #[test]
    fn a_hundred_bits() {
        let zero = [0; 32];
        for bit in 0..256 {
            let mut hash = zero;
            hash[bit / 8] |= 0x80 >> (bit % 8);
            assert_eq!(LinkCode::of(&hash) != LinkCode::of(&zero), bit < 100, "bit {bit}");
            let text = LinkCode::of(&hash).to_string();
            assert_eq!(text != LinkCode::of(&zero).to_string(), bit < 100, "bit {bit}");
        }
    }

    /// (R18) A code typed with errors is refused by form where the form shows it.
    #[test]
    fn typing_errors() {
        let parse = |text: &str| text.parse::<LinkCode>().unwrap_err();
        assert_eq!(parse(""), LinkCodeError::Length { found: 0 });
        assert_eq!(parse("Z0123-456AB-CDEFG-HJKM"), LinkCodeError::Length { found: 19 });
        assert_eq!(parse("Z0123-456AB-CDEFG-HJKMN-0"), LinkCodeError::Length { found: 21 });
        assert_eq!(parse(&"Z".repeat(100_000)), LinkCodeError::Length { found: 100_000 });
        assert_eq!(parse("U0123-456AB-CDEFG-HJKMN"), LinkCodeError::Character { character: 'U' });
        assert_eq!(parse("Z0123-456AB-CDEFG-HJKMß"), LinkCodeError::Character { character: 'ß' });
    }
}
