//! A FortiManager against the fake: what is ended and given back, what `check` finds, and what a name means that
//! the manager does not know.

use axum::http::Method;
use sdk::ErrorKind;
use sdk::connector::Environment;
use sdk::http::{Client, ClientBuilder, Request, Safety};
use sdk::target::{Activate, Batch, Finding, Level, Scope};
use serde_json::{Value as Json, json};

use super::reach_tests::{Lab, all_done, examined, lab, lab_with, write};

const OBJECTS: &str = "/pm/config/adom/campus/obj/firewall";

/// How often something was asked of the manager.
fn asked(lab: &Lab, url: &str) -> usize {
    let words = format!("\"url\":\"{url}\"");
    lab.fake
        .server
        .log
        .count(|call| String::from_utf8_lossy(&call.body).contains(&words))
}

/// The administrator, with a session of his own.
struct Admin {
    client: Client,
    session: Json,
}

impl Admin {
    async fn new(lab: &Lab) -> Self {
        let block = &lab.fake.configuration["fortimanager"];
        let environment = Environment::new(lab.clock.clone());
        let client = ClientBuilder::new(block["url"].as_str().unwrap(), &environment)
            .unwrap()
            .build()
            .unwrap();
        let mut admin = Self {
            client,
            session: Json::Null,
        };
        let data = json!({ "user": block["username"], "passwd": block["password"] });
        let login = admin
            .post(
                json!({ "method": "exec", "params": [{ "url": "/sys/login/user", "data": data }] }),
            )
            .await;
        admin.session = login["session"].clone();
        admin
    }

    async fn post(&self, mut body: Json) -> Json {
        body["session"] = self.session.clone();
        let request = Request::new(Method::POST, Safety::Once, "*", ["jsonrpc"]).json(&body);
        let response = self.client.send(request).await.unwrap();
        response.json("answer").unwrap()
    }

    async fn does(&self, method: &str, url: &str, data: Json) -> Json {
        let answer = self
            .post(json!({ "method": method, "params": [{ "url": url, "data": data }] }))
            .await;
        assert_eq!(
            answer["result"][0]["status"]["code"], 0,
            "{method} {url}: {answer}"
        );
        answer["result"][0]["data"].clone()
    }

    async fn workspace(&self, verb: &str) {
        let url = format!("/dvmdb/adom/campus/workspace/{verb}");
        self.does("exec", &url, Json::Null).await;
    }

    /// Installs the package on the first firewall, and waits.
    async fn installs(&self) {
        let scope = json!([{ "name": "fw-1", "vdom": "root" }]);
        let data = json!({ "adom": "campus", "pkg": "edge", "scope": scope });
        let task = self
            .does("exec", "/securityconsole/install/package", data)
            .await;
        for _ in 0..5 {
            let url = format!("/task/task/{}", task["task"]);
            self.does("get", &url, Json::Null).await;
        }
    }
}

fn managed() -> (&'static str, Json) {
    ("manager", json!("password"))
}

#[tokio::test]
async fn a_password_that_a_proxy_repeats_is_struck_out() {
    let lab = lab(&[("manager", json!("password"))]).await;
    let manager = &lab.fake.configuration["fortimanager"];
    let password = manager["password"].as_str().unwrap();
    let target = lab.target("address-group");
    let login = ("POST", "jsonrpc");
    sdk::testing::secrets::repeated_by_a_proxy(&lab.fake, &*target, login, password).await;
}

#[tokio::test]
async fn a_session_ends_with_the_target() {
    for mechanism in ["push-feed", "ban", "feed", "address-group"] {
        let lab = lab(&[managed()]).await;
        let target = lab.target(mechanism);
        for round in 1..3 {
            target.open().await.unwrap();
            target.list(Scope::All).await.unwrap();
            target.close().await;
            assert_eq!(asked(&lab, "/sys/login/user"), round, "{mechanism}");
            assert_eq!(asked(&lab, "/sys/logout"), round, "{mechanism}");
        }
        // What has no session ends none.
        target.close().await;
        assert_eq!(asked(&lab, "/sys/logout"), 2, "{mechanism}");
    }
}

