//! The platform's callback: what is sent again, when, and when not.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use sdk::connector::Environment;
use sdk::http::{OneShot, Request, Response, Safety};
use sdk::{Clock, Error, ErrorKind, Result, Retry, Secret};
use serde_json::{Map, Value as Json};

use super::log::{Level, Log};

/// Tries for one call. The waits between them are 2, 4, 8 … 512 s, or what the platform asks for.
pub(super) const TRIES: u32 = 10;

/// Longest wait for one call in all, whoever asks for it: what ours come to.
const PATIENCE: Duration = Duration::from_secs(1022);

/// Longest time for one try.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the platform is told.
#[derive(Debug)]
pub(super) struct Callback {
    http: OneShot,
    token: Secret,
    clock: Clock,
}

impl Callback {
    pub(super) fn new(url: &str, token: Secret, environment: &Environment) -> Result<Self> {
        let http = OneShot::new(url, environment, TIMEOUT, None, None)
            .map_err(|error| error.with("input", "url_callback"))?;
        Ok(Self {
            http,
            token,
            clock: environment.clock.clone(),
        })
    }

    /// Host and port, where what is sent can be read on the way.
    pub(super) fn plain_host(&self) -> Option<String> {
        self.http.is_plain().then(|| self.http.host())
    }

    /// Sends a message until it is taken. What the platform answers with 4xx is its last word, but for 429;
    /// 409, which says that the task is finished or somebody else's, is an [`ErrorKind::Conflict`].
    pub(super) async fn send(&self, message: &Json, tries: u32, log: &mut Log) -> Result<Response> {
        let request = Request::new(
            Method::PATCH,
            Safety::Idempotent,
            "callback",
            Vec::<String>::new(),
        )
        .json(message);
        let tell = |error: &Error, wait: Duration| {
            let text = format!("{error}; once more in {} s", wait.as_secs());
            log.add(Level::Warning, &text);
        };
        repeat(&self.clock, tries, tell, async || {
            let response = self.http.send(&request, &self.token).await?;
            if response.status.is_success() {
                Ok(response)
            } else {
                Err(refused(&response, self.clock.now()).with("host", self.http.host()))
            }
        })
        .await
    }
}

/// Tries until it works, as long as trying again can help.
async fn repeat<T>(
    clock: &Clock,
    tries: u32,
    mut tell: impl FnMut(&Error, Duration),
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut number = 1;
    let mut left = PATIENCE;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Retry::Later(asked) = error.retry_status() else {
            return Err(error);
        };
        if number >= tries || left.is_zero() {
            return Err(error.with("tries", number).retry(Retry::GaveUp));
        }
        let wait = asked.unwrap_or(Duration::from_secs(1 << number)).min(left);
        left -= wait;
        tell(&error, wait);
        clock.sleep(wait).await;
        number += 1;
    }
}

/// What a status other than success means.
fn refused(response: &Response, now: DateTime<Utc>) -> Error {
    let status = response.status;
    let kind = match status.as_u16() {
        401 => ErrorKind::Auth,
        403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        300..=499 => ErrorKind::Rejected,
        _ => ErrorKind::Unavailable,
    };
    let error = Error::new(kind, format!("the platform's callback answered {status}"));
    let error = match response.excerpt() {
        text if text.is_empty() => error,
        text => error.with("answer", text),
    };
    match kind {
        ErrorKind::Auth => error.hint("the token is wrong, or not valid any more"),
        ErrorKind::RateLimited | ErrorKind::Unavailable => {
            error.retry(Retry::Later(response.retry_after(now)))
        }
        ErrorKind::Conflict => error.hint("the task is finished, or another runner has it"),
        _ if status.is_redirection() => {
            error.hint("redirects are not followed: the token would go along")
        }
        _ => error,
    }
}

/// The secrets in the answer to the first message, if there are any.
pub(super) fn given(response: &Response) -> Option<Map<String, Json>> {
    let answer: Json = serde_json::from_slice(&response.body).ok()?;
    let value = answer.pointer("/module_configuration/value")?;
    value.as_object().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tried(outcomes: Vec<Result<()>>, tries: u32) -> (Result<()>, usize, u64) {
        let clock = Clock::manual(Default::default());
        let mut outcomes = outcomes.into_iter();
        let mut asked = 0;
        let result = repeat(
            &clock,
            tries,
            |_, _| {},
            async || {
                asked += 1;
                outcomes.next().unwrap()
            },
        )
        .await;
        (result, asked, clock.elapsed().as_secs())
    }

    fn unavailable() -> Result<()> {
        Err(Error::new(ErrorKind::Unavailable, "down"))
    }

    #[tokio::test]
    async fn tries_end_after_ten_and_seventeen_minutes() {
        let (result, asked, waited) = tried((0..20).map(|_| unavailable()).collect(), TRIES).await;
        assert_eq!((asked, waited), (10, 1022));
        assert_eq!(result.unwrap_err().retry_status(), Retry::GaveUp);
    }

    #[tokio::test]
    async fn waits_double_until_it_works() {
        let (result, asked, waited) = tried(
            vec![unavailable(), unavailable(), unavailable(), Ok(())],
            TRIES,
        )
        .await;
        result.unwrap();
        assert_eq!((asked, waited), (4, 2 + 4 + 8));
    }

    #[tokio::test]
    async fn what_trying_again_cannot_help_is_not_tried_again() {
        let refused = || Err(Error::new(ErrorKind::Rejected, "no"));
        let (result, asked, waited) = tried(vec![unavailable(), refused()], TRIES).await;
        assert_eq!((asked, waited), (2, 2));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Rejected);
        let (_, asked, waited) = tried(vec![unavailable()], 1).await;
        assert_eq!((asked, waited), (1, 0));
    }

    #[tokio::test]
    async fn the_platforms_own_wait_goes_before_ours_and_all_of_them_have_an_end() {
        let busy = |seconds| {
            let wait = Duration::from_secs(seconds);
            Err(Error::new(ErrorKind::RateLimited, "busy").retry(Retry::Later(Some(wait))))
        };
        let (result, asked, waited) = tried(vec![busy(7), unavailable(), Ok(())], TRIES).await;
        result.unwrap();
        assert_eq!((asked, waited), (3, 7 + 4));
        let (result, asked, waited) = tried((0..20).map(|_| busy(600)).collect(), TRIES).await;
        assert_eq!((asked, waited), (3, 1022));
        assert_eq!(result.unwrap_err().retry_status(), Retry::GaveUp);
    }

    fn answered(status: u16, retry_after: Option<&'static str>) -> Option<Error> {
        let mut response = Response {
            status: reqwest::StatusCode::from_u16(status).ok()?,
            headers: Default::default(),
            body: Default::default(),
        };
        if let Some(wait) = retry_after {
            response.headers.insert("retry-after", wait.parse().ok()?);
        }
        Some(refused(&response, DateTime::default()))
    }

    #[test]
    fn every_4xx_but_429_is_the_last_word_and_5xx_is_not() {
        for status in 300..600 {
            let Some(error) = answered(status, None) else {
                continue;
            };
            let again = matches!(error.retry_status(), Retry::Later(None));
            assert_eq!(again, status >= 500 || status == 429, "{status}");
            assert_eq!(error.kind() == ErrorKind::Conflict, status == 409);
        }
        for status in [429, 503] {
            let error = answered(status, Some("17")).unwrap();
            let wait = Duration::from_secs(17);
            assert_eq!(error.retry_status(), Retry::Later(Some(wait)), "{status}");
        }
    }
}
