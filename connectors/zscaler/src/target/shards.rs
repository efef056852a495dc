//! Which of the tenant's custom categories are ours, and which has room.

use std::collections::HashSet;

use sdk::Error;
use sdk::ownership::{Owner, container_mark, container_owner};

use crate::api::Category;

/// What every container mark begins with, for finding ones that do not hold any more.
const MARK: &str = "cordon-feed:";

/// The owner that marks carry where several deployments share categories. Their names have no owner in them,
/// so that a deployment of this name can have categories of its own all the same.
const SHARED: &str = "shared";

/// How our categories are named and marked.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    base: String,
    installation: String,
    owner: Owner,
    /// Whether they are one deployment's alone.
    pub(super) exclusive: bool,
}

impl Naming {
    /// `owner` is checked with the configuration.
    pub(super) fn new(category: &str, owner: Option<&str>, installation: &str) -> Self {
        let named = owner.and_then(|owner| Owner::new(owner).ok());
        let base = match &named {
            Some(owner) => format!("{category}-{owner}"),
            None => category.to_owned(),
        };
        let exclusive = named.is_some();
        #[expect(
            clippy::expect_used,
            reason = "the name is a constant that is well formed"
        )]
        let owner = named.unwrap_or_else(|| Owner::new(SHARED).expect("a valid name"));
        Self {
            base,
            installation: installation.to_owned(),
            owner,
            exclusive,
        }
    }

    /// What all names begin with.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The deployment that has them alone.
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.exclusive.then_some(&self.owner)
    }

    pub(super) fn name(&self, number: u32) -> String {
        format!("{}-{number:02}", self.base)
    }

    /// What stands in the description of a category of ours.
    pub(super) fn description(&self, name: &str) -> String {
        let mark = container_mark(&self.installation, &self.owner, name);
        format!("{mark} Entries are written and removed by Cordon.")
    }

    fn number(&self, category: &Category) -> Option<u32> {
        let digits = category
            .configured_name
            .strip_prefix(&self.base)?
            .strip_prefix('-')?;
        let plain = digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let owner = container_owner(
            &category.description,
            &self.installation,
            &category.configured_name,
        );
        (plain && owner.as_ref() == Some(&self.owner))
            .then(|| digits.parse().ok())
            .flatten()
    }
}

/// A category of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    number: u32,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) urls: usize,
}

/// The tenant's custom categories.
#[derive(Clone, Debug, Default)]
pub(super) struct Shards {
    ours: Vec<Shard>,
    taken: HashSet<String>,
    /// IP ranges in categories that are not ours.
    pub(super) foreign_ranges: usize,
    /// Names of categories with a mark of ours that does not hold: copied, renamed, or another owner's.
    pub(super) doubtful: Vec<String>,
}

/// Where the next URLs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A category with room for so many more.
    Existing(Shard, usize),
    /// A new category of this number.
    New(u32),
}

impl Shards {
    pub(super) fn read(categories: &[Category], naming: &Naming) -> Self {
        let mut shards = Self::default();
        for category in categories {
            shards.taken.insert(category.configured_name.to_lowercase());
            match naming.number(category) {
                Some(number) => shards.ours.push(Shard {
                    number,
                    id: category.id.clone(),
                    name: category.configured_name.clone(),
                    urls: category.urls.len(),
                }),
                None => {
                    shards.foreign_ranges += category.ip_ranges.len()
                        + category.ip_ranges_retaining_parent_category.len();
                    let holds = container_owner(
                        &category.description,
                        &naming.installation,
                        &category.configured_name,
                    );
                    if category.description.contains(MARK) && holds.is_none() {
                        shards.doubtful.push(category.configured_name.clone());
                    }
                }
            }
        }
        shards.ours.sort_by_key(|shard| shard.number);
        shards
    }

    pub(super) fn all(&self) -> &[Shard] {
        &self.ours
    }

