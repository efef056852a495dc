//! What goes wrong, and the end.

use chrono::TimeDelta;
use sdk::Result;
use sdk::fake::{Fault, FaultAction};
use sdk::report::Report;

use super::{acting, acts_on, all_ended, by_hand, exact, writes};
use crate::command::report::status_name;
use crate::demo::world::World;
use crate::demo::{Checks, Table, Told};
use crate::output::plain;

/// What a web server says in place of a list.
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>Back soon.</body></html>\n";

/// What is left of the list of 60 addresses.
const ADDRESSES_LEFT: usize = 6;
const ADDRESSES_GONE: usize = 54;

/// What the team adds just before the network goes away.
const URGENT: &str = "evil-update.example.net\n8.8.5.21\n8.8.5.22\n8.8.5.23\n\
    3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b\n";

pub(super) async fn failed_source(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let mut rows = Vec::new();
    let before = acting(world);
    world.clock.advance(TimeDelta::days(2));

    let list = world.publisher.text("raccoon");
    world.publisher.publish("raccoon", PAGE.to_owned());
    let reports = world.sync().await?;
    nothing_went(
        &mut checks,
        &reports,
        "raccoon",
        "an HTML page came for raccoon",
    );
    rows.extend(sources_row("an HTML page", "raccoon", &reports));
    world.publisher.publish("raccoon", list);

    let mut broken = Fault::new(FaultAction::ResetAfter).times(usize::MAX);
    broken.path = "/ipsum";
    world.publisher.server.fault(broken);
    let reports = world.sync().await?;
    nothing_went(&mut checks, &reports, "ipsum", "only half of ipsum came");
    rows.extend(sources_row("half of the list", "ipsum", &reports));
    world.publisher.server.faults.clear();

    checks.equal(
        "neither failure made a write",
        &0,
        &writes(world).iter().sum(),
    );
    acts_on(&mut checks, world, &before);

    world
        .publisher
        .publish("soc", "# nothing any more\n".to_owned());
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    for (report, expected) in reports.iter().zip([1, 3]) {
        checks.equal(
            format!(
                "soc is whole and empty: {expected} withdrawn on {}",
                report.target
            ),
            &expected,
            &report.removed.withdrawn,
        );
    }
    rows.extend(sources_row("a whole, empty list", "soc", &reports));
    exact(&mut checks, world).await?;
    Ok(Told {
        lines: [
            "One source answers with a web page, another breaks off half-way: neither is a list."
                .to_owned(),
            "So nothing is withdrawn. A list that is whole and empty is something else: it counts."
                .to_owned(),
        ],
        tables: vec![Table {
            header: &[
                "what came",
                "collection",
                "it is",
                "runs ended",
                "withdrawn",
            ],
            rows,
        }],
        checks,
    })
}

/// A source failed, the report says so, and nothing was withdrawn.
fn nothing_went(checks: &mut Checks, reports: &[Report], source: &str, claim: &str) {
    all_ended(checks, "partial", reports);
    for report in reports {
        let said = report
            .sources
            .iter()
            .any(|it| it.name == source && it.status == "failed" && it.error.is_some());
        checks.holds(
            format!("{claim}: {} withdrew nothing, and says so", report.target),
            said && report.removed.total() == 0
                && report.warnings.iter().any(|it| it.contains(source)),
            || format!("{} removed, {:?}", report.removed.total(), report.warnings),
        );
    }
}

fn sources_row(came: &str, source: &str, reports: &[Report]) -> Option<Vec<String>> {
    let report = reports.first()?;
    let read = report.sources.iter().find(|it| it.name == source)?;
    let withdrawn: usize = reports.iter().map(|report| report.removed.withdrawn).sum();
    Some(vec![
        came.to_owned(),
        source.to_owned(),
        read.status.clone(),
        status_name(report.status).to_owned(),
        withdrawn.to_string(),
    ])
}

