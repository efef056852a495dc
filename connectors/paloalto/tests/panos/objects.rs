//! `objects` against the fake: commits, locks, others' drafts.

use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Outcome, Scope, Target, Write};
use serde_json::json;

use super::{Lab, add, all_done, ipv4, lab, lab_with, removal, start_time, write};

async fn stored(lab: &Lab) -> std::sync::Arc<dyn Target> {
    let (target, ..) = lab.ready("objects").await;
    add(
        &*target,
        &[
            write(ipv4("45.83.0.1"), 3),
            write(Value::parse(Kind::Domain, "bad.example.net").unwrap(), 3),
        ],
    )
    .await;
    target
}

#[tokio::test]
async fn our_commit_publishes_nothing_of_others() {
    let lab = lab(&[
        ("draft", "pending"),
        ("busy", "twice"),
        ("progress", "time"),
    ])
    .await;
    let target = stored(&lab).await;
    let staged = target.staged().unwrap();
    let pending = staged.pending().await.unwrap().unwrap();
    assert_eq!(pending.ours, Some(true));
    assert!(
        lab.op("<show><commit-locks/></show>")
            .await
            .has("svc-cordon"),
        "held while half done"
    );
    assert!(!lab.blocks("45.83.0.1").await);
    staged.commit().await.unwrap();
    assert!(lab.blocks("45.83.0.1").await);
    assert!(
        lab.read("show", "/address/entry[@name='draft-of-ana']")
            .await
            .has("No such node")
    );
    assert!(
        !lab.op("<show><commit-locks/></show>")
            .await
            .has("svc-cordon"),
        "given back"
    );
    assert_eq!(lab.told().await["fast_polls"], 0);
}

#[tokio::test]
async fn a_refused_commit_is_taken_back_and_others_changes_stay() {
    let lab = lab_with(&[("draft", "pending")], |options| {
        options.set("refuses_commits", true)
    })
    .await;
    let target = stored(&lab).await;
    let staged = target.staged().unwrap();
    let error = staged.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.to_string().contains("ana-draft"), "{error}");
    assert!(staged.discard().await.unwrap());
    assert!(
        lab.read("get", "/address/entry[@name='cordon-45.83.0.1']")
            .await
            .has("code=\"7\"")
    );
    assert!(!lab.read("get", "/address-group").await.has("45.83.0.1"));
    assert!(
        lab.read("get", "/address/entry[@name='draft-of-ana']")
            .await
            .has("45.155.205.9")
    );
    assert!(
        !lab.op("<show><commit-locks/></show>")
            .await
            .has("svc-cordon")
    );
    let fresh = lab.target("objects");
    assert!(fresh.list(Scope::All).await.unwrap().is_empty());
    assert_eq!(fresh.staged().unwrap().pending().await.unwrap(), None);
}

#[tokio::test]
async fn who_only_looks_leaves_the_lock_of_a_run_alone() {
    let lab = lab(&[]).await;
    let running = stored(&lab).await;
    let (looking, facts, _) = lab.ready("objects").await;
    looking.list(Scope::All).await.unwrap();
    looking.examine(&facts).await.unwrap();
    looking.close().await;
    let locks = || lab.op("<show><commit-locks/></show>");
    assert!(locks().await.has("svc-cordon"));
    running.staged().unwrap().commit().await.unwrap();
    assert!(!locks().await.has("svc-cordon"));
}

#[tokio::test]
async fn somebody_elses_locks_and_drafts_are_respected() {
    let locked = lab(&[]).await;
    let add_lock =
        "<request><commit-lock><add><comment>upgrade</comment></add></commit-lock></request>";
    locked
        .ana(&[("type", "op"), ("cmd", add_lock), ("vsys", "vsys1")])
        .await;
    let (target, facts, _) = locked.ready("objects").await;
    let outcomes = target
        .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
        .await;
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(error)] if error.kind() == ErrorKind::Conflict),
        "{outcomes:?}"
    );
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.contains("ana holds it")),
        "{findings:?}"
    );
    let drafted = lab(&[]).await;
    drafted
        .ana_changes(
            "set",
            "/address-group/entry[@name='cordon-1']/static",
            "<member>web-server</member>",
        )
        .await;
    let (target, ..) = drafted.ready("objects").await;
    let outcomes = target
        .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
        .await;
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(error)] if error.to_string().contains("uncommitted changes of ana")),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn an_object_that_somebody_uses_blocks_no_more_and_is_named() {
    let lab = lab(&[]).await;
    let target = stored(&lab).await;
    target.staged().unwrap().commit().await.unwrap();
    let held = target.list(Scope::All).await.unwrap();
    let rule = "/rulebase/security/rules/entry[@name='allow-web']/source";
    let name = held
        .iter()
        .find(|held| held.value == ipv4("45.83.0.1"))
        .unwrap()
        .id
        .clone();
    lab.ana_changes("set", rule, &format!("<member>{name}</member>"))
        .await;
    let removals: Vec<_> = held.iter().map(removal).collect();
    let outcomes = target.apply(Batch::Remove(&removals)).await;
    let refused = outcomes.iter().position(|outcome| matches!(outcome, Outcome::Rejected(text) if text.contains("allow-web") && text.contains("taken out of our groups"))).unwrap();
    assert!(
        outcomes
            .iter()
            .enumerate()
            .all(|(row, outcome)| row == refused || matches!(outcome, Outcome::NotApplied(_))),
        "{outcomes:?}"
    );
    let rest: Vec<_> = removals
        .into_iter()
        .enumerate()
        .filter(|(row, _)| *row != refused)
        .map(|(_, it)| it)
        .collect();
    assert!(all_done(&target.apply(Batch::Remove(&rest)).await));
    target.staged().unwrap().commit().await.unwrap();
    assert!(!lab.blocks("45.83.0.1").await && !lab.blocks("bad.example.net").await);
}

