//! The device as its own administrator sees it.

use sdk::fake::{FakeEntry, FakeState, Switch};
use sdk::indicator::Value;

use super::folder::Folder;
use super::registered::{Address, Rules};
use super::site::Site;
use super::tree::Config;
use super::xml::Node;
use super::{Shared, profile, site, tree};

/// The devices; what tests ask concerns the first one.
pub(super) struct Devices {
    shared: Shared,
    /// Where lists are published.
    folder: Folder,
}

impl Devices {
    pub(super) fn new(shared: Shared, folder: Folder) -> Self {
        Self { shared, folder }
    }

    /// Registers or unregisters a tag by hand.
    fn register(&self, value: &Value, register: bool) -> bool {
        let Some(address) = Address::of(value) else {
            return false;
        };
        let mut site = self.shared.lock();
        let Some(firewall) = site.firewalls.first_mut() else {
            return false;
        };
        firewall.pass();
        let denied = firewall
            .denied(true)
            .iter()
            .any(|entry| entry.value == *value);
        if denied == register {
            return false;
        }
        let switches = firewall.switches.clone();
        let rules = Rules {
            version: (10, 2),
            now: firewall.now(),
            capacity: firewall.capacity,
            by_hand: true,
            position: &|switch| switches.get(switch),
        };
        let Some(table) = firewall.tables.get_mut("vsys1") else {
            return false;
        };
        if !register {
            table.0.remove(&address);
            return true;
        }
        let document = format!(
            "<uid-message><type>update</type><payload><register><entry ip=\"{}\"><tag><member>cordon-a</member></tag></entry></register></payload></uid-message>",
            address.text()
        );
        table.take(&document, &rules, &mut Vec::new());
        table.0.contains_key(&address)
    }

    /// Makes or removes an address object by hand, and has it enforced.
    fn object(&self, value: &Value, make: bool) -> bool {
        let mut site = self.shared.lock();
        site.pass();
        let now = site.clock.now();
        let (place, configs) = configs(&mut site);
        let step = |text: String| tree::path(&format!("{place}/{text}")).unwrap_or_default();
        let mut configs = configs;
        // In candidate and active configuration at once: what others have pending is not part of it.
        let mut change = |action: &str, path: &[tree::Step], element: &[Node]| {
            let mut is_done = false;
            for config in &mut configs {
                let mut active = Config::new(config.active.clone());
                if active
                    .change(action, path, element, site::OTHER.0, now)
                    .is_ok()
                {
                    let mut candidate = Config::new(config.candidate.clone());
                    // It may be gone from the candidate already.
                    let _ = candidate.change(action, path, element, site::OTHER.0, now);
                    config.active = active.candidate;
                    config.candidate = candidate.candidate;
                    is_done = true;
                }
            }
            is_done
        };
        if make {
            let (field, text) = match value {
                Value::Domain(name) => ("fqdn", name.as_str().to_owned()),
                Value::Ipv4(_) | Value::Ipv6(_) => ("ip-netmask", value.to_string()),
                _ => return false,
            };
            let name: String = format!("ana-{text}")
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || c == '.' {
                        c
                    } else {
                        '-'
                    }
                })
                .take(60)
                .collect();
            let object = Node::entry(&name).with([
                Node::with_text(field, text),
                Node::with_text("description", "ask Ana"),
            ]);
            return change("set", &step("address".to_owned()), &[object])
                && change(
                    "set",
                    &step("address-group/entry[@name='cordon-1']/static".to_owned()),
                    &[Node::with_text("member", name)],
                );
        }
        drop(site);
        self.remove_object(value)
    }

    /// Somebody takes a line out of the published file, and the device fetches it.
    fn edit(&self, value: &Value) -> bool {
        let mut site = self.shared.lock();
        let Some(firewall) = site.firewalls.first_mut() else {
            return false;
        };
        firewall.pass();
        let lines: Vec<String> = firewall
            .listed()
            .into_iter()
            .filter(|entry| entry.value == *value)
            .map(|entry| entry.text)
            .collect();
        let mut edited = false;
        for file in ["cordon-ip.txt", "cordon-domain.txt", "cordon-url.txt"] {
            let path = self.folder.path().join(file);
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let kept: String = text
                .lines()
                .filter(|line| !lines.iter().any(|gone| gone == line))
                .map(|line| format!("{line}\n"))
                .collect();
            if kept != text {
                edited |= std::fs::write(&path, kept).is_ok();
            }
        }
        firewall.fetch_all();
        edited
    }

    fn remove_object(&self, value: &Value) -> bool {
        let mut site = self.shared.lock();
        let Some(firewall) = site.firewalls.first() else {
            return false;
        };
        let entries = firewall.denied(false);
        let Some(entry) = entries.iter().find(|entry| entry.value == *value) else {
            return false;
        };
        let Some(name) =
            Node::parse(&entry.text).and_then(|node| node.attribute("name").map(str::to_owned))
        else {
            return false;
        };
        for config in configs(&mut site).1 {
            prune(&mut config.active, &name);
            prune(&mut config.candidate, &name);
        }
        true
    }
}

/// Where objects are kept, and the configurations that have that place: the first firewall's own, or Panorama's and
/// what it pushed.
fn configs(site: &mut Site) -> (String, Vec<&mut Config>) {
    let root = "/config/devices/entry[@name='localhost.localdomain']";
    match site.panorama.as_mut().filter(|it| !it.group.is_empty()) {
        Some(panorama) => {
            let place = format!("{root}/device-group/entry[@name='{}']", panorama.group);
            let pushed = site
                .firewalls
                .iter_mut()
                .filter_map(|it| it.pushed.as_mut());
            let own = std::iter::once(&mut panorama.plane.config);
            (place, own.chain(pushed).collect())
        }
        None => {
            let first = site.firewalls.iter_mut().take(1);
            let place = format!("{root}/vsys/entry[@name='vsys1']");
            (place, first.map(|it| &mut it.config).collect())
        }
    }
}

/// Takes an address out of everything.
fn prune(node: &mut Node, name: &str) {
    node.children.retain(|child| match child.name.as_str() {
        "member" => child.text != name,
        "entry" => child.attribute("name") != Some(name),
        _ => true,
    });
    for child in &mut node.children {
        prune(child, name);
    }
}

impl FakeState for Devices {
    fn switches(&self) -> Vec<Switch> {
        profile::SWITCHES.to_vec()
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        let mut site = self.shared.lock();
        site.pass();
        let Some(firewall) = site.firewalls.first() else {
            return Vec::new();
        };
        match mechanism {
            "tags" => firewall.denied(true),
            "objects" => firewall.denied(false),
            "edl" => firewall.listed(),
            _ => Vec::new(),
        }
    }

    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool {
        match mechanism {
            "tags" => self.register(value, true),
            "objects" => self.object(value, true),
            _ => false,
        }
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
        match mechanism {
            "tags" => self.register(value, false),
            "objects" => self.object(value, false),
            "edl" => self.edit(value),
            _ => false,
        }
    }

    fn expire_sessions(&self) {
        self.shared.lock().expire_keys();
    }

    /// A device holds what its model holds.
    fn set_capacity(&self, _: usize) {}

    fn reboot(&self) {
        let mut site = self.shared.lock();
        site.pass();
        for firewall in site.planes() {
            let stop = firewall.position(&profile::REBOOT_TIMER) == "for-ever";
            for table in firewall.tables.values_mut() {
                table.reboot(stop);
            }
            firewall.jobs.forget();
        }
    }
}
