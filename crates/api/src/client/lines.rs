//! Documents one per line, as they come.

use crate::client::ClientError;
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use muster_engine::documents::ErrorDocument;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::path::PathBuf;

/// An error in the middle of a stream starts so; no other document does.
const ERROR_START: &[u8] = br#"{"schema":"muster.error.v1""#;

/// Documents of one kind, one per line. [`Lines::next`] can be cancelled without losing any.
#[derive(Debug)]
pub struct Lines<T> {
    body: Incoming,
    buffer: BytesMut,
    /// Bytes of `buffer` in which no newline is.
    searched: usize,
    socket: PathBuf,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(crate) fn new(body: Incoming, socket: PathBuf) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0, socket, of: PhantomData }
    }

    /// The next document; nothing at the end.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the daemon ends the stream and says why; else as every call.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                if line.len() > 1 {
                    return read(&line).map(Some);
                }
                continue;
            }
            self.searched = self.buffer.len();
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(source)) => return Err(ClientError::Broken { socket: self.socket.clone(), source }),
                None => return Ok(None),
            }
        }
    }
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, ClientError> {
    if line.starts_with(ERROR_START)
        && let Ok(document) = serde_json::from_slice::<ErrorDocument>(line)
    {
        return Err(ClientError::Refused(Box::new(document)));
    }
    serde_json::from_slice(line).map_err(ClientError::Unreadable)
}
