//! From the file's words to what the SDK runs: names, references, tenants, durations, connectors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use sdk::collection::{Policy, ProtectionSettings, Source};
use sdk::connector::Connector;
use sdk::ownership::Owner;
use sdk::sync::{Deployment, GuardSettings};
use serde_json::Value as Json;

use super::endpoint;
use super::file::{self, File};
use super::problem::Problem;
use super::secrets::{self, Secrets};
use super::source::source;
use super::tree::join;
use super::{Config, DeploymentConfig, TargetConfig, schema};

/// Reads the secrets of all collections and targets; gives back the paths where references stood.
pub(super) fn secrets(
    value: &mut Json,
    base: &Path,
    secrets: Secrets<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let mut references = Vec::new();
    for section in ["collections", "targets"] {
        if let Some(value) = value.get_mut(section) {
            references.extend(secrets::resolve(value, section, base, secrets, problems));
        }
    }
    references
}

/// Settings of targets that are paths: a relative one starts at the configuration's folder, wherever the command was
/// started.
const PATHS: [&str; 2] = ["/ca_file", "/publish/directory"];

/// What sections are read against.
pub(super) struct Context<'a> {
    /// The directory that relative paths start at.
    pub base: &'a Path,
    /// The connectors there are.
    pub connectors: &'a [&'static Connector],
    /// Paths where references to secrets stood.
    pub references: &'a [String],
    /// Paths of what could not be read and was told: nothing more is said of it.
    pub broken: &'a BTreeSet<String>,
}

/// Checks everything that the schema cannot say. `None` where a part could not be made; then a problem
/// says why.
pub(super) fn resolve(
    file: File,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    tenants(&file, context.broken, problems);
    let installation = owner(
        file.installation.as_deref().unwrap_or("main"),
        "installation",
        problems,
    );
    let store = file.store.as_ref().and_then(|store| {
        crate::store::path_of(&store.url, context.base)
            .map_err(|error| problems.push(from_error("store.url", &error)))
            .ok()
    });
    let mut collections = BTreeMap::new();
    for (name, collection) in &file.collections {
        let path = join("collections", name);
        plain_name(name, &path, problems);
        if context.broken.contains(&path) {
            continue;
        }
        if let Some(source) = source(name, collection, &path, context.base, problems) {
            collections.insert(name.clone(), source);
        }
    }
    let mut targets = BTreeMap::new();
    for (name, target) in &file.targets {
        let path = join("targets", name);
        plain_name(name, &path, problems);
        if context.broken.contains(&path) {
            continue;
        }
        if let Some(target) = self::target(target, &path, context, problems) {
            targets.insert(name.clone(), target);
        }
    }
    if let Some(webhook) = &file.webhook
        && !(webhook.url.starts_with("https://") && url::Url::parse(&webhook.url).is_ok()
            || webhook.url.starts_with("http://") && endpoint::is_loopback(&webhook.url))
    {
        problems.push(
            Problem::new("webhook.url", "is not an https URL")
                .hint("plain http is taken on loopback only"),
        );
    }
    let mut deployments = BTreeMap::new();
    for (name, section) in &file.deployments {
        let known = Known {
            file: &file,
            collections: &collections,
            targets: &targets,
            broken: context.broken,
        };
        if let Some(deployment) = deployment(name, section, &known, problems) {
            deployments.insert(name.clone(), deployment);
        }
    }
    Some(Config {
        installation: installation?,
        store,
        targets,
        deployments,
        webhook: file.webhook,
    })
}

