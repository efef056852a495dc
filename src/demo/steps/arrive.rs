//! From the published rows to the products.

use sdk::Result;
use sdk::collection::Reading;
use sdk::indicator::{Kind, Value};
use sdk::target::EndKnownBy;

use super::{all_ended, exact, time, writes};
use crate::demo::world::World;
use crate::demo::{Checks, Table, Told};
use crate::output::plain;

/// Rows of the shipped lists, header and comments left out.
const EMOTET_ROWS: usize = 39;
const RACCOON_ROWS: usize = 22;

pub(super) fn start(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let mut rows = Vec::new();
    for vendor in &world.vendors {
        let end = match (vendor.mechanism.native_end, vendor.mechanism.end_known_by) {
            (Some(end), _) if end.deletes == Some(false) => "disarmed, not removed",
            (Some(_), _) => "removed",
            (None, EndKnownBy::Ledger) => "none: our record knows",
            (None, _) => "none: our mark knows",
        };
        rows.push(vec![
            vendor.connector.title.to_owned(),
            vendor.mechanism.mechanism.to_owned(),
            end.to_owned(),
            vendor.by_hand.len().to_string(),
            vendor.equal.to_string(),
        ]);
        checks.holds(
            format!("{} speaks TLS under a CA of its own", vendor.name),
            vendor.fake.server.url.starts_with("https://") && vendor.fake.server.ca_pem.is_some(),
            || vendor.fake.server.url.clone(),
        );
        checks.equal(
            format!("{} acts on 2 entries made by hand", vendor.name),
            &2,
            &vendor.foreign().len(),
        );
        checks.equal(
            format!("{} acts on nothing of ours", vendor.name),
            &0,
            &vendor.ours().len(),
        );
    }
    Ok(Told {
        lines: [
            format!(
                "Two products answer on loopback, and it is {}.",
                time(world)
            ),
            "An operator made two entries on each by hand; one of them equals an indicator."
                .to_owned(),
        ],
        tables: vec![Table {
            header: &[
                "product",
                "mechanism",
                "its own end",
                "by hand",
                "equal to an indicator",
            ],
            rows,
        }],
        checks,
    })
}

pub(super) async fn read(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let mut rows = Vec::new();
    let deployment = &world.deployment;
    let roles = [
        ("include", &deployment.include),
        ("exclude", &deployment.exclude),
        ("protect", &deployment.protect),
    ];
    for (role, sources) in roles {
        for source in sources {
            let reading = world.read(source).await?;
            rows.push(vec![
                source.name.clone(),
                role.to_owned(),
                reading.indicators.len().to_string(),
                reading.skipped.ports.to_string(),
                left_out(&reading),
            ]);
            look_at(&reading, &mut checks);
        }
    }
    let (compiled, _) = world.compiled().await?;
    let refused: Vec<Vec<String>> = compiled
        .refused
        .iter()
        .map(|refused| {
            vec![
                plain(&refused.value.to_string()),
                refused.rule.text.to_string(),
            ]
        })
        .collect();
    let rules: Vec<String> = refused.iter().map(|row| row.join(" by ")).collect();
    checks.same_set(
        "what may never be blocked is refused, and by which rule",
        &[
            "10.20.30.40 by special-purpose 10.0.0.0/8".to_owned(),
            "104.16.132.229 by protect list cloudflare".to_owned(),
            "co.uk by public suffix co.uk".to_owned(),
        ],
        &rules,
    );
    Ok(Told {
        lines: [
            "Seven collections as they were published: ports, defanged values, e-mail addresses."
                .to_owned(),
            "Each row is an indicator or a refusal with a reason; some values are refused by rule."
                .to_owned(),
        ],
        tables: vec![
            Table {
                header: &["collection", "role", "indicators", "ports off", "left out"],
                rows,
            },
            Table {
                header: &["never blocked", "rule"],
                rows: refused,
            },
        ],
        checks,
    })
}

fn left_out(reading: &Reading) -> String {
    let reasons: Vec<String> = reading
        .skipped
        .counts
        .iter()
        .map(|(reason, count)| format!("{count} {}", reason.name()))
        .collect();
    if reasons.is_empty() {
        "-".to_owned()
    } else {
        reasons.join(", ")
    }
}

