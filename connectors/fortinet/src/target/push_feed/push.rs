//! Pushing entries into feeds and out of them, and what became of each.

use std::collections::{HashMap, HashSet};

use sdk::indicator::Value;
use sdk::target::Outcome;
use sdk::{Error, ErrorKind};

use super::{Feed, PushFeed};
use crate::api::{self, Command, CommandResult, Page};
use crate::target::rows::everywhere;
use crate::target::threat_feed::Group;

/// Largest body of one push, in bytes. The firewall's own limit is unknown; it answers 413 above it.
const BODY: usize = 900_000;

impl PushFeed {
    /// Pushes lines into, or out of, one feed; one outcome per line.
    async fn push(&self, feed: &Feed, command: Command, lines: &[&str]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(lines.len());
        for chunk in chunks(lines) {
            outcomes.extend(self.push_chunk(feed, command, chunk).await);
        }
        outcomes
    }

    async fn push_chunk(&self, feed: &Feed, command: Command, lines: &[&str]) -> Vec<Outcome> {
        let request = api::push(&self.threats.connection.vdom, &feed.name, command, lines);
        let what = "push";
        let response = match self.threats.connection.send(request).await {
            Ok(response) => response,
            Err(error) => return everywhere(lines.len(), error),
        };
        if response.status.as_u16() == 413 {
            return not_applied(lines.len(), "the firewall finds the request too large");
        }
        if !response.status.is_success() {
            return match api::judge(&response, what) {
                api::Verdict::Unknown(error) | api::Verdict::Failed(error) => {
                    everywhere(lines.len(), error)
                }
                api::Verdict::Full(words) => everywhere(
                    lines.len(),
                    Error::new(ErrorKind::Full, "the firewall has no room left")
                        .with("feed", &feed.name)
                        .with("answer", words),
                ),
                _ => everywhere(
                    lines.len(),
                    api::refusal(&response, what).with("feed", &feed.name),
                ),
            };
        }
        let results: Vec<CommandResult> = match response.json::<Page<Vec<CommandResult>>>(what) {
            Ok(page) => page.results,
            Err(error) => return everywhere(lines.len(), error.unknown_fate()),
        };
        let [result] = results.as_slice() else {
            let error = Error::protocol("push: not one result for one command").unknown_fate();
            return everywhere(lines.len(), error);
        };
        if result.status != "success" {
            let words = result
                .error
                .clone()
                .unwrap_or_else(|| "no reason given".to_owned());
            return self.after_refusal(feed, command, lines, &words).await;
        }
        let invalid: Vec<&str> = result.invalid_entries.iter().map(String::as_str).collect();
        let outcomes = lines
            .iter()
            .map(|line| match (invalid.contains(line), command) {
                (false, _) => Outcome::Done,
                (true, Command::Add) => {
                    Outcome::Rejected("the firewall calls the entry invalid".to_owned())
                }
                // Not placed in a removal: it was not there.
                (true, Command::Remove) => Outcome::Done,
            })
            .collect();
        match command {
            Command::Add => self.after_addition(feed, lines, outcomes).await,
            Command::Remove => outcomes,
        }
    }

    /// A refused command may be the fault of one line: what is as wanted already is done, the rest is
    /// tried again in smaller parts.
    async fn after_refusal(
        &self,
        feed: &Feed,
        command: Command,
        lines: &[&str],
        words: &str,
    ) -> Vec<Outcome> {
        let unusable = match self.threats.rows().await {
            Ok(rows) => self.inspect(feed, &rows).err(),
            Err(error) => return everywhere(lines.len(), error),
        };
        if let Some(finding) = unusable {
            let error = Error::new(ErrorKind::NotFound, finding.message)
                .with("answer", words)
                .hint(finding.hint.unwrap_or_default());
            return everywhere(lines.len(), error);
        }
        let content = match self.threats.content(&feed.name).await {
            Ok(content) => content,
            Err(error) => return everywhere(lines.len(), error),
        };
        let held: HashMap<&str, bool> = content
            .lines
            .iter()
            .map(|(line, acts)| (line.as_str(), *acts))
            .collect();
        lines
            .iter()
            .map(|line| match (command, held.contains_key(line)) {
                (Command::Add, true) => Outcome::Exists,
                (Command::Remove, false) => Outcome::Done,
                _ if lines.len() == 1 => Outcome::Rejected(words.to_owned()),
                _ => Outcome::NotApplied(words.to_owned()),
            })
            .collect()
    }

