//! `cordon.toml`: read whole, every mistake told at once with its path and line.

pub(crate) mod endpoint;
pub(crate) mod file;
mod problem;
pub(crate) mod resolve;
mod salvage;
pub(crate) mod schema;
mod secrets;
mod source;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sdk::connector::Connector;
use sdk::ownership::Owner;
use sdk::sync::Deployment;
use serde_json::Value as Json;

pub(crate) use file::{File, WebhookEvent};
pub(crate) use problem::{Problem, Problems};
pub(crate) use secrets::Secrets;
use tree::Tree;

/// A configuration without mistakes.
pub(crate) struct Config {
    /// Our name in marks.
    pub installation: Owner,
    /// The store's file.
    pub store: Option<PathBuf>,
    /// By name.
    pub targets: BTreeMap<String, TargetConfig>,
    /// By name.
    pub deployments: BTreeMap<String, DeploymentConfig>,
    /// Who is told.
    pub webhook: Option<file::Webhook>,
}

/// A vendor product.
pub(crate) struct TargetConfig {
    /// Its connector.
    pub connector: &'static Connector,
    /// The connector's own settings, secrets in place.
    pub settings: Json,
    /// Whether it is this machine.
    pub loopback: bool,
}

/// A deployment and where it goes.
pub(crate) struct DeploymentConfig {
    /// What the SDK runs.
    pub deployment: Arc<Deployment>,
    /// Names of targets.
    pub targets: Vec<String>,
}

/// Reads a file. `connectors` are those there are.
pub(crate) fn load(
    path: &Path,
    connectors: &[&'static Connector],
    secrets: Secrets<'_>,
) -> Result<Config, Problems> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let problem = Problem::new("", format!("the configuration cannot be read: {error}"))
            .hint("name it with --config, or start in its directory");
        Problems::new(path, vec![problem])
    })?;
    parse(&text, path, connectors, secrets)
}

/// The same from text.
pub(crate) fn parse(
    text: &str,
    path: &Path,
    connectors: &[&'static Connector],
    secrets: Secrets<'_>,
) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let mut tree = Tree::parse(text, &mut problems);
    // What a broken file says beyond its syntax errors is guesswork.
    if !problems.is_empty() {
        return Err(Problems::new(path, problems));
    }
    let base = path.parent().unwrap_or(Path::new("."));
    let shape = schema::check(&schema(), &tree.value, "").problems;
    let references = resolve::secrets(&mut tree.value, base, secrets, &mut problems);
    let (file, broken) = match serde_json::from_value::<File>(tree.value.clone()) {
        Ok(file) => (file, BTreeSet::new()),
        Err(error) => {
            if shape.is_empty() {
                problems.push(Problem::new("", error.to_string()));
            }
            salvage::salvage(&tree.value, &shape)
        }
    };
    problems.extend(shape);
    let context = resolve::Context {
        base,
        connectors,
        references: &references,
        broken: &broken,
    };
    match resolve::resolve(file, &context, &mut problems) {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            for problem in &mut problems {
                problem.line = problem.line.or_else(|| tree.line(&problem.path));
            }
            Err(Problems::new(path, problems))
        }
    }
}

/// The JSON schema of the file.
pub(crate) fn schema() -> Json {
    let mut schema = schemars::schema_for!(File);
    schema.insert("title".to_owned(), Json::from("cordon.toml"));
    schema.to_value()
}
