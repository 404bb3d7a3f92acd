//! An environment's network and volumes: made at its first start, the network removed when it is down.
//!
//! A network is known by its labels and used by its identity, never by its name: Docker makes a second one of the same name
//! when two ask at once (a daemon, and what a dead one asked for and is still under way), and then refuses the name.

use super::api;
use super::engine::Client;
use super::names::{self, Owner};
use super::trouble::Trouble;
use bollard::models::{Network as Listed, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions};
use muster_spec::{ContainerRun, EnvironmentId, MountSource};
use std::collections::HashMap;
use std::net::IpAddr;
use tokio::sync::Mutex;

/// What is known of an environment's network.
#[derive(Debug, Clone)]
pub(super) struct Network {
    /// What the engine knows it by.
    pub(super) id: String,
    /// This machine as the network reaches it.
    pub(super) gateway: Option<IpAddr>,
}

/// The networks that were made or found since we live; at most one is being made at a time.
#[derive(Debug, Default)]
pub(super) struct Networks {
    known: Mutex<HashMap<EnvironmentId, Network>>,
}

impl Networks {
    /// The environment's network, made where it is missing.
    pub(super) async fn ensure(&self, client: &Client, owner: &Owner, of: &EnvironmentId) -> Result<Network, Trouble> {
        let mut known = self.known.lock().await;
        if let Some(network) = known.get(of) {
            return Ok(network.clone());
        }
        let network = match find(client, owner, of).await? {
            Some(network) => network,
            None => {
                make(client, owner, of).await?;
                find(client, owner, of).await?.ok_or_else(|| taken(of))?
            }
        };
        known.insert(of.clone(), network.clone());
        Ok(network)
    }

    /// It may be gone: the next start looks.
    pub(super) async fn forget(&self, of: &EnvironmentId) {
        self.known.lock().await.remove(of);
    }
}

/// The environment's network. Of two the one that a container is made for is meant, else the older one: whoever looks, and
/// however often, finds the same.
async fn find(client: &Client, owner: &Owner, of: &EnvironmentId) -> Result<Option<Network>, Trouble> {
    let filters = Some(owner.filter(of));
    let mut found = client.docker.list_networks(Some(ListNetworksOptions { filters })).await?;
    found.sort_unstable_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    let mut chosen = 0;
    if found.len() > 1 {
        for (at, network) in found.iter().enumerate() {
            let inside = HashMap::from([("network".to_owned(), network.id.iter().cloned().collect())]);
            if !api::list(client, &inside).await?.is_empty() {
                chosen = at;
                break;
            }
        }
    }
    let network = found.into_iter().nth(chosen);
    Ok(network.and_then(|network| Some(Network { gateway: gateway(&network), id: network.id? })))
}

/// The name is another's where names are given once only.
fn taken(of: &EnvironmentId) -> Trouble {
    let name = names::network(of);
    let message = format!(
        "network `{name}` is there and belongs to somebody else, perhaps to another MUSTER_HOME: remove it with \
         `docker network rm {name}`"
    );
    Trouble::Refused { status: 409, message }
}

async fn make(client: &Client, owner: &Owner, of: &EnvironmentId) -> Result<(), Trouble> {
    let request = NetworkCreateRequest {
        name: names::network(of),
        driver: Some("bridge".to_owned()),
        labels: Some(owner.labels(of)),
        ..Default::default()
    };
    match client.docker.create_network(request).await.map_err(Trouble::from) {
        Ok(_) => Ok(()),
        // whose it is shows the next look
        Err(trouble) if trouble.is_conflict() => Ok(()),
        // as Podman says that
        Err(Trouble::Refused { message, .. }) if message.contains("already exists") => Ok(()),
        Err(Trouble::Refused { status, message }) if message.contains("address pool") => {
            let message = format!(
                "the engine has no addresses left for another network ({message}): `docker network prune` removes those \
                 that nobody uses"
            );
            Err(Trouble::Refused { status, message })
        }
        Err(trouble) => Err(trouble),
    }
}

