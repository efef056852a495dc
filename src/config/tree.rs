//! TOML as JSON, with the line of every key.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// A parsed file: the values, and where they stand.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The whole file.
    pub value: Json,
    /// Line, counted from 1, by path (`deployments.acme.include[2]`).
    lines: HashMap<String, usize>,
}

impl Tree {
    /// Reads TOML; every syntax error is a problem with its line, and what could be read is kept.
    pub(crate) fn parse(text: &str, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let starts: Vec<usize> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(index, _)| index + 1))
            .collect();
        let line_of = |offset: usize| starts.partition_point(|start| *start <= offset);
        problems.extend(errors.iter().map(|error| {
            let mut problem = Problem::new("", error.message().replace('\n', ", "));
            problem.line = error.span().map(|span| line_of(span.start));
            problem
        }));
        let mut tree = Self::default();
        let mut path = String::new();
        tree.value = Json::Object(tree.table(table.get_ref(), &mut path, &line_of));
        tree
    }

    /// The line of a path, or of the nearest thing above it that has one.
    pub(crate) fn line(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    fn table(
        &mut self,
        table: &DeTable<'_>,
        path: &mut String,
        line_of: &impl Fn(usize) -> usize,
    ) -> Map<String, Json> {
        table
            .iter()
            .map(|(key, value)| {
                let length = path.len();
                *path = join(path, key.get_ref());
                self.lines.insert(path.clone(), line_of(key.span().start));
                let value = self.value(value, path, line_of);
                path.truncate(length);
                (key.get_ref().to_string(), value)
            })
            .collect()
    }

    fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        path: &mut String,
        line_of: &impl Fn(usize) -> usize,
    ) -> Json {
        match value.get_ref() {
            DeValue::String(text) => Json::String(text.to_string()),
            DeValue::Boolean(boolean) => Json::Bool(*boolean),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_or_else(|_| Json::String(integer.as_str().to_owned()), Json::from),
            DeValue::Float(float) => float.as_str().parse::<f64>().map_or(Json::Null, Json::from),
            DeValue::Datetime(datetime) => Json::String(datetime.to_string()),
            DeValue::Array(array) => array
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let length = path.len();
                    path.push_str(&format!("[{index}]"));
                    self.lines.insert(path.clone(), line_of(item.span().start));
                    let item = self.value(item, path, line_of);
                    path.truncate(length);
                    item
                })
                .collect(),
            DeValue::Table(table) => Json::Object(self.table(table, path, line_of)),
        }
    }
}

/// A path with one more key.
pub(crate) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if plain {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}
