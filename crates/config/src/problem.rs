//! What can be wrong with a stack file, said with its place and a way out.

use crate::files::{SourceFile, Sources};
use crate::tree::{Node, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
pub use muster_compose::Place;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

macro_rules! codes {
    ($($variant:ident = $text:literal: $about:literal;)*) => {
        /// A stable name of one kind of problem; each is listed in [`CODES`] and in `docs/errors.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Code {
            $(#[doc = $about] #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            /// The name as it is printed, `config::...`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        /// Every code with one line that describes it, in the order of the documentation.
        pub const CODES: &[(Code, &str, &str)] = &[$((Code::$variant, $text, $about),)*];
    };
}

codes! {
    NoFile = "config::no_file": "there is no stack file in this folder or above it";
    Unreadable = "config::unreadable": "a file cannot be read, is empty, binary or not UTF-8";
    Syntax = "config::syntax": "the text is not valid YAML";
    SeveralDocuments = "config::several_documents": "a stack file holds one YAML document";
    TooDeep = "config::too_deep": "the file is nested deeper than any stack needs";
    TooLarge = "config::too_large": "aliases make the document grow beyond its limit";
    DuplicateKey = "config::duplicate_key": "a key stands twice in one map";
    UnknownTag = "config::unknown_tag": "a YAML tag other than `!append` and `!unset`";
    UnknownKey = "config::unknown_key": "a key that the language does not have";
    WrongType = "config::wrong_type": "a value of another type than the key takes";
    UnknownWord = "config::unknown_word": "a word that is not one of those allowed here";
    MissingKey = "config::missing_key": "something that must be given is not";
    Conflict = "config::conflict": "two things are given that exclude each other";
    BadName = "config::bad_name": "a name has a character that names may not have";
    DuplicateName = "config::duplicate_name": "one word names two services, aliases, groups or profiles";
    BadDuration = "config::bad_duration": "not a duration such as `200ms`, `30s` or `5m`";
    BadSize = "config::bad_size": "not a size such as `512MiB`";
    BadSignal = "config::bad_signal": "not the name or number of a signal";
    BadRegex = "config::bad_regex": "a regular expression that does not compile";
    BadPort = "config::bad_port": "not a place for a port";
    BadAddress = "config::bad_address": "not an IP address";
    BadImage = "config::bad_image": "not the name of an image";
    BadMount = "config::bad_mount": "a volume, bind mount or tmpfs that cannot be understood";
    BadContainer = "config::bad_container": "something of a container that no engine takes";
    BadMerge = "config::bad_merge": "`!append` where there is no list to append to";
    Include = "config::include": "an included file includes itself";
    Extends = "config::extends": "an environment extends itself or one that is not there";
    EnvFile = "config::env_file": "a line of an environment file cannot be understood";
    Interpolation = "config::interpolation": "a `${...}` that cannot be understood";
    Unset = "config::unset": "a variable that nothing gives a value";
    SecretSource = "config::secret_source": "the source of a variable gave no value";
    BadReference = "config::bad_reference": "a typed reference to something that is not there, or at a place that takes none";
    NeedsShell = "config::needs_shell": "a command string that only a shell understands";
    EmptyCommand = "config::empty_command": "a command without a program";
    UnknownService = "config::unknown_service": "a service that the stack does not have";
    UnknownPort = "config::unknown_port": "a port that the service does not have";
    UnknownSelection = "config::unknown_selection": "a selector that chooses nothing";
    NotAJob = "config::not_a_job": "`done` of a service that never finishes";
    JobProbe = "config::job_probe": "a probe of a job: it counts only while the job runs";
    Cycle = "config::cycle": "services need each other in a circle";
    PortClash = "config::port_clash": "two services want one port";
    PortBlock = "config::port_block": "more ports than the environment's block has";
    ReplicaPort = "config::replica_port": "several replicas on one fixed port";
    EnvTooBig = "config::env_too_big": "a variable that no process can be given";
    NoVariant = "config::no_variant": "a service that says no way to run it";
    RuntimeNotOffered = "config::runtime_not_offered": "the chosen runtime is not one the service offers";
    RuntimeUnavailable = "config::runtime_unavailable": "the chosen runtime is not there on this machine";
    Foreign = "config::foreign": "a file of another tool that cannot be understood";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The stack cannot be used.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The stable name of its kind.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to write instead, or to run next.
    pub help: Option<String>,
    /// Where it is, when it is in a file.
    pub place: Option<Place>,
}

impl Problem {
    /// An error without a place.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), help: None, place: None }
    }

    /// Adds a way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong, with the texts to show it in.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    /// The problems: errors first, then in order of their place.
    pub list: Vec<Problem>,
    /// The files that were read.
    pub sources: Vec<SourceFile>,
}

impl Problems {
    /// Whether the stack can be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// All of them with excerpts of the files, for people.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        self.list.iter().map(|p| render(p, &self.sources, colour)).collect::<Vec<_>>().join("\n\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.list.iter().filter(|p| p.severity == Severity::Error).count();
        match self.list.first() {
            Some(first) if errors == 1 => f.write_str(&first.message),
            Some(first) => write!(f, "{} (and {} more)", first.message, errors.saturating_sub(1)),
            None => f.write_str("no problem"),
        }
    }
}

impl std::error::Error for Problems {}

/// One problem with an excerpt of its file.
#[must_use]
pub fn render(problem: &Problem, sources: &[SourceFile], colour: bool) -> String {
    let said = Said {
        severity: problem.severity,
        code: problem.code.as_str(),
        message: &problem.message,
        help: problem.help.as_deref(),
        place: problem.place.as_ref(),
    };
    let text = |file: &Path| sources.iter().find(|source| source.path == file).map(|source| source.text.as_str());
    said.render(&text, colour)
}

