//! Files of the data path.

use serde_json::{Value as Json, json};

use super::job::{Job, falcon};
use super::platform::Platform;
use crate::support::{Fake, indicator};

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

pub(super) fn objects() -> Json {
    let pattern = format!("[file:hashes.'SHA-256' = '{SHA256}']");
    json!([indicator(&pattern, &json!({}))])
}

fn push(fake: &Fake, path: &str, prepare: impl FnOnce(Job) -> Job) -> (Platform, Job, Json) {
    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    let platform = Platform::start(secrets);
    let job = prepare(Job::new(
        &platform,
        fake,
        &json!({ "stix_objects_path": path }),
    ));
    let ran = job.run(&platform, "push_indicators");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let end = platform.end();
    (platform, job, end)
}

#[test]
fn objects_from_a_file_bring_results_in_files() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let (_, job, end) = push(&fake, "in/objects.json", |job| {
        let folder = job.data().join("runs/7/in");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("objects.json"), objects().to_string()).unwrap();
        job.file("sub_folder", "/runs/7/")
    });
    let results = &end["results"];
    assert_eq!(results["added"], 1, "{end}");
    assert_eq!(results.get("changes"), None, "{end}");
    for name in ["changes", "details"] {
        let file = results[format!("{name}_path")].as_str().unwrap();
        let id = file
            .strip_prefix(&format!("{name}-"))
            .and_then(|rest| rest.strip_suffix(".json"))
            .unwrap();
        uuid::Uuid::parse_str(id).unwrap();
        let text = std::fs::read_to_string(job.data().join("runs/7").join(file)).unwrap();
        let list: Vec<Json> = serde_json::from_str(&text).unwrap();
        assert_eq!(list.len(), usize::from(name == "changes"), "{text}");
    }
}

#[test]
fn objects_given_inline_bring_results_inline() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    // Where both are given, the objects count; the file need not be there.
    let arguments = json!({ "stix_objects": objects(), "stix_objects_path": "missing.json" });
    let job = Job::new(&platform, &fake, &arguments);
    let ran = job.run(&platform, "push_indicators");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let end = platform.end();
    assert_eq!(end["results"]["changes"][0]["value"], SHA256, "{end}");
    assert_eq!(job.data_files(), Vec::<String>::new());
}

#[test]
fn only_files_below_the_data_path_are_read() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let outside = |job: &Job| {
        let path = job.directory.path().join("outside.json");
        std::fs::write(&path, objects().to_string()).unwrap();
        path
    };
    for (path, why) in [
        ("missing.json", "No such file"),
        ("../outside.json", "does not stay below"),
        ("a/../../outside.json", "does not stay below"),
        ("link.json", "link that leads out"),
        (".", "does not stay below"),
        ("folder", "not a file"),
        ("", "exactly one of stix_objects and stix_objects_path"),
    ] {
        let (_, _, end) = push(&fake, path, |job| {
            let outside = outside(&job);
            std::os::unix::fs::symlink(outside, job.data().join("link.json")).unwrap();
            std::fs::create_dir(job.data().join("folder")).unwrap();
            job
        });
        assert!(
            end["error"].as_str().unwrap().contains(why),
            "{path}: {end}"
        );
        assert_eq!(end.get("results"), None, "{end}");
    }
    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    let platform = Platform::start(secrets);
    let job = Job::new(&platform, &fake, &json!({}));
    let path = outside(&job);
    let job = job.file(
        "arguments",
        &json!({ "stix_objects_path": path }).to_string(),
    );
    job.run(&platform, "push_indicators");
    let error = platform.end()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("does not stay below"), "{error}");
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let (_, _, end) = push(&fake, "pipe", |job| {
        let made = std::process::Command::new("mkfifo")
            .arg(job.data().join("pipe"))
            .status()
            .unwrap();
        assert!(made.success());
        job
    });
    assert!(
        end["error"].as_str().unwrap().contains("not a file"),
        "{end}"
    );
}

#[test]
fn what_was_done_is_told_inline_where_no_file_can_be_written() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let hash = |number: usize| format!("{number:064x}");
    let values: Vec<String> = (1..=1001).map(hash).collect();
    let job = Job::new(&platform, &fake, &json!({ "values": values }));
    assert_eq!(job.run(&platform, "block").code, Some(0));
    assert_eq!(platform.end()["results"]["added"], 1001);

    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    let platform = Platform::start(secrets.clone());
    let job = Job::new(&platform, &fake, &json!({}));
    assert_eq!(job.run(&platform, "list_blocked").code, Some(0));
    let end = platform.end();
    assert_eq!(end["results"]["count"], 1001);
    assert!(
        end["results"]["entries_path"].is_string(),
        "a long list goes into a file"
    );
    assert_eq!(job.data_files().len(), 1);

    let platform = Platform::start(secrets);
    let job = Job::new(&platform, &fake, &json!({}));
    // A file where the folder should be: nobody, not even root, can write below it.
    std::fs::remove_dir(job.data()).unwrap();
    std::fs::write(job.data(), "").unwrap();
    let ran = crate::support::finish(&mut job.command("crowdstrike", &["list_blocked"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let end = platform.end();
    assert_eq!(end["results"]["entries"].as_array().unwrap().len(), 1001);
    let logs = end["logs"].as_str().unwrap();
    assert!(logs.contains(": warning: entries is sent inline"), "{logs}");
}
