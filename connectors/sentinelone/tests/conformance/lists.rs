//! The blocklist: 26 to 33.

use sdk::indicator::Value;
use serde_json::{Value as Json, json};

use crate::raw::{ACCOUNT, RESTRICTIONS, SITE, hash, lab, lab_with, sha256, with, without};

/// 26, 28: what a create must be; another type makes an exclusion.
#[tokio::test]
async fn items_26_and_28_creates() {
    let lab = lab(&[]).await;
    let good = hash("aa", "windows");
    let bad = [
        without(good.clone(), "osType"),
        without(good.clone(), "type"),
        without(good.clone(), "value"),
        with(good.clone(), &[("osType", json!("Windows"))]),
        with(good.clone(), &[("value", json!("a".repeat(32)))]),
        with(good.clone(), &[("value", json!("a".repeat(64)))]),
        with(good.clone(), &[("value", json!("z".repeat(40)))]),
        with(good.clone(), &[("sha256Value", json!("a".repeat(40)))]),
        with(good.clone(), &[("until", json!("2030"))]),
        json!([good]),
    ];
    for row in bad {
        assert_eq!(lab.block(row.clone()).await.status, 400, "{row}");
    }
    assert!(lab.blocked().await.is_empty());
    let exclusions = "/web/api/v2.1/exclusions";
    assert!(lab.get(exclusions).await.data().is_empty());
    let white = with(good.clone(), &[("type", json!("white_hash"))]);
    assert_eq!(lab.block(white).await.status, 200);
    assert_eq!(
        lab.get(exclusions).await.data().len(),
        1,
        "an exclusion was made"
    );
    let body = json!({ "filter": { "siteIds": [SITE] }, "data": good });
    assert_eq!(lab.call("POST", RESTRICTIONS, body).await.data().len(), 1);
    let body = json!({ "filter": {}, "data": good });
    assert_eq!(lab.call("POST", RESTRICTIONS, body).await.status, 400);
    assert_eq!(lab.block(good).await.data().len(), 1);
}

/// 26: an old console knows no SHA-256.
#[tokio::test]
async fn item_26_old_consoles() {
    let row = json!({
        "type": "black_hash", "osType": "linux", "sha256Value": "a".repeat(64), "description": "x",
    });
    assert_eq!(lab(&[]).await.block(row.clone()).await.status, 200);
    let old = lab_with(&[], |options| options.set("old_console", true)).await;
    assert_eq!(old.block(row).await.status, 400);
}

/// 27: a duplicate has a code of its own, per hash, system and scope.
#[tokio::test]
async fn item_27_duplicates() {
    let lab = lab(&[]).await;
    assert_eq!(lab.block(hash("aa", "linux")).await.status, 200);
    let reply = lab.block(hash("aa", "linux")).await;
    assert_eq!((reply.status, reply.code()), (400, 4_000_030));
    assert_eq!(reply.json()["errors"][0]["title"], "Already Exists Error");
    assert_eq!(lab.block(hash("aa", "macos")).await.status, 200);
    let body = json!({ "filter": { "siteIds": [SITE] }, "data": hash("aa", "linux") });
    assert_eq!(lab.call("POST", RESTRICTIONS, body).await.status, 200);
}

/// 29: the source is the console's; the description comes back. 30: nothing ends.
#[tokio::test]
async fn items_29_and_30_what_is_kept() {
    let lab = lab(&[]).await;
    let sent = with(hash("aa", "linux"), &[("source", json!("in the wild"))]);
    let row = lab.block(sent).await.data().remove(0);
    assert_eq!(
        (&row["source"], &row["description"]),
        (&json!("user"), &json!("by hand"))
    );
    assert!(row["id"].as_str().unwrap().len() >= 18);
    lab.days_pass(3_000);
    assert_eq!(lab.blocked().await.len(), 1);
    let change = json!({ "data": {
        "id": row["id"], "osType": "linux", "type": "black_hash", "description": "new",
    } });
    assert_eq!(
        lab.call("PUT", RESTRICTIONS, change).await.data()[0]["description"],
        "new"
    );
    let unknown = json!({ "data": { "id": "1", "osType": "linux", "type": "black_hash" } });
    assert_eq!(lab.call("PUT", RESTRICTIONS, unknown).await.status, 404);
}

