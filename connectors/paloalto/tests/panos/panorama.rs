//! Device groups of a Panorama: the fake against item 50, and the client against the fake.

use std::sync::Arc;

use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::Kind;
use sdk::report::{Status, Verified};
use sdk::store::{MemoryStore, Store};
use sdk::target::{Batch, Level, Scope, Target};
use sdk::testing::builders::value;
use serde_json::json;

use super::pair::sync;
use super::{Lab, add, all_done, ipv4, lab_with, removal, write};

const SERIALS: [&str; 2] = ["012801000001", "012801000002"];

const GROUP: &str =
    "/config/devices/entry[@name='localhost.localdomain']/device-group/entry[@name='Edge EU']";

async fn group(switches: &[(&str, &str)]) -> Lab {
    lab_with(switches, |options| {
        options
            .set("panorama", SERIALS.to_vec())
            .set("device_group", "Edge EU")
    })
    .await
}

impl Lab {
    pub(super) async fn blocks_on(&self, serial: &str, value: &str) -> bool {
        let path = format!("/fake/blocked?serial={serial}&value={value}");
        self.raw("GET", &path, "", b"").await.text.trim() == "true"
    }

    async fn on_both(&self, value: &str) -> [bool; 2] {
        [
            self.blocks_on(SERIALS[0], value).await,
            self.blocks_on(SERIALS[1], value).await,
        ]
    }

    async fn connect(&self, serial: &str, connected: &str) {
        let path = format!("/fake/set?serial={serial}&connected={connected}");
        self.raw("GET", &path, "", b"").await;
    }

    async fn in_group(&self, administrator: &str, path: &str, element: &str) {
        let xpath = format!("{GROUP}{path}");
        let fields = [
            ("type", "config"),
            ("action", "set"),
            ("xpath", &xpath),
            ("element", element),
        ];
        let reply = match administrator {
            "ana" => self.ana(&fields).await,
            _ => self.ask(&fields).await,
        };
        assert!(reply.has("status=\"success\""), "{}", reply.text);
    }

    /// The commands of type `commit` so far.
    fn commits(&self) -> Vec<String> {
        let calls = self.fake.server.log.all().into_iter();
        calls
            .map(|call| {
                url::form_urlencoded::parse(&call.body)
                    .into_owned()
                    .collect::<std::collections::HashMap<_, _>>()
            })
            .filter(|fields| fields.get("type").is_some_and(|it| it == "commit"))
            .map(|fields| fields["cmd"].clone())
            .collect()
    }
}

/// One entry, stored in the candidate.
async fn stored(lab: &Lab) -> Arc<dyn Target> {
    let (target, ..) = lab.ready("objects").await;
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    target
}

fn push(more: &str) -> String {
    format!(
        "<commit-all><shared-policy><device-group><entry name=\"Edge EU\"/></device-group>{more}</shared-policy></commit-all>"
    )
}

async fn push_all(lab: &Lab, more: &str) -> super::Reply {
    let command = push(more);
    lab.ask(&[("type", "commit"), ("action", "all"), ("cmd", &command)])
        .await
}

