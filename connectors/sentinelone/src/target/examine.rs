//! What `check` looks at.

use chrono::TimeDelta;
use reqwest::StatusCode;
use sdk::Result;
use sdk::target::{Finding, Level};
use serde::de::IgnoredAny;

use super::Console;
use super::ioc::{CAPACITY, Iocs};
use crate::api::{self, Info, TokenDetails, iocs, restrictions};
use crate::config::OsType;

/// A token with less time left than this is warned of.
const SOON: TimeDelta = TimeDelta::days(14);

/// Findings in the making.
#[derive(Default)]
pub(super) struct Examination(Vec<Finding>);

impl Examination {
    fn add(&mut self, level: Level, subject: &'static str, message: impl Into<String>) {
        self.hinted(level, subject, message, None);
    }

    fn hinted(
        &mut self,
        level: Level,
        subject: &'static str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.0.push(Finding {
            level,
            subject: subject.into(),
            message: message.into(),
            hint: hint.map(str::to_owned),
        });
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.0
    }

    /// What a call that reads says about a right. The error of a console that does not answer ends it.
    fn right(&mut self, right: &str, response: &sdk::http::Response) -> Result<bool> {
        match api::read::<IgnoredAny>("reading", right, response) {
            Ok(_) => {
                self.add(Level::Ok, "right to read", format!("{right} is there"));
                Ok(true)
            }
            Err(error) if matches!(response.status.as_u16(), 401 | 403) => {
                let hint = error.hint_text().map(str::to_owned);
                self.hinted(
                    Level::Missing,
                    "right to read",
                    api::vendor_text(response),
                    hint.as_deref(),
                );
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The blocklist's part.
    pub(super) async fn blocklist(&mut self, console: &Console, systems: &[OsType]) -> Result<()> {
        let names: Vec<&str> = systems.iter().map(|os| os.name()).collect();
        self.add(Level::Ok, "systems", names.join(", "));
        let request = restrictions::page(&console.place, 1, None);
        let response = console.client.send(request).await?;
        if !self.right("Blacklist.view", &response)? {
            return Ok(());
        }
        self.add(
            Level::Ok,
            "right to write",
            "Blacklist.create, .edit and .delete were not tried: a trial would change the list",
        );
        let pagination = api::read::<IgnoredAny>("reading", "", &response)?.pagination;
        if let Some(total) = pagination.and_then(|pagination| pagination.total_items) {
            self.add(
                Level::Ok,
                "entries",
                format!("{total} in this scope; the console publishes no limit"),
            );
        }
        Ok(())
    }

    /// The indicators' part.
    pub(super) async fn iocs(&mut self, target: &Iocs) -> Result<()> {
        let (client, place) = target.console();
        self.add(Level::Ok, "source", target.source());
        self.add(Level::Ok, "rate", "30 calls a minute");
        let response = client.send(iocs::count(place)).await?;
        if !self.right("Threat Intelligence.view", &response)? {
            return Ok(());
        }
        self.add(
            Level::Ok,
            "right to write",
            "Threat Intelligence.manage was not tried: a trial would change the list",
        );
        let pagination = api::read::<IgnoredAny>("reading", "", &response)?.pagination;
        if let Some(total) = pagination.and_then(|pagination| pagination.total_items) {
            let nearly = total >= (CAPACITY as u64) / 10 * 9;
            let level = if nearly { Level::Warning } else { Level::Ok };
            let hint = nearly
                .then_some("remove indicators that are no longer needed, of other sources too");
            let message = format!("{total} of about {CAPACITY} indicators");
            self.hinted(level, "capacity", message, hint);
        }
        let response = client.send(iocs::user_config(place)).await?;
        if response.status == StatusCode::OK
            && let Ok(answer) = response.json::<api::Answer<OneOrMany>>("the matching settings")
        {
            self.matching(answer.data);
        }
        Ok(())
    }

    /// Settings that keep a match from being seen.
    fn matching(&mut self, data: Option<OneOrMany>) {
        let settings = match data {
            Some(OneOrMany::Many(all)) => all,
            Some(OneOrMany::One(one)) => vec![*one],
            None => Vec::new(),
        };
        if settings.iter().any(|it| it.disable_threat == Some(true)) {
            self.hinted(
                Level::Warning,
                "matches",
                "this account makes no threats of matching indicators (disableThreat)",
                Some("switch it off in the threat intelligence user configuration"),
            );
        }
        let excluded: usize = settings
            .iter()
            .filter_map(|it| it.exclude.as_ref())
            .map(Vec::len)
            .sum();
        if excluded > 0 {
            self.add(
                Level::Warning,
                "matches",
                format!("{excluded} values are excluded from becoming threats (excludeTii)"),
            );
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<iocs::UserConfig>),
    One(Box<iocs::UserConfig>),
}

impl Console {
    /// What is the same for every mechanism: version, token, scope.
    pub(super) async fn examine(&self) -> Result<Examination> {
        let mut report = Examination::default();
        let response = self.client.send(api::info()).await?;
        let info = response.json::<api::Answer<Info>>("the console's version");
        match info
            .ok()
            .and_then(|answer| answer.data)
            .filter(|_| response.status == StatusCode::OK)
        {
            Some(Info {
                version: Some(version),
                build,
            }) => {
                let build = build
                    .map(|build| format!(" (build {build})"))
                    .unwrap_or_default();
                report.add(Level::Ok, "version", format!("{version}{build}"));
            }
            _ => report.add(
                Level::Ok,
                "version",
                "the console does not tell it to this token",
            ),
        }
        let response = self.client.send(api::token_details(&self.token)).await?;
        self.token_life(&mut report, &response);
        report.add(Level::Ok, "scope", self.place.name());
        Ok(report)
    }

    fn token_life(&self, report: &mut Examination, response: &sdk::http::Response) {
        const RENEW: &str = "make a new token for the service user, and change api_token";
        let details = api::read::<TokenDetails>("the token's details", "", response);
        let end = match details {
            Ok(answer) => answer.data.unwrap_or_default().expires_at,
            Err(_) if response.status == StatusCode::UNAUTHORIZED => {
                let text = api::vendor_text(response);
                return report.hinted(Level::Missing, "token", text, Some(RENEW));
            }
            Err(_) => None,
        };
        let end = end.as_deref().and_then(api::read_time);
        let now = self.client.vendor_time();
        let (Some(end), Some(now)) = (end, now) else {
            return report.add(
                Level::Warning,
                "token",
                "the console does not tell when it ends",
            );
        };
        let told = format!("ends {}", end.format("%Y-%m-%d %H:%M UTC"));
        if end <= now {
            report.hinted(Level::Missing, "token", told, Some(RENEW));
        } else if end - now < SOON {
            report.hinted(Level::Warning, "token", told, Some(RENEW));
        } else {
            report.add(Level::Ok, "token", told);
        }
    }
}
