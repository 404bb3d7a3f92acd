//! The project itself, and what stands beside its services (compose-spec 04, 06 to 09, 14).

use super::service::SERVICE;
use super::shape::{
    BOOL_TEXT, DRIVER_OPTIONS, INTEGER, Object, PAIRS, Rest, Shape, TEXT, TEXT_OR_SET, TEXTS, Type, extensible,
    line_name, named, resource_name,
};

pub(super) const PROJECT: Object = extensible!(
    ("version", TEXT),
    ("name", TEXT),
    ("include", Shape::List(&INCLUDE)),
    ("services", Shape::Object(&named!(resource_name, Shape::Object(&SERVICE)))),
    ("models", Shape::Object(&Object { keys: &[], required: &[], rest: Rest::NamesOrAny(resource_name, &MODEL) })),
    ("networks", Shape::Object(&Object { keys: &[], required: &[], rest: Rest::NamesOrAny(resource_name, &NETWORK) })),
    ("volumes", Shape::Object(&named!(resource_name, VOLUME))),
    ("secrets", Shape::Object(&named!(resource_name, SECRET))),
    ("configs", Shape::Object(&named!(resource_name, CONFIG))),
);

const INCLUDE: Shape = Shape::Either(&[
    TEXT,
    Shape::Object(&Object {
        keys: &[("path", TEXT_OR_SET), ("env_file", TEXT_OR_SET), ("project_directory", TEXT)],
        required: &[],
        rest: Rest::Closed,
    }),
]);

/// `external` of a network or volume: no other key than the old `name`.
const EXTERNAL: Shape = Shape::Either(&[BOOL_TEXT, Shape::Object(&extensible!(("name", TEXT)))]);

/// `external` of a secret or config: other keys are let through.
const EXTERNAL_FILE: Shape =
    Shape::Either(&[BOOL_TEXT, Shape::Object(&Object { keys: &[("name", TEXT)], required: &[], rest: Rest::Open })]);

const NULL: Shape = Shape::Scalar(&[Type::Null]);

const NETWORK: Shape = Shape::Either(&[
    NULL,
    Shape::Object(&extensible!(
        ("name", TEXT),
        ("driver", TEXT),
        ("driver_opts", DRIVER_OPTIONS),
        ("ipam", Shape::Object(&IPAM)),
        ("external", EXTERNAL),
        ("internal", BOOL_TEXT),
        ("enable_ipv4", BOOL_TEXT),
        ("enable_ipv6", BOOL_TEXT),
        ("attachable", BOOL_TEXT),
        ("labels", PAIRS),
    )),
]);

const IPAM: Object = extensible!(
    ("driver", TEXT),
    (
        "config",
        Shape::List(&Shape::Object(&extensible!(
            ("subnet", TEXT),
            ("ip_range", TEXT),
            ("gateway", TEXT),
            ("aux_addresses", Shape::Object(&named!(line_name, TEXT))),
        ))),
    ),
    ("options", Shape::Object(&named!(line_name, TEXT))),
);

const VOLUME: Shape = Shape::Either(&[
    NULL,
    Shape::Object(&extensible!(
        ("name", TEXT),
        ("driver", TEXT),
        ("driver_opts", DRIVER_OPTIONS),
        ("external", EXTERNAL),
        ("labels", PAIRS),
    )),
]);

const SECRET: Shape = Shape::Object(&extensible!(
    ("name", TEXT),
    ("environment", TEXT),
    ("file", TEXT),
    ("external", EXTERNAL_FILE),
    ("labels", PAIRS),
    ("driver", TEXT),
    ("driver_opts", DRIVER_OPTIONS),
    ("template_driver", TEXT),
));

const CONFIG: Shape = Shape::Object(&extensible!(
    ("name", TEXT),
    ("content", TEXT),
    ("environment", TEXT),
    ("file", TEXT),
    ("external", EXTERNAL_FILE),
    ("labels", PAIRS),
    ("template_driver", TEXT),
));

const MODEL: Shape = Shape::Object(&Object {
    keys: &[("name", TEXT), ("model", TEXT), ("context_size", INTEGER), ("runtime_flags", TEXTS)],
    required: &["model"],
    rest: Rest::Extensions,
});
