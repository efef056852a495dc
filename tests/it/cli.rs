use crate::support::{configure_falcon, run, run_with_input, write};

#[test]
fn help_and_version_end_well() {
    let directory = tempfile::tempdir().unwrap();
    let help = run(directory.path(), &["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(help.stdout);
    let version = run(directory.path(), &["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.starts_with("cordon "));
}

#[test]
fn bad_usage_is_code_two() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["nothing"][..],
        &[],
        &["sync", "--no-such-option"],
        &["connectors", "--output", "xml"],
        &["plan", "--clock", "tomorrow"],
        &["run", "crowdstrik", "check"],
    ] {
        let ran = run(directory.path(), arguments);
        let expected = if arguments.first() == Some(&"plan") {
            3
        } else {
            2
        };
        assert_eq!(ran.code, Some(expected), "{arguments:?} {ran:?}");
        assert_ne!(ran.stderr, "");
    }
    let ran = run(directory.path(), &["run", "crowdstrik", "check"]);
    assert!(
        ran.stderr.contains("hint: did you mean `crowdstrike`?"),
        "{ran:?}"
    );
}

#[test]
fn a_missing_configuration_is_code_three() {
    let directory = tempfile::tempdir().unwrap();
    let ran = run(directory.path(), &["sync"]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr
            .contains("cordon.toml: the configuration cannot be read"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("hint: name it with --config"),
        "{ran:?}"
    );
}

#[test]
fn an_empty_configuration_says_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "cordon.toml", "");
    for command in ["plan", "sync"] {
        let ran = run(directory.path(), &[command]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("has no deployment"), "{ran:?}");
        assert!(
            ran.stderr.contains("hint: a table [deployments.NAME]"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_log_of_json_lines_has_nothing_else_in_it() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["--log", "json", "sync"][..],
        &["--log", "json", "run", "crowdstrike", "chek"],
    ] {
        let ran = run(directory.path(), arguments);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        let lines: Vec<serde_json::Value> = ran
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{ran:?}")))
            .collect();
        assert_eq!(lines[0]["level"], "ERROR", "{ran:?}");
        assert!(!lines[0]["fields"]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn bad_input_of_run_is_named_and_nothing_is_called() {
    let directory = tempfile::tempdir().unwrap();
    let good = r#"{"arguments":{"values":["8.8.4.4"]},"configuration":{"client_id":"a","client_secret":"hunter2","base_url":"http://127.0.0.1:1"}}"#;
    for (input, expected) in [
        ("", "the input is not JSON"),
        (&good[..good.len() - 1], "the input is not JSON"),
        ("<html></html>", "the input is not JSON"),
        ("[]", "the input is not a JSON object"),
        (
            r#"{"arguments":5}"#,
            "arguments in the input is not a JSON object",
        ),
        (
            r#"{"argument":{},"extra":{}}"#,
            "unknown keys: argument, extra",
        ),
        (
            &good.replace("values", "valeus"),
            "arguments.valeus: unknown key",
        ),
        (
            &good.replace("base_url", "base_ulr"),
            "configuration.base_ulr: unknown key",
        ),
    ] {
        let ran = run_with_input(directory.path(), &["run", "crowdstrike", "block"], input);
        assert_eq!(ran.code, Some(2), "{input} {ran:?}");
        let json = ran.json();
        assert_eq!(json["status"], "failed");
        assert!(
            json["error"].as_str().unwrap().contains(expected),
            "{expected}: {ran:?}"
        );
        assert!(!format!("{ran:?}").contains("hunter2"));
    }
    let missing = r#"{"configuration":{"client_id":"a"}}"#;
    let ran = run_with_input(directory.path(), &["run", "crowdstrike", "check"], missing);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("`client_secret` is missing"), "{ran:?}");
    let ran = run_with_input(directory.path(), &["run", "crowdstrike", "chek"], missing);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("did you mean `check`?"), "{ran:?}");
}

#[test]
fn an_unreachable_vendor_is_worth_trying_later() {
    let directory = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let input = format!(
        r#"{{"arguments":{{}},"configuration":{{"client_id":"a","client_secret":"b","base_url":"http://127.0.0.1:{port}"}}}}"#
    );
    // A moved clock makes the waits real; the short budget of connection failures ends them.
    let ran = run_with_input(
        directory.path(),
        &["run", "crowdstrike", "remove_expired"],
        &input,
    );
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert_eq!(ran.json()["status"], "failed");
}

#[test]
fn connectors_and_completions_need_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let text = run(directory.path(), &["connectors"]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    assert!(text.stdout.contains("prevents"));
    let json = run(directory.path(), &["connectors", "--output", "json"]).json();
    assert_eq!(json[0]["name"], "crowdstrike");
    let script = run(directory.path(), &["completions", "bash"]);
    assert!(script.stdout.contains("cordon"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn slips_between_names_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = serde_json::json!({
        "base_url": "http://127.0.0.1:1",
        "client_id": "id",
        "client_secret": "secret",
    });
    configure_falcon(directory, &fake, "list = \"c2.txt\"", "");
    for (arguments, expected) in [
        (&["sync", "falcon"][..], "hint: name it as --target falcon"),
        (&["sync", "acmee"], "hint: known are acme"),
        (&["plan", "--target", "acme"], "hint: known are falcon"),
        (&["pause", "acme"], "hint: known are falcon"),
        (&["pause", "falcon", "--reason", " "], "hint: say why"),
        (&["history", "--limit", "0"], "0 is not in 1.."),
        (&["fake", "falcon"], "hint: known are crowdstrike"),
    ] {
        let ran = run(directory, arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?} {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?} {ran:?}");
    }
    let ran = run(directory, &["approve", "nothing"]);
    assert!(
        ran.stderr
            .contains("hint: `cordon history` shows what waits"),
        "{ran:?}"
    );
}
