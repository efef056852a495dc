use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use sdk::ErrorKind;
use sdk::indicator::{Indicator, Origin};
use sdk::ownership::Owner;
use sdk::store::{LastCopy, MemoryStore, RowState, RunRecord, Store};

use super::contract::{self, address, at, row};
use super::sqlite::KEPT_AT_MOST;
use super::{ClockUse, SqliteStore, maintenance, open, path_of};

async fn sqlite(directory: &Path) -> SqliteStore {
    SqliteStore::open(&directory.join("cordon.db"), false)
        .await
        .unwrap()
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    contract::check(store.clone(), store).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract_with_two_connections() {
    let directory = tempfile::tempdir().unwrap();
    let one = sqlite(directory.path()).await;
    let two = sqlite(directory.path()).await;
    contract::check(Arc::new(one), Arc::new(two)).await;
}

#[tokio::test]
async fn several_processes_may_make_the_same_store_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let opened = futures::future::join_all((0..8).map(|_| SqliteStore::open(&path, false))).await;
    for store in opened {
        store.unwrap().set("key", Some("value")).await.unwrap();
    }
}

#[tokio::test]
async fn only_one_of_many_takes_a_lease() {
    let directory = tempfile::tempdir().unwrap();
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(sqlite(directory.path()).await);
    }
    let taken =
        futures::future::join_all(stores.iter().enumerate().map(|(index, store)| async move {
            store
                .lease("target", &index.to_string(), at(0), at(60))
                .await
                .unwrap()
        }))
        .await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    store.set("key", Some("value")).await.unwrap();
    for name in ["cordon.db", "cordon.db-wal", "cordon.db-shm"] {
        let mode = std::fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_closing() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    let rows = [row(address(1), "acme", RowState::Settled)];
    store.put("target", &rows).await.unwrap();
    store.close().await;
    assert_eq!(
        sqlite(directory.path())
            .await
            .ledger("target")
            .await
            .unwrap(),
        rows
    );
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(store.pool())
    .await
    .unwrap();
    store.close().await;
    let error = SqliteStore::open(&directory.path().join("cordon.db"), false)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error
            .to_string()
            .contains("newer version of cordon (schema 9999"),
        "{error}"
    );
    assert_eq!(error.hint_text(), Some("use that version, or another file"));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let text = "this is not a database, it is a text that somebody wrote\n".repeat(200);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("the store's file is damaged"),
        "{error}"
    );
    assert!(error.hint_text().unwrap().contains("cordon store restore"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE theirs (a)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let error = SqliteStore::open(&path, false).await.unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
}

#[tokio::test]
async fn a_store_in_a_missing_directory_says_so() {
    let error = SqliteStore::open(Path::new("/nonexistent/directory/cordon.db"), false)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint_text().unwrap().contains("directory"));
}

