//! Which fields of a module's configuration are secrets, and keeping their values out of what is sent
//! and logged.

use std::collections::HashSet;

use sdk::connector::Connector;
use serde_json::{Map, Value as Json, json};

/// A shorter secret is a word that texts have by chance.
const SHORTEST: usize = 4;

/// Our own secret fields of every module that has targets.
const COMMON: [&str; 1] = ["sekoia_api_key"];

/// Names of the secret fields: those at the top level that are a secret, a map of secrets or an object with
/// one, because the platform keeps secrets by such names only.
pub(crate) fn names(connector: &Connector) -> Vec<String> {
    let schema = (connector.schema)().to_value();
    let properties = schema.get("properties").and_then(Json::as_object);
    properties
        .into_iter()
        .flatten()
        .filter(|(_, field)| holds_secret(field, &schema))
        .map(|(name, _)| name.clone())
        .chain(
            COMMON
                .iter()
                .filter(|_| !connector.mechanisms.is_empty())
                .map(|name| (*name).to_owned()),
        )
        .collect()
}

fn holds_secret(field: &Json, root: &Json) -> bool {
    let field = resolve(field, root);
    let properties = field.get("properties").and_then(Json::as_object);
    is_secret(field)
        || field.get("additionalProperties").is_some_and(is_secret)
        || properties.is_some_and(|all| all.values().any(is_secret))
        || branches(field).any(|branch| holds_secret(branch, root))
}

/// Takes over the secrets that the platform gave, and nothing else that it gave.
pub(super) fn merge(configuration: &mut Json, given: &Map<String, Json>, names: &[String]) {
    if let Some(fields) = configuration.as_object_mut() {
        for name in names {
            if let Some(value) = given.get(name) {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

fn is_secret(schema: &Json) -> bool {
    let marked = |schema: &Json| schema.get("x-secret") == Some(&Json::Bool(true));
    marked(schema) || branches(schema).any(marked)
}

fn branches(schema: &Json) -> impl Iterator<Item = &Json> {
    ["anyOf", "oneOf"]
        .iter()
        .filter_map(|word| schema.get(*word)?.as_array())
        .flatten()
}

/// Values that leave in no text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor {
    /// The longest first: one may be a part of another.
    values: Vec<sdk::Secret>,
}

impl Redactor {
    /// One more, also as it stands in what a vendor or a proxy gives back of a request.
    pub(crate) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return;
        }
        let known: HashSet<String> = self
            .values
            .iter()
            .map(|value| value.expose().to_owned())
            .collect();
        let forms = sdk::Secret::new(secret).written();
        let new = forms.into_iter().filter(|form| !known.contains(form));
        self.values.extend(new.map(|form| sdk::Secret::new(&form)));
        self.values
            .sort_by_key(|value| std::cmp::Reverse(value.expose().len()));
    }

    /// Every text in it, however deep.
    pub(crate) fn add_all(&mut self, value: &Json) {
        match value {
            Json::String(text) => self.add(text),
            Json::Number(number) => self.add(&number.to_string()),
            Json::Array(items) => items.iter().for_each(|item| self.add_all(item)),
            Json::Object(fields) => fields.values().for_each(|field| self.add_all(field)),
            Json::Null | Json::Bool(_) => {}
        }
    }

    /// What the platform gave under these names. Not all of an object is secret: the names of devices have
    /// to stay readable.
    pub(crate) fn add_given(&mut self, schema: &Json, names: &[String], given: &Map<String, Json>) {
        for name in names {
            match given.get(name) {
                Some(Json::String(text)) => self.add(text),
                Some(value) => {
                    self.add_secrets(schema, schema, &json!({ (name.as_str()): value }));
                }
                None => {}
            }
        }
    }

    /// What a configuration's schema calls secret, also within lists and objects.
    pub(crate) fn add_secrets(&mut self, schema: &Json, root: &Json, value: &Json) {
        let schema = resolve(schema, root);
        if is_secret(schema) {
            self.add_all(value);
        }
        for branch in branches(schema) {
            self.add_secrets(branch, root, value);
        }
        match value {
            Json::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for item in items {
                        self.add_secrets(schema, root, item);
                    }
                }
            }
            Json::Object(fields) => {
                for (name, field) in fields {
                    let schema = schema
                        .pointer("/properties")
                        .and_then(|all| all.get(name))
                        .or_else(|| schema.get("additionalProperties"));
                    if COMMON.contains(&name.as_str()) {
                        self.add_all(field);
                    } else if let Some(schema) = schema {
                        self.add_secrets(schema, root, field);
                    }
                }
            }
            _ => {}
        }
    }

    /// The text without them.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.values {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "[secret]");
            }
        }
        text
    }

    /// Every text in it without them, names of fields included.
    pub(crate) fn json(&self, value: Json) -> Json {
        match value {
            Json::String(text) => Json::String(self.text(&text)),
            Json::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Json::Object(fields) => fields
                .into_iter()
                .map(|(name, field)| (self.text(&name), self.json(field)))
                .collect(),
            other => other,
        }
    }
}

