//! Which values an attribute takes: the types, words and names that the Compose specification's schema allows.
//!
//! The tables say it as data ([`Shape`], [`Object`]); [`validate`] walks a tree along them and reports everything that does
//! not fit. It is asked after each file that is merged, so it takes short forms and long ones alike. What depends on two
//! attributes or two services is no question of shape and is asked later.

mod parts;
mod resources;
mod service;
mod shape;
mod walk;

use crate::problem::Report;
use crate::tree::Node;

/// Reports every value that the specification's schema does not allow.
pub(crate) fn validate(root: &Node, report: &mut Report) {
    walk::object(root, &resources::PROJECT, &mut walk::At::new(report));
}

/// The attributes that a service may have, in the order of the specification's schema.
pub fn service_attributes() -> impl Iterator<Item = &'static str> {
    service::SERVICE.keys.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests;
