//! The fake's lists against items 51 to 62, but for 54 and 60, and `edl` against the fake.

use sdk::ErrorKind;
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Level, Outcome, Scope, Write};
use serde_json::json;

use super::{Lab, add, all_done, ipv4, lab, lab_with, removal, write};

pub(super) fn publish(lab: &Lab, list: &str, text: &str) {
    let folder = lab.fake.configuration["publish"]["directory"]
        .as_str()
        .unwrap();
    std::fs::write(
        std::path::Path::new(folder).join(format!("{list}.txt")),
        text,
    )
    .unwrap();
}

pub(super) async fn refresh(lab: &Lab, kind: &str, list: &str) -> String {
    let reply = lab
        .op(&format!("<request><system><external-list><refresh><type><{kind}><name>{list}</name></{kind}></type></refresh></external-list></system></request>"))
        .await;
    lab.pass(10);
    let id = reply
        .text
        .split("<job>")
        .nth(1)
        .map(|rest| rest.split('<').next().unwrap().to_owned());
    match id {
        Some(id) => {
            lab.op(&format!("<show><jobs><id>{id}</id></jobs></show>"))
                .await
                .text
        }
        None => reply.text,
    }
}

/// From now on the lists' server answers every device so.
async fn serve(lab: &Lab, status: &str) {
    let path = format!("/fake/set?publisher={status}");
    assert_eq!(lab.raw("GET", &path, "", b"").await.status, 200);
}

#[tokio::test]
async fn item_51_a_list_is_fetched_at_its_interval_or_when_asked() {
    let lab = lab(&[]).await;
    publish(&lab, "cordon-ip", "45.83.0.1\n");
    lab.pass(3600);
    assert!(!lab.blocks("45.83.0.1").await);
    let job = refresh(&lab, "ip", "cordon-ip").await;
    assert!(job.contains("<type>EDLRefresh") && job.contains("<result>OK"));
    assert!(lab.blocks("45.83.0.1").await);
    let polling = lab_with(&[], |options| options.set("polls", true)).await;
    assert!(!polling.blocks("45.83.0.1").await);
    publish(&polling, "cordon-ip", "45.83.0.1\n");
    polling.pass(301);
    assert!(polling.blocks("45.83.0.1").await);
    publish(&polling, "cordon-ip", "45.83.0.2\n");
    polling.pass(200);
    assert!(polling.blocks("45.83.0.1").await, "not before five minutes");
}

#[tokio::test]
async fn item_52_an_empty_list_keeps_the_old_one() {
    for (switches, text, kept) in [
        (&[("empty-list", "keep-old")][..], "", true),
        (&[("empty-list", "clear")], "", false),
        (&[("comment-only", "empty")], "# nothing\n", true),
        (&[("comment-only", "read")], "# nothing\n", false),
    ] {
        let lab = lab(switches).await;
        publish(&lab, "cordon-ip", "45.83.0.1\n");
        refresh(&lab, "ip", "cordon-ip").await;
        publish(&lab, "cordon-ip", text);
        let job = refresh(&lab, "ip", "cordon-ip").await;
        assert_eq!(job.contains("<result>FAIL"), kept);
        assert_eq!(lab.blocks("45.83.0.1").await, kept, "{switches:?}");
    }
}

#[tokio::test]
async fn items_53_and_54_a_lost_list_is_kept_and_half_a_list_is_taken() {
    let lab = lab(&[]).await;
    publish(&lab, "cordon-ip", "45.83.0.1\n45.83.0.2\n");
    refresh(&lab, "ip", "cordon-ip").await;
    publish(&lab, "cordon-ip", "45.83.0.1\n");
    refresh(&lab, "ip", "cordon-ip").await;
    assert!(lab.blocks("45.83.0.1").await && !lab.blocks("45.83.0.2").await);
    let folder = lab.fake.configuration["publish"]["directory"]
        .as_str()
        .unwrap();
    std::fs::remove_file(std::path::Path::new(folder).join("cordon-ip.txt")).unwrap();
    assert!(
        refresh(&lab, "ip", "cordon-ip")
            .await
            .contains("Using old copy")
    );
    assert!(lab.blocks("45.83.0.1").await);
}

