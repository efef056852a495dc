//! The planner against a slow obvious oracle, and the cases that hurt when they are wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ownership::{Viewer, observe};
use crate::target::{Effect, Facts, Granularity, Held, KindSupport, NativeEnd};

const KINDS: &[KindSupport] = &[KindSupport {
    kind: crate::indicator::Kind::Ipv4,
    effect: Effect::Prevent,
    networks: true,
    matches_below: false,
}];

fn capabilities() -> Capabilities {
    Capabilities {
        mechanism: "test",
        summary: "",
        kinds: KINDS,
        end_known_by: EndKnownBy::Mark,
        native_end: None,
        proof: Proof::Mark { max_length: 400 },
        foreign: Foreign::Listed,
        granularity: Granularity::Row,
        write_batch: 10,
        remove_batch: 10,
        list_page: 10,
        lookup_batch: 10,
        capacity: None,
        staged: false,
        rate: &[],
        rights: &[],
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_040, 0).unwrap()
}

fn value(index: u8) -> Value {
    Value::Ipv4(ipnet::Ipv4Net::new(std::net::Ipv4Addr::new(9, 9, 9, index), 32).unwrap())
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

fn held(index: u8, marks: Vec<Mark>, words: &str) -> Held {
    let note = Note {
        marks,
        was: None,
        rest: words.to_owned(),
    };
    Held {
        id: format!("id-{index}-{words}").into(),
        value: value(index),
        note: note.write("main", &value(index), 400).map(Into::into),
        expires: None,
        container: None,
        blocks: true,
        allows: false,
        conforms: true,
        writable: true,
    }
}

fn desired(index: u8, until: Option<DateTime<Utc>>) -> Desired {
    Desired {
        value: value(index),
        until,
        rank: u32::from(index),
        words: None,
    }
}

struct Case {
    capabilities: Capabilities,
    facts: Facts,
    options: Options,
    verdict: Verdict,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            capabilities: capabilities(),
            facts: Facts::default(),
            options: Options {
                adopt: false,
                may_add: true,
                may_shorten: true,
                record: false,
            },
            verdict: Verdict::Remove(RemovalReason::Withdrawn),
        }
    }
}

impl Case {
    fn plan(&self, wanted: &[Desired], held: Vec<Held>) -> Plan {
        let me = owner("acme");
        let observed = observe(
            held,
            &[],
            self.capabilities.proof,
            Viewer {
                installation: "main",
                owner: &me,
                formerly: &[owner("old")],
            },
        );
        plan(Question {
            wanted,
            observed: &observed,
            owner: &me,
            installation: "main",
            capabilities: &self.capabilities,
            facts: &self.facts,
            now: now(),
            options: self.options,
            whole: true,
            verdict: &|_, _| self.verdict,
        })
    }
}

fn mark(name: &str, minutes: Option<i64>) -> Mark {
    Mark::new(
        owner(name),
        minutes.map(|minutes| now() + TimeDelta::minutes(minutes)),
    )
}

fn shown(plan: &Plan) -> Vec<String> {
    plan.changes
        .iter()
        .map(|change| {
            let how = match change.operation {
                Operation::Add(_) => "add",
                Operation::Update(_) => "update",
                Operation::Remove(_) => "remove",
                Operation::Record => "record",
            };
            format!(
                "{how} {} {} {}",
                change.value,
                change.what.name(),
                change.reason
            )
        })
        .collect()
}

#[test]
fn what_others_made_is_left_alone() {
    let plan = Case::default().plan(
        &[desired(1, None)],
        vec![held(1, vec![], "by hand"), held(2, vec![], "by hand")],
    );
    assert_eq!(plan.changes, vec![]);
    assert_eq!(
        plan.foreign,
        vec![ForeignEntry {
            value: value(1),
            blocks: Some(true)
        }]
    );
}

