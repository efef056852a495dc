//! The hash lists.

use std::collections::{BTreeMap, BTreeSet};

use sdk::fake::FakeEntry;
use sdk::indicator::{Kind, Value};
use serde_json::{Map, Value as Json, json};

use super::{Reply, bad, error, fields};

/// Hashes in one call.
const MOST: usize = 100;

/// The block list and the allow list.
#[derive(Default)]
pub(super) struct HashList {
    pub(super) blocked: BTreeMap<String, Blocked>,
    pub(super) allowed: BTreeSet<String>,
    pub(super) success: String,
    pub(super) details: bool,
    pub(super) absent_fails: bool,
    pub(super) bad_group: u16,
    pub(super) too_many: u16,
}

pub(super) struct Blocked {
    comment: String,
    by_hand: bool,
}

/// What a request asks for.
struct Asked {
    hashes: Vec<String>,
    comment: String,
    detailed: bool,
}

const PROBLEM: &str = "An error occurred while processing XDR public API";

impl HashList {
    fn read(&self, body: &Map<String, Json>) -> Result<Asked, Reply> {
        let body = fields(body, &["request_data"])?;
        let data = body
            .get("request_data")
            .and_then(Json::as_object)
            .ok_or_else(|| bad("request_data is missing"))?;
        let data = fields(
            data,
            &["hash_list", "comment", "incident_id", "detailed_response"],
        )?;
        let comment = match data.get("comment") {
            None => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(_) => return Err(bad("comment is not a string")),
        };
        if data.get("incident_id").is_some_and(|id| !id.is_u64()) {
            return Err(bad("incident_id is not an integer"));
        }
        let detailed = match data.get("detailed_response") {
            None => false,
            Some(Json::Bool(detailed)) => *detailed,
            Some(_) => return Err(bad("detailed_response is not a boolean")),
        };
        let list = data
            .get("hash_list")
            .and_then(Json::as_array)
            .filter(|list| !list.is_empty())
            .ok_or_else(|| bad("hash_list is missing"))?;
        // Conformance 71.
        if list.len() > MOST {
            return Err(error(
                self.too_many,
                "Too many hashes",
                Some(json!({ "most": MOST })),
            ));
        }
        // Conformance 65: one that is no SHA-256 spoils the group; case does not matter.
        let mut hashes = Vec::new();
        for hash in list {
            match hash.as_str() {
                Some(hash) if hash.len() == 64 && hash.bytes().all(|it| it.is_ascii_hexdigit()) => {
                    hashes.push(hash.to_ascii_lowercase());
                }
                _ => {
                    return Err(error(
                        self.bad_group,
                        PROBLEM,
                        Some(json!(format!("not a valid SHA256: {hash}"))),
                    ));
                }
            }
        }
        Ok(Asked {
            hashes,
            comment,
            detailed,
        })
    }

    /// Conformance 66 to 68.
    pub(super) fn add(&mut self, body: &Map<String, Json>) -> Reply {
        let asked = match self.read(body) {
            Ok(asked) => asked,
            Err(refusal) => return refusal,
        };
        let listed = |hash: &String| self.blocked.contains_key(hash) || self.allowed.contains(hash);
        let (excluded, added): (Vec<String>, Vec<String>) =
            asked.hashes.into_iter().partition(listed);
        if added.is_empty() {
            return error(
                500,
                PROBLEM,
                Some(json!(
                    "All hashes have already been added to the allow or block list"
                )),
            );
        }
        for hash in &added {
            let entry = Blocked {
                comment: asked.comment.clone(),
                by_hand: false,
            };
            self.blocked.insert(hash.clone(), entry);
        }
        if self.success == "object" || (asked.detailed && self.details) {
            let lists = json!({ "added_hashes": added, "excluded_hashes": excluded });
            return (200, json!({ "reply": lists }));
        }
        self.succeeded()
    }

    /// Conformance 69.
    pub(super) fn take_off(&mut self, body: &Map<String, Json>) -> Reply {
        let asked = match self.read(body) {
            Ok(asked) => asked,
            Err(refusal) => return refusal,
        };
        let before = self.blocked.len();
        for hash in &asked.hashes {
            self.blocked.remove(hash);
        }
        if self.blocked.len() == before && self.absent_fails {
            return error(500, PROBLEM, None);
        }
        self.succeeded()
    }

    fn succeeded(&self) -> Reply {
        let body = match self.success.as_str() {
            "bare-true" => json!(true),
            "reply-1" => json!({ "reply": 1 }),
            _ => json!({ "reply": true }),
        };
        (200, body)
    }

    pub(super) fn entries(&self) -> Vec<FakeEntry> {
        let stopped = self
            .blocked
            .iter()
            .filter(|(hash, _)| !self.allowed.contains(*hash));
        stopped
            .filter_map(|(hash, entry)| {
                Some(FakeEntry {
                    value: Value::parse(Kind::Sha256, hash).ok()?,
                    foreign: entry.by_hand,
                    text: entry.comment.clone(),
                })
            })
            .collect()
    }

    pub(super) fn block_by_hand(&mut self, hash: &str) -> bool {
        if self.blocked.contains_key(hash) || self.allowed.contains(hash) {
            return false;
        }
        let entry = Blocked {
            comment: "blocked in the console".to_owned(),
            by_hand: true,
        };
        self.blocked.insert(hash.to_owned(), entry);
        true
    }

    pub(super) fn unblock_by_hand(&mut self, hash: &str) -> bool {
        self.blocked.remove(hash).is_some()
    }
}
