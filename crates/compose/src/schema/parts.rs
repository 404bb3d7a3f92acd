//! The attributes of a service that are maps or lists themselves (compose-spec 05, Build, Deploy, Develop).

use super::shape::{
    BOOL, BOOL_TEXT, DRIVER_OPTIONS, INTEGER_TEXT, NUMBER_TEXT, Object, PAIRS, Rest, Shape, TEXT, TEXT_OR_SET,
    TEXT_SET, TEXTS, Type, extensible, line_name, named, resource_name, some_name,
};

const NULL: Shape = Shape::Scalar(&[Type::Null]);

pub(super) const COMMAND: Shape = Shape::Either(&[NULL, TEXT, TEXTS]);

pub(super) const BUILD: Shape = Shape::Either(&[
    TEXT,
    Shape::Object(&extensible!(
        ("context", TEXT),
        ("dockerfile", TEXT),
        ("dockerfile_inline", TEXT),
        ("entitlements", TEXTS),
        ("args", PAIRS),
        ("ssh", PAIRS),
        ("labels", PAIRS),
        ("cache_from", TEXTS),
        ("cache_to", TEXTS),
        ("no_cache", BOOL_TEXT),
        ("additional_contexts", PAIRS),
        ("network", TEXT),
        ("provenance", BOOL_TEXT),
        ("sbom", BOOL_TEXT),
        ("pull", BOOL_TEXT),
        ("target", TEXT),
        ("shm_size", INTEGER_TEXT),
        ("extra_hosts", EXTRA_HOSTS),
        ("isolation", TEXT),
        ("privileged", BOOL_TEXT),
        ("secrets", GRANTS),
        ("tags", TEXTS),
        ("ulimits", ULIMITS),
        ("platforms", TEXTS),
    )),
]);

pub(super) const BLKIO: Object = Object {
    keys: &[
        ("device_read_bps", BLKIO_LIMITS),
        ("device_read_iops", BLKIO_LIMITS),
        ("device_write_bps", BLKIO_LIMITS),
        ("device_write_iops", BLKIO_LIMITS),
        ("weight", INTEGER_TEXT),
        ("weight_device", BLKIO_WEIGHTS),
    ],
    required: &[],
    rest: Rest::Closed,
};

const BLKIO_LIMITS: Shape = Shape::List(&Shape::Object(&Object {
    keys: &[("path", TEXT), ("rate", INTEGER_TEXT)],
    required: &[],
    rest: Rest::Closed,
}));

const BLKIO_WEIGHTS: Shape = Shape::List(&Shape::Object(&Object {
    keys: &[("path", TEXT), ("weight", INTEGER_TEXT)],
    required: &[],
    rest: Rest::Closed,
}));

pub(super) const DEPENDS_ON: Shape = Shape::Either(&[
    TEXT_SET,
    Shape::Object(&named!(
        resource_name,
        Shape::Object(&Object {
            keys: &[
                ("restart", BOOL_TEXT),
                ("required", BOOL),
                ("condition", Shape::Word(&["service_started", "service_healthy", "service_completed_successfully"]),),
            ],
            required: &["condition"],
            rest: Rest::Extensions,
        }),
    )),
]);

pub(super) const DEVICES: Shape = Shape::List(&Shape::Either(&[
    TEXT,
    Shape::Object(&Object {
        keys: &[("source", TEXT), ("target", TEXT), ("permissions", TEXT)],
        required: &["source"],
        rest: Rest::Extensions,
    }),
]));

pub(super) const ENV_FILE: Shape = Shape::Either(&[
    TEXT,
    Shape::List(&Shape::Either(&[
        TEXT,
        Shape::Object(&Object {
            keys: &[("path", TEXT), ("format", TEXT), ("required", BOOL_TEXT)],
            required: &["path"],
            rest: Rest::Closed,
        }),
    ])),
]);

pub(super) const PROVIDER: Object =
    Object { keys: &[("type", TEXT), ("options", PROVIDER_OPTIONS)], required: &["type"], rest: Rest::Extensions };

