//! The REST API: objects of the candidate configuration as JSON. Nothing is committed by it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::firewall::Firewall;
use super::site::{self, Site};
use super::tree::{self, Step};
use super::wire;
use super::xml::Node;

/// The resources, and where each lies in the configuration.
const RESOURCES: [(&str, &str); 4] = [
    ("Objects/Addresses", "address"),
    ("Objects/AddressGroups", "address-group"),
    ("Objects/ExternalDynamicLists", "external-list"),
    ("Objects/Tags", "tag"),
];

/// What a call may be called with. An entry may repeat each as an attribute.
const PARAMETERS: [&str; 4] = ["name", "location", "vsys", "device-group"];

/// Elements of which there may be several.
const REPEATED: [&str; 2] = ["entry", "member"];

/// A call.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    /// What follows `/restapi/`: version and resource.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// The header `X-PAN-KEY`.
    pub(super) key: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// The documented families of refusals.
#[derive(Clone, Copy, Debug)]
enum Family {
    InvalidObject,
    NotPresent,
    NotUnique,
    Referenced,
    OtherVersion,
    /// Neither status nor code of these two are documented: the status is that of the XML API.
    Unauthenticated,
    Forbidden,
}

impl Family {
    /// Status, code and message.
    fn parts(self) -> (StatusCode, u16, &'static str) {
        match self {
            Self::InvalidObject => (StatusCode::BAD_REQUEST, 3, "Invalid Object"),
            Self::NotPresent => (StatusCode::NOT_FOUND, 5, "Object Not Present"),
            Self::NotUnique => (StatusCode::CONFLICT, 6, "Name Not Unique"),
            Self::Forbidden => (StatusCode::FORBIDDEN, 7, "Permission Denied"),
            Self::Referenced => (StatusCode::CONFLICT, 9, "Reference Not Zero"),
            Self::OtherVersion => (StatusCode::NOT_IMPLEMENTED, 12, "Version Not Supported"),
            Self::Unauthenticated => (StatusCode::FORBIDDEN, 16, "Unauthenticated"),
        }
    }
}

/// Why a call is refused.
struct Refusal {
    family: Family,
    /// Code of the same refusal in the XML API.
    cause: u16,
    text: String,
}

impl Refusal {
    fn new(family: Family, cause: u16, text: impl Into<String>) -> Self {
        Self {
            family,
            cause,
            text: text.into(),
        }
    }

    fn invalid(text: impl Into<String>) -> Self {
        Self::new(Family::InvalidObject, 12, text)
    }

