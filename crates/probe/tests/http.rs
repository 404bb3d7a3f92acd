//! HTTP and HTTPS checks against real servers.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_probe::{Outcome, Pattern, ProbeContext, ResolvedCheck, ResolvedHttp, ResolvedMatcher, attempt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers by path; `/echo` answers with the request itself.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let (status, headers, body) = match path {
        "/echo" => ("200 OK", "", request.clone()),
        "/busy" => ("503 Service Unavailable", "", "{\"state\":\"busy\"}".to_owned()),
        "/moved" => ("302 Found", "Location: /busy\r\n", String::new()),
        "/version" => ("200 OK", "X-Version: 1.2.3\r\n", " ready\n".to_owned()),
        "/large" => ("200 OK", "", format!("{}late", "x".repeat(2 << 20))),
        "/hang" => std::future::pending().await,
        _ => return,
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    // The client may have seen enough.
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
}

async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream));
        }
    });
    format!("http://{address}")
}

/// With a certificate that nobody issued; its key guards nothing but this test.
async fn secure_server() -> String {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("data/localhost.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("data/localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(answer(stream));
            }
        }
    });
    format!("https://localhost:{port}")
}

async fn ask(request: ResolvedHttp) -> Outcome {
    let timeout = if request.url.ends_with("/hang") { Duration::from_millis(50) } else { Duration::from_secs(20) };
    attempt(&ResolvedCheck::Http(Box::new(request)), &ProbeContext::new(), timeout).await
}

fn fails(outcome: &Outcome, with: &str) {
    match outcome {
        Outcome::Fail(reason) => assert!(reason.contains(with), "`{reason}` does not say `{with}`"),
        Outcome::Pass => panic!("passed, expected `{with}`"),
    }
}

#[tokio::test]
async fn the_status_decides() {
    let server = server().await;
    assert_eq!(ask(ResolvedHttp::get(format!("{server}/echo"))).await, Outcome::Pass);
    let busy = ask(ResolvedHttp::get(format!("{server}/busy"))).await;
    assert_eq!(busy, Outcome::Fail(format!("HTTP 503 from {server}/busy: expected 200 to 399")));
    // Not followed: what it leads to would fail.
    assert_eq!(ask(ResolvedHttp::get(format!("{server}/moved"))).await, Outcome::Pass);
    let ranges = ResolvedHttp { status: vec![(200, 299), (503, 503)], ..ResolvedHttp::get(format!("{server}/moved")) };
    fails(&ask(ranges.clone()).await, "HTTP 302 from");
    fails(&ask(ranges.clone()).await, "expected 200 to 299, 503");
    assert_eq!(ask(ResolvedHttp { url: format!("{server}/busy"), ..ranges }).await, Outcome::Pass);
}

#[tokio::test]
async fn the_request_is_sent_as_written() {
    let server = server().await;
    let host = server.trim_start_matches("http://");
    let echo = |wanted: &str| ResolvedHttp {
        method: "POST".to_owned(),
        headers: vec![("X-Token".to_owned(), "abc".to_owned())],
        body: Some(ResolvedMatcher::Regex(Pattern::new(wanted).unwrap())),
        ..ResolvedHttp::get(format!("{server}/echo"))
    };
    for wanted in [
        "^POST /echo HTTP/1.1\r\n",
        "x-token: abc",
        &format!("host: {host}"),
        "connection: close",
        "user-agent: muster/",
    ] {
        assert_eq!(ask(echo(wanted)).await, Outcome::Pass, "{wanted}");
    }
}

#[tokio::test]
async fn headers_and_body_must_match() {
    let server = server().await;
    let version = ResolvedHttp::get(format!("{server}/version"));
    let header = |matcher| ResolvedHttp { header: vec![("x-version".to_owned(), matcher)], ..version.clone() };
    let body = |matcher| ResolvedHttp { body: Some(matcher), ..version.clone() };
    assert_eq!(ask(header(ResolvedMatcher::Contains("1.2".to_owned()))).await, Outcome::Pass);
    assert_eq!(ask(body(ResolvedMatcher::Equals("ready".to_owned()))).await, Outcome::Pass);
    assert_eq!(ask(body(ResolvedMatcher::Regex(Pattern::new("^ re").unwrap()))).await, Outcome::Pass);
    fails(&ask(header(ResolvedMatcher::Equals("2".to_owned()))).await, "/version: expected it to be `2`");
    fails(&ask(body(ResolvedMatcher::Contains("no".to_owned()))).await, "/version: expected it to contain `no`");
    let missing =
        ResolvedHttp { header: vec![("x-no".to_owned(), ResolvedMatcher::Contains(String::new()))], ..version };
    fails(&ask(missing).await, "header `x-no`");
    let large = |part: &str| ResolvedHttp {
        body: Some(ResolvedMatcher::Contains(part.to_owned())),
        ..ResolvedHttp::get(format!("{server}/large"))
    };
    assert_eq!(ask(large("xxx")).await, Outcome::Pass);
    fails(&ask(large("late")).await, "expected it to contain `late`");
}

#[tokio::test]
async fn what_does_not_answer_is_named() {
    let server = server().await;
    let hang = ask(ResolvedHttp::get(format!("{server}/hang"))).await;
    assert_eq!(hang, Outcome::Fail(format!("no answer from {server}/hang within 50ms")));
    fails(&ask(ResolvedHttp::get(format!("{server}/close"))).await, "no HTTP answer from");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let refused = ask(ResolvedHttp::get(format!("http://{address}/"))).await;
    assert_eq!(refused, Outcome::Fail(format!("connection refused at {address}")));
    fails(&ask(ResolvedHttp::get("ftp://x/")).await, "does not begin with `http://`");
    fails(&ask(ResolvedHttp::get("http://")).await, "is not a URL");
}

#[tokio::test]
async fn a_certificate_is_verified_unless_told_otherwise() {
    let server = secure_server().await;
    let request = ResolvedHttp::get(format!("{server}/echo"));
    fails(&ask(request.clone()).await, "TLS with localhost failed");
    assert_eq!(ask(ResolvedHttp { insecure: true, ..request }).await, Outcome::Pass);
}
