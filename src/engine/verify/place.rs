//! The position of an audit: the reads that are left, the next one last. The caller keeps it as a cursor
//! between two calls, so that no replica has to remember it.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// Indexes of tasks by role, each with the number of members that one read takes. Values are read along, and
/// some are long.
pub(super) const INDEXES: [(&str, usize); 10] = [
    ("due", 100),
    ("leased", 100),
    ("dead", 100),
    ("expiry", 100),
    ("letter", 100),
    ("linger", 100),
    ("mut", 100),
    ("hist", 10),
    ("res", 10),
    ("pay", 2),
];

/// Bytes of a cursor at most. The reads that are left are bounded by the pages of groups and lanes.
const CURSOR_BYTES_MAX: usize = 128 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// A page of all tasks.
    Tasks(String),
    /// A page of one of [`INDEXES`].
    Index(usize, String),
    /// A page of the groups in the turn index.
    Groups(String),
    /// A page of the lanes of a group.
    Heads(String, String),
    /// A page of a lane: of its returned tasks, or of its fresh ones.
    Lane(String, bool, String),
    /// A page of the lanes of a name.
    Name(String, String),
    Finished,
    Counts,
}

impl Step {
    fn is_sound(&self) -> bool {
        let numeric = |cursor: &str| cursor.len() <= 20 && cursor.parse::<u64>().is_ok();
        match self {
            Self::Tasks(cursor) => cursor
                .split_once(' ')
                .is_some_and(|(scan, skip)| numeric(scan) && numeric(skip)),
            Self::Index(index, cursor) => *index < INDEXES.len() && numeric(cursor),
            Self::Groups(cursor)
            | Self::Heads(_, cursor)
            | Self::Lane(_, _, cursor)
            | Self::Name(_, cursor) => numeric(cursor),
            Self::Finished | Self::Counts => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place(Vec<Step>);

impl Default for Place {
    fn default() -> Self {
        let zero = || "0".to_owned();
        let mut steps = vec![Step::Counts, Step::Finished, Step::Groups(zero())];
        steps.extend((0..INDEXES.len()).rev().map(|index| Step::Index(index, zero())));
        steps.push(Step::Tasks("0 0".to_owned()));
        Self(steps)
    }
}

impl Place {
    /// Reads a cursor; `None` if [`Self::cursor`] did not write it.
    pub(super) fn parse(cursor: &str) -> Option<Self> {
        if cursor.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let place: Self = serde_json::from_slice(&bytes).ok()?;
        (!place.0.is_empty() && place.0.iter().all(Step::is_sound)).then_some(place)
    }

    /// Writes a cursor; `None` if no read is left.
    pub(super) fn cursor(&self) -> Option<String> {
        let bytes = serde_json::to_vec(self).expect("steps are texts and numbers");
        (!self.0.is_empty()).then(|| BASE64URL_NOPAD.encode(&bytes))
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        self.0.pop()
    }

    /// Adds the next page, if there is one.
    pub(super) fn then(&mut self, step: impl FnOnce(String) -> Step, cursor: String) {
        if !cursor.is_empty() {
            self.0.push(step(cursor));
        }
    }

    /// Adds reads before all others.
    pub(super) fn extend(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.0.extend(steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_where_it_was_and_no_other_text_is_one() {
        let mut place = Place::default();
        assert_eq!(place.next(), Some(Step::Tasks("0 0".to_owned())));
        place.then(Step::Tasks, "17 3".to_owned());
        place.extend([Step::Lane("10/a/acme".to_owned(), false, "50".to_owned())]);
        let cursor = place.cursor().unwrap();
        assert_eq!(Place::parse(&cursor), Some(place));
        for bad in [
            "",
            "x",
            &BASE64URL_NOPAD.encode(b"[]"),
            &BASE64URL_NOPAD.encode(br#"[{"Tasks":"x"}]"#),
        ] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
        assert_eq!(Place(Vec::new()).cursor(), None);
    }
}
