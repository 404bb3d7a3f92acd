//! What only the system knows: the end of a child and of its process group.
//!
//! The portable meaning: [`ended`] waits for the end of a child without taking its exit status; a group is a process and
//! what it started, unless that left.

mod linux;

pub(crate) use linux::{ended, kill_group, reap_group};
