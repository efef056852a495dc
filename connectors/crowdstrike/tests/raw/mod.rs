//! A client that sends exactly the bytes it is told to, so that the fake is tested by something that knows
//! nothing of ours.

use chrono::{DateTime, TimeDelta, Utc};
use sdk::Clock;
use sdk::fake::{Fake, FakeOptions};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const ENTITIES: &str = "/iocs/entities/indicators/v1";
pub(crate) const SEARCH: &str = "/iocs/queries/indicators/v1";
pub(crate) const COMBINED: &str = "/iocs/combined/indicator/v1";

pub(crate) fn start_time() -> DateTime<Utc> {
    "2025-06-01T12:00:00Z".parse().unwrap()
}

/// Percent-encodes everything that could mean something in a query.
pub(crate) fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
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

    pub(crate) fn message(&self) -> String {
        self.json()["errors"][0]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn resources(&self) -> Vec<Json> {
        self.json()["resources"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        let id = |resource: &Json| {
            resource
                .as_str()
                .or_else(|| resource["id"].as_str())
                .unwrap()
                .to_owned()
        };
        self.resources().iter().map(id).collect()
    }

    pub(crate) fn total(&self) -> u64 {
        self.json()["meta"]["pagination"]["total"].as_u64().unwrap()
    }

    pub(crate) fn after(&self) -> Option<String> {
        self.json()["meta"]["pagination"]["after"]
            .as_str()
            .map(str::to_owned)
    }
}

/// A fake, its clock, and a token.
pub(crate) struct Lab {
    pub(crate) fake: Fake,
    pub(crate) clock: Clock,
    pub(crate) token: String,
}

pub(crate) fn options(clock: &Clock, switches: &[(&str, &str)]) -> FakeOptions {
    let mut options = FakeOptions::plain(clock.clone());
    for (name, position) in switches {
        options.switches = options.switches.with(name, position);
    }
    options
}

pub(crate) async fn lab(switches: &[(&str, &str)]) -> Lab {
    lab_with(switches, |options| options).await
}

pub(crate) async fn lab_with(
    switches: &[(&str, &str)],
    set: impl FnOnce(FakeOptions) -> FakeOptions,
) -> Lab {
    let clock = Clock::manual(start_time());
    let fake = crowdstrike::fake::start(set(options(&clock, switches)))
        .await
        .unwrap();
    let mut lab = Lab {
        fake,
        clock,
        token: String::new(),
    };
    let login = lab.login("").await;
    if login.status == 201 {
        login.json()["access_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut lab.token);
    }
    lab
}

impl Lab {
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
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(request.as_bytes()).await.unwrap();
        // A gateway may answer and hang up before it has read everything.
        let _ = stream.write_all(body.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        // A connection that broke before the answer has status 0.
        let (headers, text) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = headers
            .split(' ')
            .nth(1)
            .map_or(0, |status| status.parse().unwrap());
        Reply {
            status,
            headers: headers.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(crate) async fn login(&self, more: &str) -> Reply {
        let configuration = &self.fake.configuration;
        let field = |name: &str| encode(configuration[name].as_str().unwrap());
        let form = format!(
            "client_id={}&client_secret={}{more}",
            field("client_id"),
            field("client_secret")
        );
        self.form("/oauth2/token", &form).await
    }

    pub(crate) async fn form(&self, path: &str, form: &str) -> Reply {
        self.send(
            "POST",
            path,
            &[("Content-Type", "application/x-www-form-urlencoded")],
            form,
        )
        .await
    }

    /// A call with the token.
    pub(crate) async fn call(&self, method: &str, target: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        self.send(
            method,
            target,
            &[
                ("Authorization", &bearer),
                ("Content-Type", "application/json"),
            ],
            body,
        )
        .await
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.call("GET", target, "").await
    }

    pub(crate) async fn create(&self, rows: Json) -> Reply {
        self.call("POST", ENTITIES, &json!({ "indicators": rows }).to_string())
            .await
    }

    pub(crate) async fn patch(&self, body: Json) -> Reply {
        self.call("PATCH", ENTITIES, &body.to_string()).await
    }

    pub(crate) async fn search(&self, filter: &str) -> Reply {
        self.get(&format!("{SEARCH}?filter={}", encode(filter)))
            .await
    }

    pub(crate) async fn by_id(&self, id: &str) -> Reply {
        self.get(&format!("{ENTITIES}?ids={id}")).await
    }

    pub(crate) async fn delete(&self, id: &str) -> Reply {
        self.call("DELETE", &format!("{ENTITIES}?ids={id}"), "")
            .await
    }

    /// Creates one row and returns its id.
    pub(crate) async fn one(&self, row: Json) -> String {
        let reply = self.create(json!([row])).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.ids().remove(0)
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }
}

/// A good row for a SHA-256 made of a number.
pub(crate) fn hash(number: usize) -> Json {
    json!({
        "type": "sha256", "value": format!("{number:064x}"), "action": "prevent", "severity": "high",
        "platforms": ["windows", "mac", "linux"], "applied_globally": true, "source": "test",
    })
}

/// A good row for a domain.
pub(crate) fn domain(name: &str) -> Json {
    with(
        hash(0),
        &[
            ("type", json!("domain")),
            ("value", json!(name)),
            ("action", json!("detect")),
        ],
    )
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
