//! A request that met a daemon in the moment of its death is sent once more, to the next one.
//!
//! What may be repeated is known from how the connection ended. A daemon that dies with bytes of ours unread resets the
//! connection, and a handler runs only when its request was read to the end: then anything may be asked again. Where the
//! connection ends in order, all was read and may have been done: then only what is the same after once and twice.

use super::ClientError;
use crate::daemon::DaemonError;
use std::error::Error as _;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;

/// How often a request is sent again. A dying daemon may still take a connection after it dropped the one before.
pub(super) const REPEATS: u32 = 2;

/// When a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Reading, and what is the same after once and twice.
    Always,
    /// Only when nobody can have read it to the end.
    Unread,
}

impl Repeat {
    /// Whether a request that failed so may be sent again.
    pub(super) fn allows(self, error: &ClientError) -> bool {
        match error {
            ClientError::Unreachable { .. } => true,
            ClientError::Broken { source, .. } => self == Self::Always || was_unread(source),
            ClientError::Refused(_)
            | ClientError::Skew { .. }
            | ClientError::NotOurs { .. }
            | ClientError::Unreadable(_)
            | ClientError::Unwritable(_)
            | ClientError::BadRequest(_) => false,
        }
    }
}

/// unix(7): a peer that closes with unread bytes resets; one that is closed already takes none.
fn was_unread(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(error) = source.downcast_ref::<io::Error>() {
            return matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        }
        cause = source.source();
    }
    // never given to the connection
    error.is_canceled()
}

/// Connects to the next daemon, and starts it where none runs.
pub(super) struct Successor(Box<dyn Fn() -> Result<UnixStream, DaemonError> + Send + Sync>);

impl Successor {
    pub(super) fn new(connect: impl Fn() -> Result<UnixStream, DaemonError> + Send + Sync + 'static) -> Self {
        Self(Box::new(connect))
    }

    pub(super) fn connect(&self) -> Result<UnixStream, ClientError> {
        (self.0)().map_err(|error| ClientError::Refused(Box::new(error.document())))
    }
}

impl fmt::Debug for Successor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Successor")
    }
}

#[cfg(test)]
mod tests {
    use crate::client::{Client, ClientError, Verb};
    use crate::documents::API_MAJOR;
    use muster_engine::documents::SelectRequest;
    use muster_spec::EnvironmentId;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// How a daemon dies.
    #[derive(Clone, Copy)]
    enum Death {
        /// Before it read all.
        Deaf,
        /// After it read all.
        Mute,
        /// In the middle of its answer.
        Stuttering,
    }

    const ACCEPTED: &str = r#"{"schema":"muster.accepted.v1","environment":"local-0000002a","generation":1,"after":0,"instances":[],"changed":[]}"#;

    /// Reads a request to its end.
    fn read_all(stream: &mut UnixStream) {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the request ends early: {text}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.map_or(0, |length| length.parse().unwrap()) == body.len() {
                return;
            }
        }
    }

    fn answer(stream: &mut UnixStream, bytes: usize) {
        let head = format!("HTTP/1.1 200 OK\r\nmuster-api: {API_MAJOR}\r\ncontent-length: {}\r\n\r\n", ACCEPTED.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&ACCEPTED.as_bytes()[..bytes]).unwrap();
    }

    /// A client whose first `deaths` daemons die, and how many were connected in the end.
    fn client(death: Death, deaths: u32) -> (Client, Arc<AtomicU32>) {
        let connected = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&connected);
        let next = move || {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let dies = counter.fetch_add(1, Ordering::Relaxed) < deaths;
            std::thread::spawn(move || match (dies, death) {
                // one byte, so that the request is there when the rest is dropped
                (true, Death::Deaf) => theirs.read_exact(&mut [0]).unwrap(),
                (true, Death::Mute) => read_all(&mut theirs),
                (true, Death::Stuttering) => {
                    read_all(&mut theirs);
                    answer(&mut theirs, 5);
                }
                (false, _) => {
                    read_all(&mut theirs);
                    answer(&mut theirs, ACCEPTED.len());
                }
            });
            Ok(ours)
        };
        let first = next().unwrap();
        (Client::connected("/nowhere", first).succeeded_by(next), connected)
    }

    async fn ask(verb: Verb, death: Death, deaths: u32) -> (Result<(), ClientError>, u32) {
        let (client, connected) = client(death, deaths);
        let id: EnvironmentId = "local-0000002a".parse().unwrap();
        let answer = client.command(&id, verb, &SelectRequest::default()).await.map(|_| ());
        (answer, connected.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_was_not_read_is_asked_again_whatever_it_is() {
        for verb in [Verb::Restart, Verb::Signal, Verb::Down] {
            let (answer, connected) = ask(verb, Death::Deaf, 1).await;
            answer.unwrap();
            assert_eq!(connected, 2);
        }
    }

    #[tokio::test]
    async fn what_was_read_is_asked_again_where_twice_is_once() {
        for verb in [Verb::Start, Verb::Stop, Verb::Down, Verb::Forget] {
            let (answer, connected) = ask(verb, Death::Mute, 1).await;
            answer.unwrap();
            assert_eq!(connected, 2);
        }
        for verb in [Verb::Restart, Verb::Signal] {
            let (answer, connected) = ask(verb, Death::Mute, 1).await;
            assert!(answer.is_err_and(|error| error.is_broken()));
            assert_eq!(connected, 1, "asked once only");
        }
    }

    #[tokio::test]
    async fn daemons_that_go_on_dying_end_it() {
        let (answer, connected) = ask(Verb::Stop, Death::Mute, 100).await;
        assert!(answer.is_err_and(|error| error.is_broken()));
        assert_eq!(connected, 1 + super::REPEATS);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_as_none() {
        let (answer, connected) = ask(Verb::Stop, Death::Stuttering, 1).await;
        answer.unwrap();
        assert_eq!(connected, 2);
        let (answer, connected) = ask(Verb::Restart, Death::Stuttering, 1).await;
        assert!(answer.is_err_and(|error| error.is_broken()));
        assert_eq!(connected, 1);
    }
}
