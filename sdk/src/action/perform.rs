//! The writing actions.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::collection::{
    Location, Policy, ProtectionSettings, ReadContext, Reading, Source, SourceKind, sekoia,
};
use crate::connector::Connector;
use crate::error::{Error, Result};
use crate::indicator::{Kind, Validity, Value};
use crate::ownership::Owner;
use crate::report::Report;
use crate::stix;
use crate::sync::{self, Context, Deployment, Purpose, Read, Readings, Task, note_reading};

use super::arguments::{
    Block, Check, Common, ListBlocked, PushIndicators, RemoveExpired, SourceFormat, SyncCollection,
    Unblock,
};
use super::setup::{Setup, set_up};
use super::typed::{kept_off, plain_words, refuse_host_bits, validity, values};
use super::view;
use super::{Call, Outcome};

/// The owner of what people and playbooks do by hand.
pub const BY_HAND: &str = "manual";

pub(super) async fn run(
    connector: &Connector,
    command: &str,
    arguments: Json,
    configuration: Json,
    context: &Context,
) -> Result<Outcome> {
    let catalog = super::catalog(connector);
    let Some(action) = catalog.iter().find(|action| action.command == command) else {
        let names: Vec<&str> = catalog.iter().map(|action| action.command).collect();
        return Err(
            Error::input(format!("{} has no action {command:?}", connector.name))
                .hint(format!("one of: {}", names.join(", "))),
        );
    };
    refuse_unknown(&arguments, action)?;
    if let Some(own) = connector
        .actions
        .iter()
        .find(|own| (own.info)().command == command)
    {
        let call = Call {
            connector,
            arguments,
            configuration,
            context,
        };
        return (own.run)(call).await;
    }
    // Arguments first: a wrong one should be told before a missing secret.
    match command {
        "sync_collection" => {
            let arguments = read::<SyncCollection>(arguments)?;
            let setup = set_up(connector, configuration, &context.environment)?;
            report(sync_collection(arguments, &setup, context).await)
        }
        "push_indicators" => {
            let arguments = read::<PushIndicators>(arguments)?;
            let setup = set_up(connector, configuration, &context.environment)?;
            report(push_indicators(arguments, &setup, context).await)
        }
        "block" => {
            let arguments = read::<Block>(arguments)?;
            let setup = set_up(connector, configuration, &context.environment)?;
            report(block(arguments, &setup, context).await)
        }
        "unblock" => {
            let arguments = read::<Unblock>(arguments)?;
            let setup = set_up(connector, configuration, &context.environment)?;
            report(unblock(arguments, &setup, context).await)
        }
        "remove_expired" => {
            let arguments = read::<RemoveExpired>(arguments)?;
            let setup = set_up(connector, configuration, &context.environment)?;
            report(remove_expired(arguments, &setup, context).await)
        }
        "list_blocked" => {
            let arguments = read::<ListBlocked>(arguments)?;
            let setup = set_up(connector, configuration, &context.environment)?;
            let owner = arguments
                .deployment
                .as_deref()
                .map(Owner::new)
                .transpose()?;
            let context = with_setup(context, &setup, &Common::default())?;
            json(&view::blocked(&setup.target, owner.as_ref(), &context).await?)
        }
        _ => {
            read::<Check>(arguments)?;
            let setup = set_up(connector, configuration, &context.environment)?;
            let context = with_setup(context, &setup, &Common::default())?;
            json(&view::check(&setup.target, &context).await)
        }
    }
}

fn read<T: DeserializeOwned>(arguments: Json) -> Result<T> {
    serde_json::from_value(arguments)
        .map_err(|error| Error::input("the arguments are not as they should be").because(error))
}

