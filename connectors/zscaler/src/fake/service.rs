//! The API behind the login.

use serde_json::{Value as Json, json};

use super::grammar;
use super::tenant::{Entry, Tenant};
use super::wire::{Ask, Reply};

/// URLs in one lookup.
const MOST_LOOKUPS: usize = 100;

/// What the tenant is like beyond its state.
#[derive(Clone, Debug)]
pub(super) struct Traits {
    /// Whether URL lists take addresses, and categories take ranges.
    pub(super) ipv4: bool,
    /// Most entries per incremental call.
    pub(super) batch_limit: usize,
    /// Whether another administrator's edits hold an activation back.
    pub(super) queued: bool,
    /// Whether an administrator names our categories in a BLOCK rule as soon as they are there.
    pub(super) rule: bool,
    /// Parts of the service that the role may not use: `quota`, `rules`.
    pub(super) denied: Vec<String>,
    /// Whether destination groups refuse names with a space and read-only fields (item 28).
    pub(super) strict_groups: bool,
}

/// One call at work.
pub(super) struct Service<'a> {
    pub(super) tenant: &'a mut Tenant,
    pub(super) traits: &'a Traits,
    pub(super) now: chrono::DateTime<chrono::Utc>,
}

pub(super) type Answer = std::result::Result<Reply, Reply>;

