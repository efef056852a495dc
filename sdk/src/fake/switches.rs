//! Switches: what is not known about the real vendor, so that both answers are tested.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// One unknown, with the answers that the vendor file allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub name: &'static str,
    /// What the unknown is, and the vendor file's section.
    pub about: &'static str,
    /// The positions; the first is the default.
    pub positions: &'static [&'static str],
    /// The position that forgives least.
    pub harshest: &'static str,
}

/// Chosen positions by switch name; absent is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches(pub BTreeMap<String, String>);

impl Switches {
    /// With one more position set.
    #[must_use]
    pub fn with(mut self, name: &str, position: &str) -> Self {
        self.0.insert(name.to_owned(), position.to_owned());
        self
    }

    /// The position of a switch.
    pub fn get(&self, switch: &Switch) -> String {
        self.0
            .get(switch.name)
            .cloned()
            .unwrap_or_else(|| switch.positions[0].to_owned())
    }

    /// Refuses names and positions that the fake does not have; a fake calls it first.
    pub fn check(&self, known: &[Switch]) -> Result<()> {
        for (name, position) in &self.0 {
            let Some(switch) = known.iter().find(|switch| switch.name == name) else {
                let names: Vec<_> = known.iter().map(|switch| switch.name).collect();
                return Err(Error::input(format!("the fake has no switch {name:?}"))
                    .hint(format!("its switches: {}", names.join(", "))));
            };
            if !switch.positions.contains(&position.as_str()) {
                return Err(
                    Error::input(format!("switch {name:?} has no position {position:?}"))
                        .hint(format!("its positions: {}", switch.positions.join(", "))),
                );
            }
        }
        Ok(())
    }

    /// The combinations worth testing, each with a name for messages: the defaults, every switch alone
    /// in each other position, all at their harshest, and `random` more drawn from `seed`. No two are
    /// equal, so fewer random ones come where there are few switches.
    pub fn combinations(known: &[Switch], random: usize, seed: u64) -> Vec<(String, Self)> {
        let mut all = vec![("defaults".to_owned(), Self::default())];
        for switch in known {
            for position in &switch.positions[1..] {
                all.push((
                    format!("{}={position}", switch.name),
                    Self::default().with(switch.name, position),
                ));
            }
        }
        let harshest = known.iter().fold(Self::default(), |switches, switch| {
            switches.with_unless_default(switch, switch.harshest)
        });
        push_new(&mut all, "harshest".to_owned(), harshest);
        for index in 0..random {
            let switches = known.iter().fold(Self::default(), |switches, switch| {
                let pick = draw(seed, index, switch.name) % switch.positions.len();
                switches.with_unless_default(switch, switch.positions[pick])
            });
            push_new(&mut all, format!("random {index} of seed {seed}"), switches);
        }
        all
    }

    fn with_unless_default(self, switch: &Switch, position: &str) -> Self {
        if switch.positions[0] == position {
            self
        } else {
            self.with(switch.name, position)
        }
    }
}

fn push_new(all: &mut Vec<(String, Switches)>, name: String, switches: Switches) {
    if all.iter().all(|(_, other)| *other != switches) {
        all.push((name, switches));
    }
}

/// A number that depends on its arguments alone, so that a failing combination can be named.
fn draw(seed: u64, index: usize, name: &str) -> usize {
    let hash = blake3::hash(format!("{seed}/{index}/{name}").as_bytes());
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&hash.as_bytes()[..4]);
    u32::from_le_bytes(bytes) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCHES: &[Switch] = &[
        Switch {
            name: "paging",
            about: "",
            positions: &["cursor", "offset", "none"],
            harshest: "none",
        },
        Switch {
            name: "delete",
            about: "",
            positions: &["silent", "loud"],
            harshest: "loud",
        },
        Switch {
            name: "case",
            about: "",
            positions: &["kept", "lower"],
            harshest: "kept",
        },
    ];

    #[test]
    fn unknown_names_and_positions_are_errors() {
        Switches::default()
            .with("paging", "offset")
            .check(SWITCHES)
            .unwrap();
        let name = Switches::default()
            .with("pagin", "offset")
            .check(SWITCHES)
            .unwrap_err();
        assert!(name.hint_text().unwrap().contains("paging, delete, case"));
        let position = Switches::default()
            .with("delete", "never")
            .check(SWITCHES)
            .unwrap_err();
        assert_eq!(
            position.message(),
            "switch \"delete\" has no position \"never\""
        );
    }

    #[test]
    fn combinations_cover_each_position_and_repeat_for_a_seed() {
        let all = Switches::combinations(SWITCHES, 4, 7);
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names[..6],
            [
                "defaults",
                "paging=offset",
                "paging=none",
                "delete=loud",
                "case=lower",
                "harshest"
            ]
        );
        assert_eq!(
            all[5].1,
            Switches::default()
                .with("paging", "none")
                .with("delete", "loud")
        );
        for (index, (_, switches)) in all.iter().enumerate() {
            switches.check(SWITCHES).unwrap();
            assert!(all[..index].iter().all(|(_, other)| other != switches));
        }
        assert_eq!(all, Switches::combinations(SWITCHES, 4, 7));
        let many: Vec<_> = Switches::combinations(SWITCHES, 200, 1);
        assert_eq!(many.len(), 12, "every combination there is, once");
    }
}
