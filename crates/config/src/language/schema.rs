//! The JSON Schema of the table (draft 2020-12).

use super::{Key, STACK, Shape};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The JSON Schema of a stack file.
#[must_use]
pub fn schema() -> Value {
    let mut defs = Defs::default();
    let body = defs.shape(&STACK);
    let mut root = Map::new();
    root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".into(), json!("Muster stack file"));
    if let Value::Object(body) = body {
        root.extend(body);
    }
    root.insert("$defs".into(), Value::Object(defs.done));
    Value::Object(root)
}

/// Shared shapes become definitions, so that a recursive one ends.
#[derive(Default)]
struct Defs {
    names: HashMap<*const Shape, String>,
    done: Map<String, Value>,
}

impl Defs {
    fn shape(&mut self, shape: &'static Shape) -> Value {
        match shape {
            Shape::Text => json!({"type": ["string", "number", "boolean", "null"]}),
            Shape::Bool => json!({"type": ["boolean", "null"]}),
            Shape::Int => reference_or(&json!({"type": "integer"})),
            Shape::Number => reference_or(&json!({"type": "number"})),
            Shape::Duration => json!({"type": ["string", "null"], "examples": ["200ms", "30s", "5m"]}),
            Shape::Size => json!({"type": ["string", "integer", "null"], "examples": ["512MiB"]}),
            Shape::Words(words) => json!({"enum": words}),
            Shape::List(item) => json!({"type": ["array", "null"], "items": self.item(item)}),
            Shape::Map(value) => json!({"type": ["object", "null"], "additionalProperties": self.shared(value)}),
            Shape::Record(keys) => self.record(&[keys]),
            Shape::Records(tables) => self.record(tables),
            Shape::OneOf(shapes) => json!({"anyOf": shapes.iter().map(|s| self.shape(s)).collect::<Vec<_>>()}),
            Shape::See(shape) => self.shared(shape),
        }
    }

    /// Through a definition where the shape may come back to itself.
    fn item(&mut self, shape: &'static Shape) -> Value {
        match shape {
            Shape::OneOf(_) | Shape::Record(_) | Shape::Records(_) | Shape::See(_) => self.shared(shape),
            Shape::Text
            | Shape::Bool
            | Shape::Int
            | Shape::Number
            | Shape::Duration
            | Shape::Size
            | Shape::Words(_)
            | Shape::List(_)
            | Shape::Map(_) => self.shape(shape),
        }
    }

    fn record(&mut self, tables: &[&'static [Key]]) -> Value {
        let mut properties = Map::new();
        for key in tables.iter().copied().flatten() {
            if properties.contains_key(key.name) {
                continue;
            }
            let mut value = self.shape(&key.shape);
            if let Value::Object(object) = &mut value {
                object.insert("description".into(), json!(key.about));
            }
            properties.insert(key.name.to_owned(), value);
        }
        json!({
            "type": ["object", "null"],
            "properties": properties,
            "patternProperties": {"^x-": {}},
            "additionalProperties": false,
        })
    }

    fn shared(&mut self, shape: &'static Shape) -> Value {
        let address: *const Shape = shape;
        if let Some(name) = self.names.get(&address) {
            return json!({"$ref": format!("#/$defs/{name}")});
        }
        let name = format!("shape{}", self.names.len() + 1);
        self.names.insert(address, name.clone());
        let value = self.shape(shape);
        self.done.insert(name.clone(), value);
        json!({"$ref": format!("#/$defs/{name}")})
    }
}

/// A number, or a text with `${...}` that becomes one.
fn reference_or(number: &Value) -> Value {
    json!({"anyOf": [number, {"type": "string", "pattern": "\\$\\{"}, {"type": "null"}]})
}
