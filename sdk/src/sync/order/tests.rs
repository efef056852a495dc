//! What a network goes through of which a part is excluded.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;

use super::*;
use crate::clock::Clock;
use crate::connector::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::fake::FakeState;
use crate::indicator::Indicator;
use crate::report::{Report, Status};
use crate::store::MemoryStore;
use crate::sync::{Context, Member, Readings, TargetGroup, sync_readings};
use crate::target::{
    Batch, Capabilities, CapacityPool, Facts, Finding, Held, Outcome, Rejection, Removal,
    Replacing, Scope, Target, TargetKey, Write,
};
use crate::testing::builders::{deployment, indicator, reading, start, value};
use crate::testing::memory::Trouble;
use crate::testing::{Flavour, MemoryVendor};

const WHOLE: &str = "45.83.0.0/24";
const EXCLUDED: &str = "45.83.0.7";

#[expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]
fn network(text: &str) -> Value {
    Value::parse(Kind::Ipv4, text).unwrap()
}

fn names(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(|number| value(Kind::Domain, number)).collect()
}

async fn sync(
    target: Arc<dyn Target>,
    context: &Context,
    wanted: &[Value],
    excluded: &[Value],
) -> Report {
    let group = TargetGroup {
        name: "memory".to_owned(),
        members: vec![Member {
            target,
            kinds: Vec::new(),
        }],
    };
    let list = |name: &str, values: &[Value]| {
        let indicators: Vec<Indicator> = values
            .iter()
            .map(|value| indicator(value).build())
            .collect();
        reading(name, indicators).into()
    };
    let readings = Readings {
        include: vec![list("list", wanted)],
        exclude: vec![list("partners", excluded)],
        ..Readings::default()
    };
    sync_readings(&deployment("acme", 1, 1), readings, &group, context).await
}

fn covered(entries: &[Value], address: u8) -> bool {
    let address = network(&format!("45.83.0.{address}"));
    entries
        .iter()
        .any(|entry| *entry == address || covers(entry, &address))
}

/// Nothing wanted of the network is missing after any call, and the excluded address is free before anything else is
/// added or taken off.
#[tokio::test]
async fn a_network_gives_way_to_its_parts_and_never_before_them() {
    for flavour in [Flavour::ledger(), Flavour::staged(), Flavour::narrow()] {
        let before: Vec<Value> = names(0..3).into_iter().chain([network(WHOLE)]).collect();
        let wanted: Vec<Value> = names(2..8).into_iter().chain([network(WHOLE)]).collect();
        let excluded = [network(EXCLUDED), value(Kind::Domain, 2)];
        let mut calls = 0;
        loop {
            let clock = Clock::manual(start());
            let vendor = MemoryVendor::new(flavour.clone(), clock.clone());
            let target = || Arc::new(vendor.target(&deployment("acme", 1, 1).owner));
            let mut context = Context::new(Environment::new(clock.clone()));
            context.store = Some(Arc::new(MemoryStore::default()));
            sync(target(), &context, &before, &[]).await;
            clock.advance(TimeDelta::seconds(60));
            vendor.disturb(Trouble::Break {
                after: 2 + calls,
                applied: true,
                lasting: true,
            });
            let report = sync(target(), &context, &wanted, &excluded).await;
            let through = report.status == Status::Ok;
            vendor.calm();
            vendor.enforce();
            let held: Vec<Value> = vendor
                .enforced("memory")
                .into_iter()
                .map(|entry| entry.value)
                .collect();
            let place = format!("{}, after {calls} calls: {held:?}", flavour.name);
            for address in (0..=255).filter(|address| *address != 7) {
                assert!(covered(&held, address), "{address} is missing: {place}");
            }
            let others = names(3..8).iter().any(|name| held.contains(name))
                || names(0..2).iter().any(|name| !held.contains(name));
            if others {
                assert!(!covered(&held, 7), "{place}");
                assert!(!held.contains(&excluded[1]), "{place}");
            }
            let report = sync(target(), &context, &wanted, &excluded).await;
            assert_eq!(report.status, Status::Ok, "{place}: {report:?}");
            let held = vendor.enforced("memory");
            assert_eq!(held.len(), 8 + 5, "{place}: {held:?}");
            if through {
                break;
            }
            calls += 1;
            assert!(calls < 60, "the run never got through");
        }
        assert!(calls > 3, "{}: only {calls} calls", flavour.name);
    }
}

/// A vendor that writes its list whole; what was sent is kept.
struct WholeList {
    capabilities: Capabilities,
    key: TargetKey,
    entries: Mutex<Vec<Value>>,
    sent: Mutex<Vec<String>>,
    /// How many entries it says that it takes, and how many it does.
    room: (usize, usize),
}

