//! The names that playbooks for Sekoia's own module use.

mod blocklist;

use std::collections::HashMap;

use chrono::TimeDelta;
use schemars::JsonSchema;
use sdk::action::{Action, ActionInfo, Call, Outcome, drop_in};
use sdk::indicator::{Kind, Value};
use sdk::report::ChangeReport;
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::target::Shown;

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
                    "items": { "type": "object", "properties": shown_properties(&[
                        "uuid", "batchId", "type", "value", "method", "source", "externalId", "name", "description",
                        "creator", "scope", "scopeId", "creationTime", "uploadTime", "updatedAt", "validUntil",
                    ]) },
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

/// Clocks differ by so much at most where a run writes anything.
const CLOCKS: TimeDelta = TimeDelta::minutes(10);

async fn create_iocs(mut call: Call<'_>) -> Result<Outcome> {
    let arguments = push_arguments(call.arguments.take(), &mut call.configuration)?;
    let (configuration, environment) = (call.configuration.clone(), &call.context.environment);
    let since = environment.clock.now() - CLOCKS;
    let mut outcome = drop_in::uniform(call, "push_indicators", arguments).await?;
    let mut sent = Vec::new();
    if let Outcome::Report(report) = &mut outcome
        && !report.dry_run
    {
        sent = report.changes.iter().filter_map(own_part).collect();
        if !sent.is_empty() {
            let shown = match Shown::new(&configuration, environment) {
                Ok(shown) => shown.indicators_since(since).await,
                Err(error) => Err(error),
            };
            match shown {
                Ok(rows) => complete_indicators(&mut sent, &rows),
                Err(error) => report.warnings.push(format!(
                    "indicators lacks the console's own fields, because they could not be read afterwards: {error}"
                )),
            }
        }
    }
    let sent = sent.into_iter().map(Json::Object).collect();
    Ok(drop_in::with_result(
        outcome,
        "indicators",
        Json::Array(sent),
    ))
}

/// What is known of an indicator that was sent without asking the console.
fn own_part(change: &ChangeReport) -> Option<Map<String, Json>> {
    let fields = [
        ("type", json!(vendor_type(change.kind))),
        ("value", json!(change.value)),
        ("method", json!("EQUALS")),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    (change.change != "remove").then(|| fields.into_iter().collect())
}

/// Puts the console's own fields beside ours.
fn complete_indicators(sent: &mut [Map<String, Json>], rows: &[(Value, Map<String, Json>)]) {
    let key = |kind: &str, value: &str| format!("{kind}={value}");
    let text = |fields: &Map<String, Json>, name: &str| {
        fields
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let rows: HashMap<String, &Map<String, Json>> = rows
        .iter()
        .map(|(value, row)| (key(vendor_type(value.kind()), &value.to_string()), row))
        .collect();
    for fields in sent {
        if let Some(row) = rows.get(&key(&text(fields, "type"), &text(fields, "value"))) {
            complete(fields, row);
        }
    }
}

/// What the console shows goes before what we know of it.
fn complete(fields: &mut Map<String, Json>, row: &Map<String, Json>) {
    fields.extend(
        row.iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
}

/// The schema of texts that the console shows, each of which may be missing.
fn shown_properties(names: &[&str]) -> Json {
    let property = |name: &&str| ((*name).to_owned(), json!({ "type": ["string", "null"] }));
    Json::Object(names.iter().map(property).collect())
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
    if !names_scope(configuration) {
        return Err(Error::config(
            "neither filters nor the configuration's account_ids say where the indicators go",
        )
        .hint("give filters with account_ids: without any scope it would be the whole tenant"));
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

/// Whether a configuration says where entries are made.
fn names_scope(configuration: &Json) -> bool {
    let lists = ["account_ids", "site_ids", "group_ids"];
    let named = |name: &&str| {
        let ids = configuration.get(*name).and_then(Json::as_array);
        ids.is_some_and(|ids| !ids.is_empty())
    };
    configuration.get("whole_tenant") == Some(&Json::Bool(true)) || lists.iter().any(named)
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
        let error = push_arguments(given.clone(), &mut configuration).unwrap_err();
        assert!(error.message().contains("account_ids"), "{error}");
        let mut configuration = json!({ "account_ids": ["225494730938493804"] });
        push_arguments(given, &mut configuration).unwrap();
        assert_eq!(
            configuration,
            json!({ "mechanism": "ioc", "account_ids": ["225494730938493804"] })
        );
    }
}
