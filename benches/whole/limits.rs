//! Whole runs with the documented rate limits on, beside the time that those limits take at least and a bare
//! replay of the same calls.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use sdk::target::RateWindow;

use crate::Failure;
use crate::calls::{Documented, MECHANISMS};
use crate::fake::{FakeProcess, Seen, counted};
use crate::scene::{Scene, values};

/// A whole run of so many new entries, as a user waits for it.
pub(crate) fn whole(connector: &str, mechanism: &str, entries: usize) -> Result<(), Failure> {
    let documented: &Documented = MECHANISMS
        .iter()
        .find(|known| (known.connector)().name == connector && known.mechanism == mechanism)
        .ok_or("no such mechanism")?;
    let known = (documented.connector)();
    let values = values(documented.kind, entries)?;
    let settings = (documented.settings)();
    let mut fake = FakeProcess::start(connector, &settings)?;
    let mut scene = Scene::new(&known, mechanism, fake.configuration.clone())?;
    let run = scene.sync(&values, &mut fake)?;
    assert_eq!(run.written(), entries, "{:#?}", run.report);
    scene.log_in_again(&known)?;
    let again = scene.sync(&values, &mut fake)?;
    assert_eq!(again.written(), 0, "the second run wrote");
    drop(fake);

    println!(
        "{connector} {mechanism}, {entries} new entries: wall {:.2} s, client CPU {:.2} s, {} calls; second run {} \
         calls, no write",
        run.wall.as_secs_f64(),
        run.cpu.as_secs_f64(),
        run.calls.len(),
        again.calls.len(),
    );
    for (call, count) in counted(&run.calls) {
        println!("    {count:>5} {call}");
    }
    let replayed = replay(connector, &settings, &run.calls)?;
    let rate = known
        .mechanisms
        .iter()
        .find(|known| known.mechanism == mechanism)
        .map_or(&[][..], |known| known.rate);
    let floor = at_least(rate, &run.calls);
    let bar = floor.max(replayed);
    println!(
        "  the limits take {:.2} s at least, a bare replay {:.2} s: {:.2} times the larger",
        floor.as_secs_f64(),
        replayed.as_secs_f64(),
        run.wall.as_secs_f64() / bar.as_secs_f64(),
    );
    Ok(())
}

/// The same calls to a new fake, one after the other, as fast as they are answered, by a client that reads
/// the answers and does nothing with them.
fn replay(
    connector: &str,
    settings: &serde_json::Value,
    calls: &[Seen],
) -> Result<Duration, Failure> {
    let mut fake = FakeProcess::start(connector, settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let url = fake.url.clone();
    let took = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let start = Instant::now();
        for call in calls {
            let mut request = client.request(
                Method::from_bytes(call.method.as_bytes())?,
                format!("{url}{}?{}", call.path, call.query),
            );
            for (name, value) in &call.headers {
                if !["host", "content-length", "accept-encoding"].contains(&name.as_str()) {
                    request = request.header(name, value);
                }
            }
            request
                .body(call.body.clone())
                .send()
                .await?
                .bytes()
                .await?;
        }
        Ok::<Duration, Failure>(start.elapsed())
    })?;
    // A cursor or a session of the first fake means nothing to this one, and its rate limits refuse what comes
    // faster: such calls are answered sooner, so the replay takes longer than this at least.
    let differ = fake
        .calls()?
        .iter()
        .zip(calls)
        .filter(|(again, first)| again.status != first.status)
        .count();
    if differ > 0 {
        println!("  {differ} calls of the replay were refused: its time is a lower bound");
    }
    Ok(took)
}

/// The least time that the windows which count every call, or every call of a method, leave for these
/// calls: as many at once as a window takes, then the next ones when it is free again.
fn at_least(rate: &[RateWindow], calls: &[Seen]) -> Duration {
    let mut by_class: BTreeMap<&str, u32> = BTreeMap::new();
    for call in calls {
        for class in ["*", class_of(call)] {
            *by_class.entry(class).or_default() += 1;
        }
    }
    rate.iter()
        .filter_map(|window| {
            let count = *by_class.get(window.class)?;
            Some(window.per * (count.saturating_sub(1) / window.calls))
        })
        .max()
        .unwrap_or_default()
}

/// The class of a call by its method, where a connector names its classes so.
fn class_of(call: &Seen) -> &'static str {
    match call.method.as_str() {
        "GET" => "read",
        "DELETE" => "delete",
        _ => "write",
    }
}