#[tokio::test]
async fn item_53_a_list_that_is_not_served_is_kept_or_stopped() {
    for (status, position, kept) in [
        ("404", "stop", true),
        ("500", "stop", true),
        ("silent", "stop", true),
        ("401", "stop", false),
        ("401", "keep-old", true),
    ] {
        let lab = lab(&[("list-refused", position)]).await;
        publish(&lab, "cordon-ip", "45.83.0.1\n");
        refresh(&lab, "ip", "cordon-ip").await;
        serve(&lab, status).await;
        let job = refresh(&lab, "ip", "cordon-ip").await;
        assert!(job.contains("<result>FAIL"), "{status}: {job}");
        assert_eq!(lab.blocks("45.83.0.1").await, kept, "{status} {position}");
        serve(&lab, "200").await;
        assert!(
            refresh(&lab, "ip", "cordon-ip")
                .await
                .contains("<result>OK")
        );
        assert!(lab.blocks("45.83.0.1").await);
    }
}

/// Whether an answer names the job or not, and whether the list of jobs shows it at once or not: an older refresh that
/// went well says nothing about this one.
#[tokio::test]
async fn item_53_a_refresh_that_fails_is_told_however_the_device_names_its_job() {
    for answer in ["job", "text", "text-and-listed-late"] {
        for (status, position) in [("404", "stop"), ("401", "stop"), ("401", "keep-old")] {
            let lab = lab(&[("refresh-answer", answer), ("list-refused", position)]).await;
            let (target, ..) = lab.ready("edl").await;
            let staged = target.staged().unwrap();
            add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
            staged.commit().await.unwrap();
            serve(&lab, status).await;
            add(&*target, &[write(ipv4("45.83.0.2"), 3)]).await;
            let error = staged.commit().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{answer} {status}");
            let words = error.to_string();
            assert!(words.contains("the refresh of cordon-ip failed"), "{words}");
            assert!(words.contains("Unable to fetch external list"), "{words}");
            assert!(error.hint_text().unwrap().contains("web server"));
            assert!(staged.pending().await.unwrap().is_some());
            serve(&lab, "200").await;
            staged.commit().await.unwrap();
            assert!(lab.blocks("45.83.0.2").await, "{answer}");
        }
    }
}

#[tokio::test]
async fn items_55_and_56_lines_count_by_the_type_of_their_list() {
    let lab = lab(&[]).await;
    publish(&lab, "cordon-ip", "bad.example.org\n45.83.0.1 # why\n");
    publish(
        &lab,
        "cordon-domain",
        "*.x.com\nbad.example.org\n45.83.0.2\n",
    );
    publish(
        &lab,
        "cordon-url",
        "http://a.com/\nb.com/x\n*.c.com/\nd.com\n",
    );
    for (kind, list) in [
        ("ip", "cordon-ip"),
        ("domain", "cordon-domain"),
        ("url", "cordon-url"),
    ] {
        refresh(&lab, kind, list).await;
    }
    for (value, blocked) in [
        ("45.83.0.1", true),
        ("45.83.0.2", false),
        ("bad.example.org", true),
        ("b.com/x?y=1", true),
        ("b.com/y", false),
        ("a.c.com/", true),
        ("c.com/", false),
        ("d.com.evil.test/", true),
    ] {
        assert_eq!(lab.blocks(value).await, blocked, "{value}");
    }
}

