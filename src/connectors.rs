//! The connectors there are: one line each.

use std::sync::LazyLock;

use sdk::connector::Connector;
use sdk::{Error, Result};

static CONNECTORS: LazyLock<Vec<Connector>> = LazyLock::new(|| {
    vec![
        crowdstrike::connector(),
        fortinet::connector(),
        paloalto::connector(),
        sekoia::connector(),
        sentinelone::connector(),
        zscaler::connector(),
    ]
});

/// All of them, in the order of their names.
pub(crate) fn all() -> Vec<&'static Connector> {
    CONNECTORS.iter().collect()
}

/// One by name.
pub(crate) fn find(name: &str) -> Result<&'static Connector> {
    CONNECTORS.iter().find(|it| it.name == name).ok_or_else(|| {
        let names: Vec<&str> = CONNECTORS.iter().map(|it| it.name).collect();
        let near = names
            .iter()
            .find(|known| strsim::jaro_winkler(known, name) > 0.8);
        let hint = near.map_or_else(
            || format!("known are {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        Error::input(format!("there is no connector {name:?}")).hint(hint)
    })
}
