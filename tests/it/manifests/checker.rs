//! The rules of Sekoia's public compliance checker, one test for each, on the checked-in files. The checker
//! itself is not published as a package.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;

use super::{Module, modules};

const CATEGORIES: [&str; 9] = [
    "Applicative",
    "Cloud Providers",
    "Collaboration Tools",
    "Email",
    "Endpoint",
    "Generic",
    "IAM",
    "Network",
    "Threat Intelligence",
];

fn text<'a>(value: &'a Json, name: &str) -> &'a str {
    value[name]
        .as_str()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| panic!("{name}: {value}"))
}

/// Three numbers without leading zeros.
fn version(text: &str) -> [u32; 3] {
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
    let version: [u32; 3] = parts.try_into().unwrap();
    assert_eq!(version.map(|part| part.to_string()).join("."), text);
    version
}

fn commands(module: &Module) -> Vec<String> {
    let actions = module.actions();
    let commands = actions.iter().map(|(_, it)| text(it, "docker_parameters"));
    commands.map(str::to_owned).collect()
}

#[test]
fn changelog_has_its_title_first_and_the_two_sentences() {
    for module in modules() {
        let changelog = module.text("CHANGELOG.md");
        assert!(changelog.starts_with("# Changelog\n"), "{}", module.name);
        let titles = changelog.lines().filter(|line| line.starts_with("# "));
        assert_eq!(titles.count(), 1);
        let header = changelog.split("\n## ").next().unwrap().replace('\n', " ");
        for sentence in [
            "All notable changes to this project will be documented in this file.",
            "The format is based on [Keep a Changelog](https://keepachangelog.com/en/1.0.0/), and this project \
             adheres to [Semantic Versioning](https://semver.org/spec/v2.0.0.html).",
        ] {
            assert!(header.contains(sentence), "{}: {header}", module.name);
        }
    }
}

#[test]
fn changelog_entries_have_versions_that_fall_dates_and_known_sections() {
    for module in modules() {
        let changelog = module.text("CHANGELOG.md");
        let mut entries = changelog.split("\n## ").skip(1).peekable();
        assert!(entries.peek().is_some(), "{}", module.name);
        let mut last = [u32::MAX; 3];
        for entry in entries {
            let (title, body) = entry.split_once('\n').unwrap();
            let (number, date) = title.split_once(" - ").unwrap();
            assert!(version(number) < last, "{title}");
            last = version(number);
            assert!(
                chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok() && date.len() == 10,
                "{title}"
            );
            assert!(body.trim_start().starts_with("### "), "{title}");
            for section in body.lines().filter_map(|line| line.strip_prefix("### ")) {
                let known = [
                    "Added",
                    "Changed",
                    "Deprecated",
                    "Removed",
                    "Fixed",
                    "Security",
                ];
                assert!(known.contains(&section), "{title}: {section}");
            }
        }
    }
}

#[test]
fn manifest_says_who_it_is_and_has_the_changelogs_version() {
    for module in modules() {
        let manifest = module.manifest();
        for name in ["uuid", "name", "slug", "version", "description"] {
            text(&manifest, name);
        }
        let slug = text(&manifest, "slug");
        assert!(
            slug.starts_with(|letter: char| letter.is_ascii_lowercase()),
            "{slug}"
        );
        let allowed = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_' || letter == '-'
        };
        assert!(slug.chars().all(allowed), "{slug}");
        let number = text(&manifest, "version");
        version(number);
        let newest = format!("\n\n## {number} - ");
        let changelog = module.text("CHANGELOG.md");
        let at = changelog.find(&newest);
        assert!(at.is_some(), "{}: no entry for {number}", module.name);
        assert_eq!(
            at,
            changelog.find("\n\n## "),
            "{}: not the newest",
            module.name
        );
        assert_eq!(manifest["configuration"]["type"], "object");
        assert!(manifest["configuration"]["properties"].is_object());
    }
}

#[test]
fn manifest_has_categories_of_the_platforms_own() {
    for module in modules() {
        let manifest = module.manifest();
        let categories = manifest["categories"].as_array().unwrap();
        assert!(!categories.is_empty());
        for category in categories {
            assert!(
                CATEGORIES.iter().any(|known| category == known),
                "{category}"
            );
        }
    }
}

