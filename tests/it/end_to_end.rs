use std::path::Path;

use serde_json::Value as Json;

use crate::support::{
    Fake, Ran, act, configure_falcon, cordon, finish, run, run_with_input, write,
};

const LIST: &str = "8.8.4.4\n9.9.9.9\n1.0.0.1\nbad.example.net\nd41d8cd98f00b204e9800998ecf8427e\n";

fn configure(directory: &Path, fake: &Fake, more: &str) {
    configure_falcon(directory, &fake.configuration, "list = \"c2.txt\"", more);
}

fn sync(directory: &Path) -> Ran {
    run(directory, &["sync", "--output", "json"])
}

fn there(directory: &Path, fake: &Fake) -> usize {
    let input = serde_json::json!({ "configuration": fake.configuration });
    let ran = run_with_input(
        directory,
        &["run", "crowdstrike", "list_blocked"],
        &input.to_string(),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    usize::try_from(ran.json()["count"].as_u64().unwrap()).unwrap()
}

#[test]
fn a_list_goes_up_and_comes_down() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    write(directory, "c2.txt", LIST);

    let plan = run(directory, &["plan"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert!(plan.stdout.contains("nothing was sent"), "{plan:?}");
    assert!(
        !directory.join("cordon.db").exists(),
        "a plan makes no store"
    );
    assert_eq!(there(directory, &fake), 0);

    let first = sync(directory);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(first.json()["reports"][0]["added"], 5);
    let second = sync(directory).json();
    assert_eq!(second["reports"][0]["unchanged"], 5);
    assert_eq!(second["reports"][0]["requests"]["write"], 0, "{second}");

    write(directory, "c2.txt", "8.8.4.4\n9.9.9.9\n");
    let third = sync(directory).json();
    assert_eq!(third["reports"][0]["removed"]["withdrawn"], 3, "{third}");
    assert_eq!(there(directory, &fake), 2);

    let history = run(directory, &["history", "--output", "json"]).json();
    assert_eq!(history["runs"].as_array().unwrap().len(), 3);
    assert_eq!(history["runs"][0]["actor"], "alice");

    let retired = run(directory, &["retire", "acme"]);
    assert_eq!(retired.code, Some(0), "{retired:?}");
    assert_eq!(there(directory, &fake), 0);
}

#[test]
fn a_failed_source_removes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    write(directory, "c2.txt", LIST);
    assert_eq!(sync(directory).code, Some(0));
    let html = "<!DOCTYPE html><html><body>maintenance</body></html>";
    for broken in [html, "\u{0}\u{1}\u{2}", "one two three\nfour five\nsix\n"] {
        write(directory, "c2.txt", broken);
        let ran = sync(directory);
        assert!(matches!(ran.code, Some(1 | 4)), "{ran:?}");
        assert_eq!(there(directory, &fake), 5, "{broken:?}");
    }
    std::fs::remove_file(directory.join("c2.txt")).unwrap();
    let ran = sync(directory);
    assert!(matches!(ran.code, Some(1 | 4)), "{ran:?}");
    assert_eq!(there(directory, &fake), 5);
    // A mistake in the configuration, and a missing secret, stop before any call.
    let text = std::fs::read_to_string(directory.join("cordon.toml")).unwrap();
    write(directory, "cordon.toml", &text.replace("include", "inclde"));
    assert_eq!(sync(directory).code, Some(3));
    write(
        directory,
        "cordon.toml",
        &text.replace("secret.txt", "nothing.txt"),
    );
    assert_eq!(sync(directory).code, Some(3));
    assert_eq!(there(directory, &fake), 5);
}

#[test]
fn a_mass_removal_waits_for_approval() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    let all: String = (1..=40).map(|last| format!("8.8.5.{last}\n")).collect();
    write(directory, "c2.txt", &all);
    assert_eq!(sync(directory).code, Some(0));
    write(directory, "c2.txt", "8.8.5.1\n");
    let held = sync(directory);
    assert_eq!(held.code, Some(5), "{held:?}");
    let id = held.json()["reports"][0]["held"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(there(directory, &fake), 40);
    let text = run(directory, &["sync"]);
    assert!(
        text.stdout.contains(&format!("cordon approve {id}")),
        "{text:?}"
    );
    assert_eq!(run(directory, &["approve", "h0"]).code, Some(2));
    let approved = run(directory, &["approve", &id, "--actor", "bob"]);
    assert_eq!(approved.code, Some(0), "{approved:?}");
    let said = "39 changes of acme on falcon\n";
    assert!(approved.stdout.contains(said), "{approved:?}");
    let done = sync(directory);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(there(directory, &fake), 1);
    let history = run(directory, &["history", "--output", "json"]).json();
    assert_eq!(history["events"][0]["actor"], "bob");
    assert_eq!(history["runs"][0]["there"], 1, "{history}");
    assert_eq!(history["held"], Json::Array(Vec::new()));
}

#[test]
fn the_same_removals_on_two_targets_are_approved_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let other = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    let text = std::fs::read_to_string(directory.join("cordon.toml")).unwrap();
    let second = format!(
        "[targets.second]\nconnector = \"crowdstrike\"\nbase_url = {}\nclient_id = {}\nclient_secret = {{ file = \"secret.txt\" }}\n",
        other.configuration["base_url"], other.configuration["client_id"]
    );
    let text = text.replace("[\"falcon\"]", "[\"falcon\", \"second\"]") + &second;
    write(directory, "cordon.toml", &text);
    let all: String = (1..=40).map(|last| format!("8.8.5.{last}\n")).collect();
    write(directory, "c2.txt", &all);
    assert_eq!(sync(directory).code, Some(0));
    write(directory, "c2.txt", "8.8.5.1\n");
    let held = sync(directory);
    assert_eq!(held.code, Some(5), "{held:?}");
    let held = held.json();
    let id = |index: usize| {
        let report = &held["reports"][index];
        assert_eq!(report["status"], "held", "{report}");
        report["held"]["id"].as_str().unwrap().to_owned()
    };
    assert_ne!(id(0), id(1));
    let history = run(directory, &["history"]).stdout;
    assert!(
        history.contains("39 changes of acme on second"),
        "{history}"
    );
    assert_eq!(run(directory, &["approve", &id(0)]).code, Some(0));
    let done = sync(directory);
    assert_eq!(done.code, Some(5), "{done:?}");
    let status = |index: usize| done.json()["reports"][index]["status"].clone();
    assert_eq!((status(0), status(1)), ("ok".into(), "held".into()));
}

