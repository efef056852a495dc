//! FQL, Falcon's query language, as far as indicators have properties for it (vendor file section 10).

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, Utc};

use super::store::Row;

/// Most properties in one statement.
const PROPERTY_LIMIT: usize = 20;

const PROPERTIES: &[&str] = &[
    "id",
    "type",
    "value",
    "action",
    "mobile_action",
    "severity",
    "severity_number",
    "source",
    "tags",
    "platforms",
    "host_groups",
    "applied_globally",
    "expiration",
    "expired",
    "deleted",
    "from_parent",
    "created_on",
    "created_by",
    "modified_on",
    "modified_by",
    "description",
    "metadata.filename",
    "metadata.filename.raw",
    "_all",
];

/// A parsed filter.
#[derive(Debug)]
pub(super) struct Filter {
    root: Node,
    /// Whether it names the property `deleted`: otherwise deleted records are hidden.
    pub(super) mentions_deleted: bool,
    /// Whether it names the property `from_parent`.
    pub(super) mentions_parent: bool,
}

#[derive(Debug)]
enum Node {
    Everything,
    And(Vec<Node>),
    Or(Vec<Node>),
    Condition {
        property: &'static str,
        operator: Operator,
        values: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Text,
    NotText,
    Wildcard,
}

impl Filter {
    /// Reads a statement; the empty one matches everything.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            text,
            at: 0,
            properties: Vec::new(),
            depth: 0,
        };
        let root = if text.trim().is_empty() {
            Node::Everything
        } else {
            let node = parser.any()?;
            parser.spaces();
            if parser.at < text.len() {
                return Err(parser.wrong("unexpected text"));
            }
            node
        };
        if parser.properties.len() > PROPERTY_LIMIT {
            return Err(format!("filter has more than {PROPERTY_LIMIT} properties"));
        }
        Ok(Self {
            root,
            mentions_deleted: parser.properties.contains(&"deleted"),
            mentions_parent: parser.properties.contains(&"from_parent"),
        })
    }

    /// Whether a record matches.
    pub(super) fn matches(&self, row: &Row) -> bool {
        self.root.matches(row)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    properties: Vec<&'static str>,
    depth: usize,
}

impl Parser<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("invalid filter expression: {what} at position {}", self.at)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, expected: char) -> bool {
        if self.peek() == Some(expected) {
            self.at += expected.len_utf8();
            return true;
        }
        false
    }

    fn spaces(&mut self) {
        while self.take(' ') {}
    }

    fn any(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.all()?];
        loop {
            self.spaces();
            if !self.take(',') {
                break;
            }
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Or(nodes)
        })
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.factor()?];
        loop {
            self.spaces();
            if !self.take('+') {
                break;
            }
            nodes.push(self.factor()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::And(nodes)
        })
    }

    fn factor(&mut self) -> Result<Node, String> {
        self.spaces();
        if self.take('(') {
            self.depth += 1;
            if self.depth > 50 {
                return Err(self.wrong("nested too deep"));
            }
            let node = self.any()?;
            self.spaces();
            if !self.take(')') {
                return Err(self.wrong("missing )"));
            }
            self.depth -= 1;
            return Ok(node);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Node, String> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
        {
            self.at += 1;
        }
        let name = &self.text[start..self.at];
        let Some(property) = PROPERTIES.iter().find(|known| **known == name).copied() else {
            return Err(self.wrong("unknown property"));
        };
        self.properties.push(property);
        if !self.take(':') {
            return Err(self.wrong("missing :"));
        }
        self.spaces();
        let operator = self.operator();
        self.spaces();
        let mut values = Vec::new();
        if self.take('[') {
            loop {
                self.spaces();
                values.push(self.value()?);
                self.spaces();
                if self.take(']') {
                    break;
                }
                if !self.take(',') {
                    return Err(self.wrong("missing ]"));
                }
            }
        } else {
            values.push(self.value()?);
        }
        Ok(Node::Condition {
            property,
            operator,
            values,
        })
    }

    fn operator(&mut self) -> Operator {
        if self.take('!') {
            return if self.take('~') {
                Operator::NotText
            } else {
                Operator::NotEqual
            };
        }
        if self.take('>') {
            return if self.take('=') {
                Operator::GreaterOrEqual
            } else {
                Operator::Greater
            };
        }
        if self.take('<') {
            return if self.take('=') {
                Operator::LessOrEqual
            } else {
                Operator::Less
            };
        }
        if self.take('~') {
            return Operator::Text;
        }
        if self.take('*') {
            return Operator::Wildcard;
        }
        Operator::Equal
    }

    fn value(&mut self) -> Result<String, String> {
        let mut value = String::new();
        match self.peek() {
            Some(quote @ ('\'' | '"')) => {
                self.at += 1;
                loop {
                    let Some(c) = self.peek() else {
                        return Err(self.wrong("missing closing quote"));
                    };
                    self.at += c.len_utf8();
                    if c == quote {
                        return Ok(value);
                    }
                    if c == '\\' && self.peek() == Some(quote) {
                        self.at += 1;
                        value.push(quote);
                    } else {
                        value.push(c);
                    }
                }
            }
            _ => {
                while let Some(c) = self.peek() {
                    if !(c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '_')) {
                        break;
                    }
                    value.push(c);
                    self.at += 1;
                }
                if value.is_empty() {
                    Err(self.wrong("missing value"))
                } else {
                    Ok(value)
                }
            }
        }
    }
}

