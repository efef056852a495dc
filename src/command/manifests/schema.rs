//! Schemas as every engine reads them: in what draft-07 and 2020-12 mean alike, without references, nulls
//! and Rust's number formats, so that nearly all of it can also be said in flatter forms.

use serde_json::{Map, Value as Json, json};

/// What every manifest's schemas are written in.
pub(super) const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// Formats that mean something outside Rust.
const FORMATS: [&str; 3] = ["date-time", "date", "uri"];

/// Words that are taken over as they are.
const KEPT: [&str; 5] = ["minimum", "maximum", "minLength", "maxLength", "required"];

/// The schema in plain words. Secrets are still marked with `x-secret`.
pub(super) fn plain(schema: &Json) -> Map<String, Json> {
    simplify(schema, schema)
}

/// The same with a title, as manifests have it.
pub(super) fn titled(title: &str, plain: Map<String, Json>) -> Json {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!(DRAFT));
    schema.insert("title".to_owned(), json!(title));
    schema.extend(plain);
    Json::Object(schema)
}

/// Its properties.
pub(super) fn properties(plain: &Map<String, Json>) -> impl Iterator<Item = (&String, &Json)> {
    plain
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
}

/// Whether a property has to be given.
pub(super) fn is_required(plain: &Map<String, Json>, name: &str) -> bool {
    let required = plain.get("required").and_then(Json::as_array);
    required.into_iter().flatten().any(|it| it == name)
}

/// Whether the value itself is a secret.
pub(super) fn is_secret(schema: &Json) -> bool {
    schema.get("x-secret") == Some(&Json::Bool(true))
}

/// Takes the marks of secrets off, which mean something to this program only.
pub(super) fn without_marks(schema: &mut Json) {
    match schema {
        Json::Object(fields) => {
            fields.remove("x-secret");
            fields.values_mut().for_each(without_marks);
        }
        Json::Array(items) => items.iter_mut().for_each(without_marks),
        _ => {}
    }
}

/// One type for those who know no choice: the first of several.
pub(super) fn one_type(schema: &Json) -> &str {
    schema
        .get("type")
        .or_else(|| schema.get("anyOf")?.get(0)?.get("type"))
        .and_then(Json::as_str)
        .unwrap_or("object")
}

/// Whether it has parts that are no plain texts: who knows no such thing takes all of it as a text with JSON.
pub(super) fn has_parts(schema: &Json) -> bool {
    match one_type(schema) {
        "object" => true,
        "array" => schema.get("items").map(one_type) != Some("string"),
        _ => false,
    }
}

