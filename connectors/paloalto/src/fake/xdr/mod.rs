//! A fake Cortex XDR tenant: the block list of hashes and the IOC rules.
//!
//! Settings:
//!
//! | name | what | default |
//! |---|---|---|
//! | `xdr_licence` | `pro`, `prevent` (no IOC rules) or `none` | `pro` |
//! | `xdr_role` | `full`, `no-blocklist`, `no-ioc` or `no-ioc-write` | `full` |
//! | `xdr_allow_list` | hashes on the allow list | none |
//! | `xdr_iocs` | IOC rules that somebody made, as the tenant lists them | none |
//! | `xdr_ioc_calls` | whether the tenant lists and deletes IOC rules by API | `true` |
//! | `xdr_ioc_comments` | whether its list shows comments: `all`, `none`, or `written` alone | `all` |
//! | `xdr_body_limit` | most bytes in a request | 5 MiB |

mod blocklist;
mod gate;
mod ioc;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use sdk::fake::{FakeEntry, FakeOptions, FakeState, Switch};
use sdk::indicator::{Kind, Value};
use sdk::{Clock, Error, Result};
use serde_json::{Map, Value as Json, json};

use super::Part;
use blocklist::HashList;
use gate::Gate;
use ioc::Rules;

/// Its settings.
pub(super) const SETTINGS: &[&str] = &[
    "xdr_licence",
    "xdr_role",
    "xdr_allow_list",
    "xdr_iocs",
    "xdr_ioc_calls",
    "xdr_ioc_comments",
    "xdr_body_limit",
];

const fn switch(
    name: &'static str,
    about: &'static str,
    positions: &'static [&'static str],
    harshest: &'static str,
) -> Switch {
    Switch {
        name,
        about,
        positions,
        harshest,
    }
}

const KEY_KIND: Switch = switch(
    "xdr_key_kind",
    "security level of the API key (7.1)",
    &["advanced", "standard"],
    "advanced",
);
const ERROR_STATUS: Switch = switch(
    "xdr_error_status",
    "whether a refusal has its status in HTTP or comes with a 200 (conformance 64)",
    &["http", "200"],
    "200",
);
const HEALTHCHECK: Switch = switch(
    "xdr_healthcheck",
    "whether the tenant has the call (not in the vendor file)",
    &["there", "missing"],
    "missing",
);
const SUCCESS: Switch = switch(
    "xdr_success_body",
    "what the block list says on success (7.2, conformance 68)",
    &["reply-true", "bare-true", "reply-1", "object"],
    "bare-true",
);
const DETAILS: Switch = switch(
    "xdr_detailed_response",
    "whether the block list heeds `detailed_response` (7.2)",
    &["heeded", "ignored"],
    "ignored",
);
const ABSENT: Switch = switch(
    "xdr_remove_absent",
    "what taking off only absent hashes gives (7.2, conformance 69)",
    &["500", "success"],
    "500",
);
const BAD_GROUP: Switch = switch(
    "xdr_bad_group",
    "status for a group with something that is no SHA-256 (conformance 65)",
    &["400", "500"],
    "500",
);
const TOO_MANY: Switch = switch(
    "xdr_too_many",
    "status for more than 100 hashes (conformance 71)",
    &["413", "400"],
    "413",
);
const COUNT: Switch = switch(
    "xdr_objects_count",
    "whether `objects_count` is the total or the page's",
    &["total", "page"],
    "page",
);
const SEARCH_TO: Switch = switch(
    "xdr_search_to",
    "whether the entry at `search_to` is on the page",
    &["exclusive", "inclusive"],
    "inclusive",
);
const ORDER: Switch = switch(
    "xdr_ioc_order",
    "the order of the IOC list",
    &["oldest-first", "newest-first"],
    "newest-first",
);
const UPSERT: Switch = switch(
    "xdr_upsert",
    "what happens to fields left out when an IOC is inserted again (7.3)",
    &["cleared", "kept"],
    "cleared",
);
const DISABLED: Switch = switch(
    "xdr_disabled_ioc",
    "what inserting a disabled IOC again gives (7.3, conformance 76)",
    &["already-exists", "stays-disabled"],
    "already-exists",
);
const NO_EXPIRY: Switch = switch(
    "no_expiry_token",
    "how an IOC without end is written (7.3)",
    &["-1", "Never"],
    "Never",
);
const IOC_BATCH: Switch = switch(
    "xdr_ioc_batch",
    "most IOCs in one call (7.3)",
    &["1000", "4"],
    "4",
);

