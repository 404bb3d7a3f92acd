//! What things of ours are called at the engine, and the labels by which they are found again.

use bollard::models::ContainerInspectResponse;
use muster_spec::{EnvironmentId, InstanceSpec, RunId};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

/// Whose it is: a hash of the state folder, so that two homes on one engine never touch each other's things.
pub(super) const OWNER: &str = "dev.muster.owner";
/// The environment's identity.
pub(super) const ENVIRONMENT: &str = "dev.muster.environment";
/// The service.
pub(super) const SERVICE: &str = "dev.muster.service";
/// The replica.
pub(super) const REPLICA: &str = "dev.muster.replica";
/// The run's identity.
pub(super) const RUN: &str = "dev.muster.run";
/// The hash of the spec that it was made of.
pub(super) const HASH: &str = "dev.muster.hash";
/// What an image was built of.
pub(super) const BUILD: &str = "dev.muster.build";

/// Who we are at the engine.
#[derive(Debug, Clone)]
pub(super) struct Owner(String);

impl Owner {
    pub(super) fn new(state_dir: &Path) -> Self {
        let real = std::fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        Self(short_hash(real.as_os_str().as_encoded_bytes()))
    }

    /// Labels of what belongs to an environment.
    pub(super) fn labels(&self, environment: &EnvironmentId) -> HashMap<String, String> {
        [(OWNER, self.0.clone()), (ENVIRONMENT, environment.to_string())]
            .map(|(name, value)| (name.into(), value))
            .into()
    }

    /// Labels of a run's container: those of the file, and ours over them.
    pub(super) fn run_labels(&self, run: &RunId, spec: &InstanceSpec) -> HashMap<String, String> {
        let written = spec.container.iter().flat_map(|container| container.options.labels.clone());
        let ours = [
            (SERVICE, run.instance.service.to_string()),
            (REPLICA, run.instance.replica.to_string()),
            (RUN, run.to_string()),
            (HASH, spec.hash.clone()),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value));
        written.chain(self.labels(&run.environment)).chain(ours).collect()
    }

    /// What the engine is asked for to list them.
    pub(super) fn filter(&self, environment: &EnvironmentId) -> HashMap<String, Vec<String>> {
        let labels = self.labels(environment).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        HashMap::from([("label".to_owned(), labels)])
    }

    /// As [`Owner::filter`], for one run.
    pub(super) fn run_filter(&self, run: &RunId) -> HashMap<String, Vec<String>> {
        let labels = vec![format!("{OWNER}={}", self.0), format!("{RUN}={run}")];
        HashMap::from([("label".to_owned(), labels)])
    }

    /// Whether labels say that something is ours.
    pub(super) fn owns(&self, labels: &HashMap<String, String>) -> bool {
        labels.get(OWNER) == Some(&self.0)
    }

    /// The run that a container of ours belongs to.
    pub(super) fn run_of(&self, found: &ContainerInspectResponse) -> Option<RunId> {
        let labels = found.config.as_ref()?.labels.as_ref()?;
        self.owns(labels).then(|| labels.get(RUN)?.parse().ok()).flatten()
    }
}

/// The environment's network.
pub(super) fn network(environment: &EnvironmentId) -> String {
    format!("muster-{environment}")
}

/// A named volume of the environment.
pub(super) fn volume(environment: &EnvironmentId, name: &str) -> String {
    format!("muster-{environment}_{name}")
}

/// A run's container, unless its file names it.
pub(super) fn container(run: &RunId) -> String {
    let step = run.step.as_ref().map(|step| format!(".{step}")).unwrap_or_default();
    format!("{}-{}-{}-{}{step}", run.environment, run.instance.service, run.instance.replica, run.number)
}

/// Sixteen hex digits of a SHA-256.
pub(super) fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_name_and_two_homes_have_two_owners() {
        let run: RunId = "local-0000002a/api#2/17".parse().unwrap();
        assert_eq!(container(&run), "local-0000002a-api-2-17");
        assert_eq!(volume(&run.environment, "data"), "muster-local-0000002a_data");
        let (one, two) = (Owner::new(Path::new("/one")), Owner::new(Path::new("/two")));
        assert!(one.owns(&one.labels(&run.environment)) && !two.owns(&one.labels(&run.environment)));
    }
}
