//! The images, really built and run. Where `CORDON_IMAGES` names a static release binary they are built around
//! it, with podman and runc from the distribution, as root: a machine without them has to be able to run every
//! other test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use sdk::Clock;
use serde_json::{Value as Json, json};

use crate::sekoia::platform::{Platform, TOKEN};
use crate::support::web::{Web, answer};
use crate::support::{Fake, Ran, finish, indicator, run, write};

/// The largest image, in bytes.
const LARGEST: u64 = 25_000_000;

/// The longest from a container's start to the first request, beyond what the container runtime itself takes:
/// ten times what it should be, because other tests run beside it. What is printed is the measurement.
const LONGEST_START: Duration = Duration::from_millis(500);

/// The most memory that a push of 100,000 indicators may take, in KiB.
const MOST_MEMORY: u64 = 150 << 10;

/// Neither root nor anybody on the host.
const USER: &str = "65532";

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_connector_is_an_image_of_its_own() {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let connectors = run(root(), &["connectors", "--output", "json"]).json();
    for connector in connectors.as_array().unwrap() {
        let name = connector["name"].as_str().unwrap();
        let stage =
            format!("FROM cordon AS {name}\nENTRYPOINT [\"/cordon\", \"sekoia\", \"{name}\"]\n");
        assert!(text.contains(&stage), "Dockerfile has no stage {name}");
    }
    assert!(
        text.ends_with("\nFROM cordon\n"),
        "the whole of it is the default"
    );
}

/// The binary to build images around, if somebody wants them.
fn binary() -> Option<PathBuf> {
    let Ok(file) = std::env::var("CORDON_IMAGES") else {
        println!(
            "skipped: CORDON_IMAGES does not name a static release binary to build images around"
        );
        return None;
    };
    Some(root().join(file).canonicalize().unwrap())
}

fn podman(arguments: &[&str]) -> Ran {
    let ran = finish(
        Command::new("podman")
            .args(["--runtime", "runc"])
            .args(arguments),
    );
    assert_eq!(ran.code, Some(0), "podman {arguments:?}: {ran:?}");
    ran
}

/// An image; gone with the test.
struct Image {
    name: String,
}

impl Image {
    /// Of a stage of the Dockerfile.
    fn build(binary: &Path, stage: &str) -> Self {
        let context = tempfile::tempdir().unwrap();
        std::fs::copy(binary, context.path().join("cordon")).unwrap();
        std::fs::copy(CERTIFICATES, context.path().join("ca-certificates.crt")).unwrap();
        let file = root().join("Dockerfile");
        Self::of(
            context.path(),
            &file,
            &["--build-arg=FILES=prebuilt", "--target", stage],
        )
    }

    fn of(context: &Path, file: &Path, options: &[&str]) -> Self {
        let name = format!("localhost/cordon-test-{}", uuid::Uuid::new_v4());
        let (file, context) = (file.to_str().unwrap(), context.to_str().unwrap());
        let build = ["build", "--quiet", "--tag", &name, "--file", file];
        podman(&[&build[..], options, &[context]].concat());
        Self { name }
    }

    fn inspect(&self) -> Json {
        podman(&["image", "inspect", &self.name]).json()[0].clone()
    }

    /// Every file, with its mode and owner.
    fn files(&self) -> Vec<String> {
        let mounted = podman(&["image", "mount", &self.name]).stdout;
        let find = finish(Command::new("find").arg(mounted.trim()).args([
            "-mindepth",
            "1",
            "-printf",
            "%M %U:%G /%P\n",
        ]));
        podman(&["image", "unmount", &self.name]);
        let mut files: Vec<String> = find.stdout.lines().map(str::to_owned).collect();
        files.sort();
        files
    }

