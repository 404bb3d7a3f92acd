//! Single decisions switched off, to prove that the simulator would notice. Not part of the library unless the feature
//! `mutants` asks for it.

/// Whether a decision is switched off; always false without the feature `mutants`.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($machine:expr, $name:ident) => {
        $machine.mutant == Some($crate::mutant::Mutant::$name)
    };
}

/// Whether a decision is switched off; always false without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($machine:expr, $name:ident) => {
        false
    };
}

pub(crate) use mutant;

/// A decision that can be switched off.
#[cfg(feature = "mutants")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A fact about another run is taken for one about the current run.
    IgnoreRunNumber,
    /// A new run does not wait for the old one's exit.
    StartBesideOld,
    /// Needs count for the first start only.
    SkipNeedsOnRestart,
    /// A need that cannot be met does not hold back.
    ImpossibleIsMet,
    /// A run of an earlier generation meets a need.
    IgnoreGeneration,
    /// What is optional is not waited for, even when it can still come.
    OptionalNotAwaited,
    /// Everything is stopped at once.
    StopOrderIgnored,
    /// What is needed is stopped before those that need it.
    StopOrderReversed,
    /// The restart is not waited for.
    BackoffIgnored,
    /// Restarted for ever, each time after the wait that is due.
    CircuitNeverOpens,
    /// The number of restarts has no end.
    MaxIgnored,
    /// A job that is done runs again when one that needs it crashes.
    JobRerun,
    /// What is to restart with another does not.
    WithIgnored,
    /// What never came to be is taken to run.
    AbsentIsRunning,
    /// What is found alive is started once more.
    SecondStartOnRecovered,
    /// One answer of a probe is enough.
    ThresholdsIgnored,
    /// No KILL after the grace period.
    GraceForgotten,
    /// A changed definition does not reach what runs.
    ChangeIgnored,
}
