//! What the suite runs against: a connector with its fake, or the memory vendor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::clock::Clock;
use crate::connector::{Connector, Environment};
use crate::error::{Error, Result};
use crate::fake::{Fake, FakeOptions, FakeState, Fault, FaultAction, Switches};
use crate::ownership::Owner;
use crate::target::{Capabilities, Target};
use crate::testing::memory::{Flavour, MemoryVendor, Trouble};

/// Something that can be put under test again and again, each time fresh.
#[async_trait::async_trait]
pub trait Subject: Send + Sync {
    /// Its name in reports.
    fn title(&self) -> String;

    /// What is declared.
    fn capabilities(&self) -> &Capabilities;

    /// A fresh vendor. `device` is the vendor's clock.
    async fn start(&self, device: &Clock) -> Result<Box<dyn Rig>>;
}

/// One vendor under test.
pub trait Rig: Send + Sync {
    /// The vendor's side.
    fn state(&self) -> Arc<dyn FakeState>;

    /// Clients of it, as a new process would make them, one per device.
    fn targets(&self, environment: &Environment, owner: &Owner) -> Result<Vec<Arc<dyn Target>>>;

    /// Makes trouble; `false` where this rig has no such trouble.
    fn disturb(&self, trouble: Trouble) -> bool;

    /// Ends all trouble.
    fn calm(&self);

    /// Calls that the vendor got so far.
    fn calls(&self) -> usize;

    /// `path?query` of every call so far, as sent.
    fn addresses(&self) -> Vec<String>;

    /// The secrets of the configuration; empty where there are none.
    fn secrets(&self) -> Vec<String>;
}

/// A connector, one of its mechanisms, and its fake with certain switches.
#[derive(Clone, Debug)]
pub struct ConnectorSubject {
    connector: Connector,
    capabilities: &'static Capabilities,
    switches: Switches,
    settings: BTreeMap<String, Json>,
    combination: String,
}

impl ConnectorSubject {
    /// A mechanism of a connector, switches at their defaults. An error if the connector has no such
    /// mechanism.
    pub fn new(connector: Connector, mechanism: &str) -> Result<Self> {
        let capabilities = connector
            .mechanisms
            .iter()
            .find(|capabilities| capabilities.mechanism == mechanism)
            .ok_or_else(|| {
                Error::input(format!("{} has no mechanism {mechanism:?}", connector.name))
            })?;
        Ok(Self {
            connector,
            capabilities,
            switches: Switches::default(),
            settings: BTreeMap::new(),
            combination: "defaults".to_owned(),
        })
    }

    /// With the fake's switches set, under a name for reports.
    #[must_use]
    pub fn switches(mut self, combination: &str, switches: Switches) -> Self {
        combination.clone_into(&mut self.combination);
        self.switches = switches;
        self
    }

    /// With more of the fake's settings.
    #[must_use]
    pub fn settings(mut self, settings: &BTreeMap<String, Json>) -> Self {
        self.settings.clone_from(settings);
        self
    }
}

#[async_trait::async_trait]
impl Subject for ConnectorSubject {
    fn title(&self) -> String {
        format!(
            "{} {}, switches: {}",
            self.connector.name, self.capabilities.mechanism, self.combination
        )
    }

    fn capabilities(&self) -> &Capabilities {
        self.capabilities
    }

    async fn start(&self, device: &Clock) -> Result<Box<dyn Rig>> {
        let mut options = FakeOptions::plain(device.clone());
        options.switches = self.switches.clone();
        options.settings = self.settings.clone();
        let fake = (self.connector.fake)(options).await?;
        let mut configuration = fake.configuration.clone();
        if let Json::Object(fields) = &mut configuration {
            fields.insert("mechanism".to_owned(), self.capabilities.mechanism.into());
        }
        Ok(Box::new(FakeRig {
            connector: self.connector,
            mechanism: self.capabilities.mechanism,
            fake,
            configuration,
        }))
    }
}

struct FakeRig {
    connector: Connector,
    mechanism: &'static str,
    fake: Fake,
    configuration: Json,
}

impl Rig for FakeRig {
    fn state(&self) -> Arc<dyn FakeState> {
        Arc::clone(&self.fake.state)
    }

    fn targets(&self, environment: &Environment, _: &Owner) -> Result<Vec<Arc<dyn Target>>> {
        let mut targets = (self.connector.targets)(self.configuration.clone(), environment)?;
        targets.retain(|target| target.capabilities().mechanism == self.mechanism);
        Ok(targets)
    }

