//! Who may call, and which device answers: a firewall, or a Panorama in front of several.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use sdk::Clock;
use sdk::fake::Switches;

use super::firewall::Firewall;
use super::panorama::Panorama;
use super::profile;
use super::registered::Table;
use super::wire::{Call, Reply};
use super::xml::Node;

/// The other administrator, who knows his password.
pub(super) const OTHER: (&str, &str) = ("ana", "Correct&Horse+1%");

/// The administrator that the connector is given.
pub(super) const OURS: &str = "svc-cordon";

/// Families of calls, each a right of its own.
pub(super) const FAMILIES: [&str; 4] = ["user-id", "op", "config", "commit"];

/// A key that was handed out.
struct Key {
    text: String,
    administrator: String,
    ends: Option<DateTime<Utc>>,
    /// Made by key generation, and not there from the start.
    generated: bool,
}

/// The whole of it.
pub(super) struct Site {
    pub(super) clock: Clock,
    pub(super) switches: Switches,
    /// The Panorama that stands in front, if one does.
    pub(super) panorama: Option<Panorama>,
    pub(super) firewalls: Vec<Firewall>,
    /// Serial numbers of firewalls that Panorama has no connection to.
    pub(super) disconnected: BTreeSet<String>,
    /// Panorama's own registered addresses, which reach no firewall.
    own_table: Table,
    /// Our administrator's rights.
    pub(super) rights: BTreeSet<String>,
    pub(super) password: String,
    keys: Vec<Key>,
    /// How long a generated key holds.
    pub(super) key_lifetime: Option<TimeDelta>,
    generated: u32,
    pub(super) keygens: usize,
}

impl Site {
    pub(super) fn new(clock: Clock, switches: Switches, key: &str, password: String) -> Self {
        Self {
            clock,
            switches,
            panorama: None,
            firewalls: Vec::new(),
            disconnected: BTreeSet::new(),
            own_table: Table(BTreeMap::new()),
            rights: FAMILIES.map(str::to_owned).into(),
            password,
            keys: vec![Key {
                text: key.to_owned(),
                administrator: OURS.to_owned(),
                ends: None,
                generated: false,
            }],
            key_lifetime: None,
            generated: 0,
            keygens: 0,
        }
    }

    /// Ends every key that was generated.
    pub(super) fn expire_keys(&mut self) {
        self.keys.retain(|key| !key.generated);
    }

    pub(super) fn answer(
        &mut self,
        call: &Call,
        header: Option<&str>,
        basic: Option<(String, String)>,
    ) -> Reply {
        self.pass();
        let family = call.field("type").unwrap_or_default();
        if family == "keygen" {
            return self.keygen(call);
        }
        let Some(administrator) = self.administrator(call, header, basic) else {
            return Reply::invalid_credential();
        };
        if family == "version" {
            let version = self
                .firewalls
                .first()
                .map_or("", |it| it.version_text.as_str());
            let version = Node::with_text("sw-version", version);
            return Reply::success(None, Node::new("result").with([version]));
        }
        if !FAMILIES.contains(&family) {
            return Reply::error(
                17,
                &format!("Illegal value for parameter \"type\" [{family}]."),
            );
        }
        if administrator == OURS && !self.rights.contains(family) {
            return if self.switches.get(&profile::MISSING_RIGHT) == "http-403" {
                Reply::status(
                    403,
                    "<response status=\"error\" code=\"16\"><msg><line>Unauthorized request</line></msg></response>",
                )
            } else {
                Reply::error(16, "Unauthorized request")
            };
        }
        let place = match (&mut self.panorama, call.field("target")) {
            (None, None) => 0,
            (None, Some(_)) => return Reply::error(17, "target is not supported on this device"),
            (Some(panorama), None) if family != "user-id" => {
                let serials: Vec<String> =
                    self.firewalls.iter().map(|it| it.serial.clone()).collect();
                return panorama.answer(call, family, &administrator, &serials);
            }
            (Some(_), None) => return self.register_on_panorama(call),
            (Some(_), Some(serial)) => {
                let place = self.firewalls.iter().position(|it| it.serial == serial);
                match place.filter(|_| !self.disconnected.contains(serial)) {
                    Some(place) => place,
                    None => return Reply::text_error(None, &format!("{serial} not connected")),
                }
            }
        };
        let Some(firewall) = self.firewalls.get_mut(place) else {
            return Reply::error(1, "no device");
        };
        match family {
            "user-id" => firewall.user_id(call, &administrator),
            "op" => firewall.operate(call, &administrator),
            "config" => firewall.configure(call, &administrator),
            _ => firewall.request_commit(call, &administrator),
        }
    }

