//! Bad input and faults: each is told with its code, its exit code and what to do next, and nothing is lost by it.

#[cfg(feature = "places")]
mod containers;
mod daemon;
#[cfg(feature = "places")]
mod engines;
mod files;
#[cfg(feature = "places")]
mod hosts;
mod services;
mod small;
