//! The hosts that a configuration names: whether they are all on loopback, and which of them are the
//! vendor's own.

use std::net::IpAddr;

use sdk::connector::Connector;
use serde_json::Value as Json;
use url::{Host, Url};

/// The hosts in a connector's configuration, as [`Connector::management_hosts`] tells where they stand.
pub(crate) fn hosts(connector: &Connector, settings: &Json) -> Vec<String> {
    let mut found = Vec::new();
    for path in connector.management_hosts {
        let keys: Vec<&str> = path.split('.').collect();
        collect(settings, &keys, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn collect(value: &Json, keys: &[&str], found: &mut Vec<String>) {
    match (value, keys) {
        (Json::Array(items), _) => items.iter().for_each(|item| collect(item, keys, found)),
        (Json::Object(object), [key, rest @ ..]) => {
            if let Some(value) = object.get(*key) {
                collect(value, rest, found);
            }
        }
        // A map whose keys are the hosts: `api_keys` by address.
        (Json::Object(object), []) => found.extend(object.keys().map(|key| host_of(key))),
        (Json::String(text), []) => found.push(host_of(text)),
        _ => {}
    }
}

/// The host of a URL, or of `host:port`, or the text itself.
fn host_of(text: &str) -> String {
    let parsed = if text.contains("://") {
        Url::parse(text)
    } else if text.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    } else {
        Url::parse(&format!("https://{text}"))
    };
    match parsed.ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => text.to_owned(),
    }
}

/// Whether a host, or a URL's host, is this machine.
pub(crate) fn is_loopback(text: &str) -> bool {
    let host = host_of(text);
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a connector's configuration reaches this machine only. One that names no host reaches the
/// vendor's default, which is elsewhere.
pub(crate) fn only_loopback(connector: &Connector, settings: &Json) -> bool {
    let hosts = hosts(connector, settings);
    !hosts.is_empty() && hosts.iter().all(|host| is_loopback(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_by_host() {
        for text in [
            "http://127.0.0.1:8080/x",
            "https://localhost",
            "127.0.0.9",
            "localhost:99",
            "https://[::1]:5",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "https://api.crowdstrike.com",
            "10.0.0.1",
            "https://127.0.0.1.example.com",
            "https://127.0.0.1@example.com/",
            "localhost.example.com",
            "",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }
}
