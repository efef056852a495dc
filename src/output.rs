//! The one place that prints: results on stdout, everything else on stderr.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::environment::variable;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    Text,
    /// One JSON object on one line.
    Json,
}

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// How results are written.
    pub format: Format,
    /// Whether stdout takes colour.
    colour: bool,
}

impl Output {
    /// Colour only on a terminal that wants it.
    pub(crate) fn new(format: Format) -> Self {
        let colour = std::io::stdout().is_terminal()
            && variable("NO_COLOR").is_none()
            && variable("TERM").as_deref() != Some("dumb");
        Self { format, colour }
    }

    /// Whether machines read it.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Bold, where colour is on.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(text, "1")
    }

    /// A status in its colour.
    pub(crate) fn status(self, text: &str) -> String {
        let code = match text {
            "ok" | "yes" => "32",
            "failed" | "missing" | "no" => "31",
            _ => "33",
        };
        self.paint(text, code)
    }

    fn paint(self, text: &str, code: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// A table with aligned columns. Numbers stand to the right; a column in which no row has anything
    /// is left out.
    pub(crate) fn table(self, header: &[&str], rows: &[Vec<String>]) -> String {
        let filled: Vec<usize> = (0..header.len())
            .filter(|column| rows.iter().any(|row| !row[*column].is_empty()))
            .collect();
        let header: Vec<&str> = filled.iter().map(|column| header[*column]).collect();
        let rows: Vec<Vec<&str>> = rows
            .iter()
            .map(|row| filled.iter().map(|column| row[*column].as_str()).collect())
            .collect();
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .chain([header[column].chars().count()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let line = |cells: &[&str]| {
            let mut line = String::new();
            for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                if index > 0 {
                    line.push_str("  ");
                }
                let space = " ".repeat(width.saturating_sub(cell.chars().count()));
                if cell.parse::<u64>().is_ok() {
                    line.push_str(&space);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&space);
                }
            }
            line.truncate(line.trim_end().len());
            line
        };
        let mut text = self.bold(&line(&header));
        for row in &rows {
            text.push('\n');
            text.push_str(&line(row));
        }
        text
    }

    /// One result: `text` for people, `value` for machines.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.is_json() {
            // Our own structs have no map with keys that are not strings.
            print(&serde_json::to_string(value).unwrap_or_default());
        } else {
            print(&text());
        }
    }
}

/// Whether something could not be printed.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether a result was lost on the way to stdout.
pub(crate) fn is_lost() -> bool {
    LOST.load(Ordering::SeqCst)
}

/// A line on stdout.
pub(crate) fn print(text: &str) {
    print_exactly(&format!("{text}\n"));
}

/// A text on stdout as it is, without a line's end of its own. A reader that went away (`| head`) is no
/// failure of ours; a full disk is.
pub(crate) fn print_exactly(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let printed = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        LOST.store(true, Ordering::SeqCst);
        tell(&format!("error: the result cannot be printed: {error}"));
    }
}

/// Whether stderr is a log of JSON lines.
static JSON_LINES: AtomicBool = AtomicBool::new(false);

/// What is told from now on goes into the log, which is JSON lines.
pub(crate) fn tell_as_json() {
    JSON_LINES.store(true, Ordering::Relaxed);
}

/// Something for people on stderr: lines that may begin with `error:`, `warning:` or `hint:`.
pub(crate) fn tell(text: &str) {
    if !JSON_LINES.load(Ordering::Relaxed) {
        return tell_exactly(text);
    }
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("error", rest)) => tracing::error!("{rest}"),
            Some(("warning", rest)) => tracing::warn!("{rest}"),
            _ => tracing::warn!("{line}"),
        }
    }
}

/// A line on stderr as it is.
pub(crate) fn tell_exactly(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Text with its middle left out, if it has more characters than `longest`.
pub(crate) fn shorten(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let tail = longest.saturating_sub(1) / 3;
    let head = longest.saturating_sub(1 + tail);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}\u{2026}{end}")
}

/// Text from outside on one line, so that it cannot move the cursor or forge a line.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_leave_out_what_is_empty() {
        let output = Output::new(Format::Text);
        let rows = [
            vec!["add".to_owned(), String::new(), "7".to_owned()],
            vec!["remove".to_owned(), String::new(), "1000".to_owned()],
        ];
        assert_eq!(
            output.table(&["change", "device", "count"], &rows),
            "change  count\nadd         7\nremove   1000"
        );
    }

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("abcdefghij", 7), "abcd\u{2026}ij");
        assert_eq!(shorten("ääääääääää", 4).chars().count(), 4);
        assert_eq!(shorten("abc", 0), "\u{2026}");
    }
}
