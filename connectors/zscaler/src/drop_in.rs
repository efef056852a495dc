//! The names that playbooks for Sekoia's own module use.

use schemars::JsonSchema;
use sdk::action::{Action, ActionInfo, Call, Outcome, drop_in, schema, set_up};
use sdk::indicator::Kind;
use sdk::report::{Detail, Report, Status, run_id};
use sdk::sync::{self, Context};
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// Push IOCs, block and unblock single ones, activate.
pub(crate) static ACTIONS: &[Action] = &[
    Action {
        info: || ActionInfo {
            command: "zscaler_push_iocs_block",
            name: "Zscaler Push IOCs",
            description: "Blocks the addresses, domains and URLs of STIX objects, takes down the revoked and ended ones, and activates",
            writes: true,
            arguments: drop_in::arguments::<Push>(),
            results: schema::<Report>(),
        },
        run: |call| Box::pin(push(call)),
    },
    Action {
        info: || ActionInfo {
            command: "zscaler_block_ioc",
            name: "Block IoC",
            description: "Blocks addresses, domains and URLs, and activates",
            writes: true,
            arguments: drop_in::arguments::<Block>(),
            results: schema::<Report>(),
        },
        run: |call| Box::pin(block(call)),
    },
    Action {
        info: || ActionInfo {
            command: "zscaler_unblock_ioc",
            name: "Zscaler UnBlock IoC",
            description: "Takes our block of addresses, domains and URLs off, and activates",
            writes: true,
            arguments: drop_in::arguments::<Values>(),
            results: schema::<Report>(),
        },
        run: |call| Box::pin(unblock(call)),
    },
    Action {
        info: || ActionInfo {
            command: "zscaler_activate_changes",
            name: "Zscaler Activate changes",
            description: "Activates what is pending, every administrator's changes, and waits until it is active",
            writes: true,
            arguments: schema::<Activate>(),
            results: schema::<Activated>(),
        },
        run: |call| Box::pin(activate(call)),
    },
];

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Push {
    #[serde(flatten)]
    objects: drop_in::StixObjects,
    /// Write entries although nobody would know when to take them down; without a store that is so for every
    /// object with an end
    #[serde(default = "yes")]
    accept_unbounded: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Values {
    /// The value
    #[serde(default, rename = "IoC")]
    one: Option<String>,
    /// Values
    #[serde(default, rename = "IoCs")]
    several: Vec<String>,
}

impl Values {
    fn all(self) -> Result<Vec<String>> {
        let all: Vec<String> = self
            .one
            .into_iter()
            .chain(self.several)
            .filter(|text| !text.trim().is_empty())
            .collect();
        if all.is_empty() {
            return Err(Error::input("neither IoC nor IoCs names a value"));
        }
        Ok(all)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Block {
    #[serde(flatten)]
    values: Values,
    /// Days after which it is taken down, which a store remembers; 0 for never
    #[serde(default)]
    valid_for: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Activate {
    /// Look, and activate nothing
    #[serde(default)]
    dry_run: bool,
}

/// What an activation came to.
#[derive(Debug, Serialize, JsonSchema)]
struct Activated {
    /// `ACTIVE`; with `dry_run`, or while the tenant is paused, `PENDING` where anything is.
    status: &'static str,
    /// What was pending before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<String>,
    /// What people should know: that the tenant is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

async fn push(mut call: Call<'_>) -> Result<Outcome> {
    let (own, common) = drop_in::read::<Push>(call.arguments.take())?;
    let mut arguments = own.objects.into_arguments();
    arguments.insert("accept_unbounded".to_owned(), json!(own.accept_unbounded));
    arguments.extend(common);
    own_categories(&mut call, &mut arguments);
    let without_ipv4 = !takes_ipv4(&call);
    let mut outcome = drop_in::uniform(call, "push_indicators", arguments).await?;
    if let Outcome::Report(report) = &mut outcome
        && without_ipv4
    {
        warn_of_addresses(report);
    }
    Ok(outcome)
}

async fn block(mut call: Call<'_>) -> Result<Outcome> {
    let (own, mut arguments) = drop_in::read::<Block>(call.arguments.take())?;
    arguments.insert("values".to_owned(), json!(own.values.all()?));
    if own.valid_for > 0 {
        arguments.insert("valid_for".to_owned(), json!(own.valid_for));
    } else {
        // Nothing has an end that could be forgotten.
        arguments.insert("accept_unbounded".to_owned(), json!(true));
    }
    own_categories(&mut call, &mut arguments);
    let without_ipv4 = !takes_ipv4(&call);
    let mut outcome = drop_in::uniform(call, "block", arguments).await?;
    if let Outcome::Report(report) = &mut outcome {
        fail_what_is_not_taken(report, without_ipv4);
    }
    Ok(outcome)
}

async fn unblock(mut call: Call<'_>) -> Result<Outcome> {
    let (own, mut arguments) = drop_in::read::<Values>(call.arguments.take())?;
    arguments.insert("values".to_owned(), json!(own.all()?));
    own_categories(&mut call, &mut arguments);
    drop_in::uniform(call, "unblock", arguments).await
}

const IPV4: &str = "addresses are sent only with `ipv4` set to true in the configuration: the default mechanism then needs \
                    custom IP ranges, which Zscaler support enables";

fn takes_ipv4(call: &Call<'_>) -> bool {
    call.configuration.get("ipv4") == Some(&Json::Bool(true))
}

/// Details of values that the mechanism does not take.
fn is_not_taken(detail: &Detail) -> bool {
    detail.outcome == "skipped" && detail.reason == "unsupported"
}

fn is_address(detail: &Detail) -> bool {
    is_not_taken(detail) && detail.kind == Some(Kind::Ipv4)
}

/// Playbooks of Sekoia's own module push addresses and have no setting for them.
fn warn_of_addresses(report: &mut Report) {
    let addresses = report.details.iter().filter(|it| is_address(it)).count();
    if addresses > 0 {
        let least = if report.left_out.details > 0 {
            "at least "
        } else {
            ""
        };
        report.warnings.push(format!(
            "{least}{addresses} IPv4 addresses or networks are not blocked: {IPV4}"
        ));
    }
}

/// Somebody asked for exactly these values: one that is not taken has failed.
fn fail_what_is_not_taken(report: &mut Report, without_ipv4: bool) {
    let mut why: Vec<String> = Vec::new();
    if without_ipv4 && report.details.iter().any(is_address) {
        report.hint.get_or_insert(IPV4.to_owned());
    }
    for detail in report.details.iter_mut().filter(|it| is_not_taken(it)) {
        "failed".clone_into(&mut detail.outcome);
        why.push(format!("{}: {}", detail.value, detail.message));
    }
    if why.is_empty() {
        return;
    }
    report.skipped.unsupported = report.skipped.unsupported.saturating_sub(why.len());
    report.failed += why.len();
    report
        .error
        .get_or_insert_with(|| format!("not blocked: {}", why.join("; ")));
    let is_blocked = report.added + report.updated + report.adopted + report.unchanged > 0;
    report.status = match report.status {
        Status::Ok if !is_blocked => Status::Failed,
        Status::Ok => Status::Partial,
        worse => worse,
    };
    report.exit_code.get_or_insert(2);
}

fn own_categories(call: &mut Call<'_>, arguments: &mut Map<String, Json>) {
    if call.context.store.is_none() {
        choose_owner(&mut call.configuration, arguments);
    }
}

/// Playbooks have no store, and without one only categories that are one owner's alone prove what is ours.
fn choose_owner(configuration: &mut Json, arguments: &mut Map<String, Json>) {
    let text = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_owned);
    let owner = text(arguments.get("deployment"))
        .or_else(|| text(configuration.get("deployment")))
        .or_else(|| text(configuration.get("category_owner")))
        .unwrap_or_else(|| drop_in::BY_HAND.to_owned());
    if configuration
        .get("category_owner")
        .is_none_or(Json::is_null)
    {
        drop_in::configure(configuration, "category_owner", owner.clone());
    }
    arguments.insert("deployment".to_owned(), Json::String(owner));
}

async fn activate(call: Call<'_>) -> Result<Outcome> {
    let arguments: Activate = serde_json::from_value(call.arguments)
        .map_err(|error| Error::input("the arguments are not as they should be").because(error))?;
    let environment = &call.context.environment;
    let setup = set_up(call.connector, call.configuration, environment)?;
    let target = setup
        .target
        .members
        .first()
        .map(|member| &*member.target)
        .ok_or_else(|| Error::internal("a configuration without a mechanism"))?;
    let staged = target
        .staged()
        .ok_or_else(|| Error::internal("a mechanism that stages nothing"))?;
    let context = Context {
        dry_run: arguments.dry_run || call.context.dry_run,
        ..call.context.clone()
    };
    let members = setup.target.members.iter();
    let keys: Vec<String> = members.map(|it| it.target.key().to_string()).collect();
    let work = async {
        let warning = sync::paused(&setup.target.name, &keys, &context).await?;
        let dry = context.dry_run || warning.is_some();
        target.open().await?;
        let pending = staged.pending().await?;
        if pending.is_some() && !dry {
            staged.commit().await?;
        }
        Ok(Activated {
            status: if pending.is_some() && dry {
                "PENDING"
            } else {
                "ACTIVE"
            },
            pending: pending.map(|pending| pending.what),
            warning,
        })
    };
    let activated = sync::alone_on(target, &run_id(), &context, work).await?;
    serde_json::to_value(activated)
        .map(Outcome::View)
        .map_err(|error| Error::internal("the result is not JSON").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_and_several_are_taken_together_and_none_is_refused() {
        let read = |arguments| drop_in::read::<Values>(arguments).unwrap().0.all();
        let both = read(json!({ "IoC": "a.example.net", "IoCs": ["b.example.net", " "] }));
        assert_eq!(both.unwrap(), ["a.example.net", "b.example.net"]);
        for none in [json!({}), json!({ "IoC": "" }), json!({ "IoCs": [] })] {
            assert!(read(none).is_err());
        }
    }

    #[test]
    fn without_a_store_the_categories_are_one_owners_alone() {
        let choose = |configuration: Json, arguments: Json| {
            let mut configuration = configuration;
            let mut arguments = arguments.as_object().unwrap().clone();
            choose_owner(&mut configuration, &mut arguments);
            let text = |value: &Json| value.as_str().unwrap().to_owned();
            (
                text(&configuration["category_owner"]),
                text(&arguments["deployment"]),
            )
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(choose(json!({}), json!({})), pair("manual", "manual"));
        assert_eq!(
            choose(json!({ "deployment": "acme" }), json!({})),
            pair("acme", "acme")
        );
        assert_eq!(
            choose(json!({ "category_owner": "acme" }), json!({})),
            pair("acme", "acme")
        );
        assert_eq!(
            choose(
                json!({ "category_owner": "acme" }),
                json!({ "deployment": "mine" })
            ),
            pair("acme", "mine"),
            "another's categories are not taken over"
        );
    }
}
