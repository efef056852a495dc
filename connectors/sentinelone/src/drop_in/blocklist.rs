//! Single entries of the blocklist: one hash of one file on one operating system.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use sdk::action::{Action, ActionInfo, Call, Outcome, Setup, drop_in, set_up};
use sdk::indicator::{Kind, Value};
use sdk::ownership::{Mark, Note, Owner};
use sdk::report::{Detail, Report, Status};
use sdk::sync::{self, Member};
use sdk::target::{Held, Scope};
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{complete, set_scope, shown_properties};
use crate::config::{Config, Level, OsType, Place};
use crate::target::{Shown, entries};

mod delete;

pub(super) use delete::DELETE;

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
                "items": { "type": "object", "properties": properties() },
            },
        })),
    },
    run: |call| Box::pin(create(call)),
};

/// What is said of an entry.
fn properties() -> Json {
    let mut properties = shown_properties(&[
        "id",
        "type",
        "osType",
        "value",
        "sha256Value",
        "hashId",
        "description",
        "source",
        "userId",
        "userName",
        "createdAt",
        "updatedAt",
        "scopeName",
        "scopePath",
        "notRecommended",
    ]);
    properties["scope"] = json!({ "type": ["object", "null"] });
    properties
}

/// Where: one of them, or none for the configuration's scope.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Chosen {
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

impl Chosen {
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
    place: Chosen,
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
    let owner = drop_in::owner(&common, &setup)?;
    let members = setup.target.members.iter();
    let keys: Vec<String> = members.map(|it| it.target.key().to_string()).collect();
    let paused = sync::paused(&setup.target.name, &keys, call.context)
        .await?
        .is_some();
    let there = listing(&setup).await?;
    let asked = (own.valid_for > 0).then(|| {
        let now = call.context.environment.clock.now();
        now + TimeDelta::days(i64::from(own.valid_for))
    });
    let places = Config::read(call.configuration.clone())?.places()?;
    let mut merged: Option<Report> = None;
    let mut runs: Vec<(&Value, Stand, Vec<&Place>)> = Vec::new();
    for hash in &hashes {
        for ((_, held), place) in there.iter().zip(&places) {
            let stand = stand(&setup, held, hash, &owner, own.os_type, asked);
            match runs
                .iter_mut()
                .find(|(of, known, _)| (*of, known) == (hash, &stand))
            {
                Some((.., places)) => places.push(place),
                None => runs.push((hash, stand, vec![place])),
            }
        }
    }
    let mut warnings = Vec::new();
    for (hash, stand, at) in runs {
        // What is ours on other systems stays: a run takes away what its configuration does not name.
        let mut systems = stand.others.clone();
        systems.insert(own.os_type);
        let mut configuration = call.configuration.clone();
        drop_in::configure(&mut configuration, "os_types", json!(systems));
        if at.len() < places.len() {
            narrow(&mut configuration, &at);
        }
        let mut arguments = common.clone();
        arguments.insert("values".to_owned(), json!([hash.to_string()]));
        match stand.until {
            None if own.valid_for > 0 => {
                arguments.insert("valid_for".to_owned(), json!(own.valid_for));
            }
            Some(Some(until)) => {
                arguments.insert("valid_until".to_owned(), json!(until));
            }
            None | Some(None) => {}
        }
        if let Some(until) = stand.until {
            warnings.push(ends_together(hash, &owner, &systems, until));
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
            drop_in::uniform(call, "block", arguments).await,
            &mut merged,
        ) {
            (Ok(Outcome::Report(report)), Some(merged)) => merged.merge(*report),
            (Ok(Outcome::Report(report)), None) => merged = Some(*report),
            (Ok(view), _) => return Ok(view),
            // What was written for another hash is told whatever happens to this one.
            (Err(error), Some(merged)) => fail(merged, hash, &error),
            (Err(error), None) => return Err(error),
        }
    }
    let mut report = merged.ok_or_else(|| Error::internal("no hash was blocked"))?;
    report.warnings.extend(warnings);
    let mut data = Vec::new();
    if report.status != Status::Failed {
        warn_shared(&setup, &there, &hashes, &owner, &mut report);
        match listing(&setup).await {
            Ok(there) => {
                if !paused {
                    expect_blocked(&there, &hashes, own.os_type, &mut report);
                }
                data = described(&setup, &there, &hashes);
                let shown = Shown::new(&call.configuration, &call.context.environment)?;
                if let Err(error) = complete_entries(&mut data, &shown).await {
                    report.warnings.push(format!(
                        "data lacks the console's own fields, because they could not be read afterwards: {error}"
                    ));
                }
            }
            Err(error) => report.warnings.push(format!(
                "data is empty, because the blocklist could not be read afterwards: {error}"
            )),
        }
    }
    let data = data.into_iter().map(Json::Object).collect();
    report.named.insert("data".to_owned(), Json::Array(data));
    Ok(Outcome::Report(Box::new(report)))
}

