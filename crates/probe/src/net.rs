//! Connections.

use futures::future::select_ok;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpStream;

/// Connects to `host:port`: to all addresses of the host at once, the first that accepts is taken.
pub(crate) async fn connect(target: &str) -> Result<TcpStream, String> {
    let addresses = addresses(target).await?;
    let attempts = addresses.iter().map(|address| Box::pin(TcpStream::connect(*address)));
    match select_ok(attempts).await {
        Ok((stream, _)) => Ok(stream),
        Err(error) => Err(format!("{} at {target}", said(&error))),
    }
}

/// `localhost` is both families, without asking a resolver that might know only one.
async fn addresses(target: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let (host, port) = target.rsplit_once(':').ok_or_else(|| format!("`{target}` is not `host:port`"))?;
    let port: u16 = port.parse().map_err(|_| format!("`{target}` is not `host:port`"))?;
    if host == "localhost" {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(both.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => {
            let found: Vec<_> = found.collect();
            if found.is_empty() { Err(format!("`{host}` has no address")) } else { Ok(found) }
        }
        Err(error) => Err(format!("`{host}` cannot be resolved: {}", said(&error))),
    }
}

/// What the system said, as a lowercase fragment.
pub(crate) fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "not found".to_owned(),
        _ => error.to_string(),
    }
}

/// An error with its causes, on one line: libraries hide the one that matters behind "error".
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
