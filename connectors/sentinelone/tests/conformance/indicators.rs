//! Indicators: 7 to 25, and 31 days of life.

use chrono::TimeDelta;
use sdk::fake::FakeState;
use serde_json::{Value as Json, json};

use crate::raw::{
    ACCOUNT, GROUP, IOCS, Lab, OTHER_ACCOUNT, SITE, ioc, lab, lab_with, start_time, with, without,
};

/// 7, 8: a bad row refuses the whole batch, and nothing of it is stored.
#[tokio::test]
async fn items_7_and_8_one_bad_row_refuses_all() {
    let lab = lab(&[]).await;
    let good = ioc("IPV4", "9.9.9.9");
    let bad = [
        without(good.clone(), "source"),
        without(good.clone(), "type"),
        without(good.clone(), "value"),
        without(good.clone(), "method"),
        with(good.clone(), &[("type", json!("ipv4"))]),
        with(good.clone(), &[("method", json!("equals"))]),
        with(good.clone(), &[("type", json!("DOMAIN"))]),
        with(good.clone(), &[("type", json!("SHA-256"))]),
        with(good.clone(), &[("tlp", json!("red"))]),
        with(good.clone(), &[("severity", json!(8))]),
        with(good.clone(), &[("validUntil", json!("soon"))]),
    ];
    for row in bad {
        let reply = lab.post(json!([good, row])).await;
        assert_eq!((reply.status, reply.code()), (400, 4_000_040), "{row}");
    }
    assert_eq!(lab.post(good).await.status, 400, "an object, not a list");
    assert!(lab.iocs().await.is_empty());
}

fn end(row: &Json) -> TimeDelta {
    let end: chrono::DateTime<chrono::Utc> = row["validUntil"].as_str().unwrap().parse().unwrap();
    end - start_time()
}

/// 9, 10: the default life by type, and the longest, to which a longer one is lowered without a word.
#[tokio::test]
async fn items_9_and_10_lives() {
    let lab = lab(&[]).await;
    let lives = [
        ("IPV4", "9.9.9.9", 14, 30),
        ("IPV6", "2606:4700::1", 14, 30),
        ("DNS", "bad.example.net", 90, 180),
        ("URL", "http://bad.example.net/x", 90, 180),
        ("MD5", &"a".repeat(32), 180, 180),
        ("SHA1", &"a".repeat(40), 180, 180),
        ("SHA256", &"a".repeat(64), 180, 180),
    ];
    for (kind, value, default, longest) in lives {
        let rows = lab.post(json!([ioc(kind, value)])).await.data();
        assert_eq!(end(&rows[0]), TimeDelta::days(default), "{kind}");
        let far = with(
            ioc(kind, value),
            &[("validUntil", json!("2030-01-01T00:00:00Z"))],
        );
        let rows = lab.post(json!([far])).await.data();
        assert_eq!(end(&rows[0]), TimeDelta::days(longest), "{kind}");
    }
    for text in [
        json!("2025-06-03 12:00:00.000000"),
        json!(1_748_952_000_000_i64),
    ] {
        let row = with(ioc("IPV4", "9.9.9.9"), &[("validUntil", text)]);
        assert_eq!(
            end(&lab.post(json!([row])).await.data()[0]),
            TimeDelta::days(2)
        );
    }
}

/// 11: an end that has passed.
#[tokio::test]
async fn item_11_a_past_end() {
    let past = with(
        ioc("IPV4", "9.9.9.9"),
        &[("validUntil", json!("2025-05-01T00:00:00Z"))],
    );
    let refusing = lab(&[]).await;
    let reply = refusing.post(json!([past, ioc("IPV4", "8.8.8.8")])).await;
    assert_eq!(reply.status, 400);
    assert!(refusing.iocs().await.is_empty());
    let storing = lab(&[("past-end", "stored-inactive")]).await;
    assert_eq!(storing.post(json!([past])).await.data().len(), 1);
    assert!(storing.fake.state.enforced("ioc").is_empty());
}

fn acting(state: &dyn FakeState) -> usize {
    state.enforced("ioc").len()
}

