//! Reading objects and handles.

use super::*;

fn row(kind: &str, subnet: &str) -> AddressRow {
    serde_json::from_value(serde_json::json!({ "name": "x", "type": kind, "subnet": subnet }))
        .unwrap()
}

#[test]
fn only_single_networks_are_values() {
    let told = |row: &AddressRow| value_of(Family::Ipv4, row).map(|value| value.to_string());
    assert_eq!(
        told(&row("ipmask", "1.2.3.0 255.255.255.0")).as_deref(),
        Some("1.2.3.0/24")
    );
    assert_eq!(
        told(&row("ipmask", "1.2.3.4 255.255.255.255")).as_deref(),
        Some("1.2.3.4")
    );
    assert_eq!(told(&row("ipmask", "1.2.3.0 255.0.255.0")), None);
    assert_eq!(told(&row("iprange", "0.0.0.0 0.0.0.0")), None);
}

#[test]
fn comments_lose_what_the_firewall_refuses() {
    assert_eq!(
        comment("cordon:1;main;a;-;00 ok"),
        "cordon:1;main;a;-;00 ok"
    );
    assert_eq!(comment("see #12 (\"x\")\n"), "see  12   x   ");
}

#[test]
fn handles_are_read_back() {
    let id = handle("a b", &["g-001", "g-002"]);
    assert_eq!(read_handle(&id), ("a b", vec!["g-001", "g-002"]));
    assert_eq!(read_handle(&handle("a", &[])), ("a", vec![]));
}
