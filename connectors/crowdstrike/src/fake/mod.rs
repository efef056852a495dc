//! A stateful Falcon for trying things out: written from the vendor's documented and observed behaviour,
//! sharing nothing with the client. What is not known is a switch.
//!
//! Settings: `capacity`, `calls_per_minute`, `scopes` (`["read", "write"]`), `children` (customer ids of
//! a parent), `home_region` and `redirect_host` (a client of another region), `address_blocked`,
//! `mobile`, `without_action`, `foreign` (seeds entries of others), `client_id`, `client_secret`.

mod filter;
mod gate;
mod routes;
mod seeds;
mod store;
mod switches;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use sdk::fake::{Fake, FakeEntry, FakeOptions, FakeState, Server, Switch};
use sdk::indicator::{Kind, Value};
use sdk::{Clock, Error, Result};
use serde_json::{Value as Json, json};

use gate::{Ask, Login, Passage, Reply, Settings, World};
use routes::Service;
use store::Row;
use switches::{Positions, SWITCHES};
use validate::Product;

/// Seconds after its end at which the record of an entry changes, where that is late.
const LATE_FLIP_SECONDS: i64 = 120;
/// Entries that one customer may have.
const CAPACITY: usize = 1_000_000;
/// Calls per minute of one customer.
const CALLS_PER_MINUTE: usize = 6_000;
const CLIENT_ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
const CLIENT_SECRET: &str = "FakeFalconSecretOfExactlyFortyCharacters";

/// Starts the fake.
///
/// # Errors
/// An unknown switch, position or setting; a port that is taken.
pub async fn start(options: FakeOptions) -> Result<Fake> {
    let positions = Positions::new(&options.switches)?;
    let (settings, capacity, foreign) = read_settings(&options.settings, &positions)?;
    let falcon = Arc::new(Falcon {
        clock: options.clock.clone(),
        world: Mutex::new(World::new(capacity)),
        positions,
        settings,
        answered: Mutex::new(0),
    });
    if foreign {
        falcon
            .world()
            .customers
            .entry(String::new())
            .or_default()
            .seed(falcon.clock.now());
    }
    let router = Router::new()
        .fallback(handle)
        .with_state(Arc::clone(&falcon));
    let server = Server::start(router, &options.clock, options.transport, options.port).await?;
    let mut configuration = json!({
        "base_url": server.url,
        "client_id": falcon.settings.login.id,
        "client_secret": falcon.settings.login.secret,
    });
    if let Some(pem) = &server.ca_pem {
        configuration["ca_pem"] = json!(pem);
    }
    Ok(Fake {
        server,
        configuration,
        state: falcon,
    })
}

/// Settings, capacity, and whether entries of others are there from the start.
fn read_settings(
    given: &BTreeMap<String, Json>,
    positions: &Positions,
) -> Result<(Settings, usize, bool)> {
    let mut settings = Settings {
        login: Login {
            id: CLIENT_ID.to_owned(),
            secret: CLIENT_SECRET.to_owned(),
            read: true,
            write: true,
        },
        children: Vec::new(),
        home_region: None,
        redirect_host: None,
        address_blocked: false,
        calls_per_minute: CALLS_PER_MINUTE,
        product: Product {
            mobile: false,
            actions: vec!["no_action", "allow", "detect", "prevent", "prevent_no_ui"],
            past_is_error: positions.is("past-expiration", "error"),
            surplus_severity_refused: positions.is("surplus-severity", "refused"),
        },
    };
    let (mut capacity, mut foreign) = (CAPACITY, false);
    for (name, value) in given {
        let wrong = || {
            Error::input(format!(
                "setting {name:?} of the fake has a value of the wrong type"
            ))
        };
        let text = || value.as_str().map(str::to_owned).ok_or_else(wrong);
        let flag = || value.as_bool().ok_or_else(wrong);
        let number = || {
            value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(wrong)
        };
        let list = || {
            let items = value.as_array().ok_or_else(wrong)?;
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect::<Result<Vec<_>>>()
        };
        match name.as_str() {
            "capacity" => capacity = number()?,
            "calls_per_minute" => settings.calls_per_minute = number()?,
            "scopes" => {
                let scopes = list()?;
                settings.login.read = scopes.iter().any(|scope| scope == "read");
                settings.login.write = scopes.iter().any(|scope| scope == "write");
            }
            "children" => settings.children = list()?,
            "home_region" => settings.home_region = Some(text()?),
            "redirect_host" => settings.redirect_host = Some(text()?),
            "address_blocked" => settings.address_blocked = flag()?,
            "mobile" => settings.product.mobile = flag()?,
            "without_action" => {
                let gone = text()?;
                settings.product.actions.retain(|action| *action != gone);
            }
            "foreign" => foreign = flag()?,
            "client_id" => settings.login.id = text()?,
            "client_secret" => settings.login.secret = text()?,
            _ => return Err(Error::input(format!("the fake has no setting {name:?}"))),
        }
    }
    Ok((settings, capacity, foreign))
}

struct Falcon {
    clock: Clock,
    world: Mutex<World>,
    positions: Positions,
    settings: Settings,
    answered: Mutex<u64>,
}

async fn handle(
    State(falcon): State<Arc<Falcon>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or_default()
    };
    let query = uri.query().unwrap_or_default();
    let ask = Ask {
        method: method.as_str(),
        path: uri.path(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        line_length: method.as_str().len() + uri.path().len() + query.len() + 2,
        authorization: header(AUTHORIZATION),
        content_type: header(CONTENT_TYPE),
        body: &body,
    };
    falcon.answer(&ask)
}

