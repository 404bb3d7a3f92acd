//! Why a file of another tool is not accepted.

use std::path::PathBuf;

/// A reason for which the other tool would not run this either, or which makes a faithful import impossible.
#[derive(Debug, thiserror::Error)]
pub enum ImportProblem {
    /// A file that is needed cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not what the file's language allows.
    #[error("`{}`, line {line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A `${...}` that cannot be understood.
    #[error("`{}`, line {line}: bad substitution `{text}`", path.display())]
    Expansion {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The beginning of it.
        text: String,
    },
    /// Processes that wait for each other.
    #[error("circular dependency: {}", chain.join(" -> "))]
    Circular {
        /// The cycle; the first name stands at its end again.
        chain: Vec<String>,
    },
    /// A dependency that no process has the name of.
    #[error("process `{process}` depends on `{dependency}`, which is not defined")]
    UnknownDependency {
        /// Who depends.
        process: String,
        /// On what.
        dependency: String,
    },
    /// A file is extended by one file and given beside it, or extends itself.
    #[error("`{}` is extended and already among the files to load", path.display())]
    ExtendsGivenTwice {
        /// The extended file.
        path: PathBuf,
    },
    /// `extends` of a process names no process.
    #[error("process `{process}` extends `{parent}`, which is not defined")]
    ExtendsUnknown {
        /// The process with `extends`.
        process: String,
        /// What it names.
        parent: String,
    },
    /// Processes that extend each other.
    #[error("process `{process}` extends itself, directly or through others")]
    ExtendsCircular {
        /// One of them.
        process: String,
    },
    /// A process asked for by name is not in the project, perhaps because of the selected namespaces.
    #[error("no such process: `{name}`")]
    NoSuchProcess {
        /// The name.
        name: String,
    },
    /// A value of the wrong kind.
    #[error("`{field}` must be {wanted}")]
    WrongType {
        /// Where.
        field: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A value that is not accepted.
    #[error("`{field}`: {reason}")]
    InvalidValue {
        /// Where.
        field: String,
        /// Why.
        reason: String,
    },
    /// Something that is only complained of unless the project is strict.
    #[error("`{field}`: {reason} (the project is strict)")]
    Strict {
        /// Where.
        field: String,
        /// Why.
        reason: String,
    },
}

impl ImportProblem {
    /// Every code and what it means, for `docs/errors.md`.
    pub const CODES: &'static [(&'static str, &'static str)] = &[
        ("import::unreadable", "a file that the imported one needs cannot be read"),
        ("import::syntax", "the text is not what the file's language allows"),
        ("import::expansion", "a `${...}` cannot be understood"),
        ("import::circular", "processes wait for each other"),
        ("import::unknown_dependency", "a dependency names no process"),
        ("import::extends_given_twice", "an extended file is among the files to load, or extends itself"),
        ("import::extends_unknown", "a process extends one that is not there"),
        ("import::extends_circular", "processes extend each other"),
        ("import::no_such_process", "a process asked for by name is not there, perhaps because of its namespace"),
        ("import::wrong_type", "a value is of the wrong kind"),
        ("import::invalid_value", "a value is not accepted"),
        ("import::strict", "the project is strict, and something is there that else is only complained of"),
    ];

    /// The stable code of the problem.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "import::unreadable",
            Self::Syntax { .. } => "import::syntax",
            Self::Expansion { .. } => "import::expansion",
            Self::Circular { .. } => "import::circular",
            Self::UnknownDependency { .. } => "import::unknown_dependency",
            Self::ExtendsGivenTwice { .. } => "import::extends_given_twice",
            Self::ExtendsUnknown { .. } => "import::extends_unknown",
            Self::ExtendsCircular { .. } => "import::extends_circular",
            Self::NoSuchProcess { .. } => "import::no_such_process",
            Self::WrongType { .. } => "import::wrong_type",
            Self::InvalidValue { .. } => "import::invalid_value",
            Self::Strict { .. } => "import::strict",
        }
    }
}
