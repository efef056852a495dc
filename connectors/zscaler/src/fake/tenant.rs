//! The tenant: what is staged, what is enforced, who is logged in, how often was called.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value as Json};

use super::switches::Positions;

/// Seconds from the call to activate until the change is enforced.
const ACTIVATION_SECONDS: i64 = 4;

/// An entry of the denylist, or an address of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) text: String,
    /// Whether a person made it.
    pub(super) foreign: bool,
}

/// A custom category.
#[derive(Clone, Debug)]
pub(super) struct Category {
    pub(super) id: String,
    /// All attributes but the id.
    pub(super) body: Map<String, Json>,
    /// Entries that a person made.
    pub(super) by_hand: BTreeSet<String>,
    /// Made through the API, or prepared for it.
    pub(super) ours: bool,
}

impl Category {
    pub(super) fn name(&self) -> &str {
        self.text("configuredName")
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.body
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items = self.body.get(name).and_then(Json::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }

    pub(super) fn set_list(&mut self, name: &str, items: Vec<String>) {
        self.body.insert(name.to_owned(), items.into());
    }
}

/// A URL Filtering rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) action: &'static str,
    pub(super) categories: Vec<String>,
}

/// An IP destination group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: u64,
    /// All attributes but the id.
    pub(super) body: Map<String, Json>,
    pub(super) addresses: Vec<Entry>,
}

/// One view of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    pub(super) groups: Vec<Group>,
    pub(super) denylist: Vec<Entry>,
    pub(super) allowlist: Vec<String>,
    pub(super) categories: Vec<Category>,
    pub(super) rules: Vec<Rule>,
}

impl Config {
    /// Different URLs in all lists.
    pub(super) fn unique(&self, with_denylist: bool) -> usize {
        let mut urls: BTreeSet<String> = self.allowlist.iter().cloned().collect();
        if with_denylist {
            urls.extend(self.denylist.iter().map(|entry| entry.text.clone()));
        }
        for category in &self.categories {
            urls.extend(category.list("urls"));
        }
        urls.len()
    }
}

/// A legacy session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    began: DateTime<Utc>,
    used: DateTime<Utc>,
}

/// Everything.
pub(super) struct Tenant {
    pub(super) positions: Positions,
    pub(super) staged: Config,
    pub(super) enforced: Config,
    /// Something is stored that was not activated.
    pub(super) pending: bool,
    /// Changes of another administrator are among it.
    pub(super) foreign_pending: bool,
    /// When the activation that runs will be through.
    pub(super) activating: Option<DateTime<Utc>>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// OneAPI tokens and their ends.
    pub(super) tokens: BTreeMap<String, DateTime<Utc>>,
    pub(super) session_length: TimeDelta,
    /// Calls until the session dies before its time, once.
    pub(super) session_dies_in: Option<usize>,
    pub(super) capacity: usize,
    /// What a person should see at once: others' entries vanished.
    pub(super) alarms: Vec<String>,
    rates: BTreeMap<&'static str, VecDeque<DateTime<Utc>>>,
    counter: u64,
}

impl Tenant {
    pub(super) fn new(positions: Positions, session_length: TimeDelta, capacity: usize) -> Self {
        Self {
            positions,
            staged: Config::default(),
            enforced: Config::default(),
            pending: false,
            foreign_pending: false,
            activating: None,
            sessions: BTreeMap::new(),
            tokens: BTreeMap::new(),
            session_length,
            session_dies_in: None,
            capacity,
            alarms: Vec::new(),
            rates: BTreeMap::new(),
            counter: 0,
        }
    }

    /// The next of a row of numbers that look random and are the same on every run.
    pub(super) fn number(&mut self) -> u64 {
        self.counter += 1;
        let mut mixed = self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    /// Any order but that of the request (items 9 and 23).
    pub(super) fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for place in (1..items.len()).rev() {
            let other = usize::try_from(self.number() % (place as u64 + 1)).unwrap_or(0);
            items.swap(place, other);
        }
        items
    }