#[tokio::test]
async fn item_57_a_bad_line_stops_every_commit_on_some_versions() {
    for (version, stopped) in [("9.1.8", true), ("9.1.9", false)] {
        let lab = lab_with(&[], |options| options.set("sw_version", version)).await;
        publish(&lab, "cordon-url", "exa*mple.com/\n");
        refresh(&lab, "url", "cordon-url").await;
        assert_eq!(lab.told().await["stopped"], stopped, "{version}");
    }
}

#[tokio::test]
async fn items_58_and_62_the_excess_and_unused_lists_block_nothing() {
    let lab = lab(&[]).await;
    let mut text: String = (0..50_000)
        .map(|n| format!("10.{}.{}.{}\n", n / 65_536, n / 256 % 256, n % 256))
        .collect();
    text.push_str("45.83.0.1\n");
    publish(&lab, "cordon-ip", &text);
    refresh(&lab, "ip", "cordon-ip").await;
    assert!(lab.blocks("10.0.0.1").await && !lab.blocks("45.83.0.1").await);
    let unused = lab_with(&[], |options| options.set("rules", false)).await;
    assert!(
        refresh(&unused, "ip", "cordon-ip")
            .await
            .contains("does not exist")
    );
}

#[tokio::test]
async fn item_59_a_31st_source_fails_at_commit() {
    let lab = lab(&[]).await;
    let mut members = String::new();
    let mut lists = String::new();
    for number in 0..29 {
        lists.push_str(&format!("<entry name=\"l{number}\"><type><ip><url>https://lists.example/l.txt?{number}</url></ip></type></entry>"));
        members.push_str(&format!("<member>l{number}</member>"));
    }
    lab.change("set", "/external-list", &lists).await;
    lab.change(
        "set",
        "/rulebase/security/rules/entry[@name='block-cordon']/destination",
        &members,
    )
    .await;
    lab.commit("<commit/>").await;
    lab.pass(10);
    let job = lab.op("<show><jobs><id>1</id></jobs></show>").await;
    assert!(
        job.has("<result>FAIL") && job.has("exceed the limit of 30"),
        "{}",
        job.text
    );
}

#[tokio::test]
async fn item_61_exceptions_are_not_enforced() {
    let lab = lab(&[]).await;
    let path = "/external-list/entry[@name='cordon-ip']/type/ip";
    lab.change(
        "set",
        path,
        "<exception-list><member>45.83.0.1</member></exception-list>",
    )
    .await;
    lab.commit("<commit/>").await;
    lab.pass(10);
    publish(&lab, "cordon-ip", "45.83.0.1\n45.83.0.2\n");
    refresh(&lab, "ip", "cordon-ip").await;
    assert!(!lab.blocks("45.83.0.1").await && lab.blocks("45.83.0.2").await);
}

#[tokio::test]
async fn the_last_one_leaves_a_placeholder_and_is_blocked_no_more() {
    let lab = lab(&[]).await;
    let (target, ..) = lab.ready("edl").await;
    let url = Value::parse(Kind::Url, "https://evil.example.net:8443/a?b=1").unwrap();
    let facts = target.open().await.unwrap();
    let url = target.accept(&url, &facts).unwrap();
    add(&*target, &[write(ipv4("45.83.0.1"), 3), write(url, 3)]).await;
    let staged = target.staged().unwrap();
    assert_eq!(staged.pending().await.unwrap().unwrap().ours, Some(true));
    staged.commit().await.unwrap();
    assert_eq!(staged.pending().await.unwrap(), None);
    assert!(lab.blocks("45.83.0.1").await);
    assert!(lab.blocks("evil.example.net/a?b=1").await);
    assert!(!lab.blocks("evil.example.net.other.test/a?b=1").await);
    let held = target.list(Scope::All).await.unwrap();
    let removals: Vec<_> = held.iter().map(removal).collect();
    target.apply(Batch::Remove(&removals)).await;
    staged.commit().await.unwrap();
    assert!(!lab.blocks("45.83.0.1").await);
    assert!(!lab.blocks("evil.example.net/a?b=1").await);
    assert_eq!(lab.told().await["fast_polls"], 0);
}

