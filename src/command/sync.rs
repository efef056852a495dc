//! `cordon plan` and `cordon sync`: one pass over the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use sdk::Error;
use sdk::collection::{Location, Source};
use sdk::report::Report;
use sdk::store::MemoryStore;
use sdk::sync::{Context, TargetGroup};
use serde_json::json;

use super::orphans;
use super::{
    Outcome, Signals, block_on, cancelled, check_clock, configuration, context, group, report,
};
use crate::cli::{Global, Sync};
use crate::config::{Config, DeploymentConfig, endpoint};
use crate::failure::Failure;
use crate::output::{Output, tell};
use crate::store::{ClockUse, Opened};
use crate::webhook;

/// Targets that are worked on at the same time; deployments of one target take turns.
const TARGETS_AT_ONCE: usize = 8;

/// A target and the deployments that go there.
struct Job {
    group: TargetGroup,
    deployments: Vec<String>,
}

/// Plans (`dry_run`) or runs.
pub(crate) fn run(arguments: &Sync, dry_run: bool, global: &Global, output: Output) -> Outcome {
    let config = configuration(global)?;
    let chosen = choose(&config, arguments)?;
    let clock = check_clock(global, dry_run || all_on_loopback(&config, &chosen))?;
    block_on(async {
        let opened = open_store(&config, dry_run, global).await?;
        if let (Some(opened), false) = (&opened, dry_run) {
            opened.make_room().await?;
        }
        let store = opened.as_ref().map(|opened| Arc::clone(&opened.store));
        let mut context = context(clock, config.installation.as_str(), store, global);
        context.dry_run = dry_run;
        if let Some(warning) = opened.as_ref().and_then(|opened| opened.warning.as_ref()) {
            tell(&format!("warning: {warning}"));
        }
        let progress = progress(output);
        if let Some(bar) = &progress {
            let bar = bar.clone();
            context.progress = Some(Arc::new(move |what: &str| bar.set_message(what.to_owned())));
        }
        let jobs = jobs(&config, &chosen, &context)?;
        let (reports, complete) = work(&config, &jobs, &context).await?;
        let listed = jobs.iter().filter(|_| dry_run).map(|job| &job.group);
        let orphans = orphans::all(&config, &listed.collect::<Vec<_>>(), &context).await;
        if let Some(bar) = progress {
            bar.finish_and_clear();
        }
        if !dry_run && let Some(settings) = &config.webhook {
            let groups: Vec<&TargetGroup> = jobs.iter().map(|job| &job.group).collect();
            webhook::tell_about(settings, &reports, &groups, &context).await;
        }
        let all: Vec<&Report> = reports.iter().collect();
        let value = json!({
            "status": report::worst_status(&all),
            "dry_run": dry_run,
            "stopped": !complete,
            "reports": reports,
            "orphans": orphans,
        });
        output.result(&value, || {
            let mut text = report::text(&all, output, global.verbose > 0);
            for orphan in &orphans {
                text.push('\n');
                text.push_str(&orphan.told());
            }
            text
        });
        if !complete {
            // The result is out already: only people are told more.
            let stopped = Failure::from(cancelled());
            stopped.tell();
            return Ok(stopped.exit_code());
        }
        Ok(report::worst(reports.iter().map(Report::exit_code)))
    })
}

/// The deployments asked for, by target.
fn choose(config: &Config, arguments: &Sync) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    for name in &arguments.deployments {
        if !config.deployments.contains_key(name) {
            if config.targets.contains_key(name) {
                return Err(
                    Error::input(format!("{name:?} is a target, not a deployment"))
                        .hint(format!("name it as --target {name}"))
                        .into(),
                );
            }
            return Err(unknown("deployment", name, config.deployments.keys()));
        }
    }
    if let Some(name) = &arguments.target
        && !config.targets.contains_key(name)
    {
        return Err(unknown("target", name, config.targets.keys()));
    }
    let mut chosen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, deployment) in &config.deployments {
        if !arguments.deployments.is_empty() && !arguments.deployments.contains(name) {
            continue;
        }
        for target in &deployment.targets {
            if arguments.target.as_ref().is_none_or(|only| only == target) {
                chosen.entry(target.clone()).or_default().push(name.clone());
            }
        }
    }
    if config.deployments.is_empty() {
        return Err(Error::config("the configuration has no deployment")
            .hint("a table [deployments.NAME] says which collections go to which targets")
            .into());
    }
    if chosen.is_empty() {
        return Err(
            Error::input("there is nothing to do: no deployment goes to such a target").into(),
        );
    }
    Ok(chosen)
}

