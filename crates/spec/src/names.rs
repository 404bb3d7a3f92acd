//! Names: checked once, carried as types.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name accepted: it stands in paths, container names and DNS labels (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name may not be empty")]
    Empty,
    /// Longer than 63 characters.
    #[error("`{0}` is longer than {MAX_NAME} characters")]
    TooLong(String),
    /// A character that is not allowed at this place.
    #[error(
        "`{name}` may not contain `{found}`: letters, digits, `-`, `_` and `.` are allowed, the first a letter or digit"
    )]
    Character {
        /// The whole text.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// A word that means something else where names are written.
    #[error("`{0}` is a word of selectors and cannot be a name")]
    Reserved(String),
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME {
        return Err(NameError::TooLong(text.to_owned()));
    }
    let bad = text.chars().enumerate().find(|&(i, c)| {
        let inner = c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !inner || (i == 0 && !c.is_ascii_alphanumeric())
    });
    match bad {
        Some((_, found)) => Err(NameError::Character { name: text.to_owned(), found }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, reserved: [$($word:literal),*]) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks and keeps a name.
            ///
            /// # Errors
            /// [`NameError`] when the text is empty, too long, reserved or has a character that is not allowed.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                if [$($word),*].contains(&text) as bool {
                    return Err(NameError::Reserved(text.to_owned()));
                }
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

name!(
    /// The name of a stack.
    StackName, reserved: [""]
);
name!(
    /// The name of an environment: the root key of every port, path, socket and label that it has.
    EnvironmentName, reserved: [""]
);
name!(
    /// The name of a service or job. `all` is a selector and cannot be one.
    ServiceName, reserved: ["all"]
);
name!(
    /// The name of a port of a service.
    PortName, reserved: [""]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(ServiceName::new("memory-python.v2_x").is_ok());
        assert_eq!(ServiceName::new(""), Err(NameError::Empty));
        assert_eq!(ServiceName::new("all"), Err(NameError::Reserved("all".into())));
        assert!(matches!(ServiceName::new("a b"), Err(NameError::Character { found: ' ', .. })));
        assert!(matches!(ServiceName::new("-a"), Err(NameError::Character { found: '-', .. })));
        assert!(matches!(ServiceName::new(&"x".repeat(64)), Err(NameError::TooLong(_))));
        assert!(StackName::new("all").is_ok());
    }

    #[test]
    fn a_wrong_name_does_not_deserialize() {
        assert!(serde_json::from_str::<ServiceName>("\"a/b\"").is_err());
        assert_eq!(serde_json::from_str::<ServiceName>("\"api\"").unwrap(), "api");
    }
}
