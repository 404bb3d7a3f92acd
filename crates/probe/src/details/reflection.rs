//! gRPC Server Reflection Protocol: v1, and v1alpha where a server knows only that (the messages are the same).

use crate::details::DetailsError;
use crate::net;
use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use std::collections::BTreeMap;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const V1ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// A description that needs more files than this is not one.
const FILES: usize = 1000;

/// The description of a service with all types it uses.
pub(super) async fn service(channel: &Channel, target: &str, service: &str) -> Result<ServiceDescriptor, DetailsError> {
    let failed =
        |reason: String| DetailsError::NoReflection { target: target.to_owned(), service: service.to_owned(), reason };
    let symbol = MessageRequest::FileContainingSymbol(service.to_owned());
    let (path, first) = match ask(channel, V1, symbol.clone()).await {
        Err(status) if status.code() == Code::Unimplemented => (V1ALPHA, ask(channel, V1ALPHA, symbol).await),
        answer => (V1, answer),
    };
    let mut pool = DescriptorPool::global();
    let mut files = BTreeMap::new();
    add(&mut files, first.map_err(|status| failed(said(&status)))?).map_err(failed)?;
    while let Some(name) = missing(&files, &pool) {
        if files.len() > FILES {
            return Err(failed(format!("it has more than {FILES} files")));
        }
        let more = ask(channel, path, MessageRequest::FileByFilename(name.clone())).await;
        add(&mut files, more.map_err(|status| failed(format!("`{name}`: {}", said(&status))))?).map_err(failed)?;
        if !files.contains_key(&name) {
            return Err(failed(format!("it does not give `{name}`")));
        }
    }
    let new: Vec<_> = files.into_values().filter(|file| pool.get_file_by_name(file.name()).is_none()).collect();
    pool.add_file_descriptor_protos(new).map_err(|error| failed(error.to_string()))?;
    pool.get_service_by_name(service).ok_or_else(|| failed("it describes something else".to_owned()))
}

/// One question on a stream of its own.
async fn ask(channel: &Channel, path: &'static str, question: MessageRequest) -> Result<Vec<Vec<u8>>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(net::causes(&error)))?;
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let questions = futures::stream::iter([request]);
    let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
    let answer =
        client.streaming(tonic::Request::new(questions), PathAndQuery::from_static(path), codec).await?.into_inner();
    futures::pin_mut!(answer);
    let answer = answer.message().await?.ok_or_else(|| Status::unavailable("no answer"))?;
    match answer.message_response {
        Some(MessageResponse::FileDescriptorResponse(files)) => Ok(files.file_descriptor_proto),
        Some(MessageResponse::ErrorResponse(error)) => {
            Err(Status::new(Code::from_i32(error.error_code), error.error_message))
        }
        Some(MessageResponse::AllExtensionNumbersResponse(_) | MessageResponse::ListServicesResponse(_)) | None => {
            Err(Status::internal("it answered something else"))
        }
    }
}

fn add(files: &mut BTreeMap<String, FileDescriptorProto>, new: Vec<Vec<u8>>) -> Result<(), String> {
    for bytes in new {
        let file = FileDescriptorProto::decode(bytes.as_slice())
            .map_err(|error| format!("a description cannot be read: {error}"))?;
        files.insert(file.name().to_owned(), file);
    }
    Ok(())
}

/// The first file that is needed and was not given.
fn missing(files: &BTreeMap<String, FileDescriptorProto>, pool: &DescriptorPool) -> Option<String> {
    files
        .values()
        .flat_map(|file| &file.dependency)
        .find(|name| !files.contains_key(*name) && pool.get_file_by_name(name).is_none())
        .cloned()
}

fn said(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
