//! Errors as documents, with stable codes and what to run next.

use crate::documents::ErrorDocument;
use muster_core::Denial;
use muster_spec::SelectorError;

/// Every code that this crate gives, with one line about it.
pub const CODES: [(&str, &str); 22] = [
    ("selector::unknown", "no service, group, alias or profile has the name"),
    ("selector::syntax", "the text is not a selector"),
    ("selector::one", "the command takes one instance, the selector chose another number"),
    ("environment::unknown", "the environment was never brought up here"),
    ("environment::running", "the environment still runs; it must be down first"),
    ("environment::files", "the folders of an environment could not be removed"),
    ("build::failed", "a build step ended with an error, or an image could not be built"),
    ("resolve::inputs", "the `inputs` of a job or build cannot be read"),
    ("stack::cycle", "services need one another in a circle"),
    ("command::needed", "something that runs needs what should stop"),
    ("command::lost", "the instance can be neither verified nor signalled"),
    ("command::not_running", "the command needs an instance that runs"),
    ("command::signal", "the text is not a signal"),
    ("command::pattern", "the text is not a regular expression"),
    ("port::taken", "a port belongs to another environment or process"),
    ("port::block", "the ports do not fit into the block"),
    ("resolve::reference", "a reference cannot be filled in"),
    ("runtime::unavailable", "the runtime that a service should use is not here"),
    ("runtime::unsupported", "the runtime cannot do what the service asks for"),
    ("runtime::failed", "the runtime could not do it"),
    ("journal::failed", "the journal cannot be written"),
    ("daemon::closing", "the daemon is ending"),
];

pub(crate) fn selector(error: &SelectorError) -> ErrorDocument {
    match error {
        SelectorError::Empty(_) | SelectorError::Replica(_) => {
            ErrorDocument::new("selector::syntax", 2, error.to_string())
        }
        SelectorError::Unknown { known, .. } => {
            let mut names: Vec<&str> = known.iter().map(String::as_str).take(12).collect();
            if known.len() > names.len() {
                names.push("...");
            }
            ErrorDocument::new("selector::unknown", 4, error.to_string())
                .help(format!("there are: {}", names.join(", ")))
        }
    }
}

pub(crate) fn denial(denial: &Denial) -> ErrorDocument {
    let text = denial.to_string();
    match denial {
        Denial::Unknown(_) => ErrorDocument::new("selector::unknown", 4, text).help("run `muster status`"),
        Denial::Needed { .. } => {
            ErrorDocument::new("command::needed", 1, text).help("stop those as well, or add `--force`")
        }
        Denial::Lost(_) => ErrorDocument::new("command::lost", 1, text)
            .help("`muster why` says how it comes back; `muster down --forget` drops it without touching it"),
    }
}

pub(crate) fn unknown_environment(id: &str) -> ErrorDocument {
    ErrorDocument::new("environment::unknown", 4, format!("nothing was brought up in environment `{id}` yet"))
        .help("run `muster up`, or see `muster env list`")
}

pub(crate) fn closing() -> ErrorDocument {
    ErrorDocument::new("daemon::closing", 7, "the daemon is ending").help("run the command again")
}

pub(crate) fn journal(error: &muster_store::StoreError) -> ErrorDocument {
    ErrorDocument::new("journal::failed", 1, error.to_string())
        .help("make room or fix the folder's rights, then run it again")
}
