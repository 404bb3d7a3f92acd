//! A service that behaves as it is told, also badly, and notes what it does where the tests see it.
//!
//! `e2e-worker MARKS NAME MODE [ARGUMENTS]`: notes `start`, does what the mode says, and waits for TERM or INT, which it
//! notes as `term` before it ends with 0. Another process of the same name that is alive is noted as `overlap`.

mod far;
mod flood;
mod marks;
mod modes;
mod peer;

use marks::Marks;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, mode, arguments @ ..] = words.as_slice() else {
        eprintln!("usage: e2e-worker MARKS NAME MODE [ARGUMENTS]");
        return ExitCode::from(2);
    };
    // before any thread is there: all of them inherit it
    let signals = modes::Signals::block();
    let marks = Marks::open(folder, name);
    marks.note("start");
    if let Some(code) = modes::run(mode, arguments, &marks) {
        marks.note("end");
        return ExitCode::from(code);
    }
    loop {
        signals.wait();
        marks.note("term");
        if let Some(code) = modes::on_term(mode, arguments, &marks) {
            return ExitCode::from(code);
        }
    }
}
