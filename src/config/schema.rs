//! Checks a value against a JSON schema as schemars writes them: every problem with its path, unknown
//! keys with a suggestion. Only the words that our schemas use are known.

use serde_json::{Map, Value as Json};

use super::problem::Problem;
use super::tree::join;

/// What a check found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Paths of strings that are secrets (`x-secret`).
    pub secrets: Vec<String>,
}

/// Checks `value`, which stands at `path`, against `schema`.
pub(crate) fn check(schema: &Json, value: &Json, path: &str) -> Findings {
    let mut findings = Findings::default();
    Checker { root: schema }.check(schema, value, path, &mut findings);
    findings
}

struct Checker<'a> {
    root: &'a Json,
}

impl<'a> Checker<'a> {
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let mut schema = schema;
        // A reference to a reference is the most that schemars writes; a loop would be a defect of ours.
        for _ in 0..8 {
            let Some(reference) = schema.get("$ref").and_then(Json::as_str) else {
                break;
            };
            let Some(target) = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer))
            else {
                break;
            };
            schema = target;
        }
        schema
    }

    fn check(&self, schema: &'a Json, value: &Json, path: &str, findings: &mut Findings) {
        let schema = self.resolve(schema);
        if let Some(branches) = ["anyOf", "oneOf"]
            .iter()
            .find_map(|word| schema.get(word)?.as_array())
        {
            return self.any(branches, value, path, findings);
        }
        for part in schema
            .get("allOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            self.check(part, value, path, findings);
        }
        if schema.get("x-secret") == Some(&Json::Bool(true)) && value.is_string() {
            findings.secrets.push(path.to_owned());
        }
        let types = types(schema);
        if !types.is_empty() && !types.iter().any(|name| is(name, value)) {
            let expected = types
                .iter()
                .filter(|name| **name != "null")
                .map(|name| words(name))
                .collect::<Vec<_>>()
                .join(" or ");
            findings.problems.push(Problem::new(
                path,
                format!("must be {expected}, not {}", name_of(value)),
            ));
            return;
        }
        self.constants(schema, value, path, findings);
        bounds(schema, value, path, findings);
        match value {
            Json::Object(object) => self.object(schema, object, path, findings),
            Json::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.check(schema, item, &format!("{path}[{index}]"), findings);
                    }
                }
            }
            _ => {}
        }
    }

    fn object(
        &self,
        schema: &'a Json,
        object: &Map<String, Json>,
        path: &str,
        findings: &mut Findings,
    ) {
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Json::as_object)
            .unwrap_or(&none);
        let others = schema.get("additionalProperties");
        let names = schema.get("propertyNames");
        for (key, value) in object {
            let path = join(path, key);
            if let Some(schema) = schema.get("properties").and_then(|all| all.get(key)) {
                self.check(schema, value, &path, findings);
                continue;
            }
            if let Some(names) = names {
                let before = findings.problems.len();
                self.check(names, &Json::String(key.clone()), &path, findings);
                if findings.problems.len() > before {
                    continue;
                }
            }
            match others {
                Some(Json::Bool(false)) => findings.problems.push(
                    Problem::new(path, "unknown key")
                        .suggest(key, properties.keys().map(String::as_str)),
                ),
                Some(schema) if schema.is_object() => self.check(schema, value, &path, findings),
                _ => {}
            }
        }
        for key in schema
            .get("required")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(key) = key.as_str()
                && !object.contains_key(key)
            {
                findings.problems.push(Problem::missing(path, key));
            }
        }
    }

    fn constants(&self, schema: &Json, value: &Json, path: &str, findings: &mut Findings) {
        let allowed: Vec<&Json> = match (
            schema.get("enum").and_then(Json::as_array),
            schema.get("const"),
        ) {
            (Some(list), _) => list.iter().collect(),
            (None, Some(constant)) => vec![constant],
            (None, None) => return,
        };
        if !allowed.contains(&value) {
            findings.problems.push(unknown_name(value, &allowed, path));
        }
    }

    /// One of several shapes: the problems of the one that fits best are the ones to tell.
    fn any(&self, branches: &'a [Json], value: &Json, path: &str, findings: &mut Findings) {
        let constants: Vec<&Json> = branches
            .iter()
            .flat_map(|branch| {
                let branch = self.resolve(branch);
                branch.get("const").into_iter().chain(
                    branch
                        .get("enum")
                        .and_then(Json::as_array)
                        .into_iter()
                        .flatten(),
                )
            })
            .collect();
        let mut best: Option<Findings> = None;
        let mut expected = Vec::new();
        for branch in branches {
            let resolved = self.resolve(branch);
            let mut found = Findings::default();
            self.check(branch, value, path, &mut found);
            if found.problems.is_empty() {
                findings.secrets.append(&mut found.secrets);
                return;
            }
            let types = types(resolved);
            expected.extend(
                types
                    .iter()
                    .filter(|name| **name != "null")
                    .map(|name| words(name)),
            );
            let same_type = types.is_empty() || types.iter().any(|name| is(name, value));
            if same_type
                && best
                    .as_ref()
                    .is_none_or(|best| found.problems.len() < best.problems.len())
            {
                best = Some(found);
            }
        }
        let problem = match best {
            Some(_) if value.is_string() && !constants.is_empty() => {
                unknown_name(value, &constants, path)
            }
            Some(best) => return findings.problems.extend(best.problems),
            None => {
                expected.dedup();
                Problem::new(
                    path,
                    format!("must be {}, not {}", expected.join(" or "), name_of(value)),
                )
            }
        };
        findings.problems.push(problem);
    }
}

