//! `cordon retire`: takes down all of a deployment, or all of ours on a target.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use sdk::Error;
use sdk::ownership::Owner;
use sdk::report::Report;
use serde_json::json;

use super::orphans;
use super::sync::open_store;
use super::{
    Outcome, Signals, block_on, cancelled, check_clock, configuration, context, group, report,
};
use crate::cli::Global;
use crate::failure::Failure;
use crate::output::Output;

/// The exit code where something is left.
const PARTLY: u8 = 4;

/// Takes down. A deployment that left the configuration is looked for on every target.
pub(crate) fn run(name: &str, dry_run: bool, global: &Global, output: Output) -> Outcome {
    let config = configuration(global)?;
    let is_target = config.targets.contains_key(name);
    let deployment = config.deployments.get(name);
    if is_target && deployment.is_some() {
        return Err(
            Error::input(format!("{name:?} is both a deployment and a target"))
                .hint("rename the target: its name stands nowhere else")
                .into(),
        );
    }
    let targets: Vec<&String> = if is_target {
        config
            .targets
            .keys()
            .filter(|target| *target == name)
            .collect()
    } else {
        // A deployment may have gone to targets that it does not name any more.
        config.targets.keys().collect()
    };
    let loopback = targets
        .iter()
        .filter_map(|name| config.targets.get(*name))
        .all(|target| target.loopback);
    let clock = check_clock(global, loopback || dry_run)?;
    let owner = if is_target {
        None
    } else {
        Some(Owner::new(name)?)
    };
    block_on(async {
        let opened = open_store(&config, dry_run, global).await?;
        if let (Some(opened), false) = (&opened, dry_run) {
            opened.make_room().await?;
        }
        let store = opened
            .as_ref()
            .map(|opened| std::sync::Arc::clone(&opened.store));
        let mut context = context(clock, config.installation.as_str(), store, global);
        context.dry_run = dry_run;
        let mut reports: Vec<Report> = Vec::new();
        let mut problems = Vec::new();
        let stop = AtomicBool::new(false);
        let stopped = || stop.load(Ordering::SeqCst);
        let work = async {
            for name in targets {
                let Some(target) = config.targets.get(name).filter(|_| !stopped()) else {
                    continue;
                };
                let group = group(name, target, &context)?;
                let there = match sdk::action::blocked(&group, owner.as_ref(), &context).await {
                    Ok(blocked) => blocked,
                    Err(error) => {
                        problems.push((name.clone(), error));
                        continue;
                    }
                };
                let owners: BTreeSet<&str> =
                    there.entries.iter().map(|it| it.owner.as_str()).collect();
                for owner in owners {
                    if !stopped() {
                        let owner = Owner::new(owner)?;
                        reports.push(sdk::sync::retire(&owner, &[], &group, &context).await);
                    }
                }
            }
            Ok::<(), Failure>(())
        };
        let mut left = orphans::all(&config, &[], &context).await;
        left.retain(|orphan| {
            owner
                .as_ref()
                .is_some_and(|owner| owner.as_str() == orphan.owner)
        });
        let mut signals = Signals::new()?;
        tokio::select! {
            done = work => done?,
            () = signals.twice(|| stop.store(true, Ordering::SeqCst)) => {
                return Err(cancelled().into());
            }
        }
        let all: Vec<&Report> = reports.iter().collect();
        let value = json!({
            "status": if problems.is_empty() && left.is_empty() {
                report::worst_status(&all)
            } else {
                "partial"
            },
            "dry_run": dry_run,
            "stopped": stopped(),
            "reports": reports,
            "errors": problems
                .iter()
                .map(|(name, error)| json!({ "target": name, "error": error.to_string() }))
                .collect::<Vec<_>>(),
            "orphans": left,
        });
        output.result(&value, || {
            let mut text = if reports.is_empty() {
                nothing(name, is_target || deployment.is_some())
            } else {
                report::text(&all, output, global.verbose > 0)
            };
            for (name, error) in &problems {
                text.push_str(&format!("\n{name}: error: {error}"));
                if let Some(hint) = error.hint_text() {
                    text.push_str(&format!("\nhint: {hint}"));
                }
            }
            for orphan in &left {
                text.push('\n');
                text.push_str(&orphan.told());
            }
            text
        });
        if stopped() {
            // The result is out already: only people are told more.
            let stopped = Failure::from(cancelled());
            stopped.tell();
            return Ok(stopped.exit_code());
        }
        let codes = reports.iter().map(Report::exit_code);
        let failed = problems.iter().map(|(_, error)| error.exit_code());
        let partly = left.iter().map(|_| PARTLY);
        Ok(report::worst(codes.chain(failed).chain(partly)))
    })
}

/// A name that is not configured may be right, and may be a slip.
fn nothing(name: &str, configured: bool) -> String {
    let mut text = format!("nothing of {name} is there");
    if !configured {
        text.push_str(&format!(
            "\nhint: the configuration has no deployment or target {name:?}; every target was looked at"
        ));
    }
    text
}
