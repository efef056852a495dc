//! Reading the collections of a deployment, and what a failed read falls back on.

use std::collections::HashSet;

use crate::collection::{ReadContext, Reading, Source};
use crate::error::{Error, ErrorKind};
use crate::indicator::Value;
use crate::ownership::Owner;
use crate::store::LastCopy;

use super::{Context, Deployment, Read, Readings, release};

/// Reads every collection; one that fails does not keep the others from being read.
pub(super) async fn read(deployment: &Deployment, context: &Context) -> Readings {
    Readings {
        include: read_all(&deployment.include, context).await,
        exclude: read_all(&deployment.exclude, context).await,
        protect: read_all(&deployment.protect, context).await,
    }
}

async fn read_all(sources: &[Source], context: &Context) -> Vec<Read> {
    let mut reads = Vec::with_capacity(sources.len());
    for source in sources {
        context.tell(&format!("reading {}", source.name));
        let read_context = ReadContext {
            environment: context.environment.clone(),
            now: context.environment.clock.now(),
            size_limit: ReadContext::DEFAULT_SIZE_LIMIT,
        };
        reads.push(Read {
            name: source.name.clone(),
            result: source.read(&read_context).await,
            remembered: true,
        });
    }
    reads
}

/// How a rule list (exclude or protect) came out.
pub(super) enum RuleList {
    /// Read now.
    Complete(Reading),
    /// Not read, or shrunk suspiciously: the store's last complete copy stands in.
    LastCopy(Reading, Error),
    /// Neither.
    Failed(Error),
}

/// Judges a rule list against its last complete copy, and keeps the new copy where it is good: a list that
/// lost more than 30 % and more than 10 of its entries since counts as failed until approved.
pub(super) async fn judge_rules(
    read: Read,
    owner: &Owner,
    context: &Context,
) -> Result<RuleList, Error> {
    let store = context.store.as_ref().filter(|_| read.remembered);
    let Some(store) = store else {
        return Ok(match read.result {
            Ok(reading) => RuleList::Complete(reading),
            Err(error) => RuleList::Failed(error),
        });
    };
    let last = store.last_copy(&read.name).await?;
    let error = match read.result {
        Ok(reading) => {
            let lost = lost(&reading, last.as_ref());
            let before = last.as_ref().map_or(0, |copy| copy.indicators.len());
            if lost.len() <= 10 || lost.len() * 10 <= before * 3 {
                keep(&read.name, &reading, last.as_ref(), context).await?;
                return Ok(RuleList::Complete(reading));
            }
            let subject = format!("list/{}", read.name);
            if let Some(id) = release::approved(owner, &subject, &lost, context).await? {
                keep(&read.name, &reading, last.as_ref(), context).await?;
                if !context.dry_run {
                    store.release(&id).await?;
                }
                return Ok(RuleList::Complete(reading));
            }
            let why = format!(
                "the list lost {} of its {before} entries since it was last read",
                lost.len()
            );
            let id = release::hold(owner, &subject, lost, &why, context).await?;
            let mut error = Error::new(ErrorKind::Guard, why).with("list", &read.name);
            if let Some(id) = id {
                error = error.hint(format!("if that is right: cordon approve {id}"));
            }
            error
        }
        Err(error) => error,
    };
    Ok(match last {
        Some(copy) => RuleList::LastCopy(
            Reading {
                name: read.name,
                indicators: copy.indicators,
                ..Default::default()
            },
            error,
        ),
        None => RuleList::Failed(error),
    })
}

/// What the last copy had and the reading has not, as a person is shown it, sorted.
fn lost(reading: &Reading, last: Option<&LastCopy>) -> Vec<String> {
    let Some(last) = last else {
        return Vec::new();
    };
    let now: HashSet<&Value> = reading
        .indicators
        .iter()
        .map(|indicator| &indicator.value)
        .collect();
    let mut lost: Vec<String> = last
        .indicators
        .iter()
        .filter(|indicator| !now.contains(&indicator.value))
        .map(|indicator| format!("lose {} {}", indicator.value.kind(), indicator.value))
        .collect();
    lost.sort_unstable();
    lost.dedup();
    lost
}

async fn keep(
    name: &str,
    reading: &Reading,
    last: Option<&LastCopy>,
    context: &Context,
) -> Result<(), Error> {
    let Some(store) = &context.store else {
        return Ok(());
    };
    if context.dry_run || last.is_some_and(|copy| copy.indicators == reading.indicators) {
        return Ok(());
    }
    store
        .keep_copy(
            name,
            &LastCopy {
                at: context.environment.clock.now(),
                indicators: reading.indicators.clone(),
            },
        )
        .await
}
