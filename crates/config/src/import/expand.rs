//! `${...}` as process-compose expands it in a whole file before it is parsed.
//!
//! Only the form with braces is expanded; `$NAME` stays for the shell. `$$` is a `$`. A variable that is not set is
//! empty. `:-`, `:=`, `:?`, `:+`, `=` all mean "this when empty", as there.

use regex::Regex;
use std::collections::BTreeSet;

/// Values of variables; `None` when not set.
pub(super) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What came of an expansion.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Expanded {
    /// The text.
    pub(super) text: String,
    /// Names that were filled in.
    pub(super) names: BTreeSet<String>,
}

/// Byte offset of a `${` that cannot be understood.
#[derive(Debug, PartialEq)]
pub(super) struct BadSubstitution(pub(super) usize);

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    lookup: &'a Lookup<'a>,
    names: BTreeSet<String>,
}

/// Expands a text.
pub(super) fn expand(text: &str, lookup: &Lookup<'_>) -> Result<Expanded, BadSubstitution> {
    let mut scanner = Scanner { text, at: 0, lookup, names: BTreeSet::new() };
    let mut out = String::with_capacity(text.len());
    while let Some(offset) = scanner.rest().find('$') {
        out.push_str(&scanner.rest()[..offset]);
        scanner.at += offset;
        if scanner.eat("$$") {
            out.push('$');
        } else if scanner.rest().starts_with("${") {
            let start = scanner.at;
            out.push_str(&scanner.braces(0).ok_or(BadSubstitution(start))?);
        } else {
            scanner.at += 1;
            out.push('$');
        }
    }
    out.push_str(scanner.rest());
    Ok(Expanded { text: out, names: scanner.names })
}

impl<'a> Scanner<'a> {
    /// Defaults may hold further `${...}`; nobody nests deeper.
    const MAX_DEPTH: usize = 16;

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    fn name(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += end;
        (end > 0).then(|| &rest[..end])
    }

    fn value(&mut self, name: &str) -> String {
        self.names.insert(name.to_owned());
        (self.lookup)(name).unwrap_or_default()
    }

    /// One `${...}`, from its `$` to its `}`.
    fn braces(&mut self, depth: usize) -> Option<String> {
        if depth > Self::MAX_DEPTH || !self.eat("${") {
            return None;
        }
        if self.eat("#") {
            let name = self.name()?;
            let value = self.value(name);
            return self.eat("}").then(|| value.len().to_string());
        }
        let name = self.name()?;
        let value = self.value(name);
        if self.eat("}") {
            return Some(value);
        }
        const OPERATORS: [&str; 17] =
            [":-", ":=", ":?", ":+", "=", ",,", ",", "^^", "^", "//", "/#", "/%", "/", "##", "#", "%%", "%"];
        let operator = OPERATORS.into_iter().find(|operator| self.rest().starts_with(operator));
        match operator {
            Some(operator) => {
                self.at += operator.len();
                let argument = self.argument(depth)?;
                apply(operator, &value, &argument)
            }
            None if self.eat(":") => Some(substring(&value, &self.argument(depth)?)),
            None => None,
        }
    }

    /// What stands up to the closing brace, expanded.
    fn argument(&mut self, depth: usize) -> Option<String> {
        let mut out = String::new();
        loop {
            if self.eat("}") {
                return Some(out);
            }
            if self.eat("$$") {
                out.push('$');
            } else if self.rest().starts_with("${") {
                out.push_str(&self.braces(depth + 1)?);
            } else {
                let next = self.rest().chars().next()?;
                self.at += next.len_utf8();
                out.push(next);
            }
        }
    }
}

