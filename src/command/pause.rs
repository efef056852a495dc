//! `cordon pause` and `cordon resume`.

use sdk::Error;
use serde_json::json;

use super::history::{Event, record};
use crate::config::Secrets;

use super::{Outcome, block_on, configuration_without_secrets, needed_store};
use crate::cli::Global;
use crate::environment;
use crate::output::Output;

/// Pauses with a reason, resumes without.
pub(crate) fn run(target: &str, reason: Option<&str>, global: &Global, output: Output) -> Outcome {
    if reason == Some("") {
        return Err(Error::input("--reason is empty")
            .hint("say why: it stands in every report until the target is resumed")
            .into());
    }
    let config = configuration_without_secrets(global)?;
    let known = config.targets.contains_key(target);
    // A target that left the configuration can still be resumed.
    if !known && reason.is_some() {
        let names: Vec<&str> = config.targets.keys().map(String::as_str).collect();
        return Err(Error::input(format!("there is no target {target:?}"))
            .hint(format!("known are {}", names.join(", ")))
            .into());
    }
    block_on(async {
        let opened = needed_store(&config, global).await?;
        let key = format!("pause/{target}");
        let before = opened.store.get(&key).await?;
        if reason.is_none() && before.is_none() {
            output.result(
                &json!({ "status": "ok", "target": target, "paused": false }),
                || format!("{target} was not paused"),
            );
            return Ok(0);
        }
        opened.store.set(&key, reason).await?;
        // Actions call the same account by another name.
        for key in account_keys(target, global) {
            opened.store.set(&format!("pause/{key}"), reason).await?;
        }
        let actor = environment::actor(global.actor.as_deref());
        let event = Event {
            at: environment::clock(global.clock.as_deref())?.now(),
            actor,
            action: if reason.is_some() { "pause" } else { "resume" }.to_owned(),
            subject: target.to_owned(),
            text: reason.unwrap_or_default().to_owned(),
        };
        record(&*opened.store, &event).await?;
        output.result(
            &json!({ "status": "ok", "target": target, "paused": reason.is_some() }),
            || match reason {
                Some(reason) => format!("{target} is paused: {reason}"),
                None => format!("{target} is resumed"),
            },
        );
        Ok(0)
    })
}

/// The keys of a target's devices. A target that left the configuration, or whose secrets are not at hand,
/// is paused by its name alone.
fn account_keys(target: &str, global: &Global) -> Vec<String> {
    let connectors = crate::connectors::all();
    let secrets = Secrets::From(&environment::variable);
    let Ok(config) = crate::config::load(&global.config, &connectors, secrets) else {
        return Vec::new();
    };
    let environment = environment::outside(sdk::Clock::system(), config.installation.as_str());
    let members = config.targets.get(target).and_then(|target| {
        sdk::action::members(target.connector, target.settings.clone(), &environment).ok()
    });
    members
        .unwrap_or_default()
        .iter()
        .map(|member| member.target.key().to_string())
        .collect()
}
