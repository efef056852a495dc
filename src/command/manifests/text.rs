//! JSON and YAML as files.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// Names that YAML 1.1 takes for something else than a text.
const RESERVED: [&str; 10] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~",
];

/// JSON for people, with a line end.
pub(super) fn json(value: &Json) -> Vec<u8> {
    (pretty(value) + "\n").into_bytes()
}

/// JSON as Python's `json.dumps(value, indent=2)` writes it, which is the form that Sekoia's linter asks
/// for: nothing beyond ASCII, and no line end.
pub(super) fn python_json(value: &Json) -> Vec<u8> {
    let mut ascii = String::new();
    for letter in pretty(value).chars() {
        if letter <= '~' {
            ascii.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii.into_bytes()
}

fn pretty(value: &Json) -> String {
    // A JSON value always serialises.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// YAML in blocks: keys in their order, every text in double quotes.
pub(super) fn yaml(value: &Json) -> Vec<u8> {
    let mut out = String::new();
    block(value, 0, &mut out);
    out.into_bytes()
}

/// A value that begins at the start of a line.
fn block(value: &Json, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                out.push_str(&indent);
                out.push_str(&key(name));
                out.push(':');
                after(field, depth, out);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&indent);
                out.push('-');
                after(item, depth, out);
            }
        }
        _ => {
            out.push_str(&indent);
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

/// A value behind a key or a dash.
fn after(value: &Json, depth: usize, out: &mut String) {
    let is_block = match value {
        Json::Object(fields) => !fields.is_empty(),
        Json::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        out.push(' ');
        out.push_str(&scalar(value));
        out.push('\n');
    }
}

fn key(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
        && !RESERVED.contains(&name.to_ascii_lowercase().as_str());
    if plain { name.to_owned() } else { quoted(name) }
}

/// Anything that is not written in lines of its own.
fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A text in double quotes, printable ASCII alone.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(letter),
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(letter));
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = json!({ "a": [], "b": {}, "c": ["é", "😀", "\u{7f}\n"], "d": null });
        assert_eq!(
            String::from_utf8(python_json(&value)).unwrap(),
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    \"\\u00e9\",\n    \"\\ud83d\\ude00\",\n    \
             \"\\u007f\\n\"\n  ],\n  \"d\": null\n}"
        );
    }

    #[test]
    fn yaml_has_keys_in_order_and_every_text_in_quotes() {
        let value = json!({
            "z": "no", "a": { "list": ["x: y", { "deep": 1 }, [true]], "none": [], "empty": {} },
            "on": null, "1": 2.5, "with space": "#", "": "",
        });
        assert_eq!(
            String::from_utf8(yaml(&value)).unwrap(),
            "z: \"no\"\na:\n  list:\n    - \"x: y\"\n    -\n      deep: 1\n    -\n      - true\n  none: []\n  \
             empty: {}\n\"on\": null\n\"1\": 2.5\n\"with space\": \"#\"\n\"\": \"\"\n"
        );
    }

    #[test]
    fn no_text_leaves_its_quotes() {
        let hostile = "\"\n- evil: true\r\u{85}\u{2028}\u{feff}\\\0\t😀 {{x}} %@`";
        let text = String::from_utf8(yaml(&json!({ "a": hostile }))).unwrap();
        assert_eq!(
            text,
            "a: \"\\\"\\n- evil: true\\U0000000d\\U00000085\\U00002028\\U0000feff\\\\\\U00000000\\t\\U0001f600 \
             {{x}} %@`\"\n"
        );
    }
}
