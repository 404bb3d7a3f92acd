//! Old runs: their folders go when there are too many.

use super::paths::{DESTROYED_FILE, Layout, parse_run};
use muster_shim::META_FILE;
use muster_spec::{EnvironmentId, InstanceId, RunId};
use std::fs;
use std::io;
use std::path::Path;

/// Every run of an environment that has a folder and was not destroyed.
pub(crate) fn runs(layout: &Layout, environment: &EnvironmentId) -> io::Result<Vec<RunId>> {
    let mut found = Vec::new();
    for instance in names(&layout.environment(environment))? {
        let folder = layout.environment(environment).join(&instance);
        for name in names(&folder)? {
            if let Some(run) = parse_run(environment, &instance, &name)
                && !is_destroyed(&folder.join(&name))
            {
                found.push(run);
            }
        }
    }
    Ok(found)
}

/// Removes the folders of an instance's runs but the newest `keep` starts and whatever was not destroyed; says how
/// many went.
pub(crate) fn prune(
    layout: &Layout,
    environment: &EnvironmentId,
    instance: &InstanceId,
    keep: usize,
) -> io::Result<usize> {
    let folder = layout.instance(environment, instance);
    let text = format!("{}#{}", instance.service, instance.replica);
    let mut runs: Vec<(u64, String)> = names(&folder)?
        .into_iter()
        .filter_map(|name| Some((parse_run(environment, &text, &name)?.number, name)))
        .collect();
    runs.sort_unstable_by(|a, b| b.cmp(a));
    let mut numbers: Vec<u64> = runs.iter().map(|(number, _)| *number).collect();
    numbers.dedup();
    let Some(oldest_kept) = keep.checked_sub(1).and_then(|at| numbers.get(at)).copied() else {
        return if keep == 0 { remove(&folder, runs.iter().map(|(_, name)| name)) } else { Ok(0) };
    };
    remove(&folder, runs.iter().filter(|(number, _)| *number < oldest_kept).map(|(_, name)| name))
}

fn remove<'a>(folder: &Path, names: impl Iterator<Item = &'a String>) -> io::Result<usize> {
    let mut count = 0;
    for name in names {
        let folder = folder.join(name);
        // without a record nothing was ever started there, or it is starting now: only what was given up goes
        if is_destroyed(&folder) {
            fs::remove_dir_all(&folder)?;
            count += 1;
        }
    }
    Ok(count)
}

pub(crate) fn is_destroyed(folder: &Path) -> bool {
    folder.join(DESTROYED_FILE).exists()
}

/// Whether a shim ever recorded a start here.
pub(super) fn was_started(folder: &Path) -> bool {
    folder.join(META_FILE).exists()
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()),
        // what others keep beside the folders of instances is no folder of runs
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_the_undestroyed_stay() {
        let home = tempfile::TempDir::new().unwrap();
        let layout = Layout::new(home.path(), Path::new("/r"));
        let run: RunId = "local-0000002a/api#1/1".parse().unwrap();
        for name in ["1", "1.before-0", "2", "3", "4"] {
            let folder = layout.instance(&run.environment, &run.instance).join(name);
            fs::create_dir_all(&folder).unwrap();
            if name != "2" {
                fs::write(folder.join(DESTROYED_FILE), "").unwrap();
            }
        }
        fs::write(layout.environment(&run.environment).join("environment.json"), "{}").unwrap();
        assert_eq!(runs(&layout, &run.environment).unwrap().len(), 1);
        assert_eq!(prune(&layout, &run.environment, &run.instance, 2).unwrap(), 2);
        let mut left = names(&layout.instance(&run.environment, &run.instance)).unwrap();
        left.sort();
        assert_eq!(left, ["2", "3", "4"]);
        assert_eq!(prune(&layout, &run.environment, &run.instance, 9).unwrap(), 0);
    }
}
