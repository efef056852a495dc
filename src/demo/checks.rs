//! What a step of the story claims, and whether it holds.

use std::fmt::Display;

use serde::Serialize;

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What must hold, in words.
    pub claim: String,
    /// Whether it does.
    pub ok: bool,
    /// What was expected and what was found, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<String>,
}

/// The claims of one step, in the order they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// Two things are the same.
    pub(crate) fn equal<T: PartialEq + Display>(
        &mut self,
        claim: impl Into<String>,
        expected: &T,
        found: &T,
    ) {
        let differs = (expected != found).then(|| format!("expected {expected}, found {found}"));
        self.add(claim, differs);
    }

    /// Something is so; `found` says what is there instead.
    pub(crate) fn holds(
        &mut self,
        claim: impl Into<String>,
        holds: bool,
        found: impl FnOnce() -> String,
    ) {
        let differs = (!holds).then(|| format!("found {}", found()));
        self.add(claim, differs);
    }

    /// Two sets are the same; what only one of them has is named.
    pub(crate) fn same_set<T: PartialEq + Display>(
        &mut self,
        claim: impl Into<String>,
        expected: &[T],
        found: &[T],
    ) {
        let missing = only_in(expected, found);
        let surplus = only_in(found, expected);
        let mut differs = Vec::new();
        if !missing.is_empty() {
            differs.push(format!("missing {missing}"));
        }
        if !surplus.is_empty() {
            differs.push(format!("too much {surplus}"));
        }
        // Equal as sets, and yet something is there twice.
        if differs.is_empty() && expected.len() != found.len() {
            differs.push(format!(
                "expected {} entries, found {}",
                expected.len(),
                found.len()
            ));
        }
        self.add(claim, (!differs.is_empty()).then(|| differs.join("; ")));
    }

    fn add(&mut self, claim: impl Into<String>, differs: Option<String>) {
        self.0.push(Check {
            claim: claim.into(),
            ok: differs.is_none(),
            differs,
        });
    }

    /// All of them.
    pub(crate) fn into_list(self) -> Vec<Check> {
        self.0
    }
}

/// The first few that one has and the other has not.
fn only_in<T: PartialEq + Display>(these: &[T], those: &[T]) -> String {
    const NAMED: usize = 3;
    let only: Vec<String> = these
        .iter()
        .filter(|it| !those.contains(it))
        .map(ToString::to_string)
        .collect();
    let more = only.len().saturating_sub(NAMED);
    let mut text = only[..only.len().min(NAMED)].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(check: impl FnOnce(&mut Checks)) -> Option<String> {
        let mut checks = Checks::default();
        check(&mut checks);
        let check = checks.into_list().remove(0);
        assert_eq!(check.ok, check.differs.is_none());
        check.differs
    }

    #[test]
    fn what_differs_is_said() {
        assert_eq!(differs(|it| it.equal("two", &2, &2)), None);
        assert_eq!(
            differs(|it| it.equal("two", &2, &3)).as_deref(),
            Some("expected 2, found 3")
        );
        assert_eq!(
            differs(|it| it.holds("held", false, || "ok".to_owned())).as_deref(),
            Some("found ok")
        );
    }

    #[test]
    fn sets_differ_by_what_is_missing_surplus_or_doubled() {
        assert_eq!(differs(|it| it.same_set("all", &[1, 2], &[2, 1])), None);
        assert_eq!(
            differs(|it| it.same_set("all", &[1, 2], &[2, 3])).as_deref(),
            Some("missing 1; too much 3")
        );
        assert_eq!(
            differs(|it| it.same_set("all", &[1, 2], &[1, 2, 2])).as_deref(),
            Some("expected 2 entries, found 3")
        );
        assert_eq!(
            differs(|it| it.same_set("all", &[1, 2, 3, 4, 5], &[])).as_deref(),
            Some("missing 1, 2, 3 and 2 more")
        );
    }
}
