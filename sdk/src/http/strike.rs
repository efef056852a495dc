//! What proves who we are does not come back: a vendor or a proxy that repeats a request in its refusal would
//! bring a session's token, which nobody else knows to be a secret, into errors, logs and results.

use bytes::Bytes;
use memchr::memmem;
use reqwest::header::{COOKIE, HeaderMap};

use super::request::Request;
use crate::secret::Secret;

/// A shorter credential is a word that answers have by chance.
const SHORTEST: usize = 8;

const STRUCK: &[u8] = b"[secret]";

/// The credentials of one request, in every form in which they may come back.
pub(super) struct Sent(Vec<String>);

impl Sent {
    /// Those in the headers that authenticate a request, without the word for their scheme or a cookie's name,
    /// and those that the request itself names.
    pub(super) fn new(credentials: &HeaderMap, request: &Request) -> Self {
        let headers = credentials.iter().flat_map(|(name, value)| {
            let value = value.to_str().unwrap_or_default();
            let (apart, before) = if name == COOKIE {
                (';', '=')
            } else {
                ('\n', ' ')
            };
            value.split(apart).map(move |part| {
                let secret = part.trim().split_once(before);
                Secret::new(secret.map_or(part, |(_, secret)| secret))
            })
        });
        let mut forms: Vec<String> = headers
            .chain(request.secrets.iter().cloned())
            .filter(|secret| is_telling(secret.expose()))
            .flat_map(|secret| secret.written())
            .collect();
        // One may be a part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self(forms)
    }

    /// Strikes them out of an answer, which is left as it is where none is in it.
    pub(super) fn strike(&self, body: &mut Bytes) {
        for form in &self.0 {
            let finder = memmem::Finder::new(form);
            let mut left: &[u8] = body;
            let mut struck = Vec::new();
            while let Some(at) = finder.find(left) {
                struck.extend_from_slice(&left[..at]);
                struck.extend_from_slice(STRUCK);
                left = &left[at + form.len()..];
            }
            if !struck.is_empty() {
                struck.extend_from_slice(left);
                *body = struck.into();
            }
        }
    }
}

/// Whether a value proves something: a number is an id or a time.
fn is_telling(value: &str) -> bool {
    value.len() >= SHORTEST && !value.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn struck(name: &'static str, value: &'static str, body: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let request = Request::get("read", ["items"]).secret("session of+the/body==");
        let mut body = Bytes::from_static(body.as_bytes());
        Sent::new(&headers, &request).strike(&mut body);
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn credentials_are_struck_out_without_what_is_said_before_them() {
        for (name, value, body, expected) in [
            (
                "authorization",
                "Bearer token-of-session",
                r#"{"a":"Bearer token-of-session","b":"token-of-session"}"#,
                r#"{"a":"Bearer [secret]","b":"[secret]"}"#,
            ),
            (
                "x-pan-key",
                "LUFRPT1=",
                "<m>LUFRPT1= LUFRPT1%3D</m>",
                "<m>[secret] [secret]</m>",
            ),
            (
                "cookie",
                "JSESSIONID=0123456789ABCDEF; other=short",
                "short: JSESSIONID=0123456789ABCDEF",
                "short: JSESSIONID=[secret]",
            ),
            (
                "authorization",
                "Basic dXNlci/uYW1l",
                r#"["dXNlci\/uYW1l","dXNlci%2FuYW1l","dXNlci%2fuYW1l"]"#,
                r#"["[secret]","[secret]","[secret]"]"#,
            ),
            (
                "authorization",
                "x",
                "session of+the/body== session+of%2Bthe%2Fbody%3D%3D",
                "[secret] [secret]",
            ),
        ] {
            assert_eq!(struck(name, value, body), expected);
        }
    }

    #[test]
    fn words_numbers_and_scheme_names_stay() {
        for (name, value, body) in [
            ("authorization", "ApiToken k41", "ApiToken k41"),
            ("x-xdr-auth-id", "7", "77"),
            (
                "x-xdr-timestamp",
                "1700000000000",
                r#"{"at":1700000000000}"#,
            ),
        ] {
            assert_eq!(struck(name, value, body), body);
        }
    }

    #[test]
    fn an_answer_without_them_is_not_copied() {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("id=0123456789"))]);
        let sent = Sent::new(&headers, &Request::get("read", ["items"]));
        let mut body = Bytes::from_static(b"012345678");
        let before = body.as_ptr();
        sent.strike(&mut body);
        assert_eq!(body.as_ptr(), before);
    }
}
