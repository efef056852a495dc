//! Address objects: names, values, tables, and how they are read.

use super::*;

#[test]
fn item_13_duplicate_post_is_500_minus_5() {
    for (position, expected) in [("500", 500), ("424", 424)] {
        let mut device = switched("duplicate-status", position);
        host(&mut device, "a", "1.2.3.4");
        let answer = call(&mut device, "POST", ADDRESS, json!({ "name": "a" }));
        assert_eq!(refused(&answer), (expected, Some(-5)));
        assert_eq!(answer.1["revision_changed"], false);
        assert!(answer.1.get("cli_error").is_none());
    }
}

#[test]
fn item_14_addresses_groups_and_virtual_ips_share_their_names() {
    let mut device = device();
    host(&mut device, "a", "1.2.3.4");
    let group = call(
        &mut device,
        "POST",
        GROUP,
        json!({ "name": "a", "member": [{ "name": "a" }] }),
    );
    assert_eq!(refused(&group).1, Some(-163));
    let address = call(&mut device, "POST", ADDRESS, json!({ "name": "Servers" }));
    assert_eq!(refused(&address).1, Some(-163));
    for (table, code) in [(ADDRESS, -164), (GROUP, -165)] {
        let answer = call(
            &mut device,
            "POST",
            table,
            json!({ "name": "published-web" }),
        );
        assert_eq!(refused(&answer).1, Some(code));
    }
}

#[test]
fn item_15_too_long_texts_are_refused() {
    for code in ["-1", "-72", "-166", "-651"] {
        let mut device = switched("too-long-code", code);
        for (table, body) in [
            (ADDRESS, json!({ "name": "n".repeat(80) })),
            (ADDRESS, json!({ "name": "n", "comment": "c".repeat(256) })),
            (
                ADDRESS,
                json!({ "name": "n", "type": "fqdn", "fqdn": "f".repeat(256) }),
            ),
            (FEED, json!({ "name": "n".repeat(36), "type": "address" })),
        ] {
            assert_eq!(
                refused(&call(&mut device, "POST", table, body)).1,
                code.parse().ok()
            );
        }
        make(
            &mut device,
            ADDRESS,
            json!({ "name": "n".repeat(79), "comment": "c".repeat(255) }),
        );
    }
}

#[test]
fn item_16_dangerous_names_are_refused_and_bare_slashes_are_paths() {
    let mut device = device();
    for name in ["a<b", "a>b", "a(b", "a)b", "a#b", "a\"b", "a'b"] {
        assert_eq!(
            refused(&call(&mut device, "POST", ADDRESS, json!({ "name": name }))).1,
            Some(-173)
        );
    }
    host(&mut device, "a/b", "1.2.3.4");
    assert_eq!(
        call(&mut device, "DELETE", &format!("{ADDRESS}/a/b"), Json::Null).0,
        404
    );
    assert_eq!(
        call(
            &mut device,
            "DELETE",
            &format!("{ADDRESS}/a%2Fb"),
            Json::Null
        )
        .0,
        200
    );
}

#[test]
fn item_17_subnets_are_taken_as_cidr_and_given_back_with_a_mask() {
    let mut device = device();
    make(
        &mut device,
        ADDRESS,
        json!({ "name": "a", "subnet": "1.2.3.99/24" }),
    );
    let row = get(&mut device, &format!("{ADDRESS}/a"));
    assert_eq!(row["results"][0]["subnet"], "1.2.3.0 255.255.255.0");
    for (bad, code) in [
        ("2001:db8::1/32", -8),
        ("1.2.3.0/24/32", -9),
        ("1.2.3.0 255.0.255.0", -9),
    ] {
        let answer = call(
            &mut device,
            "POST",
            ADDRESS,
            json!({ "name": "b", "subnet": bad }),
        );
        assert_eq!(refused(&answer).1, Some(code), "{bad}");
    }
}

#[test]
fn item_18_an_address_without_subnet_stands_for_all() {
    let mut device = device();
    make(&mut device, ADDRESS, json!({ "name": "a" }));
    let row = get(&mut device, &format!("{ADDRESS}/a"));
    assert_eq!(row["results"][0]["subnet"], "0.0.0.0 0.0.0.0");
    make(
        &mut device,
        "/api/v2/cmdb/firewall/address6",
        json!({ "name": "a" }),
    );
    let row = get(&mut device, "/api/v2/cmdb/firewall/address6/a");
    assert_eq!(row["results"][0]["ip6"], "::/0");
}

#[test]
fn item_19_bodies_may_be_wrapped() {
    let mut device = device();
    make(
        &mut device,
        ADDRESS,
        json!({ "json": { "name": "a", "subnet": "1.2.3.4/32" } }),
    );
    host(&mut device, "b", "1.2.3.5");
    assert_eq!(
        get(&mut device, &format!("{ADDRESS}/a"))["results"][0]["name"],
        "a"
    );
}

