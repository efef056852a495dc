//! `cordon check`: what the credentials of every target may do, and what is missing on the vendors' side.

use std::sync::Arc;

use sdk::action::{Checked, CheckedFinding, check};
use sdk::store::Store;
use sdk::target::{Capabilities, Proof};
use sdk::{Error, ErrorKind};
use serde_json::{Value as Json, json};

use super::{Outcome, block_on, check_clock, configuration, context, group};
use crate::cli::Global;
use crate::config::{Config, TargetConfig, endpoint};
use crate::output::{Output, plain};
use crate::store::ClockUse;

/// Looks at the named targets, or at all. Nothing is changed, and no store is needed.
pub(crate) fn run(names: &[String], global: &Global, output: Output) -> Outcome {
    let config = configuration(global)?;
    let targets = chosen(&config, names)?;
    let loopback = targets
        .iter()
        .all(|(_, target)| endpoint::only_loopback(target.connector, &target.settings));
    let clock = check_clock(global, loopback)?;
    let mut context = context(clock, config.installation.as_str(), None, global);
    block_on(async {
        let store = look_at_store(&config).await;
        // A login that is not refused any more is let in again.
        if let StoreState::Good(store) = &store {
            context.store = Some(Arc::clone(store));
        }
        let mut checked = Vec::new();
        for (name, target) in &targets {
            let group = group(name, target, &context)?;
            let mut found = check(&group, &context).await;
            for (member, device) in group.members.iter().zip(&mut found.devices) {
                device
                    .findings
                    .extend(store.finding(member.target.capabilities()));
            }
            found.settle();
            checked.push((*name, found));
        }
        let status = worst(&checked);
        output.result(&to_json(status, &checked), || text(&checked, output));
        Ok(if status == "missing" {
            Error::new(ErrorKind::Config, status).exit_code()
        } else {
            0
        })
    })
}

/// The configured store, as far as a look tells.
enum StoreState {
    None,
    Good(Arc<dyn Store>),
    Broken(Error),
}

async fn look_at_store(config: &Config) -> StoreState {
    match &config.store {
        None => StoreState::None,
        // Opening makes the file where it is missing, as the first sync would.
        Some(path) => match crate::store::open(path, ClockUse::System).await {
            Ok(opened) => StoreState::Good(opened.store),
            Err(error) => StoreState::Broken(error),
        },
    }
}

impl StoreState {
    /// What it means for a mechanism; nothing where all is well.
    fn finding(&self, capabilities: &Capabilities) -> Option<CheckedFinding> {
        const ADD: &str = "add [store] with url = \"sqlite:cordon.db\"";
        let mechanism = capabilities.mechanism;
        let (level, message, hint) = match (self, capabilities.proof) {
            (Self::Good(_), _) | (Self::None, Proof::Mark { .. }) => return None,
            (Self::None, Proof::Ledger) => (
                "missing",
                format!("{mechanism} needs one: nothing else could prove what is ours there"),
                Some(ADD),
            ),
            (Self::None, Proof::Container) => (
                "warning",
                format!(
                    "{mechanism} needs one, unless its container is marked as one deployment's own"
                ),
                Some(ADD),
            ),
            (Self::Broken(error), _) => ("missing", error.to_string(), error.hint_text()),
        };
        Some(CheckedFinding {
            level: level.to_owned(),
            subject: "store".to_owned(),
            message,
            hint: hint.map(str::to_owned),
        })
    }
}

fn chosen<'a>(
    config: &'a Config,
    names: &[String],
) -> Result<Vec<(&'a str, &'a TargetConfig)>, Error> {
    let known: Vec<&str> = config.targets.keys().map(String::as_str).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Error::input(format!("there is no target {unknown:?}"))
            .hint(format!("known are {}", known.join(", "))));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(config
        .targets
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, target)| (name.as_str(), target))
        .collect())
}

fn worst(checked: &[(&str, Checked)]) -> &'static str {
    let has = |status: &str| checked.iter().any(|(_, checked)| checked.status == status);
    ["missing", "warning"]
        .into_iter()
        .find(|status| has(status))
        .unwrap_or("ok")
}

fn to_json(status: &str, checked: &[(&str, Checked)]) -> Json {
    let targets: Vec<Json> = checked
        .iter()
        .map(|(name, checked)| json!({ "target": name, "status": checked.status, "devices": checked.devices }))
        .collect();
    json!({ "status": status, "targets": targets })
}

/// One table; what is to be done about a finding stands below it.
fn text(checked: &[(&str, Checked)], output: Output) -> String {
    let mut rows = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for (name, checked) in checked {
        for device in &checked.devices {
            let mut row = |level: &str, subject: &str, message: &str| {
                rows.push(vec![
                    plain(name),
                    device.mechanism.clone(),
                    plain(&device.device),
                    level.to_owned(),
                    subject.to_owned(),
                    plain(message),
                ]);
            };
            if let Some(version) = &device.version {
                row("ok", "version", version);
            }
            if let Some(seconds) = device.clock_ahead_seconds {
                let level = if seconds.abs() > 60 { "warning" } else { "ok" };
                row(
                    level,
                    "clock",
                    &format!("{seconds} s ahead of the vendor's"),
                );
            }
            for finding in &device.findings {
                row(&finding.level, &finding.subject, &finding.message);
                if let Some(hint) = &finding.hint {
                    let line = format!("hint: {}: {}", finding.subject, plain(hint));
                    if !hints.contains(&line) {
                        hints.push(line);
                    }
                }
            }
        }
    }
    let header = ["target", "mechanism", "device", "", "what", "found"];
    let mut text = output.table(&header, &rows);
    for hint in hints {
        text.push('\n');
        text.push_str(&hint);
    }
    text
}
