//! Where a run here differs from one of process-compose, and why.

use std::fmt;

/// A difference that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// 3 for a file that is refused.
    CodeOfRefusal,
    /// 1 where something failed.
    Truth,
    /// 130 after a signal.
    Interrupted,
    /// 1 where another command ended what an `up` started.
    Superseded,
    /// `waiting` for `Skipped`.
    Waiting,
    /// `failed` for `Error`.
    CannotStart,
    /// Nothing to run is an end.
    NothingToRun,
    /// `process1#1` for `process1-0`.
    ReplicaNames,
    /// What is not changed is not restarted.
    NotRestarted,
    /// The number stands in the file.
    ScaleInFile,
    /// Another name is another environment.
    RenamedStartsAgain,
    /// Where `--no-deps` must be said.
    NeedsComeAlong,
}

impl Deviation {
    /// All of them, in the order of the document.
    pub const ALL: [Self; 12] = [
        Self::CodeOfRefusal,
        Self::Truth,
        Self::Interrupted,
        Self::Superseded,
        Self::Waiting,
        Self::CannotStart,
        Self::NothingToRun,
        Self::ReplicaNames,
        Self::NotRestarted,
        Self::ScaleInFile,
        Self::RenamedStartsAgain,
        Self::NeedsComeAlong,
    ];

    /// Its name in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::CodeOfRefusal => "code of refusal",
            Self::Truth => "truth",
            Self::Interrupted => "interrupted",
            Self::Superseded => "superseded",
            Self::Waiting => "waiting",
            Self::CannotStart => "cannot start",
            Self::NothingToRun => "nothing to run",
            Self::ReplicaNames => "replica names",
            Self::NotRestarted => "not restarted",
            Self::ScaleInFile => "scale in file",
            Self::RenamedStartsAgain => "renamed starts again",
            Self::NeedsComeAlong => "needs come along",
        }
    }

    /// What process-compose does.
    #[must_use]
    pub fn there(self) -> &'static str {
        match self {
            Self::CodeOfRefusal => "a refused file ends with 1",
            Self::Truth => "ends with 0 though a process failed, was skipped, or could not be started",
            Self::Interrupted => "ends with 0 after SIGINT or SIGTERM",
            Self::Superseded => "ends with 0 when `down` is called elsewhere",
            Self::Waiting => "`Skipped`, with an exit code of 1 that no process had",
            Self::CannotStart => "`Error`, with an exit code of 0 that no process had",
            Self::NothingToRun => "waits for ever when no process is selected",
            Self::ReplicaNames => "`process1-0`, with as many digits as the number of replicas needs",
            Self::NotRestarted => "the first `project update` restarts a process that did not change",
            Self::ScaleInFile => "`process scale NAME N` while it runs",
            Self::RenamedStartsAgain => "the first replica runs on under a new name when there are more",
            Self::NeedsComeAlong => "`process start X` leaves alone what X needs and is not started",
        }
    }

    /// What happens here, and the reason.
    #[must_use]
    pub fn here(self) -> &'static str {
        match self {
            Self::CodeOfRefusal => "ends with 3: a wrong configuration has a code of its own in every command",
            Self::Truth => {
                "ends with 1: exit codes tell the truth, for other tools' files too; the loss report says so"
            }
            Self::Interrupted => {
                "everything is stopped in order, then it ends with 130: whoever waits can tell an interruption from an end"
            }
            Self::Superseded => "ends with 1 and says that another command wanted something else",
            Self::Waiting => {
                "`waiting`, with the cause named, and no exit code: `muster start` goes on once the cause is gone"
            }
            Self::CannotStart => "`failed`, with the reason and the code that a shell would give: 126 or 127",
            Self::NothingToRun => {
                "ends with 0 at once: nothing of it runs or is due, and a command that hangs helps nobody"
            }
            Self::ReplicaNames => {
                "`process1`, `process1#2`: one way to name replicas, which does not change with their number; PC_REPLICA_NUM counts from 0 as there"
            }
            Self::NotRestarted => "`up` again leaves it alone: what did not change is not restarted",
            Self::ScaleInFile => {
                "`replicas:` is changed in the file and `up` called again: the file stays true. A number below 1 is 1, as in a file there"
            }
            Self::RenamedStartsAgain => "the first replica is `process2#1` before and after, and is started once",
            Self::NeedsComeAlong => "`start --no-deps X`; without it, what X needs comes along",
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