fn gateway(network: &Listed) -> Option<IpAddr> {
    let configs = network.ipam.as_ref()?.config.as_ref()?;
    configs.iter().filter_map(|config| config.gateway.as_ref()?.parse().ok()).find(IpAddr::is_ipv4)
}

/// Makes the named volumes of a container that are the environment's own. What is there stays as it is.
pub(super) async fn volumes(
    client: &Client,
    owner: &Owner,
    of: &EnvironmentId,
    container: &ContainerRun,
) -> Result<(), Trouble> {
    for mount in &container.mounts {
        let MountSource::Volume(volume) = &mount.source else { continue };
        if volume.external {
            client.docker.inspect_volume(&volume.name).await.map_err(Trouble::from).map_err(|trouble| {
                if !trouble.is_missing() {
                    return trouble;
                }
                let message =
                    format!("volume `{0}` is external and not there: `docker volume create {0}` makes it", volume.name);
                Trouble::Refused { status: 404, message }
            })?;
            continue;
        }
        let request = VolumeCreateRequest {
            name: Some(names::volume(of, &volume.name)),
            driver: volume.driver.clone(),
            driver_opts: Some(volume.driver_opts.clone().into_iter().collect()),
            labels: Some(owner.labels(of)),
            ..Default::default()
        };
        match client.docker.create_volume(request).await.map_err(Trouble::from) {
            Ok(_) => {}
            // Podman says no where docker gives the one that is there
            Err(trouble) if trouble.is_conflict() => {}
            Err(Trouble::Refused { message, .. }) if message.contains("already exists") => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

/// Removes what an environment had only while it ran: containers that ended with their anonymous volumes, and networks.
pub(super) async fn leave(client: &Client, owner: &Owner, of: &EnvironmentId) -> Result<(), Trouble> {
    for container in api::list(client, &owner.filter(of)).await? {
        let id = container.id;
        let gone = client.docker.remove_container(&id, Some(RemoveContainerOptions { v: true, ..Default::default() }));
        match gone.await.map_err(Trouble::from) {
            Ok(()) => {}
            // one that runs belongs to a run that is still there; another is being removed
            Err(trouble) if trouble.is_missing() || trouble.is_conflict() => {}
            Err(trouble) => return Err(trouble),
        }
    }
    let filters = Some(owner.filter(of));
    for network in client.docker.list_networks(Some(ListNetworksOptions { filters })).await? {
        let Some(id) = network.id else { continue };
        match client.docker.remove_network(&id).await.map_err(Trouble::from) {
            Ok(()) => {}
            Err(trouble) if trouble.is_missing() => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

/// Removes the named volumes of an environment that is down.
pub(super) async fn remove_volumes(client: &Client, owner: &Owner, of: &EnvironmentId) -> Result<(), Trouble> {
    let filters = Some(owner.filter(of));
    let found = client.docker.list_volumes(Some(ListVolumesOptions { filters })).await?;
    for volume in found.volumes.unwrap_or_default() {
        let removed = client.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>);
        match removed.await.map_err(Trouble::from) {
            Ok(()) => {}
            Err(trouble) if trouble.is_missing() => {}
            Err(trouble) if trouble.is_conflict() => return Err(in_use(client, &volume.name).await),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

/// Who holds a volume that cannot be removed.
async fn in_use(client: &Client, volume: &str) -> Trouble {
    let holders = api::list(client, &HashMap::from([("volume".to_owned(), vec![volume.to_owned()])])).await;
    let names: Vec<String> = holders.iter().flatten().map(|holder| holder.name().to_owned()).collect();
    let message = if names.is_empty() {
        format!(
            "volume `{volume}` is in use: `docker ps -a --filter volume={volume}` lists the containers that hold it"
        )
    } else {
        format!(
            "volume `{volume}` is in use by `{}`: `docker rm -f {}` removes that",
            names.join("`, `"),
            names.join(" ")
        )
    };
    Trouble::Refused { status: 409, message }
}
