//! The connector against the fake: what no uniform suite can know about Zscaler.

use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::{Kind, Value};
use sdk::report::{Report, Status, Verified};
use sdk::target::{Batch, Level, Outcome, Removal, Scope, Target, Write};
use sdk::testing::builders::indicator;
use serde_json::json;

use crate::raw::{Lab, domain, domains, lab};

fn write(value: Value) -> Write {
    Write {
        value,
        id: None,
        expires: None,
        note: String::new(),
        note_and_end_only: false,
        held_expires: None,
    }
}

fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Done => "done",
        Outcome::Rejected(_) => "rejected",
        Outcome::NotApplied(_) => "not applied",
        Outcome::Exists => "exists",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown(_) => "unknown",
    };
    outcomes.iter().map(name).collect()
}

async fn add(target: &dyn Target, values: &[&str]) -> Vec<&'static str> {
    let writes: Vec<Write> = values.iter().map(|name| write(domain(name))).collect();
    names(&target.apply(Batch::Add(&writes)).await)
}

fn logins(lab: &Lab) -> usize {
    let session = |call: &sdk::fake::Call| {
        call.method == "POST" && call.path.ends_with("/authenticatedSession")
    };
    lab.fake.server.log.count(session)
}

fn writes(lab: &Lab) -> usize {
    let writing = |call: &sdk::fake::Call| {
        call.method != "GET"
            && !call.path.contains("authenticatedSession")
            && !call.path.contains("/fake/")
    };
    lab.fake.server.log.count(writing)
}

fn activations(lab: &Lab) -> usize {
    lab.fake
        .server
        .log
        .count(|call| call.path.ends_with("/status/activate"))
}

fn error(report: &Report) -> String {
    report.devices[0].error.clone().unwrap_or_default()
}

const MECHANISMS: [&str; 2] = ["url-category", "denylist"];