    fn disturb(&self, trouble: Trouble) -> bool {
        let faults = &self.fake.server.faults;
        match trouble {
            Trouble::Break {
                after,
                applied,
                lasting,
            } => {
                let action = if applied {
                    FaultAction::ResetAfter
                } else {
                    FaultAction::ResetBefore
                };
                faults.push(Fault::new(action).after(after).times(1));
                if lasting {
                    // Does not count the call that the first one strikes.
                    faults.push(
                        Fault::new(FaultAction::ResetBefore)
                            .after(after)
                            .times(usize::MAX),
                    );
                }
            }
            Trouble::Refuse {
                after,
                times,
                status,
                retry_after,
            } => {
                let headers = retry_after
                    .map(|seconds| ("retry-after".to_owned(), seconds.to_string()))
                    .into_iter()
                    .collect();
                let body = "the contract suite says no".to_owned();
                faults.push(
                    Fault::new(FaultAction::Answer {
                        status,
                        headers,
                        body,
                    })
                    .after(after)
                    .times(times),
                );
            }
            Trouble::Meddle { after, hand } => {
                let pass = FaultAction::Slow(Duration::ZERO);
                faults.push(Fault::new(pass).after(after).times(1).also(move || hand()));
            }
        }
        true
    }

    fn calm(&self) {
        self.fake.server.faults.clear();
    }

    fn calls(&self) -> usize {
        self.fake.server.log.count(|_| true)
    }

    fn addresses(&self) -> Vec<String> {
        self.fake
            .server
            .log
            .all()
            .into_iter()
            .map(|call| format!("{}?{}", call.path, call.query))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        let schema = Json::from((self.connector.schema)());
        let mut secrets = Vec::new();
        collect_secrets(
            &self.configuration,
            Some(&schema),
            &schema,
            false,
            &mut secrets,
        );
        secrets
    }
}

/// Every text of a configuration whose schema, or whose name, says that it is a secret.
fn collect_secrets(
    found: &Json,
    schema: Option<&Json>,
    root: &Json,
    named: bool,
    secrets: &mut Vec<String>,
) {
    let schema = schema.and_then(|schema| resolve(schema, root));
    let marked = schema.is_some_and(|schema| schema.get("x-secret").is_some());
    match found {
        Json::String(text) if (marked || named) && text.len() >= 4 => secrets.push(text.clone()),
        Json::Object(fields) => {
            for (name, field) in fields {
                let property = schema
                    .and_then(|schema| schema.get("properties")?.get(name))
                    .or_else(|| schema?.get("additionalProperties"));
                let named = named
                    || ["secret", "token", "password", "api_key"]
                        .iter()
                        .any(|word| name.contains(word));
                collect_secrets(field, property, root, named, secrets);
            }
        }
        Json::Array(items) => {
            let inner = schema.and_then(|schema| schema.get("items"));
            for item in items {
                collect_secrets(item, inner, root, named, secrets);
            }
        }
        _ => {}
    }
}

/// Follows one reference inside the schema.
fn resolve<'a>(schema: &'a Json, root: &'a Json) -> Option<&'a Json> {
    match schema.get("$ref").and_then(Json::as_str) {
        Some(reference) => root.pointer(reference.strip_prefix('#')?),
        None => Some(schema),
    }
}

/// The memory vendor in one flavour.
#[derive(Clone, Debug)]
pub struct MemorySubject(pub Flavour);

#[async_trait::async_trait]
impl Subject for MemorySubject {
    fn title(&self) -> String {
        format!("memory, {}", self.0.name)
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    async fn start(&self, device: &Clock) -> Result<Box<dyn Rig>> {
        Ok(Box::new(MemoryRig(MemoryVendor::new(
            self.0.clone(),
            device.clone(),
        ))))
    }
}

struct MemoryRig(MemoryVendor);

impl Rig for MemoryRig {
    fn state(&self) -> Arc<dyn FakeState> {
        Arc::new(self.0.clone())
    }

    fn targets(&self, _: &Environment, owner: &Owner) -> Result<Vec<Arc<dyn Target>>> {
        Ok(vec![Arc::new(self.0.target(owner))])
    }

    fn disturb(&self, trouble: Trouble) -> bool {
        // What a client makes of one bad status is the HTTP client's business, and it has none.
        let possible = !matches!(trouble, Trouble::Refuse { times, .. } if times != usize::MAX);
        if possible {
            self.0.disturb(trouble);
        }
        possible
    }

    fn calm(&self) {
        self.0.calm();
    }

    fn calls(&self) -> usize {
        self.0.calls()
    }

    fn addresses(&self) -> Vec<String> {
        Vec::new()
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}
