//! The names that playbooks for Sekoia's own FortiGate module use. They make real address objects and groups
//! under the playbook's names, on every firewall: nothing of them has an end, and a policy of the
//! administrator's decides what they block.

mod group;
mod object;

use schemars::JsonSchema;
use sdk::action::{Action, ActionInfo, Call, FailOn, Outcome, Setup, drop_in, schema, set_up};
use sdk::indicator::Kind;
use sdk::ownership::Owner;
use sdk::report::{ChangeReport, Detail, DeviceReport, Report, Status};
use sdk::sync::{self, Context};
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::api::Verdict;
use crate::config::Config;
use crate::target::{self, Connection};

/// Address objects, and groups of them.
pub(crate) static ACTIONS: &[Action] = &[
    Action {
        info: || {
            info::<object::Address>(
                "fortigate_add_ip_address",
                "Post Fortigate IP Address",
                "Makes an address object for an address or network on every firewall",
                object_results(),
            )
        },
        run: |call| Box::pin(object::add_address(call)),
    },
    Action {
        info: || {
            info::<object::Fqdn>(
                "fortigate_add_fqdn",
                "Post Fortigate FQDN Address",
                "Makes an address object for a name on every firewall",
                object_results(),
            )
        },
        run: |call| Box::pin(object::add_fqdn(call)),
    },
    Action {
        info: || {
            info::<group::Group>(
                "fortigate_add_group_address",
                "Post Fortigate Address Group",
                "Adds objects to an address group on every firewall, and makes it where it is not there",
                json!({
                    "objects": {
                        "description": "The members that were asked for",
                        "type": "array",
                        "items": { "type": "string" },
                    },
                }),
            )
        },
        run: |call| Box::pin(group::add(call)),
    },
];

fn info<T: JsonSchema>(
    command: &'static str,
    name: &'static str,
    description: &'static str,
    named: Json,
) -> ActionInfo {
    ActionInfo {
        command,
        name,
        description,
        writes: true,
        arguments: schema::<T>(),
        results: drop_in::results(named),
    }
}

fn object_results() -> Json {
    json!({ "json": { "description": "The object, as it was asked for", "type": "object" } })
}

/// Arguments of each of them.
#[derive(Debug, Deserialize, JsonSchema)]
struct Common {
    /// Look and report, send nothing
    #[serde(default)]
    dry_run: bool,
    /// Whose the object is, in its mark
    #[serde(default)]
    deployment: Option<String>,
    /// Which results a playbook engine is told as an error: `failed`, `partial`, both separated by a comma,
    /// or `never`
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read by the engine's runtime; here it is only refused if wrong"
    )]
    fail_on: FailOn,
}

/// What became of one thing on one firewall.
enum Done {
    /// Made.
    Added,
    /// Written anew.
    Updated,
    /// As it should be.
    Unchanged,
    /// Somebody else's object with this name stands for the same thing.
    Foreign,
}

/// What these actions write, in leases and reports.
const OBJECTS: &str = "address-object";

/// A firewall, and what leases and pauses know it by.
struct Firewall {
    connection: Connection,
    /// Its host and VDOM.
    device: String,
    /// Of these actions' own lease.
    key: String,
    /// Of every mechanism's pause, and of these actions'.
    pauses: Vec<String>,
}

impl Firewall {
    fn new(connection: Connection, account: &str) -> Self {
        let device = format!("{}/{}", connection.host, connection.vdom);
        let key = |mechanism| target::key((account, &device), mechanism).to_string();
        let mechanisms = target::MECHANISMS.iter().map(|known| known.mechanism);
        Self {
            pauses: mechanisms.chain([OBJECTS]).map(key).collect(),
            key: key(OBJECTS),
            connection,
            device,
        }
    }
}

/// One run over all firewalls.
struct Run {
    setup: Setup,
    context: Context,
    firewalls: Vec<Firewall>,
    report: Report,
    started: std::time::Duration,
    clock: sdk::Clock,
    /// A pause kept changes from being sent.
    paused: bool,
}

impl Run {
    fn new(call: &mut Call<'_>, common: &Common) -> Result<Self> {
        let clock = call.context.environment.clock.clone();
        let setup = set_up(
            call.connector,
            call.configuration.take(),
            &call.context.environment,
        )?;
        let config: Config =
            serde_json::from_value(setup.configuration.clone()).map_err(|error| {
                Error::config("the fortinet configuration is not valid").because(error)
            })?;
        let firewalls = config
            .endpoints()?
            .iter()
            .map(|endpoint| {
                let connection = Connection::new(&config, endpoint, &setup.environment)?;
                Ok(Firewall::new(connection, &endpoint.account))
            })
            .collect::<Result<Vec<_>>>()?;
        if firewalls.is_empty() {
            return Err(Error::config("`firewalls` is empty").hint(
                "this action speaks to firewalls themselves; through a FortiManager use the mechanism address-group",
            ));
        }
        let owner = owner(common, &setup)?;
        let context = Context {
            dry_run: common.dry_run || call.context.dry_run,
            ..call.context.clone()
        };
        Ok(Self {
            report: Report::new(
                &setup.target.name,
                OBJECTS.to_owned(),
                &owner,
                context.dry_run,
            ),
            context,
            started: clock.elapsed(),
            setup,
            firewalls,
            clock,
            paused: false,
        })
    }

    fn owner(&self) -> Result<Owner> {
        Owner::new(&self.report.owner)
    }

    fn installation(&self) -> &str {
        &self.setup.environment.installation
    }

