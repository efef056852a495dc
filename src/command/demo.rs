//! `cordon demo`: the whole story on loopback, told and checked.

use sdk::Error;

use super::{Outcome, block_on};
use crate::cli::Global;
use crate::demo::{StepReport, Story, tell};
use crate::output::{Output, print};

/// Tells it. Exit code 1 if anything was not as it must be.
pub(crate) fn run(global: &Global, output: Output) -> Outcome {
    if global.clock.is_some() {
        return Err(Error::input("the demo has a clock of its own")
            .hint("leave --clock out")
            .into());
    }
    block_on(async {
        let story = tell(|step| {
            if !output.is_json() {
                print(&step_text(step, output, global.verbose > 0));
            }
        })
        .await?;
        output.result(&story, || summary(&story, output));
        Ok(u8::from(story.status != "ok"))
    })
}

/// Claims that hold are counted, with `-v` named too; what does not hold is always told.
fn step_text(step: &StepReport, output: Output, verbose: bool) -> String {
    let mut text = output.bold(&format!("{}. {}", step.number, step.name));
    for line in step.told.iter().filter(|line| !line.is_empty()) {
        text.push_str(&format!("\n   {line}"));
    }
    for table in &step.tables {
        text.push_str("\n\n");
        text.push_str(&indented(&output.table(table.header, &table.rows)));
    }
    text.push('\n');
    let ok = step.checks.iter().filter(|check| check.ok).count();
    if verbose || !step.is_ok() {
        for check in &step.checks {
            let word = output.status(if check.ok { "ok" } else { "failed" });
            text.push_str(&format!("\n   {word}: {}", check.claim));
            if let Some(differs) = &check.differs {
                text.push_str(&format!(": {differs}"));
            }
        }
    } else {
        text.push_str(&format!("\n   {}: {ok} checks", output.status("ok")));
    }
    if let Some(error) = &step.error {
        text.push_str(&format!("\n   {}: {error}", output.status("failed")));
    }
    text.push('\n');
    text
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("   {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn summary(story: &Story, output: Output) -> String {
    let rows: Vec<Vec<String>> = story
        .steps
        .iter()
        .map(|step| {
            let mut row = vec![
                step.number.to_string(),
                step.name.to_owned(),
                step.status.to_owned(),
                step.checks.len().to_string(),
            ];
            for calls in &step.calls {
                row.push(format!("{} + {}", calls.read, calls.write));
            }
            row.push(step.duration_ms.to_string());
            row
        })
        .collect();
    let header = [
        "",
        "step",
        "result",
        "checks",
        "falcon read + write",
        "fortigate read + write",
        "ms",
    ];
    let mut text = output.table(&header, &rows);
    let failed = story.steps.iter().find(|step| !step.is_ok());
    text.push_str("\n\n");
    text.push_str(&match failed {
        None => format!(
            "{}: {} steps, {} checks, {} ms (-v names the checks, --output json gives everything)",
            output.status("ok"),
            story.steps.len(),
            story
                .steps
                .iter()
                .map(|step| step.checks.len())
                .sum::<usize>(),
            story.duration_ms
        ),
        Some(step) => format!(
            "{}: step {}, {}: {}",
            output.status("failed"),
            step.number,
            step.name,
            what_differs(step)
        ),
    });
    text
}

/// The first thing that was not as it must be.
fn what_differs(step: &StepReport) -> String {
    if let Some(error) = &step.error {
        return error.clone();
    }
    step.checks
        .iter()
        .find(|check| !check.ok)
        .map(|check| {
            format!(
                "{}: {}",
                check.claim,
                check.differs.as_deref().unwrap_or_default()
            )
        })
        .unwrap_or_default()
}
