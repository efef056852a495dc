//! A sample playbook in CACAO 2.0: look whether blocking can work, see what would be done, do it. The steps
//! run over SSH on a host that has the program; no value of an indicator goes through a shell.

use sdk::connector::Connector;
use serde_json::{Value as Json, json};

use crate::identity;

/// When it was made: it is part of the playbook, not of the run that writes it.
const MADE: &str = "2026-11-22T00:00:00.000Z";

/// The steps' actions with what follows the input.
const STEPS: [(&str, &str, &str); 3] = [
    ("check", "check", ""),
    (
        "plan",
        "sync_collection",
        " -- --source_url=https://intel.example.com/collection.json --dry_run",
    ),
    (
        "sync",
        "sync_collection",
        " -- --source_url=https://intel.example.com/collection.json",
    ),
];

/// The playbook.
pub(super) fn playbook(connector: &Connector) -> Json {
    let id = |kind: &str, name: &str| {
        let uuid = identity::action_uuid("cacao", &format!("{kind}/{name}"));
        format!("{kind}--{uuid}")
    };
    let (start, end) = (id("start", "start"), id("end", "end"));
    let (agent, authentication) = (id("ssh", "host"), id("user-auth", "host"));
    let step = |name: &str| id("action", name);
    let mut workflow = json!({
        &start: { "type": "start", "name": "Start", "on_completion": step(STEPS[0].0) },
    });
    for (place, (name, command, more)) in STEPS.into_iter().enumerate() {
        let input = format!("/etc/cordon/{}.json", connector.name);
        let next = STEPS.get(place + 1).map(|(name, ..)| step(name));
        workflow[step(name)] = json!({
            "type": "action",
            "name": name,
            "commands": [{
                "type": "ssh",
                "command": format!("cordon run {} {command} --input {input}{more}", connector.name),
                "playbook_activity": if name == "sync" { "restrict-access" } else { "identify-steps" },
            }],
            "agent": agent,
            "on_success": next.unwrap_or_else(|| end.clone()),
            "on_failure": end,
        });
    }
    workflow[&end] = json!({ "type": "end", "name": "End" });
    json!({
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": id("playbook", connector.name),
        "name": format!("Block a collection on {}", connector.title),
        "description": "Makes what is blocked equal to a collection of indicators: adds, extends, and takes down what \
            has ended. The file that the commands name holds the configuration on the host.",
        "playbook_types": ["prevention"],
        "playbook_activities": ["identify-steps", "restrict-access"],
        "created_by": id("identity", "cordon"),
        "created": MADE,
        "modified": MADE,
        "revoked": false,
        "labels": ["cordon"],
        "workflow_start": start,
        "workflow": workflow,
        "playbook_variables": {
            "__password__": {
                "type": "string",
                "description": "The password of the user on the host",
                "constant": false,
                "external": true,
            },
        },
        "agent_definitions": {
            &agent: {
                "type": "ssh",
                "name": "A host with the program",
                "address": { "dname": ["cordon.example.com"] },
                "port": "22",
                "authentication_info": authentication,
            },
        },
        "authentication_info_definitions": {
            &authentication: {
                "type": "user-auth",
                "name": "A user on the host",
                "username": "cordon",
                "password": "__password__:value",
                "kms": false,
            },
        },
    })
}
