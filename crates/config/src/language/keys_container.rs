//! The table of keys: the variants `container` and `remote`. Where the compose specification has a word it is ours as well.

use super::keys_service::{COMMAND, SHARED, STEP, TEXTS};
use super::{Key, Shape, key};

/// `{A: 1}` or `[A=1]`.
static PAIRS: Shape = Shape::OneOf(&[Shape::List(&Shape::Text), Shape::Map(&Shape::Text)]);

static BUILD: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("context", Shape::Text, "Folder that is sent to the builder; by default the file's."),
        key("dockerfile", Shape::Text, "Relative to the context; `Dockerfile` by default."),
        key("dockerfile_inline", Shape::Text, "A Dockerfile's text, instead of a file."),
        key("args", Shape::See(&PAIRS), "Build arguments; without a value the builder's own environment counts."),
        key("target", Shape::Text, "The stage that is built."),
        key("labels", Shape::See(&PAIRS), "Labels of the image."),
        key("no_cache", Shape::Bool, "Nothing is taken from the builder's cache."),
        key("pull", Shape::Bool, "The base images are pulled anew."),
        key("platform", Shape::Text, "`linux/amd64` and the like."),
        key("network", Shape::Text, "The network of `RUN` steps."),
    ]),
]);

static MOUNT: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&[
        key("type", Shape::Words(&["bind", "volume", "tmpfs", "content"]), "What is seen; `volume` by default."),
        key("source", Shape::Text, "A path of this machine, or a volume's name; a volume without one is anonymous."),
        key("target", Shape::Text, "Absolute path in the container."),
        key("read_only", Shape::Bool, "It cannot be written."),
        key(
            "bind",
            Shape::Record(&[
                key("create_host_path", Shape::Bool, "A missing folder is made; `true` by default."),
                key("propagation", Shape::Text, "`rprivate`, `rshared` and the like."),
            ]),
            "Of a bind mount.",
        ),
        key(
            "volume",
            Shape::Record(&[
                key("external", Shape::Bool, "Not ours: it must be there, and stays."),
                key("driver", Shape::Text, "The engine's volume driver."),
                key("driver_opts", Shape::See(&PAIRS), "The driver's options."),
                key("subpath", Shape::Text, "A folder in it."),
                key("nocopy", Shape::Bool, "What the image has there is not copied into an empty volume."),
            ]),
            "Of a volume.",
        ),
        key(
            "tmpfs",
            Shape::Record(&[
                key("size", Shape::Size, "Its size."),
                key("mode", Shape::Text, "Mode of its root, octal: `1777`."),
            ]),
            "Of a tmpfs.",
        ),
        key("content", Shape::Text, "The text of a file, of `type: content`."),
        key("mode", Shape::Text, "Mode of such a file, octal: `0444`."),
    ]),
]);

static HEALTHCHECK: Shape = Shape::OneOf(&[
    Shape::Words(&["image", "none", "false"]),
    Shape::Record(&[
        key("test", Shape::See(&TEXTS), "`[CMD, ...]`, `[CMD-SHELL, ...]` or a script; without one the image's."),
        key("interval", Shape::Duration, "Time between two checks."),
        key("timeout", Shape::Duration, "How long one may take."),
        key("retries", Shape::Int, "Failures until unhealthy."),
        key("start_period", Shape::Duration, "Failures in this time after the start do not count."),
        key("start_interval", Shape::Duration, "Time between two checks in that time."),
        key("disable", Shape::Bool, "None, even where the image has one."),
    ]),
]);

static ULIMIT: Shape = Shape::OneOf(&[
    Shape::Int,
    Shape::Record(&[key("soft", Shape::Int, "What holds."), key("hard", Shape::Int, "What it may be raised to.")]),
]);

/// The `container` variant.
pub(super) static CONTAINER: Shape = Shape::OneOf(&[Shape::Text, Shape::Records(&[CONTAINER_KEYS, SHARED])]);

