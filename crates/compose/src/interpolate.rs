//! Variables in every text of a file, and what the text then has to become.

use std::collections::BTreeMap;

use crate::path::Path;
use crate::problem::{Code, Report};
use crate::scalar;
use crate::template::{TemplateError, Variables, substitute};
use crate::tree::{Node, Span, Value};

/// What variables mean.
pub(crate) type Environment = BTreeMap<String, String>;

/// What a text becomes at some places, so that a variable can give a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    Integer,
    Float,
    Boolean,
}

/// The places where a text, in quotes or not, is read as something else (compose-spec, 12-interpolation).
const CASTS: [(&str, Cast); 40] = [
    ("services.*.cpu_count", Cast::Integer),
    ("services.*.cpu_percent", Cast::Float),
    ("services.*.cpu_period", Cast::Integer),
    ("services.*.cpu_quota", Cast::Integer),
    ("services.*.cpu_rt_period", Cast::Integer),
    ("services.*.cpu_rt_runtime", Cast::Integer),
    ("services.*.cpus", Cast::Float),
    ("services.*.cpu_shares", Cast::Integer),
    ("services.*.init", Cast::Boolean),
    ("services.*.deploy.replicas", Cast::Integer),
    ("services.*.deploy.update_config.parallelism", Cast::Integer),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.rollback_config.parallelism", Cast::Integer),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Integer),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Integer),
    ("services.*.healthcheck.retries", Cast::Integer),
    ("services.*.healthcheck.disable", Cast::Boolean),
    ("services.*.oom_kill_disable", Cast::Boolean),
    ("services.*.oom_score_adj", Cast::Integer),
    ("services.*.pids_limit", Cast::Integer),
    ("services.*.ports.[].target", Cast::Integer),
    ("services.*.privileged", Cast::Boolean),
    ("services.*.read_only", Cast::Boolean),
    ("services.*.scale", Cast::Integer),
    ("services.*.stdin_open", Cast::Boolean),
    ("services.*.tty", Cast::Boolean),
    ("services.*.ulimits.*", Cast::Integer),
    ("services.*.ulimits.*.hard", Cast::Integer),
    ("services.*.ulimits.*.soft", Cast::Integer),
    ("services.*.volumes.[].read_only", Cast::Boolean),
    ("services.*.volumes.[].volume.nocopy", Cast::Boolean),
    ("networks.*.external", Cast::Boolean),
    ("networks.*.internal", Cast::Boolean),
    ("networks.*.attachable", Cast::Boolean),
    ("networks.*.enable_ipv4", Cast::Boolean),
    ("networks.*.enable_ipv6", Cast::Boolean),
    ("volumes.*.external", Cast::Boolean),
    ("secrets.*.external", Cast::Boolean),
    ("configs.*.external", Cast::Boolean),
];

/// Replaces the variables of every text below a node; keys keep theirs.
pub(crate) fn interpolate(root: &mut Node, environment: &Environment, report: &mut Report) {
    walk(root, Path::ROOT, environment, report);
}

/// One text.
pub(crate) fn text(
    text: &str,
    span: Span,
    environment: &Environment,
    report: &mut Report,
) -> Result<String, TemplateError> {
    let mut lookup = Lookup { environment, span, report };
    substitute(text, &mut lookup)
}

struct Lookup<'a> {
    environment: &'a Environment,
    span: Span,
    report: &'a mut Report,
}

impl Variables for Lookup<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn missing(&mut self, name: &str) {
        let message = format!("the variable `{name}` is not set and taken for empty");
        self.report.warn(Code::Unset, Some(self.span), message);
    }
}

fn walk(node: &mut Node, path: Path<'_>, environment: &Environment, report: &mut Report) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map {
                walk(value, path.next(key.as_str()), environment, report);
            }
        }
        Value::Seq(items) => {
            for item in items {
                walk(item, path.next("[]"), environment, report);
            }
        }
        Value::String(written) => {
            match text(written, node.span, environment, report) {
                Ok(replaced) => *written = replaced,
                Err(error) => {
                    complain(&error, &path, node.span, report);
                    return;
                }
            }
            if let Some((_, cast)) = CASTS.iter().find(|(pattern, _)| path.matches(pattern)) {
                apply(*cast, node, &path, report);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {}
    }
}

/// Says what is wrong with a text.
pub(crate) fn complain(error: &TemplateError, path: &Path<'_>, span: Span, report: &mut Report) {
    match error {
        TemplateError::Invalid => {
            let message = format!("`{path}` has a `${{` that is no variable; write `$$` for a dollar");
            report.error(Code::Interpolation, span, message);
        }
        TemplateError::Required { variable, message } if message.is_empty() => {
            report.error(Code::Unset, span, format!("`{path}` requires the variable `{variable}`, which has no value"));
        }
        TemplateError::Required { variable, message } => {
            let message = format!("`{path}` requires the variable `{variable}`, which has no value: {message}");
            report.error(Code::Unset, span, message);
        }
    }
}

fn apply(cast: Cast, node: &mut Node, path: &Path<'_>, report: &mut Report) {
    let Some(text) = node.as_str() else { return };
    let value = match cast {
        Cast::Integer => decimal(text).map(Value::Int),
        Cast::Float => float(text).map(Value::Float),
        Cast::Boolean => boolean(text).map(|(value, modern)| {
            if !modern {
                let message = format!("`{text}` is no boolean of YAML 1.2, write `{value}`");
                report.warn(Code::Obsolete, Some(node.span), message);
            }
            Value::Bool(value)
        }),
    };
    match value {
        Some(value) => node.value = value,
        None => {
            let wanted = match cast {
                Cast::Integer => "a whole number",
                Cast::Float => "a number",
                Cast::Boolean => "`true` or `false`",
            };
            report.error(Code::Cast, node.span, format!("`{path}` takes {wanted}, `{text}` is none"));
        }
    }
}

/// A whole number in base 10 within `i64`.
fn decimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse::<i64>().ok()).flatten().map(i128::from)
}

fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    match body.as_str() {
        "inf" | "infinity" if text.starts_with('-') => Some(f64::NEG_INFINITY),
        "inf" | "infinity" => Some(f64::INFINITY),
        "nan" => Some(f64::NAN),
        _ => scalar::float(text),
    }
}

/// The value, and whether YAML 1.2 knows the word.
fn boolean(text: &str) -> Option<(bool, bool)> {
    match text.to_lowercase().as_str() {
        "true" => Some((true, true)),
        "false" => Some((false, true)),
        "y" | "yes" | "on" => Some((true, false)),
        "n" | "no" | "off" => Some((false, false)),
        _ => None,
    }
}
