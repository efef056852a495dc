//! Entries: what is added, taken and left alone in categories and the denylist.

use super::*;

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
