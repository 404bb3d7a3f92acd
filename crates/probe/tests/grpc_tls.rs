//! gRPC health over TLS: the certificate must be one that the machine trusts.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_probe::{Outcome, ProbeContext, ResolvedCheck, attempt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::health_reporter;

/// Names the certificates that the machine trusts, for OpenSSL and all that follow it.
const TRUSTED: &str = "SSL_CERT_FILE";

/// A certificate with its key.
type Identity = (&'static [u8], &'static [u8]);

/// Nobody issued it. The keys guard nothing but these tests.
const SELF_SIGNED: Identity = (include_bytes!("data/localhost.crt"), include_bytes!("data/localhost.key"));
/// `data/issuer.crt` issued it.
const ISSUED: Identity = (include_bytes!("data/issued.crt"), include_bytes!("data/issued.key"));

fn acceptor((certificate, key): Identity) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate).unwrap()],
            PrivateKeyDer::from_pem_slice(key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A healthy server behind TLS; its port.
async fn secure_server(identity: Identity) -> u16 {
    let (_, health) = health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(Server::builder().add_service(health).serve_with_incoming(TcpIncoming::from(listener)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(identity);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut outside) = acceptor.accept(stream).await else { continue };
            tokio::spawn(async move {
                let mut inside = TcpStream::connect(plain).await.unwrap();
                // ends when either side does
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}

async fn ask(target: String) -> Outcome {
    let check = ResolvedCheck::Grpc { target, service: String::new() };
    attempt(&check, &ProbeContext::new(), Duration::from_secs(20)).await
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let port = secure_server(SELF_SIGNED).await;
    match ask(format!("https://localhost:{port}")).await {
        Outcome::Fail(reason) => {
            assert!(reason.starts_with("TLS with localhost failed: invalid peer certificate"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // and without TLS the same port speaks no HTTP/2
    assert!(matches!(ask(format!("localhost:{port}")).await, Outcome::Fail(_)));
}

/// The certificates are read once in a process: the other half runs in a process of its own.
#[test]
fn a_certificate_that_the_machine_trusts_passes() {
    let issuer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/issuer.crt");
    let mut inside = Command::new(std::env::current_exe().unwrap());
    inside.args(["--exact", "asked_where_it_is_trusted", "--nocapture"]).env(TRUSTED, issuer);
    let output = inside.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("asked and passed"), "{text}");
}

/// Does nothing unless the test above runs it.
#[tokio::test]
async fn asked_where_it_is_trusted() {
    if !std::env::var(TRUSTED).is_ok_and(|path| path.ends_with("/issuer.crt")) {
        return;
    }
    let port = secure_server(ISSUED).await;
    let outcome = ask(format!("https://localhost:{port}")).await;
    assert!(matches!(outcome, Outcome::Pass), "{outcome:?}");
    // a name that the certificate does not hold
    let outcome = ask(format!("https://127.0.0.2:{port}")).await;
    assert!(matches!(outcome, Outcome::Fail(_)), "{outcome:?}");
    println!("asked and passed");
}
