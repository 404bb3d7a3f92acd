//! The OpenAPI document, made from the table of routes and the documents' own schemas.

use crate::documents::{DoneDocument, EnvironmentsDocument, StopRequest, UpgradeRequest};
use crate::routes::{Answer, ROUTES, Route};
use muster_engine::documents as engine;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// OpenAPI 3.0 of the whole API.
#[must_use]
pub fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Muster",
            "version": version,
            "description": "Served on a unix socket (0600; the peer's uid is checked). Shapes only grow. An error is an \
                ErrorDocument. `UpRequest` holds a resolved stack as `muster config --json` prints it.",
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "the environment, as `name-1a2b3c4d`",
        }));
    }
    for (name, meaning) in route.query {
        parameters.push(json!({"name": name, "in": "query", "schema": {}, "description": meaning}));
    }
    let mut operation = json!({ "summary": route.summary, "operationId": operation_id(route) });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": reference(body)}}});
    }
    let (code, answer) = match route.answer {
        Answer::One(name) => ("200", json!({"application/json": {"schema": reference(name)}})),
        Answer::Lines(name) => (
            "200",
            json!({"application/x-ndjson": {"schema": reference(name)}, "text/event-stream": {"schema": reference(name)}}),
        ),
        Answer::Free => ("200", json!({"application/json": {"schema": {}}})),
        Answer::Text => ("200", json!({"application/openmetrics-text": {"schema": {"type": "string"}}})),
        Answer::Frames => ("101", json!({})),
    };
    operation["responses"] = json!({
        code: {"description": route.summary, "content": answer},
        "default": {
            "description": "what went wrong",
            "content": {"application/json": {"schema": reference("ErrorDocument")}},
        },
    });
    operation
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split('/').filter(|s| !s.is_empty() && *s != "v1" && !s.starts_with('{'));
    let name: Vec<&str> = std::iter::once(route.method).chain(words).collect();
    name.join("_").replace('.', "_")
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Schemas of every document, those that they use included.
fn schemas() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::openapi3());
    macro_rules! add {
        ($($type:ty),* $(,)?) => { $(let _ = generator.subschema_for::<$type>();)* };
    }
    add![
        engine::InfoDocument,
        EnvironmentsDocument,
        engine::SelectRequest,
        engine::AcceptedDocument,
        engine::StatusDocument,
        engine::WayDocument,
        engine::HealthDocument,
        engine::PlanDocument,
        engine::WhyDocument,
        engine::EventDocument,
        engine::WaitRequest,
        engine::Progress,
        engine::BuildProgress,
        engine::LogQuery,
        engine::LogLine,
        engine::PortsDocument,
        engine::GraphDocument,
        engine::ExecRequest,
        engine::BringRequest,
        engine::BroughtDocument,
        engine::BuildDocument,
        engine::ErrorDocument,
        DoneDocument,
        StopRequest,
        UpgradeRequest,
    ];
    let mut schemas: Map<String, Value> = generator.take_definitions(true);
    schemas.insert("UpRequest".into(), up_request());
    schemas.sort_keys();
    Value::Object(schemas)
}

fn up_request() -> Value {
    json!({
        "type": "object",
        "required": ["stack", "secrets"],
        "properties": {
            "stack": {"type": "object", "description": "the stack, resolved for one environment"},
            "secrets": {"type": "object", "additionalProperties": {"type": "string"}},
            "select": {"type": "string", "nullable": true, "description": "selector; `all` when absent"},
            "no_deps": {"type": "boolean"},
            "recreate": {"type": "boolean"},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_there() {
        let document = document("0");
        let text = document.to_string();
        for piece in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
            let name = piece.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is missing");
        }
        assert!(document["paths"]["/v1/environments/{id}/status"]["get"].is_object());
    }

    #[test]
    fn operations_are_unique() {
        let mut ids: Vec<String> = ROUTES.iter().map(operation_id).collect();
        ids.sort();
        let before = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), before);
    }
}
