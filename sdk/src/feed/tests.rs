//! Lists on every shelf.

use std::fs;

use super::*;
use crate::ErrorKind;
use crate::indicator::Kind;
use crate::target::Outcome;

fn value(text: &str) -> Value {
    Value::parse(Kind::Domain, text).unwrap()
}

fn lines(entries: &Entries) -> String {
    entries.keys().map(|value| format!("{value}\n")).collect()
}

fn feed() -> (tempfile::TempDir, Feed) {
    let folder = tempfile::tempdir().unwrap();
    let publish = Publish {
        directory: folder.path().to_owned(),
    };
    let feed = Feed::new(&publish, "acme-domain").unwrap();
    (folder, feed)
}

/// A folder that nobody mounted holds no empty lists: nothing is known of them.
#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let publish = Publish {
        directory: folder.path().join("not-mounted"),
    };
    let feed = Feed::new(&publish, "acme-domain").unwrap();
    let error = feed.read().await.unwrap_err();
    assert!(error.to_string().contains("not-mounted is not a folder"));
    assert!(feed.update(|_| {}, lines).await.is_err());
}

#[tokio::test]
async fn a_list_is_what_was_last_made_of_it() {
    let (_folder, feed) = feed();
    assert_eq!(feed.read().await.unwrap(), Snapshot::default());
    feed.update(
        |entries| {
            entries.insert(value("b.example.org"), "mark b".to_owned());
            entries.insert(value("a.example.org"), "mark a".to_owned());
        },
        lines,
    )
    .await
    .unwrap();
    feed.update(
        |entries| {
            entries.remove(&value("b.example.org"));
        },
        lines,
    )
    .await
    .unwrap();
    let snapshot = feed.read().await.unwrap();
    assert_eq!(snapshot.text.as_deref(), Some("a.example.org\n"));
    assert_eq!(snapshot.entries[&value("a.example.org")], "mark a");
    assert_eq!(snapshot.entries.len(), 1);
}

#[tokio::test]
async fn a_text_behind_its_record_is_mended_by_any_update() {
    let (folder, feed) = feed();
    let add = |entries: &mut Entries| {
        entries.insert(value("a.example.org"), String::new());
    };
    feed.update(add, lines).await.unwrap();
    let text = folder.path().join("acme-domain.txt");
    fs::write(&text, "old\n").unwrap();
    let old = feed.read().await.unwrap();
    assert_eq!(old.text.as_deref(), Some("old\n"));
    feed.update(|_| {}, lines).await.unwrap();
    assert_eq!(fs::read_to_string(&text).unwrap(), "a.example.org\n");
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let (folder, feed) = feed();
    let add = |entries: &mut Entries| {
        entries.insert(value("a.example.org"), String::new());
    };
    feed.update(add, lines).await.unwrap();
    let changed = |name: &str| {
        let path = folder.path().join(name);
        fs::metadata(path).unwrap().modified().unwrap()
    };
    let names = ["acme-domain.txt", "acme-domain.json"];
    let before = names.map(changed);
    feed.update(add, lines).await.unwrap();
    assert_eq!(names.map(changed), before);
}

#[tokio::test]
async fn somebody_elses_file_stays() {
    let (folder, feed) = feed();
    let text = folder.path().join("acme-domain.txt");
    fs::write(&text, "theirs.example.org\n").unwrap();
    let error = feed.update(|_| {}, lines).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.hint_text().is_some());
    assert_eq!(fs::read_to_string(&text).unwrap(), "theirs.example.org\n");
}

#[tokio::test]
async fn a_broken_record_is_an_error_and_not_an_empty_list() {
    let (folder, feed) = feed();
    for broken in ["", "{", "[]", r#"{"cordon_feed":9,"entries":[]}"#] {
        fs::write(folder.path().join("acme-domain.json"), broken).unwrap();
        let error = feed.read().await.unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
        assert!(feed.update(|_| {}, lines).await.is_err());
    }
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let (_folder, feed) = feed();
    let updates = (0..20).map(|number| {
        let feed = feed.clone();
        tokio::spawn(async move {
            let add = move |entries: &mut Entries| {
                entries.insert(value(&format!("n{number}.example.org")), String::new());
            };
            feed.update(add, lines).await.unwrap();
        })
    });
    for update in updates.collect::<Vec<_>>() {
        update.await.unwrap();
    }
    assert_eq!(feed.read().await.unwrap().entries.len(), 20);
}

#[tokio::test]
async fn what_changed_since_it_was_seen_is_left_alone() {
    let (_folder, feed) = feed();
    let (seen, nobody) = (Seen::default(), Seen::default());
    let (a, b) = (value("a.example.org"), value("b.example.org"));
    // Before the first listing nothing is compared.
    let changes = [(&a, Some("mine")), (&b, Some("mine"))];
    feed.change(&changes, &nobody, lines).await.unwrap();
    seen.replace(feed.read().await.unwrap().entries);
    let others = [(&a, Some("mine, theirs")), (&b, None)];
    feed.change(&others, &nobody, lines).await.unwrap();
    // Another mark came, and an entry whose marks would all come back went.
    let stale: [Change<'_>; 2] = [(&a, None), (&b, Some("mine, later"))];
    let outcomes = feed.change(&stale, &seen, lines).await.unwrap();
    for outcome in &outcomes {
        assert!(
            matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::Conflict),
            "{outcomes:?}"
        );
    }
    let entries = feed.read().await.unwrap().entries;
    assert_eq!(
        entries,
        Entries::from([(a.clone(), "mine, theirs".to_owned())])
    );
    // After a look it goes on, over several changes of its own.
    seen.replace(entries);
    for mark in [Some("first"), Some("second"), None] {
        let outcomes = feed.change(&[(&a, mark)], &seen, lines).await.unwrap();
        assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
    }
    assert!(feed.read().await.unwrap().entries.is_empty());
}

#[test]
fn names_stay_in_their_folder() {
    let publish = Publish {
        directory: PathBuf::from("feeds"),
    };
    for name in ["", "../x", "a/b", ".hidden", "A", "a b", &"a".repeat(65)] {
        let error = Feed::new(&publish, name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name}");
    }
}
