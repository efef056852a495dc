//! The fake against item 7, and the client where a device is slow. A held answer is one that the device takes its time
//! over: nothing here depends on how fast anything is.

use futures::future::{join, join_all};
use serde_json::json;

use super::{Lab, lab_with};

/// Calls at once while answers are held; they are let go when so many have been seen, refused ones too.
async fn held<T>(
    lab: &Lab,
    calls: impl IntoIterator<Item = impl Future<Output = T>>,
    seen: u64,
) -> Vec<T> {
    lab.raw("GET", "/fake/set?hold=yes", "", b"").await;
    let release = async {
        // Every question lets the others go on; a fake that keeps one waiting is let go as well, and found out then.
        for _ in 0..10_000 {
            let told = lab.told().await;
            let count = |name: &str| told[name].as_u64().unwrap();
            if count("most_at_once") + count("refused_calls") >= seen {
                break;
            }
        }
        lab.raw("GET", "/fake/set?hold=no", "", b"").await;
    };
    join(join_all(calls), release).await.0
}

#[tokio::test]
async fn item_7_a_sixth_call_at_once_is_refused() {
    for (setting, status, part) in [
        ("http-503", 503, "Unavailable"),
        ("http-429", 429, "Too Many"),
        ("code-14", 200, "code=\"14\""),
    ] {
        let lab = lab_with(&[], |options| options.set("sixth_call", setting)).await;
        let show = "<show><system><info/></system></show>";
        let replies = held(&lab, (0..6).map(|_| lab.op(show)), 6).await;
        let is_served = |reply: &&super::Reply| reply.status == 200 && reply.has("sw-version");
        assert_eq!(replies.iter().filter(is_served).count(), 5, "{replies:?}");
        let refused = replies.iter().find(|reply| !is_served(reply)).unwrap();
        assert!(refused.status == status && refused.has(part), "{refused:?}");
        assert!(
            lab.op(show).await.has("sw-version"),
            "places are free again"
        );
        // The REST API's calls count as well.
        let key = format!("x-pan-key: {}\r\n", lab.key());
        let rest = "/restapi/v10.2/Objects/Tags?location=shared";
        let replies = held(&lab, (0..6).map(|_| lab.raw("GET", rest, &key, b"")), 7).await;
        let told = lab.told().await;
        assert_eq!(
            (&told["most_at_once"], &told["refused_calls"]),
            (&json!(5), &json!(2))
        );
        let shown = |reply: &&super::Reply| reply.has("@total-count");
        assert_eq!(replies.iter().filter(shown).count(), 5, "{replies:?}");
    }
}

/// The vendor asks for five at most, everybody's counted; ours are three.
#[tokio::test]
async fn a_slow_device_has_three_calls_of_one_configuration_in_hand() {
    let systems: Vec<String> = (1..=8).map(|number| format!("vsys{number}")).collect();
    let lab = lab_with(&[], |options| options.set("vsys", systems.clone())).await;
    let targets = lab.targets(json!({ "mechanism": "tags" }));
    assert_eq!(targets.len(), 8);
    for opened in held(&lab, targets.iter().map(|target| target.open()), 3).await {
        opened.unwrap();
    }
    let told = lab.told().await;
    assert_eq!(
        (&told["most_at_once"], &told["refused_calls"]),
        (&json!(3), &json!(0))
    );
}