/// `#[serde(flatten)]` and `deny_unknown_fields` exclude each other: the schema knows the names.
fn refuse_unknown(arguments: &Json, action: &super::ActionInfo) -> Result<()> {
    let Json::Object(given) = arguments else {
        return Err(Error::input("the arguments are not a JSON object"));
    };
    let known: Vec<&str> = action
        .arguments
        .get("properties")
        .and_then(Json::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    for name in given.keys() {
        if !known.contains(&name.as_str()) {
            return Err(
                Error::input(format!("{} has no argument {name:?}", action.command))
                    .hint(format!("known: {}", known.join(", "))),
            );
        }
    }
    Ok(())
}

fn report(result: Result<Report>) -> Result<Outcome> {
    result.map(|report| Outcome::Report(Box::new(report)))
}

fn json(view: &impl serde::Serialize) -> Result<Outcome> {
    serde_json::to_value(view)
        .map(Outcome::View)
        .map_err(|error| Error::internal("the result is not JSON").because(error))
}

fn with_setup(context: &Context, setup: &Setup, common: &Common) -> Result<Context> {
    let forced = common.allow_mass_change.as_deref() == Some("true");
    if forced && !context.attended && !setup.mass_change_unattended {
        return Err(Error::input("allow_mass_change: true is for a person at a terminal").hint(
            "give the digest of the held set, or set allow_mass_change_unattended in the configuration",
        ));
    }
    let mut context = context.clone();
    context.environment = setup.environment.clone();
    context.dry_run |= common.dry_run;
    if common.allow_mass_change.is_some() {
        context
            .allow_mass_change
            .clone_from(&common.allow_mass_change);
    }
    Ok(context)
}

fn owner(common: &Common, setup: &Setup, default: &str) -> Result<Owner> {
    Owner::new(
        common
            .deployment
            .as_deref()
            .or(setup.deployment.as_deref())
            .unwrap_or(default),
    )
}

fn default_validity(valid_for: Option<u32>) -> Result<HashMap<Kind, TimeDelta>> {
    let Some(days) = valid_for else {
        return Ok(HashMap::new());
    };
    let length = validity(days)?;
    Ok(Kind::ALL.into_iter().map(|kind| (kind, length)).collect())
}

/// The platform's address as its pages begin. One without a scheme is a host, as people write it.
fn platform(text: &str) -> Result<String> {
    let wrong = || {
        Error::input(format!(
            "sekoia_base_url {text:?} is no address of a platform"
        ))
        .hint("for instance https://app.sekoia.io")
    };
    let address = match text.trim() {
        given if given.contains("://") => given.to_owned(),
        host => format!("https://{host}"),
    };
    let url = url::Url::parse(&address).map_err(|error| wrong().because(error))?;
    let plain = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !plain {
        return Err(wrong());
    }
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    Ok(format!(
        "{origin}{}",
        path.strip_suffix("/api").unwrap_or(path)
    ))
}

fn protection(setup: &Setup) -> ProtectionSettings {
    ProtectionSettings {
        management_hosts: setup.management_hosts.clone(),
        ..ProtectionSettings::default()
    }
}

async fn sync_collection(
    arguments: SyncCollection,
    setup: &Setup,
    context: &Context,
) -> Result<Report> {
    let common = &arguments.common;
    let context = with_setup(context, setup, common)?;
    let exclude = kept_off(&common.exclude, "exclude")?;
    let (deployment, readings) = match (
        one_source(&arguments, setup)?,
        &arguments.stix_objects,
        &arguments.stix_objects_path,
    ) {
        (Some((source, default)), None, None) => {
            let mut deployment = Deployment::new(owner(common, setup, &default)?);
            let include = read_source(&source, &context).await;
            deployment.include.push(source);
            (deployment, include)
        }
        (None, objects, path) if objects.is_some() != path.is_some() => {
            if !arguments.complete {
                return Err(Error::input("stix_objects are taken as a whole collection only with complete: true")
                    .hint("set complete if what is not among them may be taken down, or use push_indicators"));
            }
            if common.deployment.is_none() && setup.deployment.is_none() {
                return Err(
                    Error::input("sync_collection with stix_objects needs a deployment").hint(
                        "objects carry no name of their own: give deployment, for instance \"c2\"",
                    ),
                );
            }
            let reading = stix_objects(objects.as_deref(), path.as_deref(), &context)?;
            (
                Deployment::new(owner(common, setup, BY_HAND)?),
                reading.into(),
            )
        }
        _ => {
            return Err(
                Error::input("sync_collection takes exactly one collection").hint(
                    "give ioc_collection_id, source_url, or stix_objects or stix_objects_path with complete: true",
                ),
            );
        }
    };
    let mut deployment = deployment;
    deployment.adopt = common.adopt;
    deployment.protection = protection(setup);
    deployment.policy = Policy {
        default_validity: default_validity(arguments.valid_for)?,
        ..Policy::default()
    };
    let readings = Readings {
        include: vec![readings],
        exclude: exclude.into_iter().map(Read::from).collect(),
        protect: protects(&context).await,
    };
    Ok(sync::sync_readings(&deployment, readings, &setup.target, &context).await)
}

async fn read_source(source: &Source, context: &Context) -> Read {
    let read_context = ReadContext {
        environment: context.environment.clone(),
        now: context.environment.clock.now(),
        size_limit: ReadContext::DEFAULT_SIZE_LIMIT,
    };
    Read {
        name: source.name.clone(),
        result: source.read(&read_context).await,
        remembered: true,
    }
}

/// What must never be blocked, read or failed.
async fn protects(context: &Context) -> Vec<Read> {
    let mut all = Vec::new();
    for source in &context.protect {
        all.push(read_source(source, context).await);
    }
    all
}

/// The collection at Sekoia or at an address that the arguments name, with its default owner.
fn one_source(arguments: &SyncCollection, setup: &Setup) -> Result<Option<(Source, String)>> {
    match (&arguments.ioc_collection_id, &arguments.source_url) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Error::input(
            "sync_collection takes ioc_collection_id or source_url, not both",
        )),
        (None, Some(url)) => {
            let id = blake3::hash(url.as_bytes()).to_hex();
            let source = Source {
                name: "source_url".to_owned(),
                kind: source_kind(url, arguments.source_format),
                location: Location::Url(url.clone()),
            };
            Ok(Some((source, format!("c-{}", &id[..8]))))
        }
        (Some(id), None) => {
            let id = sekoia::CollectionId::parse(id)?;
            let kind = match arguments.source_format {
                SourceFormat::Auto | SourceFormat::Stix => SourceKind::Stix,
                SourceFormat::List => SourceKind::List,
                SourceFormat::Warninglist => {
                    return Err(Error::input("a collection at Sekoia is no warninglist"));
                }
            };
            let access = setup.sekoia.clone().ok_or_else(|| {
                Error::config("ioc_collection_id needs sekoia_api_key in the configuration").hint(
                    "a key with the right View IOC collections; sekoia_base_url names its region",
                )
            })?;
            let source = Source {
                name: id.to_string(),
                kind,
                location: Location::Sekoia(Box::new(sekoia::Collection { id, access })),
            };
            Ok(Some((source, id.owner())))
        }
    }
}

