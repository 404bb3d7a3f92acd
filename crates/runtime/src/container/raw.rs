//! Streams of the Engine API as raw bytes.
//!
//! The client's decoders split a terminal's output at newlines and guess where frames begin; a log that is kept byte by
//! byte, and a stream of which we must know when it begins, are read here.

use super::trouble::Trouble;
use bytes::Bytes;
use futures::future::FutureExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Method, Request, Version};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The engine accepts and answers with its headers within this time.
const HEADERS: Duration = Duration::from_secs(30);
/// So many turns of others are waited for more that is on its way.
const TURNS: usize = 3;
/// An error's text is not longer.
const ERROR_BYTES: usize = 64 << 10;

/// Makes streams.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    socket: PathBuf,
    base: String,
}

/// An answer that goes on.
#[derive(Debug)]
pub(super) struct Body {
    incoming: Incoming,
    gathered: Vec<u8>,
}

impl Body {
    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            match self.incoming.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Trouble::Unreachable(format!("the engine's stream broke: {error}"))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => return Ok(Some(bytes)),
                    // trailers say nothing that is wanted
                    Err(_) => {}
                },
            }
        }
    }
}

impl Body {
    /// The next bytes with all that is there already, up to about `most`: an engine sends every line by itself. Nothing
    /// is lost where it is dropped while it waits.
    pub(super) async fn next_many(&mut self, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
        if self.gathered.is_empty() {
            match self.next().await? {
                Some(first) => self.gathered.extend_from_slice(&first),
                None => return Ok(None),
            }
        }
        let mut turns = 0;
        while self.gathered.len() < most && turns < TURNS {
            match self.next().now_or_never() {
                Some(Ok(Some(more))) => {
                    self.gathered.extend_from_slice(&more);
                    turns = 0;
                }
                // an end or an error comes again at the next call
                Some(Ok(None) | Err(_)) => break,
                None => {
                    // the connection's task hands over one piece at a time
                    tokio::task::yield_now().await;
                    turns += 1;
                }
            }
        }
        Ok(Some(std::mem::take(&mut self.gathered)))
    }
}

impl Raw {
    pub(super) fn new(socket: PathBuf, base: String) -> Self {
        Self { socket, base }
    }

    /// As DOCKER_HOST names the engine.
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Asks, on a connection of its own, which ends when the body is dropped.
    pub(super) async fn get(&self, path: &str) -> Result<Body, Trouble> {
        timeout(HEADERS, self.open(&format!("{}{path}", self.base)))
            .await
            .unwrap_or_else(|_| Err(Trouble::Unreachable("the engine does not answer".to_owned())))
    }

    /// As [`Raw::get`], by HTTP/1.0: the body comes as it is, as much at once as there is, where later versions wrap every
    /// line of a log in a chunk of its own. That a connection broke looks like the end.
    pub(super) async fn get_plain(&self, path: &str) -> Result<Body, Trouble> {
        timeout(HEADERS, self.open_as(&format!("{}{path}", self.base), Version::HTTP_10))
            .await
            .unwrap_or_else(|_| Err(Trouble::Unreachable("the engine does not answer".to_owned())))
    }

    /// Asks for a document.
    pub(super) async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let mut body = self.get(path).await?;
        let read = async {
            let mut text = Vec::new();
            while let Some(bytes) = body.next().await? {
                text.extend_from_slice(&bytes);
            }
            Ok::<_, Trouble>(text)
        };
        let slow = || Trouble::Unreachable("the engine does not answer".to_owned());
        let text = timeout(HEADERS, read).await.map_err(|_| slow())??;
        serde_json::from_slice(&text).map_err(|error| Trouble::Refused {
            status: 500,
            message: format!("the engine's answer is not understood: {error}"),
        })
    }

    /// As [`Raw::get`], outside of the Docker API: Podman's own.
    pub(super) async fn get_own(&self, path: &str) -> Result<Body, Trouble> {
        timeout(HEADERS, self.open(path))
            .await
            .unwrap_or_else(|_| Err(Trouble::Unreachable("the engine does not answer".to_owned())))
    }

    async fn open(&self, path: &str) -> Result<Body, Trouble> {
        self.open_as(path, Version::HTTP_11).await
    }

    async fn open_as(&self, path: &str, version: Version) -> Result<Body, Trouble> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|error| {
            Trouble::Unreachable(super::find::told(&self.socket, &error, "the engine that was in use"))
        })?;
        let broke = |error: hyper::Error| Trouble::Unreachable(format!("the engine does not answer: {error}"));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
        // it ends with the body; an error is told there
        tokio::spawn(async move { connection.await.ok() });
        let request = Request::builder().method(Method::GET).version(version).uri(path).header(HOST, "engine");
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Trouble::Refused { status: 400, message: error.to_string() })?;
        let answer = sender.send_request(request).await.map_err(broke)?;
        let status = answer.status();
        let mut body = Body { incoming: answer.into_body(), gathered: Vec::new() };
        if status.is_success() {
            return Ok(body);
        }
        let mut text = Vec::new();
        while let Some(bytes) = body.next().await? {
            text.extend_from_slice(&bytes);
            if text.len() > ERROR_BYTES {
                break;
            }
        }
        Err(Trouble::Refused { status: status.as_u16(), message: message(&text) })
    }
}

/// The engine's words out of an error's body.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let told = json.and_then(|json| Some(json.get("message")?.as_str()?.to_owned()));
    told.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}
