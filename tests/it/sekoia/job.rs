//! One action, run as the platform's runner does.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value as Json, json};

use super::platform::{Platform, TOKEN};
use crate::support::{Fake, Ran, cordon, finish};

/// What the runner sets up: files, variables, a data path.
pub(crate) struct Job {
    pub(crate) directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl Job {
    /// Nothing but empty folders.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["symphony", "data"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        Self {
            directory,
            variables: Vec::new(),
            secrets: vec![TOKEN.to_owned()],
        }
    }

    /// With token, callback, and this module's configuration without its secret.
    pub(crate) fn new(platform: &Platform, fake: &Fake, arguments: &Json) -> Self {
        let mut configuration = fake.configuration.clone();
        configuration
            .as_object_mut()
            .unwrap()
            .remove("client_secret");
        Self::empty()
            .secret(fake.configuration["client_secret"].as_str().unwrap())
            .file("token", &format!("{TOKEN}\n"))
            .file("url_callback", &platform.url())
            .file("module_configuration", &configuration.to_string())
            .file("arguments", &arguments.to_string())
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join("symphony").join(name), text).unwrap();
        self
    }

    pub(crate) fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.directory.path().join("symphony").join(name)).unwrap();
        self
    }

    pub(crate) fn variable(mut self, name: &str, text: &str) -> Self {
        self.variables.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Something that may be found nowhere.
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Names of the files in the data path.
    pub(crate) fn data_files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.data())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, connector: &str, rest: &[&str]) -> Command {
        self.command_with(&[], connector, rest)
    }

    /// With options, which stand before the connector as in an entry point.
    pub(crate) fn command_with(&self, options: &[&str], connector: &str, rest: &[&str]) -> Command {
        let path = self.directory.path();
        let mut command = cordon(path);
        command
            .args(["sekoia", "--files"])
            .arg(path.join("symphony"))
            .arg("--data")
            .arg(path.join("data"))
            .args(options)
            .arg(connector)
            .args(rest)
            .envs(self.variables.iter().map(|(name, text)| (name, text)));
        command
    }

    pub(crate) fn spawn(&self, action: &str) -> Child {
        self.command("crowdstrike", &[action])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs an action of the connector for Falcon, and looks for secrets wherever they could be.
    pub(crate) fn run(&self, platform: &Platform, action: &str) -> Ran {
        self.run_with(platform, &[action])
    }

    pub(crate) fn run_with(&self, platform: &Platform, rest: &[&str]) -> Ran {
        let ran = finish(&mut self.command("crowdstrike", rest));
        self.check(platform, &ran);
        ran
    }

    /// Nothing on stdout, nothing that the protocol does not know, no secret in anything sent, logged or
    /// written.
    pub(crate) fn check(&self, platform: &Platform, ran: &Ran) {
        assert_eq!(ran.stdout, "", "{ran:?}");
        assert_eq!(platform.refused(), Vec::<String>::new());
        let mut texts = vec![("stderr".to_owned(), ran.stderr.clone())];
        for call in platform.calls() {
            texts.push(("a message".to_owned(), call.body.to_string()));
            texts.push((
                "the head of a call".to_owned(),
                call.head.replace(&format!("Bearer {TOKEN}"), ""),
            ));
        }
        for name in self.data_files() {
            let path = self.data().join(&name);
            if path.is_file() {
                texts.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
        for secret in &self.secrets {
            for (place, text) in &texts {
                assert!(
                    !text.contains(secret.as_str()),
                    "{secret} in {place}: {text}"
                );
            }
        }
    }
}

/// A fake Falcon, and a platform that keeps its secret.
pub(crate) fn falcon(directory: &std::path::Path) -> (Fake, Platform) {
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
    (fake, Platform::start(secrets))
}
