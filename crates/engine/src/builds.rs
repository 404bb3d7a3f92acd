//! `muster build`: everything that is to be built for a stack, at once, with what the builders say.

use crate::documents::{BuildDocument, BuildProgress, ErrorDocument, UpRequest};
use crate::engine::Engine;
use crate::environment::{Job, Message};
use crate::queries::async_stream;
use crate::shared::Shared;
use futures::future::join_all;
use futures::stream::BoxStream;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Pieces of output that wait for the reader: then the builder waits.
const AHEAD: usize = 64;

impl Engine {
    /// Builds what the selected services of a stack need: build steps, and images of containers. The stack need not be the
    /// accepted one, and nothing else is changed. Who stops reading gives the builds up.
    ///
    /// # Errors
    /// The stack is refused; a build that fails is a result, not an error.
    pub async fn build(&self, request: UpRequest) -> Result<BoxStream<'static, BuildProgress>, ErrorDocument> {
        let handle = self.of_request(&request).await;
        let answer = handle.ask(|answer| Message::Build(Box::new(request), answer)).await;
        if handle.now().accepted.is_none() {
            self.close(&handle.id).await;
        }
        let (jobs, shared) = (answer?, Arc::clone(&self.inner.shared));
        Ok(async_stream(move |out| async move {
            let cancel = CancellationToken::new();
            let builds = {
                let all = jobs.iter().map(|job| run(job, &shared, &cancel, &out));
                let all = join_all(all);
                tokio::pin!(all);
                tokio::select! {
                    builds = &mut all => builds,
                    () = out.closed() => {
                        cancel.cancel();
                        all.await
                    }
                }
            };
            let document = BuildDocument { schema: "muster.build.v1".to_owned(), builds };
            // An error means that the reader is gone.
            let _ = out.send(BuildProgress::Done(document)).await;
        }))
    }
}

/// Runs one job, and passes on what it says line by line.
async fn run(
    job: &Job,
    shared: &Shared,
    cancel: &CancellationToken,
    out: &mpsc::Sender<BuildProgress>,
) -> crate::documents::BuildResult {
    let (heard, mut pieces) = mpsc::channel::<Vec<u8>>(AHEAD);
    let pass = async {
        let mut lines = Lines::default();
        while let Some(piece) = pieces.recv().await {
            for text in lines.push(&piece) {
                // An error means that the reader is gone.
                let _ = out.send(BuildProgress::Said { service: job.service.to_string(), text }).await;
            }
        }
        if let Some(text) = lines.rest() {
            // An error means that the reader is gone.
            let _ = out.send(BuildProgress::Said { service: job.service.to_string(), text }).await;
        }
    };
    tokio::join!(job.run(shared, cancel, heard), pass).0
}

/// Bytes to lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, piece: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(piece);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.0.split_off(end + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }

    fn rest(self) -> Option<String> {
        (!self.0.is_empty()).then(|| String::from_utf8_lossy(&self.0).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        assert!(lines.push(b"on").is_empty());
        assert_eq!(lines.push(b"e\n\ntwo\nthr"), ["one", "", "two"]);
        assert_eq!(lines.rest().as_deref(), Some("thr"));
    }
}