    /// Whether nothing may be sent to a firewall, because of a dry run or a pause.
    async fn is_dry(&mut self, firewall: &Firewall) -> Result<bool> {
        let paused = sync::paused(&self.setup.target.name, &firewall.pauses, &self.context).await?;
        let dry = self.context.dry_run || paused.is_some();
        self.paused |= dry && !self.context.dry_run;
        if let Some(warning) = paused
            && !self.report.warnings.contains(&warning)
        {
            self.report.warnings.push(warning);
        }
        Ok(dry)
    }

    /// Does `work` while no other run of these actions is at work on the firewall.
    async fn alone<T>(
        &self,
        firewall: &Firewall,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let close = firewall.connection.close();
        let work = sync::unless_refused(Some(firewall.connection.login()), &self.context, work);
        sync::alone(&firewall.key, &self.report.run, &self.context, work, close).await
    }

    /// Notes what became of a value on a firewall.
    fn note(&mut self, device: &str, value: &str, kind: Option<Kind>, done: &Done) {
        let report = &mut self.report;
        let change = match done {
            Done::Added => {
                report.added += 1;
                "add"
            }
            Done::Updated => {
                report.updated += 1;
                "update"
            }
            Done::Unchanged => {
                report.unchanged += 1;
                return;
            }
            Done::Foreign => {
                report.skipped.foreign += 1;
                report.details.push(Detail {
                    value: value.to_owned(),
                    kind,
                    outcome: "skipped".to_owned(),
                    reason: "foreign".to_owned(),
                    message: format!(
                        "{device}: an equal object without our mark is there; it is left as it is"
                    ),
                });
                return;
            }
        };
        // A member of a group has no kind: its object may be anything.
        if let Some(kind) = kind {
            report.changes.push(ChangeReport {
                value: value.to_owned(),
                kind,
                change: change.to_owned(),
                reason: "wanted".to_owned(),
                device: device.to_owned(),
            });
        } else {
            report.details.push(Detail {
                value: value.to_owned(),
                kind,
                outcome: change.to_owned(),
                reason: "wanted".to_owned(),
                message: device.to_owned(),
            });
        }
    }

    fn device(&mut self, name: String, result: Result<()>) {
        let error = result.err();
        if let Some(error) = &error {
            self.report.failed += 1;
            self.report.exit_code.get_or_insert(error.exit_code());
        }
        self.report.devices.push(DeviceReport {
            name,
            status: if error.is_some() {
                Status::Failed
            } else {
                Status::Ok
            },
            hint: error
                .as_ref()
                .and_then(|error| error.hint_text().map(str::to_owned)),
            error: error.map(|error| error.to_string()),
        });
    }

    fn finish(mut self, named: Map<String, Json>) -> Outcome {
        let failed = self
            .report
            .devices
            .iter()
            .filter(|device| device.error.is_some());
        let (failed, all) = (failed.count(), self.report.devices.len());
        self.report.status = match failed {
            0 if self.paused && self.report.added + self.report.updated > 0 => Status::Held,
            0 => Status::Ok,
            _ if failed < all || self.report.added + self.report.updated > 0 => Status::Partial,
            _ => Status::Failed,
        };
        if failed > 0 {
            self.report.error = Some(format!("{failed} of {all} firewalls failed"));
        }
        for firewall in &self.firewalls {
            let calls = firewall.connection.calls();
            self.report.requests.read += calls.read;
            self.report.requests.write += calls.write;
            self.report.requests.retried += calls.retried;
        }
        let elapsed = self.clock.elapsed().saturating_sub(self.started);
        self.report.duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.report.named = named;
        Outcome::Report(Box::new(self.report))
    }
}

fn owner(common: &Common, setup: &Setup) -> Result<Owner> {
    let mut arguments = Map::new();
    if let Some(name) = &common.deployment {
        arguments.insert("deployment".to_owned(), json!(name));
    }
    drop_in::owner(&arguments, setup)
}

/// A name that FortiOS takes for an object: 1 to 79 characters, none of those that it refuses as dangerous.
fn checked_name(what: &str, name: &str) -> Result<String> {
    let name = name.trim();
    let refused = |c: char| "<>()#\"'".contains(c) || c.is_control();
    if name.is_empty()
        || name.chars().count() > 79
        || name.contains(refused)
        || matches!(name, "." | "..")
    {
        return Err(
            Error::input(format!("{what} {name:?} cannot name an object"))
                .hint("use 1 to 79 characters without < > ( ) # \" '"),
        );
    }
    Ok(name.to_owned())
}

/// Why a write was not done; `Ok` where it was, or where looking has to tell.
fn settled(verdict: Verdict) -> Result<bool> {
    match verdict {
        Verdict::Done => Ok(true),
        Verdict::Exists | Verdict::Unknown(_) => Ok(false),
        Verdict::Missing => Err(Error::new(sdk::ErrorKind::NotFound, "it is gone")),
        Verdict::Full(words) => Err(Error::new(sdk::ErrorKind::Full, "there is no room for it")
            .with("answer", words)
            .hint("delete unused objects, or use another group")),
        Verdict::Dangling(words) => Err(Error::new(
            sdk::ErrorKind::NotFound,
            "it refers to an object that is not there",
        )
        .with("answer", words)),
        Verdict::InUse(words) | Verdict::Refused(words) => {
            Err(Error::new(sdk::ErrorKind::Rejected, "refused").with("answer", words))
        }
        Verdict::Failed(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fortios_refuses_are_refused_before() {
        assert_eq!(
            checked_name("name", " a/b %?\u{e9}").unwrap(),
            "a/b %?\u{e9}"
        );
        let long = "a".repeat(80);
        for bad in ["", " ", "a\nb", "<a>", "it's", "a#b", "..", &long] {
            assert!(checked_name("name", bad).is_err(), "{bad:?}");
        }
    }
}
