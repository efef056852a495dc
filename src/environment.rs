//! The one place that reads the environment, and the clock that `--clock` moves.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sdk::connector::Environment;
use sdk::{Clock, Error, Result};

/// A variable that is set, not empty, and text.
#[expect(
    clippy::disallowed_methods,
    reason = "the one home of reading the environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// What connectors get from the outside.
pub(crate) fn outside(clock: Clock, installation: &str) -> Environment {
    let mut environment = Environment::new(clock);
    environment.installation = installation.to_owned();
    environment.ca_files = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
        .into_iter()
        .filter_map(variable)
        .map(PathBuf::from)
        .collect();
    environment
}

/// Who is doing this, for the history.
pub(crate) fn actor(named: Option<&str>) -> String {
    named
        .map(str::to_owned)
        .or_else(|| variable("CORDON_ACTOR"))
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The clock that `--clock` asks for: `+40d`, `-2h`, or an RFC 3339 time.
pub(crate) fn clock(text: Option<&str>) -> Result<Clock> {
    let system = Clock::system();
    let Some(text) = text else {
        return Ok(system);
    };
    let bad = || {
        Error::input(format!("{text:?} is not a way to move the clock"))
            .hint("write for instance --clock +40d or --clock 2027-01-31T12:00:00Z")
    };
    let offset = if let Some(rest) = text.strip_prefix('+') {
        crate::config::resolve::duration(rest).ok_or_else(bad)?
    } else if let Some(rest) = text.strip_prefix('-') {
        -crate::config::resolve::duration(rest).ok_or_else(bad)?
    } else {
        let at: DateTime<Utc> = DateTime::parse_from_rfc3339(text)
            .map_err(|_| bad())?
            .with_timezone(&Utc);
        at - system.now()
    };
    Ok(Clock::shifted(offset))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_clock_moves_by_lengths_and_to_instants() {
        assert_eq!(clock(Some("+40d")).unwrap().offset(), TimeDelta::days(40));
        assert_eq!(
            clock(Some("-90m")).unwrap().offset(),
            TimeDelta::minutes(-90)
        );
        let at: DateTime<Utc> = "2031-01-31T12:00:00Z".parse().unwrap();
        let off = clock(Some("2031-01-31T12:00:00Z")).unwrap().now() - at;
        assert!(off < TimeDelta::seconds(5), "{off}");
        for bad in [
            "",
            "40d",
            "+40",
            "+d",
            "+-4d",
            "tomorrow",
            "+99999999d",
            "2031-01-31",
        ] {
            assert!(clock(Some(bad)).is_err(), "{bad}");
        }
    }
}
