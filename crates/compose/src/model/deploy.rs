//! Replicas, limits, and what only Swarm uses (compose-spec, Deploy).

use super::decode::model;
use super::values::{Bytes, DeviceCount, Pairs, Share};
use crate::text::Duration;

model! {
    /// Replicas, limits, and what only Swarm uses.
    pub struct Deploy {
        /// `global`, `replicated` or a job.
        mode: String,
        /// How many containers.
        replicas: Option<i64>,
        /// Labels of the service.
        labels: Pairs,
        /// How it is updated.
        update_config: Option<Update>,
        /// How an update is taken back.
        rollback_config: Option<Update>,
        /// When it is restarted.
        restart_policy: Option<RestartPolicy>,
        /// How it is found.
        endpoint_mode: String,
    } always {
        /// Limits and what is set aside.
        resources: Resources,
        /// On which hosts.
        placement: Placement,
    }

    /// How a service is updated.
    pub struct Update {
        /// How many at a time.
        parallelism: Option<u64>,
        /// Time between.
        delay: Duration,
        /// What happens when one fails.
        failure_action: String,
        /// How long one is watched.
        monitor: Duration,
        /// Share that may fail.
        max_failure_ratio: Share,
        /// `start-first` or `stop-first`.
        order: String,
    }

    /// Limits and what is set aside.
    pub struct Resources {
        /// Most of each.
        limits: Option<Resource>,
        /// Set aside of each.
        reservations: Option<Resource>,
    }

    /// Amounts of what a container uses.
    pub struct Resource {
        /// Processors.
        cpus: Share,
        /// Memory.
        memory: Bytes,
        /// Processes.
        pids: i64,
        /// Devices.
        devices: Vec<DeviceRequest>,
        /// Things that only a cluster counts.
        generic_resources: Vec<GenericResource>,
    }

    /// Devices that are asked for by what they can do.
    pub struct DeviceRequest {
        /// What they must be able to do.
        capabilities: Vec<String>,
        /// Driver.
        driver: String,
        /// How many.
        count: DeviceCount,
        /// Which ones.
        device_ids: Vec<String>,
        /// Options of the driver.
        options: Pairs,
    }

    /// Something that only a cluster counts.
    pub struct GenericResource {
        /// Kind and number.
        discrete_resource_spec: Option<DiscreteResource>,
    }

    /// Kind and number of something.
    pub struct DiscreteResource {
    } always {
        /// Kind.
        kind: String,
        /// Number.
        value: i64,
    }

    /// When a service is restarted.
    pub struct RestartPolicy {
        /// `none`, `on-failure` or `any`.
        condition: String,
        /// Time before.
        delay: Option<Duration>,
        /// How often at most.
        max_attempts: Option<u64>,
        /// After this time a start was good.
        window: Option<Duration>,
    }

    /// On which hosts a service runs.
    pub struct Placement {
        /// What must hold.
        constraints: Vec<String>,
        /// What would be good.
        preferences: Vec<Preference>,
        /// Most on one host.
        max_replicas_per_node: u64,
    }

    /// What would be good of a host.
    pub struct Preference {
        /// Spread over the values of this.
        spread: String,
    }
}
