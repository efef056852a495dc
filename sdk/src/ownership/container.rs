//! The mark of a container that is wholly ours (a feed, a category, a group), for the text field of the
//! container itself. Version 1: `cordon-feed:1;<installation>;<owner>;<check>`, where `check` is 6 hex
//! digits of blake3 over the fields before it and the container's name: a mark copied onto another
//! container proves nothing. A person, or a connector that made the container, writes it; every version
//! of it stays readable for ever.

use super::Owner;

const MARK: &str = "cordon-feed:1;";

/// The mark of a container called `name`.
pub fn container_mark(installation: &str, owner: &Owner, name: &str) -> String {
    let fields = format!("{MARK}{installation};{owner}");
    let check = check(&fields, name);
    format!("{fields};{check}")
}

/// The owner that a container's text names, if it is of this installation and for this container. Two
/// valid marks of different owners name nobody.
pub fn container_owner(text: &str, installation: &str, name: &str) -> Option<Owner> {
    let mut owners = text
        .split_whitespace()
        .filter_map(|word| read(word, installation, name));
    let owner = owners.next()?;
    owners.all(|other| other == owner).then_some(owner)
}

fn read(word: &str, installation: &str, name: &str) -> Option<Owner> {
    let (fields, given) = word.rsplit_once(';')?;
    let (by, owner) = fields.strip_prefix(MARK)?.split_once(';')?;
    let valid = by == installation && given == check(fields, name);
    valid.then(|| Owner::new(owner).ok()).flatten()
}

fn check(fields: &str, name: &str) -> String {
    let hash = blake3::hash(format!("{fields};{name}").as_bytes());
    hash.to_hex()[..6].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Owner::new(name).unwrap()
    }

    #[test]
    fn a_mark_names_its_owner_on_its_own_container_only() {
        let mark = container_mark("main", &owner("acme"), "cordon-ip");
        assert!(mark.starts_with("cordon-feed:1;main;acme;"));
        let text = format!("do not touch {mark} (SOC)");
        assert_eq!(
            container_owner(&text, "main", "cordon-ip"),
            Some(owner("acme"))
        );
        assert_eq!(container_owner(&text, "main", "cordon-url"), None);
        assert_eq!(container_owner(&text, "lab", "cordon-ip"), None);
        assert_eq!(
            container_owner(&mark.replace("acme", "evil"), "main", "cordon-ip"),
            None
        );
        assert_eq!(
            container_owner("cordon-feed:1;main;acme", "main", "cordon-ip"),
            None
        );
    }

    #[test]
    fn two_owners_name_nobody() {
        let text = format!(
            "{} {}",
            container_mark("main", &owner("acme"), "cordon-ip"),
            container_mark("main", &owner("manual"), "cordon-ip")
        );
        assert_eq!(container_owner(&text, "main", "cordon-ip"), None);
    }
}