impl Service<'_> {
    pub(super) fn answer(&mut self, path: &str, ask: &Ask<'_>) -> Reply {
        self.route(path, ask).unwrap_or_else(|refusal| refusal)
    }

    fn route(&mut self, path: &str, ask: &Ask<'_>) -> Answer {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (ask.method, parts.as_slice()) {
            ("GET", ["status"]) => Ok(Reply::ok(json!({ "status": self.tenant.status() }))),
            ("POST", ["status", "activate"]) => self.activate(ask),
            ("GET", ["security"]) => Ok(self.allowlist()),
            ("PUT", ["security"]) => self.replace_allowlist(ask),
            ("GET", ["security", "advanced"]) => Ok(self.denylist("blacklistUrls")),
            ("PUT", ["security", "advanced"]) => self.replace_denylist(ask, "blacklistUrls"),
            ("POST", ["security", "advanced", "blacklistUrls"]) => {
                self.change_denylist(ask, "blacklistUrls")
            }
            ("GET", ["cyberThreatProtection", "maliciousUrls"]) => {
                Ok(self.denylist("maliciousUrls"))
            }
            ("PUT", ["cyberThreatProtection", "maliciousUrls"]) => {
                if ask.parameter("action").is_some() {
                    self.change_denylist(ask, "maliciousUrls")
                } else {
                    self.replace_denylist(ask, "maliciousUrls")
                }
            }
            // Item 11: the other verb.
            (_, ["security", ..] | ["cyberThreatProtection", "maliciousUrls"]) => {
                Ok(Reply::empty(405))
            }
            ("GET", ["urlFilteringRules"]) => self.rules(),
            (_, ["urlCategories", ..]) => self.categories(&parts[1..], ask),
            (_, ["ipDestinationGroups", ..]) => self.groups(&parts[1..], ask),
            ("POST", ["urlLookup"]) => look_up(ask),
            _ => Ok(Reply::refusal(
                404,
                "RESOURCE_NOT_FOUND",
                "Resource not found",
            )),
        }
    }

    fn activate(&mut self, ask: &Ask<'_>) -> Answer {
        ask.only(&[])?;
        if self.tenant.positions.is("second-session", "409") && self.tenant.sessions.len() > 1 {
            return Err(Reply::json(
                409,
                json!({ "message": "Another session of this administrator is active" }),
            ));
        }
        let status = self.tenant.activate(self.now, self.traits.queued);
        Ok(Reply::ok(json!({ "status": status })))
    }

    fn rules(&mut self) -> Answer {
        if self.denied("rules") {
            return Err(not_allowed());
        }
        let rules = self.tenant.staged.rules.iter().zip(1..);
        let rules: Vec<Json> = rules
            .map(|(rule, order)| {
                json!({
                    "id": 700 + order,
                    "name": rule.name,
                    "order": order,
                    "state": "ENABLED",
                    "action": rule.action,
                    "protocols": ["ANY_RULE"],
                    "urlCategories": rule.categories,
                })
            })
            .collect();
        Ok(Reply::ok(rules.into()))
    }

    pub(super) fn denied(&self, part: &str) -> bool {
        self.traits.denied.iter().any(|denied| denied == part)
    }

    fn allowlist(&self) -> Reply {
        // Item 10.
        let list = &self.tenant.staged.allowlist;
        Reply::ok(if list.is_empty() {
            json!({})
        } else {
            json!({ "whitelistUrls": list })
        })
    }

    fn replace_allowlist(&mut self, ask: &Ask<'_>) -> Answer {
        let body = ask.object(&["whitelistUrls"])?;
        let urls = texts(body.get("whitelistUrls"))?;
        if urls.len() > 255 {
            return Err(Reply::refusal(
                403,
                "LIMIT_EXCEEDED",
                "Whitelist limit is 255",
            ));
        }
        self.check_format(&urls)?;
        self.tenant.staged.allowlist = urls;
        self.tenant.stage();
        Ok(self.allowlist())
    }

    fn denylist(&mut self, name: &str) -> Reply {
        let list = &self.tenant.staged.denylist;
        let urls: Vec<String> = list.iter().map(|entry| entry.text.clone()).collect();
        let urls = self.tenant.shuffled(urls);
        Reply::ok(json!({ name: urls }))
    }

    fn replace_denylist(&mut self, ask: &Ask<'_>, name: &str) -> Answer {
        let body = ask.object(&[name])?;
        let urls = texts(body.get(name))?;
        self.check_format(&urls)?;
        let old = std::mem::take(&mut self.tenant.staged.denylist);
        // Item 12.
        for entry in old.iter().filter(|entry| entry.foreign) {
            if !urls.contains(&entry.text) {
                self.tenant.alarm_lost(&entry.text);
            }
        }
        let foreign = |text: &String| old.iter().any(|entry| entry.foreign && entry.text == *text);
        self.tenant.staged.denylist = urls
            .into_iter()
            .map(|text| Entry {
                foreign: foreign(&text),
                text,
            })
            .collect();
        self.tenant.stage();
        Ok(self.denylist(name))
    }

    fn change_denylist(&mut self, ask: &Ask<'_>, name: &str) -> Answer {
        ask.only(&["action"])?;
        let body = ask.object(&[name])?;
        let urls = texts(body.get(name))?;
        let here: Vec<String> = self
            .tenant
            .staged
            .denylist
            .iter()
            .map(|entry| entry.text.clone())
            .collect();
        match ask.parameter("action") {
            Some("ADD_TO_LIST") => {
                let new = self.check_addition(&urls, &here)?;
                self.check_room(|staged| {
                    staged.denylist.extend(new.iter().map(|text| Entry {
                        text: text.clone(),
                        foreign: false,
                    }));
                })?;
            }
            Some("REMOVE_FROM_LIST") => {
                self.check_removal(&urls, &here)?;
                self.tenant
                    .staged
                    .denylist
                    .retain(|entry| !urls.contains(&entry.text));
            }
            _ => {
                return Err(Reply::refusal(
                    400,
                    "INVALID_INPUT_ARGUMENT",
                    "Invalid action",
                ));
            }
        }
        self.tenant.stage();
        // Item 9: what was sent, and nothing else.
        let urls = self.tenant.shuffled(urls);
        Ok(Reply::ok(json!({ name: urls })))
    }

    /// What is new of an addition, or why the whole call is refused.
    pub(super) fn check_addition(
        &self,
        urls: &[String],
        here: &[String],
    ) -> std::result::Result<Vec<String>, Reply> {
        self.check_size(urls)?;
        self.check_format(urls)?;
        let here: std::collections::BTreeSet<&String> = here.iter().collect();
        let (known, new): (Vec<&String>, Vec<&String>) =
            urls.iter().partition(|text| here.contains(text));
        match (self.tenant.positions.get("duplicate-add"), known.is_empty()) {
            ("409", false) => Err(duplicate(409)),
            ("400", false) => Err(duplicate(400)),
            _ => {
                let mut new: Vec<String> = new.into_iter().cloned().collect();
                new.sort();
                new.dedup();
                Ok(new)
            }
        }
    }

    pub(super) fn check_removal(
        &self,
        urls: &[String],
        here: &[String],
    ) -> std::result::Result<(), Reply> {
        self.check_size(urls)?;
        let here: std::collections::BTreeSet<&String> = here.iter().collect();
        let absent = urls.iter().any(|text| !here.contains(text));
        match (self.tenant.positions.get("absent-remove"), absent) {
            ("404", true) => Err(Reply::refusal(
                404,
                "RESOURCE_NOT_FOUND",
                "Resource not found",
            )),
            ("400", true) => Err(Reply::refusal(
                400,
                "INVALID_INPUT_ARGUMENT",
                "The list does not have this entry",
            )),
            _ => Ok(()),
        }
    }

    fn check_size(&self, urls: &[String]) -> std::result::Result<(), Reply> {
        if urls.len() > self.traits.batch_limit {
            return Err(Reply::html(413, "Request Entity Too Large"));
        }
        Ok(())
    }

    pub(super) fn check_format(&self, urls: &[String]) -> std::result::Result<(), Reply> {
        let bad: Vec<&str> = urls
            .iter()
            .map(String::as_str)
            .filter(|text| !grammar::takes(text, self.traits.ipv4))
            .collect();
        if bad.is_empty() {
            return Ok(());
        }
        Err(if self.tenant.positions.is("offenders", "named") {
            Reply::refusal(
                400,
                "INVALID_INPUT_ARGUMENT",
                &format!("Invalid urls [{}]", bad.join(", ")),
            )
        } else {
            Reply::json(400, json!({ "message": "Request body is invalid." }))
        })
    }

    /// Applies a change, or refuses it whole where the tenant would hold too much (item 16).
    pub(super) fn check_room(
        &mut self,
        change: impl FnOnce(&mut super::tenant::Config),
    ) -> std::result::Result<(), Reply> {
        let mut after = self.tenant.staged.clone();
        let before = after.unique(true);
        change(&mut after);
        let count = after.unique(true);
        if count > self.tenant.capacity && count > before {
            let status = if self.tenant.positions.is("over-quota", "400") {
                400
            } else {
                403
            };
            return Err(Reply::refusal(
                status,
                "LIMIT_EXCEEDED",
                "The URL quota is used up",
            ));
        }
        self.tenant.staged = after;
        Ok(())
    }
}

