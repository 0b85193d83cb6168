//! I18: groups that all have a backlog get their turns evenly.

use std::collections::BTreeMap;

/// Over any stretch of n grants each of k groups gets between floor(n / k) - 1 and ceil(n / k) + 1. `granted` is the
/// group of each grant in order, taken while every group had a backlog.
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
}
