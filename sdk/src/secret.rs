//! A value that must not be printed.

use std::collections::HashSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// A secret: wiped when dropped, and `Debug` shows nothing of it. There is no `Display` and no
/// `Serialize`, so that it cannot reach a log, a report or a snapshot by accident.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret. Surrounding white space is dropped: files and pasted tokens end with a line feed.
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text.trim().to_owned()))
    }

    /// The secret itself; for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// It as it is, and as others write it who repeat it in JSON, URLs, forms and XML: what has to be struck out of
    /// a text that may hold it. One that needs no escapes looks the same in all.
    pub fn written(&self) -> HashSet<String> {
        written(self.expose())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password", "x-secret": true })
    }
}

/// A text as it is, and as it is written in JSON, URLs, forms and XML.
fn written(text: &str) -> HashSet<String> {
    let mut forms = HashSet::from([text.to_owned()]);
    let json = serde_json::Value::from(text).to_string();
    let json = &json[1..json.len() - 1];
    let ascii = |text: &str| -> String {
        let mut escaped = String::new();
        for letter in text.chars() {
            if letter.is_ascii() {
                escaped.push(letter);
            } else {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        escaped
    };
    for slash in ["/", "\\/"] {
        let json = json.replace('/', slash);
        forms.insert(ascii(&json));
        forms.insert(json);
    }
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    for space in ["+", "%20"] {
        let form = form.replace('+', space);
        forms.insert(lower_escapes(&form));
        forms.insert(form);
    }
    let xml = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    forms.insert(xml.replace('"', "&quot;"));
    forms.insert(xml.replace('"', "&quot;").replace('\'', "&#39;"));
    forms.insert(xml);
    forms
}

/// `%2F` as `%2f`: both mean the same, and both are in use.
fn lower_escapes(form: &str) -> String {
    let mut parts = form.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lower.push('%');
        lower.push_str(&escape.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2\n")), "[secret]");
        assert_eq!(Secret::new(" hunter2\n").expose(), "hunter2");
    }
}
