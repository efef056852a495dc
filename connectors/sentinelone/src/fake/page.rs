//! Listings page by page (items 18, 19 and 31).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::gate::{Ask, Reply};

/// Parameters of every listing.
pub(super) const PARAMETERS: [&str; 7] = [
    "limit",
    "skip",
    "cursor",
    "countOnly",
    "skipCount",
    "sortBy",
    "sortOrder",
];
/// Most entries of a page, where pages are short.
const SHORT: usize = 7;

/// Cursors that were given out: for which question, and after which entry.
#[derive(Debug, Default)]
pub(super) struct Cursors(BTreeMap<String, (String, u64)>);

/// A number in a query.
fn number(ask: &Ask<'_>, name: &str, most: usize) -> Result<Option<usize>, Reply> {
    let Some(text) = ask.parameter(name) else {
        return Ok(None);
    };
    let number: usize = text
        .parse()
        .map_err(|_| Reply::bad(format!("{name}: Not a valid integer.")))?;
    if number > most {
        return Err(Reply::bad(format!("{name}: Must be at most {most}.")));
    }
    Ok(Some(number))
}

impl Cursors {
    /// One page of what matches, by numbers in the order of making. `uncounted` are in the total only.
    pub(super) fn page(
        &mut self,
        ask: &Ask<'_>,
        matching: &[u64],
        render: impl Fn(u64) -> Option<Json>,
        uncounted: usize,
        short: bool,
    ) -> Result<Reply, Reply> {
        let limit = number(ask, "limit", 1_000)?.unwrap_or(10);
        if limit == 0 {
            return Err(Reply::bad("limit: Must be at least 1."));
        }
        let skip = number(ask, "skip", 1_000)?.unwrap_or(0);
        let total = json!(matching.len() + uncounted);
        if ask.flag("countOnly") {
            return Ok(Reply::page(
                Vec::new(),
                json!({ "totalItems": total, "nextCursor": null }),
            ));
        }
        let mut question: Vec<String> = ask
            .query
            .iter()
            .filter(|(key, _)| key != "cursor" && key != "limit")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        question.sort_unstable();
        let question = format!("{}?{}", ask.path, question.join("&"));
        let after = match ask.parameter("cursor") {
            None => None,
            Some(cursor) => match self.0.get(cursor) {
                Some((asked, after)) if *asked == question => Some(*after),
                _ => return Err(Reply::bad("cursor: Invalid cursor.")),
            },
        };
        let start = after.map_or(skip, |after| {
            matching.partition_point(|order| *order <= after)
        });
        let length = if short { limit.min(SHORT) } else { limit };
        let rest = matching.get(start..).unwrap_or_default();
        let (shown, rest) = rest.split_at(length.min(rest.len()));
        let data: Vec<Json> = shown.iter().filter_map(|order| render(*order)).collect();
        let last = shown.last().copied().unwrap_or_default();
        let next = (!rest.is_empty()).then(|| {
            let cursor = format!("b3BhcXVl{:x}x{last:x}", self.0.len());
            self.0.insert(cursor.clone(), (question, last));
            cursor
        });
        let total = if ask.flag("skipCount") {
            Json::Null
        } else {
            total
        };
        Ok(Reply::page(
            data,
            json!({ "totalItems": total, "nextCursor": next }),
        ))
    }
}
