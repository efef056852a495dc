//! Configuration, credentials, rights, limits and what `check` tells.

use sdk::ErrorKind;
use sdk::connector::Environment;
use sdk::fake::{Fault, FaultAction};
use sdk::target::{Batch, Finding, Level, Outcome, Scope, Target};
use serde_json::{Value as Json, json};

use crate::raw::{
    ACCOUNT, GROUP, IOCS, OTHER_ACCOUNT, RESTRICTIONS, SITE, lab, lab_with, sha1, start_time,
    without, write,
};

async fn findings(target: &dyn Target) -> Vec<Finding> {
    let facts = target.open().await.unwrap();
    target.examine(&facts).await.unwrap()
}

fn level<'a>(findings: &'a [Finding], subject: &str) -> (&'a str, Level) {
    let finding = findings
        .iter()
        .find(|finding| finding.subject == subject)
        .unwrap();
    (finding.message.as_str(), finding.level)
}

#[tokio::test]
async fn check_tells_version_token_scope_rights_and_limits() {
    let lab = lab(&[]).await;
    for mechanism in ["blocklist", "ioc"] {
        let told = findings(&*lab.target(mechanism)).await;
        assert!(
            told.iter().all(|finding| finding.level == Level::Ok),
            "{told:?}"
        );
        assert_eq!(level(&told, "version").0, "S-24.3.2 (build 77)");
        assert_eq!(level(&told, "token").0, "ends 2035-05-30 12:00 UTC");
        assert_eq!(level(&told, "scope").0, format!("account/{ACCOUNT}"));
        assert!(level(&told, "right to read").0.ends_with(".view is there"));
    }
    let told = findings(&*lab.target("ioc")).await;
    assert_eq!(level(&told, "capacity").0, "0 of about 1000000 indicators");
    assert_eq!(level(&told, "source").0, "cordon-main");
    let told = findings(&*lab.target("blocklist")).await;
    assert_eq!(level(&told, "systems").0, "windows, macos, linux");
}

#[tokio::test]
async fn check_warns_of_what_is_missing() {
    let lab = lab_with(&[], |options| {
        options.set("token_days", 5).set("others", 950_000).set(
            "user_config",
            json!([{ "disableThreat": true, "excludeTii": ["9.9.9.9"] }]),
        )
    })
    .await;
    let told = findings(&*lab.target("ioc")).await;
    for subject in ["token", "capacity", "matches"] {
        assert_eq!(
            level(&told, subject).1,
            Level::Warning,
            "{subject}: {told:?}"
        );
    }
    let lab = lab_with(&[], |options| options.set("rights", json!([]))).await;
    for mechanism in ["blocklist", "ioc"] {
        let target = lab.target(mechanism);
        let told = findings(&*target).await;
        let missing = told
            .iter()
            .find(|finding| finding.level == Level::Missing)
            .unwrap();
        assert_eq!(missing.subject, "right to read");
        assert!(missing.hint.as_deref().unwrap().contains(".view"));
        let error = target.list(Scope::All).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
    }
}

/// Items 1 and 2: a refused token is told as such, and asked once.
#[tokio::test]
async fn a_token_that_ended_is_named_and_not_tried_again() {
    let lab = lab_with(&[], |options| options.set("token_days", 3)).await;
    let target = lab.target("ioc");
    lab.days_pass(4);
    lab.fake.server.log.clear();
    let told = findings(&*target).await;
    assert_eq!(level(&told, "token").1, Level::Missing);
    lab.fake.server.log.clear();
    let error = target.list(Scope::All).await.unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Auth, 3));
    assert!(error.hint_text().unwrap().contains("make a new one"));
    assert_eq!(lab.fake.server.log.all().len(), 1);
    assert!(!format!("{error:?}").contains(&lab.token()));
}

/// Item 34.
#[tokio::test]
async fn the_it_role_is_told_which_permission_is_missing() {
    let lab = lab_with(&[], |options| options.set("role", "it")).await;
    let target = lab.target("blocklist");
    assert!(target.list(Scope::All).await.unwrap().is_empty());
    let outcomes = target.apply(Batch::Add(&[write(&sha1("aa"))])).await;
    let Outcome::Failed(error) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.hint_text().unwrap().contains("Blacklist.create"));
}

