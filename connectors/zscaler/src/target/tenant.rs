//! One tenant: its client, and the staging that all of its mechanisms share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use sdk::http::{Client, Request, Response, poll_from};
use sdk::target::{Activate, Calls, Finding, Level, Pending, Staged};
use sdk::{Error, ErrorKind, Result, async_trait};
use serde::de::DeserializeOwned;

use crate::api::{self, Quota, Status, Verdict};
use crate::auth::Login;

/// What every key begins with.
pub(super) const CONNECTOR: &str = "zscaler";
/// How often the state of an activation is asked for.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// How long an activation may take before the run ends without it.
const STATUS_LIMIT: Duration = Duration::from_secs(180);
/// The same while another session stands in the way.
const SESSION_INTERVAL: Duration = Duration::from_secs(15);
/// How long: a session that a dead run left behind ends after 5 minutes by default.
const SESSION_LIMIT: Duration = Duration::from_secs(330);

/// One tenant.
pub(crate) struct Tenant {
    pub(crate) client: Client,
    /// Sends every call once.
    closer: Client,
    login: Login,
    activate: Activate,
    /// Host and login, for the key.
    pub(crate) account: String,
    /// Something of ours may be stored that was not activated since.
    staged: AtomicBool,
    /// Our activation went through in this session.
    activated: AtomicBool,
}

impl Tenant {
    pub(crate) fn new(
        client: Client,
        closer: Client,
        login: Login,
        activate: Activate,
        account: String,
    ) -> Self {
        Self {
            client,
            closer,
            login,
            activate,
            account,
            staged: AtomicBool::new(false),
            activated: AtomicBool::new(false),
        }
    }

