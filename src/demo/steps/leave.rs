//! How indicators go: ended, revoked, excluded. And what does not go.

use sdk::indicator::{Kind, Value};
use sdk::report::Report;
use sdk::{Error, Result};
use serde_json::{Value as Json, json};

use super::{acting, all_ended, exact, move_to, time};
use crate::demo::world::World;
use crate::demo::{Checks, Table, Told};
use crate::output::plain;

/// Dated addresses among the shipped rows, which end on 20 February.
const ENDED: usize = 16;

/// The object that its source takes back.
const REVOKED: &str = "fdexcute.com";

/// What turns out to be customers'.
const CUSTOMERS: &str = "77.90.185.64/26\n83.81.73.23\nshop.neccloud.net\n";

pub(super) async fn expiry(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let before = acting(world);
    move_to(world, 2021, 2, 20, 12)?;
    let wanted = world.expected().await?;
    let acting_still = acting(world);
    let mut stored = Vec::new();
    for vendor in &world.vendors {
        let group = world.group(vendor)?;
        let owner = &world.deployment.owner;
        let blocked = sdk::action::blocked(&group, Some(owner), &world.context()).await?;
        stored.push(blocked.entries.len());
    }
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    let mut rows = Vec::new();
    for (index, report) in reports.iter().enumerate() {
        let ended: Vec<&Value> = before[index]
            .iter()
            .filter(|value| !wanted[index].contains(value))
            .collect();
        let armed = ended
            .iter()
            .filter(|value| acting_still[index].contains(value))
            .count();
        checks.equal(
            format!("{ENDED} entries ended on {}", report.target),
            &ENDED,
            &ended.len(),
        );
        checks.equal(
            format!("{} had removed none of them by itself", report.target),
            &before[index].len(),
            &stored[index],
        );
        checks.equal(
            format!("{}: all of them removed as expired", report.target),
            &ENDED,
            &report.removed.expired,
        );
        rows.push(vec![
            report.target.clone(),
            ended.len().to_string(),
            stored[index].to_string(),
            armed.to_string(),
            report.removed.expired.to_string(),
            world.vendors[index].ours().len().to_string(),
        ]);
    }
    exact(&mut checks, world).await?;
    Ok(Told {
        lines: [
            format!(
                "The clock moves to {}: {ENDED} addresses have ended.",
                time(world)
            ),
            "Falcon has only disarmed them and FortiGate knows no ends: the next run removes them."
                .to_owned(),
        ],
        tables: vec![Table {
            header: &[
                "target",
                "ended",
                "stored before",
                "ended and acting",
                "removed",
                "left",
            ],
            rows,
        }],
        checks,
    })
}

pub(super) async fn revocation(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let value = parse(Kind::Domain, REVOKED)?;
    for vendor in &world.vendors {
        checks.holds(
            format!("{} acted on {REVOKED} until now", vendor.name),
            vendor.ours().contains(&value),
            || "nothing of it".to_owned(),
        );
    }
    world
        .publisher
        .publish("apt31", revoked(&world.publisher.text("apt31"))?);
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    for report in &reports {
        checks.equal(
            format!(
                "{}: one removed as revoked, and nothing else",
                report.target
            ),
            &"1 of 1".to_owned(),
            &format!("{} of {}", report.removed.revoked, report.removed.total()),
        );
    }
    exact(&mut checks, world).await?;
    Ok(Told {
        lines: [
            format!("The bundle gets a newer version of {REVOKED}: `revoked: true`."),
            "Both versions stand in it; the newest counts, whatever the order.".to_owned(),
        ],
        tables: vec![changes(&reports)],
        checks,
    })
}

/// The bundle with a newer, revoked version of the object in front of it.
fn revoked(bundle: &str) -> Result<String> {
    let broken = || Error::internal("the shipped bundle is not as it was");
    let mut bundle: Json = serde_json::from_str(bundle).map_err(|error| broken().because(error))?;
    let objects = bundle
        .get_mut("objects")
        .and_then(Json::as_array_mut)
        .ok_or_else(broken)?;
    let mut newer = objects
        .iter()
        .find(|object| object["name"] == REVOKED)
        .cloned()
        .ok_or_else(broken)?;
    newer["modified"] = json!("2021-12-01T08:00:00.000Z");
    newer["revoked"] = json!(true);
    objects.insert(0, newer);
    Ok(bundle.to_string())
}