#[test]
fn another_owners_reason_keeps_the_entry() {
    let both = vec![mark("acme", None), mark("manual", Some(60))];
    let plan = Case::default().plan(&[], vec![held(1, both, "")]);
    assert_eq!(shown(&plan), ["update 9.9.9.1 remove withdrawn"]);
    let Operation::Update(write) = &plan.changes[0].operation else {
        panic!("not an update");
    };
    let note = Note::read(&write.note, "main", &value(1));
    assert_eq!(note.marks, vec![mark("manual", Some(60))]);
}

#[test]
fn our_mark_joins_another_owners_entry() {
    let plan = Case::default().plan(
        &[desired(1, None)],
        vec![held(1, vec![mark("manual", Some(60))], "why")],
    );
    let Operation::Update(write) = &plan.changes[0].operation else {
        panic!("not an update");
    };
    let note = Note::read(&write.note, "main", &value(1));
    assert_eq!(
        note.marks,
        vec![mark("acme", None), mark("manual", Some(60))]
    );
    assert_eq!(note.rest, "why");
}

#[test]
fn an_ended_entry_goes_even_if_nothing_may_be_withdrawn() {
    let case = Case {
        verdict: Verdict::Keep,
        ..Case::default()
    };
    let plan = case.plan(
        &[],
        vec![
            held(1, vec![mark("acme", Some(-1))], ""),
            held(2, vec![mark("acme", Some(5))], ""),
            held(3, vec![mark("manual", Some(-1))], ""),
        ],
    );
    assert_eq!(shown(&plan), ["remove 9.9.9.1 remove expired"]);
    assert!(plan.changes[0].exempt);
    assert_eq!(plan.kept, 1);
}

#[test]
fn what_has_ended_and_is_excluded_goes_as_excluded_and_is_not_held() {
    let case = Case {
        verdict: Verdict::Remove(RemovalReason::Excluded),
        ..Case::default()
    };
    let ended = vec![mark("acme", Some(-60))];
    let running = vec![mark("acme", Some(60))];
    let plan = case.plan(&[], vec![held(1, ended, ""), held(2, running, "")]);
    assert_eq!(
        shown(&plan),
        [
            "remove 9.9.9.1 remove excluded",
            "remove 9.9.9.2 remove excluded"
        ]
    );
    assert!(plan.changes[0].exempt, "its recorded end has passed");
    assert!(!plan.changes[1].exempt);
}

#[test]
fn without_the_rules_nothing_is_added_or_extended() {
    let mut case = Case::default();
    case.options.may_add = false;
    let plan = case.plan(
        &[desired(1, None), desired(2, None)],
        vec![held(2, vec![mark("acme", Some(60))], "")],
    );
    assert_eq!(plan.changes, vec![]);
    assert_eq!(plan.waiting_for_rules, 1);
    assert_eq!(plan.unchanged, 1);
}

#[test]
fn with_a_failed_include_ends_do_not_come_nearer() {
    let mut case = Case::default();
    case.options.may_shorten = false;
    let wanted = [desired(1, Some(now() + TimeDelta::minutes(30)))];
    let plan = case.plan(&wanted, vec![held(1, vec![mark("acme", Some(60))], "")]);
    assert_eq!(plan.changes, vec![]);
    let plan = Case::default().plan(&wanted, vec![held(1, vec![mark("acme", Some(60))], "")]);
    assert_eq!(shown(&plan), ["update 9.9.9.1 update end moved"]);
}

#[test]
fn an_end_less_than_a_minute_ahead_is_not_added() {
    let soon = [desired(1, Some(now() + TimeDelta::seconds(59)))];
    assert_eq!(Case::default().plan(&soon, vec![]).changes, vec![]);
    let later = [desired(1, Some(now() + TimeDelta::seconds(60)))];
    assert_eq!(Case::default().plan(&later, vec![]).changes.len(), 1);
}

#[test]
fn an_earlier_name_is_taken_over_and_written_anew_once() {
    let plan = Case::default().plan(
        &[desired(1, None)],
        vec![held(1, vec![mark("old", None)], "")],
    );
    assert_eq!(shown(&plan), ["update 9.9.9.1 update owner renamed"]);
}

