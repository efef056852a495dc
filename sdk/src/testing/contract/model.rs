//! What should be blocked, said slowly and obviously: the oracle that the loop is compared with. It knows
//! hosts, whole names, URLs and hashes that are excluded exactly; the algebra has its own tests.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::indicator::{Indicator, Value};

/// What the sources of a deployment hold at one moment. `None` is a source that cannot be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// Includes.
    pub(super) include: Vec<Option<Vec<Indicator>>>,
    /// Excludes.
    pub(super) exclude: Vec<Option<Vec<Indicator>>>,
}

impl Scene {
    /// One include and an empty exclude.
    pub(super) fn of(indicators: impl IntoIterator<Item = Indicator>) -> Self {
        Self {
            include: vec![Some(indicators.into_iter().collect())],
            exclude: vec![Some(Vec::new())],
        }
    }

    /// The same with these excluded.
    pub(super) fn without(mut self, indicators: impl IntoIterator<Item = Indicator>) -> Self {
        self.exclude = vec![Some(indicators.into_iter().collect())];
        self
    }

    /// The same includes, unreadable.
    pub(super) fn unreadable(mut self) -> Self {
        self.include.iter_mut().for_each(|include| *include = None);
        self
    }
}

/// What a scene comes to at `now`.
pub(super) fn wanted(scene: &Scene, now: DateTime<Utc>) -> BTreeSet<Value> {
    let excluded = active(&scene.exclude, now);
    let included = active(&scene.include, now);
    included.difference(&excluded).cloned().collect()
}

fn active(sources: &[Option<Vec<Indicator>>], now: DateTime<Utc>) -> BTreeSet<Value> {
    let mut values = BTreeSet::new();
    for indicator in sources.iter().flatten().flatten() {
        let began = indicator.validity.from.is_none_or(|from| from <= now);
        let ended = indicator.validity.until.is_some_and(|until| until <= now);
        if began && !ended && !indicator.revoked {
            values.insert(indicator.value.clone());
        }
    }
    values
}
