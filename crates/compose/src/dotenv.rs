//! Environment files: `.env`, `--env-file`, `env_file` and `label_file`, in Compose's dialect.
//!
//! A statement is `NAME=value`, `NAME: value`, or `NAME` alone, which takes the value that the name has outside; `export`
//! may stand before it. A value in single quotes is literal; in double quotes it has escapes and variables and may span
//! lines; without quotes it has variables and ends at ` #` or the line's end. Variables see the outside first, then what
//! the file gave so far.

use std::collections::BTreeMap;

use crate::template::{TemplateError, Variables, substitute};

/// Why a file cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvError {
    /// Line, from 1.
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// What a name means outside of the file.
pub(crate) type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// Values by name.
pub(crate) type Values = BTreeMap<String, String>;

/// Adds what a file says to `values`, which its variables see as well. Names outside that are not set are told in `missing`.
pub(crate) fn parse(
    text: &str,
    values: &mut Values,
    lookup: Lookup<'_>,
    missing: &mut Vec<String>,
) -> Result<(), EnvError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut parser = Parser { rest: text, line: 1, values, lookup, missing };
    while parser.statement()? {}
    Ok(())
}

/// `format: raw`: every line is `NAME=value`, and the value is what stands there.
pub(crate) fn parse_raw(text: &str, values: &mut Values, lookup: Lookup<'_>) -> Result<(), EnvError> {
    for (number, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        let at = |message: String| EnvError { line: u32::try_from(number + 1).unwrap_or(u32::MAX), message };
        if name.is_empty() {
            return Err(at("a line without a name".to_owned()));
        }
        if name.contains([' ', '\t']) {
            return Err(at(format!("the name `{name}` has a space in it")));
        }
        if let Some(value) = value.map(str::to_owned).or_else(|| lookup(name)) {
            values.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

struct Parser<'a> {
    rest: &'a str,
    line: u32,
    values: &'a mut Values,
    lookup: Lookup<'a>,
    missing: &'a mut Vec<String>,
}

impl Parser<'_> {
    /// One statement; false at the end.
    fn statement(&mut self) -> Result<bool, EnvError> {
        if !self.seek_statement() {
            return Ok(false);
        }
        let (name, has_value) = self.name()?;
        if name.contains(' ') {
            return Err(self.error(format!("the name `{name}` has a space in it")));
        }
        if has_value {
            let value = self.value()?;
            self.values.insert(name, value);
        } else if let Some(value) = (self.lookup)(&name) {
            self.values.insert(name, value);
        }
        Ok(true)
    }

    fn error(&self, message: impl Into<String>) -> EnvError {
        EnvError { line: self.line, message: message.into() }
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        let lines = skipped.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
    }

    /// Over spaces and comments.
    fn seek_statement(&mut self) -> bool {
        loop {
            self.skip(self.rest.len() - self.rest.trim_start().len());
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    /// The name, and whether something that separates it from a value follows.
    fn name(&mut self) -> Result<(String, bool), EnvError> {
        if let Some(exported) = self.rest.strip_prefix("export").filter(|rest| rest.starts_with(is_ascii_space)) {
            self.skip(self.rest.len() - exported.trim_start_matches(is_space).len());
        }
        let ends = |c: char| matches!(c, '=' | ':' | '\n');
        let allowed =
            |c: char| is_space(c) || matches!(c, '_' | '.' | '-' | '[' | ']') || c.is_alphabetic() || c.is_numeric();
        match self.rest.find(|c: char| ends(c) || !allowed(c)) {
            Some(at) if self.rest[at..].starts_with(ends) => {
                let name = self.rest[..at].trim_end().to_owned();
                let has_value = !self.rest[at..].starts_with('\n');
                self.skip(at + 1);
                self.skip(self.rest.len() - self.rest.trim_start_matches(is_space).len());
                Ok((name, has_value))
            }
            Some(at) => {
                let found = self.rest[at..].chars().next().unwrap_or_default();
                Err(self.error(format!("unexpected `{found}` in the name of a variable")))
            }
            // Compose takes a name at the very end, without a line's end, for the value of an empty name.
            None => Ok((String::new(), true)),
        }
    }

    fn value(&mut self) -> Result<String, EnvError> {
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            Some(_) | None => {
                let (line, _) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                let value = line.split_once(" #").map_or(line, |(value, _)| value).trim_end().to_owned();
                let value = self.expand(&value)?;
                self.skip((line.len() + 1).min(self.rest.len()));
                Ok(value)
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, EnvError> {
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == quote && !escaped {
                let value = if quote == '"' { self.expand(&unescape(&value))? } else { value };
                self.skip(at + 1);
                return Ok(value);
            }
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && c != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(c);
        }
        Err(self.error("a quote that is never closed"))
    }

    fn expand(&mut self, text: &str) -> Result<String, EnvError> {
        let mut variables = Known { values: self.values, lookup: self.lookup, missing: self.missing };
        substitute(text, &mut variables).map_err(|error| match error {
            TemplateError::Invalid => self.error("a `${` that is no variable; write `$$` for a dollar"),
            TemplateError::Required { variable, message } => {
                self.error(format!("the variable `{variable}` is required and has no value: {message}"))
            }
        })
    }
}

struct Known<'a> {
    values: &'a Values,
    lookup: Lookup<'a>,
    missing: &'a mut Vec<String>,
}

impl Variables for Known<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).or_else(|| self.values.get(name).cloned())
    }

    fn missing(&mut self, name: &str) {
        self.missing.push(name.to_owned());
    }
}

