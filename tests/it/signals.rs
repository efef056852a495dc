//! Ending a run from outside.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use crate::support::{Fake, configure_falcon, cordon, run, write};

fn terminate(child: &Child) {
    let done = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(done.success());
}

/// Reads lines until one has `text` in it.
fn wait_for(reader: &mut impl BufRead, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "{text} never came");
    }
}

fn spawn(directory: &std::path::Path, command: &[&str]) -> Child {
    cordon(directory)
        .args(command)
        .args(["--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_second_signal_ends_a_run_that_waits_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let configuration = json!({
        "base_url": format!("http://{}", listener.local_addr().unwrap()),
        "client_id": "id",
        "client_secret": "secret",
    });
    configure_falcon(directory, &configuration, "list = \"c2.txt\"", "");
    write(directory, "c2.txt", "8.8.5.1\n");
    let mut child = spawn(directory, &["sync"]);
    // Taken, and never answered.
    let (_stream, _) = listener.accept().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    terminate(&child);
    wait_for(&mut stderr, "once more to stop at once");
    assert_eq!(child.try_wait().unwrap(), None, "one signal lets it go on");
    terminate(&child);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(75));
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("hint: run again"), "{rest}");
}

/// Passes connections on to a port once the gate opens.
fn relay(to: u16, gate: Receiver<()>) -> (u16, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (came, first) = channel();
    std::thread::spawn(move || {
        for (index, client) in listener.incoming().flatten().enumerate() {
            if index == 0 {
                came.send(()).unwrap();
                gate.recv().unwrap();
            }
            let client = Arc::new(client);
            let server = Arc::new(TcpStream::connect(("127.0.0.1", to)).unwrap());
            for (from, to) in [
                (Arc::clone(&client), Arc::clone(&server)),
                (Arc::clone(&server), Arc::clone(&client)),
            ] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut &*from, &mut &*to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (port, first)
}

#[test]
fn one_signal_ends_after_what_is_being_done() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let url = fake.configuration["base_url"].as_str().unwrap();
    let to: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let (open, gate) = channel();
    let (port, first) = relay(to, gate);
    let mut configuration = fake.configuration.clone();
    configuration["base_url"] = json!(format!("http://127.0.0.1:{port}"));
    let second = "[deployments.beta]\ninclude = [\"c2\"]\ntargets = [\"falcon\"]\n";
    configure_falcon(directory, &configuration, "list = \"c2.txt\"", second);
    write(directory, "c2.txt", "8.8.5.1\n8.8.5.2\n");
    let mut child = spawn(directory, &["sync"]);
    first.recv().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    terminate(&child);
    wait_for(&mut stderr, "stopping after what is being done");
    open.send(()).unwrap();
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75), "{stdout}");
    let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let reports = told["reports"].as_array().unwrap();
    assert_eq!(
        reports.len(),
        1,
        "the other deployment was not begun: {told}"
    );
    assert_eq!(
        (&reports[0]["owner"], &reports[0]["added"]),
        (&json!("acme"), &json!(2))
    );
    // Nothing is left behind that would keep the next run from going on.
    let next = run(directory, &["sync", "--output", "json"]);
    assert_eq!(next.code, Some(0), "{next:?}");
    assert_eq!(next.json()["reports"][0]["unchanged"], 2, "{next:?}");
}

#[test]
fn one_signal_ends_a_retirement_after_what_is_being_done() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let second = "[deployments.beta]\ninclude = [\"c2\"]\ntargets = [\"falcon\"]\n";
    configure_falcon(directory, &fake.configuration, "list = \"c2.txt\"", second);
    write(directory, "c2.txt", "8.8.5.1\n8.8.5.2\n");
    let synced = run(directory, &["sync"]);
    assert_eq!(synced.code, Some(0), "{synced:?}");
    let url = fake.configuration["base_url"].as_str().unwrap();
    let to: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let (open, gate) = channel();
    let (port, first) = relay(to, gate);
    let file = std::fs::read_to_string(directory.join("cordon.toml")).unwrap();
    let through = file.replace(&to.to_string(), &port.to_string());
    write(directory, "cordon.toml", &through);
    let mut child = spawn(directory, &["retire", "falcon"]);
    first.recv().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    terminate(&child);
    wait_for(&mut stderr, "stopping after what is being done");
    open.send(()).unwrap();
    let told = child.wait_with_output().unwrap();
    assert_eq!(told.status.code(), Some(75));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["stopped"], true, "{told}");
}