pub(super) async fn exclusion(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let [falcon, fortigate] = &world.vendors;
    world.publisher.publish(
        "customers",
        format!("{}{CUSTOMERS}", world.publisher.text("customers")),
    );
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    let name = parse(Kind::Domain, "neccloud.net")?;
    checks.holds(
        "falcon matches names exactly and keeps neccloud.net",
        falcon.ours().contains(&name),
        || "it is gone".to_owned(),
    );
    let conflict: Vec<String> = reports[1]
        .details
        .iter()
        .filter(|detail| detail.reason == "conflict")
        .map(|detail| format!("{}: {}", detail.value, detail.message))
        .collect();
    checks.same_set(
        "fortigate may match below, so neccloud.net goes there as a conflict",
        &["neccloud.net: would also block what is kept off: exclude list customers".to_owned()],
        &conflict,
    );
    let network: Vec<String> = fortigate
        .ours()
        .iter()
        .map(ToString::to_string)
        .filter(|text| text.starts_with("77.90.185.") && text.contains('/'))
        .collect();
    checks.same_set(
        "77.90.185.0/24 was cut around the customer's quarter of it",
        &["77.90.185.0/26".to_owned(), "77.90.185.128/25".to_owned()],
        &network,
    );
    let address = parse(Kind::Ipv4, "83.81.73.23")?;
    for vendor in &world.vendors {
        checks.holds(
            format!("83.81.73.23 is off {}", vendor.name),
            !vendor.ours().contains(&address),
            || "it is there".to_owned(),
        );
    }
    exact(&mut checks, world).await?;
    let mut table = changes(&reports);
    for report in &reports {
        for detail in report
            .details
            .iter()
            .filter(|detail| detail.reason == "conflict")
        {
            table.rows.push(vec![
                report.target.clone(),
                "conflict".to_owned(),
                plain(&detail.value),
                plain(&detail.message),
            ]);
        }
    }
    Ok(Told {
        lines: [
            "A quarter of a blocked network, an address and a host turn out to be customers'.".to_owned(),
            "What is excluded comes off, and so does what would block it too; the rest stays blocked.".to_owned(),
        ],
        tables: vec![table],
        checks,
    })
}

pub(super) async fn operator(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let mut rows = Vec::new();
    for vendor in &world.vendors {
        let now = vendor.foreign();
        for entry in &vendor.by_hand {
            let same = now.contains(entry);
            checks.holds(
                format!(
                    "{} has {} byte for byte as at the start",
                    vendor.name, entry.value
                ),
                same,
                || "another text, or no entry".to_owned(),
            );
            let equal = entry.value == vendor.equal;
            rows.push(vec![
                vendor.name.to_owned(),
                plain(&entry.value.to_string()),
                if equal { "yes" } else { "no" }.to_owned(),
                if same { "unchanged" } else { "changed" }.to_owned(),
            ]);
        }
        checks.equal(
            format!("{} has no other entry made by hand", vendor.name),
            &vendor.by_hand.len(),
            &now.len(),
        );
    }
    for plan in world.plan().await? {
        checks.equal(
            format!("{} reports the equal one as somebody else's", plan.target),
            &1,
            &plan.skipped.foreign,
        );
    }
    Ok(Told {
        lines: [
            "After additions, ends, a revocation and an exclusion: what a person made is as it was.".to_owned(),
            "Cordon changes only what it can prove is its own, also where the value is the same.".to_owned(),
        ],
        tables: vec![Table {
            header: &["target", "made by hand", "also an indicator", "now"],
            rows,
        }],
        checks,
    })
}

/// What runs changed, removals first.
fn changes(reports: &[Report]) -> Table {
    let rows = reports
        .iter()
        .flat_map(|report| {
            report.changes.iter().map(|change| {
                vec![
                    report.target.clone(),
                    change.change.clone(),
                    plain(&change.value),
                    plain(&change.reason),
                ]
            })
        })
        .collect();
    Table {
        header: &["target", "change", "value", "why"],
        rows,
    }
}

fn parse(kind: Kind, text: &str) -> Result<Value> {
    Value::parse(kind, text).map_err(|error| Error::internal("a value of the story").because(error))
}
