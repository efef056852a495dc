//! What the platform is told, and what its answers mean.

use sdk::fake::{Fault, FaultAction};
use serde_json::{Value as Json, json};

use super::job::{Job, falcon};
use super::platform::{Platform, Reply};
use crate::support::web::{Web, answer};
use crate::support::{Fake, act};

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

fn block() -> Json {
    json!({ "values": [SHA256], "valid_for": 3, "reason": "case 7" })
}

/// How many entries of ours the vendor holds.
fn held(fake: &Fake) -> Json {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    act(
        path,
        "crowdstrike",
        "list_blocked",
        &json!({}),
        &fake.configuration,
    )
    .json()["count"]
        .clone()
}

#[test]
fn an_action_is_announced_gets_its_secrets_and_is_finished() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let job = Job::new(&platform, &fake, &block());
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let calls = platform.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(
        calls[0].body,
        json!({ "status": "running", "need_secrets": true })
    );
    let end = platform.end();
    assert_eq!(end["results"]["status"], "ok", "{end}");
    assert_eq!(end["results"]["added"], 1, "{end}");
    assert_eq!(end["results"]["changes"][0]["value"], SHA256, "{end}");
    assert_eq!(end.get("error"), None, "{end}");
    assert_eq!(end.get("outputs"), None, "the usual branch: {end}");
    assert_eq!(held(&fake), 1);
    // `2026-03-05 07:08:09.000120: info: …`, fields as JSON behind.
    let logs = end["logs"].as_str().unwrap();
    for line in logs.lines() {
        let (time, rest) = line.split_at(26);
        chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.6f").unwrap();
        assert!(rest.starts_with(": info: "), "{line}");
    }
    let (_, context) = logs.split_once(" - Context: ").unwrap();
    let context: Json = serde_json::from_str(context.lines().next().unwrap()).unwrap();
    assert_eq!(context["run"], end["results"]["run"]);
}

#[test]
fn a_task_of_somebody_else_is_not_run_and_that_is_no_failure() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.script([Reply::Status(409, "taken"), Reply::Status(409, "taken")]);
    let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(platform.calls().len(), 2);
    assert!(platform.end()["error"].as_str().unwrap().contains("409"));
    assert_eq!(held(&fake), 0);
}

#[test]
fn a_task_that_was_finished_meanwhile_is_no_failure() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.script([Reply::Usual, Reply::Status(409, "finished")]);
    let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(held(&fake), 1);
}

#[test]
fn with_a_wrong_token_no_vendor_is_called() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let wrong = "NotTheTokenOfThisTask";
    let job = Job::new(&platform, &fake, &block())
        .file("token", wrong)
        .secret(wrong);
    let ran = crate::support::finish(&mut job.command("crowdstrike", &["block"]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("401"), "{ran:?}");
    assert!(ran.stderr.contains("token is wrong"), "{ran:?}");
    assert!(!ran.stderr.contains(wrong), "{ran:?}");
    let statuses: Vec<u16> = platform.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [401, 401], "each is said once");
    for call in platform.calls() {
        assert!(!call.body.to_string().contains(wrong), "{call:?}");
    }
    assert_eq!(held(&fake), 0);
}

#[test]
fn a_4xx_to_the_first_message_stops_the_action_and_the_platform_is_told() {
    for status in [400, 403, 404, 422] {
        let here = tempfile::tempdir().unwrap();
        let (fake, platform) = falcon(here.path());
        platform.script([Reply::Status(status, "no")]);
        let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(platform.calls().len(), 2, "not tried again");
        let error = platform.end()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(&status.to_string()), "{error}");
        assert_eq!(held(&fake), 0);
    }
}

#[test]
fn a_4xx_to_the_last_message_is_exit_code_1_after_one_try() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.script([Reply::Usual, Reply::Status(400, "no such field")]);
    let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(platform.calls().len(), 2);
    assert!(ran.stderr.contains("was not told how it ended"), "{ran:?}");
    assert!(ran.stderr.contains("no such field"), "{ran:?}");
    assert_eq!(held(&fake), 1, "it was done all the same");
}

