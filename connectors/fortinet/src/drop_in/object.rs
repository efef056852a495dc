//! One address object under a playbook's name.

use std::net::IpAddr;

use schemars::JsonSchema;
use sdk::action::{Call, Outcome};
use sdk::collection::{Protection, ProtectionSettings, Rules};
use sdk::indicator::{Kind, Value, refang};
use sdk::ownership::{Mark, Note};
use sdk::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Common, Done, Run, checked_name, settled};
use crate::api::{self, AddressRow, Page};
use crate::target::{Connection, Family, Version, body_of, comment as without_refused, value_of};

/// Longest comment.
const COMMENT: usize = 255;

/// FQDN objects stand for the names below one (`*.example.com`) from this version.
const WILDCARDS: Version = (6, 2, 2);

/// An object for an address or network.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Address {
    /// The object's name
    name: String,
    /// The address, or a network
    ip: String,
    #[serde(flatten)]
    more: More,
}

/// An object for a name.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Fqdn {
    /// The object's name
    name: String,
    /// The name that it stands for; `*.example.com` for the names below one
    fqdn: String,
    #[serde(flatten)]
    more: More,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct More {
    /// The interface that it is bound to; absent for any
    #[serde(default, rename = "associated-interface")]
    interface: Option<String>,
    /// The same
    #[serde(default)]
    associated_interface: Option<String>,
    /// Words shown with it, behind our mark
    #[serde(default)]
    comment: Option<String>,
    #[serde(flatten)]
    common: Common,
}

impl More {
    fn interface(&self) -> Result<String> {
        let given = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default().trim();
            // The console's word for none.
            if text.eq_ignore_ascii_case("any") {
                String::new()
            } else {
                text.to_owned()
            }
        };
        let (dashed, underlined) = (given(&self.interface), given(&self.associated_interface));
        match (dashed.is_empty(), underlined.is_empty()) {
            (false, false) if dashed != underlined => Err(Error::input(
                "associated-interface and associated_interface name two interfaces",
            )),
            (false, _) => Ok(dashed),
            _ => Ok(underlined),
        }
    }
}

pub(super) async fn add_address(call: Call<'_>) -> Result<Outcome> {
    let own: Address = read(&call)?;
    let text = refang(own.ip.trim());
    let value = Value::parse(Kind::Ipv4, &text)
        .or_else(|_| Value::parse(Kind::Ipv6, &text))
        .map_err(|error| Error::input(format!("ip {:?} is no address", own.ip)).because(error))?;
    refuse_host_bits(&text, &value)?;
    add(call, &own.name, &value, false, &own.more).await
}

/// An address with a prefix length is one that somebody slipped with, or a whole network: a person says which.
fn refuse_host_bits(text: &str, value: &Value) -> Result<()> {
    let network = match value {
        Value::Ipv4(network) => IpAddr::from(network.network()),
        Value::Ipv6(network) => IpAddr::from(network.network()),
        _ => return Ok(()),
    };
    match text.split_once('/') {
        Some((address, _))
            if address
                .trim()
                .parse::<IpAddr>()
                .is_ok_and(|it| it != network) =>
        {
            Err(Error::input(format!(
                "ip {text:?} is an address inside of the network {value}"
            ))
            .hint("give the address alone, or the network"))
        }
        _ => Ok(()),
    }
}

pub(super) async fn add_fqdn(call: Call<'_>) -> Result<Outcome> {
    let own: Fqdn = read(&call)?;
    let (value, below) = name_of(&own.fqdn)?;
    add(call, &own.name, &value, below, &own.more).await
}

/// A name, and whether the names below it are meant.
fn name_of(text: &str) -> Result<(Value, bool)> {
    let plain = refang(text.trim());
    let (name, below) = match plain.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (plain.as_ref(), false),
    };
    let value = Value::parse(Kind::Domain, name)
        .map_err(|error| Error::input(format!("fqdn {text:?} is no name")).because(error))?;
    Ok((value, below))
}

fn read<T: serde::de::DeserializeOwned>(call: &Call<'_>) -> Result<T> {
    serde_json::from_value(call.arguments.clone())
        .map_err(|error| Error::input("the arguments are not as they should be").because(error))
}

/// An object as it has to be.
struct Wanted<'a> {
    name: &'a str,
    value: &'a Value,
    /// It stands for the names below the value, and not for the value.
    below: bool,
    family: Family,
    interface: String,
    mark: Mark,
    words: String,
    installation: String,
}

