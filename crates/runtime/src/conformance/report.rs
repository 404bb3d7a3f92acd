//! Running all clauses, and their table.

use super::harness::{Harness, Miss};
use super::{CLAUSES, Clause};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// A clause that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How one clause came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Fulfilled.
    Ok,
    /// Does not apply, for this reason.
    NotApplicable(String),
    /// Broken.
    Failed(String),
}

/// How all clauses came out for one runtime.
#[derive(Debug, Clone)]
pub struct Report {
    /// The runtime's name.
    pub runtime: &'static str,
    /// By clause, in their order.
    pub outcomes: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Names of the clauses that were broken.
    #[must_use]
    pub fn failures(&self) -> Vec<&'static str> {
        let failed = self.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
        failed.map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{}", "clause", self.runtime)?;
        for (name, outcome) in &self.outcomes {
            match outcome {
                Outcome::Ok => writeln!(f, "{name:<24}ok")?,
                Outcome::NotApplicable(reason) => writeln!(f, "{name:<24}n.a.    {reason}")?,
                Outcome::Failed(reason) => writeln!(f, "{name:<24}FAILED  {reason}")?,
            }
        }
        Ok(())
    }
}

/// All clauses and several runtimes, each in a column; reasons and failures stand below, by number.
#[must_use]
pub fn table(reports: &[Report]) -> String {
    let mut order = ["fake", "process", "docker", "podman", "remote"].map(|name| (name, None)).to_vec();
    for report in reports {
        match order.iter_mut().find(|(name, _)| *name == report.runtime) {
            Some((_, column)) => *column = Some(report),
            None => order.push((report.runtime, Some(report))),
        }
    }
    let mut text = format!("{:<24}", "clause");
    for (name, _) in &order {
        text += &format!("{name:<10}");
    }
    let mut notes: Vec<String> = Vec::new();
    for (index, clause) in CLAUSES.iter().enumerate() {
        text = format!("{}\n{:<24}", text.trim_end(), clause.name);
        for (_, column) in &order {
            let (word, note) = match column.map(|report| &report.outcomes[index].1) {
                Some(Outcome::Ok) => ("ok", None),
                Some(Outcome::NotApplicable(reason)) => ("n.a.", Some(reason)),
                Some(Outcome::Failed(reason)) => ("FAILED", Some(reason)),
                None => ("missing", None),
            };
            let number = note.map(|note| {
                notes.iter().position(|known| known == note).unwrap_or_else(|| {
                    notes.push(note.clone());
                    notes.len() - 1
                })
            });
            let number = number.map(|number| format!(" ({})", number + 1)).unwrap_or_default();
            text += &format!("{:<10}", format!("{word}{number}"));
        }
    }
    let notes = notes.iter().enumerate().map(|(number, note)| format!("\n({}) {note}", number + 1));
    format!("{}{}", text.trim_end(), notes.collect::<String>())
}

/// Holds a runtime against all clauses.
pub async fn check(harness: &dyn Harness) -> Report {
    let mut outcomes = Vec::new();
    // one after the other: a second daemon over the same world, as some clauses have it, sees only its own clause
    for clause in CLAUSES {
        outcomes.push((clause.name, judge(harness, clause).await));
    }
    Report { runtime: harness.name(), outcomes }
}

async fn judge(harness: &dyn Harness, clause: &Clause) -> Outcome {
    if let Some(needed) = clause.needs
        && !harness.runtime().capabilities().contains(&needed)
    {
        return Outcome::NotApplicable(format!("`{needed:?}` is not declared"));
    }
    match timeout(PATIENCE, (clause.run)(harness)).await {
        Ok(Ok(())) => Outcome::Ok,
        Ok(Err(Miss::NotApplicable(reason))) => Outcome::NotApplicable(reason),
        Ok(Err(Miss::Broken(reason))) => Outcome::Failed(reason),
        Err(_) => Outcome::Failed(format!("not done within {PATIENCE:?}")),
    }
}
