//! gRPC health, and details by reflection.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_probe::{DetailsError, Outcome, ProbeContext, ResolvedCheck, ResolvedDetails, attempt, details, grpc_call};
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder;

const LONG: Duration = Duration::from_secs(20);

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    target
}

fn reflection() -> Builder<'static> {
    Builder::configure().register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Health with reflection v1.
async fn healthy() -> (String, HealthReporter) {
    let (reporter, health) = health_reporter();
    let router = Server::builder().add_service(health).add_service(reflection().build_v1().unwrap());
    (serve(router).await, reporter)
}

/// Accepts and says nothing.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    target
}

async fn ask(target: &str, service: &str) -> Outcome {
    let check = ResolvedCheck::Grpc { target: target.to_owned(), service: service.to_owned() };
    attempt(&check, &ProbeContext::new(), LONG).await
}

#[tokio::test]
async fn serving_passes_and_all_else_is_said() {
    let (target, reporter) = healthy().await;
    let fail = |reason: String| Outcome::Fail(reason);
    assert_eq!(ask(&target, "").await, Outcome::Pass);
    assert_eq!(ask(&format!("http://{target}"), "").await, Outcome::Pass);
    assert_eq!(ask(&target, "shop.Cart").await, fail(format!("{target} knows no health of `shop.Cart` (NOT_FOUND)")));
    reporter.set_service_status("shop.Cart", ServingStatus::NotServing).await;
    assert_eq!(ask(&target, "shop.Cart").await, fail(format!("{target} says NOT_SERVING about `shop.Cart`")));
    reporter.set_service_status("", ServingStatus::NotServing).await;
    assert_eq!(ask(&target, "").await, fail(format!("{target} says NOT_SERVING")));
}

#[tokio::test]
async fn what_is_no_health_service_is_said() {
    let without = serve(Server::builder().add_service(reflection().build_v1().unwrap())).await;
    let reason = format!("{without} does not serve grpc.health.v1.Health (UNIMPLEMENTED)");
    assert_eq!(ask(&without, "").await, Outcome::Fail(reason));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(ask(&closed.to_string(), "").await, Outcome::Fail(format!("connection refused at {closed}")));

    let silent = silent().await;
    let check = ResolvedCheck::Grpc { target: silent.clone(), service: String::new() };
    let outcome = attempt(&check, &ProbeContext::new(), Duration::from_millis(100)).await;
    assert_eq!(outcome, Outcome::Fail(format!("no answer from {silent} within 100ms")));
}

#[tokio::test]
async fn details_are_found_by_reflection() {
    let (target, reporter) = healthy().await;
    reporter.set_service_status("shop.Cart", ServingStatus::NotServing).await;
    let wanted = ResolvedDetails::Grpc { target: target.clone(), method: "grpc.health.v1.Health/Check".to_owned() };
    assert_eq!(details(&wanted, LONG).await.unwrap(), json!({"status": "SERVING"}));
    let arguments = json!({"service": "shop.Cart"});
    let answer = grpc_call(&target, "grpc.health.v1.Health/Check", &arguments, LONG).await;
    assert_eq!(answer.unwrap(), json!({"status": "NOT_SERVING"}));

    let old = {
        let (_reporter, health) = health_reporter();
        let router = Server::builder().add_service(health).add_service(reflection().build_v1alpha().unwrap());
        serve(router).await
    };
    let answer = grpc_call(&old, "grpc.health.v1.Health/Check", &json!({}), LONG).await;
    assert_eq!(answer.unwrap(), json!({"status": "SERVING"}), "v1alpha alone is enough");
}