async fn add(
    mut call: Call<'_>,
    name: &str,
    value: &Value,
    below: bool,
    more: &More,
) -> Result<Outcome> {
    let name = checked_name("name", name)?;
    let interface = more.interface()?;
    let family = Family::of(value)
        .ok_or_else(|| Error::input("no address object can stand for this kind"))?;
    if family == Family::Ipv6 && !interface.is_empty() {
        return Err(Error::input(
            "an IPv6 object cannot be bound to an interface",
        ));
    }
    let now = call.context.environment.clock.now();
    let mut run = Run::new(&mut call, &more.common)?;
    let protection = Protection::new(&ProtectionSettings {
        management_hosts: run.setup.management_hosts.clone(),
        ..ProtectionSettings::default()
    });
    let rules = Rules::new(&[], &[], protection, now);
    let hit_below = || below.then(|| rules.conflict(value)).flatten();
    if let Some(rule) = rules.refuses(value).or_else(hit_below) {
        let names = if below { "what is below " } else { "" };
        return Err(Error::new(
            ErrorKind::Rejected,
            format!("{names}{value} is never blocked: {}", rule.text),
        ));
    }
    let wanted = Wanted {
        name: &name,
        value,
        below,
        family,
        interface,
        mark: Mark::new(run.owner()?, None),
        words: words(more.comment.as_deref().unwrap_or_default()),
        installation: run.installation().to_owned(),
    };
    let body = wanted.body()?;
    let firewalls = std::mem::take(&mut run.firewalls);
    for firewall in &firewalls {
        let result = match run.is_dry(firewall).await {
            Ok(dry) => {
                let work = wanted.ensure(&firewall.connection, dry);
                run.alone(firewall, work).await
            }
            Err(error) => Err(error),
        };
        if let Ok(done) = &result {
            let kind = Some(value.kind());
            run.note(&firewall.device, &wanted.stands_for(), kind, done);
        }
        run.device(firewall.device.clone(), result.map(drop));
    }
    run.firewalls = firewalls;
    let mut named = Map::new();
    named.insert("json".to_owned(), body);
    Ok(run.finish(named))
}

/// A person's words on one line, without what could be read as a mark or is refused by FortiOS.
fn words(text: &str) -> String {
    let plain: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !is_mark(word))
        .collect();
    without_refused(&plain.join(" ")).into_owned()
}

/// Whether a word is a mark of some installation, or could be read as one.
fn is_mark(word: &str) -> bool {
    word.starts_with("cordon")
}

