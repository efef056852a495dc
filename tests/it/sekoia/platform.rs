//! A fake of the platform's side of an action: one callback, as strict as what is known of it allows.
//! It shares nothing with the runtime but the words of the protocol.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sdk::Clock;
use sdk::fake::{Fault, Server, Transport};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

pub(crate) const TOKEN: &str = "TokenOfThisTaskAndOfNoOther";

/// The path has a query, as signed addresses have.
const PATH: &str = "/v1/tasks/7/callback?signature=abc%2Fdef";

/// One call, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) body: Json,
    pub(crate) head: String,
    pub(crate) status: u16,
}

/// What is answered in place of the usual.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// As usual.
    Usual,
    /// This status and text.
    Status(u16, &'static str),
    /// 429, with this `Retry-After`.
    Busy(&'static str),
    /// A redirect.
    Elsewhere(String),
    /// Nothing, ever.
    Silence,
}

#[derive(Default)]
struct Book {
    calls: Vec<Call>,
    replies: VecDeque<Reply>,
    finished: bool,
    secrets: Json,
    validation: bool,
    refused: Vec<String>,
}

pub(crate) struct Platform {
    book: Arc<Mutex<Book>>,
    server: Server,
    runtime: Runtime,
}

impl Platform {
    /// With the secrets that it keeps for the module.
    pub(crate) fn start(secrets: Json) -> Self {
        Self::start_with(secrets, Transport::Http)
    }

    pub(crate) fn start_with(secrets: Json, transport: Transport) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let book = Arc::new(Mutex::new(Book {
            secrets,
            ..Book::default()
        }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&book));
        let server = runtime
            .block_on(Server::start(router, &Clock::system(), transport, 0))
            .unwrap();
        Self {
            book,
            server,
            runtime,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}{PATH}", self.server.url)
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.server.ca_pem.clone().unwrap()
    }

    /// Answers the next calls so, and then as usual.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.book.lock().unwrap().replies.extend(replies);
    }

    /// A broken connection.
    pub(crate) fn fault(&self, fault: Fault) {
        self.server.fault(fault);
    }

    /// Gives the secrets without being asked, as to a validation.
    pub(crate) fn expect_validation(&self) {
        self.book.lock().unwrap().validation = true;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.book.lock().unwrap().calls.clone()
    }

    /// Waits until so many calls have come.
    pub(crate) fn wait_for_calls(&self, count: usize) {
        self.runtime.block_on(async {
            while self.book.lock().unwrap().calls.len() < count {
                Clock::system()
                    .sleep(std::time::Duration::from_millis(5))
                    .await;
            }
        });
    }

    /// The last message, which has to be the end.
    pub(crate) fn end(&self) -> Json {
        let last = self.calls().pop().unwrap().body;
        assert_eq!(last["status"], "finished", "{last}");
        last
    }

    /// What came that the protocol does not allow.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.book.lock().unwrap().refused.clone()
    }
}

async fn answer(
    State(book): State<Arc<Mutex<Book>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (reply, response) = {
        let mut book = book.lock().unwrap();
        let reply = book.replies.pop_front().unwrap_or(Reply::Usual);
        let response = match &reply {
            Reply::Usual => usual(&mut book, &method, &uri, &headers, &body),
            Reply::Status(status, text) => {
                (StatusCode::from_u16(*status).unwrap(), *text).into_response()
            }
            Reply::Busy(wait) => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", *wait)]).into_response()
            }
            Reply::Elsewhere(location) => (
                StatusCode::TEMPORARY_REDIRECT,
                [("location", location.clone())],
            )
                .into_response(),
            Reply::Silence => StatusCode::OK.into_response(),
        };
        book.calls.push(Call {
            body: serde_json::from_slice(&body).unwrap_or(Json::Null),
            head: format!("{method} {uri} {headers:?}"),
            status: response.status().as_u16(),
        });
        (reply, response)
    };
    if matches!(reply, Reply::Silence) {
        std::future::pending::<()>().await;
    }
    response
}

fn usual(
    book: &mut Book,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A proxy gets the whole address.
    let at = uri.path_and_query().map(|it| it.as_str());
    if method != Method::PATCH || at != Some(PATH) {
        book.refused.push(format!("{method} {uri}"));
        return StatusCode::NOT_FOUND.into_response();
    }
    if header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return (StatusCode::UNAUTHORIZED, "bad token").into_response();
    }
    let message: Json = match serde_json::from_slice(body) {
        Ok(message) if header("content-type") == Some("application/json") => message,
        _ => {
            book.refused.push("not JSON".to_owned());
            return StatusCode::BAD_REQUEST.into_response();
        }
    };
    if let Some(wrong) = wrong(&message) {
        book.refused.push(format!("{wrong}: {message}"));
        return StatusCode::BAD_REQUEST.into_response();
    }
    if book.finished {
        return (StatusCode::CONFLICT, "the task is finished").into_response();
    }
    if message["status"] == "finished" {
        book.finished = true;
        return StatusCode::OK.into_response();
    }
    let asked = message.get("need_secrets") == Some(&json!(true));
    if asked || book.validation {
        let answer = json!({ "module_configuration": { "value": book.secrets } });
        return answer.to_string().into_response();
    }
    StatusCode::OK.into_response()
}

/// What of a message the protocol does not know.
fn wrong(message: &Json) -> Option<String> {
    let fields = message.as_object()?;
    let known: &[&str] = match message["status"].as_str() {
        Some("running") => &["status", "need_secrets"],
        Some("finished") => &["status", "results", "error", "logs", "outputs"],
        _ => return Some("no such status".to_owned()),
    };
    fields.iter().find_map(|(name, value)| {
        let fits = known.contains(&name.as_str())
            && match name.as_str() {
                "results" => value.is_object() || value.is_array(),
                "error" | "logs" => value.is_string(),
                "outputs" => value
                    .as_object()
                    .is_some_and(|outputs| outputs.values().all(Json::is_boolean)),
                "need_secrets" => value == &Json::Bool(true),
                _ => true,
            };
        (!fits).then(|| format!("{name} does not fit"))
    })
}
