//! I18: groups that all have a backlog get their turns evenly.

use std::collections::BTreeMap;

/// Over any stretch of n grants each of k groups gets between floor(n / k) - 1 and ceil(n / k) + 1. `granted`
/// is the group of each grant in order, taken while every group had a backlog.
pub(in crate::histories) fn fair_share(granted: &[&str]) -> Vec<String> {
    let groups: BTreeMap<&str, usize> = granted.iter().map(|group| (*group, 0)).collect();
    let mut breaches = Vec::new();
    for from in 0..granted.len() {
        let mut shares = groups.clone();
        for (n, group) in (1..).zip(&granted[from..]) {
            *shares.get_mut(group).expect("every group is in it") += 1;
            let allowed = (n / groups.len()).saturating_sub(1)..=n.div_ceil(groups.len()) + 1;
            if let Some((group, share)) = shares.iter().find(|(_, share)| !allowed.contains(share)) {
                breaches.push(format!(
                    "I18: {group} got {share} of {n} grants from the {from}th on"
                ));
                return breaches;
            }
        }
    }
    breaches
}

/// A grant that nobody was told of, made between two times of Redis's clock in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(in crate::histories) struct Lost {
    pub(in crate::histories) from_ms: u64,
    pub(in crate::histories) to_ms: u64,
}

/// As [`fair_share`], where some grants are not known. Stretches begin and end with whole milliseconds,
/// inside of which the order is not known either; lost grants may have been to any group.
pub(in crate::histories) fn fair_share_but_for(granted: &[(u64, &str)], lost: &[Lost]) -> Vec<String> {
    let mut granted = granted.to_vec();
    granted.sort_unstable();
    let moments: Vec<&[(u64, &str)]> = granted.chunk_by(|one, other| one.0 == other.0).collect();
    let groups: BTreeMap<&str, usize> = granted.iter().map(|(_, group)| (*group, 0)).collect();
    let mut breaches = Vec::new();
    for from in 0..moments.len() {
        let (mut shares, mut n) = (groups.clone(), 0);
        for moment in &moments[from..] {
            for (_, group) in *moment {
                *shares.get_mut(group).expect("every group is in it") += 1;
                n += 1;
            }
            let (first_ms, last_ms) = (moments[from][0].0, moment[0].0);
            let outside = |unknown: usize| {
                let least = (n / groups.len()).saturating_sub(1 + unknown);
                let allowed = least..=(n + unknown).div_ceil(groups.len()) + 1;
                shares.iter().find(|(_, share)| !allowed.contains(share))
            };
            let is_inside = |lost: &&Lost| lost.from_ms <= last_ms && lost.to_ms >= first_ms;
            // Most stretches are fair whatever was lost.
            if outside(0).is_none() {
                continue;
            }
            let unknown = lost.iter().filter(is_inside).count();
            if let Some((group, share)) = outside(unknown) {
                breaches.push(format!(
                    "I18: {group} got {share} of {n} grants and {unknown} unknown ones from {first_ms} to {last_ms} ms"
                ));
                return breaches;
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::assert_breach;
    use super::*;

    #[test]
    fn turns_are_fair_within_one() {
        assert_eq!(
            fair_share(&["a", "b", "c", "a", "b", "c", "c", "a", "b"]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_group_that_takes_more_or_gets_less_is_seen() {
        assert_breach(&fair_share(&["a", "b", "c", "a", "a", "a", "b", "c"]), "I18: a");
        assert_breach(
            &fair_share(&["a", "b", "c", "a", "b", "a", "b", "a", "b", "c"]),
            "I18: c",
        );
    }

    fn over_time(groups: &[&'static str], lost: &[Lost]) -> Vec<String> {
        let granted: Vec<(u64, &str)> = (100..).zip(groups.iter().copied()).collect();
        fair_share_but_for(&granted, lost)
    }

    #[test]
    fn what_is_lost_may_have_been_anybodys_turn() {
        let without_c = ["a", "b", "c", "a", "b", "a", "b", "a", "b", "c"];
        assert_breach(&over_time(&without_c, &[]), "I18: c");
        let lost = Lost {
            from_ms: 104,
            to_ms: 106,
        };
        assert_eq!(over_time(&without_c, &[lost]), Vec::<String>::new());
        let elsewhere = Lost {
            from_ms: 200,
            to_ms: 300,
        };
        assert_breach(&over_time(&without_c, &[elsewhere]), "I18: c");
        let too_much = ["a", "b", "c", "a", "a", "a", "a", "a", "b", "c"];
        assert_breach(&over_time(&too_much, &[lost]), "I18: a");
    }

    #[test]
    fn inside_a_millisecond_there_is_no_order() {
        let at_once = ["a", "a", "a", "b", "b", "b", "c", "c", "c"].map(|group| (100, group));
        assert_eq!(fair_share_but_for(&at_once, &[]), Vec::<String>::new());
        let one_by_one: Vec<(u64, &str)> = (100..).zip(at_once.map(|(_, group)| group)).collect();
        assert_breach(&fair_share_but_for(&one_by_one, &[]), "I18");
    }
}
