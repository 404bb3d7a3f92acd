//! The graph in three forms.

use crate::term::Terminal;
use muster_engine::documents::{GraphDocument, GraphEdge, GraphNode};
use std::collections::BTreeSet;

/// A tree from those that nobody needs down to what they need; what stands there already is named only.
pub(crate) fn ascii(document: &GraphDocument, terminal: &Terminal) -> String {
    let needed: BTreeSet<&str> = document.edges.iter().map(|edge| edge.to.as_str()).collect();
    let mut drawing = Drawing { document, terminal, shown: BTreeSet::new(), text: String::new() };
    for node in document.nodes.iter().filter(|node| !needed.contains(node.name.as_str())) {
        drawing.line(node, "", "");
        drawing.below(&node.name, "");
    }
    drawing.text
}

struct Drawing<'a> {
    document: &'a GraphDocument,
    terminal: &'a Terminal,
    shown: BTreeSet<&'a str>,
    text: String,
}

impl<'a> Drawing<'a> {
    fn line(&mut self, node: &GraphNode, branch: &str, need: &str) {
        let state = self.terminal.state(&node.state);
        let kind = if node.kind == "job" { " (job)" } else { "" };
        self.text.push_str(&format!("{branch}{}{kind} {state}{need}\n", node.name));
    }

    fn below(&mut self, name: &'a str, indent: &str) {
        if !self.shown.insert(name) {
            return;
        }
        let edges: Vec<&'a GraphEdge> = self.document.edges.iter().filter(|edge| edge.from == name).collect();
        let (tee, corner, bar) =
            if self.terminal.unicode { ("├─ ", "└─ ", "│  ") } else { ("|- ", "`- ", "|  ") };
        for (i, edge) in edges.iter().enumerate() {
            let last = i + 1 == edges.len();
            let Some(node) = self.document.nodes.iter().find(|node| node.name == edge.to) else { continue };
            let met = if edge.met { "" } else { ", not yet" };
            let again = self.shown.contains(edge.to.as_str())
                && self.document.edges.iter().any(|further| further.from == edge.to);
            let more = if again { " (above)" } else { "" };
            let branch = format!("{indent}{}", if last { corner } else { tee });
            self.line(node, &branch, &format!(" [{}{met}]{more}", edge.until));
            self.below(&edge.to, &format!("{indent}{}", if last { "   " } else { bar }));
        }
    }
}

/// For Markdown.
pub(crate) fn mermaid(document: &GraphDocument) -> String {
    let mut text = String::from("flowchart LR\n");
    let number = |name: &str| document.nodes.iter().position(|node| node.name == name).unwrap_or_default();
    for (i, node) in document.nodes.iter().enumerate() {
        let (open, close) = if node.kind == "job" { ("([", "])") } else { ("[", "]") };
        text.push_str(&format!("  n{i}{open}\"{}<br/>{}\"{close}\n", node.name, node.state));
    }
    for edge in &document.edges {
        let line = if edge.met { "-->" } else { "-.->" };
        text.push_str(&format!("  n{} {line}|{}| n{}\n", number(&edge.from), edge.until, number(&edge.to)));
    }
    text
}

/// For Graphviz.
pub(crate) fn dot(document: &GraphDocument) -> String {
    let mut text = String::from("digraph stack {\n  rankdir=LR;\n");
    for node in &document.nodes {
        let shape = if node.kind == "job" { "ellipse" } else { "box" };
        text.push_str(&format!("  \"{}\" [shape={shape}, label=\"{}\\n{}\"];\n", node.name, node.name, node.state));
    }
    for edge in &document.edges {
        let style = if edge.met { "solid" } else { "dashed" };
        let (from, to, until) = (&edge.from, &edge.to, &edge.until);
        text.push_str(&format!("  \"{from}\" -> \"{to}\" [label=\"{until}\", style={style}];\n"));
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> GraphDocument {
        let node = |name: &str, kind: &str, state: &str| GraphNode {
            name: name.into(),
            group: None,
            kind: kind.into(),
            state: state.into(),
        };
        let edge = |from: &str, to: &str, until: &str, met| GraphEdge {
            from: from.into(),
            to: to.into(),
            until: until.into(),
            met,
        };
        GraphDocument {
            schema: String::new(),
            nodes: vec![
                node("db", "service", "ready"),
                node("migrate", "job", "starting"),
                node("api", "service", "waiting"),
            ],
            edges: vec![
                edge("migrate", "db", "ready", true),
                edge("api", "migrate", "done", false),
                edge("api", "db", "ready", true),
            ],
        }
    }

    #[test]
    fn as_a_tree() {
        insta::assert_snapshot!(ascii(&document(), &Terminal::default()), @r"
        api waiting
        |- migrate (job) starting [done, not yet]
        |  `- db ready [ready]
        `- db ready [ready]
        ");
    }

    #[test]
    fn as_mermaid() {
        insta::assert_snapshot!(mermaid(&document()), @r#"
        flowchart LR
          n0["db<br/>ready"]
          n1(["migrate<br/>starting"])
          n2["api<br/>waiting"]
          n1 -->|ready| n0
          n2 -.->|done| n1
          n2 -->|ready| n0
        "#);
    }

    #[test]
    fn as_dot() {
        assert!(dot(&document()).contains("\"api\" -> \"migrate\" [label=\"done\", style=dashed];"));
    }
}
