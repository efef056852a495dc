//! Custom URL categories.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::grammar;
use super::service::{Answer, Service, not_allowed, texts};
use super::tenant::Category;
use super::wire::{Ask, Reply};

/// Categories that a tenant can have (item 24).
const MOST: usize = 48;
/// Ranges in all categories together.
const MOST_RANGES: usize = 2_000;

/// Attributes that a body may have.
const ATTRIBUTES: [&str; 14] = [
    "id",
    "configuredName",
    "superCategory",
    "customCategory",
    "type",
    "description",
    "urls",
    "dbCategorizedUrls",
    "keywords",
    "keywordsRetainingParentCategory",
    "ipRanges",
    "ipRangesRetainingParentCategory",
    "scopes",
    "editable",
];

impl Service<'_> {
    pub(super) fn categories(&mut self, parts: &[&str], ask: &Ask<'_>) -> Answer {
        match (ask.method, parts) {
            ("GET", []) => {
                ask.only(&["customOnly", "includeOnlyUrlKeywordCounts", "type"])?;
                let counts_only = ask.parameter("includeOnlyUrlKeywordCounts") == Some("true");
                let all = self.tenant.staged.categories.clone();
                let shown: Vec<Json> = all.iter().map(|one| self.shown(one, counts_only)).collect();
                Ok(Reply::ok(self.tenant.shuffled(shown).into()))
            }
            ("GET", ["urlQuota"]) => self.quota(),
            ("GET", ["lite"]) => {
                let all = self.tenant.staged.categories.iter();
                let lite = all.map(|one| json!({ "id": one.id, "configuredName": one.name() }));
                Ok(Reply::ok(lite.collect::<Vec<_>>().into()))
            }
            ("POST", []) => self.create_category(ask),
            ("GET", [id]) => {
                let one = self.category(id)?.clone();
                Ok(Reply::ok(self.shown(&one, false)))
            }
            ("PUT", [id]) => self.change_category(id, ask),
            ("DELETE", [id]) => {
                let id = self.category(id)?.id.clone();
                self.tenant.staged.categories.retain(|one| one.id != id);
                self.tenant.stage();
                Ok(Reply::empty(204))
            }
            _ => Ok(Reply::empty(405)),
        }
    }

    fn quota(&mut self) -> Answer {
        if self.denied("quota") {
            return Err(not_allowed());
        }
        let used = self
            .tenant
            .staged
            .unique(self.tenant.positions.is("quota-covers", "all"));
        Ok(Reply::ok(json!({
            "uniqueUrlsProvisioned": used,
            "remainingUrlsQuota": self.tenant.capacity.saturating_sub(used),
        })))
    }

    /// Item 22: a name instead of an id, and an id that is not there.
    fn category(&mut self, id: &str) -> std::result::Result<&mut Category, Reply> {
        let number = id.strip_prefix("CUSTOM_").unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Reply::refusal(
                500,
                "UNEXPECTED_ERROR",
                "An unexpected error occurred",
            ));
        }
        let mut all = self.tenant.staged.categories.iter_mut();
        all.find(|one| one.id == id)
            .ok_or_else(|| Reply::empty(404))
    }

    fn shown(&mut self, category: &Category, counts_only: bool) -> Json {
        let mut body = Map::new();
        body.insert("id".to_owned(), category.id.clone().into());
        body.extend(category.body.clone());
        // Item 24: whatever was sent.
        body.insert("customCategory".to_owned(), true.into());
        body.insert("editable".to_owned(), true.into());
        let urls = category.list("urls");
        let ranges = category.list("ipRanges");
        body.insert("customUrlsCount".to_owned(), urls.len().into());
        body.insert("customIpRangesCount".to_owned(), ranges.len().into());
        if counts_only {
            body.remove("urls");
            body.remove("ipRanges");
        } else {
            body.insert("urls".to_owned(), self.tenant.shuffled(urls).into());
        }
        body.into()
    }

    fn create_category(&mut self, ask: &Ask<'_>) -> Answer {
        ask.only(&[])?;
        let mut body = ask.object(&ATTRIBUTES)?;
        for needed in ["configuredName", "superCategory"] {
            let given = body.get(needed).and_then(Json::as_str).unwrap_or_default();
            if given.is_empty() {
                return Err(Reply::refusal(
                    400,
                    "INVALID_INPUT_ARGUMENT",
                    &format!("{needed} is required"),
                ));
            }
        }
        let urls = texts(body.get("urls").or(Some(&json!([]))))?;
        let has_keywords = body.get("keywords").is_some_and(|list| *list != json!([]));
        if urls.is_empty() && !has_keywords {
            return Err(Reply::refusal(
                400,
                "INVALID_INPUT_ARGUMENT",
                "A category needs a URL or a keyword",
            ));
        }
        let urls = self.check_addition(&urls, &[])?;
        self.check_ranges(&body, None)?;
        let name = body["configuredName"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let all = &self.tenant.staged.categories;
        if all.iter().any(|one| one.name() == name) {
            return Err(Reply::refusal(409, "DUPLICATE_ITEM", "The name is in use"));
        }
        if all.len() >= MOST {
            return Err(Reply::refusal(
                403,
                "LIMIT_EXCEEDED",
                "48 custom categories are there already",
            ));
        }
        let taken: BTreeSet<&str> = all.iter().map(|one| one.id.as_str()).collect();
        let id = (1..)
            .map(|number| format!("CUSTOM_{number:02}"))
            .find(|id| !taken.contains(id.as_str()))
            .unwrap_or_default();
        body.remove("id");
        let mut made = Category {
            id: id.clone(),
            body,
            by_hand: BTreeSet::new(),
            ours: true,
        };
        made.set_list("urls", urls);
        let added = made.clone();
        self.check_room(|staged| staged.categories.push(added))?;
        if self.traits.rule {
            // The administrator's own change is enforced by the administrator.
            for view in [&mut self.tenant.staged, &mut self.tenant.enforced] {
                if let Some(rule) = view.rules.first_mut() {
                    rule.categories.push(id.clone());
                }
            }
        }
        self.tenant.stage();
        Ok(Reply::ok(self.shown(&made, false)))
    }

    fn change_category(&mut self, id: &str, ask: &Ask<'_>) -> Answer {
        ask.only(&["action"])?;
        let mut body = ask.object(&ATTRIBUTES)?;
        body.remove("id");
        let before = self.category(id)?.clone();
        if body
            .get("configuredName")
            .and_then(Json::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(Reply::refusal(
                400,
                "INVALID_INPUT_ARGUMENT",
                "configuredName is required",
            ));
        }
        self.check_ranges(&body, Some(id))?;
        let mut after = before.clone();
        match ask.parameter("action") {
            // Item 23: what is left out is cleared, keywords are kept.
            None => {
                let urls = texts(body.get("urls").or(Some(&json!([]))))?;
                self.check_format(&urls)?;
                let keywords = after.body.get("keywords").cloned();
                after.body = body;
                if let Some(keywords) = keywords {
                    after.body.entry("keywords").or_insert(keywords);
                }
                after.set_list("urls", urls);
                for lost in before
                    .by_hand
                    .iter()
                    .filter(|text| !after.list("urls").contains(text))
                {
                    self.tenant.alarm_lost(lost);
                }
            }
            // The verb is for the URLs, everything else that was sent along is applied.
            Some(action) => {
                let sent = texts(body.remove("urls").as_ref())?;
                let here = before.list("urls");
                let urls = match action {
                    "ADD_TO_LIST" => {
                        let new = self.check_addition(&sent, &here)?;
                        here.into_iter().chain(new).collect()
                    }
                    "REMOVE_FROM_LIST" => {
                        self.check_removal(&sent, &here)?;
                        let sent: BTreeSet<&String> = sent.iter().collect();
                        here.into_iter()
                            .filter(|text| !sent.contains(text))
                            .collect()
                    }
                    _ => {
                        return Err(Reply::refusal(
                            400,
                            "INVALID_INPUT_ARGUMENT",
                            "Invalid action",
                        ));
                    }
                };
                after.body.extend(body);
                after.set_list("urls", urls);
            }
        }
        let changed = after.clone();
        self.check_room(|staged| {
            if let Some(one) = staged
                .categories
                .iter_mut()
                .find(|one| one.id == changed.id)
            {
                *one = changed;
            }
        })?;
        self.tenant.stage();
        Ok(Reply::ok(self.shown(&after, false)))
    }

    /// Item 25, and the limit of ranges in all categories.
    fn check_ranges(
        &self,
        body: &Map<String, Json>,
        id: Option<&str>,
    ) -> std::result::Result<(), Reply> {
        let Some(sent) = body.get("ipRanges") else {
            return Ok(());
        };
        let ranges = texts(Some(sent))?;
        if !self.traits.ipv4 && !ranges.is_empty() {
            return Err(Reply::refusal(
                403,
                "NOT_SUBSCRIBED",
                "Custom IP ranges are not enabled",
            ));
        }
        if let Some(bad) = ranges.iter().find(|text| !grammar::is_range(text)) {
            return Err(Reply::refusal(
                400,
                "INVALID_INPUT_ARGUMENT",
                &format!("Invalid ip ranges [{bad}]"),
            ));
        }
        let others = self.tenant.staged.categories.iter();
        let others: usize = others
            .filter(|one| Some(one.id.as_str()) != id)
            .map(|one| one.list("ipRanges").len())
            .sum();
        if others + ranges.len() > MOST_RANGES {
            return Err(Reply::refusal(
                403,
                "LIMIT_EXCEEDED",
                "2000 IP ranges at most",
            ));
        }
        Ok(())
    }
}
