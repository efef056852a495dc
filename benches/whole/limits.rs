//! Whole runs with the documented rate limits on, beside the time that those limits take at least and a bare
//! replay of the same calls.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use sdk::target::RateWindow;
use serde_json::Value as Json;
use url::form_urlencoded;

use crate::Failure;
use crate::calls::{Documented, MECHANISMS};
use crate::fake::{Seen, counted};
use crate::scene::{Scene, values};

/// How often a run is repeated that no limit slows down: its time is at the mercy of everything else then.
const REPEATS: usize = 9;

/// A whole run of so many new entries, as a user waits for it.
pub(crate) fn whole(connector: &str, mechanism: &str, entries: usize) -> Result<(), Failure> {
    let documented: &Documented = MECHANISMS
        .iter()
        .find(|known| (known.connector)().name == connector && known.mechanism == mechanism)
        .ok_or("no such mechanism")?;
    let known = (documented.connector)();
    let rate = known
        .mechanisms
        .iter()
        .find(|known| known.mechanism == mechanism)
        .map_or(&[][..], |known| known.rate);
    let values = values(documented.kind, entries)?;
    let (mut walls, mut cpus, mut replays) = (Vec::new(), Vec::new(), Vec::new());
    let mut floor = Duration::ZERO;
    while walls.is_empty() || (floor.is_zero() && walls.len() < REPEATS) {
        let mut fake = documented.fake()?;
        let mut scene = Scene::new(&known, mechanism, fake.configuration.clone())?;
        let run = scene.sync(&values, &mut fake)?;
        assert_eq!(run.written(), entries, "{:#?}", run.report);
        scene.log_in_again(&known)?;
        let again = scene.sync(&values, &mut fake)?;
        assert_eq!(again.written(), 0, "the second run wrote");
        drop(fake);
        if walls.is_empty() {
            println!(
                "{connector} {mechanism}, {entries} new entries: {} calls; second run {} calls, no write",
                run.calls.len(),
                again.calls.len(),
            );
            for (call, count) in counted(&run.calls) {
                println!("    {count:>5} {call}");
            }
            floor = at_least(rate, &run.calls);
        }
        walls.push(run.wall);
        cpus.push(run.cpu);
        replays.push(replay(documented, &run.calls)?);
    }
    let (wall, cpu, replayed) = (median(&mut walls), median(&mut cpus), median(&mut replays));
    println!(
        "  median of {}: wall {:.2} s ({:.2} to {:.2}), client CPU {:.2} s",
        walls.len(),
        wall.as_secs_f64(),
        walls[0].as_secs_f64(),
        walls[walls.len() - 1].as_secs_f64(),
        cpu.as_secs_f64(),
    );
    println!(
        "  the limits take {:.2} s at least, a bare replay {:.2} s ({:.2} to {:.2}): {:.2} times the larger",
        floor.as_secs_f64(),
        replayed.as_secs_f64(),
        replays[0].as_secs_f64(),
        replays[replays.len() - 1].as_secs_f64(),
        wall.as_secs_f64() / floor.max(replayed).as_secs_f64(),
    );
    Ok(())
}

/// Sorts times, and gives the one in the middle.
fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The same calls to a new fake, one after the other, as fast as they are answered, by a client that looks for
/// nothing in the answers but what the next call has to repeat: a cursor, a session.
fn replay(documented: &Documented, calls: &[Seen]) -> Result<Duration, Failure> {
    let mut fake = documented.fake()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let url = fake.url.clone();
    let took = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut given = Given::default();
        let start = Instant::now();
        for call in calls {
            let mut request = client.request(
                Method::from_bytes(call.method.as_bytes())?,
                format!("{url}{}?{}", call.path, given.query(&call.query)),
            );
            for (name, value) in &call.headers {
                if !["host", "content-length", "accept-encoding"].contains(&name.as_str()) {
                    request = request.header(name, given.header(name, value));
                }
            }
            let response = request.body(call.body.clone()).send().await?;
            given.take(response.headers());
            given.answer = response.bytes().await?;
        }
        Ok::<Duration, Failure>(start.elapsed())
    })?;
    // Its rate limits refuse what comes faster: such calls are answered sooner, so that the replay takes
    // longer than this at least.
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

/// What the vendor gave and has to be given back.
#[derive(Default)]
struct Given {
    answer: Bytes,
    session: Option<String>,
}

impl Given {
    fn take(&mut self, headers: &HeaderMap) {
        if let Some(cookie) = headers.get("set-cookie").and_then(|it| it.to_str().ok()) {
            self.session = cookie.split(';').next().map(str::to_owned);
        }
    }

    fn header<'a>(&'a self, name: &str, value: &'a str) -> &'a str {
        match &self.session {
            Some(session) if name == "cookie" => session,
            _ => value,
        }
    }

    /// The recorded query with the cursor of the answer before.
    fn query(&self, recorded: &str) -> String {
        const CURSORS: [(&str, &str); 2] = [
            ("after=", "/meta/pagination/after"),
            ("cursor=", "/pagination/nextCursor"),
        ];
        let part = |part: &str| -> String {
            let cursor = CURSORS.iter().find(|(name, _)| part.starts_with(name));
            let next = cursor.and_then(|(name, place)| {
                let answer: Json = serde_json::from_slice(&self.answer).ok()?;
                let next = answer.pointer(place)?.as_str()?;
                let escaped: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                Some(format!("{name}{escaped}"))
            });
            next.unwrap_or_else(|| part.to_owned())
        };
        recorded.split('&').map(part).collect::<Vec<_>>().join("&")
    }
}

/// The least time in which the windows let these calls through, one after the other, if the vendor answered at
/// once.
fn at_least(rate: &[RateWindow], calls: &[Seen]) -> Duration {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut now = Duration::ZERO;
    for call in calls {
        let class = class_of(call);
        for window in rate.iter().filter(|it| ["*", class].contains(&it.class)) {
            let before = times
                .iter()
                .rev()
                .filter(|(class, _)| ["*", class].contains(&window.class))
                .nth(window.calls as usize - 1);
            if let Some((_, time)) = before {
                now = now.max(*time + window.per);
            }
        }
        times.push((class, now));
    }
    now
}

/// The class of a call, as connectors name them by method and path.
fn class_of(call: &Seen) -> &'static str {
    match (call.method.as_str(), call.path.rsplit('/').next()) {
        (_, Some("authenticatedSession")) => "session",
        (_, Some("activate")) => "activate",
        (_, Some("iocs")) => "ioc",
        ("GET", Some("advanced")) => "list",
        ("GET", _) => "read",
        ("DELETE", _) => "delete",
        _ => "write",
    }
}