    /// A command that runs it, as locked up as a container can be that reaches loopback.
    fn command(&self, options: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command
            .args([
                "--runtime",
                "runc",
                "run",
                "--rm",
                "--network=host",
                "--read-only",
            ])
            .args(["--cap-drop=all", "--security-opt=no-new-privileges"])
            .args(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"])
            .args(options)
            .arg(&self.name)
            .args(arguments);
        command
    }

    fn run(&self, options: &[&str], arguments: &[&str]) -> Ran {
        finish(&mut self.command(options, arguments))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        podman(&["image", "rm", "--force", &self.name]);
    }
}

/// What a runner prepares, readable and writable for the image's user.
struct Task {
    directory: tempfile::TempDir,
    fake: Fake,
    platform: Platform,
}

impl Task {
    fn new(arguments: &Json) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(directory.path(), &["crowdstrike", "--http"]);
        Self::with(directory, fake, arguments)
    }

    fn with(directory: tempfile::TempDir, fake: Fake, arguments: &Json) -> Self {
        let secrets = json!({ "client_secret": fake.configuration["client_secret"] });
        let platform = Platform::start(secrets);
        let task = Self {
            directory,
            fake,
            platform,
        };
        for folder in ["symphony", "data"] {
            std::fs::create_dir(task.path().join(folder)).unwrap();
        }
        let mut configuration = task.fake.configuration.clone();
        configuration
            .as_object_mut()
            .unwrap()
            .remove("client_secret");
        for (name, text) in [
            ("token", TOKEN),
            ("url_callback", &task.platform.url()),
            ("module_configuration", &configuration.to_string()),
            ("arguments", &arguments.to_string()),
        ] {
            write(&task.path().join("symphony"), name, text);
        }
        for (path, mode) in [("", "755"), ("symphony", "755"), ("data", "777")] {
            open(&task.path().join(path), mode);
        }
        task
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn mounts(&self) -> [String; 2] {
        let mount = |folder: &str, place: &str| {
            format!("--volume={}:{place}", self.path().join(folder).display())
        };
        [
            mount("symphony", "/symphony:ro"),
            mount("data", "/symphony_data"),
        ]
    }

    fn run(&self, image: &Image, arguments: &[&str]) -> Ran {
        let mounts = self.mounts();
        image.run(&[&mounts[0], &mounts[1]], arguments)
    }
}

fn open(path: &Path, mode: &str) {
    assert!(
        Command::new("chmod")
            .arg(mode)
            .arg(path)
            .status()
            .unwrap()
            .success()
    );
}

fn objects(count: usize) -> Json {
    (1..=count)
        .map(|number| {
            indicator(
                &format!("[file:hashes.'SHA-256' = '{number:064x}']"),
                &json!({}),
            )
        })
        .collect()
}

#[test]
fn an_image_holds_the_binary_and_certificates_and_nothing_else() {
    let Some(binary) = binary() else { return };
    let image = Image::build(&binary, "cordon");
    assert_eq!(
        image.files(),
        [
            "-rw-r--r-- 0:0 /etc/ssl/certs/ca-certificates.crt",
            "-rwxr-xr-x 0:0 /cordon",
            "drwxr-xr-x 0:0 /etc",
            "drwxr-xr-x 0:0 /etc/ssl",
            "drwxr-xr-x 0:0 /etc/ssl/certs",
        ]
    );
    let about = image.inspect();
    let size = about["Size"].as_u64().unwrap();
    println!("image: {size} bytes");
    assert!(size < LARGEST, "{size}");
    assert_eq!(about["Config"]["User"], format!("{USER}:{USER}"));
    assert_eq!(about["Config"]["Entrypoint"], json!(["/cordon"]));
    assert_eq!(about["Config"].get("Cmd"), None, "{about}");
    let environment = about["Config"]["Env"].as_array().unwrap();
    assert_eq!(environment.len(), 1, "PATH alone: {about}");
    let version = image.run(&[], &["--version"]);
    assert!(version.stdout.starts_with("cordon "), "{version:?}");
    // A name that only the container knows is looked up without a C library beside it.
    let task = Task::new(&json!({}));
    let port = task.platform.port();
    let url = task
        .platform
        .url()
        .replace("127.0.0.1", "platform.example.com");
    assert!(url.contains(&format!("//platform.example.com:{port}/")));
    write(&task.path().join("symphony"), "url_callback", &url);
    let mounts = task.mounts();
    let ran = image.run(
        &[
            "--add-host=platform.example.com:127.0.0.1",
            &mounts[0],
            &mounts[1],
        ],
        &["sekoia", "crowdstrike", "list_blocked"],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(task.platform.calls().len(), 2, "{ran:?}");
    assert_eq!(task.platform.end()["results"]["count"], 0);
}

#[test]
fn a_modules_image_runs_an_action_of_a_playbook() {
    let Some(binary) = binary() else { return };
    let image = Image::build(&binary, "crowdstrike");
    let entry = json!(["/cordon", "sekoia", "crowdstrike"]);
    assert_eq!(image.inspect()["Config"]["Entrypoint"], entry);

    let task = Task::new(&json!({ "stix_objects_path": "objects.json" }));
    write(
        &task.path().join("data"),
        "objects.json",
        &objects(3).to_string(),
    );
    // The first argument is the action, what follows is somebody else's.
    let ran = task.run(&image, &["push_indicators", "--and", "more"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(task.platform.refused(), Vec::<String>::new());
    assert_eq!(task.platform.calls().len(), 2);
    let end = task.platform.end();
    assert_eq!(end.get("error"), None, "{end}");
    assert_eq!(end["results"]["added"], 3, "{end}");
    // What it wrote is not root's.
    let file = task
        .path()
        .join("data")
        .join(end["results"]["changes_path"].as_str().unwrap());
    let owner = finish(Command::new("stat").args(["--format", "%u:%g"]).arg(&file));
    assert_eq!(owner.stdout.trim(), format!("{USER}:{USER}"));
    let changes: Json = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(changes.as_array().unwrap().len(), 3);

    let task = Task::new(&json!({}));
    let ran = task.run(&image, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let error = task.platform.end()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("there is no action \"\""), "{error}");
}

/// A job folder for everybody.
fn cortex_job(task: &Task) -> PathBuf {
    let job = task.path().join("job");
    for folder in ["input", "output"] {
        std::fs::create_dir_all(job.join(folder)).unwrap();
        open(&job.join(folder), "777");
    }
    let mut config = task.fake.configuration.clone();
    config["connector"] = json!("crowdstrike");
    config["service"] = json!("block");
    let input = json!({
        "data": { "data": format!("{:064x}", 7), "dataType": "hash" },
        "dataType": "thehive:case_artifact", "tlp": 2, "pap": 2, "message": "",
        "parameters": {}, "config": config,
    });
    write(&job.join("input"), "input.json", &input.to_string());
    job
}

/// What the image does with the job in a folder.
fn runs_job(image: &Image, job: &Path, place: &str, options: &[&str], arguments: &[&str]) {
    let volume = format!("--volume={}:{place}", job.display());
    let ran = image.run(&[&[volume.as_str()], options].concat(), arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    let text = std::fs::read_to_string(job.join("output/output.json")).unwrap();
    let report: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(report["success"], true, "{report}");
    assert_eq!(report["full"]["added"], 1, "{report}");
}

#[test]
fn without_arguments_the_image_runs_a_cortex_job() {
    let Some(binary) = binary() else { return };
    let image = Image::build(&binary, "cordon");
    for (place, arguments) in [
        ("/job", &[][..]),
        ("/tmp/cortex-jobs/1", &["/tmp/cortex-jobs/1"]),
    ] {
        let task = Task::new(&json!({}));
        runs_job(&image, &cortex_job(&task), place, &[], arguments);
    }
}

/// As `JobRunnerSrv` makes the folder: for the user of Cortex alone, who is not the image's.
#[test]
#[cfg(unix)]
fn the_image_for_cortex_reads_a_folder_that_is_cortexs_alone() {
    const CORTEX: u32 = 1001;
    let Some(binary) = binary() else { return };
    let image = Image::build(&binary, "cortex");
    let config = &image.inspect()["Config"];
    assert_eq!(config["User"], "0:0", "{config}");
    for (place, arguments) in [
        ("/job", &[][..]),
        ("/tmp/cortex-jobs/1", &["/tmp/cortex-jobs/1"]),
    ] {
        let task = Task::new(&json!({}));
        let job = cortex_job(&task);
        for (path, mode) in [
            ("input/input.json", "600"),
            ("input", "700"),
            ("output", "700"),
            ("", "700"),
        ] {
            let path = job.join(path);
            open(&path, mode);
            std::os::unix::fs::chown(&path, Some(CORTEX), Some(CORTEX)).unwrap();
        }
        // Cortex takes no capability away: this is the one that it needs of those that Docker gives.
        runs_job(&image, &job, place, &["--cap-add=dac_override"], arguments);
    }
}

/// Without an image: that there is such a stage, and that it is what responders name.
#[test]
fn responders_name_the_image_for_cortex() {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let (_, stage) = text.split_once("\nFROM cordon AS cortex\n").unwrap();
    let (stage, _) = stage.split_once("\n\n").unwrap();
    let lines: Vec<&str> = stage.lines().collect();
    assert_eq!(
        lines,
        [
            "USER 0:0",
            r#"ENTRYPOINT ["/cordon", "run", "--dialect", "cortex", "--job"]"#,
            r#"CMD ["/job"]"#,
        ]
    );
    let text = std::fs::read_to_string(root().join("manifests/cortex/responders.json")).unwrap();
    let responders: Json = serde_json::from_str(&text).unwrap();
    let image = concat!("cordon-cortex:", env!("CARGO_PKG_VERSION"));
    for responder in responders.as_array().unwrap() {
        assert_eq!(responder["dockerImage"], image, "{}", responder["name"]);
    }
}

#[test]
fn the_first_request_comes_soon_after_the_start() {
    let Some(binary) = binary() else { return };
    // What starts a container costs, with a program that does nothing but ask.
    let context = tempfile::tempdir().unwrap();
    let source = r#"use std::io::Write;
        fn main() {
            let address = std::env::args().nth(1).unwrap();
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        }"#;
    let source = write(context.path(), "ask.rs", source);
    let built = finish(
        Command::new("rustc")
            .args(["-O", "-C", "target-feature=+crt-static", "-o"])
            .arg(context.path().join("ask"))
            .arg(source),
    );
    assert_eq!(built.code, Some(0), "{built:?}");
    let text = "FROM scratch\nCOPY ask /ask\nUSER 65532:65532\nENTRYPOINT [\"/ask\"]\n";
    let file = write(context.path(), "Dockerfile", text);
    let nothing = Image::of(context.path(), &file, &[]);
    let image = Image::build(&binary, "crowdstrike");
    // A task that is somebody else's ends at once.
    let (asked, is_asked) = mpsc::channel();
    let web = Web::start(move |_| {
        asked.send(Clock::system().now()).unwrap();
        answer("409 Conflict", "", b"")
    });
    let until_asked = |command: &mut Command| {
        let started = Clock::system().now();
        let ran = finish(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let first = is_asked.try_iter().min().unwrap();
        (first - started).to_std().unwrap()
    };
    let address = format!("127.0.0.1:{}", web.port);
    let task = Task::new(&json!({}));
    write(
        &task.path().join("symphony"),
        "url_callback",
        &web.url("/callback"),
    );
    let mounts = task.mounts();
    // By turns, and the fewest of each: what others do on the machine only ever adds.
    let (mut bare, mut whole) = (Duration::MAX, Duration::MAX);
    for _ in 0..12 {
        bare = bare.min(until_asked(&mut nothing.command(&[], &[&address])));
        let options = [mounts[0].as_str(), &mounts[1]];
        whole = whole.min(until_asked(&mut image.command(&options, &["list_blocked"])));
    }
    let more = whole.saturating_sub(bare);
    println!("first request after {whole:?}, of which {bare:?} the container runtime's: {more:?}");
    assert!(more < LONGEST_START, "{more:?}");
}

#[test]
fn a_large_push_stays_small() {
    let Some(binary) = binary() else { return };
    let count = 100_000;
    let directory = tempfile::tempdir().unwrap();
    // A fake as fast as what is measured.
    let fake =
        Fake::of(Command::new(&binary).args(["fake", "--output", "json", "crowdstrike", "--http"]));
    let task = Task::with(
        directory,
        fake,
        &json!({ "stix_objects_path": "objects.json" }),
    );
    write(
        &task.path().join("data"),
        "objects.json",
        &objects(count).to_string(),
    );
    // The kernel's own account of a child that has ended.
    let script = "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; \
                  print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let ran = finish(
        Command::new("python3")
            .args(["-c", script])
            .arg(&binary)
            .args(["sekoia", "--files"])
            .arg(task.path().join("symphony"))
            .arg("--data")
            .arg(task.path().join("data"))
            .args(["crowdstrike", "push_indicators"]),
    );
    let end = task.platform.end();
    assert_eq!(end["results"]["added"], count, "{end} {ran:?}");
    let (code, kib) = ran.stdout.trim().split_once(' ').unwrap();
    assert_eq!(code, "0", "{ran:?}");
    let kib: u64 = kib.parse().unwrap();
    println!(
        "{count} indicators pushed with {} MiB at most, in {} ms",
        kib >> 10,
        end["results"]["duration_ms"]
    );
    assert!(kib < MOST_MEMORY, "{} MiB", kib >> 10);
}

/// What `.dockerignore` lets into the build.
fn admitted() -> (String, Vec<PathBuf>) {
    let text = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let admitted = text
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .map(|name| root().join(name))
        .collect();
    (text, admitted)
}

#[test]
fn the_build_reads_nothing_but_sources() {
    let (text, admitted) = admitted();
    // What cargo looks for before it builds anything, tests and benches that are named included.
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "sdk",
        "connectors",
        "benches",
        "tests",
    ] {
        assert!(admitted.contains(&root().join(needed)), "{needed}");
        assert!(root().join(needed).exists(), "{needed}");
    }
    assert!(text.lines().any(|line| line == "*"), "all else stays out");
}

/// By the lists of files that the compiler says it has read for the binary and the crates of this repository in it.
#[test]
fn what_the_binary_is_made_of_is_let_into_the_build() {
    let (_, admitted) = admitted();
    let folder = Path::new(env!("CARGO_BIN_EXE_cordon")).with_file_name("deps");
    let mut files: Vec<PathBuf> = Vec::new();
    for list in std::fs::read_dir(folder).unwrap() {
        let path = list.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|it| it != "d") {
            continue;
        }
        let list = std::fs::read_to_string(path).unwrap();
        // What is linked: no harness of tests has metadata, and nothing that was only checked counts.
        let linked = name.starts_with("cordon-") || list.contains(".rmeta:");
        if !linked || list.contains("/clippy.toml") {
            continue;
        }
        for (_, read) in list.lines().filter_map(|line| line.split_once(": ")) {
            // Spaces of a name are escaped.
            let read = read.replace("\\ ", "\0");
            let read = read.split(' ').map(|file| file.replace('\0', " "));
            files.extend(read.map(|file| root().join(file)));
        }
    }
    // What other crates generate lies with what is built.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    files.retain(|file| file.starts_with(root()) && !file.starts_with(built) && file.exists());
    for made_of in [
        "src/main.rs",
        "sdk/src/lib.rs",
        "connectors/zscaler/src/lib.rs",
    ] {
        assert!(files.contains(&root().join(made_of)), "{made_of}");
    }
    let kept_out: Vec<&PathBuf> = files
        .iter()
        .filter(|file| !admitted.iter().any(|folder| file.starts_with(folder)))
        .collect();
    assert_eq!(kept_out, Vec::<&PathBuf>::new());
}
