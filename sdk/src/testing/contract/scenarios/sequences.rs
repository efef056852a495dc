//! Sequences of wanted states, written down and random, each compared with the model.

use std::collections::BTreeSet;

use super::super::model::Scene;
use super::super::world::{Order, Setup, World};
use super::super::{Check, Stop, ensure};
use crate::indicator::{Indicator, Value};
use crate::target::Foreign;
use crate::testing::builders::{Dice, indicator};
use crate::testing::memory::Trouble;

/// Groups of states to go through, one after the other; each group starts with an empty vendor.
///
/// A state is a list of words: `2` value 2 without end; `2<100` until hour 100; `2>60` from hour 60; `2!` revoked;
/// `2@30` with confidence 30; `-2` excluded; `+3` three days pass before the run.
const STATES: &[(&str, &[&str])] = &[
    ("come and go", &["", "0", "0 1", "1", "", "0", ""]),
    (
        "replace all",
        &["0 1 2", "3 4 5", "0 1 2 3 4 5", "5 4 3", "2 1 0"],
    ),
    (
        "ends move",
        &[
            "0<60", "0<120", "0<90", "0", "0<200", "+4 0<200", "+5 0<200", "0<300",
        ],
    ),
    (
        "ends pass",
        &["0<60 1<110 2", "+3 0<60 1<110 2", "+2 0<60 1<110 2", "2"],
    ),
    (
        "ends pass unseen",
        &["0<60 1<110 2<300", "+10 0<60 1<110 2<300", "+4 3"],
    ),
    ("revoked and back", &["0 1", "0! 1", "0 1", "0! 1!", "0 1"]),
    (
        "excluded and back",
        &[
            "0 1 2",
            "0 1 2 -1",
            "0 1 2 -0 -2",
            "0 1 2",
            "-0 -1 -2",
            "0 1 2",
        ],
    ),
    ("excluded first", &["0 1 -0", "0 1", "1 -1", "0 1 -0 -1"]),
    ("excluded for a time", &["0 1 -0<60", "+4 0 1 -0<60"]),
    (
        "begin later",
        &["0>60 1", "+4 0>60 1", "0>200 1", "+6 0>200"],
    ),
    ("born dead", &["0<100>90", "+4 0<100>90 1", "+1 0<100>90 1"]),
    (
        "revoked while it waits",
        &["0>60", "0>60!", "+4 0>60!", "0>60"],
    ),
    (
        "end and exclusion",
        &["0<60 1", "+4 0<60 1 -0", "0<200 1 -0", "0<200 1"],
    ),
    ("confidence alone", &["0@10 1@90", "0@90 1@10", "0 1"]),
];

pub(super) async fn wanted_states(setup: &Setup<'_>) -> Check {
    for (group, states) in STATES {
        let world = World::new(setup).await?;
        let values = world.values(6)?;
        for (number, state) in states.iter().enumerate() {
            let place = |stop| match stop {
                Stop::Failed(why) => {
                    Stop::Failed(format!("{group:?}, state {number} {state:?}: {why}"))
                }
                skipped @ Stop::Skipped(_) => skipped,
            };
            let (scene, days) = read_state(state, &values).map_err(place)?;
            world.days_pass(days);
            world.converge(&scene).await.map_err(place)?;
        }
    }
    Ok(())
}

/// Reads one state of the table.
fn read_state(state: &str, values: &[Value]) -> Check<(Scene, i64)> {
    let (mut include, mut exclude, mut days) = (Vec::new(), Vec::new(), 0);
    for word in state.split_whitespace() {
        if let Some(text) = word.strip_prefix('+') {
            days = number(text)?;
        } else if let Some(text) = word.strip_prefix('-') {
            exclude.push(read_indicator(text, values)?);
        } else {
            include.push(read_indicator(word, values)?);
        }
    }
    Ok((Scene::of(include).without(exclude), days))
}

fn read_indicator(word: &str, values: &[Value]) -> Check<Indicator> {
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let (index, mut rest) = word.split_at(digits(word));
    let index = usize::try_from(number(index)?).unwrap_or(usize::MAX);
    ensure!(index < values.len(), "the table has no value {index}");
    let mut made = indicator(&values[index]);
    while let Some(sign) = rest.chars().next() {
        let (text, tail) = rest[1..].split_at(digits(&rest[1..]));
        made = match sign {
            '<' => made.until_hours(number(text)?),
            '>' => made.from_hours(number(text)?),
            '@' => made.confidence(u16::try_from(number(text)?).unwrap_or(0)),
            '!' => made.revoked(),
            _ => {
                return Err(Stop::Failed(format!(
                    "the table has a word that means nothing: {word}"
                )));
            }
        };
        rest = tail;
    }
    Ok(made.build())
}

fn number(text: &str) -> Check<i64> {
    text.parse()
        .map_err(|_| Stop::Failed(format!("the table has a bad number {text:?}")))
}

/// What one indicator of a random walk is like.
#[derive(Clone, Copy, Debug)]
struct Wish {
    from: Option<i64>,
    until: Option<i64>,
    revoked: bool,
}

