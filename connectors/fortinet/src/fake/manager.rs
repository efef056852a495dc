//! A fake FortiManager in front of the fake firewalls: sessions, the lock of the ADOM, objects that act once
//! they are installed, tasks, and the proxy to the firewalls' own API. HTTP says 200 whatever happens.

mod inventory;
mod objects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::Clock;
use sdk::fake::Switches;
use serde_json::{Value as Json, json};

use super::profile::{Profile, position};
use super::table::Tables;
use super::wire::{Ask, Reply};
use super::{Shared, lock};

/// A session without calls ends after this time, and its lock with it.
const IDLE: TimeDelta = TimeDelta::minutes(5);
/// How long an install takes.
const INSTALL: TimeDelta = TimeDelta::seconds(20);
/// A clock that stands still does not stop an install: it ends after so many questions.
const QUESTIONS: u32 = 3;

/// A refusal: its code and words.
type Refusal = (i64, &'static str);

const DENIED: Refusal = (-11, "No permission for the resource");
const BAD_URL: Refusal = (-6, "Invalid url");
const BAD_DATA: Refusal = (-10, "The data is invalid for selected url");
const MISSING: Refusal = (-3, "Object does not exist");

/// What the administrator set `workspace-mode` to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disabled,
    Normal,
    Workflow,
}

/// A running install.
#[derive(Clone, Debug)]
struct Task {
    began: DateTime<Utc>,
    /// Whoever began it: it fails if the session ends before it does.
    session: String,
    scope: Vec<(String, String)>,
    /// How often somebody asked for it.
    asked: u32,
    done: bool,
    errors: u64,
}

/// The manager.
pub(super) struct Manager {
    pub(super) clock: Clock,
    pub(super) switches: Switches,
    pub(super) profile: Profile,
    pub(super) adom: String,
    pub(super) package: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) token: String,
    /// `rpc-permit`.
    pub(super) permit: String,
    pub(super) mode: Mode,
    pub(super) devices: Vec<(String, Shared)>,
    /// Firewalls that do not answer.
    pub(super) offline: Vec<String>,
    /// Firewalls whose configuration is not what the manager has of it.
    pub(super) out_of_sync: Vec<String>,
    /// The package that the firewalls have.
    pub(super) assigned: String,
    /// Whether the user may read about itself.
    pub(super) sees_users: bool,
    /// Whether the policies that name our groups deny.
    pub(super) policies_deny: bool,
    /// Errors of every install.
    pub(super) install_errors: u64,
    /// What is committed.
    pub(super) tables: Tables,
    /// What the holder of the lock edits.
    draft: Option<Tables>,
    holder: Option<String>,
    sessions: BTreeMap<String, DateTime<Utc>>,
    opened: u64,
    tasks: Vec<Task>,
}

impl Manager {
    #[expect(clippy::too_many_arguments, reason = "what an administrator sets up")]
    pub(super) fn new(
        clock: &Clock,
        switches: &Switches,
        profile: Profile,
        devices: Vec<(String, Shared)>,
        tables: Tables,
        mode: Mode,
        permit: String,
        serial: u64,
    ) -> Self {
        Self {
            clock: clock.clone(),
            switches: switches.clone(),
            profile,
            adom: "campus".to_owned(),
            package: "edge".to_owned(),
            user: "cordon".to_owned(),
            password: format!("Zr8-manager-{serial}"),
            token: format!("Kq5-token-{serial}"),
            permit,
            mode,
            devices,
            offline: Vec::new(),
            out_of_sync: Vec::new(),
            assigned: "edge".to_owned(),
            sees_users: true,
            policies_deny: true,
            install_errors: 0,
            tables,
            draft: None,
            holder: None,
            sessions: BTreeMap::new(),
            opened: 0,
            tasks: Vec::new(),
        }
    }

    /// Ends all sessions, and with them the lock and what was not committed.
    pub(super) fn end_sessions(&mut self) {
        self.sessions.clear();
        self.release();
    }

    fn release(&mut self) {
        self.holder = None;
        self.draft = None;
    }

