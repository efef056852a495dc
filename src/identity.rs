//! The UUIDs by which a playbook knows our modules and actions. They are derived and never change: one
//! that did would break every playbook that holds it.

use uuid::{Uuid, uuid};

/// What all of them are derived in.
const NAMESPACE: Uuid = uuid!("003e84c4-a4f2-4875-a4df-b9c59f28b104");

/// The UUID of a connector's module.
pub(crate) fn module_uuid(connector: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, connector.as_bytes())
}

/// The UUID of one action of a connector, the uniform ones included.
pub(crate) fn action_uuid(connector: &str, command: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{connector}/{command}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_frozen() {
        assert_eq!(
            module_uuid("crowdstrike"),
            uuid!("8dad0763-1610-5f69-b98c-e1be0f91e871")
        );
        assert_eq!(
            action_uuid("crowdstrike", "push_iocs_block"),
            uuid!("c8e4f9c4-b50c-5651-93a6-63a74fec86cc")
        );
    }
}