#[test]
fn what_left_the_configuration_is_told_in_every_plan() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    write(directory, "c2.txt", LIST);
    assert_eq!(sync(directory).code, Some(0));
    let none = run(directory, &["plan", "--output", "json"]).json();
    assert_eq!(none["orphans"], Json::Array(Vec::new()));
    // A one-shot block stands in no configuration and is nobody's orphan.
    let block = serde_json::json!({ "values": ["8.8.8.8"], "accept_detection": true });
    let blocked = act(
        directory,
        "crowdstrike",
        "block",
        &block,
        &fake.configuration,
    );
    assert_eq!(blocked.code, Some(0), "{blocked:?}");
    let text = std::fs::read_to_string(directory.join("cordon.toml")).unwrap();
    write(
        directory,
        "cordon.toml",
        &text.replace("[deployments.acme]", "[deployments.other]"),
    );
    let plan = run(directory, &["plan", "--output", "json"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    let expected = serde_json::json!([
        { "owner": "acme", "target": "falcon", "entries": 5, "reachable": true },
    ]);
    assert_eq!(plan.json()["orphans"], expected);
    let plan = run(directory, &["plan"]).stdout;
    assert!(
        plan.contains("orphaned: 5 entries of acme on falcon")
            && plan.contains("cordon retire acme"),
        "{plan}"
    );
    // Nor does it matter whether the target is still anybody's.
    let moved = format!(
        "{}\n[targets.elsewhere]\nconnector = \"crowdstrike\"\nbase_url = {}\nclient_id = \"x\"\n\
         client_secret = {{ file = \"secret.txt\" }}\n",
        text.replace("targets = [\"falcon\"]", "targets = [\"elsewhere\"]"),
        fake.configuration["base_url"]
    );
    write(directory, "cordon.toml", &moved);
    let plan = run(directory, &["plan", "--output", "json"]).json();
    assert_eq!(plan["orphans"], expected, "{plan}");
    // What was done is told, though another target cannot be made.
    let broken = moved
        .replace("targets = [\"elsewhere\"]", "targets = [\"falcon\"]")
        .replace(
            "client_id = \"x\"",
            "client_id = \"x\"\nca_file = \"no-such.pem\"",
        );
    write(directory, "cordon.toml", &broken);
    let ran = sync(directory);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["reports"][0]["unchanged"], 5, "{ran:?}");
    assert!(ran.stderr.contains("was not looked for"), "{ran:?}");
    // A former name is no orphan.
    write(
        directory,
        "cordon.toml",
        &text.replace(
            "[deployments.acme]",
            "[deployments.other]\nformerly = [\"acme\"]",
        ),
    );
    let plan = run(directory, &["plan", "--output", "json"]).json();
    assert_eq!(plan["orphans"], Json::Array(Vec::new()), "{plan}");
}

#[test]
fn a_plan_may_look_into_the_future() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "default_validity = { ipv4 = \"30d\" }");
    write(directory, "c2.txt", LIST);
    assert_eq!(sync(directory).code, Some(0));
    let plan = run(directory, &["plan", "--clock", "+40d", "--output", "json"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert_eq!(
        plan.json()["reports"][0]["removed"]["expired"],
        3,
        "{plan:?}"
    );
    assert_eq!(there(directory, &fake), 5);
}

#[test]
fn a_paused_target_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    write(directory, "c2.txt", LIST);
    assert_eq!(
        run(directory, &["pause", "falcon", "--reason", "change freeze"]).code,
        Some(0)
    );
    let ran = run(directory, &["sync"]);
    assert!(ran.stdout.contains("change freeze"), "{ran:?}");
    let told = sync(directory);
    assert_eq!(told.code, Some(5), "the changes wait: {told:?}");
    let told = told.json();
    assert_eq!(told["reports"][0]["dry_run"], true, "{told}");
    assert_eq!(told["reports"][0]["status"], "held", "{told}");
    assert_eq!(run(directory, &["plan"]).code, Some(0), "only looked at");
    assert_eq!(there(directory, &fake), 0);
    assert_eq!(run(directory, &["resume", "falcon"]).code, Some(0));
    assert_eq!(sync(directory).code, Some(0));
    assert_eq!(there(directory, &fake), 5);
    let again = ["pause", "falcon", "--reason", "change freeze"];
    assert_eq!(run(directory, &again).code, Some(0));
    assert_eq!(sync(directory).code, Some(0), "nothing waits");
}

