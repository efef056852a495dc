//! Entries of others: an analyst's, the cloud's, another tool's.

use chrono::{DateTime, TimeDelta, Utc};
use sdk::indicator::Value;
use serde_json::{Map, json};

use super::World;
use super::restrictions::New;
use super::scope::{GROUP, OTHER_SITE, SITE, Scope};

pub(super) const ANALYST: &str = "analyst@example.com";

/// Another tool's indicator. It does not end, as one that its tool keeps up does not.
pub(super) fn indicator(world: &mut World, scope: Scope, value: &Value, now: DateTime<Utc>) {
    let mut fields = Map::new();
    fields.insert("source".to_owned(), json!("Analyst"));
    fields.insert("type".to_owned(), json!(super::type_of(value)));
    fields.insert("value".to_owned(), json!(value.to_string()));
    fields.insert("method".to_owned(), json!("EQUALS"));
    fields.insert("description".to_owned(), json!("watched by hand"));
    let end = now + TimeDelta::days(36_500);
    world
        .iocs
        .insert(scope, ANALYST, now, end, fields, "by-hand");
}

/// A cloud entry, one of an incident, one in a site and one in a group, each with a hash of its own; and
/// indicators of another tool at every level below the account.
pub(super) fn plant(world: &mut World, place: Scope, now: DateTime<Utc>) {
    let entries = [
        (place, "a1", "cloud", "SentinelOne cloud"),
        (place, "b2", "action_from_threat", ANALYST),
        (Scope::Site(OTHER_SITE), "c3", "user", ANALYST),
        (Scope::Group(GROUP), "d4", "user", ANALYST),
    ];
    for (scope, byte, source, user) in entries {
        let new = New {
            system: "windows".to_owned(),
            sha1: Some(byte.repeat(20)),
            sha256: None,
            description: "not ours".to_owned(),
        };
        world.restrictions.insert(scope, new, source, user, now);
    }
    for scope in [
        place,
        Scope::Site(SITE),
        Scope::Site(OTHER_SITE),
        Scope::Group(GROUP),
    ] {
        if let Ok(value) = Value::parse(sdk::indicator::Kind::Ipv4, "45.83.99.9") {
            indicator(world, scope, &value, now);
        }
    }
}
