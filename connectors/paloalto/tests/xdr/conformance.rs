//! The fake against the vendor file's list, by number.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use super::raw::{BLOCK, DELETE, GET, INSERT, UNBLOCK, hash, ioc, lab, lab_with, with};

/// 63: the signature is over key, nonce and milliseconds; the nonce has 64 letters and digits; five minutes; once.
#[tokio::test]
async fn n63_an_advanced_key_signs_every_request() {
    let lab = lab(&[]).await;
    let now = lab.clock.now().timestamp_millis();
    let nonce = "n".repeat(64);
    let body = json!({ "request_data": {} });
    let status =
        async |headers: &[(String, String)]| lab.with(headers, GET, body.clone()).await.status;
    let good = lab.signed(&nonce, now);
    assert_eq!(status(&good).await, 200);
    assert_eq!(status(&good).await, 401, "a nonce is good once");
    for (nonce, at, expected) in [
        ("a".repeat(64), now - 299_000, 200),
        ("b".repeat(64), now + 299_000, 200),
        ("c".repeat(64), now - 301_000, 401),
        ("d".repeat(64), now + 301_000, 401),
        ("e".repeat(64), now / 1000, 401),
        ("f".repeat(63), now, 401),
        ("-".repeat(64), now, 401),
    ] {
        assert_eq!(
            status(&lab.signed(&nonce, at)).await,
            expected,
            "{nonce} {at}"
        );
    }
    let changed = |name: &str, value: &str| {
        let mut headers = lab.signed(&"g".repeat(64), now);
        headers.retain(|(key, _)| key != name);
        headers.push((name.to_owned(), value.to_owned()));
        headers
    };
    assert_eq!(status(&changed("authorization", lab.key())).await, 401);
    assert_eq!(status(&changed("x-xdr-auth-id", "18")).await, 401);
    assert_eq!(status(&[]).await, 401);
}