#[test]
fn item_20_array_bodies_are_refused_or_taken() {
    let body = json!([{ "name": "a" }, { "name": "b" }]);
    let answer = call(&mut device(), "POST", ADDRESS, body.clone());
    assert_eq!(refused(&answer).0, 500);
    assert_eq!(
        call(
            &mut switched("array-body", "accepted"),
            "POST",
            ADDRESS,
            body
        )
        .0,
        200
    );
}

#[test]
fn item_21_broken_json_is_424() {
    let mut device = device();
    let key = device.key.clone();
    assert_eq!(
        raw(&mut device, "POST", ADDRESS, Some(&key), "{\"name\":").status,
        424
    );
    assert_eq!(
        raw(&mut device, "POST", DYNAMIC, Some(&key), "{").status,
        424
    );
}

#[test]
fn item_22_unknown_attributes_and_words_are_refused() {
    let mut device = device();
    for body in [
        json!({ "name": "a", "visibility": "enable" }),
        json!({ "name": "a", "type": "host" }),
        json!({ "name": "a", "color": 33 }),
    ] {
        let answer = call(&mut device, "POST", ADDRESS, body);
        assert!(matches!(refused(&answer), (500, Some(-651 | -650))));
        assert!(answer.1["cli_error"].is_string());
    }
}

#[test]
fn item_25_a_full_table_takes_no_more_until_something_goes() {
    let mut device = made(&options().set("address_limit", 4));
    host(&mut device, "a", "1.2.3.4");
    let body = json!({ "name": "b", "subnet": "1.2.3.5/32" });
    assert_eq!(
        refused(&call(&mut device, "POST", ADDRESS, body.clone())),
        (500, Some(-4))
    );
    assert_eq!(
        call(&mut device, "DELETE", &format!("{ADDRESS}/a"), Json::Null).0,
        200
    );
    make(&mut device, ADDRESS, body);
}

#[test]
fn item_27_deleting_what_is_not_there_is_404() {
    assert_eq!(
        call(
            &mut device(),
            "DELETE",
            &format!("{ADDRESS}/nobody"),
            Json::Null
        )
        .0,
        404
    );
}

#[test]
fn item_28_delete_on_the_collection_purges() {
    for target in [ADDRESS.to_owned(), format!("{ADDRESS}/")] {
        let mut device = device();
        assert_eq!(call(&mut device, "DELETE", &target, Json::Null).0, 200);
        assert_eq!(names(&get(&mut device, ADDRESS)), ["web-server"]);
    }
}

#[test]
fn item_33_filters_ignore_case_and_are_not_anchored() {
    let mut device = device();
    make(
        &mut device,
        ADDRESS,
        json!({ "name": "Cordon-a,b", "comment": "one" }),
    );
    make(
        &mut device,
        ADDRESS,
        json!({ "name": "x-cordon-c", "comment": "two" }),
    );
    let mut found =
        |filter: &str| names(&get(&mut device, &format!("{ADDRESS}?{filter}"))).join(" ");
    assert_eq!(found("filter=name=@cordon-"), "Cordon-a,b x-cordon-c");
    assert_eq!(
        found("filter=name=@cordon-&filter=comment==TWO"),
        "x-cordon-c"
    );
    assert_eq!(found("filter=name==pinned,name==all"), "all pinned");
    assert_eq!(found("filter=name==cordon-a%5C,b"), "Cordon-a,b");
    assert_eq!(found("filter=name!@o"), "all web-server pinned");
    let unknown = format!("{ADDRESS}?filter=name~cordon");
    assert_eq!(
        call(
            &mut switched("unknown-filter-operator", "error"),
            "GET",
            &unknown,
            Json::Null
        )
        .0,
        500
    );
    assert_eq!(call(&mut device, "GET", &unknown, Json::Null).0, 200);
}

#[test]
fn item_34_format_keeps_the_named_fields() {
    let body = get(
        &mut device(),
        &format!("{ADDRESS}/pinned?format=name|subnet"),
    );
    let keys: Vec<&String> = body["results"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "subnet", "q_origin_key"]);
}

#[test]
fn item_35_paging_is_asked_for() {
    let mut device = device();
    let all = get(&mut device, ADDRESS);
    assert_eq!(
        (&all["matched_count"], &all["size"]),
        (&json!(3), &json!(3))
    );
    let page = get(&mut device, &format!("{ADDRESS}?start=1&count=1"));
    assert_eq!(names(&page), ["web-server"]);
    assert_eq!(
        (&page["matched_count"], &page["next_idx"]),
        (&json!(3), &json!(2))
    );
}

#[test]
fn item_36_a_put_without_change_keeps_the_revision() {
    let mut device = device();
    let before = get(&mut device, ADDRESS)["revision"].clone();
    let same = call(
        &mut device,
        "PUT",
        &format!("{ADDRESS}/web-server"),
        json!({ "comment": "intranet" }),
    );
    assert_eq!(
        (&same.1["revision_changed"], &same.1["revision"]),
        (&json!(false), &before)
    );
    let other = call(
        &mut device,
        "PUT",
        &format!("{ADDRESS}/web-server"),
        json!({ "comment": "moved" }),
    );
    assert_eq!(other.1["revision_changed"], true);
    assert_eq!(other.1["old_revision"], before);
}
