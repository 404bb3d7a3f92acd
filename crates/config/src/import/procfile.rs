//! Procfiles: `name: command` lines.

use super::gotemplate::escape;
use super::{Attached, ExitRule, ImportOptions, ImportProblem, Imported, LossReport, Names, ReadText, SourceFile};
use super::{dotenv, stack_name};
use indexmap::IndexMap;
use serde_json::{Map as Object, Value, json};

/// First PORT, unless `.env` or the caller says otherwise.
const BASE_PORT: u16 = 5000;
/// Distance between the ports of two lines.
const PORT_STEP: u16 = 100;

/// Imports a Procfile: each line is a service that runs in a shell with the caller's environment, the `.env` beside the
/// file and a PORT of its own; when one ends, for whatever reason, all are stopped.
///
/// # Errors
/// A line that is no entry, a name that is there twice, a name asked for that is not there, too many entries.
pub fn import_procfile(
    file: &SourceFile,
    options: &ImportOptions,
    read: &ReadText<'_>,
) -> Result<Imported, Vec<ImportProblem>> {
    let mut loss = LossReport::default();
    let (entries, mut problems) = entries(file);
    for name in options.processes.iter().filter(|name| !entries.contains_key(*name)) {
        problems.push(ImportProblem::NoSuchProcess { name: name.clone() });
    }
    let variables = variables(options, read, &mut loss);
    let base = variables.get("PORT").or_else(|| options.env.get("PORT")).and_then(|port| port.parse().ok());
    let base = base.unwrap_or(BASE_PORT);
    let block = u16::try_from(entries.len().max(1)).ok().and_then(|count| count.checked_mul(PORT_STEP));
    let Some(block) = block.filter(|block| base.checked_add(*block).is_some()) else {
        let reason = format!("{} entries do not find room for ports from {base}", entries.len());
        problems.push(ImportProblem::InvalidValue { field: "PORT".to_owned(), reason });
        return Err(problems);
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let names = Names::new("processes", entries.keys().map(String::as_str), &mut loss);
    let mut services = Object::new();
    for (offset, (name, command)) in (0..block).step_by(usize::from(PORT_STEP)).zip(&entries) {
        let mut entry = service(name, command, (base, offset), &variables, &mut loss);
        if !options.processes.is_empty() && !options.processes.contains(name) {
            entry.insert("autostart".to_owned(), json!(false));
        }
        services.insert(names.of(name), Value::Object(entry));
    }
    let document = json!({
        "name": stack_name(None, &options.project_dir),
        "ports": { "base": base, "block": block },
        "services": services,
    });
    let attached = Attached {
        strict: options.strict,
        exit: ExitRule::OnlyOfTheOneThatEnds,
        empty: entries.is_empty(),
        renamed: names.renamed(),
        namespaces: IndexMap::new(),
    };
    Ok(Imported { document, root: options.project_dir.clone(), loss, attached })
}

fn entries(file: &SourceFile) -> (IndexMap<String, String>, Vec<ImportProblem>) {
    let mut entries = IndexMap::new();
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |message: String| ImportProblem::Syntax { path: file.path.clone(), line: index + 1, message };
        let entry = line.split_once(':').map(|(name, command)| (name.trim_end(), command.trim()));
        let named =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        match entry.filter(|(name, command)| named(name) && !command.is_empty()) {
            Some((name, command)) => {
                if entries.insert(name.to_owned(), command.to_owned()).is_some() {
                    problems.push(bad(format!("`{name}` is there twice")));
                }
            }
            None => problems.push(bad("not `name: command`".to_owned())),
        }
    }
    (entries, problems)
}

fn variables(options: &ImportOptions, read: &ReadText<'_>, loss: &mut LossReport) -> dotenv::Variables {
    let mut variables = dotenv::Variables::new();
    for file in &options.env_files {
        let Ok(text) = read(&options.project_dir.join(file)) else { continue };
        let (found, ignored) = dotenv::parse(&text);
        variables.extend(found);
        let field = file.display().to_string();
        loss.push(&field, "it was read at the import", "its variables stand in `env`");
        for line in ignored {
            loss.push(&field, &format!("`{line}` is no assignment"), "it is left out");
        }
    }
    variables
}

