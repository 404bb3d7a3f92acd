//! What is said before a service runs: a pull or a build that takes a while is shown to who waits for it.

use crate::context::Context;
use crate::render::lines::Painter;
use muster_api::client::Lines;
use muster_engine::documents::{EventDocument, LogLine, LogQuery};
use muster_spec::EnvironmentId;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What takes less long needs no words.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lines so much older than the wait belong to it, where they are of the run that is being started.
const EARLIER_NS: u64 = 10_000_000_000;

/// The lines of runs that are being started.
pub(super) struct Before<'a> {
    context: &'a Context,
    id: EnvironmentId,
    query: LogQuery,
    painter: Painter,
    /// Runs that are not there yet.
    starting: BTreeMap<String, u64>,
    from: Instant,
    stream: Stream,
}

enum Stream {
    /// Nothing took long so far.
    Closed,
    Open(Lines<LogLine>),
    /// The lines are not worth an error.
    Over,
}

impl<'a> Before<'a> {
    /// Of these instances; of none, nothing is ever said.
    pub(super) fn new(context: &'a Context, id: &EnvironmentId, instances: &[String]) -> Self {
        let since = crate::commands::logs::now_ns().saturating_sub(EARLIER_NS);
        let select = Some(instances.join(","));
        Self {
            context,
            id: id.clone(),
            query: LogQuery { select, follow: true, since_ns: Some(since), ..LogQuery::default() },
            painter: Painter::for_errors(instances, &context.terminal),
            starting: BTreeMap::new(),
            from: Instant::now() + PATIENCE,
            stream: if instances.is_empty() { Stream::Over } else { Stream::Closed },
        }
    }

    /// A change: what begins to start, and what is there.
    pub(super) fn hear(&mut self, event: &EventDocument) {
        if event.to == "starting" && event.from != "starting" {
            self.starting.insert(event.instance.clone(), event.run);
        } else {
            self.starting.remove(&event.instance);
        }
    }

    /// The next line to be shown; waits for ever where there is none. Can be cancelled.
    pub(super) async fn next(&mut self) -> String {
        loop {
            match &mut self.stream {
                Stream::Open(lines) => match lines.next().await {
                    Ok(Some(line)) if self.starting.get(&line.instance) == Some(&line.run) => {
                        return self.painter.said(&line.instance, &line.text);
                    }
                    Ok(Some(_of_what_runs)) => {}
                    Ok(None) | Err(_) => self.stream = Stream::Over,
                },
                Stream::Closed => {
                    sleep_until(self.from).await;
                    if self.starting.is_empty() {
                        self.from = Instant::now() + PATIENCE;
                        continue;
                    }
                    self.stream = match self.context.client() {
                        Ok(client) => client.logs(&self.id, &self.query).await.map_or(Stream::Over, Stream::Open),
                        Err(_) => Stream::Over,
                    };
                }
                Stream::Over => std::future::pending().await,
            }
        }
    }
}
