//! High-availability pairs: the device that stands by is skipped by name, and nothing is taken for done there.

use std::sync::Arc;

use sdk::ErrorKind;
use sdk::connector::Environment;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::Kind;
use sdk::report::{Report, Status, Verified};
use sdk::store::{MemoryStore, Store};
use sdk::sync::{Context, Member, Read, Readings, TargetGroup, sync_readings};
use sdk::target::{Batch, Outcome, Scope};
use sdk::testing::builders::{deployment, indicator, reading, value};
use serde_json::{Value as Json, json};

use super::{Lab, add, ipv4, lab, lab_with, write};

const PAIR: [&str; 2] = ["012801000001", "012801000002"];

async fn pair(switches: &[(&str, &str)]) -> Lab {
    lab_with(switches, |options| options.set("panorama", PAIR.to_vec())).await
}

impl Lab {
    async fn becomes(&self, serial: &str, state: &str) {
        let path = format!("/fake/set?serial={serial}&pair={state}");
        self.raw("GET", &path, "", b"").await;
    }

    async fn count_on(&self, serial: &str, numbers: std::ops::Range<usize>) -> usize {
        let mut count = 0;
        for number in numbers {
            let text = value(Kind::Ipv4, number).to_string();
            let address = text.trim_end_matches("/32");
            count += usize::from(self.blocks_on(serial, address).await);
        }
        count
    }
}

pub(super) async fn sync(
    lab: &Lab,
    numbers: std::ops::Range<usize>,
    store: Option<&Arc<dyn Store>>,
    more: Json,
) -> Report {
    let members = lab.targets(more).into_iter().map(|target| Member {
        target,
        kinds: Vec::new(),
    });
    let group = TargetGroup {
        name: "edge".to_owned(),
        members: members.collect(),
    };
    let indicators = numbers.map(|number| indicator(&value(Kind::Ipv4, number)).build());
    let readings = Readings {
        include: vec![Read {
            remembered: true,
            name: "addresses".to_owned(),
            result: Ok(reading("addresses", indicators.collect())),
        }],
        exclude: Vec::new(),
        protect: Vec::new(),
    };
    let mut context = Context::new(Environment::new(lab.clock.clone()));
    context.store = store.cloned();
    sync_readings(&deployment("pair", 1, 0), readings, &group, &context).await
}

#[tokio::test]
async fn the_passive_device_is_skipped_by_name_and_catches_up() {
    for with_store in [false, true] {
        let lab = pair(&[("passive-user-id", "code-15")]).await;
        let store: Option<Arc<dyn Store>> =
            with_store.then(|| Arc::new(MemoryStore::default()) as Arc<dyn Store>);
        let first = sync(&lab, 0..3, store.as_ref(), json!({})).await;
        assert_eq!((first.status, first.added), (Status::Ok, 6), "{first:?}");
        lab.becomes(PAIR[0], "active").await;
        lab.becomes(PAIR[1], "passive").await;
        // One goes, one comes.
        let report = sync(&lab, 1..4, store.as_ref(), json!({})).await;
        assert_eq!(report.status, Status::Partial, "{report:?}");
        assert_eq!(
            (report.added, report.removed.withdrawn, report.failed),
            (1, 1, 0)
        );
        assert!(report.details.is_empty(), "{:?}", report.details);
        assert_eq!(report.verified, Verified::NotChecked);
        let skipped = &report.devices[1];
        let told = skipped.error.as_deref().unwrap();
        assert!(
            skipped.name.starts_with(PAIR[1])
                && told.contains("skipped: this device is passive in its pair"),
            "{skipped:?}"
        );
        assert!(skipped.hint.as_deref().unwrap().contains("active"));
        assert_eq!(report.devices[0].status, Status::Ok);
        assert_eq!(lab.count_on(PAIR[0], 0..4).await, 3);
        assert_eq!(lab.count_on(PAIR[1], 0..3).await, 3, "nothing was touched");
        // The two change places.
        lab.becomes(PAIR[0], "passive").await;
        lab.becomes(PAIR[1], "active").await;
        let report = sync(&lab, 1..4, store.as_ref(), json!({})).await;
        assert_eq!(
            report.status,
            Status::Ok,
            "nothing to do on the passive one: {report:?}"
        );
        assert_eq!((report.added, report.removed.withdrawn), (1, 1));
        assert_eq!(lab.count_on(PAIR[1], 1..4).await, 3);
        assert_eq!(lab.count_on(PAIR[1], 0..1).await, 0);
    }
}

#[tokio::test]
async fn a_passive_device_that_takes_tags_gets_them() {
    let lab = pair(&[("passive-user-id", "accepts")]).await;
    lab.becomes(PAIR[1], "passive").await;
    let report = sync(&lab, 0..3, None, json!({})).await;
    assert_eq!((report.status, report.added), (Status::Ok, 6), "{report:?}");
    assert_eq!(lab.count_on(PAIR[1], 0..3).await, 3);
}

#[tokio::test]
async fn a_passive_device_alone_is_a_run_to_make_again() {
    for mechanism in ["tags", "objects"] {
        let lab = lab_with(&[], |options| options.set("pair", "passive")).await;
        let report = sync(&lab, 0..3, None, json!({ "mechanism": mechanism })).await;
        assert_eq!(
            (report.status, report.failed),
            (Status::Failed, 0),
            "{report:?}"
        );
        assert_eq!(report.exit_code(), 75, "a failover mends it");
        assert!(report.error.unwrap().contains("passive in its pair"));
        assert_eq!(report.verified, Verified::NotChecked);
        assert!(
            !lab.op("<show><commit-locks/></show>")
                .await
                .has("svc-cordon")
        );
    }
}

