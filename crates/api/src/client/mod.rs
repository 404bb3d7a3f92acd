//! The typed client: one connection per call, which on a unix socket costs less than keeping one.

mod error;
mod lines;
mod repeat;
mod terminal;

pub use error::ClientError;
pub use lines::Lines;
pub use terminal::{Session, SessionInput, SessionOutput};

use crate::daemon::DaemonError;
use crate::documents::{
    API_HEADER, API_MAJOR, DoneDocument, EnvironmentsDocument, Services, StopRequest, UpgradeRequest,
};
use crate::frames::PROTOCOL;
use crate::routes::ReadQuery;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use muster_engine::documents::{
    AcceptedDocument, BringRequest, BroughtDocument, BuildProgress, CommandContext, ErrorDocument, EventDocument,
    ExecRequest, GraphDocument, HealthDocument, InfoDocument, LogLine, LogQuery, PlanDocument, PortsDocument, Progress,
    SelectRequest, StatusDocument, UpRequest, WaitRequest, WayDocument, WhyDocument,
};
use muster_spec::{EnvironmentId, Stack};
use repeat::{REPEATS, Repeat, Successor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::net::UnixStream;

/// Talks to the daemon behind one socket.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    /// The connection that proved that somebody listens; the first call uses it.
    first: Mutex<Option<StdUnixStream>>,
    successor: Option<Successor>,
}

