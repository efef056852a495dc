//! The monitor side: state, limits, feeds.

use serde_json::{Map, Value as Json, json};

use super::device::{Device, Right};
use super::wire::{Ask, Reply};

impl Device {
    pub(super) fn monitor(&mut self, ask: &Ask, rest: &[&str], vdom: &str) -> Reply {
        let path = rest.join("/");
        match (ask.method.as_str(), path.trim_end_matches('/')) {
            ("GET", "system/status") => self.told(
                ask,
                vdom,
                "system",
                "status",
                "select",
                json!({ "model_name": "FortiGate", "model_number": "VM64", "hostname": "edge" }),
            ),
            ("GET", "system/object/usage") => self.usage(ask, vdom),
            ("GET", "system/vdom-resource") => {
                if !self.granted("sysgrp", Right::Read) {
                    return self.forbidden(ask, vdom);
                }
                self.vdom_resource(ask, vdom)
            }
            (method, path) if path.starts_with("system/external-resource/") => {
                let needed = if method == "GET" {
                    Right::Read
                } else {
                    Right::Write
                };
                if !self.granted("sysgrp", needed) {
                    return self.forbidden(ask, vdom);
                }
                self.external_resource(ask, &path["system/external-resource/".len()..], vdom)
            }
            (_, path) if path == "user/banned" || path.starts_with("user/banned/") => {
                let what = path["user/banned".len()..]
                    .trim_start_matches('/')
                    .to_owned();
                self.ban_call(ask, &what, vdom)
            }
            (_, "system/status" | "system/object/usage" | "system/vdom-resource") => {
                self.failed(ask, vdom, 405)
            }
            _ => self.failed(ask, vdom, 404),
        }
    }

    /// A monitor answer: `action`, and no `http_status`.
    pub(super) fn told(
        &self,
        ask: &Ask,
        vdom: &str,
        path: &str,
        name: &str,
        action: &str,
        results: Json,
    ) -> Reply {
        Reply::json(
            200,
            &Json::Object(self.report(ask, vdom, path, name, action, results)),
        )
    }

    pub(super) fn report(
        &self,
        ask: &Ask,
        vdom: &str,
        path: &str,
        name: &str,
        action: &str,
        results: Json,
    ) -> Map<String, Json> {
        let mut body = self.stamp(vdom);
        body.insert("http_method".to_owned(), json!(ask.method));
        body.insert("results".to_owned(), results);
        body.insert("path".to_owned(), json!(path));
        body.insert("name".to_owned(), json!(name));
        body.insert("action".to_owned(), json!(action));
        body.insert("status".to_owned(), json!("success"));
        body
    }

    pub(super) fn failed(&self, ask: &Ask, vdom: &str, status: u16) -> Reply {
        let mut body = self.stamp(vdom);
        body.insert("http_method".to_owned(), json!(ask.method));
        body.insert("status".to_owned(), json!("error"));
        body.insert("http_status".to_owned(), json!(status));
        Reply::json(status, &Json::Object(body))
    }

    pub(super) fn forbidden(&self, ask: &Ask, vdom: &str) -> Reply {
        self.failed(ask, vdom, 403)
    }

    fn usage(&self, ask: &Ask, vdom: &str) -> Reply {
        let (Some(path), Some(name), Some(mkey)) = (
            ask.parameter("q_path"),
            ask.parameter("q_name"),
            ask.parameter("mkey"),
        ) else {
            return self.failed(ask, vdom, 424);
        };
        let users: Vec<Json> = self
            .vdom(vdom)
            .map(|held| held.tables.users(&format!("{path}/{name}"), mkey))
            .unwrap_or_default()
            .into_iter()
            .map(|(table, name, attribute)| {
                let (path, table) = table.split_once('/').unwrap_or((&table, ""));
                json!({ "path": path, "name": table, "mkey": name, "attribute": attribute, "vdom": vdom })
            })
            .collect();
        self.told(
            ask,
            vdom,
            "system",
            "object",
            "usage",
            json!({ "currently_using": users }),
        )
    }

    fn vdom_resource(&self, ask: &Ask, vdom: &str) -> Reply {
        let block = |table: &str, most: usize| {
            let used = self
                .vdom(vdom)
                .map_or(0, |held| held.tables.table(table).len());
            json!({
                "global_max": most, "custom_max": 0, "guaranteed": 0,
                "current_usage": used,
                "usage_percentage": (used * 100).checked_div(most).unwrap_or(0),
            })
        };
        let most = self.vdom(vdom).map_or(0, |held| held.tables.address_limit);
        self.told(
            ask,
            vdom,
            "system",
            "vdom-resource",
            "select",
            json!({
                "firewall-address": block("firewall/address", most),
                "firewall-addrgrp": block("firewall/addrgrp", 2_500),
            }),
        )
    }

    fn external_resource(&mut self, ask: &Ask, what: &str, vdom: &str) -> Reply {
        match (ask.method.as_str(), what) {
            ("GET", "entry-list") => self.list_entries(ask, vdom),
            ("POST", "dynamic") if self.profile.has_push() => self.dynamic(ask, vdom),
            ("POST", "refresh") => self.refresh(ask, vdom),
            (_, "entry-list" | "dynamic" | "refresh")
                if what != "dynamic" || self.profile.has_push() =>
            {
                self.failed(ask, vdom, 405)
            }
            _ => self.failed(ask, vdom, 404),
        }
    }

    fn list_entries(&self, ask: &Ask, vdom: &str) -> Reply {
        let Some(feed) = ask.parameter("mkey") else {
            return self.failed(ask, vdom, 424);
        };
        let brief = ask.parameter("status_only") == Some("true");
        let start = ask.number("start").unwrap_or(0);
        let Some((results, matched, next)) =
            self.entry_list(vdom, feed, start, ask.number("count"), brief)
        else {
            return self.failed(ask, vdom, 404);
        };
        let mut body = self.report(
            ask,
            vdom,
            "system",
            "external-resource",
            "entry-list",
            results,
        );
        body.insert("size".to_owned(), json!(matched));
        body.insert("matched_count".to_owned(), json!(matched));
        body.insert("next_idx".to_owned(), json!(next));
        Reply::json(200, &Json::Object(body))
    }

    fn dynamic(&mut self, ask: &Ask, vdom: &str) -> Reply {
        let Ok(body) = serde_json::from_slice::<Json>(&ask.body) else {
            return self.failed(ask, vdom, 424);
        };
        let Some(commands) = body.get("commands").and_then(Json::as_array) else {
            return self.failed(ask, vdom, 424);
        };
        if commands.iter().any(|command| !command.is_object()) {
            return self.failed(ask, vdom, 400);
        }
        let switches = self.switches.clone();
        let results: Vec<Json> = commands
            .iter()
            .map(|command| self.push(vdom, command, &switches))
            .collect();
        self.told(
            ask,
            vdom,
            "system",
            "external-resource",
            "dynamic",
            Json::Array(results),
        )
    }
}
