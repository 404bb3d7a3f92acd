//! What the services of an attached `up` write: every line once, whatever happens to the connection.

use crate::context::Context;
use crate::failure::Failure;
use crate::render::lines::Painter;
use muster_api::Client;
use muster_api::client::Lines;
use muster_engine::documents::{AcceptedDocument, LogLine, LogQuery};
use muster_spec::EnvironmentId;
use std::collections::BTreeMap;

/// The lines of an attached `up`.
pub(super) struct Output<'a> {
    context: &'a Context,
    id: EnvironmentId,
    /// Everything since the `up`, without what comes.
    query: LogQuery,
    painter: Painter,
    /// Where the last line that was shown of each run begins.
    shown: BTreeMap<(String, u64), u64>,
    stream: Stream,
}

/// Where lines come from.
enum Stream {
    Open(Lines<LogLine>),
    /// The daemon is being replaced.
    Lost,
    /// Nothing comes any more.
    Over,
}

impl<'a> Output<'a> {
    /// Follows what `accepted` concerns, from a time in nanoseconds of the wall clock on.
    pub(super) async fn follow(
        context: &'a Context,
        client: &Client,
        id: &EnvironmentId,
        accepted: &AcceptedDocument,
        since: u64,
    ) -> Result<Self, Failure> {
        let select = (!accepted.instances.is_empty()).then(|| accepted.instances.join(","));
        let query = LogQuery { select, since_ns: Some(since), ..LogQuery::default() };
        let following = LogQuery { follow: true, ..query.clone() };
        let stream = Stream::Open(client.logs(id, &following).await?);
        let painter = Painter::new(&accepted.instances, &context.terminal, context.global.json);
        Ok(Self { context, id: id.clone(), query, painter, shown: BTreeMap::new(), stream })
    }

    /// The next line; waits for ever when nothing comes any more. Can be cancelled.
    pub(super) async fn next(&mut self) -> LogLine {
        loop {
            match &mut self.stream {
                Stream::Open(lines) => match lines.next().await {
                    Ok(Some(line)) => return line,
                    Ok(None) => self.stream = Stream::Over,
                    Err(_) => self.stream = Stream::Lost,
                },
                Stream::Lost => self.stream = self.again().await,
                Stream::Over => std::future::pending().await,
            }
        }
    }

    /// From the beginning: what was shown is left out.
    async fn again(&self) -> Stream {
        let following = LogQuery { follow: true, ..self.query.clone() };
        let Ok(client) = self.context.client() else { return Stream::Over };
        client.logs(&self.id, &following).await.map_or(Stream::Over, Stream::Open)
    }

    /// Shows a line that was not shown before. False when nobody reads any more.
    pub(super) fn show(&mut self, line: &LogLine) -> bool {
        let run = (line.instance.clone(), line.run);
        if self.shown.get(&run).is_some_and(|last| *last >= line.offset) {
            return true;
        }
        self.shown.insert(run, line.offset);
        self.context.print(&self.painter.line(line)).is_ok()
    }

    /// Shows what is there and was not shown: all of it, after everything ended.
    pub(super) async fn rest(&mut self) {
        // the connection of the stream may be gone by now
        let Ok(client) = self.context.client() else { return };
        let Ok(mut lines) = client.logs(&self.id, &self.query).await else { return };
        while let Ok(Some(line)) = lines.next().await {
            if !self.show(&line) {
                return;
            }
        }
    }
}
