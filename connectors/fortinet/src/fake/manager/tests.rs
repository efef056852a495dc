//! The vendor file's conformance list for the manager, on raw requests.

use chrono::{DateTime, TimeDelta};
use sdk::Clock;
use sdk::fake::FakeOptions;
use serde_json::{Value as Json, json};

use super::*;
use crate::fake::Settings;

const OBJECTS: &str = "/pm/config/adom/campus/obj/firewall";

struct Lab {
    manager: SharedManager,
    clock: Clock,
    session: String,
}

fn lab(settings: &[(&str, Json)]) -> Lab {
    let clock = Clock::manual(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let mut options = FakeOptions::plain(clock.clone()).set("manager", "password");
    for (name, setting) in settings {
        options = options.set(name, setting.clone());
    }
    let settings = Settings::read(&options).unwrap();
    let device = Arc::new(std::sync::Mutex::new(settings.device(&options, 0)));
    let manager = settings.manager(&options, &[device]).unwrap();
    let mut lab = Lab {
        manager,
        clock,
        session: String::new(),
    };
    lab.session = lab.login();
    lab
}

impl Lab {
    fn post(&self, body: &Json) -> Json {
        let body = body.to_string();
        let ask = Ask::new("POST", "/jsonrpc", &[], body.as_bytes());
        let reply = self.manager.lock().unwrap().handle(&ask);
        assert_eq!(reply.status, 200, "HTTP says 200 whatever happens");
        serde_json::from_str(&reply.body).unwrap()
    }

    fn login(&self) -> String {
        let (user, password) = {
            let manager = self.manager.lock().unwrap();
            (manager.user.clone(), manager.password.clone())
        };
        let data = json!({ "user": user, "passwd": password });
        let answer = self.post(&json!({
            "id": 1, "method": "exec", "params": [{ "url": "/sys/login/user", "data": data }],
        }));
        answer["session"].as_str().unwrap_or_default().to_owned()
    }

    /// The codes of a call's parts, and the data of the first.
    fn call(&self, session: &str, method: &str, parameters: Json) -> (Vec<i64>, Json) {
        let answer = self.post(&json!({
            "id": 1, "method": method, "params": parameters, "session": session,
        }));
        let parts = answer["result"].as_array().unwrap();
        let codes = parts
            .iter()
            .map(|part| part["status"]["code"].as_i64().unwrap())
            .collect();
        (codes, parts[0]["data"].clone())
    }

    fn one(&self, method: &str, parameter: Json) -> i64 {
        self.call(&self.session, method, json!([parameter])).0[0]
    }

    fn workspace(&self, verb: &str) -> i64 {
        self.one(
            "exec",
            json!({ "url": format!("/dvmdb/adom/campus/workspace/{verb}") }),
        )
    }

    fn install(&self) -> Json {
        let scope = json!([{ "name": "fw-1", "vdom": "root" }]);
        let data = json!({ "adom": "campus", "pkg": "edge", "scope": scope });
        let parameter = json!({ "url": "/securityconsole/install/package", "data": data });
        self.call(&self.session, "exec", json!([parameter])).1["task"].clone()
    }

    fn task(&self, session: &str, number: &Json) -> (i64, i64) {
        let parameter = json!({ "url": format!("/task/task/{number}") });
        let data = self.call(session, "get", json!([parameter])).1;
        (
            data["percent"].as_i64().unwrap(),
            data["num_err"].as_i64().unwrap(),
        )
    }

    fn on_device(&self, name: &str) -> bool {
        let device = Arc::clone(&self.manager.lock().unwrap().devices[0].1);
        let device = lock(&device);
        device
            .vdom("root")
            .unwrap()
            .tables
            .row("firewall/address", name)
            .is_some()
    }
}

fn address(name: &str) -> Json {
    json!({
        "url": format!("{OBJECTS}/address"),
        "data": { "name": name, "subnet": ["9.8.7.6", "255.255.255.255"] },
    })
}

#[test]
fn item_59_60_http_says_200_and_every_part_has_a_status() {
    let lab = lab(&[("workspace_mode", json!("disabled"))]);
    let parameters = json!([address("a"), address("a"), { "url": "/nowhere" }]);
    assert_eq!(lab.call(&lab.session, "add", parameters).0, [0, -2, -6]);
    let wrong = json!({ "user": "cordon", "passwd": "wrong" });
    let answer = lab.post(&json!({
        "id": 1, "method": "exec", "params": [{ "url": "sys/login/user", "data": wrong }],
    }));
    assert_ne!(answer["result"][0]["status"]["code"], 0);
    assert!(answer.get("session").is_none());
}

#[test]
fn item_61_writing_needs_a_session_and_its_own_lock() {
    let lab = lab(&[]);
    assert_eq!(lab.call("nobody", "get", json!([address("a")])).0, [-11]);
    assert_eq!(lab.one("add", address("a")), -10_147);
    assert_eq!(lab.workspace("lock"), 0);
    let other = lab.login();
    let locking = json!([{ "url": "/dvmdb/adom/campus/workspace/lock" }]);
    assert_ne!(
        lab.call(&other, "exec", locking).0,
        [0],
        "the lock is another session's"
    );
    assert_eq!(lab.call(&other, "add", json!([address("a")])).0, [-10_147]);
    assert_eq!(lab.one("add", address("a")), 0);
    // Unlocking without a commit drops what was edited.
    assert_eq!(lab.workspace("unlock"), 0);
    let read = json!({ "url": format!("{OBJECTS}/address/a") });
    assert_eq!(lab.one("get", read.clone()), -3);
    assert_eq!(lab.workspace("lock"), 0);
    assert_eq!(lab.one("add", address("a")), 0);
    assert_eq!(
        lab.call(&other, "get", json!([read])).0,
        [-3],
        "not committed yet"
    );
    assert_eq!(lab.workspace("commit"), 0);
    assert_eq!(lab.one("get", read), 0);
    // A session without calls ends, and its lock with it.
    lab.clock.advance(TimeDelta::minutes(6));
    let later = lab.login();
    let locking = json!([{ "url": "/dvmdb/adom/campus/workspace/lock" }]);
    assert_eq!(lab.call(&later, "exec", locking).0, [0]);
}

#[test]
fn item_61_an_adom_without_workspace_and_one_with_approvals() {
    let without = lab(&[("workspace_mode", json!("disabled"))]);
    assert_eq!(without.workspace("lock"), -9);
    assert_eq!(without.one("add", address("a")), 0);
    let approvals = lab(&[("workspace_mode", json!("workflow"))]);
    assert_eq!(approvals.workspace("lock"), 0);
    assert_eq!(approvals.one("add", address("a")), -20_020);
    let reader = lab(&[("rpc_permit", json!("read"))]);
    assert_eq!(reader.one("add", address("a")), -11);
    assert_eq!(lab(&[("rpc_permit", json!("none"))]).session, "");
}

#[test]
fn item_62_65_an_install_is_a_task_and_nothing_acts_before() {
    let lab = lab(&[("workspace_mode", json!("disabled"))]);
    assert_eq!(lab.one("add", address("a")), 0);
    assert!(!lab.on_device("a"));
    let task = lab.install();
    assert_eq!(lab.task(&lab.session, &task), (40, 0));
    lab.clock.advance(TimeDelta::seconds(30));
    assert_eq!(lab.task(&lab.session, &task), (100, 0));
    assert!(lab.on_device("a"));
    // A session that logs out before the end takes the task down.
    let task = lab.install();
    assert_eq!(lab.one("exec", json!({ "url": "/sys/logout" })), 0);
    let later = lab.login();
    assert_eq!(lab.task(&later, &task), (100, 1));
}

#[test]
fn item_57_62_an_install_can_fail_at_100_percent_and_drops_what_the_manager_does_not_know() {
    let failing = lab(&[("install_errors", json!(2))]);
    let task = failing.install();
    failing.clock.advance(TimeDelta::seconds(30));
    assert_eq!(failing.task(&failing.session, &task), (100, 2));
    let lab = lab(&[]);
    let device = Arc::clone(&lab.manager.lock().unwrap().devices[0].1);
    let key = format!("Bearer {}", lock(&device).key);
    let headers = [("Authorization", key.as_str())];
    let by_api = json!({ "name": "unknown", "subnet": "9.8.7.6/32" }).to_string();
    let path = "/api/v2/cmdb/firewall/address";
    let made = lock(&device).handle(&Ask::new("POST", path, &headers, by_api.as_bytes()));
    assert_eq!(made.status, 200);
    let banned = json!({ "ip_addresses": ["9.8.7.6"], "expiry": 600 }).to_string();
    let path = "/api/v2/monitor/user/banned/add_users";
    lock(&device).handle(&Ask::new("POST", path, &headers, banned.as_bytes()));
    lab.install();
    lab.clock.advance(TimeDelta::seconds(30));
    lab.one("get", json!({ "url": "/task/task/1" }));
    assert!(!lab.on_device("unknown"));
    let bans = lock(&device).bans("root").len();
    assert_eq!(bans, 3, "what is no configuration stays");
}

#[test]
fn item_63_add_refuses_what_exists_and_set_writes_over_it() {
    let lab = lab(&[("workspace_mode", json!("disabled"))]);
    assert_eq!(lab.one("add", address("a")), 0);
    assert_eq!(lab.one("add", address("a")), -2);
    assert_eq!(lab.one("set", address("a")), 0);
}

#[test]
fn item_64_a_scope_without_vdom_is_a_group() {
    let lab = lab(&[]);
    let data = json!({ "adom": "campus", "pkg": "edge", "scope": [{ "name": "fw-1" }] });
    let parameter = json!({ "url": "/securityconsole/install/package", "data": data });
    assert_eq!(lab.one("exec", parameter), -3);
}

#[test]
fn item_66_what_is_used_cannot_go() {
    let lab = lab(&[("workspace_mode", json!("disabled"))]);
    assert_eq!(lab.one("add", address("a")), 0);
    let group =
        json!({ "url": format!("{OBJECTS}/addrgrp"), "data": { "name": "g", "member": ["a"] } });
    assert_eq!(lab.one("add", group), 0);
    let object = json!({ "url": format!("{OBJECTS}/address/a") });
    assert_eq!(lab.one("delete", object.clone()), -10_015);
    let member = json!({ "url": format!("{OBJECTS}/addrgrp/g/member"), "data": ["a"] });
    assert_eq!(lab.one("delete", member), 0);
    assert_eq!(lab.one("delete", object.clone()), 0);
    assert_eq!(lab.one("delete", object), -3);
}
