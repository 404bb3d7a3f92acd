//! The language as data: one table of keys, used by the check of every file and by the JSON Schema.
//!
//! ```text
//!  keys.rs ─┬─► check.rs    unknown keys and wrong kinds, before merging, with places
//!           ├─► elsewhere.rs   where an unknown key is known
//!           └─► schema.rs   `muster schema`
//! ```

mod check;
mod elsewhere;
mod keys;
mod keys_container;
mod keys_service;
mod schema;

pub(crate) use check::{check, listed, unknown_word};
pub(crate) use keys::STACK;
pub(crate) use keys_service::overrides;
pub use schema::schema;

/// What may stand at a place.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Any text; numbers and booleans count as the text they are written as.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// `30s`.
    Duration,
    /// `512MiB`.
    Size,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Any number of these.
    List(&'static Shape),
    /// Names chosen by the user.
    Map(&'static Shape),
    /// Keys of the language.
    Record(&'static [Key]),
    /// Keys of several tables; of two with one name the first counts.
    Records(&'static [&'static [Key]]),
    /// At most one list and one map or record; any scalars.
    OneOf(&'static [Shape]),
    /// Another shape, shared or recursive.
    See(&'static Shape),
}

/// A key of the language.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) about: &'static str,
}

/// A row of the table.
pub(crate) const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about }
}
