//! `cordon connectors`: what there is. Calls nobody and starts nothing.

use sdk::connector::Connector;
use sdk::indicator::Kind;
use sdk::target::{Capabilities, Effect, EndKnownBy, Foreign, Granularity};
use serde_json::{Value as Json, json};

use super::Outcome;
use crate::connectors;
use crate::output::Output;

/// Prints them.
pub(crate) fn show(output: Output) -> Outcome {
    let all = connectors::all();
    let value: Vec<Json> = all.iter().map(|connector| to_json(connector)).collect();
    output.result(&value, || {
        all.iter()
            .map(|connector| text(connector, output))
            .collect::<Vec<_>>()
            .join("\n\n")
    });
    Ok(0)
}

fn text(connector: &Connector, output: Output) -> String {
    let rows: Vec<Vec<String>> = connector
        .mechanisms
        .iter()
        .map(|mechanism| {
            vec![
                mechanism.mechanism.to_owned(),
                kinds(mechanism, Effect::Prevent),
                kinds(mechanism, Effect::Detect),
                end(mechanism).to_owned(),
                mechanism
                    .capacity
                    .map_or_else(|| "-".to_owned(), |capacity| capacity.to_string()),
            ]
        })
        .collect();
    let header = [
        "mechanism",
        "prevents",
        "detects",
        "end known by",
        "at most",
    ];
    let mut text = format!("{} ({})\n", output.bold(connector.title), connector.name);
    if rows.is_empty() {
        text.push_str("no mechanism: it is a source, with actions of its own");
    } else {
        text.push_str(&output.table(&header, &rows));
    }
    for action in connector.actions {
        let action = (action.info)();
        text.push_str(&format!("\n{}: {}", action.command, action.description));
    }
    for mechanism in connector.mechanisms {
        text.push_str(&format!("\n{}: {}", mechanism.mechanism, mechanism.summary));
        if !mechanism.rights.is_empty() {
            text.push_str(&format!("\n  rights: {}", mechanism.rights.join(", ")));
        }
    }
    text
}

fn kinds(mechanism: &Capabilities, effect: Effect) -> String {
    let names: Vec<&str> = mechanism
        .kinds
        .iter()
        .filter(|support| support.effect == effect)
        .map(|support| Kind::name(support.kind))
        .collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(" ")
    }
}

fn end(mechanism: &Capabilities) -> &'static str {
    match mechanism.end_known_by {
        EndKnownBy::Native => "native",
        EndKnownBy::Mark => "mark",
        EndKnownBy::Ledger => "ledger",
    }
}

/// The same for machines; also part of the generated catalogue.
pub(crate) fn to_json(connector: &Connector) -> Json {
    let mechanisms: Vec<Json> = connector
        .mechanisms
        .iter()
        .map(|mechanism| {
            json!({
                "name": mechanism.mechanism,
                "summary": mechanism.summary,
                "kinds": mechanism.kinds.iter().map(|support| json!({
                    "kind": support.kind,
                    "effect": match support.effect {
                        Effect::Prevent => "prevent",
                        Effect::Detect => "detect",
                    },
                    "networks": support.networks,
                    "matches_below": support.matches_below,
                })).collect::<Vec<_>>(),
                "end_known_by": end(mechanism),
                "foreign": match mechanism.foreign {
                    Foreign::Listed => "listed",
                    Foreign::LookedUp => "looked_up",
                    Foreign::Coexists => "coexists",
                    Foreign::Unseen => "unseen",
                },
                "granularity": match mechanism.granularity {
                    Granularity::Row => "row",
                    Granularity::List => "list",
                    Granularity::Feed => "feed",
                },
                "write_batch": mechanism.write_batch,
                "remove_batch": mechanism.remove_batch,
                "capacity": mechanism.capacity,
                "staged": mechanism.staged,
                "rights": mechanism.rights,
            })
        })
        .collect();
    json!({
        "name": connector.name,
        "title": connector.title,
        "mechanisms": mechanisms,
    })
}