fn simplify(schema: &Json, root: &Json) -> Map<String, Json> {
    let mut given = schema.as_object().cloned().unwrap_or_default();
    if let Some(Json::String(reference)) = given.remove("$ref") {
        let meant = reference.strip_prefix('#').and_then(|it| root.pointer(it));
        over(&mut given, meant);
    }
    let mut choices = choices(&mut given, root);
    let mut plain = Map::new();
    if let [one] = &choices[..] {
        if let Some(choice) = one.get("anyOf") {
            plain.insert("anyOf".to_owned(), choice.clone());
        }
        let one = Json::Object(one.clone());
        over(&mut given, Some(&one));
        choices.clear();
    }
    if let Some(text) = given.get("description").and_then(Json::as_str) {
        plain.insert("description".to_owned(), json!(text.replace('\n', " ")));
    }
    if !choices.is_empty() {
        add_choices(choices, &mut plain);
    }
    match given.get("type") {
        Some(Json::Array(types)) => {
            let types: Vec<&Json> = types.iter().filter(|it| *it != "null").collect();
            match types[..] {
                [one] => plain.insert("type".to_owned(), one.clone()),
                _ => {
                    let choices: Vec<Json> = types.iter().map(|it| json!({ "type": it })).collect();
                    plain.insert("anyOf".to_owned(), json!(choices))
                }
            };
        }
        Some(one) => drop(plain.insert("type".to_owned(), one.clone())),
        None => {}
    }
    if let Some(Json::Array(values)) = given.get("enum") {
        let values: Vec<&Json> = values.iter().filter(|it| !it.is_null()).collect();
        plain.insert("enum".to_owned(), json!(values));
    }
    if let Some(format) = given
        .get("format")
        .filter(|it| FORMATS.iter().any(|known| it == known))
    {
        plain.insert("format".to_owned(), format.clone());
    }
    for word in KEPT {
        if let Some(value) = given.get(word) {
            plain.insert(word.to_owned(), value.clone());
        }
    }
    if let Some(default) = given.get("default").filter(|it| !it.is_null()) {
        plain.insert("default".to_owned(), default.clone());
    }
    if let Some(Json::Object(properties)) = given.get("properties") {
        let properties: Map<String, Json> = properties
            .iter()
            .map(|(name, schema)| (name.clone(), Json::Object(simplify(schema, root))))
            .collect();
        plain.insert("properties".to_owned(), Json::Object(properties));
    }
    for word in ["items", "additionalProperties"] {
        if let Some(schema @ Json::Object(_)) = given.get(word) {
            plain.insert(word.to_owned(), Json::Object(simplify(schema, root)));
        }
    }
    if is_secret(&Json::Object(given)) {
        plain.insert("x-secret".to_owned(), Json::Bool(true));
    }
    plain
}

/// Adds what another schema says and this one does not.
fn over(given: &mut Map<String, Json>, other: Option<&Json>) {
    for (word, value) in other.and_then(Json::as_object).into_iter().flatten() {
        given.entry(word.clone()).or_insert_with(|| value.clone());
    }
}

/// The branches, those for null left out.
fn choices(given: &mut Map<String, Json>, root: &Json) -> Vec<Map<String, Json>> {
    let branches = given.remove("anyOf").or_else(|| given.remove("oneOf"));
    let Some(Json::Array(branches)) = branches else {
        return Vec::new();
    };
    branches
        .iter()
        .filter(|branch| branch.get("type") != Some(&json!("null")))
        .map(|branch| {
            let mut plain = simplify(branch, root);
            if let Some(value) = branch.get("const") {
                plain.insert("enum".to_owned(), json!([value]));
            }
            plain
        })
        .collect()
}

