//! A job: puts the first data into the store, and finishes. Doing it twice changes nothing.
#![forbid(unsafe_code)]

use muster_demo_services::{ask_store, fail, setting};

const SEEDS: [(&str, &str); 3] =
    [("greeting", "all present and correct"), ("motto", "trust, but look at the status"), ("visits", "none yet")];

fn main() {
    let store = setting("STORE");
    for (key, value) in SEEDS {
        match ask_store(&store, &format!("SET {key} {value}")).as_deref() {
            Ok("ok") => println!("set {key}"),
            Ok(answer) => fail(&format!("the store answered: {answer}")),
            Err(error) => fail(&format!("asking the store: {error}")),
        }
    }
}
