//! Transactions: writes that nobody else sees before they are committed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};

use super::device::Device;
use super::wire::{Ask, Reply, text_of};

/// How long a transaction lasts whose start does not say, in seconds.
const TIMEOUT: i64 = 60;

/// The transactions that are open.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// By VDOM and identifier.
    open: BTreeMap<(String, String), Transaction>,
    begun: u64,
}

#[derive(Debug)]
struct Transaction {
    until: DateTime<Utc>,
    /// What it wrote. Every request in it and its commit do this again on the configuration as it is
    /// then, so that what others write meanwhile stays.
    writes: Vec<Ask>,
}

impl Device {
    /// A call that begins or ends a transaction.
    pub(super) fn transaction_call(&mut self, ask: &Ask, vdom: &str) -> Reply {
        let body: Json = serde_json::from_slice(&ask.body).unwrap_or_default();
        let action = ask.parameter("action").unwrap_or_default();
        match (ask.method.as_str(), action) {
            ("POST", "transaction-start") => self.begin_transaction(ask, &body, vdom),
            ("POST", "transaction-commit" | "transaction-abort") => {
                let id = text_of(&body["transaction_id"]);
                let Some(transaction) = self.take_transaction(vdom, &id) else {
                    return self.failed(ask, vdom, 424);
                };
                if action == "transaction-commit" {
                    let before = self.vdom(vdom).cloned().unwrap_or_default();
                    if let Some(refusal) = self.write_again(&transaction.writes, vdom) {
                        self.vdoms.insert(vdom.to_owned(), before);
                        return refusal;
                    }
                }
                self.transaction_told(ask, vdom, Json::Null)
            }
            _ => Reply::html(404, "Not Found"),
        }
    }

    fn begin_transaction(&mut self, ask: &Ask, body: &Json, vdom: &str) -> Reply {
        let seconds = match body.get("timeout") {
            None => Some(TIMEOUT),
            Some(seconds) => seconds.as_i64().filter(|seconds| *seconds > 0),
        };
        // None begins within another.
        let (Some(seconds), None) = (seconds, &ask.transaction) else {
            return self.failed(ask, vdom, 424);
        };
        let transaction = Transaction {
            until: self.clock.now() + TimeDelta::seconds(seconds),
            writes: Vec::new(),
        };
        self.transactions.begun += 1;
        let id = self.transactions.begun;
        let place = (vdom.to_owned(), id.to_string());
        self.transactions.open.insert(place, transaction);
        self.transaction_told(ask, vdom, json!({ "transaction_id": id }))
    }

    /// A request in a transaction sees what that wrote before; what it writes itself waits for the commit.
    pub(super) fn in_transaction(&mut self, ask: &Ask, id: &str, vdom: &str) -> Reply {
        let Some(mut transaction) = self.take_transaction(vdom, id) else {
            return self.failed(ask, vdom, 424);
        };
        let before = self.vdom(vdom).cloned().unwrap_or_default();
        let reply = match self.write_again(&transaction.writes, vdom) {
            Some(refusal) => refusal,
            None => self.cmdb(ask, vdom),
        };
        self.vdoms.insert(vdom.to_owned(), before);
        if ask.method != "GET" && reply.status == 200 {
            transaction.writes.push(ask.clone());
        }
        let place = (vdom.to_owned(), id.to_owned());
        self.transactions.open.insert(place, transaction);
        reply
    }

    fn take_transaction(&mut self, vdom: &str, id: &str) -> Option<Transaction> {
        let now = self.clock.now();
        let open = &mut self.transactions.open;
        open.retain(|_, transaction| now < transaction.until);
        open.remove(&(vdom.to_owned(), id.to_owned()))
    }

    /// Does writes once more, up to the first that is refused by now.
    fn write_again(&mut self, writes: &[Ask], vdom: &str) -> Option<Reply> {
        writes
            .iter()
            .map(|write| self.cmdb(write, vdom))
            .find(|reply| reply.status != 200)
    }

    fn transaction_told(&self, ask: &Ask, vdom: &str, results: Json) -> Reply {
        let mut body = self.stamp(vdom);
        body.insert("http_method".to_owned(), json!(ask.method));
        body.insert("action".to_owned(), json!(ask.parameter("action")));
        body.insert("results".to_owned(), results);
        body.insert("status".to_owned(), json!("success"));
        body.insert("http_status".to_owned(), json!(200));
        Reply::json(200, &Json::Object(body))
    }
}
