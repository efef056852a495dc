//! A fake vendor in this process, and actions of the real binary run on it as a playbook does.

use chrono::{TimeDelta, Utc};
use std::sync::Arc;

use sdk::Clock;
use sdk::action::Outcome;
use sdk::connector::{Connector, Environment};
use sdk::fake::{Fake, FakeOptions};
use sdk::indicator::{Kind, Value};
use sdk::store::{MemoryStore, Store};
use sdk::sync::Context;
use sdk::target::TargetKey;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::sekoia::job::Job;
use crate::sekoia::platform::{Platform, TOKEN};
use crate::support::finish;

/// The file in which a feed trigger leaves its objects.
const OBJECTS: &str = "stix_objects.json";

pub(crate) struct Stage {
    pub(crate) connector: Connector,
    pub(crate) fake: Fake,
    pub(crate) configuration: Json,
    /// Fields that the platform keeps apart.
    secrets: Vec<&'static str>,
    runtime: Runtime,
}

/// What a playbook gets to know.
#[derive(Debug)]
pub(crate) struct Played {
    /// The last message.
    pub(crate) end: Json,
}

impl Played {
    pub(crate) fn results(&self) -> &Json {
        assert!(self.end.get("error").is_none(), "{}", self.end);
        &self.end["results"]
    }

    pub(crate) fn error(&self) -> &str {
        self.end["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.end))
    }
}

impl Stage {
    pub(crate) fn start(connector: Connector, secrets: &[&'static str]) -> Self {
        Self::start_with(connector, secrets, FakeOptions::plain(Clock::system()))
    }

    pub(crate) fn start_with(
        connector: Connector,
        secrets: &[&'static str],
        options: FakeOptions,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let fake = runtime.block_on((connector.fake)(options)).unwrap();
        Self {
            connector,
            configuration: fake.configuration.clone(),
            fake,
            secrets: secrets.to_vec(),
            runtime,
        }
    }

    /// Runs an action with these arguments alone.
    pub(crate) fn play(&self, action: &str, arguments: &Json) -> Played {
        self.play_with(action, arguments, None)
    }

    /// The same where a trigger left objects in the data path.
    pub(crate) fn push(&self, action: &str, arguments: &Json, objects: &[Json]) -> Played {
        let mut arguments = arguments.clone();
        arguments["stix_objects_path"] = json!(OBJECTS);
        self.play_with(action, &arguments, Some(objects))
    }

    fn play_with(&self, action: &str, arguments: &Json, objects: Option<&[Json]>) -> Played {
        let mut configuration = self.configuration.clone();
        let mut kept = json!({});
        let mut job = Job::empty();
        for name in &self.secrets {
            let secret = configuration.as_object_mut().unwrap().remove(*name);
            kept[*name] = secret.unwrap_or_else(|| panic!("no {name}"));
            job = job.secret(kept[*name].as_str().unwrap());
        }
        let platform = Platform::start(kept);
        let job = job
            .file("token", TOKEN)
            .file("url_callback", &platform.url())
            .file("module_configuration", &configuration.to_string())
            .file("arguments", &arguments.to_string());
        if let Some(objects) = objects {
            std::fs::write(job.data().join(OBJECTS), json!(objects).to_string()).unwrap();
        }
        let ran = finish(&mut job.command(self.connector.name, &[action]));
        job.check(&platform, &ran);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        Played {
            end: platform.end(),
        }
    }

    /// Runs an action in this process, as the operator does with its store.
    pub(crate) fn act(
        &self,
        action: &str,
        arguments: &Json,
        store: &Arc<MemoryStore>,
    ) -> sdk::Result<Json> {
        let mut context = Context::new(Environment::new(Clock::system()));
        context.store = Some(Arc::clone(store) as Arc<dyn Store>);
        let configuration = self.configuration.clone();
        let outcome = self.runtime.block_on(sdk::action::run(
            &self.connector,
            action,
            arguments.clone(),
            configuration,
            &context,
        ))?;
        Ok(match outcome {
            Outcome::Report(report) => serde_json::to_value(report).unwrap(),
            Outcome::View(view) => view,
        })
    }

    /// What leases and ledgers know the configuration's first device by.
    pub(crate) fn key(&self) -> TargetKey {
        let environment = Environment::new(Clock::system());
        let configuration = self.configuration.clone();
        let setup = sdk::action::set_up(&self.connector, configuration, &environment).unwrap();
        setup.target.members[0].target.key().clone()
    }

    /// A store in which somebody paused the connector's target.
    pub(crate) fn paused(&self) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::new());
        let key = format!("pause/{}", self.connector.name);
        self.wait(store.set(&key, Some("maintenance"))).unwrap();
        store
    }

