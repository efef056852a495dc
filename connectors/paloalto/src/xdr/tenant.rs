//! A tenant: its client, its key, its clock.

use std::sync::Arc;

use sdk::connector::Environment;
use sdk::http::{Client, ClientBuilder, Request, Response};
use sdk::target::{Calls, Facts, Finding, Level, TargetKey};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::api;
use super::auth::Key;
use crate::config::Config;
use crate::target::NAME;

/// Seconds that a signature's time may be off (read in a client of the vendor's).
const SIGNATURE_SECONDS: i64 = 300;
/// Seconds apart from which `check` says so.
const NOTABLE_SECONDS: i64 = 60;

/// One tenant and one key.
#[derive(Debug)]
pub(super) struct Tenant {
    client: Client,
    key: Arc<Key>,
    account: String,
}

/// The client asks for the key by reference.
struct Signer(Arc<Key>);

#[async_trait]
impl sdk::http::Authenticate for Signer {
    async fn headers(&self, client: &Client) -> Result<reqwest::header::HeaderMap> {
        self.0.headers(client).await
    }

    async fn refused(&self) -> bool {
        self.0.refused().await
    }
}

impl Tenant {
    /// # Errors
    /// What is missing or malformed in the configuration, by field.
    pub(super) fn new(config: &Config, environment: &Environment) -> Result<Self> {
        let missing = |field: &str| Error::config(format!("`{field}` is missing"));
        let fqdn = config.fqdn.as_deref().ok_or_else(|| missing("fqdn"))?;
        let id = config
            .api_key_id
            .as_deref()
            .filter(|id| !id.trim().is_empty())
            .ok_or_else(|| missing("api_key_id"))?;
        let secret = config
            .api_key
            .clone()
            .filter(|key| !key.is_empty())
            .ok_or_else(|| missing("api_key"))?;
        let key = Arc::new(Key::new(id, secret, config.advanced_api_key)?);
        let client = ClientBuilder::new(&base(fqdn), environment)?
            .auth(Arc::new(Signer(Arc::clone(&key))))
            .ca_file(config.ca_file.clone())
            .ca_pem(config.ca_pem.clone())
            .tls_fingerprint(config.tls_fingerprint.clone())
            .build()?;
        let base = client.base();
        let host = base.host_str().unwrap_or_default().to_ascii_lowercase();
        let account = match base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        Ok(Self {
            client,
            key,
            account,
        })
    }

    /// The key of a mechanism.
    pub(super) fn target_key(&self, mechanism: &'static str) -> TargetKey {
        TargetKey {
            connector: NAME,
            account: self.account.clone(),
            mechanism,
            device: String::new(),
        }
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: Request) -> Result<Response> {
        self.client.send(request).await
    }

    /// Calls made so far.
    pub(super) fn calls(&self) -> Calls {
        self.client.calls()
    }

    /// What an answer that is not a success means.
    pub(super) fn failure(&self, what: &str, response: &Response) -> Error {
        api::failure(what, response, self.key.is_advanced())
    }

    /// Whether key and clock are good. The call needs no right of its own, and whether every tenant has it is
    /// not documented: any answer but a refusal of key or licence is one.
    pub(super) async fn open(&self) -> Result<Facts> {
        let response = self.client.send(api::health()).await?;
        let facts = Facts {
            vendor_time: self.client.vendor_time(),
            ..Facts::default()
        };
        match api::status(&response) {
            // A signature of another time is refused like a wrong key: the clock is told, not the key.
            401 if self.key.is_advanced()
                && self
                    .ahead()
                    .is_some_and(|seconds| seconds.abs() > SIGNATURE_SECONDS) =>
            {
                Ok(facts)
            }
            401 | 402 => Err(self.failure("healthcheck", &response)),
            _ => Ok(facts),
        }
    }

    /// Whether the tenant answers at all. A tenant without this call answers too.
    pub(super) async fn answers(&self) -> Result<()> {
        let response = self.client.send(api::health()).await?;
        match api::status(&response) {
            500.. => Err(self.failure("healthcheck", &response)),
            _ => Ok(()),
        }
    }

    /// Seconds that the vendor's clock is ahead of ours.
    fn ahead(&self) -> Option<i64> {
        let vendor = self.client.vendor_time()?;
        Some((vendor - self.client.clock().now()).num_seconds())
    }

    /// What `check` says of key and clock.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let level = if self.key.is_advanced() {
            "Advanced"
        } else {
            "Standard"
        };
        let mut findings = vec![Finding {
            level: Level::Ok,
            subject: "api key".into(),
            message: format!("accepted as one of the level {level}"),
            hint: None,
        }];
        if let Some(seconds) = self.ahead() {
            let notable = seconds.abs() > NOTABLE_SECONDS;
            findings.push(Finding {
                level: if notable { Level::Warning } else { Level::Ok },
                subject: "clock".into(),
                message: format!("the tenant's clock is {seconds} s ahead of this machine's"),
                hint: (notable && self.key.is_advanced()).then(|| {
                    "set the clock: a signature that is 5 minutes off is refused".to_owned()
                }),
            });
        }
        findings
    }

    /// What `check` says of something that an answer shows to be missing.
    ///
    /// # Errors
    /// An answer that says nothing about rights.
    pub(super) fn missing(
        &self,
        subject: &'static str,
        what: &str,
        response: &Response,
    ) -> Result<Finding> {
        let error = self.failure(what, response);
        match error.kind() {
            ErrorKind::Denied | ErrorKind::Unsupported | ErrorKind::Auth => Ok(Finding {
                level: Level::Missing,
                subject: subject.into(),
                message: error.to_string(),
                hint: error.hint_text().map(str::to_owned),
            }),
            _ => Err(error),
        }
    }
}

/// The API's address: a full URL as it is, a host with `api-` before it.
fn base(fqdn: &str) -> String {
    let fqdn = fqdn.trim().trim_end_matches('/');
    if fqdn.contains("://") {
        fqdn.to_owned()
    } else if fqdn.starts_with("api-") {
        format!("https://{fqdn}")
    } else {
        format!("https://api-{fqdn}")
    }
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn hosts_and_urls_are_taken() {
        for text in [
            "acme.xdr.eu.paloaltonetworks.com",
            "api-acme.xdr.eu.paloaltonetworks.com",
            "https://api-acme.xdr.eu.paloaltonetworks.com/",
        ] {
            assert_eq!(base(text), "https://api-acme.xdr.eu.paloaltonetworks.com");
        }
        assert_eq!(base("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }
}
