//! Tells somebody when a person has to look: held, failed, overdue. What fails here warns and changes
//! nothing else.

use chrono::TimeDelta;
use reqwest::Method;
use sdk::Result;
use sdk::http::{ClientBuilder, Request, Safety};
use sdk::report::{Report, Status};
use sdk::sync::{Context, TargetGroup};
use serde_json::{Value as Json, json};
use url::Url;

use crate::config::WebhookEvent;
use crate::config::file::Webhook;
use crate::output::tell;

/// An entry that is there so long after its end is overdue.
const OVERDUE_AFTER: TimeDelta = TimeDelta::hours(1);

/// How many overdue values are named; all are counted.
const VALUES_NAMED: usize = 20;

/// Sends one call per event and run.
pub(crate) async fn tell_about(
    settings: &Webhook,
    reports: &[Report],
    groups: &[&TargetGroup],
    context: &Context,
) {
    for report in reports {
        let group = groups.iter().find(|group| group.name == report.target);
        for event in events(report, group.copied(), context).await {
            let (kind, body) = event;
            if !settings.on.contains(&kind) {
                continue;
            }
            if let Err(error) = send(settings, body, context).await {
                tell(&format!("warning: the webhook was not told: {error}"));
            }
        }
    }
}

/// What is to be told of a run. Error texts of the SDK are free of secrets.
async fn events(
    report: &Report,
    group: Option<&TargetGroup>,
    context: &Context,
) -> Vec<(WebhookEvent, Json)> {
    let base = |event: &str| {
        json!({
            "event": event,
            "run": report.run,
            "deployment": report.owner,
            "target": report.target,
            "mechanism": report.mechanism,
            "time": context.environment.clock.now().to_rfc3339(),
        })
    };
    let mut events = Vec::new();
    if let Some(held) = &report.held {
        let mut body = base("held");
        body["held"] = json!({
            "id": held.id,
            "changes": held.changes,
            "why": held.why,
            "by_reason": held.by_reason,
            "approve_with": held.id.as_ref().map(|id| format!("cordon approve {id}")),
        });
        events.push((WebhookEvent::Held, body));
    }
    if report.status == Status::Failed {
        let mut body = base("failed");
        body["error"] = json!(report.error);
        body["hint"] = json!(report.hint);
        events.push((WebhookEvent::Failed, body));
    }
    let overdue = overdue(report, group, context).await;
    if !overdue.is_empty() {
        let mut body = base("overdue");
        body["count"] = json!(overdue.len());
        body["values"] = json!(overdue.iter().take(VALUES_NAMED).collect::<Vec<_>>());
        events.push((WebhookEvent::Overdue, body));
    }
    events
}

/// Values whose recorded end passed more than an hour ago and that are still there.
async fn overdue(report: &Report, group: Option<&TargetGroup>, context: &Context) -> Vec<String> {
    let mut values = Vec::new();
    if let (Some(store), Some(group)) = (&context.store, group) {
        let latest = context.environment.clock.now() - OVERDUE_AFTER;
        for member in &group.members {
            // A store that fails here failed the run already.
            let rows = store
                .ledger(&member.target.key().to_string())
                .await
                .unwrap_or_default();
            values.extend(
                rows.into_iter()
                    .filter(|row| row.owner.as_str() == report.owner)
                    .filter(|row| row.until.is_some_and(|until| until < latest))
                    .map(|row| row.value.to_string()),
            );
        }
    }
    values.sort();
    values.dedup();
    values
}

async fn send(settings: &Webhook, body: Json, context: &Context) -> Result<()> {
    let url = Url::parse(&settings.url)
        .map_err(|error| sdk::Error::config("the webhook's URL is not a URL").because(error))?;
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    let client = ClientBuilder::new(base.as_str(), &context.environment)?
        .timeout(std::time::Duration::from_secs(10))
        .deadline(std::time::Duration::from_secs(30))
        .build()?;
    let mut request = Request::new(
        Method::POST,
        Safety::Idempotent,
        "webhook",
        Vec::<String>::new(),
    )
    .json(&body);
    for (key, value) in url.query_pairs() {
        request = request.query(key.into_owned(), value.into_owned());
    }
    let response = client.send(request).await?;
    if response.status.is_success() {
        Ok(())
    } else {
        Err(sdk::Error::protocol(format!(
            "it answered {}",
            response.status.as_u16()
        )))
    }
}