/// 12: what is not renewed is gone on its day; whether it is still listed nobody knows.
#[tokio::test]
async fn item_12_indicators_end() {
    for (position, listed) in [("listed", 2), ("dropped", 1)] {
        let lab = lab(&[("ended-indicators", position)]).await;
        let far = ("validUntil", json!("2030-01-01T00:00:00Z"));
        let rows = [ioc("IPV4", "9.9.9.9"), ioc("DNS", "bad.example.net")];
        let rows = rows.map(|row| with(row, std::slice::from_ref(&far)));
        lab.post(json!(rows)).await.data();
        lab.days_pass(29);
        assert_eq!(acting(&*lab.fake.state), 2);
        lab.days_pass(2);
        assert_eq!(acting(&*lab.fake.state), 1);
        assert_eq!(lab.iocs().await.len(), listed, "{position}");
        lab.days_pass(150);
        assert_eq!(acting(&*lab.fake.state), 0);
    }
}

/// 14: the answer has an order of its own and the console's fields.
#[tokio::test]
async fn item_14_answers() {
    let lab = lab(&[]).await;
    let mine = with(
        ioc("IPV4", "9.9.9.9"),
        &[("creator", json!("me")), ("externalId", json!("x"))],
    );
    let rows = lab.post(json!([mine, ioc("IPV4", "8.8.8.8")])).await.data();
    assert_eq!(rows[0]["value"], "8.8.8.8");
    let row = &rows[1];
    assert_eq!(row["uuid"].as_str().unwrap().len(), 32);
    assert_eq!(row["batchId"], rows[0]["batchId"]);
    assert_eq!(
        (&row["scope"], &row["scopeId"]),
        (&json!("account"), &json!(ACCOUNT))
    );
    assert_eq!(
        (&row["creator"], &row["externalId"]),
        (&json!("cordon@service.users"), &json!("x"))
    );
    assert!(row["uploadTime"].is_string() && row["updatedAt"].is_string());
}

/// 15: posting a known indicator again.
#[tokio::test]
async fn item_15_posting_again() {
    for (position, rows, same) in [
        ("in-place", 1, true),
        ("new-uuid", 1, false),
        ("second-row", 2, false),
    ] {
        let lab = lab(&[("post-again", position)]).await;
        let first = lab
            .post(json!([ioc("IPV4", "9.9.9.9")]))
            .await
            .data()
            .remove(0);
        lab.clock.advance(TimeDelta::minutes(5));
        let again = lab
            .post(json!([ioc("IPV4", "9.9.9.9")]))
            .await
            .data()
            .remove(0);
        assert_eq!(first["uuid"] == again["uuid"], same, "{position}");
        assert_ne!(first["updatedAt"], again["updatedAt"]);
        assert_eq!(lab.iocs().await.len(), rows, "{position}");
        let other = with(ioc("IPV4", "9.9.9.9"), &[("source", json!("other"))]);
        lab.post(json!([other])).await.data();
        assert_eq!(
            lab.iocs().await.len(),
            rows + 1,
            "another source has its own row"
        );
    }
}

/// 16, 17: too many in a call, too many in a scope.
#[tokio::test]
async fn items_16_and_17_sizes() {
    let many = |count: usize| {
        (0..count)
            .map(|n| ioc("IPV4", &format!("9.9.{}.{}", n / 250, n % 250)))
            .collect::<Vec<_>>()
    };
    for (position, limit) in [("500", 500), ("100", 100)] {
        let lab = lab(&[("batch-limit", position)]).await;
        assert_eq!(lab.post(json!(many(limit + 1))).await.status, 400);
        assert!(lab.iocs().await.is_empty());
        assert_eq!(lab.post(json!(many(limit))).await.data().len(), limit);
    }
    let lab = lab_with(&[], |options| options.set("capacity", 3)).await;
    assert_eq!(lab.post(json!(many(2))).await.status, 200);
    assert_eq!(lab.post(json!(many(2))).await.status, 400);
}