#[tokio::test]
async fn a_refresh_that_fails_is_an_error_and_is_asked_again() {
    let lab = lab_with(&[], |options| options.set("rules", false)).await;
    let (target, facts, _) = lab.ready("edl").await;
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    let staged = target.staged().unwrap();
    let error = staged.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(
        error
            .hint_text()
            .unwrap()
            .contains("external dynamic list cordon-ip")
    );
    assert!(!staged.discard().await.unwrap(), "it may have been pulled");
    assert!(staged.pending().await.unwrap().is_some());
    let findings = target.examine(&facts).await.unwrap();
    let missing = findings
        .iter()
        .filter(|finding| finding.level == Level::Missing)
        .count();
    assert_eq!(missing, 3, "{findings:?}");
}

#[tokio::test]
async fn check_names_a_list_of_another_type_and_another_source() {
    let lab = lab(&[]).await;
    let other = "<entry name='cordon-ip'><type><url><url>https://lists.example/else.txt</url></url></type></entry>";
    lab.change("edit", "/external-list/entry[@name='cordon-ip']", other)
        .await;
    let domain = "/external-list/entry[@name='cordon-domain']/type/domain";
    lab.change(
        "set",
        domain,
        "<url>https://lists.example/else.txt</url><expand-domain>yes</expand-domain>",
    )
    .await;
    lab.commit("<commit/>").await;
    lab.pass(10);
    let (target, facts, _) = lab.ready("edl").await;
    let findings = target.examine(&facts).await.unwrap();
    let find = |part: &str| {
        findings
            .iter()
            .find(|finding| finding.message.contains(part))
            .unwrap_or_else(|| panic!("{findings:?}"))
    };
    assert_eq!(find("is a list of type url").level, Level::Missing);
    assert_eq!(
        find("does not end in /cordon-domain.txt").level,
        Level::Warning
    );
    assert_eq!(find("expands domains").level, Level::Warning);
    assert_eq!(find("certificate profile").level, Level::Warning);
}

#[tokio::test]
async fn check_tells_which_rule_uses_a_list_and_where_it_did_not_look() {
    let lab = lab(&[]).await;
    let (target, facts, _) = lab.ready("edl").await;
    let told = async || -> Vec<(Level, String)> {
        let findings = target.examine(&facts).await.unwrap();
        let about = findings
            .into_iter()
            .filter(|finding| matches!(&*finding.subject, "rule" | "profile"));
        about
            .map(|finding| (finding.level, finding.message))
            .collect()
    };
    let ok = |text: &str| (Level::Ok, text.to_owned());
    let warning = |text: &str| (Level::Warning, text.to_owned());
    let domain = warning("whether an anti-spyware profile uses cordon-domain is not looked at");
    assert_eq!(
        told().await,
        [
            ok("block-cordon denies by cordon-ip"),
            domain.clone(),
            warning("whether a URL filtering profile uses cordon-url is not looked at"),
        ]
    );
    // A URL list as category, and an address list that all virtual systems share.
    let rule = "/rulebase/security/rules/entry[@name='block-cordon']";
    lab.change(
        "set",
        rule,
        "<category><member>cordon-url</member></category>",
    )
    .await;
    let list = "<entry name='cordon-ip'><type><ip><url>https://lists.example/cordon-ip.txt</url></ip></type></entry>";
    let shared = [
        ("type", "config"),
        ("action", "set"),
        ("xpath", "/config/shared/external-list"),
        ("element", list),
    ];
    assert!(lab.ask(&shared).await.has("success"));
    lab.change("delete", "/external-list/entry[@name='cordon-ip']", "")
        .await;
    lab.commit("<commit/>").await;
    lab.pass(10);
    let both = [
        ok("block-cordon denies by cordon-ip"),
        domain,
        ok("block-cordon denies by cordon-url"),
    ];
    assert_eq!(told().await, both);
}

