//! What the tables let through and what they do not, each as Docker Compose v2.40.3 decides it.

use super::validate;
use crate::problem::{Code, Report};
use crate::tree::{Key, Node, Span, Value};

/// A tree of a JSON text.
fn tree(json: &serde_json::Value) -> Node {
    use serde_json::Value as Json;
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(i128::from(whole)),
            None => Value::Float(number.as_f64().expect("a float")),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Seq(items.iter().map(tree).collect()),
        Json::Object(map) => {
            Value::Map(map.iter().map(|(key, value)| (Key::new(key.as_str(), Span::default()), tree(value))).collect())
        }
    };
    Node::new(Span::default(), value)
}

fn problems(json: &str) -> Vec<(Code, String)> {
    let mut report = Report::default();
    validate(&tree(&serde_json::from_str(json).expect("JSON")), &mut report);
    report.finish(&[]).0.into_iter().map(|problem| (problem.code, problem.message)).collect()
}

/// The problems of a service with these attributes.
fn service(attributes: &str) -> Vec<(Code, String)> {
    problems(&format!(r#"{{"services": {{"a": {attributes}}}}}"#))
}

fn codes(found: &[(Code, String)]) -> Vec<Code> {
    found.iter().map(|(code, _)| *code).collect()
}

#[test]
fn both_forms_of_an_attribute_are_taken() {
    for attributes in [
        r#"{"build": "."}"#,
        r#"{"build": {"context": ".", "args": ["A=1"], "x-any": {"thing": [1]}}}"#,
        r#"{"ports": [80, "80:80", {"target": 80, "published": "8080"}]}"#,
        r#"{"volumes": ["a:/b", {"type": "bind", "source": ".", "target": "/c"}]}"#,
        r#"{"depends_on": ["b"]}"#,
        r#"{"depends_on": {"b": {"condition": "service_healthy", "restart": "true"}}}"#,
        r#"{"environment": {"A": 1, "B": null, "C": true, "D": "x"}}"#,
        r#"{"networks": {"n": null, "m": {"priority": 1.5}}}"#,
        r#"{"ulimits": {"nofile": 5, "nproc": {"soft": 1, "hard": "2"}, "OTHER": [true]}}"#,
        r#"{"command": null, "entrypoint": []}"#,
        r#"{"deploy": null, "develop": null, "pid": null}"#,
        r#"{"gpus": [{"whatever": 1}]}"#,
        r#"{"storage_opt": {"any": [1]}}"#,
        r#"{"cpu_percent": 100, "oom_score_adj": "5000", "scale": 2.0}"#,
        r#"{"pull_policy": "every_12h", "container_name": "!ab"}"#,
    ] {
        assert_eq!(service(attributes), [], "{attributes}");
    }
    let whole = r#"{"name": "p", "x-top": 1, "networks": {"café": 5}, "volumes": {"v": null}, "include": ["a.yaml"]}"#;
    assert_eq!(problems(whole), []);
}

#[test]
fn each_wrong_value_is_named_with_what_would_be_right() {
    for (attributes, code, message) in [
        (r#"{"image": 5}"#, Code::WrongType, "`services.a.image` must be a text, it is a number"),
        (r#"{"build": null}"#, Code::WrongType, "`services.a.build` must be a text or a map, it is nothing"),
        (r#"{"ports": null}"#, Code::WrongType, "`services.a.ports` must be a list, it is nothing"),
        (
            r#"{"imagee": "x"}"#,
            Code::UnknownKey,
            "`services.a.imagee` is no attribute of compose: `image` may be meant",
        ),
        (r#"{"cap_add": ["A", "A"]}"#, Code::DuplicateItem, "`services.a.cap_add` has one item twice, at 0 and at 1"),
        (r#"{"volumes": [{"source": "a"}]}"#, Code::MissingKey, "`services.a.volumes.0` lacks `type`"),
        (r#"{"oom_score_adj": 1001}"#, Code::BadValue, "`services.a.oom_score_adj` must be -1000 to 1000, it is 1001"),
        (r#"{"cpu_percent": 1.5}"#, Code::WrongType, "`services.a.cpu_percent` must be a whole number, it is a number"),
        (r#"{"cgroup": "x"}"#, Code::BadValue, "`services.a.cgroup` must be `host` or `private`, it is `x`"),
        (r#"{"environment": {"": 1}}"#, Code::BadName, "`services.a.environment.` is an empty name"),
        (
            r#"{"environment": {"A": [1]}}"#,
            Code::WrongType,
            "`services.a.environment.A` must be a text or a number or a boolean or nothing, it is a list",
        ),
        (r#"{"environment": [{"A": 1}]}"#, Code::WrongType, "`services.a.environment.0` must be a text, it is a map"),
        (r#"{"ulimits": {"nofile": {"soft": 1}}}"#, Code::MissingKey, "`services.a.ulimits.nofile` lacks `hard`"),
        (
            r#"{"blkio_config": {"x-a": 1}}"#,
            Code::UnknownKey,
            "`services.a.blkio_config.x-a` is no attribute of compose",
        ),
        (r#"{"expose": [80, 80.0]}"#, Code::DuplicateItem, "`services.a.expose` has one item twice, at 0 and at 1"),
    ] {
        assert_eq!(service(attributes), [(code, message.to_owned())], "{attributes}");
    }
}

#[test]
fn names_and_unknown_keys_at_the_top_are_refused() {
    assert_eq!(codes(&problems(r#"{"services": {"café": {}}}"#)), [Code::BadName]);
    assert_eq!(codes(&problems(r#"{"web": {"image": "x"}}"#)), [Code::UnknownKey]);
    assert_eq!(codes(&problems(r#"{"services": {"a": null}}"#)), [Code::WrongType]);
    assert_eq!(codes(&problems(r#"{"secrets": {"s": {"content": "x"}}}"#)), [Code::UnknownKey]);
    assert_eq!(codes(&problems(r#"{"models": {"m": {}}}"#)), [Code::MissingKey]);
}

#[test]
fn all_problems_are_told_at_once() {
    let found = service(r#"{"image": 5, "privileged": 1, "healthcheck": {"interval": 3, "tset": "x"}}"#);
    assert_eq!(codes(&found), [Code::WrongType, Code::WrongType, Code::WrongType, Code::UnknownKey]);
}
