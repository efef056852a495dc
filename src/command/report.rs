//! Reports for people.

use std::collections::BTreeMap;

use sdk::report::{Detail, Report, Status, Verified};

use crate::output::{Output, plain, shorten};

/// How many changes are shown without `-v`.
const CHANGES_SHOWN: usize = 20;

/// How many values that were left alone are named without `-v`.
const SKIPPED_SHOWN: usize = 5;

/// Reasons that somebody should hear of without asking: a decision to block was not carried out.
const NAMED_REASONS: [&str; 4] = ["protected", "conflict", "foreign", "capacity"];

/// Longest value without `-v`, in characters.
const LONGEST_VALUE: usize = 72;

/// The name of a status.
pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Partial => "partial",
        Status::Held => "held",
        Status::Failed => "failed",
    }
}

/// A table of runs, and below it what people should know about each.
pub(crate) fn text(reports: &[&Report], output: Output, verbose: bool) -> String {
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|report| {
            vec![
                report.owner.clone(),
                plain(&report.target),
                status_name(report.status).to_owned(),
                report.added.to_string(),
                (report.updated + report.renewed + report.adopted).to_string(),
                report.removed.total().to_string(),
                report.unchanged.to_string(),
                report.failed.to_string(),
                report
                    .held
                    .as_ref()
                    .map_or(0, |held| held.changes)
                    .to_string(),
            ]
        })
        .collect();
    let header = [
        "deployment",
        "target",
        "status",
        "added",
        "changed",
        "removed",
        "unchanged",
        "failed",
        "held",
    ];
    let mut text = output.table(&header, &rows);
    for report in reports {
        let notes = notes(report, output, verbose);
        if !notes.is_empty() {
            text.push_str(&format!(
                "\n\n{} on {}:",
                report.owner,
                plain(&report.target)
            ));
            for note in notes {
                text.push_str("\n  ");
                text.push_str(&note.replace('\n', "\n  "));
            }
        }
    }
    if reports.iter().all(|report| report.dry_run) {
        text.push_str("\n\nnothing was sent");
    }
    text
}

fn notes(report: &Report, output: Output, verbose: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(error) = &report.error {
        notes.push(format!("error: {}", plain(error)));
    }
    if let Some(hint) = &report.hint {
        notes.push(format!("hint: {}", plain(hint)));
    }
    for source in &report.sources {
        if source.status != "complete" || verbose {
            let error = source.error.as_deref().map(plain).unwrap_or_default();
            notes.push(format!(
                "collection {}: {}, {} indicators, {} left out{}{error}",
                plain(&source.name),
                output.status(&source.status),
                source.indicators,
                source.skipped,
                if error.is_empty() { "" } else { ": " },
            ));
        }
    }
    for device in &report.devices {
        // Where there is one device its error is the run's.
        if device.error == report.error && device.hint == report.hint {
            continue;
        }
        if let Some(error) = &device.error {
            notes.push(format!("device {}: {}", plain(&device.name), plain(error)));
        }
        if let Some(hint) = &device.hint {
            notes.push(format!("hint: {}", plain(hint)));
        }
    }
    notes.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("warning: {}", plain(warning))),
    );
    if let Some(held) = &report.held {
        let reasons = counts(
            held.by_reason
                .iter()
                .map(|(name, count)| (name.as_str(), *count)),
        );
        notes.push(format!(
            "held: {} changes wait ({reasons}): {}",
            held.changes,
            plain(&held.why)
        ));
        notes.push(match &held.id {
            Some(id) => format!("hint: to let them through: cordon approve {id}"),
            None => format!(
                "hint: a run with a store ([store] in a configuration) gives them an id for `cordon approve`; an action lets \
                 them through with allow_mass_change \"{}\"",
                held.digest
            ),
        });
    }
    let removed = counts([
        ("expired", report.removed.expired),
        ("revoked", report.removed.revoked),
        ("excluded", report.removed.excluded),
        ("withdrawn", report.removed.withdrawn),
        ("capacity", report.removed.capacity),
    ]);
    if !removed.is_empty() {
        notes.push(format!("removed: {removed}"));
    }
    notes.extend(skipped(report, verbose));
    match report.verified {
        Verified::No => notes.push("read back: something is not as written".to_owned()),
        Verified::Pending => notes.push("read back: stored, not enforced yet".to_owned()),
        Verified::Yes | Verified::NotChecked => {}
    }
    notes.extend(changes(report, output, verbose));
    notes
}