#[test]
fn a_5xx_or_a_broken_connection_is_tried_again() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.script([Reply::Usual, Reply::Status(502, "no upstream")]);
    platform.fault(Fault::new(FaultAction::ResetBefore).on("PATCH", "callback"));
    let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let statuses: Vec<u16> = platform.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [200, 502, 200]);
    assert_eq!(ran.stderr.matches("once more in 2 s").count(), 2, "{ran:?}");
    assert_eq!(platform.end()["results"]["added"], 1);
}

#[test]
fn a_429_is_tried_again_when_the_platform_says() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.script([Reply::Busy("1"), Reply::Usual, Reply::Busy("1")]);
    let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let statuses: Vec<u16> = platform.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [429, 200, 429, 200]);
    assert_eq!(ran.stderr.matches("once more in 1 s").count(), 2, "{ran:?}");
    assert_eq!(platform.end()["results"]["added"], 1);
}

#[test]
fn a_lost_answer_to_the_last_message_ends_in_409_and_is_no_failure() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.fault(
        Fault::new(FaultAction::ResetAfter)
            .on("PATCH", "callback")
            .after(1),
    );
    let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let statuses: Vec<u16> = platform.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [200, 200, 409]);
    assert_eq!(held(&fake), 1, "blocked once");
}

#[test]
fn redirects_are_not_followed_with_the_token() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let elsewhere = Platform::start(json!({}));
    platform.script([Reply::Elsewhere(elsewhere.url())]);
    let ran = Job::new(&platform, &fake, &block()).run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(elsewhere.calls().len(), 0);
    assert!(platform.end()["error"].as_str().unwrap().contains("307"));
    assert_eq!(held(&fake), 0);
}

#[test]
fn an_action_that_failed_is_told_and_is_exit_code_0() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let wrong = "NotTheSecretOfThisClientButStillOne00000";
    let platform = Platform::start(json!({ "client_secret": wrong }));
    let job = Job::new(&platform, &fake, &block()).secret(wrong);
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let end = platform.end();
    assert_eq!(end["results"]["status"], "failed", "{end}");
    assert!(end["error"].as_str().unwrap().len() > 10, "{end}");
    assert_eq!(end.get("outputs"), None, "the error branch opens by itself");
    assert!(end["logs"].as_str().unwrap().contains(": error: "), "{end}");
}

#[test]
fn a_secret_in_a_vendors_answer_goes_no_further() {
    let here = tempfile::tempdir().unwrap();
    let secret = "EchoedSecretOfFortyCharacters00000000000";
    let body = format!("{{\"errors\":[{{\"code\":400,\"message\":\"{secret} is no secret\"}}]}}");
    let web = crate::support::web::Web::start(move |_| {
        crate::support::web::answer("400 Bad Request", "", body.as_bytes())
    });
    let platform = Platform::start(json!({ "client_secret": secret }));
    let (fake, _) = falcon(here.path());
    let configuration = json!({ "base_url": web.url(""), "client_id": "id" });
    let job = Job::new(&platform, &fake, &block())
        .file("module_configuration", &configuration.to_string())
        .secret(secret);
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_ne!(web.asked().len(), 0);
    let end = platform.end();
    assert!(end["error"].as_str().unwrap().contains("[secret]"), "{end}");
}

