//! The fake against items 34 to 46 and 48: configuration, commits, jobs, locks. Test names carry the numbers.

use super::{Lab, Reply, lab, lab_with};

const PARTIAL: &str =
    "<commit><partial><admin><member>svc-cordon</member></admin></partial></commit>";

fn address(name: &str, netmask: &str) -> String {
    format!("<entry name=\"{name}\"><ip-netmask>{netmask}</ip-netmask></entry>")
}

async fn job(lab: &Lab, id: u32) -> Reply {
    lab.op(&format!("<show><jobs><id>{id}</id></jobs></show>"))
        .await
}

#[tokio::test]
async fn item_34_set_merges_and_edit_replaces() {
    let lab = lab(&[]).await;
    lab.change(
        "set",
        "/address",
        &(address("one", "45.83.0.1") + &address("two", "45.83.0.2")),
    )
    .await;
    let group = "/address-group/entry[@name='cordon-1']/static";
    lab.change("set", group, "<member>one</member>").await;
    // Another administrator adds a member between our reading and our writing.
    lab.ana_changes("set", group, "<member>two</member>").await;
    let all = lab.read("get", group).await;
    assert!(all.has("<member>one") && all.has("<member>two"));
    let stale = "<static><member>cordon-placeholder</member><member>one</member></static>";
    assert!(lab.change("edit", group, stale).await.has("code=\"20\""));
    assert!(
        !lab.read("get", group).await.has("<member>two"),
        "his is lost"
    );
}

#[tokio::test]
async fn item_35_invalid_objects_are_refused() {
    let lab = lab(&[]).await;
    let long = "n".repeat(64);
    let reply = lab
        .change("set", "/address", &address(&long, "45.83.0.1"))
        .await;
    assert!(reply.has("code=\"12\"") && reply.has("at most 63 characters, but current length: 64"));
    for element in [
        address("bad", "300.1.1.1"),
        "<entry name=\"bad\"/>".to_owned(),
        "<entry name=\"bad\"><ip-netmask>45.83.0.1</ip-netmask><tag><member>nobody</member></tag></entry>".to_owned(),
        format!("<entry name=\"bad\"><ip-netmask>45.83.0.1</ip-netmask><description>{}</description></entry>", "d".repeat(1024)),
        "<entry name=\"bad\"><ip-netmask>45.83.0.1</ip-netmask><fqdn>x.com</fqdn></entry>".to_owned(),
    ] {
        assert!(lab.change("set", "/address", &element).await.has("code=\"12\""), "{element}");
    }
    let empty = "<entry name=\"empty\"><static/></entry>";
    assert!(
        lab.change("set", "/address-group", empty)
            .await
            .has("code=\"12\"")
    );
    assert!(
        lab.read("get", "/address/entry[@name='bad']")
            .await
            .has("code=\"7\"")
    );
}

#[tokio::test]
async fn item_36_what_is_referenced_stays() {
    let lab = lab(&[]).await;
    assert!(
        lab.change("delete", "/address/entry[@name='web-server']", "")
            .await
            .has("code=\"10\"")
    );
    let missing = lab
        .change("delete", "/address/entry[@name='nobody']", "")
        .await;
    assert!(missing.has("status=\"success\"") && missing.has("code=\"7\""));
}

#[tokio::test]
async fn items_37_and_38_the_candidate_is_not_what_is_enforced() {
    let lab = lab(&[]).await;
    lab.change("set", "/address", &address("one", "45.83.0.1"))
        .await;
    lab.change(
        "set",
        "/address-group/entry[@name='cordon-1']/static",
        "<member>one</member>",
    )
    .await;
    let path = "/address/entry[@name='one']";
    let candidate = lab.read("get", path).await;
    assert!(
        candidate.has("dirtyId=")
            && candidate.has("admin=\"svc-cordon\"")
            && candidate.has("time=")
    );
    let active = lab.read("show", path).await;
    assert!(active.has("status=\"error\"") && active.has("No such node"));
    assert!(
        lab.op("<check><pending-changes/></check>")
            .await
            .has("<result>yes</result>")
    );
    lab.commit(PARTIAL).await;
    assert!(!lab.blocks("45.83.0.1").await, "not before the job is over");
    lab.pass(10);
    assert!(lab.blocks("45.83.0.1").await);
    assert!(!lab.read("get", path).await.has("dirtyId="));
    assert!(
        lab.op("<check><pending-changes/></check>")
            .await
            .has("<result>no</result>")
    );
}

#[tokio::test]
async fn item_39_nothing_to_commit_has_no_job() {
    let lab = lab(&[]).await;
    let reply = lab.commit(PARTIAL).await;
    assert!(
        reply.has("code=\"19\"")
            && reply.has("There are no changes to commit.")
            && !reply.has("<job>")
    );
}

