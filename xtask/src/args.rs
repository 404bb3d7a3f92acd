//! The command line of a task: flags and values are taken out, what is left is passed on or refused.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// The words after the task's name. Nothing behind `--` is looked at.
pub(crate) struct Args {
    own: Vec<String>,
    passed_on: Vec<String>,
}

impl Args {
    /// Splits the words at the first `--`, which stays with the part that is passed on.
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        let mut own: Vec<String> = words.collect();
        let at = own.iter().position(|word| word == "--").unwrap_or(own.len());
        let passed_on = own.split_off(at);
        Self { own, passed_on }
    }

    /// Takes `--name` out; true where it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.own.len();
        self.own.retain(|word| word != name);
        self.own.len() != before
    }

    /// Takes `--name VALUE` or `--name=VALUE` out.
    pub(crate) fn value<T>(&mut self, name: &str) -> Result<Option<T>>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let equals = format!("{name}=");
        let Some(at) = self.own.iter().position(|word| word == name || word.starts_with(&equals)) else {
            return Ok(None);
        };
        let word = self.own.remove(at);
        let text = match word.strip_prefix(&equals) {
            Some(text) => text.to_owned(),
            None if at < self.own.len() => self.own.remove(at),
            None => bail!("`{name}` needs a value"),
        };
        let value = text.parse().with_context(|| format!("`{name}` does not take `{text}`"))?;
        Ok(Some(value))
    }

    /// Takes a comma list out; empty where the option is not there.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<String>> {
        let text: Option<String> = self.value(name)?;
        Ok(text.unwrap_or_default().split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    /// Takes the first word that is left.
    pub(crate) fn word(&mut self) -> Option<String> {
        (!self.own.is_empty()).then(|| self.own.remove(0))
    }

    /// All that is left, to be passed on.
    pub(crate) fn rest(self) -> Vec<String> {
        let mut words = self.own;
        words.extend(self.passed_on);
        words
    }

    /// Refuses whatever is left.
    pub(crate) fn finish(self) -> Result<()> {
        match self.rest().first() {
            Some(word) => bail!("unexpected `{word}`; `cargo xtask help` lists the tasks"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn args(text: &str) -> Args {
        Args::new(text.split(' ').map(str::to_owned))
    }

    #[test]
    fn flags_and_values_are_taken_in_any_order() {
        let mut args = args("--n 100,500 --quick --rounds=3 extra -- --quick");
        assert!(args.flag("--quick"));
        assert!(!args.flag("--quick"), "what stands behind `--` is not ours");
        assert_eq!(args.value::<u32>("--rounds").unwrap(), Some(3));
        assert_eq!(args.list("--n").unwrap(), ["100", "500"]);
        assert_eq!(args.rest(), ["extra", "--", "--quick"]);
    }

    #[test]
    fn a_missing_or_wrong_value_is_refused_by_name() {
        assert_eq!(args("--seeds").value::<u64>("--seeds").unwrap_err().to_string(), "`--seeds` needs a value");
        let error = args("--seeds many").value::<u64>("--seeds").unwrap_err();
        assert_eq!(error.to_string(), "`--seeds` does not take `many`");
        assert!(args("--no-such").finish().is_err());
    }
}