impl Client {
    /// A client of the daemon behind `socket`; nothing is connected yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), first: Mutex::new(None), successor: None }
    }

    /// A client whose first call goes over `connection`.
    #[must_use]
    pub fn connected(socket: impl Into<PathBuf>, connection: StdUnixStream) -> Self {
        Self { socket: socket.into(), first: Mutex::new(Some(connection)), successor: None }
    }

    /// The same, but a request that met the daemon in the moment of its death goes to what `next` connects to, where
    /// that cannot do anything twice.
    #[must_use]
    pub fn succeeded_by(
        mut self,
        next: impl Fn() -> Result<StdUnixStream, DaemonError> + Send + Sync + 'static,
    ) -> Self {
        self.successor = Some(Successor::new(next));
        self
    }

    /// Where it connects.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        let first = self.first.lock().ok().and_then(|mut first| first.take());
        let fail = |source| ClientError::Unreachable { socket: self.socket.clone(), source };
        match first {
            Some(connection) => {
                connection.set_nonblocking(true).map_err(fail)?;
                UnixStream::from_std(connection).map_err(fail)
            }
            None => UnixStream::connect(&self.socket).await.map_err(fail),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.broken(e))?;
        // ends with the answer's body or the upgraded stream
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(|e| self.broken(e))?;
        check_version(&response)?;
        if response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let status = response.status();
        let body = self.body(response).await?;
        Err(match serde_json::from_slice::<ErrorDocument>(&body) {
            Ok(document) => ClientError::Refused(Box::new(document)),
            Err(_) => ClientError::NotOurs { status: status.as_u16() },
        })
    }

    fn broken(&self, source: hyper::Error) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), source }
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        Ok(response.into_body().collect().await.map_err(|e| self.broken(e))?.to_bytes())
    }

    /// Does it again, with the next daemon, as often and where that is allowed.
    async fn again<T>(&self, repeat: Repeat, once: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut answer = once().await;
        for _ in 0..REPEATS {
            let (Err(error), Some(successor)) = (&answer, &self.successor) else { break };
            if !repeat.allows(error) {
                break;
            }
            let connection = successor.connect()?;
            if let Ok(mut first) = self.first.lock() {
                *first = Some(connection);
            }
            answer = once().await;
        }
        answer
    }

    async fn one<T: DeserializeOwned>(&self, repeat: Repeat, request: Request<Full<Bytes>>) -> Result<T, ClientError> {
        let body = self.again(repeat, async || self.body(self.send(request.clone()).await?).await).await?;
        serde_json::from_slice(&body).map_err(ClientError::Unreadable)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.one(Repeat::Always, request(Method::GET, path, Bytes::new())?).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        repeat: Repeat,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.one(repeat, request(Method::POST, path, encode(body)?)?).await
    }

    async fn lines<T: DeserializeOwned>(&self, request: Request<Full<Bytes>>) -> Result<Lines<T>, ClientError> {
        self.lines_of(Repeat::Always, request).await
    }

    async fn lines_of<T: DeserializeOwned>(
        &self,
        repeat: Repeat,
        request: Request<Full<Bytes>>,
    ) -> Result<Lines<T>, ClientError> {
        let response = self.again(repeat, async || self.send(request.clone()).await).await?;
        Ok(Lines::new(response.into_body(), self.socket.clone()))
    }

    /// Who answers.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn info(&self) -> Result<InfoDocument, ClientError> {
        self.get("/v1/info").await
    }

    /// Every environment.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn environments(&self) -> Result<EnvironmentsDocument, ClientError> {
        self.get("/v1/environments").await
    }

    /// Makes it so.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn up(&self, body: &UpRequest) -> Result<AcceptedDocument, ClientError> {
        let repeat = if body.recreate { Repeat::Unread } else { Repeat::Always };
        self.post(repeat, "/v1/up", body).await
    }

    /// Makes it so, for whoever must know what exactly it changed: a repeated `up` finds all as it should be.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn up_once(&self, body: &UpRequest) -> Result<AcceptedDocument, ClientError> {
        self.post(Repeat::Unread, "/v1/up", body).await
    }

    /// What `up` would do.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn plan(&self, body: &UpRequest) -> Result<PlanDocument, ClientError> {
        self.post(Repeat::Always, "/v1/plan", body).await
    }

    /// `down`, `start`, `stop`, `restart`, `forget` or `signal`.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn command(
        &self,
        id: &EnvironmentId,
        verb: Verb,
        body: &SelectRequest,
    ) -> Result<AcceptedDocument, ClientError> {
        self.post(verb.repeat(), &format!("/v1/environments/{id}/{}", verb.as_str()), body).await
    }

    /// Build steps and images. Not repeated: what a dying daemon was building is given up.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn build(&self, body: &UpRequest) -> Result<Lines<BuildProgress>, ClientError> {
        self.lines_of(Repeat::Unread, request(Method::POST, "/v1/build", encode(body)?)?).await
    }

    /// Process truth.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn status(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<StatusDocument, ClientError> {
        self.get(&read_path(id, "status", query)).await
    }

    /// Protocol truth.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn health(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<HealthDocument, ClientError> {
        self.get(&read_path(id, "health", query)).await
    }

    /// Chains of causes.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn why(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<WhyDocument, ClientError> {
        self.get(&read_path(id, "why", query)).await
    }

    /// Who listens where.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn ports(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<PortsDocument, ClientError> {
        self.get(&read_path(id, "ports", query)).await
    }

    /// How one service reaches another.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn way(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<WayDocument, ClientError> {
        self.get(&read_path(id, "way", query)).await
    }

    /// The graph with state.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn graph(&self, id: &EnvironmentId) -> Result<GraphDocument, ClientError> {
        self.get(&format!("/v1/environments/{id}/graph")).await
    }

    /// Environment and folder of one service.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn context(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<CommandContext, ClientError> {
        self.get(&read_path(id, "context", query)).await
    }

    /// The last accepted stack.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn stack(&self, id: &EnvironmentId) -> Result<Stack, ClientError> {
        self.get(&format!("/v1/environments/{id}/stack")).await
    }

    /// Forgets an environment that is down.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn remove(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<DoneDocument, ClientError> {
        let path = format!("/v1/environments/{id}{}", query_text(query));
        self.one(Repeat::Unread, request(Method::DELETE, &path, Bytes::new())?).await
    }

    /// Changes until a target is met.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn wait(&self, id: &EnvironmentId, body: &WaitRequest) -> Result<Lines<Progress>, ClientError> {
        self.lines(request(Method::POST, &format!("/v1/environments/{id}/wait"), encode(body)?)?).await
    }

    /// History.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn events(&self, id: &EnvironmentId, query: &ReadQuery) -> Result<Lines<EventDocument>, ClientError> {
        self.lines(request(Method::GET, &read_path(id, "events", query), Bytes::new())?).await
    }

    /// Lines of logs.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn logs(&self, id: &EnvironmentId, query: &LogQuery) -> Result<Lines<LogLine>, ClientError> {
        self.lines(request(Method::POST, &format!("/v1/environments/{id}/logs"), encode(query)?)?).await
    }

    /// A command in a service's context.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn exec(&self, id: &EnvironmentId, body: &ExecRequest) -> Result<Session, ClientError> {
        self.upgrade(&format!("/v1/environments/{id}/exec"), body).await
    }

    /// Changed files into containers that run. Whoever repeats it changes nothing.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn bring(&self, id: &EnvironmentId, body: &BringRequest) -> Result<BroughtDocument, ClientError> {
        self.post(Repeat::Always, &format!("/v1/environments/{id}/bring"), body).await
    }

    /// A service's terminal.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn attach(&self, id: &EnvironmentId, body: &ExecRequest) -> Result<Session, ClientError> {
        self.upgrade(&format!("/v1/environments/{id}/attach"), body).await
    }

    async fn upgrade(&self, path: &str, body: &ExecRequest) -> Result<Session, ClientError> {
        let mut request = request(Method::POST, path, encode(body)?)?;
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static(PROTOCOL));
        let response = self.again(Repeat::Unread, async || self.send(request.clone()).await).await?;
        let upgraded = hyper::upgrade::on(response).await.map_err(|e| self.broken(e))?;
        Ok(terminal::split(upgraded))
    }

    /// Ends the daemon.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn stop_daemon(&self, services: Services) -> Result<DoneDocument, ClientError> {
        self.post(Repeat::Unread, "/v1/daemon/stop", &StopRequest { services }).await
    }

    /// Lets the daemon go on as another binary.
    ///
    /// # Errors
    /// [`ClientError`], as every call.
    pub async fn upgrade_daemon(&self, binary: &Path) -> Result<DoneDocument, ClientError> {
        let binary = binary.display().to_string();
        self.post(Repeat::Unread, "/v1/daemon/upgrade", &UpgradeRequest { binary }).await
    }
}