fn source_kind(url: &str, format: SourceFormat) -> SourceKind {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    match format {
        SourceFormat::Stix => SourceKind::Stix,
        SourceFormat::List => SourceKind::List,
        SourceFormat::Warninglist => SourceKind::Warninglist,
        SourceFormat::Auto if path.trim_end_matches(".gz").ends_with(".json") => SourceKind::Stix,
        SourceFormat::Auto => SourceKind::List,
    }
}

fn stix_objects(
    objects: Option<&[Json]>,
    path: Option<&str>,
    context: &Context,
) -> Result<Reading> {
    let limits = stix::ReadLimits::default();
    match (objects, path) {
        (Some(objects), _) => {
            let bytes = serde_json::to_vec(objects)
                .map_err(|error| Error::internal("objects are not JSON").because(error))?;
            stix::read("stix_objects", bytes.as_slice(), &limits)
        }
        (None, Some(path)) => {
            let file: Box<dyn std::io::Read + Send> =
                match &context.files {
                    Some(open) => open(path)?,
                    None => Box::new(File::open(path).map_err(|error| {
                        Error::input(format!("cannot open {path}")).because(error)
                    })?),
                };
            stix::read("stix_objects_path", BufReader::new(file), &limits)
        }
        (None, None) => Err(Error::input(
            "neither stix_objects nor stix_objects_path is given",
        )),
    }
}

async fn push_indicators(
    arguments: PushIndicators,
    setup: &Setup,
    context: &Context,
) -> Result<Report> {
    let common = &arguments.common;
    if arguments.stix_objects.is_some() == arguments.stix_objects_path.is_some() {
        return Err(Error::input(
            "push_indicators takes exactly one of stix_objects and stix_objects_path",
        ));
    }
    let reading = stix_objects(
        arguments.stix_objects.as_deref(),
        arguments.stix_objects_path.as_deref(),
        context,
    )?;
    let mut pushed = sync::Batch::new(owner(common, setup, BY_HAND)?, reading);
    pushed.accept_unbounded = arguments.accept_unbounded;
    pushed.default_validity = default_validity(arguments.valid_for)?;
    pushed.accept_detection = arguments.accept_detection;
    pushed.words = arguments
        .reason
        .as_deref()
        .map(|reason| plain_words(reason).into());
    pushed.objects_at = arguments
        .sekoia_base_url
        .as_deref()
        .map(platform)
        .transpose()?
        .map(Into::into);
    batch(pushed, common, setup, context).await
}

