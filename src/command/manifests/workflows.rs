//! Examples for engines that run containers: flows of Kestra, templates of Argo Workflows.

use sdk::action::ActionInfo;
use sdk::connector::Connector;
use serde_json::{Value as Json, json};

use super::argument::{self, Argument};
use super::{Files, fields, schema, text};

/// The actions that examples are made of.
const SHOWN: [&str; 3] = ["sync_collection", "block", "unblock"];

/// The one that runs by itself, and how often.
const SCHEDULED: (&str, &str) = ("sync_collection", "*/5 * * * *");

/// Where the example's collection is.
const COLLECTION: &str = "https://intel.example.com/collection.json";

/// Adds the examples.
pub(super) fn add(connectors: &[&Connector], image: &str, files: &mut Files) {
    for connector in connectors {
        let catalog = sdk::action::catalog(connector);
        let shown: Vec<&ActionInfo> = catalog
            .iter()
            .filter(|action| SHOWN.contains(&action.command))
            .collect();
        if shown.is_empty() {
            continue;
        }
        for action in &shown {
            let name = format!("kestra/{}_{}.yaml", connector.name, action.command);
            files.insert(name, text::yaml(&flow(connector, action, image)));
        }
        let name = format!("argo/{}.yaml", connector.name);
        files.insert(name, text::yaml(&template(connector, &shown, image)));
        if let Some(action) = shown.iter().find(|action| action.command == SCHEDULED.0) {
            let name = format!("argo/{}_{}.yaml", connector.name, action.command);
            files.insert(name, text::yaml(&scheduled(connector, action)));
        }
    }
}

/// A flow of Kestra. The configuration is one secret, a JSON object; arguments are words of the command
/// line, so that no value can be taken for anything else.
fn flow(connector: &Connector, action: &ActionInfo, image: &str) -> Json {
    let arguments = argument::small(action);
    let mut words = vec![
        "run".to_owned(),
        connector.name.to_owned(),
        action.command.to_owned(),
        "--dialect".to_owned(),
        "kestra".to_owned(),
        "--input".to_owned(),
        "configuration.json".to_owned(),
        "--".to_owned(),
    ];
    words.extend(arguments.iter().map(|argument| {
        let name = &argument.name;
        match schema::one_type(&argument.schema) {
            "array" => format!("--{name}={{{{ (inputs.{name} ?? []) | toJson }}}}"),
            _ => format!("--{name}={{{{ inputs.{name} ?? '' }}}}"),
        }
    }));
    let secret = format!("CORDON_{}", connector.name.to_uppercase());
    let mut flow = json!({
        "id": format!("cordon_{}_{}", connector.name, action.command),
        "namespace": "company.security",
        "description": format!(
            "{}: {}. The secret {secret} holds the configuration, a JSON object with these fields: {}.",
            connector.title,
            action.description,
            names(connector).join(", ")
        ),
        "inputs": arguments.iter().map(input).collect::<Vec<_>>(),
        // One writer at a time.
        "concurrency": { "limit": 1, "behavior": "QUEUE" },
        "tasks": [{
            "id": action.command,
            "type": "io.kestra.plugin.docker.cli.Run",
            "containerImage": image,
            "inputFiles": {
                "configuration.json": format!("{{\"configuration\": {{{{ secret('{secret}') }}}}}}"),
            },
            "commands": words,
        }],
    });
    if action.command == SCHEDULED.0 {
        flow["triggers"] = json!([{
            "id": "schedule",
            "type": "io.kestra.plugin.core.trigger.Schedule",
            "cron": SCHEDULED.1,
            "inputs": { "source_url": COLLECTION },
        }]);
    }
    flow
}

fn input(argument: &Argument) -> Json {
    let mut input = json!({
        "id": argument.name,
        "description": argument.description(),
        "required": argument.is_required,
    });
    let kind = match schema::one_type(&argument.schema) {
        "boolean" => "BOOL",
        "integer" => "INT",
        "array" => "ARRAY",
        _ => "STRING",
    };
    input["type"] = json!(kind);
    if kind == "ARRAY" {
        input["itemType"] = json!("STRING");
    }
    if let Some(default) = argument.default() {
        input["defaults"] = default.clone();
    }
    input
}

