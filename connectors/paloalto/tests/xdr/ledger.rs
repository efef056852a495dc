//! The block list over several runs, where only the ledger knows what is on it.

use chrono::TimeDelta;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::Kind;
use sdk::report::Status;
use sdk::testing::builders::value;
use serde_json::json;

use super::raw::{BLOCK, lab, lab_with};
use super::whole::{memory, sync};

const MECHANISM: &str = "xdr-blocklist";

fn listed(number: usize) -> String {
    value(Kind::Sha256, number).to_string()
}

/// What somebody else has there is reported, left alone, and tried again after a day.
#[tokio::test]
async fn what_others_have_there_is_kept_in_mind_for_a_day() {
    for details in ["heeded", "ignored"] {
        let lab = lab(&[("xdr_detailed_response", details)]).await;
        let store = memory();
        let theirs = value(Kind::Sha256, 1);
        assert!(lab.fake.state.add_foreign(MECHANISM, &theirs));
        let first = sync(&lab, MECHANISM, 3, &store).await;
        assert_eq!(first.status, Status::Ok, "{first:?}");
        assert_eq!((first.added, first.skipped.foreign), (2, 1));
        let again = sync(&lab, MECHANISM, 3, &store).await;
        assert_eq!(
            (again.requests.write, again.skipped.foreign, again.unchanged),
            (0, 1, 2)
        );
        assert!(lab.fake.state.remove(MECHANISM, &theirs));
        lab.clock.advance(TimeDelta::hours(25));
        let later = sync(&lab, MECHANISM, 3, &store).await;
        assert_eq!((later.added, later.skipped.foreign), (1, 0));
        assert_eq!(lab.stopped().len(), 3);
        let none = sync(&lab, MECHANISM, 0, &store).await;
        assert_eq!(none.removed.withdrawn, 3);
        assert!(lab.stopped().is_empty());
    }
}

/// 67: what is on the allow list is never counted as blocked, nor taken off anything.
#[tokio::test]
async fn what_is_allowed_stays_allowed() {
    let lab = lab_with(&[], |options| {
        options.set("xdr_allow_list", json!([listed(1)]))
    })
    .await;
    let store = memory();
    let report = sync(&lab, MECHANISM, 2, &store).await;
    assert_eq!((report.added, report.skipped.foreign), (1, 1));
    let report = sync(&lab, MECHANISM, 0, &store).await;
    assert_eq!(report.removed.withdrawn, 1);
    assert_eq!(lab.hashes(BLOCK, &[listed(1)]).await.status, 500);
}

/// A run dies after its call was applied: the next one takes off what is not wanted any more, and keeps the rest.
#[tokio::test]
async fn what_a_dead_run_left_behind_is_not_forgotten() {
    for wanted in [0, 3] {
        let lab = lab(&[]).await;
        let store = memory();
        let faults = &lab.fake.server.faults;
        faults.push(Fault::new(FaultAction::ResetAfter).on("POST", "blocklist"));
        faults.push(
            Fault::new(FaultAction::ResetBefore)
                .on("POST", "blocklist")
                .times(usize::MAX),
        );
        let report = sync(&lab, MECHANISM, 3, &store).await;
        assert_ne!(report.status, Status::Ok);
        assert_eq!(lab.stopped().len(), 1);
        faults.clear();
        let report = sync(&lab, MECHANISM, wanted, &store).await;
        assert_eq!(report.status, Status::Ok, "{report:?}");
        assert_eq!(lab.stopped().len(), wanted);
        let report = sync(&lab, MECHANISM, wanted, &store).await;
        assert_eq!(report.requests.write, 0);
        let report = sync(&lab, MECHANISM, 0, &store).await;
        assert_eq!(report.status, Status::Ok, "{report:?}");
        assert!(lab.stopped().is_empty());
    }
}

/// What a person took off is gone already when its time comes.
#[tokio::test]
async fn what_a_person_took_off_is_done() {
    let lab = lab(&[]).await;
    let store = memory();
    sync(&lab, MECHANISM, 5, &store).await;
    for number in 0..5 {
        assert!(
            lab.fake
                .state
                .remove(MECHANISM, &value(Kind::Sha256, number))
        );
    }
    let report = sync(&lab, MECHANISM, 0, &store).await;
    assert_eq!(
        (report.status, report.removed.withdrawn),
        (Status::Ok, 5),
        "{report:?}"
    );
    let report = sync(&lab, MECHANISM, 0, &store).await;
    assert_eq!(report.requests.write, 0);
}