/// Item 35: the limit is one token's, however many places and mechanisms a configuration names.
#[tokio::test]
async fn thirty_calls_a_minute_are_kept_by_all_targets_together() {
    let lab = lab(&[]).await;
    let places = json!({ "site_ids": ["225494730938494001", "225494730938494002"] });
    let targets = lab.targets("ioc", places);
    assert_eq!(targets.len(), 2);
    let began = lab.clock.now();
    for _ in 0..35 {
        for target in &targets {
            target.list(Scope::All).await.unwrap();
        }
    }
    assert_eq!(lab.fake.server.log.count(|call| call.status == 429), 0);
    assert!(lab.clock.now() - began >= chrono::TimeDelta::minutes(2));
}

/// Item 35: another program used the minute up.
#[tokio::test]
async fn a_used_up_minute_is_waited_out_whatever_the_answer_says() {
    for position in ["retry-after", "no-header", "html"] {
        let lab = lab(&[("throttle", position)]).await;
        for _ in 0..30 {
            lab.get(&format!("{IOCS}?accountIds={ACCOUNT}"))
                .await
                .data();
        }
        let target = lab.target("ioc");
        assert!(
            target.list(Scope::All).await.unwrap().is_empty(),
            "{position}"
        );
        assert!(lab.clock.now() - start_time() >= chrono::TimeDelta::seconds(60));
    }
}

/// Item 37, and what proxies answer.
#[tokio::test]
async fn successes_that_are_none_are_errors() {
    let bodies = [
        "<html>proxy</html>",
        "",
        r#"{"data":[],"errors":[{"code":4000040,"title":"Half","detail":"broken"}],"pagination":{}}"#,
        r#"{"data":null,"pagination":{"totalItems":0,"nextCursor":null}}"#,
        r#"{"data":[]}"#,
        r#"{"data":[],"pagination":{"totalItems":7,"nextCursor":null}}"#,
    ];
    for mechanism in ["blocklist", "ioc"] {
        for body in bodies {
            let lab = lab(&[]).await;
            let target = lab.target(mechanism);
            lab.fake
                .server
                .fault(Fault::answer(200, body).on("GET", ""));
            let error = target.list(Scope::All).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{body}: {error}");
        }
    }
    let lab = lab(&[]).await;
    lab.fake
        .server
        .fault(Fault::answer(404, "<html>not here</html>").on("GET", "status"));
    let error = lab.target("ioc").open().await.unwrap_err();
    assert_eq!(error.hint_text(), Some("check hostname"));
}

#[tokio::test]
async fn configuration_errors_name_the_field() {
    let lab = lab(&[]).await;
    let cases = [
        ("api_token", json!(""), "api_token"),
        ("api_tokn", json!("x"), "api_tokn"),
        ("hostname", json!(""), "hostname"),
        ("hostname", json!("http://usea1.sentinelone.net"), "http"),
        ("account_ids", json!([]), "account_ids"),
        ("account_ids", json!(["12"]), "account_ids"),
        (
            "account_ids",
            json!([225_494_730_938_493_804_u64]),
            "string",
        ),
        ("whole_tenant", json!(true), "whole_tenant"),
        ("os_types", json!([]), "os_types"),
        ("os_types", json!(["bsd"]), "bsd"),
        ("batch", json!(1_001), "batch"),
        ("severity", json!(8), "severity"),
        ("source", json!("a,b"), "source"),
        ("mechanism", json!("edl"), "edl"),
        ("mechanism", json!({ "md5": "blocklist" }), "md5"),
    ];
    for (field, value, part) in cases {
        let mut configuration = lab.fake.configuration.clone();
        configuration[field] = value;
        let environment = Environment::new(lab.clock.clone());
        let made = (sentinelone::connector().targets)(configuration, &environment);
        let error = made.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config, "{field}: {error}");
        assert!(format!("{error:?}").contains(part), "{field}: {error:?}");
    }
    // Indicators of a site are reached by its account only.
    let alone = json!({ "account_ids": [], "site_ids": [SITE] });
    assert_eq!(lab.targets("blocklist", alone.clone()).len(), 1);
    let mut configuration = lab.fake.configuration.clone();
    configuration["mechanism"] = json!("ioc");
    configuration["account_ids"] = alone["account_ids"].clone();
    configuration["site_ids"] = alone["site_ids"].clone();
    let environment = Environment::new(lab.clock.clone());
    let error = (sentinelone::connector().targets)(configuration, &environment)
        .err()
        .unwrap();
    assert!(error.to_string().contains("account_ids"), "{error}");
}

