//! What a pattern comes to: the single values that say, each blocked alone, what the pattern says.
//!
//! That holds for `=`, `IN` and `ISSUBSET` on a known path, joined by `OR`. Everything else is left out
//! by name: to block one half of an `AND` would block more than its author meant.

use std::borrow::Cow;

use super::parser::{
    Comparison, Join, Literal, MAX_DEPTH, Observation, Operands, Operator, Path, PatternError,
    Step, Test, parse,
};
use crate::collection::SkippedReason;
use crate::indicator::{Kind, Value, ValueError};

/// What a pattern comes to. Reused from pattern to pattern by the bundle reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flattened {
    /// The values, in the order of the pattern.
    pub values: Vec<Value>,
    /// The parts that are not values.
    pub left: Vec<Left>,
}

/// A part of a pattern that is not a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Why, as counted.
    pub reason: SkippedReason,
    /// Why, in words; names the construct.
    pub message: Cow<'static, str>,
}

impl Flattened {
    fn leave(&mut self, reason: SkippedReason, message: impl Into<Cow<'static, str>>) {
        self.left.push(Left {
            reason,
            message: message.into(),
        });
    }

    /// Reads a pattern and adds what it comes to.
    ///
    /// # Errors
    /// The pattern leaves the grammar; nothing is added then.
    pub fn add(&mut self, pattern: &str) -> Result<(), PatternError> {
        let observation = parse(pattern)?;
        self.observation(&observation);
        Ok(())
    }

    fn observation(&mut self, observation: &Observation<'_>) {
        match observation {
            Observation::Single(comparison) => self.comparison(comparison),
            Observation::Joined(Join::Or, parts) => {
                for part in parts {
                    self.observation(part);
                }
            }
            Observation::Joined(join, _) => self.leave(SkippedReason::Pattern, joined(*join)),
            Observation::Qualified(qualifier, _) => self.leave(
                SkippedReason::Pattern,
                match qualifier.name() {
                    "WITHIN" => "WITHIN: single values know no time span",
                    "START" => "START and STOP: single values know no time span",
                    _ => "REPEATS: single values are not counted",
                },
            ),
        }
    }

    fn comparison(&mut self, comparison: &Comparison<'_>) {
        match comparison {
            Comparison::Test(test) => self.test(test),
            Comparison::Joined(Join::Or, parts) => {
                for part in parts {
                    self.comparison(part);
                }
            }
            Comparison::Joined(join, _) => self.leave(SkippedReason::Pattern, joined(*join)),
        }
    }

    fn test(&mut self, test: &Test<'_>) {
        if test.negated {
            return self.leave(
                SkippedReason::Pattern,
                "NOT: everything else cannot be blocked",
            );
        }
        let subset = match test.operator {
            Operator::Equal | Operator::In => false,
            Operator::IsSubset => true,
            operator => {
                return self.leave(
                    SkippedReason::Pattern,
                    format!("{}: not a list of values", operator.name()),
                );
            }
        };
        let kind = match known_path(&test.path) {
            Ok(kind) => kind,
            Err(message) => return self.leave(SkippedReason::Unsupported, message),
        };
        if subset && !matches!(kind, Kind::Ipv4 | Kind::Ipv6) {
            return self.leave(
                SkippedReason::Pattern,
                format!("ISSUBSET: {} has no subsets", test.path),
            );
        }
        match &test.operands {
            Operands::One(literal) => self.literal(kind, literal),
            Operands::Set(members) if members.is_empty() => {
                self.leave(SkippedReason::Pattern, "IN: the set is empty");
            }
            Operands::Set(members) => {
                for literal in members {
                    self.literal(kind, literal);
                }
            }
            Operands::None => {}
        }
    }

    fn literal(&mut self, kind: Kind, literal: &Literal<'_>) {
        let Literal::String(text) = literal else {
            return self.leave(
                SkippedReason::Unreadable,
                format!("a {kind} is written as a string"),
            );
        };
        match Value::parse(kind, text) {
            Ok(value) => self.values.push(value),
            Err(error) => {
                let reason = match error {
                    ValueError::Unsupported(_) => SkippedReason::Unsupported,
                    _ => SkippedReason::Unreadable,
                };
                let shown: String = text.chars().take(100).collect();
                self.leave(reason, format!("{shown:?} is {error}"));
            }
        }
    }
}

/// Reads a pattern and says what it comes to.
///
/// # Errors
/// The pattern leaves the grammar.
pub fn flatten(pattern: &str) -> Result<Flattened, PatternError> {
    let mut flattened = Flattened::default();
    flattened.add(pattern)?;
    Ok(flattened)
}

fn joined(join: Join) -> &'static str {
    match join {
        Join::And => "AND: one part alone says less than the pattern",
        Join::FollowedBy => "FOLLOWEDBY: single values have no order",
        Join::Or => "OR",
    }
}

/// The kind of value that a path holds, or why there is none.
fn known_path(path: &Path<'_>) -> Result<Kind, Cow<'static, str>> {
    let kind = match (path.object, path.steps.as_slice()) {
        ("ipv4-addr", [Step::Name(name)]) if name == "value" => Kind::Ipv4,
        ("ipv6-addr", [Step::Name(name)]) if name == "value" => Kind::Ipv6,
        ("domain-name", [Step::Name(name)]) if name == "value" => Kind::Domain,
        ("url", [Step::Name(name)]) if name == "value" => Kind::Url,
        ("file", [Step::Name(name), Step::Name(algorithm)]) if name == "hashes" => {
            return hash_kind(algorithm)
                .ok_or_else(|| format!("file hash {algorithm} is not supported").into());
        }
        ("email-addr", [Step::Name(name)]) if name == "value" => {
            return Err("e-mail address is not supported".into());
        }
        // A connection *to* an address says less than the address: the direction is lost.
        _ => {
            let shown: String = path.text.chars().take(100).collect();
            return Err(format!("{shown} is not supported").into());
        }
    };
    Ok(kind)
}

/// `SHA-256`, `SHA256`, `sha256`, `sha_256`: letters and digits decide.
fn hash_kind(algorithm: &str) -> Option<Kind> {
    let mut plain = [0_u8; 6];
    let mut length = 0;
    for byte in algorithm
        .bytes()
        .filter(|byte| !matches!(byte, b'-' | b'_'))
    {
        *plain.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    match &plain[..length] {
        b"md5" => Some(Kind::Md5),
        b"sha1" => Some(Kind::Sha1),
        b"sha256" => Some(Kind::Sha256),
        _ => None,
    }
}

// Observations and comparisons nest at most as deep as the parser lets them, so that walking and dropping
// them needs no guard of its own.
const _: () = assert!(MAX_DEPTH <= 128);

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