/// Cut short at every call of an edit, as soon as the call arrives.
#[tokio::test]
async fn an_edit_that_is_cut_short_gives_the_lock_back() {
    for kind in ["password", "token"] {
        for calls in 1..8 {
            let lab = lab_with(
                &[("manager", json!(kind))],
                &[("manager-relock", "refused")],
            )
            .await;
            let target = lab.target("address-group");
            target.open().await.unwrap();
            let writes = [write("9.8.7.6")];
            let log = &lab.fake.server.log;
            let before = log.count(|_| true);
            let cut = async {
                while log.count(|_| true) < before + calls {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = cut => {}
                _ = target.apply(Batch::Add(&writes)) => {}
            }
            target.close().await;
            let other = lab.target("address-group");
            other.open().await.unwrap();
            let before = lab.clock.elapsed();
            let outcomes = other.apply(Batch::Add(&[write("9.8.7.7")])).await;
            assert!(all_done(&outcomes), "{kind} {calls}: {outcomes:?}");
            assert_eq!(
                lab.clock.elapsed(),
                before,
                "{kind} {calls}: somebody waited for a lock"
            );
        }
    }
}

/// An install fails if the session that began it ends.
#[tokio::test]
async fn an_install_that_is_cut_short_goes_on() {
    let lab = lab(&[managed()]).await;
    let target = lab.target("address-group");
    target.open().await.unwrap();
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    let staged = target.staged().unwrap();
    let cut = async {
        while asked(&lab, "/task/task/1") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = cut => {}
        _ = staged.commit() => panic!("the install was not waited for"),
    }
    target.close().await;
    assert_eq!(asked(&lab, "/sys/logout"), 0);
    lab.clock.advance(chrono::TimeDelta::seconds(30));
    Admin::new(&lab).await;
    assert_eq!(lab.fake.state.enforced("address-group").len(), 1);
}

/// An administrator binds our object to an interface and installs that: it matches nowhere else.
#[tokio::test]
async fn an_object_bound_to_an_interface_is_repaired_and_installed() {
    let lab = lab(&[managed()]).await;
    let target = lab.target("address-group");
    target.open().await.unwrap();
    let mut wanted = write("9.8.7.6");
    assert!(all_done(
        &target
            .apply(Batch::Add(std::slice::from_ref(&wanted)))
            .await
    ));
    let staged = target.staged().unwrap();
    staged.commit().await.unwrap();
    let held = target.list(Scope::All).await.unwrap();
    assert!(held[0].blocks && held[0].conforms);

    let admin = Admin::new(&lab).await;
    let addresses = admin
        .does("get", &format!("{OBJECTS}/address"), Json::Null)
        .await;
    let ours = addresses
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["subnet"][0] == "9.8.7.6")
        .and_then(|row| row["name"].as_str())
        .unwrap();
    admin.workspace("lock").await;
    let url = format!("{OBJECTS}/address/{ours}");
    admin
        .does("update", &url, json!({ "associated-interface": "port7" }))
        .await;
    admin.workspace("commit").await;
    admin.workspace("unlock").await;
    admin.installs().await;

    let held = target.list(Scope::All).await.unwrap();
    assert!(!held[0].blocks && !held[0].conforms, "{held:?}");
    wanted.id = Some(held[0].id.clone());
    assert!(all_done(&target.apply(Batch::Update(&[wanted])).await));
    let held = target.list(Scope::All).await.unwrap();
    assert!(
        !held[0].blocks && held[0].conforms,
        "repaired and not installed: {held:?}"
    );
    assert!(staged.pending().await.unwrap().is_some());
    staged.commit().await.unwrap();
    let held = target.list(Scope::All).await.unwrap();
    assert!(held[0].blocks && held[0].conforms, "{held:?}");
    assert!(staged.pending().await.unwrap().is_none());
    assert_eq!(staged.activate(), Activate::Always);
}

