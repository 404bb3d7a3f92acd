//! Variables in a text: `$V`, `${V}`, `${V:-default}`, `${V-default}`, `${V:?message}`, `${V?message}`, `${V:+other}`,
//! `${V+other}`, `$$`; what stands behind an operator may hold variables itself (compose-spec, 12-interpolation).
//!
//! Three things that Compose does and that one would not guess:
//! - a `$` before anything else stays as it is, only `${` without a proper end is refused;
//! - an operand is worked out even when it is not used, so that a `${V:?}` in it can fail;
//! - an expression with an operator must end in its line.

/// Why a text cannot be worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// A `${` that is no expression.
    Invalid,
    /// A required variable that is not set, with the message from the file.
    Required { variable: String, message: String },
}

/// What variables are, and which of them were asked for and are not.
pub(crate) trait Variables {
    /// The value of a variable, empty is a value too.
    fn get(&self, name: &str) -> Option<String>;
    /// A variable is not set and was taken for empty.
    fn missing(&mut self, name: &str);
}

/// What stands behind a variable's name.
#[derive(Clone, Copy)]
struct Operator {
    kind: Kind,
    /// With a colon: an empty value counts as none.
    strict: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Default,
    Required,
    Instead,
}

/// The text with its variables replaced. After an error the rest is still looked at, for what is missing there.
pub(crate) fn substitute(text: &str, variables: &mut dyn Variables) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    let mut error = None;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let used = if after.starts_with('$') {
            out.push('$');
            1
        } else if let Some(inner) = after.strip_prefix('{') {
            match braced(inner, variables) {
                Ok((value, used)) => {
                    out.push_str(&value);
                    used + 1
                }
                Err(found) => {
                    error.get_or_insert(found);
                    match_end(inner).map_or(1, |end| end + 2)
                }
            }
        } else {
            let length = name_length(after);
            match length {
                0 => out.push('$'),
                _ => out.push_str(&value_of(&after[..length], variables)),
            }
            length
        };
        rest = &after[used..];
    }
    out.push_str(rest);
    error.map_or(Ok(out), Err)
}

/// The value of what follows `${`, and how many bytes that took with its `}`.
fn braced(inner: &str, variables: &mut dyn Variables) -> Result<(String, usize), TemplateError> {
    let length = name_length(inner);
    let end = match_end(inner).ok_or(TemplateError::Invalid)?;
    let name = &inner[..length];
    let Some((operator, width)) = operator(&inner[length..]) else {
        return Ok((value_of(name, variables), end + 1));
    };
    // An operand reaches to the brace that closes it, if braces are balanced, else to the last one in the line.
    let end = closing(inner, end).unwrap_or(end);
    let operand = substitute(&inner[length + width..end], variables)?;
    let value = variables.get(name);
    let counts = value.as_ref().is_some_and(|value| !(operator.strict && value.is_empty()));
    let result = match operator.kind {
        Kind::Default if counts => value.unwrap_or_default(),
        Kind::Default => operand,
        Kind::Required if counts => value.unwrap_or_default(),
        Kind::Required => return Err(TemplateError::Required { variable: name.to_owned(), message: operand }),
        Kind::Instead if counts => operand,
        Kind::Instead => value.unwrap_or_default(),
    };
    Ok((result, end + 1))
}

/// Where the expression after `${` ends at most: at the brace after a bare name, or with an operator at the last one of
/// the line. None when it is no expression.
fn match_end(inner: &str) -> Option<usize> {
    let length = name_length(inner);
    if length == 0 {
        return None;
    }
    let behind = &inner[length..];
    let line_end = inner.find('\n').unwrap_or(inner.len());
    match operator(behind) {
        Some((_, width)) => inner[..line_end].rfind('}').filter(|end| *end >= length + width),
        None => behind.starts_with('}').then_some(length),
    }
}

/// The brace that closes the expression, counted as Compose counts: what follows an opening brace is not looked at.
fn closing(inner: &str, last: usize) -> Option<usize> {
    let mut open = 1usize;
    let mut bytes = inner.bytes().enumerate().take(last + 1).skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'}' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                bytes.next();
            }
            _ => {}
        }
    }
    None
}

fn operator(text: &str) -> Option<(Operator, usize)> {
    let strict = text.starts_with(':');
    let kind = match text.as_bytes().get(usize::from(strict))? {
        b'-' => Kind::Default,
        b'?' => Kind::Required,
        b'+' => Kind::Instead,
        _ => return None,
    };
    Some((Operator { kind, strict }, 1 + usize::from(strict)))
}

fn value_of(name: &str, variables: &mut dyn Variables) -> String {
    variables.get(name).unwrap_or_else(|| {
        variables.missing(name);
        String::new()
    })
}

/// Bytes of the variable name that a text begins with.
fn name_length(text: &str) -> usize {
    let head = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if text.starts_with(|first: char| first.is_ascii_digit()) { 0 } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<String>);

    impl Variables for Fixed {
        fn get(&self, name: &str) -> Option<String> {
            match name {
                "FOO" => Some("foo".into()),
                "EMPTY" => Some(String::new()),
                "DOLLAR" => Some("$FOO".into()),
                _ => None,
            }
        }

        fn missing(&mut self, name: &str) {
            self.0.push(name.to_owned());
        }
    }

    fn ok(text: &str) -> String {
        substitute(text, &mut Fixed(Vec::new())).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn every_operator_tells_unset_from_empty() {
        for (text, wanted) in [
            ("$FOO ${FOO}", "foo foo"),
            ("${NO:-d} ${EMPTY:-d} ${FOO:-d}", "d d foo"),
            ("${NO-d} ${EMPTY-d} ${FOO-d}", "d  foo"),
            ("${NO:+d} ${EMPTY:+d} ${FOO:+d}", "  d"),
            ("${NO+d} ${EMPTY+d} ${FOO+d}", " d d"),
            ("${FOO:?m} ${FOO?m} ${EMPTY?m}", "foo foo "),
        ] {
            assert_eq!(ok(text), wanted, "{text}");
        }
    }

    #[test]
    fn operands_hold_expressions_and_braces() {
        for (text, wanted) in [
            ("${NO:-${FOO}}", "foo"),
            ("${NO:-${NONE:-a}b}c", "abc"),
            ("${NO:-{}}", "{}"),
            ("${NO:-a}}", "a}"),
            ("${NO:-a} ${FOO:-b} $FOO", "a foo foo"),
            ("${NO:-}", ""),
            ("${NO-a:-b}", "a:-b"),
            ("${NO:-$$x}", "$x"),
            ("${DOLLAR}", "$FOO"),
        ] {
            assert_eq!(ok(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_lone_dollar_stays() {
        for text in ["a $ b", "$", "$1", "$-", "cost: 5$"] {
            assert_eq!(ok(text), text);
        }
        assert_eq!(ok("$$FOO $${FOO} $$$FOO"), "$FOO ${FOO} $foo");
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["${", "${}", "${FOO", "${1}", "${FOO bar}", "${FOO!x}", "${FOO:-a\nb}", "${ FOO}"] {
            assert_eq!(substitute(text, &mut Fixed(Vec::new())), Err(TemplateError::Invalid), "{text}");
        }
        let required = TemplateError::Required { variable: "NO".into(), message: "say foo".into() };
        assert_eq!(substitute("${FOO:-${NO:?say ${FOO}}}", &mut Fixed(Vec::new())), Err(required));
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut variables = Fixed(Vec::new());
        assert_eq!(substitute("$NO ${NONE} ${NIX:-x}", &mut variables), Ok("  x".into()));
        assert_eq!(variables.0, ["NO", "NONE"]);
    }
}
