//! A service (compose-spec 05).

use std::collections::BTreeMap;

use super::build::Build;
use super::decode::model;
use super::deploy::{Deploy, DeviceRequest};
use super::parts::{Blkio, CredentialSpec, Dependency, Develop, Device, EnvFile, HealthCheck, Hook, Logging, Provider};
use super::values::{Bytes, Command, ExtraHosts, Pairs, Share, Texts, Ulimit, Variables};
use super::wiring::{Grant, Port, ServiceModel, ServiceNetwork, Volume};
use crate::text::Duration;

model! {
    /// A service. An empty text, an empty list, `false` and 0 are what is not set, as in Compose; where unset and empty differ
    /// there is an `Option`, or a type of its own as for [`Command`].
    pub struct Service {
        /// Profiles it belongs to; it is always there when it names none.
        profiles: Vec<String>,
        /// Annotations of the container.
        annotations: Pairs,
        /// Whether `up` shows its log.
        attach: Option<bool>,
        /// How its image is built.
        build: Option<Build>,
        /// What is watched while developing.
        develop: Option<Develop>,
        /// Limits of block devices.
        blkio_config: Option<Blkio>,
        /// Capabilities added.
        cap_add: Vec<String>,
        /// Capabilities taken away.
        cap_drop: Vec<String>,
        /// The cgroup its own is made in.
        cgroup_parent: String,
        /// `host` or `private`.
        cgroup: String,
        /// Processors, Windows only.
        cpu_count: i64,
        /// Share of processors, Windows only.
        cpu_percent: Share,
        /// Period of the scheduler in microseconds.
        cpu_period: i64,
        /// Microseconds of each period.
        cpu_quota: i64,
        /// Period of the real-time scheduler in microseconds.
        cpu_rt_period: i64,
        /// Microseconds of each real-time period.
        cpu_rt_runtime: i64,
        /// Processors it may use.
        cpus: Share,
        /// Which processors it may use.
        cpuset: String,
        /// Weight against other containers.
        cpu_shares: i64,
        /// Configs it is given.
        configs: Vec<Grant>,
        /// The container's own name.
        container_name: String,
        /// Credentials, Windows only.
        credential_spec: Option<CredentialSpec>,
        /// What it waits for, with what `links`, `volumes_from` and shared namespaces imply.
        depends_on: BTreeMap<String, Dependency>,
        /// Swarm's attributes, of which limits and replicas count everywhere.
        deploy: Option<Deploy>,
        /// Rules for devices.
        device_cgroup_rules: Vec<String>,
        /// Devices of the host.
        devices: Vec<Device>,
        /// Name servers.
        dns: Texts,
        /// Options of the resolver.
        dns_opt: Vec<String>,
        /// Search domains.
        dns_search: Texts,
        /// The container's domain.
        domainname: String,
        /// Something else than a container provides it.
        provider: Option<Provider>,
        /// Variables, those of its env files included.
        environment: Variables,
        /// Env files; empty in what [`resolve`](crate::resolve) gives back.
        env_file: Vec<EnvFile>,
        /// Ports for other services.
        expose: Texts,
        /// Links to containers outside of the project.
        external_links: Vec<String>,
        /// Lines of the hosts file.
        extra_hosts: ExtraHosts,
        /// More groups of its user.
        group_add: Vec<String>,
        /// Graphics cards.
        gpus: Vec<DeviceRequest>,
        /// The container's host name.
        hostname: String,
        /// How its health is checked.
        healthcheck: Option<HealthCheck>,
        /// Its image.
        image: String,
        /// Whether an init process runs in it.
        init: Option<bool>,
        /// Namespace of inter-process communication.
        ipc: String,
        /// Isolation, Windows only.
        isolation: String,
        /// Labels of the container, those of its label files included.
        labels: Pairs,
        /// Label files; empty in what [`resolve`](crate::resolve) gives back.
        label_file: Vec<String>,
        /// Services it reaches under other names.
        links: Vec<String>,
        /// Where its log goes.
        logging: Option<Logging>,
        /// Most memory.
        mem_limit: Bytes,
        /// Memory set aside.
        mem_reservation: Bytes,
        /// Most memory and swap.
        memswap_limit: Bytes,
        /// How readily it is swapped out, 0 to 100.
        mem_swappiness: Bytes,
        /// Its hardware address.
        mac_address: String,
        /// Language models it uses.
        models: BTreeMap<String, Option<ServiceModel>>,
        /// `none`, `host`, `service:...`, `container:...` instead of networks.
        network_mode: String,
        /// Networks it is in.
        networks: BTreeMap<String, Option<ServiceNetwork>>,
        /// Whether it is spared when memory runs out.
        oom_kill_disable: bool,
        /// How readily it is killed when memory runs out.
        oom_score_adj: i64,
        /// Namespace of processes.
        pid: String,
        /// Most processes; -1 is no limit.
        pids_limit: i64,
        /// `linux/amd64` and the like.
        platform: String,
        /// Ports published on the host.
        ports: Vec<Port>,
        /// Whether it has all rights.
        privileged: bool,
        /// When its image is pulled.
        pull_policy: String,
        /// Whether its root file system is read-only.
        read_only: bool,
        /// When it is restarted.
        restart: String,
        /// The engine's runtime.
        runtime: String,
        /// How many containers.
        scale: Option<i64>,
        /// Secrets it is given.
        secrets: Vec<Grant>,
        /// Options of the security modules.
        security_opt: Vec<String>,
        /// Size of `/dev/shm`.
        shm_size: Bytes,
        /// Whether its standard input stays open.
        stdin_open: bool,
        /// How long it may take to stop.
        stop_grace_period: Option<Duration>,
        /// What it is stopped with.
        stop_signal: String,
        /// Options of the storage driver.
        storage_opt: BTreeMap<String, String>,
        /// Parameters of the kernel.
        sysctls: Pairs,
        /// File systems in memory.
        tmpfs: Texts,
        /// Whether it has a terminal.
        tty: bool,
        /// Limits of the kernel.
        ulimits: BTreeMap<String, Ulimit>,
        /// Whether it reaches the engine's own socket.
        use_api_socket: bool,
        /// User, and group after a colon.
        user: String,
        /// Namespace of users.
        userns_mode: String,
        /// Namespace of the host name.
        uts: String,
        /// What is mounted.
        volumes: Vec<Volume>,
        /// Services and containers whose mounts it takes over.
        volumes_from: Vec<String>,
        /// The folder it starts in.
        working_dir: String,
        /// Run in the container after it started.
        post_start: Vec<Hook>,
        /// Run in the container before it is stopped.
        pre_stop: Vec<Hook>,
    } always {
        /// What it runs instead of its image's command.
        command: Command,
        /// What it runs instead of its image's entry point.
        entrypoint: Command,
    }
}

impl Service {
    /// How many containers it has: `scale`, else `deploy.replicas`, else one.
    #[must_use]
    pub fn replicas(&self) -> i64 {
        self.scale.or_else(|| self.deploy.as_ref()?.replicas).unwrap_or(1)
    }

    /// Whether it is there with some profiles on; `*` is all of them.
    #[must_use]
    pub fn has_profile(&self, active: &[String]) -> bool {
        self.profiles.is_empty() || active.iter().any(|name| name == "*" || self.profiles.contains(name))
    }
}
