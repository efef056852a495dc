//! What a run left behind, seen from outside.

use std::collections::BTreeSet;

use sdk::fake::{FakeEntry, FakeState, Switch};
use sdk::indicator::{Kind, Value};

use super::grammar;
use super::switches::SWITCHES;
use super::tenant::Entry;
use super::{Zscaler, blocking};

/// Names that nobody can visit (RFC 2606) block nothing.
fn is_reserved(value: &Value) -> bool {
    matches!(value, Value::Domain(name) if name.as_str().ends_with(".example.com"))
}

impl FakeState for Zscaler {
    fn switches(&self) -> Vec<Switch> {
        SWITCHES.to_vec()
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        let tenant = self.current();
        let entry = |value: Value, foreign: bool, text: &str| FakeEntry {
            value,
            foreign,
            text: text.to_owned(),
        };
        let enforced = &tenant.enforced;
        match mechanism {
            "denylist" => enforced
                .denylist
                .iter()
                .filter_map(|one| Some(entry(grammar::value(&one.text)?, one.foreign, "")))
                .collect(),
            "url-category" => {
                let named: BTreeSet<&String> = blocking(enforced).collect();
                let mut entries = Vec::new();
                for one in &enforced.categories {
                    if !one.ours || !named.contains(&one.id) {
                        continue;
                    }
                    let values = one
                        .list("urls")
                        .into_iter()
                        .map(|text| (grammar::value(&text), text));
                    let ranges = one
                        .list("ipRanges")
                        .into_iter()
                        .map(|text| (Value::parse(Kind::Ipv4, &text).ok(), text));
                    for (value, text) in values.chain(ranges) {
                        if let Some(value) = value.filter(|value| !is_reserved(value)) {
                            entries.push(entry(value, one.by_hand.contains(&text), ""));
                        }
                    }
                }
                entries
            }
            _ => Vec::new(),
        }
    }

    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool {
        let text = grammar::entered(value);
        let mut tenant = self.current();
        if tenant.staged.unique(true) >= tenant.capacity {
            return false;
        }
        let tenant = &mut *tenant;
        match mechanism {
            "denylist" => {
                if !grammar::takes(&text, self.traits.ipv4)
                    || tenant.staged.denylist.iter().any(|one| one.text == text)
                {
                    return false;
                }
                for view in [&mut tenant.staged, &mut tenant.enforced] {
                    view.denylist.push(Entry {
                        text: text.clone(),
                        foreign: true,
                    });
                }
                true
            }
            "url-category" => {
                let list = match value {
                    Value::Ipv4(_) if self.traits.ipv4 => "ipRanges",
                    Value::Domain(_) | Value::Url(_) => "urls",
                    _ => return false,
                };
                let staged = tenant.staged.categories.iter().find(|one| one.ours);
                let Some(id) = staged
                    .filter(|one| !one.list(list).contains(&text))
                    .map(|one| one.id.clone())
                else {
                    return false;
                };
                for view in [&mut tenant.staged, &mut tenant.enforced] {
                    if let Some(one) = view.categories.iter_mut().find(|one| one.id == id) {
                        let mut items = one.list(list);
                        if !items.contains(&text) {
                            items.push(text.clone());
                        }
                        one.set_list(list, items);
                        one.by_hand.insert(text.clone());
                    }
                }
                true
            }
            _ => false,
        }
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
        let text = grammar::entered(value);
        let mut tenant = self.current();
        let tenant = &mut *tenant;
        let mut removed = false;
        for view in [&mut tenant.staged, &mut tenant.enforced] {
            if mechanism == "denylist" {
                let before = view.denylist.len();
                view.denylist.retain(|one| one.text != text);
                removed |= view.denylist.len() < before;
                continue;
            }
            for one in view.categories.iter_mut().filter(|one| one.ours) {
                for list in ["urls", "ipRanges"] {
                    let before = one.list(list);
                    let after: Vec<String> = before
                        .iter()
                        .filter(|item| **item != text)
                        .cloned()
                        .collect();
                    removed |= after.len() < before.len();
                    if one.body.contains_key(list) {
                        one.set_list(list, after);
                    }
                }
                one.by_hand.remove(&text);
            }
        }
        removed
    }

    fn expire_sessions(&self) {
        self.current().end_all();
    }

    fn set_capacity(&self, capacity: usize) {
        self.current().capacity = capacity;
    }
}
