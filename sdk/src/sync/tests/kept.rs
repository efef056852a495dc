//! What stays ours, stays blocked and goes where something comes between: lost answers, refusals, lists that are not
//! looked at, networks that are replaced.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::testing::memory::Trouble;

/// A client that some listings keep something from, and that takes some kinds no more.
struct Hiding {
    inner: Arc<dyn Target>,
    /// Whether an entry is kept from a listing, the first of which is 0.
    hides: fn(usize, &Held) -> bool,
    listings: AtomicUsize,
    takes: fn(&Value) -> bool,
}

#[async_trait::async_trait]
impl Target for Hiding {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn key(&self) -> &TargetKey {
        self.inner.key()
    }

    async fn open(&self) -> Result<Facts> {
        self.inner.open().await
    }

    async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>> {
        self.inner.examine(facts).await
    }

    fn accept(&self, value: &Value, facts: &Facts) -> Result<Value, Rejection> {
        if (self.takes)(value) {
            self.inner.accept(value, facts)
        } else {
            Err(Rejection::unsupported("not any more"))
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let number = self.listings.fetch_add(1, Ordering::Relaxed);
        let mut held = self.inner.list(scope).await?;
        held.retain(|entry| !(self.hides)(number, entry));
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        self.inner.apply(batch).await
    }
}

impl Stage {
    /// The first vendor through a client that hides.
    fn hiding(
        &self,
        owner: &Owner,
        hides: fn(usize, &Held) -> bool,
        takes: fn(&Value) -> bool,
    ) -> TargetGroup {
        let mut group = self.group(owner);
        for member in &mut group.members {
            member.target = Arc::new(Hiding {
                inner: Arc::clone(&member.target),
                hides,
                listings: AtomicUsize::new(0),
                takes,
            });
        }
        group
    }
}

#[tokio::test]
async fn what_shows_late_after_a_lost_answer_is_ours() {
    let stage = Stage::new(vec![Flavour::ledger()]);
    let deployment = deployment("acme", 1, 0);
    let one = values(1);
    stage.vendors[0].disturb(Trouble::Break {
        after: 2,
        applied: true,
        lasting: false,
    });
    // Listed first, then looked at after the lost answer.
    let group = stage.hiding(&deployment.owner, |number, _| number < 2, |_| true);
    let wanted = including(vec![complete("a", indicators(&one))]);
    sync_readings(&deployment, wanted, &group, &stage.context).await;
    assert_eq!(stage.enforced(0), one);
    let report = stage
        .sync(&deployment, including(vec![complete("a", Vec::new())]))
        .await;
    assert_eq!(report.removed.withdrawn, 1, "{report:?}");
    assert_eq!(stage.enforced(0), []);
}

#[tokio::test]
async fn what_was_certainly_not_sent_is_not_ours_if_somebody_adds_it() {
    let mut flavour = Flavour::ledger();
    flavour.atomic = true;
    let stage = Stage::new(vec![flavour]);
    let deployment = deployment("acme", 1, 0);
    let four = values(4);
    stage.vendors[0].refuse(&four[0]);
    // The batch is refused whole, and before its second half is sent the vendor is gone.
    stage.vendors[0].disturb(Trouble::Refuse {
        after: 3,
        times: usize::MAX,
        status: 503,
        retry_after: None,
    });
    let wanted = including(vec![complete("a", indicators(&four))]);
    stage.sync(&deployment, wanted).await;
    assert_eq!(stage.enforced(0), []);
    stage.vendors[0].calm();
    for value in &four[1..] {
        assert!(stage.vendors[0].add_foreign("memory", value));
    }
    stage
        .sync(&deployment, including(vec![complete("a", Vec::new())]))
        .await;
    assert_eq!(stage.enforced(0), four[1..], "a person's");
}

#[tokio::test]
async fn kinds_that_nobody_lists_any_more_stay_on_record() {
    let mut stage = Stage::new(vec![Flavour::ledger()]);
    let deployment = deployment("acme", 1, 0);
    let both = [value(Kind::Ipv4, 1), value(Kind::Domain, 1)];
    let readings = || including(vec![complete("a", indicators(&both))]);
    stage.sync(&deployment, readings()).await;
    // mechanism = { domain = "memory" }, which has a list for each kind.
    stage.kinds = vec![Kind::Domain];
    let group = stage.hiding(
        &deployment.owner,
        |_, held| held.value.kind() == Kind::Ipv4,
        |_| true,
    );
    let report = sync_readings(&deployment, readings(), &group, &stage.context).await;
    assert!(
        report
            .warnings
            .iter()
            .any(|it| it.contains("1 entries of kind ipv4")),
        "{report:?}"
    );
    stage.kinds = Vec::new();
    stage
        .sync(&deployment, including(vec![complete("a", Vec::new())]))
        .await;
    assert_eq!(stage.enforced(0), [], "still known as ours");
}

#[tokio::test]
async fn what_a_device_does_not_take_any_more_can_be_unblocked() {
    let stage = Stage::new(vec![Flavour::ledger()]);
    let one = values(1);
    let owner = owner("manual");
    let wanted = including(vec![complete("a", indicators(&one))]);
    stage.sync(&deployment("manual", 1, 0), wanted).await;
    let group = stage.hiding(&owner, |_, _| false, |_| false);
    let task = Task::new(owner, Purpose::Remove(one.into_iter().collect()));
    perform(&task, &group, &stage.context, stage.clock.elapsed()).await;
    assert_eq!(stage.enforced(0), []);
}

#[tokio::test]
async fn an_exclude_wins_over_what_an_earlier_object_wants() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let one = values(1);
    let object = |id: &str| vec![indicator(&one[0]).id(id).build()];
    stage.push(batch("manual", object("first"), &[])).await;
    assert_eq!(stage.enforced(0), one);
    let partners = reading("partners", indicators(&one));
    let report = stage
        .push(batch("manual", object("second"), &[&partners]))
        .await;
    assert_eq!(report.removed.excluded, 1, "{report:?}");
    assert_eq!(stage.enforced(0), []);
}

