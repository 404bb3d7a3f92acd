//! Needs nothing and nobody; writes a line every second.
#![forbid(unsafe_code)]

use std::thread::sleep;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);

fn main() {
    let began = Instant::now();
    loop {
        println!("up for {} s", began.elapsed().as_secs());
        sleep(PERIOD);
    }
}
