//! Projects of several files in memory, loaded as a whole.

use muster_compose::{Code, LoadRequest, Loaded, Memory, Node, Problem, Value, load};

fn request() -> LoadRequest {
    let environment = [("HOME", "/h")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    LoadRequest { cwd: "/p".into(), environment, ..LoadRequest::default() }
}

fn project(files: &[(&str, &str)]) -> Memory {
    files.iter().fold(Memory::default(), |memory, (path, text)| memory.with(*path, *text))
}

fn good(request: &LoadRequest, files: &[(&str, &str)]) -> Loaded {
    load(request, &project(files)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn bad(files: &[(&str, &str)]) -> Vec<Problem> {
    load(&request(), &project(files)).map(|loaded| loaded.root).expect_err("it loads")
}

fn codes(files: &[(&str, &str)]) -> Vec<Code> {
    bad(files).iter().map(|problem| problem.code).collect()
}

/// A value as JSON, to be compared.
fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => i64::try_from(*value).expect("small numbers").into(),
        Value::Float(value) => (*value).into(),
        Value::String(text) | Value::Time(text) => text.as_str().into(),
        Value::Seq(items) => items.iter().map(json).collect(),
        Value::Map(map) => map.iter().map(|(key, value)| (key.to_string(), json(value))).collect(),
    }
}

#[track_caller]
fn assert_at(loaded: &Loaded, path: &str, wanted: serde_json::Value) {
    let keys: Vec<&str> = path.split('.').collect();
    let found = loaded.root.at(&keys).map(json);
    assert_eq!(found, Some(wanted), "{path}");
}

#[test]
fn an_override_file_is_found_and_merged() {
    let loaded = good(
        &LoadRequest { cwd: "/p/sub/deeper".into(), ..request() },
        &[
            ("/p/compose.yaml", "services: {a: {image: x, environment: {A: 1, B: 2}, dns: 1.1.1.1}}"),
            ("/p/compose.override.yaml", "services: {a: {image: y, environment: [B=3], dns: [2.2.2.2]}}"),
        ],
    );
    assert_eq!(loaded.project_name, "p");
    assert_eq!(loaded.working_dir.to_str(), Some("/p"));
    assert_eq!(loaded.files.len(), 2);
    assert_at(&loaded, "services.a.image", "y".into());
    assert_at(&loaded, "services.a.environment", serde_json::json!({"A": "1", "B": "3"}));
    assert_at(&loaded, "services.a.dns", serde_json::json!(["1.1.1.1", "2.2.2.2"]));
}

#[test]
fn reset_and_override_take_out_what_came_before() {
    let loaded = good(
        &LoadRequest { files: vec!["a.yaml".into(), "b.yaml".into()], ..request() },
        &[
            ("/p/a.yaml", "services: {a: {image: x, user: u, expose: ['1'], labels: {k: v}}, b: {image: x}}"),
            (
                "/p/b.yaml",
                "services: {a: {user: !reset null, expose: !override ['2'], labels: {k: !reset x}}, b: !reset }",
            ),
        ],
    );
    assert_at(&loaded, "services", serde_json::json!({"a": {"image": "x", "labels": [], "expose": ["2"]}}));
}

#[test]
fn extends_takes_a_service_with_its_files_folder() {
    let loaded = good(
        &request(),
        &[
            ("/p/compose.yaml", "services: {a: {extends: {file: sub/base.yaml, service: b}, command: run}}"),
            (
                "/p/sub/base.yaml",
                "services: {b: {extends: c, env_file: [{path: x.env}]}, c: {image: x, build: {context: .}}}",
            ),
            ("/p/sub/x.env", "X=1\n"),
        ],
    );
    assert_at(&loaded, "services.a.image", "x".into());
    assert_at(&loaded, "services.a.build.context", "/p/sub".into());
    assert_at(&loaded, "services.a.environment", serde_json::json!({"X": "1"}));
    assert!(loaded.root.at(&["services", "a", "extends"]).is_none());
}

#[test]
fn extends_in_a_circle_or_of_nothing_is_refused() {
    let circle = "services: {a: {extends: b}, b: {extends: {service: a}}}";
    assert!(codes(&[("/p/compose.yaml", circle)]).contains(&Code::Extends));
    assert_eq!(codes(&[("/p/compose.yaml", "services: {a: {extends: c}}")]), [Code::Extends]);
    let missing = bad(&[("/p/compose.yaml", "services:\n  a:\n    extends: {file: no.yaml, service: c}")]);
    assert_eq!(missing[0].place.as_ref().map(|place| (place.line, place.column)), Some((3, 14)));
}

#[test]
fn an_included_project_has_its_own_folder_and_variables() {
    let files = [
        ("/p/compose.yaml", "include: [sub/compose.yaml]\nservices: {a: {image: '${V:-main}'}}"),
        ("/p/sub/compose.yaml", "services: {b: {image: '${V}', build: {context: ./here}}}"),
        ("/p/sub/.env", "V=sub\n"),
    ];
    let loaded = good(&request(), &files);
    assert_at(&loaded, "services.a.image", "main".into());
    assert_at(&loaded, "services.b.image", "sub".into());
    assert_at(&loaded, "services.b.build.context", "/p/sub/here".into());
    assert!(loaded.root.get("include").is_none());
}

#[test]
fn includes_that_differ_or_go_in_a_circle_are_refused() {
    let other = ("/p/o.yaml", "services: {a: {image: y}}");
    assert_eq!(codes(&[("/p/compose.yaml", "include: [o.yaml]\nservices: {a: {image: x}}"), other]), [Code::Include]);
    good(&request(), &[("/p/compose.yaml", "include: [o.yaml]\nservices: {a: {image: y}}"), other]);
    let circle = ("/p/o.yaml", "include: [compose.yaml]\nservices: {b: {image: y}}");
    assert_eq!(codes(&[("/p/compose.yaml", "include: [o.yaml]\nservices: {}"), circle]), [Code::Include]);
}

#[test]
fn variables_come_from_outside_then_from_env_files() {
    let files = [
        (
            "/p/compose.yaml",
            "services: {a: {image: '$HOME-$A-$B', scale: '${N}', environment: [HOME, NO], env_file: [{path: .env}]}}",
        ),
        ("/p/.env", "HOME=/no\nA=1\nB=$A$HOME\nN=3\n"),
    ];
    let loaded = good(&request(), &files);
    assert_at(&loaded, "services.a.image", "/h-1-1/h".into());
    assert_at(&loaded, "services.a.scale", 3.into());
    assert_at(&loaded, "services.a.environment.HOME", "/h".into());
    assert_at(&loaded, "services.a.environment.NO", serde_json::Value::Null);
    assert_at(&loaded, "services.a.environment.B", "1/h".into());
}

#[test]
fn every_text_that_cannot_be_interpolated_is_told_at_once() {
    let text = "services:\n  a: {image: '${', user: '${NO?so}', scale: x}\n";
    assert_eq!(codes(&[("/p/compose.yaml", text)]), [Code::Interpolation, Code::Unset, Code::Cast]);
}

#[test]
fn profiles_choose_services() {
    let text = "services: {a: {image: x}, b: {image: x, profiles: [p]}, c: {image: x, profiles: [q]}}";
    let active = |profiles: &[&str]| {
        let profiles = profiles.iter().map(ToString::to_string).collect();
        good(&LoadRequest { profiles, ..request() }, &[("/p/compose.yaml", text)]).active
    };
    assert_eq!(active(&[]), ["a"]);
    assert_eq!(active(&["q"]), ["a", "c"]);
    assert_eq!(active(&["*"]), ["a", "b", "c"]);
}

#[test]
fn the_project_name_has_an_order_of_sources() {
    let named =
        [("/My Project/compose.yaml", "name: ${N:-From-File}\nservices: {a: {image: '$COMPOSE_PROJECT_NAME'}}")];
    let here = LoadRequest { cwd: "/My Project".into(), ..request() };
    let loaded = good(&here, &named);
    assert_eq!(loaded.project_name, "from-file");
    assert_at(&loaded, "services.a.image", "from-file".into());
    let unnamed = [("/My Project/compose.yaml", "services: {a: {image: x}}")];
    assert_eq!(good(&here, &unnamed).project_name, "myproject");
    let given = LoadRequest { project_name: Some("given".into()), ..here.clone() };
    assert_eq!(good(&given, &named).project_name, "given");
    let wrong = LoadRequest { project_name: Some("Given".into()), ..here };
    let problems = load(&wrong, &project(&named)).map(|loaded| loaded.root).unwrap_err();
    assert_eq!(problems[0].code, Code::ProjectName);
}

#[test]
fn what_is_not_there_is_told() {
    assert_eq!(codes(&[("/q/compose.yaml", "")]), [Code::NoFile]);
    assert_eq!(codes(&[("/p/compose.yaml", "# nothing\n")]), [Code::Empty]);
    assert_eq!(codes(&[("/p/compose.yaml", "[a]")]), [Code::WrongType]);
    let missing = "services: {a: {image: x, env_file: [{path: no.env}]}}";
    assert_eq!(codes(&[("/p/compose.yaml", missing)]), [Code::EnvFile]);
    let optional = "services: {a: {image: x, env_file: [{path: no.env, required: false}]}}";
    good(&request(), &[("/p/compose.yaml", optional)]);
}

#[test]
fn unset_variables_are_warned_of_once_each() {
    let loaded =
        good(&request(), &[("/p/compose.yaml", "services: {a: {image: '$NO', user: '$NO', hostname: '$NIX'}}")]);
    let codes: Vec<Code> = loaded.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, [Code::Unset, Code::Unset]);
    assert_eq!(loaded.warnings[0].place.as_ref().map(|place| place.line), Some(1));
}

#[test]
fn a_variable_that_ends_with_a_space_is_refused() {
    assert_eq!(codes(&[("/p/compose.yaml", "services: {a: {image: x, environment: ['A =1']}}")]), [Code::BadValue]);
}

#[test]
fn a_base_of_another_file_is_judged_before_it_is_merged() {
    for wrong in ["depends_on: [5]", "networks: [{a: b}]", "ports: {a: b}", "volumes: [5]", "build: [a]"] {
        let base = format!("services: {{b: {{image: x, {wrong}}}}}");
        let files = [("/p/compose.yaml", "services: {a: {extends: {file: o.yaml, service: b}}}"), ("/p/o.yaml", &base)];
        assert!(codes(&files).contains(&Code::WrongType), "{wrong}");
    }
}
