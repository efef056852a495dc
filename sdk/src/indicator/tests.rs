use std::collections::HashSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn parse(kind: Kind, text: &str) -> String {
    match Value::parse(kind, text) {
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

fn detect(text: &str) -> String {
    match Value::detect(text) {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn values_are_small() {
    // A million of them must fit beside their indicators.
    assert_eq!(size_of::<Value>(), 40);
}

#[test]
fn addresses_are_masked_and_mapped() {
    for (kind, text, canonical) in [
        (Kind::Ipv4, " 192.0.2.1\n", "192.0.2.1"),
        (Kind::Ipv4, "192.0.2.1/32", "192.0.2.1"),
        (Kind::Ipv4, "192.0.2.77/24", "192.0.2.0/24"),
        (Kind::Ipv4, "0.0.0.0/0", "0.0.0.0/0"),
        (Kind::Ipv4, "::ffff:192.0.2.1", "192.0.2.1"),
        (Kind::Ipv6, "::FFFF:c000:201", "192.0.2.1"),
        (Kind::Ipv6, "::ffff:192.0.2.77/120", "192.0.2.0/24"),
        (Kind::Ipv6, "2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        (Kind::Ipv6, "2001:db8::1/32", "2001:db8::/32"),
        (Kind::Ipv6, "::ffff:1.2.3.4/64", "::/64"),
    ] {
        assert_eq!(parse(kind, text), canonical, "{text}");
    }
    for (kind, text) in [
        (Kind::Ipv4, "192.0.2.01"),
        (Kind::Ipv4, "192.0.2"),
        (Kind::Ipv4, "192.0.2.256"),
        (Kind::Ipv4, "0x7f.0.0.1"),
        (Kind::Ipv4, "192.0.2.1/33"),
        (Kind::Ipv4, "192.0.2.1/"),
        (Kind::Ipv4, "192.0.2.1/08"),
        (Kind::Ipv4, "192.0.2.1/+8"),
        (Kind::Ipv4, "192.0.2.1/24/24"),
        (Kind::Ipv4, "192.0.2.0/255.255.255.0"),
        (Kind::Ipv4, "192.0.2.1:80"),
        (Kind::Ipv4, "2001:db8::1"),
        (Kind::Ipv6, "192.0.2.1"),
        (Kind::Ipv6, "fe80::1%eth0"),
        (Kind::Ipv6, "[2001:db8::1]"),
        (Kind::Ipv6, "2001:db8::1/129"),
        (Kind::Ipv4, ""),
    ] {
        assert!(Value::parse(kind, text).is_err(), "{text}");
    }
}

#[test]
fn names_have_one_spelling() {
    let long_label = "a".repeat(63);
    let longest = format!("{0}.{0}.{0}.{1}", long_label, "b".repeat(61));
    for (text, canonical) in [
        ("Example.COM.", "example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("-odd-.example.com", "-odd-.example.com"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("bu\u{308}cher。example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        (longest.as_str(), longest.as_str()),
    ] {
        assert_eq!(parse(Kind::Domain, text), canonical, "{text}");
    }
    let too_long = format!("{longest}b");
    let long_label = format!("{long_label}a.example");
    for text in [
        "",
        ".",
        "a..b",
        ".example.com",
        "example.com..",
        "*.example.com",
        "exam ple.com",
        "exam%70le.com",
        "a/b.example",
        "192.0.2.1",
        "1.2.3.4.5",
        "example.0x1f",
        "0x7f000001",
        "xn--a.example",
        "user@example.com",
        &long_label,
        &too_long,
    ] {
        assert!(Value::parse(Kind::Domain, text).is_err(), "{text}");
    }
}

#[test]
fn urls_keep_what_vendors_match_on() {
    for (text, canonical, host) in [
        (
            "HTTP://Example.COM:80/A?b=C#d",
            "http://example.com/A?b=C#d",
            "example.com",
        ),
        (
            "https://example.com:443",
            "https://example.com/",
            "example.com",
        ),
        (
            "http://example.com.:8080/",
            "http://example.com:8080/",
            "example.com",
        ),
        (
            "ftp://user:pass@example.com/x",
            "ftp://user:pass@example.com/x",
            "example.com",
        ),
        (
            "http://BÜCHER.example/ü",
            "http://xn--bcher-kva.example/%C3%BC",
            "xn--bcher-kva.example",
        ),
        ("http://192.0.2.1/a", "http://192.0.2.1/a", "192.0.2.1"),
        ("http://0xC0.0.2.1/a", "http://192.0.2.1/a", "192.0.2.1"),
        (
            "http://[2001:DB8::0:1]:81/a",
            "http://[2001:db8::1]:81/a",
            "2001:db8::1",
        ),
        (
            "http://[::ffff:192.0.2.1]/a",
            "http://192.0.2.1/a",
            "192.0.2.1",
        ),
        (
            "tcp://Example.COM:4444/Path",
            "tcp://example.com:4444/Path",
            "example.com",
        ),
        ("tcp://192.0.2.1:4444", "tcp://192.0.2.1:4444", "192.0.2.1"),
        ("http://a_b.example/", "http://a_b.example/", "a_b.example"),
    ] {
        let url = UrlValue::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(url.as_str(), canonical);
        assert_eq!(url.host(), host);
        assert_eq!(url.original(), text);
        assert_eq!(url, UrlValue::parse(canonical).expect("canonical"));
    }
    for text in [
        "example.com/a",
        "http:example.com",
        "http:///example.com",
        "http://",
        "http://?q",
        "http://:80/",
        "http://user@/",
        "http://exa mple.com/",
        "http://*.example.com/",
        "http://256.1.1.1/",
        "tcp://0x7f.1/",
        "http://example.com:99999/",
        "file:///etc/passwd",
        "mailto://",
        "://example.com",
    ] {
        assert!(Value::parse(Kind::Url, text).is_err(), "{text}");
    }
    assert!(UrlValue::parse(&format!("http://example.com/{}", "a".repeat(70_000))).is_err());
}

#[test]
fn parts_of_a_url() {
    let url = UrlValue::parse("http://u:p@[2001:db8::1]:81/a?b").expect("url");
    assert_eq!((url.scheme(), url.after_host()), ("http", ":81/a?b"));
    assert_eq!(url.address(), Some("2001:db8::1".parse().expect("address")));
    let url = UrlValue::parse("https://Example.com").expect("url");
    assert_eq!(
        (url.scheme(), url.after_host(), url.address()),
        ("https", "/", None)
    );
}

#[test]
fn two_spellings_are_one_url() {
    let spellings = [
        "http://a.example/x",
        "HTTP://A.example:80/x",
        "http://a.example./x",
    ];
    let urls: HashSet<_> = spellings
        .iter()
        .map(|text| UrlValue::parse(text).expect("url"))
        .collect();
    assert_eq!(urls.len(), 1);
    let other = UrlValue::parse("http://a.example/X").expect("url");
    assert!(!urls.contains(&other));
}

#[test]
fn hashes_are_lower_case_and_of_their_length() {
    let sha256 = "AB".repeat(32);
    assert_eq!(parse(Kind::Sha256, &sha256), "ab".repeat(32));
    assert_eq!(parse(Kind::Md5, &"0f".repeat(16)), "0f".repeat(16));
    assert_eq!(parse(Kind::Sha1, &"A0".repeat(20)), "a0".repeat(20));
    for (kind, text) in [
        (Kind::Md5, "ab".repeat(20)),
        (Kind::Sha1, "gg".repeat(20)),
        (Kind::Sha256, "é".repeat(32)),
        (Kind::Sha256, format!("0x{}", "ab".repeat(31))),
    ] {
        if kind != Kind::Sha256 || text.starts_with('é') {
            assert!(Value::parse(kind, &text).is_err(), "{text}");
        } else {
            assert_eq!(
                parse(kind, &text),
                "error: not a valid sha256: a character that is no hex digit"
            );
        }
    }
}

#[test]
fn defanged_text_is_refanged() {
    for (text, plain) in [
        ("1.2.3[.]4", "1.2.3.4"),
        ("hxxp://a[.]example/b", "http://a.example/b"),
        ("hXXps://a(.)example", "https://a.example"),
        ("hxxps[:]//a[dot]example", "https://a.example"),
        ("hxxp[://]a{.}example", "http://a.example"),
        ("h**p://a.example", "http://a.example"),
        ("fxp://a.example", "ftp://a.example"),
        ("user[@]a(DOT)example", "user@a.example"),
        ("http://[2001:db8::1]/a[0]", "http://[2001:db8::1]/a[0]"),
        ("2001[:]db8[:][:]1", "2001:db8::1"),
        ("plain.example", "plain.example"),
        ("HTTP://a.example", "HTTP://a.example"),
        ("[é]", "[é]"),
        ("hxxp", "hxxp"),
    ] {
        assert_eq!(refang(text), plain, "{text}");
    }
    assert!(matches!(
        refang("plain.example"),
        std::borrow::Cow::Borrowed(_)
    ));
}

#[test]
fn ports_are_split_off() {
    for (text, host, port) in [
        ("192.0.2.1:80", "192.0.2.1", Some(80)),
        ("example.com:443", "example.com", Some(443)),
        ("[2001:db8::1]:443", "2001:db8::1", Some(443)),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("http://example.com:80/", "http://example.com:80/", None),
        ("example.com:99999", "example.com:99999", None),
        ("example.com:", "example.com:", None),
        (":80", ":80", None),
        ("[::1", "[::1", None),
        ("[::1]x", "[::1]x", None),
    ] {
        assert_eq!(split_port(text), (host, port), "{text}");
    }
}

#[test]
fn the_text_tells_the_kind() {
    for (text, found) in [
        ("192.0.2.1", "ipv4:192.0.2.1"),
        ("192.0.2.0/24", "ipv4:192.0.2.0/24"),
        ("2001:db8::/32", "ipv6:2001:db8::/32"),
        ("::ffff:192.0.2.1", "ipv4:192.0.2.1"),
        ("http://example.com", "url:http://example.com/"),
        ("Evil.Example.com", "domain:evil.example.com"),
        ("xn--bcher-kva.example", "domain:xn--bcher-kva.example"),
        ("report.zip", "domain:report.zip"),
        ("192.0.2.01", "error: not a valid ipv4: not a dotted quad"),
        ("1.2.3", "error: not a valid ipv4: not a dotted quad"),
        (
            "fe80::1%eth0",
            "error: not a valid ipv6: a zone id means something on one host only",
        ),
        ("*.example.com", "error: not a valid domain: a wildcard"),
        ("a@example.com", "error: e-mail address is not supported"),
        ("DOC 0125084.zip", "error: file name is not supported"),
        ("INV_9504.doc", "error: file name is not supported"),
        ("C:\\Windows\\a.exe", "error: file path is not supported"),
        ("/usr/bin/a", "error: file path is not supported"),
        ("HKLM\\Software\\x", "error: registry key is not supported"),
        (
            "example.com/a/b",
            "error: URL without a scheme is not supported",
        ),
        ("00:11:22:33:44:5f", "error: MAC address is not supported"),
        ("hello", "error: not an indicator"),
        ("two words", "error: not an indicator"),
        ("12:34", "error: not an indicator"),
        ("a:b:c", "error: not a valid ipv6: not an IPv6 address"),
        ("x:y:z", "error: not an indicator"),
        ("", "error: not an indicator"),
        ("abcdef", "error: not an indicator"),
    ] {
        assert_eq!(detect(text), found, "{text}");
    }
    for (digits, found) in [
        (32, "md5:"),
        (40, "sha1:"),
        (64, "sha256:"),
        (56, "error: SHA-224 is not supported"),
        (96, "error: SHA-384 is not supported"),
        (128, "error: SHA-512 is not supported"),
        (33, "error: not an indicator"),
    ] {
        assert!(detect(&"1".repeat(digits)).starts_with(found), "{digits}");
    }
}

#[test]
fn no_file_ending_is_a_top_level_domain() {
    use psl::Psl;
    for ending in refang::FILE_ENDINGS {
        let name = format!("name.{ending}");
        let suffix = psl::List.suffix(name.as_bytes()).expect("suffix");
        assert!(!suffix.is_known(), "{ending}");
    }
}

/// Published lists as users have them; the folder stands beside the checkout.
#[test]
fn published_lists_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return;
    }
    let list = fs::read_to_string(folder.join("ipsum-2026-08-22.txt")).expect("ipsum");
    let rows = list.lines().filter(|line| !line.starts_with('#'));
    let mut read = 0;
    for row in rows {
        let address = row.split('\t').next().unwrap_or_default();
        let value = Value::detect(address).unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(value.to_string(), address);
        read += 1;
    }
    assert!(read > 100_000, "{read}");

    for entry in fs::read_dir(folder.join("sekoia")).expect("folder") {
        let path = entry.expect("entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let mut kinds = HashSet::new();
        for field in text.lines().flat_map(|line| line.split([',', ';'])) {
            let plain = refang(field.trim_matches('"'));
            let (plain, _) = split_port(&plain);
            let Ok(value) = Value::detect(plain) else {
                continue;
            };
            let again = Value::parse(value.kind(), &value.to_string());
            assert_eq!(again.as_ref(), Ok(&value), "{field}");
            kinds.insert(value.kind());
        }
        assert!(!kinds.is_empty(), "{}", path.display());
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[a-zA-Z0-9._:/\\[\\]@%-]{0,40}",
        "(http|HTTPS|ftp|tcp)://[a-zA-Z0-9._ü:@%\\[\\]-]{1,30}(:[0-9]{1,5})?[/?#]?\\PC{0,20}",
        "[a-zA-ZüÜß日。_-]{1,8}(\\.[a-zA-ZüÜß日0-9-]{1,8}){0,4}\\.?",
        "([0-9]{1,3}\\.){3}[0-9]{1,3}(/[0-9]{1,2})?",
        "([0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(/[0-9]{1,3})?",
        "[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn canonical_text_is_a_fixed_point(text in any_text()) {
        let text = refang(&text).into_owned();
        for kind in Kind::ALL {
            let Ok(value) = Value::parse(kind, &text) else { continue };
            let shown = value.to_string();
            let again = Value::parse(value.kind(), &shown);
            prop_assert_eq!(again.as_ref().map(ToString::to_string), Ok(shown.clone()));
            prop_assert_eq!(again, Ok(value.clone()));
            if let Value::Url(url) = &value {
                let host = url.host();
                let canonical = match host.parse::<std::net::IpAddr>() {
                    Ok(address) => Value::from(address).to_string(),
                    Err(_) => Domain::parse(host).expect("a canonical name").as_str().to_owned(),
                };
                prop_assert_eq!(host, canonical);
                prop_assert_eq!(url.address().is_some(), host.parse::<std::net::IpAddr>().is_ok());
                prop_assert_eq!(url.original(), text.trim());
            }
        }
    }

    #[test]
    fn detection_agrees_with_parsing(text in any_text()) {
        if let Ok(value) = Value::detect(&text) {
            prop_assert_eq!(Value::parse(value.kind(), &text), Ok(value));
        }
        let _ = split_port(&text);
    }

    #[test]
    fn refanging_is_idempotent_on_what_is_defanged_once(host in "[a-z]{1,8}(\\.[a-z]{2,5}){1,3}") {
        let defanged = host.replace('.', "[.]");
        prop_assert_eq!(refang(&defanged).into_owned(), host.clone());
        prop_assert_eq!(refang(&format!("hxxp://{defanged}/")).into_owned(), format!("http://{host}/"));
    }
}
