//! Streams as answers: a document per line (NDJSON), or server-sent events for who asks so.

use crate::exit;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use muster_engine::documents::ErrorDocument;
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many changes may wait for a reader: more than a restart of a thousand services makes.
const GUARDED_QUEUE: usize = 8192;

/// How long a reader whose queue is full may do nothing before it is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// A document and a newline.
type Item = Vec<u8>;

/// Lines of a stream that is read from the disk: who reads slowly waits for itself only.
pub(crate) fn plain<T: Serialize + 'static>(stream: BoxStream<'static, T>) -> BoxStream<'static, Item> {
    stream.map(|document| line(&document)).boxed()
}

/// Lines of a stream of changes, drained by a task of its own so that the engine never waits for the reader; one that
/// is too slow is told so and let go.
pub(crate) fn guarded<T>(mut stream: BoxStream<'static, T>) -> BoxStream<'static, Item>
where
    T: Serialize + Send + 'static,
{
    let (queue, lines) = mpsc::channel::<Item>(GUARDED_QUEUE);
    tokio::spawn(async move {
        loop {
            let document = tokio::select! {
                document = stream.next() => document,
                () = queue.closed() => None,
            };
            let Some(document) = document else { return };
            // one place is kept for the last word
            if queue.capacity() <= 1 {
                match tokio::time::timeout(PATIENCE, queue.reserve_many(2)).await {
                    Ok(Ok(_places)) => {}
                    Ok(Err(_closed)) => return,
                    Err(_elapsed) => {
                        let _ = queue.try_send(line(&too_slow()));
                        return;
                    }
                }
            }
            if queue.try_send(line(&document)).is_err() {
                return;
            }
        }
    });
    futures::stream::unfold(lines, |mut lines| async move { Some((lines.recv().await?, lines)) }).boxed()
}

fn too_slow() -> ErrorDocument {
    ErrorDocument::new("api::slow_reader", exit::FAILED, "the stream was read too slowly and was ended")
        .help("ask again with `after` set to the last number that you saw")
}

fn line(document: &impl Serialize) -> Item {
    let mut bytes = serde_json::to_vec(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The answer that carries `lines`.
pub(crate) fn answer(lines: BoxStream<'static, Item>, headers: &HeaderMap) -> Response {
    let wants_events = headers.get(header::ACCEPT).is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
    let (kind, body) = if wants_events {
        ("text/event-stream", Body::from_stream(whole(lines.map(|line| event(&line)))))
    } else {
        ("application/x-ndjson", Body::from_stream(whole(batched(lines))))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lines that are there already go out in one piece: one write instead of a hundred.
fn batched(lines: BoxStream<'static, Item>) -> impl Stream<Item = Bytes> + Send {
    const LINES_PER_WRITE: usize = 256;
    lines.ready_chunks(LINES_PER_WRITE).map(|lines| Bytes::from(lines.concat()))
}

fn event(line: &[u8]) -> Bytes {
    let mut bytes = b"data: ".to_vec();
    bytes.extend_from_slice(line);
    bytes.push(b'\n');
    Bytes::from(bytes)
}

fn whole(bytes: impl Stream<Item = Bytes> + Send) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    bytes.map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_told_and_let_go() {
        let endless = futures::stream::repeat(1).boxed();
        let mut lines = guarded(endless);
        // the queue fills, nobody reads, and the clock runs on while everything waits
        tokio::time::sleep(PATIENCE * 2).await;
        let mut last = Vec::new();
        let mut count = 0;
        while let Some(line) = lines.next().await {
            last = line;
            count += 1;
        }
        assert!(String::from_utf8(last).unwrap().contains("api::slow_reader"));
        assert_eq!(count, GUARDED_QUEUE);
    }

    #[tokio::test]
    async fn events_and_lines_carry_the_same() {
        use http_body_util::BodyExt;
        let mut headers = HeaderMap::new();
        let text = |response: Response| async { response.into_body().collect().await.unwrap().to_bytes() };
        let lines = || plain(futures::stream::iter([1, 2]).boxed());
        assert_eq!(text(answer(lines(), &headers)).await, "1\n2\n");
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        assert_eq!(text(answer(lines(), &headers)).await, "data: 1\n\ndata: 2\n\n");
    }
}
