//! What the runtimes of this crate bring to the suite.

pub(crate) mod container;
pub(crate) mod fake;
pub(crate) mod process;
pub(crate) mod remote;
