//! Where the collections of the story are published: a web server on loopback whose files change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use sdk::collection::{Location, Source, SourceKind};
use sdk::fake::{Server, Transport};
use sdk::{Clock, Result};

type Files = Arc<Mutex<BTreeMap<&'static str, String>>>;

/// The files of the story, and the server that hands them out.
pub(crate) struct Publisher {
    files: Files,
    /// Faults go in here.
    pub server: Server,
}

impl Publisher {
    /// Starts it with the shipped files.
    pub(crate) async fn start(clock: &Clock) -> Result<Self> {
        let files: Files = Arc::new(Mutex::new(BTreeMap::from([
            ("emotet", include_str!("data/emotet.csv").to_owned()),
            ("apt31", include_str!("data/apt31.json").to_owned()),
            ("raccoon", include_str!("data/raccoon.csv").to_owned()),
            ("ipsum", include_str!("data/ipsum.txt").to_owned()),
            ("soc", include_str!("data/soc.txt").to_owned()),
            ("customers", include_str!("data/customers.txt").to_owned()),
            (
                "cloudflare",
                include_str!("data/cloudflare.json").to_owned(),
            ),
        ])));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&files));
        let server = Server::start(router, clock, Transport::Http, 0).await?;
        Ok(Self { files, server })
    }

    /// The collection that is published under this name.
    pub(crate) fn source(&self, name: &'static str, kind: SourceKind) -> Source {
        Source {
            name: name.to_owned(),
            kind,
            location: Location::Url(format!("{}/{name}", self.server.url)),
        }
    }

    /// What is published now.
    pub(crate) fn text(&self, name: &'static str) -> String {
        lock(&self.files).get(name).cloned().unwrap_or_default()
    }

    /// Publishes something else.
    pub(crate) fn publish(&self, name: &'static str, text: String) {
        lock(&self.files).insert(name, text);
    }
}

async fn answer(State(files): State<Files>, uri: Uri) -> (StatusCode, String) {
    match lock(&files).get(uri.path().trim_start_matches('/')) {
        Some(text) => (StatusCode::OK, text.clone()),
        None => (StatusCode::NOT_FOUND, "there is no such file".to_owned()),
    }
}

fn lock(files: &Files) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}
