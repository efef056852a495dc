//! Tokens of STIX 2.1 patterns, each with its byte offset.

use std::borrow::Cow;

use super::parser::PatternError;

/// A token; what it spans is a slice of the pattern wherever that is possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    OpenBracket,
    CloseBracket,
    OpenParenthesis,
    CloseParenthesis,
    Colon,
    Dot,
    Comma,
    Asterisk,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Keyword(Keyword),
    Name(&'a str),
    Integer(&'a str),
    Float(&'a str),
    String(Cow<'a, str>),
    Timestamp(&'a str),
    Binary(&'a str),
    Hex(&'a str),
    End,
}

/// The words that the grammar reserves. They are upper case, except the two truth values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    FollowedBy,
    Like,
    Matches,
    IsSubset,
    IsSuperset,
    Exists,
    In,
    Start,
    Stop,
    Within,
    Seconds,
    Repeats,
    Times,
    True,
    False,
}

impl Keyword {
    fn from_name(name: &str) -> Option<Self> {
        // Every word but `true` and `false` begins with a capital, and no STIX name does.
        match *name.as_bytes().first()? {
            b't' | b'f' | b'A'..=b'Z' => {}
            _ => return None,
        }
        Some(match name {
            "AND" => Self::And,
            "OR" => Self::Or,
            "NOT" => Self::Not,
            "FOLLOWEDBY" => Self::FollowedBy,
            "LIKE" => Self::Like,
            "MATCHES" => Self::Matches,
            "ISSUBSET" => Self::IsSubset,
            "ISSUPERSET" => Self::IsSuperset,
            "EXISTS" => Self::Exists,
            "IN" => Self::In,
            "START" => Self::Start,
            "STOP" => Self::Stop,
            "WITHIN" => Self::Within,
            "SECONDS" => Self::Seconds,
            "REPEATS" => Self::Repeats,
            "TIMES" => Self::Times,
            "true" => Self::True,
            "false" => Self::False,
            _ => return None,
        })
    }
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// Where the last token ends.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next token and where it starts; [`Token::End`] for ever once the text is used up.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), PatternError> {
        self.skip_blank()?;
        let start = self.position;
        let bytes = self.text.as_bytes();
        let Some(&first) = bytes.get(start) else {
            return Ok((start, Token::End));
        };
        let second = bytes.get(start + 1).copied();
        let (length, token) = match (first, second) {
            (b'[', _) => (1, Token::OpenBracket),
            (b']', _) => (1, Token::CloseBracket),
            (b'(', _) => (1, Token::OpenParenthesis),
            (b')', _) => (1, Token::CloseParenthesis),
            (b':', _) => (1, Token::Colon),
            (b',', _) => (1, Token::Comma),
            (b'*', _) => (1, Token::Asterisk),
            (b'=', Some(b'=')) | (b'!', Some(b'=')) | (b'<', Some(b'>')) => (
                2,
                if first == b'=' {
                    Token::Equal
                } else {
                    Token::NotEqual
                },
            ),
            (b'=', _) => (1, Token::Equal),
            (b'<', Some(b'=')) => (2, Token::LessOrEqual),
            (b'<', _) => (1, Token::Less),
            (b'>', Some(b'=')) => (2, Token::GreaterOrEqual),
            (b'>', _) => (1, Token::Greater),
            (b'\'', _) => return Ok((start, Token::String(self.string(start)?))),
            (b't' | b'b' | b'h', Some(b'\'')) => return Ok((start, self.prefixed(first)?)),
            (b'.', Some(b'0'..=b'9')) | (b'0'..=b'9' | b'+' | b'-', _) => {
                return Ok((start, self.number()?));
            }
            (b'.', _) => (1, Token::Dot),
            (b'a'..=b'z' | b'A'..=b'Z' | b'_', _) => {
                let length = bytes[start..]
                    .iter()
                    .position(|byte| !matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-'))
                    .unwrap_or(bytes.len() - start);
                let name = &self.text[start..start + length];
                let token = Keyword::from_name(name).map_or(Token::Name(name), Token::Keyword);
                (length, token)
            }
            _ => {
                let character = self.text[start..].chars().next().unwrap_or_default();
                return Err(PatternError::new(
                    start,
                    format!("unexpected character {character:?}"),
                ));
            }
        };
        self.position = start + length;
        Ok((start, token))
    }

    /// White space and both sorts of comments.
    fn skip_blank(&mut self) -> Result<(), PatternError> {
        loop {
            let rest = &self.text[self.position..];
            match rest.as_bytes() {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => self.position += 1,
                [b'/', b'/', ..] => {
                    self.position += rest.find(['\n', '\r']).unwrap_or(rest.len());
                }
                [b'/', b'*', ..] => match rest[2..].find("*/") {
                    Some(length) => self.position += length + 4,
                    None => {
                        return Err(PatternError::new(self.position, "this comment never ends"));
                    }
                },
                [0x80..=0xff, ..] => match rest.chars().next() {
                    Some(space) if space.is_whitespace() => self.position += space.len_utf8(),
                    _ => return Ok(()),
                },
                _ => return Ok(()),
            }
        }
    }

    /// A quoted string that starts at `quote`; only `\'` and `\\` are escapes.
    fn string(&mut self, quote: usize) -> Result<Cow<'a, str>, PatternError> {
        let bytes = self.text.as_bytes();
        let mut owned: Option<String> = None;
        let mut from = quote + 1;
        let mut at = from;
        loop {
            match memchr::memchr2(b'\'', b'\\', &bytes[at..]) {
                None => return Err(PatternError::new(quote, "this string never ends")),
                Some(length) if bytes[at + length] == b'\'' => {
                    let end = at + length;
                    self.position = end + 1;
                    let tail = &self.text[from..end];
                    return Ok(match owned {
                        None => Cow::Borrowed(tail),
                        Some(text) => Cow::Owned(text + tail),
                    });
                }
                Some(length) => {
                    let escape = at + length;
                    if !matches!(bytes.get(escape + 1), Some(b'\'' | b'\\')) {
                        return Err(PatternError::new(
                            escape,
                            "a backslash in a string stands before a quote or another backslash",
                        ));
                    }
                    owned
                        .get_or_insert_default()
                        .push_str(&self.text[from..escape]);
                    // The escaped character itself is copied with what follows it.
                    from = escape + 1;
                    at = escape + 2;
                }
            }
        }
    }

    /// `t'…'`, `b'…'` or `h'…'`.
    fn prefixed(&mut self, prefix: u8) -> Result<Token<'a>, PatternError> {
        let start = self.position + 2;
        let Some(length) = memchr::memchr(b'\'', &self.text.as_bytes()[start..]) else {
            return Err(PatternError::new(self.position, "this literal never ends"));
        };
        let text = &self.text[start..start + length];
        self.position = start + length + 1;
        match prefix {
            b't' if is_timestamp(text) => Ok(Token::Timestamp(text)),
            b't' => Err(PatternError::new(
                start,
                "a timestamp reads like t'2026-01-31T12:00:00.000Z'",
            )),
            b'b' if is_base64(text) => Ok(Token::Binary(text)),
            b'b' => Err(PatternError::new(start, "not base64")),
            _ if text.len().is_multiple_of(2)
                && text.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                Ok(Token::Hex(text))
            }
            _ => Err(PatternError::new(start, "not pairs of hexadecimal digits")),
        }
    }

    fn number(&mut self) -> Result<Token<'a>, PatternError> {
        let start = self.position;
        let bytes = self.text.as_bytes();
        let digits = |from: usize| {
            bytes[from..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let whole_at = start + usize::from(matches!(bytes[start], b'+' | b'-'));
        let whole = digits(whole_at);
        let mut end = whole_at + whole;
        let fraction = match bytes.get(end) {
            Some(b'.') => digits(end + 1),
            _ => 0,
        };
        if fraction > 0 {
            end += 1 + fraction;
        } else if whole == 0 {
            return Err(PatternError::new(start, "a sign without a number"));
        } else if whole > 1 && bytes[whole_at] == b'0' {
            return Err(PatternError::new(
                start,
                "a whole number with a leading zero",
            ));
        }
        if bytes
            .get(end)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
        {
            return Err(PatternError::new(start, "not a number"));
        }
        self.position = end;
        let text = &self.text[start..end];
        Ok(if fraction > 0 {
            Token::Float(text)
        } else {
            Token::Integer(text)
        })
    }
}

/// Year to second with `T` and `Z`, in UTC, with an optional fraction of any length.
fn is_timestamp(text: &str) -> bool {
    let Some(body) = text.strip_suffix('Z') else {
        return false;
    };
    body.as_bytes().get(10) == Some(&b'T')
        && super::timestamp::parse_seconds(body).is_ok_and(|(_, rest)| {
            match rest.strip_prefix('.') {
                None => rest.is_empty(),
                Some(fraction) => {
                    !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
                }
            }
        })
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
