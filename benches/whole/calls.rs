//! What a connector's runs cost in calls, beside the least that the vendor's documented batch sizes allow.

use sdk::connector::Connector;
use sdk::indicator::Kind;
use serde_json::{Value as Json, json};

use crate::Failure;
use crate::fake::{FakeProcess, counted};
use crate::scene::{Run, Scene, values};

/// What the vendor documents of one mechanism. Sizes are entries per call.
pub(crate) struct Documented {
    pub(crate) connector: fn() -> Connector,
    pub(crate) mechanism: &'static str,
    pub(crate) kind: Kind,
    /// Calls before the first one about entries that no run can do without: a login, the version, the quota,
    /// the container.
    opening: usize,
    /// Calls for each page of a listing; 0 where what is listed is ours to keep.
    look: usize,
    /// Entries on a page.
    page: usize,
    /// Entries added by a call.
    add: usize,
    /// Entries removed by a call.
    remove: usize,
    /// Calls for each of these: an object and its membership are two.
    times: usize,
    /// Calls to enforce what was stored: locks, activation, the questions whether it is done.
    commit: usize,
    /// Settings of the fake: room for what is measured.
    pub(crate) settings: fn() -> Json,
    /// Positions of its switches.
    switches: &'static [(&'static str, &'static str)],
}

impl Documented {
    /// The fake vendor.
    pub(crate) fn fake(&self) -> Result<FakeProcess, Failure> {
        FakeProcess::start((self.connector)().name, &(self.settings)(), self.switches)
    }

    /// A page at least, for an empty list too.
    fn listing(&self, entries: usize) -> usize {
        self.look * entries.div_ceil(self.page).max(1)
    }

    fn adding(&self, entries: usize) -> usize {
        self.opening
            + self.listing(0)
            + self.times * entries.div_ceil(self.add)
            + self.commit
            + self.listing(entries)
    }

    fn nothing(&self, entries: usize) -> usize {
        self.opening + self.listing(entries)
    }

    fn removing(&self, entries: usize) -> usize {
        self.opening
            + self.listing(entries)
            + self.times * entries.div_ceil(self.remove)
            + self.commit
            + self.listing(0)
    }
}

/// A call takes everything that is measured here.
const WHOLE: usize = 1_000_000;

/// How long an activation takes is the vendor's affair; recorded answers say that it is through.
const ACTIVE_AT_ONCE: &[(&str, &str)] = &[("activate-answer", "ACTIVE")];