#[tokio::test]
async fn item_50_a_push_is_judged_by_its_devices() {
    let lab = lab_with(&[], |options| {
        options
            .set("panorama", SERIALS.to_vec())
            .set("device_group", "Edge EU")
            .set("push_refused_by", vec![SERIALS[1]])
    })
    .await;
    lab.in_group(
        "svc-cordon",
        "/address",
        "<entry name=\"one\"><ip-netmask>45.83.0.1</ip-netmask></entry>",
    )
    .await;
    lab.in_group(
        "svc-cordon",
        "/address-group/entry[@name='cordon-1']/static",
        "<member>one</member>",
    )
    .await;
    lab.commit("<commit/>").await;
    lab.pass(10);
    assert_eq!(lab.on_both("45.83.0.1").await, [false, false]);
    let reply = push_all(&lab, "").await;
    assert!(reply.has("<job>2</job>"), "{}", reply.text);
    let show = "<show><jobs><id>2</id></jobs></show>";
    lab.pass(3);
    let early = lab.op(show).await;
    assert!(early.has("<type>CommitAll") && early.has("<status>FIN"));
    assert_eq!(early.count("<result>PEND"), 2, "{}", early.text);
    lab.pass(5);
    let late = lab.op(show).await;
    assert!(late.has("<result>OK</result><queued>NO") || late.has("<result>OK"));
    assert!(late.has("<errors><line>Configuration committed successfully</line></errors>"));
    assert_eq!(late.count("<result>FAIL"), 1);
    assert_eq!(lab.on_both("45.83.0.1").await, [true, false]);
    for (command, action) in [
        (push(""), ""),
        (push("<sharde>yes</sharde>"), "all"),
        (push("").replace("Edge EU", "Edge"), "all"),
    ] {
        let fields = [("type", "commit"), ("action", action), ("cmd", &command)];
        let refused = lab.ask(&fields).await;
        assert!(refused.has("status=\"error\""), "{command}");
    }
}

#[tokio::test]
async fn what_is_pushed_is_ours_alone_and_reaches_every_firewall() {
    let lab = group(&[
        ("draft", "pending"),
        ("busy", "twice"),
        ("progress", "time"),
    ])
    .await;
    // Somebody committed a block on Panorama, and keeps it back until the maintenance window.
    lab.in_group(
        "ana",
        "/address",
        "<entry name=\"later\"><ip-netmask>45.83.9.9</ip-netmask></entry>",
    )
    .await;
    lab.in_group(
        "ana",
        "/address-group/entry[@name='cordon-2']/static",
        "<member>later</member>",
    )
    .await;
    let partial = "<commit><partial><admin><member>ana</member></admin></partial></commit>";
    for _ in 0..3 {
        lab.ana(&[("type", "commit"), ("cmd", partial)]).await;
    }
    lab.pass(10);
    let target = stored(&lab).await;
    let staged = target.staged().unwrap();
    assert_eq!(staged.pending().await.unwrap().unwrap().ours, Some(true));
    assert_eq!(lab.on_both("45.83.0.1").await, [false, false]);
    staged.commit().await.unwrap();
    assert_eq!(lab.on_both("45.83.0.1").await, [true, true]);
    assert_eq!(lab.on_both("45.83.9.9").await, [false, false]);
    assert_eq!(lab.told().await["fast_polls"], 0);
    let pushes = lab.commits();
    let push = pushes.iter().rfind(|it| it.contains("commit-all")).unwrap();
    assert!(
        push.contains("<entry name=\"Edge EU\"></entry>")
            && push.contains("<admin><member>svc-cordon</member></admin>")
            && push.contains("<include-template>no</include-template>"),
        "{push}"
    );
    assert_eq!(staged.pending().await.unwrap(), None);
    assert!(
        !lab.op("<show><commit-locks/></show>")
            .await
            .has("svc-cordon")
    );
    let fresh = lab.target("objects");
    let held = fresh.list(Scope::All).await.unwrap();
    assert!(
        held.iter()
            .any(|held| held.value == ipv4("45.83.0.1") && held.blocks)
    );
    assert_eq!(fresh.staged().unwrap().pending().await.unwrap(), None);
    let held = held.iter().find(|held| held.value == ipv4("45.83.0.1"));
    let gone = fresh.apply(Batch::Remove(&[removal(held.unwrap())])).await;
    assert!(all_done(&gone), "{gone:?}");
    fresh.staged().unwrap().commit().await.unwrap();
    assert_eq!(lab.on_both("45.83.0.1").await, [false, false]);
}

