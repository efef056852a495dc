//! `ban`: addresses that the firewall refuses as sources, with an end of its own. There is no room for a
//! mark: the ledger knows which bans are ours. What a firewall does with the ban of an address that is
//! banned already is not documented, so that every write is looked at.

mod apply;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, CapacityPool, Effect, EndKnownBy, Facts, Finding, Foreign,
    Granularity, Held, KindSupport, Level, Login, NativeEnd, Outcome, Proof, Rejection, Scope,
    Target, TargetKey,
};
use sdk::{Result, async_trait};

use super::connection::{Connection, Version};
use crate::api::{self, BanRow, BanSettings, Page};
use crate::config::Config;

/// IPv6 addresses are named in the documents of this version and later.
const FIRST_IPV6: Version = (6, 4, 0);
/// Bans can be kept over a restart from this version on.
const PERSISTENCE: Version = (7, 2, 1);
/// Ends are written and read in whole minutes: the firewall counts from the second in which it gets the
/// call, which is not quite ours.
const MINUTE: i64 = 60;
/// What the firewall calls bans that administrators made, by hand or by API.
const ADMINISTRATIVE: &str = "Administrative";

const fn support(kind: Kind) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Prevent,
        networks: false,
        matches_below: false,
    }
}

/// What bans can do.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    mechanism: "ban",
    summary: "banned addresses: block as sources only, need no policy, are lost on restart unless made persistent",
    kinds: &[support(Kind::Ipv4), support(Kind::Ipv6)],
    end_known_by: EndKnownBy::Native,
    native_end: Some(NativeEnd {
        unit: Duration::from_secs(MINUTE.unsigned_abs()),
        max: None,
        max_by_kind: &[],
        deletes: Some(true),
    }),
    proof: Proof::Ledger,
    foreign: Foreign::Listed,
    granularity: Granularity::Row,
    write_batch: 1_000,
    remove_batch: 1_000,
    list_page: 1_000_000,
    lookup_batch: 0,
    capacity: None,
    staged: false,
    rate: &[],
    rights: &["authgrp read and write (users and devices)"],
};

/// Bans of one firewall and VDOM.
pub(crate) struct Ban {
    connection: Connection,
    key: TargetKey,
    /// Most bans, as configured: the firewall does not tell.
    limit: Option<usize>,
}

/// What the firewall holds of one address: more than one row, where it keeps them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Banned {
    /// The latest end, to the minute; `None` for ever.
    ends: Option<DateTime<Utc>>,
    rows: usize,
    /// Whether administrators made all of them.
    administrative: bool,
}

/// The nearest whole minute.
fn to_the_minute(seconds: i64) -> Option<DateTime<Utc>> {
    let minutes = seconds.saturating_add(MINUTE / 2).div_euclid(MINUTE);
    DateTime::from_timestamp(minutes * MINUTE, 0)
}

/// Rows by address. Addresses come in more than one spelling: they are compared as addresses.
fn by_address(rows: Vec<BanRow>) -> BTreeMap<Value, Banned> {
    let mut found: BTreeMap<Value, Banned> = BTreeMap::new();
    for row in rows {
        let kinds = [Kind::Ipv4, Kind::Ipv6];
        let parsed = kinds
            .iter()
            .find_map(|kind| Value::parse(*kind, &row.ip_address).ok());
        let Some(value) = parsed else {
            continue;
        };
        let banned = Banned {
            ends: row.expires.and_then(to_the_minute),
            rows: 1,
            administrative: row.source == ADMINISTRATIVE,
        };
        found
            .entry(value)
            .and_modify(|known| {
                known.rows += 1;
                known.administrative &= banned.administrative;
                known.ends = match (known.ends, banned.ends) {
                    (Some(known), Some(other)) => Some(known.max(other)),
                    _ => None,
                };
            })
            .or_insert(banned);
    }
    found
}

impl Ban {
    pub(crate) fn new(config: &Config, connection: Connection, key: TargetKey) -> Self {
        Self {
            connection,
            key,
            limit: config.ban_limit,
        }
    }

    async fn banned(&self) -> Result<BTreeMap<Value, Banned>> {
        let vdom = &self.connection.vdom;
        let response = self.connection.send(api::bans(vdom)).await?;
        // Old firmware has the list under another path.
        let response = if response.status.as_u16() == 404 {
            self.connection.send(api::bans_before(vdom)).await?
        } else {
            response
        };
        let page = Page::<Vec<BanRow>>::read(&response, "banned addresses")
            .map_err(|error| super::connection::name_right(error, "authgrp", "read"))?;
        Ok(by_address(page.results))
    }

    /// Seconds from the firewall's own now to an end; 0 is for ever.
    fn seconds_until(&self, end: Option<DateTime<Utc>>) -> i64 {
        end.map_or(0, |end| {
            let left: TimeDelta = end - self.connection.vendor_time();
            left.num_seconds().max(1)
        })
    }

