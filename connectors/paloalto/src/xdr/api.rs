//! Requests, each pure, and the parts of the answers that serve us.

use reqwest::Method;
use sdk::http::{Request, Response, Safety};
use sdk::{Error, ErrorKind};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

/// Most IOCs that one call of a listing returns (documented with an ambiguous sign before it).
pub(super) const PAGE: usize = 100;

const BLOCKLIST: [&str; 5] = ["public_api", "v1", "hash_exceptions", "blocklist", ""];
const UNBLOCK: [&str; 6] = [
    "public_api",
    "v1",
    "hash_exceptions",
    "blocklist",
    "remove",
    "",
];
const INSERT: [&str; 5] = ["public_api", "v1", "indicators", "insert_jsons", ""];
const GET: [&str; 4] = ["public_api", "v1", "indicators", "get"];
const DELETE: [&str; 4] = ["public_api", "v1", "indicators", "delete"];

/// Whether the tenant is up; any right will do.
pub(super) fn health() -> Request {
    Request::get("read", ["public_api", "v1", "healthcheck"])
}

#[derive(Serialize)]
struct Envelope<T> {
    request_data: T,
}

#[derive(Serialize)]
struct Hashes<'a> {
    hash_list: &'a [String],
    comment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident_id: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    detailed_response: bool,
}

/// Lists hashes as blocked. The vendor answers refusals with 500, so that is an answer, not trouble.
pub(super) fn block(hashes: &[String], comment: &str, incident_id: Option<u64>) -> Request {
    Request::new(Method::POST, Safety::Once, "write", BLOCKLIST).json(&Envelope {
        request_data: Hashes {
            hash_list: hashes,
            comment,
            incident_id,
            detailed_response: true,
        },
    })
}

/// Takes hashes off the block list.
pub(super) fn unblock(hashes: &[String], comment: &str, incident_id: Option<u64>) -> Request {
    Request::new(Method::POST, Safety::Once, "write", UNBLOCK).json(&Envelope {
        request_data: Hashes {
            hash_list: hashes,
            comment,
            incident_id,
            detailed_response: false,
        },
    })
}

/// What became of a call that changes the block list.
#[derive(Debug, PartialEq)]
pub(super) enum Listed {
    /// Done, row by row: which hashes are new and which were on the block or allow list already.
    Named {
        added: Vec<String>,
        excluded: Vec<String>,
    },
    /// Done, without a word about the rows.
    Done,
    /// The vendor says no.
    Refused,
    /// Something else.
    Strange,
}

/// Reads the answer of a call that succeeded. Its shape differs: `true`, `{"reply": true}`, `{"reply": 1}` or an
/// object with lists.
pub(super) fn listed(response: &Response) -> Listed {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        added_hashes: Option<Vec<String>>,
        #[serde(default)]
        excluded_hashes: Option<Vec<String>>,
    }
    let Ok(body) = serde_json::from_slice::<Json>(&response.body) else {
        return Listed::Strange;
    };
    let reply = body.get("reply").cloned().unwrap_or(body);
    match reply {
        Json::Bool(true) => Listed::Done,
        Json::Bool(false) => Listed::Refused,
        Json::Number(number) if number.as_u64().is_some_and(|number| number > 0) => Listed::Done,
        Json::Object(_) => match serde_json::from_value::<Named>(reply) {
            Ok(Named {
                added_hashes: None,
                excluded_hashes: None,
            })
            | Err(_) => Listed::Strange,
            Ok(named) => Listed::Named {
                added: named.added_hashes.unwrap_or_default(),
                excluded: named.excluded_hashes.unwrap_or_default(),
            },
        },
        _ => Listed::Strange,
    }
}

/// One IOC to write. What is left out here the vendor may keep or clear: we set none of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NewIoc {
    pub(super) indicator: String,
    #[serde(rename = "type")]
    pub(super) sort: &'static str,
    pub(super) severity: String,
    /// Epoch milliseconds; something else only where somebody else's entry is given back as it was.
    pub(super) expiration_date: Json,
    pub(super) comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reputation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reliability: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vendors: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
}

/// Writes IOCs; one with a value that is there is overwritten, so sending it twice is as good as once. Without
/// `validate` bad rows would vanish without a word.
pub(super) fn insert(iocs: &[NewIoc]) -> Request {
    #[derive(Serialize)]
    struct Insert<'a> {
        request_data: &'a [NewIoc],
        validate: bool,
    }
    Request::new(Method::POST, Safety::Idempotent, "write", INSERT).json(&Insert {
        request_data: iocs,
        validate: true,
    })
}

/// What `insert_jsons` says.
#[derive(Debug, Deserialize)]
pub(super) struct Inserted {
    pub(super) success: bool,
    #[serde(default)]
    pub(super) validation_errors: Option<Vec<RowError>>,
}

