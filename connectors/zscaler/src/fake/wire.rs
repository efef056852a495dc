//! Calls as they arrive, and answers.

use serde_json::{Value as Json, json};

/// One call.
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    pub(super) authorization: &'a str,
    pub(super) cookie: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

impl Ask<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let pair = self.query.iter().find(|(key, _)| key == name)?;
        Some(&pair.1)
    }

    /// The body as a JSON object; the refusal where it is none, or has a field that is not known.
    pub(super) fn object(&self, known: &[&str]) -> Result<serde_json::Map<String, Json>, Reply> {
        let bad = || Reply::json(400, json!({ "message": "Request body is invalid." }));
        if !self.content_type.starts_with("application/json") {
            return Err(Reply::html(415, "Unsupported Media Type"));
        }
        match serde_json::from_slice(self.body) {
            Ok(Json::Object(object)) => {
                match object.keys().all(|key| known.contains(&key.as_str())) {
                    true => Ok(object),
                    false => Err(bad()),
                }
            }
            _ => Err(bad()),
        }
    }

    /// Refuses query parameters that are not documented.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Reply> {
        match self
            .query
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => Err(Reply::refusal(
                400,
                "INVALID_INPUT_ARGUMENT",
                &format!("Unknown parameter {key}"),
            )),
        }
    }
}

/// One answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(status: u16, body: Json) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string(),
        }
    }

    pub(super) fn ok(body: Json) -> Self {
        Self::json(200, body)
    }

    pub(super) fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, json!({ "code": code, "message": message }))
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(super) fn html(status: u16, title: &str) -> Self {
        Self::text(
            status,
            "text/html",
            format!(
                "<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
            ),
        )
    }

    pub(super) fn text(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
