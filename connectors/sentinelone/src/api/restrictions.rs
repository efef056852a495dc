//! The blocklist: `/restrictions`.

use reqwest::Method;
use sdk::http::{Request, Safety};
use sdk::indicator::{Kind, Value};
use serde::{Deserialize, Serialize};

use super::{Data, Filter, PAGE, Scoped, path};
use crate::config::{Level, OsType, Place};

/// The only type that blocks. Any other makes the console create an exclusion, which allows.
const BLOCK: &str = "black_hash";
/// The code of a duplicate.
pub(crate) const EXISTS: i64 = 4_000_030;
/// Most ids per delete.
pub(crate) const MOST_IDS: usize = 5_000;

/// One page of what a scope itself holds, without what it inherits or passes on.
pub(crate) fn page(place: &Place, limit: usize, cursor: Option<&str>) -> Request {
    let request = within(Request::get("blocklist", path(["restrictions"])), place);
    rest_of_page(request, limit, cursor)
}

/// One page of the entries with these ids: in a scope, or in all that the token sees.
pub(crate) fn with_ids(place: Option<&Place>, ids: &[&str], cursor: Option<&str>) -> Request {
    let request = Request::get("blocklist", path(["restrictions"])).query("ids", ids.join(","));
    let request = match place {
        Some(place) => within(request, place),
        None => request,
    };
    rest_of_page(request, PAGE, cursor)
}

fn within(request: Request, place: &Place) -> Request {
    let request = request
        .query("includeParents", false)
        .query("includeChildren", false);
    match place.level {
        Level::Tenant => request.query("tenant", true),
        Level::Account => request
            .query("tenant", false)
            .query("accountIds", &place.id),
        Level::Site => request.query("tenant", false).query("siteIds", &place.id),
        Level::Group => request.query("tenant", false).query("groupIds", &place.id),
    }
}

fn rest_of_page(request: Request, limit: usize, cursor: Option<&str>) -> Request {
    let request = request.query("type", BLOCK).query("limit", limit.min(PAGE));
    match cursor {
        Some(cursor) => request.query("cursor", cursor),
        None => request,
    }
}

/// One hash on one system.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    os_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256_value: Option<String>,
    description: &'a str,
}

impl<'a> Entry<'a> {
    fn new(id: Option<&'a str>, value: &Value, os: OsType, description: &'a str) -> Self {
        let text = value.to_string();
        let (value, sha256_value) = match value.kind() {
            Kind::Sha256 => (None, Some(text)),
            _ => (Some(text), None),
        };
        Self {
            id,
            kind: BLOCK,
            os_type: os.name(),
            value,
            sha256_value,
            description,
        }
    }
}

/// A new entry. Sent twice, the second is refused as a duplicate and changes nothing.
pub(crate) fn create(place: &Place, value: &Value, os: OsType, description: &str) -> Request {
    Request::new(
        Method::POST,
        Safety::Idempotent,
        "blocklist",
        path(["restrictions"]),
    )
    .json(&Scoped {
        data: Entry::new(None, value, os, description),
        filter: Filter::of(place),
    })
}

/// A new description. Id, system and type are required; the value goes along as it is.
pub(crate) fn change(id: &str, value: &Value, os: OsType, description: &str) -> Request {
    Request::new(
        Method::PUT,
        Safety::Idempotent,
        "blocklist",
        path(["restrictions"]),
    )
    .json(&Data {
        data: Entry::new(Some(id), value, os, description),
    })
}

/// Takes entries away by id, never by filter.
pub(crate) fn delete(ids: &[String]) -> Request {
    #[derive(Serialize)]
    struct Ids<'a> {
        ids: &'a [String],
        #[serde(rename = "type")]
        kind: &'static str,
    }
    Request::new(
        Method::DELETE,
        Safety::Idempotent,
        "blocklist",
        path(["restrictions"]),
    )
    .json(&Data {
        data: Ids { ids, kind: BLOCK },
    })
}

/// An entry as it comes, as far as we look.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) id: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    os_type: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    sha256_value: Option<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// `user`, or who else made it; what we send there is not kept.
    #[serde(default)]
    pub(crate) source: Option<String>,
}

impl Row {
    /// The system it is for; `None` for one that we do not know, or for something that blocks nothing.
    pub(crate) fn os(&self) -> Option<OsType> {
        let blocks = self.kind.as_deref().is_none_or(|kind| kind == BLOCK);
        OsType::by_name(self.os_type.as_deref()?).filter(|_| blocks)
    }

    /// What it blocks: one hash, or two of the same file.
    pub(crate) fn values(&self) -> impl Iterator<Item = Value> {
        let hash = |kind, text: Option<&str>| Value::parse(kind, text?).ok();
        let sha1 = hash(Kind::Sha1, self.value.as_deref());
        let sha256 = hash(Kind::Sha256, self.sha256_value.as_deref())
            .or_else(|| hash(Kind::Sha256, self.value.as_deref()));
        sha1.into_iter().chain(sha256)
    }
}

/// Where an entry is: one list of one id, or the tenant.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scope {
    #[serde(default)]
    tenant: Option<bool>,
    #[serde(default)]
    account_ids: Option<Vec<String>>,
    #[serde(default)]
    site_ids: Option<Vec<String>>,
    #[serde(default)]
    group_ids: Option<Vec<String>>,
}

impl Scope {
    /// The place that it names; `None` where it names none, or several.
    pub(crate) fn place(self) -> Option<Place> {
        let lists = [
            (Level::Group, self.group_ids),
            (Level::Site, self.site_ids),
            (Level::Account, self.account_ids),
        ];
        let mut ids = lists
            .into_iter()
            .flat_map(|(level, ids)| ids.into_iter().flatten().map(move |id| (level, id)));
        match (ids.next(), ids.next()) {
            (Some((level, id)), None) => Some(Place {
                account: (level == Level::Account).then(|| id.clone()),
                level,
                id,
            }),
            (None, _) if self.tenant == Some(true) => Some(Place {
                level: Level::Tenant,
                id: String::new(),
                account: None,
            }),
            _ => None,
        }
    }
}

/// What a write answers: an array with one item per scope, or one item.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Written {
    Many(Vec<Row>),
    One(Box<Row>),
}

impl Written {
    /// The one that the write was about.
    pub(crate) fn into_row(self) -> Option<Row> {
        match self {
            Self::Many(rows) => rows.into_iter().next(),
            Self::One(row) => Some(*row),
        }
    }
}
