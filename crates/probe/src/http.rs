//! HTTP: one request, one connection, no redirect followed.

use crate::tls::{Inside, Trust};
use crate::{ResolvedHttp, net, tls};
use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

/// How much of a body is looked at.
const BODY_LIMIT: usize = 1 << 20;

/// The statuses that pass when none are given.
const STATUS: [(u16, u16); 1] = [(200, 399)];

/// Asks, and compares status, headers and body, in this order.
pub(crate) async fn check(wanted: &ResolvedHttp) -> Result<(), String> {
    let url = &wanted.url;
    let answer = send(wanted).await?;
    let status = answer.status().as_u16();
    let ranges = if wanted.status.is_empty() { &STATUS[..] } else { &wanted.status };
    if !ranges.iter().any(|(low, high)| (*low..=*high).contains(&status)) {
        return Err(format!("HTTP {status} from {url}: expected {}", Ranges(ranges)));
    }
    for (name, matcher) in &wanted.header {
        let mut values = answer.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        if !values.any(|value| matcher.accepts(&value)) {
            return Err(format!("header `{name}` from {url}: expected it {matcher}"));
        }
    }
    let Some(matcher) = &wanted.body else { return Ok(()) };
    let body = body(answer, url).await?;
    if matcher.accepts(&String::from_utf8_lossy(&body)) {
        return Ok(());
    }
    Err(format!("body from {url}: expected it {matcher}"))
}

/// Sends the request; the answer's body is still to be read.
pub(crate) async fn send(wanted: &ResolvedHttp) -> Result<Response<Incoming>, String> {
    let url = &wanted.url;
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not a URL: {error}"))?;
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        Some(_) | None => return Err(format!("`{url}` does not begin with `http://` or `https://`")),
    };
    let host = uri.host().ok_or_else(|| format!("`{url}` names no host"))?;
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let request = request(wanted, &uri)?;
    let stream = net::connect(&format!("{host}:{port}")).await?;
    let answer = if secure {
        let trust = if wanted.insecure { Trust::Anything } else { Trust::Verify };
        exchange(tls::wrap(stream, host, Inside::Http1, trust).await?, request).await
    } else {
        exchange(stream, request).await
    };
    answer.map_err(|error| format!("no HTTP answer from {url}: {}", net::causes(&error)))
}

fn request(wanted: &ResolvedHttp, uri: &Uri) -> Result<Request<Empty<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mut request = Request::builder().method(wanted.method.as_str()).uri(path);
    let given = |name: &str| wanted.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    if !given("host") {
        request = request.header(header::HOST, host);
    }
    if !given("user-agent") {
        request = request.header(header::USER_AGENT, concat!("muster/", env!("CARGO_PKG_VERSION")));
    }
    request = request.header(header::CONNECTION, "close");
    for (name, value) in &wanted.headers {
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| format!("the request to {} cannot be made: {error}", wanted.url))
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the sender and the body are dropped, with the attempt.
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// The first MiB of a body.
pub(crate) async fn body(answer: Response<Incoming>, url: &str) -> Result<Vec<u8>, String> {
    let mut body = answer.into_body();
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the body from {url} broke off: {}", net::causes(&error)))?;
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(&data[..data.len().min(BODY_LIMIT - read.len())]);
        }
        if read.len() == BODY_LIMIT {
            break;
        }
    }
    Ok(read)
}

/// `200 to 399, 418`.
struct Ranges<'a>(&'a [(u16, u16)]);

impl std::fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (low, high)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            if low == high {
                write!(f, "{comma}{low}")?;
            } else {
                write!(f, "{comma}{low} to {high}")?;
            }
        }
        Ok(())
    }
}
