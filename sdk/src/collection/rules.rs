//! The rules that keep values off: excludes, protect lists and the built-in protection in one index.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ipnet::{Ipv4Net, Ipv6Net};

use super::addresses::{AddressSet, Network};
use super::names::{NameRules, UrlRules};
use super::protect::{Protection, RuleId};
use super::reading::Reading;
use crate::indicator::{Indicator, Value};

/// Which rule keeps a value off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `excluded`: by a list of the deployment. `protected`: by a protect list or the built-in protection.
    pub protected: bool,
    /// The list or built-in rule, for people: `exclude list partners`, `special-purpose 10.0.0.0/8`.
    pub text: Cow<'static, str>,
}

/// Everything that keeps a value off: excludes by collection name, and the always-on protection. Without
/// anything said it has the protection's defaults.
#[derive(Clone, Debug)]
pub struct Rules {
    /// In order of precedence: the built-in protection, the protect lists, the excludes.
    rules: Vec<Rule>,
    protection: Protection,
    ipv4: AddressRules<Ipv4Net>,
    ipv6: AddressRules<Ipv6Net>,
    names: NameRules,
    urls: UrlRules,
    /// Hosts of excluded URLs, where they are addresses.
    url_hosts_ipv4: AddressRules<Ipv4Net>,
    url_hosts_ipv6: AddressRules<Ipv6Net>,
    hashes: HashMap<Value, RuleId>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(&[], &[], Protection::default(), DateTime::UNIX_EPOCH)
    }
}

/// What the rules leave of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it.
    Free,
    /// Nothing.
    Refused(Rule),
    /// Of a network, these parts. The rule is the first that takes something away.
    Cut(Rule, Vec<Value>),
}

impl Rules {
    /// Compiles excludes and protect lists. Revoked and not-yet or no-longer valid entries of an exclude
    /// list do not exclude.
    pub fn new(
        excludes: &[&Reading],
        protects: &[&Reading],
        protection: Protection,
        now: DateTime<Utc>,
    ) -> Self {
        let mut builder = Builder::default();
        for (value, text) in &protection.values {
            let rule = builder.rule(true, text.clone());
            builder.add(value, false, rule);
        }
        let protects = protects.iter().map(|reading| (true, *reading));
        let excludes = excludes.iter().map(|reading| (false, *reading));
        for (protected, reading) in protects.chain(excludes) {
            let role = if protected { "protect" } else { "exclude" };
            let rule = builder.rule(protected, format!("{role} list {}", reading.name).into());
            let holds = |indicator: &&Indicator| {
                let validity = &indicator.validity;
                !indicator.revoked
                    && validity.from.is_none_or(|from| from <= now)
                    && validity.until.is_none_or(|until| now < until)
            };
            for indicator in reading.indicators.iter().filter(holds) {
                builder.add(&indicator.value, indicator.exact, rule);
            }
        }
        builder.build(protection)
    }

    /// What keeps this value off whole, if anything: addresses by any overlap is *not* the question here
    /// (networks are cut, see [`Rules::cut`]), only full cover.
    pub fn refuses(&self, value: &Value) -> Option<Rule> {
        if let Some(rule) = self.protection.refuses(value) {
            return Some(rule);
        }
        let rule = match value {
            Value::Ipv4(network) => self.ipv4.covering(network),
            Value::Ipv6(network) => self.ipv6.covering(network),
            Value::Domain(name) => self.names.covering(name.as_str()),
            Value::Url(url) => {
                let host = match url.address() {
                    Some(address) => match Value::from(address) {
                        Value::Ipv4(network) => self.ipv4.covering(&network),
                        Value::Ipv6(network) => self.ipv6.covering(&network),
                        _ => None,
                    },
                    None => self.names.covering(url.host()),
                };
                let url = self.urls.covering(url);
                host.into_iter().chain(url).min()
            }
            Value::Md5(_) | Value::Sha1(_) | Value::Sha256(_) => self.hashes.get(value).copied(),
        };
        rule.map(|rule| self.rule(rule))
    }

    /// The parts of a value that may be blocked: the value itself where no rule touches it; for networks
    /// what is left after exact subtraction, as the fewest prefixes; nothing where a rule covers it.
    pub fn cut(&self, value: &Value) -> Vec<Value> {
        match self.verdict(value) {
            Verdict::Free => vec![value.clone()],
            Verdict::Refused(_) => Vec::new(),
            Verdict::Cut(_, parts) => parts,
        }
    }

    /// Refusal and cut in one look.
    pub(super) fn verdict(&self, value: &Value) -> Verdict {
        if let Some(rule) = self.refuses(value) {
            return Verdict::Refused(rule);
        }
        let cut = match value {
            Value::Ipv4(network) => self.ipv4.cut(network, Value::Ipv4),
            Value::Ipv6(network) => self.ipv6.cut(network, Value::Ipv6),
            _ => None,
        };
        match cut {
            Some((rule, parts)) => Verdict::Cut(self.rule(rule), parts),
            None => Verdict::Free,
        }
    }

