//! Small stacks for this crate's tests.

use muster_spec::{
    CommandSpec, ContainerSpec, PortAt, PortSpec, RemoteSpec, RuntimeKind, ServiceName, ServiceSpec, Stack, StackName,
    Template,
};

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
    let mut stack = Stack::of(StackName::new("test").unwrap(), "/", services);
    stack.base_env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    stack
}

/// A container of an image that nobody has.
pub(crate) fn container(name: &str) -> ServiceSpec {
    let mut spec = service(name);
    spec.runtime = RuntimeKind::Container;
    let container = ContainerSpec { image: Some(Template::literal("image")), ..ContainerSpec::default() };
    spec.variants.container = Some(container);
    spec
}

/// A process on a host.
pub(crate) fn remote(name: &str, host: &str) -> ServiceSpec {
    let mut spec = service(name);
    spec.runtime = RuntimeKind::Remote;
    let command = CommandSpec::Exec(vec![Template::literal("serve")]);
    let (before, sync) = (Vec::new(), Vec::new());
    spec.variants.remote = Some(RemoteSpec { host: host.to_owned(), command, before, sync, user: None, cwd: None });
    spec
}
