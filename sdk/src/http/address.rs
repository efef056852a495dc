//! From a base URL and a request to the URL that is called. No value leaves its place.

use std::fmt::Write as _;
use std::net::IpAddr;

use reqwest::Method;
use url::{Host, Url};

use super::request::Request;
use crate::error::{Error, Result};

/// Reads a base URL: https, or http on loopback; no credentials, query or fragment in it.
pub(super) fn base(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim()).map_err(|error| {
        Error::config("the vendor's address is not a URL")
            .because(error)
            .hint("a full URL, for instance https://vendor.example.com")
    })?;
    check(&url)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            Error::config("the vendor's address has a query or a fragment")
                .with("host", host(&url))
                .hint("scheme, host, port and path only"),
        );
    }
    Ok(url)
}

/// https, or http on loopback; a host; no credentials.
pub(super) fn check(url: &Url) -> Result<()> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config("an address has credentials in it")
            .with("host", host(url))
            .hint("credentials have their own fields"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(Error::config("plain http is refused")
            .with("host", host(url))
            .hint("use https; http is accepted on loopback only, and private CAs by ca_file, ca_pem or tls_fingerprint")),
        other => Err(Error::config(format!("an address of scheme {other:?}"))
            .hint("a full URL that begins with https://")),
    }
}

/// Whether the host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Host and port for messages.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The URL of a request. Segments and query values are encoded whole; what no encoding keeps in its
/// place is refused.
pub(super) fn join(base: &Url, request: &Request) -> Result<Url> {
    let mut path = base.path().trim_end_matches('/').to_owned();
    let last = request.path.len().saturating_sub(1);
    for (index, segment) in request.path.iter().enumerate() {
        // URL parsers take dots out even when they are encoded.
        if segment == "." || segment == ".." {
            return Err(Error::input(format!(
                "{segment:?} cannot be part of a request path"
            )));
        }
        // An identifier that is empty by mistake would address the whole list; a slash at the end of
        // what is read or posted is some vendors' way of writing it.
        let slash_at_end = index == last && matches!(request.method, Method::GET | Method::POST);
        if segment.is_empty() && !slash_at_end {
            return Err(Error::input("an empty part of a request path")
                .with("path", request.path.join("/")));
        }
        path.push('/');
        encode(segment, &mut path);
    }
    let mut url = base.clone();
    url.set_path(&path);
    if !request.query.is_empty() {
        let mut query = String::new();
        for (key, value) in &request.query {
            if !query.is_empty() {
                query.push('&');
            }
            encode(key, &mut query);
            query.push('=');
            encode(value, &mut query);
        }
        url.set_query(Some(&query));
    }
    Ok(url)
}

/// Percent-encodes everything but the unreserved characters of RFC 3986 §2.3. A space is `%20`, which
/// means the same in every part of a URL, as `+` does not.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base_text: &str, request: &Request) -> String {
        join(&base(base_text).unwrap(), request)
            .unwrap()
            .to_string()
    }

    #[test]
    fn https_everywhere_and_http_on_loopback_only() {
        for good in [
            "https://vendor.example.com",
            "https://vendor.example.com:8443/base/",
            "https://203.0.113.9",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]:80",
            "http://LOCALHOST:1234",
        ] {
            base(good).unwrap();
        }
        for bad in [
            "http://vendor.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://[::2]",
            "ftp://127.0.0.1",
            "vendor.example.com",
            "https://",
            "https://user:hunter2@vendor.example.com",
            "https://vendor.example.com/?key=hunter2",
        ] {
            let error = base(bad).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Config, "{bad}");
            assert!(error.hint_text().is_some(), "{bad}");
            assert!(!format!("{error:?}").contains("hunter2"), "{bad}");
        }
    }

    #[test]
    fn no_value_leaves_its_segment() {
        for (value, encoded) in [
            ("plain-1_2.3~", "plain-1_2.3~"),
            ("a/b", "a%2Fb"),
            ("a\\b", "a%5Cb"),
            ("a?b=c#d", "a%3Fb%3Dc%23d"),
            ("../../x", "..%2F..%2Fx"),
            ("%2e%2e", "%252e%252e"),
            ("a b+c;d:e@f&g", "a%20b%2Bc%3Bd%3Ae%40f%26g"),
            ("é\r\n", "%C3%A9%0D%0A"),
        ] {
            let url = joined(
                "https://vendor.example.com/base/",
                &Request::get("*", ["items", value, "end"]),
            );
            assert_eq!(
                url,
                format!("https://vendor.example.com/base/items/{encoded}/end")
            );
        }
        let base = base("https://vendor.example.com").unwrap();
        for dots in [".", ".."] {
            join(&base, &Request::get("*", ["items", dots])).unwrap_err();
        }
    }

    #[test]
    fn an_empty_identifier_is_refused() {
        let base = base("https://vendor.example.com").unwrap();
        let delete = Request::new(
            Method::DELETE,
            crate::http::Safety::Idempotent,
            "*",
            ["items", ""],
        );
        join(&base, &delete).unwrap_err();
        join(&base, &Request::get("*", ["items", "", "parts"])).unwrap_err();
        let slash = join(&base, &Request::get("*", ["api", ""])).unwrap();
        assert_eq!(slash.path(), "/api/");
    }

    #[test]
    fn query_values_stay_values() {
        let request = Request::get("*", ["items"])
            .query("filter", "type:'ipv4'+value:'1 & 2'")
            .query("limit", 500);
        assert_eq!(
            joined("http://127.0.0.1:1", &request),
            "http://127.0.0.1:1/items?filter=type%3A%27ipv4%27%2Bvalue%3A%271%20%26%202%27&limit=500"
        );
    }
}