const PROVIDER_VALUE: Shape = Shape::Scalar(&[Type::Text, Type::Number, Type::Bool]);

const PROVIDER_OPTIONS: Shape = Shape::Object(&Object {
    keys: &[],
    required: &[],
    rest: Rest::NamesOrAny(line_name, &Shape::Either(&[PROVIDER_VALUE, Shape::List(&PROVIDER_VALUE)])),
});

pub(super) const EXTRA_HOSTS: Shape =
    Shape::Either(&[Shape::Object(&named!(some_name, Shape::Either(&[TEXT, TEXTS]))), TEXT_SET]);

const DEVICE_REQUEST: &[(&str, Shape)] = &[
    ("capabilities", TEXT_SET),
    ("count", INTEGER_TEXT),
    ("device_ids", TEXT_SET),
    ("driver", TEXT),
    ("options", PAIRS),
];

pub(super) const GPUS: Shape = Shape::Either(&[
    Shape::Word(&["all"]),
    Shape::List(&Shape::Object(&Object { keys: DEVICE_REQUEST, required: &[], rest: Rest::Open })),
]);

/// Configs and secrets of a service, secrets of a build.
pub(super) const GRANTS: Shape = Shape::List(&Shape::Either(&[
    TEXT,
    Shape::Object(&extensible!(
        ("source", TEXT),
        ("target", TEXT),
        ("uid", TEXT),
        ("gid", TEXT),
        ("mode", NUMBER_TEXT),
    )),
]));

pub(super) const HEALTHCHECK: Object = extensible!(
    ("disable", BOOL_TEXT),
    ("interval", TEXT),
    ("retries", NUMBER_TEXT),
    ("test", Shape::Either(&[TEXT, TEXTS])),
    ("timeout", TEXT),
    ("start_period", TEXT),
    ("start_interval", TEXT),
);

const HOOK: Object = Object {
    keys: &[
        ("command", COMMAND),
        ("user", TEXT),
        ("privileged", BOOL_TEXT),
        ("working_dir", TEXT),
        ("environment", PAIRS),
    ],
    required: &["command"],
    rest: Rest::Extensions,
};

pub(super) const HOOKS: Shape = Shape::List(&Shape::Object(&HOOK));

pub(super) const MODELS: Shape = Shape::Either(&[
    TEXT_SET,
    Shape::Object(&Object {
        keys: &[],
        required: &[],
        rest: Rest::NamesOrAny(
            resource_name,
            &Shape::Either(&[NULL, Shape::Object(&extensible!(("endpoint_var", TEXT), ("model_var", TEXT)))]),
        ),
    }),
]);

pub(super) const NETWORKS: Shape = Shape::Either(&[
    TEXT_SET,
    Shape::Object(&named!(
        resource_name,
        Shape::Either(&[
            NULL,
            Shape::Object(&extensible!(
                ("aliases", TEXT_SET),
                ("interface_name", TEXT),
                ("ipv4_address", TEXT),
                ("ipv6_address", TEXT),
                ("link_local_ips", TEXT_SET),
                ("mac_address", TEXT),
                ("driver_opts", DRIVER_OPTIONS),
                ("priority", NUMBER),
                ("gw_priority", NUMBER),
            )),
        ]),
    )),
]);

const NUMBER: Shape = Shape::Scalar(&[Type::Number]);

pub(super) const PORTS: Shape = Shape::Set(&Shape::Either(&[
    NUMBER_TEXT,
    Shape::Object(&extensible!(
        ("name", TEXT),
        ("mode", TEXT),
        ("host_ip", TEXT),
        ("target", INTEGER_TEXT),
        ("published", INTEGER_TEXT),
        ("protocol", TEXT),
        ("app_protocol", TEXT),
    )),
]));

pub(super) const ULIMITS: Shape = Shape::Object(&Object {
    keys: &[],
    required: &[],
    rest: Rest::NamesOrAny(
        |name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()),
        &Shape::Either(&[
            INTEGER_TEXT,
            Shape::Object(&Object {
                keys: &[("hard", INTEGER_TEXT), ("soft", INTEGER_TEXT)],
                required: &["soft", "hard"],
                rest: Rest::Extensions,
            }),
        ]),
    ),
});