#[tokio::test]
async fn item_5_blocked_means_slow_down_and_not_log_in_again() {
    for (status, body) in [
        (401, r#"{"message":"Resource Access Blocked"}"#),
        (409, r#"{"message":"Resource Access Blocked"}"#),
    ] {
        let lab = lab(&[], &[]).await;
        for (method, path) in [("GET", "security/advanced"), ("POST", "blacklistUrls")] {
            lab.fake
                .server
                .fault(Fault::answer(status, body).on(method, path).times(2));
        }
        let report = lab
            .sync(json!({ "mechanism": "denylist" }), &["evil.org"])
            .await;
        assert_eq!(report.status, Status::Ok, "{report:?}");
        assert_eq!(lab.enforced("denylist"), ["evil.org"]);
        assert_eq!(logins(&lab), 1);
    }
}

#[tokio::test]
async fn items_5_and_2_a_session_that_ended_is_opened_once() {
    let lab = lab(&[], &[]).await;
    let over =
        r#"{"code":"SESSION_NOT_VALID","message":"getAttribute: Session already invalidated"}"#;
    lab.fake
        .server
        .fault(Fault::answer(401, over).on("POST", "blacklistUrls"));
    let report = lab
        .sync(json!({ "mechanism": "denylist" }), &["evil.org"])
        .await;
    assert_eq!(report.status, Status::Ok, "{report:?}");
    assert_eq!(logins(&lab), 2);
}

#[tokio::test]
async fn item_8_a_tenant_of_oneapi_alone_is_told_so() {
    let lab = lab(&[], &[("login", json!("oneapi"))]).await;
    let legacy = json!({
        "base_url": lab.fake.server.url, "username": "a@b.c", "password": "hunter2-hunter2", "api_key": "0123456789abcdef",
    });
    let environment = sdk::connector::Environment::new(lab.clock.clone());
    let target = (zscaler::connector().targets)(legacy, &environment)
        .unwrap()
        .remove(0);
    let error = target.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(error.to_string().contains("OneAPI logins only"), "{error}");
    assert!(error.hint_text().unwrap().contains("client_id"));
}

#[tokio::test]
async fn wrong_credentials_are_tried_once() {
    for (login, field) in [("legacy", "password"), ("oneapi", "client_secret")] {
        let lab = lab(&[], &[("login", json!(login))]).await;
        let error = lab
            .target(json!({ field: "wrong-wrong" }))
            .open()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
        assert_eq!(lab.fake.server.log.all().len(), 1);
        assert!(!format!("{error:?}").contains("wrong-wrong"));
    }
}

#[tokio::test]
async fn a_short_token_is_renewed_before_its_end() {
    let lab = lab(
        &[],
        &[("login", json!("oneapi-key")), ("token_seconds", json!(60))],
    )
    .await;
    let target = lab.target(json!({ "mechanism": "denylist" }));
    for _ in 0..4 {
        target.list(Scope::All).await.unwrap();
        lab.advance(20);
    }
    let log = &lab.fake.server.log;
    assert_eq!(log.count(|call| call.path == "/oauth2/v1/token"), 2);
    assert_eq!(log.count(|call| call.status == 401), 0);
}

#[tokio::test]
async fn items_13_and_14_one_bad_entry_sinks_only_itself() {
    for mechanism in MECHANISMS {
        for position in ["named", "unnamed"] {
            let lab = lab(&[("offenders", position)], &[("ipv4", json!(false))]).await;
            // What our own rules let through and the vendor does not.
            let network = Value::parse(Kind::Url, "http://45.83.1.0/24").unwrap();
            let mut wanted = domains(&["a.org", "b.org", "c.org"]);
            wanted.push(indicator(&network).build());
            let report = lab
                .run(json!({ "mechanism": mechanism }), true, wanted, Vec::new())
                .await;
            assert_eq!(
                (report.status, report.added, report.failed),
                (Status::Partial, 3, 1),
                "{report:?}"
            );
            assert_eq!(lab.enforced(mechanism), ["a.org", "b.org", "c.org"]);
            let detail = report
                .details
                .iter()
                .find(|detail| detail.outcome == "failed")
                .unwrap();
            assert!(detail.value.contains("45.83.1.0/24") && !detail.message.is_empty());
        }
    }
}

#[tokio::test]
async fn items_15_and_35_what_somebody_added_meanwhile_is_not_sent_again() {
    for (mechanism, category) in [("denylist", false), ("url-category", true)] {
        for position in ["409", "400"] {
            let lab = lab(&[("duplicate-add", position)], &[]).await;
            let target = lab.target(json!({ "mechanism": mechanism }));
            target.list(Scope::All).await.unwrap();
            if category {
                assert_eq!(add(&*target, &["first.org"]).await, ["done"]);
            }
            assert!(lab.fake.state.add_foreign(mechanism, &domain("theirs.org")));
            let before = writes(&lab);
            assert_eq!(
                add(&*target, &["new.org", "theirs.org"]).await,
                ["not applied", "exists"]
            );
            assert_eq!(writes(&lab), before + 1, "{mechanism} {position}");
        }
    }
}

#[tokio::test]
async fn item_15_what_is_gone_already_counts_as_taken() {
    for mechanism in MECHANISMS {
        for position in ["no-op", "404", "400"] {
            let lab = lab(&[("absent-remove", position)], &[]).await;
            lab.sync(
                json!({ "mechanism": mechanism }),
                &["a.org", "b.org", "c.org"],
            )
            .await;
            let target = lab.target(json!({ "mechanism": mechanism }));
            let held = target.list(Scope::All).await.unwrap();
            let removals: Vec<Removal> = held
                .iter()
                .map(|held| Removal {
                    id: held.id.clone(),
                    value: held.value.clone(),
                })
                .collect();
            assert!(lab.fake.state.remove(mechanism, &domain("b.org")));
            let outcomes = target.apply(Batch::Remove(&removals)).await;
            let said = |name: &str| {
                let place = removals
                    .iter()
                    .position(|one| one.value == domain(name))
                    .unwrap();
                names(&outcomes)[place]
            };
            assert_eq!(said("b.org"), "done", "{mechanism} {position}");
            let other = if position == "no-op" {
                "done"
            } else {
                "not applied"
            };
            assert_eq!(said("a.org"), other);
        }
    }
}

#[tokio::test]
async fn item_17_a_call_that_is_too_large_is_halved() {
    let lab = lab(&[], &[("batch_limit", json!(2))]).await;
    let wanted = ["a.org", "b.org", "c.org", "d.org", "e.org"];
    for mechanism in MECHANISMS {
        let report = lab.sync(json!({ "mechanism": mechanism }), &wanted).await;
        assert_eq!((report.status, report.added), (Status::Ok, 5), "{report:?}");
        assert_eq!(lab.enforced(mechanism), wanted);
    }
}

#[tokio::test]
async fn item_16_a_tenant_that_fills_up_is_told_as_full() {
    for mechanism in MECHANISMS {
        for position in ["403", "400"] {
            let lab = lab(&[("over-quota", position)], &[("capacity", json!(2))]).await;
            let target = lab.target(json!({ "mechanism": mechanism }));
            target.list(Scope::All).await.unwrap();
            let writes: Vec<Write> = ["a.org", "b.org", "c.org"]
                .iter()
                .map(|name| write(domain(name)))
                .collect();
            for outcome in target.apply(Batch::Add(&writes)).await {
                assert!(
                    matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::Full)
                );
            }
        }
    }
}

#[tokio::test]
async fn items_18_and_19_what_others_made_and_others_want_stays() {
    let lab = lab(&[], &[]).await;
    assert!(
        lab.fake
            .state
            .add_foreign("denylist", &domain("theirs.org"))
    );
    let wanted = domains(&["theirs.org", "ours.org"]);
    let denylist = || json!({ "mechanism": "denylist" });
    let report = lab.run(denylist(), true, wanted.clone(), Vec::new()).await;
    assert_eq!((report.added, report.skipped.foreign), (1, 1));
    let mut revoked: Vec<_> = ["theirs.org", "ours.org"]
        .iter()
        .map(|name| {
            indicator(&domain(name))
                .revoked()
                .id(&format!("revoked-{name}"))
                .build()
        })
        .collect();
    revoked.extend(domains(&["ours.org"]));
    lab.run(denylist(), true, revoked, Vec::new()).await;
    assert_eq!(lab.enforced("denylist"), ["ours.org", "theirs.org"]);
    lab.run(denylist(), true, Vec::new(), Vec::new()).await;
    assert_eq!(lab.enforced("denylist"), ["theirs.org"]);
}

#[tokio::test]
async fn item_34_locks_and_503_are_waited_for_on_every_call() {
    let lock = r#"{"code":"EDIT_LOCK_NOT_AVAILABLE","message":"lock"}"#;
    let barrier = r#"{"code":"UNEXPECTED_ERROR","message":"Failed during enter Org barrier"}"#;
    let expected = r#"{"message":"Request processing failed, possibly because an expected precondition was not met"}"#;
    for mechanism in MECHANISMS {
        for (status, body) in [
            (503, ""),
            (409, lock),
            (409, barrier),
            (412, barrier),
            (412, expected),
        ] {
            let lab = lab(&[], &[]).await;
            let target = if mechanism == "denylist" {
                "blacklistUrls"
            } else {
                "urlCategories"
            };
            for (method, path) in [
                ("POST", target),
                ("POST", "status/activate"),
                ("GET", "urlQuota"),
            ] {
                lab.fake
                    .server
                    .fault(Fault::answer(status, body).on(method, path).times(2));
            }
            let report = lab
                .sync(json!({ "mechanism": mechanism }), &["evil.org"])
                .await;
            assert_eq!(
                report.status,
                Status::Ok,
                "{mechanism} {status} {body}: {report:?}"
            );
            assert_eq!(lab.enforced(mechanism), ["evil.org"]);
            assert_eq!(report.requests.retried, 6);
        }
    }
}

#[tokio::test]
async fn item_38_the_wait_is_kept_in_every_form() {
    for (headers, body, seconds) in [
        (vec![("retry-after", "3")], "{}", 3),
        (vec![("retry-after", "0 seconds")], "{}", 1),
        (vec![("retry-after", "13s")], "{}", 13),
        (
            vec![],
            r#"{"message":"Rate Limit (1/SECOND) exceeded","Retry-After":"7 seconds"}"#,
            7,
        ),
        (vec![], "{}", 2),
    ] {
        let lab = lab(&[], &[]).await;
        let target = lab.target(json!({ "mechanism": "denylist" }));
        target.list(Scope::All).await.unwrap();
        let answer = FaultAction::Answer {
            status: 429,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_owned(),
        };
        lab.fake
            .server
            .fault(Fault::new(answer).on("POST", "blacklistUrls"));
        let before = lab.clock.now();
        assert_eq!(add(&*target, &["evil.org"]).await, ["done"]);
        let waited = (lab.clock.now() - before).num_seconds();
        assert!(
            waited >= seconds && waited <= seconds + 2,
            "{body}: {waited} s"
        );
    }
}

#[tokio::test]
async fn items_39_and_43_an_hour_used_up_ends_the_run_and_the_next_one_goes_on() {
    for told in ["header", "body"] {
        let lab = lab(&[], &[]).await;
        let headers = match told {
            "header" => vec![("retry-after".to_owned(), "2400".to_owned())],
            _ => Vec::new(),
        };
        let body = r#"{"message":"Rate Limit (400/HOUR) exceeded","Retry-After":"2400 seconds"}"#
            .to_owned();
        let answer = FaultAction::Answer {
            status: 429,
            headers,
            body,
        };
        lab.fake
            .server
            .fault(Fault::new(answer).on("POST", "blacklistUrls").after(1));
        let more = || json!({ "mechanism": "denylist", "batch": 2 });
        let before = lab.clock.now();
        let wanted = ["a.org", "b.org", "c.org", "d.org", "e.org"];
        let report = lab.sync(more(), &wanted).await;
        assert_eq!(
            (report.status, report.added, report.failed),
            (Status::Partial, 2, 3),
            "{report:?}"
        );
        assert!(
            (lab.clock.now() - before).num_seconds() < 120,
            "it does not hang"
        );
        assert_eq!(
            lab.enforced("denylist").len(),
            2,
            "what was done is enforced"
        );
        let report = lab.sync(more(), &wanted).await;
        assert_eq!((report.status, report.added), (Status::Ok, 3), "{report:?}");
        assert_eq!(lab.enforced("denylist"), wanted);
    }
}

#[tokio::test]
async fn item_40_a_write_whose_answer_is_lost_is_not_repeated_blindly() {
    for mechanism in MECHANISMS {
        let path = if mechanism == "denylist" {
            "blacklistUrls"
        } else {
            "urlCategories"
        };
        for action in [
            FaultAction::ResetAfter,
            FaultAction::AnswerAfter {
                status: 500,
                body: r#"{"code":"UNEXPECTED_ERROR"}"#.to_owned(),
            },
        ] {
            let lab = lab(&[("duplicate-add", "409")], &[]).await;
            lab.fake.server.fault(Fault::new(action).on("POST", path));
            let report = lab
                .sync(json!({ "mechanism": mechanism }), &["evil.org"])
                .await;
            assert_eq!((report.status, report.added), (Status::Ok, 1), "{report:?}");
            assert_eq!(lab.enforced(mechanism), ["evil.org"]);
            assert_eq!(writes(&lab), 2, "one write, one activation");
            let again = lab
                .sync(json!({ "mechanism": mechanism }), &["evil.org"])
                .await;
            assert_eq!(
                (again.added, again.unchanged, again.requests.write),
                (0, 1, 0)
            );
        }
    }
}

#[tokio::test]
async fn item_41_maintenance_ends_the_run_and_activates_nothing() {
    for (setting, exit) in [("header", 75), ("plain", 3)] {
        let lab = lab(&[], &[("maintenance", json!(setting))]).await;
        let report = lab
            .sync(json!({ "mechanism": "denylist" }), &["evil.org"])
            .await;
        assert_eq!(report.added, 0);
        assert_ne!(report.status, Status::Ok);
        assert!(
            error(&report).contains("maintenance") || error(&report).contains("not allowed"),
            "{report:?}"
        );
        let log = &lab.fake.server.log;
        assert_eq!(
            log.count(|call| call.path.ends_with("activate") && call.status == 200),
            0,
            "{exit}"
        );
        assert_eq!(lab.enforced("denylist"), [""; 0]);
    }
}

#[tokio::test]
async fn item_42_what_is_no_json_is_readable() {
    let page = "<html><body>406 Not Acceptable</body></html>";
    for (status, body, part) in [
        (406, page, "406 Not Acceptable"),
        (404, "", "without a word"),
        (200, page, "406 Not Acceptable"),
    ] {
        let lab = lab(&[], &[]).await;
        lab.fake
            .server
            .fault(Fault::answer(status, body).on("GET", "security/advanced"));
        let error = lab
            .target(json!({ "mechanism": "denylist" }))
            .open()
            .await
            .unwrap_err();
        assert!(error.to_string().contains(part), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_listing_without_its_list_is_an_error_and_not_empty() {
    let lab = lab(&[], &[]).await;
    lab.fake
        .server
        .fault(Fault::answer(200, "{}").on("GET", "security/advanced"));
    let error = lab
        .target(json!({ "mechanism": "denylist" }))
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn categories_are_made_when_the_last_is_full() {
    let lab = lab(&[], &[]).await;
    let more = || json!({ "category_size": 2 });
    let wanted = ["a.org", "b.org", "c.org", "d.org", "e.org"];
    let report = lab.sync(more(), &wanted).await;
    assert_eq!((report.status, report.added), (Status::Ok, 5), "{report:?}");
    assert_eq!(lab.enforced("url-category"), wanted);
    let made = lab
        .fake
        .server
        .log
        .count(|call| call.method == "POST" && call.path.ends_with("/urlCategories"));
    assert_eq!(made, 3);
    // Removals from several categories, and the room is used again.
    let report = lab.sync(more(), &["a.org", "e.org", "f.org"]).await;
    assert_eq!(
        (report.status, report.added, report.removed.withdrawn),
        (Status::Ok, 1, 3),
        "{report:?}"
    );
    assert_eq!(lab.enforced("url-category"), ["a.org", "e.org", "f.org"]);
    assert_eq!(
        lab.fake
            .server
            .log
            .count(|call| call.method == "POST" && call.path.ends_with("/urlCategories")),
        3
    );
}

#[tokio::test]
async fn a_category_of_one_deployment_needs_no_store() {
    let lab = lab(&[], &[]).await;
    let more = || json!({ "category_owner": "lab" });
    let report = lab
        .run(more(), false, domains(&["a.org", "b.org"]), Vec::new())
        .await;
    assert_eq!((report.status, report.added), (Status::Ok, 2), "{report:?}");
    let report = lab
        .run(more(), false, domains(&["b.org"]), Vec::new())
        .await;
    assert_eq!(
        (report.status, report.removed.withdrawn),
        (Status::Ok, 1),
        "{report:?}"
    );
    assert_eq!(lab.enforced("url-category"), ["b.org"]);
    let other = json!({ "category_owner": "somebody-else" });
    let report = lab.run(other, false, domains(&["c.org"]), Vec::new()).await;
    assert_eq!(report.status, Status::Failed);
    assert!(error(&report).contains("somebody-else"), "{report:?}");
    // A category of another name and mark is not seen at all.
    let report = lab
        .run(json!({}), true, domains(&["c.org"]), Vec::new())
        .await;
    assert_eq!((report.status, report.added), (Status::Ok, 1), "{report:?}");
    assert_eq!(lab.enforced("url-category"), ["b.org", "c.org"]);
}

#[tokio::test]
async fn a_category_that_only_looks_like_ours_is_left_alone() {
    let lab = lab(&[], &[("category", json!("made by hand"))]).await;
    let report = lab.sync(json!({}), &["a.org"]).await;
    assert_eq!(report.status, Status::Ok, "{report:?}");
    let target = lab.target(json!({}));
    let held = target.list(Scope::All).await.unwrap();
    assert!(
        held.iter().all(|held| held.id.starts_with("CUSTOM_01")),
        "{held:?}"
    );
}

#[tokio::test]
async fn a_category_that_somebody_deleted_is_made_again() {
    let lab = crate::raw::session(&[], &[]).await;
    let target = lab.target(json!({}));
    lab.sync(json!({}), &["a.org"]).await;
    target.list(Scope::All).await.unwrap();
    lab.advance(90);
    let mut lab = lab;
    lab.cookie = lab.log_in().await;
    let gone = lab
        .call(
            "DELETE",
            "/api/v1/urlCategories/CUSTOM_01",
            serde_json::Value::Null,
        )
        .await;
    assert_eq!(gone.status, 204);
    assert_eq!(
        add(&*target, &["b.org"]).await,
        ["unknown"],
        "it is looked for, then sent again"
    );
    let report = lab.sync(json!({}), &["a.org", "b.org"]).await;
    assert_eq!((report.status, report.added), (Status::Ok, 2), "{report:?}");
}

#[tokio::test]
async fn addresses_are_ranges_of_a_category() {
    let lab = lab(&[], &[]).await;
    let address = |text: &str| indicator(&Value::parse(Kind::Ipv4, text).unwrap()).build();
    let wanted = vec![address("45.83.1.2"), address("45.83.2.0/24")];
    let report = lab.run(json!({}), true, wanted.clone(), Vec::new()).await;
    assert_eq!((report.status, report.added), (Status::Ok, 2), "{report:?}");
    assert_eq!(lab.enforced("url-category"), ["45.83.1.2", "45.83.2.0/24"]);
    let again = lab.run(json!({}), true, wanted, Vec::new()).await;
    assert_eq!(
        (again.added, again.unchanged, again.requests.write),
        (0, 2, 0)
    );
    let report = lab
        .run(json!({}), true, vec![address("45.83.2.0/24")], Vec::new())
        .await;
    assert_eq!(report.removed.withdrawn, 1);
    assert_eq!(lab.enforced("url-category"), ["45.83.2.0/24"]);
}

#[tokio::test]
async fn item_25_addresses_where_ranges_are_not_enabled() {
    let lab = lab(&[], &[("ipv4", json!(false))]).await;
    let mut wanted = domains(&["a.org"]);
    wanted.push(indicator(&Value::parse(Kind::Ipv4, "45.83.1.2").unwrap()).build());
    // Off in the configuration: not sent.
    let report = lab.run(json!({}), true, wanted.clone(), Vec::new()).await;
    assert_eq!(
        (report.status, report.skipped.unsupported),
        (Status::Ok, 1),
        "{report:?}"
    );
    // On in the configuration and off at the vendor: refused by name, the rest lands.
    lab.sync(json!({}), &[]).await;
    let report = lab
        .run(json!({ "ipv4": true }), true, wanted, Vec::new())
        .await;
    assert_eq!(
        (report.status, report.added, report.failed),
        (Status::Partial, 1, 1),
        "{report:?}"
    );
    assert_eq!(lab.enforced("url-category"), ["a.org"]);
}

#[tokio::test]
async fn the_denylist_refuses_without_a_store_and_makes_no_call() {
    let lab = lab(&[], &[]).await;
    let report = lab
        .run(
            json!({ "mechanism": "denylist" }),
            false,
            domains(&["a.org"]),
            Vec::new(),
        )
        .await;
    assert_eq!(report.status, Status::Failed);
    assert!(error(&report).contains("needs a store"), "{report:?}");
    assert_eq!(lab.fake.server.log.all().len(), 0);
}

#[tokio::test]
async fn item_36_nothing_to_do_writes_and_activates_nothing() {
    for mechanism in MECHANISMS {
        let lab = lab(&[], &[]).await;
        let more = || json!({ "mechanism": mechanism });
        lab.sync(more(), &["a.org"]).await;
        lab.fake.server.log.clear();
        let report = lab.sync(more(), &["a.org"]).await;
        assert_eq!(
            (report.status, report.verified),
            (Status::Ok, Verified::Yes)
        );
        assert_eq!((writes(&lab), activations(&lab)), (0, 0));
    }
}

#[tokio::test]
async fn check_tells_which_rule_is_missing() {
    for (rule, level) in [(false, Level::Warning), (true, Level::Ok)] {
        let lab = lab(&[], &[("rule", json!(rule))]).await;
        let target = lab.target(json!({}));
        let before = target.examine(&target.open().await.unwrap()).await.unwrap();
        assert!(
            before
                .iter()
                .any(|finding| finding.subject == "category" && finding.level == Level::Warning)
        );
        lab.sync(json!({}), &["a.org"]).await;
        let target = lab.target(json!({}));
        let findings = target.examine(&target.open().await.unwrap()).await.unwrap();
        let told = findings
            .iter()
            .find(|finding| finding.subject == "rule")
            .unwrap();
        assert_eq!(told.level, level, "{findings:?}");
        assert!(told.message.contains("cordon-01 (CUSTOM_01)"));
        assert!(
            findings
                .iter()
                .all(|finding| finding.level != Level::Missing)
        );
        assert_eq!(target.calls().write, 0);
    }
    let lab = lab(&[], &[("denied", json!(["quota", "rules"]))]).await;
    assert_eq!(lab.sync(json!({}), &["a.org"]).await.status, Status::Ok);
    let target = lab.target(json!({}));
    let findings = target.examine(&target.open().await.unwrap()).await.unwrap();
    let warned = |subject: &str| {
        findings
            .iter()
            .any(|finding| finding.subject == subject && finding.level == Level::Warning)
    };
    assert!(warned("URL quota") && warned("rule"), "{findings:?}");
}

#[tokio::test]
async fn the_vendors_clock_serves_a_login_where_ours_is_wrong() {
    let device = sdk::Clock::manual(crate::raw::start_time() + chrono::TimeDelta::minutes(20));
    let fake = zscaler::fake::start(sdk::fake::FakeOptions::plain(device))
        .await
        .unwrap();
    let environment =
        sdk::connector::Environment::new(sdk::Clock::manual(crate::raw::start_time()));
    let targets = (zscaler::connector().targets)(fake.configuration.clone(), &environment).unwrap();
    let facts = targets[0].open().await.unwrap();
    assert!(facts.vendor_time.unwrap() > crate::raw::start_time() + chrono::TimeDelta::minutes(19));
}

#[tokio::test]
async fn both_mechanisms_share_one_session() {
    let lab = lab(&[], &[]).await;
    let split = json!({ "mechanism": { "domain": "denylist", "url": "url-category" } });
    let targets = lab.targets(split);
    assert_eq!(targets.len(), 2);
    for target in &targets {
        target.list(Scope::All).await.unwrap();
    }
    assert_eq!(logins(&lab), 1);
}

#[tokio::test]
async fn another_spelling_of_an_entry_of_ours_is_not_ours() {
    let lab = lab(&[], &[]).await;
    let denylist = || json!({ "mechanism": "denylist" });
    let there = async || {
        let listed = lab.target(denylist()).list(Scope::All).await.unwrap();
        let mut ids: Vec<String> = listed.iter().map(|held| held.id.to_string()).collect();
        ids.sort();
        ids
    };
    lab.sync(denylist(), &["evil.org"]).await;
    lab.stage_foreign("evil.org/").await;
    let report = lab.sync(denylist(), &["evil.org"]).await;
    assert_eq!((report.removed.total(), report.unchanged), (0, 1));
    lab.sync(denylist(), &[]).await;
    assert_eq!(there().await, ["evil.org/"]);
    let report = lab.sync(denylist(), &["evil.org"]).await;
    assert_eq!(report.skipped.foreign, 1);
    lab.sync(denylist(), &[]).await;
    assert_eq!(there().await, ["evil.org/"]);
}
