//! The names that playbooks for Sekoia's own module use.

use schemars::JsonSchema;
use sdk::Result;
use sdk::action::{Action, ActionInfo, Call, Outcome, drop_in, schema};
use sdk::indicator::Kind;
use sdk::report::Report;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::target::{DETECTING, PREVENTING};

/// Ends the owner's name of what is only detected.
const DETECT_OWNER: &str = "detect";
/// Longest name of an owner.
const LONGEST_OWNER: usize = 24;

/// Push IOCs and single ones, to prevent and to detect.
pub(crate) static ACTIONS: &[Action] = &[
    Action {
        info: || {
            info::<Push>(
                "push_iocs_block",
                "Push IOCs for prevention",
                "Blocks the files of STIX objects by MD5 and SHA-256, and takes down the revoked and ended ones",
            )
        },
        run: |call| Box::pin(push(call, true)),
    },
    Action {
        info: || {
            info::<Push>(
                "push_iocs_detect",
                "Push IOCs for detection",
                "Detects MD5, SHA-256, IPv4, IPv6 and domains of STIX objects, and takes down the revoked and ended ones",
            )
        },
        run: |call| Box::pin(push(call, false)),
    },
    Action {
        info: || {
            info::<Single>(
                "block_ioc",
                "Block IOC",
                "Blocks one file by MD5 or SHA-256",
            )
        },
        run: |call| Box::pin(single(call, true)),
    },
    Action {
        info: || {
            info::<Single>(
                "monitor_ioc",
                "Monitor IOC",
                "Detects one MD5, SHA-256, domain, IPv4 or IPv6",
            )
        },
        run: |call| Box::pin(single(call, false)),
    },
];

fn info<T: JsonSchema>(
    command: &'static str,
    name: &'static str,
    description: &'static str,
) -> ActionInfo {
    ActionInfo {
        command,
        name,
        description,
        writes: true,
        arguments: drop_in::arguments::<T>(),
        results: schema::<Report>(),
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Push {
    #[serde(flatten)]
    objects: drop_in::StixObjects,
    /// Days after which objects without an end are taken down; 0 for never
    #[serde(default)]
    valid_for: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Single {
    /// The value
    value: String,
    /// Its type: `md5` or `sha256`; to detect also `domain`, `ipv4`, `ipv6`
    #[serde(rename = "type")]
    kind: String,
    /// Days after which it is taken down; 0 for never
    #[serde(default)]
    valid_for: u32,
}

async fn push(mut call: Call<'_>, prevents: bool) -> Result<Outcome> {
    let arguments = push_arguments(call.arguments.take(), prevents, &mut call.configuration)?;
    drop_in::uniform(call, "push_indicators", arguments).await
}

fn push_arguments(
    arguments: Json,
    prevents: bool,
    configuration: &mut Json,
) -> Result<Map<String, Json>> {
    let (own, common) = drop_in::read::<Push>(arguments)?;
    let mut arguments = own.objects.into_arguments();
    arguments.insert("accept_detection".to_owned(), json!(!prevents));
    choose(
        prevents,
        own.valid_for,
        common,
        &mut arguments,
        configuration,
    );
    Ok(arguments)
}

async fn single(mut call: Call<'_>, prevents: bool) -> Result<Outcome> {
    let arguments = single_arguments(call.arguments.take(), prevents, &mut call.configuration)?;
    drop_in::uniform(call, "block", arguments).await
}

fn single_arguments(
    arguments: Json,
    prevents: bool,
    configuration: &mut Json,
) -> Result<Map<String, Json>> {
    let (own, common) = drop_in::read::<Single>(arguments)?;
    let kinds: &[Kind] = if prevents {
        &[Kind::Md5, Kind::Sha256]
    } else {
        &[
            Kind::Md5,
            Kind::Sha256,
            Kind::Domain,
            Kind::Ipv4,
            Kind::Ipv6,
        ]
    };
    let value = drop_in::typed(&own.value, &own.kind, kinds)?;
    let mut arguments = Map::new();
    arguments.insert("values".to_owned(), json!([value.to_string()]));
    arguments.insert("accept_detection".to_owned(), json!(!prevents));
    choose(
        prevents,
        own.valid_for,
        common,
        &mut arguments,
        configuration,
    );
    Ok(arguments)
}

/// What is only detected has an owner of its own, so that the same deployment's playbooks can do both: an
/// entry that one of them prevents is not weakened by the other.
fn choose(
    prevents: bool,
    valid_for: u32,
    common: Map<String, Json>,
    arguments: &mut Map<String, Json>,
    configuration: &mut Json,
) {
    arguments.extend(common);
    if valid_for > 0 {
        arguments.insert("valid_for".to_owned(), json!(valid_for));
    }
    let mechanism = if prevents { &PREVENTING } else { &DETECTING };
    drop_in::configure(configuration, "mechanism", mechanism.mechanism);
    if !prevents && arguments.get("deployment").is_none_or(Json::is_null) {
        let configured = configuration.get("deployment").and_then(Json::as_str);
        arguments.insert("deployment".to_owned(), json!(detecting_owner(configured)));
    }
}

/// The owner's name for what is only detected, beside the configured one.
fn detecting_owner(configured: Option<&str>) -> String {
    let Some(name) = configured else {
        return DETECT_OWNER.to_owned();
    };
    let longest = LONGEST_OWNER - DETECT_OWNER.len() - 1;
    let cut: String = name.chars().take(longest).collect();
    format!("{cut}-{DETECT_OWNER}")
}

#[cfg(test)]
mod tests {
    use sdk::ownership::Owner;

    use super::*;

    #[test]
    fn prevention_is_never_detection_and_the_reverse() {
        let mut configuration = json!({ "mechanism": "ioc-detect" });
        let given = json!({ "stix_objects_path": "a.json", "valid_for": 0, "dry_run": true });
        let arguments = push_arguments(given.clone(), true, &mut configuration).unwrap();
        assert_eq!(
            Json::Object(arguments),
            json!({ "stix_objects_path": "a.json", "accept_detection": false, "dry_run": true })
        );
        assert_eq!(configuration["mechanism"], "ioc");
        let arguments = push_arguments(given, false, &mut configuration).unwrap();
        assert_eq!(arguments["accept_detection"], true);
        assert_eq!(arguments["deployment"], "detect");
        assert_eq!(configuration["mechanism"], "ioc-detect");
    }

    #[test]
    fn what_is_detected_has_an_owner_of_its_own() {
        assert_eq!(detecting_owner(None), "detect");
        assert_eq!(detecting_owner(Some("acme")), "acme-detect");
        let long = "a".repeat(24);
        assert!(Owner::new(&detecting_owner(Some(&long))).is_ok());
        let mut configuration = json!({ "deployment": "acme" });
        let given =
            json!({ "value": "8.8.8.8", "type": "ipv4", "deployment": "mine", "valid_for": 7 });
        let arguments = single_arguments(given, false, &mut configuration).unwrap();
        assert_eq!(arguments["deployment"], "mine");
        assert_eq!(arguments["valid_for"], 7);
        assert_eq!(arguments["values"], json!(["8.8.8.8"]));
    }

    #[test]
    fn only_files_are_blocked() {
        for (value, kind) in [
            ("8.8.8.8", "ipv4"),
            ("evil.example.net", "domain"),
            ("8.8.8.8", "md5"),
        ] {
            let given = json!({ "value": value, "type": kind });
            assert!(
                single_arguments(given, true, &mut json!({})).is_err(),
                "{kind}"
            );
        }
    }
}