/// What is said of one problem, whichever language its file is in.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// The stable name of its kind.
    pub code: &'a str,
    /// What is wrong.
    pub message: &'a str,
    /// What to write instead, or to run next.
    pub help: Option<&'a str>,
    /// Where it is.
    pub place: Option<&'a Place>,
}

impl Said<'_> {
    /// It for people, with an excerpt of its file if its text is known.
    pub fn render<'t>(&self, text: &dyn Fn(&Path) -> Option<&'t str>, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message).id(self.code);
        let mut group = Group::with_title(title);
        if let Some(place) = self.place
            && let Some(text) = text(&place.file)
        {
            let (lines, start, end) = excerpt(text, place);
            let snippet = Snippet::source(lines)
                .line_start(place.line as usize)
                .path(place.file.display().to_string())
                .annotation(AnnotationKind::Primary.span(start..end));
            group = group.element(snippet);
        }
        if let Some(help) = self.help {
            group = group.element(Level::HELP.message(help));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The lines that a place touches, at most `MOST_LINES`, and the place within them: a large file is not scanned for each
/// of its problems.
fn excerpt<'a>(text: &'a str, place: &Place) -> (&'a str, usize, usize) {
    const MOST_LINES: usize = 4;
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = boundary(place.start);
    let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let mut last = start;
    for _ in 0..MOST_LINES {
        last = text[last..].find('\n').map_or(text.len(), |at| last + at + 1);
        if last >= place.end {
            break;
        }
    }
    let lines = text[first..last].trim_end_matches('\n');
    let end = boundary(place.end).clamp(start, (first + lines.len()).max(start));
    (lines, (start - first).min(lines.len()), (end - first).min(lines.len()))
}

/// A problem while its place is still a span.
#[derive(Debug)]
pub(crate) struct Item {
    code: Code,
    severity: Severity,
    message: String,
    help: Option<String>,
    span: Option<Span>,
    /// The message says at which key.
    named: bool,
}

impl Item {
    pub(crate) fn help(&mut self, text: impl Into<String>) {
        self.help = Some(text.into());
    }
}

/// Collects problems; every pass keeps going after one.
#[derive(Debug, Default)]
pub(crate) struct Report {
    items: Vec<Item>,
}

impl Report {
    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Item {
        self.push(Item {
            code,
            severity: Severity::Error,
            message: message.into(),
            help: None,
            span: Some(span),
            named: false,
        })
    }

    pub(crate) fn warn(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Item {
        self.push(Item {
            code,
            severity: Severity::Warning,
            message: message.into(),
            help: None,
            span: Some(span),
            named: false,
        })
    }

    pub(crate) fn general(&mut self, code: Code, message: impl Into<String>) -> &mut Item {
        self.push(Item {
            code,
            severity: Severity::Error,
            message: message.into(),
            help: None,
            span: None,
            named: false,
        })
    }

    fn push(&mut self, item: Item) -> &mut Item {
        self.items.push(item);
        self.items.last_mut().expect("invariant: an item was just pushed")
    }

    /// Puts the key in front of what is wrong with its value, as `services.api.replicas`: the place alone does not tell
    /// it to a script. Called while the tree that the values are in is at hand.
    pub(crate) fn name_keys(&mut self, tree: &Node) {
        let unnamed = |item: &&mut Item| item.code == Code::WrongType && !item.named;
        let wanted: HashSet<Span> = self.items.iter_mut().filter(unnamed).filter_map(|item| item.span).collect();
        if wanted.is_empty() {
            return;
        }
        let paths = tree.paths(&wanted);
        for item in self.items.iter_mut().filter(unnamed) {
            if let Some(path) = item.span.and_then(|span| paths.get(&span)) {
                item.message = format!("`{path}`: {}", item.message);
                item.named = true;
            }
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// What was found first: its line, from 1, where it has one, and what is wrong.
    pub(crate) fn first(&self) -> Option<(usize, &str)> {
        let item = self.items.first()?;
        Some((item.span.map_or(0, |span| span.line as usize), &item.message))
    }

    /// Whether a variable within `span` is not set: what stands there is not what will.
    pub(crate) fn is_unset_within(&self, span: Span) -> bool {
        let within = |other: Span| other.file == span.file && span.start <= other.start && other.end <= span.end;
        self.items.iter().any(|item| item.code == Code::Unset && item.span.is_some_and(within))
    }

    /// What is no map at all lacks none of a map's keys: that it is none was told.
    fn drop_consequences(&mut self) {
        let of_wrong_type = |item: &&Item| item.code == Code::WrongType;
        let wrong: HashSet<Span> = self.items.iter().filter(of_wrong_type).filter_map(|item| item.span).collect();
        self.items.retain(|item| item.code != Code::MissingKey || item.span.is_none_or(|span| !wrong.contains(&span)));
    }

    /// Places for spans; one mistake is said once, also when two passes found it.
    pub(crate) fn into_problems(mut self, sources: &Sources) -> Problems {
        self.drop_consequences();
        let mut list: Vec<Problem> = self.items.into_iter().map(|item| placed(item, sources)).collect();
        list.sort_by(|a, b| (a.severity, &a.place, a.code).cmp(&(b.severity, &b.place, b.code)));
        list.dedup_by(|a, b| a.code == b.code && a.place.is_some() && a.place == b.place);
        Problems { list, sources: sources.files().to_vec() }
    }
}

fn placed(item: Item, sources: &Sources) -> Problem {
    let place = item.span.and_then(|span| Place::of(span, sources.files()));
    Problem { code: item.code, severity: item.severity, message: item.message, help: item.help, place }
}

/// The nearest of some words, near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || (word.len() > 2 && candidate.starts_with(word)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