#[tokio::test]
async fn parts_that_take_the_place_of_a_network_are_no_mass_addition() {
    let stage = Stage::new(vec![Flavour::ledger()]);
    let mut deployment = deployment("acme", 1, 1);
    deployment.guard.ipv4_space = 400;
    deployment.guard.additions_floor = 2;
    deployment.guard.additions_factor = 0.5;
    let wanted = [network("45.83.0.0/24")];
    let with = |excluded: &[Value], wanted: &[Value]| Readings {
        include: vec![complete("a", indicators(wanted))],
        exclude: vec![complete("x", indicators(excluded))],
        protect: Vec::new(),
    };
    stage.sync(&deployment, with(&[], &wanted)).await;
    // 256 addresses become 255 and 128.
    let more = [wanted[0].clone(), network("45.84.0.0/25")];
    let report = stage
        .sync(&deployment, with(&[network("45.83.0.7")], &more))
        .await;
    assert_eq!(report.status, Status::Ok, "{report:?}");
    assert_eq!(report.added, 9);
    // What is new beside them is one.
    let more = [wanted[0].clone(), network("45.85.0.0/24")];
    let report = stage
        .sync(
            &deployment,
            with(&[network("45.83.0.7"), network("45.83.0.9")], &more),
        )
        .await;
    assert_eq!(report.status, Status::Held, "{report:?}");
    let held = stage.enforced(0);
    let covered = |last: u8| {
        let address = network(&format!("45.83.0.{last}"));
        held.iter()
            .any(|entry| *entry == address || task::covers(entry, &address))
    };
    for last in 0..=255 {
        assert_eq!(covered(last), last != 7 && last != 9, "{last}");
    }
    assert!(!held.contains(&more[1]));
}

#[tokio::test]
async fn a_part_that_cannot_be_added_does_not_keep_what_is_excluded() {
    let stage = Stage::new(vec![Flavour::ledger()]);
    let deployment = deployment("acme", 1, 1);
    let with = |excluded: &[Value]| Readings {
        include: vec![complete("a", indicators(&[network("45.83.0.0/24")]))],
        exclude: vec![complete("x", indicators(excluded))],
        protect: Vec::new(),
    };
    stage.sync(&deployment, with(&[])).await;
    stage.vendors[0].disturb(Trouble::Refuse {
        after: 2,
        times: 1,
        status: 500,
        retry_after: None,
    });
    let report = stage.sync(&deployment, with(&[network("45.83.0.7")])).await;
    assert_eq!(report.removed.excluded, 1, "{report:?}");
    assert_eq!(report.status, Status::Partial);
    assert_eq!(stage.enforced(0), []);
}

#[tokio::test]
async fn nothing_is_sent_to_a_vendor_that_failed_before_networks_were_replaced() {
    let stage = Stage::new(vec![Flavour::ledger()]);
    let deployment = deployment("acme", 1, 1);
    let wanted = [network("45.83.0.0/24"), network("45.84.0.1")];
    let with = |excluded: &[Value]| Readings {
        include: vec![complete("a", indicators(&wanted))],
        exclude: vec![complete("x", indicators(excluded))],
        protect: Vec::new(),
    };
    stage.sync(&deployment, with(&[])).await;
    stage.vendors[0].disturb(Trouble::Refuse {
        after: 2,
        times: 1,
        status: 500,
        retry_after: None,
    });
    let excluded = [network("45.83.0.7"), wanted[1].clone()];
    let before = stage.vendors[0].calls();
    let report = stage.sync(&deployment, with(&excluded)).await;
    assert_eq!(report.status, Status::Failed, "{report:?}");
    assert_eq!(
        stage.vendors[0].calls() - before,
        3,
        "no more after the refusal"
    );
    assert_eq!(stage.enforced(0), wanted);
}
