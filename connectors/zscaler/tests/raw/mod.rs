//! A client that sends exactly the bytes it is told to, and whole runs of the connector against the same
//! fake.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::Clock;
use sdk::connector::Environment;
use sdk::fake::{Fake, FakeOptions};
use sdk::indicator::{Indicator, Kind, Value};
use sdk::report::Report;
use sdk::store::{MemoryStore, Store};
use sdk::sync::{Context, Member, Read, Readings, TargetGroup, sync_readings};
use sdk::target::Target;
use sdk::testing::builders::{deployment, indicator, reading};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const DENYLIST: &str = "/api/v1/security/advanced";
pub(crate) const ADD: &str = "/api/v1/security/advanced/blacklistUrls?action=ADD_TO_LIST";
pub(crate) const REMOVE: &str = "/api/v1/security/advanced/blacklistUrls?action=REMOVE_FROM_LIST";
pub(crate) const CATEGORIES: &str = "/api/v1/urlCategories";

pub(crate) fn start_time() -> DateTime<Utc> {
    sdk::testing::builders::start()
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: String,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .headers
            .lines()
            .find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim())
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A fake, its clock, a store, and a session.
pub(crate) struct Lab {
    pub(crate) fake: Fake,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cookie: String,
}

pub(crate) async fn lab(switches: &[(&str, &str)], settings: &[(&str, Json)]) -> Lab {
    let clock = Clock::manual(start_time());
    let mut options = FakeOptions::plain(clock.clone());
    for (name, position) in switches {
        options.switches = options.switches.with(name, position);
    }
    for (name, value) in settings {
        options = options.set(name, value.clone());
    }
    let fake = zscaler::fake::start(options).await.unwrap();
    Lab {
        fake,
        clock,
        store: Arc::new(MemoryStore::default()),
        cookie: String::new(),
    }
}

/// The same, logged in.
pub(crate) async fn session(switches: &[(&str, &str)], settings: &[(&str, Json)]) -> Lab {
    let mut lab = lab(switches, settings).await;
    lab.cookie = lab.log_in().await;
    lab
}

/// The API key as the vendor's documents scramble it.
pub(crate) fn scramble(key: &str, timestamp: i64) -> String {
    let last = format!("{:06}", timestamp % 1_000_000);
    let half = format!("{:06}", (timestamp % 1_000_000) >> 1);
    let key: Vec<char> = key.chars().collect();
    let place = |digit: char| digit.to_digit(10).unwrap() as usize;
    let first = last.chars().map(|digit| key[place(digit)]);
    first
        .chain(half.chars().map(|digit| key[place(digit) + 2]))
        .collect()
}