pub(super) async fn mass_removal(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let mut rows = Vec::new();
    world.clock.advance(TimeDelta::days(2));
    let before = acting(world);
    let mut addresses = 0;
    let shrunk: String = world
        .publisher
        .text("ipsum")
        .lines()
        .filter(|line| {
            let comment = line.starts_with('#');
            addresses += usize::from(!comment);
            comment || addresses <= ADDRESSES_LEFT
        })
        .map(|line| format!("{line}\n"))
        .collect();
    world.publisher.publish("ipsum", shrunk);

    let reports = world.sync().await?;
    all_ended(&mut checks, "held", &reports);
    acts_on(&mut checks, world, &before);
    let mut ids = Vec::new();
    for report in &reports {
        let Some(held) = &report.held else {
            continue;
        };
        checks.equal(
            format!("{}: all {ADDRESSES_GONE} removals wait", report.target),
            &ADDRESSES_GONE,
            &held.changes,
        );
        let id = held.id.clone().unwrap_or_default();
        rows.push(vec![
            report.target.clone(),
            id.clone(),
            held.changes.to_string(),
            plain(&held.why),
        ]);
        ids.push(id);
    }
    checks.equal("a set waits for each target", &2, &ids.len());
    checks.holds(
        "each has an id of its own",
        ids.first() != ids.last() && ids.iter().all(|id| !id.is_empty()),
        || ids.join(", "),
    );

    for id in &ids {
        world.store.approve(id, "alice", world.clock.now()).await?;
    }
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    for report in &reports {
        checks.equal(
            format!("approved: {} let all {ADDRESSES_GONE} go", report.target),
            &ADDRESSES_GONE,
            &report.removed.withdrawn,
        );
    }
    checks.equal(
        "nothing waits any more",
        &0,
        &world.store.held().await?.len(),
    );
    exact(&mut checks, world).await?;
    Ok(Told {
        lines: [
            "A list of 60 addresses comes back with 6. Perhaps right, perhaps not: the removals wait.".to_owned(),
            "A person looks and lets them through, as `cordon approve ID` does.".to_owned(),
        ],
        tables: vec![Table {
            header: &["target", "id", "waiting", "why"],
            rows,
        }],
        checks,
    })
}

pub(super) async fn unplugged(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let mut rows = Vec::new();
    world.publisher.publish("soc", URGENT.to_owned());
    let before = acting(world);
    let places = ["/iocs/entities/indicators/v1", "/external-resource/dynamic"];
    for (vendor, place) in world.vendors.iter().zip(places) {
        let faults = vendor.fake.server.faults.clone();
        // The write is applied, its answer is cut off, and from then on nobody answers.
        let cut = Fault::new(FaultAction::ResetAfter)
            .on("POST", place)
            .also(move || {
                faults.push(Fault::new(FaultAction::ResetBefore).times(usize::MAX));
            });
        vendor.fake.server.fault(cut);
    }
    let reports = world.sync().await?;
    let applied: Vec<usize> = world
        .vendors
        .iter()
        .zip(&before)
        .map(|(vendor, before)| vendor.ours().len() - before.len())
        .collect();
    for (report, applied) in reports.iter().zip(&applied) {
        checks.holds(
            format!("the run on {} could not end well", report.target),
            matches!(status_name(report.status), "failed" | "partial"),
            || status_name(report.status).to_owned(),
        );
        checks.holds(
            format!("yet {} had taken something", report.target),
            *applied > 0,
            || "nothing new".to_owned(),
        );
        rows.push(vec![
            report.target.clone(),
            "unplugged".to_owned(),
            status_name(report.status).to_owned(),
            applied.to_string(),
            report.added.to_string(),
        ]);
    }
    for vendor in &world.vendors {
        vendor.fake.server.faults.clear();
    }
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    for ((report, vendor), before) in reports.iter().zip(&world.vendors).zip(&before) {
        rows.push(vec![
            report.target.clone(),
            "next".to_owned(),
            status_name(report.status).to_owned(),
            (vendor.ours().len() - before.len()).to_string(),
            report.added.to_string(),
        ]);
    }
    exact(&mut checks, world).await?;
    let quiet = writes(world);
    let again = world.sync().await?;
    all_ended(&mut checks, "ok", &again);
    checks.equal(
        "and the run after that writes nothing",
        &quiet.iter().sum::<usize>(),
        &writes(world).iter().sum(),
    );
    Ok(Told {
        lines: [
            "The connection breaks after a write was applied and before its answer came."
                .to_owned(),
            "The next run looks, finishes what is missing, and makes nothing twice.".to_owned(),
        ],
        tables: vec![Table {
            header: &[
                "target",
                "run",
                "ended",
                "new on the product",
                "known as added",
            ],
            rows,
        }],
        checks,
    })
}

pub(super) async fn retire(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let mut rows = Vec::new();
    for vendor in &world.vendors {
        let there = vendor.ours().len();
        let group = world.group(vendor)?;
        let report =
            sdk::sync::retire(&world.deployment.owner, &[], &group, &world.context()).await;
        all_ended(&mut checks, "ok", std::slice::from_ref(&report));
        checks.equal(
            format!("{}: all of ours was taken down", vendor.name),
            &there,
            &report.removed.total(),
        );
        checks.equal(
            format!("{} acts on nothing of ours", vendor.name),
            &0,
            &vendor.ours().len(),
        );
        rows.push(vec![
            report.target.clone(),
            there.to_string(),
            report.removed.total().to_string(),
            vendor.ours().len().to_string(),
            vendor.foreign().len().to_string(),
        ]);
    }
    by_hand(&mut checks, world);
    Ok(Told {
        lines: [
            "The deployment is retired: everything that is ours goes.".to_owned(),
            "What the operator made by hand is still there.".to_owned(),
        ],
        tables: vec![Table {
            header: &["target", "ours before", "removed", "ours now", "by hand"],
            rows,
        }],
        checks,
    })
}
