//! A client that sends exactly the bytes it is told to, so that the fake is tested by something that knows
//! nothing of ours.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::Clock;
use sdk::connector::Environment;
use sdk::fake::{Fake, FakeOptions};
use sdk::indicator::{Kind, Value};
use sdk::target::{Outcome, Target, Write};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const ACCOUNT: &str = "225494730938493804";
pub(crate) const OTHER_ACCOUNT: &str = "225494730938493915";
pub(crate) const SITE: &str = "225494730938494001";
pub(crate) const OTHER_SITE: &str = "225494730938494002";
pub(crate) const GROUP: &str = "225494730938495001";
pub(crate) const IOCS: &str = "/web/api/v2.1/threat-intelligence/iocs";
pub(crate) const RESTRICTIONS: &str = "/web/api/v2.1/restrictions";

pub(crate) fn start_time() -> DateTime<Utc> {
    "2025-06-01T12:00:00Z".parse().unwrap()
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text))
    }

    pub(crate) fn code(&self) -> i64 {
        self.json()["errors"][0]["code"].as_i64().unwrap()
    }

    pub(crate) fn data(&self) -> Vec<Json> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["data"].as_array().unwrap().clone()
    }

    pub(crate) fn affected(&self) -> u64 {
        self.json()["data"]["affected"].as_u64().unwrap()
    }

    pub(crate) fn cursor(&self) -> Option<String> {
        self.json()["pagination"]["nextCursor"]
            .as_str()
            .map(str::to_owned)
    }

    pub(crate) fn total(&self) -> u64 {
        self.json()["pagination"]["totalItems"].as_u64().unwrap()
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
    let fake = sentinelone::fake::start(set(options)).await.unwrap();
    Lab { fake, clock }
}

impl Lab {
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> Reply {
        let address = self.fake.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        if let Some(authorization) = authorization {
            request.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        request.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (headers, text) = answer.split_once("\r\n\r\n").unwrap();
        Reply {
            status: headers.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: headers.to_lowercase(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn token(&self) -> String {
        self.fake.configuration["api_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A call with the token.
    pub(crate) async fn call(&self, method: &str, target: &str, body: Json) -> Reply {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let authorization = format!("ApiToken {}", self.token());
        self.send(method, target, Some(&authorization), &body).await
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.call("GET", target, Json::Null).await
    }

    /// Indicators of the account.
    pub(crate) async fn post(&self, data: Json) -> Reply {
        let body = json!({ "filter": { "accountIds": [ACCOUNT] }, "data": data });
        self.call("POST", IOCS, body).await
    }

    pub(crate) async fn iocs(&self) -> Vec<Json> {
        let target = format!("{IOCS}?accountIds={ACCOUNT}&limit=1000");
        self.get(&target).await.data()
    }

    pub(crate) async fn block(&self, data: Json) -> Reply {
        let body = json!({ "filter": { "accountIds": [ACCOUNT] }, "data": data });
        self.call("POST", RESTRICTIONS, body).await
    }

    pub(crate) async fn blocked(&self) -> Vec<Json> {
        let target = format!("{RESTRICTIONS}?accountIds={ACCOUNT}&tenant=false&limit=1000");
        self.get(&target).await.data()
    }

    pub(crate) fn days_pass(&self, days: i64) {
        self.clock.advance(TimeDelta::days(days));
    }

    /// The client's targets for a mechanism, with more configuration.
    pub(crate) fn targets(&self, mechanism: &str, more: Json) -> Vec<Arc<dyn Target>> {
        let mut configuration = self.fake.configuration.clone();
        configuration["mechanism"] = json!(mechanism);
        for (name, value) in more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let environment = Environment::new(self.clock.clone());
        (sentinelone::connector().targets)(configuration, &environment).unwrap()
    }

    /// The client's one target.
    pub(crate) fn target(&self, mechanism: &str) -> Arc<dyn Target> {
        let mut targets = self.targets(mechanism, json!({}));
        assert_eq!(targets.len(), 1);
        targets.remove(0)
    }
}

/// A good indicator.
pub(crate) fn ioc(kind: &str, value: &str) -> Json {
    json!({ "source": "tool", "type": kind, "value": value, "method": "EQUALS" })
}

/// A good blocklist entry for a SHA-1 of one byte.
pub(crate) fn hash(byte: &str, system: &str) -> Json {
    json!({ "type": "black_hash", "osType": system, "value": byte.repeat(20), "description": "by hand" })
}

pub(crate) fn with(mut row: Json, fields: &[(&str, Json)]) -> Json {
    for (name, value) in fields {
        row[*name] = value.clone();
    }
    row
}

pub(crate) fn without(mut row: Json, name: &str) -> Json {
    row.as_object_mut().unwrap().remove(name);
    row
}

pub(crate) fn sha1(byte: &str) -> Value {
    Value::parse(Kind::Sha1, &byte.repeat(20)).unwrap()
}

pub(crate) fn sha256(byte: &str) -> Value {
    Value::parse(Kind::Sha256, &byte.repeat(32)).unwrap()
}

/// An addition as the loop makes it, mark and all.
pub(crate) fn write(value: &Value) -> Write {
    write_until(value, None)
}

pub(crate) fn write_until(value: &Value, expires: Option<DateTime<Utc>>) -> Write {
    let owner = sdk::ownership::Owner::new("acme").unwrap();
    let note = sdk::ownership::Note {
        marks: vec![sdk::ownership::Mark::new(owner, None)],
        rest: "seen on Monday".to_owned(),
        ..Default::default()
    };
    Write {
        value: value.clone(),
        id: None,
        expires,
        note: note.write("main", value, 255).unwrap(),
        note_and_end_only: false,
        held_expires: None,
        held_note: None,
    }
}

pub(crate) fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Done => "done",
        Outcome::Rejected(_) => "rejected",
        Outcome::NotApplied(_) => "not applied",
        Outcome::Exists => "exists",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown(_) => "unknown",
    };
    outcomes.iter().map(name).collect()
}
