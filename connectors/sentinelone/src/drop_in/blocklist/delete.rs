//! Entries taken away by their ids, those that are ours alone.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use sdk::action::{Action, ActionInfo, Call, Outcome, Setup, drop_in, set_up};
use sdk::connector::{Connector, Environment};
use sdk::indicator::Value;
use sdk::ownership::Owner;
use sdk::report::{ChangeReport, DeviceReport, Report, Status};
use sdk::sync::{self, Context, Member};
use sdk::target::{Batch, Held, Outcome as RowOutcome, Removal, Scope};
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Chosen, MECHANISM, detail, names, note, owners, set_scope};
use crate::config::{self, Level, OsType};
use crate::target::{Shown, entries};

/// Takes entries of ours away by id.
pub(crate) const DELETE: Action = Action {
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

#[derive(Debug, Deserialize, JsonSchema)]
struct Delete {
    /// Ids of entries, as the blocklist shows them
    ids: Vec<String>,
    #[serde(flatten)]
    place: Chosen,
}

async fn delete(mut call: Call<'_>) -> Result<Outcome> {
    let (own, common) = drop_in::read::<Delete>(call.arguments.take())?;
    let ids: BTreeSet<&str> = own.ids.iter().map(|id| id.trim()).collect();
    if ids.is_empty() || ids.contains("") {
        return Err(Error::input("ids names nothing, or has an empty id"));
    }
    own.place.choose(&mut call.configuration)?;
    let environment = &call.context.environment;
    let sought: Vec<&str> = ids.iter().copied().collect();
    let shown = Shown::new(&call.configuration, environment)?;
    let setup = match shown.places_of(&sought).await? {
        None => set_up(call.connector, call.configuration, environment)?,
        Some(places) => set_up_at(places, call.connector, &call.configuration, environment)?,
    };
    let owner = drop_in::owner(&common, &setup)?;
    let context = Context {
        dry_run: drop_in::is_dry(&common, call.context),
        ..call.context.clone()
    };
    let started = environment.clock.elapsed();
    let mut report = Report::new(
        &setup.target.name,
        MECHANISM.to_owned(),
        &owner,
        context.dry_run,
    );
    let deletion = Deletion {
        setup: &setup,
        owner: &owner,
        ids: &ids,
        context: &context,
    };
    let mut unknown = ids.clone();
    for member in &setup.target.members {
        let (key, run) = (member.target.key().to_string(), report.run.clone());
        let work = deletion.run(member, &mut unknown, &mut report);
        let result = sync::alone(&key, &run, &context, work, member.target.close()).await;
        let failure = result.err();
        if failure.is_some() {
            report.status = Status::Partial;
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

/// The targets of all these places, which may be none.
fn set_up_at(
    places: Vec<config::Place>,
    connector: &Connector,
    configuration: &Json,
    environment: &Environment,
) -> Result<Setup> {
    let at = |level: Level, id: String| {
        let mut configuration = configuration.clone();
        let ids = |of: Level| (level == of).then(|| id.clone()).into_iter().collect();
        set_scope(
            &mut configuration,
            ids(Level::Account),
            ids(Level::Site),
            ids(Level::Group),
            level == Level::Tenant,
        );
        set_up(connector, configuration, environment)
    };
    // Everything but the targets is the same wherever it is.
    let mut setup = at(Level::Tenant, String::new())?;
    setup.target.members.clear();
    for place in places {
        let here = at(place.level, place.id)?;
        setup.target.members.extend(here.target.members);
    }
    Ok(setup)
}

/// What is to be deleted.
struct Deletion<'a> {
    setup: &'a Setup,
    owner: &'a Owner,
    ids: &'a BTreeSet<&'a str>,
    context: &'a Context,
}

impl<'a> Deletion<'a> {
    /// Deletes it in one place.
    async fn run(
        &self,
        member: &Member,
        unknown: &mut BTreeSet<&'a str>,
        report: &mut Report,
    ) -> Result<()> {
        let key = member.target.key().to_string();
        let keys = std::slice::from_ref(&key);
        let paused = sync::paused(&self.setup.target.name, keys, self.context).await?;
        let dry = self.context.dry_run || paused.is_some();
        report.warnings.extend(paused);
        let held = member.target.list(Scope::All).await?;
        let named = named(&held, self.ids, unknown);
        let removals = ours(self.setup, self.owner, &held, &named, report);
        if dry && !self.context.dry_run && !removals.is_empty() && report.status == Status::Ok {
            report.status = Status::Held;
        }
        let done = apply(member, &removals, dry, report).await;
        let Some(store) = self.context.store.as_ref().filter(|_| !dry) else {
            return Ok(());
        };
        // What has an entry left is blocked for this owner still.
        let gone: Vec<(Value, Owner)> = held
            .iter()
            .filter(|held| {
                let mut ids = entries(&held.id).into_iter();
                owners(self.setup, held) == [self.owner.clone()]
                    && ids.all(|(_, id)| done.contains(&id))
            })
            .map(|held| (held.value.clone(), self.owner.clone()))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        store.forget(&key, &gone).await
    }
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
    let is_ours =
        |held: &Held| owners(setup, held) == [owner.clone()] && note(setup, held).was.is_none();
    let going: BTreeSet<&str> = named
        .iter()
        .filter(|(place, _)| is_ours(&held[**place]))
        .flat_map(|(_, entries)| entries.iter().map(|(_, id)| id.as_str()))
        .collect();
    let mut removals = Vec::new();
    for (place, entries) in named {
        let held = &held[*place];
        let owners = owners(setup, held);
        let adopted = note(setup, held).was.is_some();
        if is_ours(held) {
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
        if entries.iter().all(|(_, id)| going.contains(id.as_str())) {
            // The other hash of an entry of ours, which a console may fill in.
            continue;
        }
        let text = held.value.to_string();
        let kind = Some(held.value.kind());
        report.skipped.foreign += 1;
        report.status = Status::Partial;
        if owners.is_empty() || adopted {
            let message = if adopted {
                "somebody else's entry that was adopted: use unblock, which gives it back"
            } else {
                "somebody else's entry: nothing proves that it is ours"
            };
            report
                .details
                .push(detail(&text, kind, "skipped", "foreign", message));
        } else {
            let message = format!(
                "wanted by {}; give it as deployment, or use unblock",
                names(&owners)
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

/// Takes entries away; the ids of those that are gone.
async fn apply(
    member: &Member,
    removals: &[Removal],
    dry: bool,
    report: &mut Report,
) -> BTreeSet<String> {
    let mut gone = BTreeSet::new();
    let most = member.target.capabilities().remove_batch;
    for batch in removals.chunks(most.max(1)) {
        let outcomes = if dry {
            batch.iter().map(|_| RowOutcome::Done).collect()
        } else {
            member.target.apply(Batch::Remove(batch)).await
        };
        for (removal, outcome) in batch.iter().zip(outcomes) {
            let value = removal.value.to_string();
            let message = match outcome {
                RowOutcome::Done => {
                    let ids = entries(&removal.id);
                    report.removed.withdrawn += ids.len();
                    gone.extend(ids.into_iter().map(|(_, id)| id));
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
    gone
}
