//! The fake's lists against items 54 and 60, where the server of the lists matters: what it serves while somebody writes,
//! and whom it serves.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use sdk::target::Level;

use super::lists::{publish, refresh};
use super::{Lab, add, ipv4, lab, write};

fn path(lab: &Lab) -> PathBuf {
    let folder = lab.fake.configuration["publish"]["directory"].as_str();
    PathBuf::from(folder.unwrap()).join("cordon-ip.txt")
}

async fn set(lab: &Lab, what: &[(&str, &str)]) {
    let path = format!("/fake/set?{}", super::form(what));
    assert_eq!(lab.raw("GET", &path, "", b"").await.status, 200);
}

/// Which of these are blocked.
async fn blocked<'a>(lab: &Lab, values: &[&'a str]) -> Vec<&'a str> {
    let mut blocked = Vec::new();
    for value in values {
        if lab.blocks(value).await {
            blocked.push(*value);
        }
    }
    blocked
}

#[tokio::test]
async fn item_54_a_file_that_is_being_written_is_taken_as_it_is() {
    let lab = lab(&[]).await;
    let all = ["45.83.0.1", "45.83.0.2", "45.83.0.255", "45.83.0.25"];
    publish(&lab, "cordon-ip", "45.83.0.1\n45.83.0.2\n45.83.0.255\n");
    refresh(&lab, "ip", "cordon-ip").await;
    assert_eq!(blocked(&lab, &all).await, all[..3]);
    // Somebody writes it anew in place, the same entries and one more, and the device comes between two writes.
    let mut file = File::create(path(&lab)).unwrap();
    assert!(
        refresh(&lab, "ip", "cordon-ip")
            .await
            .contains("<result>FAIL")
    );
    assert_eq!(
        blocked(&lab, &all).await,
        all[..3],
        "an empty one is not taken"
    );
    file.write_all(b"45.83.0.1\n45.83.0.25").unwrap();
    assert!(
        refresh(&lab, "ip", "cordon-ip")
            .await
            .contains("<result>OK")
    );
    let torn = ["45.83.0.1", "45.83.0.25"];
    assert_eq!(
        blocked(&lab, &all).await,
        torn,
        "the rest is lost, and half a line is another one"
    );
    file.write_all(b"5\n45.83.0.2\n45.83.0.3 ; caf\xc3")
        .unwrap();
    assert!(
        refresh(&lab, "ip", "cordon-ip")
            .await
            .contains("<result>OK")
    );
    assert_eq!(blocked(&lab, &all).await, all[..3]);
    assert!(
        lab.blocks("45.83.0.3").await,
        "torn in the middle of a character"
    );
}

#[tokio::test]
async fn item_54_ours_is_the_old_file_or_the_new_one() {
    let lab = lab(&[]).await;
    let (target, ..) = lab.ready("edl").await;
    let staged = target.staged().unwrap();
    add(
        &*target,
        &[write(ipv4("45.83.0.1"), 3), write(ipv4("45.83.0.2"), 3)],
    )
    .await;
    staged.commit().await.unwrap();
    let path = path(&lab);
    let old = fs::read_to_string(&path).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    // A server that has sent half of the file when it is published anew, and one that keeps it under another name.
    let mut served = File::open(&path).unwrap();
    let mut begun = vec![0; old.len() / 2];
    served.read_exact(&mut begun).unwrap();
    let kept = path.with_extension("kept");
    fs::hard_link(&path, &kept).unwrap();
    add(&*target, &[write(ipv4("45.83.0.0"), 3)]).await;
    let mut rest = String::new();
    served.read_to_string(&mut rest).unwrap();
    let whole = String::from_utf8(begun).unwrap() + &rest;
    assert_eq!(
        whole, old,
        "a fetch that began before ends with what it began with"
    );
    assert_eq!(fs::read_to_string(&kept).unwrap(), old);
    let new = fs::read_to_string(&path).unwrap();
    assert_eq!(new, format!("45.83.0.0\n{old}"));
    assert_ne!(
        fs::metadata(&path).unwrap().ino(),
        inode,
        "another file took its name"
    );
    staged.commit().await.unwrap();
    let all = ["45.83.0.0", "45.83.0.1", "45.83.0.2"];
    assert_eq!(blocked(&lab, &all).await, all);
}

/// Defines the list `cordon-ip` with these fields besides its URL, and commits.
async fn define(lab: &Lab, url: &str, fields: &str) {
    let list =
        format!("<entry name='cordon-ip'><type><ip><url>{url}</url>{fields}</ip></type></entry>");
    let reply = lab
        .change("edit", "/external-list/entry[@name='cordon-ip']", &list)
        .await;
    assert!(reply.has("code=\"20\""), "{}", reply.text);
    lab.commit("<commit/>").await;
    lab.pass(10);
}

/// A certificate profile that trusts one CA.
async fn profile(lab: &Lab, name: &str, authority: &str) {
    let profile = format!("<entry name='{name}'><CA><entry name='{authority}'/></CA></entry>");
    let fields = [
        ("type", "config"),
        ("action", "set"),
        ("xpath", "/config/shared/certificate-profile"),
        ("element", &profile),
    ];
    assert!(lab.ask(&fields).await.has("code=\"20\""));
}

const URL: &str = "https://lists.example/cordon-ip.txt";

