//! Answers `/KEY` with what the store has under that key.
#![forbid(unsafe_code)]

use std::io;

use muster_demo_services::{ask_store, serve_http, setting};

fn main() {
    let store = setting("STORE");
    serve_http(|path| {
        if path == "/healthz" {
            return Ok("ok".to_owned());
        }
        let key = path.trim_start_matches('/');
        match ask_store(&store, &format!("GET {key}"))? {
            value if value.is_empty() => Err(io::Error::other(format!("the store has no `{key}`"))),
            value => Ok(value),
        }
    });
}
