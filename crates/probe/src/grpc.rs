//! grpc.health.v1 (the gRPC Health Checking Protocol).

use crate::tls::{Inside, Trust};
use crate::{net, tls};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Passes when the server says SERVING.
pub(crate) async fn health(target: &str, service: &str) -> Result<(), String> {
    let mut client = HealthClient::new(channel(target).await?);
    let request = HealthCheckRequest { service: service.to_owned() };
    let about = if service.is_empty() { String::new() } else { format!(" about `{service}`") };
    match client.check(request).await {
        Ok(answer) => match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(format!("{target} says {}{about}", other.as_str_name())),
        },
        Err(status) => Err(match status.code() {
            Code::Unimplemented => format!("{target} does not serve grpc.health.v1.Health (UNIMPLEMENTED)"),
            Code::NotFound => format!("{target} knows no health of `{service}` (NOT_FOUND)"),
            _ => failed(target, &status),
        }),
    }
}

/// A failed call as one line.
pub(crate) fn failed(target: &str, status: &Status) -> String {
    let code = format!("{:?}", status.code());
    format!("gRPC call to {target} failed: {code}: {}", net::causes(status))
}

/// A connection that is made already, so that a refused one is said in our words.
pub(crate) async fn channel(target: &str) -> Result<Channel, String> {
    let (secure, authority) = match target.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        Some((scheme, _)) => return Err(format!("`{scheme}://` is not a scheme of gRPC: `{target}`")),
        None => (false, target),
    };
    let authority = authority.trim_end_matches('/');
    let stream = net::connect(authority).await?;
    if secure {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let stream = tls::wrap(stream, host, Inside::Http2, Trust::Verify).await?;
        over(stream, authority, "https").await
    } else {
        over(stream, authority, "http").await
    }
}

async fn over<S>(stream: S, authority: &str, scheme: &str) -> Result<Channel, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wrong = |error: http::uri::InvalidUri| format!("`{authority}` is not `host:port`: {error}");
    // TLS is spoken by the stream; the endpoint must not want to add its own, only the requests say `https`.
    let endpoint: Uri = format!("http://{authority}").parse().map_err(wrong)?;
    let origin: Uri = format!("{scheme}://{authority}").parse().map_err(wrong)?;
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.take().map(TokioIo::new);
        // A second connection is never made: an attempt is one connection.
        std::future::ready(stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
    });
    Endpoint::from(endpoint)
        .origin(origin)
        .connect_with_connector(connector)
        .await
        .map_err(|error| format!("no HTTP/2 at {authority}: {}", net::causes(&error)))
}
