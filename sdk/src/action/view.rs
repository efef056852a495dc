//! The actions that only look.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::http::{SeenCertificate, witnessing};
use crate::indicator::Kind;
use crate::ownership::{Owner, Viewer, observe};
use crate::store::LedgerRow;
use crate::sync::{Context, TargetGroup, note_login, proving, recalled, unless_refused};
use crate::target::{Effect, Finding, Foreign, Held, Level, Proof, Scope, Target};

/// What `list_blocked` gives.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Blocked {
    /// The entries, by device and value.
    pub entries: Vec<BlockedEntry>,
    /// How many.
    pub count: usize,
}

/// One entry of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BlockedEntry {
    /// The value.
    pub value: String,
    /// Its kind.
    pub kind: Kind,
    /// Its owner.
    pub owner: String,
    /// Until when, RFC 3339; absent without an end, or where nobody recorded one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The words beside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether the vendor acts on it now.
    pub blocks: bool,
    /// What acting means: `prevent`, or `detect` where the mechanism only tells.
    pub effect: Effect,
    /// The mechanism that holds it.
    pub mechanism: String,
    /// The device.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
}

/// What our installation holds on a target, every owner's or one's.
pub async fn blocked(
    target: &TargetGroup,
    owner: Option<&Owner>,
    context: &Context,
) -> Result<Blocked> {
    let mut entries = Vec::new();
    // Marks are read for the installation; the owner only matters to `formerly`, which is not needed here.
    let nobody = Owner::new("nobody")?;
    for member in &target.members {
        let device = target.device_name(member);
        let target = &*member.target;
        let read = unless_refused(target.login(), context, held(target, context)).await;
        target.close().await;
        let (ledger, listing) = read?;
        let viewer = Viewer {
            installation: &context.environment.installation,
            owner: &nobody,
            formerly: &[],
        };
        let now = context.environment.clock.now();
        let proving = proving(&ledger, &listing, target.capabilities(), now);
        for entry in observe(listing, &proving, target.capabilities().proof, viewer) {
            let kind = entry.held.value.kind();
            if !member.kinds.is_empty() && !member.kinds.contains(&kind) {
                continue;
            }
            let support = target.capabilities().kinds.iter();
            let effect = support
                .clone()
                .find(|it| it.kind == kind)
                .map_or(Effect::Prevent, |it| it.effect);
            for claim in &entry.claims {
                if owner.is_some_and(|owner| claim.owner != *owner) {
                    continue;
                }
                entries.push(BlockedEntry {
                    value: entry.held.value.to_string(),
                    kind,
                    owner: claim.owner.to_string(),
                    until: claim.until.latest().map(|until| until.to_rfc3339()),
                    reason: entry.note.rest.clone(),
                    blocks: entry.held.blocks,
                    effect,
                    mechanism: target.capabilities().mechanism.to_owned(),
                    device: device.clone(),
                });
            }
        }
    }
    Ok(Blocked {
        count: entries.len(),
        entries,
    })
}

/// What the ledger knows of a target, and what the vendor shows.
async fn held(target: &dyn Target, context: &Context) -> Result<(Vec<LedgerRow>, Vec<Held>)> {
    let capabilities = target.capabilities();
    let facts = target.open().await?;
    // Without a record an empty list would mean "I cannot tell", and read as "nothing".
    let only_recorded = match capabilities.proof {
        Proof::Mark { .. } => false,
        Proof::Container => facts.container.is_none(),
        Proof::Ledger => true,
    };
    if only_recorded && context.store.is_none() {
        return Err(Error::config(format!(
            "{} needs a store: nothing else could tell what is ours there",
            capabilities.mechanism
        ))
        .hint("add [store] to the configuration, or give --store"));
    }
    let ledger = match &context.store {
        Some(store) => store.ledger(&target.key().to_string()).await?,
        None => Vec::new(),
    };
    if capabilities.foreign != Foreign::Unseen {
        return Ok((ledger, target.list(Scope::All).await?));
    }
    let listing = recalled(&ledger, context.environment.clock.now());
    Ok((ledger, listing))
}