/// Puts the console's own fields beside ours.
async fn complete_entries(data: &mut [Map<String, Json>], shown: &Shown) -> Result<()> {
    let id = |entry: &Map<String, Json>| {
        let id = entry.get("id").and_then(Json::as_str);
        id.unwrap_or_default().to_owned()
    };
    let ids: BTreeSet<String> = data.iter().map(id).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let rows = shown.entries(&ids).await?;
    for fields in data {
        if let Some(row) = rows.iter().find(|row| id(row) == id(fields)) {
            complete(fields, row);
        }
    }
    Ok(())
}

/// Notes that nothing came of a hash, beside what came of another.
fn fail(report: &mut Report, hash: &Value, error: &Error) {
    let message = error.to_string();
    report.failed += 1;
    report.details.push(detail(
        &hash.to_string(),
        Some(hash.kind()),
        "failed",
        "error",
        &message,
    ));
    if report.status != Status::Failed {
        report.status = Status::Partial;
    }
    if report.error.is_none() {
        report.error = Some(message);
        report.hint = error.hint_text().map(str::to_owned);
    }
}

/// Says whose entries of a hash now carry this owner's mark too: the entries of a hash are one for a run.
fn warn_shared(
    setup: &Setup,
    there: &Listing<'_>,
    hashes: &[Value],
    owner: &Owner,
    report: &mut Report,
) {
    for held in there.iter().flat_map(|(_, held)| held) {
        let owners = owners(setup, held);
        if hashes.contains(&held.value) && !owners.is_empty() && !owners.contains(owner) {
            let systems: Vec<&str> = entries(&held.id).iter().map(|(os, _)| os.name()).collect();
            report.warnings.push(format!(
                "{} was blocked for {} on {}: each of these entries and of the new ones is for both now, and \
                 stays until both let it go",
                held.value,
                names(&owners),
                systems.join(", ")
            ));
        }
    }
}

/// A hash that a run takes for blocked need not be on the system that was asked for: an adopted entry is not
/// brought to other systems.
fn expect_blocked(there: &Listing<'_>, hashes: &[Value], os: OsType, report: &mut Report) {
    let failed = report.devices.iter().any(|device| device.error.is_some());
    if report.dry_run || report.held.is_some() || failed {
        return;
    }
    let mut without = Vec::new();
    for hash in hashes {
        let text = hash.to_string();
        if report.details.iter().any(|detail| detail.value == text) {
            continue;
        }
        let stands = |(_, held): &(&Member, Vec<Held>)| {
            let same = held.iter().filter(|held| held.value == *hash);
            same.flat_map(|held| entries(&held.id))
                .any(|(at, _)| at == os)
        };
        if !there.iter().all(stands) {
            without.push(hash);
        }
    }
    for hash in &without {
        let message = format!(
            "there is no entry on {}; an adopted one on another system is not brought to others",
            os.name()
        );
        report.failed += 1;
        report.details.push(detail(
            &hash.to_string(),
            Some(hash.kind()),
            "failed",
            "not-blocked",
            &message,
        ));
    }
    if without.is_empty() {
        return;
    }
    report.status = if without.len() == hashes.len() && !has_changed(report) {
        Status::Failed
    } else {
        Status::Partial
    };
    if report.error.is_none() {
        report.error = Some(format!(
            "{} of {} hashes are not blocked on {}",
            without.len(),
            hashes.len(),
            os.name()
        ));
        report.hint = Some(
            "add the entry in the console, or use unblock before, which gives it back".to_owned(),
        );
    }
}

fn has_changed(report: &Report) -> bool {
    report.added + report.updated + report.renewed + report.adopted > 0
}

/// What each place holds.
type Listing<'a> = [(&'a Member, Vec<Held>)];

/// Everything on the blocklist of every place.
async fn listing(setup: &Setup) -> Result<Vec<(&Member, Vec<Held>)>> {
    let mut all = Vec::new();
    for member in &setup.target.members {
        all.push((member, member.target.list(Scope::All).await?));
    }
    Ok(all)
}

fn note(setup: &Setup, held: &Held) -> Note {
    let text = held.note.as_deref().unwrap_or_default();
    Note::read(text, &setup.environment.installation, &held.value)
}

