//! ctrl-C in a command that asks for something and waits for it.
//!
//! What was asked for goes on, so a command may not end by the signal without a word about that: from the moment of asking
//! on a press is remembered, and means what it means as soon as the daemon has answered, which takes milliseconds. Where it
//! takes long, a second press ends the command.

use crate::context::Context;
use crate::failure::Failure;
use muster_api::exit;
use std::future::Future;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Somebody did not wait for the daemon's answer.
pub(crate) fn unanswered(context: &Context) -> i32 {
    context.note("\nthe daemon has not answered; `muster status` shows whether it goes on");
    exit::INTERRUPTED
}

/// The presses of ctrl-C since this was made.
pub(crate) struct Interrupt {
    presses: Signal,
    /// There was one that nothing followed from yet.
    due: bool,
}

impl Interrupt {
    /// From now on ctrl-C does not end this process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let presses =
            signal(SignalKind::interrupt()).map_err(|error| Failure::io("signals cannot be received", &error))?;
        Ok(Self { presses, due: false })
    }

    /// The next press, or the one that came while something was asked. Can be cancelled.
    pub(crate) async fn pressed(&mut self) {
        if !self.due {
            self.presses.recv().await;
        }
        self.due = false;
    }

    /// The answer to what is asked; `None` after a second press.
    pub(crate) async fn ask<T>(&mut self, request: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(request);
        loop {
            tokio::select! {
                biased;
                answer = &mut request => return Some(answer),
                _ = self.presses.recv() => {
                    if self.due {
                        return None;
                    }
                    self.due = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Number, getpid, kill_process};
    use std::time::Duration;
    use tokio::time::timeout;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn press() {
        kill_process(getpid(), Number::INT).unwrap();
    }

    /// One test: presses reach everybody in a process who listens.
    #[tokio::test]
    async fn a_press_is_remembered_and_a_second_one_ends_the_wait_for_an_answer() {
        let mut interrupt = Interrupt::listen().unwrap();
        let answer = interrupt.ask(async {
            press();
            "there"
        });
        assert_eq!(answer.await, Some("there"));
        timeout(DEADLINE, interrupt.pressed()).await.expect("the press was remembered");

        let pressing = async {
            loop {
                press();
                tokio::task::yield_now().await;
            }
        };
        let silent = interrupt.ask(std::future::pending::<()>());
        let answer = tokio::select! {
            answer = timeout(DEADLINE, silent) => answer,
            () = pressing => unreachable!("it presses for ever"),
        };
        assert_eq!(answer, Ok(None));
    }
}
