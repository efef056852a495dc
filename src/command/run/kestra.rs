//! Kestra reads a task's stdout line by line. A line `::{…}::` is taken apart: `outputs` become the task's,
//! `metrics` (counters, and timers in seconds) and `logs` (with slf4j's levels) its own. Kestra's pattern ends
//! at any line separator of Unicode, so that everything outside ASCII is escaped.

use serde_json::{Value as Json, json};

use super::Ended;
use crate::told;

/// The longest list that goes into outputs, which Kestra keeps in its database.
const LONGEST: usize = 1_000;

/// The line.
pub(super) fn line(ended: &Ended) -> String {
    let mut logs = Vec::new();
    let mut log = |level: &str, message: &str| {
        logs.push(json!({ "level": level, "message": message }));
    };
    let mut metrics = Vec::new();
    if let Some(report) = &ended.report {
        let counts = [
            ("added", report.added),
            ("updated", report.updated),
            ("renewed", report.renewed),
            ("removed", report.removed.total()),
            ("unchanged", report.unchanged),
            ("failed", report.failed),
        ];
        for (name, count) in counts {
            metrics.push(json!({ "name": name, "type": "counter", "value": count }));
        }
        let seconds = report.duration_ms as f64 / 1_000.0;
        metrics.push(json!({ "name": "duration", "type": "timer", "value": seconds }));
        log("INFO", &told::summary(report));
    }
    let warnings = ended.json.get("warnings").and_then(Json::as_array);
    for warning in warnings.into_iter().flatten().filter_map(Json::as_str) {
        log("WARN", warning);
    }
    if let Some(error) = &ended.error {
        log("ERROR", error);
    }
    let mut outputs = ended.json.clone();
    for cut in told::cut(&mut outputs, LONGEST) {
        log("WARN", &format!("{cut}; --output FILE has all of them"));
    }
    let message = json!({ "outputs": outputs, "metrics": metrics, "logs": logs });
    format!("::{}::", ascii(&message.to_string()))
}

/// JSON with everything outside ASCII escaped. Such letters stand within texts only.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() {
            escaped.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(json: Json) -> Ended {
        Ended {
            json,
            code: 0,
            error: None,
            report: None,
        }
    }

    #[test]
    fn nothing_in_a_value_ends_the_line() {
        let value = "a\u{2028}b\u{85}c\nd}:: \u{1f512}";
        let line = line(&ended(json!({ "reason": value })));
        assert!(line.is_ascii(), "{line}");
        assert!(!line.contains('\n'), "{line}");
        let inner = line.strip_prefix("::").unwrap().strip_suffix("::").unwrap();
        let read: Json = serde_json::from_str(inner).unwrap();
        assert_eq!(read["outputs"]["reason"], value);
    }

    #[test]
    fn long_lists_are_cut_and_that_is_said() {
        let line = line(&ended(json!({ "entries": vec!["8.8.8.8"; LONGEST + 1] })));
        let read: Json = serde_json::from_str(line.trim_matches(':')).unwrap();
        assert_eq!(
            read["outputs"]["entries"].as_array().unwrap().len(),
            LONGEST
        );
        let said = read["logs"][0]["message"].as_str().unwrap();
        assert!(said.contains("1000 of 1001"), "{said}");
    }
}
