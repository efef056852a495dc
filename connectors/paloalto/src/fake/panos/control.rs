//! What a device has no call for: what it tells, and what happens around it, under `/fake`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Value, json};

use super::Shared;
use super::firewall::Firewall;
use super::publisher::Answer;

/// Log, counts and state.
pub(super) async fn told(State(shared): State<Shared>) -> Json<Value> {
    let mut site = shared.lock();
    site.pass();
    let fast: usize = site.planes().map(|it| it.jobs.fast_polls).sum();
    let jobs: u32 = site.planes().map(|it| it.jobs.next).sum();
    let log: Vec<&String> = site.firewalls.iter().flat_map(|it| &it.log).collect();
    let stopped = site.firewalls.iter().any(|it| it.stopped);
    let (most, refused) = shared.turns.told();
    Json(json!({
        "log": log,
        "fast_polls": fast,
        "jobs": jobs,
        "keygens": site.keygens,
        "stopped": stopped,
        "most_at_once": most,
        "refused_calls": refused,
    }))
}

/// Whether the first device, or the one whose serial number is `&serial=…`, blocks an address, a name or a URL now:
/// `?value=…`, and for URLs `&append=yes` where the device appends an ending token to bare hosts.
pub(super) async fn blocked(
    State(shared): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<bool> {
    let value = query.get("value").map_or("", String::as_str);
    let append = query.get("append").is_some_and(|it| it == "yes");
    let mut site = shared.lock();
    site.pass();
    let serial = query.get("serial");
    let is_meant = |it: &&mut Firewall| serial.is_none_or(|serial| it.serial == *serial);
    let Some(firewall) = site.firewalls.iter_mut().find(is_meant) else {
        return Json(false);
    };
    Json(firewall.blocks(value, append))
}

/// What happens around the devices. `?publisher=…` is the status with which the lists' server answers all of them,
/// `?login=…` the `name:password` that it wants, `?authority=…` the CA that signed its certificate; `?hold=yes` keeps
/// answers to calls back until `?hold=no`; `?serial=…` names one that `&connected=…` or `&pair=…` is about.
pub(super) async fn set(
    State(shared): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) {
    if let Some(hold) = query.get("hold") {
        shared.turns.hold(hold == "yes");
    }
    let mut site = shared.lock();
    site.pass();
    for firewall in &mut site.firewalls {
        let publisher = &mut firewall.lists.publisher;
        if let Some(status) = query.get("publisher") {
            publisher.answer = Answer::of(status);
        }
        if let Some(login) = query.get("login") {
            publisher.login = Some(login.clone());
        }
        if let Some(authority) = query.get("authority") {
            publisher.authority.clone_from(authority);
        }
    }
    let Some(serial) = query.get("serial") else {
        return;
    };
    match query.get("connected").map(String::as_str) {
        Some("no") => site.disconnected.insert(serial.clone()),
        Some(_) => site.disconnected.remove(serial),
        None => false,
    };
    if let Some(state) = query.get("pair")
        && let Some(firewall) = site.firewalls.iter_mut().find(|it| it.serial == *serial)
    {
        firewall.pair.clone_from(state);
    }
}