    /// An administrator changes what is committed, and what somebody is editing with it.
    pub(super) fn by_hand(&mut self, mut act: impl FnMut(&mut Tables) -> bool) -> bool {
        if let Some(draft) = &mut self.draft {
            act(draft);
        }
        act(&mut self.tables)
    }

    /// Answers one request.
    pub(super) fn handle(&mut self, ask: &Ask) -> Reply {
        if ask.path != ["jsonrpc"] {
            return Reply::html(404, "Not Found");
        }
        if ask.method != "POST" {
            return Reply::html(405, "Method Not Allowed");
        }
        let Ok(body) = serde_json::from_slice::<Json>(&ask.body) else {
            return Reply::json(
                200,
                &json!({ "id": null, "result": [told("", (-32_700, "Parse error"))] }),
            );
        };
        self.let_time_pass();
        let method = body
            .get("method")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let id = body.get("id").cloned().unwrap_or_default();
        let parameters = match body.get("params").and_then(Json::as_array) {
            Some(parameters) if !parameters.is_empty() => parameters.clone(),
            _ => return Reply::json(200, &json!({ "id": id, "result": [told("", BAD_DATA)] })),
        };
        let url = |parameter: &Json| {
            let url = parameter
                .get("url")
                .and_then(Json::as_str)
                .unwrap_or_default();
            url.trim_matches('/').to_owned()
        };
        if method == "exec" && url(&parameters[0]) == "sys/login/user" {
            return self.login(&id, &parameters[0]);
        }
        let session = match ask.bearer.as_deref() {
            Some(token) if token == self.token => Some("token".to_owned()),
            _ => body
                .get("session")
                .and_then(Json::as_str)
                .filter(|session| self.sessions.contains_key(*session))
                .map(str::to_owned),
        };
        let Some(session) = session else {
            let result: Vec<Json> = parameters
                .iter()
                .map(|parameter| told(&url(parameter), DENIED))
                .collect();
            return Reply::json(200, &json!({ "id": id, "result": result }));
        };
        self.sessions.insert(session.clone(), self.clock.now());
        let result: Vec<Json> = parameters
            .iter()
            .map(|parameter| {
                let url = url(parameter);
                match self.part(&session, method, &url, parameter) {
                    Ok(data) if data.is_null() => told(&url, (0, "OK")),
                    Ok(data) => {
                        let mut part = told(&url, (0, "OK"));
                        part["data"] = data;
                        part
                    }
                    Err(refusal) => told(&url, refusal),
                }
            })
            .collect();
        Reply::json(
            200,
            &json!({ "id": id, "session": session, "result": result }),
        )
    }

    fn login(&mut self, id: &Json, parameter: &Json) -> Reply {
        let data = match parameter.get("data") {
            Some(Json::Array(rows)) => rows.first().cloned().unwrap_or_default(),
            Some(data) => data.clone(),
            None => Json::Null,
        };
        let given = |field: &str| data.get(field).and_then(Json::as_str).unwrap_or_default();
        let good = given("user") == self.user && given("passwd") == self.password;
        if !good || self.permit == "none" {
            let refusal = if good { DENIED } else { (-22, "Login fail") };
            return Reply::json(
                200,
                &json!({ "id": id, "result": [told("sys/login/user", refusal)] }),
            );
        }
        self.opened += 1;
        let session = format!("s{:08}-{:016x}", self.opened, self.opened * 0x9E37_79B9);
        self.sessions.insert(session.clone(), self.clock.now());
        Reply::json(
            200,
            &json!({ "id": id, "result": [told("sys/login/user", (0, "OK"))], "session": session }),
        )
    }

    fn let_time_pass(&mut self) {
        let now = self.clock.now();
        self.sessions
            .retain(|session, last| session == "token" || now - *last < IDLE);
        if let Some(holder) = &self.holder
            && holder != "token"
            && !self.sessions.contains_key(holder)
        {
            self.release();
        }
        for number in 0..self.tasks.len() {
            let task = self.tasks[number].clone();
            if task.done {
                continue;
            }
            if task.session != "token" && !self.sessions.contains_key(&task.session) {
                self.tasks[number].done = true;
                self.tasks[number].errors = 1;
            } else if now - task.began >= INSTALL || task.asked >= QUESTIONS {
                let mut errors = self.install_errors;
                for (device, vdom) in &task.scope {
                    if !self.installs(device, vdom) {
                        errors += 1;
                    }
                }
                self.tasks[number].done = true;
                self.tasks[number].errors = errors;
            }
        }
    }

