//! Reading a list page by page, to its end or not at all.

use std::collections::HashSet;

use crate::error::{Error, Result};

/// What one page said about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page<'a> {
    /// Entries on it.
    pub items: usize,
    /// Where the next one begins, as the vendor said it; `None` or empty where it said nothing. With
    /// offsets, the next offset as text while the vendor's total is not reached.
    pub cursor: Option<&'a str>,
    /// Entries in all, as far as the vendor says.
    pub total: Option<u64>,
    /// Whether there is more, as far as the vendor says.
    pub has_more: Option<bool>,
}

/// What to do after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the page at this cursor.
    Continue(String),
    /// All pages were read.
    End,
}

/// Follows a list through its pages. It ends at a page that is empty or brings no new cursor; a short
/// page with a new cursor is not the end. Where it cannot be sure to have seen everything it fails.
#[derive(Debug)]
pub struct Pages {
    what: &'static str,
    cap: Option<usize>,
    cursors: HashSet<String>,
    items: u64,
}

impl Pages {
    /// `what` is listed, for messages. `cap` is the number of entries at which the vendor is known to cut
    /// a page: a last page that holds exactly that many fails. Leave it out where the vendor ends its
    /// lists reliably by total, flag or a last empty page.
    pub fn new(what: &'static str, cap: Option<usize>) -> Self {
        Self {
            what,
            cap,
            cursors: HashSet::new(),
            items: 0,
        }
    }

    /// Entries so far.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Takes one page into account. Errors: a repeated cursor on a page with entries, an end that
    /// contradicts the total or the has-more flag, an end at exactly the cap.
    pub fn page(&mut self, page: Page<'_>) -> Result<Next> {
        self.items += page.items as u64;
        let cursor = page.cursor.filter(|cursor| !cursor.is_empty());
        if page.items > 0
            && let Some(cursor) = cursor
        {
            return if self.cursors.insert(cursor.to_owned()) {
                Ok(Next::Continue(cursor.to_owned()))
            } else {
                Err(self.incomplete("a page gives a cursor that was followed already"))
            };
        }
        if page.has_more == Some(true) {
            return Err(self.incomplete("the last page says that there is more"));
        }
        if let Some(total) = page.total
            && total > self.items
        {
            return Err(self
                .incomplete("the last page came before the total")
                .with("total", total));
        }
        if page.items > 0 && Some(page.items) == self.cap {
            return Err(self.incomplete("the last page is exactly as long as the vendor's limit"));
        }
        Ok(Next::End)
    }

    fn incomplete(&self, reason: &str) -> Error {
        Error::protocol(format!("{}: {reason}", self.what)).with("entries read", self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: usize, cursor: Option<&str>) -> Page<'_> {
        Page {
            items,
            cursor,
            ..Page::default()
        }
    }

    fn pages() -> Pages {
        Pages::new("indicators", Some(100))
    }

    #[test]
    fn a_short_page_with_a_new_cursor_is_not_the_end() {
        let mut pages = pages();
        assert_eq!(
            pages.page(page(3, Some("a"))).unwrap(),
            Next::Continue("a".to_owned())
        );
        assert_eq!(
            pages.page(page(100, Some("b"))).unwrap(),
            Next::Continue("b".to_owned())
        );
        assert_eq!(pages.page(page(7, None)).unwrap(), Next::End);
        assert_eq!(pages.items(), 110);
    }

    #[test]
    fn an_empty_page_is_the_end_whatever_its_cursor() {
        for cursor in [None, Some(""), Some("a"), Some("new")] {
            let mut pages = pages();
            pages.page(page(3, Some("a"))).unwrap();
            assert_eq!(pages.page(page(0, cursor)).unwrap(), Next::End);
        }
        assert_eq!(pages().page(page(0, None)).unwrap(), Next::End);
    }

    #[test]
    fn a_repeated_cursor_on_a_page_with_entries_is_a_failure() {
        let mut pages = pages();
        pages.page(page(100, Some("a"))).unwrap();
        pages.page(page(100, Some("b"))).unwrap();
        let error = pages.page(page(5, Some("a"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "indicators: a page gives a cursor that was followed already (entries read 205)"
        );
    }

    #[test]
    fn an_empty_cursor_is_none() {
        assert_eq!(pages().page(page(5, Some(""))).unwrap(), Next::End);
    }

    #[test]
    fn an_end_at_exactly_the_cap_is_a_failure() {
        assert!(pages().page(page(100, None)).is_err());
        assert_eq!(pages().page(page(99, None)).unwrap(), Next::End);
        assert_eq!(
            Pages::new("indicators", None)
                .page(page(100, None))
                .unwrap(),
            Next::End
        );
    }

    #[test]
    fn an_end_that_contradicts_total_or_flag_is_a_failure() {
        let totalled = |items, cursor, total| {
            let mut pages = pages();
            pages.page(page(100, Some("a"))).unwrap();
            pages.page(Page {
                total: Some(total),
                ..page(items, cursor)
            })
        };
        assert_eq!(totalled(20, None, 120).unwrap(), Next::End);
        assert_eq!(
            totalled(20, None, 119).unwrap(),
            Next::End,
            "one was removed meanwhile"
        );
        assert!(totalled(20, None, 121).is_err());
        assert!(totalled(0, None, 101).is_err());
        assert!(totalled(0, Some("a"), 101).is_err());
        assert_eq!(totalled(0, Some("a"), 100).unwrap(), Next::End);

        let flagged = |items, cursor, more| {
            pages().page(Page {
                has_more: Some(more),
                ..page(items, cursor)
            })
        };
        assert_eq!(flagged(20, None, false).unwrap(), Next::End);
        assert!(flagged(20, None, true).is_err());
        assert!(flagged(0, Some("a"), true).is_err());
        assert_eq!(
            flagged(20, Some("a"), true).unwrap(),
            Next::Continue("a".to_owned())
        );
    }
}
