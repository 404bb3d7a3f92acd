//! `.env` files: `NAME=value` lines with quotes, `export` and comments.

/// The pairs of a file, and the lines (from 1) that are none.
pub(crate) fn parse(text: &str) -> (Vec<(String, String)>, Vec<usize>) {
    let mut pairs = Vec::new();
    let mut wrong = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((name, rest)) = line.split_once('=') else {
            wrong.push(number + 1);
            continue;
        };
        let name = name.trim();
        if !is_name(name) {
            wrong.push(number + 1);
            continue;
        }
        let rest = rest.trim_start();
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let mut body = rest[1..].to_owned();
                // A quoted value may go over several lines.
                while closing(&body, quote).is_none() {
                    match lines.next() {
                        Some((_, next)) => {
                            body.push('\n');
                            body.push_str(next);
                        }
                        None => break,
                    }
                }
                match closing(&body, quote) {
                    Some(end) => unescape(&body[..end], quote),
                    None => {
                        wrong.push(number + 1);
                        continue;
                    }
                }
            }
            Some(_) | None => uncommented(rest).to_owned(),
        };
        pairs.push((name.to_owned(), value));
    }
    (pairs, wrong)
}

/// A name that a shell can set; dots and dashes are accepted because frameworks use them.
fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn uncommented(rest: &str) -> &str {
    let end = rest.find(" #").or_else(|| rest.find("\t#")).unwrap_or(rest.len());
    if rest.starts_with('#') { "" } else { rest[..end].trim_end() }
}

fn closing(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(body: &str, quote: char) -> String {
    if quote == '\'' {
        return body.to_owned();
    }
    let mut out = String::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(other @ ('"' | '\\' | '$')) => out.push(other),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn quotes_comments_and_export() {
        let text = "# c\nA=1 # one\nexport B='x # y'\nC=\"a\\nb\\\"\"\nD=\nE=a#b\nnot a line\n2X=1\nF=\"two\nlines\"\n";
        let (pairs, wrong) = parse(text);
        let found: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let want = [("A", "1"), ("B", "x # y"), ("C", "a\nb\""), ("D", ""), ("E", "a#b"), ("F", "two\nlines")];
        assert_eq!(found, want);
        assert_eq!(wrong, [7, 8]);
    }
}
