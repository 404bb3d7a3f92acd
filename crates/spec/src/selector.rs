//! How services are named everywhere: `all`, a group, a name or alias, `name#2`, a glob, a profile, a comma list.

use crate::{InstanceId, ServiceName, ServiceSpec, Stack};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr;

/// One piece of a selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectorPart {
    /// Everything with `autostart`.
    All,
    /// A service, alias, group or profile.
    Word(String),
    /// One replica of a service, from 1.
    Replica(String, u16),
    /// `*` any text, `?` any character.
    Glob(String),
}

/// A choice of services.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector(pub Vec<SelectorPart>);

/// Why a selector chooses nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// An empty piece.
    #[error("`{0}` has an empty part")]
    Empty(String),
    /// `#` without a number from 1 to 65,535.
    #[error("`{0}` does not name a replica: write `name#1`")]
    Replica(String),
    /// No service, alias, group or profile of that name.
    #[error("no service, group, alias or profile `{word}` in stack `{stack}`")]
    Unknown {
        /// What was asked for.
        word: String,
        /// Where.
        stack: String,
        /// Everything that would have been found, for a suggestion.
        known: Vec<String>,
    },
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        text.split(',').map(|piece| part(text, piece.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn part(whole: &str, piece: &str) -> Result<SelectorPart, SelectorError> {
    if piece.is_empty() {
        return Err(SelectorError::Empty(whole.to_owned()));
    }
    if let Some((name, number)) = piece.split_once('#') {
        let replica = number.parse().ok().filter(|n| *n > 0).ok_or_else(|| SelectorError::Replica(piece.to_owned()))?;
        return Ok(SelectorPart::Replica(name.to_owned(), replica));
    }
    Ok(match piece {
        "all" => SelectorPart::All,
        glob if glob.contains(['*', '?']) => SelectorPart::Glob(glob.to_owned()),
        word => SelectorPart::Word(word.to_owned()),
    })
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;
    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match part {
                SelectorPart::All => f.write_str("all")?,
                SelectorPart::Word(text) | SelectorPart::Glob(text) => f.write_str(text)?,
                SelectorPart::Replica(name, replica) => write!(f, "{name}#{replica}")?,
            }
        }
        Ok(())
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        selector.to_string()
    }
}

impl Selector {
    /// Everything with `autostart`.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![SelectorPart::All])
    }

    /// The instances chosen, without what they need.
    ///
    /// # Errors
    /// [`SelectorError::Unknown`] for the first part that chooses nothing.
    pub fn instances(&self, stack: &Stack) -> Result<BTreeSet<InstanceId>, SelectorError> {
        self.instances_within(stack, 8)
    }

    /// `depth` bounds profiles that name one another.
    fn instances_within(&self, stack: &Stack, depth: u8) -> Result<BTreeSet<InstanceId>, SelectorError> {
        let mut chosen = BTreeSet::new();
        for part in &self.0 {
            let before = chosen.len();
            let mut add = |service: &ServiceSpec| chosen.extend(stack.instances_of(service));
            match part {
                SelectorPart::All => {
                    stack.services.values().filter(|s| s.autostart).for_each(add);
                    continue;
                }
                SelectorPart::Replica(name, replica) => {
                    let service = stack.services.values().find(|s| named(s, name));
                    let service = service
                        .filter(|s| *replica <= s.replicas)
                        .ok_or_else(|| unknown(stack, &format!("{name}#{replica}")))?;
                    chosen.insert(InstanceId { service: service.name.clone(), replica: *replica });
                }
                SelectorPart::Glob(glob) => {
                    stack
                        .services
                        .values()
                        .filter(|s| matches(glob.as_bytes(), s.name.as_str().as_bytes()))
                        .for_each(&mut add);
                    if chosen.len() == before {
                        return Err(unknown(stack, glob));
                    }
                }
                SelectorPart::Word(word) => {
                    let known: Vec<_> = stack
                        .services
                        .values()
                        .filter(|s| named(s, word) || s.group.as_deref() == Some(word))
                        .collect();
                    let profile = stack.profiles.get(word).filter(|_| depth > 0);
                    if known.is_empty() && profile.is_none() {
                        return Err(unknown(stack, word));
                    }
                    known.into_iter().for_each(&mut add);
                    if let Some(profile) = profile {
                        chosen.extend(profile.instances_within(stack, depth - 1)?);
                    }
                }
            }
        }
        Ok(chosen)
    }

    /// The services chosen, in order of declaration, without what they need.
    ///
    /// # Errors
    /// As [`Selector::instances`].
    pub fn services(&self, stack: &Stack) -> Result<Vec<ServiceName>, SelectorError> {
        let chosen = self.instances(stack)?;
        Ok(stack.services.keys().filter(|name| chosen.iter().any(|i| i.service == **name)).cloned().collect())
    }
}

fn named(service: &ServiceSpec, word: &str) -> bool {
    service.name == *word || service.aliases.iter().any(|alias| alias == word)
}

fn unknown(stack: &Stack, word: &str) -> SelectorError {
    let mut known: Vec<String> = stack.services.keys().map(ToString::to_string).collect();
    known.extend(stack.services.values().flat_map(|s| s.aliases.iter().cloned().chain(s.group.clone())));
    known.extend(stack.profiles.keys().cloned());
    known.sort();
    known.dedup();
    SelectorError::Unknown { word: word.to_owned(), stack: stack.name.to_string(), known }
}

/// Shell-like matching with `*` and `?`; linear in practice, backtracks to the last star only.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                g += 1;
                t += 1;
            }
            Some(_) | None => match star {
                Some((at, from)) => {
                    g = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for text in ["all", "api", "api#2", "mem-*", "a,b,c#1"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        assert!(matches!("a,,b".parse::<Selector>(), Err(SelectorError::Empty(_))));
        assert!(matches!("a#0".parse::<Selector>(), Err(SelectorError::Replica(_))));
    }

    #[test]
    fn globs() {
        assert!(matches(b"mem-*", b"mem-x") && matches(b"*", b"") && matches(b"a?c*e", b"abcdde"));
        assert!(!matches(b"mem-*", b"me") && !matches(b"?", b"") && !matches(b"a*b", b"ac"));
    }
}
