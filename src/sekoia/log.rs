//! Log lines: each at once on stderr, and all together with the last message to the platform.

use sdk::Clock;
use serde_json::{Value as Json, json};

use super::secrets::Redactor;
use crate::cli;
use crate::output::plain;

/// How much a line matters, in the platform's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// The lines so far, and what must not stand in them.
#[derive(Debug)]
pub(super) struct Log {
    lines: Vec<String>,
    clock: Clock,
    form: cli::Log,
    /// Takes each line at once.
    tell: fn(&str),
    pub(super) redactor: Redactor,
}

impl Log {
    pub(super) fn new(clock: Clock, form: cli::Log, tell: fn(&str)) -> Self {
        Self {
            lines: Vec::new(),
            clock,
            form,
            tell,
            redactor: Redactor::default(),
        }
    }

    pub(super) fn add(&mut self, level: Level, message: &str) {
        self.add_with(level, message, None);
    }

    /// With fields, as JSON after the message.
    pub(super) fn add_with(&mut self, level: Level, message: &str, fields: Option<Json>) {
        let level = level.name();
        // One line each, whatever a vendor put into its answer.
        let message = plain(&self.redactor.text(message).replace(['\r', '\n'], " "));
        let fields = fields.map(|fields| self.redactor.json(fields));
        let now = self.clock.now();
        match self.form {
            cli::Log::Text => (self.tell)(&format!("{level}: {message}")),
            cli::Log::Json => (self.tell)(
                &json!({
                    "timestamp": now.to_rfc3339(),
                    "level": level,
                    "message": message,
                    "fields": fields,
                })
                .to_string(),
            ),
        }
        let time = now.format("%Y-%m-%d %H:%M:%S%.6f");
        let context = fields.map_or_else(String::new, |fields| format!(" - Context: {fields}"));
        self.lines
            .push(format!("{time}: {level}: {message}{context}"));
    }

    /// All of them, as the platform takes them.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_the_platform_reads_them() {
        let at: chrono::DateTime<chrono::Utc> = "2026-03-05T07:08:09.000120Z".parse().unwrap();
        let mut log = Log::new(Clock::manual(at), cli::Log::Text, |_| {});
        log.redactor.add("hunter2");
        log.add(Level::Warning, "it said:\nhunter2 \u{1b}[2J");
        log.add_with(Level::Info, "done", Some(json!({ "run": "hunter2" })));
        assert_eq!(
            log.text(),
            "2026-03-05 07:08:09.000120: warning: it said: [secret] \u{fffd}[2J\n\
             2026-03-05 07:08:09.000120: info: done - Context: {\"run\":\"[secret]\"}"
        );
    }
}
