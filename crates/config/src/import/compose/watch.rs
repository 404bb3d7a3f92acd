//! `develop.watch`: what a change of files does to a container that runs.

use super::{Body, Import, escaped};
use muster_compose::model::{Service, Watch};
use serde_json::{Value, json};

pub(super) fn watch(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let watched = service.develop.iter().flat_map(|develop| &develop.watch).enumerate();
    let rules: Vec<Value> = watched.filter_map(|(at, watch)| rule(import, name, at, watch)).collect();
    if !rules.is_empty() {
        body.put("watch", Value::Array(rules));
    }
}

fn rule(import: &mut Import<'_>, name: &str, at: usize, watch: &Watch) -> Option<Value> {
    const LEFT: &str = "the rule is left out";
    let attribute = format!("develop.watch.{at}");
    let path = import.path(&watch.path);
    if path.starts_with('/') || path.starts_with("./../") {
        import.lose(name, &attribute, "only what is below the project's folder is watched", LEFT);
        return None;
    }
    let path = path.strip_prefix("./").unwrap_or(&path);
    let mut rule = Body::default();
    let include: Vec<String> = watch.include.iter().map(|pattern| below(path, pattern)).collect();
    rule.texts("paths", &if include.is_empty() { vec![all_of(path)] } else { include });
    let (not, ignore): (Vec<_>, Vec<_>) = watch.ignore.iter().partition(|pattern| pattern.starts_with('!'));
    rule.texts("ignore", &ignore.into_iter().map(|pattern| below(path, pattern)).collect::<Vec<_>>());
    if !not.is_empty() {
        let instead = "what another pattern ignores stays ignored";
        import.lose(name, &format!("{attribute}.ignore"), "a pattern takes nothing back", instead);
    }
    let action = match watch.action.as_str() {
        "rebuild" | "restart" => watch.action.as_str(),
        "sync" | "sync+restart" | "sync+exec" if !watch.target.is_empty() => "sync",
        "sync" | "sync+restart" | "sync+exec" => {
            import.lose(name, &attribute, "it has no `target` to copy to", LEFT);
            return None;
        }
        other => {
            import.lose(name, &attribute, &format!("`{other}` is no action that is known here"), LEFT);
            return None;
        }
    };
    rule.put("do", json!(action));
    if action == "sync" {
        rule.text("from", path);
        rule.text("to", &watch.target);
        rule.flag("initial", watch.initial_sync);
        then(import, name, &attribute, watch, &mut rule);
    }
    Some(Value::Object(rule.0))
}

fn then(import: &mut Import<'_>, name: &str, attribute: &str, watch: &Watch, rule: &mut Body) {
    match watch.action.as_str() {
        "sync+restart" => rule.put("then", json!("restart")),
        "sync+exec" => {
            let words: Vec<Value> =
                watch.exec.command.words().into_iter().flatten().map(|word| json!(escaped(word))).collect();
            rule.put("then", json!({ "exec": words }));
            let lost = [
                ("user", !watch.exec.user.is_empty()),
                ("privileged", watch.exec.privileged),
                ("working_dir", !watch.exec.working_dir.is_empty()),
                ("environment", !watch.exec.environment.is_empty()),
            ];
            for (key, _) in lost.into_iter().filter(|(_, set)| *set) {
                let attribute = format!("{attribute}.exec.{key}");
                import.lose(name, &attribute, "the command runs as the service does", "it is left out");
            }
        }
        _nothing_follows => {}
    }
}

/// A pattern of a rule counts from the rule's own path.
fn below(path: &str, pattern: &str) -> String {
    let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
    match path {
        // a slash, so that it counts from there as well
        "." => format!("/{pattern}"),
        path => format!("{path}/{pattern}"),
    }
}

fn all_of(path: &str) -> String {
    if path == "." { "**".to_owned() } else { path.to_owned() }
}
