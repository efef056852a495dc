//! `/restrictions`, the blocklist.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value as Json, json};

use super::gate::{Ask, Reply, Settings};
use super::iocs::Call;
use super::page::{Cursors, PARAMETERS};
use super::scope::{self, Scope};

pub(super) const SYSTEMS: [&str; 4] = ["windows", "windows_legacy", "linux", "macos"];
const MOST_IDS: usize = 5_000;
/// The first id: about as long as the console's.
const FIRST_ID: u64 = 1_225_494_730_938_000_000;

/// One entry.
#[derive(Clone, Debug)]
pub(super) struct Restriction {
    pub(super) id: u64,
    pub(super) scope: Scope,
    pub(super) system: String,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) description: String,
    pub(super) source: &'static str,
    pub(super) user: String,
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
}

impl Restriction {
    fn to_json(&self) -> Json {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
        let ids = |level: &str| match self.scope.id() {
            Some(id) if self.scope.name() == level => json!([id]),
            _ => Json::Null,
        };
        json!({
            "id": self.id.to_string(),
            "type": "black_hash",
            "osType": self.system,
            "value": self.sha1,
            "sha256Value": self.sha256,
            "description": self.description,
            "source": self.source,
            "userName": self.user,
            "userId": "225494730938400001",
            "createdAt": time(self.created),
            "updatedAt": time(self.updated),
            "imported": false,
            "includeParents": false,
            "includeChildren": false,
            "notRecommended": "NONE",
            "scopeName": self.scope.name(),
            "scope": {
                "tenant": self.scope == Scope::Global,
                "accountIds": ids("account"),
                "siteIds": ids("site"),
                "groupIds": ids("group"),
            },
        })
    }

    /// Whether it is of this hash, in lower case.
    pub(super) fn is_of(&self, hash: &str) -> bool {
        self.sha1.as_deref() == Some(hash) || self.sha256.as_deref() == Some(hash)
    }
}

/// An entry to make.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub(super) system: String,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) description: String,
}

/// The blocklist, and the exclusions that somebody made of it by mistake.
#[derive(Debug, Default)]
pub(super) struct Restrictions {
    pub(super) rows: BTreeMap<u64, Restriction>,
    made: u64,
    exclusions: Vec<Json>,
    /// Scope, system and hash of every entry: no two are the same.
    taken: HashSet<(Scope, String, String)>,
}

/// The text of a hash in a body, in lower case.
fn hash(data: &Map<String, Json>, name: &str, length: usize) -> Result<Option<String>, Reply> {
    match data.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text))
            if text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            Ok(Some(text.to_lowercase()))
        }
        Some(_) => Err(Reply::bad(format!("{name}: Invalid hash."))),
    }
}

type Object = Map<String, Json>;

/// The objects `data`, with certain keys, and `filter` of a body.
fn data(ask: &Ask<'_>, known: &[&str]) -> Result<(Object, Object), Reply> {
    let mut body = ask.object()?;
    let filter = match body.remove("filter") {
        Some(Json::Object(filter)) => filter,
        _ => Map::new(),
    };
    let Some(Json::Object(data)) = body.remove("data") else {
        return Err(Reply::bad("data: Not a valid object."));
    };
    if let Some(key) = data.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Reply::bad(format!("{key}: Unknown field.")));
    }
    if let Some(key) = body.keys().next() {
        return Err(Reply::bad(format!("{key}: Unknown field.")));
    }
    Ok((data, filter))
}

fn fields(settings: &Settings) -> Vec<&'static str> {
    let mut known = vec!["id", "type", "osType", "value", "description", "source"];
    if !settings.old_console {
        known.push("sha256Value");
    }
    known
}

fn system(data: &Map<String, Json>) -> Result<String, Reply> {
    let text = data
        .get("osType")
        .and_then(Json::as_str)
        .unwrap_or_default();
    if SYSTEMS.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(Reply::bad("osType: Not a valid choice."))
    }
}

impl Restrictions {
    /// Stores an entry of somebody.
    pub(super) fn insert(
        &mut self,
        scope: Scope,
        new: New,
        source: &'static str,
        user: &str,
        now: DateTime<Utc>,
    ) -> u64 {
        self.made += 1;
        let id = FIRST_ID + self.made;
        let row = Restriction {
            id,
            scope,
            system: new.system,
            sha1: new.sha1,
            sha256: new.sha256,
            description: new.description,
            source,
            user: user.to_owned(),
            created: now,
            updated: now,
        };
        for hash in [&row.sha1, &row.sha256].into_iter().flatten() {
            self.taken.insert((scope, row.system.clone(), hash.clone()));
        }
        self.rows.insert(id, row);
        id
    }