pub(super) static CONTAINER_KEYS: &[Key] = &[
    key("image", Shape::Text, "Image to run; with `build`, the tag it gets."),
    key("build", Shape::See(&BUILD), "Builds the image."),
    key(
        "pull_policy",
        Shape::Words(&["missing", "if_not_present", "always", "never"]),
        "When the image is pulled; `missing` by default.",
    ),
    key("entrypoint", Shape::See(&COMMAND), "In place of the image's entrypoint; `[]` takes it away."),
    key("command", Shape::See(&COMMAND), "In place of the image's command."),
    key("before", Shape::List(&STEP), "Steps before the start, in containers with the same image and mounts."),
    key("volumes", Shape::List(&MOUNT), "`name:/path`, `./folder:/path:ro`, `/path`, or the long form."),
    key("tmpfs", Shape::See(&TEXTS), "Paths in memory: `/run`, `/tmp:size=64m,mode=1777`."),
    key("user", Shape::Text, "User, or `user:group`, in the container."),
    key("group_add", Shape::See(&TEXTS), "Further groups of that user."),
    key("working_dir", Shape::Text, "Working directory in the container."),
    key("hostname", Shape::Text, "Host name in the container."),
    key("domainname", Shape::Text, "Domain name in the container."),
    key("network_mode", Shape::Words(&["environment", "host", "none"]), "The environment's network, or another."),
    key("network_aliases", Shape::See(&TEXTS), "Further names on the environment's network."),
    key("extra_hosts", Shape::See(&PAIRS), "Further names: `name: address`; `host-gateway` is this machine."),
    key("dns", Shape::See(&TEXTS), "Name servers."),
    key("dns_search", Shape::See(&TEXTS), "Search domains."),
    key("dns_opt", Shape::See(&TEXTS), "Options of the resolver."),
    key("init", Shape::Bool, "A small init as process 1."),
    key("read_only", Shape::Bool, "The root file system cannot be written."),
    key("privileged", Shape::Bool, "All privileges."),
    key("cap_add", Shape::See(&TEXTS), "Capabilities added."),
    key("cap_drop", Shape::See(&TEXTS), "Capabilities dropped."),
    key("security_opt", Shape::See(&TEXTS), "Security options."),
    key("ulimits", Shape::Map(&ULIMIT), "Limits by name: `nofile: 1024` or `{soft, hard}`; -1 is none."),
    key("sysctls", Shape::See(&PAIRS), "Kernel parameters."),
    key("devices", Shape::See(&TEXTS), "`host:container:rwm`."),
    key("shm_size", Shape::Size, "Size of `/dev/shm`."),
    key("mem_reservation", Shape::Size, "Memory that is kept free for it."),
    key("memswap_limit", Shape::Size, "Memory and swap together; -1 is no limit."),
    key("oom_score_adj", Shape::Int, "Its chance to be ended when memory is short, -1000 to 1000."),
    key("cpu_shares", Shape::Int, "Weight of its CPU shares."),
    key("cpuset", Shape::Text, "The CPUs it may use: `0-2,4`."),
    key("pid", Shape::Text, "The PID namespace: `host`."),
    key("ipc", Shape::Text, "The IPC namespace: `host`, `private`, `shareable`."),
    key("uts", Shape::Text, "The UTS namespace: `host`."),
    key("userns_mode", Shape::Text, "The user namespace: `host`."),
    key("runtime", Shape::Text, "The engine's runtime: `runc`, `nvidia`."),
    key("platform", Shape::Text, "`linux/amd64` and the like."),
    key("stdin_open", Shape::Bool, "Standard input is kept open."),
    key("labels", Shape::See(&PAIRS), "Labels, beside ours."),
    key("container_name", Shape::Text, "The name at the engine; two environments cannot both have it."),
    key("healthcheck", Shape::See(&HEALTHCHECK), "The engine's own health check; by default the image's."),
];

/// The `remote` variant.
pub(super) static REMOTE: Shape = Shape::Records(&[REMOTE_KEYS, SHARED]);

pub(super) static REMOTE_KEYS: &[Key] = &[
    key("host", Shape::Text, "Host as ssh knows it: an alias, `host`, `user@host` or `ssh://user@host:port`."),
    key("command", Shape::See(&COMMAND), "Program and arguments there."),
    key("shell", Shape::Text, "A script for a shell there, instead of `command`."),
    key("interpreter", Shape::List(&Shape::Text), "The shell for `shell`."),
    key("before", Shape::List(&STEP), "Steps before the start, there."),
    key("sync", Shape::See(&TEXTS), "`local:remote`, uploaded before the start when it changed."),
    key("user", Shape::Text, "User to become there; only as root."),
    key("cwd", Shape::Text, "Working directory there; by default the home of the user that ssh logs in as."),
];