    async fn persistence(&self, version: Option<Version>) -> Result<Finding> {
        let told = |level, message: &str, hint: Option<&str>| Finding {
            level,
            subject: "restart".into(),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        };
        const AGAIN: &str = "the next run adds what is missing again, with the time that remains";
        if version.is_none_or(|version| version < PERSISTENCE) {
            return Ok(told(
                Level::Warning,
                "a restart of the firewall loses all bans",
                Some(AGAIN),
            ));
        }
        let request = api::ban_settings(&self.connection.vdom);
        let response = self.connection.send(request).await?;
        let kept = Page::<BanSettings>::read(&response, "firewall settings")
            .ok()
            .and_then(|page| page.results.banned_ip_persistency);
        Ok(match kept.as_deref() {
            Some("all") => told(Level::Ok, "bans outlive a restart of the firewall", None),
            Some("permanent-only") => told(
                Level::Ok,
                "bans without an end outlive a restart of the firewall, others do not",
                Some(AGAIN),
            ),
            Some(_) => told(
                Level::Warning,
                "a restart of the firewall loses all bans",
                Some(
                    "config firewall global; set banned-ip-persistency all; end. Without it the next run adds what \
                     is missing again, with the time that remains",
                ),
            ),
            None => told(
                Level::Warning,
                "the firewall does not tell whether bans outlive a restart",
                Some(AGAIN),
            ),
        })
    }
}

#[async_trait]
impl Target for Ban {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let (text, version, vendor_time) = self.connection.status().await?;
        let mut facts = Facts {
            version: Some(text.clone()),
            vendor_time,
            ..Facts::default()
        };
        if version < FIRST_IPV6 {
            let why = format!("FortiOS {text} is not known to ban IPv6 addresses");
            facts.unavailable.push((Kind::Ipv6, why));
        }
        facts.capacity.extend(self.limit.map(|limit| CapacityPool {
            kinds: vec![Kind::Ipv4, Kind::Ipv6],
            limit,
        }));
        Ok(facts)
    }

    async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>> {
        let banned = match self.banned().await {
            Ok(banned) => banned,
            Err(error) => return super::connection::missing_right(error, "ban list"),
        };
        let administrative = banned.values().filter(|ban| ban.administrative).count();
        let version = facts
            .version
            .as_deref()
            .and_then(super::connection::parse_version);
        Ok(vec![
            Finding {
                level: Level::Ok,
                subject: "ban list".into(),
                message: format!(
                    "{} addresses are banned, {} of them by the device itself; what the profile may write shows with \
                     the first change (authgrp)",
                    banned.len(),
                    banned.len() - administrative
                ),
                hint: None,
            },
            Finding {
                level: Level::Ok,
                subject: "effect".into(),
                message: "a ban stops what a banned address starts, and not connections to it"
                    .to_owned(),
                hint: Some(
                    "block destinations with `push-feed`, `feed` or `address-group`".to_owned(),
                ),
            },
            self.persistence(version).await?,
        ])
    }

    fn accept(&self, value: &Value, facts: &Facts) -> Result<Value, Rejection> {
        let missing = facts
            .unavailable
            .iter()
            .find(|(kind, _)| *kind == value.kind());
        if let Some((_, why)) = missing {
            return Err(Rejection::Unsupported(why.clone().into()));
        }
        let host = match value {
            Value::Ipv4(net) => net.prefix_len() == 32,
            Value::Ipv6(net) => net.prefix_len() == 128,
            _ => return Err(Rejection::unsupported("only addresses can be banned")),
        };
        if host {
            Ok(value.clone())
        } else {
            Err(Rejection::unsupported(
                "single addresses can be banned, networks cannot",
            ))
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let banned = self.banned().await?;
        let wanted = |value: &Value| match scope {
            Scope::All => true,
            Scope::Values(values) => values.contains(value),
        };
        Ok(banned
            .into_iter()
            .filter(|(value, _)| wanted(value))
            .map(|(value, ban)| Held {
                id: value.to_string().into(),
                value,
                note: None,
                expires: ban.ends,
                container: None,
                blocks: true,
                allows: false,
                conforms: ban.rows == 1,
                // The firewall's own bans go away with every ban of that address: they are left alone.
                writable: ban.administrative,
            })
            .collect())
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => self.add(writes).await,
            Batch::Update(writes) => self.update(writes).await,
            Batch::Remove(removals) => self.remove(removals).await,
        }
    }

    fn login(&self) -> Option<Login> {
        Some(self.connection.login())
    }

    fn calls(&self) -> Calls {
        self.connection.calls()
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(address: &str, source: &str, expires: Option<i64>) -> BanRow {
        BanRow {
            ip_address: address.to_owned(),
            source: source.to_owned(),
            expires,
        }
    }

    #[test]
    fn rows_of_one_address_are_one_ban() {
        let found = by_address(vec![
            row(
                "2600:0000:0000:0000:0000:0000:0000:0001",
                ADMINISTRATIVE,
                Some(1_790_000_100),
            ),
            row("2600::1", ADMINISTRATIVE, Some(1_790_000_400)),
            row("9.8.7.6", ADMINISTRATIVE, None),
            row("9.8.7.6", "IPS", Some(1_790_000_400)),
            row("somewhere", "IPS", None),
        ]);
        let told: Vec<(String, Option<i64>, usize, bool)> = found
            .into_iter()
            .map(|(value, ban)| {
                let ends = ban.ends.map(|ends| ends.timestamp());
                (value.to_string(), ends, ban.rows, ban.administrative)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("9.8.7.6".to_owned(), None, 2, false),
                ("2600::1".to_owned(), Some(1_790_000_400), 2, true),
            ]
        );
    }

    #[test]
    fn a_few_seconds_make_no_other_end() {
        let at = |seconds| to_the_minute(seconds).unwrap().timestamp();
        assert_eq!(at(1_790_000_399), 1_790_000_400);
        assert_eq!(at(1_790_000_400), 1_790_000_400);
        assert_eq!(at(1_790_000_403), 1_790_000_400);
        assert_eq!(at(1_790_000_431), 1_790_000_460);
    }
}
