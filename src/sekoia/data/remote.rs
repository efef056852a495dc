//! The data path in an object store that speaks S3.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{ClientOptions, HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{ObjectStoreExt, RetryConfig};
use sdk::connector::Environment;
use sdk::http::{ClientCertificate, OneShot};
use sdk::{Error, ErrorKind, Result, Secret};
use tokio::runtime::Handle;

use crate::sekoia::inputs::Inputs;
use crate::sekoia::secrets::Redactor;

/// Longest time for one call with all its tries.
const DEADLINE: Duration = Duration::from_secs(120);

/// Longest wait for the next part of a file.
const IDLE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(in crate::sekoia) struct Remote {
    store: AmazonS3,
    bucket: String,
    folder: Vec<String>,
}

impl Remote {
    /// Reads where it is. No call is made.
    pub(super) fn new(
        inputs: &Inputs,
        folder: Vec<String>,
        environment: &Environment,
        redactor: &mut Redactor,
    ) -> Result<Self> {
        let bucket = inputs.needed("aws_bucket_name")?;
        let key_id = inputs.needed("aws_access_key_id")?;
        let key = inputs.needed("aws_secret_access_key")?;
        let region = inputs.needed("aws_default_region")?;
        let endpoint = inputs.needed("aws_s3_endpoint_url")?;
        let session = inputs.text("aws_session_token")?;
        for secret in [Some(&key_id), Some(&key), session.as_ref()]
            .into_iter()
            .flatten()
        {
            redactor.add(secret);
        }
        let http = Self::http(inputs, &endpoint, environment, redactor)
            .map_err(|error| error.with("input", "aws_s3_endpoint_url"))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket)
            .with_access_key_id(key_id)
            .with_secret_access_key(key)
            .with_region(region)
            .with_endpoint(endpoint.trim_end_matches('/'))
            .with_allow_http(true)
            .with_retry(RetryConfig {
                max_retries: 4,
                retry_timeout: Duration::from_secs(60),
                ..RetryConfig::default()
            })
            .with_http_connector(Connector(http.client().clone()));
        if let Some(session) = session.filter(|session| !session.is_empty()) {
            builder = builder.with_token(session);
        }
        let store = builder
            .build()
            .map_err(|error| Error::config("the object store cannot be set up").because(error))?;
        Ok(Self {
            store,
            bucket,
            folder,
        })
    }

    fn http(
        inputs: &Inputs,
        endpoint: &str,
        environment: &Environment,
        redactor: &mut Redactor,
    ) -> Result<OneShot> {
        let filled = |name: &str| Ok::<_, Error>(inputs.text(name)?.filter(|it| !it.is_empty()));
        let ca = filled("ca_cert")?;
        let identity = match (filled("client_cert")?, filled("client_key")?) {
            (Some(chain), Some(key)) => {
                redactor.add(&key);
                Some(ClientCertificate {
                    chain,
                    key: Secret::new(&key),
                })
            }
            (None, None) => None,
            _ => {
                return Err(Error::config(
                    "client_cert and client_key belong together, and one of them is missing",
                ));
            }
        };
        let http = OneShot::new(
            endpoint,
            environment,
            DEADLINE,
            ca.as_deref(),
            identity.as_ref(),
        )?;
        if http.is_plain() {
            return Err(Error::config("plain http is refused")
                .with("host", http.host())
                .hint(
                    "use https; http is accepted on loopback only, and a private CA in ca_cert",
                ));
        }
        Ok(http)
    }

    /// Opens a file; what it holds comes as it is read.
    pub(super) async fn open(&self, parts: &[&str]) -> Result<Content> {
        let path = self.path(parts)?;
        let found = self.in_time(&path, "read", self.store.get(&path)).await?;
        Ok(Content {
            stream: found.into_stream(),
            chunk: Bytes::new(),
            runtime: Handle::current(),
        })
    }

    pub(super) async fn write(&self, parts: &[&str], content: Bytes) -> Result<()> {
        let path = self.path(parts)?;
        let writing = self.store.put(&path, content.into());
        self.in_time(&path, "written", writing).await?;
        Ok(())
    }

    fn path(&self, parts: &[&str]) -> Result<Path> {
        let all = self.folder.iter().map(String::as_str);
        let path = all
            .chain(parts.iter().copied())
            .collect::<Vec<_>>()
            .join("/");
        Path::parse(&path)
            .map_err(|error| Error::input("not a path of an object store").because(error))
    }

    async fn in_time<T>(
        &self,
        path: &Path,
        what: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(DEADLINE, call).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(explain(error, what)),
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "the object store did not answer within {} s",
                    DEADLINE.as_secs()
                ),
            )),
        }
        .map_err(|error| error.with("bucket", &self.bucket).with("path", path))
    }
}

/// What a file holds, never all of it in memory. A container may have no other place for it.
pub(super) struct Content {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
    runtime: Handle,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let next = tokio::task::block_in_place(|| {
                self.runtime
                    .block_on(async { tokio::time::timeout(IDLE, self.stream.next()).await })
            });
            match next {
                Ok(Some(Ok(chunk))) => self.chunk = chunk,
                Ok(Some(Err(error))) => return Err(io::Error::other(error)),
                Ok(None) => return Ok(0),
                Err(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the object store stopped in the middle of a file",
                    ));
                }
            }
        }
        let length = self.chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}

/// The store's words, in ours.
fn explain(error: object_store::Error, what: &str) -> Error {
    use object_store::Error as Theirs;
    let (kind, hint) = match &error {
        Theirs::NotFound { .. } => (
            ErrorKind::NotFound,
            "the bucket or the file is not there; paths are relative to the data path",
        ),
        Theirs::PermissionDenied { .. } => (
            ErrorKind::Denied,
            "the key needs the rights to get and put objects of this bucket",
        ),
        Theirs::Unauthenticated { .. } => (ErrorKind::Auth, "the key is not accepted"),
        _ => (
            ErrorKind::Unavailable,
            "the runner's settings say which store it is",
        ),
    };
    Error::new(kind, format!("a file of the data path cannot be {what}"))
        .because(error)
        .hint(hint)
}

/// Our client under the library: its trust, proxies and time limits are those of every other call.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}
