//! `.env` files: `KEY=value` lines with quotes, comments, `export` and references to earlier keys.

use indexmap::IndexMap;

/// Variables in the order of the file.
pub(super) type Variables = IndexMap<String, String>;

/// Reads a file's text; lines that are no assignment are left out and returned beside the variables.
pub(super) fn parse(text: &str) -> (Variables, Vec<String>) {
    let mut variables = Variables::new();
    let mut ignored = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let assignment = rest.strip_prefix("export ").unwrap_or(rest);
        let name = line.strip_prefix("export ").unwrap_or(line).split(['=', ':']).next().unwrap_or_default();
        let value =
            assignment[name.len()..].strip_prefix(['=', ':']).map(|value| value.trim_start_matches([' ', '\t']));
        let name = name.trim();
        rest = match value {
            _comment if line.starts_with('#') => after,
            None => {
                ignored.push(line.trim().to_owned());
                after
            }
            Some(value) => {
                let (value, tail) = read_value(value, &variables);
                variables.insert(name.to_owned(), value);
                tail.split_once('\n').map_or("", |(_, after)| after)
            }
        };
        rest = rest.trim_start();
    }
    (variables, ignored)
}

/// The value at the start of a text, which may span lines when it is quoted, and what follows it.
fn read_value<'a>(text: &'a str, variables: &Variables) -> (String, &'a str) {
    if let Some(quote @ ('"' | '\'')) = text.chars().next() {
        let (value, end) = quoted(&text[1..], quote, variables);
        return (value, &text[1 + end..]);
    }
    let line = text.split('\n').next().unwrap_or_default();
    let bare = line.split_once(" #").map_or(line, |(value, _)| value).trim_end();
    let bare = if bare.starts_with('#') { "" } else { bare };
    (references(bare, variables), &text[line.len()..])
}

/// The value after an opening quote and the bytes up to and with the closing one.
fn quoted(text: &str, quote: char, variables: &Variables) -> (String, usize) {
    let mut raw = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let value = if quote == '"' { references(&raw, variables) } else { raw };
            return (value, at + 1);
        }
        if c == '\\' && quote == '"' {
            match chars.next() {
                Some((_, 'n')) => raw.push('\n'),
                Some((_, 'r')) => raw.push('\r'),
                // kept for `references`, which takes the backslash away
                Some((_, '$')) => raw.push_str("\\$"),
                Some((_, other)) => raw.push(other),
                None => raw.push('\\'),
            }
        } else {
            raw.push(c);
        }
    }
    (raw, text.len())
}

/// `$NAME` and `${NAME}` of keys that stand earlier in the same file; others are empty. Names are of capitals, digits
/// and `_`: whatever else follows a `$` stays.
fn references(text: &str, variables: &Variables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        if let Some(before) = rest[..at].strip_suffix('\\') {
            out.push_str(before);
            out.push('$');
            rest = &rest[at + 1..];
            continue;
        }
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after.starts_with('{');
        let name_text = after.strip_prefix('{').unwrap_or(after);
        let end = name_text
            .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
            .unwrap_or(name_text.len());
        if end == 0 {
            out.push('$');
            rest = after;
            continue;
        }
        out.push_str(variables.get(&name_text[..end]).map_or("", String::as_str));
        rest = &name_text[end..];
        if braced {
            rest = rest.strip_prefix('}').unwrap_or(rest);
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_assignments() {
        let text = "# c\nA=1 # one\nexport B = 'x $A'\nC=\"$A\\n${A}b\" # c\nD=\"two\nlines\"\nE=a#b\nF=\nnonsense\nG=\"\\$A\"\nH=$a ${a} $$\n";
        let (variables, ignored) = parse(text);
        let wanted = [
            ("A", "1"),
            ("B", "x $A"),
            ("C", "1\n1b"),
            ("D", "two\nlines"),
            ("E", "a#b"),
            ("F", ""),
            ("G", "$A"),
            ("H", "$a ${a} $$"),
        ];
        let found: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, wanted);
        assert_eq!(ignored, ["nonsense"]);
    }
}