fn auth(user: &str, password: &str) -> String {
    format!("<auth><username>{user}</username><password>{password}</password></auth>")
}

const PROFILE: &str = "<certificate-profile>lists</certificate-profile>";

#[tokio::test]
async fn item_60_a_server_that_asks_for_a_login_serves_nobody_else() {
    for (position, kept) in [("stop", false), ("keep-old", true)] {
        let right = auth("edge", "P:ss w+rd");
        let plain = "http://lists.example/cordon-ip.txt";
        for (url, fields, served) in [
            (URL, format!("{right}{PROFILE}"), true),
            (URL, PROFILE.to_owned(), false),
            (URL, auth("edge", "guess") + PROFILE, false),
            (URL, auth("other", "P:ss w+rd") + PROFILE, false),
            // Credentials are for a server that is known.
            (URL, right.clone(), false),
            (
                URL,
                format!("{right}<certificate-profile>None</certificate-profile>"),
                false,
            ),
            (plain, format!("{right}{PROFILE}"), false),
        ] {
            let lab = lab(&[("list-refused", position)]).await;
            profile(&lab, "lists", "Lists CA").await;
            define(&lab, url, &fields).await;
            publish(&lab, "cordon-ip", "45.83.0.1\n");
            refresh(&lab, "ip", "cordon-ip").await;
            assert!(lab.blocks("45.83.0.1").await, "nothing is asked for yet");
            set(&lab, &[("login", "edge:P:ss w+rd")]).await;
            publish(&lab, "cordon-ip", "45.83.0.1\n45.83.0.2\n");
            let job = refresh(&lab, "ip", "cordon-ip").await;
            assert_eq!(job.contains("<result>OK"), served, "{url} {fields}");
            assert_eq!(lab.blocks("45.83.0.2").await, served);
            assert_eq!(lab.blocks("45.83.0.1").await, served || kept, "{position}");
            let log = lab.told().await["log"].to_string();
            assert_eq!(
                log.contains("critical: edl-cli-auth-failure"),
                !served,
                "{log}"
            );
        }
    }
}

#[tokio::test]
async fn item_60_a_certificate_profile_trusts_its_own_authorities_only() {
    for (position, kept) in [("stop", false), ("keep-old", true)] {
        for (fields, authority, served) in [
            (PROFILE, "Lists CA", true),
            (PROFILE, "Mallory CA", false),
            ("", "Mallory CA", true),
            (
                "<certificate-profile>None</certificate-profile>",
                "Mallory CA",
                true,
            ),
        ] {
            let lab = lab(&[("list-refused", position)]).await;
            profile(&lab, "lists", "Lists CA").await;
            profile(&lab, "other", "Mallory CA").await;
            define(&lab, URL, fields).await;
            publish(&lab, "cordon-ip", "45.83.0.1\n");
            refresh(&lab, "ip", "cordon-ip").await;
            set(&lab, &[("authority", authority)]).await;
            publish(&lab, "cordon-ip", "45.83.0.1\n45.83.0.2\n");
            let job = refresh(&lab, "ip", "cordon-ip").await;
            assert_eq!(job.contains("<result>OK"), served, "{fields} {authority}");
            assert_eq!(lab.blocks("45.83.0.2").await, served);
            assert_eq!(lab.blocks("45.83.0.1").await, served || kept, "{position}");
            let log = lab.told().await["log"].to_string();
            assert_eq!(
                log.contains("critical: tls-edl-auth-failure"),
                !served,
                "{log}"
            );
        }
    }
}

#[tokio::test]
async fn item_60_a_profile_must_exist_and_a_login_have_a_name() {
    let lab = lab(&[]).await;
    let path = "/external-list/entry[@name='cordon-ip']/type/ip";
    for fields in [
        PROFILE.to_owned(),
        auth("", "secret"),
        auth("edge", &"p".repeat(256)),
    ] {
        let reply = lab.change("set", path, &fields).await;
        assert!(reply.has("code=\"12\""), "{fields}: {}", reply.text);
    }
    profile(&lab, "lists", "Lists CA").await;
    let fields = auth("edge", "secret") + PROFILE;
    assert!(lab.change("set", path, &fields).await.has("code=\"20\""));
}

/// A web server's secrets may stand in the URL of a list.
#[tokio::test]
async fn check_tells_no_secret_of_a_lists_source() {
    let lab = lab(&[]).await;
    for (url, shown, level) in [
        (
            "https://edge:sesame@lists.example/cordon-ip.txt",
            "pulls https://lists.example/cordon-ip.txt, hourly",
            Level::Ok,
        ),
        (
            "https://edge:se/sa?me@lists.example/else.txt",
            "pulls https://lists.example/else.txt, which",
            Level::Warning,
        ),
        (
            "https://lists.example/cordon-ip.txt?token=sesame",
            "pulls https://lists.example/cordon-ip.txt, hourly",
            Level::Ok,
        ),
    ] {
        define(&lab, url, "").await;
        let (target, facts, _) = lab.ready("edl").await;
        let findings = target.examine(&facts).await.unwrap();
        let text = format!("{findings:?}");
        assert!(!text.contains("edge:") && !text.contains("me@") && !text.contains("sesame"));
        let told = findings
            .iter()
            .find(|finding| finding.message.contains(shown));
        assert_eq!(told.map(|finding| finding.level), Some(level), "{text}");
    }
}