    /// Reads JSON.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        request: Request,
        what: &str,
    ) -> Result<T> {
        let response = self.client.send(request).await?;
        parse(&response, what)
    }

    /// The same; `None` where it is not there.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        request: Request,
        what: &str,
    ) -> Result<Option<T>> {
        let response = self.client.send(request).await?;
        if response.status == StatusCode::NOT_FOUND
            || matches!(api::judge(what, &response), Verdict::Missing(_))
        {
            return Ok(None);
        }
        parse(&response, what).map(Some)
    }

    /// Writes, and says what it came to.
    pub(crate) async fn write(&self, request: Request, what: &str) -> (Verdict, Option<Response>) {
        // Before the answer: one that is lost may have been applied.
        let before = self.staged.swap(true, Ordering::SeqCst);
        match self.client.send(request).await {
            Ok(response) => {
                let verdict = api::judge(what, &response);
                if !matches!(verdict, Verdict::Done | Verdict::Unknown(_)) {
                    self.staged.fetch_and(before, Ordering::SeqCst);
                }
                (verdict, Some(response))
            }
            Err(error) if error.is_fate_unknown() => (Verdict::Unknown(error), None),
            Err(error) => {
                self.staged.fetch_and(before, Ordering::SeqCst);
                (Verdict::Failed(error), None)
            }
        }
    }

    /// The tenant's quota of URLs; `None` where the credentials may not see it.
    pub(crate) async fn quota(&self) -> Result<Option<Quota>> {
        let response = self.client.send(api::quota()).await?;
        match response.status.as_u16() {
            403 | 404 => Ok(None),
            _ => parse(&response, "URL quota").map(Some),
        }
    }

    async fn status(&self) -> Result<String> {
        let status: Status = self.read(api::status(), "activation status").await?;
        match status.status.as_str() {
            "ACTIVE" | "PENDING" | "INPROGRESS" => Ok(status.status),
            _ => Err(
                Error::protocol("activation status: a word that we do not know")
                    .with("status", status.status),
            ),
        }
    }

    async fn until_active(&self, interval: Duration, limit: Duration) -> Result<()> {
        poll_from(
            self.client.clock(),
            "the activation",
            Duration::from_secs(1),
            interval,
            limit,
            || async { Ok((self.status().await? == "ACTIVE").then_some(())) },
        )
        .await
    }

    fn activated(&self) -> Result<()> {
        self.staged.store(false, Ordering::SeqCst);
        self.activated.store(true, Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn calls(&self) -> Calls {
        let mut calls = self.client.calls();
        let login = match &self.login {
            Login::OneApi(token) => token.login().calls(),
            Login::Legacy(_) => Calls::default(),
        };
        for more in [login, self.closer.calls()] {
            calls.read += more.read;
            calls.write += more.write;
            calls.retried += more.retried;
        }
        calls
    }

    /// Ends the session, but only where its end publishes nothing but what we activated: a session that
    /// holds changes of ours runs into its timeout, which leaves the next run time to finish them.
    pub(crate) async fn close(&self) {
        let activated = self.activated.swap(false, Ordering::SeqCst);
        if let Login::Legacy(session) = &self.login
            && activated
            && !self.staged.load(Ordering::SeqCst)
        {
            session.log_out(&self.closer).await;
        }
    }

    /// What `check` says of the tenant, whatever the mechanism.
    pub(crate) async fn findings(&self) -> Result<Vec<Finding>> {
        let mut findings = vec![finding(
            Level::Ok,
            "credentials",
            match self.login {
                Login::Legacy(_) => "the legacy login works",
                Login::OneApi(_) => "the OneAPI login works",
            }
            .to_owned(),
            None,
        )];
        findings.push(finding(
            Level::Ok,
            "rights",
            "reading works; writing and activating were not tried: a trial would change the tenant"
                .to_owned(),
            None,
        ));
        findings.push(match self.quota().await? {
            None => finding(
                Level::Warning,
                "URL quota",
                "the credentials may not read it".to_owned(),
                Some("give the role access to URL categories, so that a full tenant is seen before writing"),
            ),
            Some(quota) => {
                let total = quota.unique_urls_provisioned + quota.remaining_urls_quota;
                let nearly = quota.remaining_urls_quota * 10 < total;
                finding(
                    if nearly { Level::Warning } else { Level::Ok },
                    "URL quota",
                    format!("{} of {total} used", quota.unique_urls_provisioned),
                    nearly.then_some("remove entries, or ask Zscaler for a larger quota"),
                )
            }
        });
        let status = self.status().await?;
        findings.push(if status == "ACTIVE" {
            finding(Level::Ok, "activation", "nothing is pending".to_owned(), None)
        } else {
            finding(
                Level::Warning,
                "activation",
                format!("changes are stored and not enforced (status {status})"),
                Some("an activation publishes every administrator's changes; `activate = \"own\"` waits for theirs"),
            )
        });
        if self.login.ends_in_activation() {
            findings.push(finding(
                Level::Ok,
                "session",
                "the end of a legacy session, by logout or after 5 to 20 minutes, activates whatever is pending"
                    .to_owned(),
                Some("give Cordon an administrator of its own; OneAPI has no such session"),
            ));
        }
        Ok(findings)
    }
}

pub(crate) fn finding(
    level: Level,
    subject: &'static str,
    message: String,
    hint: Option<&str>,
) -> Finding {
    Finding {
        level,
        subject: subject.into(),
        message,
        hint: hint.map(str::to_owned),
    }
}

fn stands_in_the_way(response: &Response) -> bool {
    matches!(response.status.as_u16(), 409 | 412)
}

fn parse<T: DeserializeOwned>(response: &Response, what: &str) -> Result<T> {
    if response.status.is_success() {
        response.json(what)
    } else {
        Err(api::refusal(what, response))
    }
}

#[async_trait]
impl Staged for Tenant {
    async fn pending(&self) -> Result<Option<Pending>> {
        let status = self.status().await?;
        Ok((status != "ACTIVE").then(|| Pending {
            // The status is the tenant's: whose changes wait, nobody is told.
            ours: None,
            what: format!("activation status {status}"),
        }))
    }

    async fn commit(&self) -> Result<()> {
        // Nothing of ours was taken: only an activation that an earlier run owes is left to do.
        if !self.staged.load(Ordering::SeqCst) && self.status().await? == "ACTIVE" {
            return Ok(());
        }
        let mut response = self.client.send(api::activate()).await?;
        if stands_in_the_way(&response) {
            // The write lock was waited for already: this is another session of the same administrator,
            // left behind by a dead run perhaps, and its end activates everything by itself.
            let ended = self.until_active(SESSION_INTERVAL, SESSION_LIMIT).await;
            match ended {
                Ok(()) => return self.activated(),
                Err(error) if error.kind() != ErrorKind::Unavailable => return Err(error),
                Err(_) => response = self.client.send(api::activate()).await?,
            }
        }
        if stands_in_the_way(&response) {
            return Err(api::error(
                ErrorKind::Unavailable,
                "the activation is refused while another session of this administrator lasts",
                &response,
            )
            .hint("give Cordon an administrator of its own; the next run asks again"));
        }
        let status: Status = parse(&response, "activation")?;
        if status.status != "ACTIVE" {
            self.until_active(STATUS_INTERVAL, STATUS_LIMIT)
                .await
                .map_err(|error| match error.kind() {
                    ErrorKind::Unavailable => error.hint(
                        "if another administrator holds changes, the activation is queued until these are activated: \
                         look at Activation in the admin portal; the next run asks again",
                    ),
                    _ => error,
                })?;
        }
        self.activated()
    }

    async fn discard(&self) -> Result<bool> {
        // The vendor has no way back for what is staged, and undoing it by hand could undo others' changes.
        Ok(false)
    }

    fn activate(&self) -> Activate {
        self.activate
    }

    fn shared(&self) -> Option<String> {
        Some(format!("{CONNECTOR}:{}", self.account))
    }

    fn enforced_anyway(&self) -> Option<&'static str> {
        self.login.ends_in_activation().then_some(
            "the end of a legacy session, by logout or after 5 to 20 minutes, activates it anyway",
        )
    }
}
