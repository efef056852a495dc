//! Who is told when somebody has to look.

use serde_json::Value as Json;

use crate::support::web::{Web, answer};
use crate::support::{Fake, bundle, configure_falcon, indicator, run, write};

fn webhook(web: &Web) -> String {
    // As the URLs of chat services are: whoever knows it may post.
    format!(
        "[webhook]\nurl = {:?}\n",
        web.url("/hook/of-a-secret?key=more-of-it")
    )
}

fn told(web: &Web) -> Vec<Json> {
    let asked = web.asked();
    for asked in &asked {
        assert!(
            asked
                .head
                .starts_with("POST /hook/of-a-secret?key=more-of-it "),
            "{asked:?}"
        );
        assert!(!asked.body.contains("of-a-secret"), "{asked:?}");
    }
    asked
        .iter()
        .map(|asked| serde_json::from_str(&asked.body).unwrap())
        .collect()
}

#[test]
fn held_and_failed_runs_are_told_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let web = Web::start(|_| answer("204 No Content", "", b""));
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let source = "list = \"c2.txt\"";
    configure_falcon(directory, &fake.configuration, source, &webhook(&web));
    let all: String = (1..=40).map(|last| format!("8.8.5.{last}\n")).collect();
    write(directory, "c2.txt", &all);
    assert_eq!(run(directory, &["sync"]).code, Some(0));
    assert_eq!(web.asked().len(), 0, "nobody has to look");

    write(directory, "c2.txt", "8.8.5.1\n");
    assert_eq!(run(directory, &["plan"]).code, Some(5));
    assert_eq!(web.asked().len(), 0, "a plan tells nobody");
    let held = run(directory, &["sync", "--output", "json"]);
    assert_eq!(held.code, Some(5), "{held:?}");
    let told_held = told(&web);
    assert_eq!(told_held.len(), 1, "{told_held:?}");
    let event = &told_held[0];
    let id = held.json()["reports"][0]["held"]["id"].clone();
    assert_eq!(event["event"], "held");
    assert_eq!(event["deployment"], "acme");
    assert_eq!(event["target"], "falcon");
    assert_eq!(event["held"]["changes"], 39);
    assert_eq!(event["held"]["id"], id);
    let approve = format!("cordon approve {}", id.as_str().unwrap());
    assert_eq!(event["held"]["approve_with"], approve);

    let wrong = "NotTheSecretOfThisClientButStillOne00000";
    write(directory, "secret.txt", wrong);
    let failed = run(directory, &["sync"]);
    assert_eq!(failed.code, Some(3), "{failed:?}");
    let told_failed = told(&web);
    assert_eq!(told_failed.len(), 2, "{told_failed:?}");
    let event = &told_failed[1];
    assert_eq!(event["event"], "failed");
    assert_ne!(event["error"], Json::Null);
    let right = fake.configuration["client_secret"].as_str().unwrap();
    for asked in web.asked() {
        let text = format!("{asked:?}");
        assert!(!text.contains(wrong) && !text.contains(right), "{text}");
        assert!(!text.to_lowercase().contains("authorization"), "{text}");
    }
}

#[test]
fn only_what_is_asked_for_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let web = Web::start(|_| answer("200 OK", "", b"ok"));
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let more = format!("{}on = [\"overdue\"]\n", webhook(&web));
    configure_falcon(directory, &fake.configuration, "list = \"c2.txt\"", &more);
    write(directory, "c2.txt", "8.8.5.1\n");
    write(
        directory,
        "secret.txt",
        "NotTheSecretOfThisClientButStillOne00000",
    );
    assert_eq!(run(directory, &["sync"]).code, Some(3));
    assert_eq!(web.asked().len(), 0);
}

#[test]
fn what_is_there_long_after_its_end_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let web = Web::start(|_| answer("200 OK", "", b"ok"));
    let fake = Fake::start(directory, &["crowdstrike", "--http", "--clock", "+1s"]);
    configure_falcon(
        directory,
        &fake.configuration,
        "stix = \"c2.json\"",
        &webhook(&web),
    );
    let end = chrono::Utc::now() + chrono::TimeDelta::minutes(30);
    let object = indicator(
        "[ipv4-addr:value = '8.8.5.1']",
        &serde_json::json!({ "valid_until": end.to_rfc3339() }),
    );
    write(directory, "c2.json", &bundle(&[object]));
    let sync = |clock: &str| run(directory, &["sync", "--clock", clock]);
    let first = sync("+1s");
    assert_eq!(first.code, Some(0), "{first:?}");
    let paused = run(
        directory,
        &[
            "pause",
            "falcon",
            "--reason",
            "change freeze",
            "--clock",
            "+1s",
        ],
    );
    assert_eq!(paused.code, Some(0), "{paused:?}");
    sync("+80m");
    let overdue = |told: Vec<Json>| -> Vec<Json> {
        told.into_iter()
            .filter(|it| it["event"] == "overdue")
            .collect()
    };
    assert_eq!(overdue(told(&web)), Vec::<Json>::new(), "less than an hour");
    let late = sync("+3h");
    let told_late = overdue(told(&web));
    assert_eq!(told_late.len(), 1, "{late:?}");
    assert_eq!(told_late[0]["count"], 1);
    assert_eq!(told_late[0]["values"], serde_json::json!(["8.8.5.1"]));
}

#[test]
fn a_receiver_that_fails_changes_nothing_and_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let web = Web::start(|_| answer("404 Not Found", "", b"no such hook"));
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let source = "list = \"c2.txt\"";
    configure_falcon(directory, &fake.configuration, source, &webhook(&web));
    let all: String = (1..=40).map(|last| format!("8.8.5.{last}\n")).collect();
    write(directory, "c2.txt", &all);
    assert_eq!(run(directory, &["sync"]).code, Some(0));
    write(directory, "c2.txt", "8.8.5.1\n");
    let held = run(directory, &["sync", "--output", "json"]);
    assert_eq!(held.code, Some(5), "{held:?}");
    assert_eq!(held.json()["status"], "held");
    assert!(held.stderr.contains("the webhook was not told"), "{held:?}");
    assert!(held.stderr.contains("404"), "{held:?}");
    assert!(!held.stderr.contains("of-a-secret"), "{held:?}");
    assert!(!held.stderr.contains("more-of-it"), "{held:?}");
}
