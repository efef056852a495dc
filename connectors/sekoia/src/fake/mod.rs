//! A stateful Sekoia for trying things out: written from the documented and observed behaviour, sharing
//! nothing with the client. What is not known is a switch.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use sdk::Result;
use sdk::fake::{Fake, FakeEntry, FakeOptions, FakeState, Server, Switch};
use sdk::indicator::Value;
use serde_json::json;

/// Starts the fake.
///
/// # Errors
/// An unknown switch, position or setting; a port that is taken.
pub async fn start(options: FakeOptions) -> Result<Fake> {
    options.check(&[], &[])?;
    let router = Router::new().fallback(|| async { StatusCode::NOT_FOUND });
    let server = Server::start(router, &options.clock, options.transport, options.port).await?;
    let configuration = json!({ "base_url": server.url, "api_key": "fake" });
    Ok(Fake {
        server,
        configuration,
        state: Arc::new(Nothing),
    })
}

struct Nothing;

impl FakeState for Nothing {
    fn switches(&self) -> Vec<Switch> {
        Vec::new()
    }

    fn enforced(&self, _: &str) -> Vec<FakeEntry> {
        Vec::new()
    }

    fn add_foreign(&self, _: &str, _: &Value) -> bool {
        false
    }

    fn remove(&self, _: &str, _: &Value) -> bool {
        false
    }

    fn expire_sessions(&self) {}

    fn set_capacity(&self, _: usize) {}
}