#[tokio::test]
async fn a_text_that_is_not_ours_stays_as_it_is() {
    let lab = lab(&[]).await;
    publish(&lab, "cordon-ip", "45.83.0.9\n");
    let target = lab.target("edl");
    assert_eq!(
        target.list(Scope::All).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    let outcomes = target
        .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
        .await;
    assert!(matches!(outcomes[..], [Outcome::Failed(_)]), "{outcomes:?}");
    let none = lab.targets(json!({ "mechanism": { "domain": "edl" } }));
    assert!(
        none[0].list(Scope::All).await.unwrap().is_empty(),
        "only the lists that are used"
    );
}

#[tokio::test]
async fn a_text_that_fell_behind_its_record_is_mended_before_it_is_pulled() {
    let lab = lab(&[]).await;
    let (target, ..) = lab.ready("edl").await;
    add(
        &*target,
        &[write(ipv4("45.83.0.1"), 3), write(ipv4("45.83.0.2"), 3)],
    )
    .await;
    let staged = target.staged().unwrap();
    staged.commit().await.unwrap();
    let gone = target
        .list(Scope::All)
        .await
        .unwrap()
        .into_iter()
        .find(|held| held.value == ipv4("45.83.0.1"))
        .unwrap();
    target.apply(Batch::Remove(&[removal(&gone)])).await;
    // The run died after it wrote the record and before it wrote the text.
    publish(&lab, "cordon-ip", "45.83.0.1/32\n45.83.0.2/32\n");
    let (target, _, held) = lab.ready("edl").await;
    assert_eq!(held.len(), 1);
    let staged = target.staged().unwrap();
    assert!(staged.pending().await.unwrap().is_some());
    staged.commit().await.unwrap();
    assert!(!lab.blocks("45.83.0.1").await);
    assert!(lab.blocks("45.83.0.2").await);
    // The same where the device was told to pull already, or the text was edited by hand.
    publish(&lab, "cordon-ip", "45.83.0.9/32\n");
    assert!(staged.pending().await.unwrap().is_some());
    staged.commit().await.unwrap();
    assert!(!lab.blocks("45.83.0.9").await);
    assert!(lab.blocks("45.83.0.2").await);
}

#[tokio::test]
async fn what_somebody_marked_since_the_listing_is_not_overwritten() {
    let lab = lab(&[]).await;
    let (one, ..) = lab.ready("edl").await;
    let (other, ..) = lab.ready("edl").await;
    let marked = |note: &str| Write {
        note: note.to_owned(),
        ..write(ipv4("45.83.0.1"), 3)
    };
    add(&*one, &[marked("mark of one")]).await;
    let outcomes = other.apply(Batch::Add(&[marked("mark of other")])).await;
    assert!(matches!(outcomes[..], [Outcome::Exists]), "{outcomes:?}");
    let held = other.list(Scope::All).await.unwrap().remove(0);
    assert_eq!(held.note.as_deref(), Some("mark of one"));
    let both = Write {
        id: Some(held.id.clone()),
        ..marked("mark of one mark of other")
    };
    assert!(all_done(
        &other
            .apply(Batch::Update(std::slice::from_ref(&both)))
            .await
    ));
    // The first one knows nothing of the second mark yet.
    let outcomes = one.apply(Batch::Remove(&[removal(&held)])).await;
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(error)] if error.kind() == ErrorKind::Conflict),
        "{outcomes:?}"
    );
    let held = one.list(Scope::All).await.unwrap().remove(0);
    assert_eq!(held.note.as_deref(), Some("mark of one mark of other"));
    // What is there already as it should be, or gone, is done.
    assert!(all_done(&one.apply(Batch::Update(&[both])).await));
    assert!(all_done(&one.apply(Batch::Remove(&[removal(&held)])).await));
    assert!(all_done(
        &other.apply(Batch::Remove(&[removal(&held)])).await
    ));
}