pub(super) fn from_error(path: &str, error: &sdk::Error) -> Problem {
    let problem = Problem::new(path, error.to_string());
    match error.hint_text() {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

fn owner(name: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Owner> {
    Owner::new(name)
        .map_err(|error| {
            problems.push(
                Problem::new(path, format!("{name:?} cannot stand in a mark"))
                    .hint(error.hint_text().unwrap_or_default()),
            );
        })
        .ok()
}

/// Names of collections and targets stand in reports, keys of the store and on the command line.
fn plain_name(name: &str, path: &str, problems: &mut Vec<Problem>) {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !fits {
        problems.push(
            Problem::new(path, "is not a name that can be used")
                .hint("use 1 to 64 characters of a-z, A-Z, 0-9, -, _ and ."),
        );
    }
}

/// Once any tenant exists everything names its own.
fn tenants(file: &File, broken: &BTreeSet<String>, problems: &mut Vec<Problem>) {
    let collections = file
        .collections
        .iter()
        .map(|(name, it)| ("collections", name, &it.tenant));
    let targets = file
        .targets
        .iter()
        .map(|(name, it)| ("targets", name, &it.tenant));
    let deployments = file
        .deployments
        .iter()
        .map(|(name, it)| ("deployments", name, &it.tenant));
    let all: Vec<_> = collections.chain(targets).chain(deployments).collect();
    if all.iter().all(|(_, _, tenant)| tenant.is_none()) {
        return;
    }
    for (section, name, tenant) in all {
        let path = join(section, name);
        match tenant {
            None if broken.contains(&path) || broken.contains(&join(&path, "tenant")) => {}
            None => problems.push(
                Problem::new(
                    path,
                    "`tenant` is missing: once there are tenants everything names its own",
                )
                .hint("write tenant = \"NAME\", or \"*\" for everybody's"),
            ),
            Some(tenant) if tenant != "*" => {
                owner(tenant, &join(&path, "tenant"), problems);
            }
            Some(_) => {}
        }
    }
}

fn target(
    target: &file::Target,
    path: &str,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<TargetConfig> {
    let connectors = context.connectors;
    let Some(connector) = connectors
        .iter()
        .find(|it| it.name == target.connector)
        .copied()
    else {
        problems.push(
            Problem::new(
                join(path, "connector"),
                format!("there is no connector {:?}", target.connector),
            )
            .suggest(&target.connector, connectors.iter().map(|it| it.name)),
        );
        return None;
    };
    if connector.mechanisms.is_empty() {
        problems.push(
            Problem::new(
                join(path, "connector"),
                format!("{} blocks nothing: it is no target", connector.name),
            )
            .hint(
                "collections at Sekoia are [collections.NAME] with sekoia = \"ioc-collection--…\"",
            ),
        );
        return None;
    }
    let mut settings = Json::Object(target.settings.clone());
    let findings = schema::check((connector.schema)().as_value(), &settings, path);
    problems.extend(findings.problems);
    for secret in findings.secrets {
        if !context.references.contains(&secret) {
            problems.push(
                Problem::new(secret, "a secret does not stand in this file")
                    .hint("write { env = \"NAME\" } or { file = \"PATH\" }"),
            );
        }
    }
    for pointer in PATHS {
        if let Some(Json::String(path)) = settings.pointer_mut(pointer)
            && !path.is_empty()
        {
            *path = context.base.join(&*path).display().to_string();
        }
    }
    Some(TargetConfig {
        loopback: endpoint::only_loopback(connector, &settings),
        connector,
        settings,
    })
}

/// What a deployment may refer to.
struct Known<'a> {
    file: &'a File,
    collections: &'a BTreeMap<String, Source>,
    targets: &'a BTreeMap<String, TargetConfig>,
    broken: &'a BTreeSet<String>,
}

fn deployment(
    name: &str,
    section: &file::Deployment,
    known: &Known<'_>,
    problems: &mut Vec<Problem>,
) -> Option<DeploymentConfig> {
    let path = join("deployments", name);
    let owner = owner(name, &path, problems);
    let formerly = section
        .formerly
        .iter()
        .enumerate()
        .filter_map(|(index, old)| {
            let path = format!("{path}.formerly[{index}]");
            if known.broken.contains(&path) {
                return None;
            }
            if known.file.deployments.contains_key(old) {
                problems.push(Problem::new(
                    &path,
                    format!("{old:?} is another deployment's name"),
                ));
            }
            self::owner(old, &path, problems)
        })
        .collect();
    let tenant = section.tenant.as_deref();
    let collections = known
        .file
        .collections
        .iter()
        .map(|(name, it)| (name.as_str(), it.tenant.as_deref()))
        .collect();
    let sources = |key: &str, names: &[String], problems: &mut Vec<Problem>| -> Vec<Source> {
        let path = join(&path, key);
        refer(
            names,
            &path,
            "collection",
            tenant,
            known.broken,
            problems,
            &collections,
        )
        .into_iter()
        .filter_map(|name| known.collections.get(&name).cloned())
        .collect()
    };
    let include = sources("include", &section.include, problems);
    let exclude = sources("exclude", &section.exclude, problems);
    let protect = sources("protect", &section.protect, problems);
    let targets = refer(
        &section.targets,
        &join(&path, "targets"),
        "target",
        tenant,
        known.broken,
        problems,
        &known
            .file
            .targets
            .iter()
            .map(|(name, it)| (name.as_str(), it.tenant.as_deref()))
            .collect(),
    );
    let mut default_validity = HashMap::new();
    for (kind, text) in &section.default_validity {
        match duration(text) {
            Some(duration) => {
                default_validity.insert(*kind, duration);
            }
            None => problems.push(
                Problem::new(
                    format!("{path}.default_validity.{kind}"),
                    format!("{text:?} is not a length of time"),
                )
                .hint("write for instance \"30d\", \"12h\" or \"90m\""),
            ),
        }
    }
    if let Some(schedule) = &section.schedule
        && !is_schedule(schedule)
    {
        problems.push(
            Problem::new(
                join(&path, "schedule"),
                format!("{schedule:?} is not a schedule"),
            )
            .hint("five fields: minute, hour, day, month, weekday; for instance \"*/5 * * * *\""),
        );
    }
    let mut management_hosts = Vec::new();
    for target in targets.iter().filter_map(|name| known.targets.get(name)) {
        management_hosts.extend(endpoint::hosts(target.connector, &target.settings));
        if section.special_purpose == Some(false) && !target.loopback {
            problems.push(
                Problem::new(
                    join(&path, "special_purpose"),
                    "may be false only where every target is on loopback",
                )
                .hint("it is for trying things out on fake vendors"),
            );
        }
    }
    management_hosts.sort();
    management_hosts.dedup();
    // On loopback the host is this machine's own name for every fake.
    management_hosts.retain(|host| !endpoint::is_loopback(host));
    let protection = ProtectionSettings::default();
    Some(DeploymentConfig {
        deployment: Arc::new(Deployment {
            owner: owner?,
            formerly,
            include,
            exclude,
            protect,
            policy: Policy {
                default_validity,
                subdomains: section.subdomains,
            },
            protection: ProtectionSettings {
                special_purpose: section
                    .special_purpose
                    .unwrap_or(protection.special_purpose),
                public_suffixes: section
                    .public_suffixes
                    .unwrap_or(protection.public_suffixes),
                widest_ipv4: section.widest_ipv4.unwrap_or(protection.widest_ipv4),
                widest_ipv6: section.widest_ipv6.unwrap_or(protection.widest_ipv6),
                management_hosts,
            },
            guard: guard(&section.guard),
            adopt: section.adopt,
            accept_detection: section.accept_detection.unwrap_or(true),
            accept_unbounded: section.accept_unbounded,
        }),
        targets,
    })
}

/// The names that exist and may be used, each once. `all` has the tenant of each that exists.
fn refer(
    names: &[String],
    path: &str,
    what: &str,
    tenant: Option<&str>,
    broken: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
    all: &BTreeMap<&str, Option<&str>>,
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if broken.contains(&path) {
            continue;
        }
        let Some(theirs) = all.get(name.as_str()).copied() else {
            if broken.contains(&format!("{what}s")) {
                continue;
            }
            problems.push(
                Problem::new(path, format!("there is no {what} {name:?}"))
                    .suggest(name, all.keys().copied()),
            );
            continue;
        };
        let (Some(ours), Some(theirs)) = (tenant, theirs) else {
            push_once(&mut found, name, &path, problems);
            continue;
        };
        if theirs == "*" || theirs == ours {
            push_once(&mut found, name, &path, problems);
        } else {
            problems.push(
                Problem::new(path, format!("{what} {name:?} is not this tenant's"))
                    .hint("a deployment refers to its own tenant's and to \"*\" only"),
            );
        }
    }
    found
}

fn push_once(found: &mut Vec<String>, name: &str, path: &str, problems: &mut Vec<Problem>) {
    if found.iter().any(|other| other == name) {
        problems.push(Problem::new(path, format!("{name:?} stands here twice")));
    } else {
        found.push(name.to_owned());
    }
}

fn guard(section: &file::Guard) -> GuardSettings {
    let default = GuardSettings::default();
    GuardSettings {
        removals_share: section.removals_share.unwrap_or(default.removals_share),
        removals_floor: section.removals_floor.unwrap_or(default.removals_floor),
        revocations_share: section
            .revocations_share
            .unwrap_or(default.revocations_share),
        revocations_floor: section
            .revocations_floor
            .unwrap_or(default.revocations_floor),
        additions_floor: section.additions_floor.unwrap_or(default.additions_floor),
        additions_factor: section.additions_factor.unwrap_or(default.additions_factor),
        ipv4_space: section.ipv4_space.unwrap_or(default.ipv4_space),
    }
}

/// `90s`, `90m`, `12h`, `30d`, `2w`: more than nothing, at most a hundred years.
pub(crate) fn duration(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().next_back()?;
    let count: i64 = text[..text.len() - unit.len_utf8()]
        .parse()
        .ok()
        .filter(|count| *count > 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let total = count.checked_mul(seconds)?;
    (total <= 36_525 * 86_400).then(|| TimeDelta::seconds(total))
}

fn is_schedule(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    fields.len() == 5
        && fields.iter().all(|field| {
            field
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"*/,-".contains(&byte))
        })
}
