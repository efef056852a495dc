//! `check`, and what the connector says of itself.

use sekoia::fake::COLLECTION;

use super::*;

async fn check(rig: &Rig, arguments: Json) -> Json {
    match rig.run("check", arguments).await.unwrap() {
        Outcome::View(view) => view,
        Outcome::Report(report) => panic!("{report:?}"),
    }
}

fn finding<'a>(view: &'a Json, subject: &str) -> &'a Json {
    let findings = view["devices"][0]["findings"].as_array().unwrap();
    findings.iter().find(|it| it["subject"] == subject).unwrap()
}

#[tokio::test]
async fn a_good_key_and_what_it_may_read() {
    for (position, wanted) in [("name", true), ("object", true), ("nothing", false)] {
        let rig = Rig::switched("community", position).await;
        let view = check(&rig, json!({ "ioc_collection_id": COLLECTION })).await;
        assert_eq!(view["status"], "ok", "{view}");
        let message = finding(&view, "API key")["message"].as_str().unwrap();
        assert_eq!(
            message.contains("Example SOC"),
            wanted,
            "{position}: {message}"
        );
        assert_eq!(finding(&view, "collection")["level"], "ok");
        assert_eq!(view["devices"][0]["clock_ahead_seconds"], 0);
        assert_eq!(rig.writes(), 0);
    }
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_to_do() {
    let rig = Rig::new().await;
    rig.fake.state.expire_sessions();
    let view = check(&rig, json!({})).await;
    assert_eq!(view["status"], "missing");
    assert!(
        finding(&view, "API key")["hint"]
            .as_str()
            .unwrap()
            .contains("a year")
    );

    let rig = Rig::with(Switches::default(), &[("rights", json!([]))]).await;
    let view = check(&rig, json!({ "ioc_collection_id": COLLECTION })).await;
    assert_eq!(view["status"], "missing");
    assert_eq!(finding(&view, "collection")["level"], "missing");
    assert!(
        finding(&view, "CTI feeds")["message"]
            .as_str()
            .unwrap()
            .contains("403")
    );
    // Without a collection named, feeds alone break nothing.
    assert_eq!(check(&rig, json!({})).await["status"], "ok");
}

#[tokio::test]
async fn a_clock_that_is_off_is_told() {
    let rig = Rig::new().await;
    let ours = Clock::manual(noon() + TimeDelta::seconds(90));
    let context = Context::new(Environment::new(ours));
    let configuration = rig.fake.configuration.clone();
    let connector = sekoia::connector();
    let run = sdk::action::run(&connector, "check", json!({}), configuration, &context);
    let Outcome::View(view) = run.await.unwrap() else {
        panic!("no view");
    };
    assert_eq!(view["status"], "warning", "{view}");
    assert_eq!(finding(&view, "clock")["level"], "warning");
}

#[tokio::test]
async fn our_common_fields_are_taken_and_others_refused() {
    let rig = Rig::new().await;
    let common = json!({ "deployment": "x", "installation": "main", "sekoia_api_key": "unused" });
    assert!(rig.run_with("check", json!({}), common).await.is_ok());
    for wrong in [
        json!({ "tokn": "x" }),
        json!({ "api_key": " " }),
        json!({ "base_url": "http://example.com" }),
    ] {
        let error = error_of(rig.run_with("check", json!({}), wrong.clone()).await);
        assert_eq!(error.kind(), sdk::ErrorKind::Config, "{wrong}: {error:?}");
    }
}

#[test]
fn it_is_no_target() {
    let connector = sekoia::connector();
    let environment = Environment::new(Clock::manual(noon()));
    assert!((connector.targets)(json!({}), &environment).is_err());
    let commands = sdk::action::catalog(&connector);
    let commands: Vec<&str> = commands.iter().map(|it| it.command).collect();
    assert_eq!(
        commands,
        [
            "add_destination_ips_to_ioc_collection",
            "add_ioc_to_ioc_collection",
            "revoke_ioc",
            "check"
        ]
    );
}
