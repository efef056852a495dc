//! `add_destination_ips_to_ioc_collection`: from an alert to the addresses that its events went to.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use schemars::JsonSchema;
use sdk::action::{Call, FailOn, Outcome};
use sdk::http::{Next, Page, Pages, poll};
use sdk::stix::parse_timestamp;
use sdk::sync::Context;
use sdk::{Error, ErrorKind, Result};
use serde::Deserialize;

use crate::api::{Alert, Api, CommonValue, Fields};
use crate::observable::{IndicatorType, Observable};
use crate::tally::Tally;
use crate::write::{Writer, description};

/// The field that holds what the events went to.
const FIELD: &str = "destination.ip";

/// Most events that a search looks at: the last ones.
const LAST_EVENTS: usize = 100;

/// Most searches for one alert.
const MOST_SEARCHES: usize = 64;

/// What two neighbouring windows have in common, because whether a search finds what is at its very first and last
/// instant is not documented. One no longer than twice this cannot be halved.
const OVERLAP: TimeDelta = TimeDelta::seconds(1);

/// Fields per page.
const FIELD_PAGE: usize = 1_000;

/// How long a search may take, and how often it is asked about at most.
const SEARCH_LIMIT: Duration = Duration::from_secs(600);
const SEARCH_INTERVAL: Duration = Duration::from_secs(5);

/// Whether events at the very first and last instant of an alert are found is not documented.
const MARGIN: TimeDelta = TimeDelta::hours(1);

/// A search's status: not started, running. Any other is an end; which of them are good ones is not documented.
const WAITING: i64 = 0;
const RUNNING: i64 = 1;

/// Sekoia's own default for addresses.
const fn default_valid_for() -> u32 {
    30
}

/// Add the destination addresses of an alert's events to an IOC collection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The alert: its uuid or its short id
    alert_id: String,
    /// The IOC collection: `ioc-collection--…`
    ioc_collection_id: String,
    /// Days until the addresses end. Default 30
    #[serde(default = "default_valid_for")]
    #[schemars(range(min = 1))]
    valid_for: u32,
    /// Why, at most 500 characters; without it the alert's short id
    #[serde(default)]
    description: Option<String>,
    /// Addresses and networks that must not be added
    #[serde(default)]
    exclude: Vec<String>,
    /// Look and report, write nothing
    #[serde(default)]
    dry_run: bool,
    /// Which results a playbook engine is told as an error: `failed`, `partial`, several of them separated
    /// by commas, or `never`
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read by the engine's runtime; here it is only refused if wrong"
    )]
    fail_on: FailOn,
}

pub(super) async fn run(call: Call<'_>) -> Result<Outcome> {
    let arguments: Arguments = super::arguments(&call)?;
    let alert_id = plain_id(&arguments.alert_id, "alert_id")?;
    let words = description(arguments.description)?;
    if arguments.valid_for == 0 {
        return Err(Error::input("valid_for is at least 1 day"));
    }
    let configured = Api::of(call.configuration, &call.context.environment)?;
    let writer = Writer::open(
        configured,
        &arguments.ioc_collection_id,
        arguments.dry_run,
        call.context,
    )
    .await?;
    let mut tally = Tally::new(writer.id, writer.dry_run, call.context)?;
    let alert = writer.api.alert(alert_id).await?;
    // It goes into the search's text: nothing but a plain id may.
    let short_id = plain_id(&alert.short_id, "the alert's short id")
        .map_err(|error| Error::protocol(error.message()))?;
    let (texts, unseen) = destinations(&writer.api, &alert, short_id, call.context).await?;
    tally.source(format!("alert {short_id}"), texts.len());
    if let Some(unseen) = unseen {
        tally.warn(unseen);
    }
    let mut observables = Vec::with_capacity(texts.len());
    for text in &texts {
        match Observable::parse(text, Some(IndicatorType::Address)) {
            Ok(observable) => observables.push(observable),
            Err(message) => tally.unreadable(text, &message),
        }
    }
    if texts.is_empty() {
        tally.warn(format!("no event of alert {short_id} has a {FIELD}"));
    }
    let allowed = writer.allowed(observables, &arguments.exclude, &mut tally)?;
    let fields = Fields {
        until: Some(writer.until(arguments.valid_for, &mut tally)?),
        description: words.or_else(|| Some(format!("destination of alert {short_id}"))),
    };
    writer.add(allowed, &fields, &mut tally).await?;
    let report = tally.finish(&writer.api, call.context);
    Ok(Outcome::Report(Box::new(report)))
}

/// An id that means nothing but itself in a path or a search's text.
fn plain_id<'a>(text: &'a str, what: &str) -> Result<&'a str> {
    let text = text.trim();
    let plain = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-');
    if plain {
        Ok(text)
    } else {
        let shown: String = text.chars().take(80).collect();
        Err(
            Error::input(format!("{what} {shown:?} is not the id of an alert"))
                .hint("give the alert's uuid, or its short id as it stands in the interface"),
        )
    }
}

