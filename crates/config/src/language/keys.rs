//! The table of keys: the stack and everything but a service.

use super::keys_service::{COMMAND, NEEDS, SERVICE};
use super::{Key, Shape, key};

static TEXTS: Shape = Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]);

static INCLUDE: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("path", Shape::Text, "The file, relative to this one."),
        key("as", Shape::Text, "Prefix of every name in it: `as: obs` makes `prometheus` into `obs-prometheus`."),
    ]),
]);

static INCLUDES: Shape = Shape::OneOf(&[Shape::Text, Shape::List(&INCLUDE)]);

static VARIABLE: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("description", Shape::Text, "One line for people."),
        key("default", Shape::Text, "What it is when nothing gives it."),
        key("secret", Shape::Bool, "Masked everywhere, in captured logs as well."),
        key(
            "from",
            Shape::Record(&[
                key("env", Shape::Text, "Another variable of the caller's environment."),
                key("file", Shape::Text, "A file whose content it is, without the last newline."),
                key("command", Shape::Text, "A shell command whose output it is, without the last newline."),
            ]),
            "Where its value comes from when the environment does not give it.",
        ),
    ]),
]);

static PORTS: Shape = Shape::Record(&[
    key("base", Shape::Int, "First port of the environment; `+1` means this plus one."),
    key("block", Shape::Int, "Ports per environment: environment k takes base + k*block."),
]);

static DATABASE: Shape = Shape::Record(&[
    key("service", Shape::Text, "The service that serves it."),
    key("url", Shape::Text, "Where it is, when no service of the stack serves it."),
    key("engine", Shape::Words(&["postgres", "sqlite"]), "Its engine; `postgres` unless `file` is given."),
    key("name", Shape::Text, "Its name on the server; by default the name here."),
    key("file", Shape::Text, "SQLite's file."),
    key("migrations", Shape::Text, "Folder of migrations, `NNN_name.sql`."),
    key("clean", Shape::Map(&Shape::List(&Shape::Text)), "What `muster clean NAME` empties: tables in order."),
    key("seed", Shape::Text, "Statements that `muster seed` runs."),
]);

static TEST: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("command", Shape::See(&COMMAND), "What is run; `${args}` stands for what the caller adds."),
        key("shell", Shape::Text, "A script for a shell, instead of `command`."),
        key("interpreter", Shape::List(&Shape::Text), "The shell for `shell`; `[sh, -c]` by default."),
        key("needs", Shape::See(&NEEDS), "What must be there before; `all` is everything."),
    ]),
]);

static SYNC: Shape = Shape::Record(&[
    key("protos", Shape::List(&PROTO), "Protocol files that must agree."),
    key("migrations", Shape::List(&Shape::Text), "Databases whose applied migrations must be those in the folder."),
    key("images", Shape::Bool, "Images must be those that were built."),
    key(
        "env",
        Shape::List(&Shape::Record(&[
            key("template", Shape::Text, "The documented file."),
            key("files", Shape::List(&Shape::Text), "The files people have."),
        ])),
        "Environment files that must have what a template has.",
    ),
]);

static PROTO: Shape = Shape::Record(&[
    key("canonical", Shape::Text, "The folder that is right."),
    key("copies", Shape::List(&Shape::Text), "Folders that must hold the same."),
    key(
        "stubs",
        Shape::List(&Shape::Record(&[
            key("dir", Shape::Text, "The folder of generated code."),
            key("lang", Shape::Text, "The language it is in."),
        ])),
        "Code made from it.",
    ),
]);

static RUNTIME: Shape = Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]);

static ENVIRONMENT: Shape = Shape::Record(&[
    key("description", Shape::Text, "One line for people."),
    key("extends", Shape::Text, "Another environment that this one starts from."),
    key("runtime", Shape::See(&RUNTIME), "A variant, or a list in order of preference."),
    key("deploy", Shape::Text, "`nomad` or `kubernetes`: where `muster deploy` puts it."),
    key("ports", Shape::See(&PORTS), "Where its ports lie."),
    key("env_file", Shape::See(&TEXTS), "Files of variables, in place of the stack's."),
    key("variables", Shape::Map(&VARIABLE), "Variables that differ here."),
    key("services", Shape::Map(&SERVICE), "Services that differ here."),
    key("databases", Shape::Map(&DATABASE), "Databases that differ here."),
    key("tests", Shape::Map(&TEST), "Tests that differ here."),
    key("profiles", Shape::Map(&TEXTS), "Profiles that differ here."),
    key("sync", Shape::See(&SYNC), "What `sync-check` compares here."),
]);

/// A stack file.
pub(crate) static STACK: Shape = Shape::Record(STACK_KEYS);

static STACK_KEYS: &[Key] = &[
    key("name", Shape::Text, "The stack's name; by default its folder's."),
    key("include", Shape::See(&INCLUDES), "Other stack files."),
    key("env_file", Shape::See(&TEXTS), "Files of variables; `?` at the end: may be missing."),
    key("variables", Shape::Map(&VARIABLE), "Declared inputs, documented in one place."),
    key("ports", Shape::See(&PORTS), "Where the environments' ports lie."),
    key("services", Shape::Map(&SERVICE), "Services and jobs."),
    key("databases", Shape::Map(&DATABASE), "Databases of the stack."),
    key("tests", Shape::Map(&TEST), "What `muster test NAME` runs."),
    key("sync", Shape::See(&SYNC), "What `muster sync-check` holds to be equal."),
    key("environments", Shape::Map(&ENVIRONMENT), "What differs per environment."),
    key("default_environment", Shape::Text, "The environment without `--env`; `local` by default."),
    key("profiles", Shape::Map(&TEXTS), "Named selections."),
];