/// A walk through random states, with others' hands, lost calls and restarts in between.
struct Walk {
    world: World,
    values: Vec<Value>,
    dice: Dice,
    /// For each of two includes, the wish for each value.
    wishes: [Vec<Option<Wish>>; 2],
    excluded: BTreeSet<usize>,
    /// Days since the start.
    day: i64,
    /// What was done, for the message.
    story: Vec<String>,
}

pub(super) async fn random_walks(setup: &Setup<'_>) -> Check {
    let walks = if setup.thorough { 6 } else { 1 };
    for number in 0..walks {
        let seed = setup.seed.wrapping_add(number);
        let world = World::new(setup).await?;
        let values = world.values(7)?;
        let mut walk = Walk {
            wishes: [vec![None; values.len()], vec![None; values.len()]],
            world,
            values,
            dice: Dice::new(seed),
            excluded: BTreeSet::new(),
            day: 0,
            story: Vec::new(),
        };
        for step in 0..8 {
            if let Err(Stop::Failed(why)) = walk.step().await {
                let story = walk.story.join("; ");
                return Err(Stop::Failed(format!(
                    "walk of seed {seed}, step {step}: {why}; before: {story}"
                )));
            }
        }
    }
    Ok(())
}

impl Walk {
    async fn step(&mut self) -> Check {
        for _ in 0..=self.dice.below(4) {
            self.change_a_wish();
        }
        if self.dice.once_in(2) {
            let days = 1 + i64::try_from(self.dice.below(4)).unwrap_or(0);
            self.day += days;
            self.world.days_pass(days);
            self.story.push(format!("{days} days pass"));
        }
        self.let_others_act();
        let scene = self.scene();
        if self.dice.once_in(3) {
            let trouble = Trouble::Break {
                after: self.dice.below(8),
                applied: self.dice.once_in(2),
                lasting: self.dice.once_in(2),
            };
            let Trouble::Break {
                after,
                applied,
                lasting,
            } = trouble
            else {
                return Ok(());
            };
            self.story.push(format!(
                "break at call {after}, applied {applied}, lasting {lasting}"
            ));
            self.world.rig.disturb(trouble);
            self.world.run(Order::new(&scene)).await?;
            self.world.rig.calm();
        }
        self.world.converge(&scene).await?;
        Ok(())
    }

    fn change_a_wish(&mut self) {
        let index = self.dice.below(self.values.len());
        let source = self.dice.below(2);
        // Half a day off the whole days on which runs are made.
        let hours = self.day * 24 + 12 + 24 * i64::try_from(self.dice.below(10)).unwrap_or(0);
        let wish = self.wishes[source][index];
        let fresh = Wish {
            from: None,
            until: None,
            revoked: false,
        };
        let change = match self.dice.below(7) {
            0 => None,
            1 | 2 => Some(fresh),
            3 => Some(Wish {
                until: Some(hours),
                ..fresh
            }),
            4 => Some(Wish {
                until: Some(hours),
                ..wish.unwrap_or(fresh)
            }),
            5 => Some(Wish {
                revoked: true,
                ..wish.unwrap_or(fresh)
            }),
            _ => Some(Wish {
                from: Some(hours),
                ..fresh
            }),
        };
        // An end that is not after its beginning is refused when it is read.
        let change = change.filter(|wish| match (wish.from, wish.until) {
            (Some(from), Some(until)) => from < until,
            _ => true,
        });
        self.story
            .push(format!("include {source} value {index}: {change:?}"));
        self.wishes[source][index] = change;
        if self.dice.once_in(4) {
            let index = self.dice.below(self.values.len());
            if !self.excluded.remove(&index) {
                self.excluded.insert(index);
            }
            self.story.push(format!("excluded: {:?}", self.excluded));
        }
    }

    fn let_others_act(&mut self) {
        if self.world.capabilities.foreign == Foreign::Unseen {
            // Nobody can see what others do there, nor tell it from a call that was lost.
            return;
        }
        let value = self.values[self.dice.below(self.values.len())].clone();
        let theirs = self.world.foreign().contains_key(&value);
        match self.dice.below(6) {
            0 if theirs && self.world.capabilities.foreign != Foreign::Coexists => {
                self.story.push(format!("somebody removes their {value}"));
                self.world.admin_removes(&value);
            }
            0 if !theirs && !self.world.enforces(&value) && self.world.admin_adds(&value) => {
                self.story.push(format!("somebody adds {value}"));
            }
            1 if !theirs => {
                self.story.push(format!("somebody removes our {value}"));
                self.world.admin_removes(&value);
            }
            _ => {}
        }
    }

    fn scene(&self) -> Scene {
        let include = self.wishes.iter().enumerate().map(|(source, wishes)| {
            let made = wishes.iter().zip(&self.values).filter_map(|(wish, value)| {
                let wish = (*wish)?;
                let mut made = indicator(value).id(&format!("{source}-{value}"));
                if let Some(from) = wish.from {
                    made = made.from_hours(from);
                }
                if let Some(until) = wish.until {
                    made = made.until_hours(until);
                }
                Some(if wish.revoked {
                    made.revoked().build()
                } else {
                    made.build()
                })
            });
            Some(made.collect())
        });
        let excluded = self
            .excluded
            .iter()
            .map(|&index| indicator(&self.values[index]).build());
        Scene {
            include: include.collect(),
            exclude: vec![Some(excluded.collect())],
        }
    }
}
