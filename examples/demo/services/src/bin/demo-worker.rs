//! Looks at the store every second, and says in its log when it has seen it for the first time.
#![forbid(unsafe_code)]

use std::thread::sleep;
use std::time::Duration;

use muster_demo_services::{ask_store, setting};

const PERIOD: Duration = Duration::from_secs(1);

fn main() {
    let store = setting("STORE");
    let mut seen = false;
    loop {
        match ask_store(&store, "GET motto") {
            Ok(motto) if !seen => {
                println!("worker ready: {motto}");
                seen = true;
            }
            Ok(_) => {}
            Err(error) => eprintln!("the store is away: {error}"),
        }
        sleep(PERIOD);
    }
}
