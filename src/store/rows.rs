//! How values, times and ledger states are written in columns.

use chrono::{DateTime, Utc};
use sdk::indicator::{Indicator, Kind, Origin, Validity, Value};
use sdk::ownership::Owner;
use sdk::store::{HeldSet, LedgerRow, RowState, RunRecord};
use sdk::{Error, ErrorKind, Result};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// A row that this version did not write: the file is damaged or was edited by hand.
fn unreadable(table: &str, what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the store has a row in {table} that cannot be read: {what}"),
    )
    .hint("`cordon store check` looks at the whole file; `cordon store restore FILE` brings a backup back")
}

/// Milliseconds since 1970.
pub(super) fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// The instant of so many milliseconds since 1970.
pub(super) fn instant(millis: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis)
        .ok_or_else(|| unreadable("a time", format_args!("{millis} ms")))
}

/// The same, of a column that may be empty.
pub(super) fn instant_option(millis: Option<i64>) -> Result<Option<DateTime<Utc>>> {
    millis.map(instant).transpose()
}

fn kind(name: &str) -> Result<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| unreadable("a value", format_args!("kind {name:?}")))
}

fn value(kind_name: &str, text: &str) -> Result<Value> {
    Value::parse(kind(kind_name)?, text).map_err(|error| unreadable("a value", error))
}

fn owner(name: &str) -> Result<Owner> {
    Owner::new(name).map_err(|error| unreadable("an owner", error))
}

/// The text of a value to keep for reading it again: a URL's original spelling reads as the same value
/// and is not lost.
pub(super) fn source_text(value: &Value) -> String {
    match value {
        Value::Url(url) => url.original().to_owned(),
        _ => value.to_string(),
    }
}

pub(super) const fn state_name(state: RowState) -> &'static str {
    match state {
        RowState::Settled => "settled",
        RowState::Adding { was_absent: true } => "adding",
        RowState::Adding { was_absent: false } => "adding-present",
        RowState::Removing => "removing",
    }
}

fn state(name: &str) -> Result<RowState> {
    match name {
        "settled" => Ok(RowState::Settled),
        "adding" => Ok(RowState::Adding { was_absent: true }),
        "adding-present" => Ok(RowState::Adding { was_absent: false }),
        "removing" => Ok(RowState::Removing),
        _ => Err(unreadable("the ledger", format_args!("state {name:?}"))),
    }
}

/// The origin as one text; the first letter tells which.
pub(super) fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Stix(id) => format!("s{id:032x}"),
        Origin::Id(id) => format!("i{id}"),
        Origin::Line(line) => format!("l{line}"),
        Origin::Argument => "a".to_owned(),
    }
}

fn origin(text: &str) -> Result<Origin> {
    let bad = || unreadable("an origin", format_args!("{text:?}"));
    let rest = text.get(1..).ok_or_else(bad)?;
    match text.as_bytes()[0] {
        b's' => u128::from_str_radix(rest, 16)
            .map(Origin::Stix)
            .map_err(|_| bad()),
        b'i' => Ok(Origin::Id(rest.into())),
        b'l' => rest.parse().map(Origin::Line).map_err(|_| bad()),
        b'a' if rest.is_empty() => Ok(Origin::Argument),
        _ => Err(bad()),
    }
}

/// `kind, value, owner, until, sources, state, at`.
pub(super) fn ledger_row(row: &SqliteRow) -> Result<LedgerRow> {
    Ok(LedgerRow {
        value: value(text(row, 0)?, text(row, 1)?)?,
        owner: owner(text(row, 2)?)?,
        until: instant_option(number_option(row, 3)?)?,
        sources: text(row, 4)?.to_owned(),
        state: state(text(row, 5)?)?,
        at: instant(number(row, 6)?)?,
    })
}

/// `kind, value, exact, revoked, confidence, valid_from, valid_until, modified, origin`.
pub(super) fn indicator(row: &SqliteRow) -> Result<Indicator> {
    let confidence = number_option(row, 4)?
        .map(u16::try_from)
        .transpose()
        .map_err(|error| unreadable("a copy", error))?;
    Ok(Indicator {
        value: value(text(row, 0)?, text(row, 1)?)?,
        exact: number(row, 2)? != 0,
        revoked: number(row, 3)? != 0,
        confidence,
        validity: Validity {
            from: instant_option(number_option(row, 5)?)?,
            until: instant_option(number_option(row, 6)?)?,
        },
        modified: instant_option(number_option(row, 7)?)?,
        origin: origin(text(row, 8)?)?,
    })
}

/// `id, target, owner, at, status, actor, held, report, counted_removals, counted_revocations`.
pub(super) fn run(row: &SqliteRow) -> Result<RunRecord> {
    let count = |index| -> Result<usize> {
        usize::try_from(number(row, index)?).map_err(|error| unreadable("the runs", error))
    };
    Ok(RunRecord {
        id: text(row, 0)?.to_owned(),
        target: text(row, 1)?.to_owned(),
        owner: owner(text(row, 2)?)?,
        at: instant(number(row, 3)?)?,
        status: text(row, 4)?.to_owned(),
        actor: text(row, 5)?.to_owned(),
        held: count(6)?,
        report: text(row, 7)?.to_owned(),
        counted_removals: count(8)?,
        counted_revocations: count(9)?,
    })
}

/// `id, target, owner, digest, changes, why, at, approved_at, approved_by`.
pub(super) fn held(row: &SqliteRow) -> Result<HeldSet> {
    let approved_by: Option<&str> = row.try_get(8).map_err(super::sqlite::failure)?;
    Ok(HeldSet {
        id: text(row, 0)?.to_owned(),
        target: text(row, 1)?.to_owned(),
        owner: owner(text(row, 2)?)?,
        digest: text(row, 3)?.to_owned(),
        changes: text(row, 4)?.lines().map(str::to_owned).collect(),
        why: text(row, 5)?.to_owned(),
        at: instant(number(row, 6)?)?,
        approved: instant_option(number_option(row, 7)?)?
            .map(|at| (at, approved_by.unwrap_or_default().to_owned())),
    })
}

pub(super) fn text(row: &SqliteRow, index: usize) -> Result<&str> {
    row.try_get(index).map_err(super::sqlite::failure)
}

pub(super) fn number(row: &SqliteRow, index: usize) -> Result<i64> {
    row.try_get(index).map_err(super::sqlite::failure)
}

fn number_option(row: &SqliteRow, index: usize) -> Result<Option<i64>> {
    row.try_get(index).map_err(super::sqlite::failure)
}
