//! Errors as answers.

use crate::exit;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use muster_engine::documents::ErrorDocument;

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Box<ErrorDocument>);

impl From<ErrorDocument> for Failure {
    fn from(document: ErrorDocument) -> Self {
        Self(Box::new(document))
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let text = format!("the request's body cannot be read: {}", rejection.body_text());
        ErrorDocument::new("api::body", exit::USAGE, text).help("`muster openapi` prints the shapes").into()
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        let text = format!("the request's query cannot be read: {}", rejection.body_text());
        ErrorDocument::new("api::query", exit::USAGE, text).help("`muster openapi` lists the parameters").into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (status(self.0.exit), Json(&*self.0)).into_response()
    }
}

/// The HTTP status that says the same as an exit code.
fn status(code: i32) -> StatusCode {
    match code {
        exit::USAGE => StatusCode::BAD_REQUEST,
        exit::CONFIG => StatusCode::UNPROCESSABLE_ENTITY,
        exit::NOT_FOUND => StatusCode::NOT_FOUND,
        exit::TIMEOUT => StatusCode::GATEWAY_TIMEOUT,
        exit::FAILED | exit::FOUND => StatusCode::CONFLICT,
        exit::RUNTIME => StatusCode::SERVICE_UNAVAILABLE,
        _other => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
