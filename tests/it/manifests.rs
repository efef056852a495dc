use std::path::Path;

use crate::support::run;

#[test]
fn checked_in_manifests_are_as_generated() {
    let ran = run(
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &["manifests", "--check"],
    );
    assert_eq!(ran.code, Some(0), "run `cordon manifests --write`: {ran:?}");
}

#[test]
fn a_difference_is_found_and_mended() {
    let directory = tempfile::tempdir().unwrap();
    let check = ["manifests", "--check", "--directory", "m"];
    let ran = run(directory.path(), &check);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("cordon.schema.json"), "{ran:?}");
    let ran = run(
        directory.path(),
        &["manifests", "--write", "--directory", "m"],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(run(directory.path(), &check).code, Some(0));
}