/// What `check` gives.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Checked {
    /// `ok`, `warning` or `missing`: the worst of all findings.
    pub status: String,
    /// Each device and mechanism.
    pub devices: Vec<CheckedDevice>,
}

impl Checked {
    /// Makes the status the worst of all findings, after some were added.
    pub fn settle(&mut self) {
        let has = |level: &str| {
            self.devices
                .iter()
                .flat_map(|device| &device.findings)
                .any(|finding| finding.level == level)
        };
        let worst = ["missing", "warning"].into_iter().find(|level| has(level));
        worst.unwrap_or("ok").clone_into(&mut self.status);
    }
}

/// One device and mechanism.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CheckedDevice {
    /// The target's key.
    pub name: String,
    /// The mechanism.
    pub mechanism: String,
    /// The device, where there may be several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// The product's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Seconds that our clock is ahead of the vendor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ahead_seconds: Option<i64>,
    /// What was found.
    pub findings: Vec<CheckedFinding>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckedFinding {
    /// `ok`, `warning` or `missing`.
    pub level: String,
    /// What was looked at.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Looks at every device of a target. A device that cannot be opened is a finding, not an error.
pub async fn check(target: &TargetGroup, context: &Context) -> Checked {
    let mut devices = Vec::new();
    for member in &target.members {
        let key = member.target.key();
        let mut device = CheckedDevice {
            name: key.to_string(),
            mechanism: member.target.capabilities().mechanism.to_owned(),
            device: target.device_name(member),
            version: None,
            clock_ahead_seconds: None,
            findings: Vec::new(),
        };
        let (findings, seen) = witnessing(look(&*member.target, context, &mut device)).await;
        member.target.close().await;
        let findings = findings.unwrap_or_else(|error| vec![no_access(&error)]);
        for finding in certificates(&seen).into_iter().chain(findings) {
            device.findings.push(CheckedFinding {
                level: level_name(finding.level).to_owned(),
                subject: finding.subject.into_owned(),
                message: finding.message,
                hint: finding.hint,
            });
        }
        devices.push(device);
    }
    let mut checked = Checked {
        status: String::new(),
        devices,
    };
    checked.settle();
    checked
}

async fn look(
    target: &dyn Target,
    context: &Context,
    device: &mut CheckedDevice,
) -> Result<Vec<Finding>> {
    // Credentials that were refused before are tried all the same: a person asks.
    let opened = target.open().await;
    note_login(target.login(), context, &opened).await?;
    let facts = opened?;
    device.version.clone_from(&facts.version);
    device.clock_ahead_seconds = facts
        .vendor_time
        .map(|vendor| (context.environment.clock.now() - vendor).num_seconds());
    target.examine(&facts).await
}

/// What each host showed, ready to be pinned.
fn certificates(seen: &[SeenCertificate]) -> Vec<Finding> {
    let finding = |shown: &SeenCertificate| {
        let fingerprint = &shown.fingerprint;
        let mut message = fingerprint.clone();
        if seen.len() > 1 {
            message.push_str(" shown by ");
            message.push_str(&shown.host);
        }
        Finding {
            level: if shown.trusted {
                Level::Ok
            } else {
                Level::Missing
            },
            subject: "certificate".into(),
            message,
            hint: (!shown.trusted).then(|| {
                format!("not trusted: compare it on the device, then set tls_fingerprint = \"{fingerprint}\"")
            }),
        }
    };
    seen.iter().map(finding).collect()
}

fn no_access(error: &Error) -> Finding {
    Finding {
        level: Level::Missing,
        subject: "access".into(),
        message: error.to_string(),
        hint: error.hint_text().map(str::to_owned),
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Missing => "missing",
    }
}
