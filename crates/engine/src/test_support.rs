//! Small stacks for this crate's tests.

use muster_spec::{
    CommandSpec, EnvironmentName, PortAt, PortPlan, PortSpec, ServiceName, ServiceSpec, Stack, StackName, SyncSpec,
    Template,
};
use std::path::PathBuf;

/// A service that runs `sleep 1000`.
pub(crate) fn service(name: &str) -> ServiceSpec {
    let command = CommandSpec::Exec(vec![Template::literal("sleep"), Template::literal("1000")]);
    ServiceSpec::process(ServiceName::new(name).unwrap(), command, "/")
}

/// A TCP port.
pub(crate) fn port(at: PortAt) -> PortSpec {
    PortSpec { at, container: None, stride: None, udp: false, address: None }
}

/// A stack of these services in environment `local`.
pub(crate) fn stack(services: impl IntoIterator<Item = ServiceSpec>) -> Stack {
    Stack {
        name: StackName::new("test").unwrap(),
        environment: EnvironmentName::new("local").unwrap(),
        root: PathBuf::from("/"),
        files: Vec::new(),
        ports: PortPlan::default(),
        services: services.into_iter().map(|s| (s.name.clone(), s)).collect(),
        databases: indexmap::IndexMap::new(),
        tests: indexmap::IndexMap::new(),
        profiles: indexmap::IndexMap::new(),
        sync: SyncSpec::default(),
        variables: indexmap::IndexMap::new(),
        base_env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        inherited_env: std::collections::BTreeMap::new(),
    }
}