impl Lab {
    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let address = self.fake.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (headers, text) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = headers.split(' ').nth(1);
        Reply {
            status: status.map_or(0, |status| status.parse().unwrap()),
            headers: headers.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The body of a login.
    pub(crate) fn credentials(&self, timestamp: i64) -> Json {
        let configuration = &self.fake.configuration;
        json!({
            "username": configuration["username"],
            "password": configuration["password"],
            "apiKey": scramble(configuration["api_key"].as_str().unwrap(), timestamp),
            "timestamp": timestamp,
        })
    }

    pub(crate) async fn login(&self, body: &Json) -> Reply {
        let json = [("Content-Type", "application/json")];
        let body = body.to_string();
        self.send("POST", "/api/v1/authenticatedSession", &json, &body)
            .await
    }

    pub(crate) async fn log_in(&self) -> String {
        let now = self.clock.now().timestamp_millis();
        let reply = self.login(&self.credentials(now)).await;
        let cookie = reply.header("set-cookie").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A call at this very instant.
    pub(crate) async fn now(&self, method: &str, target: &str, body: &Json) -> Reply {
        let headers = [
            ("Content-Type", "application/json"),
            ("Cookie", self.cookie.as_str()),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, target, &headers, &body).await
    }

    /// A call slow enough for the rate windows.
    pub(crate) async fn call(&self, method: &str, target: &str, body: Json) -> Reply {
        self.advance(2);
        self.now(method, target, &body).await
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.call("GET", target, Json::Null).await
    }

    pub(crate) async fn add(&self, urls: &[&str]) -> Reply {
        self.call("POST", ADD, json!({ "blacklistUrls": urls }))
            .await
    }

    pub(crate) async fn denylist(&self) -> Vec<String> {
        texts(&self.get(DENYLIST).await.json()["blacklistUrls"])
    }

    /// Makes a category and gives its id.
    pub(crate) async fn category(&self, name: &str, urls: &[&str]) -> String {
        let body = json!({ "configuredName": name, "superCategory": "USER_DEFINED", "urls": urls });
        let reply = self.call("POST", CATEGORIES, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn activate(&self) {
        self.call("POST", "/api/v1/status/activate", Json::Null)
            .await;
        self.advance(10);
    }

    /// Whether the proxy lets a URL through.
    pub(crate) async fn blocks(&self, url: &str) -> bool {
        let target = format!("/fake/verdict?url={url}");
        self.send("GET", &target, &[], "").await.json()["blocked"] == true
    }

    /// Another administrator's change that is not activated.
    pub(crate) async fn stage_foreign(&self, entry: &str) {
        let target = format!("/fake/stage?entry={entry}");
        assert_eq!(self.send("POST", &target, &[], "").await.status, 204);
    }

    pub(crate) fn enforced(&self, mechanism: &str) -> Vec<String> {
        let entries = self.fake.state.enforced(mechanism);
        let mut values: Vec<String> = entries
            .iter()
            .map(|entry| entry.value.to_string())
            .collect();
        values.sort();
        values
    }

    /// The connector's targets, as a new process would make them.
    pub(crate) fn targets(&self, more: Json) -> Vec<Arc<dyn Target>> {
        let mut configuration = self.fake.configuration.clone();
        for (name, value) in more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let environment = Environment::new(self.clock.clone());
        (zscaler::connector().targets)(configuration, &environment).unwrap()
    }

    pub(crate) fn target(&self, more: Json) -> Arc<dyn Target> {
        self.targets(more).remove(0)
    }

    /// One run by a new process.
    pub(crate) async fn run(
        &self,
        more: Json,
        with_store: bool,
        include: Vec<Indicator>,
        exclude: Vec<Indicator>,
    ) -> Report {
        let members = self.targets(more).into_iter().map(|target| Member {
            target,
            kinds: Vec::new(),
        });
        let group = TargetGroup {
            name: "proxy".to_owned(),
            members: members.collect(),
        };
        let mut deployment = deployment("lab", 1, 1);
        deployment.guard.removals_floor = usize::MAX;
        deployment.guard.revocations_floor = usize::MAX;
        deployment.guard.additions_floor = usize::MAX;
        let read = |name: &str, indicators: Vec<Indicator>| Read {
            remembered: true,
            name: name.to_owned(),
            result: Ok(reading(name, indicators)),
        };
        let readings = Readings {
            include: vec![read("lab-include-0", include)],
            exclude: vec![read("lab-exclude-0", exclude)],
            protect: Vec::new(),
        };
        let mut context = Context::new(Environment::new(self.clock.clone()));
        context.store = with_store.then(|| Arc::clone(&self.store));
        sync_readings(&deployment, readings, &group, &context).await
    }

    /// One run with a store that wants these domains.
    pub(crate) async fn sync(&self, more: Json, wanted: &[&str]) -> Report {
        self.run(more, true, domains(wanted), Vec::new()).await
    }
}

pub(crate) fn domains(names: &[&str]) -> Vec<Indicator> {
    names
        .iter()
        .map(|name| indicator(&domain(name)).build())
        .collect()
}

pub(crate) fn domain(name: &str) -> Value {
    Value::parse(Kind::Domain, name).unwrap()
}

pub(crate) fn texts(list: &Json) -> Vec<String> {
    let mut texts: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}
