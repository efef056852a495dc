//! Generated files as other people's programs read them: Sekoia's SDK, JSON Schema, YAML, StackStorm's
//! templates, Argo's models. What the files call is called.

use std::path::Path;

use sdk::testing::official::{self, Python};

use super::folder;

const PACKAGES: [&str; 4] = [
    "sekoia-automation-sdk==1.27.0",
    "hera==7.1.0",
    "pillow==13.0.0",
    "pytest==9.2.0",
];

#[test]
fn generated_files_pass_as_what_they_are() {
    let Some(python) = Python::with(env!("CARGO_TARGET_TMPDIR"), &PACKAGES) else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/manifests/drive.py");
    let mut command = python.script(&script);
    command.arg(folder()).arg(env!("CARGO_BIN_EXE_cordon"));
    let told = official::run(&mut command);
    assert!(told.contains("6 modules"), "{told}");
}