    /// Beyond its quota the firewall takes entries, says so in no answer, and does not act on them: they
    /// are looked for, and taken out again.
    async fn after_addition(
        &self,
        feed: &Feed,
        lines: &[&str],
        mut outcomes: Vec<Outcome>,
    ) -> Vec<Outcome> {
        let brief = match self.threats.page(&feed.name, 0, 1).await {
            Ok(brief) => brief,
            Err(error) => return everywhere(lines.len(), error.unknown_fate()),
        };
        if !brief.overflow {
            return outcomes;
        }
        let content = match self.threats.content(&feed.name).await {
            Ok(content) => content,
            Err(error) => return everywhere(lines.len(), error.unknown_fate()),
        };
        let acting: HashMap<&str, bool> = content
            .lines
            .iter()
            .map(|(line, acts)| (line.as_str(), *acts))
            .collect();
        let mut idle = Vec::new();
        for (line, outcome) in lines.iter().zip(&mut outcomes) {
            if matches!(outcome, Outcome::Done) && acting.get(line) != Some(&true) {
                idle.push(*line);
                *outcome = Outcome::Failed(
                    Error::new(
                        ErrorKind::Full,
                        "the firewall's quota for this type of feed is used up",
                    )
                    .with("feed", &feed.name)
                    .hint("leave fewer entries in the other feeds of this type, or block less"),
                );
            }
        }
        if idle.is_empty() {
            return outcomes;
        }
        let taken_out = Box::pin(self.push_chunk(feed, Command::Remove, &idle)).await;
        let stays: HashSet<&str> = idle
            .iter()
            .zip(&taken_out)
            .filter(|(_, outcome)| !matches!(outcome, Outcome::Done))
            .map(|(line, _)| *line)
            .collect();
        for (line, outcome) in lines.iter().zip(&mut outcomes) {
            if stays.contains(line) {
                // It blocks as soon as there is room: it has to stay on record as ours.
                *outcome = Outcome::Unknown(
                    Error::new(
                        ErrorKind::Full,
                        "beyond the firewall's quota, and not taken out again",
                    )
                    .with("feed", &feed.name)
                    .unknown_fate(),
                );
            }
        }
        outcomes
    }

    /// Sorts rows by feed, pushes, and puts the outcomes back in order.
    pub(super) async fn by_feed(
        &self,
        command: Command,
        rows: &[(&Value, String)],
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        for feed in &self.feeds {
            let places: Vec<usize> = (0..rows.len())
                .filter(|place| Group::of(rows[*place].0.kind()) == feed.group)
                .collect();
            let lines: Vec<&str> = places.iter().map(|place| rows[*place].1.as_str()).collect();
            if lines.is_empty() {
                continue;
            }
            for (place, outcome) in places
                .into_iter()
                .zip(self.push(feed, command, &lines).await)
            {
                outcomes[place] = Some(outcome);
            }
        }
        outcomes
            .into_iter()
            .map(|outcome| {
                outcome.unwrap_or_else(|| Outcome::Rejected("no feed takes this kind".to_owned()))
            })
            .collect()
    }
}

/// Parts of bounded size in bytes.
fn chunks<'a, 'b>(lines: &'a [&'b str]) -> Vec<&'a [&'b str]> {
    let mut parts = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, line) in lines.iter().enumerate() {
        // Quotes and a comma.
        let length = line.len() + 3;
        if index > start && size + length > BODY {
            parts.push(&lines[start..index]);
            (start, size) = (index, 0);
        }
        size += length;
    }
    parts.push(&lines[start..]);
    parts
}

fn not_applied(rows: usize, words: &str) -> Vec<Outcome> {
    if rows == 1 {
        return vec![Outcome::Rejected(words.to_owned())];
    }
    (0..rows)
        .map(|_| Outcome::NotApplied(words.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_bounded() {
        let long = "x".repeat(400_000);
        let lines = [long.as_str(); 5];
        let sizes: Vec<usize> = chunks(&lines).iter().map(|part| part.len()).collect();
        assert_eq!(sizes, [2, 2, 1]);
        let huge = "x".repeat(2_000_000);
        assert_eq!(chunks(&[huge.as_str(), "a"]).len(), 2);
    }
}
