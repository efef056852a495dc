//! IP destination groups (items 28 and 29).

use std::net::Ipv4Addr;

use serde_json::{Map, Value as Json, json};

use super::grammar;
use super::service::{Answer, Service, texts};
use super::tenant::{Entry, Group};
use super::wire::{Ask, Reply};

/// Attributes that a body may have.
const ATTRIBUTES: [&str; 7] = [
    "id",
    "name",
    "description",
    "type",
    "addresses",
    "ipCategories",
    "countries",
];
/// What a group shows and nobody sets.
const READ_ONLY: [&str; 4] = [
    "creatorContext",
    "urlCategories",
    "ipAddresses",
    "isNonEditable",
];
const TYPES: [&str; 4] = ["DSTN_IP", "DSTN_FQDN", "DSTN_DOMAIN", "DSTN_OTHER"];

/// A group that comes with the service and that nobody can change.
pub(super) fn of_the_vendor() -> Group {
    let body = json!({
        "name": "Vendor_services",
        "description": "",
        "type": "DSTN_IP",
        "ipCategories": [],
        "countries": [],
        "isNonEditable": true,
    });
    Group {
        id: 4_100,
        body: body.as_object().cloned().unwrap_or_default(),
        addresses: Vec::new(),
    }
}

impl Group {
    fn is_fixed(&self) -> bool {
        self.body.get("isNonEditable") == Some(&Json::Bool(true))
    }

    fn shown(&self) -> Map<String, Json> {
        let mut body = self.body.clone();
        let addresses: Vec<&str> = self.addresses.iter().map(|one| one.text.as_str()).collect();
        body.insert("id".to_owned(), self.id.into());
        body.insert("addresses".to_owned(), json!(addresses));
        body.entry("isNonEditable").or_insert(false.into());
        body
    }
}

impl Service<'_> {
    pub(super) fn groups(&mut self, parts: &[&str], ask: &Ask<'_>) -> Answer {
        match (ask.method, parts) {
            ("GET", []) => {
                ask.only(&["excludeType"])?;
                let without = ask.parameter("excludeType").unwrap_or_default();
                let all = self.tenant.staged.groups.iter().map(Group::shown);
                let shown: Vec<Json> = all
                    .filter(|group| group["type"] != without)
                    .map(Json::Object)
                    .collect();
                Ok(Reply::ok(shown.into()))
            }
            ("GET", ["lite"]) => {
                let all = self.tenant.staged.groups.iter();
                let lite = all.map(|one| json!({ "id": one.id, "name": one.body["name"] }));
                Ok(Reply::ok(lite.collect::<Vec<_>>().into()))
            }
            ("POST", []) => self.create_group(ask),
            ("GET", [id]) => {
                let mut body = self.group(id)?.shown();
                body.insert("creatorContext".to_owned(), "ZIA".into());
                body.insert("urlCategories".to_owned(), json!([]));
                body.insert("ipAddresses".to_owned(), json!([]));
                Ok(Reply::ok(body.into()))
            }
            ("PUT", [id]) => self.change_group(id, ask),
            ("DELETE", [id]) => {
                let id = self.changeable(id)?.id;
                self.tenant.staged.groups.retain(|one| one.id != id);
                self.tenant.stage();
                Ok(Reply::empty(204))
            }
            _ => Ok(Reply::empty(405)),
        }
    }

    fn group(&mut self, id: &str) -> Result<&mut Group, Reply> {
        let mut all = self.tenant.staged.groups.iter_mut();
        all.find(|one| one.id.to_string() == id)
            .ok_or_else(|| Reply::refusal(404, "RESOURCE_NOT_FOUND", "Resource not found"))
    }

    /// A group that is not the vendor's.
    fn changeable(&mut self, id: &str) -> Result<&mut Group, Reply> {
        let group = self.group(id)?;
        if group.is_fixed() {
            return Err(Reply::refusal(
                403,
                "INVALID_OPERATION",
                "The group cannot be edited",
            ));
        }
        Ok(group)
    }

    /// A body, and its addresses apart.
    fn group_body(&self, ask: &Ask<'_>) -> Result<(Map<String, Json>, Vec<String>), Reply> {
        let strict = self.traits.strict_groups;
        let mut body = ask.object(&[&ATTRIBUTES[..], &READ_ONLY].concat())?;
        let bad = |message: &str| Err(Reply::refusal(400, "INVALID_INPUT_ARGUMENT", message));
        if let Some(field) = READ_ONLY.iter().find(|name| body.contains_key(**name)) {
            if strict {
                return bad(&format!("{field} is read-only"));
            }
            body.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
        }
        let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
        let narrow = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if text("name").is_empty() || (strict && !text("name").chars().all(narrow)) {
            return bad("Invalid name");
        }
        if !TYPES.contains(&text("type")) {
            return bad("Invalid type");
        }
        let addresses = texts(body.get("addresses").or(Some(&json!([]))))?;
        if let Some(address) = addresses.iter().find(|text| !takes(text)) {
            return bad(&format!("Invalid address [{address}]"));
        }
        body.remove("id");
        body.remove("addresses");
        Ok((body, addresses))
    }

    fn create_group(&mut self, ask: &Ask<'_>) -> Answer {
        ask.only(&[])?;
        let (body, addresses) = self.group_body(ask)?;
        let all = &self.tenant.staged.groups;
        if all.iter().any(|one| one.body["name"] == body["name"]) {
            return Err(Reply::refusal(409, "DUPLICATE_ITEM", "The name is in use"));
        }
        let last = all.iter().map(|one| one.id).max().unwrap_or_default();
        let made = Group {
            id: last + 1,
            body,
            addresses: ours(addresses).collect(),
        };
        let shown = made.shown();
        self.tenant.staged.groups.push(made);
        self.tenant.stage();
        Ok(Reply::ok(shown.into()))
    }

    fn change_group(&mut self, id: &str, ask: &Ask<'_>) -> Answer {
        ask.only(&["override"])?;
        let replaces = ask.parameter("override") != Some("false");
        self.changeable(id)?;
        let (body, sent) = self.group_body(ask)?;
        let group = self.changeable(id)?;
        group.body = body;
        let known = |text: &String, list: &[Entry]| list.iter().any(|one| one.text == *text);
        let mut lost = Vec::new();
        if replaces {
            let (kept, gone): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut group.addresses)
                .into_iter()
                .partition(|one| sent.contains(&one.text));
            group.addresses = kept;
            lost.extend(gone.into_iter().filter(|one| one.foreign));
        }
        let mut new = sent;
        new.retain(|text| !known(text, &group.addresses));
        group.addresses.extend(ours(new));
        let shown = group.shown();
        for entry in lost {
            self.tenant.alarm_lost(&entry.text);
        }
        self.tenant.stage();
        Ok(Reply::ok(shown.into()))
    }
}

fn ours(texts: Vec<String>) -> impl Iterator<Item = Entry> {
    texts.into_iter().map(|text| Entry {
        text,
        foreign: false,
    })
}

/// Whether a group takes an address: an IPv4 one, a network, a range, or a name, which may begin with `*.`.
fn takes(text: &str) -> bool {
    let is_address = |text: &str| text.parse::<Ipv4Addr>().is_ok();
    if let Some((first, last)) = text.split_once('-')
        && is_address(first)
    {
        return is_address(last);
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    grammar::is_range(text) || (!name.contains(['/', '?', ':']) && grammar::takes(name, true))
}