pub(super) fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
) -> Failure {
    let names: Vec<&str> = known.map(String::as_str).collect();
    Error::input(format!("there is no {what} {name:?}"))
        .hint(format!("known are {}", names.join(", ")))
        .into()
}

fn all_on_loopback(config: &Config, chosen: &BTreeMap<String, Vec<String>>) -> bool {
    let targets = chosen
        .keys()
        .filter_map(|name| config.targets.get(name))
        .all(|target| target.loopback);
    let deployments: BTreeSet<&String> = chosen.values().flatten().collect();
    let sources = deployments
        .into_iter()
        .filter_map(|name| config.deployments.get(name))
        .flat_map(|it: &DeploymentConfig| {
            let it = &it.deployment;
            it.include.iter().chain(&it.exclude).chain(&it.protect)
        })
        .all(|source: &Source| match &source.location {
            Location::File(_) => true,
            Location::Url(url) => endpoint::is_loopback(url),
            Location::Sekoia(collection) => endpoint::is_loopback(&collection.access.base_url),
        });
    let webhook = config
        .webhook
        .as_ref()
        .is_none_or(|webhook| endpoint::is_loopback(&webhook.url));
    targets && sources && webhook
}

/// The configured store. A plan makes no file.
pub(super) async fn open_store(
    config: &Config,
    dry_run: bool,
    global: &Global,
) -> Result<Option<Opened>, Failure> {
    let Some(path) = &config.store else {
        return Ok(None);
    };
    if dry_run && !path.exists() {
        return Ok(Some(Opened::scratch(Arc::new(MemoryStore::new()))));
    }
    let clock = match (global.clock.is_some(), dry_run) {
        (false, _) => ClockUse::System,
        (true, false) => ClockUse::Moved,
        (true, true) => ClockUse::MovedToLook,
    };
    Ok(Some(crate::store::open(path, clock).await?))
}

fn progress(output: Output) -> Option<indicatif::ProgressBar> {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = indicatif::ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    Some(bar)
}

fn jobs(
    config: &Config,
    chosen: &BTreeMap<String, Vec<String>>,
    context: &Context,
) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    for (name, deployments) in chosen {
        let Some(target) = config.targets.get(name) else {
            continue;
        };
        jobs.push(Job {
            group: group(name, target, context)?,
            deployments: deployments.clone(),
        });
    }
    Ok(jobs)
}

/// Runs the jobs; the reports in order of deployment and target, and whether all of them ran.
async fn work(
    config: &Config,
    jobs: &[Job],
    context: &Context,
) -> Result<(Vec<Report>, bool), Failure> {
    let stop = AtomicBool::new(false);
    let stop = &stop;
    let work = futures::stream::iter(jobs)
        .map(|job| async move {
            let mut reports = Vec::new();
            for name in &job.deployments {
                if stop.load(Ordering::SeqCst) {
                    return (reports, false);
                }
                if let Some(it) = config.deployments.get(name) {
                    reports.push(sdk::sync::sync(&it.deployment, &job.group, context).await);
                }
            }
            (reports, true)
        })
        .buffer_unordered(TARGETS_AT_ONCE)
        .collect::<Vec<_>>();
    let mut signals = Signals::new()?;
    let signals = signals.twice(|| stop.store(true, Ordering::SeqCst));
    tokio::select! {
        done = work => {
            let complete = done.iter().all(|(_, complete)| *complete);
            let mut reports: Vec<Report> = done.into_iter().flat_map(|(reports, _)| reports).collect();
            reports.sort_by(|a, b| (&a.owner, &a.target).cmp(&(&b.owner, &b.target)));
            Ok((reports, complete))
        }
        () = signals => Err(cancelled().into()),
    }
}
