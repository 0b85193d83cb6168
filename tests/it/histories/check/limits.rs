//! I20, I21: how fast, and how many at a time.

use super::clocks::Clocks;
use crate::histories::history::{Grant, History, Outcome, Settle, Verb};

/// A limit, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::histories) struct Limit {
    pub(in crate::histories) of: Of,
    pub(in crate::histories) rate_per_second: u32,
    pub(in crate::histories) burst: u32,
    pub(in crate::histories) max_leased: usize,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::histories) enum Of {
    Queue(&'static str),
    Name(&'static str, &'static str),
    Group(&'static str, &'static str),
}

impl Of {
    fn has(self, grant: &Grant) -> bool {
        match self {
            Self::Queue(queue) => grant.queue == queue,
            Self::Name(queue, name) => grant.queue == queue && grant.name == name,
            Self::Group(queue, group) => grant.queue == queue && grant.group == group,
        }
    }
}

fn behind(history: &History, of: Of) -> Vec<&Grant> {
    let mut grants: Vec<&Grant> = history.grants.iter().filter(|grant| of.has(grant)).collect();
    grants.sort_by_key(|grant| grant.at_ms);
    grants
}

/// Over any window [s, e] at most burst + rate × (e - s), by Redis's clock. A grant that somebody was handed
/// is never given back; those that nobody was handed may have taken more, which this cannot see.
pub(in crate::histories) fn at_its_rate(history: &History, limit: &Limit) -> Vec<String> {
    let (rate, burst) = (i128::from(limit.rate_per_second), i128::from(limit.burst));
    let mut breaches = Vec::new();
    // The window that began when there was most left: in thousandths of a token, and its first grant.
    let mut best: Option<(i128, &Grant)> = None;
    let grants = behind(history, limit.of);
    for (place, grant) in (0i128..).zip(grants.into_iter().filter(|grant| !grant.recalled)) {
        let level = place * 1000 - rate * i128::from(grant.at_ms);
        if best.is_none_or(|(least, _)| level < least) {
            best = Some((level, grant));
        }
        let (least, first) = best.expect("it was set above");
        if level + 1000 - least > burst * 1000 {
            breaches.push(format!(
                "I20: more than {limit:?} allows from {} to {} ms: {grant:?}",
                first.at_ms, grant.at_ms
            ));
        }
    }
    breaches
}

/// Until when (in microseconds of Redis's clock) a lease is surely live: somebody may have ended it as soon
/// as he asked to.
pub(super) fn surely_live_until(grant: &Grant, settles: &[&Settle], clocks: Clocks) -> i64 {
    let ends = |settle: &&Settle| {
        let may_be_done = !matches!(settle.outcome, Outcome::Refused(_)) && settle.verb != Verb::Extend;
        may_be_done.then(|| clocks.effect(settle.span).0)
    };
    let expires = i64::try_from(grant.expires_ms).expect("a time of today") * 1000;
    settles.iter().filter_map(ends).fold(expires, i64::min)
}

/// Returns the largest number of these grants that surely lived at one time, and the grant that reached it.
/// The grants are in order.
pub(super) fn most_at_once<'a>(history: &History, grants: &[&'a Grant]) -> (usize, Option<&'a Grant>) {
    let (clocks, settles) = (Clocks::of(history), history.settles_by_lease());
    let mut live: Vec<i64> = Vec::new();
    let mut most = (0, None);
    for grant in grants {
        let (_, made) = Clocks::made(grant);
        live.retain(|until| *until > made);
        let settles = settles
            .get(grant.lease_id.as_str())
            .map_or(&[][..], Vec::as_slice);
        live.push(surely_live_until(grant, settles, clocks));
        if live.len() > most.0 {
            most = (live.len(), Some(*grant));
        }
    }
    most
}

/// Never more than `max_leased` live leases at any moment, by when Redis granted them and when they surely
/// had not yet ended.
pub(in crate::histories) fn no_more_at_once(history: &History, limit: &Limit) -> Vec<String> {
    let (most, last) = most_at_once(history, &behind(history, limit.of));
    let breach = || format!("I21: {most} leases at once, {limit:?}: {last:?}");
    (most > limit.max_leased).then(breach).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, done, grant, lost, settle, span_of_ms, timed};
    use super::*;

    const LIMIT: Limit = Limit {
        of: Of::Name("q", "mail"),
        rate_per_second: 100,
        burst: 3,
        max_leased: 2,
    };

    fn at(times: &[u64]) -> History {
        let grants = (0..).zip(times);
        History {
            grants: grants
                .map(|(n, at)| timed(grant(&format!("t{n}"), 1, *at)))
                .collect(),
            ..History::default()
        }
    }

    #[test]
    fn the_burst_and_then_the_rate_are_right() {
        for times in [
            &[1000, 1000, 1000, 1010, 1020, 1030][..],
            &[1000, 1000, 1010, 1010, 1020, 1030],
            &[1000, 2000, 2000, 2000, 2010],
        ] {
            assert_eq!(at_its_rate(&at(times), &LIMIT), Vec::<String>::new());
        }
    }

    #[test]
    fn more_than_the_burst_and_the_rate_is_seen() {
        for times in [
            &[1000, 1000, 1000, 1000][..],
            &[1000, 1000, 1000, 1009],
            &[1000, 1005, 1010, 1015, 1019],
            // After a long time in which nothing was asked for, too.
            &[1000, 9000, 9000, 9000, 9005],
        ] {
            assert_breach(&at_its_rate(&at(times), &LIMIT), "I20");
        }
    }

    #[test]
    fn what_is_recalled_or_of_another_takes_nothing() {
        let mut history = at(&[1000, 1000, 1000, 1000, 1000, 1000]);
        history.grants[0].recalled = true;
        history.grants[1].name = "sync".to_owned();
        history.grants[2].queue = "r".to_owned();
        assert_eq!(at_its_rate(&history, &LIMIT), Vec::<String>::new());
        for of in [Of::Queue("q"), Of::Group("q", "")] {
            assert_breach(&at_its_rate(&history, &Limit { of, ..LIMIT }), "I20");
        }
    }

    fn ended(lease_id: &str, ms: u64, outcome: Outcome<crate::histories::history::Settled>) -> Settle {
        Settle {
            span: span_of_ms(ms),
            ..settle(Verb::Ack, lease_id, ms, outcome)
        }
    }

    #[test]
    fn too_many_at_once_are_seen() {
        assert_breach(&no_more_at_once(&at(&[1000, 1050, 1099]), &LIMIT), "I21");
        for late_or_vain in [
            ended("t0/1", 1080, lost()),
            ended("t0/1", 1095, done("completed")),
        ] {
            let mut history = at(&[1000, 1050, 1090]);
            history.settles.push(late_or_vain);
            assert_breach(&no_more_at_once(&history, &LIMIT), "I21");
        }
    }

    #[test]
    fn a_lease_that_ended_or_may_have_makes_room() {
        assert_eq!(
            no_more_at_once(&at(&[1000, 1050, 1100]), &LIMIT),
            Vec::<String>::new()
        );
        for end in [
            ended("t0/1", 1080, done("completed")),
            ended("t1/1", 1090, done("completed")),
            ended("t1/1", 1080, Outcome::Unknown),
        ] {
            let mut history = at(&[1000, 1050, 1090]);
            history.settles.push(end);
            assert_eq!(no_more_at_once(&history, &LIMIT), Vec::<String>::new());
        }
    }
}
