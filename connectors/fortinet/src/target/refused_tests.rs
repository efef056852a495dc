//! Credentials that were refused: how often they are sent, by one process and by several.

use sdk::connector::Environment;
use sdk::fake::FakeOptions;
use sdk::ownership::Owner;
use sdk::store::{MemoryStore, Store};
use sdk::sync::{Context, Deployment, Member, TargetGroup, sync};
use sdk::{ErrorKind, Retry};
use serde_json::json;
use std::sync::Arc;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::tests::{clock, options, start, target, targets};

/// One-shot runs are processes of their own: what one of them was refused, the next one does not send.
#[tokio::test]
async fn item_02_03_a_refused_key_is_sent_once_by_runs_that_share_a_store() {
    let clock = clock();
    let fake = start(FakeOptions::plain(clock.clone())).await;
    let account = super::targets(fake.configuration.clone(), &Environment::new(clock.clone()));
    let account = account.unwrap()[0].key().account.clone();
    let store = Arc::new(MemoryStore::default());
    let context = || Context {
        store: Some(store.clone()),
        ..Context::new(Environment::new(clock.clone()))
    };
    let group = |key: Option<&str>| {
        // As a new process, which knows what the store knows.
        super::connection::forget_keys(&account);
        let mut configuration = fake.configuration.clone();
        if let Some(key) = key {
            configuration["firewalls"][0]["api_key"] = json!(key);
        }
        let members = targets(&configuration, "ban");
        let member = |target| Member {
            target,
            kinds: Vec::new(),
        };
        TargetGroup {
            name: "edge".to_owned(),
            members: members.into_iter().map(member).collect(),
        }
    };
    let calls = || fake.server.log.count(|_| true);
    let run = async |key| {
        let deployment = Deployment::new(Owner::new("acme").unwrap());
        sync(&deployment, &group(key), &context()).await
    };
    let wrong = Some("a-key-that-is-wrong");
    let first = run(wrong).await;
    assert!(first.devices[0].error.is_some(), "{first:?}");
    let second = run(wrong).await;
    let error = second.devices[0].error.as_deref().unwrap();
    assert!(error.contains("2026-09-21T"), "{error}");
    let hint = second.devices[0].hint.as_deref().unwrap();
    assert!(hint.contains("cordon check"), "{hint}");
    let listed = sdk::action::blocked(&group(wrong), None, &context()).await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Auth);
    assert_eq!(calls(), 1, "one refusal in three runs");
    // What is kept is too little to try guesses at a password on.
    let kept = store.list("refused/").await.unwrap();
    let [(key, _)] = Vec::from_iter(&kept)[..] else {
        panic!("{kept:?}");
    };
    assert_eq!(
        key.len(),
        "refused/".len() + "fortinet:".len() + account.len() + 1 + 4
    );
    // Another key is another matter, at once, and does not make the wrong one better.
    let right = run(None).await;
    assert_eq!(right.devices[0].error, None);
    let before = calls();
    assert!(run(wrong).await.devices[0].error.is_some());
    assert_eq!(calls(), before);
    // A person who looks may try it; so may a run on the next day.
    let checked = sdk::action::check(&group(wrong), &context()).await;
    assert_eq!((checked.status.as_str(), calls()), ("missing", before + 1));
    clock.advance(chrono::TimeDelta::hours(24));
    assert!(run(wrong).await.devices[0].error.is_some());
    assert_eq!(calls(), before + 2);
}

/// The same of a manager, which locks out users.
#[tokio::test]
async fn item_61_a_refused_password_is_sent_once_by_runs_that_share_a_store() {
    let fake = start(options().set("manager", "password")).await;
    let mut configuration = fake.configuration.clone();
    configuration["fortimanager"]["password"] = json!("wrong");
    let store = Arc::new(MemoryStore::default());
    for _ in 0..3 {
        let target = target(&configuration, "ban");
        super::manager::forget_refusals(&target.key().account);
        let context = Context {
            store: Some(store.clone()),
            ..Context::new(Environment::new(clock()))
        };
        let group = TargetGroup {
            name: "edge".to_owned(),
            members: vec![Member {
                target,
                kinds: Vec::new(),
            }],
        };
        let error = sdk::action::blocked(&group, None, &context).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Auth);
    }
    assert_eq!(fake.server.log.count(|_| true), 1);
}

/// What is right after all, for instance once the trusted hosts are, is let in again by a look.
#[tokio::test]
async fn a_key_that_check_gets_in_with_is_used_again() {
    let clock = clock();
    let fake = start(FakeOptions::plain(clock.clone())).await;
    let target = target(&fake.configuration, "ban");
    let context = Context {
        store: Some(Arc::new(MemoryStore::default())),
        ..Context::new(Environment::new(clock))
    };
    let refused = async { Err::<(), _>(sdk::Error::new(ErrorKind::Auth, "refused")) };
    let result = sdk::sync::unless_refused(target.login(), &context, refused).await;
    assert_eq!(result.unwrap_err().message(), "refused");
    let group = TargetGroup {
        name: "edge".to_owned(),
        members: vec![Member {
            target,
            kinds: Vec::new(),
        }],
    };
    let listed = sdk::action::blocked(&group, None, &context).await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Auth);
    sdk::action::check(&group, &context).await;
    assert!(sdk::action::blocked(&group, None, &context).await.is_ok());
    // A process that was refused earlier, and sends nothing since, says nothing new.
    let login = group.members[0].target.login();
    let before =
        async { Err::<(), _>(sdk::Error::new(ErrorKind::Auth, "before").retry(Retry::GaveUp)) };
    sdk::sync::unless_refused(login, &context, before)
        .await
        .unwrap_err();
    assert!(sdk::action::blocked(&group, None, &context).await.is_ok());
}

/// Several requests that are under way when a key is revoked would each be a wrong one.
#[tokio::test]
async fn item_03_a_revoked_key_is_sent_once_however_many_wait() {
    let server = MockServer::start().await;
    let good = ResponseTemplate::new(200).set_body_json(json!({
        "status": "success", "version": "v7.4.8", "build": 1, "serial": "FG", "results": {},
    }));
    Mock::given(wiremock::matchers::any())
        .respond_with(good)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    let configuration = json!({ "firewalls": [{ "base_ip": server.uri(), "api_key": "k5" }] });
    let environment = Environment::new(clock());
    let config: crate::config::Config = serde_json::from_value(configuration).unwrap();
    let endpoint = &config.endpoints().unwrap()[0];
    let connection = || super::Connection::new(&config, endpoint, &environment).unwrap();
    let vdoms = [connection(), connection(), connection()];
    vdoms[0].status().await.unwrap();
    let [one, two, three] = &vdoms;
    let (one, two, three) = tokio::join!(one.status(), two.status(), three.status());
    let told = [one, two, three].map(|result| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        error.retry_status()
    });
    assert_eq!(told.iter().filter(|it| **it == Retry::GaveUp).count(), 2);
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}