#[test]
fn paths_start_at_the_folder_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("site");
    std::fs::create_dir(&folder).unwrap();
    let fake = Fake::start(&folder, &["crowdstrike", "--ca-out", "ca.pem"]);
    configure(&folder, &fake, "");
    write(&folder, "c2.txt", LIST);
    let text = std::fs::read_to_string(folder.join("cordon.toml")).unwrap();
    let target = "connector = \"crowdstrike\"";
    let with_ca = text.replace(target, &format!("{target}\nca_file = \"ca.pem\""));
    write(&folder, "cordon.toml", &with_ca);
    let ran = run(
        directory.path(),
        &["--config", "site/cordon.toml", "sync", "--output", "json"],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["reports"][0]["added"], 5, "{ran:?}");
}

#[test]
fn a_certificate_of_an_unknown_ca_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--ca-out", "ca.pem"]);
    let mut configuration = fake.configuration.clone();
    let fields = configuration.as_object_mut().unwrap();
    fields.remove("ca_pem");
    fields.remove("ca_file");
    let input = serde_json::json!({ "configuration": configuration }).to_string();
    let arguments = ["run", "crowdstrike", "remove_expired"];
    let refused = run_with_input(directory, &arguments, &input);
    assert!(!matches!(refused.code, Some(0)), "{refused:?}");
    assert!(refused.stdout.contains("certificate"), "{refused:?}");
    configuration["ca_file"] = Json::from(directory.join("ca.pem").to_str().unwrap());
    let input = serde_json::json!({ "configuration": configuration }).to_string();
    let taken = run_with_input(directory, &arguments, &input);
    assert_eq!(taken.code, Some(0), "{taken:?}");
}

#[test]
fn a_full_disk_under_the_store_removes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    write(directory, "c2.txt", LIST);
    assert_eq!(sync(directory).code, Some(0));
    write(directory, "c2.txt", "8.8.4.4\n9.9.9.9\n");
    // The system refuses every write beyond one block of a file, as a full disk would.
    let limited = finish(
        std::process::Command::new("sh")
            .current_dir(directory)
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f 64; exec \"$0\" sync",
                env!("CARGO_BIN_EXE_cordon"),
            ]),
    );
    assert_eq!(limited.code, Some(1), "{limited:?}");
    let told = format!("{}{}", limited.stdout, limited.stderr);
    assert!(
        told.contains("the disk under the store is full"),
        "{limited:?}"
    );
    assert_eq!(there(directory, &fake), 5);
    assert_eq!(sync(directory).code, Some(0));
    assert_eq!(there(directory, &fake), 2);
}

#[test]
fn killed_at_any_time_the_next_run_converges() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure(directory, &fake, "");
    let all: String = (0..900)
        .map(|n| format!("8.8.{}.{}\n", n / 200, 1 + n % 200))
        .collect();
    write(directory, "c2.txt", &all);
    for _ in 0..6 {
        let mut child = cordon(directory)
            .arg("sync")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // As soon as something is there, or it is done.
        while there(directory, &fake) == 0 && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        // The lease of a killed run ends by itself, later; what it wrote must be told without the store.
        for name in ["cordon.db", "cordon.db-wal", "cordon.db-shm"] {
            let _ = std::fs::remove_file(directory.join(name));
        }
    }
    let ran = sync(directory);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(there(directory, &fake), 900);
    let again = sync(directory).json();
    assert_eq!(again["reports"][0]["unchanged"], 900, "{again}");
    assert_eq!(again["reports"][0]["requests"]["write"], 0, "{again}");
}

#[test]
fn a_moved_clock_is_for_loopback_only() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http", "--clock", "+40d"]);
    configure(directory, &fake, "");
    write(directory, "c2.txt", LIST);
    let ran = run(directory, &["sync", "--clock", "+40d"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = run(directory, &["sync"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("made with --clock"), "{ran:?}");
    let text = std::fs::read_to_string(directory.join("cordon.toml")).unwrap();
    let elsewhere = text
        .lines()
        .map(|line| {
            if line.starts_with("base_url") {
                "base_url = \"https://api.crowdstrike.com\""
            } else {
                line
            }
        })
        .collect::<Vec<_>>()
        .join("\n");
    write(directory, "cordon.toml", &elsewhere);
    let ran = run(directory, &["sync", "--clock", "+40d"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr.contains("not every endpoint is on loopback"),
        "{ran:?}"
    );
}