/// Spaces within a line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

fn is_ascii_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ')
}

/// The escapes of double quotes; `\$` becomes `$$`, which a later step takes for a dollar. What is no escape stays.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (value, used) = escape(after);
        match value {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..at + 1 + used]),
        }
        rest = &after[used..];
    }
    out.push_str(rest);
    out
}

/// What stands behind a backslash means, and how many bytes of it belong to the escape.
fn escape(after: &str) -> (Option<String>, usize) {
    let simple = |c: char| (Some(c.to_string()), 1);
    match after.bytes().next() {
        Some(b'$') => (Some("$$".to_owned()), 1),
        Some(b'a') => simple('\u{7}'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(b'n') => simple('\n'),
        Some(b'r') => simple('\r'),
        Some(b't') => simple('\t'),
        Some(b'v') => simple('\u{b}'),
        Some(byte @ (b'\\' | b'"')) => simple(char::from(byte)),
        Some(b'0') => {
            let digits = after[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
            let code = u32::from_str_radix(&after[1..=digits], 8).ok().filter(|code| digits == 3 && *code < 256);
            (code.and_then(char::from_u32).map(|c| c.to_string()), 1 + digits)
        }
        Some(b'c') => (None, 1),
        Some(_) | None => (None, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(name: &str) -> Option<String> {
        (name == "HOST").then(|| "host".to_owned())
    }

    fn read(text: &str) -> Result<Vec<(String, String)>, EnvError> {
        let mut values = Values::new();
        parse(text, &mut values, &outside, &mut Vec::new())?;
        Ok(values.into_iter().collect())
    }

    fn one(text: &str) -> String {
        let mut all = read(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0).1
    }

    #[test]
    fn quotes_decide_what_a_value_means() {
        for (text, wanted) in [
            ("A=b c # d", "b c"),
            ("A=b#c", "b#c"),
            ("A='b $HOST # c'", "b $HOST # c"),
            ("A=\"b\\n$HOST\"", "b\nhost"),
            ("A=\"b\nc\"", "b\nc"),
            ("A='it\\'s'", "it's"),
            ("A='a\\nb'", "a\\nb"),
            ("A=\"\\$HOST $$HOST\"", "$HOST $HOST"),
            ("A=${HOST:-x}${NO:-y}", "hosty"),
            ("A: b", "b"),
            ("export A=b", "b"),
            ("A = b", "b"),
            ("A=", ""),
            ("\u{feff}A=b\r\n", "b"),
            ("A=\"\\0101\\q\"", "A\\q"),
        ] {
            assert_eq!(one(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_name_alone_takes_the_outer_value() {
        assert_eq!(read("HOST\nNO\n"), Ok(vec![("HOST".into(), "host".into())]));
    }

    #[test]
    fn what_cannot_be_understood_has_a_line() {
        assert_eq!(read("A=1\nB='x\n").map_err(|error| error.line), Err(2));
        assert_eq!(read("A=1\nB!=x\n").map_err(|error| error.line), Err(2));
        assert!(read("A B=x").is_err());
        assert!(read("A=${").is_err());
    }

    #[test]
    fn a_raw_value_is_what_stands_there() {
        let mut values = Values::new();
        parse_raw("A='b' # $HOST \r\nHOST\n# c\n  B=\"x\"\nNO\n", &mut values, &outside).unwrap();
        let wanted = [("A", "'b' # $HOST "), ("B", "\"x\""), ("HOST", "host")];
        let wanted: Vec<_> = wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(values.into_iter().collect::<Vec<_>>(), wanted);
        assert!(parse_raw("A B=c", &mut Values::new(), &outside).is_err());
        assert!(parse_raw("=c", &mut Values::new(), &outside).is_err());
    }
}
