//! Files: present, missing, packed, broken and changing.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::clock::Clock;

fn context() -> ReadContext {
    let now = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    ReadContext {
        environment: Environment::new(Clock::manual(now)),
        now,
        size_limit: ReadContext::DEFAULT_SIZE_LIMIT,
    }
}

fn source(path: &Path, kind: SourceKind) -> Source {
    Source {
        name: "test".to_owned(),
        kind,
        location: Location::File(path.to_owned()),
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

async fn read_bytes(bytes: &[u8], kind: SourceKind) -> Result<Reading> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    std::fs::write(&path, bytes).unwrap();
    source(&path, kind).read(&context()).await
}

const BUNDLE: &[u8] = br#"{"type":"bundle","objects":[{"type":"indicator","id":"indicator--00000000-0000-4000-8000-000000000001","pattern":"[ipv4-addr:value = '1.2.3.4']"}]}"#;
const WARNINGLIST: &[u8] = br#"{"type":"cidr","list":["1.2.3.4/32"]}"#;

#[tokio::test]
async fn every_kind_plain_and_packed() {
    for (kind, bytes) in [
        (SourceKind::Stix, BUNDLE),
        (SourceKind::List, b"1.2.3.4\n".as_slice()),
        (SourceKind::Warninglist, WARNINGLIST),
    ] {
        let two = gzip(bytes);
        for bytes in [bytes, &two] {
            let reading = read_bytes(bytes, kind).await.unwrap();
            assert_eq!(reading.name, "test");
            assert_eq!(reading.indicators.len(), 1);
            assert_eq!(reading.indicators[0].value.to_string(), "1.2.3.4");
        }
    }
    // Two members, one after the other, as rotated logs have them.
    let joined = [gzip(b"1.2.3.4\n"), gzip(b"1.2.3.5\n")].concat();
    assert_eq!(
        read_bytes(&joined, SourceKind::List)
            .await
            .unwrap()
            .indicators
            .len(),
        2
    );
    assert_eq!(
        read_bytes(b"", SourceKind::List)
            .await
            .unwrap()
            .indicators
            .len(),
        0
    );
}

#[tokio::test]
async fn a_truncated_or_damaged_gzip_fails() {
    let mut text = String::new();
    for index in 0..60_000_u32 {
        text += &format!("10.{}.{}.{}\n", index >> 16, index >> 8 & 255, index & 255);
    }
    for (kind, bytes) in [
        (SourceKind::List, gzip(text.as_bytes())),
        (SourceKind::Stix, gzip(BUNDLE)),
        (SourceKind::Warninglist, gzip(WARNINGLIST)),
    ] {
        for length in [3, 12, bytes.len() / 2, bytes.len() - 8, bytes.len() - 1] {
            let error = read_bytes(&bytes[..length], kind).await.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Protocol,
                "{kind:?} {length}: {error}"
            );
            assert!(error.hint_text().is_some());
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() - 6;
        damaged[middle] ^= 0x55;
        assert!(
            read_bytes(&damaged, kind).await.is_err(),
            "{kind:?}: a wrong checksum"
        );
    }
}

#[tokio::test]
async fn limits_hold_before_and_after_unpacking() {
    let mut context = context();
    context.size_limit = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    for bytes in [
        "1.2.3.4\n".repeat(20_000).into_bytes(),
        gzip("1.2.3.4\n".repeat(200_000).as_bytes()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = source(&path, SourceKind::List)
            .read(&context)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(
            error
                .to_string()
                .contains("larger than the limit of 100000 bytes"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = source(&missing, SourceKind::List)
        .read(&context())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("missing") && error.hint_text().is_some(),
        "{error}"
    );
    let error = source(folder.path(), SourceKind::List)
        .read(&context())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[test]
fn a_file_that_changes_while_it_is_read_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "1.2.3.4\n").unwrap();
    let grow = || {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        file.write_all(b"1.2.3.5\n").unwrap();
    };
    let error = read_file(&path, |file| {
        let reading = parse("test", SourceKind::List, file, 1 << 20);
        grow();
        reading
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("changed while it was read"),
        "{error}"
    );
    // Replacing the file as a whole is not a change: what was opened is read to its end.
    let reading = read_file(&path, |file| {
        let other = folder.path().join("other");
        std::fs::write(&other, "9.9.9.9\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        parse("test", SourceKind::List, file, 1 << 20)
    })
    .unwrap();
    assert_eq!(reading.indicators.len(), 2);
}
