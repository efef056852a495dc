//! Deletion and expiry: items 26, 27, 29, 38.

use sdk::indicator::{Kind, Value};
use serde_json::json;

use crate::raw::{ENTITIES, encode, hash, lab, lab_with, with};

#[tokio::test]
async fn item_26_delete_is_soft_and_creating_again_works() {
    for (position, total) in [("live", 1), ("with-deleted", 2)] {
        let lab = lab(&[("total", position)]).await;
        let first = lab.one(hash(1)).await;
        lab.delete(&first).await;
        let second = lab.one(hash(1)).await;
        assert_ne!(first, second);
        assert_eq!(lab.by_id(&second).await.resources()[0]["deleted"], false);
        assert_eq!(lab.search("").await.total(), total, "{position}");
    }
}

#[tokio::test]
async fn item_27_delete_by_filter() {
    for (position, status, left) in [("filter-wins", 200, 1), ("refused", 400, 2)] {
        let lab = lab_with(&[("delete-filter-and-ids", position)], |options| {
            options.set("foreign", true)
        })
        .await;
        let own = lab.one(hash(1)).await;
        let other = lab.search("source:'Other tool'").await.ids().remove(0);
        let filter = encode("source:'Other tool'");
        let both = lab
            .call(
                "DELETE",
                &format!("{ENTITIES}?filter={filter}&ids={own}"),
                "",
            )
            .await;
        assert_eq!(both.status, status);
        let live = lab.search("source:['Other tool','test']").await.ids();
        assert_eq!(live.len(), left);
        assert!(
            live.contains(&own),
            "the filter takes others' entries, not the ids"
        );
        assert_eq!(live.contains(&other), position == "refused");
        assert_eq!(
            lab.call("DELETE", ENTITIES, "").await.status,
            400,
            "neither"
        );
    }
}

#[tokio::test]
async fn item_29_expiry_disarms_and_keeps() {
    for (position, late) in [("at-once", 0), ("late", 120)] {
        let lab = lab_with(&[("expiry-flip", position)], |options| {
            options.set("capacity", 1)
        })
        .await;
        let id = lab
            .one(with(
                hash(1),
                &[("expiration", json!("2025-06-01T12:10:00Z"))],
            ))
            .await;
        let before = lab.by_id(&id).await.resources().remove(0);
        lab.advance(599);
        assert_eq!(lab.by_id(&id).await.resources()[0]["expired"], false);
        assert_eq!(lab.fake.state.enforced("ioc").len(), 1);
        lab.advance(1);
        assert!(lab.fake.state.enforced("ioc").is_empty());
        lab.advance(late);
        let row = lab.by_id(&id).await.resources().remove(0);
        assert_eq!(
            (&row["expired"], &row["action"], &row["mobile_action"]),
            (&json!(true), &json!("no_action"), &json!("no_action"))
        );
        assert_eq!(row["modified_on"], before["modified_on"]);
        assert_eq!(lab.search("expired:true").await.ids(), [id.as_str()]);
        assert_eq!(
            lab.create(json!([hash(2)])).await.status,
            400,
            "it keeps its place"
        );
        let date = json!({ "id": id, "expiration": "2025-07-01T00:00:00Z" });
        assert_eq!(lab.patch(json!({ "indicators": [date] })).await.status, 200);
        assert_eq!(
            lab.by_id(&id).await.resources()[0]["action"],
            "no_action",
            "a date alone does not revive it"
        );
        assert_eq!(
            lab.patch(json!({ "indicators": [{ "id": id, "action": "prevent" }] }))
                .await
                .status,
            200
        );
        assert_eq!(lab.fake.state.enforced("ioc").len(), 1);
    }
}

#[tokio::test]
async fn item_38_ids_that_vanished() {
    for (position, status, done) in [
        ("absent", 200, true),
        ("404", 404, false),
        ("404-rest-done", 404, true),
    ] {
        let lab = lab(&[("unknown-id", position)]).await;
        let ids = lab.create(json!([hash(1), hash(2)])).await.ids();
        let value = Value::parse(Kind::Sha256, &format!("{:064x}", 1)).unwrap();
        assert!(
            lab.fake.state.remove("ioc", &value),
            "an administrator was faster"
        );
        let rows = json!(
            ids.iter()
                .map(|id| json!({ "id": id, "description": "x" }))
                .collect::<Vec<_>>()
        );
        assert_eq!(
            lab.patch(json!({ "indicators": rows })).await.status,
            status
        );
        let target = format!("{ENTITIES}?ids={}&ids={}", ids[0], ids[1]);
        let reply = lab.call("DELETE", &target, "").await;
        assert_eq!(reply.status, status);
        assert_eq!(lab.search("").await.ids().is_empty(), done, "{position}");
        let unknown = format!("{ENTITIES}?ids={}&ids={}", ids[0], "f".repeat(64));
        let found = lab.get(&unknown).await;
        assert_eq!(
            (found.status, found.ids().len()),
            (status, usize::from(position != "404"))
        );
    }
}
