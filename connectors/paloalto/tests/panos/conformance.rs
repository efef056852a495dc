//! The fake against items 1 to 33 and 49: access and registered addresses. Test names carry the numbers.

use super::{Lab, entry, form, lab, lab_with, message};

const REFUSED: &str = "<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>";

async fn tags_of(lab: &Lab, address: &str) -> String {
    let command =
        format!("<show><object><registered-ip><ip>{address}</ip></registered-ip></object></show>");
    lab.op(&command).await.text
}

async fn register(lab: &Lab, entries: &str) -> super::Reply {
    lab.message(&format!("<register>{entries}</register>"))
        .await
}

async fn unregister(lab: &Lab, entries: &str) -> super::Reply {
    lab.message(&format!("<unregister>{entries}</unregister>"))
        .await
}

#[tokio::test]
async fn item_1_a_wrong_key_is_refused_in_its_own_spelling() {
    let lab = lab(&[]).await;
    for headers in ["", "x-pan-key: wrong\r\n"] {
        let reply = lab
            .raw("POST", "/api/", headers, b"type=op&cmd=<show/>")
            .await;
        assert_eq!((reply.status, reply.text.as_str()), (403, REFUSED));
    }
}

#[tokio::test]
async fn item_2_a_password_is_decoded_once() {
    let lab = lab_with(&[], |options| options.set("login", "password")).await;
    let password = lab.fake.configuration["password"].as_str().unwrap();
    let right = form(&[
        ("type", "keygen"),
        ("user", "svc-cordon"),
        ("password", password),
    ]);
    assert!(
        lab.raw("POST", "/api/", "", right.as_bytes())
            .await
            .has("<key>")
    );
    let once = form(&[("password", password)]);
    let encoded = once.strip_prefix("password=").unwrap();
    let twice = form(&[
        ("type", "keygen"),
        ("user", "svc-cordon"),
        ("password", encoded),
    ]);
    assert_eq!(
        lab.raw("POST", "/api/", "", twice.as_bytes()).await.status,
        403
    );
    let raw = format!(
        "type=keygen&user=svc-cordon&password={}",
        password.replace(' ', "+")
    );
    let reply = lab.raw("POST", "/api/", "", raw.as_bytes()).await;
    assert!(!reply.has("<key>"), "an unencoded & cuts it short");
}

#[tokio::test]
async fn item_3_a_key_comes_three_ways_and_may_end() {
    let lab = lab_with(&[("keygen", "rotating")], |options| {
        options.set("login", "password").set("key_lifetime", 10)
    })
    .await;
    let password = lab.fake.configuration["password"].as_str().unwrap();
    let body = form(&[
        ("type", "keygen"),
        ("user", "svc-cordon"),
        ("password", password),
    ]);
    let key = |reply: &super::Reply| {
        let text = reply.text.split("<key>").nth(1).unwrap();
        text.split("</key>").next().unwrap().to_owned()
    };
    let first = key(&lab.raw("POST", "/api/", "", body.as_bytes()).await);
    let ask = async |key: &str| {
        let fields = form(&[("type", "version"), ("key", key)]);
        lab.raw("POST", "/api/", "", fields.as_bytes()).await.status
    };
    assert_eq!(ask(&first).await, 200);
    let headers = format!("x-pan-key: {first}\r\n");
    assert_eq!(
        lab.raw("GET", "/api/?type=version", &headers, b"")
            .await
            .status,
        200
    );
    assert!(lab.ana(&[("type", "version")]).await.has("10.2.9"));
    let second = key(&lab.raw("POST", "/api/", "", body.as_bytes()).await);
    assert_eq!(
        (ask(&first).await, ask(&second).await),
        (403, 200),
        "the second ends the first"
    );
    lab.pass(601);
    assert_eq!(ask(&second).await, 403, "its life is over");
}

#[tokio::test]
async fn item_4_http_200_carries_errors() {
    let lab = lab(&[]).await;
    let reply = lab.op("<show><nothing/></show>").await;
    assert!(reply.status == 200 && reply.has("status=\"error\"") && reply.has("code=\"17\""));
    let reply = lab.read("get", "/address/entry[@name='nobody']").await;
    assert!(reply.has("status=\"success\"") && reply.has("code=\"7\""));
}

#[tokio::test]
async fn item_5_texts_stand_in_several_places() {
    let lab = lab_with(&[], |options| options.set("rights", vec!["op", "config"])).await;
    assert!(lab.op("<show>").await.has("<msg><line><line>malformed"));
    assert!(
        lab.ask(&[("type", "user-id"), ("cmd", "x")])
            .await
            .has("<result><msg>Unauthorized")
    );
    assert!(
        lab.ask(&[("type", "config"), ("action", "get"), ("xpath", "//x")])
            .await
            .has("<msg>bad xpath</msg>")
    );
    assert!(
        lab.change("delete", "/address/entry[@name='web-server']", "")
            .await
            .has("<result><msg><line>")
    );
}

