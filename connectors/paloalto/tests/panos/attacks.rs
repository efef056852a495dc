//! Values, marks and words that would be something else in XML, in a path, in a filter or in a line.

use sdk::indicator::{Kind, Value};
use sdk::target::{Scope, Write};

use super::{add, ipv4, lab, write};

const WORDS: [&str; 6] = [
    "</member></tag></entry></register><unregister/><register><entry ip=\"9.9.9.9\"><tag><member>cordon-a",
    "]]><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>&e;",
    "' or '1'='1 \" and not 'x'",
    "line\nbreak\r\n# comment\t\u{1}\u{7f}",
    "cordon:1;main;other;-;ffffff cordon-a cordon-b;cordon-a;-",
    "ünïcödé \u{202e} 漢字 🦀 %41%zz__",
];

#[tokio::test]
async fn words_change_no_document_and_come_back() {
    for mechanism in ["tags", "objects", "edl"] {
        let lab = lab(&[]).await;
        let before = lab.table().await.text;
        let (target, ..) = lab.ready(mechanism).await;
        let writes: Vec<Write> = WORDS
            .iter()
            .enumerate()
            .map(|(number, words)| Write {
                note: format!("cordon:1;main;acme;-;abc123 {words}"),
                ..write(ipv4(&format!("45.83.0.{}", number + 1)), 3)
            })
            .collect();
        add(&*target, &writes).await;
        if let Some(staged) = target.staged() {
            staged.commit().await.unwrap();
        }
        let held = target.list(Scope::All).await.unwrap();
        assert_eq!(held.len(), WORDS.len(), "{mechanism}");
        for entry in &held {
            assert!(entry.blocks, "{mechanism}: {entry:?}");
            assert!(
                entry
                    .note
                    .as_deref()
                    .unwrap()
                    .contains("cordon:1;main;acme;-;abc123")
            );
        }
        assert!(!lab.blocks("9.9.9.9").await);
        for line in before
            .split("<entry")
            .filter(|line| line.contains("corp-quarantine"))
        {
            assert!(
                lab.table().await.has(line.trim_end_matches("<count>")) || line.contains("count")
            );
        }
    }
}

#[tokio::test]
async fn urls_are_lines_or_nothing() {
    let lab = lab(&[]).await;
    let (target, facts, _) = lab.ready("edl").await;
    let mut taken = Vec::new();
    for text in [
        "http://a.com/x\ny",
        "http://a.com/*",
        "http://a.com/^",
        "http://a.com/?q=*",
        "http://a.com/a b",
        "http://user:p@a.com:81/ok",
        "http://a.com/<b>'\"",
        "http://xn--bcher-kva.example.com/ü",
        "http://a.com/#*",
        "http://[2001:4860::8888]/",
    ] {
        if let Ok(value) = Value::parse(Kind::Url, text)
            && let Ok(value) = target.accept(&value, &facts)
        {
            taken.push(value);
        }
    }
    taken.sort();
    taken.dedup();
    let writes: Vec<Write> = taken.iter().map(|value| write(value.clone(), 3)).collect();
    add(&*target, &writes).await;
    target.staged().unwrap().commit().await.unwrap();
    let folder = lab.fake.configuration["publish"]["directory"]
        .as_str()
        .unwrap();
    let text = std::fs::read_to_string(format!("{folder}/cordon-url.txt")).unwrap();
    assert_eq!(text.lines().count(), taken.len(), "{text}");
    for line in text.lines() {
        assert!(
            !line.contains(['*', '^', ' ', '#', '<', '"', '\'']) && !line.contains("://"),
            "{line}"
        );
    }
    assert_eq!(lab.told().await["stopped"], false);
}

#[tokio::test]
async fn answers_that_are_traps_are_errors() {
    use sdk::fake::{Fault, FaultAction};
    for body in [
        "<!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><response status=\"success\"><result>&b;</result></response>",
        "<response status=\"success\"><result><entry ip=\"45.83.0.1\"><tag><member>cordon-a</member></tag>",
        "<html><body>login</body></html>",
        "",
    ] {
        let lab = lab(&[]).await;
        let (target, ..) = lab.ready("tags").await;
        lab.fake.server.fault(Fault::new(FaultAction::Answer {
            status: 200,
            headers: Vec::new(),
            body: body.to_owned(),
        }));
        assert!(target.list(Scope::All).await.is_err(), "{body}");
    }
}
