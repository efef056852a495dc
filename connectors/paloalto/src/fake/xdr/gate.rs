//! Who asks, and what they may.

use std::collections::HashSet;

use aws_lc_rs::digest;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{Reply, error};

/// Milliseconds that a signature's time may be off.
const SKEW: i64 = 5 * 60 * 1000;

/// Key, role and licence.
pub(super) struct Gate {
    pub(super) key: String,
    pub(super) key_id: String,
    pub(super) advanced: bool,
    /// Those used already.
    pub(super) nonces: HashSet<String>,
    pub(super) licence: String,
    pub(super) role: String,
    pub(super) body_limit: usize,
    pub(super) errors_in_200: bool,
}

impl Gate {
    /// Conformance 63: the signature of an advanced key is reckoned again; a standard key is compared.
    pub(super) fn identify(
        &mut self,
        headers: &HeaderMap,
        now: DateTime<Utc>,
    ) -> Result<(), Reply> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let refused = || error(401, "Public API request unauthorized", None);
        let authorization = text("authorization").ok_or_else(refused)?;
        if text("x-xdr-auth-id") != Some(self.key_id.as_str()) {
            return Err(refused());
        }
        let (nonce, timestamp) = (text("x-xdr-nonce"), text("x-xdr-timestamp"));
        if !self.advanced {
            let plain = authorization == self.key && nonce.is_none() && timestamp.is_none();
            return if plain { Ok(()) } else { Err(refused()) };
        }
        let (Some(nonce), Some(timestamp)) = (nonce, timestamp) else {
            return Err(refused());
        };
        let well_formed = nonce.len() == 64 && nonce.bytes().all(|it| it.is_ascii_alphanumeric());
        let at: i64 = timestamp.parse().map_err(|_| refused())?;
        let in_time = (now.timestamp_millis() - at).abs() <= SKEW;
        let whole = format!("{}{nonce}{timestamp}", self.key);
        let hash = digest::digest(&digest::SHA256, whole.as_bytes());
        let expected = hash
            .as_ref()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        if !well_formed || !in_time || expected != authorization {
            return Err(refused());
        }
        if !self.nonces.insert(nonce.to_owned()) {
            return Err(refused());
        }
        Ok(())
    }

    /// Conformance 64: licence, then role, then size.
    pub(super) fn admit(&self, call: &str, body: &[u8]) -> Result<(), Reply> {
        let ioc = call.starts_with("indicators");
        let licensed = match self.licence.as_str() {
            "pro" => true,
            "prevent" => !ioc,
            _ => false,
        };
        if !licensed {
            return Err(error(
                402,
                "Unauthorized access. User does not have the required license type",
                Some(json!({ "licence": self.licence })),
            ));
        }
        let allowed = match self.role.as_str() {
            "full" => true,
            "no-blocklist" => ioc,
            "no-ioc" => !ioc,
            _ => !ioc || call == "indicators/get",
        };
        if !allowed {
            return Err(error(
                403,
                "Unauthorized access. The key's role does not have the permission",
                Some(json!("missing permission")),
            ));
        }
        if body.len() > self.body_limit {
            return Err(error(413, "Request entity too large", None));
        }
        Ok(())
    }
}