fn unknown_name(value: &Json, allowed: &[&Json], path: &str) -> Problem {
    let known = allowed.iter().filter_map(|value| value.as_str());
    match value.as_str() {
        Some(text) => {
            Problem::new(path, format!("{text:?} is not known here")).suggest(text, known)
        }
        None => Problem::new(
            path,
            format!("must be one of {}", known.collect::<Vec<_>>().join(", ")),
        ),
    }
}

fn bounds(schema: &Json, value: &Json, path: &str, findings: &mut Findings) {
    let limit = |word: &str| schema.get(word).and_then(Json::as_f64);
    let (size, unit) = match value {
        Json::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let below = limit("minimum").filter(|minimum| number < *minimum);
            let above = limit("maximum").filter(|maximum| number > *maximum);
            if let Some(minimum) = below {
                findings
                    .problems
                    .push(Problem::new(path, format!("must be at least {minimum}")));
            }
            if let Some(maximum) = above {
                findings
                    .problems
                    .push(Problem::new(path, format!("must be at most {maximum}")));
            }
            return;
        }
        Json::String(text) => (text.chars().count(), "Length"),
        Json::Array(items) => (items.len(), "Items"),
        _ => return,
    };
    if let Some(minimum) = limit(&format!("min{unit}"))
        && (size as f64) < minimum
    {
        let message = if minimum <= 1.0 {
            "must not be empty".to_owned()
        } else {
            format!("must be at least {minimum} long")
        };
        findings.problems.push(Problem::new(path, message));
    }
    if let Some(maximum) = limit(&format!("max{unit}"))
        && size as f64 > maximum
    {
        findings.problems.push(Problem::new(
            path,
            format!("must be at most {maximum} long"),
        ));
    }
}

/// The JSON types that a schema allows.
pub(crate) fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(name: &str, value: &Json) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn words(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "something else",
    }
}

/// Never the value itself: it may be a secret in the wrong place.
fn name_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(number) if number.is_f64() => "a fraction",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(schema: &Json, value: &Json) -> Vec<String> {
        check(schema, value, "")
            .problems
            .into_iter()
            .map(|problem| {
                let hint = problem
                    .hint
                    .map(|hint| format!(" ({hint})"))
                    .unwrap_or_default();
                format!("{}: {}{hint}", problem.path, problem.message)
            })
            .collect()
    }

    #[test]
    fn every_problem_is_told_with_its_path() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "minLength": 1 },
                "count": { "type": ["integer", "null"], "minimum": 1, "maximum": 9 },
                "devices": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/Device" } },
                "mechanism": { "anyOf": [
                    { "type": "string" },
                    { "type": "object", "additionalProperties": { "type": "string" } },
                ] },
                "kind": { "oneOf": [ { "const": "ipv4" }, { "const": "domain" } ] },
            },
            "$defs": { "Device": {
                "type": "object",
                "additionalProperties": false,
                "properties": { "base_ip": { "type": "string" } },
            } },
        });
        let good = json!({ "name": "a", "count": null, "devices": [{ "base_ip": "x" }], "mechanism": { "a": "b" }, "kind": "ipv4" });
        assert_eq!(problems(&schema, &good), Vec::<String>::new());
        let bad = json!({
            "count": 12,
            "devices": [{ "base_ip": "x" }, { "base_pi": "x" }],
            "mechanism": 5,
            "kind": "domian",
        });
        assert_eq!(
            problems(&schema, &bad),
            [
                "count: must be at most 9",
                "devices[1].base_pi: unknown key (did you mean `base_ip`?)",
                "mechanism: must be a text or a table, not a number",
                "kind: \"domian\" is not known here (did you mean `domain`?)",
                ": `name` is missing",
            ]
        );
        assert_eq!(
            problems(&schema, &json!([])),
            [": must be a table, not a list"]
        );
    }

    #[test]
    fn secrets_are_found() {
        let schema = json!({ "type": "object", "properties": {
            "key": { "type": "string", "x-secret": true },
            "keys": { "type": "object", "additionalProperties": { "type": "string", "x-secret": true } },
            "optional": { "anyOf": [ { "type": "string", "x-secret": true }, { "type": "null" } ] },
        } });
        let value =
            json!({ "key": "a", "keys": { "10.0.0.1": "b" }, "optional": "c", "other": "d" });
        assert_eq!(
            check(&schema, &value, "targets.t").secrets,
            [
                "targets.t.key",
                "targets.t.keys.\"10.0.0.1\"",
                "targets.t.optional"
            ]
        );
    }
}