/// An answer that says less than earlier ones leaves nothing behind that is blocked and forgotten.
#[tokio::test]
async fn what_an_answer_does_not_name_is_not_forgotten() {
    for body in [
        json!({ "reply": true }),
        json!({ "reply": { "excluded_hashes": [] } }),
        json!({ "reply": { "added_hashes": [listed(1)] } }),
    ] {
        let lab = lab(&[]).await;
        let store = memory();
        lab.fake.server.faults.push(
            Fault::new(FaultAction::AnswerAfter {
                status: 200,
                body: body.to_string(),
            })
            .on("POST", "blocklist")
            .after(1),
        );
        sync(&lab, MECHANISM, 5, &store).await;
        let report = sync(&lab, MECHANISM, 5, &store).await;
        assert_eq!((report.status, report.skipped.foreign), (Status::Ok, 0));
        assert_eq!(lab.stopped().len(), 5, "{body}");
        sync(&lab, MECHANISM, 0, &store).await;
        assert!(lab.stopped().is_empty(), "{body}");
    }
}

/// A run is killed in its first call: what was not in that call was never about to be added, so that what somebody
/// else has there is not taken for ours.
#[tokio::test]
async fn what_a_killed_run_never_sent_is_not_ours() {
    let lab = lab(&[]).await;
    let store = memory();
    let theirs = value(Kind::Sha256, 3);
    assert!(lab.fake.state.add_foreign(MECHANISM, &theirs));
    let (kill, killed) = tokio::sync::watch::channel(false);
    let mut fault = Fault::new(FaultAction::ResetBefore).on("POST", "blocklist");
    fault.also = Some(std::sync::Arc::new(move || {
        kill.send_replace(true);
    }));
    lab.fake.server.faults.push(fault);
    let mut killed = killed;
    tokio::select! {
        biased;
        _ = killed.wait_for(|killed| *killed) => {}
        report = sync(&lab, MECHANISM, 5, &store) => panic!("not killed: {report:?}"),
    }
    // A dead run's lease is over by then.
    lab.clock.advance(TimeDelta::hours(1));
    let report = sync(&lab, MECHANISM, 5, &store).await;
    assert_eq!(
        (report.status, report.skipped.foreign),
        (Status::Ok, 1),
        "{report:?}"
    );
    assert_eq!(lab.stopped().len(), 5);
    sync(&lab, MECHANISM, 0, &store).await;
    assert_eq!(lab.stopped(), [listed(3)]);
}

/// The answer to a call is lost, and the call with it: what is new the second time proves that nothing of the first was
/// applied, so what is there already is somebody else's.
#[tokio::test]
async fn what_others_listed_before_a_lost_call_is_theirs() {
    let lab = lab(&[]).await;
    let store = memory();
    let theirs = value(Kind::Sha256, 3);
    assert!(lab.fake.state.add_foreign(MECHANISM, &theirs));
    lab.fake.server.faults.push(
        Fault::new(FaultAction::ResetBefore)
            .on("POST", "blocklist")
            .after(1)
            .times(1),
    );
    let report = sync(&lab, MECHANISM, 5, &store).await;
    assert_eq!(
        (report.status, report.added, report.skipped.foreign),
        (Status::Ok, 4, 1),
        "{report:?}"
    );
    let report = sync(&lab, MECHANISM, 0, &store).await;
    assert_eq!(report.removed.withdrawn, 4, "{report:?}");
    assert_eq!(lab.stopped(), [listed(3)]);
}

/// The answer alone is lost: what was added by it is not forgotten.
#[tokio::test]
async fn what_a_call_without_an_answer_added_is_ours() {
    let lab = lab(&[]).await;
    let store = memory();
    lab.fake.server.faults.push(
        Fault::new(FaultAction::ResetAfter)
            .on("POST", "blocklist")
            .after(1)
            .times(1),
    );
    let report = sync(&lab, MECHANISM, 5, &store).await;
    assert_eq!((report.status, report.added), (Status::Ok, 5), "{report:?}");
    sync(&lab, MECHANISM, 0, &store).await;
    assert!(lab.stopped().is_empty());
}
