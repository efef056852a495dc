//! A call as it arrives, and an answer.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};

use super::xml::Node;

/// Most bytes of a body.
const BODY: usize = 5 << 20;

/// Most bytes of a query.
const QUERY: usize = 2 << 10;

/// What a call may be called with.
const FIELDS: [&str; 10] = [
    "type", "key", "cmd", "action", "xpath", "element", "vsys", "target", "user", "password",
];

/// A call.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    fields: Vec<(String, String)>,
}

impl Call {
    /// Reads query and form; an answer where it is too long or malformed.
    pub(super) fn read(method: &str, query: &str, body: &[u8]) -> Result<Self, Reply> {
        if body.len() > BODY {
            return Err(Reply::status(413, "Request Entity Too Large"));
        }
        if method == "GET" && query.len() > QUERY {
            return Err(Reply::status(414, "Request-URI Too Long"));
        }
        let mut fields: Vec<(String, String)> = decode(query);
        if method == "POST" {
            fields.extend(decode(&String::from_utf8_lossy(body)));
        }
        if let Some((name, _)) = fields
            .iter()
            .find(|(name, _)| !FIELDS.contains(&name.as_str()))
        {
            return Err(Reply::error(400, &format!("unknown parameter {name}")));
        }
        for (index, (name, _)) in fields.iter().enumerate() {
            if fields[..index].iter().any(|(other, _)| other == name) {
                return Err(Reply::error(400, &format!("parameter {name} given twice")));
            }
        }
        Ok(Self { fields })
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }
}

/// Form decoding, once.
pub(super) fn decode(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    body: String,
}

impl Reply {
    pub(super) fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.to_owned(),
        }
    }

    pub(super) fn nodes(status: &str, code: Option<u16>, nodes: Vec<Node>) -> Self {
        let mut response = Node::new("response").with(nodes);
        response
            .attributes
            .push(("status".to_owned(), status.to_owned()));
        if let Some(code) = code {
            response
                .attributes
                .push(("code".to_owned(), code.to_string()));
        }
        Self::status(200, &response.to_xml())
    }

    pub(super) fn body(status: &str, code: Option<u16>, node: Node) -> Self {
        Self::nodes(status, code, vec![node])
    }

    pub(super) fn success(code: Option<u16>, result: Node) -> Self {
        Self::body("success", code, result)
    }

    pub(super) fn enqueued(text: &str, job: u32) -> Self {
        let message = Node::new("msg").with([Node::with_text("line", text)]);
        let job = Node::with_text("job", job.to_string());
        Self::success(Some(19), Node::new("result").with([message, job]))
    }

    /// A refusal; its text stands where the vendor happens to put it.
    pub(super) fn error(code: u16, text: &str) -> Self {
        let node = match code {
            6 | 15 => Node::with_text("msg", text),
            16 => Node::new("result").with([Node::with_text("msg", text)]),
            18 => {
                let line = Node::new("line").with([Node::with_text("line", text)]);
                Node::new("msg").with([line])
            }
            10 => {
                let message = Node::new("msg").with([Node::with_text("line", text)]);
                Node::new("result").with([message])
            }
            _ => Node::new("msg").with([Node::with_text("line", text)]),
        };
        Self::body("error", Some(code), node)
    }

    /// A refusal whose text stands in `msg/line`.
    pub(super) fn text_error(code: Option<u16>, text: &str) -> Self {
        let message = Node::new("msg").with([Node::with_text("line", text)]);
        Self::body("error", code, message)
    }

    /// The refusal of a key, as odd as it is.
    pub(super) fn invalid_credential() -> Self {
        Self::status(
            403,
            "<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>",
        )
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let xml = HeaderValue::from_static("application/xml; charset=UTF-8");
        response.headers_mut().insert("content-type", xml);
        response
    }
}

/// `Basic` with a name and a password.
pub(super) fn basic(header: &str) -> Option<(String, String)> {
    let encoded = header.strip_prefix("Basic ")?;
    let mut bits: u32 = 0;
    let mut count = 0;
    let mut bytes = Vec::new();
    for byte in encoded.bytes().filter(|byte| *byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
