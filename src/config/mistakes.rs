//! The mistakes in the settings, reported together.

use std::fmt;

use super::source::Source;

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key as it is written in the file.
    pub key: String,
    pub source: Source,
    /// The problem, as a sentence without the key.
    pub problem: String,
    /// A correct value in the syntax of its source; empty if there is none.
    pub example: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            source,
            problem,
            example,
        } = self;
        write!(f, "{key} ({source}): {problem}")?;
        if !example.is_empty() {
            write!(f, "; example: {example}")?;
        }
        Ok(())
    }
}

/// One or more mistakes, in the order of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "a setting is wrong: {only}");
        }
        write!(f, "{} settings are wrong:", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Returns the word of `known` that is nearest to `word`, if at most two letters differ.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}
