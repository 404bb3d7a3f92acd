//! Why an image could not be built, in one line: the step at which it failed, and the last words before.

use super::trouble::ENGINE_REFUSED;
use crate::contract::StartError;
use std::collections::VecDeque;

/// Of a builder's last words so many lines stand in the reason.
const LAST_WORDS: usize = 3;
/// What the builders say themselves, which explains nothing.
const NOISE: [&str; 7] =
    ["--->", "Removing intermediate container", "------", "Sending build context", "CACHED", "DONE", "sha256:"];
/// How builders tell of a command's exit code; everything before it is the command again.
const EXIT_CODE: [&str; 3] = ["returned a non-zero code: ", "exit code: ", "exit status "];

/// A build that cannot be done.
pub(super) fn cannot(tag: &str, why: &str) -> StartError {
    StartError::Permanent { reason: format!("image `{tag}` cannot be built: {why}"), code: ENGINE_REFUSED }
}

/// What a builder said so far.
pub(super) struct Report<'a> {
    tag: &'a str,
    step: Option<String>,
    last: VecDeque<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(tag: &'a str) -> Self {
        Self { tag, step: None, last: VecDeque::new() }
    }

    pub(super) fn hear(&mut self, text: &str) {
        for line in text.lines().map(plain) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if let Some(step) = step(line) {
                self.step = Some(step.to_owned());
                self.last.clear();
            } else if let said = said(line)
                && !NOISE.iter().any(|noise| said.starts_with(noise))
                && !said.starts_with("> [")
            {
                self.last.push_back(said.to_owned());
                if self.last.len() > LAST_WORDS {
                    self.last.pop_front();
                }
            }
        }
    }

    /// Whether one of the last words holds this.
    pub(super) fn has(&self, text: &str) -> bool {
        self.last.iter().any(|line| line.contains(text))
    }

    /// The last of the last words.
    pub(super) fn last(&self) -> Option<String> {
        self.last.back().cloned()
    }

    pub(super) fn failed(&self, error: &str) -> StartError {
        let error = plain(error);
        let at = self.step.as_ref().map(|step| format!("at `{step}`: ")).unwrap_or_default();
        let code = exit_code(&error);
        let tells = |line: &&str| error.trim() != *line && (code.is_none() || exit_code(line).is_none());
        let words: Vec<&str> = self.last.iter().map(String::as_str).filter(tells).collect();
        let before = if words.is_empty() { String::new() } else { format!("; it said: {}", words.join(" / ")) };
        let ended = code.filter(|_| self.step.is_some()).map(|code| format!("ended with code {code}"));
        cannot(self.tag, &format!("{at}{}{before}", ended.as_deref().unwrap_or(error.trim())))
    }
}

/// The instruction that begins: `Step 3/5 : RUN x`, BuildKit's `#6 [stage-0 2/3] RUN x`, Podman's `STEP 2/3: RUN x`.
fn step(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP ")) {
        return rest.split_once(':').map(|(_, step)| step.trim());
    }
    let rest = line.strip_prefix('#')?.split_once(" [")?.1;
    let (stage, step) = rest.split_once("] ")?;
    (!stage.starts_with("internal")).then_some(step)
}

/// BuildKit's lines without their numbers: `#5 0.387 two`.
fn said(line: &str) -> &str {
    let Some(rest) = line.strip_prefix('#') else { return line };
    let Some((number, rest)) = rest.split_once(' ') else { return line };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return line;
    }
    match rest.split_once(' ') {
        Some((time, said)) if time.parse::<f64>().is_ok() => said,
        Some(_) | None => rest,
    }
}

/// A command's exit code, where an error tells of one.
fn exit_code(error: &str) -> Option<&str> {
    EXIT_CODE
        .iter()
        .find_map(|words| Some(error.rsplit_once(words)?.1.trim()))
        .filter(|code| code.parse::<u8>().is_ok())
}

/// Without what colours a terminal (ECMA-48, control sequences).
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if chars.next() == Some('[') {
            chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_and_the_last_words() {
        let mut classic = Report::new("a:1");
        classic.hear("Step 1/2 : FROM b\n ---> 698ea9d70084\nStep 2/2 : RUN make\n ---> Running in f2edb30eef91\n");
        classic.hear("one\n");
        classic.hear("\u{1b}[91mtwo\n\u{1b}[0mRemoving intermediate container f2edb30eef91\n");
        let error = classic.failed("The command '/bin/sh -c make' returned a non-zero code: 3").to_string();
        assert_eq!(error, "image `a:1` cannot be built: at `RUN make`: ended with code 3; it said: one / two");

        let mut kit = Report::new("a:1");
        kit.hear("#1 [internal] load build definition");
        kit.hear("#5 [stage-0 3/3] RUN make\n#5 sha256:b71672a8\n#5 0.387 two\n#5 ERROR: exit code: 3\n------");
        kit.hear(" > [stage-0 3/3] RUN make:\n------\nexecutor failed running [/bin/sh -c make]: exit code: 3");
        let error = kit.failed(&kit.last().unwrap()).to_string();
        assert_eq!(error, "image `a:1` cannot be built: at `RUN make`: ended with code 3; it said: two");

        let nothing = Report::new("a:1").failed("dockerfile parse error line 1: unknown instruction: FRM").to_string();
        assert!(nothing.ends_with("built: dockerfile parse error line 1: unknown instruction: FRM"), "{nothing}");
    }
}
