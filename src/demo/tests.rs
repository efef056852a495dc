use sdk::fake::Fault;

use super::*;

async fn until(last: Step, world: &mut World) {
    let watch = Clock::system();
    for step in Step::ALL {
        let report = take(step, world, &watch).await;
        assert!(report.is_ok(), "{report:?}");
        if step == last {
            return;
        }
    }
}

fn differing(report: &StepReport) -> Vec<&str> {
    assert_eq!(report.status, "failed");
    report
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.claim.as_str())
        .collect()
}

#[tokio::test]
async fn a_hand_made_entry_that_is_gone_is_noticed() {
    let mut world = world().await.unwrap();
    until(Step::Again, &mut world).await;
    let [falcon, _] = &world.vendors;
    assert!(falcon.fake.state.remove("ioc", &falcon.equal));
    let report = take(Step::Operator, &mut world, &Clock::system()).await;
    let claims = differing(&report);
    assert_eq!(
        claims[0],
        "falcon has 214add3ebdd5b429fda7c00e7f01b864 byte for byte as at the start"
    );
}

#[tokio::test]
async fn an_entry_that_went_behind_our_back_is_noticed() {
    let mut world = world().await.unwrap();
    until(Step::Push, &mut world).await;
    let [_, fortigate] = &world.vendors;
    let first = fortigate.ours().remove(0);
    assert!(fortigate.fake.state.remove("push-feed", &first));
    let report = take(Step::Again, &mut world, &Clock::system()).await;
    assert_eq!(differing(&report)[0], "fortigate got no write");
}

#[tokio::test]
async fn a_vendor_that_refuses_is_noticed() {
    let mut world = world().await.unwrap();
    until(Step::Read, &mut world).await;
    let refuse = Fault::status(403).on("POST", "/dynamic").times(usize::MAX);
    world.vendors[1].fake.server.fault(refuse);
    let report = take(Step::Push, &mut world, &Clock::system()).await;
    assert_eq!(differing(&report)[0], "the run on fortigate ended ok");
}

#[tokio::test]
async fn a_list_that_is_not_as_shipped_is_noticed() {
    let mut world = world().await.unwrap();
    world.publisher.publish("emotet", "1.2.3.4\n".to_owned());
    let report = take(Step::Read, &mut world, &Clock::system()).await;
    let first = report.checks.iter().find(|check| !check.ok).unwrap();
    assert_eq!(
        first.claim,
        "each of the 39 rows of emotet is accounted for"
    );
    assert_eq!(first.differs.as_deref(), Some("expected 39, found 1"));
}
