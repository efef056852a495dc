//! The demo as its users see it.

use std::path::Path;

use serde_json::Value as Json;

use crate::support::{Ran, cordon, finish, run};

/// Runs it in an empty directory, with an empty directory for temporary files; both stay empty.
fn demo(arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let ran = finish(
        cordon(directory.path())
            .env("TMPDIR", temporary.path())
            .arg("demo")
            .args(arguments),
    );
    for left in [&directory, &temporary] {
        assert_eq!(files(left.path()), 0, "something was left behind: {ran:?}");
    }
    ran
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[test]
fn the_story_holds_from_start_to_end() {
    let ran = demo(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "");
    let told = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("   ok: ") && line.ends_with(" checks"))
        .count();
    assert_eq!(told, 12, "one line for the checks of each step: {ran:?}");
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line:?}");
    }
    insta::with_settings!({ filters => [
        // Ids of held sets depend on the ports.
        (r"  [0-9a-f]{8}  ", "  [held-id]  "),
        (r"(?m)^( ?[0-9]+  .* \+ [0-9]+) +[0-9]+$", "$1 [ms]"),
        (r"[0-9]+ ms ", "[ms] ms "),
    ] }, {
        insta::assert_snapshot!(ran.stdout);
    });
}

#[test]
fn machines_get_every_check() {
    let ran = demo(&["--output", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let story = ran.json();
    assert_eq!(story["status"], "ok");
    let steps = story["steps"].as_array().unwrap();
    let names: Vec<&str> = steps
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "start",
            "read",
            "push",
            "again",
            "expiry",
            "revocation",
            "exclusion",
            "operator's own",
            "failed source",
            "mass removal",
            "unplugged",
            "retire"
        ]
    );
    for step in steps {
        let checks = step["checks"].as_array().unwrap();
        assert!(checks.len() >= 6, "{step}");
        assert!(checks.iter().all(|check| check["ok"] == true), "{step}");
        assert_eq!(step["told"].as_array().unwrap().len(), 2, "{step}");
        assert_ne!(step["tables"].as_array().unwrap().len(), 0, "{step}");
    }
    let writes = |step: &Json| -> u64 {
        let calls = step["calls"].as_array().unwrap();
        calls
            .iter()
            .map(|calls| calls["write"].as_u64().unwrap())
            .sum()
    };
    assert_ne!(writes(&steps[2]), 0);
    assert_eq!(writes(&steps[3]), 0, "the second run writes nothing");
}

#[test]
fn every_check_is_named_on_request() {
    let ran = demo(&["-v"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for claim in [
        "ok: 136.244.65[.]99 was read as 136.244.65.99",
        "ok: the plan sent no write",
        "ok: fortigate had removed none of them by itself",
        "ok: 77.90.185.0/24 was cut around the customer's quarter of it",
        "ok: and the run after that writes nothing",
        "ok: what the operator made by hand is unchanged on both",
    ] {
        assert!(ran.stdout.contains(claim), "{claim}: {ran:?}");
    }
}

#[test]
fn the_demo_has_a_clock_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let ran = run(directory.path(), &["demo", "--clock", "+1d"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("hint: leave --clock out"), "{ran:?}");
}
