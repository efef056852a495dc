//! What the platform hands over.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sdk::fake::Transport;
use serde_json::json;

use super::job::{Job, falcon};
use super::platform::{Platform, TOKEN};
use crate::support::finish;

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

#[test]
fn without_a_callback_or_a_token_it_ends_at_once_with_1() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    for name in ["url_callback", "token"] {
        for empty in [false, true] {
            let job = Job::new(&platform, &fake, &json!({}));
            let job = if empty {
                job.file(name, " \n")
            } else {
                job.without(name)
            };
            let ran = job.run(&platform, "block");
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(
                ran.stderr.contains(&format!("{name} is missing")),
                "{ran:?}"
            );
            assert!(ran.stderr.contains(&name.to_uppercase()), "{ran:?}");
        }
    }
    for url in [
        "not a URL",
        "ftp://127.0.0.1/x",
        "http://user:hunter2@127.0.0.1/",
    ] {
        let job = Job::new(&platform, &fake, &json!({}))
            .file("url_callback", url)
            .secret("hunter2");
        let ran = job.run(&platform, "block");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("url_callback"), "{ran:?}");
    }
    assert_eq!(platform.calls().len(), 0);
}

#[test]
fn a_moved_clock_is_for_a_callback_on_loopback() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }));
    let run = |job: &Job| {
        let mut command = job.command_with(&["--clock", "+1s"], "crowdstrike", &["block"]);
        let ran = finish(&mut command);
        job.check(&platform, &ran);
        ran
    };
    assert_eq!(run(&job).code, Some(0));
    assert_eq!(platform.end()["results"]["added"], 1);
    let job = job.file("url_callback", "https://platform.example.com/callback");
    let ran = run(&job);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("--clock is refused"), "{ran:?}");
}

#[test]
fn an_unknown_connector_is_exit_code_1() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let job = Job::new(&platform, &fake, &json!({}));
    let ran = finish(&mut job.command("crowdstrik", &["block"]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("did you mean `crowdstrike`?"),
        "{ran:?}"
    );
}

#[test]
fn everything_may_come_in_variables_json_in_base64_too() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let configuration = json!({
        "base_url": fake.configuration["base_url"], "client_id": fake.configuration["client_id"],
    });
    let arguments = json!({ "values": [SHA256] });
    let job = Job::empty()
        .secret(fake.configuration["client_secret"].as_str().unwrap())
        .variable("TOKEN", TOKEN)
        .variable("URL_CALLBACK", &platform.url())
        .variable("MODULE_CONFIGURATION", &configuration.to_string())
        .variable("ARGUMENTS", &BASE64_STANDARD.encode(arguments.to_string()));
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(platform.end()["results"]["added"], 1);
}

#[test]
fn a_file_is_stronger_than_a_variable() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }))
        .variable("TOKEN", "another")
        .variable("ARGUMENTS", "{\"values\": [\"8.8.8.8\"]}");
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(platform.end()["results"]["changes"][0]["value"], SHA256);
}

#[test]
fn arguments_as_texts_are_understood() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let arguments = json!({
        "values": format!("['{SHA256}']"), "valid_for": "90", "dry_run": "True", "deployment": null,
    });
    let ran = Job::new(&platform, &fake, &arguments).run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let end = platform.end();
    assert_eq!(end["results"]["dry_run"], true, "{end}");
    assert_eq!(end["results"]["added"], 1, "{end}");
}

#[test]
fn wrong_arguments_are_named_before_a_vendor_is_called() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    for (arguments, named) in [
        (
            r#"{"values": ["8.8.8.8"], "valid_for": ""}"#,
            "arguments.valid_for",
        ),
        (
            r#"{"values": ["8.8.8.8"], "vaild_for": 3}"#,
            "arguments.vaild_for",
        ),
        (r#"{"valid_for": 3}"#, "`values` is missing"),
        (r#"["8.8.8.8"]"#, "arguments is not a JSON object"),
        ("{", "arguments is not JSON"),
        ("", "arguments is not JSON"),
    ] {
        let platform = Platform::start(secrets.clone());
        let job = Job::new(&platform, &fake, &json!({})).file("arguments", arguments);
        let ran = job.run(&platform, "block");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let end = platform.end();
        let error = end["error"].as_str().unwrap();
        assert!(error.contains(named), "{arguments}: {error}");
        assert_eq!(end.get("results"), None, "{end}");
    }
    for name in ["arguments", "module_configuration"] {
        let platform = Platform::start(secrets.clone());
        let job = Job::new(&platform, &fake, &json!({})).without(name);
        let ran = job.run(&platform, "block");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let error = platform.end()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(&format!("{name} is missing")), "{error}");
    }
}

#[test]
fn a_secret_that_the_platform_did_not_give_is_named_as_missing() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    // What nobody asked for is not taken over either.
    let platform = Platform::start(json!({ "base_url": "https://elsewhere.example.com" }));
    let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }));
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let error = platform.end()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("`client_secret` is missing"), "{error}");
}

#[test]
fn the_runners_ca_is_trusted_by_each_of_its_names() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    for (name, place) in [
        ("SSL_CERT_FILE", "symphony/ca.pem"),
        ("REQUESTS_CA_BUNDLE", "symphony/ca.pem"),
        // As Python's requests takes it; not all in it are certificates.
        ("REQUESTS_CA_BUNDLE", "symphony"),
        ("CURL_CA_BUNDLE", "symphony/ca.pem"),
        ("", ""),
    ] {
        let platform = Platform::start_with(secrets.clone(), Transport::Tls);
        let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }))
            .file("ca.pem", &platform.ca_pem());
        let ca = job.directory.path().join(place);
        let job = if name.is_empty() {
            job
        } else {
            job.variable(name, ca.to_str().unwrap())
        };
        let ran = job.run(&platform, "block");
        if name.is_empty() {
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(ran.stderr.contains("not trusted"), "{ran:?}");
            assert_eq!(platform.calls().len(), 0);
        } else {
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert_eq!(platform.end()["results"]["status"], "ok");
        }
    }
}

#[test]
fn the_runners_proxy_is_used_and_plain_http_is_warned_of() {
    let here = tempfile::tempdir().unwrap();
    let (fake, proxy) = falcon(here.path());
    let url = proxy.url().replace(
        &format!("127.0.0.1:{}", proxy.port()),
        "platform.example.com",
    );
    let job = Job::new(&proxy, &fake, &json!({ "values": [SHA256] }))
        .file("url_callback", &url)
        .variable("http_proxy", &format!("http://127.0.0.1:{}", proxy.port()));
    let ran = job.run(&proxy, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let calls = proxy.calls();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert!(
            call.head
                .starts_with("PATCH http://platform.example.com/v1/"),
            "{call:?}"
        );
    }
    let logs = proxy.end()["logs"].as_str().unwrap().to_owned();
    assert!(
        logs.contains(": warning: the callback at platform.example.com"),
        "{logs}"
    );
}

#[test]
fn a_ca_that_cannot_be_read_is_told_to_a_platform_that_does_not_need_it() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let missing = here.path().join("no-such-ca.pem");
    let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }))
        .variable("REQUESTS_CA_BUNDLE", missing.to_str().unwrap());
    let ran = job.run(&platform, "block");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(platform.calls().len(), 1, "nothing was begun");
    let error = platform.end()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("no-such-ca.pem"), "{error}");
}