impl Node {
    fn matches(&self, row: &Row) -> bool {
        match self {
            Self::Everything => true,
            Self::And(nodes) => nodes.iter().all(|node| node.matches(row)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(row)),
            Self::Condition {
                property,
                operator,
                values,
            } => {
                let any = values
                    .iter()
                    .any(|value| condition(row, property, *operator, value));
                match operator {
                    Operator::NotEqual | Operator::NotText => !any,
                    _ => any,
                }
            }
        }
    }
}

/// One value of a condition; negation is applied by the caller to the whole list.
fn condition(row: &Row, property: &str, operator: Operator, wanted: &str) -> bool {
    let texts = texts(row, property);
    texts.iter().any(|text| match operator {
        Operator::Equal | Operator::NotEqual => {
            compare(property, text, wanted) == Some(Ordering::Equal)
        }
        Operator::Greater => compare(property, text, wanted) == Some(Ordering::Greater),
        Operator::GreaterOrEqual => compare(property, text, wanted).is_some_and(Ordering::is_ge),
        Operator::Less => compare(property, text, wanted) == Some(Ordering::Less),
        Operator::LessOrEqual => compare(property, text, wanted).is_some_and(Ordering::is_le),
        Operator::Text | Operator::NotText => text.to_lowercase().contains(&wanted.to_lowercase()),
        Operator::Wildcard => wildcard(wanted, text),
    })
}

/// Times as times, numbers as numbers, everything else letter by letter and case-sensitive.
fn compare(property: &str, text: &str, wanted: &str) -> Option<Ordering> {
    match property {
        "expiration" | "created_on" | "modified_on" => Some(time(text)?.cmp(&time(wanted)?)),
        "severity_number" => Some(text.parse::<u32>().ok()?.cmp(&wanted.parse::<u32>().ok()?)),
        _ => Some(text.cmp(wanted)),
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    Some(
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)?
            .and_utc(),
    )
}

fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn texts(row: &Row, property: &str) -> Vec<String> {
    let some = |text: &str| {
        if text.is_empty() {
            Vec::new()
        } else {
            vec![text.to_owned()]
        }
    };
    match property {
        "id" => some(&row.id),
        "type" => some(&row.kind),
        "value" => some(&row.value),
        "action" => some(&row.action),
        "mobile_action" => some(&row.mobile_action),
        "severity" => some(&row.severity),
        "severity_number" => vec![row.severity_number().to_string()],
        "source" => some(&row.source),
        "description" => some(&row.description),
        "tags" => row.tags.clone(),
        "platforms" => row.platforms.clone(),
        "host_groups" => row.host_groups.clone(),
        "applied_globally" => vec![row.applied_globally.to_string()],
        "expiration" => row
            .expiration
            .map(|time| time.to_rfc3339())
            .into_iter()
            .collect(),
        "expired" => vec![row.expired.to_string()],
        "deleted" => vec![row.deleted.to_string()],
        "from_parent" => vec![row.from_parent.to_string()],
        "created_on" => vec![row.created_on.to_rfc3339()],
        "modified_on" => vec![row.modified_on.to_rfc3339()],
        "created_by" => some(&row.created_by),
        "modified_by" => some(&row.modified_by),
        "metadata.filename" | "metadata.filename.raw" => some(&row.filename),
        _ => [&row.value, &row.source, &row.description, &row.kind]
            .into_iter()
            .cloned()
            .chain(row.tags.iter().cloned())
            .collect(),
    }
}