    /// Takes entries away and says how many.
    pub(super) fn remove_if(&mut self, test: impl Fn(&Restriction) -> bool) -> usize {
        let before = self.rows.len();
        self.rows.retain(|_, row| !test(row));
        if self.rows.len() < before {
            self.taken = self
                .rows
                .values()
                .flat_map(|row| {
                    let hashes = [&row.sha1, &row.sha256].into_iter().flatten();
                    hashes.map(|hash| (row.scope, row.system.clone(), hash.clone()))
                })
                .collect();
        }
        before - self.rows.len()
    }

    /// Whether the scope has such an entry, or inherits one where that counts.
    pub(super) fn has(&self, scope: Scope, new: &New, inherited: bool) -> bool {
        let mut at = Some(scope);
        while let Some(scope) = at {
            let hashes = [&new.sha1, &new.sha256];
            let taken = |hash: &String| {
                self.taken
                    .contains(&(scope, new.system.clone(), hash.clone()))
            };
            if hashes.into_iter().flatten().any(taken) {
                return true;
            }
            at = scope.parent().filter(|_| inherited);
        }
        false
    }

    pub(super) fn list(
        &self,
        ask: &Ask<'_>,
        call: &Call<'_>,
        cursors: &mut Cursors,
    ) -> Result<Reply, Reply> {
        call.settings.may("Blacklist.view")?;
        let mut known = PARAMETERS.to_vec();
        known.extend([
            "type",
            "types",
            "value",
            "value__contains",
            "description__contains",
            "user__contains",
            "ids",
            "userIds",
            "osTypes",
            "source",
            "imported",
            "recommendations",
            "accountIds",
            "siteIds",
            "groupIds",
            "tenant",
            "includeParents",
            "includeChildren",
            "unified",
        ]);
        ask.knows(&known)?;
        let unscoped = ["accountIds", "siteIds", "groupIds", "tenant"]
            .iter()
            .all(|name| ask.parameter(name).is_none())
            && call.positions.is("unscoped-list", "all-visible");
        let scopes = if unscoped {
            vec![call.settings.token_scope]
        } else {
            Self::asked_scopes(ask, call)?
        };
        let inside = |scope: Scope| {
            scopes.iter().any(|asked| {
                *asked == scope
                    || (ask.flag("includeParents") && scope.covers(*asked))
                    || ((unscoped || ask.flag("includeChildren")) && asked.covers(scope))
            })
        };
        let kind = ask.parameter("type").unwrap_or("black_hash");
        let terms = |name: &str| -> Result<Option<Vec<&str>>, Reply> {
            let list = ask.list(name);
            match list {
                Some(list) if list.iter().any(|term| term.len() < 2) || list.len() > 20 => {
                    Err(Reply::bad(format!("{name}: Invalid terms.")))
                }
                list => Ok(list),
            }
        };
        let (values, words) = (terms("value__contains")?, terms("description__contains")?);
        let wanted = |row: &&Restriction| {
            let hashes = [row.sha1.as_deref(), row.sha256.as_deref()];
            let any = |test: &dyn Fn(&str) -> bool| hashes.into_iter().flatten().any(test);
            let id = row.id.to_string();
            kind == "black_hash"
                && inside(row.scope)
                && ask
                    .parameter("value")
                    .is_none_or(|value| row.sha1.as_deref() == Some(value))
                && values.as_ref().is_none_or(|terms| {
                    any(&|hash| terms.iter().any(|term| hash.contains(&term.to_lowercase())))
                })
                && words
                    .as_ref()
                    .is_none_or(|terms| terms.iter().any(|term| row.description.contains(term)))
                && ask.list("ids").is_none_or(|ids| ids.contains(&id.as_str()))
                && ask
                    .list("osTypes")
                    .is_none_or(|systems| systems.contains(&row.system.as_str()))
                && ask
                    .parameter("source")
                    .is_none_or(|source| row.source == source)
                && ask
                    .parameter("user__contains")
                    .is_none_or(|user| row.user.contains(user))
        };
        let matching: Vec<u64> = self
            .rows
            .values()
            .filter(wanted)
            .map(|row| row.id)
            .collect();
        let render = |id: u64| self.rows.get(&id).map(Restriction::to_json);
        let short = call.positions.is("page-length", "short");
        cursors.page(ask, &matching, render, 0, short)
    }

    /// Global is `tenant=true` and nothing else; otherwise `tenant=false` and at least one id.
    fn asked_scopes(ask: &Ask<'_>, call: &Call<'_>) -> Result<Vec<Scope>, Reply> {
        let mut scopes = Vec::new();
        for (key, level) in [
            ("accountIds", "account"),
            ("siteIds", "site"),
            ("groupIds", "group"),
        ] {
            for id in ask.list(key).into_iter().flatten() {
                scopes.push(Scope::find(level, id).ok_or_else(Reply::forbidden)?);
            }
        }
        if ask.flag("tenant") {
            if !scopes.is_empty() {
                return Err(Reply::bad("tenant: Cannot be combined with other scopes."));
            }
            scopes.push(Scope::Global);
        } else if scopes.is_empty() {
            return Err(Reply::bad("A scope is required."));
        }
        if scopes
            .iter()
            .any(|scope| !call.settings.token_scope.covers(*scope))
        {
            return Err(Reply::forbidden());
        }
        Ok(scopes)
    }