    fn part(
        &mut self,
        session: &str,
        method: &str,
        url: &str,
        parameter: &Json,
    ) -> Result<Json, Refusal> {
        let segments = split(url);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let data = parameter.get("data");
        match (method, segments.as_slice()) {
            ("get", ["cli", "global", "system", "global"]) => Ok(json!({
                "workspace-mode": match self.mode {
                    Mode::Disabled => "disabled",
                    Mode::Normal => "normal",
                    Mode::Workflow => "workflow",
                },
            })),
            ("exec", ["sys", "logout"]) => {
                self.sessions.remove(session);
                if self.holder.as_deref() == Some(session) {
                    self.release();
                }
                Ok(Json::Null)
            }
            (_, ["dvmdb", "adom", adom, "workspace", verb]) if *adom == self.adom => {
                self.workspace(session, method, verb)
            }
            (_, ["pm", "config", "adom", adom, "obj", "firewall", rest @ ..])
                if *adom == self.adom =>
            {
                self.object(session, method, rest, parameter)
            }
            ("exec", ["securityconsole", "install", "package"]) => {
                self.may_write()?;
                self.begin_install(session, data.ok_or(BAD_DATA)?)
            }
            ("get", ["task", "task", number]) => {
                let number: usize = number.parse().map_err(|_| BAD_URL)?;
                let task = number
                    .checked_sub(1)
                    .and_then(|place| self.tasks.get_mut(place))
                    .ok_or(MISSING)?;
                task.asked += 1;
                let percent = if task.done { 100 } else { 40 };
                Ok(
                    json!({ "id": number, "percent": percent, "num_err": task.errors, "num_done": 0 }),
                )
            }
            ("exec", ["sys", "proxy", "json"]) => self.relay(data.ok_or(BAD_DATA)?),
            ("get", ["cli" | "dvmdb" | "pm", ..]) => self.inventory(&segments),
            _ => Err(BAD_URL),
        }
    }

    fn may_write(&self) -> Result<(), Refusal> {
        if self.permit == "read-write" {
            Ok(())
        } else {
            Err(DENIED)
        }
    }

    fn workspace(&mut self, session: &str, method: &str, verb: &str) -> Result<Json, Refusal> {
        if self.mode == Mode::Disabled {
            return Err((-9, "The ADOM is not in workspace mode"));
        }
        match (method, verb) {
            ("get", "lockinfo") => Ok(match &self.holder {
                Some(_) => json!([{ "lock_user": self.user }]),
                None => Json::Null,
            }),
            ("exec", "lock") => {
                self.may_write()?;
                let mine = self.holder.as_deref() == Some(session);
                if mine && position(&self.switches, "manager-relock") == "granted" {
                    return Ok(Json::Null);
                }
                if self.holder.is_some() {
                    return Err((-20_055, "Workspace is locked"));
                }
                self.holder = Some(session.to_owned());
                self.draft = Some(self.tables.clone());
                Ok(Json::Null)
            }
            ("exec", "commit") => {
                self.needs_lock(session)?;
                if let Some(draft) = &self.draft {
                    self.tables = draft.clone();
                }
                Ok(Json::Null)
            }
            ("exec", "unlock") => {
                self.needs_lock(session)?;
                self.release();
                Ok(Json::Null)
            }
            _ => Err(BAD_URL),
        }
    }

    fn needs_lock(&self, session: &str) -> Result<(), Refusal> {
        match self.mode {
            Mode::Workflow => Err((-20_020, "No permission in workflow mode")),
            Mode::Normal if self.holder.as_deref() != Some(session) => {
                Err((-10_147, "no write permission"))
            }
            Mode::Normal | Mode::Disabled => Ok(()),
        }
    }

