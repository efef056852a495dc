//! The grammar of STIX 2.1 patterns (specification chapter 9), read by recursive descent. Nesting and
//! length are bounded, so no pattern can exhaust the stack.

use std::borrow::Cow;
use std::fmt;

use super::lexer::{Keyword, Lexer, Token};

/// Deepest nesting of parentheses, in and outside of brackets together.
pub const MAX_DEPTH: usize = 64;

/// Longest pattern in bytes.
pub const MAX_LENGTH: usize = 1 << 20;

/// Why a pattern is not read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {position} of the pattern")]
pub struct PatternError {
    /// Byte offset in the pattern.
    pub position: usize,
    /// What is wrong.
    pub message: String,
}

impl PatternError {
    pub(super) fn new(position: usize, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
        }
    }
}

/// What joins two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Both.
    And,
    /// Either.
    Or,
    /// One after the other; between observations only.
    FollowedBy,
}

impl Join {
    /// As the pattern spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::FollowedBy => "FOLLOWEDBY",
        }
    }
}

/// What stands outside of brackets.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation<'a> {
    /// `[…]`.
    Single(Comparison<'a>),
    /// Two or more.
    Joined(Join, Vec<Self>),
    /// With one or more qualifiers, of which the first is kept.
    Qualified(Qualifier, Box<Self>),
}

/// What narrows an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qualifier {
    /// `WITHIN … SECONDS`.
    Within,
    /// `START … STOP …`.
    StartStop,
    /// `REPEATS … TIMES`.
    Repeats,
}

impl Qualifier {
    /// As the pattern spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Within => "WITHIN",
            Self::StartStop => "START",
            Self::Repeats => "REPEATS",
        }
    }
}

/// What stands inside of brackets.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison<'a> {
    /// One condition.
    Test(Test<'a>),
    /// Two or more, by [`Join::And`] or [`Join::Or`].
    Joined(Join, Vec<Self>),
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Test<'a> {
    /// What is looked at.
    pub path: Path<'a>,
    /// Whether `NOT` stands before the operator.
    pub negated: bool,
    /// How it is compared.
    pub operator: Operator,
    /// With what: one literal, the members of a set, nothing for `EXISTS`.
    pub operands: Operands<'a>,
}

/// The right side of a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Operands<'a> {
    /// Nothing.
    None,
    /// One literal.
    One(Literal<'a>),
    /// The members of a set.
    Set(Vec<Literal<'a>>),
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `IN`
    In,
    /// `LIKE`
    Like,
    /// `MATCHES`
    Matches,
    /// `ISSUBSET`
    IsSubset,
    /// `ISSUPERSET`
    IsSuperset,
    /// `EXISTS`
    Exists,
}

impl Operator {
    /// As the pattern spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "IN",
            Self::Like => "LIKE",
            Self::Matches => "MATCHES",
            Self::IsSubset => "ISSUBSET",
            Self::IsSuperset => "ISSUPERSET",
            Self::Exists => "EXISTS",
        }
    }
}