#[tokio::test]
async fn details_that_cannot_be_had_say_why() {
    let (target, _reporter) = healthy().await;
    let call = |method: &'static str, arguments| {
        let target = target.clone();
        async move { grpc_call(&target, method, &arguments, LONG).await.unwrap_err() }
    };
    let unknown = call("grpc.health.v1.Health/GetDetails", json!({})).await;
    let DetailsError::NoMethod { known, .. } = unknown else { panic!("{unknown}") };
    assert!(known.contains(&"`Check`".to_owned()), "{known:?}");
    assert!(matches!(call("grpc.health.v1.Health/Watch", json!({})).await, DetailsError::Streaming(_)));
    let wrong = call("grpc.health.v1.Health/Check", json!({"servce": "x"})).await;
    assert!(matches!(wrong, DetailsError::Arguments { .. }), "{wrong}");
    assert!(matches!(call("shop.Cart/Get", json!({})).await, DetailsError::NoReflection { .. }));
    assert!(matches!(call("Check", json!({})).await, DetailsError::Method(_)));

    let plain = serve(Server::builder().add_service(health_reporter().1)).await;
    let refused = grpc_call(&plain, "grpc.health.v1.Health/Check", &json!({}), LONG).await.unwrap_err();
    assert!(refused.to_string().contains("does not serve gRPC reflection"), "{refused}");
    let silent = silent().await;
    let late = grpc_call(&silent, "a.B/C", &json!({}), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(late, DetailsError::TimedOut { .. }), "{late}");
}

/// A service whose messages are in another file, which uses a third one of its own and one that everybody knows.
fn in_several_files() -> FileDescriptorSet {
    let text = |text: &str| Some(text.to_owned());
    let field = |name: &str, number, of: &str| FieldDescriptorProto {
        name: text(name),
        number: Some(number),
        label: Some(1),
        r#type: Some(11),
        type_name: text(of),
        ..Default::default()
    };
    let file = |name: &str, uses: &[&str]| FileDescriptorProto {
        name: text(name),
        package: text("shop"),
        dependency: uses.iter().map(|name| (*name).to_owned()).collect(),
        syntax: text("proto3"),
        ..Default::default()
    };
    let message = |name: &str, field| DescriptorProto { name: text(name), field, ..Default::default() };
    let method = MethodDescriptorProto {
        name: text("Get"),
        input_type: text(".shop.Ask"),
        output_type: text(".shop.Ask"),
        ..Default::default()
    };
    let service = ServiceDescriptorProto { name: text("Cart"), method: vec![method], ..Default::default() };
    let mut files = vec![
        file("service.proto", &["messages.proto"]),
        file("messages.proto", &["items.proto", "google/protobuf/timestamp.proto"]),
        file("items.proto", &[]),
    ];
    files[0].service.push(service);
    let fields = vec![field("item", 1, ".shop.Item"), field("at", 2, ".google.protobuf.Timestamp")];
    files[1].message_type.push(message("Ask", fields));
    files[2].message_type.push(message("Item", Vec::new()));
    FileDescriptorSet { file: files }
}

#[tokio::test]
async fn a_description_is_put_together_from_its_files() {
    let reflection = Builder::configure().register_file_descriptor_set(in_several_files()).build_v1().unwrap();
    let target = serve(Server::builder().add_service(reflection)).await;
    let arguments = json!({"item": {}, "at": "2026-01-02T03:04:05Z"});
    let refused = grpc_call(&target, "shop.Cart/Get", &arguments, LONG).await.unwrap_err();
    // Described and called: only then it is said that nobody serves it.
    assert!(refused.to_string().contains("Unimplemented"), "{refused}");
    let wrong = grpc_call(&target, "shop.Cart/Get", &json!({"at": "yesterday"}), LONG).await.unwrap_err();
    assert!(matches!(wrong, DetailsError::Arguments { .. }), "{wrong}");
}

/// Answers every request with this document and 503.
async fn document(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /health "));
            let head = format!("HTTP/1.1 503 Busy\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn details_by_http_are_json_whatever_the_status() {
    let url = document("{\"queue\": 3}").await;
    assert_eq!(details(&ResolvedDetails::Http(url), LONG).await.unwrap(), json!({"queue": 3}));
    let wrong = details(&ResolvedDetails::Http(document("<html>").await), LONG).await.unwrap_err();
    assert!(matches!(wrong, DetailsError::NotJson { .. }), "{wrong}");
}
