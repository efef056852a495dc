//! Actions on a console whose configuration is what upstream's module has: host name and token, nothing else.

use sdk::Result;
use sdk::action::Outcome;
use sdk::connector::Environment;
use sdk::sync::Context;
use serde_json::{Value as Json, json};

use crate::raw::{ACCOUNT, Lab, OTHER_SITE, RESTRICTIONS, SITE, ioc, lab, with};

async fn play(lab: &Lab, action: &str, arguments: Json, more: Json) -> Result<Json> {
    let mut configuration = json!({
        "hostname": lab.fake.configuration["hostname"], "api_token": lab.token(),
    });
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    let context = Context::new(Environment::new(lab.clock.clone()));
    let connector = sentinelone::connector();
    let outcome = sdk::action::run(&connector, action, arguments, configuration, &context).await?;
    Ok(match outcome {
        Outcome::Report(report) => serde_json::to_value(report).unwrap(),
        Outcome::View(view) => view,
    })
}

fn hash(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

async fn create(lab: &Lab, number: u8, filter: &str, id: &str) -> String {
    let mut arguments = json!({ "os_type": "windows", "sha_256": hash(number) });
    arguments[filter] = json!([id]);
    let report = play(
        lab,
        "sentinelone_blocklist_create_item",
        arguments,
        json!({}),
    )
    .await;
    let entry = &report.unwrap()["data"][0];
    for name in [
        "userId",
        "userName",
        "createdAt",
        "updatedAt",
        "notRecommended",
        "scopeName",
    ] {
        assert!(entry[name].is_string(), "{name}: {entry}");
    }
    assert!(entry["scope"].is_object() && entry["source"] == "user");
    entry["id"].as_str().unwrap().to_owned()
}

async fn delete(lab: &Lab, ids: &[&str]) -> Result<Json> {
    let arguments = json!({ "ids": ids });
    play(
        lab,
        "sentinelone_blocklist_delete_item",
        arguments,
        json!({}),
    )
    .await
}

/// The console is asked where the ids are, among all that the token sees.
#[tokio::test]
async fn entries_are_deleted_by_their_ids_alone() {
    let lab = lab(&[]).await;
    let account = create(&lab, 1, "filter_account_ids", ACCOUNT).await;
    let site = create(&lab, 2, "filter_site_ids", SITE).await;
    create(&lab, 3, "filter_account_ids", ACCOUNT).await;
    let mut theirs = String::new();
    for system in ["windows", "macos", "linux"] {
        let row = lab.block(crate::raw::hash("aa", system)).await.data();
        row[0]["id"].as_str().unwrap().clone_into(&mut theirs);
    }
    let unknown = "1225494730938999999";
    let report = delete(&lab, &[&account, &site, unknown]).await.unwrap();
    assert_eq!(report["data"]["affected"], 2, "{report}");
    assert_eq!(report["details"][0]["value"], unknown, "{report}");
    assert_eq!(lab.blocked().await.len(), 4);
    let report = delete(&lab, &[&account]).await.unwrap();
    assert_eq!(report["data"]["affected"], 0, "{report}");
    let report = delete(&lab, &[&theirs]).await.unwrap();
    assert_eq!(
        (&report["status"], &report["skipped"]["foreign"]),
        (&json!("failed"), &json!(1)),
        "{report}"
    );
    assert_eq!(lab.blocked().await.len(), 4);
}

#[tokio::test]
async fn a_console_that_wants_a_scope_is_told_apart() {
    let lab = lab(&[("unscoped-list", "refused")]).await;
    let id = create(&lab, 1, "filter_account_ids", ACCOUNT).await;
    let error = delete(&lab, &[&id]).await.unwrap_err();
    assert!(error.message().contains("filter_account_ids"), "{error}");
    let arguments = json!({ "ids": [id], "filter_account_ids": [ACCOUNT] });
    let report = play(
        &lab,
        "sentinelone_blocklist_delete_item",
        arguments,
        json!({}),
    )
    .await;
    assert_eq!(report.unwrap()["data"]["affected"], 1);
}

#[tokio::test]
async fn indicators_come_back_as_the_console_shows_them() {
    for spelling in ["as-sent", "rewritten"] {
        let lab = lab(&[("spelling", spelling)]).await;
        let object = json!({
            "type": "indicator", "spec_version": "2.1", "id": "indicator--0197a1de-7f0c-7c2b-8f5e-2f8a3e5c9d11",
            "created": "2025-05-01T00:00:00Z", "modified": "2025-05-01T00:00:00Z",
            "pattern": "[domain-name:value = 'host-1.cordon-contract.com']", "pattern_type": "stix",
            "valid_from": "2025-05-01T00:00:00Z", "valid_until": "2025-06-20T00:00:00Z",
        });
        let mut arguments = json!({ "stix_objects": [object] });
        let error = play(
            &lab,
            "sentinelone_iocs_create_iocs",
            arguments.clone(),
            json!({}),
        )
        .await;
        let error = error.unwrap_err();
        assert!(error.message().contains("filters"), "{error}");
        assert!(lab.iocs().await.is_empty(), "never the whole tenant");
        arguments["filters"] = json!({ "account_ids": [ACCOUNT] });
        let report = play(&lab, "sentinelone_iocs_create_iocs", arguments, json!({})).await;
        let report = report.unwrap();
        let shown = lab.iocs().await;
        assert_eq!(report["indicators"], json!(shown), "{report}");
        assert_eq!(shown[0]["source"], "cordon-main");
    }
}

/// A row under our source that somebody else made, without an id of ours.
#[tokio::test]
async fn block_and_unblock_leave_a_strangers_row() {
    for again in ["in-place", "second-row", "new-uuid"] {
        let lab = lab(&[("post-again", again)]).await;
        let more = [
            ("source", json!("cordon-main")),
            ("description", json!("analyst row")),
        ];
        let row = with(ioc("IPV4", "45.83.0.77"), &more);
        lab.post(json!([row])).await.data();
        let before = lab.iocs().await;
        let configuration = json!({ "account_ids": [ACCOUNT], "mechanism": "ioc" });
        let arguments = json!({ "values": ["45.83.0.77"], "accept_detection": true });
        let report = play(&lab, "block", arguments, configuration.clone()).await;
        let report = report.unwrap();
        assert_eq!(
            (&report["added"], &report["skipped"]["foreign"]),
            (&json!(0), &json!(1)),
            "{again}: {report}"
        );
        assert_eq!(lab.iocs().await, before, "{again}");
        let arguments = json!({ "values": ["45.83.0.77"] });
        play(&lab, "unblock", arguments, configuration)
            .await
            .unwrap();
        assert_eq!(lab.iocs().await, before, "{again}");
    }
}

async fn item(lab: &Lab, system: &str, days: u32, sites: &[&str]) -> Json {
    let arguments = json!({
        "os_type": system, "sha_256": hash(1), "valid_for": days, "filter_site_ids": sites,
    });
    let action = "sentinelone_blocklist_create_item";
    play(lab, action, arguments, json!({})).await.unwrap()
}

/// Where a hash is blocked, as `system site`.
async fn systems(lab: &Lab) -> Vec<String> {
    let mut systems = Vec::new();
    for site in [SITE, OTHER_SITE] {
        let target = format!("{RESTRICTIONS}?siteIds={site}&limit=1000");
        for row in lab.get(&target).await.data() {
            systems.push(format!("{} {site}", row["osType"].as_str().unwrap()));
        }
    }
    systems.sort();
    systems
}

/// A block of one system is not ended by that of another.
#[tokio::test]
async fn a_shorter_block_on_another_system_ends_nothing_sooner() {
    for (first, second, end) in [
        (0, 7, None),
        (7, 0, None),
        (30, 7, Some(30)),
        (7, 30, Some(30)),
    ] {
        let lab = lab(&[]).await;
        item(&lab, "windows", first, &[SITE]).await;
        let report = item(&lab, "linux", second, &[SITE]).await;
        let warning = report["warnings"].to_string();
        assert!(warning.contains("end together"), "{report}");
        assert_eq!(warning.contains("have no end"), end.is_none(), "{warning}");
        let target = lab
            .targets(
                "blocklist",
                json!({ "account_ids": [], "site_ids": [SITE] }),
            )
            .remove(0);
        let held = target.list(sdk::target::Scope::All).await.unwrap();
        let note =
            sdk::ownership::Note::read(held[0].note.as_deref().unwrap(), "main", &held[0].value);
        let until = end.map(|days| lab.clock.now() + chrono::TimeDelta::days(days));
        assert_eq!(
            (held.len(), note.marks[0].until),
            (
                1,
                sdk::ownership::Mark::new(note.marks[0].owner.clone(), until).until
            ),
            "{first} {second}"
        );
    }
    // Once more on the same system is what was asked for.
    let lab = lab(&[]).await;
    item(&lab, "windows", 30, &[SITE]).await;
    let report = item(&lab, "windows", 7, &[SITE]).await;
    assert_eq!(report["updated"], 1, "{report}");
    assert_eq!(report.get("warnings"), None, "{report}");
}

#[tokio::test]
async fn what_one_site_blocks_on_a_system_is_not_blocked_in_another() {
    let lab = lab(&[]).await;
    item(&lab, "windows", 0, &[SITE]).await;
    item(&lab, "linux", 0, &[OTHER_SITE]).await;
    let report = item(&lab, "macos", 0, &[SITE, OTHER_SITE]).await;
    assert_eq!(report["status"], "ok", "{report}");
    assert_eq!(
        systems(&lab).await,
        [
            format!("linux {OTHER_SITE}"),
            format!("macos {SITE}"),
            format!("macos {OTHER_SITE}"),
            format!("windows {SITE}"),
        ]
    );
}

/// 13, 39: what is stored is what the patterns say, and nothing before its time.
#[tokio::test]
async fn items_13_and_39_patterns_are_stored_as_what_they_say() {
    let (sha1, sha256) = ("b".repeat(40), "c".repeat(64));
    let patterns = [
        &format!("[file:hashes.'SHA-1' = '{sha1}']"),
        &format!("[file:hashes.SHA-256 = '{sha256}']"),
        r"[url:value = 'http://quoted.example.net/it\'s']",
        "[domain-name:value IN ('one.example.net', 'two.example.net')]",
        "[ipv4-addr:value = '45.83.9.1' OR ipv4-addr:value = '45.83.9.2']",
        "[domain-name:value = 'both.example.net' AND url:value = 'http://both.example.net/x']",
        "[domain-name:value != 'not.example.net']",
        "[ipv4-addr:value = '45.83.8.0/30']",
        "[domain-name:resolves_to_refs[0].value = '45.83.7.1']",
    ];
    let object = |place: usize, pattern: &str, from: &str| {
        json!({
            "type": "indicator", "spec_version": "2.1", "id": format!("indicator--0197a1de-7f0c-4c2b-8f5e-{place:012}"),
            "created": "2025-05-01T00:00:00Z", "modified": "2025-05-01T00:00:00Z",
            "pattern": pattern, "pattern_type": "stix", "valid_from": from,
        })
    };
    let past = "2025-05-01T00:00:00Z";
    let mut objects: Vec<Json> = patterns
        .iter()
        .enumerate()
        .map(|(place, pattern)| object(place, pattern, past))
        .collect();
    let early = "[domain-name:value = 'early.example.net']";
    objects.push(object(99, early, "2025-07-01T00:00:00Z"));
    let lab = lab(&[("spelling", "as-sent")]).await;
    let configuration = json!({ "account_ids": [ACCOUNT], "mechanism": "ioc" });
    let arguments = json!({ "stix_objects": objects, "accept_detection": true });
    let report = play(&lab, "push_indicators", arguments, configuration).await;
    let report = report.unwrap();
    let mut stored: Vec<String> = lab
        .iocs()
        .await
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row["type"].as_str().unwrap(),
                row["value"].as_str().unwrap()
            )
        })
        .collect();
    stored.sort();
    let expected = [
        "DNS one.example.net",
        "DNS two.example.net",
        "IPV4 45.83.9.1",
        "IPV4 45.83.9.2",
        &format!("SHA1 {sha1}"),
        &format!("SHA256 {sha256}"),
        "URL http://quoted.example.net/it's",
    ];
    assert_eq!(stored, expected, "{report}");
    let skipped = &report["skipped"];
    assert_eq!(
        (&skipped["pattern"], &skipped["unsupported"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(skipped["waiting"], 1, "{report}");
}
