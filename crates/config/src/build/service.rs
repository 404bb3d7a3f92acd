//! One service.

use super::command::{self, Place};
use super::container;
use super::ports;
use super::read::{Cx, entries};
use super::{policy, probe};
use crate::include::Reader;
use crate::problem::Code;
use crate::tree::{Node, Span};
use crate::variables::{Values, env_file};
use indexmap::IndexMap;
use muster_spec::{
    BuildSpec, ExternalSpec, MockSpec, OnEnd, ProcessSpec, RuntimeKind, ServiceKind, ServiceName, ServiceSpec,
    Template, UnhealthyPolicy, Variants,
};

/// A variable with its name longer than this is refused by execve(2): MAX_ARG_STRLEN, 32 pages.
const MAX_ENV: usize = 128 * 1024;

/// What is decided outside of the service's own text.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) name: ServiceName,
    pub(super) key_span: Span,
    pub(super) runtime: RuntimeKind,
    pub(super) variants: Variants,
    /// Pairs of its `env_file`.
    pub(super) file_env: Vec<(String, String)>,
}

/// Variables of a service's own `env_file`.
pub(super) fn file_env(node: &Node, reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let files = node.get("env_file").map(Node::one_or_many).unwrap_or_default();
    files.iter().flat_map(|file| env_file(file, reader)).map(|(name, value, _)| (name, value)).collect()
}

/// The service without its needs, which are read when every service is known.
pub(super) fn build(cx: &mut Cx<'_>, node: &Node, given: Given, values: &Values<'_>) -> ServiceSpec {
    let job = cx.flag(node, "job").unwrap_or(false);
    let kind = if job { ServiceKind::Job } else { ServiceKind::Service };
    let ports = ports::ports(cx, node);
    let cwd = match node.get("cwd") {
        Some(cwd) => cx.path_template(cwd),
        None => None,
    };
    let folder = cx.sources.folder(given.key_span.file).display().to_string();
    let ends = [("keep", OnEnd::Keep), ("end", OnEnd::End)];
    // What nobody asked for as `live` is shown and does nothing.
    let shown = match (given.runtime, node.get("live")) {
        (RuntimeKind::Container, None) => UnhealthyPolicy::Ignore,
        (_, _) => UnhealthyPolicy::Restart,
    };
    let unhealthy = [("restart", UnhealthyPolicy::Restart), ("ignore", UnhealthyPolicy::Ignore)];
    ServiceSpec {
        description: cx.text_at(node, "description"),
        group: cx.text_at(node, "group"),
        aliases: cx.texts(node, "aliases"),
        kind,
        build: node.get("build").and_then(|node| build_step(cx, node)),
        env: env(cx, node, given.file_env, values),
        needs: Vec::new(),
        probes: probe::probes(cx, node, kind, (given.runtime, &given.variants), &ports),
        details: policy::details(cx, node, &ports),
        restart: policy::restart(cx, node, kind),
        unhealthy: cx.word(node, "unhealthy", &unhealthy).unwrap_or(shown),
        replicas: cx.number(node, "replicas", "a number of copies").unwrap_or(1),
        cwd: cwd.unwrap_or_else(|| Template::literal(&folder)),
        tty: cx.flag(node, "tty").unwrap_or(false),
        merge: cx.flag(node, "merge").unwrap_or(false),
        inherit: cx.flag(node, "inherit").unwrap_or(false),
        success: success(cx, node),
        on_failure: cx.word(node, "on_failure", &ends).unwrap_or_default(),
        on_exit: cx.word(node, "on_exit", &ends).unwrap_or_default(),
        limits: policy::limits(cx, node),
        watch: policy::watch(cx, node, (given.runtime, &given.variants)),
        logs: policy::logs(cx, node),
        cache: policy::cache(cx, node, &ports),
        inputs: inputs(cx, node, kind),
        stop: policy::stop(cx, node),
        autostart: cx.flag(node, "autostart").unwrap_or(true),
        optional: cx.flag(node, "optional").unwrap_or(false),
        name: given.name,
        variants: given.variants,
        runtime: given.runtime,
        ports,
    }
}

fn success(cx: &mut Cx<'_>, node: &Node) -> Vec<i32> {
    match node.get("success") {
        Some(list) => list.one_or_many().iter().filter_map(|item| cx.number_of(item, "an exit code")).collect(),
        None => vec![0],
    }
}

fn inputs(cx: &mut Cx<'_>, node: &Node, kind: ServiceKind) -> Vec<String> {
    if kind == ServiceKind::Service
        && let Some(value) = node.get("inputs")
    {
        let item = cx.report.error(Code::Conflict, value.span, "`inputs` belongs to a job");
        item.help("add `job: true`, or write `build: {inputs: [...]}` for a build step");
    }
    cx.globs(node, "inputs")
}