/// Several words become one list of words, what each means goes into the description; anything else stays
/// a choice.
fn add_choices(choices: Vec<Map<String, Json>>, plain: &mut Map<String, Json>) {
    let words = |choice: &Map<String, Json>| -> Option<Vec<Json>> {
        let is_text = choice.get("type") == Some(&json!("string"));
        choice
            .get("enum")
            .and_then(Json::as_array)
            .filter(|_| is_text)
            .cloned()
    };
    let Some(all) = choices.iter().map(words).collect::<Option<Vec<_>>>() else {
        plain.insert("anyOf".to_owned(), json!(choices));
        return;
    };
    let meanings: Vec<String> = choices
        .iter()
        .filter_map(|choice| {
            let word = choice.get("enum")?.get(0)?.as_str()?;
            let meaning = choice.get("description")?.as_str()?.trim_end_matches('.');
            Some(format!("`{word}`: {meaning}"))
        })
        .collect();
    if !meanings.is_empty() {
        let said = plain
            .get("description")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let text = format!("{} ({})", said.trim_end_matches('.'), meanings.join("; "));
        plain.insert("description".to_owned(), json!(text.trim_start()));
    }
    plain.insert("type".to_owned(), json!("string"));
    plain.insert("enum".to_owned(), json!(all.concat()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word that some schema uses, and whether two drafts disagree about it.
    fn check(schema: &Json, path: &str) {
        let words = [
            "description",
            "type",
            "enum",
            "format",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "required",
            "default",
            "properties",
            "items",
            "additionalProperties",
            "anyOf",
            "x-secret",
        ];
        let fields = schema
            .as_object()
            .unwrap_or_else(|| panic!("{path}: {schema}"));
        for word in fields.keys() {
            assert!(words.contains(&word.as_str()), "{path}: {word}");
        }
        assert!(
            !fields.contains_key("anyOf") || path.contains('.'),
            "{path} is a choice"
        );
        assert!(
            fields.get("type").is_none_or(Json::is_string),
            "{path}: {schema}"
        );
        assert_ne!(fields.get("default"), Some(&Json::Null), "{path}");
        for (name, schema) in properties(fields) {
            check(schema, &format!("{path}.{name}"));
        }
        for word in ["items", "additionalProperties"] {
            if let Some(schema) = fields.get(word) {
                check(schema, &format!("{path}.{word}"));
            }
        }
        for schema in fields
            .get("anyOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            check(schema, &format!("{path}.anyOf"));
        }
        if let Some(list) = fields.get("required").and_then(Json::as_array) {
            for name in list {
                let name = name.as_str().unwrap();
                assert!(fields["properties"].get(name).is_some(), "{path}: {name}");
            }
        }
    }

    #[test]
    fn no_schema_needs_more_than_both_drafts_have() {
        for connector in crate::connectors::all() {
            let name = connector.name;
            check(&Json::Object(plain((connector.schema)().as_value())), name);
            for action in sdk::action::catalog(connector) {
                for (what, schema) in [
                    ("arguments", &action.arguments),
                    ("results", &action.results),
                ] {
                    let path = format!("{name}/{}/{what}", action.command);
                    check(&Json::Object(plain(schema.as_value())), &path);
                }
            }
        }
    }

    #[test]
    fn references_nulls_and_documented_words_become_plain() {
        let schema = json!({
            "$schema": "…", "title": "Config", "type": "object", "additionalProperties": false,
            "properties": {
                "device": { "anyOf": [{ "$ref": "#/$defs/Device" }, { "type": "null" }], "description": "The\ndevice." },
                "when": { "$ref": "#/$defs/When", "description": "When it ends.", "default": "now" },
                "key": { "type": ["string", "null"], "format": "password", "x-secret": true, "default": null },
                "port": { "anyOf": [{ "type": "integer", "format": "uint16" }, { "type": "string" }] },
                "any": { "type": "array", "items": true },
                "several": { "type": "array", "items": { "type": ["string", "array"] } },
                "map": { "type": "object", "additionalProperties": { "type": "string", "x-secret": true } },
                "way": { "anyOf": [{ "$ref": "#/$defs/Way" }, { "type": "null" }], "description": "How." },
            },
            "required": ["when"],
            "$defs": {
                "Way": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
                "Device": { "type": "object", "description": "A device.", "properties": { "n": { "type": "integer", "format": "uint", "minimum": 0 } } },
                "When": { "oneOf": [
                    { "type": "string", "const": "now", "description": "At once." },
                    { "type": "string", "enum": ["never", "later"] },
                ] },
            },
        });
        assert_eq!(
            Json::Object(plain(&schema)),
            json!({
                "type": "object",
                "required": ["when"],
                "properties": {
                    "device": { "description": "The device.", "type": "object", "properties": { "n": { "type": "integer", "minimum": 0 } } },
                    "when": { "description": "When it ends (`now`: At once)", "type": "string", "enum": ["now", "never", "later"], "default": "now" },
                    "key": { "type": "string", "x-secret": true },
                    "port": { "anyOf": [{ "type": "integer" }, { "type": "string" }] },
                    "any": { "type": "array" },
                    "several": { "type": "array", "items": { "anyOf": [{ "type": "string" }, { "type": "array" }] } },
                    "map": { "type": "object", "additionalProperties": { "type": "string", "x-secret": true } },
                    "way": { "description": "How.", "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
                },
            })
        );
    }
}