pub(super) const VOLUMES: Shape = Shape::Set(&Shape::Either(&[
    TEXT,
    Shape::Object(&Object {
        keys: &[
            ("type", Shape::Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
            ("source", TEXT),
            ("target", TEXT),
            ("read_only", BOOL_TEXT),
            ("consistency", TEXT),
            (
                "bind",
                Shape::Object(&extensible!(
                    ("propagation", TEXT),
                    ("create_host_path", BOOL_TEXT),
                    ("recursive", Shape::Word(&["enabled", "disabled", "writable", "readonly"])),
                    ("selinux", Shape::Word(&["z", "Z"])),
                )),
            ),
            ("volume", Shape::Object(&extensible!(("labels", PAIRS), ("nocopy", BOOL_TEXT), ("subpath", TEXT)))),
            ("tmpfs", Shape::Object(&extensible!(("size", Shape::Within(0, i128::MAX)), ("mode", NUMBER_TEXT)))),
            ("image", Shape::Object(&extensible!(("subpath", TEXT)))),
        ],
        required: &["type"],
        rest: Rest::Extensions,
    }),
]));

pub(super) const DEVELOP: Shape = Shape::Either(&[
    NULL,
    Shape::Object(&extensible!((
        "watch",
        Shape::List(&Shape::Object(&Object {
            keys: &[
                ("ignore", TEXT_OR_SET),
                ("include", TEXT_OR_SET),
                ("path", TEXT),
                ("action", Shape::Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
                ("target", TEXT),
                ("exec", Shape::Object(&HOOK)),
                ("initial_sync", BOOL),
            ],
            required: &["path", "action"],
            rest: Rest::Extensions,
        })),
    ))),
]);

pub(super) const DEPLOY: Shape = Shape::Either(&[
    NULL,
    Shape::Object(&extensible!(
        ("mode", TEXT),
        ("endpoint_mode", TEXT),
        ("replicas", INTEGER_TEXT),
        ("labels", PAIRS),
        ("rollback_config", Shape::Object(&UPDATE)),
        ("update_config", Shape::Object(&UPDATE)),
        ("resources", Shape::Object(&extensible!(("limits", LIMITS), ("reservations", RESERVATIONS)))),
        (
            "restart_policy",
            Shape::Object(&extensible!(
                ("condition", TEXT),
                ("delay", TEXT),
                ("max_attempts", INTEGER_TEXT),
                ("window", TEXT),
            )),
        ),
        ("placement", PLACEMENT),
    )),
]);

const UPDATE: Object = extensible!(
    ("parallelism", INTEGER_TEXT),
    ("delay", TEXT),
    ("failure_action", TEXT),
    ("monitor", TEXT),
    ("max_failure_ratio", NUMBER_TEXT),
    ("order", Shape::Word(&["start-first", "stop-first"])),
);

const LIMITS: Shape = Shape::Object(&extensible!(("cpus", NUMBER_TEXT), ("memory", TEXT), ("pids", INTEGER_TEXT)));

const RESERVATIONS: Shape = Shape::Object(&extensible!(
    ("cpus", NUMBER_TEXT),
    ("memory", TEXT),
    (
        "generic_resources",
        Shape::List(&Shape::Object(&extensible!((
            "discrete_resource_spec",
            Shape::Object(&extensible!(("kind", TEXT), ("value", NUMBER_TEXT))),
        )))),
    ),
    (
        "devices",
        Shape::List(&Shape::Object(&Object {
            keys: DEVICE_REQUEST,
            required: &["capabilities"],
            rest: Rest::Extensions,
        })),
    ),
));

const PLACEMENT: Shape = Shape::Object(&extensible!(
    ("constraints", TEXTS),
    ("preferences", Shape::List(&Shape::Object(&extensible!(("spread", TEXT))))),
    ("max_replicas_per_node", INTEGER_TEXT),
));
