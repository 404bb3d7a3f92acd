//! From what is wanted to what a shim is given.

use super::cgroup::Cgroups;
use super::failure::Failure;
use super::paths::Layout;
use muster_shim::{Identity, LaunchSpec, Limit, Output, Resource, TtySize};
use muster_spec::{InstanceSpec, RunId, Streams, Target};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Descendants that outlive a main process are asked to end and have at most this long: a restart waits for it.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// Builds the launch spec. May ask the user database, which may block: only for the spawner's thread.
pub(super) fn launch_spec(
    run: &RunId,
    spec: &InstanceSpec,
    layout: &Layout,
    nofile: Option<(u64, u64)>,
    cgroup: Option<PathBuf>,
) -> Result<LaunchSpec, Failure> {
    let argv: Vec<OsString> = spec.command.argv.iter().map(Into::into).collect();
    if argv.is_empty() {
        return Err(Failure::permanent("the command is empty"));
    }
    let mut launch = LaunchSpec::new(run.to_string(), argv, &spec.command.cwd);
    launch.instance = run.instance.to_string();
    launch.spec_hash.clone_from(&spec.hash);
    launch.env = spec.command.env.iter().map(|(name, value)| (name.into(), value.expose().into())).collect();
    launch.identity = spec.user.as_deref().map(identity).transpose()?;
    launch.umask = spec.umask;
    launch.limits = limits(spec, nofile, cgroup.is_some());
    launch.output = match spec.streams {
        Streams::Separate => Output::Pipes,
        Streams::Merged => Output::Merged,
        Streams::Terminal => Output::Tty(TtySize::default()),
    };
    launch.stop_signal = spec.stop_signal.number();
    launch.stop_to = target(spec.stop_to);
    launch.stop_grace = spec.grace;
    launch.leftover_grace = spec.grace.min(LEFTOVER_GRACE);
    launch.secrets = secrets(spec);
    launch.log_keep = spec.logs.keep.get();
    launch.notify = spec.notify.then(|| layout.notify(run));
    launch.cgroup = cgroup;
    Ok(launch)
}

/// The texts that never reach the log, as bytes. An empty one would match everywhere.
pub(super) fn secrets(spec: &InstanceSpec) -> Vec<Vec<u8>> {
    spec.secrets.iter().map(|secret| secret.expose().as_bytes().to_vec()).filter(|secret| !secret.is_empty()).collect()
}

/// The same word in the shim's protocol.
pub(super) fn target(target: Target) -> muster_shim::Target {
    match target {
        Target::Group => muster_shim::Target::Group,
        Target::Main => muster_shim::Target::Main,
    }
}

fn limits(spec: &InstanceSpec, nofile: Option<(u64, u64)>, has_cgroup: bool) -> Vec<Limit> {
    let mut limits = Vec::new();
    match (spec.limits.files, nofile) {
        (Some(files), _) => limits.push(Limit { resource: Resource::Nofile, soft: files, hard: files }),
        (None, Some((soft, hard))) => limits.push(Limit { resource: Resource::Nofile, soft, hard }),
        (None, None) => {}
    }
    if let Some(memory) = &spec.limits.memory
        && !has_cgroup
    {
        limits.push(Limit { resource: Resource::As, soft: memory.get(), hard: memory.get() });
    }
    limits
}

/// `name`, `uid`, `name:group`, `uid:gid`.
fn identity(text: &str) -> Result<Identity, Failure> {
    let (user_text, group_text) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let user = match user_text.parse::<u32>() {
        Ok(uid) => nix_users::get_user_by_uid(uid),
        Err(_) => nix_users::get_user_by_name(user_text),
    };
    let (uid, primary, groups) = match (user, user_text.parse::<u32>()) {
        (Some(user), _) => {
            let groups = user.groups().unwrap_or_default().iter().map(nix_users::Group::gid).collect();
            (user.uid(), user.primary_group_id(), groups)
        }
        (None, Ok(uid)) => (uid, uid, Vec::new()),
        (None, Err(_)) => return Err(Failure::permanent(format!("user `{user_text}` is not known on this machine"))),
    };
    let gid = match group_text {
        None => primary,
        Some(text) => match (text.parse::<u32>(), nix_users::get_group_by_name(text)) {
            (Ok(gid), _) => gid,
            (Err(_), Some(group)) => group.gid(),
            (Err(_), None) => {
                return Err(Failure::permanent(format!("group `{text}` is not known on this machine")));
            }
        },
    };
    Ok(Identity { uid, gid, groups })
}

/// The folder that a run with limits gets, if any limit needs one.
pub(super) fn cgroup_for(run: &RunId, spec: &InstanceSpec, cgroups: &Cgroups) -> Result<Option<PathBuf>, Failure> {
    cgroups.make(run, &spec.limits).map_err(|error| Failure::transient(format!("could not make a cgroup: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_by_name_and_number() {
        assert_eq!(identity("0").map(|id| (id.uid, id.gid)), Ok((0, 0)));
        assert_eq!(identity("root").map(|id| id.uid), Ok(0));
        assert_eq!(identity("0:12").map(|id| id.gid), Ok(12));
        let unknown = identity("no-such-user").unwrap_err();
        assert!(unknown.reason.contains("`no-such-user`") && unknown.code.is_some());
    }
}
