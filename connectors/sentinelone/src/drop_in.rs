//! The names that playbooks for Sekoia's own module use.

mod blocklist;

use schemars::JsonSchema;
use sdk::action::{Action, ActionInfo, Call, Outcome, drop_in};
use sdk::indicator::Kind;
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

/// Indicators from STIX objects, and single entries of the blocklist.
pub(crate) static ACTIONS: &[Action] = &[
    Action {
        info: || ActionInfo {
            command: "sentinelone_iocs_create_iocs",
            name: "Create IOCs",
            description: "Adds the indicators of STIX objects to Threat Intelligence, which detects, and takes down the revoked and ended ones",
            writes: true,
            arguments: drop_in::arguments::<CreateIocs>(),
            results: drop_in::results(json!({
                "indicators": {
                    "description": "The indicators that were sent, the first 1,000",
                    "type": "array",
                    "items": { "type": "object", "properties": {
                        "type": { "type": "string" },
                        "value": { "type": "string" },
                        "method": { "type": "string" },
                    } },
                },
            })),
        },
        run: |call| Box::pin(create_iocs(call)),
    },
    blocklist::CREATE,
    blocklist::DELETE,
];

#[derive(Debug, Deserialize, JsonSchema)]
struct CreateIocs {
    #[serde(flatten)]
    objects: drop_in::StixObjects,
    /// Where the indicators go, in place of the configuration's scope
    #[serde(default)]
    filters: Option<Filters>,
    /// Days after which objects without an end are taken down; 0 for never
    #[serde(default)]
    valid_for: u32,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filters {
    /// Ids of accounts; one, where sites or groups are named
    #[serde(default)]
    account_ids: Vec<String>,
    /// Ids of groups
    #[serde(default)]
    group_ids: Vec<String>,
    /// Ids of sites
    #[serde(default)]
    site_ids: Vec<String>,
}

async fn create_iocs(mut call: Call<'_>) -> Result<Outcome> {
    let arguments = push_arguments(call.arguments.take(), &mut call.configuration)?;
    let outcome = drop_in::uniform(call, "push_indicators", arguments).await?;
    let sent = match &outcome {
        Outcome::Report(report) if !report.dry_run => report
            .changes
            .iter()
            .filter(|change| change.change != "remove")
            .map(|change| {
                json!({
                    "type": vendor_type(change.kind),
                    "value": change.value,
                    "method": "EQUALS",
                })
            })
            .collect(),
        _ => Vec::new(),
    };
    Ok(drop_in::with_result(
        outcome,
        "indicators",
        Json::Array(sent),
    ))
}

fn push_arguments(arguments: Json, configuration: &mut Json) -> Result<Map<String, Json>> {
    let (own, common) = drop_in::read::<CreateIocs>(arguments)?;
    if let Some(filters) = own.filters {
        let named = [&filters.account_ids, &filters.group_ids, &filters.site_ids];
        // The console takes no scope for the whole tenant.
        if named.iter().all(|ids| ids.is_empty()) {
            return Err(Error::input("filters names no account, site or group")
                .hint("name account_ids, or leave filters out for the configuration's scope"));
        }
        set_scope(
            configuration,
            filters.account_ids,
            filters.site_ids,
            filters.group_ids,
            false,
        );
    }
    drop_in::configure(configuration, "mechanism", "ioc");
    let mut arguments = own.objects.into_arguments();
    arguments.extend(common);
    if own.valid_for > 0 {
        arguments.insert("valid_for".to_owned(), json!(own.valid_for));
    }
    Ok(arguments)
}

/// Puts a scope in the place of the configuration's.
fn set_scope(
    configuration: &mut Json,
    accounts: Vec<String>,
    sites: Vec<String>,
    groups: Vec<String>,
    whole_tenant: bool,
) {
    drop_in::configure(configuration, "account_ids", accounts);
    drop_in::configure(configuration, "site_ids", sites);
    drop_in::configure(configuration, "group_ids", groups);
    drop_in::configure(configuration, "whole_tenant", whole_tenant);
}

/// As Threat Intelligence names a kind.
const fn vendor_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 => "IPV4",
        Kind::Ipv6 => "IPV6",
        Kind::Domain => "DNS",
        Kind::Url => "URL",
        Kind::Md5 => "MD5",
        Kind::Sha1 => "SHA1",
        Kind::Sha256 => "SHA256",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_replace_the_configured_scope() {
        let mut configuration = json!({ "whole_tenant": true, "mechanism": "blocklist" });
        let given = json!({
            "stix_objects_path": "a.json",
            "filters": { "account_ids": ["225494730938493804"], "site_ids": ["225494730938493805"] },
        });
        let arguments = push_arguments(given, &mut configuration).unwrap();
        assert_eq!(
            Json::Object(arguments),
            json!({ "stix_objects_path": "a.json" })
        );
        assert_eq!(
            configuration,
            json!({
                "whole_tenant": false, "mechanism": "ioc", "account_ids": ["225494730938493804"],
                "site_ids": ["225494730938493805"], "group_ids": [],
            })
        );
    }

    #[test]
    fn no_filter_never_means_the_whole_tenant() {
        let given = json!({ "stix_objects_path": "a.json", "filters": {} });
        let mut configuration = json!({});
        assert!(push_arguments(given, &mut configuration).is_err());
        let given = json!({ "stix_objects_path": "a.json" });
        push_arguments(given, &mut configuration).unwrap();
        assert_eq!(configuration, json!({ "mechanism": "ioc" }));
    }
}