async fn block(arguments: Block, setup: &Setup, context: &Context) -> Result<Report> {
    let common = &arguments.common;
    let now = context.environment.clock.now();
    let until: Option<DateTime<Utc>> = match (arguments.valid_for, arguments.valid_until) {
        (Some(_), Some(_)) => {
            return Err(Error::input("give valid_for or valid_until, not both"));
        }
        (Some(days), None) => Some(now + validity(days)?),
        (None, until) => until,
    };
    if let Some(until) = until
        && until <= now
    {
        return Err(Error::input(format!("valid_until {until} has passed")));
    }
    let mut reading = values(&arguments.values, "values")?;
    refuse_host_bits(&arguments.values)?;
    for indicator in &mut reading.indicators {
        indicator.validity = Validity { from: None, until };
    }
    let mut blocked = sync::Batch::new(owner(common, setup, BY_HAND)?, reading);
    blocked.accept_detection = arguments.accept_detection;
    blocked.accept_unbounded = arguments.accept_unbounded;
    blocked.words = arguments
        .reason
        .as_deref()
        .map(|reason| plain_words(reason).into());
    batch(blocked, common, setup, context).await
}

async fn batch(
    mut batch: sync::Batch,
    common: &Common,
    setup: &Setup,
    context: &Context,
) -> Result<Report> {
    let context = with_setup(context, setup, common)?;
    batch.exclude = kept_off(&common.exclude, "exclude")?.into_iter().collect();
    for protect in protects(&context).await {
        let reading = protect.result.map_err(|error| {
            error
                .with("protect", &protect.name)
                .hint("nothing is done, because what must never be blocked is not known")
        })?;
        batch.protect.push(reading);
    }
    batch.adopt = common.adopt;
    batch.protection = protection(setup);
    sync::push(batch, &setup.target, &context).await
}

async fn unblock(arguments: Unblock, setup: &Setup, context: &Context) -> Result<Report> {
    let common = &arguments.common;
    let context = with_setup(context, setup, common)?;
    let started = context.environment.clock.elapsed();
    let reading = values(&arguments.values, "values")?;
    let removals: HashSet<Value> = reading
        .indicators
        .iter()
        .map(|indicator| indicator.value.clone())
        .collect();
    let mut task = Task::new(owner(common, setup, BY_HAND)?, Purpose::Remove(removals));
    note_reading(&mut task, &reading, "complete", None);
    Ok(sync::perform(&task, &setup.target, &context, started).await)
}

async fn remove_expired(
    arguments: RemoveExpired,
    setup: &Setup,
    context: &Context,
) -> Result<Report> {
    let common = &arguments.common;
    let context = with_setup(context, setup, common)?;
    let started = context.environment.clock.elapsed();
    let named = common.deployment.as_deref().or(setup.deployment.as_deref());
    let owners: Vec<Owner> = match named {
        Some(name) => vec![Owner::new(name)?],
        None => {
            let mut names: Vec<String> = view::blocked(&setup.target, None, &context)
                .await?
                .entries
                .into_iter()
                .map(|entry| entry.owner)
                .collect();
            names.sort_unstable();
            names.dedup();
            names
                .iter()
                .map(|name| Owner::new(name))
                .collect::<Result<_>>()?
        }
    };
    let mut merged: Option<Report> = None;
    for owner in owners {
        let task = Task::new(owner, Purpose::Expired);
        let report = sync::perform(&task, &setup.target, &context, started).await;
        match &mut merged {
            None => merged = Some(report),
            Some(merged) => {
                merged.owner = format!("{}, {}", merged.owner, report.owner);
                merged.merge(report);
            }
        }
    }
    match merged {
        Some(report) => Ok(report),
        None => {
            let task = Task::new(Owner::new(BY_HAND)?, Purpose::Expired);
            Ok(sync::perform(&task, &setup.target, &context, started).await)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::platform;

    #[test]
    fn a_platform_may_be_given_as_a_host() {
        for given in [
            "app.sekoia.io",
            " https://app.sekoia.io/ ",
            "https://app.sekoia.io/api",
        ] {
            assert_eq!(platform(given).unwrap(), "https://app.sekoia.io", "{given}");
        }
        assert_eq!(
            platform("localhost:8443").unwrap(),
            "https://localhost:8443"
        );
        for wrong in [
            "",
            "javascript:alert(1)",
            "https://a:b@app.sekoia.io",
            "a b",
        ] {
            assert!(platform(wrong).is_err(), "{wrong}");
        }
    }
}
