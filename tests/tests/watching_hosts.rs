//! `muster watch` over another host: what is edited is there, what is deleted is gone, and nothing is lost with the link.

use muster_e2e::kit::components;
use muster_e2e::kit::host::{Host, Plan};
use muster_e2e::{Home, Running, skip, wait_until};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

const SUITE: &str = "watching hosts";
/// What the disk below `small` there takes, and what it does not.
const SMALL: usize = 64 << 10;
const BIG: usize = 4 * SMALL;

/// A home, a host, and `muster watch` between them.
struct Watching {
    // the first to end: a home is looked at for what is left behind
    watch: Running,
    home: Home,
    host: Host,
}

impl Watching {
    fn begin(home: Home, host: Host) -> Self {
        let watch = home.spawn(&["watch"]);
        let watching = Self { watch, home, host };
        watching.says("watching ");
        watching
    }

    fn told(&self) -> String {
        self.watch.so_far().stderr
    }

    fn says(&self, text: &str) {
        wait_until(&format!("the watch says `{text}`"), || self.told().contains(text));
    }

    fn here(&self, path: &str) -> PathBuf {
        self.home.project().join(path)
    }

    /// A path below the home of who logs in there, seen from here.
    fn there(&self, path: &str) -> PathBuf {
        self.host.home().join(path)
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.there(path)).ok()
    }

    fn has(&self, path: &str, text: &str) {
        wait_until(&format!("`{path}` there says `{text}`"), || self.read(path).as_deref() == Some(text));
    }

    fn is_gone(&self, path: &str) {
        wait_until(&format!("`{path}` is not there"), || fs::symlink_metadata(self.there(path)).is_err());
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.there(path)).expect("a folder").flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the watch said: {}", self.told());
        }
    }
}

fn begin() -> Option<Watching> {
    let sshd = components::sshd(SUITE)?;
    let plan = Plan { namespaced: true, ..Plan::default() };
    let host = Host::make(&sshd, plan).map_err(|error| skip(SUITE, &error.to_string())).ok()?;
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    let (line, alias) = (home.worker_line(), host.alias());
    for (path, text) in [("src/a.txt", "one"), ("src/b.txt", "stays not"), ("conf/other", "x")] {
        home.write(path, text);
    }
    for folder in ["big", "elsewhere"] {
        fs::create_dir(home.project().join(folder)).expect("a folder");
    }
    home.stack(&format!(
        "name: far\nservices:\n  \
         web:\n    remote: {{ host: {alias}, command: \"{line} web idle\", sync: [\"src:app/src\"] }}\n    watch:\n      \
         - {{ paths: [src, elsewhere], ignore: [\"*.tmp\"], do: sync }}\n      \
         - {{ paths: [conf], do: sync, to: app/conf, initial: true, then: restart }}\n  \
         other:\n    remote: {{ host: {alias}, command: \"{line} other idle\", sync: [\"src:~/app/src\"] }}\n    watch:\n      \
         - {{ paths: [src/a.txt], do: sync, then: {{ exec: [cat, app/src/a.txt] }} }}\n      \
         - {{ paths: [big], do: sync, to: small }}\n"
    ));
    home.muster(&["up", "-d"]).ok();
    Some(Watching::begin(home, host))
}

