//! What keeps us from a host, recognised from what ssh says, with what to do about it.

use crate::progress::Failure;
use muster_spec::RuntimeKind;

/// A start that fails for such a reason is not tried again by itself: as a shell reports what cannot be executed.
const NOT_EXECUTABLE: i32 = 126;

/// Why a host cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(super) struct Trouble {
    /// What and what to do, in one line.
    pub(super) text: String,
    /// Somebody has to change something: trying again soon does not help.
    pub(super) lasting: bool,
}

impl Trouble {
    pub(super) fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), lasting: false }
    }

    pub(super) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), lasting: true }
    }

    /// What ssh said when it could not connect, or its session ended early.
    pub(super) fn of_ssh(host: &str, login: &str, said: &str) -> Self {
        let line = last_line(said);
        let has = |text: &str| said.contains(text);
        if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            let file = said.lines().find_map(|line| line.trim().strip_prefix("Offending ")).unwrap_or("known_hosts");
            return Self::lasting(format!(
                "host `{host}` has another key than the one that is known ({file}): find out why; if it was set up anew, \
                 `ssh-keygen -R` the old key and run `{login}` once to accept the new one"
            ));
        }
        if has("Host key verification failed") || has("host key is known for") {
            return Self::lasting(format!(
                "the key of host `{host}` is not known: run `{login}` once, compare the fingerprint and accept it"
            ));
        }
        if has("Permission denied (") || has("Too many authentication failures") {
            return Self::lasting(format!(
                "host `{host}` accepts none of our keys: `{login}` must work without a question; load the key with \
                 `ssh-add`, or bring it there with `ssh-copy-id` ({line})"
            ));
        }
        if has("Could not resolve hostname") {
            return Self::passing(format!("the name of host `{host}` is not known: check `{login}` ({line})"));
        }
        if has("Bad configuration option") || has("Can't open user config file") || has("Bad owner or permissions on") {
            return Self::lasting(format!("ssh cannot use its configuration for host `{host}`: {line}"));
        }
        if has("No space left on device") || has("Disk quota exceeded") {
            return Self::lasting(format!(
                "the disk of host `{host}` is full: free a few MB in the home folder there ({line})"
            ));
        }
        if line.is_empty() {
            return Self::passing(format!("host `{host}` closed the connection without a word: check `{login}`"));
        }
        Self::passing(format!("host `{host}` cannot be reached: {line}"))
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { reason: trouble.text, code: trouble.lasting.then_some(NOT_EXECUTABLE) }
    }
}

impl From<Trouble> for crate::RuntimeError {
    fn from(trouble: Trouble) -> Self {
        Self::Unavailable { runtime: RuntimeKind::Remote, reason: trouble.text }
    }
}

/// The last line that says something.
fn last_line(said: &str) -> &str {
    let noise = |line: &&str| !line.is_empty() && !line.starts_with("Warning: Permanently added");
    said.lines().rev().map(str::trim).find(noise).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> Trouble {
        Trouble::of_ssh("db1", "ssh db1", said)
    }

    #[test]
    fn each_trouble_says_what_to_do() {
        let unknown = of("Host key verification failed.\r\n");
        assert!(unknown.lasting && unknown.text.contains("`ssh db1`"), "{unknown}");
        let strict =
            of("No ED25519 host key is known for [::1]:2222 and you have requested strict checking.\nHost key \
                         verification failed.");
        assert!(strict.text.contains("not known"), "{strict}");
        let changed =
            of("@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@\nOffending ED25519 key in \
                          /h/known_hosts:3\nHost key verification failed.");
        assert!(changed.text.contains("/h/known_hosts:3") && changed.text.contains("ssh-keygen -R"), "{changed}");
        let refused = of("me@db1: Permission denied (publickey,password).");
        assert!(refused.lasting && refused.text.contains("ssh-add"), "{refused}");
        for line in [
            "ssh: connect to host db1 port 22: Connection refused",
            "ssh: connect to host db1 port 22: No route to host",
        ] {
            let away = of(line);
            assert!(!away.lasting && away.text.contains(line), "{away}");
        }
        assert!(of("").text.contains("without a word"));
        assert!(of("cat: write error: No space left on device").text.contains("full"));
    }
}
