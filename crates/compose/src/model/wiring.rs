//! What connects a service with the host and with the project's networks, volumes, configs, secrets and models.

use std::collections::BTreeMap;

use super::decode::model;
use super::values::{Bytes, Mode, Pairs};

model! {
    /// A port published on the host.
    pub struct Port {
        /// Its name.
        name: String,
        /// `ingress` or `host`.
        mode: String,
        /// Address of the host.
        host_ip: String,
        /// Port of the container.
        target: u32,
        /// Port of the host or a range; empty: the engine chooses.
        published: String,
        /// `tcp` or `udp`.
        protocol: String,
        /// What is spoken on it.
        app_protocol: String,
    }

    /// A mount.
    pub struct Volume {
        /// `bind`, `volume`, `tmpfs`, `npipe`, `cluster` or `image`.
        r#type as "type": String,
        /// Absolute path, or name of a volume; empty for an anonymous one.
        source: String,
        /// Path in the container.
        target: String,
        /// Whether it cannot be written.
        read_only: bool,
        /// How consistent it is with the host.
        consistency: String,
        /// Of a path.
        bind: Option<BindOptions>,
        /// Of a volume.
        volume: Option<VolumeOptions>,
        /// Of a file system in memory.
        tmpfs: Option<TmpfsOptions>,
        /// Of an image.
        image: Option<ImageOptions>,
    }

    /// Options of a mounted path.
    pub struct BindOptions {
        /// `z` or `Z`.
        selinux: String,
        /// How mounts below it spread.
        propagation: String,
        /// Whether the path is made when it is missing.
        create_host_path: bool,
        /// Whether mounts below come along.
        recursive: String,
    }

    /// Options of a mounted volume.
    pub struct VolumeOptions {
        /// Labels of an anonymous volume.
        labels: Pairs,
        /// Whether the image's files are not copied into it.
        nocopy: bool,
        /// A folder of the volume instead of all.
        subpath: String,
    }

    /// Options of a file system in memory.
    pub struct TmpfsOptions {
        /// Its size.
        size: Bytes,
        /// Permissions of its root.
        mode: u32,
    }

    /// Options of a mounted image.
    pub struct ImageOptions {
        /// A folder of the image instead of all.
        subpath: String,
    }

    /// How a service is in a network.
    pub struct ServiceNetwork {
        /// More names it is found under.
        aliases: Vec<String>,
        /// Options of the driver.
        driver_opts: Pairs,
        /// The highest one gives the default gateway.
        gw_priority: i64,
        /// Name of the interface.
        interface_name: String,
        /// Fixed address.
        ipv4_address: String,
        /// Fixed address.
        ipv6_address: String,
        /// Link-local addresses.
        link_local_ips: Vec<String>,
        /// Hardware address.
        mac_address: String,
        /// Order in which networks are joined.
        priority: i64,
    }

    /// A config or secret that a service is given as a file.
    pub struct Grant {
        /// Its name in the project.
        source: String,
        /// Path in the container.
        target: String,
        /// Owner.
        uid: String,
        /// Group.
        gid: String,
        /// Permissions.
        mode: Option<Mode>,
    }

    /// How a service learns of a language model.
    pub struct ServiceModel {
        /// Variable with its address.
        endpoint_var: String,
        /// Variable with its name.
        model_var: String,
    }

    /// A network of the project.
    pub struct Network {
        /// Its name for the engine.
        name: String,
        /// Driver.
        driver: String,
        /// Options of the driver.
        driver_opts: Pairs,
        /// Whether it is there already and not the project's own.
        external: bool,
        /// Whether nothing outside can be reached from it.
        internal: bool,
        /// Whether other containers may join.
        attachable: bool,
        /// Labels.
        labels: Pairs,
        /// Whether it has IPv4.
        enable_ipv4: Option<bool>,
        /// Whether it has IPv6.
        enable_ipv6: Option<bool>,
    } always {
        /// Addresses.
        ipam: Ipam,
    }

    /// Addresses of a network.
    pub struct Ipam {
        /// Driver.
        driver: String,
        /// Ranges.
        config: Vec<Pool>,
    }

    /// A range of addresses.
    pub struct Pool {
        /// All of it.
        subnet: String,
        /// The gateway.
        gateway: String,
        /// Where containers get theirs from.
        ip_range: String,
        /// Addresses that are taken, by host.
        aux_addresses: Pairs,
    }

    /// A volume of the project.
    pub struct NamedVolume {
        /// Its name for the engine.
        name: String,
        /// Driver.
        driver: String,
        /// Options of the driver.
        driver_opts: Pairs,
        /// Whether it is there already and not the project's own.
        external: bool,
        /// Labels.
        labels: Pairs,
    }

    /// A secret of the project.
    pub struct Secret {
        /// Its name.
        name: String,
        /// Absolute path of the file it is in.
        file: String,
        /// Variable it is in.
        environment: String,
        /// Whether it is there already and not the project's own.
        external: bool,
        /// Labels.
        labels: Pairs,
        /// Driver.
        driver: String,
        /// Options of the driver.
        driver_opts: BTreeMap<String, String>,
        /// Driver that fills it in.
        template_driver: String,
    }

    /// A config of the project.
    pub struct Config {
        /// Its name.
        name: String,
        /// Absolute path of the file it is in.
        file: String,
        /// Variable it is in.
        environment: String,
        /// Its text, where that stands in the compose file.
        content: String,
        /// Whether it is there already and not the project's own.
        external: bool,
        /// Labels.
        labels: Pairs,
        /// Driver that fills it in.
        template_driver: String,
    }

    /// A language model of the project.
    pub struct Model {
        /// Its name.
        name: String,
        /// Which one.
        model: String,
        /// Tokens of context.
        context_size: i64,
        /// Flags of what runs it.
        runtime_flags: Vec<String>,
    }
}