/// Why a row was not taken.
#[derive(Debug, Deserialize)]
pub(super) struct RowError {
    #[serde(default)]
    pub(super) indicator: String,
    #[serde(default)]
    pub(super) error: String,
}

/// The answer of `insert_jsons`; `None` where it says nothing about rows.
pub(super) fn inserted(response: &Response) -> Option<Inserted> {
    #[derive(Deserialize)]
    struct Reply {
        reply: Inserted,
    }
    let reply: Reply = serde_json::from_slice(&response.body).ok()?;
    Some(reply.reply)
}

#[derive(Serialize)]
struct Filter<T> {
    field: &'static str,
    operator: &'static str,
    value: T,
}

/// IOCs from a place in the list on, all or those with these values.
pub(super) fn page(from: usize, values: Option<&[String]>) -> Request {
    #[derive(Serialize)]
    struct Page<'a> {
        extended_view: bool,
        filters: Vec<Filter<&'a [String]>>,
        search_from: usize,
        search_to: usize,
    }
    let filter = |value| Filter {
        field: "indicator",
        operator: "IN",
        value,
    };
    Request::new(Method::POST, Safety::Read, "read", GET).json(&Envelope {
        request_data: Page {
            extended_view: true,
            filters: values.map(filter).into_iter().collect(),
            search_from: from,
            search_to: from + PAGE,
        },
    })
}

/// Removes the IOC with this value. There is no removal by id; the value is an IOC's identity.
pub(super) fn delete(indicator: &str) -> Request {
    #[derive(Serialize)]
    struct Delete<'a> {
        filters: [Filter<&'a str>; 1],
    }
    Request::new(Method::POST, Safety::Idempotent, "write", DELETE).json(&Envelope {
        request_data: Delete {
            filters: [Filter {
                field: "indicator",
                operator: "EQ",
                value: indicator,
            }],
        },
    })
}

/// A page of IOCs. Only errors have a `reply` around them. Its `objects_count` is sometimes the total and
/// sometimes the page's, so it is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) objects: Vec<Ioc>,
}

/// One IOC as it is listed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ioc {
    pub(super) rule_id: i64,
    pub(super) indicator: String,
    #[serde(rename = "type")]
    pub(super) sort: String,
    #[serde(default)]
    pub(super) severity: Option<String>,
    #[serde(default)]
    pub(super) expiration_date: Json,
    #[serde(default)]
    pub(super) default_expiration_enabled: Option<bool>,
    /// `None`: the list has no such field, which is not the same as an empty one.
    #[serde(default, deserialize_with = "present")]
    pub(super) comment: Option<Json>,
    #[serde(default)]
    pub(super) reputation: Option<String>,
    #[serde(default)]
    pub(super) reliability: Option<String>,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) vendors: Option<Json>,
    #[serde(default)]
    pub(super) class: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// What the vendor complains of: `err_code`, `err_msg` and `err_extra`, which may be a string, an object or absent.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) code: u16,
    /// Its words.
    pub(super) text: String,
}

