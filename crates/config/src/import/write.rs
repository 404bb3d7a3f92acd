//! A document as YAML, as a person would write it.

use serde_json::Value;
use std::fmt::Write;

/// Words that YAML readers take for something else than text.
const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// Writes a document; what is read back is the same.
#[must_use]
pub fn to_yaml(document: &Value) -> String {
    let mut out = String::new();
    block(document, 0, &mut out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.trim_start_matches([' ', '\n']).to_owned()
}

/// Writes a value after its key or dash: on the same line if it is short, else below.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                // a String cannot fail to be written to
                let _infallible = write!(out, "\n{pad}{}:", scalar(key));
                block(value, indent + 1, out);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                let mut inner = String::new();
                block(item, indent + 1, &mut inner);
                let _infallible = write!(out, "\n{pad}- {}", inner.trim_start());
            }
        }
        Value::String(text) if literal(text) => {
            out.push_str(if text.ends_with('\n') { " |" } else { " |-" });
            for line in text.lines() {
                out.push('\n');
                if !line.is_empty() {
                    out.push_str(&pad);
                    out.push_str(line);
                }
            }
        }
        Value::String(text) => {
            out.push(' ');
            out.push_str(&scalar(text));
        }
        Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.push(' ');
            flow(value, out);
        }
    }
}

fn flow(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                flow(item, out);
            }
            out.push(']');
        }
        Value::String(text) if text.contains(['{', '}', '$', '=']) => out.push_str(&quoted(text)),
        Value::String(text) => out.push_str(&scalar(text)),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

/// Whether a text can stand as a literal block: several lines, ended by at most one newline.
fn literal(text: &str) -> bool {
    let inner = text.strip_suffix('\n').unwrap_or(text);
    let bad_line = |line: &str| line.ends_with(' ') || line.trim().is_empty() && !line.is_empty();
    inner.contains('\n')
        && !inner.ends_with('\n')
        && !inner.starts_with([' ', '\n', '\t'])
        && !inner.split('\n').any(bad_line)
        && inner.chars().all(|c| c == '\n' || c == '\t' || !c.is_control() && c != '\u{feff}')
        && !inner.contains(['\u{85}', '\u{2028}', '\u{2029}'])
}

fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " _./@+=-${}".contains(c);
    let starts = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let duration = !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
        && matches!(&text[number.len()..], "ms" | "s" | "m" | "h");
    let safe =
        text.chars().all(plain) && (text.starts_with(starts) || text.starts_with("./") || text.starts_with("../"));
    let word = WORDS.contains(&text.to_ascii_lowercase().as_str());
    if duration || safe && !word && !text.ends_with(' ') { text.to_owned() } else { quoted(text) }
}

/// JSON's strings are YAML's double-quoted ones.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;
    use crate::tree::{Kind, Node, Span};
    use proptest::prelude::*;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn reads_well() {
        let document = json!({
            "name": "a",
            "services": { "web": {
                "process": { "shell": "echo a\nexit 1\n", "interpreter": ["bash", "-c"] },
                "env": { "A": "${port.port}", "B": "", "C": "no", "D": "5", "E": "a: b" },
                "watch": [{ "paths": ["x/**"], "ignore": [], "do": "restart" }],
                "stop": { "grace": "5s", "to": "main" },
                "empty": {},
                "job": true,
                "replicas": 2,
            } },
        });
        let wanted = r#"name: a
services:
  web:
    process:
      shell: |
        echo a
        exit 1
      interpreter: [bash, "-c"]
    env:
      A: "${port.port}"
      B: ""
      C: "no"
      D: "5"
      E: "a: b"
    watch:
      - paths: ["x/**"]
        ignore: []
        do: restart
    stop:
      grace: 5s
      to: main
    empty: {}
    job: true
    replicas: 2
"#;
        assert_eq!(to_yaml(&document), wanted);
    }

    fn same(node: &Node, value: &Value) -> bool {
        match (&node.kind, value) {
            (Kind::Map(map), Value::Object(object)) => {
                map.len() == object.len()
                    && map.iter().zip(object).all(|((a, entry), (b, value))| a == b && same(&entry.value, value))
            }
            (Kind::List(items), Value::Array(values)) => {
                items.len() == values.len() && items.iter().zip(values).all(|(node, value)| same(node, value))
            }
            (Kind::Scalar(scalar), Value::String(wanted)) => {
                scalar.text == *wanted && !(scalar.plain && WORDS.contains(&scalar.text.to_ascii_lowercase().as_str()))
            }
            (Kind::Scalar(scalar), other) if scalar.plain => {
                serde_json::from_str::<Value>(&scalar.text).is_ok_and(|value| value == *other)
            }
            (Kind::Scalar(_) | Kind::List(_) | Kind::Map(_), _) => false,
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-z:#' \\n$\\-{}\\[\\]\"\\\\|>*&!%@`,?]{0,12}", "\\PC{0,6}", Just("no".to_owned())];
        let leaf = prop_oneof![
            text.prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            (-9..99i64).prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = "[a-z:# -]{1,5}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map(key, inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn is_read_back_as_it_was(value in values()) {
            let document = json!({ "document": value });
            let text = to_yaml(&document);
            let read = parse(Path::new("x"), &text);
            prop_assert!(
                read.as_ref().is_ok_and(|map| same(&Node::new(Span::default(), Kind::Map(map.clone())), &document)),
                "{text}\n{read:?}"
            );
        }
    }
}