#[test]
fn fail_on_says_what_is_an_error_and_outputs_say_which_branch() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let hash = |number: usize| format!("{number:064x}");
    let all: Vec<String> = (1..=40).map(hash).collect();
    let sync = |platform: &Platform, values: &[String], more: Json| {
        let objects: Vec<Json> = values
            .iter()
            .map(|value| {
                let pattern = format!("[file:hashes.'SHA-256' = '{value}']");
                crate::support::indicator(&pattern, &json!({}))
            })
            .collect();
        let mut arguments =
            json!({ "stix_objects": objects, "complete": true, "deployment": "acme" });
        for (name, value) in more.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        let ran = Job::new(platform, &fake, &arguments).run(platform, "sync_collection");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        platform.end()
    };
    let added = sync(&platform, &all, json!({}));
    assert_eq!(added["results"]["added"], 40, "{added}");

    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    for (fail_on, fails) in [
        (json!({}), false),
        (json!({ "fail_on": "partial,held" }), true),
        (json!({ "fail_on": "never" }), false),
    ] {
        let platform = Platform::start(secrets.clone());
        let end = sync(&platform, &all[..1], fail_on);
        assert_eq!(end["results"]["status"], "held", "{end}");
        assert_eq!(end["outputs"], json!({ "held": true }), "{end}");
        assert_eq!(end.get("error").is_some(), fails, "{end}");
        let digest = end["results"]["held"]["digest"].as_str().unwrap();
        assert!(end["logs"].as_str().unwrap().contains(digest), "{end}");
    }
    let platform = Platform::start(secrets);
    let end = sync(&platform, &all, json!({ "fail_on": "sometimes" }));
    assert!(end["error"].as_str().unwrap().contains("fail_on"), "{end}");
}

#[test]
fn a_held_change_goes_through_with_its_digest_or_where_the_module_allows_it() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    let configuration = |allowed: Json| {
        let mut configuration = fake.configuration.clone();
        let fields = configuration.as_object_mut().unwrap();
        fields.remove("client_secret");
        fields.insert("allow_mass_change_unattended".to_owned(), allowed);
        configuration.to_string()
    };
    let sync = |count: usize, allow: &Json, allowed: Json| {
        let objects: Vec<Json> = (1..=count)
            .map(|number| {
                let pattern = format!("[file:hashes.'SHA-256' = '{number:064x}']");
                crate::support::indicator(&pattern, &json!({}))
            })
            .collect();
        let arguments = json!({
            "stix_objects": objects, "complete": true, "deployment": "acme",
            "allow_mass_change": allow,
        });
        let platform = Platform::start(secrets.clone());
        let job = Job::new(&platform, &fake, &arguments)
            .file("module_configuration", &configuration(allowed));
        let ran = job.run(&platform, "sync_collection");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        platform.end()
    };
    sync(40, &Json::Null, json!(false));
    let refused = sync(20, &json!(true), json!("false"));
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("for a person at a terminal"), "{refused}");
    let held = sync(20, &Json::Null, json!(false));
    let digest = &held["results"]["held"]["digest"];
    let let_go = sync(20, digest, json!(false));
    assert_eq!(let_go["results"]["removed"]["withdrawn"], 20, "{let_go}");
    let let_go = sync(5, &json!("true"), json!("True"));
    assert_eq!(let_go["results"]["removed"]["withdrawn"], 15, "{let_go}");
}

#[test]
fn at_its_most_talkative_it_tells_no_secret() {
    for form in ["json", "text"] {
        let here = tempfile::tempdir().unwrap();
        let (fake, platform) = falcon(here.path());
        let job = Job::new(&platform, &fake, &block()).variable("CORDON_LOG", "trace");
        let options = ["--log", form, "-vv"];
        let mut command = job.command_with(&options, "crowdstrike", &["block"]);
        let ran = crate::support::finish(&mut command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains("oauth2/token"), "{ran:?}");
        job.check(&platform, &ran);
    }
}

#[test]
fn an_unknown_action_is_told_and_is_exit_code_1() {
    for rest in [
        &["blokc"][..],
        &[""],
        &[],
        &["patch-alerts/{uuid}/workflow"],
        &["--block"],
    ] {
        let here = tempfile::tempdir().unwrap();
        let (fake, platform) = falcon(here.path());
        let ran = Job::new(&platform, &fake, &block()).run_with(&platform, rest);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let calls = platform.calls();
        assert_eq!(
            calls[0].body,
            json!({ "status": "running" }),
            "no secrets are asked for"
        );
        let error = platform.end()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("there is no action"), "{error}");
        if rest == ["blokc"] {
            assert!(error.contains("did you mean `block`?"), "{error}");
        }
    }
}