/// The values of the field among the alert's events, and why some may be missing. A search looks at so many events
/// only, so the time of one that may have left some out is halved, the newer half first.
async fn destinations(
    api: &Api,
    alert: &Alert,
    short_id: &str,
    context: &Context,
) -> Result<(Vec<String>, Option<String>)> {
    let time = |name: &str, text: &str| -> Result<DateTime<Utc>> {
        parse_timestamp(text)
            .map(|time| time.trunc_subsecs(0))
            .map_err(|error| Error::protocol(format!("the alert's {name} is {text:?}, {error}")))
    };
    let earliest = time("first_seen_at", &alert.first_seen_at)? - MARGIN;
    let latest = time("last_seen_at", &alert.last_seen_at)? + MARGIN;
    let term = format!("alert_short_ids: {short_id}");
    let mut windows = vec![(earliest, latest)];
    let mut values: Vec<String> = Vec::new();
    let mut good_status = None;
    let mut unseen = None;
    let mut searches = 0;
    while let Some((from, to)) = windows.pop() {
        if searches == MOST_SEARCHES {
            unseen = Some(format!(
                "the alert has more events than {MOST_SEARCHES} searches show: destinations that only events before \
                 {to} have are not among these"
            ));
            break;
        }
        searches += 1;
        let (status, found) = search(api, &term, from, to, context).await?;
        let Some(found) = found else {
            // An event always has fields: a search of the whole time without any is one that failed, or that found
            // no event of an alert that has some. Of a part, one that ended as those do that find something.
            if good_status == Some(status) {
                continue;
            }
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "the search among the alert's events ended with status {status} and no fields"
                ),
            )
            .hint("run the action again, and look whether the alert's events are still kept"));
        };
        good_status = Some(status);
        for value in found.values {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        match found.events {
            Some(events) if events < LAST_EVENTS as u64 => {}
            None => {
                unseen = Some(format!(
                    "Sekoia does not say how many events the search saw, which are at most the last {LAST_EVENTS}: \
                     destinations that only earlier events have are not among these"
                ));
            }
            Some(_) if to - from <= OVERLAP * 2 => {
                unseen = Some(format!(
                    "the alert has {LAST_EVENTS} events or more at {from}: destinations that only others of them \
                     have are not among these"
                ));
            }
            Some(_) => {
                let middle = from + TimeDelta::seconds((to - from).num_seconds() / 2);
                windows.push((from, middle + OVERLAP));
                windows.push((middle, to));
            }
        }
    }
    Ok((values, unseen))
}

/// One search, to its end: its status, and what it found.
async fn search(
    api: &Api,
    term: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    context: &Context,
) -> Result<(i64, Option<Found>)> {
    let job = api.start_search(term, from, to, LAST_EVENTS).await?;
    let clock = &context.environment.clock;
    let status = poll(
        clock,
        "the search among the alert's events",
        SEARCH_INTERVAL,
        SEARCH_LIMIT,
        || async {
            let status = api.search_status(&job).await?;
            Ok((status != WAITING && status != RUNNING).then_some(status))
        },
    )
    .await?;
    Ok((status, found(api, &job).await?))
}

/// What one search found.
struct Found {
    /// The values of the field.
    values: Vec<String>,
    /// How many events it saw at least, as far as its answer says.
    events: Option<u64>,
}

/// What a search found, by all its fields; `None` where there is no field at all. An event has fields that every
/// event has: the one seen most often tells how many there are.
async fn found(api: &Api, job: &str) -> Result<Option<Found>> {
    let mut pages = Pages::new("the fields of the search", None);
    let mut offset = 0;
    let mut found = Found {
        values: Vec::new(),
        events: None,
    };
    loop {
        let page = api.fields(job, offset, FIELD_PAGE).await?;
        for field in &page.items {
            found.events = found.events.max(field.seen());
            if field.name == FIELD {
                let texts = field.most_common_values.iter().map(CommonValue::text);
                found.values.extend(texts);
            }
        }
        offset += page.items.len();
        let ends = page.items.is_empty() || page.total.is_some_and(|total| offset as u64 >= total);
        let cursor = offset.to_string();
        let next = pages.page(Page {
            items: page.items.len(),
            cursor: (!ends).then_some(cursor.as_str()),
            total: page.total,
            has_more: None,
        })?;
        if next == Next::End {
            return Ok((offset > 0).then_some(found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_change_no_search() {
        for good in ["ALJQ7KXnAmXC", "0197a1de-7f0c-7c2b-8f5e-2f8a3e5c9d11"] {
            assert_eq!(plain_id(good, "alert_id").unwrap(), good);
        }
        for bad in ["", "AL1 OR *", "AL1*", "-AL1", "a/b", "AL1\"", "a:b"] {
            assert!(plain_id(bad, "alert_id").is_err(), "{bad}");
        }
    }
}
