use std::sync::Arc;

use sdk::Clock;
use sdk::fake::{FakeOptions, Fault};
use sdk::indicator::Kind;
use sdk::store::{MemoryStore, Store as _};
use serde_json::{Value as Json, json};

use super::stage::{Stage, file, in_days, object, sample, sha256};

const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

fn console() -> Stage {
    Stage::start(sentinelone::connector(), &["api_token"])
}

/// Without a scope of its own, as configurations of other playbooks are.
fn without_scope(stage: &mut Stage) -> Json {
    let fields = stage.configuration.as_object_mut().unwrap();
    fields.remove("os_types");
    fields.remove("account_ids").unwrap()
}

/// All entries of the blocklist, as an administrator sees them.
fn blocklist(stage: &Stage) -> Vec<Json> {
    let token = stage.configuration["api_token"].as_str().unwrap();
    let account = stage.fake.configuration["account_ids"][0].as_str().unwrap();
    let path =
        format!("/web/api/v2.1/restrictions?type=black_hash&limit=1000&accountIds={account}");
    let answer = stage.ask(&path, ("Authorization", &format!("ApiToken {token}")));
    answer["data"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .clone()
}

fn systems(stage: &Stage) -> Vec<String> {
    let mut systems: Vec<String> = blocklist(stage)
        .iter()
        .map(|entry| entry["osType"].as_str().unwrap().to_owned())
        .collect();
    systems.sort();
    systems
}

#[test]
fn create_iocs_loses_neither_sha1_nor_sha256() {
    let mut stage = console();
    let accounts = without_scope(&mut stage);
    let arguments = json!({
        "filters": { "account_ids": accounts }, "sekoia_base_url": "https://app.sekoia.io",
    });
    let none = json!({});
    let objects = [
        object(&file(0), &none),
        object(&format!("[file:hashes.'SHA-1' = '{SHA1}']"), &none),
        object(&format!("[file:hashes.MD5 = '{MD5}']"), &none),
        object("[ipv4-addr:value = '45.83.0.1']", &none),
        object("[domain-name:value = 'host-1.cordon-contract.com']", &none),
        object(
            "[url:value = 'http://host-1.cordon-contract.com/it\\'s']",
            &none,
        ),
        object("[ipv4-addr:value = '45.83.1.0/24']", &none),
        object("[url:value = 'unterminated", &none),
    ];
    let played = stage.push("sentinelone_iocs_create_iocs", &arguments, &objects);
    let report = played.results();
    assert_eq!(report["added"], 6, "{report}");
    let held = stage.ours("ioc");
    for expected in [
        format!("sha256:{}", sha256(0)),
        format!("sha1:{SHA1}"),
        format!("md5:{MD5}"),
    ] {
        assert!(held.contains(&expected), "{expected}: {held:?}");
    }
    assert!(
        held.contains(&"url:http://host-1.cordon-contract.com/it's".to_owned()),
        "{held:?}"
    );
    // Upstream's results: the console's own rows.
    for sent in report["indicators"].as_array().unwrap() {
        for name in ["uuid", "validUntil", "externalId", "creator", "scopeId"] {
            assert!(sent[name].is_string(), "{name}: {sent}");
        }
        let fixed = (&sent["source"], &sent["scope"], &sent["method"]);
        assert_eq!(
            fixed,
            (&json!("cordon-main"), &json!("account"), &json!("EQUALS"))
        );
    }
    let mut types: Vec<&str> = report["indicators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sent| sent["type"].as_str().unwrap())
        .collect();
    types.sort_unstable();
    assert_eq!(types, ["DNS", "IPV4", "MD5", "SHA1", "SHA256", "URL"]);
}

#[test]
fn create_iocs_takes_the_sample_in_batches_and_removes_what_is_revoked() {
    let mut stage = console();
    stage.configuration["batch"] = json!(150);
    let mut objects = sample();
    let played = stage.push("sentinelone_iocs_create_iocs", &json!({}), &objects);
    assert_eq!(played.results()["added"], 313, "{played:?}");
    let posts = stage.bodies("POST", "/threat-intelligence/iocs");
    let sizes: Vec<usize> = posts
        .iter()
        .map(|body| body["data"].as_array().unwrap().len())
        .collect();
    assert!(
        sizes.len() >= 3 && sizes.iter().all(|size| *size <= 150),
        "{sizes:?}"
    );
    for body in &posts {
        assert!(
            body["filter"]["accountIds"].is_array(),
            "never the whole tenant: {}",
            body["filter"]
        );
    }
    for object in &mut objects[266..271] {
        object["revoked"] = json!(true);
        object["modified"] = json!(in_days(0));
    }
    let played = stage.push(
        "sentinelone_iocs_create_iocs",
        &json!({}),
        &objects[260..280],
    );
    assert_eq!(played.results()["removed"]["revoked"], 5, "{played:?}");
    assert_eq!(stage.ours("ioc").len(), 308);
}

#[test]
fn create_iocs_filters_by_site_and_never_falls_back_to_the_tenant() {
    let options = FakeOptions::plain(Clock::system()).set("level", "site");
    let mut stage = Stage::start_with(sentinelone::connector(), &["api_token"], options);
    let accounts = without_scope(&mut stage);
    let sites = stage
        .configuration
        .as_object_mut()
        .unwrap()
        .remove("site_ids")
        .unwrap();
    let objects = [object(&file(0), &json!({}))];
    for filters in [json!({}), json!({ "account_ids": [] })] {
        let played = stage.push(
            "sentinelone_iocs_create_iocs",
            &json!({ "filters": filters }),
            &objects,
        );
        assert!(played.error().contains("filters"), "{played:?}");
    }
    let played = stage.push("sentinelone_iocs_create_iocs", &json!({}), &objects);
    assert!(played.error().contains("account_ids"), "{played:?}");
    assert_eq!(stage.ours("ioc"), Vec::<String>::new());
    let filters = json!({ "filters": { "account_ids": accounts, "site_ids": sites } });
    let played = stage.push("sentinelone_iocs_create_iocs", &filters, &objects);
    assert_eq!(played.results()["added"], 1, "{played:?}");
    assert_eq!(stage.ours("ioc"), [format!("sha256:{}", sha256(0))]);
}

#[test]
fn blocklist_create_item_keeps_the_description_and_other_systems() {
    let mut stage = console();
    let accounts = without_scope(&mut stage);
    let item = |system: &str| {
        json!({
            "os_type": system, "sha_256": sha256(0).to_uppercase(), "source": "an alert",
            "description": "seen in case 7", "filter_account_ids": accounts,
            "filter_tenant_scope": "false",
        })
    };
    let played = stage.play("sentinelone_blocklist_create_item", &item("linux"));
    let report = played.results();
    assert_eq!(report["added"], 1, "{report}");
    let [made] = &report["data"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(
        (&made["osType"], &made["sha256Value"], &made["value"]),
        (&json!("linux"), &json!(sha256(0)), &json!(null))
    );
    assert!(
        made["description"]
            .as_str()
            .unwrap()
            .ends_with("seen in case 7"),
        "{made}"
    );
    for name in [
        "userId",
        "userName",
        "createdAt",
        "updatedAt",
        "notRecommended",
    ] {
        assert!(made[name].is_string(), "{name}: {made}");
    }
    assert_eq!(
        (&made["scope"]["accountIds"], &made["source"]),
        (&accounts, &json!("user"))
    );
    let again = stage.play("sentinelone_blocklist_create_item", &item("linux"));
    assert_eq!(again.results()["unchanged"], 1, "{again:?}");
    assert_eq!(again.results()["data"], report["data"]);
    let windows = stage.play("sentinelone_blocklist_create_item", &item("windows"));
    assert_eq!(
        windows.results()["data"].as_array().unwrap().len(),
        2,
        "{windows:?}"
    );
    assert_eq!(systems(&stage), ["linux", "windows"], "the first one stays");
}

#[test]
fn blocklist_create_item_takes_both_hashes_and_exactly_one_scope() {
    let stage = console();
    let both = json!({ "os_type": "windows", "sha_1": SHA1, "sha_256": sha256(0) });
    let played = stage.play("sentinelone_blocklist_create_item", &both);
    assert_eq!(played.results()["added"], 2, "{played:?}");
    assert_eq!(played.results()["data"].as_array().unwrap().len(), 2);
    for wrong in [
        json!({ "os_type": "windows" }),
        json!({ "os_type": "beos", "sha_1": SHA1 }),
        json!({ "os_type": "windows", "sha_1": sha256(0) }),
        json!({
            "os_type": "windows", "sha_1": SHA1, "filter_tenant_scope": true,
            "filter_site_ids": ["225494730938493804"],
        }),
    ] {
        let played = stage.play("sentinelone_blocklist_create_item", &wrong);
        assert!(!played.error().is_empty(), "{wrong}");
    }
    assert_eq!(systems(&stage), ["windows", "windows"]);
}

#[test]
fn blocklist_delete_item_takes_only_what_is_ours_alone() {
    let mut stage = console();
    stage.configuration["os_types"] = json!(["windows"]);
    let theirs = sha256(9);
    stage.by_hand("blocklist", Kind::Sha256, &theirs);
    let create = |system: &str, number: usize, more: Json| {
        let mut arguments = json!({ "os_type": system, "sha_256": sha256(number) });
        for (name, value) in more.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        let played = stage.play("sentinelone_blocklist_create_item", &arguments);
        let data = played.results()["data"].clone();
        let entry = data
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["osType"] == system);
        entry.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let linux = create("linux", 0, json!({}));
    let windows = create("windows", 0, json!({}));
    let others = create("windows", 1, json!({ "deployment": "acme" }));
    let entries = blocklist(&stage);
    let foreign = entries
        .iter()
        .find(|entry| entry["sha256Value"] == json!(theirs) || entry["value"] == json!(theirs))
        .unwrap_or_else(|| panic!("{entries:?}"))["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = entries.len();

    let dry = stage.play(
        "sentinelone_blocklist_delete_item",
        &json!({ "ids": [linux], "dry_run": true }),
    );
    assert_eq!(dry.results()["data"]["affected"], 1, "{dry:?}");
    assert_eq!(blocklist(&stage).len(), before);

    // One system's entry goes, the other's stays. A list may come as its text.
    let ids = json!({ "ids": json!([linux, "225494730938493999"]).to_string() });
    let played = stage.play("sentinelone_blocklist_delete_item", &ids);
    let report = played.results();
    assert_eq!(report["data"]["affected"], 1, "{report}");
    assert_eq!(
        report["details"][0]["value"], "225494730938493999",
        "{report}"
    );
    assert_eq!(blocklist(&stage).len(), before - 1);

    for id in [&foreign, &others] {
        let played = stage.play("sentinelone_blocklist_delete_item", &json!({ "ids": [id] }));
        assert!(played.error().contains("not ours alone"), "{played:?}");
    }
    assert_eq!(blocklist(&stage).len(), before - 1);
    let played = stage.play(
        "sentinelone_blocklist_delete_item",
        &json!({ "ids": [others], "deployment": "acme" }),
    );
    assert_eq!(played.results()["data"]["affected"], 1, "{played:?}");
    let played = stage.play(
        "sentinelone_blocklist_delete_item",
        &json!({ "ids": [windows] }),
    );
    assert_eq!(played.results()["data"]["affected"], 1, "{played:?}");
    for none in [json!({ "ids": [] }), json!({ "ids": [""] })] {
        let played = stage.play("sentinelone_blocklist_delete_item", &none);
        assert!(played.error().contains("ids"), "{played:?}");
    }
}

/// A console whose configuration is what upstream's module has: nothing but these two fields.
fn upstream(switches: &[(&str, &str)]) -> (Stage, Json) {
    let mut options = FakeOptions::plain(Clock::system());
    for (name, position) in switches {
        options.switches = options.switches.with(name, position);
    }
    let mut stage = Stage::start_with(sentinelone::connector(), &["api_token"], options);
    let accounts = without_scope(&mut stage);
    let fields = stage.configuration.as_object_mut().unwrap();
    fields.retain(|name, _| ["hostname", "api_token"].contains(&name.as_str()));
    assert_eq!(fields.len(), 2);
    (stage, accounts)
}

#[test]
fn blocklist_delete_item_needs_nothing_but_the_ids() {
    let (stage, accounts) = upstream(&[]);
    let create = |number: usize, filter: &str, ids: &Json| {
        let mut arguments = json!({ "os_type": "windows", "sha_256": sha256(number) });
        arguments[filter] = ids.clone();
        let played = stage.play("sentinelone_blocklist_create_item", &arguments);
        id_on(played.results(), "windows")
    };
    let delete = |ids: &[&String]| {
        let arguments = json!({ "ids": ids });
        stage.play("sentinelone_blocklist_delete_item", &arguments)
    };
    let account = create(0, "filter_account_ids", &accounts);
    let site = create(1, "filter_site_ids", &json!(["225494730938494001"]));
    let kept = create(2, "filter_account_ids", &accounts);
    let unknown = "1225494730938999999".to_owned();
    let played = delete(&[&account, &site, &unknown]);
    let report = played.results();
    assert_eq!(report["data"]["affected"], 2, "{report}");
    assert_eq!(report["details"][0]["value"], json!(unknown), "{report}");
    let left: Vec<Json> = blocklist(&stage)
        .iter()
        .map(|row| row["id"].clone())
        .collect();
    assert_eq!(left, [json!(kept)]);
    // An id that is nowhere is none, and what is not ours stays.
    let played = delete(&[&account]);
    assert_eq!(played.results()["data"]["affected"], 0, "{played:?}");
    stage.by_hand("blocklist", Kind::Sha256, &sha256(9));
    let token = format!(
        "ApiToken {}",
        stage.configuration["api_token"].as_str().unwrap()
    );
    let all = stage.ask(
        "/web/api/v2.1/restrictions?limit=1000",
        ("Authorization", &token),
    );
    let rows = all["data"].as_array().unwrap();
    let foreign = rows.iter().find(|row| row["id"] != json!(kept));
    let foreign = foreign.unwrap()["id"].as_str().unwrap().to_owned();
    let played = delete(&[&foreign]);
    assert!(played.error().contains("not ours alone"), "{played:?}");
    assert_eq!(stage.foreign("blocklist").len(), 1);
}

#[test]
fn a_console_that_wants_a_scope_is_told_apart_and_one_can_be_named() {
    let (stage, accounts) = upstream(&[("unscoped-list", "refused")]);
    let item = json!({ "os_type": "linux", "sha_256": sha256(0), "filter_account_ids": accounts });
    let made = stage.play("sentinelone_blocklist_create_item", &item);
    let mut ids = json!({ "ids": [id_on(made.results(), "linux")] });
    let played = stage.play("sentinelone_blocklist_delete_item", &ids);
    assert!(played.error().contains("filter_account_ids"), "{played:?}");
    ids["filter_account_ids"] = accounts;
    let played = stage.play("sentinelone_blocklist_delete_item", &ids);
    assert_eq!(played.results()["data"]["affected"], 1, "{played:?}");
    assert!(blocklist(&stage).is_empty());
}

/// The id of the entry that a run made or has on a system.
fn id_on(report: &Json, system: &str) -> String {
    let data = report["data"].as_array().unwrap();
    let entry = data.iter().find(|entry| entry["osType"] == system);
    let entry = entry.unwrap_or_else(|| panic!("{report}"));
    entry["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_adopted_item_is_not_deleted_and_blocks_no_other_system() {
    let options = FakeOptions::plain(Clock::system()).set("systems", json!(["windows"]));
    let stage = Stage::start_with(sentinelone::connector(), &["api_token"], options);
    stage.by_hand("blocklist", Kind::Sha256, &sha256(0));
    let create = |system: &str, adopt: bool| {
        let arguments = json!({ "os_type": system, "sha_256": sha256(0), "adopt": adopt });
        stage.play("sentinelone_blocklist_create_item", &arguments)
    };
    let adopted = create("windows", true);
    assert_eq!(adopted.results()["adopted"], 1, "{adopted:?}");

    let ids = json!({ "ids": [id_on(adopted.results(), "windows")], "fail_on": "never" });
    let played = stage.play("sentinelone_blocklist_delete_item", &ids);
    let report = played.results();
    assert_eq!(report["data"]["affected"], 0, "{report}");
    assert_eq!(report["skipped"]["foreign"], 1, "{report}");
    let message = report["details"][0]["message"].as_str().unwrap();
    assert!(message.contains("unblock"), "{report}");
    assert_eq!(systems(&stage), ["windows"]);

    let played = create("linux", false);
    assert!(
        played.error().contains("not blocked on linux"),
        "{played:?}"
    );
    assert_eq!(systems(&stage), ["windows"]);

    let unblock = json!({ "values": [sha256(0)] });
    stage.play("unblock", &unblock).results();
    assert_eq!(systems(&stage), ["windows"], "it is given back");
}

#[test]
fn owners_on_different_systems_leave_each_others_items() {
    let stage = console();
    let create = |system: &str, deployment: &str| {
        let arguments = json!({
            "os_type": system, "sha_256": sha256(0), "deployment": deployment,
        });
        stage.play("sentinelone_blocklist_create_item", &arguments)
    };
    create("windows_legacy", "manual").results();
    let played = create("windows", "acme");
    let warning = played.results()["warnings"][0].as_str().unwrap();
    assert!(warning.contains("manual on windows_legacy"), "{played:?}");
    let both = ["windows", "windows_legacy"];
    assert_eq!(systems(&stage), both);
    for (system, owner) in [("windows", "acme"), ("windows_legacy", "manual")] {
        let again = create(system, owner);
        assert_eq!(again.results()["unchanged"], 1, "{again:?}");
        assert_eq!(again.results()["requests"]["write"], 0, "{again:?}");
    }
    let unblock = json!({ "values": [sha256(0)], "deployment": "acme" });
    stage.play("unblock", &unblock).results();
    assert_eq!(
        systems(&stage),
        both,
        "nothing of manual's goes, and nothing comes"
    );
    let unblock = json!({ "values": [sha256(0)], "deployment": "manual" });
    stage.play("unblock", &unblock).results();
    assert!(systems(&stage).is_empty());
}

#[test]
fn what_was_written_is_told_where_the_blocklist_cannot_be_read_afterwards() {
    let stage = console();
    let create = |number: usize| {
        let arguments = json!({ "os_type": "linux", "sha_256": sha256(number) });
        stage.play("sentinelone_blocklist_create_item", &arguments)
    };
    create(0).results();
    let reads = stage.bodies("GET", "/restrictions").len();
    let fault = |after: usize| {
        let fault = Fault::status(403).on("GET", "/restrictions");
        stage.fake.server.faults.clear();
        stage
            .fake
            .server
            .fault(fault.after(after).times(usize::MAX));
    };
    // The last call only adds the console's own fields.
    fault(reads - 1);
    let played = create(2);
    let report = played.results();
    assert_eq!(report["data"][0]["sha256Value"], sha256(2), "{report}");
    assert!(report["data"][0].get("userName").is_none(), "{report}");
    assert!(
        report["warnings"].to_string().contains("own fields"),
        "{report}"
    );
    fault(reads - 2);
    let played = create(1);
    let report = played.results();
    assert_eq!(
        (&report["added"], &report["data"]),
        (&json!(1), &json!([])),
        "{report}"
    );
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("could not be read afterwards"),
        "{report}"
    );
}

#[test]
fn delete_item_minds_a_pause_other_runs_and_the_ledger() {
    let mut stage = console();
    stage.configuration["mechanism"] = json!("blocklist");
    let key = stage.key();
    let store = Arc::new(MemoryStore::new());
    let act = |action: &str, arguments: Json| stage.act(action, &arguments, &store).unwrap();
    let mut made = json!({});
    for system in ["linux", "windows"] {
        let arguments = json!({ "os_type": system, "sha_256": sha256(0) });
        made = act("sentinelone_blocklist_create_item", arguments);
    }
    let recorded = || stage.wait(store.ledger(&key.to_string())).unwrap().len();
    assert_eq!(recorded(), 1);

    let ids = json!({ "ids": [id_on(&made, "linux")] });
    let delete = |store: &Arc<MemoryStore>| {
        stage
            .act("sentinelone_blocklist_delete_item", &ids, store)
            .unwrap()
    };
    let report = delete(&stage.paused());
    assert!(
        report["warnings"][0]
            .as_str()
            .unwrap()
            .contains("maintenance"),
        "{report}"
    );
    let report = delete(&stage.busy(&key));
    assert!(
        report["error"].as_str().unwrap().contains("another run"),
        "{report}"
    );
    assert_eq!(report["status"], "failed", "{report}");
    assert_eq!(systems(&stage), ["linux", "windows"]);

    let report = delete(&store);
    assert_eq!(report["data"]["affected"], 1, "{report}");
    assert_eq!(recorded(), 1, "it is blocked on windows");
    let ids = json!({ "ids": [id_on(&made, "windows")] });
    act("sentinelone_blocklist_delete_item", ids);
    assert_eq!(recorded(), 0);
    assert!(systems(&stage).is_empty());
}
