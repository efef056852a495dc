//! `cordon fake`: a faithful fake vendor on loopback.

use std::collections::BTreeMap;

use sdk::Error;
use sdk::fake::{FakeOptions, Switches, Transport};
use serde_json::{Value as Json, json};

use super::{Outcome, Signals, block_on};
use crate::cli::{Fake, Global};
use crate::connectors;
use crate::environment;
use crate::output::Output;

/// Starts it, says how to reach it, and stays until a signal.
pub(crate) fn run(arguments: &Fake, global: &Global, output: Output) -> Outcome {
    let connector = connectors::find(&arguments.vendor)?;
    let mut switches = Switches::default();
    for text in &arguments.switch {
        let (name, position) = pair(text, "--switch")?;
        switches = switches.with(name, position);
    }
    let mut settings = BTreeMap::new();
    for text in &arguments.set {
        let (name, value) = pair(text, "--set")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
        settings.insert(name.to_owned(), value);
    }
    let options = FakeOptions {
        clock: environment::clock(global.clock.as_deref())?,
        transport: if arguments.http {
            Transport::Http
        } else {
            Transport::Tls
        },
        port: arguments.port,
        switches,
        settings,
    };
    block_on(async {
        let mut signals = Signals::new()?;
        let fake = (connector.fake)(options).await?;
        if let (Some(path), Some(pem)) = (&arguments.ca_out, &fake.server.ca_pem) {
            std::fs::write(path, pem).map_err(|error| {
                Error::config("the CA's certificate cannot be written")
                    .with("file", path.display())
                    .because(error)
            })?;
        }
        let value = json!({
            "vendor": connector.name,
            "url": fake.server.url,
            "configuration": fake.configuration,
            "switches": fake.state.switches().iter().map(|switch| json!({
                "name": switch.name,
                "about": switch.about,
                "positions": switch.positions,
            })).collect::<Vec<_>>(),
        });
        output.result(&value, || {
            let rows: Vec<Vec<String>> = fake
                .state
                .switches()
                .iter()
                .map(|switch| {
                    vec![
                        switch.name.to_owned(),
                        switch.positions.join("|"),
                        switch.about.to_owned(),
                    ]
                })
                .collect();
            let mut text = format!(
                "a fake {} answers on {}\nconfiguration: {}",
                connector.title, fake.server.url, fake.configuration
            );
            if !rows.is_empty() {
                text.push('\n');
                text.push_str(&output.table(&["switch", "positions", "about"], &rows));
            }
            text
        });
        signals.next().await;
        Ok(0)
    })
}

fn pair<'a>(text: &'a str, option: &str) -> Result<(&'a str, &'a str), Error> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Error::input(format!("{option} {text:?} is not of the form NAME=VALUE")))
}