/// 63: a standard key is sent as it is, and a signature is not one.
#[tokio::test]
async fn n63_a_standard_key_is_not_signed() {
    let lab = lab(&[("xdr_key_kind", "standard")]).await;
    let plain = [
        ("x-xdr-auth-id", "17"),
        ("authorization", lab.key()),
        ("content-type", "application/json"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let body = json!({ "request_data": {} });
    assert_eq!(lab.with(&plain, GET, body.clone()).await.status, 200);
    assert_eq!(lab.post(GET, body).await.status, 401);
}

/// 64: refusals are `reply.err_code` under their HTTP status: role, licence, size, JSON.
#[tokio::test]
async fn n64_refusals_have_one_envelope() {
    let data = json!({ "request_data": {} });
    for (setting, value, call, expected) in [
        ("xdr_role", json!("no-blocklist"), BLOCK, 403),
        ("xdr_role", json!("no-ioc"), GET, 403),
        ("xdr_role", json!("no-ioc-write"), DELETE, 403),
        ("xdr_licence", json!("none"), BLOCK, 402),
        ("xdr_licence", json!("prevent"), INSERT, 402),
        ("xdr_body_limit", json!(5), BLOCK, 413),
        ("xdr_body_limit", json!(1000), BLOCK, 400),
        ("xdr_ioc_calls", json!(false), GET, 404),
    ] {
        let lab = lab_with(&[], |options| options.set(setting, value)).await;
        let reply = lab.post(call, data.clone()).await;
        assert_eq!(reply.status, expected, "{setting} {call}: {reply:?}");
        assert_eq!(reply.json["reply"]["err_code"], expected);
        assert!(reply.json["reply"]["err_msg"].is_string());
    }
    let lab = lab(&[]).await;
    for (number, body) in ["", "[]", "{\"request_data\":1}", "{}"].iter().enumerate() {
        let nonce = format!("{number:a>64}");
        let headers = lab.signed(&nonce, lab.clock.now().timestamp_millis());
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(lab.send("POST", BLOCK, &headers, body).await.status, 400);
    }
    let odd = json!({ "request_data": { "hash_list": [hash(1)], "hashes": [] } });
    assert_eq!(lab.post(BLOCK, odd).await.status, 400);
}

/// 64: a 200 can carry an error.
#[tokio::test]
async fn n64_a_refusal_may_come_with_a_200() {
    let lab = lab(&[("xdr_error_status", "200")]).await;
    let reply = lab.hashes(BLOCK, &["no hash".to_owned()]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json["reply"]["err_code"], 400);
}

/// 65: SHA-256 only, in any case; anything else spoils the group.
#[tokio::test]
async fn n65_the_block_list_takes_sha256_only() {
    for (position, expected) in [("400", 400), ("500", 500)] {
        let lab = lab(&[("xdr_bad_group", position)]).await;
        for bad in [
            "a".repeat(32),
            "a".repeat(40),
            "g".repeat(64),
            String::new(),
        ] {
            let reply = lab.hashes(BLOCK, &[hash(1), bad]).await;
            assert_eq!(reply.status, expected);
        }
        assert!(lab.stopped().is_empty());
        let upper = "AB".repeat(32);
        assert_eq!(
            lab.hashes(BLOCK, std::slice::from_ref(&upper)).await.status,
            200
        );
        assert_eq!(lab.stopped(), [upper.to_lowercase()]);
    }
}

/// 66: a group of known hashes is a 500; with one new hash it is a success without a word.
#[tokio::test]
async fn n66_a_group_that_is_known_is_an_error() {
    let lab = lab(&[]).await;
    let known = [hash(1), hash(2)];
    assert_eq!(lab.hashes(BLOCK, &known).await.status, 200);
    let reply = lab.hashes(BLOCK, &known).await;
    assert_eq!(reply.status, 500);
    assert_eq!(reply.json["reply"]["err_code"], 500);
    assert_eq!(
        reply.extra(),
        "\"All hashes have already been added to the allow or block list\""
    );
    let reply = lab.hashes(BLOCK, &[hash(1), hash(3)]).await;
    assert_eq!((reply.status, reply.json), (200, json!({ "reply": true })));
    assert_eq!(lab.stopped().len(), 3);
}

/// 67: what is allowed is never moved.
#[tokio::test]
async fn n67_an_allowed_hash_is_not_blocked() {
    let lab = lab_with(&[], |options| {
        options.set("xdr_allow_list", json!([hash(1)]))
    })
    .await;
    assert_eq!(lab.hashes(BLOCK, &[hash(1)]).await.status, 500);
    assert_eq!(lab.hashes(BLOCK, &[hash(1), hash(2)]).await.status, 200);
    assert_eq!(lab.stopped(), [hash(2)]);
}

/// 68: every shape of a success.
#[tokio::test]
async fn n68_success_has_many_shapes() {
    for (position, expected) in [
        ("reply-true", json!({ "reply": true })),
        ("bare-true", json!(true)),
        ("reply-1", json!({ "reply": 1 })),
        (
            "object",
            json!({ "reply": { "added_hashes": [hash(1)], "excluded_hashes": [] } }),
        ),
    ] {
        let lab = lab(&[("xdr_success_body", position)]).await;
        assert_eq!(lab.hashes(BLOCK, &[hash(1)]).await.json, expected);
    }
    let lab = lab(&[]).await;
    lab.hashes(BLOCK, &[hash(1)]).await;
    let detailed =
        json!({ "request_data": { "hash_list": [hash(1), hash(2)], "detailed_response": true } });
    assert_eq!(
        lab.post(BLOCK, detailed).await.json,
        json!({ "reply": { "added_hashes": [hash(2)], "excluded_hashes": [hash(1)] } })
    );
}

/// 69: only absent hashes are a 500, a mixed group takes off what there is.
#[tokio::test]
async fn n69_removal_of_what_is_absent_fails() {
    let lab = lab(&[]).await;
    lab.hashes(BLOCK, &[hash(1)]).await;
    assert_eq!(lab.hashes(UNBLOCK, &[hash(2)]).await.status, 500);
    assert_eq!(lab.hashes(UNBLOCK, &[hash(1), hash(2)]).await.status, 200);
    assert!(lab.stopped().is_empty());
}

/// 70: a hash stays until it is taken off, and nothing lists it.
#[tokio::test]
async fn n70_the_block_list_has_no_end_and_no_listing() {
    let lab = lab(&[]).await;
    lab.hashes(BLOCK, &[hash(1)]).await;
    lab.clock.advance(TimeDelta::days(4000));
    assert_eq!(lab.stopped(), [hash(1)]);
    let list = json!({ "request_data": {} });
    assert_eq!(
        lab.post("hash_exceptions/blocklist/get/", list)
            .await
            .status,
        404
    );
}

/// 71: at most 100 hashes.
#[tokio::test]
async fn n71_a_group_has_a_limit() {
    for (position, expected) in [("413", 413), ("400", 400)] {
        let lab = lab(&[("xdr_too_many", position)]).await;
        let many: Vec<String> = (0..101).map(hash).collect();
        assert_eq!(lab.hashes(BLOCK, &many).await.status, expected);
        assert_eq!(lab.hashes(BLOCK, &many[1..]).await.status, 200);
    }
}

/// 72: bad rows vanish without `validate`; with it they are told, under `success: true`, and good ones stay.
#[tokio::test]
async fn n72_bad_rows_are_told_only_when_asked() {
    let lab = lab(&[]).await;
    let rows = json!([ioc("45.83.1.1", "IP"), ioc("testtest.com", "HASH")]);
    let reply = lab.post(INSERT, json!({ "request_data": rows })).await;
    assert_eq!(reply.json, json!({ "reply": true }));
    assert_eq!(lab.watched(), ["45.83.1.1"]);
    let reply = lab.insert(rows).await;
    assert_eq!(
        reply.errors(),
        [
            json!({ "indicator": "testtest.com", "error": "Got type: HASH, Indicator: testtest.com mismatch" })
        ]
    );
}

/// 73: every way in which a row can be bad.
#[tokio::test]
async fn n73_bad_rows() {
    let lab = lab(&[]).await;
    let good = ioc("host.example.com", "DOMAIN_NAME");
    for row in [
        ioc("host.example.com", "IP"),
        ioc("45.83.1.1", "DOMAIN_NAME"),
        ioc(&"a".repeat(40), "HASH"),
        ioc("http://host.example.com/", "URL"),
        with(good.clone(), "class", json!("c".repeat(37))),
        with(good.clone(), "expiration_date", json!("1772323200000")),
        with(good.clone(), "severity", json!("SEVERE")),
        with(good.clone(), "severity", Json::Null),
        with(good.clone(), "reputation", json!("EVIL")),
        with(good.clone(), "reliability", json!("G")),
        with(good.clone(), "rule_id", json!(1)),
    ] {
        let reply = lab.insert(json!([row])).await;
        assert_eq!(reply.errors().len(), 1, "{row}");
        assert!(lab.watched().is_empty(), "{row}");
    }
    // Seconds are 1970: taken, and gone.
    let seconds = with(
        good,
        "expiration_date",
        json!(lab.clock.now().timestamp() + 3600),
    );
    assert!(lab.insert(json!([seconds])).await.errors().is_empty());
    assert!(lab.watched().is_empty());
}

/// 74: a past end is taken and acts at once; null is the type's default; an end comes by the clock.
#[tokio::test]
async fn n74_ends_are_milliseconds() {
    let lab = lab(&[]).await;
    let at = |hours: i64| json!((lab.clock.now() + TimeDelta::hours(hours)).timestamp_millis());
    let made = |name: &str, end: Json| with(ioc(name, "DOMAIN_NAME"), "expiration_date", end);
    let rows = json!([
        made("past.example.com", at(-1)),
        made("hour.example.com", at(1)),
        made("default.example.com", Json::Null),
        made("never.example.com", json!(-1)),
    ]);
    assert!(lab.insert(rows).await.errors().is_empty());
    assert_eq!(lab.watched().len(), 3);
    lab.clock.advance(TimeDelta::hours(1));
    assert_eq!(lab.watched(), ["default.example.com", "never.example.com"]);
    lab.clock.advance(TimeDelta::days(180));
    assert_eq!(lab.watched(), ["never.example.com"]);
    let reply = lab.page(json!({})).await;
    assert_eq!(reply.rows()[0]["expiration_date"], -1);
}

/// 75: IOC rules stop nothing.
#[tokio::test]
async fn n75_an_ioc_blocks_nothing() {
    let lab = lab(&[]).await;
    assert!(
        lab.insert(json!([ioc(&hash(1), "HASH")]))
            .await
            .errors()
            .is_empty()
    );
    assert!(lab.stopped().is_empty());
    assert_eq!(lab.watched(), [hash(1)]);
}

/// 76: inserting again updates; what becomes of left out fields, and of a disabled rule, are switches.
#[tokio::test]
async fn n76_inserting_again_updates() {
    for (upsert, reputation) in [("cleared", Json::Null), ("kept", json!("BAD"))] {
        let lab = lab(&[("xdr_upsert", upsert)]).await;
        let row = ioc("45.83.1.1", "IP");
        lab.insert(json!([with(row.clone(), "reputation", json!("BAD"))]))
            .await;
        let reply = lab
            .insert(json!([with(row, "comment", json!("new"))]))
            .await;
        assert!(reply.errors().is_empty());
        let page = lab.page(json!({})).await;
        assert_eq!(page.rows().len(), 1);
        assert_eq!(page.rows()[0]["comment"], "new");
        assert_eq!(page.rows()[0]["reputation"], reputation);
    }
    for (position, errors) in [("already-exists", 1), ("stays-disabled", 0)] {
        let lab = lab_with(&[("xdr_disabled_ioc", position)], |options| {
            let row = with(ioc("45.83.1.1", "IP"), "status", json!("DISABLED"));
            options.set("xdr_iocs", json!([row]))
        })
        .await;
        let reply = lab.insert(json!([ioc("45.83.1.1", "IP")])).await;
        assert_eq!(reply.errors().len(), errors);
        assert!(lab.watched().is_empty());
    }
}

/// The list: zero-based places, at most 100 (or 101) rows, filters that are joined by AND, and unknown ones refused.
#[tokio::test]
async fn the_list_has_pages_and_filters() {
    for (switches, page, first) in [
        (&[][..], 100, "45.83.0.1"),
        (&[("xdr_search_to", "inclusive")][..], 101, "45.83.0.1"),
        (&[("xdr_ioc_order", "newest-first")][..], 100, "45.83.0.150"),
    ] {
        let lab = lab(switches).await;
        let rows: Vec<Json> = (1..=150)
            .map(|number| ioc(&format!("45.83.0.{number}"), "IP"))
            .collect();
        lab.insert(json!(rows)).await;
        let reply = lab
            .page(json!({ "search_from": 0, "search_to": 1000 }))
            .await;
        assert_eq!(reply.rows().len(), page);
        assert_eq!(reply.rows()[0]["indicator"], first);
        assert_eq!(reply.json["objects_count"], 150);
        let reply = lab.page(json!({ "search_from": 149 })).await;
        assert_eq!(reply.rows().len(), 1);
        let reply = lab.page(json!({ "search_from": 150 })).await;
        assert!(reply.rows().is_empty());
    }
    let lab = lab(&[]).await;
    lab.insert(json!([ioc("45.83.1.1", "IP"), ioc("45.83.1.2", "IP")]))
        .await;
    let filter = |field: &str, operator: &str, value: Json| json!({ "field": field, "operator": operator, "value": value });
    let both = filter("indicator", "IN", json!(["45.83.1.1", "45.83.1.2"]));
    let two = filter("rule_id", "EQ", json!(2));
    let found = lab.page(json!({ "filters": [both.clone(), two] })).await;
    assert_eq!(found.rows()[0]["indicator"], "45.83.1.2");
    assert_eq!(found.rows()[0]["severity"], "SEV_040_HIGH");
    for strange in [
        filter("colour", "EQ", json!("red")),
        filter("indicator", "LIKE", json!("x")),
    ] {
        assert_eq!(lab.page(json!({ "filters": [strange] })).await.status, 400);
    }
    // Deleting is by equality; what matches nothing is no error.
    assert_eq!(lab.delete(json!([both])).await.status, 400);
    let one = json!([filter("indicator", "EQ", json!("45.83.1.1"))]);
    assert_eq!(
        lab.delete(one.clone()).await.json,
        json!({ "objects_count": 1, "objects": [1] })
    );
    assert_eq!(
        lab.delete(one).await.json,
        json!({ "objects_count": 0, "objects": [] })
    );
    assert_eq!(lab.watched(), ["45.83.1.2"]);
}
