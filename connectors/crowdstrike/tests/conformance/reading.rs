//! Searching and paging: items 19 to 25, 28, 37.

use serde_json::{Value as Json, json};

use crate::raw::{COMBINED, ENTITIES, Lab, SEARCH, domain, encode, hash, lab, lab_with, with};

/// A fake with so many hashes.
async fn filled(switches: &[(&str, &str)], count: usize) -> Lab {
    let lab = lab(switches).await;
    for start in (0..count).step_by(200) {
        let rows: Vec<Json> = (start..count.min(start + 200)).map(hash).collect();
        assert_eq!(lab.create(Json::Array(rows)).await.status, 201);
    }
    lab
}

#[tokio::test]
async fn item_19_limits_of_a_page() {
    for (position, most, html) in [
        ("2000", 2000, false),
        ("500", 500, false),
        ("100-html", 100, true),
    ] {
        let lab = filled(&[("page-limit", position)], 120).await;
        assert_eq!(lab.search("").await.ids().len(), 100, "the default is 100");
        let full = lab.get(&format!("{SEARCH}?limit={most}")).await;
        assert_eq!(full.ids().len(), most.min(120));
        let refused = lab.get(&format!("{SEARCH}?limit={}", most + 1)).await;
        assert_eq!(
            (refused.status, refused.text.starts_with("<html>")),
            (400, html)
        );
    }
}

#[tokio::test]
async fn item_20_offset_window() {
    for position in ["500", "400"] {
        let lab = lab(&[("offset-window", position)]).await;
        assert_eq!(
            lab.get(&format!("{COMBINED}?offset=9900&limit=100"))
                .await
                .status,
            200
        );
        let beyond = lab.get(&format!("{COMBINED}?offset=9901&limit=100")).await;
        assert_eq!(beyond.status.to_string(), position);
        assert!(beyond.json()["errors"].is_array());
    }
}

#[tokio::test]
async fn item_21_cursor_on_every_page_that_is_not_empty() {
    let lab = filled(&[], 5).await;
    let (mut after, mut offsets, mut ids) = (String::new(), Vec::new(), Vec::new());
    loop {
        let page = lab
            .get(&format!("{SEARCH}?limit=2&after={}", encode(&after)))
            .await;
        offsets.push(
            page.json()["meta"]["pagination"]["offset"]
                .as_u64()
                .unwrap(),
        );
        if page.ids().is_empty() {
            assert_eq!(page.after(), None);
            break;
        }
        ids.extend(page.ids());
        after = page.after().unwrap();
    }
    assert_eq!(offsets, [2, 4, 5, 5], "the offset is the next one");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    let page = lab.get(&format!("{SEARCH}?limit=2&offset=2")).await;
    assert_eq!((page.ids().len(), page.total()), (2, 5));
    for (position, status) in [("refused", 400), ("after-wins", 200)] {
        let lab = filled(&[("offset-and-after", position)], 2).await;
        let after = lab.get(&format!("{SEARCH}?limit=1")).await.after().unwrap();
        let both = lab
            .get(&format!(
                "{SEARCH}?limit=1&offset=1&after={}",
                encode(&after)
            ))
            .await;
        assert_eq!(both.status, status);
    }
}

#[tokio::test]
async fn item_22_cursor_is_bound_to_filter_and_sort() {
    for (position, status) in [("bound", 400), ("free", 200)] {
        let lab = filled(&[("cursor", position)], 4).await;
        let after = lab.get(&format!("{SEARCH}?limit=1")).await.after().unwrap();
        let other = format!(
            "{SEARCH}?limit=1&after={}&filter={}",
            encode(&after),
            encode("source:'test'")
        );
        assert_eq!(lab.get(&other).await.status, status);
        let sorted = format!("{SEARCH}?limit=1&after={}&sort=value.desc", encode(&after));
        assert_eq!(lab.get(&sorted).await.status, status);
        assert_eq!(
            lab.get(&format!("{SEARCH}?after=made-up")).await.status,
            400
        );
    }
}