/// Its switches, for every mechanism.
pub(super) const SWITCHES: &[Switch] = &[
    KEY_KIND,
    ERROR_STATUS,
    HEALTHCHECK,
    SUCCESS,
    DETAILS,
    ABSENT,
    BAD_GROUP,
    TOO_MANY,
    COUNT,
    SEARCH_TO,
    ORDER,
    UPSERT,
    DISABLED,
    NO_EXPIRY,
    IOC_BATCH,
];

/// The switches that concern a mechanism.
pub(super) fn switches(mechanism: &str) -> Vec<Switch> {
    let own = if mechanism == "xdr-blocklist" {
        &SWITCHES[3..8]
    } else {
        &SWITCHES[8..]
    };
    [&SWITCHES[..3], own].concat()
}

/// Makes it. `key` is the API key that it takes.
pub(super) fn part(options: &FakeOptions, key: &str) -> Result<Part> {
    let at = |switch: &Switch| options.switches.get(switch);
    let word = |name: &str, default: &str, known: &[&str]| -> Result<String> {
        let word = options.setting(name, default.to_owned())?;
        if known.contains(&word.as_str()) {
            return Ok(word);
        }
        Err(Error::input(format!("setting {name:?} of the fake"))
            .hint(format!("one of {}", known.join(", "))))
    };
    let advanced = at(&KEY_KIND) == "advanced";
    let gate = Gate {
        key: key.to_owned(),
        key_id: "17".to_owned(),
        advanced,
        nonces: std::collections::HashSet::new(),
        licence: word("xdr_licence", "pro", &["pro", "prevent", "none"])?,
        role: word(
            "xdr_role",
            "full",
            &["full", "no-blocklist", "no-ioc", "no-ioc-write"],
        )?,
        body_limit: options.setting("xdr_body_limit", 5 << 20)?,
        errors_in_200: at(&ERROR_STATUS) == "200",
    };
    let hashes = HashList {
        allowed: options.setting("xdr_allow_list", std::collections::BTreeSet::new())?,
        success: at(&SUCCESS),
        details: at(&DETAILS) == "heeded",
        absent_fails: at(&ABSENT) == "500",
        bad_group: at(&BAD_GROUP).parse().unwrap_or(400),
        too_many: at(&TOO_MANY).parse().unwrap_or(413),
        ..HashList::default()
    };
    let mut rules = Rules {
        counts_all: at(&COUNT) == "total",
        inclusive: at(&SEARCH_TO) == "inclusive",
        newest_first: at(&ORDER) == "newest-first",
        keeps: at(&UPSERT) == "kept",
        disabled_exists: at(&DISABLED) == "already-exists",
        never: at(&NO_EXPIRY),
        most: at(&IOC_BATCH).parse().unwrap_or(1000),
        comments: word("xdr_ioc_comments", "all", &["all", "written", "none"])?,
        ..Rules::default()
    };
    for seed in options.setting::<Vec<Map<String, Json>>>("xdr_iocs", Vec::new())? {
        rules.seed(seed);
    }
    let tenant = Arc::new(Tenant {
        clock: options.clock.clone(),
        healthcheck: at(&HEALTHCHECK) == "there",
        ioc_calls: options.setting("xdr_ioc_calls", true)?,
        world: Mutex::new(World {
            gate,
            hashes,
            rules,
        }),
    });
    let router = Router::new()
        .route("/public_api/{*path}", any(answer))
        .with_state(Arc::clone(&tenant));
    let mut configuration = Map::new();
    configuration.insert("api_key_id".to_owned(), json!("17"));
    configuration.insert("advanced_api_key".to_owned(), json!(advanced));
    Ok(Part {
        router,
        state: tenant,
        configuration,
    })
}

