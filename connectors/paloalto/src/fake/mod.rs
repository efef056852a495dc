//! Fakes of a PAN-OS firewall, of Panorama and of Cortex XDR, behind one server. They are written from the vendor's
//! documentation alone: they share no type and no constant with the client.
//!
//! The setting `mechanism` names the one that is tried: then only the switches that concern it are told, and the
//! others keep their defaults. Every other setting belongs to one of the two products and is described there.

mod panos;
mod xdr;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use sdk::Result;
use sdk::fake::{Fake, FakeEntry, FakeOptions, FakeState, Server, Switch};
use sdk::indicator::Value;
use serde_json::{Map, Value as Json, json};

/// Keys handed out so far.
static KEYS: AtomicU64 = AtomicU64::new(0);

/// One product.
struct Part {
    /// Its paths.
    router: Router,
    /// Its state.
    state: Arc<dyn FakeState>,
    /// What the configuration needs for it besides its host and the API key, by field.
    configuration: Map<String, Json>,
}

/// Starts the fake.
///
/// # Errors
/// An unknown switch or setting, or a port that cannot be opened.
pub async fn start(options: FakeOptions) -> Result<Fake> {
    let all: Vec<Switch> = [panos::SWITCHES, xdr::SWITCHES].concat();
    options.check(
        &all,
        &[&["mechanism"], panos::SETTINGS, xdr::SETTINGS].concat(),
    )?;
    let mechanism: Option<String> = options.setting("mechanism", None)?;
    let key = format!(
        "LUFRPT1Zc2tq+{}/bHc9PQ==",
        KEYS.fetch_add(1, Ordering::Relaxed)
    );
    let panos = panos::part(&options, &key)?;
    let xdr = xdr::part(&options, &key)?;
    let router = Router::new().merge(panos.router).merge(xdr.router);
    let server = Server::start(router, &options.clock, options.transport, options.port).await?;
    let mut configuration = json!({ "api_key": key, "hostname": server.url, "fqdn": server.url });
    if let Json::Object(fields) = &mut configuration {
        fields.extend(panos.configuration);
        fields.retain(|_, value| !value.is_null());
        fields.extend(xdr.configuration);
        if let Some(pem) = &server.ca_pem {
            fields.insert("ca_pem".to_owned(), json!(pem));
        }
    }
    Ok(Fake {
        server,
        configuration,
        state: Arc::new(Both {
            panos: panos.state,
            xdr: xdr.state,
            mechanism,
        }),
    })
}

/// Both products' states.
struct Both {
    panos: Arc<dyn FakeState>,
    xdr: Arc<dyn FakeState>,
    /// The one that is tried.
    mechanism: Option<String>,
}

impl Both {
    fn of(&self, mechanism: &str) -> &dyn FakeState {
        if mechanism.starts_with("xdr") {
            &*self.xdr
        } else {
            &*self.panos
        }
    }
}

impl FakeState for Both {
    fn switches(&self) -> Vec<Switch> {
        match self.mechanism.as_deref() {
            None => [panos::SWITCHES, xdr::SWITCHES].concat(),
            Some(mechanism) if mechanism.starts_with("xdr") => xdr::switches(mechanism),
            Some(mechanism) => panos::switches(mechanism),
        }
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        self.of(mechanism).enforced(mechanism)
    }

    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool {
        self.of(mechanism).add_foreign(mechanism, value)
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
        self.of(mechanism).remove(mechanism, value)
    }

    fn expire_sessions(&self) {
        self.panos.expire_sessions();
        self.xdr.expire_sessions();
    }

    fn set_capacity(&self, capacity: usize) {
        self.panos.set_capacity(capacity);
        self.xdr.set_capacity(capacity);
    }

    fn settle_time(&self) -> Duration {
        self.panos.settle_time().max(self.xdr.settle_time())
    }

    fn reboot(&self) {
        self.panos.reboot();
        self.xdr.reboot();
    }
}