impl Wanted<'_> {
    /// What the object stands for, as the firewall writes it.
    fn stands_for(&self) -> String {
        let below = if self.below { "*." } else { "" };
        format!("{below}{}", self.value)
    }

    /// Older firmware reads a `*` as part of a name, which never resolves.
    async fn check_version(&self, firewall: &Connection) -> Result<()> {
        let (text, version, _) = firewall.status().await?;
        if version < WILDCARDS {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("FortiOS {text} has no objects for the names below one"),
            )
            .with("fqdn", self.stands_for())
            .hint("update to FortiOS 6.2.2 or later, or give whole names"));
        }
        Ok(())
    }

    /// A new object.
    fn body(&self) -> Result<Json> {
        let comment = self.comment(Note::default())?;
        let mut body = json!(body_of(self.name, self.value, &comment));
        if self.below {
            body["fqdn"] = json!(self.stands_for());
        }
        if self.family != Family::Ipv6 {
            body["associated-interface"] = json!(self.interface);
        }
        Ok(body)
    }

    /// The comment of an object that has this note: our mark in the place of our last one, marks of others as
    /// they are, and the words that were given now, if any were.
    fn comment(&self, mut note: Note) -> Result<String> {
        note.marks.retain(|mark| mark.owner != self.mark.owner);
        note.marks.push(self.mark.clone());
        note.marks.sort_by(|a, b| a.owner.cmp(&b.owner));
        if !self.words.is_empty() {
            let others = note.rest.split_whitespace();
            let mut rest: Vec<&str> = others.filter(|word| is_mark(word)).collect();
            rest.push(&self.words);
            note.rest = rest.join(" ");
        }
        note.write(&self.installation, self.value, COMMENT)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Rejected,
                    "the marks of all owners do not fit into the object's comment",
                )
                .with("name", self.name)
                .hint("choose another name, or remove the object")
            })
    }

    /// Makes the object, or lets it be where it is as it has to be.
    async fn ensure(&self, firewall: &Connection, dry: bool) -> Result<Done> {
        if self.below {
            self.check_version(firewall).await?;
        }
        let (change, done) = match self.look(firewall).await? {
            Found::Right => return Ok(Done::Unchanged),
            Found::Foreign => return Ok(Done::Foreign),
            Found::None => (
                api::create_object(&firewall.vdom, self.family, &self.body()?),
                Done::Added,
            ),
            Found::Ours(note) => {
                let mut fields = json!({ "comment": self.comment(note)? });
                if self.family != Family::Ipv6 {
                    fields["associated-interface"] = json!(self.interface);
                }
                (
                    api::change_object(&firewall.vdom, self.family, self.name, &fields),
                    Done::Updated,
                )
            }
        };
        if dry {
            return Ok(done);
        }
        let verdict = firewall.write(change, "the address object").await;
        // Another run was here, or the answer was lost: what is there decides.
        if settled(verdict)? || matches!(self.look(firewall).await?, Found::Right) {
            return Ok(done);
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the firewall did not take the address object",
        )
        .with("name", self.name))
    }

    async fn look(&self, firewall: &Connection) -> Result<Found> {
        let request = api::address(&firewall.vdom, self.family, self.name);
        let response = firewall.send(request).await?;
        if response.status.as_u16() == 404 {
            return Ok(Found::None);
        }
        let page: Page<Vec<AddressRow>> = Page::read(&response, "address")?;
        let Some(row) = page.results.into_iter().next() else {
            return Ok(Found::None);
        };
        let stands_for = match value_of(self.family, &row) {
            Some(value) => value.to_string(),
            None if row.kind == "fqdn" => row.fqdn.to_ascii_lowercase(),
            None => row.kind.clone(),
        };
        if stands_for != self.stands_for() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("an object of this name stands for {stands_for}"),
            )
            .with("name", self.name)
            .hint("choose another name: a group could use the object that is there"));
        }
        let note = Note::read(&row.comment, &self.installation, self.value);
        if note.marks.is_empty() {
            return Ok(Found::Foreign);
        }
        let same = self.comment(note.clone())? == row.comment;
        Ok(if same && row.associated_interface == self.interface {
            Found::Right
        } else {
            Found::Ours(note)
        })
    }
}

/// What is there under a name. Something that stands for another value is an error.
enum Found {
    None,
    Right,
    /// With marks of ours, and not as it should be: our owner's is missing, or words or interface differ.
    Ours(Note),
    Foreign,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_the_interface_are_read() {
        let read = |json: Json| serde_json::from_value::<More>(json).unwrap().interface();
        assert_eq!(read(json!({})).unwrap(), "");
        assert_eq!(read(json!({ "associated-interface": "Any" })).unwrap(), "");
        assert_eq!(
            read(json!({ "associated-interface": "port1" })).unwrap(),
            "port1"
        );
        assert_eq!(
            read(json!({ "associated_interface": "port1" })).unwrap(),
            "port1"
        );
        let two = json!({ "associated-interface": "port1", "associated_interface": "port2" });
        assert!(read(two).is_err());
    }

