//! Sessions, limits, locks and answers that are lost or unreadable.

use super::*;

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

/// Whichever call finds that the session is over: the run logs in again and goes on.
#[tokio::test]
async fn item_3_a_session_that_dies_before_any_call() {
    let names = ["a.org", "b.org", "c.org"];
    for mechanism in MECHANISMS {
        let more = || json!({ "mechanism": mechanism, "batch": 2 });
        let mut died = 0;
        for calls in 0..20 {
            let lab = lab(&[], &[("session_dies_in", json!(calls))]).await;
            let report = lab.sync(more(), &names).await;
            assert_eq!(report.status, Status::Ok, "{mechanism} {calls}: {report:?}");
            assert_eq!(lab.enforced(mechanism), names, "{mechanism} {calls}");
            died += logins(&lab) - 1;
        }
        assert!(died > 5, "{mechanism}: {died} sessions died");
    }
}

#[tokio::test]
async fn a_secret_that_a_proxy_repeats_is_struck_out() {
    for (login, field, path) in [
        ("legacy", "password", "authenticatedSession"),
        ("oneapi", "client_secret", "oauth2/v1/token"),
    ] {
        let lab = lab(&[], &[("login", json!(login))]).await;
        let secret = lab.fake.configuration[field].as_str().unwrap();
        let target = lab.target(json!({}));
        sdk::testing::secrets::repeated_by_a_proxy(&lab.fake, &*target, ("POST", path), secret)
            .await;
    }
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
                // A 503 does not say that nothing was done: before a write is sent again it is looked for.
                let times = if status == 503 { 1 } else { 2 };
                let fault = Fault::answer(status, body).on(method, path).times(times);
                lab.fake.server.fault(fault);
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
            let retried = if status == 503 { 2 } else { 6 };
            assert_eq!(report.requests.retried, retried, "{mechanism} {status}");
        }
    }
}

/// A gateway answers 503 after the list was changed: what is there then is ours.
#[tokio::test]
async fn what_a_503_hides_is_ours() {
    let lab = lab(&[], &[]).await;
    let hides = FaultAction::AnswerAfter {
        status: 503,
        body: "no upstream".to_owned(),
    };
    lab.fake
        .server
        .fault(Fault::new(hides).on("POST", "blacklistUrls"));
    let denylist = json!({ "mechanism": "denylist" });
    let report = lab.sync(denylist.clone(), &["evil.org"]).await;
    assert_eq!((report.status, report.added), (Status::Ok, 1), "{report:?}");
    let report = lab.sync(denylist, &[]).await;
    assert_eq!(report.removed.withdrawn, 1, "{report:?}");
    assert_eq!(lab.enforced("denylist"), Vec::<String>::new());
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