#[expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]
impl WholeList {
    fn new(room: (usize, usize)) -> Self {
        let mut capabilities = Flavour::ledger().capabilities;
        capabilities.write_batch = 2;
        Self {
            capabilities,
            key: TargetKey {
                connector: "test",
                account: "list".to_owned(),
                mechanism: "memory",
                device: String::new(),
            },
            entries: Mutex::default(),
            sent: Mutex::default(),
            room,
        }
    }

    fn entries(&self) -> Vec<Value> {
        let mut entries = self.entries.lock().unwrap().clone();
        entries.sort();
        entries
    }

    fn sent(&self) -> Vec<String> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }

    fn write(&self, name: &str, writes: &[Write], removals: &[Removal]) -> Vec<Outcome> {
        let rows = writes.len() + removals.len();
        let mut sent = self.sent.lock().unwrap();
        sent.push(format!("{name} {} {}", writes.len(), removals.len()));
        let mut entries = self.entries.lock().unwrap();
        let mut after = entries.clone();
        after.retain(|value| !removals.iter().any(|removal| removal.value == *value));
        after.extend(writes.iter().map(|write| write.value.clone()));
        if after.len() > self.room.1 {
            let full = || Outcome::Failed(Error::new(ErrorKind::Full, "no room"));
            return std::iter::repeat_with(full).take(rows).collect();
        }
        *entries = after;
        std::iter::repeat_with(|| Outcome::Done)
            .take(rows)
            .collect()
    }
}

#[async_trait::async_trait]
impl Target for WholeList {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let pool = |kind, limit| CapacityPool {
            kinds: vec![kind],
            limit,
        };
        Ok(Facts {
            // Names have no room from the second run on, which is no matter for networks.
            capacity: vec![pool(Kind::Ipv4, self.room.0), pool(Kind::Domain, 1)],
            ..Facts::default()
        })
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        Ok(value.clone())
    }

    async fn list(&self, _: Scope<'_>) -> Result<Vec<Held>> {
        let held = |value: Value| Held {
            id: value.to_string().into(),
            value,
            note: None,
            expires: None,
            container: None,
            blocks: true,
            allows: false,
            conforms: true,
            writable: true,
        };
        Ok(self.entries().into_iter().map(held).collect())
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => self.write("add", writes, &[]),
            Batch::Update(_) => Vec::new(),
            Batch::Remove(removals) => self.write("remove", &[], removals),
        }
    }

    fn replacing(&self) -> Option<&dyn Replacing> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl Replacing for WholeList {
    async fn replace(&self, writes: &[Write], removals: &[Removal]) -> Vec<Outcome> {
        self.write("replace", writes, removals)
    }
}

async fn cut_in(room: (usize, usize)) -> (Vec<String>, Vec<Value>) {
    let target = Arc::new(WholeList::new(room));
    let mut context = Context::new(Environment::new(Clock::manual(start())));
    context.store = Some(Arc::new(MemoryStore::default()));
    let dynamic = || Arc::clone(&target) as Arc<dyn Target>;
    let wanted = |name: usize| [network(WHOLE), value(Kind::Domain, name)];
    sync(dynamic(), &context, &wanted(1), &[]).await;
    assert_eq!(target.sent(), ["add 2 0"]);
    sync(dynamic(), &context, &wanted(2), &[network(EXCLUDED)]).await;
    (target.sent(), target.entries())
}

#[tokio::test]
async fn one_call_replaces_a_network_where_the_vendor_has_one() {
    let (sent, entries) = cut_in((100, 100)).await;
    assert_eq!(sent, ["replace 8 1", "remove 0 1", "add 1 0"]);
    assert_eq!(entries.len(), 9, "{entries:?}");
    assert!(!covered(&entries, 7) && covered(&entries, 6) && covered(&entries, 8));
}

#[tokio::test]
async fn without_room_the_network_goes_first_whatever_comes_of_its_parts() {
    // Known before: it goes alone, and parts that fit are added.
    let (sent, entries) = cut_in((8, 100)).await;
    assert_eq!(sent[..2], ["remove 0 1", "remove 0 1"], "{sent:?}");
    assert_eq!(entries.len(), 9, "{entries:?}");
    // Not known before: the call that replaces it is refused.
    let (sent, entries) = cut_in((100, 6)).await;
    assert_eq!(sent[..2], ["replace 8 1", "remove 0 1"], "{sent:?}");
    assert!(!covered(&entries, 7), "{entries:?}");
    assert!(
        entries.iter().any(|entry| entry.kind() == Kind::Ipv4),
        "{entries:?}"
    );
}
