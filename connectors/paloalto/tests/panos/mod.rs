//! PAN-OS: the fake's conformance by the numbers of the vendor file, the client against the fake, attempts at injection,
//! what whole runs cost, and the vendor's own Python client.

mod attacks;
mod client;
mod configuration;
mod conformance;
mod lists;
mod objects;
mod official;
mod pair;
mod panorama;
mod publisher;
mod rest;
mod turns;
mod whole;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::Clock;
use sdk::connector::Environment;
use sdk::fake::{Fake, FakeOptions};
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Facts, Held, Outcome, Removal, Scope, Target, Write};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Path of the first virtual system.
pub(crate) const VSYS: &str =
    "/config/devices/entry[@name='localhost.localdomain']/vsys/entry[@name='vsys1']";

/// The other administrator, as HTTP Basic.
const ANA: &str = "Basic YW5hOkNvcnJlY3QmSG9yc2UrMSU=";

pub(crate) fn start_time() -> DateTime<Utc> {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn has(&self, part: &str) -> bool {
        self.text.contains(part)
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.text.matches(part).count()
    }
}

/// A fake and its clock.
pub(crate) struct Lab {
    pub(crate) fake: Fake,
    pub(crate) clock: Clock,
}

pub(crate) async fn lab(switches: &[(&str, &str)]) -> Lab {
    lab_with(switches, |options| options).await
}

pub(crate) async fn lab_with(
    switches: &[(&str, &str)],
    set: impl FnOnce(FakeOptions) -> FakeOptions,
) -> Lab {
    let clock = Clock::manual(start_time());
    let mut options = FakeOptions::plain(clock.clone());
    for (name, position) in switches {
        options.switches = options.switches.with(name, position);
    }
    let fake = paloalto::fake::start(set(options)).await.unwrap();
    Lab { fake, clock }
}

impl Lab {
    pub(crate) fn key(&self) -> &str {
        self.fake.configuration["api_key"]
            .as_str()
            .unwrap_or_default()
    }

    /// Sends a request as it is told to.
    pub(crate) async fn raw(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Reply {
        let host = self.fake.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply {
            status,
            text: text.to_owned(),
        }
    }

    /// A form with our key.
    pub(crate) async fn ask(&self, fields: &[(&str, &str)]) -> Reply {
        let headers = format!("x-pan-key: {}\r\n", self.key());
        self.raw("POST", "/api/", &headers, form(fields).as_bytes())
            .await
    }

    /// A form of the other administrator.
    pub(crate) async fn ana(&self, fields: &[(&str, &str)]) -> Reply {
        let headers = format!("authorization: {ANA}\r\n");
        self.raw("POST", "/api/", &headers, form(fields).as_bytes())
            .await
    }

    pub(crate) async fn op(&self, command: &str) -> Reply {
        self.ask(&[("type", "op"), ("cmd", command)]).await
    }

    /// Registers and unregisters as the other administrator.
    pub(crate) async fn message(&self, payload: &str) -> Reply {
        self.ana(&[("type", "user-id"), ("cmd", &message(payload))])
            .await
    }

    pub(crate) async fn table(&self) -> Reply {
        self.op("<show><object><registered-ip><all/></registered-ip></object></show>")
            .await
    }

    pub(crate) async fn change(&self, action: &str, path: &str, element: &str) -> Reply {
        let xpath = format!("{VSYS}{path}");
        let fields = [
            ("type", "config"),
            ("action", action),
            ("xpath", &xpath),
            ("element", element),
        ];
        self.ask(&fields).await
    }

    pub(crate) async fn ana_changes(&self, action: &str, path: &str, element: &str) -> Reply {
        let xpath = format!("{VSYS}{path}");
        let fields = [
            ("type", "config"),
            ("action", action),
            ("xpath", &xpath),
            ("element", element),
        ];
        self.ana(&fields).await
    }

    pub(crate) async fn read(&self, action: &str, path: &str) -> Reply {
        let xpath = format!("{VSYS}{path}");
        self.ask(&[("type", "config"), ("action", action), ("xpath", &xpath)])
            .await
    }

    pub(crate) async fn commit(&self, command: &str) -> Reply {
        self.ask(&[("type", "commit"), ("cmd", command)]).await
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// What a device has no call for.
    pub(crate) async fn told(&self) -> Json {
        let reply = self.raw("GET", "/fake", "", b"").await;
        serde_json::from_str(&reply.text).unwrap()
    }

    pub(crate) async fn blocks(&self, value: &str) -> bool {
        let query: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let reply = self
            .raw("GET", &format!("/fake/blocked?value={query}"), "", b"")
            .await;
        reply.text.trim() == "true"
    }

    /// The targets of a mechanism.
    pub(crate) fn targets(&self, more: Json) -> Vec<Arc<dyn Target>> {
        let mut configuration = self.fake.configuration.clone();
        for (name, value) in more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let environment = Environment::new(self.clock.clone());
        (paloalto::connector().targets)(configuration, &environment).unwrap()
    }

    pub(crate) fn target(&self, mechanism: &str) -> Arc<dyn Target> {
        self.targets(json!({ "mechanism": mechanism })).remove(0)
    }

    /// A target that is open and has listed.
    pub(crate) async fn ready(&self, mechanism: &str) -> (Arc<dyn Target>, Facts, Vec<Held>) {
        let target = self.target(mechanism);
        let facts = target.open().await.unwrap();
        let held = target.list(Scope::All).await.unwrap();
        (target, facts, held)
    }
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

pub(crate) fn message(payload: &str) -> String {
    format!("<uid-message><type>update</type><payload>{payload}</payload></uid-message>")
}

pub(crate) fn entry(address: &str, tags: &[&str]) -> String {
    let members: String = tags
        .iter()
        .map(|tag| format!("<member>{tag}</member>"))
        .collect();
    format!("<entry ip=\"{address}\"><tag>{members}</tag></entry>")
}

pub(crate) fn ipv4(text: &str) -> Value {
    Value::parse(Kind::Ipv4, text).unwrap()
}

pub(crate) fn write(value: Value, days: i64) -> Write {
    Write {
        value,
        id: None,
        expires: Some(start_time() + TimeDelta::days(days)),
        note: "cordon:1;main;acme;-;abc123".to_owned(),
        held_expires: None,
        held_note: None,
        note_and_end_only: false,
    }
}

pub(crate) fn removal(held: &Held) -> Removal {
    Removal {
        id: held.id.clone(),
        value: held.value.clone(),
    }
}

pub(crate) async fn add(target: &dyn Target, writes: &[Write]) {
    let outcomes = target.apply(Batch::Add(writes)).await;
    let done = outcomes
        .iter()
        .all(|outcome| matches!(outcome, Outcome::Done));
    assert!(done, "{outcomes:?}");
}

pub(crate) fn all_done(outcomes: &[Outcome]) -> bool {
    outcomes
        .iter()
        .all(|outcome| matches!(outcome, Outcome::Done))
}