    /// What the configuration said no with.
    fn of((code, text): (u16, String)) -> Self {
        let family = match code {
            7 => Family::NotPresent,
            10 => Family::Referenced,
            _ => Family::InvalidObject,
        };
        Self::new(family, code, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = self.family.parts();
        let description = format!("{message}: {}", self.text);
        let cause =
            json!({ "code": self.cause, "module": "panui_mgmt", "description": description });
        let details = json!([{ "@type": "CauseInfo", "causes": [cause] }]);
        let body = json!({ "code": code, "message": message, "details": details });
        (status, Json(body)).into_response()
    }
}

impl Site {
    /// Answers a call.
    pub(super) fn rest(&mut self, call: &Call<'_>) -> Response {
        self.pass();
        match self.resource(call) {
            Ok(body) => Json(body).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    fn resource(&mut self, call: &Call<'_>) -> Result<Value, Refusal> {
        let administrator = call
            .key
            .and_then(|key| self.holder(key))
            .ok_or_else(|| Refusal::new(Family::Unauthenticated, 16, "Invalid Credential"))?;
        // A role's rights of the REST API are not known apart from those of the XML API.
        if administrator == site::OURS && !self.rights.contains("config") {
            return Err(Refusal::new(Family::Forbidden, 16, "Unauthorized request"));
        }
        let Some(plane) = self.managing() else {
            return Err(Refusal::invalid("no device"));
        };
        let (version, resource) = call.path.split_once('/').unwrap_or((call.path, ""));
        if plane.rest_version().as_deref() != Some(version) {
            let text = format!("{version} is not the version of this device");
            return Err(Refusal::new(Family::OtherVersion, 1, text));
        }
        let (_, section) = RESOURCES
            .into_iter()
            .find(|(name, _)| *name == resource)
            .ok_or_else(|| {
                let text = format!("there is no resource {resource}");
                Refusal::new(Family::NotPresent, 1, text)
            })?;
        let query = Parameters::read(call.query)?;
        let place = query.place(plane, section)?;
        match call.method {
            "POST" | "PUT" | "DELETE" => plane.write(call, &query, place, &administrator),
            _ => plane.read(&query, place),
        }
    }
}

impl Firewall {
    /// How the path names the device's version; `None` where it is older than the REST API.
    fn rest_version(&self) -> Option<String> {
        match self.version() {
            (..9, ..) => None,
            (9, 0, _) => Some("9.0".to_owned()),
            (major, minor, _) => Some(format!("v{major}.{minor}")),
        }
    }

    /// One object, or all of a place.
    fn read(&self, query: &Parameters, mut place: Vec<Step>) -> Result<Value, Refusal> {
        let found = match query.get("name") {
            Some(name) => {
                place.push(Step::entry(name));
                let object = self.config.get(&place).ok_or_else(|| missing(name))?;
                vec![object]
            }
            None => self
                .config
                .get(&place)
                .map_or(Vec::new(), |section| section.children),
        };
        let count = found.len().to_string();
        let entries: Vec<Value> = found.iter().map(|node| query.shown(node)).collect();
        let result = json!({ "@total-count": count, "@count": count, "entry": entries });
        Ok(json!({ "@status": "success", "@code": "19", "result": result }))
    }

    /// Makes, replaces or removes an object of the candidate configuration.
    fn write(
        &mut self,
        call: &Call<'_>,
        query: &Parameters,
        section: Vec<Step>,
        administrator: &str,
    ) -> Result<Value, Refusal> {
        let name = query.need("name")?;
        if let Some((code, text)) = self.no_change_now(administrator) {
            // A lock's refusal has no code in the XML API.
            let cause = code.unwrap_or(14);
            return Err(Refusal::new(Family::InvalidObject, cause, text));
        }
        let object = [section.clone(), vec![Step::entry(name)]].concat();
        let is_there = self.config.get(&object).is_some();
        let (action, path, element) = match (call.method, is_there) {
            ("POST", true) => {
                let text = format!("'{name}' is already in use");
                return Err(Refusal::new(Family::NotUnique, 8, text));
            }
            ("POST", false) => ("set", section, vec![query.entry(call.body)?]),
            (_, false) => return Err(missing(name)),
            ("PUT", true) => ("edit", object, vec![query.entry(call.body)?]),
            (_, true) => ("delete", object, Vec::new()),
        };
        let now = self.now();
        self.config
            .change(action, &path, &element, administrator, now)
            .map_err(Refusal::of)?;
        Ok(json!({ "@status": "success", "@code": "20", "msg": "command succeeded" }))
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::new(
        Family::NotPresent,
        7,
        format!("object '{name}' doesn't exist"),
    )
}

/// What stands in the query.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(query: &str) -> Result<Self, Refusal> {
        let all = wire::decode(query);
        for (index, (name, _)) in all.iter().enumerate() {
            let is_known = PARAMETERS.contains(&name.as_str());
            if !is_known || all[..index].iter().any(|(other, _)| other == name) {
                let text = format!("query parameter {name} is unknown or given twice");
                return Err(Refusal::invalid(text));
            }
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    fn need(&self, name: &str) -> Result<&str, Refusal> {
        let missing = || Refusal::invalid(format!("query parameter {name} is missing"));
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(missing)
    }

    /// The section of the configuration that location and what belongs to it name.
    fn place(&self, plane: &Firewall, section: &str) -> Result<Vec<Step>, Refusal> {
        let location = self.need("location")?;
        let text = match location {
            "shared" => "/config/shared",
            "vsys" => "/config/devices/entry[@name='localhost.localdomain']/vsys",
            "device-group" => "/config/devices/entry[@name='localhost.localdomain']/device-group",
            other => {
                let text = format!("nothing can be read or written at the location {other}");
                return Err(Refusal::invalid(text));
            }
        };
        let unknown = || Refusal::invalid(format!("there is no such {location}"));
        let mut place = tree::path(text).ok_or_else(unknown)?;
        if location != "shared" {
            place.push(Step::entry(self.need(location)?));
        }
        plane.config.get(&place).ok_or_else(unknown)?;
        place.push(Step::named(section));
        Ok(place)
    }

    /// The one entry of a body; what it repeats of the query must be the same there.
    fn entry(&self, body: &[u8]) -> Result<Node, Refusal> {
        let malformed = || Refusal::invalid("the body is not {\"entry\":[{…}]} with one entry");
        let mut body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| malformed())?;
        let entries = body.remove("entry").filter(|_| body.is_empty());
        let Some(Value::Array(entries)) = entries else {
            return Err(malformed());
        };
        let [Value::Object(entry)] = &entries[..] else {
            return Err(malformed());
        };
        let mut entry = entry.clone();
        let name = entry.get("@name").and_then(Value::as_str);
        if name.is_none() || name != self.get("name") {
            let text = "@name of the entry is not the query parameter name";
            return Err(Refusal::invalid(text));
        }
        for parameter in &PARAMETERS[1..] {
            let repeated = entry.remove(&format!("@{parameter}"));
            if repeated.is_some_and(|value| value.as_str() != self.get(parameter)) {
                let text = format!("@{parameter} of the entry is not the query parameter");
                return Err(Refusal::invalid(text));
            }
        }
        node("entry", &Value::Object(entry)).ok_or_else(malformed)
    }

    /// An object as it is answered, with where it lies.
    fn shown(&self, node: &Node) -> Value {
        let mut shown = json(node);
        for parameter in &PARAMETERS[1..] {
            if let Some(value) = self.get(parameter) {
                shown[format!("@{parameter}")] = json!(value);
            }
        }
        shown
    }
}

/// Attributes are fields with an `@`, elements of which there may be several are lists.
fn json(node: &Node) -> Value {
    if node.attributes.is_empty() && node.children.is_empty() {
        return json!(node.text);
    }
    let mut fields = Map::new();
    for (name, value) in &node.attributes {
        fields.insert(format!("@{name}"), json!(value));
    }
    for child in &node.children {
        if !REPEATED.contains(&child.name.as_str()) {
            fields.insert(child.name.clone(), json(child));
            continue;
        }
        let all = fields.entry(&child.name).or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.push(json(child));
        }
    }
    Value::Object(fields)
}

/// The reverse of it; `None` for what no configuration can hold.
fn node(name: &str, value: &Value) -> Option<Node> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let fields = match value {
        Value::String(text) => return Some(Node::with_text(name, text.as_str())),
        Value::Object(fields) => fields,
        _ => return None,
    };
    let mut made = Node::new(name);
    for (field, value) in fields {
        match value {
            Value::String(text) if field == "@name" => {
                made.attributes.push(("name".to_owned(), text.clone()));
            }
            Value::Array(all) if REPEATED.contains(&field.as_str()) => {
                for one in all {
                    made.children.push(node(field, one)?);
                }
            }
            value => made.children.push(node(field, value)?),
        }
    }
    Some(made)
}
