//! The shape of `cordon.toml`. Its JSON schema, `manifests/cordon.schema.json`, is generated from here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use sdk::Secret;
use sdk::indicator::Kind;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// Configuration of Cordon.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The name of this installation in marks; set once. Default `main`.
    #[serde(default)]
    pub installation: Option<String>,
    /// Where the ledger, runs and held sets are kept. Without it only what the vendor itself can carry
    /// is known.
    #[serde(default)]
    pub store: Option<Store>,
    /// Where indicators and exceptions come from.
    #[serde(default)]
    pub collections: BTreeMap<String, Collection>,
    /// Vendor products.
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
    /// What goes where; a deployment's name is the owner of its entries.
    #[serde(default)]
    pub deployments: BTreeMap<String, Deployment>,
    /// Who is told when somebody has to look.
    #[serde(default)]
    pub webhook: Option<Webhook>,
}

/// The store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// `sqlite:PATH`; a relative path starts at this file's directory.
    pub url: String,
}

/// A named set of indicators. Exactly one of `stix`, `list`, `warninglist` and `sekoia` says what it is: a
/// path (relative to this file) or an https URL, or for `sekoia` an id.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collection {
    /// A STIX bundle.
    #[serde(default)]
    pub stix: Option<String>,
    /// A text or CSV list.
    #[serde(default)]
    pub list: Option<String>,
    /// A MISP warninglist.
    #[serde(default)]
    pub warninglist: Option<String>,
    /// An IOC collection (`ioc-collection--…`) or feed at Sekoia.
    #[serde(default)]
    pub sekoia: Option<String>,
    /// With `sekoia`: the region's URL. Default `https://api.sekoia.io`.
    #[serde(default)]
    pub base_url: Option<String>,
    /// With `sekoia`: an API key with the right View IOC collections.
    #[serde(default)]
    #[schemars(with = "Option<SecretReference>")]
    pub api_key: Option<Secret>,
    /// With `sekoia`: how it is read. Default `stix`.
    #[serde(default)]
    pub format: Option<SekoiaFormat>,
    /// Whose it is; `*` for everybody.
    #[serde(default)]
    pub tenant: Option<String>,
}

/// Where a secret stands.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is used: the secret is put in its place before"
)]
pub(crate) enum SecretReference {
    /// In this environment variable.
    Env(String),
    /// In this file.
    File(String),
}

/// How a collection at Sekoia is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SekoiaFormat {
    /// As its objects, with dates and revocations.
    #[default]
    Stix,
    /// As lines of text, which have no dates: nothing carries an end, and what starts later is taken at
    /// once.
    Text,
}

/// A vendor product with its credentials. Every other key is the connector's own; secrets are
/// `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct Target {
    /// The connector: `cordon connectors` lists them.
    pub connector: String,
    /// Whose it is; `*` for everybody.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The connector's own settings.
    #[serde(flatten)]
    pub settings: Map<String, Json>,
}

/// Includes − excludes, sent to targets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deployment {
    /// Whose it is; `*` for everybody.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Collections to block; where not all fits, the first ones go before the last ones.
    #[schemars(length(min = 1))]
    pub include: Vec<String>,
    /// Collections not to block.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Collections never to block.
    #[serde(default)]
    pub protect: Vec<String>,
    /// Targets to block on.
    #[schemars(length(min = 1))]
    pub targets: Vec<String>,
    /// When `cordon serve` runs it: five fields as in cron.
    #[serde(default)]
    pub schedule: Option<String>,
    /// How long indicators without an end hold, by kind, counted from their start: `30d`, `12h`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = kind_names()))]
    pub default_validity: BTreeMap<Kind, String>,
    /// Included names stand for all names below them too. Default `false`.
    #[serde(default)]
    pub subdomains: bool,
    /// Take over equal entries of others: our mark is added, nothing is shortened. Default `false`.
    #[serde(default)]
    pub adopt: bool,
    /// Send kinds that the mechanism only detects. Default `true`.
    #[serde(default)]
    pub accept_detection: Option<bool>,
    /// Without a store, write entries whose end only a store could know. Default `false`.
    #[serde(default)]
    pub accept_unbounded: bool,
    /// Earlier names of this deployment, whose entries are its own.
    #[serde(default)]
    pub formerly: Vec<String>,
    /// Limits on change; what goes beyond them waits for `cordon approve`.
    #[serde(default)]
    pub guard: Guard,
    /// Refuse special-purpose addresses (private, documentation, loopback and the like). `false` is taken
    /// only where every target is on loopback. Default `true`.
    #[serde(default)]
    pub special_purpose: Option<bool>,
    /// Refuse bare public suffixes and single labels. Default `true`.
    #[serde(default)]
    pub public_suffixes: Option<bool>,
    /// Widest IPv4 network taken, as a prefix length. Default 8.
    #[serde(default)]
    #[schemars(range(min = 0, max = 32))]
    pub widest_ipv4: Option<u8>,
    /// Widest IPv6 network taken, as a prefix length. Default 24.
    #[serde(default)]
    #[schemars(range(min = 0, max = 128))]
    pub widest_ipv6: Option<u8>,
}

/// The keys of a map by kind: the generator only knows that they are texts.
fn kind_names() -> Json {
    serde_json::json!({ "enum": Kind::ALL.map(Kind::name) })
}

/// Limits on change.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guard {
    /// Largest share of removals, of what the deployment has there. Default 0.3.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub removals_share: Option<f64>,
    /// Removals up to this many are never held. Default 10.
    #[serde(default)]
    pub removals_floor: Option<usize>,
    /// Largest share of revocations. Default 0.5.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub revocations_share: Option<f64>,
    /// Revocations up to this many are never held. Default 10.
    #[serde(default)]
    pub revocations_floor: Option<usize>,
    /// Additions up to this many are never held. Default 1000.
    #[serde(default)]
    pub additions_floor: Option<usize>,
    /// Additions up to this many times what the deployment has there are never held. Default 3.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub additions_factor: Option<f64>,
    /// Most IPv4 addresses that additions may cover in all. Default 16777216, a /8.
    #[serde(default)]
    pub ipv4_space: Option<u64>,
}

/// Who is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    /// An https URL that takes a JSON object by POST.
    pub url: String,
    /// What is told. Default all of them.
    #[serde(default = "WebhookEvent::all")]
    pub on: Vec<WebhookEvent>,
}

/// What a webhook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WebhookEvent {
    /// Changes wait for approval.
    Held,
    /// A run failed.
    Failed,
    /// An entry is still there more than an hour after its end.
    Overdue,
}

impl WebhookEvent {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        vec![Self::Held, Self::Failed, Self::Overdue]
    }
}
