//! Single tries, for protocols that say themselves what is sent again and when: a platform's callback, an
//! object store. Trust, proxies, time limits and redirects are as everywhere.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use url::Url;

use super::address;
use super::request::{Request, Response};
use super::tls::{self, ClientCertificate, Seen};
use super::transport::{Broken, Settings, Transport};
use crate::connector::Environment;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Sends each request once.
pub struct OneShot {
    transport: Transport,
    url: Url,
}

impl OneShot {
    /// For one address. Plain http is the caller's to refuse, with [`OneShot::is_plain`]. Errors: not an
    /// http or https URL, credentials in it, an unreadable CA or client certificate.
    pub fn new(
        url: &str,
        environment: &Environment,
        timeout: Duration,
        ca_pem: Option<&str>,
        identity: Option<&ClientCertificate>,
    ) -> Result<Self> {
        // What was wrong in it is not told: a token may stand in it.
        let url =
            Url::parse(url.trim()).map_err(|_| Error::config("an address that is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Error::config("an address that is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                Error::config("an address has credentials in it").with("host", address::host(&url))
            );
        }
        let seen = Seen::default();
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let authorities = tls::authorities(&environment.ca_files, ca_pem)?;
        let settings = Settings {
            tls: tls::config(host, authorities, None, seen.clone(), identity)?,
            host: url.clone(),
            timeout,
            pin: None,
            seen,
            proxies: environment.proxies.clone(),
            response_limit: 64 << 20,
            compression: false,
        };
        Ok(Self {
            transport: Transport::new(settings, environment.clock.clone())?,
            url,
        })
    }

    /// Whether it is plain http to another machine.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http" && !address::is_loopback(&self.url)
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        address::host(&self.url)
    }

    /// Sends a request to the address as it is, query included; the request's own path and query are not
    /// used. Any status is an answer. [`Error::retry_status`] tells whether sending it again can help.
    pub async fn send(&self, request: &Request, bearer: &Secret) -> Result<Response> {
        let mut headers = HeaderMap::new();
        let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.expose()))
            .map_err(|_| Error::config("the token has characters that no header takes"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        let sent = self.transport.exchange(self.url.clone(), request, headers);
        sent.await.map_err(|broken| match broken {
            Broken::NotSent(error) | Broken::Unanswered(error) | Broken::Final { error, .. } => {
                error
            }
        })
    }

    /// The client underneath, for a library that makes its own requests to this address.
    pub fn client(&self) -> &reqwest::Client {
        self.transport.client()
    }
}

impl std::fmt::Debug for OneShot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneShot")
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn one_shot(url: &str) -> Result<OneShot> {
        let environment = Environment::new(Clock::system());
        OneShot::new(url, &environment, Duration::from_secs(1), None, None)
    }

    #[test]
    fn addresses_are_checked_and_never_quoted() {
        assert!(
            !one_shot("https://platform.example.com/x?y=z")
                .unwrap()
                .is_plain()
        );
        assert!(!one_shot("http://127.0.0.1:8080/x\n").unwrap().is_plain());
        assert!(
            one_shot("http://platform.example.com/x")
                .unwrap()
                .is_plain()
        );
        for wrong in [
            "hunter2",
            "ftp://platform.example.com/hunter2",
            "https://user:hunter2@platform.example.com/",
            "https:///hunter2 x",
        ] {
            if let Err(error) = one_shot(wrong) {
                assert!(!format!("{error:?}").contains("hunter2"), "{wrong}");
            }
        }
    }

    #[test]
    fn a_client_certificate_is_read_and_its_key_never_quoted() {
        let identity = ClientCertificate {
            chain: "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n".to_owned(),
            key: Secret::new("hunter2"),
        };
        let environment = Environment::new(Clock::system());
        let error = OneShot::new(
            "https://platform.example.com",
            &environment,
            Duration::from_secs(1),
            None,
            Some(&identity),
        )
        .unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Config);
        assert!(!format!("{error:?} {identity:?}").contains("hunter2"));
    }

    /// A server that wants to be shown a certificate of its CA, and answers once.
    async fn strict_server(
        issuer: &rcgen::Issuer<'_, rcgen::KeyPair>,
        authority: &rcgen::Certificate,
    ) -> std::net::SocketAddr {
        use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, issuer).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            roots.into(),
            std::sync::Arc::clone(&provider),
        )
        .build()
        .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut first = [0; 4];
                stream.read_exact(&mut first).await.unwrap();
                assert_eq!(&first, b"GET ");
                let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_that_wants_a_certificate_is_shown_ours() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(authority, key);
        let client_key = rcgen::KeyPair::generate().unwrap();
        let client = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
        let identity = ClientCertificate {
            chain: client.signed_by(&client_key, &issuer).unwrap().pem(),
            key: Secret::new(&client_key.serialize_pem()),
        };
        for identity in [Some(&identity), None] {
            let address = strict_server(&issuer, &certificate).await;
            let http = OneShot::new(
                &format!("https://{address}/"),
                &Environment::new(Clock::system()),
                Duration::from_secs(10),
                Some(&certificate.pem()),
                identity,
            )
            .unwrap();
            let request = Request::get("*", [""; 0]);
            let answer = http.send(&request, &Secret::new("token")).await;
            assert_eq!(answer.is_ok(), identity.is_some(), "{answer:?}");
        }
    }
}
