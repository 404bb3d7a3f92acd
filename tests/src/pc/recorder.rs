//! The services' own marks: a `bash` that comes first on PATH and writes a line before and after the real one.
//!
//! Every process of these files runs as `bash -c SCRIPT`. Lines are appended whole, so their order in the file is the
//! order in which things happened: an end is written before whoever supervises can know of it, and a start before the
//! script does anything.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The real shell.
const REAL: &str = "/bin/bash";

/// Variables that a shell sets by itself.
const OF_THE_SHELL: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

/// A recorder and its marks.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
}

/// A line of the marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A script is about to run.
    Start(Start),
    /// It ended.
    End(Who),
}

/// What a process is called by its own environment: PC_PROC_NAME and PC_REPLICA_NUM.
pub type Who = (String, String);

/// What a script finds at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The process.
    pub who: Who,
    /// Its folder.
    pub cwd: PathBuf,
    /// The script, with `\n` for newlines.
    pub script: String,
    /// Its environment without what a shell sets.
    pub env: BTreeMap<String, String>,
}

impl Recorder {
    /// Writes the shell into `folder/bin`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let bin = folder.join("bin");
        std::fs::create_dir_all(&bin)?;
        std::fs::create_dir_all(folder.join("hold"))?;
        std::fs::write(folder.join("marks"), "")?;
        let shell = bin.join("bash");
        std::fs::write(&shell, script(folder))?;
        std::fs::set_permissions(&shell, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// What PATH begins with.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Keeps a process alive after its script ended, until it is released.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn hold(&self, process: &str) -> io::Result<()> {
        std::fs::write(self.folder.join("hold").join(process), "")
    }

    /// Lets it end.
    ///
    /// # Errors
    /// It was not held.
    pub fn release(&self, process: &str) -> io::Result<()> {
        std::fs::remove_file(self.folder.join("hold").join(process))
    }

    /// All marks so far, in order; commands that stop a process are none.
    ///
    /// # Panics
    /// If a line is not one of the recorder's.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let text = std::fs::read_to_string(self.folder.join("marks")).expect("the recorder made it");
        text.lines().map(|line| parse(line).unwrap_or_else(|| panic!("not a mark: {line:?}"))).collect()
    }
}

/// A stop command is no start: it leaves no mark.
fn script(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"#!{REAL}
folder='{folder}'
script="${{2//$'\n'/\\n}}"
script="${{script//$'\t'/\\t}}"
[[ $script == *PC_TEST_SHUTDOWN_LOG* ]] && exec {REAL} "$@"
env=
for name in $(compgen -e); do value="${{!name}}"; env+=$'\x1f'"$name=${{value//[$'\n\t']/ }}"; done
printf 'start\t%s\t%s\t%s\t%s\t%s\n' "$PC_PROC_NAME" "$PC_REPLICA_NUM" "$(pwd -P)" "$script" "$env" >> "$folder/marks"
got=
trap 'got=TERM' TERM
trap 'got=INT' INT
{REAL} "$@"
code=$?
held=
while [[ -z $got && -e $folder/hold/$PC_PROC_NAME ]]; do held=1; sleep 0.02; done
printf 'end\t%s\t%s\n' "$PC_PROC_NAME" "$PC_REPLICA_NUM" >> "$folder/marks"
if [[ -n $got && ( -n $held || $code -gt 128 ) ]]; then trap - "$got"; kill "-$got" $$; fi
exit "$code"
"#
    )
}

fn parse(line: &str) -> Option<Mark> {
    let fields: Vec<&str> = line.split('\t').collect();
    match fields.as_slice() {
        ["end", name, replica] => Some(Mark::End(((*name).to_owned(), (*replica).to_owned()))),
        ["start", name, replica, cwd, script, env] => {
            let pairs = env.split('\x1f').filter_map(|pair| pair.split_once('='));
            let own = pairs.filter(|(name, _)| !OF_THE_SHELL.contains(name));
            Some(Mark::Start(Start {
                who: ((*name).to_owned(), (*replica).to_owned()),
                cwd: PathBuf::from(cwd),
                script: (*script).to_owned(),
                env: own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            }))
        }
        _other => None,
    }
}

/// All starts of a process.
pub fn starts<'a>(marks: &'a [Mark], who: &'a Who) -> impl Iterator<Item = &'a Start> {
    marks.iter().filter_map(move |mark| match mark {
        Mark::Start(start) if start.who == *who => Some(start),
        Mark::Start(_) | Mark::End(_) => None,
    })
}

/// Whether the last end of `first` lies before the first start of `second`.
#[must_use]
pub fn ended_before_start(marks: &[Mark], first: &Who, second: &Who) -> bool {
    let end = marks.iter().rposition(|mark| matches!(mark, Mark::End(who) if who == first));
    let start = marks.iter().position(|mark| matches!(mark, Mark::Start(start) if start.who == *second));
    matches!((end, start), (Some(end), Some(start)) if end < start)
}

/// Where the last end of a process stands; nothing where it was killed.
#[must_use]
pub fn last_end(marks: &[Mark], who: &Who) -> Option<usize> {
    marks.iter().rposition(|mark| matches!(mark, Mark::End(other) if other == who))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Who {
        (name.to_owned(), "0".to_owned())
    }

    fn start(name: &str) -> Mark {
        let (cwd, script) = (PathBuf::from("/"), "true".to_owned());
        Mark::Start(Start { who: who(name), cwd, script, env: BTreeMap::new() })
    }

    #[test]
    fn only_the_last_end_counts() {
        let marks = [start("a"), Mark::End(who("a")), start("b"), start("a"), Mark::End(who("a"))];
        assert!(!ended_before_start(&marks, &who("a"), &who("b")));
        assert!(ended_before_start(&marks[..3], &who("a"), &who("b")));
        assert!(!ended_before_start(&marks, &who("b"), &who("a")));
    }

    #[test]
    fn lines_are_read_back() {
        let mark = parse("start\tp\t0\t/tmp\techo a\\nb\t\x1fA=1\x1fPWD=/tmp").unwrap();
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(mark, Mark::Start(Start { who: who("p"), cwd: "/tmp".into(), script: "echo a\\nb".into(), env }));
        assert_eq!(parse("end\tp\t0"), Some(Mark::End(who("p"))));
        assert_eq!(parse("else"), None);
    }
}
