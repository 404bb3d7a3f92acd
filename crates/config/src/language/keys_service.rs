//! The table of keys: a service, its variants, probes and policies.
//!
//! A variant has keys of its own, and those that all variants of a service share may stand in it as well.

use super::keys_container::{CONTAINER, CONTAINER_KEYS, REMOTE, REMOTE_KEYS};
use super::{Key, Shape, key};
use muster_spec::RuntimeKind;

/// A list is executed as it is, a string is split, a map hands a script to a shell.
pub(crate) static COMMAND: Shape = Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text), Shape::Record(SCRIPT)]);

static SCRIPT: &[Key] = &[
    key("shell", Shape::Text, "A script for a shell."),
    key("interpreter", Shape::List(&Shape::Text), "The shell and its arguments; `[sh, -c]` by default."),
    key("command", Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]), "Program and arguments, without a shell."),
];

/// A step before the start.
pub(super) static STEP: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::List(&Shape::Text),
    Shape::Record(&[
        key("command", Shape::See(&COMMAND), "What is run."),
        key("shell", Shape::Text, "A script for a shell, instead of `command`."),
        key("interpreter", Shape::List(&Shape::Text), "The shell for `shell`."),
        key("creates", Shape::Text, "A path; where it exists the step is skipped."),
    ]),
]);

/// One text or several.
pub(super) static TEXTS: Shape = Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]);

/// The `process` variant.
static PROCESS: Shape =
    Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text), Shape::Records(&[PROCESS_KEYS, SHARED, HERE])]);

pub(super) static PROCESS_KEYS: &[Key] = &[
    key("command", Shape::See(&COMMAND), "Program and arguments; a relative path starts at the file's folder."),
    key("shell", Shape::Text, "A script for a shell, instead of `command`."),
    key("interpreter", Shape::List(&Shape::Text), "The shell for `shell`; `[sh, -c]` by default."),
    key("user", Shape::Text, "User to become; only as root."),
    key("before", Shape::List(&STEP), "Steps before the first start."),
    key("umask", Shape::Text, "File mode creation mask, octal: `022`."),
];

static MOCK: Shape = Shape::OneOf(&[Shape::Text, Shape::Records(&[MOCK_KEYS, SHARED, HERE])]);

static MOCK_KEYS: &[Key] = &[key("file", Shape::Text, "The answers.")];

static EXTERNAL: Shape = Shape::OneOf(&[Shape::Text, Shape::Records(&[EXTERNAL_KEYS, SHARED])]);

static EXTERNAL_KEYS: &[Key] = &[key("url", Shape::Text, "Where it is; empty: not configured.")];

/// Where a port lies.
static PORT: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("at", Shape::Text, "`5432` everywhere, `+5` from the environment's base, or `auto`."),
        key("container", Shape::Int, "Port inside a container."),
        key("stride", Shape::Int, "Distance between the ports of two replicas."),
        key("udp", Shape::Bool, "A UDP port: not probed for listening."),
        key("address", Shape::Text, "Address of this machine it is reached at; `127.0.0.1` by default."),
    ]),
]);

/// One need.
static NEED: Shape = Shape::OneOf(&[
    Shape::Words(&["started", "ready", "healthy", "done", "exited"]),
    Shape::Record(&[
        key("until", Shape::Words(&["started", "ready", "healthy", "done", "exited"]), "What is waited for."),
        key("restart", Shape::Words(&["with", "wait", "ignore"]), "What its restart does here."),
        key("optional", Shape::Bool, "Does not hold the start back when it cannot be met."),
    ]),
]);

/// `{db: ready}`, `[db, cache]` or `db`.
pub(crate) static NEEDS: Shape = Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text), Shape::Map(&NEED)]);

static MATCHER: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("contains", Shape::Text, "Contains this; a bare text means the same."),
        key("equals", Shape::Text, "Is this."),
        key("regex", Shape::Text, "The regular expression matches somewhere."),
    ]),
]);

