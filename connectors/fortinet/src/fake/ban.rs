//! Banned addresses.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use sdk::indicator::Value;
use serde_json::{Value as Json, json};

use super::device::{Device, Right};
use super::profile::position;
use super::wire::{Ask, Reply};

/// One banned address.
#[derive(Clone, Debug)]
pub(super) struct Ban {
    pub(super) address: IpAddr,
    pub(super) source: &'static str,
    pub(super) created: i64,
    /// Epoch seconds; `None` for ever.
    pub(super) expires: Option<i64>,
    pub(super) vdom: String,
    /// Made by a person, or by the device.
    pub(super) by_hand: bool,
}

impl Ban {
    fn told(&self) -> Json {
        let text = match self.address {
            IpAddr::V4(address) => address.to_string(),
            // Zero-padded, nothing left out.
            IpAddr::V6(address) => {
                let segments = address.segments();
                let parts: Vec<String> =
                    segments.iter().map(|part| format!("{part:04x}")).collect();
                parts.join(":")
            }
        };
        let mut row = json!({
            "ip_address": text,
            "ipv6": u8::from(self.address.is_ipv6()),
            "created": self.created,
            "source": self.source,
        });
        if let Some(expires) = self.expires {
            row["expires"] = json!(expires);
        }
        row
    }
}

impl Device {
    /// The bans in force now, as seen from a VDOM.
    pub(super) fn bans(&self, vdom: &str) -> Vec<&Ban> {
        let now = self.clock.now().timestamp();
        let apart = position(&self.switches, "ban-scope") == "vdom";
        self.banned
            .iter()
            .filter(|ban| ban.expires.is_none_or(|expires| expires > now))
            .filter(|ban| !apart || ban.vdom == vdom)
            .collect()
    }

    /// What a restart leaves of them.
    pub(super) fn bans_after_restart(&mut self) {
        match self.persistency.as_str() {
            "all" => {}
            "permanent-only" => self.banned.retain(|ban| ban.expires.is_none()),
            _ => self.banned.clear(),
        }
    }

    /// Everything below `user/banned`.
    pub(super) fn ban_call(&mut self, ask: &Ask, what: &str, vdom: &str) -> Reply {
        let old = self.profile.version < (7, 0, 0);
        let needed = if ask.method == "GET" {
            Right::Read
        } else {
            Right::Write
        };
        if !self.granted("authgrp", needed) {
            return self.forbidden(ask, vdom);
        }
        match (ask.method.as_str(), what) {
            ("GET", "select") => self.told_bans(ask, vdom),
            ("GET", "") if !old => self.told_bans(ask, vdom),
            ("GET", "check") if self.profile.version >= (7, 4, 0) => {
                let Some(address) = ask
                    .parameter("ip_address")
                    .and_then(|text| text.parse::<IpAddr>().ok())
                else {
                    return self.failed(ask, vdom, 424);
                };
                let banned = self
                    .bans(vdom)
                    .iter()
                    .any(|ban| ban.address == address && ban.source == "Administrative");
                let told = json!({ "ip_address": address, "is_banned": banned });
                self.told(ask, vdom, "user", "banned", "check", told)
            }
            ("POST", "add_users") => self.add_bans(ask, vdom),
            ("POST", "clear_users") => self.clear_bans(ask, vdom),
            ("POST", "clear_all") => {
                self.banned.clear();
                self.plain(ask, vdom, "clear_all")
            }
            (_, "" | "select" | "add_users" | "clear_users" | "clear_all")
                if !old || !what.is_empty() =>
            {
                self.failed(ask, vdom, 405)
            }
            _ => self.failed(ask, vdom, 404),
        }
    }

    fn told_bans(&self, ask: &Ask, vdom: &str) -> Reply {
        let rows = self.bans(vdom).iter().map(|ban| ban.told()).collect();
        self.told(ask, vdom, "user", "banned", "select", Json::Array(rows))
    }

    /// The envelope of a call that has no results.
    fn plain(&self, ask: &Ask, vdom: &str, action: &str) -> Reply {
        let mut body = self.report(ask, vdom, "user", "banned", action, Json::Null);
        body.remove("results");
        Reply::json(200, &Json::Object(body))
    }

