//! The HTTP client that connectors and sources use: TLS always verified, limits kept before they are
//! hit, `Retry-After` honoured, back-off with jitter within a budget, deadlines, no redirect to another
//! host, secrets never printed, and struck out of answers that repeat them. A connector builds requests and
//! reads answers; it never retries.

mod address;
mod auth;
mod client;
mod fetch;
mod limits;
mod one_shot;
mod pages;
mod poll;
mod request;
mod retry;
#[cfg(test)]
mod session_tests;
mod strike;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod witness;

pub use auth::{Authenticate, NoAuth, StaticHeader};
pub use client::{Client, ClientBuilder};
pub use fetch::{Fetched, fetch};
pub use one_shot::OneShot;
pub use pages::{Next, Page, Pages};
pub use poll::{poll, poll_from};
pub use request::{Body, Disposition, Request, Response, Safety};
pub use retry::seconds as read_wait;
pub use tls::ClientCertificate;
pub use witness::{SeenCertificate, witnessing};