/// 31: ten by default; `value__contains` matches too much; a scope is needed.
#[tokio::test]
async fn item_31_listings() {
    let lab = lab(&[]).await;
    for n in 10..25 {
        assert_eq!(lab.block(hash(&n.to_string(), "linux")).await.status, 200);
    }
    let base = format!("{RESTRICTIONS}?accountIds={ACCOUNT}&tenant=false");
    assert_eq!(lab.get(&base).await.data().len(), 10);
    let exact = format!("{base}&value={}", "12".repeat(20));
    assert_eq!(lab.get(&exact).await.data().len(), 1);
    let over = lab
        .get(&format!("{base}&value__contains=21&limit=100"))
        .await
        .data()
        .len();
    assert_eq!(over, 2, "the one of 21 and the one of 12");
    assert_eq!(
        lab.get(&format!("{base}&value__contains=2")).await.status,
        400
    );
    assert_eq!(lab.get(&format!("{base}&limit=1001")).await.status, 400);
    assert_eq!(lab.get(&format!("{base}&hash=x")).await.status, 400);
    let unscoped = format!("{RESTRICTIONS}?limit=100");
    assert_eq!(lab.get(&unscoped).await.data().len(), 15);
    let strict = self::lab(&[("unscoped-list", "refused")]).await;
    assert_eq!(strict.get(&unscoped).await.status, 400);
    assert_eq!(
        lab.get(&format!("{RESTRICTIONS}?tenant=true")).await.status,
        403
    );
}

/// 32: ids are a list, and the count may be lower than asked for.
#[tokio::test]
async fn item_32_deletes() {
    let lab = lab(&[]).await;
    let row = lab.block(hash("aa", "linux")).await.data().remove(0);
    let delete = async |data: Json| {
        lab.call("DELETE", RESTRICTIONS, json!({ "data": data }))
            .await
    };
    let id = row["id"].as_str().unwrap();
    assert_eq!(
        delete(json!({ "ids": format!("{id},1"), "type": "black_hash" }))
            .await
            .status,
        400
    );
    assert_eq!(delete(json!({ "ids": [id] })).await.status, 400);
    let many: Vec<String> = (0..5_001).map(|n| n.to_string()).collect();
    assert_eq!(
        delete(json!({ "ids": many, "type": "black_hash" }))
            .await
            .status,
        400
    );
    let reply = delete(json!({ "ids": [id, "1"], "type": "black_hash" })).await;
    assert_eq!((reply.status, reply.affected()), (200, 1));
    assert!(lab.blocked().await.is_empty());
}

/// 33: hashes that may not be blocked.
#[tokio::test]
async fn item_33_hashes_that_are_not_allowed() {
    let lab = lab_with(&[], |options| {
        options.set("not_allowed", json!(["aa".repeat(20)]))
    })
    .await;
    let reply = lab.block(hash("aa", "linux")).await;
    assert_eq!((reply.status, reply.code()), (400, 4_000_040));
    assert_eq!(lab.block(hash("bb", "linux")).await.status, 200);
}

/// What the vendor's side of the story tells: a hash counts where it is blocked on every system.
#[tokio::test]
async fn a_hash_is_enforced_on_all_systems_or_not_at_all() {
    let lab = lab(&[]).await;
    for (count, system) in ["windows", "macos", "linux"].into_iter().enumerate() {
        assert!(lab.fake.state.enforced("blocklist").is_empty(), "{count}");
        lab.block(hash("aa", system)).await.data();
    }
    let enforced = lab.fake.state.enforced("blocklist");
    assert!(enforced.len() == 1 && !enforced[0].foreign);
    let value: Value = sha256("bb");
    assert!(lab.fake.state.add_foreign("blocklist", &value));
    assert!(
        !lab.fake.state.add_foreign("blocklist", &value),
        "it is there already"
    );
    assert_eq!(lab.fake.state.enforced("blocklist").len(), 2);
    assert!(lab.fake.state.remove("blocklist", &value));
}
