//! Adding to a collection: looks first, adds in batches, and looks again where an answer does not say.
//!
//! What Sekoia does with a value that is there already is not documented: it may update it, add it a second
//! time, or leave it. So a value is sent only where it is missing or ends too early, and what counts
//! afterwards is what is there.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use sdk::collection::sekoia::{Collection, CollectionId, refusal};
use sdk::collection::{
    Location, Protection, ProtectionSettings, ReadContext, Rules, Source, SourceKind,
};
use sdk::sync::Context;
use sdk::{Error, ErrorKind, Result};

use crate::api::{Api, BATCH, Configured, End, Fields, Found};
use crate::config::Config;
use crate::observable::Observable;
use crate::tally::Tally;

/// Values that are searched for one by one; where there are more the collection is read whole.
const SEARCHED: usize = 50;

/// Longest description, documented.
const DESCRIPTION: usize = 500;

/// Clocks further apart are told, and beyond the second nothing with an end is written.
const CLOCK_WARNING: TimeDelta = TimeDelta::seconds(60);
const CLOCK_LIMIT: TimeDelta = TimeDelta::minutes(5);

/// A collection to write to.
pub(crate) struct Writer<'a> {
    pub(crate) api: Api,
    pub(crate) config: Config,
    pub(crate) id: CollectionId,
    pub(crate) context: &'a Context,
    pub(crate) dry_run: bool,
}

impl<'a> Writer<'a> {
    /// Makes sure that the collection is there and can be written to.
    pub(crate) async fn open(
        configured: Configured,
        id: &str,
        dry_run: bool,
        context: &'a Context,
    ) -> Result<Self> {
        let id = CollectionId::parse(id)?;
        if !id.is_own() {
            return Err(Error::input(format!("{id} is a feed, which is read only"))
                .hint("an IOC collection's id begins with ioc-collection--"));
        }
        configured.api.exists(id).await?;
        Ok(Self {
            api: configured.api,
            config: configured.config,
            id,
            context,
            dry_run: dry_run || context.dry_run,
        })
    }

    /// The end of what is added for so many days. Nothing is written by a clock that is wrong.
    pub(crate) fn until(&self, days: u32, tally: &mut Tally) -> Result<DateTime<Utc>> {
        let now = self.context.environment.clock.now();
        let ahead = self
            .api
            .vendor_time()
            .map_or(TimeDelta::zero(), |it| now - it);
        let text = format!("our clock is {} s ahead of Sekoia's", ahead.num_seconds());
        if ahead.abs() > CLOCK_LIMIT {
            return Err(Error::new(ErrorKind::Clock, text)
                .hint("an end counted by it would be wrong: set this machine's clock"));
        }
        if ahead.abs() > CLOCK_WARNING {
            tally.warn(text);
        }
        if days == 0 {
            return Err(Error::input("valid_for is at least 1 day"));
        }
        now.checked_add_signed(TimeDelta::days(i64::from(days)))
            .ok_or_else(|| Error::input("valid_for is too far ahead"))
    }

    /// Leaves out what a rule keeps off, and what stands twice.
    pub(crate) fn allowed(
        &self,
        observables: Vec<Observable>,
        exclude: &[String],
        tally: &mut Tally,
    ) -> Result<Vec<Observable>> {
        let exclude = sdk::action::kept_off(exclude, "exclude")?;
        let protect = sdk::action::kept_off(&self.config.protect, "protect")?;
        let protection = Protection::new(&ProtectionSettings {
            management_hosts: vec![self.config.base_url.clone()],
            ..ProtectionSettings::default()
        });
        let now = self.context.environment.clock.now();
        let exclude: Vec<_> = exclude.iter().collect();
        let protect: Vec<_> = protect.iter().collect();
        let rules = Rules::new(&exclude, &protect, protection, now);
        let mut seen = std::collections::HashSet::new();
        let mut allowed = Vec::with_capacity(observables.len());
        for observable in observables {
            if !seen.insert(observable.clone()) {
                continue;
            }
            match observable.value().and_then(|value| rules.refuses(value)) {
                Some(rule) => tally.refused(&observable, &rule),
                None => allowed.push(observable),
            }
        }
        Ok(allowed)
    }