    pub(super) fn create(&mut self, ask: &Ask<'_>, call: &Call<'_>) -> Result<Reply, Reply> {
        call.settings.may("Blacklist.create")?;
        let (data, filter) = data(ask, &fields(call.settings))?;
        let scopes = scope::named(&filter, call.settings.token_scope)?;
        if scopes.is_empty() {
            return Err(Reply::bad("filter: A scope is required."));
        }
        let kind = data.get("type").and_then(Json::as_str).unwrap_or_default();
        if kind.is_empty() {
            return Err(Reply::bad("type: Missing data for required field."));
        }
        let system = system(&data)?;
        if kind != "black_hash" {
            // What was meant to block allows instead.
            self.exclusions.push(Json::Object(data.clone()));
            return Ok(Reply::data(json!([data])));
        }
        let new = New {
            system,
            sha1: hash(&data, "value", 40)?,
            sha256: hash(&data, "sha256Value", 64)?,
            description: description(&data, call).unwrap_or_default(),
        };
        if new.sha1.is_none() && new.sha256.is_none() {
            return Err(Reply::bad("value: Missing data for required field."));
        }
        let forbidden = |hash: &Option<String>| {
            hash.as_ref()
                .is_some_and(|hash| call.settings.not_allowed.contains(hash))
        };
        if forbidden(&new.sha1) || forbidden(&new.sha256) {
            return Err(Reply::bad("Not allowed: this hash cannot be blocked."));
        }
        let inherited = call.settings.inherited_exists;
        if scopes.iter().any(|scope| self.has(*scope, &new, inherited)) {
            return Err(Reply::exists());
        }
        let mut made = Vec::new();
        for scope in scopes {
            let id = self.insert(scope, new.clone(), "user", call.user, call.now);
            made.extend(self.rows.get(&id).map(Restriction::to_json));
        }
        Ok(Reply::data(Json::Array(made)))
    }

    pub(super) fn change(&mut self, ask: &Ask<'_>, call: &Call<'_>) -> Result<Reply, Reply> {
        call.settings.may("Blacklist.edit")?;
        let (data, _) = data(ask, &fields(call.settings))?;
        if data.get("type").and_then(Json::as_str) != Some("black_hash") {
            return Err(Reply::bad("type: Not a valid choice."));
        }
        let system = system(&data)?;
        let (sha1, sha256) = (hash(&data, "value", 40)?, hash(&data, "sha256Value", 64)?);
        let text = description(&data, call);
        let id = data.get("id").and_then(Json::as_str).unwrap_or_default();
        let token = call.settings.token_scope;
        let row = id.parse().ok().and_then(|id: u64| self.rows.get_mut(&id));
        let Some(row) = row.filter(|row| token.covers(row.scope)) else {
            return Err(Reply::missing());
        };
        row.system = system;
        if sha1.is_some() || sha256.is_some() {
            row.sha1 = sha1;
            row.sha256 = sha256;
        }
        if let Some(text) = text {
            row.description = text;
        }
        row.updated = call.now;
        Ok(Reply::data(json!([row.to_json()])))
    }

    pub(super) fn delete(&mut self, ask: &Ask<'_>, call: &Call<'_>) -> Result<Reply, Reply> {
        call.settings.may("Blacklist.delete")?;
        let (data, _) = data(ask, &["ids", "type"])?;
        if data.get("type").and_then(Json::as_str) != Some("black_hash") {
            return Err(Reply::bad("type: Not a valid choice."));
        }
        let ids = data.get("ids").and_then(Json::as_array);
        let Some(ids) = ids.filter(|ids| ids.iter().all(Json::is_string)) else {
            return Err(Reply::bad("ids: Not a valid list."));
        };
        if ids.len() > MOST_IDS {
            return Err(Reply::bad("ids: Longer than maximum length 5000."));
        }
        let token = call.settings.token_scope;
        let ids: HashSet<u64> = ids
            .iter()
            .filter_map(|id| id.as_str()?.parse().ok())
            .collect();
        let affected = self.remove_if(|row| ids.contains(&row.id) && token.covers(row.scope));
        Ok(Reply::data(json!({ "affected": affected })))
    }

    /// The exclusions that were made of the wrong type.
    pub(super) fn exclusions(&self) -> Reply {
        let total = self.exclusions.len();
        Reply::page(
            self.exclusions.clone(),
            json!({ "totalItems": total, "nextCursor": null }),
        )
    }
}

fn description(data: &Map<String, Json>, call: &Call<'_>) -> Option<String> {
    let text = data.get("description")?.as_str()?;
    Some(text.chars().take(call.settings.description_limit).collect())
}