#[tokio::test]
async fn item_6_too_much_is_refused() {
    let lab = lab(&[]).await;
    let long = form(&[("type", "op"), ("cmd", &"x".repeat(5 << 20))]);
    assert_eq!(
        lab.raw("POST", "/api/", "", long.as_bytes()).await.status,
        413
    );
    let target = format!("/api/?type=op&cmd={}", "x".repeat(2100));
    assert_eq!(lab.raw("GET", &target, "", b"").await.status, 414);
}

#[tokio::test]
async fn item_8_malformed_documents_do_nothing() {
    let lab = lab(&[]).await;
    for payload in [
        "<register><entry ip=\"45.83.0.1\"><tag><member>a&b</member></tag></entry></register>",
        "<register><entry ip=45.83.0.1><tag><member>a</member></tag></entry></register>",
        "<register><entry ip=\"45.83.0.1\"><tag><member>a</tag></entry></register>",
    ] {
        let reply = lab.message(payload).await;
        assert!(reply.has("code=\"18\""), "{}", reply.text);
    }
    assert!(lab.message("<else/>").await.has("code=\"17\""));
    assert!(!lab.table().await.has("45.83"));
}

#[tokio::test]
async fn item_9_a_missing_right_is_told() {
    let lab = lab_with(&[], |options| options.set("rights", vec!["op"])).await;
    assert!(
        lab.ask(&[("type", "user-id"), ("cmd", &message(""))])
            .await
            .has("code=\"16\"")
    );
    let lab = lab_with(&[("missing-right", "http-403")], |options| {
        options.set("rights", vec!["op"])
    })
    .await;
    assert_eq!(
        lab.ask(&[("type", "user-id"), ("cmd", &message(""))])
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn item_10_every_virtual_system_has_its_own_table() {
    let lab = lab_with(&[], |options| options.set("vsys", vec!["vsys1", "vsys2"])).await;
    let cmd = message(&format!(
        "<register>{}</register>",
        entry("45.83.0.1", &["cordon-a"])
    ));
    lab.ana(&[("type", "user-id"), ("cmd", &cmd), ("vsys", "vsys2")])
        .await;
    assert!(!lab.table().await.has("45.83.0.1"));
    let second = lab
        .ask(&[
            ("type", "op"),
            (
                "cmd",
                "<show><object><registered-ip><all/></registered-ip></object></show>",
            ),
            ("vsys", "vsys2"),
        ])
        .await;
    assert!(second.has("45.83.0.1"));
}

#[tokio::test]
async fn items_11_and_14_doubles_are_errors_beside_what_is_applied() {
    let entries = entry("45.83.0.1", &["a"]) + &entry("45.83.0.2", &["a"]);
    for (position, applied) in [("apply-rest", true), ("reject-all", false)] {
        let lab = lab(&[("duplicate", position)]).await;
        register(&lab, &entry("45.83.0.1", &["a"])).await;
        let one = register(&lab, &entries).await;
        assert!(one.has("status=\"error\"") && !one.has("code="));
        assert_eq!(one.count("already exists, ignore"), 1);
        assert_eq!(
            tags_of(&lab, "45.83.0.2").await.contains("<member>a"),
            applied
        );
        register(&lab, &entry("45.83.0.2", &["a"])).await;
        assert_eq!(register(&lab, &entries).await.count("<entry ip="), 2);
    }
}

#[tokio::test]
async fn item_12_unregistering_stops_at_the_first_missing_tag_of_an_entry() {
    for (position, left) in [("stop-at-first-missing", true), ("skip-missing", false)] {
        let lab = lab(&[("unregister", position)]).await;
        register(
            &lab,
            &(entry("45.83.0.1", &["b"]) + &entry("45.83.0.2", &["b"])),
        )
        .await;
        let reply = unregister(
            &lab,
            &(entry("45.83.0.1", &["a", "b"]) + &entry("45.83.0.2", &["b"])),
        )
        .await;
        assert!(reply.has("does not exist, ignore unreg"));
        assert_eq!(tags_of(&lab, "45.83.0.1").await.contains("<member>b"), left);
        assert!(!tags_of(&lab, "45.83.0.2").await.contains("<member>b"));
    }
}

#[tokio::test]
async fn item_13_doubles_and_failures_mix_in_any_order() {
    let lab = lab(&[]).await;
    register(&lab, &entry("45.83.0.1", &["a"])).await;
    let (double, failure) = (entry("45.83.0.1", &["a"]), entry("2001:db8::/32", &["a"]));
    for entries in [double.clone() + &failure, failure + &double] {
        let reply = register(&lab, &entries).await;
        assert!(reply.has("already exists, ignore") && reply.has("Failed to register"));
    }
}

#[tokio::test]
async fn items_15_to_18_timeouts_are_seconds_and_exact() {
    let timed = |address: &str, timeout: &str| {
        format!(
            "<entry ip=\"{address}\"><tag><member timeout=\"{timeout}\">cordon-a</member></tag></entry>"
        )
    };
    let lab = lab(&[]).await;
    register(&lab, &(timed("45.83.0.1", "60") + &timed("45.83.0.2", "0"))).await;
    lab.pass(59);
    assert!(lab.blocks("45.83.0.1").await);
    lab.pass(1);
    assert!(!lab.blocks("45.83.0.1").await && lab.blocks("45.83.0.2").await);
    lab.pass(400 * 86_400);
    assert!(lab.blocks("45.83.0.2").await, "0 is for ever");
    assert!(
        register(&lab, &timed("45.83.0.3", "2592001"))
            .await
            .has("not valid")
    );
    for bad in ["-1", "soon"] {
        assert!(
            register(&lab, &timed("45.83.0.3", bad))
                .await
                .has("not valid")
        );
    }
    let clamped = super::lab(&[("long-timeout", "clamp")]).await;
    register(&clamped, &timed("45.83.0.3", "7776000")).await;
    clamped.pass(2_592_000);
    assert!(!clamped.blocks("45.83.0.3").await);
    let old = lab_with(&[], |options| options.set("sw_version", "8.1.9")).await;
    register(&old, &timed("45.83.0.1", "60")).await;
    old.pass(86_400);
    assert!(
        old.blocks("45.83.0.1").await,
        "unknown before 9.0, so it never ends"
    );
}

#[tokio::test]
async fn item_19_what_registering_again_does_is_a_switch() {
    let timed =
        "<entry ip=\"45.83.0.1\"><tag><member timeout=\"100\">cordon-a</member></tag></entry>";
    for (position, error, refreshed) in [
        ("error-and-refresh", true, true),
        ("error-and-keep", true, false),
        ("ok-and-refresh", false, true),
    ] {
        let lab = lab(&[("reregister", position)]).await;
        register(&lab, timed).await;
        lab.pass(60);
        assert_eq!(register(&lab, timed).await.has("already exists"), error);
        lab.pass(60);
        assert_eq!(lab.blocks("45.83.0.1").await, refreshed);
    }
}

#[tokio::test]
async fn items_20_to_23_pages_hold_500_and_no_times() {
    let lab = lab_with(&[], |options| options.set("others", 1000)).await;
    let page = async |arguments: &str| {
        let command = format!(
            "<show><object><registered-ip>{arguments}<all/></registered-ip></object></show>"
        );
        lab.op(&command).await
    };
    let all = page("").await;
    assert_eq!(all.count("<entry ip="), 500);
    assert!(all.has("<count>500</count>") && !all.has("timeout") && !all.has("expire"));
    assert_eq!(page("<limit>900</limit>").await.count("<entry ip="), 500);
    let second = page("<limit>500</limit><start-point>501</start-point>").await;
    assert_eq!(second.count("<entry ip="), 500);
    let third = page("<limit>500</limit><start-point>1001</start-point>").await;
    assert!(third.count("<entry ip=") == 0 && third.has("<count>0</count>"));
    let count = lab
        .op("<show><object><registered-ip><all><option>count</option></all></registered-ip></object></show>")
        .await;
    assert!(count.has("<count>1000</count>"));
    unregister(&lab, &entry("10.77.0.1", &["corp-quarantine"])).await;
    let shifted = page("<limit>500</limit><start-point>501</start-point>").await;
    assert_eq!(shifted.count("<entry ip="), 499, "the window moved");
}

#[tokio::test]
async fn item_24_spellings_of_one_address_are_one_entry() {
    let lab = lab(&[]).await;
    register(
        &lab,
        &(entry("45.83.0.1/32", &["a"]) + &entry("2A03:5F80:0001::0001", &["a"])),
    )
    .await;
    assert!(
        register(&lab, &entry("45.83.0.1", &["a"]))
            .await
            .has("already exists")
    );
    assert!(
        register(&lab, &entry("2a03:5f80:1::1/128", &["a"]))
            .await
            .has("already exists")
    );
    let table = lab.table().await;
    assert!(table.has("ip=\"45.83.0.1\"") && table.has("ip=\"2a03:5f80:1::1\""));
}

#[tokio::test]
async fn item_25_networks_are_for_ipv4_from_10_0_on() {
    let lab = lab(&[]).await;
    register(
        &lab,
        &(entry("45.83.0.0/24", &["cordon-a"]) + &entry("45.84.0.1-45.84.0.9", &["cordon-a"])),
    )
    .await;
    assert!(lab.blocks("45.83.0.77").await && lab.blocks("45.84.0.5").await);
    assert!(!lab.blocks("45.84.0.10").await);
    assert!(
        register(&lab, &entry("2a03:5f80::/32", &["cordon-a"]))
            .await
            .has("Failed to register")
    );
    let old = lab_with(&[], |options| options.set("sw_version", "9.1.12")).await;
    assert!(
        register(&old, &entry("45.83.0.0/24", &["cordon-a"]))
            .await
            .has("Failed to register")
    );
}

#[tokio::test]
async fn item_26_an_address_carries_32_tags() {
    let lab = lab(&[]).await;
    let names: Vec<String> = (0..33).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(
        !register(&lab, &entry("45.83.0.1", &names[..32]))
            .await
            .has("status=\"error\"")
    );
    assert!(
        register(&lab, &entry("45.83.0.1", &names[32..]))
            .await
            .has("exceeds")
    );
}

#[tokio::test]
async fn item_27_a_full_table_takes_no_new_address() {
    for (position, told) in [("failed-to-register", true), ("silent", false)] {
        let lab = lab_with(&[("overflow", position)], |options| {
            options.set("model", "VM-50").set("others", 1000)
        })
        .await;
        let reply = register(&lab, &entry("45.83.0.1", &["a"])).await;
        assert_eq!(reply.has("Failed to register"), told);
        assert!(!lab.table().await.has("45.83.0.1"));
        assert!(
            !register(&lab, &entry("10.77.0.1", &["more"]))
                .await
                .has("Failed"),
            "a tag on a known one"
        );
        assert!(
            lab.told().await["log"]
                .to_string()
                .contains("max registered-ip")
        );
    }
}

#[tokio::test]
async fn items_28_and_29_careless_removals_take_everybodys() {
    let lab = lab(&[]).await;
    register(&lab, &entry("10.77.0.1", &["a"])).await;
    unregister(&lab, "<entry ip=\"10.77.0.1\"/>").await;
    assert!(!tags_of(&lab, "10.77.0.1").await.contains("corp-quarantine"));
    lab.message("<unregister/>").await;
    assert!(!lab.table().await.has("<entry"));
}

#[tokio::test]
async fn item_30_a_reboot_drops_what_is_not_persistent() {
    let lab = lab(&[]).await;
    let passing = "<entry ip=\"45.83.0.1\" persistent=\"0\"><tag><member>a</member></tag></entry>";
    register(&lab, &(passing.to_owned() + &entry("45.83.0.2", &["a"]))).await;
    lab.fake.state.reboot();
    let table = lab.table().await;
    assert!(!table.has("45.83.0.1") && table.has("45.83.0.2"));
}

#[tokio::test]
async fn item_31_filters_take_no_odd_tags() {
    let lab = lab(&[]).await;
    for filter in ["'it's'", "'or'", "'a  b'", "a"] {
        let group = format!(
            "<entry name='odd'><dynamic><filter>{}</filter></dynamic></entry>",
            filter
        );
        assert!(
            lab.change("set", "/address-group", &group)
                .await
                .has("code=\"12\""),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn item_32_what_no_rule_uses_blocks_nothing() {
    let lab = lab_with(&[], |options| options.set("rules", false)).await;
    register(&lab, &entry("45.83.0.1", &["cordon-a"])).await;
    assert!(!lab.blocks("45.83.0.1").await);
}

#[tokio::test]
async fn item_33_old_versions_answer_with_a_file() {
    let lab = lab_with(&[], |options| {
        options.set("sw_version", "7.1.2").set("others", 150)
    })
    .await;
    assert!(lab.table().await.has("<outfile>"));
}

#[tokio::test]
async fn item_49_panorama_relays_to_connected_firewalls() {
    let lab = lab_with(&[], |options| {
        options
            .set(
                "panorama",
                vec!["012801000001", "012801000002", "012801000003"],
            )
            .set("disconnected", vec!["012801000003"])
    })
    .await;
    let cmd = message(&format!(
        "<register>{}</register>",
        entry("45.83.0.1", &["cordon-a"])
    ));
    lab.ana(&[("type", "user-id"), ("cmd", &cmd)]).await;
    assert!(
        !lab.blocks("45.83.0.1").await,
        "its own table reaches no firewall"
    );
    lab.ana(&[
        ("type", "user-id"),
        ("cmd", &cmd),
        ("target", "012801000002"),
    ])
    .await;
    assert!(!lab.blocks("45.83.0.1").await, "another firewall's table");
    lab.ana(&[
        ("type", "user-id"),
        ("cmd", &cmd),
        ("target", "012801000001"),
    ])
    .await;
    assert!(lab.blocks("45.83.0.1").await);
    for serial in ["012801000003", "099"] {
        let reply = lab
            .ana(&[("type", "user-id"), ("cmd", &cmd), ("target", serial)])
            .await;
        assert!(reply.has("status=\"error\"") && reply.has("not connected"));
    }
}
