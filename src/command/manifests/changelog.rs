//! The changelog that a module carries. Platforms look for a new version in it.

/// What came when, the newest first.
const RELEASES: [Release; 1] = [Release {
    version: "0.1.0",
    date: "2026-11-22",
    sections: &[("Added", &["The module."])],
}];

struct Release {
    version: &'static str,
    /// Year, month, day.
    date: &'static str,
    /// By the names that Keep a Changelog gives them.
    sections: &'static [(&'static str, &'static [&'static str])],
}

/// As a file. The sentences below the title have to stand there word for word.
pub(super) fn markdown() -> String {
    let mut text = String::from(
        "# Changelog\n\n\
         All notable changes to this project will be documented in this file.\n\n\
         The format is based on [Keep a Changelog](https://keepachangelog.com/en/1.0.0/),\n\
         and this project adheres to [Semantic Versioning](https://semver.org/spec/v2.0.0.html).\n",
    );
    for release in RELEASES {
        text.push_str(&format!("\n## {} - {}\n", release.version, release.date));
        for (section, lines) in release.sections {
            text.push_str(&format!("\n### {section}\n\n"));
            for line in *lines {
                text.push_str(&format!("- {line}\n"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_is_this_version() {
        assert_eq!(
            RELEASES[0].version,
            super::super::VERSION,
            "a new version needs an entry in RELEASES"
        );
    }
}