impl Falcon {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world after everything that ended by now.
    fn current(&self) -> MutexGuard<'_, World> {
        let late = if self.positions.is("expiry-flip", "late") {
            LATE_FLIP_SECONDS
        } else {
            0
        };
        let now = self.clock.now();
        let mut world = self.world();
        for records in world.customers.values_mut() {
            records.tick(now, TimeDelta::seconds(late));
        }
        world
    }

    fn answer(&self, ask: &Ask<'_>) -> Response {
        let now = self.clock.now();
        let mut world = self.current();
        let reply = match world.gate(ask, now, &self.settings, &self.positions) {
            Passage::Ends(reply) => reply,
            Passage::Goes {
                customer,
                remaining,
            } => {
                let mut service = Service {
                    world: &mut world,
                    customer: &customer,
                    now,
                    settings: &self.settings,
                    positions: &self.positions,
                };
                let mut reply = service.answer(ask);
                reply.headers.push((
                    "x-ratelimit-limit",
                    self.settings.calls_per_minute.to_string(),
                ));
                reply
                    .headers
                    .push(("x-ratelimit-remaining", remaining.to_string()));
                reply
            }
        };
        drop(world);
        self.dress(reply)
    }

    /// Trace id, region and content type.
    fn dress(&self, mut reply: Reply) -> Response {
        let number = {
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            *answered += 1;
            *answered
        };
        let failed = reply.status >= 400;
        let traced =
            reply.body.is_some() && !(failed && self.positions.is("trace-id", "not-on-errors"));
        if traced {
            let trace = gate::trace_id(number);
            if let Some(meta) = reply.body.as_mut().and_then(|body| body.get_mut("meta")) {
                meta["query_time"] = json!(0.008);
                meta["powered_by"] = json!("ioc-manager");
                meta["trace_id"] = json!(trace);
            }
            reply.headers.push(("x-cs-traceid", trace));
            if reply.status != 308 {
                reply.headers.push(("x-cs-region", "us-1".to_owned()));
            }
        }
        let status =
            StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match &reply.body {
            None => {
                let page = format!(
                    "<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
                );
                (status, [(CONTENT_TYPE, "text/html")], page).into_response()
            }
            Some(Json::Null) => status.into_response(),
            Some(body) => (
                status,
                [(CONTENT_TYPE, "application/json")],
                body.to_string(),
            )
                .into_response(),
        };
        for (name, value) in reply.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Type and text of a value here; `None` where custom indicators cannot hold it.
fn native(value: &Value) -> Option<(&'static str, String)> {
    let kind = match value {
        Value::Ipv4(network) if network.prefix_len() == 32 => "ipv4",
        Value::Ipv6(network) if network.prefix_len() == 128 => "ipv6",
        Value::Domain(_) => "domain",
        Value::Md5(_) => "md5",
        Value::Sha256(_) => "sha256",
        _ => return None,
    };
    let text = value.to_string();
    validate::value_fits(kind, &text).then_some((kind, text))
}

/// What a record stands for; `None` for types that are no indicators of ours.
fn value(row: &Row) -> Option<Value> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == row.kind)?;
    Value::parse(kind, &row.value).ok()
}

/// Whether a mechanism writes to the list of custom indicators.
fn is_list(mechanism: &str) -> bool {
    matches!(mechanism, "ioc" | "ioc-detect")
}

impl FakeState for Falcon {
    fn switches(&self) -> Vec<Switch> {
        SWITCHES.to_vec()
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        if !is_list(mechanism) {
            return Vec::new();
        }
        let now = self.clock.now();
        let world = self.current();
        let rows = world
            .customers
            .values()
            .flat_map(store::Records::all)
            .filter(|row| row.acts(now));
        let entry = |row: &Row| {
            Some(FakeEntry {
                value: value(row)?,
                foreign: row.created_by != self.settings.login.id,
                text: [
                    row.description.as_str(),
                    &row.source,
                    &row.tags.join(" "),
                    &row.filename,
                ]
                .join("\n"),
            })
        };
        rows.filter_map(entry).collect()
    }

    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool {
        let Some((kind, text)) = native(value).filter(|_| is_list(mechanism)) else {
            return false;
        };
        let now = self.clock.now();
        let mut world = self.current();
        let capacity = world.capacity;
        let records = world.customers.entry(String::new()).or_default();
        if records.count().0 >= capacity || records.find(kind, &text).is_some() {
            return false;
        }
        records.insert(seeds::analyst(kind, &text, now), TimeDelta::zero());
        true
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
        let Some((kind, text)) = native(value).filter(|_| is_list(mechanism)) else {
            return false;
        };
        let now = self.clock.now();
        let mut world = self.current();
        let mut removed = false;
        for records in world.customers.values_mut() {
            while let Some(id) = records.find(kind, &text).map(|row| row.id.clone()) {
                records.modify(&id, now, TimeDelta::zero(), |row| {
                    row.deleted = true;
                    row.modified_on = now;
                });
                removed = true;
            }
        }
        removed
    }

    fn expire_sessions(&self) {
        self.world().revoke_all();
    }

    fn settle_time(&self) -> Duration {
        Duration::from_secs(self.positions.number("search-lag") as u64)
    }

    fn set_capacity(&self, capacity: usize) {
        self.world().capacity = capacity;
    }
}
