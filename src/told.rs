//! What came of an action, in words for a playbook engine.

use sdk::Error;
use sdk::report::{Report, Status};
use serde_json::Value as Json;

/// An error with what to do about it.
pub(crate) fn error(error: &Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    }
}

/// One line: the status and the counts.
pub(crate) fn summary(report: &Report) -> String {
    let status = match report.status {
        Status::Ok => "ok",
        Status::Partial => "partial",
        Status::Held => "held",
        Status::Failed => "failed",
    };
    format!(
        "{status}: {} added, {} updated, {} removed, {} unchanged, {} failed",
        report.added,
        report.updated,
        report.removed.total(),
        report.unchanged,
        report.failed
    )
}

/// Why a report is not all well, a line each; none where nothing more is known.
pub(crate) fn reasons(report: &Report) -> Vec<String> {
    let mut why = Vec::new();
    why.extend(report.error.clone());
    why.extend(report.devices.iter().filter_map(|device| {
        let error = device.error.as_ref()?;
        (report.error.as_ref() != Some(error)).then(|| format!("{}: {error}", device.name))
    }));
    why.extend(report.sources.iter().filter_map(|source| {
        let error = source.error.as_ref()?;
        Some(format!("source {}: {error}", source.name))
    }));
    if report.status == Status::Held && report.held.is_none() {
        why.extend(report.warnings.iter().cloned());
    }
    why.extend(report.held.as_ref().map(|held| {
        format!(
            "{} changes are held: {}; they go through with allow_mass_change {:?}",
            held.changes, held.why, held.digest
        )
    }));
    why
}

/// The reasons in one text, or the summary where there are none; and what to do about it.
pub(crate) fn failure(report: &Report) -> String {
    let why = reasons(report);
    let mut text = if why.is_empty() {
        summary(report)
    } else {
        why.join("; ")
    };
    if let Some(hint) = &report.hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}

/// Why a view is a failure, if it is one: `check` found something missing, or nothing could be read.
pub(crate) fn view_failure(view: &Json) -> Option<String> {
    match view.get("status").and_then(Json::as_str) {
        Some("missing") => Some(missing(view)),
        Some("failed") => {
            let error = view.get("error").and_then(Json::as_str);
            Some(error.unwrap_or("nothing could be read").to_owned())
        }
        _ => None,
    }
}

/// What `check` found missing, in words.
fn missing(view: &Json) -> String {
    let text = |finding: &Json, name: &str| finding.get(name)?.as_str().map(str::to_owned);
    let devices = view.get("devices").and_then(Json::as_array);
    let found: Vec<String> = devices
        .into_iter()
        .flatten()
        .filter_map(|device| device.get("findings")?.as_array())
        .flatten()
        .filter(|finding| text(finding, "level").as_deref() == Some("missing"))
        .map(|finding| {
            let subject = text(finding, "subject").unwrap_or_default();
            let message = text(finding, "message").unwrap_or_default();
            match text(finding, "hint") {
                Some(hint) => format!("{subject}: {message} (hint: {hint})"),
                None => format!("{subject}: {message}"),
            }
        })
        .collect();
    found.join("\n")
}

/// A text of at most so many bytes, and how many were left out.
pub(crate) fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let end = text.floor_char_boundary(longest);
        let left_out = text.len() - end;
        text.truncate(end);
        text.push_str(&format!(" … ({left_out} bytes more)"));
    }
    text
}

/// Cuts every list of a result that is longer, and says so.
pub(crate) fn cut(json: &mut Json, longest: usize) -> Vec<String> {
    let mut said = Vec::new();
    for (name, field) in json.as_object_mut().into_iter().flatten() {
        if let Some(list) = field.as_array_mut()
            && list.len() > longest
        {
            said.push(format!("{name} has the first {longest} of {}", list.len()));
            list.truncate(longest);
        }
    }
    said
}
