//! Single entries of the blocklist: one hash of one file on one operating system.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use sdk::action::{Action, ActionInfo, Call, Outcome, Setup, drop_in, set_up};
use sdk::indicator::{Kind, Value};
use sdk::ownership::{Note, Owner};
use sdk::report::{ChangeReport, Detail, DeviceReport, Report, Status};
use sdk::sync::Member;
use sdk::target::{Batch, Held, Outcome as RowOutcome, Removal, Scope};
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::set_scope;
use crate::config::OsType;
use crate::target::entries;

const MECHANISM: &str = "blocklist";

/// Adds one file.
pub(super) const CREATE: Action = Action {
    info: || ActionInfo {
        command: "sentinelone_blocklist_create_item",
        name: "Block SHA-1 and/or SHA-256",
        description: "Puts a file's SHA-1, SHA-256 or both on the blocklist of one operating system",
        writes: true,
        arguments: drop_in::arguments::<Create>(),
        results: drop_in::results(json!({
            "data": {
                "description": "The entries of these hashes that are ours",
                "type": "array",
                "items": { "type": "object", "properties": {
                    "id": { "type": "string" },
                    "type": { "type": "string" },
                    "osType": { "type": "string" },
                    "value": { "type": ["string", "null"] },
                    "sha256Value": { "type": ["string", "null"] },
                    "description": { "type": ["string", "null"] },
                    "scopeName": { "type": "string" },
                } },
            },
        })),
    },
    run: |call| Box::pin(create(call)),
};

/// Takes entries of ours away by id.
pub(super) const DELETE: Action = Action {
    info: || ActionInfo {
        command: "sentinelone_blocklist_delete_item",
        name: "Remove item from Blocklist",
        description: "Takes entries off the blocklist by id, those that are ours alone",
        writes: true,
        arguments: drop_in::arguments::<Delete>(),
        results: drop_in::results(json!({
            "data": {
                "description": "What was done",
                "type": "object",
                "properties": { "affected": { "type": "integer" } },
            },
        })),
    },
    run: |call| Box::pin(delete(call)),
};

/// Where: one of them, or none for the configuration's scope.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Place {
    /// The whole tenant
    #[serde(default)]
    filter_tenant_scope: bool,
    /// Ids of accounts
    #[serde(default)]
    filter_account_ids: Vec<String>,
    /// Ids of sites
    #[serde(default)]
    filter_site_ids: Vec<String>,
    /// Ids of groups
    #[serde(default)]
    filter_group_ids: Vec<String>,
}

