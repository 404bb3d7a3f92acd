//! `muster doctor`.

mod checks;

use crate::context::Context;
use crate::failure::Outcome;
use anstyle::AnsiColor;
use clap::Args;
use muster_api::exit;
use serde::Serialize;

/// What this machine lacks. Exit code 6 when something is missing that Muster cannot do without.
#[derive(Debug, Args)]
pub(crate) struct Doctor {}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// As it should be.
    Info,
    /// Something works less well.
    Warning,
    /// Something does not work.
    Error,
}

/// One thing that was looked at, in the shape of `muster.findings.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Always `machine`.
    category: &'static str,
    /// How bad it is.
    severity: Severity,
    /// What was looked at.
    subject: String,
    /// What is there.
    message: String,
    /// What to do.
    action: Option<String>,
}

impl Finding {
    fn good(subject: &str, message: impl Into<String>) -> Self {
        Self::of(Severity::Info, subject, message, None)
    }

    fn warning(subject: &str, message: impl Into<String>, action: &str) -> Self {
        Self::of(Severity::Warning, subject, message, Some(action))
    }

    fn error(subject: &str, message: impl Into<String>, action: &str) -> Self {
        Self::of(Severity::Error, subject, message, Some(action))
    }

    fn of(severity: Severity, subject: &str, message: impl Into<String>, action: Option<&str>) -> Self {
        let action = action.map(ToOwned::to_owned);
        Self { category: "machine", severity, subject: subject.to_owned(), message: message.into(), action }
    }
}

impl Doctor {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let Self {} = self;
        let findings = checks::all();
        let ok = !findings.iter().any(|finding| finding.severity == Severity::Error);
        let document = serde_json::json!({"schema": "muster.findings.v1", "ok": ok, "findings": findings});
        context.answer(&document, |_| text(&findings, context))?;
        Ok(if ok { exit::OK } else { exit::FOUND })
    }
}

fn text(findings: &[Finding], context: &Context) -> String {
    let mut text = String::new();
    for finding in findings {
        let (mark, colour) = match finding.severity {
            Severity::Info => (context.terminal.mark(true), AnsiColor::Green),
            Severity::Warning => ("~", AnsiColor::Yellow),
            Severity::Error => (context.terminal.mark(false), AnsiColor::Red),
        };
        text.push_str(&format!("{} {}: {}\n", context.terminal.style(mark, colour), finding.subject, finding.message));
        if let Some(action) = &finding.action {
            text.push_str(&format!("    {action}\n"));
        }
    }
    text
}