    /// Lets everything happen whose time has come.
    pub(super) fn pass(&mut self) {
        for firewall in &mut self.firewalls {
            firewall.pass();
        }
        if let Some(panorama) = &mut self.panorama {
            panorama.pass(&mut self.firewalls, &self.disconnected);
        }
    }

    /// The firewalls, and the Panorama's own management plane.
    pub(super) fn planes(&mut self) -> impl Iterator<Item = &mut Firewall> {
        let panorama = self.panorama.as_mut().map(|it| &mut it.plane);
        self.firewalls.iter_mut().chain(panorama)
    }

    /// The management plane that answers: Panorama's where there is one.
    pub(super) fn managing(&mut self) -> Option<&mut Firewall> {
        match &mut self.panorama {
            Some(panorama) => Some(&mut panorama.plane),
            None => self.firewalls.first_mut(),
        }
    }

    fn register_on_panorama(&mut self, call: &Call) -> Reply {
        let switches = self.switches.clone();
        let rules = super::registered::Rules {
            version: (10, 2),
            now: self.clock.now(),
            capacity: 500_000,
            by_hand: false,
            position: &|switch| switches.get(switch),
        };
        let command = call.field("cmd").unwrap_or_default();
        self.own_table.take(command, &rules, &mut Vec::new());
        Reply::success(None, Node::new("result"))
    }

    fn keygen(&mut self, call: &Call) -> Reply {
        self.keygens += 1;
        let user = call.field("user").unwrap_or_default();
        let password = call.field("password").unwrap_or_default();
        let right = (user == OURS && password == self.password) || (user, password) == OTHER;
        if !right {
            return Reply::invalid_credential();
        }
        let rotates =
            self.key_lifetime.is_some() || self.switches.get(&profile::KEYGEN) == "rotating";
        if rotates {
            self.keys
                .retain(|key| !(key.generated && key.administrator == user));
            self.generated += 1;
        }
        let text = format!("LUFRPT{}=+/{}==", user, self.generated);
        if !self.keys.iter().any(|key| key.text == text) {
            self.keys.push(Key {
                text: text.clone(),
                administrator: user.to_owned(),
                ends: self
                    .key_lifetime
                    .map(|lifetime| self.clock.now() + lifetime),
                generated: true,
            });
        }
        Reply::success(
            None,
            Node::new("result").with([Node::with_text("key", text)]),
        )
    }

    fn administrator(
        &self,
        call: &Call,
        header: Option<&str>,
        basic: Option<(String, String)>,
    ) -> Option<String> {
        if let Some((user, password)) = basic {
            let right = (user == OURS && password == self.password)
                || (user.as_str(), password.as_str()) == OTHER;
            return right.then_some(user);
        }
        self.holder(header.or_else(|| call.field("key"))?)
    }

    /// Whose key it is, if it holds now.
    pub(super) fn holder(&self, text: &str) -> Option<String> {
        let now = self.clock.now();
        self.keys
            .iter()
            .find(|key| key.text == text && key.ends.is_none_or(|ends| ends > now))
            .map(|key| key.administrator.clone())
    }
}
