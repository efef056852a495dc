//! Whether there is room.

use std::collections::HashSet;

use crate::indicator::Kind;
use crate::plan::{Change, Operation, Plan, RemovalReason, What, pools};
use crate::target::{Capabilities, Facts};

/// The kinds whose additions must wait for removals: there is no room for both at once.
pub(super) fn short(plan: &Plan, capabilities: &Capabilities, facts: &Facts) -> Vec<Kind> {
    pools(capabilities, facts)
        .into_iter()
        .filter(|pool| {
            let added = plan
                .changes
                .iter()
                .filter(|change| {
                    matches!(change.operation, Operation::Add(_))
                        && pool.kinds.contains(&change.value.kind())
                })
                .count();
            plan.entries_of(&pool.kinds) + added > pool.limit
        })
        .flat_map(|pool| pool.kinds)
        .collect()
}

/// After the guard, nothing loses its place to an addition that is held, and additions that counted on the
/// room of held removals have none: the worst go.
pub(super) fn settle(plan: &mut Plan, held: &[Change], capabilities: &Capabilities, facts: &Facts) {
    keep_places(plan, held, capabilities, facts);
    drop_without(plan, held, capabilities, facts);
}

fn keep_places(plan: &mut Plan, held: &[Change], capabilities: &Capabilities, facts: &Facts) {
    if !held
        .iter()
        .any(|change| matches!(change.operation, Operation::Add(_)))
    {
        return;
    }
    let evicts = |change: &Change| change.what == What::Remove(RemovalReason::Capacity);
    for pool in pools(capabilities, facts) {
        let count = |matches: &dyn Fn(&Change) -> bool| {
            plan.changes
                .iter()
                .filter(|change| matches(change) && pool.kinds.contains(&change.value.kind()))
                .count()
        };
        let added = count(&|change| matches!(change.operation, Operation::Add(_)));
        let removed =
            count(&|change| matches!(change.operation, Operation::Remove(_)) && !evicts(change));
        let after = (plan.entries_of(&pool.kinds) + added).saturating_sub(removed);
        let needed = after.saturating_sub(pool.limit);
        let mut evictions: Vec<usize> = (0..plan.changes.len())
            .filter(|&index| {
                let change = &plan.changes[index];
                evicts(change) && pool.kinds.contains(&change.value.kind())
            })
            .collect();
        evictions.sort_by_key(|&index| std::cmp::Reverse(plan.changes[index].rank));
        let keep: HashSet<usize> = evictions
            .split_off(needed.min(evictions.len()))
            .into_iter()
            .collect();
        let mut index = 0;
        let kept = &mut plan.kept;
        plan.changes.retain(|_| {
            let goes = !keep.contains(&index);
            index += 1;
            *kept += usize::from(!goes);
            goes
        });
    }
}

fn drop_without(plan: &mut Plan, held: &[Change], capabilities: &Capabilities, facts: &Facts) {
    if !held
        .iter()
        .any(|change| matches!(change.operation, Operation::Remove(_)))
    {
        return;
    }
    for pool in pools(capabilities, facts) {
        let count = |matches: fn(&Operation) -> bool| {
            plan.changes
                .iter()
                .filter(|change| {
                    matches(&change.operation) && pool.kinds.contains(&change.value.kind())
                })
                .count()
        };
        let added = count(|operation| matches!(operation, Operation::Add(_)));
        let removed = count(|operation| matches!(operation, Operation::Remove(_)));
        let after = (plan.entries_of(&pool.kinds) + added).saturating_sub(removed);
        let over = after.saturating_sub(pool.limit);
        if over == 0 {
            continue;
        }
        let mut additions: Vec<usize> = (0..plan.changes.len())
            .filter(|&index| {
                let change = &plan.changes[index];
                matches!(change.operation, Operation::Add(_))
                    && pool.kinds.contains(&change.value.kind())
            })
            .collect();
        additions.sort_by_key(|&index| std::cmp::Reverse(plan.changes[index].rank));
        additions.truncate(over);
        let drop: HashSet<usize> = additions.into_iter().collect();
        let mut index = 0;
        let no_room = &mut plan.no_room;
        plan.changes.retain(|change| {
            let keep = !drop.contains(&index);
            index += 1;
            if !keep {
                no_room.push(change.value.clone());
            }
            keep
        });
    }
}
