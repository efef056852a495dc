//! The actions of Sekoia's own modules that put indicators somewhere, as
//! <https://github.com/SEKOIA-IO/automation-library> names them.

/// An action of theirs and the one of ours that has its name.
#[derive(Debug)]
pub(super) struct Equal {
    /// Its UUID there.
    pub(super) uuid: &'static str,
    /// Our connector.
    pub(super) connector: &'static str,
    /// The name in both.
    pub(super) command: &'static str,
}

const fn same(uuid: &'static str, connector: &'static str, command: &'static str) -> Equal {
    Equal {
        uuid,
        connector,
        command,
    }
}

/// All that have an equal.
pub(super) const EQUALS: &[Equal] = &[
    same(
        "103d8377-7a61-4558-8eae-1041b130c870",
        "crowdstrike",
        "push_iocs_block",
    ),
    same(
        "eb921379-3c53-4f64-a622-73e0b7ac99ed",
        "crowdstrike",
        "push_iocs_detect",
    ),
    same(
        "88d53f94-138d-4f77-95d8-fb9b0425d1f9",
        "crowdstrike",
        "block_ioc",
    ),
    same(
        "5948a752-5c16-4bbd-9b12-3bc907ee05cf",
        "crowdstrike",
        "monitor_ioc",
    ),
    same(
        "3483ff12-8b2e-4614-b9b0-5f6019cb2678",
        "sentinelone",
        "sentinelone_iocs_create_iocs",
    ),
    same(
        "02495450-6a04-56f9-a127-54506af253fd",
        "sentinelone",
        "sentinelone_blocklist_create_item",
    ),
    same(
        "1e91ba77-19c7-5bcb-8dfa-3842932974c9",
        "sentinelone",
        "sentinelone_blocklist_delete_item",
    ),
    same(
        "103d8377-7a61-4558-8eae-1041b130c871",
        "zscaler",
        "zscaler_push_iocs_block",
    ),
    same(
        "88d53f94-138d-4f77-95d8-fb9b0425d1f2",
        "zscaler",
        "zscaler_block_ioc",
    ),
    same(
        "ad4f9ea3-3b1f-4666-83a4-69cb5db222f1",
        "zscaler",
        "zscaler_unblock_ioc",
    ),
    same(
        "0aaa5aba-dff3-432e-9344-d702ce9712e0",
        "zscaler",
        "zscaler_activate_changes",
    ),
    same(
        "377a9c54-6bb6-40e3-8753-80cbc5b59c60",
        "fortinet",
        "fortigate_add_ip_address",
    ),
    same(
        "288a52f2-6994-419f-884c-d15f81a31cfc",
        "fortinet",
        "fortigate_add_fqdn",
    ),
    same(
        "d98acb88-88ca-4afe-95d0-b9996fe37cfc",
        "fortinet",
        "fortigate_add_group_address",
    ),
    same(
        "44c79a13-c97a-4d78-a8ef-06d373615fef",
        "paloalto",
        "block_malicious_files",
    ),
    same(
        "0acabc04-43b4-4564-b9b2-08b80e0e1ecf",
        "sekoia",
        "add_ioc_to_ioc_collection",
    ),
];

/// Modules of theirs that we have connectors for; not the one of the platform itself, which has a hundred
/// other actions.
const MODULES: [&str; 5] = [
    "4fdbae70-e9cd-492e-9a39-24ce99325e3f",
    "ff675e74-e5c1-47c8-a571-d207fc297464",
    "0c97d665-e316-48ff-bcba-bbfbd4eaccc7",
    "ca9a9497-bcd2-4d0c-b0c1-72699231feb2",
    "2bb1aaf9-a90c-411d-8e5f-c72b1b46b3d7",
];

/// For the account of a replaced action.
pub(super) const ACCOUNT: &str =
    "this is an account of the other module: choose one of the new module in the playbook editor";

/// For a replaced action on the platform's own collections.
pub(super) const PLATFORM_ACCOUNT: &str = "the platform gave the other module its address and \
     key by itself: the new module needs an account with base_url and api_key, choose one in the playbook editor";

/// For a replaced action whose branches lead on for the usual end only.
pub(super) const BRANCHES: &str = "it takes the branch held or partial in place of default \
     where changes wait for approval or a part of them failed: nothing is connected to these, so the playbook would end there without a word";

const ON_AN_ENDPOINT: &str =
    "it acts on an endpoint, not on a list: Cordon has no equal, keep it with its module";
const OTHER_VENDOR: &str =
    "it blocks at a product that Cordon has no connector for; keep it with its module";
const TRANSFORM: &str = "it only converts objects; Cordon sends them itself: use push_indicators or \
                         sync_collection of the module for Palo Alto Networks with the mechanism xdr-ioc";
const OTHER_ACTION: &str = "Cordon has no equal for this action; keep it with its module";

/// Actions that put indicators somewhere and have no equal: how the UUID begins, the name, and why.
const WITHOUT_EQUAL: &[(&str, &str, &str)] = &[
    ("dddd7942-", "quarantine_file", ON_AN_ENDPOINT),
    ("50fc3f07-", "harfanglab_create_iocs", OTHER_VENDOR),
    ("aac86ada-", "PushIndicatorsAction", OTHER_VENDOR),
    ("68a6bdfa-", "stix_to_xsiam_action", TRANSFORM),
    ("73b83266-", "replace_blocklist", OTHER_VENDOR),
    ("bcb04714-", "remove_from_blocklist", OTHER_VENDOR),
];

/// Triggers that never deliver what has ended: the feed's, with and without everything that is no indicator.
const TRIGGERS: [&str; 2] = [
    "ac6100ed-3fb7-4355-83ac-049c14aa44fd",
    "9859df5d-a743-41e9-ad6c-cca078b3e054",
];

/// Our equal of an action.
pub(super) fn equal(uuid: &str) -> Option<&'static Equal> {
    EQUALS.iter().find(|equal| equal.uuid == uuid)
}

/// Why an action that bears on blocking stays.
pub(super) fn without_equal(
    uuid: &str,
    name: Option<&str>,
    module: Option<&str>,
) -> Option<&'static str> {
    WITHOUT_EQUAL
        .iter()
        .find(|(begins, known, _)| uuid.starts_with(begins) || name == Some(known))
        .map(|(_, _, hint)| *hint)
        .or_else(|| MODULES.contains(&module?).then_some(OTHER_ACTION))
}

/// What a trigger means for ends.
pub(super) fn trigger(uuid: &str) -> Option<&'static str> {
    TRIGGERS.contains(&uuid).then_some(
        "this trigger delivers nothing that has ended: where the vendor keeps no end itself, start \
         sync_collection or remove_expired from a Cron trigger as well",
    )
}