/// `(base, offset)` is where the service's port lies.
fn service(
    name: &str,
    command: &str,
    (base, offset): (u16, u16),
    variables: &dotenv::Variables,
    loss: &mut LossReport,
) -> Object<String, Value> {
    let mut env: Object<String, Value> =
        variables.iter().map(|(key, value)| (key.clone(), json!(escape(value)))).collect();
    env.insert("PS".to_owned(), json!(format!("{name}.${{replica}}")));
    let mut out = Object::new();
    out.insert("process".to_owned(), json!({ "shell": escape(command) }));
    out.insert("inherit".to_owned(), json!(true));
    // A declared port is waited for. Only who is told of it is sure to listen.
    if name == "web" || mentions_port(command) {
        out.insert("ports".to_owned(), json!({ "port": format!("+{offset}") }));
        env.insert("PORT".to_owned(), json!("${port.port}"));
    } else {
        env.insert("PORT".to_owned(), json!((u32::from(base) + u32::from(offset)).to_string()));
        let reason = "its command does not mention PORT, so it may not listen";
        loss.push(&format!("{name}.PORT"), reason, "PORT is the same number in every environment and not waited for");
    }
    out.insert("env".to_owned(), Value::Object(env));
    out.insert("restart".to_owned(), json!("never"));
    out.insert("on_exit".to_owned(), json!("end"));
    out.insert("stop".to_owned(), json!({ "grace": "5s" }));
    out
}

fn mentions_port(command: &str) -> bool {
    ["$PORT", "${PORT"].into_iter().any(|text| {
        command.match_indices(text).any(|(at, _)| {
            let next = command[at + text.len()..].chars().next();
            !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn import(text: &str, options: &ImportOptions) -> Result<Imported, Vec<ImportProblem>> {
        let file = SourceFile { path: "Procfile".into(), text: text.to_owned() };
        let read = |path: &Path| {
            if path == Path::new("/app/.env") {
                Ok("A=$x\n".to_owned())
            } else {
                Err(std::io::ErrorKind::NotFound.into())
            }
        };
        import_procfile(&file, options, &read)
    }

    #[test]
    fn lines_become_services() {
        let options = ImportOptions { project_dir: "/app".into(), ..ImportOptions::default() };
        let text = "# c\n\nweb: bin/web -p $PORT\nworker: bin/work \"$HOME\"\n";
        let imported = import(text, &options).unwrap();
        let wanted = json!({
            "name": "app",
            "ports": { "base": 5000, "block": 200 },
            "services": {
                "web": {
                    "process": { "shell": "bin/web -p $$PORT" }, "inherit": true, "ports": { "port": "+0" },
                    "env": { "A": "$$x", "PS": "web.${replica}", "PORT": "${port.port}" },
                    "restart": "never", "on_exit": "end", "stop": { "grace": "5s" },
                },
                "worker": {
                    "process": { "shell": "bin/work \"$$HOME\"" }, "inherit": true,
                    "env": { "A": "$$x", "PS": "worker.${replica}", "PORT": "5100" },
                    "restart": "never", "on_exit": "end", "stop": { "grace": "5s" },
                },
            },
        });
        assert_eq!(imported.document, wanted);
        assert_eq!(imported.loss.entries.len(), 2);
    }

    #[test]
    fn selection_and_port_from_the_caller() {
        let mut options = ImportOptions { processes: vec!["b".to_owned()], ..ImportOptions::default() };
        options.env.insert("PORT".to_owned(), "8000".to_owned());
        let services = &import("a: x\nb: y $PORTAL", &options).unwrap().document["services"];
        assert_eq!(services["a"]["autostart"], false);
        assert_eq!(services["b"]["autostart"], Value::Null);
        assert_eq!(services["b"]["env"]["PORT"], "8100");
        options.processes.push("c".to_owned());
        assert_eq!(import("a: x", &options).unwrap_err().len(), 2);
    }

    #[test]
    fn refuses_what_is_no_procfile() {
        let codes = |text| {
            import(text, &ImportOptions::default()).unwrap_err().iter().map(ImportProblem::code).collect::<Vec<_>>()
        };
        assert_eq!(codes("a: x\na: y\nb\nc:"), ["import::syntax"; 3]);
    }
}
