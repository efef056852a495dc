//! Arguments come from templates, and types drift on the way: `"90"` for a number, `"True"` for a truth,
//! the text of a list for a list. What can only mean one thing is taken for it; anything else stays as it
//! is, for the check to refuse. An empty text stands for nothing but itself: that a template found nothing
//! must not turn a block with an end into one without.

use serde_json::{Map, Value as Json};

use super::secrets::resolve;
use crate::config::schema;

/// The value with the types that the schema asks for. A field without a value is left out.
pub(crate) fn coerce(schema: &Json, value: Json) -> Json {
    apply(schema, schema, value)
}

fn apply(schema: &Json, root: &Json, value: Json) -> Json {
    let schema = resolve(schema, root);
    if let Some(branches) = ["anyOf", "oneOf"]
        .iter()
        .find_map(|word| schema.get(*word)?.as_array())
    {
        return any(branches, root, value);
    }
    let types = schema::types(schema);
    match value {
        Json::Object(fields) => Json::Object(object(schema, root, fields)),
        Json::Array(items) => list(schema, root, items),
        Json::String(text) => match from_text(&types, schema, &text) {
            Some(value @ (Json::Array(_) | Json::Object(_))) => apply(schema, root, value),
            Some(value) => value,
            None => Json::String(text),
        },
        Json::Number(number) => from_number(&types, &number).unwrap_or(Json::Number(number)),
        Json::Bool(truth) if types.contains(&"string") && !types.contains(&"boolean") => {
            Json::String(truth.to_string())
        }
        other => other,
    }
}

fn any(branches: &[Json], root: &Json, value: Json) -> Json {
    let fits = |value: &Json| {
        branches.iter().find(|branch| {
            let found = schema::check(resolve(branch, root), value, "");
            found.problems.is_empty()
        })
    };
    if fits(&value).is_some() {
        return value;
    }
    branches
        .iter()
        .map(|branch| apply(branch, root, value.clone()))
        .find(|coerced| fits(coerced).is_some())
        .unwrap_or(value)
}

fn object(schema: &Json, root: &Json, fields: Map<String, Json>) -> Map<String, Json> {
    fields
        .into_iter()
        .filter(|(_, field)| !field.is_null())
        .map(|(name, field)| {
            let schema = schema
                .get("properties")
                .and_then(|all| all.get(&name))
                .or_else(|| schema.get("additionalProperties"));
            let field = match schema {
                Some(schema) => apply(schema, root, field),
                None => field,
            };
            (name, field)
        })
        .collect()
}

fn list(schema: &Json, root: &Json, items: Vec<Json>) -> Json {
    match schema.get("items") {
        Some(schema) if schema.is_object() => items
            .into_iter()
            .map(|item| apply(schema, root, item))
            .collect(),
        _ => Json::Array(items),
    }
}

fn from_text(types: &[&str], schema: &Json, text: &str) -> Option<Json> {
    let plain = text.trim();
    if plain.is_empty() || types.contains(&"string") {
        return None;
    }
    types.iter().find_map(|name| match *name {
        "integer" => plain
            .parse::<i64>()
            .ok()
            .or_else(|| whole(plain.parse().ok()?))
            .map(Json::from),
        "number" => plain.parse::<f64>().ok().map(Json::from),
        "boolean" => truth(plain).map(Json::Bool),
        "array" => array(schema, plain),
        "object" => serde_json::from_str(plain).ok().filter(Json::is_object),
        _ => None,
    })
}

fn from_number(types: &[&str], number: &serde_json::Number) -> Option<Json> {
    if types.contains(&"integer") && number.is_f64() {
        return whole(number.as_f64()?).map(Json::from);
    }
    if types.contains(&"boolean") && !types.contains(&"integer") {
        return truth(&number.to_string()).map(Json::Bool);
    }
    let only_text = types.contains(&"string")
        && !types
            .iter()
            .any(|name| matches!(*name, "integer" | "number"));
    only_text.then(|| Json::String(number.to_string()))
}

