//! What is there from the start.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::world::{Alert, Collection, Event, Row, World};
use super::{ALERT, ALERT_SHORT_ID, COLLECTION, EMPTY_COLLECTION, FEED};

/// A collection with one of each, an empty one, the feed of everything, and an alert.
pub(super) fn plant(world: &mut World, now: DateTime<Utc>) {
    let days = TimeDelta::days;
    for (id, name) in [
        (COLLECTION, "Command and control"),
        (EMPTY_COLLECTION, "From playbooks"),
        (FEED, "SEKOIA.IO feed"),
    ] {
        world.collections.push(Collection {
            id: id.to_owned(),
            name: name.to_owned(),
            rows: Vec::new(),
            unordered: false,
        });
    }
    let md5 = "9e107d9d372bb6826bd81d3542a419d6";
    let sha256 = "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592";
    let hashes = format!("[file:hashes.MD5 = '{md5}' OR file:hashes.'SHA-256' = '{sha256}']");
    let past = now - days(40);
    let rows = [
        Row::new("1.2.3.10", past).until(now + days(20)),
        Row::new("1.2.3.11", past).until(now - days(10)),
        Row::new("1.2.3.12", past).until(now + days(20)).revoked(),
        Row::new("1.2.3.13", past)
            .from(now + days(2))
            .until(now + days(30)),
        Row::new("1.2.3.14", past),
        Row::new("panel.example.net", past).until(now + days(90)),
        Row::new("http://panel.example.net/it's?a=1", past).until(now + days(90)),
        Row::new(md5, past).pattern(&hashes).until(now + days(200)),
        Row::new("1.2.4.0/24", past)
            .pattern("[ipv4-addr:value = '1.2.4.0/24']")
            .until(now + days(5)),
        Row::new("10.20.30.40", past).until(now + days(20)),
        Row::new("two at once", past)
            .pattern("[ipv4-addr:value = '1.2.3.15' AND domain-name:value = 'both.example.net']"),
        Row::new("three addresses", past).pattern("[ipv4-addr:value IN ('1.2.3.16', '1.2.3.17')]"),
        // One value by two reasons, which end at different times.
        Row::new("1.2.3.18", past).until(now + days(1)),
        Row::new("1.2.3.18", past).until(now + days(9)),
    ];
    for (row, minute) in rows.into_iter().zip(0..) {
        let at = past + TimeDelta::minutes(minute);
        world.insert(COLLECTION, row.clone().modified(at));
        world.insert(FEED, row.modified(at));
    }
    world.alerts.push(alert(now));
}

/// Connections to several addresses, some of them one's own.
fn alert(now: DateTime<Utc>) -> Alert {
    let destinations = [
        "1.2.3.20",
        "1.2.3.21",
        "10.0.0.53",
        "192.168.1.7",
        "1.2.3.20",
        "2606:4700::1111",
    ];
    Alert {
        uuid: ALERT.to_owned(),
        short_id: ALERT_SHORT_ID.to_owned(),
        events: destinations
            .iter()
            .zip(1..)
            .map(|(destination, minute)| Event {
                at: now - TimeDelta::hours(2) + TimeDelta::minutes(minute),
                fields: vec![
                    ("destination.ip".to_owned(), json!(destination)),
                    ("destination.port".to_owned(), json!(443)),
                    ("source.ip".to_owned(), json!("10.0.0.9")),
                ],
            })
            .collect(),
    }
}

/// So many addresses, one changed after the other.
pub(super) fn many(world: &mut World, count: u32, now: DateTime<Utc>) {
    for number in 0..count {
        let address = std::net::Ipv4Addr::from(0x1400_0000 + number);
        let at = now - TimeDelta::days(10) + TimeDelta::milliseconds(i64::from(number));
        let row = Row::new(&address.to_string(), at).until(now + TimeDelta::days(30));
        world.insert(COLLECTION, row);
    }
}
