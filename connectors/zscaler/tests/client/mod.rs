//! The connector against the fake: what no uniform suite can know about Zscaler.

mod calls;
mod entries;
mod playbooks;

use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::{Kind, Value};
use sdk::report::{Report, Status, Verified};
use sdk::target::{Batch, Level, Outcome, Removal, Scope, Target, Write};
use sdk::testing::builders::indicator;
use serde_json::json;

use crate::raw::{Lab, domain, domains, lab};

fn write(value: Value) -> Write {
    Write {
        value,
        id: None,
        expires: None,
        note: String::new(),
        note_and_end_only: false,
        held_expires: None,
        held_note: None,
    }
}

fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Done => "done",
        Outcome::Rejected(_) => "rejected",
        Outcome::NotApplied(_) => "not applied",
        Outcome::Exists => "exists",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown(_) => "unknown",
    };
    outcomes.iter().map(name).collect()
}

async fn add(target: &dyn Target, values: &[&str]) -> Vec<&'static str> {
    let writes: Vec<Write> = values.iter().map(|name| write(domain(name))).collect();
    names(&target.apply(Batch::Add(&writes)).await)
}

fn logins(lab: &Lab) -> usize {
    let session = |call: &sdk::fake::Call| {
        call.method == "POST" && call.path.ends_with("/authenticatedSession")
    };
    lab.fake.server.log.count(session)
}

fn writes(lab: &Lab) -> usize {
    let writing = |call: &sdk::fake::Call| {
        call.method != "GET"
            && !call.path.contains("authenticatedSession")
            && !call.path.contains("/fake/")
    };
    lab.fake.server.log.count(writing)
}

fn activations(lab: &Lab) -> usize {
    lab.fake
        .server
        .log
        .count(|call| call.path.ends_with("/status/activate"))
}

fn error(report: &Report) -> String {
    report.devices[0].error.clone().unwrap_or_default()
}

const MECHANISMS: [&str; 2] = ["url-category", "denylist"];