/// Every mechanism there is.
pub(crate) const MECHANISMS: &[Documented] = &[
    // 200 rows a write, 2,000 a page, a token.
    Documented {
        connector: crowdstrike::connector,
        mechanism: "ioc",
        kind: Kind::Sha256,
        opening: 1,
        look: 1,
        page: 2_000,
        add: 200,
        remove: 200,
        times: 1,
        commit: 0,
        settings: || json!({}),
        switches: &[],
    },
    // A list is read and changed in one call.
    Documented {
        connector: fortinet::connector,
        mechanism: "push-feed",
        kind: Kind::Ipv4,
        opening: 1,
        look: 1,
        page: WHOLE,
        add: WHOLE,
        remove: WHOLE,
        times: 1,
        commit: 0,
        settings: || json!({ "lists": false }),
        switches: &[],
    },
    // An object is a call, and so is its membership; objects and groups are listed apart.
    Documented {
        connector: fortinet::connector,
        mechanism: "address-group",
        kind: Kind::Ipv4,
        opening: 1,
        look: 2,
        page: WHOLE,
        add: 1,
        remove: 1,
        times: 2,
        commit: 0,
        settings: || json!({}),
        switches: &[],
    },
    // Several addresses a call.
    Documented {
        connector: fortinet::connector,
        mechanism: "ban",
        kind: Kind::Ipv4,
        opening: 1,
        look: 1,
        page: WHOLE,
        add: WHOLE,
        remove: WHOLE,
        times: 1,
        commit: 0,
        settings: || json!({}),
        switches: &[],
    },
    // A file of ours; the pull and the question whether it is done.
    Documented {
        connector: fortinet::connector,
        mechanism: "feed",
        kind: Kind::Ipv4,
        opening: 1,
        look: 0,
        page: WHOLE,
        add: WHOLE,
        remove: WHOLE,
        times: 1,
        commit: 2,
        settings: || json!({}),
        switches: &[],
    },
    // 5 MB a message, 500 a page.
    Documented {
        connector: paloalto::connector,
        mechanism: "tags",
        kind: Kind::Ipv4,
        opening: 1,
        look: 1,
        page: 500,
        add: WHOLE,
        remove: WHOLE,
        times: 1,
        commit: 0,
        settings: || json!({ "others": 0 }),
        switches: &[],
    },
    // A file of ours; the refresh and the question whether it is done.
    Documented {
        connector: paloalto::connector,
        mechanism: "edl",
        kind: Kind::Ipv4,
        opening: 1,
        look: 0,
        page: WHOLE,
        add: WHOLE,
        remove: WHOLE,
        times: 1,
        commit: 2,
        settings: || json!({ "others": 0 }),
        switches: &[],
    },
    // 5 MB a change; lock, commit, job, unlock; objects and groups are listed apart.
    Documented {
        connector: paloalto::connector,
        mechanism: "objects",
        kind: Kind::Ipv4,
        opening: 1,
        look: 2,
        page: WHOLE,
        add: WHOLE,
        remove: WHOLE,
        times: 1,
        commit: 4,
        settings: || json!({ "others": 0 }),
        switches: &[],
    },
    // 100 hashes a call, as the console takes; nothing lists them.
    Documented {
        connector: paloalto::connector,
        mechanism: "xdr-blocklist",
        kind: Kind::Sha256,
        opening: 1,
        look: 0,
        page: WHOLE,
        add: 100,
        remove: 100,
        times: 1,
        commit: 0,
        settings: || json!({}),
        switches: &[],
    },
    // 100 a page; a removal is a call.
    Documented {
        connector: paloalto::connector,
        mechanism: "xdr-ioc",
        kind: Kind::Sha256,
        opening: 1,
        look: 1,
        page: 100,
        add: 1_000,
        remove: 1,
        times: 1,
        commit: 0,
        settings: || json!({}),
        switches: &[],
    },
    // One entry a write, 5,000 ids a removal.
    Documented {
        connector: sentinelone::connector,
        mechanism: "blocklist",
        kind: Kind::Sha256,
        opening: 1,
        look: 1,
        page: 1_000,
        add: 1,
        remove: 5_000,
        times: 1,
        commit: 0,
        settings: || json!({ "systems": ["windows"] }),
        switches: &[],
    },
    // 500 a write (not documented; what every console is known to take), 5,000 uuids a removal.
    Documented {
        connector: sentinelone::connector,
        mechanism: "ioc",
        kind: Kind::Sha256,
        opening: 1,
        look: 1,
        page: 1_000,
        add: 500,
        remove: 5_000,
        times: 1,
        commit: 0,
        settings: || json!({}),
        switches: &[],
    },
    // 5,000 a write; login and quota; activation and its status.
    Documented {
        connector: zscaler::connector,
        mechanism: "url-category",
        kind: Kind::Domain,
        opening: 2,
        look: 1,
        page: WHOLE,
        add: 5_000,
        remove: 5_000,
        times: 1,
        commit: 2,
        settings: || json!({}),
        switches: ACTIVE_AT_ONCE,
    },
    // The same.
    Documented {
        connector: zscaler::connector,
        mechanism: "denylist",
        kind: Kind::Domain,
        opening: 2,
        look: 1,
        page: WHOLE,
        add: 5_000,
        remove: 5_000,
        times: 1,
        commit: 2,
        settings: || json!({}),
        switches: ACTIVE_AT_ONCE,
    },
];

/// Calls for 1,000 additions, for a run that changes nothing, and for 1,000 removals.
pub(crate) fn per_thousand(only: Option<&str>) -> Result<(), Failure> {
    const ENTRIES: usize = 1_000;
    println!(
        "| connector | mechanism | 1,000 additions (least) | no change (least) | 1,000 removals (least) |\n|---|---|---|---|---|"
    );
    let mut told = Vec::new();
    for documented in MECHANISMS {
        let connector = (documented.connector)();
        if only.is_some_and(|name| name != connector.name && name != documented.mechanism) {
            continue;
        }
        let mut fake = documented.fake()?;
        let configuration = fake.configuration.clone();
        let first = values(documented.kind, ENTRIES)?;
        // Each run as a new process would make it: it logs in again.
        let mut scene = Scene::new(&connector, documented.mechanism, configuration)?;
        let mut pass = |values: &[_], written: usize| -> Result<Run, Failure> {
            scene.log_in_again(&connector)?;
            let run = scene.sync(values, &mut fake)?;
            assert_eq!(run.written(), written, "{:#?}", run.report);
            Ok(run)
        };
        let added = pass(&first, ENTRIES)?;
        let same = pass(&first, 0)?;
        let removed = pass(&[], ENTRIES)?;
        println!(
            "| {} | {} | {} ({}) | {} ({}) | {} ({}) |",
            connector.name,
            documented.mechanism,
            added.calls.len(),
            documented.adding(ENTRIES),
            same.calls.len(),
            documented.nothing(ENTRIES),
            removed.calls.len(),
            documented.removing(ENTRIES),
        );
        told.push((connector.name, documented.mechanism, [added, same, removed]));
    }
    for (connector, mechanism, runs) in told {
        for (name, run) in ["additions", "no change", "removals"].iter().zip(runs) {
            println!("{connector} {mechanism}, {name}: {:?}", counted(&run.calls));
        }
    }
    Ok(())
}