#[tokio::test]
async fn a_firewall_that_was_not_reached_is_named_and_pushed_to_alone() {
    let lab = group(&[]).await;
    lab.connect(SERIALS[1], "no").await;
    let target = stored(&lab).await;
    let error = target.staged().unwrap().commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "nothing is dropped");
    let text = error.to_string();
    assert!(
        text.contains("edge-012801000002 (012801000002): FAIL device not connected")
            && text.contains("1 of 2 firewalls")
            && !text.contains("edge-012801000001"),
        "{text}"
    );
    assert_eq!(lab.on_both("45.83.0.1").await, [true, false]);
    // Another process, as long as it is away and when it is back.
    for (connected, is_done) in [("no", false), ("yes", true)] {
        lab.connect(SERIALS[1], connected).await;
        let next = lab.target("objects");
        next.open().await.unwrap();
        next.list(Scope::All).await.unwrap();
        let staged = next.staged().unwrap();
        let pending = staged.pending().await.unwrap().unwrap();
        assert!(
            pending.ours == Some(true) && pending.what.contains(SERIALS[1]),
            "{pending:?}"
        );
        assert_eq!(staged.commit().await.is_ok(), is_done);
        let last = lab.commits().pop().unwrap();
        assert!(
            last.contains("<devices><entry name=\"012801000002\"/></devices>"),
            "{last}"
        );
    }
    assert_eq!(lab.on_both("45.83.0.1").await, [true, true]);
    let staged = lab.target("objects");
    assert_eq!(staged.staged().unwrap().pending().await.unwrap(), None);
}

/// Whole runs, with a store and without: the firewall that is away is named each time, and nothing is written anew.
#[tokio::test]
async fn a_run_names_the_firewall_that_is_away_until_it_is_back() {
    for with_store in [false, true] {
        let lab = group(&[]).await;
        let store: Option<Arc<dyn Store>> =
            with_store.then(|| Arc::new(MemoryStore::default()) as Arc<dyn Store>);
        let run = async || {
            sync(
                &lab,
                0..3,
                store.as_ref(),
                json!({ "mechanism": "objects" }),
            )
            .await
        };
        let address = value(Kind::Ipv4, 0).to_string();
        let address = address.trim_end_matches("/32");
        lab.connect(SERIALS[1], "no").await;
        let first = run().await;
        assert_eq!(
            (first.status, first.added),
            (Status::Partial, 3),
            "{first:?}"
        );
        assert_eq!(first.verified, Verified::Pending);
        let again = run().await;
        assert_eq!(again.status, Status::Failed, "{again:?}");
        assert_eq!((again.exit_code(), again.unchanged), (75, 3));
        for report in [&first, &again] {
            let told = report.error.as_deref().unwrap();
            assert!(
                told.contains(SERIALS[1]) && !told.contains(SERIALS[0]),
                "{told}"
            );
        }
        assert_eq!(lab.on_both(address).await, [true, false]);
        lab.connect(SERIALS[1], "yes").await;
        let back = run().await;
        assert_eq!(
            (back.status, back.verified),
            (Status::Ok, Verified::Yes),
            "{back:?}"
        );
        assert_eq!(lab.on_both(address).await, [true, true]);
        let nothing = run().await;
        assert_eq!((nothing.status, nothing.requests.write), (Status::Ok, 0));
    }
}

#[tokio::test]
async fn a_push_that_was_never_asked_for_is_made_good() {
    let lab = group(&[]).await;
    let target = stored(&lab).await;
    // The commit, its job asked for twice, the lock; then the push is cut off.
    lab.fake
        .server
        .fault(Fault::new(FaultAction::ResetBefore).after(4).times(1));
    let error = target.staged().unwrap().commit().await.unwrap_err();
    assert!(error.is_fate_unknown(), "{error}");
    assert_eq!(lab.on_both("45.83.0.1").await, [false, false]);
    let next = lab.target("objects");
    let (facts, held) = (
        next.open().await.unwrap(),
        next.list(Scope::All).await.unwrap(),
    );
    assert!(held[0].blocks, "on Panorama it is committed");
    let findings = next.examine(&facts).await.unwrap();
    assert!(
        findings.iter().any(
            |finding| finding.level == Level::Warning && finding.message.contains("not pushed")
        ),
        "{findings:?}"
    );
    let staged = next.staged().unwrap();
    assert!(staged.pending().await.unwrap().is_some());
    staged.commit().await.unwrap();
    assert_eq!(lab.on_both("45.83.0.1").await, [true, true]);
    assert_eq!(staged.pending().await.unwrap(), None);
}

