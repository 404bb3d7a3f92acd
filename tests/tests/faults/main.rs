//! Bad input and faults: each is told with its code, its exit code and what to do next, and nothing is lost by it.

mod containers;
mod daemon;
mod engines;
mod files;
mod hosts;
mod services;
mod small;