    /// Adds values that are not there yet, and extends those that end too early.
    pub(crate) async fn add(
        &self,
        observables: Vec<Observable>,
        fields: &Fields,
        tally: &mut Tally,
    ) -> Result<()> {
        let now = self.context.environment.clock.now();
        let there = self.look(&observables).await?;
        let mut wanted = Vec::new();
        for observable in observables {
            let end = there.get(&observable).copied().flatten();
            match end {
                Some(end) if reaches(end, fields.until, now) => {
                    tally.already(&observable, &format!("there {}", words(end)));
                }
                before => wanted.push((observable, before)),
            }
        }
        if self.dry_run {
            for (observable, before) in &wanted {
                match before {
                    None => tally.added(observable, "would be added"),
                    Some(end) => tally.extended(
                        observable,
                        &format!("there {}, would be extended", words(*end)),
                    ),
                }
            }
            return Ok(());
        }
        for batch in wanted.chunks(BATCH) {
            self.batch(batch, fields, tally).await;
        }
        Ok(())
    }

    /// The latest end of each value that counts now; `None` where it is not there, or not any more.
    async fn look(&self, observables: &[Observable]) -> Result<HashMap<Observable, Option<End>>> {
        let now = self.context.environment.clock.now();
        let mut there = HashMap::new();
        let whole = observables.len() > SEARCHED;
        if whole {
            let source = Source {
                name: self.id.to_string(),
                kind: SourceKind::Stix,
                location: Location::Sekoia(Box::new(Collection {
                    id: self.id,
                    access: self.config.access(),
                })),
            };
            let read = ReadContext {
                environment: self.context.environment.clone(),
                now,
                size_limit: ReadContext::DEFAULT_SIZE_LIMIT,
            };
            for indicator in source.read(&read).await?.indicators {
                let end = indicator.validity.until.map_or(End::Never, End::At);
                if !indicator.revoked && end > End::At(now) {
                    let known = there
                        .entry(Observable::Known(indicator.value))
                        .or_insert(None);
                    *known = (*known).max(Some(end));
                }
            }
        }
        for observable in observables {
            if whole && observable.value().is_some() {
                continue;
            }
            let end = latest(
                &self.api.search(self.id, observable).await?,
                observable,
                now,
            );
            there.insert(observable.clone(), end);
        }
        Ok(there)
    }