/// What was left alone: all of it counted, and named where somebody wanted it and did not get it.
fn skipped(report: &Report, verbose: bool) -> Vec<String> {
    let skipped = counts([
        ("unsupported", report.skipped.unsupported),
        ("protected", report.skipped.protected),
        ("conflict", report.skipped.conflict),
        ("foreign", report.skipped.foreign),
        ("capacity", report.skipped.capacity),
        ("waiting", report.skipped.waiting),
        ("pattern", report.skipped.pattern),
        ("detect-only", report.skipped.detect_only),
        ("stale", report.skipped.stale),
        ("other-reason", report.skipped.other_reason),
    ]);
    let mut notes = Vec::new();
    let named: Vec<&Detail> = report
        .details
        .iter()
        .filter(|detail| {
            verbose
                || detail.outcome != "skipped"
                || NAMED_REASONS.contains(&detail.reason.as_str())
        })
        .collect();
    let shown = if verbose { usize::MAX } else { SKIPPED_SHOWN };
    if !skipped.is_empty() {
        let more = named.len() > shown || named.len() < report.details.len();
        let hint = if more { " (-v names them)" } else { "" };
        notes.push(format!("skipped: {skipped}{hint}"));
    }
    // What failed comes first.
    let (failed, others): (Vec<&Detail>, Vec<&Detail>) = named
        .into_iter()
        .partition(|detail| detail.outcome == "failed");
    for details in [failed, others] {
        let count = details.len();
        notes.extend(details.into_iter().take(shown).map(|detail| {
            if detail.outcome == "held" {
                return format!("held: {} ({})", plain(&detail.message), detail.reason);
            }
            format!(
                "{} {}: {}: {}",
                detail.outcome,
                value_text(&detail.value, verbose),
                detail.reason,
                plain(&detail.message)
            )
        }));
        if count > shown {
            notes.push(format!("and {} more", count - shown));
        }
    }
    if report.left_out.details > 0 {
        notes.push(format!("and {} more, not listed", report.left_out.details));
    }
    notes
}

fn changes(report: &Report, output: Output, verbose: bool) -> Vec<String> {
    let shown = if verbose { usize::MAX } else { CHANGES_SHOWN };
    let rows: Vec<Vec<String>> = report
        .changes
        .iter()
        .take(shown)
        .map(|change| {
            vec![
                change.change.clone(),
                change.kind.to_string(),
                value_text(&change.value, verbose),
                change.reason.clone(),
                plain(&change.device),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut notes = vec![output.table(&["change", "kind", "value", "why", "device"], &rows)];
    let more = report.changes.len().saturating_sub(shown) + report.left_out.changes;
    if more > 0 {
        notes.push(format!("and {more} more"));
    }
    notes
}

fn value_text(value: &str, verbose: bool) -> String {
    let value = plain(value);
    if verbose {
        value
    } else {
        shorten(&value, LONGEST_VALUE)
    }
}

/// `4 expired, 1 revoked`, without the zeros.
fn counts<'a>(all: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    all.into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The worst exit code of several.
pub(crate) fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let order = [0, 5, 4, 75, 1, 3, 2];
    let weight = |code: u8| {
        order
            .iter()
            .position(|known| *known == code)
            .unwrap_or(order.len())
    };
    codes
        .into_iter()
        .max_by_key(|code| weight(*code))
        .unwrap_or(0)
}

/// The worst status of several.
pub(crate) fn worst_status(reports: &[&Report]) -> &'static str {
    let counts: BTreeMap<&str, usize> =
        reports.iter().fold(BTreeMap::new(), |mut counts, report| {
            *counts.entry(status_name(report.status)).or_default() += 1;
            counts
        });
    ["failed", "partial", "held"]
        .into_iter()
        .find(|name| counts.contains_key(name))
        .unwrap_or("ok")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_code_stands() {
        assert_eq!(worst([]), 0);
        assert_eq!(worst([0, 5, 0]), 5);
        assert_eq!(worst([5, 4, 0]), 4);
        assert_eq!(worst([75, 4]), 75);
        assert_eq!(worst([1, 75, 4]), 1);
        assert_eq!(worst([3, 1]), 3);
    }
}