#[test]
fn what_changes_here_is_on_the_host() {
    let Some(on) = begin() else { return };
    assert_eq!(on.read("app/src/a.txt").as_deref(), Some("one"), "a start has brought it");
    on.has("app/conf/other", "x");

    // edited, for two services; new, with its mode; deleted; ignored; without a place
    on.home.write("src/a.txt", "two");
    on.says("web: src/a.txt changed\nweb: 1 file copied\n");
    on.says("other: 1 file copied\ntwo\n");
    on.has("app/src/a.txt", "two");
    on.home.write("src/deep/run.sh", "echo ran");
    fs::set_permissions(on.here("src/deep/run.sh"), fs::Permissions::from_mode(0o751)).expect("a mode");
    wait_until("it has its mode there", || {
        fs::metadata(on.there("app/src/deep/run.sh")).is_ok_and(|found| found.permissions().mode() & 0o777 == 0o751)
    });
    fs::remove_file(on.here("src/b.txt")).expect("a file");
    on.is_gone("app/src/b.txt");
    on.home.write("src/x.tmp", "no");
    on.home.write("src/marker", "m");
    on.has("app/src/marker", "m");
    assert_eq!(on.names("app/src"), ["a.txt", "deep", "marker"]);
    on.home.write("elsewhere/x", "");
    on.says("web: elsewhere/x changed\nweb: 1 path with no place there\n");

    // a link stays one, and what was a link may be a folder
    symlink(".", on.here("src/link")).expect("a link");
    wait_until("it is a link there", || fs::read_link(on.there("app/src/link")).is_ok_and(|to| to.as_os_str() == "."));
    fs::remove_file(on.here("src/link")).expect("a link");
    on.home.write("src/link/a.txt", "its own");
    on.has("app/src/link/a.txt", "its own");
    assert_eq!(on.read("app/src/a.txt").as_deref(), Some("two"), "nothing was written through the link");
    fs::remove_dir_all(on.here("src/deep")).expect("a folder");
    on.is_gone("app/src/deep");
    for service in ["web", "other"] {
        assert_eq!(on.home.events(service, "start").len(), 1, "nothing of that starts `{service}` again");
    }

    on.home.write("conf/app.conf", "configured");
    on.says("web: restarted");
    let _again = on.home.wait_event("web", "start", 2);
    on.has("app/conf/app.conf", "configured");
    assert!(!on.told().contains("error"), "{}", on.told());

    // the folder that everything goes into may have more in it than came from here
    fs::remove_dir_all(on.here("src")).expect("a folder");
    on.says("could not remove `app/src`: everything here goes into it");
    assert_eq!(on.names("app/src"), ["x.tmp"], "that is the start's, which brings the whole of it");
    on.home.muster(&["down"]).ok();
}

#[test]
fn what_a_host_cannot_take_now_is_brought_later() {
    let Some(on) = begin() else { return };
    on.has("app/conf/other", "x");
    let small = on.there("small");
    let words = format!("mkdir {0} && mount -t tmpfs -o size={SMALL} tmpfs {0}", small.display());
    on.host.namespace().sh(&words).expect("a small disk");
    let on_it = |name: &str| on.host.namespace().sh(&format!("cat {}/{name}", small.display())).ok();

    // a full disk: told, and nothing is there by halves
    on.home.write("big/file", &"x".repeat(BIG));
    on.says("No space left on device");
    let left = on.host.namespace().sh(&format!("ls -A {}", small.display())).expect("the host");
    assert_eq!(left, "");
    on.home.write("big/file", "fits");
    wait_until("what fits is there", || on_it("file").as_deref() == Some("fits"));

    // a lost link: told once, and brought when it is back
    on.host.namespace().cut().expect("packets are dropped");
    let master = on.home.processes().into_iter().find(|process| process.command_line().contains(" -M -N "));
    let master = master.expect("a link");
    master.kill();
    on.home.wait_state("web", "lost");
    on.home.write("src/a.txt", "three");
    on.says("web: what changed is brought as soon as that can be");
    fs::remove_file(on.here("src/b.txt")).expect("a file");
    on.says("web: src/b.txt changed");
    assert_eq!(on.read("app/src/a.txt").as_deref(), Some("one"));
    on.host.namespace().restore().expect("packets pass");
    on.has("app/src/a.txt", "three");
    on.is_gone("app/src/b.txt");
    on.says("web: 1 file copied, 1 path removed");
    assert_eq!(on.told().matches("web: what changed is brought as soon as that can be").count(), 1, "{}", on.told());
    for service in ["web", "other"] {
        assert_eq!(on.home.events(service, "start").len(), 1, "`{service}` ran all the time");
    }
    on.home.muster(&["down"]).ok();
}

#[test]
fn a_rule_without_a_place_is_told_at_once() {
    let home = Home::new();
    home.stack(
        "name: far\nservices:\n  web: { remote: { host: nowhere, command: x }, watch: [{ paths: [src], do: sync }] }\n",
    );
    let told = home.muster(&["watch"]).expect_code(3);
    assert!(told.stderr.contains("no place on its host"), "{}", told.stderr);
}