fn build_step(cx: &mut Cx<'_>, node: &Node) -> Option<BuildSpec> {
    let command = command::of_map(cx, node, Place::Here);
    if command.is_none() && node.get("command").is_none() && node.get("shell").is_none() {
        cx.missing(node.span, "`build` needs a `command`");
    }
    let inputs = cx.globs(node, "inputs");
    command.map(|command| BuildSpec { command, inputs })
}

fn env(cx: &mut Cx<'_>, node: &Node, files: Vec<(String, String)>, values: &Values<'_>) -> IndexMap<String, Template> {
    let mut env: IndexMap<String, Template> =
        files.into_iter().map(|(name, value)| (name, Template::literal(&value))).collect();
    let Some(value) = node.get("env") else { return env };
    if value.as_list().is_some() {
        for item in value.one_or_many() {
            let Some(template) = cx.template(item) else { continue };
            let split = split_pair(&template);
            match split {
                Some((name, value)) => set(cx, &mut env, &name, value, item.span),
                None => {
                    let name = template.as_literal().unwrap_or_default();
                    if let Some(value) = values.callers(&name) {
                        set(cx, &mut env, &name, Template::literal(value), item.span);
                    }
                }
            }
        }
        return env;
    }
    for (name, span, item) in entries(Some(value)) {
        // A name without a value is passed on from the caller, when the caller has it.
        let template = match item.is_null() {
            true => values.callers(name).map(Template::literal),
            false => cx.template(item),
        };
        if let Some(template) = template {
            set(cx, &mut env, name, template, span);
        }
    }
    env
}

fn split_pair(template: &Template) -> Option<(String, Template)> {
    let muster_spec::Part::Text(first) = template.0.first()? else { return None };
    let (name, rest) = first.split_once('=')?;
    let mut parts = Vec::with_capacity(template.0.len());
    if !rest.is_empty() || template.0.len() == 1 {
        parts.push(muster_spec::Part::Text(rest.to_owned()));
    }
    parts.extend_from_slice(&template.0[1..]);
    Some((name.to_owned(), Template(parts)))
}

fn set(cx: &mut Cx<'_>, env: &mut IndexMap<String, Template>, name: &str, value: Template, span: Span) {
    if name.is_empty() || name.contains(['=', '\0']) {
        cx.report.error(Code::BadName, span, format!("`{name}` cannot be the name of a variable"));
        return;
    }
    let size: usize = value.0.iter().map(|part| if let muster_spec::Part::Text(t) = part { t.len() } else { 0 }).sum();
    if size + name.len() + 2 > MAX_ENV {
        let message = format!("`{name}` is {size} bytes long; a process can be given at most {MAX_ENV}");
        cx.report.error(Code::EnvTooBig, span, message).help("put it into a file and pass the file's name");
        return;
    }
    env.insert(name.to_owned(), value);
}

/// Every way in which the service can run.
pub(super) fn variants(cx: &mut Cx<'_>, node: &Node) -> Variants {
    Variants {
        process: variant(cx, node, RuntimeKind::Process, process),
        container: variant(cx, node, RuntimeKind::Container, container::container),
        remote: variant(cx, node, RuntimeKind::Remote, container::remote),
        mock: variant(cx, node, RuntimeKind::Mock, mock),
        external: variant(cx, node, RuntimeKind::External, |cx, node| {
            let url = cx.template_at(node, "url").unwrap_or_else(|| Template::literal(""));
            Some(ExternalSpec { url })
        }),
    }
}

fn variant<T>(
    cx: &mut Cx<'_>,
    service: &Node,
    kind: RuntimeKind,
    read: impl FnOnce(&mut Cx<'_>, &Node) -> Option<T>,
) -> Option<T> {
    let node = service.get(kind.as_str())?;
    cx.variant = Some(kind);
    let found = read(cx, node);
    cx.variant = None;
    found
}

fn mock(cx: &mut Cx<'_>, node: &Node) -> Option<MockSpec> {
    let file = cx.path_at(node, "file");
    if file.is_none() {
        cx.missing(node.span, "`mock` needs a `file`");
    }
    file.map(|file| MockSpec { file })
}

fn process(cx: &mut Cx<'_>, node: &Node) -> Option<ProcessSpec> {
    let command = command::of_map(cx, node, Place::Here);
    if command.is_none() && node.get("command").is_none() && node.get("shell").is_none() {
        cx.missing(node.span, "`process` needs a `command`");
    }
    let umask = node.get("umask").and_then(|value| {
        let text = cx.text(value)?;
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        let found = u32::from_str_radix(digits, 8).ok().filter(|mask| *mask <= 0o777);
        if found.is_none() {
            let message = format!("`{text}` is no octal mask from `000` to `777`");
            cx.report.error(Code::WrongType, value.span, message);
        }
        found
    });
    let (user, before) = (cx.text_at(node, "user"), command::steps(cx, node.get("before"), Place::Here));
    command.map(|command| ProcessSpec { command, user, before, umask })
}