    /// One request's worth, split where Sekoia refuses it whole, so that one bad value does not sink the
    /// rest.
    async fn batch(&self, batch: &[(Observable, Option<End>)], fields: &Fields, tally: &mut Tally) {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            if let Some(stop) = tally.stopped() {
                let message = format!("not sent: {stop}");
                for (observable, _) in batch {
                    tally.failed(observable, "not-sent", &message);
                }
                continue;
            }
            let values: Vec<&Observable> = batch.iter().map(|(observable, _)| observable).collect();
            let answer = self.api.add(self.id, &values, fields).await;
            match answer {
                Ok(response) if response.status.is_success() => {
                    let added = Api::added(&response).unwrap_or_default();
                    self.settle(batch, &added, fields, None, tally).await;
                }
                // What a server's failure left behind is found by looking.
                Ok(response) if response.status.is_server_error() => {
                    let error = refusal("the addition", &response);
                    self.settle(batch, &[], fields, Some(&error), tally).await;
                }
                Ok(response) => {
                    let error = refusal("the addition", &response);
                    let is_about_values = matches!(
                        response.status,
                        StatusCode::BAD_REQUEST
                            | StatusCode::UNPROCESSABLE_ENTITY
                            | StatusCode::PAYLOAD_TOO_LARGE
                            | StatusCode::CONFLICT
                    );
                    match (is_about_values, batch) {
                        (true, [(observable, _)]) => {
                            tally.failed(observable, "rejected", &error.to_string());
                        }
                        (true, _) => {
                            let (first, second) = batch.split_at(batch.len() / 2);
                            waiting.push(second);
                            waiting.push(first);
                        }
                        (false, _) => {
                            for (observable, _) in batch {
                                tally.failed(observable, "refused", error.message());
                            }
                            tally.fail(error);
                        }
                    }
                }
                Err(error) if error.is_fate_unknown() => {
                    self.settle(batch, &[], fields, Some(&error), tally).await;
                }
                Err(error) => {
                    for (observable, _) in batch {
                        tally.failed(observable, "not-sent", &error.to_string());
                    }
                    tally.fail(error);
                }
            }
        }
    }

    /// What became of each value: by the answer where it shows it, otherwise by looking.
    async fn settle(
        &self,
        batch: &[(Observable, Option<End>)],
        added: &[Found],
        fields: &Fields,
        error: Option<&Error>,
        tally: &mut Tally,
    ) {
        let now = self.context.environment.clock.now();
        for (observable, before) in batch {
            let mut end = latest(added, observable, now);
            if !end.is_some_and(|end| reaches(end, fields.until, now)) {
                match self.api.search(self.id, observable).await {
                    Ok(found) => end = end.max(latest(&found, observable, now)),
                    Err(unread) => {
                        let message = match error {
                            Some(error) => format!("it may be there: {error}; then {unread}"),
                            None => format!("it may be there: {unread}"),
                        };
                        tally.failed(observable, "unknown", &message);
                        continue;
                    }
                }
            }
            match (end, before) {
                (Some(end), None) if reaches(end, fields.until, now) => {
                    tally.added(observable, &words(end));
                }
                (Some(end), Some(_)) if reaches(end, fields.until, now) => {
                    tally.extended(observable, &words(end));
                }
                (Some(end), _) => tally.failed(
                    observable,
                    "end-kept",
                    &format!("Sekoia keeps it {}, not as long as asked", words(end)),
                ),
                (None, _) => {
                    let message = error.map_or_else(
                        || "Sekoia took the request and not this value".to_owned(),
                        ToString::to_string,
                    );
                    tally.failed(observable, "not-taken", &message);
                }
            }
        }
        if let Some(error) = error.filter(|error| error.kind() == ErrorKind::RateLimited) {
            tally.warn(error.to_string());
        }
    }
}

/// Reads the description that additions get.
pub(crate) fn description(text: Option<String>) -> Result<Option<String>> {
    match text {
        Some(text) if text.chars().count() > DESCRIPTION => Err(Error::input(format!(
            "description is longer than {DESCRIPTION} characters"
        ))),
        other => Ok(other.filter(|text| !text.trim().is_empty())),
    }
}

/// The latest end among indicators that hold the value and count now.
fn latest(found: &[Found], observable: &Observable, now: DateTime<Utc>) -> Option<End> {
    let active = found
        .iter()
        .filter(|it| it.is_active(now) && it.holds(observable));
    active.map(Found::end).max()
}

/// Whether an end is as good as the wanted one: a tenth of the time that is asked for may be missing, so
/// that running again at once writes nothing.
fn reaches(end: End, wanted: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    wanted.is_none_or(|wanted| end >= End::At(wanted - (wanted - now) / 10))
}

fn words(end: End) -> String {
    match end {
        End::Never => "without end".to_owned(),
        End::At(end) => format!("until {}", end.format("%Y-%m-%dT%H:%M:%SZ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_almost_as_late_is_late_enough() {
        let now = DateTime::UNIX_EPOCH;
        let day = |days| now + TimeDelta::days(days);
        assert!(reaches(End::Never, Some(day(30)), now));
        assert!(reaches(End::At(day(27)), Some(day(30)), now));
        assert!(!reaches(End::At(day(26)), Some(day(30)), now));
        assert!(reaches(End::At(day(1)), None, now));
    }

    #[test]
    fn descriptions_have_a_length() {
        assert_eq!(
            description(Some("x".repeat(500))).unwrap().unwrap().len(),
            500
        );
        assert!(description(Some("é".repeat(501))).is_err());
        assert_eq!(description(Some(" ".to_owned())).unwrap(), None);
    }
}