    fn begin_install(&mut self, session: &str, data: &Json) -> Result<Json, Refusal> {
        let text = |field: &str| data.get(field).and_then(Json::as_str).unwrap_or_default();
        if text("adom") != self.adom || text("pkg") != self.package {
            return Err(MISSING);
        }
        let rows = data.get("scope").and_then(Json::as_array).ok_or(BAD_DATA)?;
        let mut scope = Vec::new();
        for row in rows {
            let name = row.get("name").and_then(Json::as_str).ok_or(BAD_DATA)?;
            // Without its VDOM it is the name of a group, and there is none.
            let vdom = row.get("vdom").and_then(Json::as_str).ok_or(MISSING)?;
            if !self.devices.iter().any(|(device, _)| device == name) {
                return Err(MISSING);
            }
            scope.push((name.to_owned(), vdom.to_owned()));
        }
        self.tasks.push(Task {
            began: self.clock.now(),
            session: session.to_owned(),
            scope,
            asked: 0,
            done: false,
            errors: 0,
        });
        Ok(json!({ "task": self.tasks.len() }))
    }

    /// Brings one firewall to what is committed. What it has and the manager does not know goes.
    fn installs(&self, name: &str, vdom: &str) -> bool {
        let device = self.devices.iter().find(|(device, _)| device == name);
        let Some((_, device)) = device.filter(|_| !self.offline.iter().any(|off| off == name))
        else {
            return false;
        };
        let mut device = lock(device);
        let Some(held) = device.vdoms.get_mut(vdom) else {
            return false;
        };
        let unused = position(&self.switches, "manager-unused") == "left-out";
        for table in objects::TABLES {
            let rows = self.tables.table(table).to_vec();
            let rows = rows
                .into_iter()
                .filter(|row| !unused || self.tables.is_used(table, row.name()))
                .collect();
            held.tables.rows.insert(table.to_owned(), rows);
        }
        true
    }

    fn relay(&mut self, data: &Json) -> Result<Json, Refusal> {
        let action = data.get("action").and_then(Json::as_str).ok_or(BAD_DATA)?;
        let resource = data
            .get("resource")
            .and_then(Json::as_str)
            .ok_or(BAD_DATA)?;
        let method = match action {
            "get" | "post" | "put" | "delete" => action.to_uppercase(),
            _ => return Err(BAD_DATA),
        };
        if method != "GET" {
            self.may_write()?;
        }
        let body = data.get("payload").map(Json::to_string).unwrap_or_default();
        let targets = data
            .get("target")
            .and_then(Json::as_array)
            .ok_or(BAD_DATA)?;
        let mut answers = Vec::new();
        for target in targets {
            let target = target.as_str().ok_or(BAD_DATA)?;
            let name = target
                .strip_prefix(&format!("adom/{}/device/", self.adom))
                .ok_or(MISSING)?;
            let (_, device) = self
                .devices
                .iter()
                .find(|(device, _)| device == name)
                .ok_or(MISSING)?;
            if self.offline.iter().any(|off| off == name) {
                let status = json!({ "code": -1, "message": "device is offline" });
                answers.push(json!({ "target": name, "status": status }));
                continue;
            }
            let mut device = lock(device);
            let key = format!("Bearer {}", device.key);
            let headers = [("Authorization", key.as_str())];
            let reply = device.handle(&Ask::new(&method, resource, &headers, body.as_bytes()));
            let response: Json = serde_json::from_str(&reply.body)
                .unwrap_or_else(|_| json!({ "status": "error", "http_status": reply.status }));
            let status = json!({ "code": 0, "message": "OK" });
            answers.push(json!({ "target": name, "response": response, "status": status }));
        }
        Ok(Json::Array(answers))
    }
}

fn told(url: &str, (code, message): Refusal) -> Json {
    json!({ "url": format!("/{url}"), "status": { "code": code, "message": message } })
}

/// The parts of an address: a slash after a backslash is no separator.
fn split(url: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = url.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                if let (Some(next), Some(last)) = (letters.next(), parts.last_mut()) {
                    last.push(next);
                }
            }
            '/' => parts.push(String::new()),
            other => {
                if let Some(last) = parts.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    parts
}

/// The fake's manager, shared.
pub(super) type SharedManager = Arc<std::sync::Mutex<Manager>>;