/// What is known about the shipped rows.
fn look_at(reading: &Reading, checks: &mut Checks) {
    let has = |kind: Kind, text: &str| {
        Value::parse(kind, text)
            .is_ok_and(|value| reading.indicators.iter().any(|it| it.value == value))
    };
    let understood = reading.indicators.len() + reading.skipped.total();
    match reading.name.as_str() {
        "emotet" => {
            checks.equal(
                format!("each of the {EMOTET_ROWS} rows of emotet is accounted for"),
                &EMOTET_ROWS,
                &understood,
            );
            checks.equal(
                "16 ports were taken off, and noted",
                &16,
                &reading.skipped.ports,
            );
            checks.holds(
                "the e-mail address was left out by name",
                reading
                    .skipped
                    .first
                    .iter()
                    .any(|it| it.text.contains('@') && it.message.contains("mail")),
                || left_out(reading),
            );
        }
        "raccoon" => {
            checks.equal(
                format!("each of the {RACCOON_ROWS} rows of raccoon is accounted for"),
                &RACCOON_ROWS,
                &understood,
            );
            checks.holds(
                "136.244.65[.]99 was read as 136.244.65.99",
                has(Kind::Ipv4, "136.244.65.99"),
                || "no such indicator".to_owned(),
            );
        }
        _ => {}
    }
}

pub(super) async fn push(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let plans = world.plan().await?;
    checks.equal("the plan sent no write", &0, &writes(world).iter().sum());
    checks.equal(
        "after the plan nothing of ours is there",
        &0,
        &super::acting(world).iter().map(Vec::len).sum(),
    );
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    let mut rows = Vec::new();
    for (plan, report) in plans.iter().zip(&reports) {
        checks.equal(
            format!("{} took what the plan said", report.target),
            &plan.added,
            &report.added,
        );
        checks.equal(
            format!(
                "{}: one equal entry of somebody else left alone",
                report.target
            ),
            &1,
            &report.skipped.foreign,
        );
        rows.push(vec![
            report.target.clone(),
            plan.added.to_string(),
            report.added.to_string(),
            report.effect.prevent.to_string(),
            report.effect.detect.to_string(),
            report.skipped.unsupported.to_string(),
            report.skipped.foreign.to_string(),
            report.skipped.protected.to_string(),
            report.skipped.waiting.to_string(),
        ]);
    }
    exact(&mut checks, world).await?;
    Ok(Told {
        lines: [
            "First a plan, which sends nothing; then the push to both products.".to_owned(),
            "Falcon prevents hashes and only detects the rest; FortiGate prevents what it takes."
                .to_owned(),
        ],
        tables: vec![Table {
            header: &[
                "target",
                "plan",
                "added",
                "prevent",
                "detect",
                "unsupported",
                "foreign",
                "protected",
                "waiting",
            ],
            rows,
        }],
        checks,
    })
}

pub(super) async fn again(world: &World) -> Result<Told> {
    let mut checks = Checks::default();
    let reports = world.sync().await?;
    all_ended(&mut checks, "ok", &reports);
    let mut rows = Vec::new();
    for (vendor, report) in world.vendors.iter().zip(&reports) {
        let [read, write] = vendor.calls();
        checks.equal(format!("{} got no write", vendor.name), &0, &write);
        checks.equal(
            format!("{} holds all of it unchanged", vendor.name),
            &vendor.ours().len(),
            &report.unchanged,
        );
        rows.push(vec![
            report.target.clone(),
            report.unchanged.to_string(),
            report.added.to_string(),
            report.removed.total().to_string(),
            read.to_string(),
            write.to_string(),
        ]);
    }
    exact(&mut checks, world).await?;
    Ok(Told {
        lines: [
            "The same run at once again.".to_owned(),
            "Everything is as it should be, so nothing is written; the products' call logs prove it.".to_owned(),
        ],
        tables: vec![Table {
            header: &["target", "unchanged", "added", "removed", "reading calls", "writing calls"],
            rows,
        }],
        checks,
    })
}
