//! The actions under the names of Sekoia's own module, with its four configuration fields and nothing else.

use sdk::action::{Outcome as Done, run};
use sdk::connector::Environment;
use sdk::sync::Context;
use serde_json::Value as Json;

use super::*;

async fn act(lab: &Lab, action: &str, arguments: Json) -> Report {
    let mut configuration = lab.fake.configuration.clone();
    let fields = ["base_url", "username", "password", "api_key"];
    let kept = configuration.as_object_mut().unwrap();
    kept.retain(|field, _| fields.contains(&field.as_str()));
    assert_eq!(kept.len(), fields.len());
    let context = Context::new(Environment::new(lab.clock.clone()));
    let connector = zscaler::connector();
    match run(&connector, action, arguments, configuration, &context).await {
        Ok(Done::Report(report)) => *report,
        other => panic!("no report: {other:?}"),
    }
}

#[tokio::test]
async fn a_value_that_block_ioc_does_not_take_has_failed() {
    let lab = lab(&[], &[]).await;
    let hint = |report: &Report| report.hint.clone().unwrap_or_default();
    let report = act(&lab, "zscaler_block_ioc", json!({ "IoC": "45.83.0.4" })).await;
    assert_eq!(
        (report.status, report.failed),
        (Status::Failed, 1),
        "{report:?}"
    );
    assert!(report.error.as_ref().unwrap().contains("45.83.0.4"));
    assert!(hint(&report).contains("`ipv4`"), "{report:?}");
    assert_eq!(report.exit_code(), 2);
    let several = json!({ "IoCs": ["45.83.0.4", "a.cordon-contract.com"] });
    let report = act(&lab, "zscaler_block_ioc", several).await;
    assert_eq!(
        (
            report.status,
            report.added,
            report.failed,
            report.skipped.unsupported
        ),
        (Status::Partial, 1, 1, 0),
        "the others are blocked: {report:?}"
    );
    assert!(hint(&report).contains("`ipv4`"), "{report:?}");
    let address = json!({ "IoC": "2a03:5f80:1::2" });
    let report = act(&lab, "zscaler_block_ioc", address).await;
    assert_eq!(report.status, Status::Failed);
    assert!(
        !hint(&report).contains("`ipv4`"),
        "it would not help: {report:?}"
    );
    let name = json!({ "IoC": "b.cordon-contract.com" });
    let report = act(&lab, "zscaler_block_ioc", name).await;
    assert_eq!((report.status, report.error), (Status::Ok, None));
}

#[tokio::test]
async fn a_push_warns_of_addresses_that_it_leaves_out() {
    let lab = lab(&[], &[]).await;
    let object = |id: u8, pattern: &str| {
        json!({
            "type": "indicator",
            "spec_version": "2.1",
            "id": format!("indicator--00000000-0000-4000-8000-0000000000{id:02}"),
            "created": "2024-01-01T00:00:00Z",
            "modified": "2024-01-01T00:00:00Z",
            "valid_from": "2024-01-01T00:00:00Z",
            "pattern_type": "stix",
            "pattern": pattern,
        })
    };
    let name = object(1, "[domain-name:value = 'a.cordon-contract.com']");
    let address = object(2, "[ipv4-addr:value = '45.83.0.4']");
    for (objects, warns) in [(vec![&name], false), (vec![&name, &address], true)] {
        let arguments = json!({ "stix_objects": objects });
        let report = act(&lab, "zscaler_push_iocs_block", arguments).await;
        assert_eq!(report.status, Status::Ok, "{report:?}");
        assert_eq!(report.added + report.unchanged, 1, "{report:?}");
        let said = report
            .warnings
            .iter()
            .any(|warning| warning.contains("1 IPv4") && warning.contains("`ipv4`"));
        assert_eq!(said, warns, "{report:?}");
    }
}
