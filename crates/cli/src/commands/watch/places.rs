//! Where watched paths lie where a service runs.
//!
//! | runs as | a path lies |
//! |---|---|
//! | container | below the rule's `to` |
//! | on a host | where `remote.sync` puts it at a start; below the rule's `to` what that does not name |
//! | anything else | where it is |

use muster_engine::documents::BroughtFile;
use muster_spec::{RuntimeKind, ServiceSpec, WatchCopy};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder or file of this machine, and what it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    from: PathBuf,
    to: String,
}

/// The places of one rule. None at all: the service runs on these files.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// What a start brings, each to its own place.
    named: Vec<Place>,
    /// For what no other names.
    own: Option<Place>,
}

/// What goes to one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) below: String,
    pub(super) files: Vec<BroughtFile>,
    pub(super) removed: Vec<String>,
}

impl Places {
    /// Of a rule of this service, in a stack with this root.
    pub(super) fn of(service: &ServiceSpec, copy: &WatchCopy, root: &Path) -> Self {
        let own = copy.to.clone().map(|to| Place { from: root.join(&copy.from), to });
        let remote = service.variants.remote.iter().flat_map(|remote| &remote.sync);
        match service.runtime {
            RuntimeKind::Container => Self { named: Vec::new(), own },
            RuntimeKind::Remote => {
                let named = remote.map(|path| Place { from: path.local.clone(), to: path.remote.clone() });
                Self { named: named.collect(), own }
            }
            RuntimeKind::Process | RuntimeKind::Mock | RuntimeKind::External => Self::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.own.is_none()
    }

    /// What is there now, and what is gone, as it is called there; and how many of the paths have no place there.
    pub(super) fn split(&self, paths: &BTreeSet<PathBuf>) -> (Vec<Parcel>, usize) {
        let mut parcels: Vec<(&Place, Parcel)> = Vec::new();
        let mut homeless = 0;
        for path in paths {
            let named: Vec<&Place> = self.named.iter().filter(|place| path.starts_with(&place.from)).collect();
            let own = self.own.iter().filter(|place| named.is_empty() && path.starts_with(&place.from));
            let places: Vec<&Place> = named.iter().copied().chain(own).collect();
            homeless += usize::from(places.is_empty());
            for place in places {
                let at = parcels.iter().position(|(of, _)| *of == place).unwrap_or_else(|| {
                    let parcel = Parcel { below: place.to.clone(), files: Vec::new(), removed: Vec::new() };
                    parcels.push((place, parcel));
                    parcels.len() - 1
                });
                parcels[at].1.add(place, path);
            }
        }
        let parcels = parcels.into_iter().map(|(_, parcel)| parcel);
        (parcels.filter(|parcel| !parcel.files.is_empty() || !parcel.removed.is_empty()).collect(), homeless)
    }
}

impl Parcel {
    fn add(&mut self, place: &Place, path: &Path) {
        let below = path.strip_prefix(&place.from).unwrap_or(path);
        let there =
            if below.as_os_str().is_empty() { PathBuf::from(&place.to) } else { Path::new(&place.to).join(below) };
        let there = there.display().to_string();
        match fs::symlink_metadata(path) {
            Ok(data) if data.is_dir() => {}
            Ok(_) => self.files.push(BroughtFile { from: path.display().to_string(), to: there }),
            Err(_) => self.removed.push(there),
        }
    }
}

/// What came of it, in a few words.
pub(super) fn told(files: usize, removed: usize, homeless: usize) -> String {
    let count = crate::human::count;
    let copied = (files > 0).then(|| format!("{} copied", count(files, "file")));
    let removed = (removed > 0).then(|| format!("{} removed", count(removed, "path")));
    let homeless = (homeless > 0).then(|| format!("{} with no place there", count(homeless, "path")));
    let parts: Vec<String> = copied.into_iter().chain(removed).chain(homeless).collect();
    if parts.is_empty() { "nothing to copy".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(from: PathBuf, to: &str) -> Place {
        Place { from, to: to.into() }
    }

    fn there(parcel: &Parcel) -> Vec<&str> {
        parcel.files.iter().map(|file| file.to.as_str()).collect()
    }

    #[test]
    fn paths_have_a_place_there() {
        let home = tempfile::TempDir::new().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("src/sub")).unwrap();
        fs::write(at("src/sub/a"), "").unwrap();
        fs::write(at("conf"), "").unwrap();
        let paths = [at("src/sub"), at("src/sub/a"), at("src/gone"), at("elsewhere")].into();
        let places = Places { named: Vec::new(), own: Some(place(at("src"), "/app/")) };
        let (parcels, homeless) = places.split(&paths);
        assert_eq!((there(&parcels[0]), &parcels[0].removed), (vec!["/app/sub/a"], &vec!["/app/gone".to_owned()]));
        assert_eq!((parcels.len(), parcels[0].below.as_str(), homeless), (1, "/app/", 1));
        // a file stands for itself
        let places = Places { named: Vec::new(), own: Some(place(at("conf"), "/etc/app.conf")) };
        let (parcels, _) = places.split(&[at("conf")].into());
        assert_eq!(there(&parcels[0]), ["/etc/app.conf"]);
        assert_eq!(told(2, 1, 0), "2 files copied, 1 path removed");
        assert_eq!(told(0, 0, 2), "2 paths with no place there");
    }

    #[test]
    fn what_a_start_brings_lies_where_it_brings_it() {
        let home = tempfile::TempDir::new().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("app/conf")).unwrap();
        for file in ["app/main", "app/conf/x", "other"] {
            fs::write(at(file), "").unwrap();
        }
        let named = vec![place(at("app"), "srv/app"), place(at("app/conf"), "/etc/app")];
        let places = Places { named, own: Some(place(home.path().to_owned(), "~/all")) };
        let (parcels, homeless) = places.split(&[at("app/main"), at("app/conf/x"), at("other")].into());
        let found: Vec<_> = parcels.iter().map(|parcel| (parcel.below.as_str(), there(parcel))).collect();
        assert_eq!(
            found,
            [
                ("srv/app", vec!["srv/app/conf/x", "srv/app/main"]),
                ("/etc/app", vec!["/etc/app/x"]),
                ("~/all", vec!["~/all/other"]),
            ]
        );
        assert_eq!(homeless, 0);
    }
}
