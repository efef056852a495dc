//! What every write has to mind, also one of an action that works beside [`super::perform`].

use crate::error::Result;

use super::{Context, checks};

/// Does `work` while no other run is at work on a target, and `close` after it, whatever came of it. In a dry
/// run and without a store nobody is kept out.
pub async fn alone<T>(
    key: &str,
    run_id: &str,
    context: &Context,
    work: impl Future<Output = Result<T>>,
    close: impl Future<Output = ()>,
) -> Result<T> {
    checks::lease(key, run_id, context).await?;
    let result = tokio::select! {
        result = work => result,
        lost = checks::keep_lease(key, run_id, context) => Err(lost),
    };
    close.await;
    match checks::unlease(key, run_id, context).await {
        Ok(()) => result,
        Err(error) => result.and(Err(error)),
    }
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
