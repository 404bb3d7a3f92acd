//! The smaller attributes of a service that are maps.

use serde::Serialize;

use super::decode::{Decode, Decoder, model};
use super::values::{Bytes, Command, HealthTest, Options, Pairs, Variables};
use crate::text::Duration;
use crate::tree::Node;

model! {
    /// What a service waits for.
    pub struct Dependency {
        /// `service_started`, `service_healthy` or `service_completed_successfully`.
        condition: String,
        /// Whether it is restarted together with it.
        restart: bool,
    } always {
        /// Whether it must be there at all.
        required: bool,
    }

    /// How the health of a service is checked.
    pub struct HealthCheck {
        /// The check; empty: that of the image.
        test: HealthTest,
        /// How long one may take.
        timeout: Option<Duration>,
        /// Time between two.
        interval: Option<Duration>,
        /// Failures in a row that make it unhealthy.
        retries: Option<u64>,
        /// Time in which failures do not count.
        start_period: Option<Duration>,
        /// Time between two while it starts.
        start_interval: Option<Duration>,
        /// Whether that of the image is turned off.
        disable: bool,
    }

    /// A command that is run in the container at some moment.
    pub struct Hook {
        /// User it runs as.
        user: String,
        /// Whether it has all rights.
        privileged: bool,
        /// Folder it runs in.
        working_dir: String,
        /// Variables.
        environment: Variables,
    } always {
        /// The command.
        command: Command,
    }

    /// Where the log of a service goes.
    pub struct Logging {
        /// Driver.
        driver: String,
        /// Options of the driver.
        options: Pairs,
    }

    /// Something else than a container that provides a service.
    pub struct Provider {
        /// What provides it.
        r#type as "type": String,
        /// Options of it.
        options: Options,
    }

    /// A device of the host.
    pub struct Device {
        /// Path on the host.
        source: String,
        /// Path in the container.
        target: String,
        /// `r`, `w` and `m`.
        permissions: String,
    }

    /// Credentials, Windows only.
    pub struct CredentialSpec {
        /// Name of a config.
        config: String,
        /// Path of a file.
        file: String,
        /// Place in the registry.
        registry: String,
    }

    /// Limits of block devices.
    pub struct Blkio {
        /// Weight against other containers.
        weight: u16,
        /// Weight for a device.
        weight_device: Vec<DeviceWeight>,
        /// Bytes read in a second.
        device_read_bps: Vec<DeviceRate>,
        /// Reads in a second.
        device_read_iops: Vec<DeviceRate>,
        /// Bytes written in a second.
        device_write_bps: Vec<DeviceRate>,
        /// Writes in a second.
        device_write_iops: Vec<DeviceRate>,
    }

    /// What is watched while developing.
    pub struct Develop {
        /// Each path.
        watch: Vec<Watch>,
    }

    /// A path that is watched.
    pub struct Watch {
        /// Path in the container.
        target: String,
        /// Only these below it.
        include: Vec<String>,
        /// All but these below it.
        ignore: Vec<String>,
        /// Whether it is copied at first too.
        initial_sync: bool,
    } always {
        /// Absolute path on the host.
        path: String,
        /// `rebuild`, `sync`, `restart`, `sync+restart` or `sync+exec`.
        action: String,
        /// What is run after copying.
        exec: Hook,
    }

    /// A file of variables.
    pub struct EnvFile {
        /// Absolute path.
        path: String,
        /// `raw` takes values as they stand.
        format: String,
    } always {
        /// Whether it must be there.
        required: bool,
    }
}

/// The weight of a container for a device. Printed with capitals, as Compose does.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceWeight {
    /// The device.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

impl Decode for DeviceWeight {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { path: at.field(node, "path"), weight: at.field(node, "weight") })
    }
}

/// Bytes or operations in a second of a device. Printed with capitals, as Compose does.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRate {
    /// The device.
    pub path: String,
    /// In a second.
    pub rate: Bytes,
}

impl Decode for DeviceRate {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { path: at.field(node, "path"), rate: at.field(node, "rate") })
    }
}

impl Dependency {
    /// Whether it waits for health or success, not only for the start.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.condition != "service_started"
    }
}
