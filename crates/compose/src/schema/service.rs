//! The attributes of a service (compose-spec 05), in the order of the specification's schema.

use super::parts::{
    BLKIO, BUILD, COMMAND, DEPENDS_ON, DEPLOY, DEVELOP, DEVICES, ENV_FILE, EXTRA_HOSTS, GPUS, GRANTS, HEALTHCHECK,
    HOOKS, MODELS, NETWORKS, PORTS, PROVIDER, ULIMITS, VOLUMES,
};
use super::shape::{
    BOOL, BOOL_TEXT, INTEGER_TEXT, NUMBER_TEXT, Object, PAIRS, Rest, Shape, TEXT, TEXT_OR_SET, TEXT_SET, TEXTS, Type,
    extensible, line_name,
};

pub(super) const SERVICE: Object = extensible!(
    ("develop", DEVELOP),
    ("deploy", DEPLOY),
    ("annotations", PAIRS),
    ("attach", BOOL_TEXT),
    ("build", BUILD),
    ("blkio_config", Shape::Object(&BLKIO)),
    ("cap_add", TEXT_SET),
    ("cap_drop", TEXT_SET),
    ("cgroup", Shape::Word(&["host", "private"])),
    ("cgroup_parent", TEXT),
    ("command", COMMAND),
    ("configs", GRANTS),
    (
        "container_name",
        Shape::Text(container_name, "two letters or digits next to each other; `_`, `.` and `-` may follow the first")
    ),
    ("cpu_count", Shape::Within(0, i128::MAX)),
    ("cpu_percent", Shape::Within(0, 100)),
    ("cpu_shares", NUMBER_TEXT),
    ("cpu_quota", NUMBER_TEXT),
    ("cpu_period", NUMBER_TEXT),
    ("cpu_rt_period", NUMBER_TEXT),
    ("cpu_rt_runtime", NUMBER_TEXT),
    ("cpus", NUMBER_TEXT),
    ("cpuset", TEXT),
    ("credential_spec", Shape::Object(&extensible!(("config", TEXT), ("file", TEXT), ("registry", TEXT)))),
    ("depends_on", DEPENDS_ON),
    ("device_cgroup_rules", TEXT_SET),
    ("devices", DEVICES),
    ("dns", TEXT_OR_SET),
    ("dns_opt", TEXT_SET),
    ("dns_search", TEXT_OR_SET),
    ("domainname", TEXT),
    ("entrypoint", COMMAND),
    ("env_file", ENV_FILE),
    ("label_file", Shape::Either(&[TEXT, TEXTS])),
    ("environment", PAIRS),
    ("expose", Shape::Set(&NUMBER_TEXT)),
    ("extends", EXTENDS),
    ("provider", Shape::Object(&PROVIDER)),
    ("external_links", TEXT_SET),
    ("extra_hosts", EXTRA_HOSTS),
    ("gpus", GPUS),
    ("group_add", Shape::Set(&NUMBER_TEXT)),
    ("healthcheck", Shape::Object(&HEALTHCHECK)),
    ("hostname", TEXT),
    ("image", TEXT),
    ("init", BOOL_TEXT),
    ("ipc", TEXT),
    ("isolation", TEXT),
    ("labels", PAIRS),
    ("links", TEXT_SET),
    ("logging", Shape::Object(&extensible!(("driver", TEXT), ("options", LOG_OPTIONS)))),
    ("mac_address", TEXT),
    ("mem_limit", NUMBER_TEXT),
    ("mem_reservation", INTEGER_TEXT),
    ("mem_swappiness", INTEGER_TEXT),
    ("memswap_limit", NUMBER_TEXT),
    ("network_mode", TEXT),
    ("models", MODELS),
    ("networks", NETWORKS),
    ("oom_kill_disable", BOOL_TEXT),
    ("oom_score_adj", Shape::Within(-1000, 1000)),
    ("pid", Shape::Scalar(&[Type::Text, Type::Null])),
    ("pids_limit", NUMBER_TEXT),
    ("platform", TEXT),
    ("ports", PORTS),
    ("post_start", HOOKS),
    ("pre_stop", HOOKS),
    ("privileged", BOOL_TEXT),
    ("profiles", TEXT_SET),
    (
        "pull_policy",
        Shape::Text(
            pull_policy,
            "`always`, `never`, `build`, `missing`, `refresh`, `daily`, `weekly` or `every_` and a time"
        )
    ),
    ("pull_refresh_after", TEXT),
    ("read_only", BOOL_TEXT),
    ("restart", TEXT),
    ("runtime", TEXT),
    ("scale", INTEGER_TEXT),
    ("security_opt", TEXT_SET),
    ("shm_size", NUMBER_TEXT),
    ("secrets", GRANTS),
    ("sysctls", PAIRS),
    ("stdin_open", BOOL_TEXT),
    ("stop_grace_period", TEXT),
    ("stop_signal", TEXT),
    ("storage_opt", Shape::Object(&Object { keys: &[], required: &[], rest: Rest::Open })),
    ("tmpfs", TEXT_OR_SET),
    ("tty", BOOL_TEXT),
    ("ulimits", ULIMITS),
    ("use_api_socket", BOOL),
    ("user", TEXT),
    ("uts", TEXT),
    ("userns_mode", TEXT),
    ("volumes", VOLUMES),
    ("volumes_from", TEXT_SET),
    ("working_dir", TEXT),
);

const EXTENDS: Shape = Shape::Either(&[
    TEXT,
    Shape::Object(&Object { keys: &[("service", TEXT), ("file", TEXT)], required: &["service"], rest: Rest::Closed }),
]);

const LOG_OPTIONS: Shape = Shape::Object(&Object {
    keys: &[],
    required: &[],
    rest: Rest::NamesOrAny(line_name, &Shape::Scalar(&[Type::Text, Type::Number, Type::Null])),
});

/// A letter or digit with a character after it that a name may have; the schema's pattern has no anchors.
fn container_name(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| {
        pair[0].is_ascii_alphanumeric() && (pair[1].is_ascii_alphanumeric() || matches!(pair[1], b'_' | b'.' | b'-'))
    })
}

/// One of the words anywhere in the text, or `every_` and a time; this pattern has no anchors either.
fn pull_policy(text: &str) -> bool {
    const WORDS: [&str; 8] = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    if WORDS.iter().any(|word| text.contains(word)) {
        return true;
    }
    text.match_indices("every_").any(|(at, word)| {
        let time = &text[at + word.len()..];
        let digits = time.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && time[digits..].starts_with(['w', 'd', 'h', 'm', 's'])
    })
}
