//! File hashes.

use std::fmt;

use super::{Kind, ValueError};

/// Reads `2 × N` hex digits of either case.
pub(super) fn parse<const N: usize>(text: &str, kind: Kind) -> Result<[u8; N], ValueError> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(ValueError::Invalid {
            kind,
            message: "the wrong number of hex digits",
        });
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return Err(ValueError::Invalid {
                kind,
                message: "a character that is no hex digit",
            });
        };
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Writes lower-case hex.
pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    let length = (2 * bytes.len()).min(text.len());
    f.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
}
