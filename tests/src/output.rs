//! What a command said.

use serde_json::Value;

/// What a command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// Its exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The document on standard output.
    ///
    /// # Panics
    /// When that is not one JSON document.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The first error document on standard error.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn error(&self) -> Value {
        let found = self.errors().into_iter().next();
        found.unwrap_or_else(|| panic!("no error document: {self:?}"))
    }

    /// All error documents on standard error.
    #[must_use]
    pub fn errors(&self) -> Vec<Value> {
        let documents = self.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        documents.filter(|document| document["schema"] == "muster.error.v1").collect()
    }

    /// Itself, when it ended with `code`.
    ///
    /// # Panics
    /// When it ended with another.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "`{}` ended with {}, not {code}\nstdout: {}\nstderr: {}",
            self.line, self.code, self.stdout, self.stderr
        );
        self
    }

    /// Nothing, when it ended with 0.
    ///
    /// # Panics
    /// When it did not.
    pub fn ok(self) {
        let _ = self.expect_code(0);
    }
}
