//! Names for a selector, for completion.

use crate::cli::Global;
use crate::context::Context;
use crate::term::Terminal;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use muster_api::daemon::{self, Paths};
use muster_api::routes::ReadQuery;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest wait of somebody who pressed the tab key.
const PATIENCE: Duration = Duration::from_millis(300);

/// Completes services of the environment that is meant here.
pub(crate) fn services() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        let current = current.to_string_lossy();
        // a comma list is completed in its last part
        let (before, last) = current.rsplit_once(',').map_or(("", &*current), |(b, l)| (b, l));
        let prefix = if before.is_empty() { String::new() } else { format!("{before},") };
        let context = Context { global: Global::default(), terminal: Terminal::default() };
        let found = names(&context).into_iter().filter(|name| name.starts_with(last));
        found.map(|name| CompletionCandidate::new(format!("{prefix}{name}"))).collect()
    })
}

/// Names, groups and `all` from the daemon; nothing when none runs. Never starts one.
pub(crate) fn names(context: &Context) -> Vec<String> {
    let Ok(id) = context.environment() else { return Vec::new() };
    let Some(client) = Paths::open().ok().and_then(|paths| daemon::running(&paths)) else { return Vec::new() };
    let ask = async {
        let status = tokio::time::timeout(PATIENCE, client.status(&id, &ReadQuery::default())).await;
        status.ok().and_then(Result::ok)
    };
    let Some(status) = crate::block_on(ask).ok().flatten() else { return Vec::new() };
    let mut names: BTreeSet<String> = status.services.iter().map(|service| service.name.clone()).collect();
    names.extend(status.services.into_iter().filter_map(|service| service.group));
    names.insert("all".into());
    names.into_iter().collect()
}