/// 18, 19: pages.
#[tokio::test]
async fn items_18_and_19_pages() {
    for (position, length) in [("full", 10), ("short", 7)] {
        let lab = lab(&[("page-length", position)]).await;
        let rows: Vec<Json> = (0..25)
            .map(|n| ioc("IPV4", &format!("9.9.9.{n}")))
            .collect();
        lab.post(json!(rows)).await.data();
        let base = format!("{IOCS}?accountIds={ACCOUNT}");
        let mut page = lab.get(&base).await;
        assert_eq!(
            (page.data().len(), page.total()),
            (length, 25),
            "ten without a limit"
        );
        let mut seen = page.data().len();
        while let Some(cursor) = page.cursor() {
            page = lab.get(&format!("{base}&cursor={cursor}")).await;
            seen += page.data().len();
        }
        assert_eq!(seen, 25);
        for refused in [
            "limit=1001",
            "limit=0",
            "skip=1001",
            "cursor=abc",
            "sort=id",
        ] {
            assert_eq!(
                lab.get(&format!("{base}&{refused}")).await.status,
                400,
                "{refused}"
            );
        }
        let cursor = lab.get(&base).await.cursor().unwrap();
        let other = format!("{base}&source=tool&cursor={cursor}");
        assert_eq!(
            lab.get(&other).await.status,
            400,
            "a cursor of another question"
        );
        let count = lab.get(&format!("{base}&countOnly=true")).await;
        assert_eq!((count.data().len(), count.total()), (0, 25));
    }
}

async fn at(lab: &Lab, filter: Json, value: &str) {
    let body = json!({ "filter": filter, "data": [ioc("IPV4", value)] });
    lab.call("POST", IOCS, body).await.data();
}

/// 20: the account's listing has the rows of its sites and groups; other levels are no filter.
#[tokio::test]
async fn item_20_scopes_of_listings() {
    for (strict, old, groups, sites) in [
        (true, false, 400, 200),
        (true, true, 400, 400),
        (false, true, 200, 200),
    ] {
        let lab = lab_with(&[], |options| {
            options
                .set("strict_filters", strict)
                .set("old_console", old)
        })
        .await;
        at(&lab, json!({ "accountIds": [ACCOUNT] }), "9.9.9.1").await;
        at(&lab, json!({ "siteIds": [SITE] }), "9.9.9.2").await;
        at(&lab, json!({ "groupIds": [GROUP] }), "9.9.9.3").await;
        let scopes: Vec<Json> = lab
            .iocs()
            .await
            .iter()
            .map(|row| row["scope"].clone())
            .collect();
        assert_eq!(json!(scopes), json!(["account", "site", "group"]));
        assert_eq!(
            lab.get(&format!("{IOCS}?groupIds={GROUP}")).await.status,
            groups
        );
        let by_site = lab.get(&format!("{IOCS}?siteIds={SITE}")).await;
        assert_eq!(by_site.status, sites);
        if sites == 200 {
            assert_eq!(
                by_site.data().len(),
                if old { 3 } else { 2 },
                "ignored on an old console"
            );
        }
        assert_eq!(
            lab.get(&format!("{IOCS}?accountIds={OTHER_ACCOUNT}"))
                .await
                .status,
            403
        );
    }
}

/// 21, 22: a delete names the account and something else, in a body.
#[tokio::test]
async fn items_21_and_22_deletes() {
    let lab = lab(&[]).await;
    let row = lab
        .post(json!([ioc("IPV4", "9.9.9.9")]))
        .await
        .data()
        .remove(0);
    let delete = async |filter: Json| lab.call("DELETE", IOCS, json!({ "filter": filter })).await;
    let target = format!("{IOCS}?accountIds={ACCOUNT}&source=tool");
    assert_eq!(lab.call("DELETE", &target, Json::Null).await.status, 400);
    assert_eq!(lab.call("DELETE", IOCS, Json::Null).await.status, 400);
    assert_eq!(delete(json!({ "accountIds": [ACCOUNT] })).await.status, 400);
    assert_eq!(delete(json!({ "uuids": [row["uuid"]] })).await.status, 400);
    assert_eq!(
        delete(json!({ "siteIds": [SITE], "uuids": [row["uuid"]] }))
            .await
            .status,
        400
    );
    let many: Vec<String> = (0..5_001).map(|n| format!("{n:032x}")).collect();
    assert_eq!(
        delete(json!({ "accountIds": [ACCOUNT], "uuids": many }))
            .await
            .status,
        400
    );
    assert_eq!(lab.iocs().await.len(), 1);
    let uuids = json!([row["uuid"], "0".repeat(32)]);
    let reply = delete(json!({ "accountIds": [ACCOUNT], "uuids": uuids })).await;
    assert_eq!((reply.status, reply.affected()), (200, 1));
}

