//! What every write has to mind, also one of an action that works beside [`super::perform`].

use crate::error::Result;
use crate::target::{Staged, Target};

use super::{Context, checks};

/// Does `work` while no other run is at work on a key, and `close` after it, whatever came of it. In a dry
/// run and without a store nobody is kept out.
pub async fn alone<T>(
    key: &str,
    run_id: &str,
    context: &Context,
    work: impl Future<Output = Result<T>>,
    close: impl Future<Output = ()>,
) -> Result<T> {
    with_leases(&[key.to_owned()], run_id, context, work, close).await
}

/// The same on a target, and on all that share its staging; the target is closed after it.
pub async fn alone_on<T>(
    target: &dyn Target,
    run_id: &str,
    context: &Context,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    // What is shared comes first; and since no lease is waited for, nobody can wait in a circle. The target's own is
    // taken all the same: a process of an earlier version knows no other.
    let shared = target.staged().and_then(Staged::shared);
    let keys: Vec<String> = shared
        .into_iter()
        .chain([target.key().to_string()])
        .collect();
    with_leases(&keys, run_id, context, work, target.close()).await
}

async fn with_leases<T>(
    keys: &[String],
    run_id: &str,
    context: &Context,
    work: impl Future<Output = Result<T>>,
    close: impl Future<Output = ()>,
) -> Result<T> {
    for (place, key) in keys.iter().enumerate() {
        if let Err(error) = checks::lease(key, run_id, context).await {
            give_back(&keys[..place], run_id, context).await?;
            return Err(error);
        }
    }
    let result = tokio::select! {
        result = work => result,
        lost = checks::keep_leases(keys, run_id, context) => Err(lost),
    };
    close.await;
    match give_back(keys, run_id, context).await {
        Ok(()) => result,
        Err(error) => result.and(Err(error)),
    }
}

async fn give_back(keys: &[String], run_id: &str, context: &Context) -> Result<()> {
    let mut result = Ok(());
    for key in keys {
        result = result.and(checks::unlease(key, run_id, context).await);
    }
    result
}

/// The warning that nothing may be sent, where a person paused the target by its configured name, or a vendor
/// account and device by one of these keys.
pub async fn paused(
    target_name: &str,
    keys: &[String],
    context: &Context,
) -> Result<Option<String>> {
    for key in keys {
        if let Some(reason) = checks::paused(target_name, key, context).await? {
            return Ok(Some(format!(
                "{target_name} is paused, nothing is sent: {reason}"
            )));
        }
    }
    Ok(None)
}
