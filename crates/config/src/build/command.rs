//! Commands: a list as it is, a string split as a shell would, a script only where `shell:` says so.

use super::read::Cx;
use crate::problem::Code;
use crate::tree::{Kind, Node, Span};
use muster_spec::{CommandSpec, Part, Step, Template};

/// Where a command runs decides what its relative program is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Here: a relative program starts at the file's folder.
    Here,
    /// In a container or on another host: as written.
    Elsewhere,
}

/// `command:` or `shell:` of a map, or nothing when there is neither.
pub(super) fn of_map(cx: &mut Cx<'_>, node: &Node, place: Place) -> Option<CommandSpec> {
    match (node.get("command"), node.get("shell")) {
        (Some(command), Some(_)) => {
            cx.report.error(Code::Conflict, command.span, "`command` and `shell` exclude each other");
            None
        }
        (Some(command), None) => slot(cx, command, place),
        (None, Some(script)) => shell(cx, script, node.get("interpreter")),
        (None, None) => None,
    }
}

/// A command where one is expected.
pub(super) fn slot(cx: &mut Cx<'_>, node: &Node, place: Place) -> Option<CommandSpec> {
    match &node.kind {
        Kind::Map(_) => {
            let command = of_map(cx, node, place);
            if command.is_none() && node.get("command").is_none() && node.get("shell").is_none() {
                cx.missing(node.span, "a command needs `command` or `shell`");
            }
            command
        }
        Kind::List(list) => {
            let words: Vec<Template> = list.iter().filter_map(|word| cx.template(word)).collect();
            program(cx, words, node.span, place)
        }
        Kind::Scalar(_) => {
            let template = cx.template(node)?;
            let words = split(cx, &template, node.span)?;
            program(cx, words, node.span, place)
        }
    }
}

fn shell(cx: &mut Cx<'_>, script: &Node, interpreter: Option<&Node>) -> Option<CommandSpec> {
    let script = cx.template(script)?;
    let shell = match interpreter {
        Some(list) => list.one_or_many().iter().filter_map(|word| cx.text(word)).collect(),
        None => vec!["sh".to_owned(), "-c".to_owned()],
    };
    Some(CommandSpec::Shell { shell, script })
}

fn program(cx: &mut Cx<'_>, mut words: Vec<Template>, span: Span, place: Place) -> Option<CommandSpec> {
    let Some(first) = words.first_mut() else {
        cx.report.error(Code::EmptyCommand, span, "the command is empty");
        return None;
    };
    if first.as_literal().is_some_and(|text| text.is_empty()) {
        cx.report.error(Code::EmptyCommand, span, "the command's program is empty");
        return None;
    }
    let relative = matches!(first.0.first(), Some(Part::Text(text)) if text.contains('/') && !text.starts_with('/'));
    if place == Place::Here && relative {
        *first = cx.anchored(std::mem::take(first), span);
    }
    Some(CommandSpec::Exec(words))
}

/// References stand in a string as characters that no text has, while it is split.
const FIRST_MARK: u32 = 0xF_0000;

fn split(cx: &mut Cx<'_>, template: &Template, span: Span) -> Option<Vec<Template>> {
    let mut text = String::new();
    let mut marks = Vec::new();
    for part in &template.0 {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Ref(_) => {
                let number = u32::try_from(marks.len()).unwrap_or(0);
                text.push(char::from_u32(FIRST_MARK + number)?);
                marks.push(part.clone());
            }
        }
    }
    if let Some(found) = shell_syntax(&text) {
        let item = cx.report.error(Code::NeedsShell, span, format!("`{found}` means something only to a shell"));
        item.help("commands are executed without a shell; write `shell: \"...\"` for one, or a list of words");
        return None;
    }
    let Some(words) = shlex::split(&text) else {
        let item = cx.report.error(Code::NeedsShell, span, "a quote is not closed");
        item.help("write the command as a list of words");
        return None;
    };
    Some(words.iter().map(|word| unmarked(word, &marks)).collect())
}

fn unmarked(word: &str, marks: &[Part]) -> Template {
    let mut parts = Vec::new();
    let mut text = String::new();
    for c in word.chars() {
        let mark = (c as u32).checked_sub(FIRST_MARK).and_then(|at| marks.get(at as usize));
        match mark {
            Some(part) => {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(part.clone());
            }
            None => text.push(c),
        }
    }
    if !text.is_empty() || parts.is_empty() {
        parts.push(Part::Text(text));
    }
    Template(parts)
}

/// The first thing in a string that only a shell understands.
fn shell_syntax(text: &str) -> Option<String> {
    let assignment = text.split_whitespace().next().and_then(|word| word.split_once('='));
    if let Some((name, _)) = assignment
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Some(format!("{name}=..."));
    }
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                chars.next();
            }
            (_, '$') if text[at..].starts_with("${args}") => {}
            (_, '$') if text[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric() || "_({@*?".contains(c)) => {
                return Some(text[at..].chars().take_while(|c| !c.is_whitespace()).collect());
            }
            (_, '`') => return Some("`".to_owned()),
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '\n') => {
                let double = text[at..].starts_with("&&") || text[at..].starts_with("||");
                let shown = if double { text[at..at + 2].to_owned() } else { c.to_string() };
                return Some(shown.replace('\n', "line break"));
            }
            (None, _) => {}
        }
    }
    None
}

/// Steps before the first start.
pub(super) fn steps(cx: &mut Cx<'_>, node: Option<&Node>, place: Place) -> Vec<Step> {
    let list = node.and_then(Node::as_list).unwrap_or_default();
    let mut out = Vec::new();
    for item in list {
        let command = slot(cx, item, place);
        let creates = item.get("creates").and_then(|path| match place {
            Place::Here => cx.path_template(path),
            Place::Elsewhere => cx.template(path),
        });
        out.extend(command.map(|command| Step { command, creates }));
    }
    out
}