/// What a reference stands for. A loop would be a defect of ours.
pub(super) fn resolve<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    schema
        .get("$ref")
        .and_then(Json::as_str)
        .and_then(|reference| root.pointer(reference.strip_prefix('#')?))
        .unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_asked_for_by_their_top_level_names() {
        let names_of = |name: &str| names(crate::connectors::find(name).unwrap());
        assert_eq!(names_of("crowdstrike"), ["client_secret", "sekoia_api_key"]);
        assert_eq!(
            names_of("fortinet"),
            ["fortimanager", "api_keys", "sekoia_api_key"]
        );
        assert_eq!(names_of("sekoia"), ["api_key"]);
    }

    #[test]
    fn only_what_was_asked_for_is_taken_over() {
        let mut configuration = json!({ "base_url": "mine", "client_secret": "old" });
        let given = json!({ "client_secret": "new", "base_url": "theirs", "more": 1 });
        merge(
            &mut configuration,
            given.as_object().unwrap(),
            &["client_secret".to_owned(), "api_key".to_owned()],
        );
        assert_eq!(
            configuration,
            json!({ "base_url": "mine", "client_secret": "new" })
        );
    }

    #[test]
    fn devices_behind_a_manager_keep_their_names() {
        let connector = crate::connectors::find("fortinet").unwrap();
        let schema = (connector.schema)().to_value();
        let mut redactor = Redactor::default();
        let given = json!({
            "fortimanager": {
                "url": "https://fmg.example.net",
                "username": "svc-cordon",
                "password": "password-of-it",
                "adom": "emea",
                "devices": [{ "name": "fw-paris", "vdom": "edge" }],
            },
            "sekoia_api_key": "key-of-sekoia",
        });
        redactor.add_given(&schema, &names(connector), given.as_object().unwrap());
        assert_eq!(
            redactor.text("emea/fw-paris/edge: password-of-it, key-of-sekoia"),
            "emea/fw-paris/edge: [secret], [secret]"
        );
    }

    #[test]
    fn secrets_leave_no_text() {
        let connector = crate::connectors::find("fortinet").unwrap();
        let schema = (connector.schema)().to_value();
        let mut redactor = Redactor::default();
        let configuration = json!({
            "firewalls": [{ "base_ip": "fw1.example.net", "api_key": "key-of-one" }],
            "api_keys": { "fw2.example.net": "key-of-one-and-two" },
            "sekoia_api_key": "key-of-three",
        });
        redactor.add_secrets(&schema, &schema, &configuration);
        redactor.add("abc");
        assert_eq!(
            redactor.text("abc: key-of-one-and-two, key-of-one, key-of-three at fw1.example.net"),
            "abc: [secret], [secret], [secret] at fw1.example.net"
        );
        redactor.add("p\"q\\r&s t/ü");
        for (written, what) in [
            (r#"{"p":"p\"q\\r&s t/ü"}"#, "JSON"),
            (
                r#"p\"q\\r&s t\/\u00fc"#,
                "JSON with more escapes than it needs",
            ),
            ("p%22q%5Cr%26s%20t%2F%C3%BC", "a URL"),
            ("p%22q%5cr%26s%20t%2f%c3%bc", "a URL in lower case"),
            ("p%22q%5Cr%26s+t%2F%C3%BC", "a form"),
            ("p&quot;q\\r&amp;s t/ü", "XML"),
        ] {
            let text = redactor.text(written);
            assert!(
                text.contains("[secret]") && !text.contains('q'),
                "{what}: {text}"
            );
        }
        assert_eq!(
            redactor.json(json!({ "a": ["key-of-one"], "key-of-one": 5 })),
            json!({ "a": ["[secret]"], "[secret]": 5 })
        );
    }
}
