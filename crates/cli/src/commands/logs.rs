//! `muster logs`.

use crate::cli::Selection;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::render::lines::Painter;
use clap::Args;
use muster_api::exit;
use muster_api::routes::ReadQuery;
use muster_engine::documents::LogQuery;
use muster_spec::HumanDuration;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// One time-ordered stream of output over all services; follows across restarts.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    selection: Selection,
    /// Go on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// Only the last so many lines of each service.
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// Not before: a time ago as in `10m`, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after: a time ago as in `10m`, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only lines in which this regular expression matches.
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// Only standard error.
    #[arg(long)]
    stderr: bool,
    /// The run before the current one.
    #[arg(long)]
    previous: bool,
    /// Lines as they were written, without the service's name.
    #[arg(long)]
    raw: bool,
    /// Also the time of each line.
    #[arg(short, long)]
    timestamps: bool,
}

/// Nanoseconds of the wall clock.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// `10m` ago, or an RFC 3339 time.
fn instant(option: &str, text: &str, now_ns: u64) -> Result<u64, Failure> {
    if let Ok(ago) = text.parse::<HumanDuration>() {
        return Ok(now_ns.saturating_sub(u64::try_from(ago.get().as_nanos()).unwrap_or(u64::MAX)));
    }
    let at = text.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_nanosecond()).ok());
    at.ok_or_else(|| {
        let help = format!("write a time ago as in `{option} 10m`, or RFC 3339 as in `{option} 2026-03-01T12:00:00Z`");
        Failure::usage(format!("`{option} {text}` is no time"), help)
    })
}

impl Logs {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        if let Some(pattern) = &self.grep {
            regex::Regex::new(pattern).map_err(|error| {
                Failure::usage(format!("`--grep {pattern}` is no regular expression: {error}"), "put it in quotes")
            })?;
        }
        let now = now_ns();
        let query = LogQuery {
            select: self.selection.text(),
            follow: self.follow,
            tail: self.tail,
            since_ns: self.since.as_deref().map(|text| instant("--since", text, now)).transpose()?,
            until_ns: self.until.as_deref().map(|text| instant("--until", text, now)).transpose()?,
            grep: self.grep,
            stderr: self.stderr,
            previous: self.previous,
            ..LogQuery::default()
        };
        let id = context.environment()?;
        let client = context.client()?;
        let mut names = Vec::new();
        if !self.raw && !context.global.json {
            let read = ReadQuery { select: query.select.clone(), ..ReadQuery::default() };
            let status = client.status(&id, &read).await?;
            names = status.services.iter().map(crate::render::status::instance).collect();
        }
        let mut painter = Painter::new(&names, &context.terminal, context.global.json);
        painter.raw = self.raw;
        painter.timestamps = self.timestamps;
        let mut lines = client.logs(&id, &query).await?;
        let mut out = std::io::BufWriter::new(context.out());
        loop {
            // what is there already goes out in one write
            let next = match futures::FutureExt::now_or_never(lines.next()) {
                Some(next) => next?,
                None => {
                    out.flush()?;
                    lines.next().await?
                }
            };
            let Some(line) = next else { break };
            out.write_all(painter.line(&line).as_bytes())?;
        }
        out.flush()?;
        Ok(exit::OK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now = 1_000_000_000_000;
        assert_eq!(instant("--since", "10s", now).unwrap(), 990_000_000_000);
        assert_eq!(instant("--since", "1970-01-01T00:00:01Z", now).unwrap(), 1_000_000_000);
        assert!(instant("--since", "yesterday", now).is_err());
    }
}