#[test]
fn logo_is_there_as_svg_and_as_a_small_square_transparent_png() {
    for module in modules() {
        assert!(
            module.text("logo.svg").starts_with("<svg "),
            "{}",
            module.name
        );
        let png = std::fs::read(module.folder.join("logo.png")).unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(png.len() <= 50 * 1024, "{}", png.len());
        assert_eq!(png[16..20], png[20..24], "width and height");
        assert_eq!(png[25], 6, "with a channel for opacity");
    }
}

#[test]
fn tests_lock_project_and_dockerfile_are_there() {
    for module in modules() {
        for name in [
            "tests/test_module.py",
            "poetry.lock",
            "pyproject.toml",
            "Dockerfile",
        ] {
            assert!(!module.text(name).is_empty(), "{}: {name}", module.name);
        }
    }
}

#[test]
fn image_leaves_the_first_argument_to_the_platform() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
    let root = std::fs::read_to_string(root).unwrap();
    for module in modules() {
        let dockerfile = module.text("Dockerfile");
        let entry = dockerfile
            .lines()
            .find_map(|line| line.strip_prefix("ENTRYPOINT "))
            .unwrap();
        let words: Vec<String> = serde_json::from_str(entry).unwrap();
        assert_eq!(words[1..], ["sekoia".to_owned(), module.name.clone()]);
        assert!(!dockerfile.contains("\nCMD"), "{}", module.name);
        // The same image is made where the program's is.
        let stage = format!("\nFROM cordon AS {}\nENTRYPOINT {entry}\n", module.name);
        assert!(root.contains(&stage), "{stage}");
    }
}

#[test]
fn actions_say_what_they_are_and_have_both_schemas() {
    for module in modules() {
        for (file, action) in module.actions() {
            for name in ["name", "uuid", "description", "docker_parameters", "slug"] {
                text(&action, name);
            }
            for name in ["arguments", "results"] {
                let schema = &action[name];
                assert_eq!(schema["type"], "object", "{file}: {name}");
                assert!(schema["properties"].is_object(), "{file}: {name}");
                assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
            }
            assert_eq!(
                file,
                format!("action_{}.json", text(&action, "docker_parameters"))
            );
        }
    }
}

#[test]
fn actions_that_report_have_the_branches_that_the_runtime_takes() {
    for module in modules() {
        for (file, action) in module.actions() {
            let can_be_held = action["results"]["properties"].get("held").is_some();
            let names: Vec<&String> = action["outputs"]
                .as_object()
                .map(|outputs| outputs.keys().collect())
                .unwrap_or_default();
            if can_be_held {
                assert_eq!(names, ["default", "held", "partial"], "{file}");
            } else {
                assert!(names.is_empty(), "{file}: {names:?}");
            }
        }
    }
}

#[test]
fn main_registers_every_action_once_and_nothing_else() {
    for module in modules() {
        let main = module.text("main.py");
        let mut registered: Vec<String> = main
            .lines()
            .filter_map(|line| line.strip_prefix("module.register(None, "))
            .map(|rest| serde_json::from_str(rest.trim_end_matches(')')).unwrap())
            .collect();
        registered.sort();
        let mut commands = commands(&module);
        commands.sort();
        assert_eq!(registered, commands, "{}", module.name);
    }
}

#[test]
fn slugs_and_commands_are_unique() {
    let mut slugs = BTreeSet::new();
    for module in modules() {
        assert!(slugs.insert(text(&module.manifest(), "slug").to_owned()));
        let commands = commands(&module);
        let different: BTreeSet<&String> = commands.iter().collect();
        assert_eq!(different.len(), commands.len(), "{}", module.name);
    }
}

#[test]
fn every_secret_is_a_field_and_every_field_says_what_it_is() {
    for module in modules() {
        let configuration = module.manifest()["configuration"].clone();
        let secrets = configuration["secrets"].as_array().unwrap();
        assert!(!secrets.is_empty(), "{}", module.name);
        for secret in secrets {
            let name = secret.as_str().unwrap();
            assert!(configuration["properties"].get(name).is_some(), "{name}");
        }
        for (name, field) in configuration["properties"].as_object().unwrap() {
            text(field, "description");
            // A word of our own; the platform knows the list.
            assert!(!field.to_string().contains("x-secret"), "{name}");
        }
    }
}

/// Byte by byte it is compared where Python is there.
#[test]
fn json_is_ascii_and_ends_without_a_line_end() {
    for module in modules() {
        let mut names = vec!["manifest.json".to_owned()];
        names.extend(module.actions().into_iter().map(|(name, _)| name));
        for name in names {
            let text = module.text(&name);
            assert!(text.is_ascii() && text.ends_with('}'), "{name}");
        }
    }
}