macro_rules! checks {
    ($($more:expr),* $(,)?) => {
        &[
            key("tcp", Shape::Text, "A port's name or `host:port` accepts a connection."),
            key("http", Shape::See(&HTTP), "A URL or port's name answers as expected."),
            key("grpc", Shape::See(&GRPC), "`grpc.health.v1` says SERVING."),
            key("exec", Shape::See(&COMMAND), "A command ends with 0."),
            key("log", Shape::Text, "A line of this run's output matches the regular expression."),
            key("notify", Shape::Bool, "The service says READY=1 (as `live`: WATCHDOG=1), see sd_notify(3)."),
            key("file", Shape::Text, "A file exists."),
            key("healthcheck", Shape::Bool, "The engine's own health check of the container passes."),
            key("listens", Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]),
                "The service's own process tree listens on these ports."),
            key("all", Shape::List(&CHECK), "Every one passes."),
            key("any", Shape::List(&CHECK), "At least one passes."),
            $($more),*
        ]
    };
}

static HTTP: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("url", Shape::Text, "The whole URL."),
        key("port", Shape::Text, "Or a port's name."),
        key("path", Shape::Text, "With `port`: the path; `/` by default."),
        key("scheme", Shape::Words(&["http", "https"]), "With `port`: `http` by default."),
        key("method", Shape::Text, "Request method; `GET` by default."),
        key("headers", Shape::Map(&Shape::Text), "Request headers."),
        key(
            "status",
            Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]),
            "Accepted codes: `200`, `200-299`, `2xx` or a list of these; `200-399` by default.",
        ),
        key("header", Shape::Map(&MATCHER), "Response headers that must match."),
        key("body", Shape::See(&MATCHER), "What the body must match."),
        key("insecure", Shape::Bool, "Accept any certificate."),
    ]),
]);

static GRPC: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("port", Shape::Text, "A port's name; the service's only port by default."),
        key("target", Shape::Text, "Or `host:port`."),
        key("service", Shape::Text, "The service asked for; the whole server by default."),
    ]),
]);

static CHECK: Shape = Shape::OneOf(&[Shape::Text, Shape::Record(checks!())]);

static PROBE: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(checks!(
        key("every", Shape::Duration, "Time between two attempts after the first pass; `10s` by default."),
        key("timeout", Shape::Duration, "An attempt that takes longer has failed; `1s`, for `exec` `5s`."),
        key("fails", Shape::Int, "Failures in a row that change the answer to no; 3 by default."),
        key("passes", Shape::Int, "Passes in a row that change the answer to yes; 1 by default."),
        key("within", Shape::Duration, "Until the first pass, else the start failed; `60s` for `startup`."),
        key("delay", Shape::Duration, "How long after the start the first attempt is made."),
    )),
]);

static STOP: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("signal", Shape::Text, "The signal that asks; `TERM` by default."),
        key("grace", Shape::Duration, "How long until KILL; `10s` by default."),
        key("to", Shape::Words(&["main", "group"]), "Who gets the signal; `group` by default."),
        key("command", Shape::See(&COMMAND), "Runs instead of the signal."),
    ]),
]);

static RESTART: Shape = Shape::OneOf(&[
    Shape::Words(&["always", "failure", "never"]),
    Shape::Record(&[
        key("on", Shape::Words(&["always", "failure", "never"]), "After which ends."),
        key("backoff", Shape::Text, "`200ms..30s` doubles, `2s` is constant."),
        key("limit", Shape::Text, "`5 per 60s`, or `none`: then it gives up."),
        key("max", Shape::Int, "Restarts in all; then nothing is due."),
    ]),
]);

static LIMITS: Shape = Shape::Record(&[
    key("memory", Shape::Size, "Bytes of memory."),
    key("cpus", Shape::Number, "Cores, as a fraction."),
    key("pids", Shape::Int, "Processes and threads."),
    key("files", Shape::Int, "Open files."),
]);