/// Item 27: what the vendor's own database says of URLs. What a tenant lists itself is not in there.
fn look_up(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let urls = texts(serde_json::from_slice(ask.body).ok().as_ref())?;
    if urls.len() > MOST_LOOKUPS {
        return Err(Reply::refusal(
            400,
            "INVALID_INPUT_ARGUMENT",
            "100 URLs at most",
        ));
    }
    let found = urls.iter().map(|url| {
        json!({
            "url": url,
            "urlClassifications": ["MISCELLANEOUS_OR_UNKNOWN"],
            "urlClassificationsWithSecurityAlert": [],
            "application": "NONE",
        })
    });
    Ok(Reply::ok(found.collect::<Vec<_>>().into()))
}

pub(super) fn not_allowed() -> Reply {
    Reply::refusal(403, "SCOPE_LIMITED", "The role does not allow this")
}

fn duplicate(status: u16) -> Reply {
    Reply::refusal(status, "DUPLICATE_ITEM", "The list has this entry already")
}

/// A list of texts; anything else makes the body invalid.
pub(super) fn texts(value: Option<&Json>) -> std::result::Result<Vec<String>, Reply> {
    let bad = || Reply::json(400, json!({ "message": "Request body is invalid." }));
    value
        .and_then(Json::as_array)
        .ok_or_else(bad)?
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(bad))
        .collect()
}