/// An object path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// The object's type, for instance `ipv4-addr`.
    pub object: &'a str,
    /// What follows it; at least one step.
    pub steps: Vec<Step<'a>>,
    /// The path as written.
    pub text: &'a str,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// One step of an object path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A property or dictionary key, quoted or not. An unquoted name with a hyphen (`SHA-256`) is not in
    /// the grammar, but feeds write it and it can mean one thing only.
    Name(Cow<'a, str>),
    /// A list index.
    Index(&'a str),
    /// Any member of a list.
    Any,
}

/// A literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal<'a> {
    /// `'…'`, escapes undone.
    String(Cow<'a, str>),
    /// A whole number.
    Integer(&'a str),
    /// A number with a fraction.
    Float(&'a str),
    /// `true` or `false`.
    Boolean(bool),
    /// `t'…'`.
    Timestamp(&'a str),
    /// `b'…'`, base64.
    Binary(&'a str),
    /// `h'…'`.
    Hex(&'a str),
}

/// Reads a pattern by the whole grammar of STIX 2.1.
///
/// # Errors
/// The first place where the text leaves the grammar, nests deeper than [`MAX_DEPTH`] or is longer than
/// [`MAX_LENGTH`].
pub fn parse(text: &str) -> Result<Observation<'_>, PatternError> {
    if text.len() > MAX_LENGTH {
        return Err(PatternError::new(
            MAX_LENGTH,
            format!("longer than {MAX_LENGTH} bytes"),
        ));
    }
    let mut lexer = Lexer::new(text);
    let (position, token) = lexer.next()?;
    let mut parser = Parser {
        text,
        lexer,
        token,
        position,
        end: 0,
        depth: 0,
    };
    let observation = parser.observations(0)?;
    match parser.token {
        Token::End => Ok(observation),
        _ => Err(parser.unexpected("AND, OR, FOLLOWEDBY or a qualifier")),
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The token that is looked at, and where it starts.
    token: Token<'a>,
    position: usize,
    /// Where the token before it ends.
    end: usize,
    depth: usize,
}

/// The joins between observations, the loosest first.
const OBSERVATION_JOINS: [(Keyword, Join); 3] = [
    (Keyword::FollowedBy, Join::FollowedBy),
    (Keyword::Or, Join::Or),
    (Keyword::And, Join::And),
];

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<Token<'a>, PatternError> {
        self.end = self.lexer.position();
        let (position, token) = self.lexer.next()?;
        self.position = position;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn accept(&mut self, token: &Token<'_>) -> Result<bool, PatternError> {
        let found = self.token == *token;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> Result<bool, PatternError> {
        let found = matches!(self.token, Token::Keyword(word) if word == keyword);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, token: &Token<'_>, what: &str) -> Result<(), PatternError> {
        if self.accept(token)? {
            Ok(())
        } else {
            Err(self.unexpected(what))
        }
    }

    fn unexpected(&self, wanted: &str) -> PatternError {
        let found = match self.token {
            Token::End => "the end".to_owned(),
            _ => {
                let rest = &self.text[self.position..];
                let word: String = rest
                    .chars()
                    .take(20)
                    .take_while(|character| !character.is_whitespace())
                    .collect();
                format!("{word:?}")
            }
        };
        PatternError::new(self.position, format!("expected {wanted}, found {found}"))
    }

    fn enter(&mut self) -> Result<(), PatternError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(PatternError::new(
                self.position,
                format!("nested deeper than {MAX_DEPTH}"),
            ));
        }
        Ok(())
    }

    /// Observations joined at `level` of [`OBSERVATION_JOINS`] or tighter.
    fn observations(&mut self, level: usize) -> Result<Observation<'a>, PatternError> {
        let Some(&(keyword, join)) = OBSERVATION_JOINS.get(level) else {
            return self.observation();
        };
        let first = self.observations(level + 1)?;
        if !self.accept_keyword(keyword)? {
            return Ok(first);
        }
        let mut parts = vec![first];
        loop {
            parts.push(self.observations(level + 1)?);
            if !self.accept_keyword(keyword)? {
                return Ok(Observation::Joined(join, parts));
            }
        }
    }

    fn observation(&mut self) -> Result<Observation<'a>, PatternError> {
        let inner = if self.accept(&Token::OpenBracket)? {
            let comparison = self.comparisons()?;
            self.expect(&Token::CloseBracket, "AND, OR or ]")?;
            Observation::Single(comparison)
        } else if self.token == Token::OpenParenthesis {
            self.enter()?;
            self.advance()?;
            let inner = self.observations(0)?;
            self.expect(
                &Token::CloseParenthesis,
                "AND, OR, FOLLOWEDBY, a qualifier or )",
            )?;
            self.depth -= 1;
            inner
        } else {
            return Err(self.unexpected("[ or ("));
        };
        let mut first = None;
        while let Some(qualifier) = self.qualifier()? {
            first.get_or_insert(qualifier);
        }
        Ok(match first {
            Some(qualifier) => Observation::Qualified(qualifier, Box::new(inner)),
            None => inner,
        })
    }

    fn qualifier(&mut self) -> Result<Option<Qualifier>, PatternError> {
        if self.accept_keyword(Keyword::Within)? {
            match self.token {
                Token::Integer(text) | Token::Float(text) if !text.starts_with('-') => {}
                _ => return Err(self.unexpected("a positive number of seconds")),
            }
            self.advance()?;
            if !self.accept_keyword(Keyword::Seconds)? {
                return Err(self.unexpected("SECONDS"));
            }
            return Ok(Some(Qualifier::Within));
        }
        if self.accept_keyword(Keyword::Repeats)? {
            match self.token {
                Token::Integer(text) if !text.starts_with('-') => {}
                _ => return Err(self.unexpected("how many times")),
            }
            self.advance()?;
            if !self.accept_keyword(Keyword::Times)? {
                return Err(self.unexpected("TIMES"));
            }
            return Ok(Some(Qualifier::Repeats));
        }
        if self.accept_keyword(Keyword::Start)? {
            self.timestamp()?;
            if !self.accept_keyword(Keyword::Stop)? {
                return Err(self.unexpected("STOP"));
            }
            self.timestamp()?;
            return Ok(Some(Qualifier::StartStop));
        }
        Ok(None)
    }

    fn timestamp(&mut self) -> Result<(), PatternError> {
        if !matches!(self.token, Token::Timestamp(_)) {
            return Err(self.unexpected("a timestamp"));
        }
        self.advance()?;
        Ok(())
    }

    fn comparisons(&mut self) -> Result<Comparison<'a>, PatternError> {
        let first = self.conjunction()?;
        if !self.accept_keyword(Keyword::Or)? {
            return Ok(first);
        }
        let mut parts = vec![first];
        loop {
            parts.push(self.conjunction()?);
            if !self.accept_keyword(Keyword::Or)? {
                return Ok(Comparison::Joined(Join::Or, parts));
            }
        }
    }

    fn conjunction(&mut self) -> Result<Comparison<'a>, PatternError> {
        let first = self.comparison()?;
        if !self.accept_keyword(Keyword::And)? {
            return Ok(first);
        }
        let mut parts = vec![first];
        loop {
            parts.push(self.comparison()?);
            if !self.accept_keyword(Keyword::And)? {
                return Ok(Comparison::Joined(Join::And, parts));
            }
        }
    }

    fn comparison(&mut self) -> Result<Comparison<'a>, PatternError> {
        if self.token == Token::OpenParenthesis {
            self.enter()?;
            self.advance()?;
            let inner = self.comparisons()?;
            self.expect(&Token::CloseParenthesis, "AND, OR or )")?;
            self.depth -= 1;
            return Ok(inner);
        }
        if self.accept_keyword(Keyword::Exists)? {
            return Ok(Comparison::Test(Test {
                path: self.path()?,
                negated: false,
                operator: Operator::Exists,
                operands: Operands::None,
            }));
        }
        let path = self.path()?;
        let negated = self.accept_keyword(Keyword::Not)?;
        let operator = self.operator()?;
        let operands = match operator {
            Operator::In => Operands::Set(self.set()?),
            Operator::Like | Operator::Matches | Operator::IsSubset | Operator::IsSuperset => {
                if !matches!(self.token, Token::String(_)) {
                    return Err(self.unexpected("a string"));
                }
                Operands::One(self.literal()?)
            }
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
                if matches!(self.token, Token::Keyword(_)) =>
            {
                return Err(self.unexpected("a value that has an order"));
            }
            _ => Operands::One(self.literal()?),
        };
        Ok(Comparison::Test(Test {
            path,
            negated,
            operator,
            operands,
        }))
    }

    fn operator(&mut self) -> Result<Operator, PatternError> {
        let operator = match self.token {
            Token::Equal => Operator::Equal,
            Token::NotEqual => Operator::NotEqual,
            Token::Less => Operator::Less,
            Token::LessOrEqual => Operator::LessOrEqual,
            Token::Greater => Operator::Greater,
            Token::GreaterOrEqual => Operator::GreaterOrEqual,
            Token::Keyword(Keyword::In) => Operator::In,
            Token::Keyword(Keyword::Like) => Operator::Like,
            Token::Keyword(Keyword::Matches) => Operator::Matches,
            Token::Keyword(Keyword::IsSubset) => Operator::IsSubset,
            Token::Keyword(Keyword::IsSuperset) => Operator::IsSuperset,
            _ => return Err(self.unexpected("a comparison operator")),
        };
        self.advance()?;
        Ok(operator)
    }

    fn path(&mut self) -> Result<Path<'a>, PatternError> {
        let start = self.position;
        let Token::Name(object) = self.token else {
            return Err(self.unexpected("an object path like ipv4-addr:value"));
        };
        self.advance()?;
        self.expect(&Token::Colon, "a colon after the object type")?;
        let mut steps = Vec::with_capacity(2);
        steps.push(self.name()?);
        loop {
            if self.accept(&Token::Dot)? {
                steps.push(self.name()?);
            } else if self.accept(&Token::OpenBracket)? {
                steps.push(match self.token {
                    Token::Asterisk => Step::Any,
                    Token::Integer(index) => Step::Index(index),
                    _ => return Err(self.unexpected("a list index or *")),
                });
                self.advance()?;
                self.expect(&Token::CloseBracket, "]")?;
            } else {
                return Ok(Path {
                    object,
                    steps,
                    text: &self.text[start..self.end],
                });
            }
        }
    }

    fn name(&mut self) -> Result<Step<'a>, PatternError> {
        if !matches!(self.token, Token::Name(_) | Token::String(_)) {
            return Err(self.unexpected("a property name"));
        }
        Ok(Step::Name(match self.advance()? {
            Token::String(name) => name,
            Token::Name(name) => Cow::Borrowed(name),
            _ => Cow::Borrowed(""),
        }))
    }

    fn set(&mut self) -> Result<Vec<Literal<'a>>, PatternError> {
        self.expect(&Token::OpenParenthesis, "a set in parentheses")?;
        let mut members = Vec::new();
        if self.accept(&Token::CloseParenthesis)? {
            return Ok(members);
        }
        loop {
            members.push(self.literal()?);
            if self.accept(&Token::CloseParenthesis)? {
                return Ok(members);
            }
            self.expect(&Token::Comma, "a comma or )")?;
        }
    }

    fn literal(&mut self) -> Result<Literal<'a>, PatternError> {
        if !matches!(
            self.token,
            Token::String(_)
                | Token::Integer(_)
                | Token::Float(_)
                | Token::Timestamp(_)
                | Token::Binary(_)
                | Token::Hex(_)
                | Token::Keyword(Keyword::True | Keyword::False)
        ) {
            return Err(self.unexpected("a value"));
        }
        Ok(match self.advance()? {
            Token::String(text) => Literal::String(text),
            Token::Integer(text) => Literal::Integer(text),
            Token::Float(text) => Literal::Float(text),
            Token::Timestamp(text) => Literal::Timestamp(text),
            Token::Binary(text) => Literal::Binary(text),
            Token::Hex(text) => Literal::Hex(text),
            token => Literal::Boolean(token == Token::Keyword(Keyword::True)),
        })
    }
}