    /// A store in which another run is at work on a target.
    pub(crate) fn busy(&self, key: &TargetKey) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::new());
        let (now, key) = (Utc::now(), key.to_string());
        let until = now + TimeDelta::minutes(3);
        assert!(
            self.wait(store.lease(&key, "another run", now, until))
                .unwrap()
        );
        store
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// What the vendor acts on and we made there, as `kind:value`, sorted.
    pub(crate) fn ours(&self, mechanism: &str) -> Vec<String> {
        self.entries(mechanism, false)
    }

    /// What it acts on and somebody else made.
    pub(crate) fn foreign(&self, mechanism: &str) -> Vec<String> {
        self.entries(mechanism, true)
    }

    fn entries(&self, mechanism: &str, foreign: bool) -> Vec<String> {
        let mut entries: Vec<String> = self
            .fake
            .state
            .enforced(mechanism)
            .into_iter()
            .filter(|entry| entry.foreign == foreign)
            .map(|entry| format!("{}:{}", entry.value.kind(), entry.value))
            .collect();
        entries.sort();
        entries
    }

    /// Somebody makes an entry by hand.
    pub(crate) fn by_hand(&self, mechanism: &str, kind: Kind, value: &str) {
        let value = Value::parse(kind, value).unwrap();
        assert!(self.fake.state.add_foreign(mechanism, &value));
    }

    /// Bodies of the calls that wrote, by a part of their path, oldest first.
    pub(crate) fn bodies(&self, method: &str, path: &str) -> Vec<Json> {
        self.fake
            .server
            .log
            .all()
            .into_iter()
            .filter(|call| call.method == method && call.path.contains(path))
            .map(|call| serde_json::from_slice(&call.body).unwrap_or(Json::Null))
            .collect()
    }

    /// Asks the fake something as its administrator would.
    pub(crate) fn ask(&self, path: &str, header: (&str, &str)) -> Json {
        self.ask_at(&self.fake.server.url, path, header)
    }

    /// The same where the fake is several devices, each with an address.
    pub(crate) fn ask_at(&self, base: &str, path: &str, header: (&str, &str)) -> Json {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        self.runtime.block_on(async {
            let client = reqwest::Client::new();
            let request = client.get(url).header(header.0, header.1);
            request.send().await.unwrap().json().await.unwrap()
        })
    }

    /// Sends it a form, to log in or to make it do something.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> String {
        let url = format!("{}{path}", self.fake.server.url);
        self.runtime.block_on(async {
            let request = reqwest::Client::new().post(url).form(form);
            request.send().await.unwrap().text().await.unwrap()
        })
    }
}

/// An indicator as Sekoia's feeds deliver it, valid from yesterday for thirty days; fields of `more` go before.
pub(crate) fn object(pattern: &str, more: &Json) -> Json {
    let at = |days: i64| {
        let instant = Utc::now() + TimeDelta::days(days);
        instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    };
    let kind = pattern
        .trim_start_matches('[')
        .split(':')
        .next()
        .unwrap_or_default();
    let mut object = json!({
        "type": "indicator",
        "spec_version": "2.1",
        "id": format!("indicator--{}", uuid::Uuid::new_v4()),
        "created": at(-1),
        "modified": at(-1),
        "revoked": false,
        "lang": "en",
        "name": "an indicator",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": at(-1),
        "valid_until": at(30),
        "x_ic_observable_types": [kind],
        "x_ic_is_in_flint": false,
        "x_ic_deprecated": false,
    });
    for (key, value) in more.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            object[key] = value.clone();
        }
    }
    object
}

/// A SHA-256 that means nothing.
pub(crate) fn sha256(number: usize) -> String {
    blake3::hash(&number.to_le_bytes()).to_hex().to_string()
}

pub(crate) fn file(number: usize) -> String {
    format!("[file:hashes.'SHA-256' = '{}']", sha256(number))
}

/// What the sample of other playbooks is made of: 266 URLs, 45 files, 2 addresses.
pub(crate) fn sample() -> Vec<Json> {
    let none = json!({});
    let urls = (0..266).map(|number| {
        let pattern =
            format!("[url:value = 'http://host-{number}.cordon-contract.com/load?{number}']");
        object(&pattern, &none)
    });
    let files = (0..45).map(|number| object(&file(number), &none));
    let addresses = ["45.83.0.1", "45.83.0.2"]
        .map(|address| object(&format!("[ipv4-addr:value = '{address}']"), &none));
    urls.chain(files).chain(addresses).collect()
}

/// An instant, some days from now.
pub(crate) fn in_days(days: i64) -> String {
    (Utc::now() + TimeDelta::days(days)).to_rfc3339()
}
