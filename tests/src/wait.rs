//! Waiting for a fact, never for time.

use std::time::{Duration, Instant};

/// How long a fact may take on a machine that is very busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Asks until there is an answer.
///
/// # Panics
/// When there is none within `deadline`; says what was waited for.
pub fn wait_for<T>(fact: &str, deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < deadline, "not within {deadline:?}: {fact}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Asks until it is so.
///
/// # Panics
/// When it is not within [`PATIENCE`].
pub fn wait_until(fact: &str, mut ask: impl FnMut() -> bool) {
    wait_for(fact, PATIENCE, || ask().then_some(()));
}
