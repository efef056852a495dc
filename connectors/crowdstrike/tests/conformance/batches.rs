//! Writing rows: items 8 to 17, 30 to 34, 39, 42.

use serde_json::{Value as Json, json};

use crate::raw::{ENTITIES, Lab, SEARCH, domain, hash, lab, lab_with, with, without};

/// One row that is refused, and how.
async fn refused(lab: &Lab, row: Json) -> Json {
    let reply = lab.create(json!([row])).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    reply.resources().remove(0)
}

#[tokio::test]
async fn item_08_null_errors_and_empty_resources() {
    for (position, empty) in [("list", json!([])), ("null", Json::Null)] {
        let lab = lab(&[("empty-resources", position)]).await;
        let reply = lab.search("").await.json();
        assert_eq!(
            (&reply["errors"], &reply["resources"]),
            (&Json::Null, &empty)
        );
    }
    let lab = lab(&[]).await;
    let row = lab.create(json!([hash(1)])).await.resources().remove(0);
    for absent in ["expiration", "host_groups", "tags", "description"] {
        assert_eq!(row.get(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn item_09_success_statuses() {
    let lab = lab(&[]).await;
    let created = lab.create(json!([hash(1)])).await;
    assert_eq!(created.status, 201);
    let id = &created.ids()[0];
    assert_eq!(
        lab.patch(json!({ "indicators": [{ "id": id, "description": "x" }] }))
            .await
            .status,
        200
    );
    assert_eq!(lab.delete(id).await.status, 200);
}

#[tokio::test]
async fn item_10_missing_parts_are_refused() {
    let lab = lab(&[]).await;
    for body in [
        "{}",
        "[]",
        "nonsense",
        r#"{"indicators":{}}"#,
        r#"{"indicators":[],"x":1}"#,
    ] {
        let reply = lab.call("POST", ENTITIES, body).await;
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (400, "Provided data does not match expected format")
        );
    }
    for field in ["type", "value", "platforms", "action", "applied_globally"] {
        refused(&lab, without(hash(1), field)).await;
    }
    let groups = with(
        without(hash(1), "applied_globally"),
        &[("host_groups", json!(["a".repeat(32)]))],
    );
    assert_eq!(lab.create(json!([groups])).await.status, 201);
}

#[tokio::test]
async fn item_11_values_are_validated() {
    let lab = lab(&[]).await;
    let bad = [
        ("sha256", "abc"),
        ("md5", "zz".repeat(16).leak()),
        ("ipv4", "198.51.100.0/24"),
        ("ipv4", "2001:db8::1"),
        ("ipv6", "198.51.100.1"),
        ("domain", "https://example.com"),
        ("domain", "example.com/path"),
        ("domain", "a.".repeat(101).leak()),
        ("url", "https://example.com/"),
        ("sha1", "aa".repeat(20).leak()),
    ];
    for (kind, value) in bad {
        let row = with(
            hash(1),
            &[
                ("type", json!(kind)),
                ("value", json!(value)),
                ("action", json!("detect")),
            ],
        );
        let reply = lab.create(json!([hash(7), row])).await;
        assert_eq!(reply.status, 400, "{kind} {value}");
        assert_eq!(reply.resources()[0]["row"], 2);
    }
    assert!(
        lab.search("").await.ids().is_empty(),
        "one bad row fails the batch"
    );
}

#[tokio::test]
async fn item_12_action_type_platform_matrix() {
    let lab = lab(&[]).await;
    for action in ["prevent", "allow", "prevent_no_ui"] {
        refused(
            &lab,
            with(domain("bad.example.net"), &[("action", json!(action))]),
        )
        .await;
    }
    refused(
        &lab,
        with(
            domain("bad.example.net"),
            &[("type", json!("all_subdomains"))],
        ),
    )
    .await;
    let mobile = with(
        domain("bad.example.net"),
        &[
            ("platforms", json!(["ios"])),
            ("mobile_action", json!("prevent")),
        ],
    );
    refused(&lab, mobile.clone()).await;
    let lab = lab_with(&[], |options| options.set("mobile", true)).await;
    assert_eq!(lab.create(json!([mobile])).await.status, 201);
    refused(
        &lab,
        with(
            hash(1),
            &[
                ("platforms", json!(["ios"])),
                ("mobile_action", json!("detect")),
            ],
        ),
    )
    .await;
}

#[tokio::test]
async fn item_13_severity_is_required_for_detect_and_prevent() {
    let lab = lab(&[]).await;
    refused(&lab, without(hash(1), "severity")).await;
    refused(&lab, without(domain("bad.example.net"), "severity")).await;
    refused(&lab, with(hash(1), &[("severity", json!("HIGH"))])).await;
    lab.one(with(
        without(hash(1), "severity"),
        &[("action", json!("allow"))],
    ))
    .await;
    for (position, status) in [("kept", 201), ("dropped", 201), ("refused", 400)] {
        let lab = crate::raw::lab(&[("surplus-severity", position)]).await;
        let reply = lab
            .create(json!([with(hash(1), &[("action", json!("allow"))])]))
            .await;
        assert_eq!(reply.status, status);
        if status == 201 {
            assert_eq!(
                reply.resources()[0].get("severity").is_some(),
                position == "kept"
            );
        }
    }
}

#[tokio::test]
async fn item_14_atomic_400_names_rows() {
    for (position, left) in [("nothing-stored", 0), ("good-rows-stored", 2)] {
        let lab = lab(&[("row-refusal", position)]).await;
        let bad = with(hash(2), &[("value", json!("short"))]);
        let reply = lab.create(json!([hash(1), bad, hash(3)])).await;
        assert_eq!(reply.status, 400);
        assert_eq!(
            reply.message(),
            "One or more indicators have a warning or invalid input"
        );
        let rows = reply.resources();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (&rows[0]["row"], &rows[0]["message_type"]),
            (&json!(2), &json!("error"))
        );
        assert_eq!(rows[0]["value"], "short");
        assert_eq!(lab.search("").await.ids().len(), left);
    }
}

#[tokio::test]
async fn item_15_duplicates() {
    let changed = with(hash(1), &[("description", json!("second"))]);
    let ignoring = format!("{ENTITIES}?ignore_warnings=true");
    for (position, records, text) in [
        ("overwrite", 1, "second"),
        ("skip", 1, ""),
        ("second", 2, ""),
    ] {
        let lab = lab(&[("duplicates", position)]).await;
        let first = lab.one(hash(1)).await;
        let reply = lab.create(json!([changed.clone(), hash(2)])).await;
        assert_eq!(reply.status, 400);
        let row = reply.resources().remove(0);
        assert_eq!(row["message_type"], "warning");
        assert!(
            row["message"]
                .as_str()
                .unwrap()
                .starts_with("Warning: Duplicate type:")
        );
        let body = json!({ "indicators": [changed.clone()] }).to_string();
        assert_eq!(lab.call("POST", &ignoring, &body).await.status, 201);
        assert_eq!(lab.search("").await.ids().len(), records, "{position}");
        let first = lab.by_id(&first).await.resources().remove(0);
        assert_eq!(
            first["description"].as_str().unwrap_or_default(),
            text,
            "{position}"
        );
    }
    let lab = lab(&[]).await;
    assert_eq!(
        lab.create(json!([hash(1), hash(1)])).await.resources()[0]["row"],
        2,
        "twice in one call"
    );
}

#[tokio::test]
async fn item_16_ignore_warnings_rescues_no_error() {
    let lab = lab(&[]).await;
    let body = json!({ "indicators": [with(hash(1), &[("value", json!("short"))])] }).to_string();
    assert_eq!(
        lab.call("POST", &format!("{ENTITIES}?ignore_warnings=true"), &body)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn item_17_batch_cap() {
    for (position, cap, status, page) in [
        ("2000", 2000, 400, false),
        ("200", 200, 400, false),
        ("200-html-413", 200, 413, true),
    ] {
        let lab = lab(&[("batch-cap", position)]).await;
        let rows = |count: usize| Json::Array((0..count).map(hash).collect());
        let over = lab.create(rows(cap + 1)).await;
        assert_eq!(
            (over.status, over.text.starts_with("<html>")),
            (status, page)
        );
        let full = lab.create(rows(cap)).await;
        assert_eq!(full.status, 201);
        let patch = |count: usize| {
            full.ids()
                .into_iter()
                .chain(["x".to_owned()])
                .take(count)
                .map(|id| json!({ "id": id }))
                .collect()
        };
        assert_eq!(
            lab.patch(json!({ "indicators": Json::Array(patch(cap + 1)) }))
                .await
                .status,
            status
        );
        assert_eq!(
            lab.patch(json!({ "indicators": Json::Array(patch(cap)) }))
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn item_30_patch_rules() {
    for (position, warned) in [("error", false), ("warning", true)] {
        let lab = lab(&[("past-expiration", position)]).await;
        let past = with(hash(9), &[("expiration", json!("2025-06-01T11:59:59Z"))]);
        let row = refused(&lab, past.clone()).await;
        assert_eq!(row["message_type"] == "warning", warned);
    }
    let lab = lab(&[]).await;
    let row = with(
        hash(1),
        &[
            ("expiration", json!("2025-06-02T00:00:00+00:00")),
            ("tags", json!(["t"])),
            ("description", json!("d")),
        ],
    );
    let id = lab.one(row).await;
    let patch = async |fields: Json| {
        let reply = lab.patch(json!({ "indicators": [with(json!({ "id": id }), &[])
            .as_object().unwrap().iter().chain(fields.as_object().unwrap()).map(|(k, v)| (k.clone(), v.clone())).collect::<serde_json::Map<_, _>>()] })).await;
        (reply.status, lab.by_id(&id).await.resources().remove(0))
    };
    let (status, row) = patch(json!({ "type": "md5", "value": "other" })).await;
    assert_eq!(
        (status, &row["type"], &row["value"]),
        (200, &json!("sha256"), &json!(format!("{:064x}", 1)))
    );
    assert_eq!(row["description"], "d", "what is not sent stays");
    assert_eq!(
        patch(json!({ "expiration": "2025-05-01T00:00:00Z" }))
            .await
            .0,
        400
    );
    let (_, row) =
        patch(json!({ "expiration": "0001-01-01T00:00:00.000Z", "description": "", "tags": [] }))
            .await;
    for cleared in ["expiration", "description", "tags"] {
        assert_eq!(row.get(cleared), None, "{cleared}");
    }
}

#[tokio::test]
async fn item_31_patch_shapes() {
    for (position, empty) in [("ignored", 200), ("refused", 400)] {
        let lab = lab(&[("empty-bulk-update", position)]).await;
        let id = lab.one(hash(1)).await;
        let rows = json!([{ "id": id, "description": "one" }]);
        assert_eq!(lab.patch(json!({ "indicators": rows })).await.status, 200);
        assert_eq!(
            lab.patch(json!({ "indicators": rows, "bulk_update": null }))
                .await
                .status,
            200
        );
        assert_eq!(
            lab.patch(json!({ "indicators": rows, "bulk_update": {} }))
                .await
                .status,
            empty
        );
        let bulk = lab
            .patch(json!({ "bulk_update": { "filter": "source:'test'", "description": "all" } }))
            .await;
        assert_eq!(
            (bulk.status, &bulk.resources()[0]["description"]),
            (200, &json!("all"))
        );
        assert_eq!(
            lab.patch(json!({ "id": id, "description": "x" }))
                .await
                .status,
            400
        );
    }
    for (position, status, left) in [
        ("untouched", 200, true),
        ("clears", 200, false),
        ("refused", 400, true),
    ] {
        let lab = lab(&[("null-in-patch", position)]).await;
        let id = lab.one(with(hash(1), &[("tags", json!(["t"]))])).await;
        assert_eq!(
            lab.patch(json!({ "indicators": [{ "id": id, "tags": null }] }))
                .await
                .status,
            status
        );
        assert_eq!(
            lab.by_id(&id).await.resources()[0].get("tags").is_some(),
            left,
            "{position}"
        );
    }
}

#[tokio::test]
async fn item_32_inapplicable_actions_are_no_action() {
    let lab = lab_with(&[], |options| options.set("mobile", true)).await;
    let created = lab
        .create(json!([with(
            hash(1),
            &[("mobile_action", json!("prevent"))]
        )]))
        .await;
    assert_eq!(created.resources()[0]["mobile_action"], "no_action");
}

#[tokio::test]
async fn item_33_fields_that_the_server_adds() {
    let lab = lab(&[]).await;
    let row = lab.create(json!([hash(1)])).await.resources().remove(0);
    assert_eq!(row["metadata"]["av_hits"], -1);
    assert_eq!(row["created_by"], lab.fake.configuration["client_id"]);
    let created = row["created_on"].as_str().unwrap();
    assert_eq!(
        created.split_once('.').unwrap().1.len(),
        "123456789Z".len(),
        "{created}"
    );
    assert_eq!(row["id"].as_str().unwrap().len(), 64);
    let md5 = with(
        hash(1),
        &[("type", json!("md5")), ("value", json!("a".repeat(32)))],
    );
    assert_eq!(
        lab.create(json!([md5])).await.resources()[0].get("metadata"),
        None
    );
}

#[tokio::test]
async fn item_34_capacity() {
    let lab = lab_with(&[], |options| options.set("capacity", 2)).await;
    let over = lab.create(json!([hash(1), hash(2), hash(3)])).await;
    assert_eq!(over.status, 400);
    assert!(
        over.message()
            .contains("Limit of 1 million indicators reached.")
    );
    assert!(lab.search("").await.ids().is_empty());
    let ids = lab.create(json!([hash(1), hash(2)])).await.ids();
    assert_eq!(lab.create(json!([hash(3)])).await.status, 400);
    lab.delete(&ids[0]).await;
    assert_eq!(lab.create(json!([hash(3)])).await.status, 201);
    lab.fake.state.set_capacity(3);
    assert_eq!(lab.create(json!([hash(4)])).await.status, 201);
    let lab = lab_with(&[("deleted-capacity", "counted")], |options| {
        options.set("capacity", 1)
    })
    .await;
    let id = lab.one(hash(1)).await;
    lab.delete(&id).await;
    assert_eq!(lab.create(json!([hash(2)])).await.status, 400);
}

#[tokio::test]
async fn item_39_answers_list_what_was_affected() {
    let lab = lab(&[]).await;
    let id = lab.one(hash(1)).await;
    let unknown = "f".repeat(64);
    let patched = lab.patch(json!({ "indicators": [{ "id": unknown, "description": "x" }, { "id": id, "description": "x" }] })).await;
    assert_eq!(patched.ids(), [id.as_str()]);
    let deleted = lab
        .call("DELETE", &format!("{ENTITIES}?ids={unknown}&ids={id}"), "")
        .await;
    assert_eq!(deleted.ids(), [id.as_str()]);
    assert!(lab.delete(&id).await.ids().is_empty());
}

#[tokio::test]
async fn item_42_published_matrix_agrees_with_validation() {
    let lab = lab_with(&[], |options| options.set("without_action", "prevent")).await;
    let actions = lab.get("/iocs/queries/actions/v1").await.ids();
    assert_eq!(actions, ["no_action", "allow", "detect", "prevent_no_ui"]);
    let reply = lab
        .get("/iocs/entities/actions/v1?ids=allow&ids=detect&ids=prevent")
        .await;
    let published = reply.resources();
    assert_eq!(published.len(), 2);
    let types = lab.get("/iocs/queries/ioc-types/v1").await.ids();
    assert_eq!(types.len(), 6);
    assert_eq!(
        lab.get("/iocs/queries/platforms/v1").await.ids(),
        ["windows", "mac", "linux"]
    );
    assert_eq!(lab.get("/iocs/queries/severities/v1").await.ids().len(), 5);
    refused(&lab, hash(1)).await;
    for action in &published {
        for (kind, value) in [
            ("sha256", "a".repeat(64)),
            ("domain", "bad.example.net".to_owned()),
        ] {
            let fields = [
                ("type", json!(kind)),
                ("value", json!(value)),
                ("action", action["id"].clone()),
                ("platforms", json!(["linux"])),
            ];
            let reply = lab.create(json!([with(hash(1), &fields)])).await;
            let allowed = action["platforms_by_type"][kind]
                .as_array()
                .unwrap()
                .contains(&json!("linux"));
            assert_eq!(reply.status == 201, allowed, "{} {kind}", action["id"]);
            for id in lab.get(SEARCH).await.ids() {
                lab.delete(&id).await;
            }
        }
    }
}