#[test]
fn what_follows_the_action_is_ignored() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let job = Job::new(&platform, &fake, &block());
    let ran = job.run_with(&platform, &["block", "unblock", "--output", "json", "--"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(platform.end()["results"]["added"], 1);
}

#[test]
fn a_configuration_that_works_is_valid() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.expect_validation();
    // A validation has no arguments.
    let job = Job::new(&platform, &fake, &block()).without("arguments");
    let ran = job.run(&platform, "validate_module_configuration");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(platform.calls()[0].body, json!({ "status": "running" }));
    let end = platform.end();
    assert_eq!(end["results"], json!({ "success": true }), "{end}");
    assert_eq!(end.get("error"), None, "{end}");
}

#[test]
fn a_configuration_that_does_not_work_says_why() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let wrong = "NotTheSecretOfThisClientButStillOne00000";
    for (secrets, configuration) in [
        (json!({ "client_secret": wrong }), None),
        (json!({}), None),
        (json!({ "client_secret": wrong }), Some("{ not JSON")),
    ] {
        let platform = Platform::start(secrets);
        platform.expect_validation();
        let mut job = Job::new(&platform, &fake, &block()).secret(wrong);
        if let Some(configuration) = configuration {
            job = job.file("module_configuration", configuration);
        }
        let ran = job.run(&platform, "validate_module_configuration");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let end = platform.end();
        assert_eq!(end["results"], json!({ "success": false }), "{end}");
        assert!(end["error"].as_str().unwrap().len() > 10, "{end}");
    }
}

#[test]
fn a_token_that_the_vendor_gave_is_in_nothing_that_leaves() {
    const GIVEN: &str = "TokenThatTheVendorGave0123456789";
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let vendor = Web::start(|path| {
        let (status, body) = if path == "/oauth2/token" {
            (
                "201 Created",
                json!({ "access_token": GIVEN, "expires_in": 1799 }),
            )
        } else {
            let message = format!("bad header Authorization: Bearer {GIVEN}");
            (
                "400 Bad Request",
                json!({ "errors": [{ "code": 400, "message": message }] }),
            )
        };
        let head = "Content-Type: application/json\r\n";
        answer(status, head, body.to_string().as_bytes())
    });
    let configuration = json!({ "base_url": vendor.url(""), "client_id": "id" });
    let job = Job::new(&platform, &fake, &block())
        .file("module_configuration", &configuration.to_string())
        .secret(GIVEN);
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let error = platform.end()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("Authorization: Bearer [secret]"), "{error}");
    let sent = vendor
        .asked()
        .into_iter()
        .any(|asked| asked.head.contains(GIVEN));
    assert!(sent, "it was used");
}

#[test]
fn a_check_that_finds_something_missing_fails_and_says_what() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let wrong = "NotTheSecretOfThisClientButStillAsLongOne";
    let platform = Platform::start(json!({ "client_secret": wrong }));
    let job = Job::new(&platform, &fake, &json!({})).secret(wrong);
    let ran = job.run(&platform, "check");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let end = platform.end();
    assert_eq!(end["results"]["status"], "missing", "{end}");
    let error = end["error"].as_str().unwrap();
    assert!(error.contains("falcon login refused"), "{end}");
}

#[test]
fn a_mistake_made_fifty_thousand_times_is_told_twenty_times() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let mut arguments = block();
    arguments["exclude"] = vec![json!({}); 50_000].into();
    Job::new(&platform, &fake, &arguments).run(&platform, "block");
    let end = platform.end();
    let error = end["error"].as_str().unwrap();
    assert_eq!(error.matches("arguments.exclude[").count(), 20, "{error}");
    assert!(error.contains("; and 49980 more"), "{error}");
    assert!(end.to_string().len() < 8 << 10, "{}", end.to_string().len());
    assert_eq!(held(&fake), 0);
}
