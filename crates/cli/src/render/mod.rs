//! Documents in, text out: no rendering asks anybody anything.

pub(crate) mod documents;
pub(crate) mod graph;
pub(crate) mod harmless;
pub(crate) mod lines;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod status;
pub(crate) mod table;
