//! A service's own health details, and any other unary call without generated code.

mod codec;
mod reflection;

use crate::{ResolvedHttp, grpc, http, net};
use ::http::uri::PathAndQuery;
use codec::DynamicCodec;
use prost_reflect::{DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Value;
use std::time::Duration;
use tonic::transport::Channel;

/// A [`DetailsSpec`](muster_spec::DetailsSpec) whose templates are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedDetails {
    /// A unary gRPC method without arguments, found by server reflection.
    Grpc {
        /// `host:port`, or `https://host:port` for TLS.
        target: String,
        /// `package.Service/Method`.
        method: String,
    },
    /// The URL of a JSON document.
    Http(String),
}

/// Why there are no details.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetailsError {
    /// Nobody answered, or not with what was asked for.
    #[error("{0}")]
    Unanswered(String),
    /// Not `package.Service/Method`.
    #[error("`{0}` is not `package.Service/Method`")]
    Method(String),
    /// The server has no such method.
    #[error("{target} has no method `{method}`; it has {}", known.join(", "))]
    NoMethod {
        /// Who was asked.
        target: String,
        /// What for.
        method: String,
        /// The methods of that service.
        known: Vec<String>,
    },
    /// The server does not describe itself.
    #[error("{target} does not serve gRPC reflection for `{service}`: {reason}")]
    NoReflection {
        /// Who was asked.
        target: String,
        /// What for.
        service: String,
        /// What it said.
        reason: String,
    },
    /// Neither request nor answer can be a stream.
    #[error("`{0}` is a streaming method: a unary one is needed")]
    Streaming(String),
    /// The arguments do not fit.
    #[error("the arguments do not fit `{input}`: {reason}")]
    Arguments {
        /// The request's type.
        input: String,
        /// What does not fit.
        reason: String,
    },
    /// The answer is not JSON.
    #[error("the answer of {from} is not JSON: {reason}")]
    NotJson {
        /// Who answered.
        from: String,
        /// Where it is wrong.
        reason: String,
    },
    /// It took too long.
    #[error("no details from {from} within {} ms", timeout.as_millis())]
    TimedOut {
        /// Who was asked.
        from: String,
        /// For how long.
        timeout: Duration,
    },
}

/// Asks for the details.
///
/// # Errors
/// [`DetailsError`] says who did not answer, or what is wrong with the answer.
pub async fn details(wanted: &ResolvedDetails, timeout: Duration) -> Result<Value, DetailsError> {
    match wanted {
        ResolvedDetails::Grpc { target, method } => {
            grpc_call(target, method, &Value::Object(serde_json::Map::new()), timeout).await
        }
        ResolvedDetails::Http(url) => within(url, timeout, document(url)).await,
    }
}

/// Calls a unary method that the server describes by reflection; arguments and answer are JSON with the field names of
/// the .proto file.
///
/// # Errors
/// [`DetailsError`] says who did not answer, or what is wrong with the arguments or the answer.
pub async fn grpc_call(
    target: &str,
    method: &str,
    arguments: &Value,
    timeout: Duration,
) -> Result<Value, DetailsError> {
    within(target, timeout, call(target, method, arguments)).await
}

async fn within(
    from: &str,
    timeout: Duration,
    work: impl Future<Output = Result<Value, DetailsError>>,
) -> Result<Value, DetailsError> {
    let late = |_| DetailsError::TimedOut { from: from.to_owned(), timeout };
    tokio::time::timeout(timeout, work).await.map_err(late)?
}

async fn document(url: &str) -> Result<Value, DetailsError> {
    let answer = http::send(&ResolvedHttp::get(url)).await.map_err(DetailsError::Unanswered)?;
    // A health document often comes with 503: what it says is what is asked for.
    let body = http::body(answer, url).await.map_err(DetailsError::Unanswered)?;
    serde_json::from_slice(&body)
        .map_err(|error| DetailsError::NotJson { from: url.to_owned(), reason: error.to_string() })
}

async fn call(target: &str, method: &str, arguments: &Value) -> Result<Value, DetailsError> {
    let (service, name) = method
        .trim_start_matches('/')
        .rsplit_once(['/', '.'])
        .ok_or_else(|| DetailsError::Method(method.to_owned()))?;
    let channel = grpc::channel(target).await.map_err(DetailsError::Unanswered)?;
    let described = reflection::service(&channel, target, service).await?;
    let found = described.methods().find(|found| found.name() == name).ok_or_else(|| DetailsError::NoMethod {
        target: target.to_owned(),
        method: name.to_owned(),
        known: described.methods().map(|method| format!("`{}`", method.name())).collect(),
    })?;
    if found.is_client_streaming() || found.is_server_streaming() {
        return Err(DetailsError::Streaming(method.to_owned()));
    }
    let input = found.input();
    let request = DynamicMessage::deserialize(input.clone(), arguments)
        .map_err(|error| DetailsError::Arguments { input: input.full_name().to_owned(), reason: error.to_string() })?;
    let answer = unary(channel, target, &found, request).await?;
    let options =
        SerializeOptions::new().skip_default_fields(false).use_proto_field_name(true).stringify_64_bit_integers(false);
    answer
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| DetailsError::NotJson { from: target.to_owned(), reason: error.to_string() })
}

async fn unary(
    channel: Channel,
    target: &str,
    method: &MethodDescriptor,
    request: DynamicMessage,
) -> Result<DynamicMessage, DetailsError> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = PathAndQuery::try_from(path).map_err(|_| DetailsError::Method(method.full_name().to_owned()))?;
    let mut client = tonic::client::Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| DetailsError::Unanswered(format!("no gRPC at {target}: {}", net::causes(&error))))?;
    client
        .unary(tonic::Request::new(request), path, DynamicCodec::answering(method.output()))
        .await
        .map(tonic::Response::into_inner)
        .map_err(|status| DetailsError::Unanswered(grpc::failed(target, &status)))
}