/// Templates of Argo, one for each action. The configuration comes from a Kubernetes secret.
fn template(connector: &Connector, actions: &[&ActionInfo], image: &str) -> Json {
    let templates: Vec<Json> = actions
        .iter()
        .map(|action| {
            let arguments = argument::small(action);
            let mut words: Vec<String> = ["run", connector.name, action.command, "--"]
                .map(str::to_owned)
                .to_vec();
            words.extend(arguments.iter().map(|argument| {
                format!("--{0}={{{{inputs.parameters.{0}}}}}", argument.name)
            }));
            json!({
                "name": dashed(action.command),
                "inputs": { "parameters": arguments.iter().map(parameter).collect::<Vec<_>>() },
                // 75 asks to try again later; anything else will not get better by itself.
                "retryStrategy": {
                    "limit": "3",
                    "retryPolicy": "Always",
                    "expression": "lastRetry.exitCode == '75'",
                    "backoff": { "duration": "1m", "factor": "2" },
                },
                "container": {
                    "image": image,
                    "command": ["/cordon"],
                    "args": words,
                    "envFrom": [{ "prefix": "CORDON_", "secretRef": { "name": resource(connector) } }],
                },
            })
        })
        .collect();
    let keys: Vec<String> = names(connector)
        .iter()
        .map(|name| name.to_uppercase())
        .collect();
    let description = format!(
        "{}. The secret {} holds the configuration under these keys: {}.",
        connector.title,
        resource(connector),
        keys.join(", ")
    );
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {
            "name": resource(connector),
            "annotations": { "workflows.argoproj.io/description": description },
        },
        "spec": { "templates": templates },
    })
}

fn parameter(argument: &Argument) -> Json {
    let mut parameter = json!({
        "name": argument.name,
        "description": argument.description(),
    });
    // Without a value a parameter has to be given; an empty argument counts as none.
    if !argument.is_required {
        parameter["value"] = match argument.default() {
            None => json!(""),
            Some(Json::String(text)) => json!(text),
            Some(other) => json!(other.to_string()),
        };
    }
    parameter
}

fn scheduled(connector: &Connector, action: &ActionInfo) -> Json {
    let name = format!("{}-{}", resource(connector), dashed(action.command));
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": { "name": name },
        "spec": {
            "schedules": [SCHEDULED.1],
            // One writer at a time.
            "concurrencyPolicy": "Forbid",
            "workflowSpec": {
                "entrypoint": "main",
                "templates": [{
                    "name": "main",
                    "steps": [[{
                        "name": dashed(action.command),
                        "templateRef": { "name": resource(connector), "template": dashed(action.command) },
                        "arguments": { "parameters": [{ "name": "source_url", "value": COLLECTION }] },
                    }]],
                }],
            },
        },
    })
}

/// A name as Kubernetes takes it.
fn resource(connector: &Connector) -> String {
    format!("cordon-{}", connector.name)
}

fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

/// The fields of the configuration.
fn names(connector: &Connector) -> Vec<String> {
    let fields = fields::of(connector).into_iter();
    fields.map(|field| field.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_gives_an_argument_that_there_is() {
        let catalog = sdk::action::uniform();
        let action = catalog.iter().find(|it| it.command == SCHEDULED.0).unwrap();
        let names: Vec<String> = argument::small(action)
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert!(names.iter().any(|name| name == "source_url"), "{names:?}");
        for shown in SHOWN {
            assert!(catalog.iter().any(|it| it.command == shown), "{shown}");
        }
    }

    #[test]
    fn what_is_not_given_is_an_empty_word() {
        let argument = Argument {
            name: "reason".to_owned(),
            schema: json!({}),
            is_required: false,
        };
        assert_eq!(parameter(&argument)["value"], "");
    }
}
