//! The names that playbooks for Sekoia's own Cortex XDR module use.

use schemars::JsonSchema;
use sdk::Result;
use sdk::action::{Action, ActionInfo, Call, Outcome, drop_in};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

/// Hashes on Cortex XDR's block list.
pub(crate) static ACTIONS: &[Action] = &[Action {
    info: || ActionInfo {
        command: "block_malicious_files",
        name: "Block malicious files",
        description: "Puts the SHA-256 of STIX objects on Cortex XDR's block list",
        writes: true,
        arguments: drop_in::arguments::<BlockFiles>(),
        results: drop_in::results(json!({
            "blocked_files_count": {
                "description": "Hashes that were new on the block list",
                "type": "integer",
            },
        })),
    },
    run: |call| Box::pin(block_files(call)),
}];

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, JsonSchema)]
struct BlockFiles {
    #[serde(flatten)]
    objects: drop_in::StixObjects,
    /// Words shown beside the hashes
    #[serde(default)]
    comment: Option<String>,
    /// Id of the incident that the hashes are shown with
    #[serde(default)]
    incident_id: Option<u64>,
    /// Write entries although nobody would know when to take them down; without a store that is so for every
    /// hash
    #[serde(default = "yes")]
    accept_unbounded: bool,
}

async fn block_files(mut call: Call<'_>) -> Result<Outcome> {
    let arguments = push_arguments(call.arguments.take(), &mut call.configuration)?;
    let outcome = drop_in::uniform(call, "push_indicators", arguments).await?;
    let count = match &outcome {
        Outcome::Report(report) if !report.dry_run => report.added,
        _ => 0,
    };
    Ok(drop_in::with_result(
        outcome,
        "blocked_files_count",
        json!(count),
    ))
}

fn push_arguments(arguments: Json, configuration: &mut Json) -> Result<Map<String, Json>> {
    let (own, common) = drop_in::read::<BlockFiles>(arguments)?;
    drop_in::configure(configuration, "mechanism", "xdr-blocklist");
    if let Some(incident) = own.incident_id {
        drop_in::configure(configuration, "incident_id", incident);
    }
    let mut arguments = own.objects.into_arguments();
    arguments.insert("accept_unbounded".to_owned(), json!(own.accept_unbounded));
    if let Some(comment) = own.comment.filter(|comment| !comment.trim().is_empty()) {
        arguments.insert("reason".to_owned(), Json::String(comment));
    }
    arguments.extend(common);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comment_and_incident_may_be_absent() {
        let mut configuration = json!({ "mechanism": "xdr-ioc", "incident_id": 3 });
        let arguments =
            push_arguments(json!({ "stix_objects_path": "a.json" }), &mut configuration).unwrap();
        assert_eq!(
            Json::Object(arguments),
            json!({ "stix_objects_path": "a.json", "accept_unbounded": true })
        );
        assert_eq!(
            configuration,
            json!({ "mechanism": "xdr-blocklist", "incident_id": 3 })
        );
        let given = json!({
            "stix_objects_path": "a.json", "comment": "c", "incident_id": 7, "accept_unbounded": false,
        });
        let arguments = push_arguments(given, &mut configuration).unwrap();
        assert_eq!(
            Json::Object(arguments),
            json!({ "stix_objects_path": "a.json", "accept_unbounded": false, "reason": "c" })
        );
        assert_eq!(configuration["incident_id"], 7);
    }
}
