//! Whom we trust: the system's CAs and private ones, or one certificate by its fingerprint. There is no
//! way to turn verification off.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use memchr::memmem;
use rustls::CertificateError::ApplicationVerificationFailure;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, Result};
use crate::secret::Secret;

/// SHA-256 of a leaf certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hex digits; colons and white space between them are allowed, as other tools print them.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            Error::config("tls_fingerprint is not a SHA-256 fingerprint").hint(
                "64 hex digits, with or without colons; `check` prints the one the server shows",
            )
        };
        let digits: Vec<char> = text
            .chars()
            .filter(|c| *c != ':' && !c.is_whitespace())
            .collect();
        if digits.len() != 64 {
            return Err(malformed());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (pair[0].to_digit(16), pair[1].to_digit(16)) else {
                return Err(malformed());
            };
            *byte = u8::try_from(high * 16 + low).map_err(|_| malformed())?;
        }
        Ok(Self(bytes))
    }

    fn of(certificate: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            write!(text, "{byte:02x}")?;
        }
        f.write_str(&text)
    }
}

/// A certificate that a server showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) fingerprint: Fingerprint,
    /// Whether it was accepted.
    pub(super) trusted: bool,
}

/// What the server last showed, accepted or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Shown>>>);

impl Seen {
    pub(super) fn get(&self) -> Option<Shown> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, shown: Shown) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }
}

/// Private CAs from files, from folders of files and from PEM text. Errors name the file.
pub(super) fn authorities(
    files: &[PathBuf],
    pem: Option<&str>,
) -> Result<Vec<CertificateDer<'static>>> {
    let mut all = Vec::new();
    for path in files {
        if path.is_dir() {
            all.extend(folder(path)?);
        } else {
            all.extend(certificates(&read(path)?, &place(path))?);
        }
    }
    if let Some(pem) = pem {
        all.extend(certificates(pem.as_bytes(), "ca_pem")?);
    }
    Ok(all)
}

fn place(path: &Path) -> String {
    format!("CA file {}", path.display())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::config(place(path)).because(error))
}

/// Those in a folder, each once: OpenSSL's folders hold links beside the files. What is no certificate in PEM is
/// not for us.
fn folder(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error| Error::config(place(path)).because(error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();
    let mut known = HashSet::new();
    let mut all = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = read(file)?;
        if memmem::find(&text, b"-----BEGIN CERTIFICATE-----").is_some() {
            let found = certificates(&text, &place(file))?;
            all.extend(found.into_iter().filter(|it| known.insert(it.clone())));
        }
    }
    if all.is_empty() {
        return Err(Error::config(format!(
            "CA folder {} holds no certificate",
            path.display()
        )));
    }
    Ok(all)
}

fn certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::config(format!("{place} is not PEM")).because(error))?;
    if found.is_empty() {
        return Err(Error::config(format!("{place} holds no certificate"))
            .hint("it must hold blocks that begin with -----BEGIN CERTIFICATE-----"));
    }
    let mut probe = RootCertStore::empty();
    for certificate in &found {
        probe.add(certificate.clone()).map_err(|error| {
            Error::config(format!("{place} holds a certificate that cannot be a CA")).because(error)
        })?;
    }
    Ok(found)
}

/// A certificate that we show, and its key, as PEM text.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate, with intermediates after it.
    pub chain: String,
    /// Its private key.
    pub key: Secret,
}

impl ClientCertificate {
    fn parts(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = certificates(self.chain.as_bytes(), "the client certificate")?;
        // What the reader says of a key may quote it.
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|_| Error::config("the client certificate's key is not a PEM private key"))?;
        Ok((chain, key))
    }
}

/// TLS for one host; `seen` follows what it shows.
pub(super) fn config(
    host: &str,
    authorities: Vec<CertificateDer<'static>>,
    pin: Option<Fingerprint>,
    seen: Seen,
    identity: Option<&ClientCertificate>,
) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let trust = Trust {
        host: host.to_owned(),
        pin,
        authorities,
        chains: OnceLock::new(),
        provider: provider.clone(),
        seen,
    };
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("TLS could not be set up").because(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.parts()?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                Error::config("the client certificate and its key cannot be used").because(error)
            })?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Checks chain and name, or the pin for the one host that has one. A proxy on the way is another host.
#[derive(Debug)]
struct Trust {
    host: String,
    pin: Option<Fingerprint>,
    authorities: Vec<CertificateDer<'static>>,
    /// Made at the first handshake that needs it: reading the system's store costs milliseconds, and
    /// neither plain http nor a pinned host needs it.
    chains: OnceLock<Result<Verifier, rustls::Error>>,
    provider: Arc<CryptoProvider>,
    seen: Seen,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let by_chain = || {
            let chains = self.chains.get_or_init(|| {
                Verifier::new_with_extra_roots(self.authorities.clone(), self.provider.clone())
            });
            chains.as_ref().map_err(Clone::clone)?.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            )
        };
        if !server_name.to_str().eq_ignore_ascii_case(&self.host) {
            return by_chain();
        }
        let fingerprint = Fingerprint::of(end_entity);
        let verdict = match self.pin {
            None => by_chain(),
            Some(pin) if pin == fingerprint => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(ApplicationVerificationFailure.into()),
        };
        self.seen.set(Shown {
            fingerprint,
            trusted: verdict.is_ok(),
        });
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_other_tools_print_them() {
        // SHA-256 of nothing, a published constant.
        let plain = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let pairs: Vec<_> = plain
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8(pair.to_vec()).unwrap())
            .collect();
        assert_eq!(
            Fingerprint::parse(&pairs.join(":")).unwrap(),
            Fingerprint::of(b"")
        );
        assert_eq!(Fingerprint::of(b"").to_string(), plain);
        for wrong in ["", "e3b0", &plain.replace('e', "g"), &format!("{plain}00")] {
            let error = Fingerprint::parse(wrong).unwrap_err();
            assert!(error.hint_text().unwrap().contains("64 hex digits"));
        }
    }

    #[test]
    fn a_folder_gives_each_of_its_certificates_once() {
        let folder = tempfile::tempdir().unwrap();
        let pem = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let names = vec![name.to_owned()];
            let authority = rcgen::CertificateParams::new(names).unwrap();
            authority.self_signed(&key).unwrap().pem()
        };
        let (one, two) = (pem("one"), pem("two"));
        for (name, text) in [
            ("one.pem", &one),
            ("both.crt", &format!("{one}{two}")),
            ("README", &"not a certificate".to_owned()),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let link = folder.path().join("0a1b2c3d.0");
        std::os::unix::fs::symlink("one.pem", link).unwrap();
        std::fs::create_dir(folder.path().join("more")).unwrap();
        let found = authorities(&[folder.path().to_owned()], None).unwrap();
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn bad_authorities_name_their_place() {
        let missing = authorities(&[PathBuf::from("no-such.pem")], None).unwrap_err();
        assert!(missing.to_string().contains("CA file no-such.pem"));
        let none = tempfile::tempdir().unwrap();
        let none = authorities(&[none.path().to_owned()], None).unwrap_err();
        assert!(none.message().contains("holds no certificate"), "{none}");
        let empty = authorities(&[], Some("hello")).unwrap_err();
        assert_eq!(empty.message(), "ca_pem holds no certificate");
        let junk = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        let junk = authorities(&[], Some(junk)).unwrap_err();
        assert_eq!(
            junk.message(),
            "ca_pem holds a certificate that cannot be a CA"
        );
    }
}
