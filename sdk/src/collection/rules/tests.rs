use chrono::TimeDelta;

use super::super::protect::Settings;
use super::*;
use crate::indicator::{Kind, Origin, Validity};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn value(text: &str) -> Value {
    Value::detect(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn list(name: &str, texts: &[&str]) -> Reading {
    let indicator = |text: &&str| {
        let exact = text.starts_with('=');
        let value = value(text.trim_start_matches('='));
        Indicator {
            exact,
            ..Indicator::bare(value, Origin::Argument)
        }
    };
    Reading {
        name: name.to_owned(),
        indicators: texts.iter().map(indicator).collect(),
        ..Reading::default()
    }
}

fn excluding(texts: &[&str]) -> Rules {
    Rules::new(
        &[&list("partners", texts)],
        &[],
        Protection::default(),
        now(),
    )
}

fn refused(rules: &Rules, text: &str) -> Option<String> {
    rules.refuses(&value(text)).map(|rule| {
        let role = if rule.protected {
            "protected"
        } else {
            "excluded"
        };
        format!("{role}: {}", rule.text)
    })
}

fn cut(rules: &Rules, text: &str) -> Vec<String> {
    rules
        .cut(&value(text))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn special_purpose_addresses_are_always_refused() {
    let rules = Rules::default();
    for (text, network) in [
        ("0.1.2.3", "0.0.0.0/8"),
        ("10.0.0.1", "10.0.0.0/8"),
        ("100.64.0.1", "100.64.0.0/10"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("169.254.169.254", "169.254.0.0/16"),
        ("172.31.255.255", "172.16.0.0/12"),
        ("192.0.0.170", "192.0.0.0/24"),
        ("192.0.2.1", "192.0.2.0/24"),
        ("192.31.196.1", "192.31.196.0/24"),
        ("192.52.193.1", "192.52.193.0/24"),
        ("192.88.99.1", "192.88.99.0/24"),
        ("192.168.0.0/16", "192.168.0.0/16"),
        ("192.175.48.6", "192.175.48.0/24"),
        ("198.19.255.255", "198.18.0.0/15"),
        ("198.51.100.7", "198.51.100.0/24"),
        ("203.0.113.7", "203.0.113.0/24"),
        ("240.0.0.1", "240.0.0.0/4"),
        ("255.255.255.255", "240.0.0.0/4"),
        ("::", "::/128"),
        ("::1", "::1/128"),
        ("64:ff9b::808:808", "64:ff9b::/96"),
        ("64:ff9b:1::1", "64:ff9b:1::/48"),
        ("100::1", "100::/64"),
        ("100:0:0:1::1", "100:0:0:1::/64"),
        ("2001::1", "2001::/23"),
        ("2001:2::1", "2001::/23"),
        ("2001:20::1", "2001::/23"),
        ("2001:db8::1", "2001:db8::/32"),
        ("2002:808:808::1", "2002::/16"),
        ("2620:4f:8000::1", "2620:4f:8000::/48"),
        ("3fff:1::1", "3fff::/20"),
        ("5f00::1", "5f00::/16"),
        ("fd00::1", "fc00::/7"),
        ("fe80::1", "fe80::/10"),
        ("fec0::1", "fec0::/10"),
        ("::ffff:10.0.0.1", "10.0.0.0/8"),
        ("http://10.0.0.1/x", "10.0.0.0/8"),
        ("http://[fd00::1]:8080/x", "fc00::/7"),
        ("http://[::ffff:127.0.0.1]/", "127.0.0.0/8"),
        ("http://2130706433/", "127.0.0.0/8"),
    ] {
        let expected = format!("protected: special-purpose {network}");
        assert_eq!(refused(&rules, text), Some(expected), "{text}");
        assert!(cut(&rules, text).is_empty(), "{text}");
    }
    for (text, network) in [
        ("224.0.0.251", "224.0.0.0/4"),
        ("ff02::1", "ff00::/8"),
        ("http://239.1.2.3/", "224.0.0.0/4"),
    ] {
        let expected = format!("protected: multicast {network}");
        assert_eq!(refused(&rules, text), Some(expected), "{text}");
    }
    for text in [
        "8.8.8.8",
        "192.0.1.1",
        "2a00::1",
        "http://9.9.9.9/",
        "1.0.0.0/8",
    ] {
        assert_eq!(refused(&rules, text), None, "{text}");
        assert_eq!(cut(&rules, text), [value(text).to_string()], "{text}");
    }
}

#[test]
fn only_special_purpose_addresses_can_be_allowed() {
    let settings = Settings {
        special_purpose: false,
        ..Settings::default()
    };
    let rules = Rules::new(&[], &[], Protection::new(&settings), now());
    assert_eq!(refused(&rules, "10.0.0.1"), None);
    assert!(refused(&rules, "224.0.0.1").is_some());
}

#[test]
fn what_a_network_shares_with_special_purpose_is_cut_away() {
    let rules = Rules::default();
    assert_eq!(
        cut(&rules, "203.0.112.0/22"),
        ["203.0.112.0/24", "203.0.114.0/23"]
    );
    // The IPv4-mapped block stands in IPv6 too, for networks around it.
    let settings = Settings {
        widest_ipv6: 0,
        ..Settings::default()
    };
    let rules = Rules::new(&[], &[], Protection::new(&settings), now());
    let parts = rules.cut(&value("::/64"));
    let mapped = "::ffff:0:0/96".parse::<Ipv6Net>().expect("network");
    assert!(!parts.is_empty());
    assert!(parts.iter().all(|part| match part {
        Value::Ipv6(network) => !network.contains(&mapped) && !mapped.contains(network),
        _ => false,
    }));
}

#[test]
fn networks_that_are_too_wide_are_refused_whole() {
    let rules = Rules::default();
    for (text, rule) in [
        ("0.0.0.0/0", "protected: wider than /8"),
        ("8.0.0.0/7", "protected: wider than /8"),
        ("2a00::/23", "protected: wider than /24"),
        ("::/0", "protected: wider than /24"),
    ] {
        assert_eq!(refused(&rules, text).as_deref(), Some(rule), "{text}");
        assert!(cut(&rules, text).is_empty(), "{text}");
    }
    assert_eq!(refused(&rules, "2a00::/24"), None);
    let settings = Settings {
        widest_ipv4: 16,
        ..Settings::default()
    };
    let rules = Rules::new(&[], &[], Protection::new(&settings), now());
    assert_eq!(
        refused(&rules, "8.8.0.0/15").as_deref(),
        Some("protected: wider than /16")
    );
}

#[test]
fn suffixes_and_single_labels_are_refused() {
    let rules = Rules::default();
    for (text, rule) in [
        ("co.uk", "public suffix co.uk"),
        ("github.io", "public suffix github.io"),
        ("s3.amazonaws.com", "public suffix s3.amazonaws.com"),
        ("anything.ck", "public suffix anything.ck"),
        ("公司.cn", "public suffix xn--55qx5d.cn"),
        ("http://github.io", "public suffix github.io"),
        ("http://github.io:8080/#x", "public suffix github.io"),
        ("http://localhost/x", "single label"),
    ] {
        let expected = format!("protected: {rule}");
        assert_eq!(refused(&rules, text), Some(expected), "{text}");
    }
    for text in ["com", "localhost", "xn--p1ai"] {
        let value = Value::parse(Kind::Domain, text).expect("a name");
        let rule = rules.refuses(&value).expect("a rule");
        assert_eq!(rule.text, "single label");
    }
    for text in [
        "example.co.uk",
        "someone.github.io",
        "www.ck",
        "unknown.suffix-of-nobody",
        "https://s3.amazonaws.com/bucket/file",
    ] {
        assert_eq!(refused(&rules, text), None, "{text}");
    }
    let settings = Settings {
        public_suffixes: false,
        ..Settings::default()
    };
    let rules = Rules::new(&[], &[], Protection::new(&settings), now());
    assert_eq!(refused(&rules, "co.uk"), None);
}

#[test]
fn management_hosts_are_protected_in_every_spelling() {
    let hosts = [
        "API.vendor.com:443",
        "https://[2a00::1]:8443/api",
        "9.9.9.9",
        "https://console.vendor.com/login",
        "bad host",
    ];
    let protection = Protection::new(&Settings {
        management_hosts: hosts.map(str::to_owned).to_vec(),
        ..Settings::default()
    });
    assert_eq!(protection.unreadable(), ["bad host"]);
    let rules = Rules::new(&[], &[], protection, now());
    for (text, host) in [
        ("api.vendor.com", hosts[0]),
        ("eu.api.vendor.com", hosts[0]),
        ("http://api.vendor.com/x", hosts[0]),
        ("2a00::1", hosts[1]),
        ("https://[2a00::1]/y", hosts[1]),
        ("9.9.9.9", hosts[2]),
        ("http://9.9.9.9:81/", hosts[2]),
        ("console.vendor.com", hosts[3]),
    ] {
        let expected = format!("protected: management host {host}");
        assert_eq!(refused(&rules, text), Some(expected), "{text}");
    }
    assert_eq!(cut(&rules, "9.9.9.8/31"), ["9.9.9.8"]);
    assert_eq!(refused(&rules, "vendor.com"), None);
    assert!(rules.conflict(&value("vendor.com")).is_some());
}

#[test]
fn excludes_cover_what_is_below_them() {
    let sha256 = "ab".repeat(32);
    let rules = excluding(&[
        "example.com",
        "=alone.example.net",
        "http://pages.example.org/x",
        "8.8.8.0/24",
        "2a00:1::/32",
        &sha256,
    ]);
    for text in [
        "example.com",
        "a.b.example.com",
        "http://a.example.com:81/x",
        "alone.example.net",
        "http://alone.example.net/x",
        "http://pages.example.org/x",
        "http://pages.example.org/x/y",
        "8.8.8.8",
        "8.8.8.128/25",
        "http://8.8.8.8/x",
        "2a00:1::1",
        "http://[2a00:1::1]/x",
        &sha256.to_uppercase(),
    ] {
        let expected = Some("excluded: exclude list partners");
        assert_eq!(refused(&rules, text).as_deref(), expected, "{text}");
    }
    for text in [
        "badexample.com",
        "below.alone.example.net",
        "http://below.alone.example.net/",
        "pages.example.org",
        "http://pages.example.org/",
        "http://pages.example.org/xy",
        "8.8.9.8",
        "8.8.8.0/23",
        &"cd".repeat(32),
    ] {
        assert_eq!(refused(&rules, text), None, "{text}");
    }
    assert_eq!(cut(&rules, "8.8.8.0/23"), ["8.8.9.0/24"]);
}

#[test]
fn an_entry_that_matches_below_itself_must_not_hit_what_is_excluded() {
    let rules = excluding(&[
        "www.example.com",
        "https://pages.example.org/x/y",
        "http://9.9.9.9/z",
    ]);
    for text in [
        "example.com",
        "example.org",
        "pages.example.org",
        "http://pages.example.org/x",
        "9.9.9.9",
        "9.9.0.0/16",
        "http://9.9.9.9/",
    ] {
        let rule = rules.conflict(&value(text)).expect(text);
        assert_eq!(rule.text, "exclude list partners");
    }
    for text in [
        "example.net",
        "a.pages.example.org",
        "http://pages.example.org/y",
        "9.9.9.8",
    ] {
        assert_eq!(rules.conflict(&value(text)), None, "{text}");
    }
}

#[test]
fn protection_goes_before_protect_lists_and_these_before_excludes() {
    let (own, partners) = (
        list("own", &["9.9.9.0/24", "own.example.com"]),
        list("partners", &["9.9.0.0/16", "example.com", "10.0.0.0/8"]),
    );
    let rules = Rules::new(&[&partners], &[&own], Protection::default(), now());
    assert_eq!(
        refused(&rules, "9.9.9.9").as_deref(),
        Some("protected: protect list own")
    );
    assert_eq!(
        refused(&rules, "9.9.8.8").as_deref(),
        Some("excluded: exclude list partners")
    );
    assert_eq!(
        refused(&rules, "a.own.example.com").as_deref(),
        Some("protected: protect list own")
    );
    assert_eq!(
        refused(&rules, "10.1.1.1").as_deref(),
        Some("protected: special-purpose 10.0.0.0/8")
    );
}

#[test]
fn several_rules_may_cover_a_network_together() {
    let (low, high) = (
        list("low", &["9.9.9.0/25"]),
        list("high", &["9.9.9.128/25"]),
    );
    let rules = Rules::new(&[&low, &high], &[], Protection::default(), now());
    assert_eq!(
        refused(&rules, "9.9.9.0/24").as_deref(),
        Some("excluded: exclude list low")
    );
}

#[test]
fn excludes_hold_only_while_they_are_valid() {
    let mut excludes = list(
        "partners",
        &[
            "a.example.com",
            "b.example.com",
            "c.example.com",
            "d.example.com",
        ],
    );
    let hour = TimeDelta::hours(1);
    excludes.indicators[0].revoked = true;
    excludes.indicators[1].validity.until = Some(now());
    excludes.indicators[2].validity.from = Some(now() + hour);
    excludes.indicators[3].validity = Validity {
        from: Some(now()),
        until: Some(now() + hour),
    };
    let rules = Rules::new(&[&excludes], &[], Protection::default(), now());
    let names = ["a", "b", "c", "d"].map(|name| format!("{name}.example.com"));
    assert_eq!(
        names.map(|name| refused(&rules, &name).is_some()),
        [false, false, false, true]
    );
}
