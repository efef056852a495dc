//! `revoke_ioc`.

use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::report::Status;
use sekoia::fake::{COLLECTION, Row};

use super::*;

const REVOKE: &str = "revoke_ioc";

fn values(values: &[&str]) -> Json {
    json!({ "ioc_collection_id": COLLECTION, "indicators": values })
}

fn ids(ids: &[&str]) -> Json {
    json!({ "ioc_collection_id": COLLECTION, "indicator_ids": ids })
}

#[tokio::test]
async fn every_indicator_of_the_value_goes_and_no_other_at_every_position() {
    let connector = sekoia::connector();
    let fake = (connector.fake)(FakeOptions::plain(Clock::manual(noon())))
        .await
        .unwrap();
    for (name, switches) in Switches::combinations(&fake.state.switches(), 10, 14) {
        let rig = Rig::with(switches, &[]).await;
        for number in 100..160 {
            let value = format!("1.2.3.{number}");
            rig.sekoia
                .insert(COLLECTION, Row::new(&value, noon() - days(1)));
        }
        rig.sekoia
            .insert(COLLECTION, Row::new("1.2.3.1", noon() - days(1)));
        let before = rig
            .sekoia
            .rows(COLLECTION)
            .iter()
            .filter(|row| row.revoked)
            .count();
        let report = rig.report(REVOKE, values(&["1.2.3.18", "1.2.3.1"])).await;
        assert_eq!(
            (report.status, report.removed.revoked),
            (Status::Ok, 3),
            "{name}: {report:?}"
        );
        assert_eq!(rig.end(COLLECTION, "1.2.3.18"), None, "{name}");
        assert_eq!(rig.end(COLLECTION, "1.2.3.1"), None, "{name}");
        let after = rig
            .sekoia
            .rows(COLLECTION)
            .iter()
            .filter(|row| row.revoked)
            .count();
        assert_eq!(after, before + 3, "{name}");
        // Revoked and not there are no failures, and nothing is sent for them.
        let writes = rig.writes();
        let report = rig.report(REVOKE, values(&["1.2.3.18", "1.2.99.1"])).await;
        assert_eq!(
            (report.status, report.unchanged, rig.writes()),
            (Status::Ok, 2, writes),
            "{name}"
        );
        assert_eq!(outcome(&report, "1.2.3.18").1, "already-revoked", "{name}");
        assert_eq!(outcome(&report, "1.2.99.1").1, "not-there", "{name}");
    }
}

#[tokio::test]
async fn an_indicator_with_several_values_goes_whole_and_says_so() {
    let rig = Rig::new().await;
    let md5 = "9e107d9d372bb6826bd81d3542a419d6";
    let sha256 = "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592";
    let report = rig.report(REVOKE, values(&[sha256, md5])).await;
    assert_eq!(report.removed.revoked, 1);
    assert!(detail(&report, sha256).message.contains("1 more value"));
    assert_eq!(outcome(&report, md5).1, "already-revoked");
    assert_eq!(rig.writes(), 1);
}

#[tokio::test]
async fn by_id_and_404_is_not_there() {
    let rig = Rig::new().await;
    let id = rig.sekoia.rows(COLLECTION)[0].id.clone();
    let nobody = "indicator--00000000-0000-4000-8000-00000000dead";
    let report = rig.report(REVOKE, ids(&[&id, nobody, &id])).await;
    assert_eq!(
        (report.status, report.removed.revoked, report.unchanged),
        (Status::Ok, 1, 1)
    );
    assert!(
        rig.sekoia
            .rows(COLLECTION)
            .iter()
            .any(|row| row.id == id && row.revoked)
    );
    for position in ["204", "404"] {
        let rig = Rig::switched("revoked-again", position).await;
        let revoked = rig.sekoia.rows(COLLECTION)[2].id.clone();
        assert_eq!(
            rig.report(REVOKE, ids(&[&revoked])).await.status,
            Status::Ok
        );
    }
}

#[tokio::test]
async fn a_dry_run_revokes_nothing() {
    let rig = Rig::new().await;
    let mut dry = values(&["1.2.3.18"]);
    dry["dry_run"] = json!(true);
    let report = rig.report(REVOKE, dry).await;
    assert_eq!((report.removed.revoked, rig.writes()), (2, 0));
    let mut dry = ids(&["indicator--00000000-0000-4000-8000-00000000dead"]);
    dry["dry_run"] = json!(true);
    rig.report(REVOKE, dry).await;
    assert_eq!(rig.writes(), 0);
}

