//! YAML of another tool: the tree is that of stack files, what a scalar means is decided by the field it stands in.
//!
//! Fields of several files become one tree, so its places are only of use while a file is read.

use super::ImportProblem;
use crate::problem::Report;
use crate::tree::{self, Entry, Kind, Map, Node, Span};
use std::path::Path;

/// Reads the first document of a text; an empty one is an empty map.
pub(super) fn parse(path: &Path, text: &str) -> Result<Map, ImportProblem> {
    let bad = |line, message: &str| ImportProblem::Syntax { path: path.to_owned(), line, message: message.to_owned() };
    let mut report = Report::default();
    let root = tree::parse_foreign(text, &mut report);
    if let Some((line, message)) = report.first() {
        return Err(bad(line, message));
    }
    let root = root.expect("invariant: without a problem there is a tree");
    let line = root.span.line as usize;
    match root.kind {
        Kind::Map(map) => Ok(map),
        Kind::Scalar(_) if root.is_null() => Ok(Map::new()),
        Kind::Scalar(_) | Kind::List(_) => Err(bad(line, "the file must be a map")),
    }
}

/// Text that counts as written, in quotes.
pub(super) fn text(text: &str) -> Node {
    Node::scalar(Span::default(), text, false)
}

/// The value of a key that nobody wrote.
pub(super) fn entry(value: Node) -> Entry {
    Entry { key_span: value.span, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_text_order_anchors_and_merge_keys() {
        let map = parse(Path::new("x"), "b: 1.10\na: &l {k: 'v', n: ~}\nc:\n  <<: *l\n  k: w\n  '<<': y\n").unwrap();
        assert_eq!(map.keys().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(map["b"].value.as_text(), Some("1.10"));
        let c = map["c"].value.as_map().unwrap();
        assert_eq!(c["k"].value.as_text(), Some("w"));
        assert_eq!(c["<<"].value.as_text(), Some("y"));
        assert!(c["n"].value.is_null());
    }

    #[test]
    fn nothing_and_what_follows_the_first_document_are_no_problem() {
        for text in ["", "# nothing", "---\n", "~"] {
            assert!(parse(Path::new("x"), text).unwrap().is_empty(), "{text}");
        }
        assert_eq!(parse(Path::new("x"), "a: 1\n---\nb: [").unwrap().len(), 1);
    }

    #[test]
    fn what_has_a_tag_of_another_tool_is_a_text() {
        let map = parse(Path::new("x"), "a: !unset 1\nb: !mine {c: 2}\nd: !!int 3\n").unwrap();
        let plain = |key: &str| map[key].value.as_scalar().map(|scalar| scalar.plain);
        assert_eq!([plain("a"), plain("b"), plain("d")], [Some(false), None, Some(true)]);
        assert!(map.values().all(|entry| entry.value.tag.is_none()));
    }

    #[test]
    fn refuses_what_is_broken() {
        for (text, line) in [("a: [", 2), ("a: 1\na: 2\nb: [", 2), ("\n- 1", 2), ("[a]: b\n: [", 1), ("a: 1\n<<: b", 2)]
        {
            let problem = parse(Path::new("x"), text).unwrap_err();
            assert!(matches!(problem, ImportProblem::Syntax { line: found, .. } if found == line), "{text}: {problem}");
        }
        let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
            let j = i - 1;
            format!("{text}a{i}: &a{i} [*a{j}, *a{j}]\n")
        });
        assert!(parse(Path::new("x"), &bomb).is_err());
        assert!(parse(Path::new("x"), &format!("a: {}", "[".repeat(100_000))).is_err());
    }
}
