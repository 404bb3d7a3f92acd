//! The drivers of this machine. That of containers and that of other hosts are made when they are first asked for, of what
//! the accepted stack says about where its engine and hosts are: the daemon takes nothing from its own environment.

use crate::external::External;
use muster_runtime::{Masters, Runtime};
use muster_spec::{EnvironmentId, RuntimeKind};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the caller's environment says about where engines and hosts are: variables and their values.
pub type Settings = BTreeMap<String, String>;

/// Makes a driver of a kind; none where this build has no such driver.
pub type Factory = dyn Fn(RuntimeKind, &Settings) -> Option<Arc<dyn Runtime>> + Send + Sync;

/// The drivers that this machine has.
#[derive(Clone)]
pub struct Runtimes {
    process: Arc<dyn Runtime>,
    external: Arc<External>,
    factory: Arc<Factory>,
    masters: Option<Masters>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    settings: HashMap<EnvironmentId, Arc<Settings>>,
    /// One for the same settings, whichever environment asks.
    made: Vec<(RuntimeKind, Settings, Arc<dyn Runtime>)>,
}

/// What only container engines are found by; anything else a driver of hosts depends on as well.
const OF_ENGINES: [&str; 5] = ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST", "XDG_RUNTIME_DIR"];

/// The settings that make a difference for a kind: two drivers of hosts for the same ssh would end each other's links.
fn relevant(kind: RuntimeKind, settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    if kind == RuntimeKind::Remote {
        settings.retain(|name, _| !OF_ENGINES.contains(&name.as_str()));
    }
    settings
}

impl Runtimes {
    /// With a driver for native processes, and nothing else.
    #[must_use]
    pub fn new(process: Arc<dyn Runtime>) -> Self {
        Self::with(process, Arc::new(|_, _| None))
    }

    /// With others that are made when they are needed.
    #[must_use]
    pub fn with(process: Arc<dyn Runtime>, factory: Arc<Factory>) -> Self {
        Self { process, external: Arc::default(), factory, masters: None, known: Arc::default() }
    }

    /// With the links to hosts that its drivers share.
    #[must_use]
    pub fn and_masters(self, masters: Masters) -> Self {
        Self { masters: Some(masters), ..self }
    }

    /// The links to hosts, also those that no driver of this daemon knows of.
    pub(crate) fn masters(&self) -> Option<&Masters> {
        self.masters.as_ref()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on an environment's engine and hosts are where this says.
    pub(crate) fn settle(&self, of: &EnvironmentId, settings: &Settings) {
        let mut known = self.known();
        if known.settings.get(of).is_none_or(|old| **old != *settings) {
            known.settings.insert(of.clone(), Arc::new(settings.clone()));
        }
    }

    /// The driver of a kind for an environment, when there is one here.
    #[must_use]
    pub fn get(&self, kind: RuntimeKind, of: &EnvironmentId) -> Option<Arc<dyn Runtime>> {
        let settings = self.known().settings.get(of).cloned().unwrap_or_default();
        self.settled(kind, &settings)
    }

    /// The driver of a kind for these settings, whichever environment asks.
    pub(crate) fn settled(&self, kind: RuntimeKind, settings: &Settings) -> Option<Arc<dyn Runtime>> {
        match kind {
            RuntimeKind::Process => Some(Arc::clone(&self.process)),
            RuntimeKind::External => Some(Arc::clone(&self.external) as Arc<dyn Runtime>),
            RuntimeKind::Container | RuntimeKind::Remote => {
                let mut known = self.known();
                let settings = relevant(kind, settings);
                let same = known.made.iter().find(|(made, with, _)| *made == kind && *with == settings);
                if let Some((_, _, runtime)) = same {
                    return Some(Arc::clone(runtime));
                }
                let runtime = (self.factory)(kind, &settings)?;
                known.made.push((kind, settings, Arc::clone(&runtime)));
                Some(runtime)
            }
            RuntimeKind::Mock => None,
        }
    }

    /// The same, but none is made for it.
    pub(crate) fn made(&self, kind: RuntimeKind, of: &EnvironmentId) -> Option<Arc<dyn Runtime>> {
        if let RuntimeKind::Container | RuntimeKind::Remote = kind {
            let known = self.known();
            let settings = known.settings.get(of).map(|settings| relevant(kind, settings)).unwrap_or_default();
            let same = known.made.iter().find(|(made, with, _)| *made == kind && *with == settings);
            return same.map(|(_, _, runtime)| Arc::clone(runtime));
        }
        self.get(kind, of)
    }

    /// Every driver of hosts that was made, for whatever settings: an environment may have had others before.
    pub(crate) fn of_hosts(&self) -> Vec<Arc<dyn Runtime>> {
        let known = self.known();
        known
            .made
            .iter()
            .filter(|(kind, _, _)| *kind == RuntimeKind::Remote)
            .map(|(_, _, made)| Arc::clone(made))
            .collect()
    }

    /// The driver for native processes: it also runs builds.
    #[must_use]
    pub fn process(&self) -> &Arc<dyn Runtime> {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_runtime::FakeRuntime;
    use muster_runtime::fake::World;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_driver_for_the_same_settings() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let factory: Arc<Factory> = Arc::new(move |kind, _| {
            count.fetch_add(1, Ordering::SeqCst);
            (kind == RuntimeKind::Container).then(|| Arc::new(FakeRuntime::new(&World::new(kind))) as Arc<dyn Runtime>)
        });
        let runtimes = Runtimes::with(Arc::new(FakeRuntime::new(&World::new(RuntimeKind::Process))), factory);
        let [one, two]: [EnvironmentId; 2] = ["a-00000001", "b-00000002"].map(|text| text.parse().unwrap());
        let of = |id| runtimes.get(RuntimeKind::Container, id).unwrap();
        assert!(Arc::ptr_eq(&of(&one), &of(&two)));
        runtimes.settle(&two, &[("DOCKER_HOST".to_owned(), "unix:///x".to_owned())].into());
        assert!(!Arc::ptr_eq(&of(&one), &of(&two)));
        assert_eq!(made.load(Ordering::SeqCst), 2);
        let hosts = |kind, _: &Settings| Some(Arc::new(FakeRuntime::new(&World::new(kind))) as Arc<dyn Runtime>);
        let remote = Runtimes::with(Arc::new(FakeRuntime::new(&World::new(RuntimeKind::Process))), Arc::new(hosts));
        let of = |id| remote.get(RuntimeKind::Remote, id).unwrap();
        remote.settle(&one, &[("DOCKER_HOST".to_owned(), "unix:///x".to_owned())].into());
        assert!(Arc::ptr_eq(&of(&one), &of(&two)), "ssh asks for no engine");
        remote.settle(&one, &[("SSH_AUTH_SOCK".to_owned(), "/x".to_owned())].into());
        assert!(!Arc::ptr_eq(&of(&one), &of(&two)), "other keys are another login");
        assert_eq!(remote.of_hosts().len(), 2);
        assert!(runtimes.get(RuntimeKind::Remote, &one).is_none());
    }
}
