//! What this machine lets us do, and what of a spec it does not.

use super::cgroup::Cgroups;
use crate::contract::{Capabilities, Capability, Problem};
use crate::sys;
use muster_spec::InstanceSpec;

/// What is always there, then what depends on the machine.
pub(super) fn capabilities(cgroups: &Cgroups) -> Capabilities {
    let mut can = Capabilities::from([
        Capability::Exec,
        Capability::Attach,
        Capability::Signals,
        Capability::Usage,
        // by cgroup where there is one, else by RLIMIT_AS for each process
        Capability::LimitMemory,
        Capability::LimitFiles,
        Capability::Notify,
        Capability::SeparateStreams,
        Capability::EndsEscapees,
    ]);
    can.extend(cgroups.has("cpu").then_some(Capability::LimitCpus));
    can.extend(cgroups.has("pids").then_some(Capability::LimitPids));
    can.extend(sys::is_root().then_some(Capability::User));
    can
}

pub(super) fn validate(spec: &InstanceSpec, can: &Capabilities) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |field: &str, message: String| problems.push(Problem { field: field.to_owned(), message });
    let without_cgroup = "needs a delegated cgroup v2 with this controller; run the daemon under `systemd --user` with \
                          `Delegate=yes`, or leave the limit out";
    if spec.limits.cpus.is_some() && !can.contains(&Capability::LimitCpus) {
        say("limits.cpus", format!("a limit on CPU {without_cgroup}"));
    }
    if spec.limits.pids.is_some() && !can.contains(&Capability::LimitPids) {
        say("limits.pids", format!("a limit on processes {without_cgroup}"));
    }
    if let Some(user) = &spec.user
        && !can.contains(&Capability::User)
        && !is_ourselves(user)
    {
        say("user", format!("only root can become user `{user}`; leave `user` out to run as yourself"));
    }
    if spec.command.argv.first().is_none_or(String::is_empty) {
        say("command", "the command is empty".to_owned());
    }
    problems
}

fn is_ourselves(user: &str) -> bool {
    let uid = nix_users::get_effective_uid();
    user.parse() == Ok(uid) || nix_users::get_current_username().is_some_and(|name| name == *user)
}