#[test]
fn adopting_keeps_the_later_end_and_gives_it_back() {
    let mut case = Case::default();
    case.options.adopt = true;
    case.capabilities.native_end = Some(NativeEnd {
        unit: Duration::from_secs(1),
        max: None,
        max_by_kind: &[],
        deletes: Some(true),
    });
    let mut foreign = held(1, vec![], "by hand");
    foreign.expires = Some(now() + TimeDelta::minutes(90));
    let wanted = [desired(1, Some(now() + TimeDelta::minutes(30)))];
    let plan = case.plan(&wanted, vec![foreign.clone()]);
    let Operation::Update(write) = &plan.changes[0].operation else {
        panic!("not an update");
    };
    assert_eq!(write.expires, foreign.expires);
    assert!(write.note_and_end_only);

    let mut adopted = foreign.clone();
    adopted.note = Some(write.note.as_str().into());
    let again = case.plan(&wanted, vec![adopted.clone()]);
    assert_eq!(shown(&again), Vec::<String>::new());
    let back = case.plan(&[], vec![adopted]);
    let Operation::Update(write) = &back.changes[0].operation else {
        panic!("not given back");
    };
    assert_eq!(write.note, "by hand");
    assert_eq!(write.expires, foreign.expires);
}

#[test]
fn an_allowing_entry_is_never_adopted() {
    let mut case = Case::default();
    case.options.adopt = true;
    let mut allow = held(1, vec![], "allow");
    allow.allows = true;
    let plan = case.plan(&[desired(1, None)], vec![allow]);
    assert_eq!(plan.changes, vec![]);
    assert_eq!(plan.foreign.len(), 1);
}

#[test]
fn the_best_get_the_places_and_a_better_one_takes_a_place() {
    let mut case = Case::default();
    case.capabilities.capacity = Some(3);
    let wanted = [desired(1, None), desired(2, None), desired(3, None)];
    let there = vec![
        held(3, vec![mark("acme", None)], ""),
        held(8, vec![], "by hand"),
        held(2, vec![mark("acme", None)], ""),
    ];
    let plan = case.plan(&wanted, there);
    assert_eq!(
        shown(&plan),
        ["remove 9.9.9.3 remove capacity", "add 9.9.9.1 add wanted"]
    );
    assert_eq!(plan.no_room, vec![value(3)]);
}

/// What the vendor holds after a plan, for feeding it back.
fn applied(plan: &Plan, mut there: Vec<Held>) -> Vec<Held> {
    for change in &plan.changes {
        match &change.operation {
            Operation::Add(write) => there.push(Held {
                id: format!("new-{}", write.value).into(),
                value: write.value.clone(),
                note: Some(write.note.as_str().into()),
                expires: write.expires,
                container: None,
                blocks: true,
                allows: false,
                conforms: true,
                writable: true,
            }),
            Operation::Update(write) => {
                let entry = there
                    .iter_mut()
                    .find(|held| Some(&held.id) == write.id.as_ref())
                    .unwrap();
                entry.note = Some(write.note.as_str().into());
                entry.expires = write.expires;
                entry.blocks = true;
                entry.conforms = true;
            }
            Operation::Remove(removal) => there.retain(|held| held.id != removal.id),
            Operation::Record => {}
        }
    }
    there
}

fn arbitrary_held() -> impl Strategy<Value = Held> {
    (
        0u8..12,
        prop::collection::btree_map(
            prop::sample::select(vec!["acme", "manual", "third"]),
            prop::option::of(-3i64..200),
            0..3,
        ),
        any::<[bool; 2]>(),
    )
        .prop_map(|(index, marks, [conforms, blocks])| {
            let marks = marks
                .into_iter()
                .map(|(name, minutes)| mark(name, minutes))
                .collect();
            let mut held = held(index, marks, "");
            held.conforms = conforms;
            held.blocks = blocks;
            held
        })
}