    #[test]
    fn an_address_with_a_prefix_length_is_no_network() {
        for (text, kind, fits) in [
            ("45.83.1.0/24", Kind::Ipv4, true),
            ("45.83.1.7/32", Kind::Ipv4, true),
            ("45.83.1.7", Kind::Ipv4, true),
            ("45.83.1.7/24", Kind::Ipv4, false),
            ("2a03:5f80::/32", Kind::Ipv6, true),
            ("2a03:5f80::1/32", Kind::Ipv6, false),
        ] {
            let value = Value::parse(kind, text).unwrap();
            assert_eq!(refuse_host_bits(text, &value).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn marks_of_others_stay_as_they_are() {
        let value = Value::parse(Kind::Ipv4, "45.83.0.1").unwrap();
        let owner = |name: &str| sdk::ownership::Owner::new(name).unwrap();
        let end = "2030-01-01T00:00:00Z".parse().ok();
        let wanted = |words: &str| Wanted {
            name: "a",
            value: &value,
            below: false,
            family: Family::Ipv4,
            interface: String::new(),
            mark: Mark::new(owner("manual"), None),
            words: words.to_owned(),
            installation: "main".to_owned(),
        };
        let there = Note {
            marks: vec![
                Mark::new(owner("acme"), end),
                Mark::new(owner("manual"), end),
                Mark::new(owner("zeta"), None),
            ],
            was: None,
            rest: "case 7 cordon:1;elsewhere;acme;-;abcdef".to_owned(),
        };
        let read = |words: &str| {
            let text = wanted(words).comment(there.clone()).unwrap();
            Note::read(&text, "main", &value)
        };
        let note = read("case 8");
        let mut marks = there.marks.clone();
        marks[1].until = None;
        assert_eq!(note.marks, marks);
        assert_eq!(note.rest, "cordon:1;elsewhere;acme;-;abcdef case 8");
        assert_eq!(read("").rest, there.rest);
        let mut full = there.clone();
        full.marks
            .extend((0..9).map(|number| Mark::new(owner(&format!("owner-{number}")), end)));
        assert!(wanted("").comment(full).is_err(), "no mark is cut");
    }

    #[test]
    fn a_wildcard_is_the_whole_first_label() {
        for (text, name, below) in [
            (" Evil.Example[.]net", "evil.example.net", false),
            ("*.Evil.example.net", "evil.example.net", true),
        ] {
            let (value, found) = name_of(text).unwrap();
            assert_eq!((value.to_string().as_str(), found), (name, below));
        }
        for wrong in [
            "evil*.example.net",
            "*.*.example.net",
            "*.",
            "*",
            "*.1.2.3.4",
        ] {
            assert!(name_of(wrong).is_err(), "{wrong}");
        }
    }

    fn wanted<'a>(value: &'a Value, below: bool) -> Wanted<'a> {
        Wanted {
            name: "a",
            value,
            below,
            family: Family::Fqdn,
            interface: String::new(),
            mark: Mark::new(sdk::ownership::Owner::new("manual").unwrap(), None),
            words: String::new(),
            installation: "main".to_owned(),
        }
    }

    fn connect(configuration: Json) -> Connection {
        let config: crate::config::Config = serde_json::from_value(configuration).unwrap();
        let endpoint = &config.endpoints().unwrap()[0];
        let environment = sdk::connector::Environment::new(sdk::Clock::system());
        Connection::new(&config, endpoint, &environment).unwrap()
    }

    #[tokio::test]
    async fn the_names_below_one_are_another_object_than_the_name() {
        let options = sdk::fake::FakeOptions::plain(sdk::Clock::system());
        let fake = crate::fake::start(options).await.unwrap();
        let firewall = connect(fake.configuration.clone());
        let value = Value::parse(Kind::Domain, "evil.example.net").unwrap();
        let (below, alone) = (wanted(&value, true), wanted(&value, false));
        let done = below.ensure(&firewall, false).await.unwrap();
        assert!(matches!(done, Done::Added));
        let row = api::address(&firewall.vdom, Family::Fqdn, "a");
        let page: Page<Vec<AddressRow>> = firewall.read(row, "address").await.unwrap();
        let row = &page.results[0];
        assert_eq!((&*row.kind, &*row.fqdn), ("fqdn", "*.evil.example.net"));
        let done = below.ensure(&firewall, false).await.unwrap();
        assert!(matches!(done, Done::Unchanged));
        let Err(error) = alone.ensure(&firewall, false).await else {
            panic!("the name is not what the object stands for");
        };
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("*.evil.example.net"), "{error}");
    }

    #[tokio::test]
    async fn firmware_without_wildcards_gets_none() {
        let server = wiremock::MockServer::start().await;
        let status = wiremock::ResponseTemplate::new(200).set_body_json(json!({
            "status": "success", "version": "v6.2.1", "build": 932, "serial": "FG", "results": {},
        }));
        wiremock::Mock::given(wiremock::matchers::any())
            .respond_with(status)
            .mount(&server)
            .await;
        let firewall = connect(json!({
            "firewalls": [{ "base_ip": server.uri(), "api_key": "k6" }],
        }));
        let value = Value::parse(Kind::Domain, "evil.example.net").unwrap();
        let Err(error) = wanted(&value, true).ensure(&firewall, false).await else {
            panic!("6.2.1 has no such objects");
        };
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint_text().unwrap().contains("6.2.2"), "{error:?}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }

    #[test]
    fn words_are_no_marks() {
        assert_eq!(
            words("by alice\n cordon:1;main;manual;-;abcdef <b>"),
            "by alice  b "
        );
    }
}