#[tokio::test]
async fn what_fails_never_looks_like_success() {
    let rig = Rig::new().await;
    rig.fake
        .server
        .fault(Fault::status(500).on("DELETE", "").times(usize::MAX));
    let report = rig.report(REVOKE, values(&["1.2.3.10"])).await;
    assert_eq!(
        (report.status, report.failed, report.exit_code()),
        (Status::Failed, 1, 75)
    );

    let rig = Rig::new().await;
    rig.fake
        .server
        .fault(Fault::status(403).on("DELETE", "").after(1));
    let report = rig.report(REVOKE, values(&["1.2.3.10", "1.2.3.14"])).await;
    assert_eq!(
        (report.status, report.removed.revoked, report.failed),
        (Status::Partial, 1, 1)
    );

    // An answer that was lost is asked for again: revoking twice is revoking, whatever Sekoia says then.
    for position in ["204", "404"] {
        let rig = Rig::switched("revoked-again", position).await;
        rig.fake
            .server
            .fault(Fault::new(FaultAction::ResetAfter).on("DELETE", ""));
        let report = rig.report(REVOKE, values(&["1.2.3.10"])).await;
        assert_eq!(
            (report.status, report.removed.revoked, report.unchanged),
            (Status::Ok, 1, 0),
            "{position}: {report:?}"
        );
        assert_eq!(rig.end(COLLECTION, "1.2.3.10"), None);
    }

    // By its id alone nothing shows what it was.
    let rig = Rig::switched("revoked-again", "404").await;
    let row = &rig.sekoia.rows(COLLECTION)[0];
    rig.fake
        .server
        .fault(Fault::new(FaultAction::ResetAfter).on("DELETE", ""));
    let report = rig.report(REVOKE, ids(&[&row.id])).await;
    assert_eq!((report.status, report.unchanged), (Status::Ok, 1));
    assert!(
        report.details[0].message.contains("by this run"),
        "{report:?}"
    );

    let rig = Rig::new().await;
    rig.sekoia.delete(COLLECTION);
    let error = error_of(rig.run(REVOKE, values(&["1.2.3.10"])).await);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for wrong in [ids(&[]), ids(&["1.2.3.4"]), ids(&["indicator--../x"])] {
        assert_eq!(
            error_of(rig.run(REVOKE, wrong).await).kind(),
            ErrorKind::Input
        );
    }
}

#[tokio::test]
async fn not_there_is_looked_after() {
    // Sekoia says that it is not there, and goes on listing it.
    let rig = Rig::new().await;
    let not_there = || Fault::status(404).on("DELETE", "").times(usize::MAX);
    rig.fake.server.fault(not_there());
    let report = rig.report(REVOKE, values(&["1.2.3.10"])).await;
    assert_eq!((report.status, report.failed), (Status::Failed, 1));
    assert_eq!(outcome(&report, "1.2.3.10").1, "not-taken");

    // Nor can be told what became of it.
    let rig = Rig::new().await;
    rig.fake.server.fault(not_there());
    rig.fake
        .server
        .fault(Fault::status(403).on("GET", "term=").after(1));
    let report = rig.report(REVOKE, values(&["1.2.3.10", "1.2.3.14"])).await;
    assert_eq!((report.status, report.failed), (Status::Failed, 2));
    assert_eq!(outcome(&report, "1.2.3.10").1, "unknown");
    assert_eq!(outcome(&report, "1.2.3.14").1, "not-sent");

    // Somebody deletes it in between.
    let rig = Rig::new().await;
    rig.fake.server.fault(not_there());
    rig.fake.server.fault(
        Fault::answer(200, r#"{"items":[]}"#)
            .on("GET", "term=")
            .after(1),
    );
    let report = rig.report(REVOKE, values(&["1.2.3.10"])).await;
    assert_eq!((report.status, report.unchanged), (Status::Ok, 1));
    assert_eq!(outcome(&report, "1.2.3.10").1, "not-there");
}

#[tokio::test]
async fn what_is_refused_for_all_is_asked_for_once() {
    let asked = ["1.2.3.10", "1.2.3.14", "1.2.3.18"];
    let nobody = "indicator--00000000-0000-4000-8000-00000000dead";
    for (status, kind) in [
        (401, ErrorKind::Auth),
        (403, ErrorKind::Denied),
        (429, ErrorKind::RateLimited),
    ] {
        let refuse = |method, path| {
            Fault::new(FaultAction::Answer {
                status,
                headers: vec![("retry-after".to_owned(), "86400".to_owned())],
                body: "{}".to_owned(),
            })
            .on(method, path)
            .times(usize::MAX)
        };
        for (fault, first, wanted) in [
            (refuse("GET", "term="), "unread", (1, 0)),
            (refuse("DELETE", ""), "refused", (1, 1)),
        ] {
            let rig = Rig::new().await;
            rig.fake.server.fault(fault);
            let mut arguments = values(&asked);
            arguments["indicator_ids"] = json!([nobody]);
            let report = rig.report(REVOKE, arguments).await;
            let log = &rig.fake.server.log;
            let searches = log.count(|call| call.query.contains("term="));
            assert_eq!((searches, rig.writes()), wanted, "{status}: {report:?}");
            assert_eq!(
                (report.status, report.failed),
                (Status::Failed, 4),
                "{status}"
            );
            assert_eq!(outcome(&report, asked[0]).1, first, "{status}");
            for rest in [asked[1], asked[2], nobody] {
                assert_eq!(outcome(&report, rest).1, "not-sent", "{status}");
            }
            let exit = sdk::Error::new(kind, "").exit_code();
            assert_eq!(report.exit_code(), exit, "{status}");
        }
    }
    // What is refused of one alone stops nothing.
    let rig = Rig::new().await;
    rig.fake.server.fault(Fault::status(400).on("DELETE", ""));
    let report = rig.report(REVOKE, values(&asked)).await;
    assert_eq!(
        (report.status, report.failed, report.removed.revoked),
        (Status::Partial, 1, 3),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_collection_that_vanishes_meanwhile_is_an_error() {
    let rig = Rig::new().await;
    let sekoia = Arc::clone(&rig.sekoia);
    let gone = Fault::answer(404, r#"{"code":"INTHREAT2500","message":"does not exist"}"#);
    rig.fake.server.fault(
        gone.on("DELETE", "")
            .also(move || sekoia.delete(COLLECTION)),
    );
    let report = rig.report(REVOKE, values(&["1.2.3.10"])).await;
    assert_eq!(
        (report.status, report.failed),
        (Status::Failed, 1),
        "{report:?}"
    );
}
