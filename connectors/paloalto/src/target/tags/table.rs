//! Reading the table of registered addresses.

use std::collections::HashSet;

use sdk::indicator::Value;
use sdk::{Error, ErrorKind, Result};

use super::super::connection::Connection;
use super::codec::{self, Tag};
use crate::api::xml::{Element, escape};
use crate::api::{Answer, REGISTERED_PAGE};

/// More values than this are read with the whole table: a lookup is a call for each.
const FEW: usize = 10;

/// How often the whole table is read when it changes meanwhile.
const PASSES: usize = 5;

/// An address as the table spells it, and our tags on it.
pub(super) type Row = (Box<str>, Vec<Tag>);

/// The table.
pub(super) struct Table {
    /// The rows with tags of ours.
    pub(super) rows: Vec<Row>,
    /// All rows.
    pub(super) total: usize,
}

/// Reads all of it, five hundred rows a call.
///
/// Pages are offsets into a table that changes: an entry that ends between two pages moves the rest up and hides one.
/// So every page begins with the last row of the one before, and if that is another one, everything is read again.
///
/// # Errors
/// A table that changes during every pass.
pub(super) async fn read(connection: &Connection, base: &str) -> Result<Table> {
    for _ in 0..PASSES {
        if let Some(table) = pass(connection, base).await? {
            return Ok(table);
        }
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        "the registered addresses change faster than they can be read",
    )
    .with("passes", PASSES)
    .hint("run again later"))
}

async fn pass(connection: &Connection, base: &str) -> Result<Option<Table>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut seen: HashSet<Box<str>> = HashSet::new();
    let mut last: Option<Box<str>> = None;
    let mut start = 1;
    loop {
        let command = format!(
            "<show><object><registered-ip><limit>{REGISTERED_PAGE}</limit><start-point>{start}</start-point></registered-ip></object></show>"
        );
        let answer = connection.show(command, "registered addresses").await?;
        let entries: Vec<&Element> = entries(&answer)?.collect();
        if let Some(last) = &last
            && entries.first().and_then(|entry| entry.attribute("ip")) != Some(last)
        {
            return Ok(None);
        }
        for entry in entries.iter().skip(usize::from(last.is_some())) {
            let address = address_of(entry)?;
            if !seen.insert(address.into()) {
                return Ok(None);
            }
            let tags = ours(entry, base);
            if !tags.is_empty() {
                rows.push((address.into(), tags));
            }
        }
        if entries.len() < REGISTERED_PAGE {
            return Ok(Some(Table {
                rows,
                total: seen.len(),
            }));
        }
        last = entries
            .last()
            .and_then(|entry| entry.attribute("ip"))
            .map(Into::into);
        start += REGISTERED_PAGE - 1;
    }
}

/// How many rows there are.
pub(super) async fn count(connection: &Connection) -> Result<usize> {
    let command = "<show><object><registered-ip><all><option>count</option></all></registered-ip></object></show>";
    let answer = connection
        .show(command, "number of registered addresses")
        .await?;
    answer
        .root
        .text_at(&["result", "count"])
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| {
            Error::protocol("number of registered addresses: no number in the answer")
                .with("answer", answer.text())
        })
}

/// Whether to ask for each value. Networks are looked for in the whole table: what a lookup of one shows is not known.
pub(super) fn is_worth_looking_up(values: &[Value]) -> bool {
    values.len() <= FEW
        && values.iter().all(|value| match value {
            Value::Ipv4(network) => network.prefix_len() == 32,
            Value::Ipv6(network) => network.prefix_len() == 128,
            _ => false,
        })
}

/// The rows that the device shows for one address.
pub(super) async fn look_up(
    connection: &Connection,
    address: &str,
    base: &str,
) -> Result<Vec<Row>> {
    let command = format!(
        "<show><object><registered-ip><ip>{}</ip></registered-ip></object></show>",
        escape(address)
    );
    let answer = connection.show(command, "a registered address").await?;
    let mut rows = Vec::new();
    for entry in entries(&answer)? {
        let tags = ours(entry, base);
        if !tags.is_empty() {
            rows.push((address_of(entry)?.into(), tags));
        }
    }
    Ok(rows)
}

fn entries(answer: &Answer) -> Result<impl Iterator<Item = &Element>> {
    let result = answer.result().ok_or_else(|| {
        Error::protocol("registered addresses: no result in the answer")
            .with("answer", answer.text())
    })?;
    if result.at(&["msg", "line", "outfile"]).is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the device writes its registered addresses to a file instead of showing them",
        ));
    }
    Ok(result.all("entry"))
}

fn address_of(entry: &Element) -> Result<&str> {
    entry
        .attribute("ip")
        .ok_or_else(|| Error::protocol("registered addresses: an entry without address"))
}

fn ours(entry: &Element, base: &str) -> Vec<Tag> {
    entry
        .child("tag")
        .into_iter()
        .flat_map(Element::members)
        .filter_map(|tag| codec::read(tag, base))
        .collect()
}
