//! Questions that only commands can answer that run where the instance runs: in a container, on another host.

use crate::{ProbeContext, exec};
use futures::future::BoxFuture;
use muster_spec::ResolvedCommand;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs a command there to its end.
pub type Inside = Arc<dyn Fn(ResolvedCommand) -> BoxFuture<'static, Result<Ran, String>> + Send + Sync>;

/// A command that ended by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote, from its beginning.
    pub stdout: Vec<u8>,
    /// What it complained about, from its beginning.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// Nothing, when it succeeded; else how it ended and the last thing that it said.
    ///
    /// # Errors
    /// When its code is not 0.
    pub fn outcome(&self) -> Result<(), String> {
        let Some(code) = self.code.filter(|code| *code != 0) else { return Ok(()) };
        match exec::last_line(&self.stderr).or_else(|| exec::last_line(&self.stdout)) {
            Some(line) => Err(format!("exited with {code}: {line}")),
            None => Err(format!("exited with {code}")),
        }
    }
}

async fn run(words: &[&str], context: &ProbeContext) -> Result<Ran, String> {
    let inside = context.inside().ok_or("it cannot be asked there")?;
    let argv = words.iter().map(|word| (*word).to_owned()).collect();
    inside(ResolvedCommand { argv, env: Vec::new(), cwd: PathBuf::new() }).await
}

pub(crate) async fn file(path: &Path, context: &ProbeContext) -> Result<(), String> {
    let shown = path.display().to_string();
    let ran = run(&["test", "-e", &shown], context).await?;
    if ran.code == Some(0) { Ok(()) } else { Err(format!("`{shown}` does not exist there")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_why() {
        let ran = Ran { code: Some(3), stdout: b"x\n".to_vec(), stderr: b"a\nno such thing\n".to_vec() };
        assert_eq!(ran.outcome(), Err("exited with 3: no such thing".to_owned()));
        assert_eq!(Ran { code: Some(0), ..ran }.outcome(), Ok(()));
    }
}