/// The complaint in an answer, whatever its status: a 200 can carry one too.
pub(super) fn complaint(response: &Response) -> Option<Complaint> {
    #[derive(Deserialize)]
    struct Body {
        reply: Reply,
    }
    #[derive(Deserialize)]
    struct Reply {
        err_code: Json,
        #[serde(default)]
        err_msg: Json,
        #[serde(default)]
        err_extra: Json,
    }
    let body: Body = serde_json::from_slice(&response.body).ok()?;
    let code = match &body.reply.err_code {
        Json::String(text) => text.trim().parse().ok(),
        other => other.as_u64().and_then(|code| u16::try_from(code).ok()),
    };
    let words = |json: Json| match json {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    let text: Vec<String> = [body.reply.err_msg, body.reply.err_extra]
        .into_iter()
        .filter_map(words)
        .filter(|text| !text.is_empty())
        .collect();
    let line: String = text
        .join(": ")
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(300)
        .collect();
    Some(Complaint {
        code: code.unwrap_or_else(|| response.status.as_u16()),
        text: line,
    })
}

/// The status that counts: that of the complaint, if there is one.
pub(super) fn status(response: &Response) -> u16 {
    match complaint(response) {
        Some(complaint) if response.status.is_success() => complaint.code,
        _ => response.status.as_u16(),
    }
}

/// The vendor's words.
pub(super) fn words(response: &Response) -> String {
    complaint(response).map_or_else(|| response.excerpt(), |complaint| complaint.text)
}

/// What an answer that is not a success means.
pub(super) fn failure(what: &str, response: &Response, advanced: bool) -> Error {
    let status = status(response);
    let (kind, message, hint) = match status {
        401 => (
            ErrorKind::Auth,
            "cortex xdr refused the API key",
            if advanced {
                "check `api_key`, `api_key_id` and the clock; for a key of the level Standard set \
                 `advanced_api_key` to false"
            } else {
                "check `api_key` and `api_key_id`; for a key of the level Advanced set `advanced_api_key` to true"
            },
        ),
        402 => (
            ErrorKind::Denied,
            "the tenant's licence does not cover this",
            "the block list needs Prevent or Pro per Endpoint, IOC rules need Pro",
        ),
        403 => (
            ErrorKind::Denied,
            "the API key's role may not do this",
            "give its role the rights that `cordon connectors` lists",
        ),
        404 | 405 => (
            ErrorKind::Unsupported,
            "the tenant has no such call",
            "IOC lists need Cortex XDR 5 or XSIAM; check `fqdn`",
        ),
        429 => (
            ErrorKind::RateLimited,
            "cortex xdr asks to slow down",
            "run again later",
        ),
        500.. => (
            ErrorKind::Unavailable,
            "cortex xdr has a problem of its own",
            "run again later",
        ),
        _ => (
            ErrorKind::Rejected,
            "cortex xdr refused the request",
            "see the vendor's words",
        ),
    };
    Error::new(kind, message)
        .with("call", what)
        .with("status", status)
        .with("answer", words(response))
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use sdk::http::Body;

    use super::*;

    fn body(request: &Request) -> Json {
        let Body::Json(bytes) = &request.body else {
            panic!("no JSON");
        };
        serde_json::from_slice(bytes).unwrap()
    }

    fn answer(status: u16, body: &'static str) -> Response {
        Response {
            status: reqwest::StatusCode::from_u16(status).unwrap(),
            headers: reqwest::header::HeaderMap::new(),
            body: body.as_bytes().into(),
        }
    }

    #[test]
    fn requests_have_the_documented_shape() {
        let hashes = vec!["ab".repeat(32)];
        let request = block(&hashes, "why", Some(5));
        assert_eq!(
            request.path.join("/"),
            "public_api/v1/hash_exceptions/blocklist/"
        );
        assert_eq!(
            body(&request),
            serde_json::json!({ "request_data": { "hash_list": hashes, "comment": "why", "incident_id": 5,
                "detailed_response": true } })
        );
        let request = unblock(&hashes, "why", None);
        assert_eq!(
            request.path.join("/"),
            "public_api/v1/hash_exceptions/blocklist/remove/"
        );
        assert_eq!(
            body(&request),
            serde_json::json!({ "request_data": { "hash_list": hashes, "comment": "why" } })
        );
        let request = delete("evil.example.com\"]}");
        assert_eq!(request.path.join("/"), "public_api/v1/indicators/delete");
        assert_eq!(
            body(&request),
            serde_json::json!({ "request_data": { "filters": [
                { "field": "indicator", "operator": "EQ", "value": "evil.example.com\"]}" }] } })
        );
        let request = page(99, None);
        assert_eq!(
            body(&request),
            serde_json::json!({ "request_data": { "extended_view": true, "filters": [], "search_from": 99,
                "search_to": 199 } })
        );
    }

    #[test]
    fn every_shape_of_success_is_understood() {
        for text in ["true", "{\"reply\":true}", "{\"reply\":1}"] {
            assert_eq!(listed(&answer(200, text)), Listed::Done, "{text}");
        }
        assert_eq!(
            listed(&answer(
                200,
                r#"{"reply":{"added_hashes":["a"],"excluded_hashes":["b"]}}"#
            )),
            Listed::Named {
                added: vec!["a".into()],
                excluded: vec!["b".into()]
            }
        );
        assert_eq!(listed(&answer(200, "{\"reply\":false}")), Listed::Refused);
        for text in ["", "<html>", "{}", "{\"reply\":{}}", "{\"reply\":0}", "[]"] {
            assert_eq!(listed(&answer(200, text)), Listed::Strange, "{text}");
        }
    }

    #[test]
    fn a_complaint_is_read_in_every_form() {
        let said = |text| complaint(&answer(200, text)).map(|it| (it.code, it.text));
        assert_eq!(
            said(r#"{"reply":{"err_code":403,"err_msg":"no","err_extra":{"role":"x"}}}"#),
            Some((403, "no: {\"role\":\"x\"}".to_owned()))
        );
        assert_eq!(
            said(r#"{"reply":{"err_code":"500","err_msg":"no"}}"#),
            Some((500, "no".to_owned()))
        );
        assert_eq!(said("{\"reply\":true}"), None);
        assert_eq!(said("true"), None);
        assert_eq!(
            status(&answer(200, r#"{"reply":{"err_code":402,"err_msg":""}}"#)),
            402
        );
    }
}