    pub(super) fn get(&self, id: &str) -> Option<&Shard> {
        self.ours.iter().find(|shard| shard.id == id)
    }

    /// The first category with room, or the lowest number whose name nobody has.
    pub(super) fn place(&self, size: usize, naming: &Naming) -> Place {
        if let Some(shard) = self.ours.iter().find(|shard| shard.urls < size) {
            return Place::Existing(shard.clone(), size - shard.urls);
        }
        let mut number = 1;
        while self.taken.contains(&naming.name(number)) {
            number += 1;
        }
        Place::New(number)
    }

    pub(super) fn made(&mut self, number: u32, id: String, name: String, urls: usize) {
        self.taken.insert(name.clone());
        self.ours.push(Shard {
            number,
            id,
            name,
            urls,
        });
        self.ours.sort_by_key(|shard| shard.number);
    }

    /// After a write: so many more or fewer.
    pub(super) fn changed(&mut self, id: &str, change: impl Fn(usize) -> usize) {
        if let Some(shard) = self.ours.iter_mut().find(|shard| shard.id == id) {
            shard.urls = change(shard.urls);
        }
    }
}

/// A handle: the category, whether it is a URL or an IP range there, and the text as it stands.
pub(super) fn handle(category: &str, place: Member, text: &str) -> Box<str> {
    format!("{category}\n{}\n{text}", place.name()).into()
}

/// Reads a handle.
pub(super) fn read_handle(id: &str) -> Result<(&str, Member, &str), Error> {
    let mut parts = id.splitn(3, '\n');
    let mut next = || parts.next();
    match (next(), next(), next()) {
        (Some(category), Some("url"), Some(text)) => Ok((category, Member::Url, text)),
        (Some(category), Some("range"), Some(text)) => Ok((category, Member::Range, text)),
        _ => Err(Error::internal("a handle that no listing gave")),
    }
}

/// Which of a category's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Url,
    Range,
}

impl Member {
    const fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Range => "range",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(id: &str, name: &str, description: &str, urls: usize) -> Category {
        Category {
            id: id.to_owned(),
            configured_name: name.to_owned(),
            description: description.to_owned(),
            urls: (0..urls)
                .map(|number| format!("h{number}.example.org"))
                .collect(),
            ip_ranges: Vec::new(),
            ip_ranges_retaining_parent_category: Vec::new(),
        }
    }

    #[test]
    fn a_category_is_ours_by_name_and_mark_together() {
        let naming = Naming::new("cordon", None, "main");
        let mark = |name: &str| naming.description(name);
        let own = Naming::new("cordon", Some("shared"), "main");
        let shards = Shards::read(
            &[
                category("CUSTOM_02", "cordon-02", &mark("cordon-02"), 1),
                category("CUSTOM_01", "cordon-01", &mark("cordon-01"), 2),
                category("CUSTOM_03", "cordon-03", "made by hand", 1),
                category("CUSTOM_04", "renamed", &mark("cordon-04"), 1),
                category(
                    "CUSTOM_05",
                    "cordon-shared-01",
                    &own.description("cordon-shared-01"),
                    1,
                ),
            ],
            &naming,
        );
        let ids: Vec<&str> = shards.all().iter().map(|shard| shard.id.as_str()).collect();
        assert_eq!(ids, ["CUSTOM_01", "CUSTOM_02"]);
        assert_eq!(shards.doubtful, ["renamed"]);
        assert_eq!(
            shards.place(1, &naming),
            Place::New(4),
            "the name of the third is taken"
        );
        assert!(matches!(shards.place(2, &naming), Place::Existing(shard, 1) if shard.number == 2));
    }

    #[test]
    fn handles_are_read_back() {
        let id = handle("CUSTOM_01", Member::Url, "x.org/a\nb");
        assert_eq!(
            read_handle(&id).unwrap(),
            ("CUSTOM_01", Member::Url, "x.org/a\nb")
        );
        assert!(read_handle("x").is_err());
    }
}