static WATCH: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("paths", Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]), "Globs from the file's folder."),
        key("ignore", Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]), "Globs that do not count."),
        key(
            "do",
            Shape::OneOf(&[
                Shape::Text,
                Shape::Record(&[
                    key("run", Shape::See(&COMMAND), "Runs a command."),
                    key("signal", Shape::Text, "Sends a signal to the main process."),
                ]),
            ]),
            "`restart`, `rebuild`, `sync`, `signal HUP` or `{run: [...]}`.",
        ),
        key("run", Shape::See(&COMMAND), "Runs a command, instead of `do`."),
        key(
            "to",
            Shape::Text,
            "`do: sync`: where `from` lies in the container, absolute, or on the host, where a relative path starts at the home.",
        ),
        key(
            "from",
            Shape::Text,
            "`do: sync`: the folder or file that `to` stands for; what `paths` begin with by default.",
        ),
        key("initial", Shape::Bool, "`do: sync`: also what is there when the watching begins."),
        key(
            "then",
            Shape::OneOf(&[
                Shape::Words(&["restart"]),
                Shape::Record(&[key("exec", Shape::See(&COMMAND), "Runs a command beside the service.")]),
            ]),
            "`do: sync`: what is done afterwards.",
        ),
    ]),
]);

static LOGS: Shape = Shape::OneOf(&[
    Shape::Size,
    Shape::Record(&[
        key("keep", Shape::Size, "Bytes kept on disk per run; `64MiB` by default."),
        key("format", Shape::Words(&["text", "json"]), "`json`: lines are understood by `muster logs`."),
        key("file", Shape::Text, "A file that gets a copy of every line."),
    ]),
]);

static DETAILS: Shape = Shape::Record(&[
    key(
        "grpc",
        Shape::Record(&[
            key("port", Shape::Text, "A port's name; the service's only port by default."),
            key("target", Shape::Text, "Or `host:port`."),
            key("method", Shape::Text, "`package.Service/Method` without arguments."),
        ]),
        "A gRPC method found by reflection.",
    ),
    key("http", Shape::Text, "The URL of a JSON document."),
]);

static CACHE: Shape = Shape::Record(&[
    key(
        "grpc",
        Shape::Record(&[
            key("port", Shape::Text, "A port's name; the service's only port by default."),
            key("service", Shape::Text, "`package.Service` with the admin RPCs."),
        ]),
        "Admin RPCs of the service.",
    ),
    key(
        "redis",
        Shape::OneOf(&[Shape::Text, Shape::Record(&[key("port", Shape::Text, "A port's name.")])]),
        "The Redis protocol.",
    ),
]);

static BUILD: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::List(&Shape::Text),
    Shape::Record(&[
        key("command", Shape::See(&COMMAND), "What is run."),
        key("shell", Shape::Text, "A script for a shell, instead of `command`."),
        key("interpreter", Shape::List(&Shape::Text), "The shell for `shell`."),
        key("inputs", Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]), "Unchanged: the build is skipped."),
    ]),
]);

static PORTS: Shape = Shape::OneOf(&[Shape::List(&Shape::Text), Shape::Map(&PORT)]);

static ENV: Shape = Shape::OneOf(&[Shape::List(&Shape::Text), Shape::Map(&Shape::Text)]);

static WATCHES: Shape = Shape::List(&WATCH);

static CODES: Shape = Shape::OneOf(&[Shape::Int, Shape::List(&Shape::Int)]);

/// A service.
pub(crate) static SERVICE: Shape = Shape::Records(&[SERVICE_KEYS, SHARED, HERE]);

