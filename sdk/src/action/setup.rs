//! From a configuration to targets.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::Secret;
use crate::collection::sekoia;
use crate::connector::{Connector, Environment, MechanismChoice};
use crate::error::{Error, Result};
use crate::indicator::Kind;
use crate::sync::{Member, TargetGroup};

/// A configuration of an action, taken apart.
#[derive(Clone)]
pub struct Setup {
    /// The targets.
    pub target: TargetGroup,
    /// The owner that the configuration names.
    pub deployment: Option<String>,
    /// Where the vendor is managed: never blocked.
    pub management_hosts: Vec<String>,
    /// Whether a playbook may let mass changes through without a person.
    pub mass_change_unattended: bool,
    /// The connector's own part of the configuration.
    pub configuration: Json,
    /// With the installation that the configuration names.
    pub environment: Environment,
    /// Where collections at Sekoia are read from; none without a key.
    pub sekoia: Option<sekoia::Access>,
}

/// The fields that every connector's configuration may have, and what is left for the connector.
pub struct Common {
    /// The owner that the configuration names.
    pub deployment: Option<String>,
    /// Whether a playbook may let mass changes through without a person.
    pub mass_change_unattended: bool,
    /// With the installation that the configuration names.
    pub environment: Environment,
    /// Where collections at Sekoia are read from; none without a key.
    pub sekoia: Option<sekoia::Access>,
    /// The connector's own fields.
    pub own: Json,
}

/// Reads a configuration: our own fields first, the rest is the connector's.
pub fn set_up(
    connector: &Connector,
    configuration: Json,
    environment: &Environment,
) -> Result<Setup> {
    let Common {
        deployment,
        mass_change_unattended,
        environment,
        sekoia,
        own: configuration,
    } = common(configuration, environment)?;
    Ok(Setup {
        mass_change_unattended,
        management_hosts: management_hosts(connector, &configuration),
        target: TargetGroup {
            name: connector.name.to_owned(),
            members: members(connector, configuration.clone(), &environment)?,
        },
        deployment,
        configuration,
        environment,
        sekoia,
    })
}

/// Takes our own fields out of a configuration.
pub fn common(configuration: Json, environment: &Environment) -> Result<Common> {
    let Json::Object(mut fields) = configuration else {
        return Err(Error::config("the configuration is not a JSON object"));
    };
    let mut text = |name: &'static str| match fields.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::config(format!(
            "{name} in the configuration is not a text"
        ))),
    };
    let deployment = text("deployment")?;
    let installation = text("installation")?;
    let sekoia_base_url = text("sekoia_base_url")?;
    let sekoia = text("sekoia_api_key")?.map(|key| {
        let base_url = sekoia_base_url.as_deref().unwrap_or(sekoia::BASE_URL);
        sekoia::Access::new(base_url, Secret::new(&key))
    });
    let mut environment = environment.clone();
    if let Some(installation) = installation {
        environment.installation = crate::ownership::Owner::new(&installation)
            .map_err(|_| {
                Error::config(format!(
                    "{installation:?} cannot be the name of an installation"
                ))
                .hint("use 1 to 24 characters of a-z, 0-9 and -")
            })?
            .to_string();
    }
    let mass_change_unattended = match fields.remove("allow_mass_change_unattended") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(allowed)) => allowed,
        Some(_) => {
            return Err(Error::config(
                "allow_mass_change_unattended in the configuration is not true or false",
            ));
        }
    };
    Ok(Common {
        deployment,
        mass_change_unattended,
        environment,
        sekoia,
        own: Json::Object(fields),
    })
}

/// The devices and mechanisms of a connector's configuration, each with the kinds that go there.
pub fn members(
    connector: &Connector,
    configuration: Json,
    environment: &Environment,
) -> Result<Vec<Member>> {
    let by_kind: Option<BTreeMap<Kind, String>> = match configuration.get("mechanism") {
        Some(choice) => match serde_json::from_value(choice.clone()) {
            Ok(MechanismChoice::ByKind(kinds)) => Some(kinds),
            Ok(MechanismChoice::One(name)) => {
                known(connector, &name)?;
                None
            }
            Err(_) => {
                let kinds = Kind::ALL.map(Kind::name).join(", ");
                return Err(Error::config(
                    "mechanism is neither a name nor a map from kind to name",
                )
                .hint(format!("the kinds are {kinds}")));
            }
        },
        None => None,
    };
    if let Some(kinds) = &by_kind {
        for (kind, name) in kinds {
            let capabilities = known(connector, name)?;
            if capabilities.kind(*kind).is_none() {
                return Err(Error::config(format!(
                    "mechanism {name} does not take {kind}"
                )));
            }
        }
    }
    let targets = (connector.targets)(configuration, environment)?;
    Ok(targets
        .into_iter()
        .map(|target| {
            let mechanism = target.capabilities().mechanism;
            let kinds = by_kind.as_ref().map_or_else(Vec::new, |by_kind| {
                by_kind
                    .iter()
                    .filter(|(_, name)| *name == mechanism)
                    .map(|(kind, _)| *kind)
                    .collect()
            });
            Member { target, kinds }
        })
        .collect())
}

fn known(connector: &Connector, name: &str) -> Result<&'static crate::target::Capabilities> {
    connector
        .mechanisms
        .iter()
        .copied()
        .find(|capabilities| capabilities.mechanism == name)
        .ok_or_else(|| {
            let names: Vec<&str> = connector
                .mechanisms
                .iter()
                .map(|capabilities| capabilities.mechanism)
                .collect();
            Error::config(format!("{} has no mechanism {name:?}", connector.name))
                .hint(format!("one of: {}", names.join(", ")))
        })
}

/// The management hosts that a configuration names, by [`Connector::management_hosts`].
pub fn management_hosts(connector: &Connector, configuration: &Json) -> Vec<String> {
    let mut hosts = Vec::new();
    for path in connector.management_hosts {
        match path.split_once('.') {
            Some((list, field)) => {
                for item in configuration
                    .get(list)
                    .and_then(Json::as_array)
                    .into_iter()
                    .flatten()
                {
                    hosts.extend(item.get(field).and_then(Json::as_str).map(str::to_owned));
                }
            }
            None => hosts.extend(
                configuration
                    .get(*path)
                    .and_then(Json::as_str)
                    .map(str::to_owned),
            ),
        }
    }
    hosts
}
