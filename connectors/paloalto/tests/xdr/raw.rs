//! A client that sends exactly what it is told to, so that the fake is tested by something that knows nothing of
//! ours.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use sdk::Clock;
use sdk::fake::{Fake, FakeOptions};
use sdk::testing::builders;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(super) const BLOCK: &str = "hash_exceptions/blocklist/";
pub(super) const UNBLOCK: &str = "hash_exceptions/blocklist/remove/";
pub(super) const INSERT: &str = "indicators/insert_jsons/";
pub(super) const GET: &str = "indicators/get";
pub(super) const DELETE: &str = "indicators/delete";

static NONCES: AtomicU64 = AtomicU64::new(0);

/// One answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) json: Json,
}

impl Reply {
    /// `err_extra` as text.
    pub(super) fn extra(&self) -> String {
        self.json["reply"]["err_extra"].to_string()
    }

    pub(super) fn rows(&self) -> &[Json] {
        self.json["objects"].as_array().unwrap()
    }

    pub(super) fn errors(&self) -> &[Json] {
        assert_eq!(self.json["reply"]["success"], true);
        self.json["reply"]["validation_errors"].as_array().unwrap()
    }
}

/// A fake and its clock.
pub(super) struct Lab {
    pub(super) fake: Fake,
    pub(super) clock: Clock,
}

pub(super) async fn lab(switches: &[(&str, &str)]) -> Lab {
    lab_with(switches, |options| options).await
}

pub(super) async fn lab_with(
    switches: &[(&str, &str)],
    set: impl FnOnce(FakeOptions) -> FakeOptions,
) -> Lab {
    let clock = Clock::manual(builders::start());
    let mut options = FakeOptions::plain(clock.clone());
    for (name, position) in switches {
        options.switches = options.switches.with(name, position);
    }
    let fake = paloalto::fake::start(set(options)).await.unwrap();
    Lab { fake, clock }
}

impl Lab {
    pub(super) fn key(&self) -> &str {
        self.fake.configuration["api_key"].as_str().unwrap()
    }

    pub(super) async fn send(
        &self,
        method: &str,
        call: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let address = self.fake.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request = format!(
            "{method} /public_api/v1/{call} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n"
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            json: serde_json::from_str(text).unwrap(),
        }
    }

    /// The headers of an advanced key.
    pub(super) fn signed(&self, nonce: &str, milliseconds: i64) -> Vec<(String, String)> {
        let whole = format!("{}{nonce}{milliseconds}", self.key());
        let hash = digest::digest(&digest::SHA256, whole.as_bytes());
        let hex: String = hash.as_ref().iter().map(|it| format!("{it:02x}")).collect();
        [
            ("x-xdr-auth-id", "17"),
            ("x-xdr-nonce", nonce),
            ("x-xdr-timestamp", &milliseconds.to_string()),
            ("authorization", &hex),
            ("content-type", "application/json"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    pub(super) async fn with(&self, headers: &[(String, String)], call: &str, body: Json) -> Reply {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.send("POST", call, &headers, &body.to_string()).await
    }

    /// A call with an advanced key.
    pub(super) async fn post(&self, call: &str, body: Json) -> Reply {
        let nonce = format!("{:064}", NONCES.fetch_add(1, Ordering::Relaxed));
        let headers = self.signed(&nonce, self.clock.now().timestamp_millis());
        self.with(&headers, call, body).await
    }

    pub(super) async fn hashes(&self, call: &str, hashes: &[String]) -> Reply {
        self.post(call, json!({ "request_data": { "hash_list": hashes } }))
            .await
    }

    pub(super) async fn insert(&self, rows: Json) -> Reply {
        self.post(INSERT, json!({ "request_data": rows, "validate": true }))
            .await
    }

    pub(super) async fn page(&self, data: Json) -> Reply {
        self.post(GET, json!({ "request_data": data })).await
    }

    pub(super) async fn delete(&self, filters: Json) -> Reply {
        self.post(DELETE, json!({ "request_data": { "filters": filters } }))
            .await
    }

    pub(super) fn stopped(&self) -> Vec<String> {
        let entries = self.fake.state.enforced("xdr-blocklist");
        entries
            .iter()
            .map(|entry| entry.value.to_string())
            .collect()
    }

    pub(super) fn watched(&self) -> Vec<String> {
        let entries = self.fake.state.enforced("xdr-ioc");
        entries
            .iter()
            .map(|entry| entry.value.to_string())
            .collect()
    }
}

pub(super) fn hash(number: usize) -> String {
    format!("{number:064x}")
}

/// A good row.
pub(super) fn ioc(indicator: &str, sort: &str) -> Json {
    json!({ "indicator": indicator, "type": sort, "severity": "HIGH" })
}

pub(super) fn with(mut row: Json, name: &str, value: Json) -> Json {
    row[name] = value;
    row
}