#[tokio::test]
async fn check_tells_which_rule_of_the_device_group_uses_our_groups() {
    let lab = group(&[]).await;
    let target = lab.target("objects");
    let facts = target.open().await.unwrap();
    let told = async || {
        let findings = target.examine(&facts).await.unwrap();
        let mut rules = findings.into_iter().filter(|found| found.subject == "rule");
        rules.next().unwrap()
    };
    let found = told().await;
    assert_eq!(found.level, Level::Ok);
    assert_eq!(found.message, "block-cordon denies by cordon-1");
    // The same rule, allowing.
    let xpath = format!("{GROUP}/pre-rulebase/security/rules/entry[@name='block-cordon']");
    let change = [
        ("type", "config"),
        ("action", "set"),
        ("xpath", &xpath),
        ("element", "<action>allow</action>"),
    ];
    assert!(lab.ask(&change).await.has("success"));
    lab.commit("<commit/>").await;
    lab.pass(10);
    let found = told().await;
    assert_eq!(found.level, Level::Warning);
    assert_eq!(
        found.message,
        "no deny rule of this device group uses cordon-1"
    );
}

#[tokio::test]
async fn a_panorama_that_forgot_its_jobs_is_asked_to_push_once_more() {
    let lab = group(&[]).await;
    stored(&lab).await.staged().unwrap().commit().await.unwrap();
    lab.fake.state.reboot();
    let next = lab.target("objects");
    next.list(Scope::All).await.unwrap();
    let staged = next.staged().unwrap();
    assert!(staged.pending().await.unwrap().is_some());
    staged.commit().await.unwrap();
    let again = lab.target("objects");
    assert_eq!(again.staged().unwrap().pending().await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_commit_on_panorama_is_taken_back_and_nothing_is_pushed() {
    let lab = lab_with(&[("draft", "pending")], |options| {
        options
            .set("panorama", SERIALS.to_vec())
            .set("device_group", "Edge EU")
            .set("refuses_commits", true)
    })
    .await;
    let target = stored(&lab).await;
    let staged = target.staged().unwrap();
    assert_eq!(
        staged.commit().await.unwrap_err().kind(),
        ErrorKind::Rejected
    );
    assert!(staged.discard().await.unwrap());
    assert!(!lab.commits().iter().any(|it| it.contains("commit-all")));
    assert!(
        lab.target("objects")
            .list(Scope::All)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_place_that_is_not_there_is_a_mistake_and_is_not_made() {
    let lab = group(&[]).await;
    let away = lab
        .targets(json!({ "mechanism": "objects", "device_group": "Edge US" }))
        .remove(0);
    away.open().await.unwrap();
    let error = away.list(Scope::All).await.unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Config, 3));
    assert!(
        error.to_string().contains("no device group Edge US"),
        "{error}"
    );
    let firewall = lab_with(&[], |options| options).await;
    let alone = firewall
        .targets(json!({ "mechanism": "objects", "device_group": "Edge EU" }))
        .remove(0);
    let error = alone.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("is a firewall"), "{error}");
    let vsys = firewall
        .targets(json!({ "mechanism": "objects", "vsys": "vsys9" }))
        .remove(0);
    vsys.open().await.unwrap();
    let error = vsys.list(Scope::All).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("no virtual system vsys9"),
        "{error}"
    );
    let old = lab_with(&[], |options| {
        options
            .set("panorama", SERIALS.to_vec())
            .set("device_group", "Edge EU")
            .set("sw_version", "10.1.9")
    })
    .await;
    let error = old.target("objects").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