#[tokio::test]
async fn groups_are_sharded_and_never_empty() {
    let lab = lab(&[]).await;
    let target = lab
        .targets(json!({ "mechanism": "objects", "group_size": 3, "group_prefix": "soc" }))
        .remove(0);
    target.open().await.unwrap();
    target.list(Scope::All).await.unwrap();
    let writes: Vec<Write> = (1..=5)
        .map(|number| write(ipv4(&format!("45.83.0.{number}")), 3))
        .collect();
    add(&*target, &writes).await;
    target.staged().unwrap().commit().await.unwrap();
    for (group, members) in [("soc-1", 3), ("soc-2", 3), ("soc-3", 2)] {
        let reply = lab
            .read("show", &format!("/address-group/entry[@name='{group}']"))
            .await;
        assert_eq!(reply.count("<member>"), members, "{group}: {}", reply.text);
    }
    let held = target.list(Scope::All).await.unwrap();
    assert_eq!(held.len(), 5, "the placeholder is none");
    let removals: Vec<_> = held.iter().map(removal).collect();
    assert!(all_done(&target.apply(Batch::Remove(&removals)).await));
    target.staged().unwrap().commit().await.unwrap();
    assert_eq!(
        lab.read("show", "/address-group")
            .await
            .count("<member>soc-placeholder"),
        3
    );
    let facts = target.open().await.unwrap();
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings.iter().any(|finding| finding
            .message
            .contains("no deny rule of this device uses soc-1")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_name_that_somebody_took_is_left_to_him() {
    let lab = lab(&[]).await;
    lab.ana_changes(
        "set",
        "/address",
        "<entry name=\"cordon-45.83.0.1\"><ip-netmask>10.9.9.9</ip-netmask></entry>",
    )
    .await;
    lab.ana(&[("type", "commit"), ("cmd", "<commit/>")]).await;
    lab.pass(10);
    let target = stored(&lab).await;
    target.staged().unwrap().commit().await.unwrap();
    assert!(
        lab.read("show", "/address/entry[@name='cordon-45.83.0.1']")
            .await
            .has("10.9.9.9")
    );
    assert!(
        lab.read("show", "/address/entry[@name='cordon-45.83.0.1-2']")
            .await
            .has("45.83.0.1")
    );
    assert!(lab.blocks("45.83.0.1").await && !lab.blocks("10.9.9.9").await);
}

#[tokio::test]
async fn a_job_that_is_not_known_any_more_may_have_ended_well() {
    let lab = lab(&[]).await;
    let target = stored(&lab).await;
    let state = lab.fake.state.clone();
    // The second call of the commit is the first question about its job.
    lab.fake.server.fault(
        Fault::new(FaultAction::Slow(std::time::Duration::ZERO))
            .on("POST", "/api")
            .after(1)
            .times(1)
            .also(move || {
                state.reboot();
            }),
    );
    let error = target.staged().unwrap().commit().await.unwrap_err();
    assert!(
        error.is_fate_unknown() && error.kind() == ErrorKind::Unavailable,
        "{error:?}"
    );
    assert!(
        !lab.op("<show><commit-locks/></show>")
            .await
            .has("svc-cordon")
    );
}

#[test]
fn objects_need_the_administrators_name() {
    let config = json!({ "hostname": "fw.example.org", "api_key": "k", "mechanism": "objects" });
    let environment = sdk::connector::Environment::new(sdk::Clock::manual(start_time()));
    let error = (paloalto::connector().targets)(config, &environment)
        .err()
        .unwrap();
    assert!(error.to_string().contains("`username`"), "{error}");
    let mixed = json!({ "hostname": "fw", "api_key": "k", "mechanism": { "ipv4": "tags", "sha256": "xdr-blocklist" } });
    let error = (paloalto::connector().targets)(mixed, &environment)
        .err()
        .unwrap();
    assert!(error.to_string().contains("mechanism"), "{error}");
}

#[tokio::test]
async fn whoever_is_to_commit_in_our_place_is_not_locked_out() {
    let lab = lab(&[]).await;
    let target = lab
        .targets(json!({ "mechanism": "objects", "activate": "never" }))
        .remove(0);
    target.open().await.unwrap();
    target.list(Scope::All).await.unwrap();
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    target.close().await;
    assert!(
        !lab.op("<show><commit-locks/></show>")
            .await
            .has("svc-cordon")
    );
    lab.ana(&[("type", "commit"), ("cmd", "<commit/>")]).await;
    lab.pass(10);
    assert!(lab.blocks("45.83.0.1").await);
}
