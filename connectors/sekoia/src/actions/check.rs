//! `check`: the key and what it may do, as far as that can be seen without writing.

use chrono::TimeDelta;
use reqwest::StatusCode;
use schemars::JsonSchema;
use sdk::action::{Call, Checked, CheckedDevice, CheckedFinding, Outcome};
use sdk::collection::sekoia::CollectionId;
use sdk::{Error, Result};
use serde::Deserialize;

use crate::api::Api;

/// The feed of the whole CTI base, which every community has.
const WHOLE_FEED: &str = "d6092c37-d8d7-45c3-8aff-c4dc26030608";

/// How far the clocks may be apart before it matters.
const CLOCK: TimeDelta = TimeDelta::seconds(60);

/// Look at the API key, what it may do, and the clock.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// An IOC collection or feed that the key has to be able to read
    #[serde(default)]
    ioc_collection_id: Option<String>,
}

pub(super) async fn run(call: Call<'_>) -> Result<Outcome> {
    let arguments: Arguments = super::arguments(&call)?;
    let id = arguments
        .ioc_collection_id
        .as_deref()
        .map(CollectionId::parse)
        .transpose()?;
    let api = Api::of(call.configuration, &call.context.environment)?.api;
    let mut device = CheckedDevice {
        name: format!("sekoia/{}", api.host()),
        mechanism: String::new(),
        device: String::new(),
        version: None,
        clock_ahead_seconds: None,
        findings: Vec::new(),
    };
    match api.me().await {
        Ok(community) => {
            let whose = community.map_or_else(
                || "the API key is good".to_owned(),
                |community| format!("the API key is good, of community {community}"),
            );
            device.findings.push(finding("ok", "API key", &whose));
            device.findings.extend(reading(&api, id).await);
        }
        Err(error) => device.findings.push(failed("missing", "API key", &error)),
    }
    let ahead = api
        .vendor_time()
        .map(|theirs| call.context.environment.clock.now() - theirs);
    device.clock_ahead_seconds = ahead.map(|ahead| ahead.num_seconds());
    if let Some(ahead) = ahead.filter(|ahead| ahead.abs() > CLOCK) {
        device.findings.push(finding(
            "warning",
            "clock",
            &format!("ours is {} s ahead of Sekoia's", ahead.num_seconds()),
        ));
    }
    let mut checked = Checked {
        status: String::new(),
        devices: vec![device],
    };
    checked.settle();
    super::view(&checked).map(Outcome::View)
}

/// What can be read. Writing is not tried, because a trial would stay: nothing is ever deleted at Sekoia.
async fn reading(api: &Api, id: Option<CollectionId>) -> Vec<CheckedFinding> {
    let mut findings = Vec::new();
    match id {
        Some(id) => {
            let read = api.probe(&id.to_string()).await.and_then(|response| {
                if response.status == StatusCode::OK {
                    Ok(())
                } else {
                    Err(sdk::collection::sekoia::refusal(
                        "the collection",
                        &response,
                    ))
                }
            });
            findings.push(match read {
                Ok(()) => finding("ok", "collection", &format!("{id} can be read")),
                Err(error) => failed("missing", "collection", &error),
            });
        }
        None => findings.push(finding(
            "ok",
            "collections",
            "not looked at: name one with ioc_collection_id",
        )),
    }
    findings.push(match api.probe(WHOLE_FEED).await {
        Ok(response) if response.status == StatusCode::OK => {
            finding("ok", "CTI feeds", "can be read")
        }
        Ok(response) => CheckedFinding {
            level: "ok".to_owned(),
            subject: "CTI feeds".to_owned(),
            message: format!("cannot be read: status {}", response.status.as_u16()),
            hint: Some("only needed for feeds: the right INTHREAT_READ_OBJECTS".to_owned()),
        },
        Err(error) => failed("warning", "CTI feeds", &error),
    });
    findings.push(CheckedFinding {
        level: "ok".to_owned(),
        subject: "writing".to_owned(),
        message: "not tried: what is written cannot be taken away without a trace".to_owned(),
        hint: Some(
            "adding and revoking take the right Manage IOC collections, alerts View alerts and View intakes"
                .to_owned(),
        ),
    });
    findings
}

fn finding(level: &str, subject: &str, message: &str) -> CheckedFinding {
    CheckedFinding {
        level: level.to_owned(),
        subject: subject.to_owned(),
        message: message.to_owned(),
        hint: None,
    }
}

fn failed(level: &str, subject: &str, error: &Error) -> CheckedFinding {
    CheckedFinding {
        hint: error.hint_text().map(str::to_owned),
        ..finding(level, subject, &error.to_string())
    }
}