/// Commands that take a selection and answer with what they concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Stop in reverse order and remove.
    Down,
    /// Start.
    Start,
    /// Stop.
    Stop,
    /// Stop and start.
    Restart,
    /// Drop what cannot be verified.
    Forget,
    /// Send a signal.
    Signal,
}

impl Verb {
    /// The last word of its path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Forget => "forget",
            Self::Signal => "signal",
        }
    }

    fn repeat(self) -> Repeat {
        match self {
            Self::Down | Self::Start | Self::Stop | Self::Forget => Repeat::Always,
            Self::Restart | Self::Signal => Repeat::Unread,
        }
    }
}

fn check_version(response: &Response<Incoming>) -> Result<(), ClientError> {
    let theirs = response.headers().get(API_HEADER).and_then(|v| v.to_str().ok());
    match theirs.map(str::parse::<u32>) {
        Some(Ok(major)) if major == API_MAJOR => Ok(()),
        Some(Ok(major)) => Err(ClientError::Skew { theirs: major }),
        Some(Err(_)) | None => Err(ClientError::NotOurs { status: response.status().as_u16() }),
    }
}

fn encode(body: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(ClientError::Unwritable)
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "muster")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(ClientError::BadRequest)
}

fn read_path(id: &EnvironmentId, what: &str, query: &ReadQuery) -> String {
    format!("/v1/environments/{id}/{what}{}", query_text(query))
}

/// Only what differs from the default; selectors hold `#`, `*` and `,`.
fn query_text(query: &ReadQuery) -> String {
    let mut text = String::new();
    let mut add = |key: &str, value: &str| {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
                other => {
                    let _ = write!(text, "%{other:02X}");
                }
            }
        }
    };
    if let Some(select) = &query.select {
        add("select", select);
    }
    for (key, value) in [("from", &query.from), ("to", &query.to)] {
        if let Some(value) = value {
            add(key, value);
        }
    }
    if let Some(after) = query.after {
        add("after", &after.to_string());
    }
    let flags = [("usage", query.usage), ("details", query.details), ("data", query.data), ("follow", query.follow)];
    for (name, _) in flags.into_iter().filter(|(_, on)| *on) {
        add(name, "true");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let query = ReadQuery { select: Some("api#2,mem-*".into()), usage: true, ..ReadQuery::default() };
        assert_eq!(query_text(&query), "?select=api%232%2Cmem-%2A&usage=true");
        assert_eq!(query_text(&ReadQuery::default()), "");
    }
}