#[tokio::test]
async fn items_40_and_41_jobs_wait_work_and_end() {
    let lab = lab_with(&[("progress", "time")], |options| {
        options.set("refuses_commits", true)
    })
    .await;
    lab.change("set", "/address", &address("one", "45.83.0.1"))
        .await;
    let reply = lab.commit(PARTIAL).await;
    assert!(reply.has("Commit job enqueued with jobid 1") && reply.has("<job>1</job>"));
    lab.commit(PARTIAL).await;
    let first = job(&lab, 1).await;
    assert!(first.has("<status>ACT") && first.has("<result>PEND") && first.has("Still Active"));
    assert!(job(&lab, 2).await.has("<status>PEND"), "one at a time");
    lab.pass(3);
    let first = job(&lab, 1).await;
    assert!(first.has("<status>FIN") && first.has("<result>FAIL") && first.has("is not valid"));
    assert!(first.has("<progress>2026/"), "no number any more");
    lab.fake.state.reboot();
    assert!(job(&lab, 1).await.has("job 1 not found"));
}

#[tokio::test]
async fn item_42_a_full_commit_takes_everybodys_changes() {
    let lab = lab(&[("draft", "pending")]).await;
    lab.change("set", "/address", &address("one", "45.83.0.1"))
        .await;
    lab.commit(PARTIAL).await;
    lab.pass(10);
    let draft = "/address/entry[@name='draft-of-ana']";
    assert!(lab.read("show", draft).await.has("No such node"));
    assert!(lab.read("get", draft).await.has("admin=\"ana\""));
    lab.commit("<commit></commit>").await;
    lab.pass(10);
    assert!(lab.read("show", draft).await.has("45.155.205.9"));
}

#[tokio::test]
async fn item_43_somebody_elses_lock_stands_in_the_way() {
    let lab = lab(&[]).await;
    let lock = |kind: &str, what: &str| format!("<request><{kind}>{what}</{kind}></request>");
    let add = "<add><comment>mine</comment></add>";
    let ask = async |cmd: &str| lab.ana(&[("type", "op"), ("cmd", cmd)]).await;
    ask(&lock("config-lock", add)).await;
    let refused = lab
        .change("set", "/address", &address("one", "45.83.0.1"))
        .await;
    assert!(refused.has("is currently locked by ana"));
    assert!(
        ask(&lock("config-lock", add))
            .await
            .has("You already own a config lock for scope")
    );
    ask(&lock("config-lock", "<remove/>")).await;
    lab.change("set", "/address", &address("one", "45.83.0.1"))
        .await;
    ask(&lock("commit-lock", add)).await;
    assert!(
        lab.commit(PARTIAL)
            .await
            .has("Configuration is locked by ana")
    );
    assert!(
        lab.op(&lock("commit-lock", add))
            .await
            .has("Commit lock is already held")
    );
    assert!(
        lab.op(&lock("commit-lock", "<remove/>"))
            .await
            .has("Commit lock is not currently held")
    );
    assert!(
        lab.op("<show><commit-locks/></show>")
            .await
            .has("name=\"ana\"")
    );
}

#[tokio::test]
async fn item_44_a_busy_device_is_free_after_a_while() {
    let lab = lab(&[("busy", "twice")]).await;
    lab.change("set", "/address", &address("one", "45.83.0.1"))
        .await;
    for _ in 0..2 {
        assert!(
            lab.commit(PARTIAL)
                .await
                .has("Another commit/validate is in progress")
        );
    }
    assert!(lab.commit(PARTIAL).await.has("<job>"));
}

#[tokio::test]
async fn item_45_several_changes_are_all_or_none() {
    let several = |second: &str| {
        format!(
            "<multi-config><set id=\"1\" xpath=\"{0}/address\">{1}</set><set id=\"2\" xpath=\"{0}/address\">{second}</set></multi-config>",
            super::VSYS,
            address("one", "45.83.0.1")
        )
    };
    let lab = lab(&[]).await;
    let send = async |lab: &Lab, element: &str| {
        lab.ask(&[
            ("type", "config"),
            ("action", "multi-config"),
            ("element", element),
        ])
        .await
    };
    let refused = send(&lab, &several(&address("two", "x"))).await;
    assert!(
        refused.has("status=\"error\" code=\"12\" id=\"2\""),
        "{}",
        refused.text
    );
    assert!(
        lab.read("get", "/address/entry[@name='one']")
            .await
            .has("code=\"7\"")
    );
    let taken = send(&lab, &several(&address("two", "45.83.0.2"))).await;
    assert_eq!(taken.count("code=\"20\" id="), 2);
    let old = lab_with(&[], |options| options.set("sw_version", "10.0.8")).await;
    assert!(
        send(&old, &several(&address("two", "45.83.0.2")))
            .await
            .has("not enabled")
    );
}

#[tokio::test]
async fn item_46_the_passive_device_refuses_changes() {
    let lab = lab_with(&[], |options| options.set("pair", "passive")).await;
    assert!(
        lab.change("set", "/address", &address("one", "45.83.0.1"))
            .await
            .has("code=\"15\"")
    );
    assert!(lab.commit("<commit/>").await.has("code=\"15\""));
    assert!(lab.message("").await.has("code=\"15\""));
}

#[tokio::test]
async fn item_48_asking_too_often_is_counted() {
    let lab = lab(&[]).await;
    lab.change("set", "/address", &address("one", "45.83.0.1"))
        .await;
    lab.commit(PARTIAL).await;
    job(&lab, 1).await;
    lab.pass(2);
    job(&lab, 1).await;
    assert_eq!(lab.told().await["fast_polls"], 0);
    lab.pass(1);
    job(&lab, 1).await;
    assert_eq!(lab.told().await["fast_polls"], 1);
}
