//! Activation: items 30 to 33.

use serde_json::{Value as Json, json};

use crate::raw::session;

const STATUS: &str = "/api/v1/status";

#[tokio::test]
async fn items_30_and_32_nothing_is_enforced_before_the_activation_is_through() {
    for (position, first) in [("INPROGRESS", 0), ("PENDING", 0), ("ACTIVE", 1)] {
        let lab = session(&[("activate-answer", position)], &[]).await;
        assert_eq!(lab.get(STATUS).await.json(), json!({ "status": "ACTIVE" }));
        lab.add(&["evil.org"]).await;
        assert_eq!(lab.get(STATUS).await.json(), json!({ "status": "PENDING" }));
        let reply = lab
            .call("POST", "/api/v1/status/activate", Json::Null)
            .await;
        assert_eq!(reply.json(), json!({ "status": position }));
        assert_eq!(lab.enforced("denylist").len(), first, "{position}");
        lab.advance(5);
        assert_eq!(lab.get(STATUS).await.json(), json!({ "status": "ACTIVE" }));
        assert_eq!(lab.enforced("denylist"), ["evil.org"]);
    }
}

#[tokio::test]
async fn item_31_an_activation_publishes_everybodys_changes() {
    let lab = session(&[], &[]).await;
    lab.stage_foreign("theirs.org").await;
    assert_eq!(lab.enforced("denylist"), [""; 0]);
    lab.activate().await;
    assert_eq!(lab.enforced("denylist"), ["theirs.org"]);
}

#[tokio::test]
async fn item_33_an_activation_is_queued_behind_others_edits() {
    let lab = session(&[], &[("queued", json!(true))]).await;
    lab.stage_foreign("theirs.org").await;
    lab.add(&["evil.org"]).await;
    lab.activate().await;
    lab.advance(100);
    assert_eq!(lab.get(STATUS).await.json(), json!({ "status": "PENDING" }));
    lab.send("POST", "/fake/activate", &[], "").await;
    assert_eq!(lab.enforced("denylist"), ["evil.org", "theirs.org"]);
}