/// A number without a fraction, where every whole number still has a place of its own.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 2_f64.powi(53)).then_some(number as i64)
}

/// What templates and forms write for true and false.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A list as JSON, or as Python writes one of plain texts; for a list of texts also lines.
fn array(schema: &Json, text: &str) -> Option<Json> {
    if text.starts_with('[') {
        let json = serde_json::from_str::<Json>(text).ok().or_else(|| {
            (!text.contains(['"', '\\']))
                .then(|| serde_json::from_str(&text.replace('\'', "\"")).ok())?
        });
        return json.filter(Json::is_array);
    }
    let of_texts = schema
        .get("items")
        .is_some_and(|items| schema::types(items).contains(&"string"));
    of_texts.then(|| {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(Json::from)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(command: &str, value: Json) -> Json {
        let catalog = sdk::action::uniform();
        let action = catalog.iter().find(|it| it.command == command).unwrap();
        coerce(action.arguments.as_value(), value)
    }

    #[test]
    fn what_can_only_mean_one_thing_is_taken_for_it() {
        assert_eq!(
            arguments(
                "block",
                json!({
                    "values": "[\"8.8.8.8\", \"8.8.4.4\"]", "valid_for": "90", "dry_run": "True",
                    "adopt": 0, "exclude": "a.example.org\r\n\n b.example.org", "reason": 7,
                    "deployment": null, "allow_mass_change": true,
                })
            ),
            json!({
                "values": ["8.8.8.8", "8.8.4.4"], "valid_for": 90, "dry_run": true, "adopt": false,
                "exclude": ["a.example.org", "b.example.org"], "reason": "7", "allow_mass_change": "true",
            })
        );
        for (text, list) in [
            ("['8.8.8.8', '8.8.4.4']", json!(["8.8.8.8", "8.8.4.4"])),
            ("8.8.8.8", json!(["8.8.8.8"])),
            ("[]", json!([])),
        ] {
            let got = arguments("block", json!({ "values": text }));
            assert_eq!(got["values"], list, "{text}");
        }
        assert_eq!(
            arguments(
                "push_indicators",
                json!({ "stix_objects": "[{\"id\": \"5\"}]", "valid_for": 3.0 })
            ),
            json!({ "stix_objects": [{ "id": "5" }], "valid_for": 3 })
        );
    }

    #[test]
    fn what_could_mean_anything_stays_for_the_check_to_refuse() {
        for value in [
            json!({ "valid_for": "" }),
            json!({ "valid_for": "soon" }),
            json!({ "valid_for": "1.5" }),
            json!({ "dry_run": "" }),
            json!({ "dry_run": "maybe" }),
            json!({ "exclude": "" }),
            json!({ "values": "[1.2.3.4]" }),
            json!({ "values": "['it's']" }),
            json!({ "unknown": "[1]" }),
        ] {
            assert_eq!(arguments("block", value.clone()), value);
        }
        let text = json!({ "stix_objects": "indicator" });
        assert_eq!(arguments("push_indicators", text.clone()), text);
    }

    #[test]
    fn configurations_are_coerced_at_any_depth() {
        let connector = crate::connectors::find("fortinet").unwrap();
        let schema = (connector.schema)().to_value();
        let given = json!({
            "firewalls": "[{\"base_ip\": \"fw1\", \"base_port\": \"8443\", \"vdom\": \"root\", \"api_key\": null}]",
            "group_size": "300",
            "mechanism": "{\"ipv4\": \"address-group\"}",
        });
        let coerced = coerce(&schema, given);
        assert_eq!(
            coerced["firewalls"],
            json!([{ "base_ip": "fw1", "base_port": "8443", "vdom": "root" }])
        );
        assert_eq!(coerced["group_size"], 300);
        assert!(
            coerced["mechanism"].is_string(),
            "a text is a mechanism too"
        );
    }
}