#[tokio::test]
async fn a_name_that_the_manager_does_not_know_is_a_mistake_in_the_configuration() {
    type Change = fn(&mut Json);
    let mistakes: [(Change, &str, &str); 3] = [
        (
            |block| block["adom"] = json!("kampus"),
            "ADOM \"kampus\"",
            "fortimanager.adom",
        ),
        (
            |block| block["devices"][0]["name"] = json!("fw-9"),
            "firewall \"fw-9\"",
            "fortimanager.devices",
        ),
        (
            |block| block["devices"][0]["vdom"] = json!("dmz"),
            "VDOM \"dmz\"",
            "root",
        ),
    ];
    for answer in ["missing", "bad-url"] {
        let lab = lab_with(&[managed()], &[("unknown-name", answer)]).await;
        for (change, message, hint) in mistakes {
            for mechanism in ["push-feed", "ban", "feed", "address-group"] {
                let targets = lab.targets(mechanism, |configuration| {
                    change(&mut configuration["fortimanager"]);
                });
                let error = targets[0].open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Config, "{mechanism}: {error}");
                assert_eq!(error.exit_code(), 3);
                assert!(error.to_string().contains(message), "{mechanism}: {error}");
                assert!(
                    error.hint_text().unwrap().contains(hint),
                    "{mechanism}: {error:?}"
                );
            }
        }
    }
    let lab = lab(&[managed()]).await;
    let targets = lab.targets("address-group", |configuration| {
        configuration["fortimanager"]["package"] = json!("fringe");
    });
    let error = targets[0].open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(
        error.to_string().contains("policy package \"fringe\""),
        "{error}"
    );
}

fn of<'a>(findings: &'a [Finding], subject: &str) -> Vec<&'a Finding> {
    findings
        .iter()
        .filter(|found| found.subject == subject)
        .collect()
}

/// What `check` says of one thing where the manager is set up so, with one address blocked.
async fn told(settings: &[(&str, Json)], subject: &str) -> (Level, String, Option<String>) {
    let mut all = vec![managed()];
    all.extend(settings.iter().cloned());
    let lab = lab(&all).await;
    let target = lab.target("address-group");
    target.open().await.unwrap();
    if subject != "rights" {
        assert!(all_done(
            &target.apply(Batch::Add(&[write("9.8.7.6")])).await
        ));
    }
    if settings.is_empty() {
        target.staged().unwrap().commit().await.unwrap();
    }
    let findings = examined(&*target).await;
    let [found] = of(&findings, subject)[..] else {
        panic!("{subject}: {findings:?}");
    };
    (found.level, found.message.clone(), found.hint.clone())
}

#[tokio::test]
async fn check_finds_all_well_where_it_is() {
    for (subject, words) in [
        ("ADOM", "campus, workspace mode normal"),
        ("rights", "rpc-permit read-write"),
        ("policy", "of edge denies cordon-v4-001"),
        ("firewall", "fw-1 answers"),
        ("sync", "fw-1 is in sync"),
        ("package", "edge is installed on fw-1/root"),
    ] {
        let (level, message, hint) = told(&[], subject).await;
        assert_eq!((level, hint), (Level::Ok, None), "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn check_finds_what_is_missing_in_the_manager() {
    let cases = [
        (
            "rpc_permit",
            json!("read"),
            "rights",
            Level::Missing,
            "rpc-permit read:",
            "read-write",
        ),
        (
            "policies",
            json!(false),
            "policy",
            Level::Warning,
            "no policy of the package edge names",
            "deny policy",
        ),
        (
            "policies_deny",
            json!(false),
            "policy",
            Level::Warning,
            "does not deny",
            "deny policy",
        ),
        (
            "out_of_sync",
            json!(["fw-1"]),
            "sync",
            Level::Warning,
            "outofsync",
            "retrieve",
        ),
        (
            "assigned_package",
            json!("other"),
            "package",
            Level::Missing,
            "has the package other",
            "fortimanager.package",
        ),
        (
            "device_bans",
            json!(false),
            "package",
            Level::Warning,
            "\"modified\" on fw-1/root",
            "whatever else",
        ),
    ];
    for (setting, value, subject, wanted, words, advice) in cases {
        let (level, message, hint) = told(&[(setting, value)], subject).await;
        assert_eq!(level, wanted, "{setting}: {message}");
        assert!(message.contains(words), "{setting}: {message}");
        assert!(hint.unwrap().contains(advice), "{setting}");
    }
    // What the manager does not show this user is said so.
    let (level, message, _) = told(&[("sees_users", json!(false))], "rights").await;
    assert_eq!(level, Level::Ok);
    assert!(message.contains("does not tell"), "{message}");
}

#[tokio::test]
async fn check_names_whoever_holds_the_lock() {
    let lab = lab(&[managed()]).await;
    let admin = Admin::new(&lab).await;
    admin.workspace("lock").await;
    let findings = examined(&*lab.target("address-group")).await;
    let found = of(&findings, "ADOM")[0];
    assert_eq!(found.level, Level::Warning);
    assert!(
        found.message.contains("locked by cordon"),
        "{}",
        found.message
    );
}