impl Place {
    /// Puts it in the place of the configuration's scope.
    fn choose(self, configuration: &mut Json) -> Result<()> {
        let ids = [
            &self.filter_account_ids,
            &self.filter_site_ids,
            &self.filter_group_ids,
        ];
        let named = ids.iter().filter(|ids| !ids.is_empty()).count();
        match named + usize::from(self.filter_tenant_scope) {
            0 => {}
            1 => set_scope(
                configuration,
                self.filter_account_ids,
                self.filter_site_ids,
                self.filter_group_ids,
                self.filter_tenant_scope,
            ),
            _ => {
                return Err(Error::input("more than one scope is named").hint(
                    "give one of filter_tenant_scope, filter_account_ids, filter_site_ids and filter_group_ids",
                ));
            }
        }
        drop_in::configure(configuration, "mechanism", MECHANISM);
        Ok(())
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Create {
    /// The operating system
    os_type: OsType,
    /// The file's SHA-1
    #[serde(default)]
    sha_1: Option<String>,
    /// The file's SHA-256
    #[serde(default)]
    sha_256: Option<String>,
    /// Taken for other playbooks' sake: the console does not keep what is sent as source
    #[serde(default)]
    #[expect(dead_code, reason = "accepted, and nothing depends on it")]
    source: Option<String>,
    /// Why; written beside our mark
    #[serde(default)]
    description: Option<String>,
    #[serde(flatten)]
    place: Place,
    /// Days after which it is taken down; 0 for never
    #[serde(default)]
    valid_for: u32,
}

impl Create {
    fn hashes(&self) -> Result<Vec<Value>> {
        let given = [(&self.sha_1, Kind::Sha1), (&self.sha_256, Kind::Sha256)];
        let mut hashes = Vec::new();
        for (text, kind) in given {
            if let Some(text) = text.as_deref().filter(|text| !text.trim().is_empty()) {
                hashes.push(drop_in::typed(text, kind.name(), &[kind])?);
            }
        }
        if hashes.is_empty() {
            return Err(Error::input("neither sha_1 nor sha_256 is given"));
        }
        Ok(hashes)
    }
}

async fn create(mut call: Call<'_>) -> Result<Outcome> {
    let (own, common) = drop_in::read::<Create>(call.arguments.take())?;
    let hashes = own.hashes()?;
    own.place.choose(&mut call.configuration)?;
    drop_in::configure(&mut call.configuration, "os_types", json!([own.os_type]));
    let setup = set_up(
        call.connector,
        call.configuration.clone(),
        &call.context.environment,
    )?;
    let there = listing(&setup).await?;
    let mut merged: Option<Report> = None;
    for hash in &hashes {
        // What is ours on other systems stays: a run takes away what its configuration does not name.
        let mut systems = systems(&setup, &there, hash);
        systems.insert(own.os_type);
        let mut configuration = call.configuration.clone();
        drop_in::configure(&mut configuration, "os_types", json!(systems));
        let mut arguments = common.clone();
        arguments.insert("values".to_owned(), json!([hash.to_string()]));
        if own.valid_for > 0 {
            arguments.insert("valid_for".to_owned(), json!(own.valid_for));
        }
        if let Some(reason) = &own.description {
            arguments.insert("reason".to_owned(), json!(reason));
        }
        let call = Call {
            connector: call.connector,
            arguments: Json::Null,
            configuration,
            context: call.context,
        };
        match (
            drop_in::uniform(call, "block", arguments).await?,
            &mut merged,
        ) {
            (Outcome::Report(report), Some(merged)) => merged.merge(*report),
            (Outcome::Report(report), None) => merged = Some(*report),
            (view, _) => return Ok(view),
        }
    }
    let mut report = merged.ok_or_else(|| Error::internal("no hash was blocked"))?;
    let data = if report.status == Status::Failed {
        Vec::new()
    } else {
        described(&setup, &listing(&setup).await?, &hashes)
    };
    report.named.insert("data".to_owned(), Json::Array(data));
    Ok(Outcome::Report(Box::new(report)))
}

/// Everything on the blocklist of every place.
async fn listing(setup: &Setup) -> Result<Vec<(&Member, Vec<Held>)>> {
    let mut all = Vec::new();
    for member in &setup.target.members {
        all.push((member, member.target.list(Scope::All).await?));
    }
    Ok(all)
}

fn marks(setup: &Setup, held: &Held) -> Vec<Owner> {
    let text = held.note.as_deref().unwrap_or_default();
    let note = Note::read(text, &setup.environment.installation, &held.value);
    note.marks.into_iter().map(|mark| mark.owner).collect()
}

/// The systems on which a hash is blocked by us.
fn systems(setup: &Setup, there: &[(&Member, Vec<Held>)], hash: &Value) -> BTreeSet<OsType> {
    there
        .iter()
        .flat_map(|(_, held)| held)
        .filter(|held| held.value == *hash && !marks(setup, held).is_empty())
        .flat_map(|held| entries(&held.id))
        .map(|(os, _)| os)
        .collect()
}

fn described(setup: &Setup, there: &[(&Member, Vec<Held>)], hashes: &[Value]) -> Vec<Json> {
    let mut data = Vec::new();
    for (member, held) in there {
        for held in held {
            if !hashes.contains(&held.value) || marks(setup, held).is_empty() {
                continue;
            }
            let hash = |kind| (held.value.kind() == kind).then(|| held.value.to_string());
            for (os, id) in entries(&held.id) {
                data.push(json!({
                    "id": id,
                    "type": "black_hash",
                    "osType": os.name(),
                    "value": hash(Kind::Sha1),
                    "sha256Value": hash(Kind::Sha256),
                    "description": held.note,
                    "scopeName": member.target.key().device,
                }));
            }
        }
    }
    data
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Delete {
    /// Ids of entries, as the blocklist shows them
    ids: Vec<String>,
    #[serde(flatten)]
    place: Place,
}

async fn delete(mut call: Call<'_>) -> Result<Outcome> {
    let (own, common) = drop_in::read::<Delete>(call.arguments.take())?;
    let ids: BTreeSet<&str> = own.ids.iter().map(|id| id.trim()).collect();
    if ids.is_empty() || ids.contains("") {
        return Err(Error::input("ids names nothing, or has an empty id"));
    }
    own.place.choose(&mut call.configuration)?;
    let environment = &call.context.environment;
    let setup = set_up(call.connector, call.configuration, environment)?;
    let owner = drop_in::owner(&common, &setup)?;
    let dry = drop_in::is_dry(&common, call.context);
    let started = environment.clock.elapsed();
    let mut report = Report::new(&setup.target.name, MECHANISM.to_owned(), &owner, dry);
    let mut unknown = ids.clone();
    for member in &setup.target.members {
        let mut failure = None;
        match member.target.list(Scope::All).await {
            Ok(held) => {
                let named = named(&held, &ids, &mut unknown);
                let removals = ours(&setup, &owner, &held, &named, &mut report);
                apply(member, &removals, &mut report).await;
            }
            Err(error) => {
                report.status = Status::Partial;
                failure = Some(error);
            }
        }
        let calls = member.target.calls();
        report.requests.read = report.requests.read.max(calls.read);
        report.requests.write = report.requests.write.max(calls.write);
        report.requests.retried = report.requests.retried.max(calls.retried);
        report.devices.push(DeviceReport {
            name: member.target.key().device.clone(),
            status: if failure.is_some() {
                Status::Failed
            } else {
                Status::Ok
            },
            hint: failure
                .as_ref()
                .and_then(|error| error.hint_text().map(str::to_owned)),
            error: failure.as_ref().map(ToString::to_string),
        });
        if report.error.is_none() {
            report.exit_code = failure.as_ref().map(Error::exit_code);
            report.error = failure.map(|error| error.to_string());
        }
    }
    for id in unknown {
        report.details.push(detail(
            id,
            None,
            "skipped",
            "unknown",
            "no entry of ours has this id in this scope",
        ));
    }
    let affected = report.removed.withdrawn;
    if affected == 0 && (report.skipped.foreign > 0 || report.status == Status::Partial) {
        report.status = Status::Failed;
    }
    report
        .named
        .insert("data".to_owned(), json!({ "affected": affected }));
    let elapsed = environment.clock.elapsed().saturating_sub(started);
    report.duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    Ok(Outcome::Report(Box::new(report)))
}

/// The entries with these ids, by their place in the listing. One entry can block two hashes.
fn named<'a>(
    held: &[Held],
    ids: &BTreeSet<&'a str>,
    unknown: &mut BTreeSet<&'a str>,
) -> BTreeMap<usize, Vec<(OsType, String)>> {
    let mut named: BTreeMap<usize, Vec<(OsType, String)>> = BTreeMap::new();
    for (place, held) in held.iter().enumerate() {
        for (os, id) in entries(&held.id) {
            if ids.contains(id.as_str()) {
                unknown.remove(id.as_str());
                named.entry(place).or_default().push((os, id));
            }
        }
    }
    named
}

/// What of it may be taken away; the report says why the rest may not.
fn ours(
    setup: &Setup,
    owner: &Owner,
    held: &[Held],
    named: &BTreeMap<usize, Vec<(OsType, String)>>,
    report: &mut Report,
) -> Vec<Removal> {
    let mut removals = Vec::new();
    for (place, entries) in named {
        let held = &held[*place];
        let owners = marks(setup, held);
        if owners == [owner.clone()] {
            let parts: Vec<String> = entries
                .iter()
                .map(|(os, id)| format!("{}:{id}", os.name()))
                .collect();
            removals.push(Removal {
                id: parts.join(",").into(),
                value: held.value.clone(),
            });
            continue;
        }
        let text = held.value.to_string();
        let kind = Some(held.value.kind());
        report.skipped.foreign += 1;
        report.status = Status::Partial;
        if owners.is_empty() {
            let message = "somebody else's entry: nothing proves that it is ours";
            report
                .details
                .push(detail(&text, kind, "skipped", "foreign", message));
        } else {
            let names: Vec<&str> = owners.iter().map(Owner::as_str).collect();
            let message = format!(
                "wanted by {}; give it as deployment, or use unblock",
                names.join(", ")
            );
            report.details.push(detail(
                &text,
                kind,
                "still_wanted",
                "other-reason",
                &message,
            ));
        }
    }
    if report.error.is_none() && report.skipped.foreign > 0 {
        report.error = Some(format!(
            "{} of the entries are not ours alone and were left",
            report.skipped.foreign
        ));
        report.hint = Some("remove them in the console, or see details".to_owned());
    }
    removals
}

async fn apply(member: &Member, removals: &[Removal], report: &mut Report) {
    let most = member.target.capabilities().remove_batch;
    for batch in removals.chunks(most.max(1)) {
        let outcomes = if report.dry_run {
            batch.iter().map(|_| RowOutcome::Done).collect()
        } else {
            member.target.apply(Batch::Remove(batch)).await
        };
        for (removal, outcome) in batch.iter().zip(outcomes) {
            let value = removal.value.to_string();
            let message = match outcome {
                RowOutcome::Done => {
                    report.removed.withdrawn += entries(&removal.id).len();
                    report.changes.push(ChangeReport {
                        value,
                        kind: removal.value.kind(),
                        change: "remove".to_owned(),
                        reason: "withdrawn".to_owned(),
                        device: member.target.key().device.clone(),
                    });
                    continue;
                }
                RowOutcome::Rejected(text) | RowOutcome::NotApplied(text) => text,
                RowOutcome::Failed(error) | RowOutcome::Unknown(error) => error.to_string(),
                RowOutcome::Exists => "the console answers as to an addition".to_owned(),
            };
            report.failed += 1;
            report.status = Status::Partial;
            report.error.get_or_insert_with(|| message.clone());
            let kind = Some(removal.value.kind());
            report
                .details
                .push(detail(&value, kind, "failed", "rejected", &message));
        }
    }
}

fn detail(value: &str, kind: Option<Kind>, outcome: &str, reason: &str, message: &str) -> Detail {
    Detail {
        value: value.to_owned(),
        kind,
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: Json) -> Result<Create> {
        drop_in::read::<Create>(arguments).map(|(own, _)| own)
    }

    #[test]
    fn an_item_names_a_system_and_a_hash() {
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let own = read(json!({ "os_type": "linux", "sha_1": sha1, "sha_256": "" })).unwrap();
        assert_eq!(own.hashes().unwrap()[0].to_string(), sha1);
        assert!(read(json!({ "sha_1": sha1 })).is_err());
        assert!(read(json!({ "os_type": "beos", "sha_1": sha1 })).is_err());
        let own = read(json!({ "os_type": "linux", "sha_256": sha1 })).unwrap();
        assert!(own.hashes().is_err(), "a SHA-1 is no SHA-256");
        assert!(
            read(json!({ "os_type": "linux" }))
                .unwrap()
                .hashes()
                .is_err()
        );
    }

    #[test]
    fn two_scopes_are_refused_and_none_is_the_configurations() {
        let choose = |place: Json, configuration: Json| {
            let mut configuration = configuration;
            let place: Place = serde_json::from_value(place).unwrap();
            place.choose(&mut configuration).map(|()| configuration)
        };
        let both = json!({ "filter_tenant_scope": true, "filter_site_ids": ["1"] });
        assert!(choose(both, json!({})).is_err());
        assert_eq!(
            choose(
                json!({ "filter_tenant_scope": false }),
                json!({ "site_ids": ["1"] })
            )
            .unwrap(),
            json!({ "site_ids": ["1"], "mechanism": "blocklist" })
        );
        let chosen = choose(
            json!({ "filter_group_ids": ["2"] }),
            json!({ "site_ids": ["1"] }),
        );
        assert_eq!(
            chosen.unwrap(),
            json!({
                "site_ids": [], "group_ids": ["2"], "account_ids": [], "whole_tenant": false,
                "mechanism": "blocklist",
            })
        );
    }
}
