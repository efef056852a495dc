//! Requests and answers as the device sees them, and the query language of its tables.

use serde_json::{Map, Value as Json};

/// One request, decoded.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: String,
    /// Path segments, decoded one by one: a slash inside a segment was sent as `%2F`.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) bearer: Option<String>,
    /// The transaction that it belongs to.
    pub(super) transaction: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Ask {
    /// Decodes a request line, its headers and its body.
    pub(super) fn new(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |wanted: &str| {
            headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| *value)
        };
        Self {
            method: method.to_owned(),
            path: path
                .split('/')
                .skip(1)
                .map(|segment| decode(segment, false))
                .collect(),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key, true), decode(value, true))
                })
                .collect(),
            bearer: header("Authorization")
                .and_then(|text| text.strip_prefix("Bearer "))
                .map(str::to_owned),
            transaction: header("X-TRANSACTION-ID").map(str::to_owned),
            body: body.to_vec(),
        }
    }

    pub(super) fn parameter(&self, key: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, key: &str) -> Option<usize> {
        self.parameter(key)?.parse().ok()
    }
}

/// Percent decoding; `+` is a space in queries only.
fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) if plus => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Json) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string(),
        }
    }

    pub(super) fn html(status: u16, title: &str) -> Self {
        Self {
            status,
            content_type: "text/html",
            body: format!(
                "<!DOCTYPE html><html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"
            ),
        }
    }
}

/// A field as the text that filters compare and addresses name.
pub(super) fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// Splits at unescaped commas and drops the escapes.
fn alternatives(filter: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = filter.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                if let (Some(next), Some(last)) = (letters.next(), parts.last_mut()) {
                    last.push(next);
                }
            }
            ',' => parts.push(String::new()),
            other => {
                if let Some(last) = parts.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    parts
}

/// `None` where the operator is not known.
fn condition(row: &Map<String, Json>, text: &str) -> Option<bool> {
    const OPERATORS: [&str; 8] = ["==", "!=", "=@", "!@", "<=", ">=", "<", ">"];
    let (at, operator) = OPERATORS
        .iter()
        .filter_map(|operator| text.find(operator).map(|at| (at, *operator)))
        .min_by_key(|(at, operator)| (*at, 2 - operator.len()))?;
    let field = &text[..at];
    let pattern = text[at + operator.len()..].to_lowercase();
    let held = row
        .get(field)
        .map(text_of)
        .unwrap_or_default()
        .to_lowercase();
    let order = match (held.parse::<i64>(), pattern.parse::<i64>()) {
        (Ok(held), Ok(pattern)) => held.cmp(&pattern),
        _ => held.cmp(&pattern),
    };
    Some(match operator {
        "==" => held == pattern,
        "!=" => held != pattern,
        "=@" => held.contains(&pattern),
        "!@" => !held.contains(&pattern),
        "<=" => order.is_le(),
        ">=" => order.is_ge(),
        "<" => order.is_lt(),
        _ => order.is_gt(),
    })
}

/// Whether a row passes every `filter` parameter. `Err` names a filter without a known operator.
pub(super) fn passes(row: &Map<String, Json>, ask: &Ask) -> Result<bool, String> {
    for (key, filter) in &ask.query {
        if key != "filter" {
            continue;
        }
        let mut any = false;
        for alternative in alternatives(filter) {
            match condition(row, &alternative) {
                Some(true) => any = true,
                Some(false) => {}
                None => return Err(filter.clone()),
            }
        }
        if !any {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The fields that `format` asks for, and `q_origin_key`.
pub(super) fn shaped(row: &Map<String, Json>, ask: &Ask) -> Map<String, Json> {
    let Some(format) = ask.parameter("format") else {
        return row.clone();
    };
    let fields: Vec<&str> = format.split('|').collect();
    row.iter()
        .filter(|(key, _)| *key == "q_origin_key" || fields.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