#[tokio::test]
async fn every_place_and_mechanism_is_a_target_of_its_own() {
    let lab = lab(&[]).await;
    let keys = |more: Json| -> Vec<String> {
        let mut configuration = lab.fake.configuration.clone();
        configuration["hostname"] = json!("usea1-acme.sentinelone.net");
        for (name, value) in more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let environment = Environment::new(lab.clock.clone());
        let made = (sentinelone::connector().targets)(configuration, &environment).unwrap();
        made.iter().map(|target| target.key().to_string()).collect()
    };
    let prefix = "sentinelone:usea1-acme.sentinelone.net";
    assert_eq!(
        keys(json!({})),
        [format!("{prefix}:blocklist:account/{ACCOUNT}")]
    );
    let two = json!({ "account_ids": [OTHER_ACCOUNT, ACCOUNT], "mechanism": "ioc" });
    assert_eq!(
        keys(two),
        [
            format!("{prefix}:ioc:account/{ACCOUNT}"),
            format!("{prefix}:ioc:account/{OTHER_ACCOUNT}")
        ]
    );
    let both = json!({
        "group_ids": [GROUP], "mechanism": { "sha1": "blocklist", "domain": "ioc" },
        "hostname": "https://usea1-acme.sentinelone.net/web/api/v2.1/",
    });
    assert_eq!(
        keys(both),
        [
            format!("{prefix}:blocklist:group/{GROUP}"),
            format!("{prefix}:ioc:group/{GROUP}")
        ]
    );
    let tenant = json!({ "account_ids": [], "whole_tenant": true });
    assert_eq!(keys(tenant), [format!("{prefix}:blocklist:tenant")]);
}

#[tokio::test]
async fn works_over_tls_with_the_given_authority() {
    let clock = sdk::Clock::manual(start_time());
    let mut tls = sdk::fake::FakeOptions::plain(clock);
    tls.transport = sdk::fake::Transport::Tls;
    let fake = sentinelone::fake::start(tls).await.unwrap();
    let environment = Environment::new(sdk::Clock::system());
    let make = |configuration: Json| {
        (sentinelone::connector().targets)(configuration, &environment)
            .unwrap()
            .remove(0)
    };
    let target = make(fake.configuration.clone());
    target.open().await.unwrap();
    let strangers = make(without(fake.configuration.clone(), "ca_pem"));
    assert!(strangers.open().await.is_err());
}

/// Item 36: an answer that is lost after the write was applied.
#[tokio::test]
async fn a_blocklist_write_whose_answer_is_lost_is_found_there() {
    for action in [
        FaultAction::ResetAfter,
        FaultAction::AnswerAfter {
            status: 502,
            body: String::new(),
        },
    ] {
        let lab = lab(&[]).await;
        let target = lab.target("blocklist");
        lab.fake
            .server
            .fault(Fault::new(action).on("POST", "restrictions").after(1));
        let outcomes = target.apply(Batch::Add(&[write(&sha1("aa"))])).await;
        assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
        assert_eq!(lab.blocked().await.len(), 3);
        let posts = |call: &sdk::fake::Call| call.method == "POST" && call.path == RESTRICTIONS;
        assert_eq!(
            lab.fake.server.log.count(posts),
            4,
            "sent again, and refused as a duplicate"
        );
    }
}