fn owners(setup: &Setup, held: &Held) -> Vec<Owner> {
    let marks = note(setup, held).marks;
    marks.into_iter().map(|mark| mark.owner).collect()
}

fn names(owners: &[Owner]) -> String {
    let names: Vec<&str> = owners.iter().map(Owner::as_str).collect();
    names.join(", ")
}

/// How a hash is blocked in one place for this owner.
#[derive(PartialEq)]
struct Stand {
    /// On which systems besides the one that is asked for.
    others: BTreeSet<OsType>,
    /// The end that all of them have then, where theirs is another than is asked for.
    until: Option<Option<DateTime<Utc>>>,
}

/// The entries of a hash carry one mark, so they end together: as the last of them.
fn stand(
    setup: &Setup,
    held: &[Held],
    hash: &Value,
    owner: &Owner,
    os: OsType,
    asked: Option<DateTime<Utc>>,
) -> Stand {
    let asked = Mark::new(owner.clone(), asked).until;
    let mut others = BTreeSet::new();
    let (mut latest, mut differs) = (asked, false);
    for held in held.iter().filter(|held| held.value == *hash) {
        let marks = note(setup, held).marks;
        let Some(mark) = marks.into_iter().find(|mark| mark.owner == *owner) else {
            continue;
        };
        let systems = entries(&held.id).into_iter().map(|(os, _)| os);
        let before = others.len();
        others.extend(systems.filter(|at| *at != os));
        if others.len() > before {
            latest = latest.zip(mark.until).map(|(a, b)| a.max(b));
            differs |= mark.until != asked;
        }
    }
    Stand {
        others,
        until: differs.then_some(latest),
    }
}

fn ends_together(
    hash: &Value,
    owner: &Owner,
    systems: &BTreeSet<OsType>,
    until: Option<DateTime<Utc>>,
) -> String {
    let systems: Vec<&str> = systems.iter().map(|os| os.name()).collect();
    let end = until.map_or_else(
        || "have no end".to_owned(),
        |until| format!("end at {}", until.format("%Y-%m-%dT%H:%MZ")),
    );
    format!(
        "the entries of {hash} for {owner} on {} {end}: those of one deployment end together, and none sooner than it \
         did; give another deployment for an end of its own",
        systems.join(", ")
    )
}

/// Only these places of a configuration, which are of one level.
fn narrow(configuration: &mut Json, places: &[&Place]) {
    let ids: Vec<&str> = places.iter().map(|place| place.id.as_str()).collect();
    let field = match places.first().map(|place| place.level) {
        Some(Level::Account) => "account_ids",
        Some(Level::Site) => "site_ids",
        Some(Level::Group) => "group_ids",
        Some(Level::Tenant) | None => return,
    };
    drop_in::configure(configuration, field, ids);
}

fn described(setup: &Setup, there: &Listing<'_>, hashes: &[Value]) -> Vec<Map<String, Json>> {
    let mut data = Vec::new();
    for (member, held) in there {
        for held in held {
            if !hashes.contains(&held.value) || owners(setup, held).is_empty() {
                continue;
            }
            let hash = |kind| (held.value.kind() == kind).then(|| held.value.to_string());
            for (os, id) in entries(&held.id) {
                let fields = [
                    ("id", json!(id)),
                    ("type", json!("black_hash")),
                    ("osType", json!(os.name())),
                    ("value", json!(hash(Kind::Sha1))),
                    ("sha256Value", json!(hash(Kind::Sha256))),
                    ("description", json!(held.note)),
                    ("scopeName", json!(member.target.key().device)),
                ];
                let fields = fields.map(|(name, value)| (name.to_owned(), value));
                data.push(fields.into_iter().collect());
            }
        }
    }
    data
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
    fn what_fails_for_one_hash_does_not_hide_the_other() {
        let owner = Owner::new("manual").unwrap();
        let mut report = Report::new("sentinelone", MECHANISM.to_owned(), &owner, false);
        report.added = 1;
        let hash = Value::Sha256([7; 32]);
        fail(&mut report, &hash, &Error::input("refused").hint("look"));
        assert_eq!(
            (report.status, report.added, report.failed),
            (Status::Partial, 1, 1)
        );
        assert_eq!(report.details[0].value, hash.to_string());
        assert_eq!(report.hint.as_deref(), Some("look"));
    }

    #[test]
    fn two_scopes_are_refused_and_none_is_the_configurations() {
        let choose = |place: Json, configuration: Json| {
            let mut configuration = configuration;
            let place: Chosen = serde_json::from_value(place).unwrap();
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