    /// What happened by itself until now: activations that got through, sessions and tokens that ended.
    pub(super) fn tick(&mut self, now: DateTime<Utc>) {
        if self.activating.is_some_and(|at| at <= now) {
            self.publish();
        }
        let absolute = self.positions.is("session-timeout", "absolute");
        let length = self.session_length;
        let before = self.sessions.len();
        self.sessions.retain(|_, session| {
            let since = if absolute {
                session.began
            } else {
                session.used
            };
            now - since < length
        });
        if self.sessions.len() < before {
            // Item 4.
            self.publish();
        }
        let before = self.tokens.len();
        self.tokens.retain(|_, end| now < *end);
        if self.tokens.len() < before && self.positions.is("token-end", "activates") {
            self.publish();
        }
    }

    pub(super) fn log_in(&mut self, now: DateTime<Utc>) -> String {
        let id = format!("{:016X}{:016X}", self.number(), self.number());
        let session = Session {
            began: now,
            used: now,
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    /// Whether a session lives; using it keeps an idle one alive.
    pub(super) fn use_session(&mut self, id: &str, now: DateTime<Utc>) -> bool {
        match self.session_dies_in.as_mut() {
            Some(0) => {
                self.session_dies_in = None;
                self.end_all();
            }
            Some(calls) => *calls -= 1,
            None => {}
        }
        match self.sessions.get_mut(id) {
            Some(session) => {
                session.used = now;
                true
            }
            None => false,
        }
    }

    pub(super) fn log_out(&mut self, id: &str) {
        if self.sessions.remove(id).is_some() {
            self.publish();
        }
    }

    pub(super) fn end_all(&mut self) {
        if !self.sessions.is_empty() {
            self.sessions.clear();
            self.publish();
        }
        if !self.tokens.is_empty() {
            self.tokens.clear();
            if self.positions.is("token-end", "activates") {
                self.publish();
            }
        }
    }

    /// Notes that what somebody else entered is gone (items 12 and 29).
    pub(super) fn alarm_lost(&mut self, entry: &str) {
        let alarm = format!("the entry {entry} of another administrator vanished");
        self.alarms.push(alarm);
    }

    /// Another administrator's change is stored and not activated.
    pub(super) fn stage_foreign(&mut self) {
        self.pending = true;
        self.foreign_pending = true;
    }

    /// Enforces what is staged, whoever staged it (item 31).
    pub(super) fn publish(&mut self) {
        self.enforced = self.staged.clone();
        self.pending = false;
        self.foreign_pending = false;
        self.activating = None;
    }

    pub(super) fn stage(&mut self) {
        self.pending = true;
    }

    /// Begins an activation, and says what the call answers.
    pub(super) fn activate(&mut self, now: DateTime<Utc>, queued: bool) -> String {
        if queued && self.foreign_pending {
            return "PENDING".to_owned();
        }
        let answer = self.positions.get("activate-answer").to_owned();
        if answer == "ACTIVE" {
            self.publish();
        } else if self.pending {
            self.activating = Some(now + TimeDelta::seconds(ACTIVATION_SECONDS));
        } else {
            return "ACTIVE".to_owned();
        }
        answer
    }

    pub(super) fn status(&self) -> &'static str {
        match (self.activating, self.pending) {
            (Some(_), _) => "INPROGRESS",
            (None, true) => "PENDING",
            (None, false) => "ACTIVE",
        }
    }

    /// Counts a call in its windows; seconds to wait where one is full (items 37 and 39).
    pub(super) fn count(
        &mut self,
        windows: &[(&'static str, usize, i64)],
        now: DateTime<Utc>,
    ) -> Result<(), (usize, i64, i64)> {
        for (class, calls, seconds) in windows {
            let times = self.rates.entry(class).or_default();
            let length = TimeDelta::seconds(*seconds);
            while times.front().is_some_and(|first| now - *first >= length) {
                times.pop_front();
            }
            if times.len() >= *calls
                && let Some(first) = times.front()
            {
                let left = (length - (now - *first)).num_milliseconds();
                return Err((*calls, *seconds, (left + 999) / 1000));
            }
        }
        for (class, ..) in windows {
            self.rates.entry(class).or_default().push_back(now);
        }
        Ok(())
    }
}
