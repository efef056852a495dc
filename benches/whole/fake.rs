//! A fake vendor in a process of its own, so that the CPU time measured is the client's alone. It counts the calls:
//! what the vendor saw, not what the client says it did.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sdk::Clock;
use sdk::connector::Connector;
use sdk::fake::{Call, FakeOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::Failure;

/// The connectors that are measured.
fn connectors() -> [Connector; 5] {
    [
        crowdstrike::connector(),
        fortinet::connector(),
        paloalto::connector(),
        sentinelone::connector(),
        zscaler::connector(),
    ]
}

/// A call as the vendor saw it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) status: u16,
}

impl Seen {
    fn of(call: &Call) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: call.method.clone(),
            path: call.path.clone(),
            query: call.query.clone(),
            headers: call
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
                .collect(),
            body: text(&call.body),
            status: call.status,
        }
    }

    /// What it was, for a table.
    pub(crate) fn name(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.status)
    }
}

/// How many calls of each sort.
pub(crate) fn counted(calls: &[Seen]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for call in calls {
        *counted.entry(call.name()).or_default() += 1;
    }
    counted
}

/// The fake, seen from the process that measures. Ends when its stdin closes.
pub(crate) struct FakeProcess {
    child: Child,
    commands: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    pub(crate) configuration: Json,
    pub(crate) url: String,
}

impl FakeProcess {
    /// Starts it with settings and positions of switches of the fake's own.
    pub(crate) fn start(
        connector: &str,
        settings: &Json,
        switches: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let options = json!({ "settings": settings, "switches": switches });
        let mut child = Command::new(std::env::current_exe()?)
            .args(["fake", connector, &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let line = answers.next().ok_or("the fake did not start")??;
        let (url, configuration) = serde_json::from_str(&line)?;
        Ok(Self {
            child,
            commands,
            answers,
            configuration,
            url,
        })
    }

    /// The calls since the last question, in the order of arrival.
    pub(crate) fn calls(&mut self) -> Result<Vec<Seen>, Failure> {
        let commands = self.commands.as_mut().ok_or("no stdin")?;
        commands.write_all(b"calls\n")?;
        let line = self.answers.next().ok_or("the fake is gone")??;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for FakeProcess {
    fn drop(&mut self) {
        drop(self.commands.take());
        self.child.wait().expect("the fake ends with its stdin");
    }
}

/// The other side: the fake itself.
pub(crate) fn serve(connector: &str, given: &str) -> Result<(), Failure> {
    let connector = connectors()
        .into_iter()
        .find(|known| known.name == connector)
        .ok_or("no such connector")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut given: Json = serde_json::from_str(given)?;
    let mut options = FakeOptions::plain(Clock::system());
    options.settings = serde_json::from_value(given["settings"].take())?;
    let switches: Vec<(String, String)> = serde_json::from_value(given["switches"].take())?;
    for (name, position) in switches {
        options.switches = options.switches.with(&name, &position);
    }
    let fake = runtime.block_on((connector.fake)(options))?;
    println!("{}", json!([fake.server.url, fake.configuration]));
    for line in std::io::stdin().lines() {
        line?;
        let calls: Vec<Seen> = fake.server.log.all().iter().map(Seen::of).collect();
        fake.server.log.clear();
        println!("{}", json!(calls));
    }
    Ok(())
}
