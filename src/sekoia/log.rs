//! Log lines: each at once on stderr, and all together with the last message to the platform.

use sdk::Clock;
use serde_json::{Value as Json, json};

use super::secrets::Redactor;
use crate::cli;
use crate::output::plain;
use crate::told::shortened;

/// The longest line and the longest error, in bytes. No limit of the platform is documented; a vendor's answer or a
/// list of arguments can be any length.
pub(super) const LONGEST_LINE: usize = 16 << 10;

/// The longest that all lines together may be: what is more is left out in the middle.
const LONGEST_TEXT: usize = 256 << 10;

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
        let message = shortened(message, LONGEST_LINE);
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

    /// All of them, as the platform takes them; of too many the first and the last.
    pub(super) fn text(&self) -> String {
        // How many of these lines fit into half of it.
        fn fitting<'a>(lines: impl Iterator<Item = &'a String>) -> usize {
            let ends = lines.scan(0, |length, line| {
                *length += line.len() + 1;
                Some(*length)
            });
            ends.take_while(|end| *end <= LONGEST_TEXT / 2).count()
        }
        let length: usize = self.lines.iter().map(|line| line.len() + 1).sum();
        if length <= LONGEST_TEXT {
            return self.lines.join("\n");
        }
        let (first, last) = (fitting(self.lines.iter()), fitting(self.lines.iter().rev()));
        let left_out = format!("… {} lines are left out", self.lines.len() - first - last);
        [
            &self.lines[..first],
            &[left_out],
            &self.lines[self.lines.len() - last..],
        ]
        .concat()
        .join("\n")
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

    #[test]
    fn long_lines_and_many_lines_are_cut_and_it_is_said() {
        let mut log = Log::new(Clock::manual(Default::default()), cli::Log::Text, |_| {});
        log.redactor.add("hunter2");
        let before = "ü".repeat(LONGEST_LINE / 2 - 3);
        log.add(Level::Error, &format!("{before}hunter2 at the edge"));
        let line = log.text();
        assert!(!line.contains("hunter"), "struck out before it is cut");
        assert!(line.ends_with("bytes more)"), "{line}");
        for number in 0..20_000 {
            log.add(Level::Warning, &format!("number {number}"));
        }
        let text = log.text();
        assert!(text.len() <= LONGEST_TEXT + 100, "{}", text.len());
        assert!(text.len() > LONGEST_TEXT - LONGEST_LINE, "{}", text.len());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("number 0"), "{}", lines[1]);
        assert!(lines.last().unwrap().ends_with("number 19999"));
        let said = lines.iter().find(|line| line.starts_with('…')).unwrap();
        let expected = format!("… {} lines are left out", 20_001 - (lines.len() - 1));
        assert_eq!(*said, expected);
    }
}
