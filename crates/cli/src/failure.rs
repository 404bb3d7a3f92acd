//! How a command ends when it did not do what was asked.

use crate::term::Terminal;
use muster_api::{ClientError, daemon::DaemonError, exit};
use muster_config::{Code, Problems, Said, Severity};
use muster_engine::documents::ErrorDocument;
use std::io::Write;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be said.
    Document(Box<ErrorDocument>),
    /// The configuration is wrong.
    Problems(Box<Problems>),
    /// A compose project is wrong.
    Compose(Vec<muster_compose::Problem>),
    /// Everything is said; only the code is left.
    Code(i32),
    /// Nobody reads standard output any more.
    PipeClosed,
}

/// What a command returns: its exit code.
pub(crate) type Outcome = Result<i32, Failure>;

impl Failure {
    /// An error with what to run next.
    pub(crate) fn new(code: &str, exit: i32, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Document(Box::new(ErrorDocument::new(code, exit, message).help(help)))
    }

    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new("cli::usage", exit::USAGE, message, help)
    }

    /// The words cannot be understood: what clap says of them, as a document.
    pub(crate) fn misused(error: &clap::Error) -> Self {
        use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
        if matches!(error.kind(), DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand) {
            return Self::usage("a command is missing", "`muster help` lists the commands");
        }
        let text = error.to_string();
        // paragraphs: what is wrong, tips, the usage, where more stands
        let mut paragraphs = text.split("\n\n").map(|paragraph| {
            paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
        });
        let message = paragraphs.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let rest: Vec<String> = paragraphs.filter(|paragraph| !paragraph.starts_with("For more information")).collect();
        Self::usage(message, if rest.is_empty() { "`muster help` says more".to_owned() } else { rest.join("; ") })
    }

    /// A file or terminal cannot be used.
    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        let document = ErrorDocument::new("cli::io", exit::FAILED, format!("{what}: {error}"));
        Self::Document(Box::new(document))
    }

    /// Says it and gives the exit code.
    pub(crate) fn report(self, terminal: &Terminal, json: bool) -> i32 {
        let mut err = std::io::stderr().lock();
        match self {
            Self::PipeClosed => exit::OK,
            Self::Code(code) => code,
            Self::Document(document) => {
                let text = if json { one_line(&document) } else { in_words(&document, terminal) };
                let _ = writeln!(err, "{text}");
                document.exit
            }
            Self::Problems(problems) => {
                if json {
                    for document in problem_documents(&problems) {
                        let _ = writeln!(err, "{}", one_line(&document));
                    }
                } else {
                    let _ = writeln!(err, "{}", problems.render(terminal.err_colour));
                }
                exit_of(&problems)
            }
            Self::Compose(problems) => {
                let texts: Vec<String> = match json {
                    true => problems.iter().map(|p| one_line(&compose_document(p, exit::CONFIG))).collect(),
                    false => problems.iter().map(|problem| in_compose(problem, terminal.err_colour) + "\n").collect(),
                };
                let _ = writeln!(err, "{}", texts.join("\n").trim_end());
                exit::CONFIG
            }
        }
    }
}

/// A problem of a compose file with an excerpt.
fn in_compose(problem: &muster_compose::Problem, colour: bool) -> String {
    let place = problem.place.as_ref().map(|place| muster_config::Place {
        file: place.file.clone(),
        line: place.line,
        column: place.column,
        start: place.start,
        end: place.end,
    });
    // the excerpt is a courtesy: a file that cannot be read again has none
    let text = place.as_ref().and_then(|place| std::fs::read_to_string(&place.file).ok());
    let said = Said {
        severity: Severity::Error,
        code: problem.code.as_str(),
        message: &problem.message,
        help: problem.code.help(),
        place: place.as_ref(),
    };
    said.render(&|_| text.as_deref(), colour)
}

/// One problem of a compose file.
pub(crate) fn compose_document(problem: &muster_compose::Problem, exit: i32) -> ErrorDocument {
    let mut document = ErrorDocument::new(problem.code.as_str(), exit, problem.message.clone());
    document.help = problem.code.help().map(str::to_owned);
    if let Some(place) = &problem.place {
        document.file = Some(place.file.display().to_string());
        document.line = Some(place.line);
        document.column = Some(place.column);
    }
    document
}

fn one_line(document: &ErrorDocument) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// `error: what happened`, and what to run next.
pub(crate) fn in_words(document: &ErrorDocument, terminal: &Terminal) -> String {
    let mut text = format!("{} {}", terminal.err_style("error:", anstyle::AnsiColor::Red), document.message);
    if let Some(file) = &document.file {
        let place = [document.line, document.column].into_iter().flatten().map(|n| format!(":{n}"));
        text.push_str(&format!("\n  at {file}{}", place.collect::<String>()));
    }
    if let Some(help) = &document.help {
        text.push_str(&format!("\n{} {help}", terminal.err_style("help:", anstyle::AnsiColor::Cyan)));
    }
    text
}

/// A file that is right but for a runtime that is not here is not wrong.
fn exit_of(problems: &Problems) -> i32 {
    let mut errors = problems.list.iter().filter(|problem| problem.severity == Severity::Error);
    if errors.all(|problem| problem.code == Code::RuntimeUnavailable) { exit::RUNTIME } else { exit::CONFIG }
}

/// One document per problem.
pub(crate) fn problem_documents(problems: &Problems) -> Vec<ErrorDocument> {
    let to_document = |problem: &muster_config::Problem| {
        let mut document = ErrorDocument::new(problem.code.as_str(), exit_of(problems), problem.message.clone());
        document.help.clone_from(&problem.help);
        if let Some(place) = &problem.place {
            document.file = Some(place.file.display().to_string());
            document.line = Some(place.line);
            document.column = Some(place.column);
        }
        document
    };
    problems.list.iter().map(to_document).collect()
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Document(Box::new(error.into_document()))
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        Self::Document(Box::new(error.document()))
    }
}

impl From<Vec<muster_compose::Problem>> for Failure {
    fn from(problems: Vec<muster_compose::Problem>) -> Self {
        Self::Compose(problems)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(Box::new(problems))
    }
}

/// For what is written to standard output.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        Self::io("standard output cannot be written", &error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        let document = ErrorDocument::new("cli::json", exit::FAILED, format!("a document cannot be written: {error}"));
        Self::Document(Box::new(document))
    }
}