    /// Whether an entry that also matches below itself (`matches_below`) would hit something excluded: the
    /// rule on the excluded name or URL it would hit. URLs are compared without scheme, port, case and query,
    /// which vendors match or not. An address is in conflict with an excluded URL on it.
    pub fn conflict(&self, value: &Value) -> Option<Rule> {
        let rule = match value {
            Value::Ipv4(network) => self.url_hosts_ipv4.touching(network),
            Value::Ipv6(network) => self.url_hosts_ipv6.touching(network),
            Value::Domain(name) => {
                let name = name.as_str();
                self.names
                    .below(name)
                    .or_else(|| self.urls.on_hosts_below(name))
            }
            Value::Url(url) => self.urls.hit(url),
            Value::Md5(_) | Value::Sha1(_) | Value::Sha256(_) => None,
        };
        rule.map(|rule| self.rule(rule))
    }

    /// The rule on an excluded URL on a host of exactly this name: whoever blocks the name blocks it too.
    pub fn url_on(&self, host: &str) -> Option<Rule> {
        self.urls.on_host(host).map(|rule| self.rule(rule))
    }

    fn rule(&self, rule: RuleId) -> Rule {
        self.rules[usize::from(rule)].clone()
    }
}

/// The rules on one family's addresses.
#[derive(Clone, Debug, Default)]
struct AddressRules<N: Network> {
    /// All of them, for the question that is asked a million times.
    merged: AddressSet<N>,
    /// One by one, to say which it was.
    single: Vec<(RuleId, AddressSet<N>)>,
}

impl<N: Network> AddressRules<N> {
    fn new(mut networks: Vec<(RuleId, N)>) -> Self {
        networks.sort_by_key(|(rule, _)| *rule);
        let single: Vec<(RuleId, AddressSet<N>)> = networks
            .chunk_by(|(a, _), (b, _)| a == b)
            .map(|chunk| {
                (
                    chunk[0].0,
                    chunk.iter().map(|(_, network)| *network).collect(),
                )
            })
            .collect();
        let merged = networks.into_iter().map(|(_, network)| network).collect();
        Self { merged, single }
    }

    /// The first rule that covers the network alone; where only several together do, the first that takes
    /// part.
    fn covering(&self, network: &N) -> Option<RuleId> {
        if !self.merged.covers(network) {
            return None;
        }
        let alone = self.single.iter().find(|(_, set)| set.covers(network));
        alone.map(|(rule, _)| *rule).or_else(|| self.first(network))
    }

    /// The first rule on any address of the network.
    fn touching(&self, network: &N) -> Option<RuleId> {
        self.merged
            .intersects(network)
            .then(|| self.first(network))
            .flatten()
    }

    fn first(&self, network: &N) -> Option<RuleId> {
        let mut rules = self.single.iter();
        rules
            .find(|(_, set)| set.intersects(network))
            .map(|(rule, _)| *rule)
    }

    /// The first rule that takes something away, and what is left; `None` where none does.
    fn cut(&self, network: &N, value: impl Fn(N) -> Value) -> Option<(RuleId, Vec<Value>)> {
        let rule = self.touching(network)?;
        let parts = self.merged.cut(network).into_iter().map(value).collect();
        Some((rule, parts))
    }
}

#[derive(Default)]
struct Builder {
    rules: Vec<Rule>,
    ipv4: Vec<(RuleId, Ipv4Net)>,
    ipv6: Vec<(RuleId, Ipv6Net)>,
    url_hosts_ipv4: Vec<(RuleId, Ipv4Net)>,
    url_hosts_ipv6: Vec<(RuleId, Ipv6Net)>,
    names: NameRules,
    urls: UrlRules,
    hashes: HashMap<Value, RuleId>,
}

impl Builder {
    /// Lists beyond the last number share it: what they keep off is kept off, under the last one's name.
    fn rule(&mut self, protected: bool, text: Cow<'static, str>) -> RuleId {
        match RuleId::try_from(self.rules.len()) {
            Ok(rule) => {
                self.rules.push(Rule { protected, text });
                rule
            }
            Err(_) => RuleId::MAX,
        }
    }

    fn add(&mut self, value: &Value, exact: bool, rule: RuleId) {
        match value {
            Value::Ipv4(network) => self.ipv4.push((rule, *network)),
            Value::Ipv6(network) => self.ipv6.push((rule, *network)),
            Value::Domain(name) => self.names.add(name.as_str(), exact, rule),
            Value::Url(url) => {
                match url.address().map(Value::from) {
                    Some(Value::Ipv4(network)) => self.url_hosts_ipv4.push((rule, network)),
                    Some(Value::Ipv6(network)) => self.url_hosts_ipv6.push((rule, network)),
                    _ => {}
                }
                self.urls.add(url, rule);
            }
            Value::Md5(_) | Value::Sha1(_) | Value::Sha256(_) => {
                self.hashes.entry(value.clone()).or_insert(rule);
            }
        }
    }

    fn build(mut self, protection: Protection) -> Rules {
        self.names.finish();
        self.urls.finish();
        Rules {
            rules: self.rules,
            protection,
            ipv4: AddressRules::new(self.ipv4),
            ipv6: AddressRules::new(self.ipv6),
            names: self.names,
            urls: self.urls,
            url_hosts_ipv4: AddressRules::new(self.url_hosts_ipv4),
            url_hosts_ipv6: AddressRules::new(self.url_hosts_ipv6),
            hashes: self.hashes,
        }
    }
}

#[cfg(test)]
mod tests;