#[tokio::test]
async fn a_damaged_page_is_found_by_check() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let store = sqlite(directory.path()).await;
    let rows: Vec<_> = (0..5_000)
        .map(|n| row(address(n), "acme", RowState::Settled))
        .collect();
    store.put("target", &rows).await.unwrap();
    let report = maintenance::check(&store).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.rows.contains(&("ledger", 5_000)));
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let damaged = SqliteStore::open(&path, false).await.unwrap();
    match maintenance::check(&damaged).await {
        Ok(report) => assert_ne!(report.problems, Vec::<String>::new()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Config, "{error}"),
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let store = SqliteStore::open_limited(&path, false, Some(60))
        .await
        .unwrap();
    let kept = [row(address(1), "acme", RowState::Settled)];
    store.put("target", &kept).await.unwrap();
    let small = LastCopy {
        at: at(0),
        indicators: vec![Indicator::bare(address(1), Origin::Line(1))],
    };
    store.keep_copy("list", &small).await.unwrap();

    let rows: Vec<_> = (0..20_000)
        .map(|n| row(address(n), "acme", RowState::Removing))
        .collect();
    let error = store.put("target", &rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(error.exit_code(), 1);
    assert_eq!(store.ledger("target").await.unwrap(), kept);

    let large = LastCopy {
        at: at(60),
        indicators: (0..20_000)
            .map(|n| Indicator::bare(address(n), Origin::Line(n)))
            .collect(),
    };
    assert_eq!(
        store.keep_copy("list", &large).await.unwrap_err().kind(),
        ErrorKind::Full
    );
    let copy = store.last_copy("list").await.unwrap().unwrap();
    assert_eq!((copy.at, copy.indicators), (small.at, small.indicators));

    let values: Vec<_> = (0..20_000).map(address).collect();
    let error = store.first_seen("list", &values, at(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    store.close().await;
    let roomy = SqliteStore::open(&path, false).await.unwrap();
    assert_eq!(
        roomy
            .first_seen("list", &values[..2], at(90))
            .await
            .unwrap(),
        [at(90); 2]
    );
}

#[tokio::test]
async fn backup_and_restore_bring_everything_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let saved = directory.path().join("saved.db");
    let store = sqlite(directory.path()).await;
    let rows = [row(address(1), "acme", RowState::Settled)];
    store.put("target", &rows).await.unwrap();
    maintenance::backup(&store, &saved).await.unwrap();
    let mode = std::fs::metadata(&saved).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = maintenance::backup(&store, &saved).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Input,
        "a backup is never overwritten"
    );

    store
        .forget("target", &[(address(1), rows[0].owner.clone())])
        .await
        .unwrap();
    let error = maintenance::restore(&saved, &path, at(0))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    store.close().await;
    let aside = maintenance::restore(&saved, &path, at(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        sqlite(directory.path())
            .await
            .ledger("target")
            .await
            .unwrap(),
        rows
    );
    let old = SqliteStore::open(&aside, false).await.unwrap();
    assert_eq!(
        old.ledger("target").await.unwrap(),
        [],
        "the old one is kept aside"
    );
}

#[tokio::test]
async fn a_bad_backup_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let store = sqlite(directory.path()).await;
    store.set("key", Some("value")).await.unwrap();
    store.close().await;
    let bad = directory.path().join("bad.db");
    for content in [&b"<html>"[..], &[]] {
        std::fs::write(&bad, content).unwrap();
        let error = maintenance::restore(&bad, &path, at(0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
    let error = maintenance::restore(&directory.path().join("none.db"), &path, at(0))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let store = sqlite(directory.path()).await;
    assert_eq!(store.get("key").await.unwrap().as_deref(), Some("value"));
    assert_eq!(
        std::fs::read_dir(directory.path())
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .contains("before")
            })
            .count(),
        0
    );
}

#[tokio::test]
async fn a_damaged_store_can_be_restored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let saved = directory.path().join("saved.db");
    let store = sqlite(directory.path()).await;
    store.set("key", Some("value")).await.unwrap();
    maintenance::backup(&store, &saved).await.unwrap();
    store.close().await;
    std::fs::write(&path, "not a database at all, not one page of it").unwrap();
    assert!(
        maintenance::restore(&saved, &path, at(0))
            .await
            .unwrap()
            .is_some()
    );
    let store = sqlite(directory.path()).await;
    assert_eq!(store.get("key").await.unwrap().as_deref(), Some("value"));
}

#[tokio::test]
async fn a_moved_clock_keeps_off_stores_of_the_real_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cordon.db");
    let real = open(&path, ClockUse::System).await.unwrap();
    let rows = [row(address(1), "acme", RowState::Settled)];
    real.store.put("target", &rows).await.unwrap();
    drop(real);

    let moved = open(&path, ClockUse::Moved).await.unwrap();
    assert!(moved.warning.is_some());
    assert_eq!(
        moved.store.ledger("target").await.unwrap(),
        [],
        "an empty scratch store"
    );
    moved.store.set("key", Some("moved")).await.unwrap();

    let look = open(&path, ClockUse::MovedToLook).await.unwrap();
    assert_eq!(look.store.ledger("target").await.unwrap(), rows, "a copy");
    look.store.set("key", Some("looked")).await.unwrap();
    drop(look);
    let real = open(&path, ClockUse::System).await.unwrap();
    assert_eq!(real.store.get("key").await.unwrap(), None);

    let path = directory.path().join("trial.db");
    let trial = open(&path, ClockUse::Moved).await.unwrap();
    assert_eq!(trial.warning, None);
    trial.store.put("target", &rows).await.unwrap();
    let again = open(&path, ClockUse::Moved).await.unwrap();
    assert_eq!(again.store.ledger("target").await.unwrap(), rows);
    let Err(error) = open(&path, ClockUse::System).await else {
        panic!("a store of a moved clock is not used with the real one");
    };
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn store_urls() {
    let base = Path::new("/etc/cordon");
    assert_eq!(
        path_of("sqlite:a.db", base).unwrap(),
        Path::new("/etc/cordon/a.db")
    );
    assert_eq!(
        path_of("sqlite:/var/a.db", base).unwrap(),
        Path::new("/var/a.db")
    );
    assert_eq!(
        path_of("sqlite:///var/a.db", base).unwrap(),
        Path::new("/var/a.db")
    );
    let error = path_of("postgres://u:hunter2@db/x", base).unwrap_err();
    assert!(error.to_string().contains("not in this version"), "{error}");
    let error = path_of("mysql://u:hunter2@db/x", base).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error}");
    assert!(path_of("sqlite:", base).is_err());
}

fn run_at(id: &str, seconds: i64) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        target: "target".to_owned(),
        owner: Owner::new("acme").unwrap(),
        at: at(seconds),
        status: "ok".to_owned(),
        actor: "alice".to_owned(),
        held: 0,
        report: "{}".to_owned(),
        counted_removals: 0,
        counted_revocations: 0,
    }
}

#[tokio::test]
async fn runs_of_long_ago_are_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    let day = 86_400;
    for (id, days) in [("first", 0), ("second", 1), ("third", 400), ("fourth", 401)] {
        store.record_run(&run_at(id, days * day)).await.unwrap();
    }
    let kept = store.runs("", None, 10).await.unwrap();
    let ids: Vec<&str> = kept.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["fourth", "third", "second"]);
}

#[tokio::test]
async fn only_so_many_runs_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    store.record_run(&run_at("first", 0)).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
         INSERT INTO run (id, target, owner, at, status, actor, held, report, counted_removals,
         counted_revocations)
         SELECT 'run-' || n, target, owner, at, status, actor, held, report, 0, 0 FROM n, run",
    )
    .bind(KEPT_AT_MOST - 1)
    .execute(store.pool())
    .await
    .unwrap();
    let count = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM run")
            .fetch_one(store.pool())
            .await
            .unwrap()
    };
    assert_eq!(count().await, KEPT_AT_MOST);
    store.record_run(&run_at("last", 1)).await.unwrap();
    assert_eq!(count().await, KEPT_AT_MOST);
    let newest = store.runs("", None, 1).await.unwrap();
    assert_eq!(newest[0].id, "last");
    let first: i64 = sqlx::query_scalar("SELECT count(*) FROM run WHERE id = 'first'")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(first, 0);
}