#[tokio::test]
async fn item_23_filter_language() {
    let lab = lab(&[]).await;
    let rows = json!([
        with(
            hash(1),
            &[
                ("tags", json!(["a", "b"])),
                ("description", json!("Seen in Paris"))
            ]
        ),
        with(
            hash(2),
            &[
                ("severity", json!("low")),
                ("expiration", json!("2025-06-02T00:00:00Z"))
            ]
        ),
        with(
            hash(3),
            &[("type", json!("md5")), ("value", json!("c".repeat(32)))]
        ),
        domain("one.example.net"),
        domain("two.example.net"),
    ]);
    assert_eq!(lab.create(rows).await.status, 201);
    let counts = [
        ("type:'domain'", 2),
        ("type:\"domain\" + value: 'one.example.net'", 1),
        ("type:'domain'+value:'one.example.net',type:'md5'", 2),
        ("(type:'domain',type:'md5')+value:!'one.example.net'", 2),
        ("value:['one.example.net','two.example.net']", 2),
        ("value:!['one.example.net','two.example.net']", 3),
        ("tags:'a'", 1),
        ("tags:!'a'", 4),
        ("severity_number:<40", 1),
        ("severity_number:>=40", 4),
        ("expiration:<='2025-06-02'", 1),
        ("created_on:>'2025-06-01T11:00:00Z'", 5),
        ("modified_on:<'2025-06-01'", 0),
        ("expired:false", 5),
        ("expired:'true'", 0),
        ("description:~'paris'", 1),
        ("description:!~'paris'", 4),
        ("value:*'*.example.net'", 2),
        ("_all:~'example'", 2),
        ("applied_globally:true", 5),
    ];
    for (filter, count) in counts {
        let reply = lab.search(filter).await;
        assert_eq!((reply.status, reply.ids().len()), (200, count), "{filter}");
    }
    let many = |count: usize| vec!["type:'md5'"; count].join(",");
    assert_eq!(lab.search(&many(20)).await.status, 200);
    let wrong = [
        "type",
        "type:",
        "type:'md5",
        "type:'md5' value:'x'",
        "type:'md5'+",
        "(type:'md5'",
        "type:['a'",
        "Type:'md5'",
        "nonsense:'x'",
    ];
    for filter in wrong.into_iter().map(str::to_owned).chain([many(21)]) {
        assert_eq!(lab.search(&filter).await.status, 400, "{filter}");
    }
    let plus = lab
        .get(&format!("{SEARCH}?filter=type:'md5'+expired:false"))
        .await;
    assert_eq!(plus.status, 400, "an unencoded plus is a space");
    let encoded = lab
        .get(&format!("{SEARCH}?filter=type:'md5'%2Bexpired:false"))
        .await;
    assert_eq!(encoded.ids().len(), 1);
}

#[tokio::test]
async fn item_24_case() {
    for (position, upper, lower) in [("lower", 0, 1), ("as-sent", 1, 0)] {
        let lab = lab(&[("hash-case", position)]).await;
        lab.one(with(hash(1), &[("value", json!("AB".repeat(32)))]))
            .await;
        assert_eq!(
            lab.search(&format!("value:'{}'", "AB".repeat(32)))
                .await
                .ids()
                .len(),
            upper
        );
        assert_eq!(
            lab.search(&format!("value:'{}'", "ab".repeat(32)))
                .await
                .ids()
                .len(),
            lower
        );
        assert!(lab.search("source:'Test'").await.ids().is_empty());
    }
}

#[tokio::test]
async fn item_25_deleted_are_hidden_from_search_only() {
    let lab = filled(&[], 2).await;
    let id = lab.search("").await.ids().remove(0);
    lab.delete(&id).await;
    assert_eq!(lab.search("").await.ids().len(), 1);
    assert_eq!(lab.search("deleted:true").await.ids(), [id.as_str()]);
    assert_eq!(
        lab.search("deleted:'true',deleted:'false'")
            .await
            .ids()
            .len(),
        2
    );
    assert_eq!(lab.by_id(&id).await.resources()[0]["deleted"], true);
}

#[tokio::test]
async fn item_28_entries_of_others() {
    for (position, all) in [("both", 5), ("own", 4)] {
        let lab = lab_with(&[("inherited", position)], |options| {
            options.set("foreign", true)
        })
        .await;
        assert_eq!(lab.search("").await.ids().len(), all, "{position}");
        assert_eq!(
            lab.search("value:'twice.example.net'").await.ids().len(),
            2,
            "same value, other type"
        );
        assert_eq!(
            lab.search("action:'allow'+type:'sha256'").await.ids().len(),
            1
        );
        let inherited = lab
            .get(&format!("{COMBINED}?from_parent=true"))
            .await
            .resources();
        assert_eq!(
            (inherited.len(), &inherited[0]["from_parent"]),
            (1, &json!(true))
        );
        let own = format!(
            "created_by:'{}'",
            lab.fake.configuration["client_id"].as_str().unwrap()
        );
        assert!(lab.search(&own).await.ids().is_empty());
    }
    for (position, status) in [("refused", 400), ("allowed", 200)] {
        let lab = lab_with(&[("inherited-write", position)], |options| {
            options.set("foreign", true)
        })
        .await;
        let id = lab.search("from_parent:true").await.ids().remove(0);
        let patched = lab
            .patch(json!({ "indicators": [{ "id": id, "description": "x" }] }))
            .await;
        assert_eq!(patched.status, status);
        assert_eq!(lab.delete(&id).await.status == 200, position == "allowed");
    }
}

#[tokio::test]
async fn item_37_searches_lag() {
    for (position, seconds) in [("0", 0), ("1", 1), ("5", 5)] {
        let lab = lab(&[("search-lag", position)]).await;
        let id = lab.one(hash(1)).await;
        assert_eq!(
            lab.by_id(&id).await.ids().len(),
            1,
            "reads by id do not lag"
        );
        assert_eq!(lab.search("").await.ids().len(), usize::from(seconds == 0));
        lab.advance(seconds);
        assert_eq!(lab.search("").await.ids().len(), 1);
        lab.patch(json!({ "indicators": [{ "id": id, "description": "new" }] }))
            .await;
        assert_eq!(
            lab.search("description:'new'").await.ids().len(),
            usize::from(seconds == 0)
        );
        lab.advance(seconds);
        lab.call("DELETE", &format!("{ENTITIES}?ids={id}"), "")
            .await;
        assert_eq!(lab.search("").await.ids().len(), usize::from(seconds != 0));
        lab.advance(seconds);
        assert!(lab.search("").await.ids().is_empty());
    }
}
