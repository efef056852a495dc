//! Threat feeds that the device pulls. The web server in between is left out: the fake reads the published
//! file itself.

use serde_json::{Value as Json, json};

use super::device::Device;
use super::feed::{Line, is_comment};
use super::profile::position;
use super::wire::{Ask, Reply};

/// Where the published lists are, as the device's administrator wrote it.
pub(super) const SERVER: &str = "https://lists.example/";
/// How long a pull takes, in seconds.
const TAKES: i64 = 3;
/// A clock that stands still does not stop a pull: it ends after so many questions.
const QUESTIONS: u32 = 3;
/// Largest file of old firmware, and of the smallest models of new.
const LARGEST: [usize; 2] = [10 << 20, 32 << 20];

/// How one feed's pulls went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pull {
    /// When the last one ended, in epoch seconds.
    pub(super) last: i64,
    /// When the one that is under way began.
    pub(super) started: Option<i64>,
    /// How often somebody asked for it.
    pub(super) asked: u32,
    /// The HTTP status of the last one, if it failed.
    pub(super) failure: Option<u16>,
}

impl Device {
    /// Ends the pulls whose time has come, asked for or due.
    pub(super) fn pull_what_is_due(&mut self) {
        let now = self.clock.now().timestamp();
        let mut due = Vec::new();
        for (vdom, held) in &self.vdoms {
            for row in held.tables.table("system/external-resource") {
                let pull = held.pulls.get(row.name()).copied().unwrap_or_default();
                // Of other servers the fake knows nothing: a pull from there changes nothing.
                let elsewhere = !row.text("resource").starts_with(SERVER);
                if row.text("status") == "disable" || elsewhere && pull.started.is_none() {
                    continue;
                }
                let minutes = row
                    .fields
                    .get("refresh-rate")
                    .and_then(Json::as_i64)
                    .unwrap_or(5);
                let asked = pull
                    .started
                    .is_some_and(|started| now >= started + TAKES || pull.asked >= QUESTIONS);
                if asked || now >= pull.last + minutes * 60 {
                    due.push((
                        vdom.clone(),
                        row.name().to_owned(),
                        row.text("resource").to_owned(),
                        row.text("type").to_owned(),
                    ));
                }
            }
        }
        for (vdom, feed, resource, kind) in due {
            let elsewhere = !resource.starts_with(SERVER);
            let fetched = self.fetch(&resource, &kind);
            let Some(held) = self.vdoms.get_mut(&vdom) else {
                continue;
            };
            let failure = match fetched {
                _ if elsewhere => None,
                Ok(lines) => {
                    held.feeds.0.insert(feed.clone(), lines);
                    None
                }
                // The last list stays.
                Err(status) => Some(status),
            };
            let done = Pull {
                last: now,
                failure,
                ..Pull::default()
            };
            held.pulls.insert(feed, done);
        }
    }

    /// The lines of a published list, or the HTTP status of the failure.
    fn fetch(&self, resource: &str, kind: &str) -> Result<Vec<Line>, u16> {
        if self.server_down {
            return Err(503);
        }
        let name = resource.strip_prefix(SERVER).ok_or(404_u16)?;
        let folder = self.published.as_ref().ok_or(404_u16)?;
        let text = std::fs::read_to_string(folder.join(name)).map_err(|_| 404_u16)?;
        let most = LARGEST[usize::from(self.profile.shares_quota())];
        if text.len() > most {
            return Err(413);
        }
        let lines: Vec<Line> = text
            .lines()
            .filter(|line| !is_comment(line))
            .map(|line| Line::new(kind, line.trim(), false))
            .collect();
        if lines.is_empty() && position(&self.switches, "pull-empty") == "refused" {
            return Err(200);
        }
        Ok(lines)
    }

    /// `refresh`.
    pub(super) fn refresh(&mut self, ask: &Ask, vdom: &str) -> Reply {
        let body: Json = serde_json::from_slice(&ask.body).unwrap_or_default();
        let Some(name) = body.get("mkey").and_then(Json::as_str).map(str::to_owned) else {
            return self.failed(ask, vdom, 424);
        };
        let row = self
            .vdom(vdom)
            .and_then(|held| held.tables.row("system/external-resource", &name));
        let Some(row) = row else {
            return self.failed(ask, vdom, 404);
        };
        if row.text("update-method") == "push" {
            return self.failed(ask, vdom, 424);
        }
        let now = self.clock.now().timestamp();
        let only_check = body.get("check_status_only").and_then(Json::as_bool) == Some(true);
        let told = position(&self.switches, "pull-failure") == "refresh";
        let Some(held) = self.vdoms.get_mut(vdom) else {
            return self.failed(ask, vdom, 404);
        };
        let pull = held.pulls.entry(name).or_default();
        let status = match (only_check, pull.started, pull.failure) {
            (false, ..) => {
                (pull.started, pull.asked) = (Some(now), 0);
                "start"
            }
            (true, Some(_), _) => {
                pull.asked += 1;
                "pending"
            }
            (true, None, Some(_)) if told => "error",
            (true, None, _) => "finished",
        };
        let results = json!({ "status": status, "last_connection_time": pull.last });
        self.told(ask, vdom, "system", "external-resource", "refresh", results)
    }
}
