//! Compose files as data: a project loaded as the Compose specification says, and as Docker Compose does where the two
//! differ or the specification is silent.
//!
//! ```text
//!  request: files, profiles, env files, environment            options: which files, which folder, which variables
//!     │
//!     ▼  for each file, for each document in it
//!  parse ► interpolate ► extends ► reset ► include ► merge ► unique ► schema ► canonical ► omit empty ► unique
//!     │
//!     ▼  once
//!  defaults ► validate ► paths ► environment ► Loaded ──► normalise, profiles, consistency ──► the printed model
//! ```
//! The order is Compose's own and matters: a short form is merged before it becomes a long one, a file is judged by the
//! schema together with all files before it, a variable is looked up before `extends` knows its file.
//!
//! - [`tree`]: typed nodes with places; [`problem`]: what can be wrong; [`files`]: the only way to the outside.
//! - Nothing reads the process's environment, folder or arguments: [`LoadRequest`] says all of that.

#![forbid(unsafe_code)]

mod canonical;
mod checks;
mod consistency;
mod dialect;
mod dotenv;
mod environ;
mod extends;
mod extensions;
pub mod files;
mod include;
mod interpolate;
mod load;
mod loader;
mod marks;
mod merge;
pub mod model;
mod normalise;
mod options;
mod parse;
mod path;
mod paths;
pub mod problem;
mod project;
mod reset;
mod resolve;
mod scalar;
mod schema;
mod show;
mod sources;
mod template;
mod text;
pub mod tree;
mod unique;

pub use files::{Disk, Files, Found, Memory, SourceFile};
pub use load::{LoadRequest, Loaded, load, project_files};
pub use marks::Marks;
pub use model::Project;
pub use options::{FILE_NAMES, OVERRIDE_NAMES};
pub use problem::{CODES, Code, Place, Problem, Report};
pub use project::normalise as normalise_project_name;
pub use resolve::{read, resolve};
pub use schema::service_attributes;
pub use text::Duration;
pub use tree::{Key, Map, Node, Span, Tag, Value, Written};