/// A failover between the change and its commit: nothing is dropped, and nobody is kept from committing.
#[tokio::test]
async fn what_a_failover_left_uncommitted_is_committed_later() {
    let lab = lab_with(&[], |options| options.set("pair", "active")).await;
    let (target, ..) = lab.ready("objects").await;
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    lab.becomes(PAIR[0], "passive").await;
    let error = target.staged().unwrap().commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Standby, "{error}");
    assert!(
        !lab.op("<show><commit-locks/></show>")
            .await
            .has("svc-cordon")
    );
    lab.becomes(PAIR[0], "active").await;
    let (next, ..) = lab.ready("objects").await;
    let staged = next.staged().unwrap();
    assert!(staged.pending().await.unwrap().is_some());
    staged.commit().await.unwrap();
    assert!(lab.blocks("45.83.0.1").await);
}

#[tokio::test]
async fn every_state_but_the_active_ones_stands_by() {
    for (state, stands_by) in [
        ("passive", true),
        ("non-functional", true),
        ("suspended", true),
        ("active", false),
        ("active-primary", false),
        ("", false),
    ] {
        let lab = lab_with(&[], |options| options.set("pair", state)).await;
        let (target, ..) = lab.ready("tags").await;
        lab.fake.server.fault(
            Fault::new(FaultAction::Answer {
                status: 200,
                headers: Vec::new(),
                body: "<response status=\"error\" code=\"15\"><msg>denied</msg></response>"
                    .to_owned(),
            })
            .times(1),
        );
        let outcomes = target
            .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
            .await;
        let [Outcome::Failed(error)] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        let kind = if stands_by {
            ErrorKind::Standby
        } else {
            ErrorKind::Conflict
        };
        assert_eq!(error.kind(), kind, "{state}: {error}");
    }
}

#[tokio::test]
async fn mistakes_in_host_serial_and_vsys_are_told_as_such() {
    let plain = lab(&[]).await;
    // What answers there is no device of the vendor's.
    for (status, body) in [(200, "<html><body>login</body></html>"), (404, "not here")] {
        plain.fake.server.fault(
            Fault::new(FaultAction::Answer {
                status,
                headers: Vec::new(),
                body: body.to_owned(),
            })
            .times(1),
        );
        let error = plain.target("tags").open().await.unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Config, 3));
        assert!(
            error.hint_text().unwrap().contains("management interface"),
            "{error}"
        );
    }
    let url = plain.fake.server.url.replace("http://", "https://");
    let secure = plain.targets(json!({ "hostname": url })).remove(0);
    let error = secure.open().await.unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    assert!(error.to_string().contains("TLS") && error.hint_text().is_some());
    let nowhere = plain
        .targets(json!({ "hostname": "http://127.0.0.1:1" }))
        .remove(0);
    let error = nowhere.open().await.unwrap_err();
    assert_eq!(error.exit_code(), 75, "{error}");
    assert!(error.hint_text().unwrap().contains("host and port"));
    // No firewall is reached through a firewall.
    let through = plain.targets(json!({ "target": "0999" })).remove(0);
    let error = through.open().await.unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    // A number that Panorama does not know, or has lost: its words do not tell which.
    let behind = pair(&[]).await;
    let error = behind
        .targets(json!({ "target": "0999" }))
        .remove(0)
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 75, "{error}");
    assert!(error.to_string().contains("0999"));
    assert!(error.hint_text().unwrap().contains("Managed Devices"));
    // One whose words do.
    behind.fake.server.fault(
        Fault::new(FaultAction::Answer {
            status: 200,
            headers: Vec::new(),
            body:
                "<response status=\"error\"><msg><line>unknown device 0999</line></msg></response>"
                    .to_owned(),
        })
        .times(1),
    );
    let error = behind
        .targets(json!({ "target": "0999" }))
        .remove(0)
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    // A device that heeds no target is another one than the one that is meant.
    let direct = behind.targets(json!({ "target": null })).remove(0);
    assert_eq!(direct.open().await.unwrap_err().exit_code(), 3);
    for mechanism in ["tags", "objects"] {
        let away = plain
            .targets(json!({ "mechanism": mechanism, "vsys": "vsys7" }))
            .remove(0);
        away.open().await.unwrap();
        let error = away.list(Scope::All).await.unwrap_err();
        assert_eq!(error.exit_code(), 3, "{mechanism}: {error}");
        assert!(error.hint_text().unwrap().contains("`vsys`"), "{error}");
    }
}

#[tokio::test]
async fn check_shows_the_certificate() {
    let lab = lab_with(&[], |mut options| {
        options.transport = sdk::fake::Transport::Tls;
        options
    })
    .await;
    let group = TargetGroup {
        name: "edge".to_owned(),
        members: vec![Member {
            target: lab.target("tags"),
            kinds: Vec::new(),
        }],
    };
    let context = Context::new(Environment::new(lab.clock.clone()));
    let checked = sdk::action::check(&group, &context).await;
    let shown = checked.devices[0]
        .findings
        .iter()
        .find(|finding| finding.subject == "certificate")
        .unwrap();
    // It is what pins it.
    let pinned = lab
        .targets(json!({ "ca_pem": null, "tls_fingerprint": shown.message }))
        .remove(0);
    pinned.open().await.unwrap();
    assert!(
        lab.targets(json!({ "ca_pem": null, "tls_fingerprint": "0".repeat(64) }))
            .remove(0)
            .open()
            .await
            .is_err()
    );
}
