//! What Sekoia takes as an indicator: our values, and three kinds that nothing of ours blocks.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use sdk::indicator::{Kind, Value, refang};
use serde::Deserialize;

/// A type of indicators, as upstream's action names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum IndicatorType {
    /// An IPv4 or IPv6 address.
    #[serde(rename = "IP address")]
    Address,
    /// A domain name.
    #[serde(rename = "domain")]
    Domain,
    /// A URL.
    #[serde(rename = "url")]
    Url,
    /// An e-mail address.
    #[serde(rename = "email")]
    Email,
    /// MD5, SHA-1, SHA-256 or SHA-512.
    #[serde(rename = "hash")]
    Hash,
}

/// One observable in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Observable {
    /// A single address, a name, a URL or a hash.
    Known(Value),
    /// An e-mail address or a SHA-512.
    Other(String),
}

impl Observable {
    /// Reads one; without a type its text tells. The error says what is wrong.
    pub(crate) fn parse(text: &str, wanted: Option<IndicatorType>) -> Result<Self, String> {
        let plain = refang(text.trim());
        let plain = plain.as_ref();
        let known = |kind| {
            Value::parse(kind, plain)
                .map(Self::Known)
                .map_err(|error| error.to_string())
        };
        match wanted {
            Some(IndicatorType::Address) => address(plain),
            Some(IndicatorType::Domain) => known(Kind::Domain),
            Some(IndicatorType::Url) => known(Kind::Url),
            Some(IndicatorType::Email) => email(plain),
            Some(IndicatorType::Hash) => hash(plain),
            None if plain.contains('/') && plain.parse::<ipnet::IpNet>().is_ok() => address(plain),
            None => match Value::detect(plain) {
                Ok(value) => Ok(Self::Known(value)),
                Err(error) => email(plain)
                    .or_else(|_| hash(plain))
                    .map_err(|_| error.to_string()),
            },
        }
    }

    /// Our value, where it is one.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }

    /// Its kind, where it is one of ours.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.value().map(Value::kind)
    }

    /// Whether Sekoia's name of an indicator is this observable.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        match self {
            Self::Known(value) => {
                Value::parse(value.kind(), name.trim()).is_ok_and(|named| named == *value)
            }
            Self::Other(text) => name.trim().eq_ignore_ascii_case(text),
        }
    }

    /// As it is sent: a URL as it was given, because it is compared as text there.
    pub(crate) fn sent(&self) -> String {
        match self {
            Self::Known(Value::Url(url)) => url.original().to_owned(),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Observable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

fn address(plain: &str) -> Result<Observable, String> {
    match plain.parse::<IpAddr>() {
        Ok(address) => Ok(Observable::Known(Value::from(address))),
        Err(_) if plain.contains('/') => {
            Err("a network; Sekoia takes single addresses only".to_owned())
        }
        Err(_) => Err("not an IP address".to_owned()),
    }
}

fn email(plain: &str) -> Result<Observable, String> {
    let is_one = plain.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && plain.len() <= 254
            && !plain
                .contains(|c: char| c.is_whitespace() || c.is_control() || ",;<>\"".contains(c))
            && !local.contains('@')
            && Value::parse(Kind::Domain, domain).is_ok()
    });
    if is_one {
        Ok(Observable::Other(plain.to_ascii_lowercase()))
    } else {
        Err("not an e-mail address".to_owned())
    }
}

fn hash(plain: &str) -> Result<Observable, String> {
    if plain.len() == 128 && plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Observable::Other(plain.to_ascii_lowercase()));
    }
    match Value::detect(plain) {
        Ok(value @ (Value::Md5(_) | Value::Sha1(_) | Value::Sha256(_))) => {
            Ok(Observable::Known(value))
        }
        _ => Err("not an MD5, SHA-1, SHA-256 or SHA-512".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_takes_its_own_and_nothing_else() {
        use IndicatorType::{Address, Domain, Email, Hash, Url};
        let sha512 = "a".repeat(128);
        let good = [
            (Address, "8.8.4.4", "8.8.4.4"),
            (Address, "2606:4700::0:1111", "2606:4700::1111"),
            (Domain, "BAD[.]example.net.", "bad.example.net"),
            (Url, "hxxp://bad.example.net/A", "http://bad.example.net/A"),
            (Email, "Someone@Bad.example.net", "someone@bad.example.net"),
            (
                Hash,
                "D41D8CD98F00B204E9800998ECF8427E",
                "d41d8cd98f00b204e9800998ecf8427e",
            ),
            (Hash, &sha512, &sha512),
        ];
        for (kind, text, canonical) in good {
            let read = Observable::parse(text, Some(kind)).unwrap();
            assert_eq!(read.to_string(), canonical);
            assert!(read.is_named(canonical));
            assert_eq!(Observable::parse(text, None).unwrap(), read, "{text}");
        }
        for (kind, text) in [
            (Address, "8.8.4.0/24"),
            (Address, "8.8.4.4:53"),
            (Address, ""),
            (Address, "bad.example.net"),
            (Domain, "8.8.4.4"),
            (Url, "bad.example.net"),
            (Email, "a b@example.net"),
            (Email, "a@b@example.net"),
            (Email, "example.net"),
            (Hash, "d41d8cd98f00b204"),
            (Hash, "bad.example.net"),
        ] {
            assert!(Observable::parse(text, Some(kind)).is_err(), "{text}");
        }
        let network = Observable::parse("8.8.4.0/24", None).unwrap_err();
        assert!(network.contains("single addresses"), "{network}");
    }
}
