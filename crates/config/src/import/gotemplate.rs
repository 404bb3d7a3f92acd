//! The part of Go's text templates that people use in process files: `{{ .NAME }}`, literals, comments, trim markers.

use crate::tree::{Kind, Map, Node};

/// How the produced document names a replica's number, counted from 0 as process-compose does.
pub(super) const REPLICA: &str = "${replica0}";

/// Text of the document, in which `$` is escaped, and what could not be rendered.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rendered {
    /// With `$` as `$$`.
    pub(super) text: String,
    /// Actions that stay as they are.
    pub(super) kept: Vec<String>,
    /// Names that have no value, rendered as Go does.
    pub(super) unset: Vec<String>,
}

/// A `{{` without its `}}`.
#[derive(Debug, PartialEq)]
pub(super) struct Unclosed;

/// Text as it must be written in the document to be taken literally.
pub(super) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Renders a text; `vars` of the process come before those of the project.
pub(super) fn render(text: &str, vars: &[&Map]) -> Result<Rendered, Unclosed> {
    let mut out = Rendered::default();
    let mut rest = text;
    let mut trim = false;
    while let Some(at) = rest.find("{{") {
        let action_text = &rest[at + 2..];
        let end = closing(action_text).ok_or(Unclosed)?;
        let action = &action_text[..end];
        let before = trimmed_start(&rest[..at], trim);
        let left = action.starts_with("- ") || action == "-";
        out.text.push_str(&escape(if left { before.trim_end() } else { before }));
        trim = action.len() > 1 && action.ends_with(" -");
        let body = action.strip_prefix("- ").unwrap_or(action);
        let body = if trim { body.strip_suffix(" -").unwrap_or("") } else { body };
        evaluate(body.trim(), action, vars, &mut out);
        rest = &action_text[end + 2..];
    }
    out.text.push_str(&escape(trimmed_start(rest, trim)));
    Ok(out)
}

fn trimmed_start(text: &str, trim: bool) -> &str {
    if trim { text.trim_start() } else { text }
}

/// Offset of the `}}` that closes an action; those inside of a literal do not count.
fn closing(action: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in action.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None if action[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

fn evaluate(body: &str, action: &str, vars: &[&Map], out: &mut Rendered) {
    if body.starts_with("/*") && body.ends_with("*/") {
        return;
    }
    if let Some(text) = literal(body) {
        out.text.push_str(&escape(&text));
        return;
    }
    let path = body.strip_prefix('.').filter(|path| {
        path.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
    });
    match path {
        Some("PC_REPLICA_NUM") => out.text.push_str(REPLICA),
        Some(path) => match vars.iter().find_map(|map| lookup(map, path)) {
            Some(text) => out.text.push_str(&escape(&text)),
            None => {
                out.text.push_str("<no value>");
                out.unset.push(path.to_owned());
            }
        },
        None => {
            out.text.push_str(&escape(&format!("{{{{{action}}}}}")));
            out.kept.push(body.to_owned());
        }
    }
}

fn literal(body: &str) -> Option<String> {
    let inner = |quote: char| body.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    inner('`').map(str::to_owned).or_else(|| inner('"').filter(|text| !text.contains('\\')).map(str::to_owned))
}

fn lookup(map: &Map, path: &str) -> Option<String> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let node = &map.get(name)?.value;
    match rest {
        Some(rest) => lookup(node.as_map()?, rest),
        None => Some(display(node)),
    }
}

/// As Go prints a value.
pub(super) fn display(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(scalar) if node.is_null() && !scalar.text.is_empty() => "<no value>".to_owned(),
        Kind::Scalar(scalar) => scalar.text.clone(),
        Kind::List(items) => format!("[{}]", items.iter().map(display).collect::<Vec<_>>().join(" ")),
        Kind::Map(map) => {
            let mut pairs: Vec<_> = map.iter().map(|(key, entry)| format!("{key}:{}", display(&entry.value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml;
    use std::path::Path;

    #[test]
    fn renders_names_and_keeps_the_rest() {
        let own = yaml::parse(Path::new("x"), "A: 1\nM: {k: v}\nL: [a, b]").unwrap();
        let global = yaml::parse(Path::new("x"), "A: 2\nB: $x").unwrap();
        let run = |text: &str| render(text, &[&own, &global]);
        for (text, wanted) in [
            ("{{ .A }}{{.B}} $y", "1$$x $$y"),
            ("a {{- .M.k -}} b {{/* c */}}{{ `{{` }}{{ .L }}", "avb {{[a b]"),
            ("{{.PC_REPLICA_NUM}}", REPLICA),
        ] {
            assert_eq!(run(text).unwrap().text, wanted, "{text}");
        }
        let rest = run("{{ if .A }}x{{ end }}{{ .NO }}").unwrap();
        assert_eq!(rest.text, "{{ if .A }}x{{ end }}<no value>");
        assert_eq!(rest.kept, ["if .A", "end"]);
        assert_eq!(rest.unset, ["NO"]);
        assert_eq!(run("{{ .A"), Err(Unclosed));
    }
}
