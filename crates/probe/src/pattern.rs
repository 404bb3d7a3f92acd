//! A regular expression that remembers how it was written.

use regex::Regex;

/// A compiled regular expression; equal when written equally.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Not a regular expression.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{text}` is not a regular expression")]
pub struct PatternError {
    /// What was written.
    pub text: String,
    /// Where it is wrong.
    #[source]
    pub source: regex::Error,
}

impl Pattern {
    /// Compiles.
    ///
    /// # Errors
    /// [`PatternError`] when it is not a regular expression of the `regex` crate.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Regex::new(text).map(Self).map_err(|source| PatternError { text: text.to_owned(), source })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it matches somewhere.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}
