//! Credentials that a vendor refused, kept in mind from run to run. Some vendors lock out whoever sends wrong ones
//! too often, right ones and people at the same address included; runs that are processes of their own would each
//! send them once.

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, ErrorKind, Result, Retry};
use crate::target::Login;

use super::Context;

/// How long refused credentials are not sent again.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// Does work that logs in, unless the same login was refused within a day, and keeps in mind how it went. Without a
/// store nothing is kept: `work` is done.
pub async fn unless_refused<T>(
    login: Option<Login>,
    context: &Context,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if let (Some(login), Some(store)) = (&login, &context.store)
        && let Some(at) = store.get(&key(login)).await?
        && is_fresh(&at, context.environment.clock.now())
    {
        return Err(Error::new(
            ErrorKind::Auth,
            format!("the login was refused at {at}, and is not tried again for 24 hours"),
        )
        .with("account", login.account())
        .hint(
            "correct the credentials: others are tried at once; where they are right after all, `cordon check` tries \
             them anyway, and runs go on when it gets in",
        ));
    }
    let result = work.await;
    match note_login(login, context, &result).await {
        Ok(()) => result,
        Err(error) => result.and(Err(error)),
    }
}

/// Keeps in mind that a login was refused, or forgets that it was once it is not.
pub(crate) async fn note_login<T>(
    login: Option<Login>,
    context: &Context,
    result: &Result<T>,
) -> Result<()> {
    let (Some(login), Some(store)) = (login, &context.store) else {
        return Ok(());
    };
    let (key, now) = (key(&login), context.environment.clock.now());
    match result {
        Ok(_) if store.get(&key).await?.is_some() => store.set(&key, None).await,
        // A connector that sends nothing more after a refusal says nothing new.
        Err(error) if error.kind() == ErrorKind::Auth && error.retry_status() != Retry::GaveUp => {
            // Those of keys that were replaced since.
            for (old, at) in store.list(&place(&login)).await? {
                if !is_fresh(&at, now) {
                    store.set(&old, None).await?;
                }
            }
            match store.get(&key).await? {
                Some(_) => Ok(()),
                None => store.set(&key, Some(&now.to_rfc3339())).await,
            }
        }
        _ => Ok(()),
    }
}

/// Where those of an account stand.
fn place(login: &Login) -> String {
    format!("refused/{}/", login.account())
}

fn key(login: &Login) -> String {
    format!("{}{}", place(login), login.tag())
}

/// Whether it was within a day, before or after: a clock that was moved is no reason to wait longer.
fn is_fresh(at: &str, now: DateTime<Utc>) -> bool {
    DateTime::parse_from_rfc3339(at).is_ok_and(|at| (now - at.with_timezone(&Utc)).abs() < KEPT)
}