/// 23, 24: a delete by source takes all of that source, whoever made them, and nothing else.
#[tokio::test]
async fn items_23_and_24_sources() {
    let lab = lab(&[]).await;
    let other = with(ioc("IPV4", "9.9.9.9"), &[("source", json!("other"))]);
    lab.post(json!([
        ioc("IPV4", "9.9.9.9"),
        ioc("IPV4", "8.8.8.8"),
        other
    ]))
    .await
    .data();
    let filter = json!({ "accountIds": [ACCOUNT], "source": ["tool"] });
    let reply = lab.call("DELETE", IOCS, json!({ "filter": filter })).await;
    assert_eq!(reply.affected(), 2);
    assert_eq!(lab.iocs().await[0]["source"], "other");
}

/// 25: an import takes single comparisons of six paths, and drops everything else without a word.
#[tokio::test]
async fn item_25_imports_drop_in_silence() {
    let sha256 = "b".repeat(64);
    let taken = [
        ("[ipv4-addr:value = '9.9.9.9']", "9.9.9.9"),
        ("[domain-name:value='bad.example.net']", "bad.example.net"),
        (
            r"[url:value = 'http://bad.example.net/it\'s']",
            "http://bad.example.net/it's",
        ),
        (&format!("[file:hashes.'SHA-256' = '{sha256}']"), &sha256),
        (
            &format!("[file:hashes.MD5 = '{}']", "c".repeat(32)),
            &"c".repeat(32),
        ),
    ];
    let dropped = [
        "[ipv6-addr:value = '2606:4700::1']",
        "[ipv4-addr:value = '9.9.9.1' OR ipv4-addr:value = '9.9.9.2']",
        "[domain-name:value = 'a.org' AND url:value = 'http://a.org/']",
        "[ipv4-addr:value = '9.9.9.3'] AND [ipv4-addr:value = '9.9.9.4']",
        "[ipv4-addr:value IN ('9.9.9.5', '9.9.9.6')]",
        "[email-addr:value = 'a@b.org']",
        "[file:hashes.'SHA-512' = 'aa']",
        "no pattern",
    ];
    let indicator = |pattern: &str| json!({ "type": "indicator", "id": format!("indicator--{pattern}"), "pattern": pattern });
    let patterns = taken.iter().map(|(pattern, _)| *pattern).chain(dropped);
    let mut objects: Vec<Json> = patterns.map(indicator).collect();
    objects.push(json!({ "type": "malware", "name": "x" }));
    let body = json!({ "bundle": { "objects": objects }, "filter": { "accountIds": [ACCOUNT] } });
    let target = format!("{IOCS}/stix");
    let lab = lab(&[("batch-limit", "500"), ("spelling", "as-sent")]).await;
    let answer = lab.call("POST", &target, body.clone()).await;
    assert_eq!(answer.json()["errors"], Json::Null);
    assert_eq!(answer.data().len(), taken.len());
    let rows = lab.iocs().await;
    for (pattern, value) in taken {
        let row = rows.iter().find(|row| row["pattern"] == pattern).unwrap();
        assert_eq!(row["value"], value);
        assert_eq!(row["externalId"], format!("indicator--{pattern}"));
    }
    assert_eq!(rows.len(), taken.len());
    let unscoped = json!({ "bundle": body["bundle"], "filter": {} });
    assert_eq!(lab.call("POST", &target, unscoped).await.status, 500);
    let old = lab_with(&[], |options| options.set("old_console", true)).await;
    assert_eq!(old.call("POST", &target, body).await.status, 404);
}
