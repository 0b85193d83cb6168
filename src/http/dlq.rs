//! Dead letters, for operators.

pub(super) mod groups;
