//! What has no place in our language.

use super::Import;
use muster_compose::model::{Network, Service};

const LEFT: &str = "it is left out";

/// Networks, volumes and services that are not what they were.
pub(super) fn of_project(import: &mut Import<'_>) {
    let project = import.project;
    for name in project.disabled.keys() {
        let field = format!("services.{name}");
        import.loss.push(&field, "its profile is off", "it is left out; COMPOSE_PROFILES turns profiles on");
    }
    for (name, network) in &project.networks {
        self::network(import, name, network);
    }
    for (name, volume) in &project.volumes {
        let field = format!("volumes.{name}");
        if !volume.labels.is_empty() {
            import.loss.push(&format!("{field}.labels"), "volumes have no labels of yours", LEFT);
        }
        if !volume.external && volume.name != format!("{}_{name}", project.name) {
            let reason = "each environment has volumes of its own";
            import.loss.push(&format!("{field}.name"), reason, "the environment's name is part of its name");
        }
    }
    for name in project.models.keys() {
        import.loss.push(&format!("models.{name}"), "language models are not started", LEFT);
    }
}

fn network(import: &mut Import<'_>, name: &str, network: &Network) {
    let one = "there is one network in an environment";
    if name != "default" {
        import.loss.push(&format!("networks.{name}"), one, "its services find each other and all others by name");
    }
    let lost = [
        ("external", network.external),
        ("internal", network.internal),
        ("attachable", network.attachable),
        ("driver", !network.driver.is_empty()),
        ("driver_opts", !network.driver_opts.is_empty()),
        ("labels", !network.labels.is_empty()),
        ("enable_ipv4", network.enable_ipv4.is_some()),
        ("enable_ipv6", network.enable_ipv6.is_some()),
        ("ipam", !network.ipam.config.is_empty() || !network.ipam.driver.is_empty()),
        ("name", !network.external && network.name != format!("{}_{name}", import.project.name)),
    ];
    for (attribute, _) in lost.into_iter().filter(|(_, set)| *set) {
        import.loss.push(&format!("networks.{name}.{attribute}"), one, "it is the engine's plain bridge");
    }
}

/// Attributes of a service.
pub(super) fn of_service(import: &mut Import<'_>, name: &str, service: &Service) {
    for (attribute, _, reason, instead) in attributes(service).into_iter().filter(|(_, set, ..)| *set) {
        import.lose(name, attribute, reason, instead);
    }
    // the model does not have it, as Compose's own does not
    if import.project.span(&["services", name, "pull_refresh_after"]).is_some() {
        import.lose(name, "pull_refresh_after", "an image has no age", "it is pulled when it is not there");
    }
    for (network, about) in service.networks.iter().filter_map(|(network, about)| Some((network, about.as_ref()?))) {
        let fixed = [
            ("ipv4_address", !about.ipv4_address.is_empty()),
            ("ipv6_address", !about.ipv6_address.is_empty()),
            ("link_local_ips", !about.link_local_ips.is_empty()),
            ("mac_address", !about.mac_address.is_empty()),
            ("interface_name", !about.interface_name.is_empty()),
            ("driver_opts", !about.driver_opts.is_empty()),
            ("priority", about.priority != 0),
            ("gw_priority", about.gw_priority != 0),
        ];
        for (attribute, _) in fixed.into_iter().filter(|(_, set)| *set) {
            let attribute = format!("networks.{network}.{attribute}");
            import.lose(name, &attribute, "the engine gives the address", "it is found by its name");
        }
    }
    let Some(deploy) = &service.deploy else { return };
    let reserved = deploy.resources.reservations.clone().unwrap_or_default();
    let swarm = "it says where in a cluster a service runs";
    let lost = [
        ("mode", !deploy.mode.is_empty() && deploy.mode != "replicated", swarm),
        ("endpoint_mode", !deploy.endpoint_mode.is_empty(), swarm),
        ("labels", !deploy.labels.is_empty(), swarm),
        ("update_config", deploy.update_config.is_some(), swarm),
        ("rollback_config", deploy.rollback_config.is_some(), swarm),
        ("placement", !deploy.placement.constraints.is_empty() || !deploy.placement.preferences.is_empty(), swarm),
        ("resources.reservations.cpus", reserved.cpus.0 > 0.0, "processors are not set aside"),
        ("resources.reservations.devices", !reserved.devices.is_empty(), "devices are named, not asked for"),
        ("resources.reservations.generic_resources", !reserved.generic_resources.is_empty(), swarm),
    ];
    for (attribute, _, reason) in lost.into_iter().filter(|(_, set, _)| *set) {
        import.lose(name, &format!("deploy.{attribute}"), reason, LEFT);
    }
}

/// Attribute, whether it is set, why it cannot be kept, and what is done instead.
fn attributes(service: &Service) -> [(&'static str, bool, &'static str, &'static str); 25] {
    let engine = "the engine's default counts";
    [
        ("annotations", !service.annotations.is_empty(), "containers have labels only", LEFT),
        ("attach", service.attach == Some(false), "all logs are one stream", "`muster logs` chooses services"),
        ("blkio_config", service.blkio_config.is_some(), "block devices are not limited", engine),
        ("cgroup", !service.cgroup.is_empty(), "the cgroup is the engine's matter", engine),
        ("cgroup_parent", !service.cgroup_parent.is_empty(), "the cgroup is the engine's matter", engine),
        ("cpu_count", service.cpu_count != 0, "only Windows has it", LEFT),
        ("cpu_percent", service.cpu_percent.0 > 0.0, "only Windows has it", LEFT),
        ("cpu_rt_period", service.cpu_rt_period != 0, "real-time scheduling is not set", engine),
        ("cpu_rt_runtime", service.cpu_rt_runtime != 0, "real-time scheduling is not set", engine),
        ("credential_spec", service.credential_spec.is_some(), "only Windows has it", LEFT),
        ("device_cgroup_rules", !service.device_cgroup_rules.is_empty(), "devices are named one by one", LEFT),
        ("external_links", !service.external_links.is_empty(), "containers outside are not reached", LEFT),
        ("gpus", !service.gpus.is_empty(), "devices are named, not asked for", LEFT),
        ("isolation", !service.isolation.is_empty(), "only Windows has it", LEFT),
        ("logging", service.logging.is_some(), "logs are kept by the environment", "`logs: {keep}` limits them"),
        ("mac_address", !service.mac_address.is_empty(), "the engine gives the address", engine),
        ("mem_swappiness", service.mem_swappiness.0 != 0, "swapping is not tuned", engine),
        ("models", !service.models.is_empty(), "language models are not started", LEFT),
        ("oom_kill_disable", service.oom_kill_disable, "a service can be ended when memory is short", engine),
        ("post_start", !service.post_start.is_empty(), "nothing is run in a container after its start", LEFT),
        ("pre_stop", !service.pre_stop.is_empty(), "nothing is run in a container before it stops", LEFT),
        ("storage_opt", !service.storage_opt.is_empty(), "the storage driver is the engine's matter", engine),
        ("use_api_socket", service.use_api_socket, "the engine's socket is not handed on", "mount it as a volume"),
        ("volumes_from", !service.volumes_from.is_empty(), "mounts are not taken over", "write them here as well"),
        ("cpu_period", service.cpu_period != 0 && service.cpu_quota == 0, "it means nothing alone", LEFT),
    ]
}