/// What holds for a service whichever of its variants runs.
pub(super) static SERVICE_KEYS: &[Key] = &[
    key("description", Shape::Text, "One line for people."),
    key("group", Shape::Text, "The group it is selected and shown by."),
    key("aliases", Shape::See(&TEXTS), "Further names it is selected by."),
    key("job", Shape::Bool, "Should finish, not run."),
    key("runtime", Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]), "The variant that is used."),
    key("process", Shape::See(&PROCESS), "A native process of this machine."),
    key("container", Shape::See(&CONTAINER), "A container of the local engine."),
    key("remote", Shape::See(&REMOTE), "A process on another host."),
    key("mock", Shape::See(&MOCK), "A deterministic stand-in."),
    key("external", Shape::See(&EXTERNAL), "Somebody else's."),
    key("command", Shape::See(&COMMAND), "Short for the command of the variant."),
    key("shell", Shape::Text, "Short for `process: {shell: ...}`."),
    key("binary", Shape::Text, "Short for the program of `process`."),
    key("args", Shape::List(&Shape::Text), "Arguments of `binary`."),
    key("image", Shape::Text, "Short for `container: {image: ...}`."),
    key("host", Shape::Text, "Short for `remote: {host: ...}`."),
];

/// What all variants of a service share, and one may have its own of: given inside a variant it holds for that one.
pub(super) static SHARED: &[Key] = &[
    key("build", Shape::See(&BUILD), "Build step before a start."),
    key("ports", Shape::See(&PORTS), "Named ports."),
    key("env", Shape::See(&ENV), "Environment variables."),
    key("env_file", Shape::See(&TEXTS), "Files of variables for this service; `env` wins."),
    key("needs", Shape::See(&NEEDS), "Edges to other services."),
    key("startup", Shape::See(&PROBE), "Until it first passes, the service is starting."),
    key("ready", Shape::See(&PROBE), "Ready or not; `none`: alive is ready."),
    key("live", Shape::See(&PROBE), "Healthy or not."),
    key("details", Shape::See(&DETAILS), "Own health details, shown by `muster health`."),
    key("restart", Shape::See(&RESTART), "When it is started again; a job by default never."),
    key("unhealthy", Shape::Words(&["restart", "ignore"]), "What failing `live` does."),
    key("replicas", Shape::Int, "Copies."),
    key("tty", Shape::Bool, "Runs on a pseudo-terminal."),
    key("merge", Shape::Bool, "Standard output and error in one exact order."),
    key("inherit", Shape::Bool, "Gets the caller's whole environment."),
    key("success", Shape::See(&CODES), "Exit codes that count as success."),
    key("on_failure", Shape::Words(&["keep", "end"]), "`end`: its failure ends the attached `up`."),
    key("on_exit", Shape::Words(&["keep", "end"]), "`end`: any end of it ends the attached `up`."),
    key("limits", Shape::See(&LIMITS), "What it may use."),
    key("watch", Shape::See(&WATCHES), "Watched paths and what their change does."),
    key("logs", Shape::See(&LOGS), "What is kept of its output."),
    key("cache", Shape::See(&CACHE), "What `muster cache` talks to."),
    key("inputs", Shape::See(&TEXTS), "A job's inputs: unchanged since the last success, it is not run again."),
    key("stop", Shape::See(&STOP), "How it is stopped."),
    key("autostart", Shape::Bool, "`false`: starts only when named or needed."),
    key("optional", Shape::Bool, "An external service that may be absent."),
];

/// As [`SHARED`], of what runs on this machine.
static HERE: &[Key] = &[key("cwd", Shape::Text, "Working directory, from the file's folder.")];

/// Whether a key inside a variant is one that all share, and not one of the variant's own.
pub(crate) fn overrides(kind: RuntimeKind, name: &str) -> bool {
    let has = |table: &[Key]| table.iter().any(|key| key.name == name);
    let (own, here) = match kind {
        RuntimeKind::Process => (PROCESS_KEYS, true),
        RuntimeKind::Container => (CONTAINER_KEYS, false),
        RuntimeKind::Remote => (REMOTE_KEYS, false),
        RuntimeKind::Mock => (MOCK_KEYS, true),
        RuntimeKind::External => (EXTERNAL_KEYS, false),
    };
    !has(own) && (has(SHARED) || here && has(HERE))
}
