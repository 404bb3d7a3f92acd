//! The front: answers with what api says.
#![forbid(unsafe_code)]

use muster_demo_services::{get, serve_http, setting};

fn main() {
    let api = setting("API");
    serve_http(|path| match path {
        "/healthz" => Ok("ok".to_owned()),
        other => get(&api, other).map(|value| format!("api says: {value}")),
    });
}