fn apply(operator: &str, value: &str, argument: &str) -> Option<String> {
    let (old, new) = argument.split_once('/').unwrap_or((argument, ""));
    Some(match operator {
        ",," => value.to_lowercase(),
        "^^" => value.to_uppercase(),
        "," => first(value, |c| c.to_lowercase().collect()),
        "^" => first(value, |c| c.to_uppercase().collect()),
        "//" => value.replace(old, new),
        "/" => value.replacen(old, new, 1),
        "/#" => value.strip_prefix(old).map_or_else(|| value.to_owned(), |rest| format!("{new}{rest}")),
        "/%" => value.strip_suffix(old).map_or_else(|| value.to_owned(), |rest| format!("{rest}{new}")),
        "#" | "##" => value[matched(value, argument, Edge::Start, operator.len() == 2)?..].to_owned(),
        "%" | "%%" => value[..matched(value, argument, Edge::End, operator.len() == 2)?].to_owned(),
        default if default.starts_with([':', '=']) => (if value.is_empty() { argument } else { value }).to_owned(),
        _unknown => return None,
    })
}

fn first(value: &str, change: impl Fn(char) -> String) -> String {
    let mut chars = value.chars();
    chars.next().map(|c| change(c) + chars.as_str()).unwrap_or_default()
}

fn substring(value: &str, argument: &str) -> String {
    let (from, length) = match argument.split_once(':') {
        Some((from, length)) => (from, Some(length)),
        None => (argument, None),
    };
    let Ok(from) = from.trim().parse::<i64>() else { return value.to_owned() };
    let size = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let start = if from < 0 { (size + from).max(0) } else { from.min(size) };
    let end = match length.map(|text| text.trim().parse::<i64>()) {
        None => size,
        Some(Ok(length)) => (start + length).clamp(start, size),
        Some(Err(_)) => return value.to_owned(),
    };
    let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    value.get(start..end).unwrap_or_default().to_owned()
}

#[derive(Clone, Copy, PartialEq)]
enum Edge {
    Start,
    End,
}

/// Where the value is cut when a glob is taken off at its start or end.
fn matched(value: &str, glob: &str, edge: Edge, longest: bool) -> Option<usize> {
    let pattern: String = glob
        .chars()
        .map(|c| match c {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            other => regex::escape(&other.to_string()),
        })
        .collect();
    let regex = Regex::new(&format!("(?s)^(?:{pattern})$")).ok()?;
    let cuts: Vec<usize> = value.char_indices().map(|(i, _)| i).chain([value.len()]).collect();
    let fits = |cut: &&usize| regex.is_match(if edge == Edge::Start { &value[..**cut] } else { &value[**cut..] });
    let none = if edge == Edge::Start { 0 } else { value.len() };
    let found = if longest == (edge == Edge::Start) { cuts.iter().rfind(fits) } else { cuts.iter().find(fits) };
    Some(found.copied().unwrap_or(none))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, BadSubstitution> {
        let lookup = |name: &str| match name {
            "A" => Some("abcabc".to_owned()),
            "P" => Some("/usr/lib/x.tar.gz".to_owned()),
            _ => None,
        };
        expand(text, &lookup).map(|expanded| expanded.text)
    }

    #[test]
    fn expands_braces_only() {
        for (text, wanted) in [
            ("$A ${A} $$A $${A} ${NO}.", "$A abcabc $A ${A} ."),
            ("${NO:-x${A}} ${A:-y} ${NO:=z} ${NO=z} ${A:+q}", "xabcabc abcabc z z abcabc"),
            ("${#A} ${A^} ${A^^} ${A:1} ${A:1:2} ${A: -2}", "6 Abcabc ABCABC bcabc bc bc"),
            ("${A/b/X} ${A//b/X} ${A/#a/X} ${A/%c/X} ${A//b/}", "aXcabc aXcaXc Xbcabc abcabX acac"),
            ("${P#*/} ${P##*/} ${P%.*} ${P%%.*}", "usr/lib/x.tar.gz x.tar.gz /usr/lib/x.tar /usr/lib/x"),
        ] {
            assert_eq!(run(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["x ${", "x ${A", "x ${-}", "x ${A@Q}"] {
            assert_eq!(run(text), Err(BadSubstitution(2)), "{text}");
        }
    }
}