    /// The addresses of a call; `None` where the call is refused for them.
    fn addresses(&self, body: &Json) -> Option<Vec<IpAddr>> {
        let strict = position(&self.switches, "ban-network") == "rejected";
        let mut addresses = Vec::new();
        for text in body.get("ip_addresses")?.as_array()? {
            match text.as_str()?.parse::<IpAddr>() {
                Ok(address) => addresses.push(address),
                Err(_) if strict => return None,
                Err(_) => {}
            }
        }
        Some(addresses)
    }

    fn add_bans(&mut self, ask: &Ask, vdom: &str) -> Reply {
        let body: Json = serde_json::from_slice(&ask.body).unwrap_or_default();
        let seconds = match body.get("expiry") {
            None => Some(0),
            Some(seconds) => seconds.as_i64().filter(|seconds| *seconds >= 0),
        };
        let (Some(addresses), Some(seconds)) = (self.addresses(&body), seconds) else {
            return self.failed(ask, vdom, 424);
        };
        let now = self.clock.now().timestamp();
        self.banned
            .retain(|ban| ban.expires.is_none_or(|expires| expires > now));
        let apart = position(&self.switches, "ban-scope") == "vdom";
        let policy = position(&self.switches, "ban-again");
        let here = |ban: &Ban| !apart || ban.vdom == vdom;
        let fresh = addresses
            .iter()
            .filter(|address| {
                !self
                    .banned
                    .iter()
                    .any(|ban| here(ban) && ban.address == **address)
            })
            .count();
        if self.banned.len() + fresh > self.ban_limit
            && position(&self.switches, "ban-overflow") == "refused"
        {
            return self.failed(ask, vdom, 424);
        }
        for address in addresses {
            let made = Ban {
                address,
                source: "Administrative",
                created: now,
                expires: (seconds > 0).then_some(now + seconds),
                vdom: vdom.to_owned(),
                by_hand: false,
            };
            let known = self
                .banned
                .iter()
                .position(|ban| here(ban) && ban.address == address);
            match (known, policy.as_str()) {
                (Some(_), "kept") => {}
                // Nobody can tell any more whose it was: a person's stays a person's.
                (Some(place), "replaced") => {
                    let by_hand = self.banned[place].by_hand;
                    self.banned[place] = Ban { by_hand, ..made };
                }
                _ if self.banned.len() >= self.ban_limit => {}
                _ => self.banned.push(made),
            }
        }
        self.plain(ask, vdom, "add_users")
    }

    fn clear_bans(&mut self, ask: &Ask, vdom: &str) -> Reply {
        let body: Json = serde_json::from_slice(&ask.body).unwrap_or_default();
        let Some(addresses) = self.addresses(&body) else {
            return self.failed(ask, vdom, 424);
        };
        let held = self.bans(vdom);
        let all_there = addresses
            .iter()
            .all(|address| held.iter().any(|ban| ban.address == *address));
        if !all_there && position(&self.switches, "ban-clear-missing") == "refused" {
            return self.failed(ask, vdom, 424);
        }
        let apart = position(&self.switches, "ban-scope") == "vdom";
        self.banned
            .retain(|ban| (apart && ban.vdom != vdom) || !addresses.contains(&ban.address));
        self.plain(ask, vdom, "clear_users")
    }
}

/// The address of a host.
pub(super) fn host(value: &Value) -> Option<IpAddr> {
    match value {
        Value::Ipv4(net) if net.prefix_len() == 32 => Some(net.network().into()),
        Value::Ipv6(net) if net.prefix_len() == 128 => Some(net.network().into()),
        _ => None,
    }
}

/// An administrator bans an address for ever; `false` if it is banned: nobody could tell two bans apart.
pub(super) fn by_hand(device: &mut Device, vdom: &str, value: &Value) -> bool {
    let Some(address) = host(value) else {
        return false;
    };
    if device.bans(vdom).iter().any(|ban| ban.address == address) {
        return false;
    }
    let created = device.clock.now().timestamp();
    device.banned.push(Ban {
        address,
        source: "Administrative",
        created,
        expires: None,
        vdom: vdom.to_owned(),
        by_hand: true,
    });
    true
}
