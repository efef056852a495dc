//! The scope hierarchy of the fake's tenant: two accounts, two sites in the first, a group in the first
//! site.

use serde_json::{Map, Value as Json};

use super::gate::Reply;

pub(super) const ACCOUNT: &str = "225494730938493804";
pub(super) const OTHER_ACCOUNT: &str = "225494730938493915";
pub(super) const SITE: &str = "225494730938494001";
pub(super) const OTHER_SITE: &str = "225494730938494002";
pub(super) const GROUP: &str = "225494730938495001";

/// A place in the hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Global,
    Account(&'static str),
    Site(&'static str),
    Group(&'static str),
}

const ALL: [Scope; 6] = [
    Scope::Global,
    Scope::Account(ACCOUNT),
    Scope::Account(OTHER_ACCOUNT),
    Scope::Site(SITE),
    Scope::Site(OTHER_SITE),
    Scope::Group(GROUP),
];

impl Scope {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Account(_) => "account",
            Self::Site(_) => "site",
            Self::Group(_) => "group",
        }
    }

    pub(super) fn id(self) -> Option<&'static str> {
        match self {
            Self::Global => None,
            Self::Account(id) | Self::Site(id) | Self::Group(id) => Some(id),
        }
    }

    pub(super) fn parent(self) -> Option<Self> {
        match self {
            Self::Global => None,
            Self::Account(_) => Some(Self::Global),
            Self::Site(_) => Some(Self::Account(ACCOUNT)),
            Self::Group(_) => Some(Self::Site(SITE)),
        }
    }

    /// Whether `other` is this or below it.
    pub(super) fn covers(self, other: Self) -> bool {
        let mut at = Some(other);
        while let Some(scope) = at {
            if scope == self {
                return true;
            }
            at = scope.parent();
        }
        false
    }

    /// By level and id, as settings and filters name them.
    pub(super) fn find(level: &str, id: &str) -> Option<Self> {
        ALL.into_iter()
            .find(|scope| scope.name() == level && scope.id().unwrap_or_default() == id)
    }

    /// The first of a level.
    pub(super) fn first(level: &str) -> Option<Self> {
        let level = if level == "tenant" { "global" } else { level };
        ALL.into_iter().find(|scope| scope.name() == level)
    }
}

/// An id as the schema wants it: a text of 18 digits or more. A number has lost its last digits.
fn id(value: &Json) -> Result<&str, Reply> {
    let fits = |text: &&str| text.len() >= 18 && text.bytes().all(|b| b.is_ascii_digit());
    value
        .as_str()
        .filter(fits)
        .ok_or_else(|| Reply::bad(format!("{value}: Not a valid id.")))
}

/// Whether `tenant` is set; texts are taken too.
fn tenant(value: Option<&Json>) -> Result<bool, Reply> {
    match value {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(Json::String(text)) if text == "true" => Ok(true),
        Some(Json::String(text)) if text == "false" => Ok(false),
        Some(_) => Err(Reply::bad("tenant: Not a valid boolean.")),
    }
}

/// The scopes that a body's filter names. What is outside the token's own scope is forbidden.
pub(super) fn named(filter: &Map<String, Json>, token: Scope) -> Result<Vec<Scope>, Reply> {
    let mut scopes = Vec::new();
    if tenant(filter.get("tenant"))? {
        scopes.push(Scope::Global);
    }
    let mut levels = 0;
    for (key, level) in [
        ("accountIds", "account"),
        ("siteIds", "site"),
        ("groupIds", "group"),
    ] {
        let Some(ids) = filter.get(key).filter(|ids| !ids.is_null()) else {
            continue;
        };
        let ids = ids
            .as_array()
            .filter(|ids| (1..=500).contains(&ids.len()))
            .ok_or_else(|| Reply::bad(format!("{key}: Not a valid list.")))?;
        levels += 1;
        for value in ids {
            let id = id(value)?;
            scopes.push(Scope::find(level, id).ok_or_else(Reply::forbidden)?);
        }
    }
    if levels > 1 {
        return Err(Reply::bad("Only one scope level can be given."));
    }
    if scopes.iter().any(|scope| !token.covers(*scope)) {
        return Err(Reply::forbidden());
    }
    Ok(scopes)
}
