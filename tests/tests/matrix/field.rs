//! Where the services of the matrix run: as processes, in containers, or on another host.

use muster_e2e::kit::engine::encode;
use muster_e2e::{Home, Process, Site, proc};
use std::fmt::Write as _;

/// The runtime of all services of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    Process,
    Container,
    Remote,
}

/// A home with what its ground needs.
pub(crate) struct Field {
    ground: Ground,
    place: Place,
}

enum Place {
    Home(Home),
    Site(Box<Site>),
}

/// What keeps a service's main process.
pub(crate) struct Keeper {
    /// Kills it.
    kill: Box<dyn Fn()>,
    /// Its children: the main process, and what has forked away from that.
    pub(crate) of: Vec<Process>,
}

impl Keeper {
    pub(crate) fn kill(&self) {
        (self.kill)();
    }
}

impl Field {
    /// One, or none and a reported skip.
    pub(crate) fn new(ground: Ground) -> Option<Self> {
        let place = match ground {
            Ground::Process => Place::Home(Home::new()),
            Ground::Container => Place::Site(Box::new(Site::local("kill-matrix-container")?)),
            Ground::Remote => Place::Site(Box::new(Site::local("kill-matrix-remote")?)),
        };
        Some(Self { ground, place })
    }

    pub(crate) fn ground(&self) -> Ground {
        self.ground
    }

    pub(crate) fn home(&self) -> &Home {
        match &self.place {
            Place::Home(home) => home,
            Place::Site(site) => &site.home,
        }
    }

    /// A service that runs a worker with these words; `more` is what else stands in the file about it.
    pub(crate) fn service(&self, name: &str, words: &str, more: &str) -> String {
        let mut text = String::new();
        let variant = match (&self.place, self.ground) {
            (Place::Site(site), Ground::Container) => {
                // the file that a probe looks for is there as well, and process ids are those of this machine
                let (line, project) = (site.static_line(), site.home.project());
                let mounts = format!("{}, \"{1}:{1}\"", site.mounts(), project.display());
                format!(
                    "container: {{ image: \"muster-test/busybox:1\", pid: host, volumes: [{mounts}], command: \"{line} {words}\" }}"
                )
            }
            (Place::Site(site), Ground::Remote) => {
                format!("remote: {{ host: {}, command: \"{} {words}\" }}", site.host.alias(), site.static_line())
            }
            (Place::Home(_), _) | (_, Ground::Process) => format!("command: \"WORKER {words}\""),
        };
        let _ = writeln!(text, "  {name}: {{ {variant}, {more} }}");
        text
    }

    /// What keeps a service: its shim, or the engine's container.
    pub(crate) fn keeper(&self, service: &str) -> Option<Keeper> {
        match (&self.place, self.ground) {
            (Place::Site(site), Ground::Container) => container(site, service),
            (Place::Site(site), _) => shim(site.host.folder(), service).or_else(|| shim(site.home.root(), service)),
            (Place::Home(home), _) => shim(home.root(), service),
        }
    }

    /// What is there still beside workers after `down`: containers and networks.
    pub(crate) fn left(&self) -> Vec<String> {
        match &self.place {
            Place::Site(site) => site.at_engine(),
            Place::Home(_) => Vec::new(),
        }
    }
}

fn shim(root: &std::path::Path, service: &str) -> Option<Keeper> {
    let name = format!("{service}#");
    let shim = proc::marked(root).into_iter().find(|process| {
        let line = process.command_line();
        line.starts_with("muster-shim") && line.contains(&name)
    })?;
    let of = proc::all().into_iter().filter(|process| process.parent() == Some(shim)).collect();
    Some(Keeper { kill: Box::new(move || shim.kill()), of })
}

fn container(site: &Site, service: &str) -> Option<Keeper> {
    let environments = std::fs::read_dir(site.home.state().join("state")).ok()?;
    let environment = environments.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).next()?;
    let labels = [format!("dev.muster.service={service}"), format!("dev.muster.environment={environment}")];
    let filters = encode(&serde_json::json!({ "label": labels, "status": ["running"] }).to_string());
    let found = site.engine.get(&format!("/containers/json?filters={filters}")).ok()?;
    let id = found[0]["Id"].as_str()?.to_owned();
    let pid = site.engine.container(&id).ok()??["State"]["Pid"].as_i64()?;
    let of = Process::of(i32::try_from(pid).ok()?).into_iter().collect();
    let engine = site.engine.clone();
    let kill = move || {
        // one that ended in between has got what it was to get
        let _ = engine.ask("POST", &format!("/containers/{id}/kill?signal=KILL"), None);
    };
    Some(Keeper { kill: Box::new(kill), of })
}
