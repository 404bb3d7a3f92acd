//! What an import could not keep, and what is done instead.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the report's JSON form.
const SCHEMA: &str = "muster.loss.v1";

/// One thing that the produced document does not say as the source did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Where it stands in the source, as in `processes.web.schedule`.
    pub field: String,
    /// Why it was not kept.
    pub reason: String,
    /// What is done in its place.
    pub instead: String,
}

/// Everything an import could not keep; empty when the document says the same as the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    /// `muster.loss.v1`
    pub schema: String,
    /// In the order of the source.
    pub entries: Vec<Loss>,
}

impl Default for LossReport {
    fn default() -> Self {
        Self { schema: SCHEMA.to_owned(), entries: Vec::new() }
    }
}

impl LossReport {
    /// Adds an entry, unless the same one is there.
    pub fn push(&mut self, field: &str, reason: &str, instead: &str) {
        let loss = Loss { field: field.to_owned(), reason: reason.to_owned(), instead: instead.to_owned() };
        if !self.entries.contains(&loss) {
            self.entries.push(loss);
        }
    }

    /// Whether everything was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// One line per entry: `field: reason; instead`.
impl fmt::Display for LossReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for loss in &self.entries {
            writeln!(f, "{}: {}; {}", loss.field, loss.reason, loss.instead)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_as_text_and_json() {
        let mut report = LossReport::default();
        report.push("processes.a.schedule", "no schedules", "it is started once");
        report.push("processes.a.schedule", "no schedules", "it is started once");
        assert_eq!(report.to_string(), "processes.a.schedule: no schedules; it is started once\n");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["schema"], "muster.loss.v1");
        assert_eq!(json["entries"][0]["instead"], "it is started once");
        assert_eq!(serde_json::from_value::<LossReport>(json).unwrap(), report);
    }
}