proptest! {
    /// The oracle says, value by value, what must be there afterwards; planning again says nothing.
    #[test]
    fn afterwards_everything_is_as_it_should_be(
        wanted in prop::collection::btree_map(0u8..12, prop::option::of(2i64..200), 0..10),
        there in prop::collection::vec(arbitrary_held(), 0..12),
    ) {
        let mut unique = BTreeMap::new();
        for entry in there {
            unique.insert(entry.value.clone(), entry);
        }
        let before: Vec<Held> = unique.into_values().collect();
        let wanted: Vec<Desired> = wanted
            .iter()
            .map(|(index, minutes)| desired(*index, minutes.map(|m| now() + TimeDelta::minutes(m))))
            .collect();
        let case = Case::default();
        let after = applied(&case.plan(&wanted, before.clone()), before.clone());
        prop_assert_eq!(shown(&case.plan(&wanted, after.clone())), Vec::<String>::new());

        let read = |held: &Held| Note::read(held.note.as_deref().unwrap_or_default(), "main", &held.value);
        for index in 0..12 {
            let old = before.iter().find(|held| held.value == value(index));
            let new = after.iter().find(|held| held.value == value(index));
            let old_marks = old.map(read).unwrap_or_default().marks;
            let others: Vec<Mark> = old_marks.iter().filter(|m| m.owner != owner("acme")).cloned().collect();
            let mine = wanted.iter().find(|desired| desired.value == value(index));
            let foreign = old.is_some() && old_marks.is_empty();
            match (foreign, mine) {
                // Somebody else's: untouched, whatever is wanted.
                (true, _) => prop_assert_eq!(old, new),
                (false, Some(desired)) => {
                    let mut marks = others;
                    marks.push(Mark::new(owner("acme"), desired.until));
                    marks.sort_by(|a, b| a.owner.cmp(&b.owner));
                    prop_assert_eq!(read(new.unwrap()).marks, marks);
                    prop_assert!(new.unwrap().blocks && new.unwrap().conforms);
                }
                (false, None) if others.is_empty() => prop_assert!(new.is_none()),
                (false, None) => prop_assert_eq!(read(new.unwrap()).marks, others),
            }
        }
    }
}

#[test]
fn a_container_under_an_earlier_name_is_ours() {
    let mut entry = held(1, Vec::new(), "");
    entry.note = None;
    entry.container = Some(owner("old"));
    let case = Case {
        capabilities: Capabilities {
            proof: Proof::Container,
            ..capabilities()
        },
        ..Case::default()
    };
    let plan = case.plan(&[], vec![entry]);
    assert_eq!(shown(&plan), ["remove 9.9.9.1 remove withdrawn"]);
}

#[test]
fn an_adopted_entry_whose_own_end_has_passed_is_not_given_a_past_end() {
    let note = Note {
        marks: vec![mark("acme", Some(600))],
        was: Some(Some(now() - TimeDelta::minutes(5))),
        rest: "by hand".to_owned(),
    };
    let mut entry = held(1, Vec::new(), "");
    entry.note = note.write("main", &value(1), 400).map(Into::into);
    entry.expires = Some(now() + TimeDelta::minutes(600));
    let case = Case {
        capabilities: Capabilities {
            end_known_by: EndKnownBy::Native,
            native_end: Some(NativeEnd {
                unit: Duration::from_secs(1),
                max: None,
                max_by_kind: &[],
                deletes: Some(false),
            }),
            ..capabilities()
        },
        ..Case::default()
    };
    let plan = case.plan(&[], vec![entry]);
    assert_eq!(plan.changes.len(), 1);
    if let Operation::Update(write) = &plan.changes[0].operation {
        // Vendors refuse ends in the past; the entry would go on blocking until our end.
        assert!(write.expires.is_none_or(|end| end > now()), "{write:?}");
    }
}
