//! What can be wrong with a compose project, said with its place.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::files::SourceFile;
use crate::tree::Span;

macro_rules! codes {
    ($($variant:ident = $text:literal: $about:literal;)*) => {
        /// A stable name of one kind of problem; each is listed in [`CODES`] and in `docs/errors.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Code {
            $(#[doc = $about] #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            /// The name as it is printed, `compose::...`.
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
    NoFile = "compose::no_file": "there is no compose file in this folder or above it";
    Unreadable = "compose::unreadable": "a file cannot be read or is not text";
    Empty = "compose::empty": "a compose file with nothing in it";
    Syntax = "compose::syntax": "the text is not valid YAML";
    TooDeep = "compose::too_deep": "the file is nested deeper than any project needs, or an anchor holds itself";
    TooLarge = "compose::too_large": "aliases make the document grow beyond its limit";
    DuplicateKey = "compose::duplicate_key": "a key stands twice in one map";
    KeyType = "compose::key_type": "a key that is not a text";
    WrongType = "compose::wrong_type": "a value of another kind than its attribute takes";
    UnknownKey = "compose::unknown_key": "an attribute that compose does not have";
    MissingKey = "compose::missing_key": "an attribute that must be given is not";
    BadName = "compose::bad_name": "a name with a character that names may not have";
    DuplicateItem = "compose::duplicate_item": "a list that takes each item once has one twice";
    BadValue = "compose::bad_value": "a value that its attribute does not take";
    Interpolation = "compose::interpolation": "a `${...}` that cannot be understood";
    Unset = "compose::unset": "a variable that is not set";
    Cast = "compose::cast": "an interpolated value that cannot become what its attribute takes";
    EnvFile = "compose::env_file": "an environment file that is missing or cannot be understood";
    Merge = "compose::merge": "two files give one attribute values that do not go together";
    Extends = "compose::extends": "`extends` of something that is not there, or in a circle";
    Include = "compose::include": "an `include` that is missing, in a circle, or in conflict";
    ProjectName = "compose::project_name": "a project name that compose does not take, or none";
    Undefined = "compose::undefined": "a reference to something that the project does not have";
    Cycle = "compose::cycle": "services depend on each other in a circle";
    Conflict = "compose::conflict": "attributes or services that exclude each other";
    Obsolete = "compose::obsolete": "something that compose ignores by now";
}

impl Code {
    /// What to do about it, where the message alone does not say.
    #[must_use]
    pub fn help(self) -> Option<&'static str> {
        match self {
            Self::NoFile => Some("name a file with `-f`"),
            Self::Unreadable | Self::EnvFile => Some("check the path, which starts at the project's folder"),
            Self::Empty => Some("a compose file needs at least `services: {}`"),
            Self::UnknownKey => Some("an attribute of your own begins with `x-`; compose passes over it"),
            Self::Unset | Self::Interpolation => Some(
                "`${NAME:-default}` gives a default, `$$` stands for one `$`; `.env` and `--env-file` set variables",
            ),
            Self::ProjectName => Some("`-p NAME` or `name:` gives one"),
            Self::Undefined => Some("declare it at the top level, or correct the name"),
            Self::Cycle => Some("take out one of these dependencies"),
            Self::Merge => Some("`!override` before the later value replaces the earlier one"),
            Self::DuplicateKey | Self::DuplicateItem => Some("keep one of the two"),
            Self::KeyType => Some("put it in quotes"),
            Self::Syntax
            | Self::TooDeep
            | Self::TooLarge
            | Self::WrongType
            | Self::MissingKey
            | Self::BadName
            | Self::BadValue
            | Self::Cast
            | Self::Extends
            | Self::Include
            | Self::Conflict
            | Self::Obsolete => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a problem is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte.
    #[serde(skip)]
    pub start: usize,
    /// The byte after the last.
    #[serde(skip)]
    pub end: usize,
}

impl Place {
    /// The place that a span means; none in a file that is not there.
    #[must_use]
    pub fn of(span: Span, sources: &[SourceFile]) -> Option<Self> {
        let file = sources.get(span.file as usize)?.path.clone();
        let (start, end) = (span.start as usize, span.end as usize);
        Some(Self { file, line: span.line, column: span.column, start, end })
    }
}

/// One thing that is wrong, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The stable name of its kind.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// Where, when it is in a file.
    pub place: Option<Place>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", place.file.display(), place.line, place.column)?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl std::error::Error for Problem {}

/// A problem while its place is still a span.
#[derive(Debug, Clone)]
struct Item {
    code: Code,
    message: String,
    span: Option<Span>,
}

impl Item {
    fn placed(self, sources: &[SourceFile]) -> Problem {
        let place = self.span.filter(|span| span.line > 0).and_then(|span| Place::of(span, sources));
        Problem { code: self.code, message: self.message, place }
    }
}

/// Collects errors and warnings; a pass goes on after one as far as it makes sense.
#[derive(Debug, Default)]
pub struct Report {
    errors: Vec<Item>,
    warnings: Vec<Item>,
}

impl Report {
    /// Something that is wrong at a place.
    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.errors.push(Item { code, message: message.into(), span: Some(span) });
    }

    /// Something that is wrong, at no place in a file.
    pub fn general(&mut self, code: Code, message: impl Into<String>) {
        self.errors.push(Item { code, message: message.into(), span: None });
    }

    /// Something to be told, though the project can be used.
    pub fn warn(&mut self, code: Code, span: Option<Span>, message: impl Into<String>) {
        let item = Item { code, message: message.into(), span };
        let known = |other: &Item| (other.code, &other.message) == (item.code, &item.message);
        if !self.warnings.iter().any(known) {
            self.warnings.push(item);
        }
    }

    /// Whether anything is wrong.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors.len()
    }

    /// Errors and warnings with their places: one that two passes found is said once.
    #[must_use]
    pub fn finish(self, sources: &[SourceFile]) -> (Vec<Problem>, Vec<Problem>) {
        let placed = |items: Vec<Item>| items.into_iter().map(|item| item.placed(sources)).collect::<Vec<_>>();
        let mut errors = placed(self.errors);
        let mut seen = std::collections::HashSet::new();
        errors.retain(|p| p.place.is_none() || seen.insert((p.code, p.place.clone(), p.message.clone())));
        (errors, placed(self.warnings))
    }
}