struct World {
    gate: Gate,
    hashes: HashList,
    rules: Rules,
}

struct Tenant {
    clock: Clock,
    healthcheck: bool,
    ioc_calls: bool,
    world: Mutex<World>,
}

/// A status and a JSON body.
type Reply = (u16, Json);

/// An error as this API tells it. What `err_extra` is differs.
fn error(status: u16, message: &str, extra: Option<Json>) -> Reply {
    let mut reply = json!({ "err_code": status, "err_msg": message });
    if let (Some(fields), Some(extra)) = (reply.as_object_mut(), extra) {
        fields.insert("err_extra".to_owned(), extra);
    }
    (status, json!({ "reply": reply }))
}

fn bad(extra: &str) -> Reply {
    error(400, "Bad Request. Got an invalid JSON.", Some(json!(extra)))
}

async fn answer(
    State(tenant): State<Arc<Tenant>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (status, json) = tenant.handle(&method, uri.path(), &headers, &body);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        json.to_string(),
    )
        .into_response()
}

impl Tenant {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Reply {
        let mut world = self.world();
        let world = &mut *world;
        let now = self.clock.now();
        if let Err(refusal) = world.gate.identify(headers, now) {
            return refusal;
        }
        let call = path
            .trim_start_matches("/public_api/v1/")
            .trim_end_matches('/');
        if call == "healthcheck" && self.healthcheck {
            return match *method {
                Method::GET => (200, json!({ "status": "available" })),
                _ => error(405, "Method not allowed", None),
            };
        }
        let known = match call {
            "hash_exceptions/blocklist"
            | "hash_exceptions/blocklist/remove"
            | "indicators/insert_jsons" => true,
            "indicators/get" | "indicators/delete" => self.ioc_calls,
            _ => false,
        };
        if !known {
            return error(404, "Not found", None);
        }
        if *method != Method::POST {
            return error(405, "Method not allowed", None);
        }
        if let Err(refusal) = world.gate.admit(call, body) {
            return refusal;
        }
        let is_json = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
        let parsed = serde_json::from_slice::<Map<String, Json>>(body);
        let (Ok(body), true) = (parsed, is_json) else {
            return bad("an object with request_data is expected");
        };
        let reply = match call {
            "hash_exceptions/blocklist" => world.hashes.add(&body),
            "hash_exceptions/blocklist/remove" => world.hashes.take_off(&body),
            "indicators/insert_jsons" => world.rules.insert(&body, now),
            "indicators/get" => world.rules.get(&body, now),
            _ => world.rules.delete(&body, now),
        };
        match reply {
            (400.., json) if world.gate.errors_in_200 => (200, json),
            reply => reply,
        }
    }
}

/// The fields of a request, none of which may be unknown.
fn fields<'a>(
    found: &'a Map<String, Json>,
    known: &[&str],
) -> std::result::Result<&'a Map<String, Json>, Reply> {
    match found.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(bad(&format!("Got also the field: {key}"))),
        None => Ok(found),
    }
}

impl FakeState for Tenant {
    fn switches(&self) -> Vec<Switch> {
        SWITCHES.to_vec()
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        let mut world = self.world();
        match mechanism {
            "xdr-blocklist" => world.hashes.entries(),
            _ => world.rules.entries(self.clock.now()),
        }
    }

    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool {
        let mut world = self.world();
        match (mechanism, value.kind()) {
            ("xdr-blocklist", Kind::Sha256) => world.hashes.block_by_hand(&value.to_string()),
            ("xdr-ioc", Kind::Url | Kind::Sha1) => false,
            ("xdr-ioc", kind) => {
                world
                    .rules
                    .add_by_hand(kind, &value.to_string(), self.clock.now())
            }
            _ => false,
        }
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
        let mut world = self.world();
        match mechanism {
            "xdr-blocklist" => world.hashes.unblock_by_hand(&value.to_string()),
            _ => world.rules.remove_by_hand(&value.to_string()),
        }
    }

    fn expire_sessions(&self) {}

    fn set_capacity(&self, _: usize) {}
}
