//! `cordon manifests`: what is generated from the code and checked in.
//!
//! One folder for each module of a Sekoia playbook, named as its connector; one folder for each other
//! engine; the schema of `cordon.toml`; the catalog of everything; and the UUIDs that were ever published.
//! Everything comes from the connectors' own schemas, so that no file says what the program does not do.

mod argument;
mod cacao;
mod catalog;
mod changelog;
mod cortex;
mod difference;
mod fields;
mod frozen;
mod logo;
mod schema;
mod sekoia;
mod stackstorm;
mod text;
mod workflows;

use std::collections::BTreeMap;
use std::path::Path;

use sdk::{Error, ErrorKind, Result};

use super::Outcome;
use crate::connectors;
use crate::output::{Output, print};

/// The version that manifests carry.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program's licence.
const LICENCE: &str = env!("CARGO_PKG_LICENSE");

/// Files by their names below the directory, with `/` between folders.
type Files = BTreeMap<String, Vec<u8>>;

/// Prints the names, checks the files, or writes them. `image` is what they call the program's image.
pub(crate) fn run(
    directory: &Path,
    image: &str,
    check: bool,
    write: bool,
    output: Output,
) -> Outcome {
    let mut files = files(image);
    if check || write {
        frozen::keep(directory, &connectors::all())?;
    }
    files.insert(
        frozen::FILE.to_owned(),
        text::json(&frozen::now(&connectors::all())),
    );
    if write {
        for (name, content) in &files {
            store(&directory.join(name), content)?;
        }
    }
    if check {
        let different = difference::of(directory, &files)?;
        if !different.is_empty() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("not as generated: {different}"),
            )
            .hint(different.hint())
            .into());
        }
    }
    let names: Vec<&String> = files.keys().collect();
    if !check || output.is_json() {
        output.result(&names, || {
            names
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join("\n")
        });
    } else {
        print(&format!("{} files are as generated", names.len()));
    }
    Ok(0)
}

/// Every generated file but the list of UUIDs.
fn files(image: &str) -> Files {
    // As the Dockerfile at the root of the repository says to call them.
    let cortex_image = format!("{image}-cortex:{VERSION}");
    let image = format!("{image}:{VERSION}");
    let connectors = connectors::all();
    let mut files = Files::new();
    files.insert(
        "cordon.schema.json".to_owned(),
        text::json(&crate::config::schema()),
    );
    files.insert(
        "catalog.json".to_owned(),
        text::json(&catalog::of(&connectors)),
    );
    files.insert(
        "cortex/responders.json".to_owned(),
        text::json(&cortex::catalog(&connectors, &cortex_image)),
    );
    stackstorm::add(&connectors, &mut files);
    workflows::add(&connectors, &image, &mut files);
    for connector in &connectors {
        sekoia::add(connector, &image, &mut files);
    }
    if let Some(connector) = connectors.iter().find(|it| !it.mechanisms.is_empty()) {
        files.insert(
            "cacao/block_collection.json".to_owned(),
            text::json(&cacao::playbook(connector)),
        );
    }
    files
}

fn store(path: &Path, content: &[u8]) -> Result<()> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, content))
        .and_then(|()| allow(path))
        .map_err(|error| {
            Error::config("a manifest cannot be written")
                .with("file", path.display())
                .because(error)
        })
}

/// Scripts are run as they are.
#[cfg(unix)]
fn allow(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if path.extension().is_some_and(|extension| extension == "sh") {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn allow(_: &Path) -> std::io::Result<()> {
    Ok(())
}
