//! One graph over three runtimes: processes, containers and processes of another host call each other by the addresses
//! that `${services...}` gives them, and each can be moved to another runtime without a change of the graph.
//!
//! An answer counts when it has the nonce of this question, the name of the service that was asked, and the name of the
//! machine, container or host where that one is meant to run: not a proxy, not a service that was left from before, not
//! the asker itself, and not one that has not moved.

use muster_e2e::kit::{components, postgres};
use muster_e2e::{Random, Site, free_ports};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const RUNTIMES: [&str; 3] = ["process", "container", "remote"];

/// Services that call each other, and where each runs at first: two of each runtime, so that all nine pairs are there.
const PEERS: [(&str, &str); 6] = [
    ("pa", "process"),
    ("pb", "process"),
    ("ca", "container"),
    ("cb", "container"),
    ("ra", "remote"),
    ("rb", "remote"),
];
/// PostgreSQL, beside them.
const DATABASE: (&str, &str) = ("db", "process");

/// The services of a stack, and where each is meant to run.
type Places = Vec<(&'static str, &'static str)>;

/// A site with the stack of these services.
struct Stage {
    suite: String,
    site: Site,
    places: Places,
    random: Random,
    /// What was seen: printed at the end, in one piece.
    told: String,
}

/// One call: who asked whom, and what came back.
struct Call {
    from: (&'static str, &'static str),
    to: (&'static str, &'static str),
    answer: String,
    right: bool,
}

impl Stage {
    /// One with a namespaced host, or none and a reported skip; with the server of `bin` as one more service.
    fn new(suite: &str, bin: Option<&Path>) -> Option<Self> {
        let site = Site::namespaced(suite)?;
        let mut places = PEERS.to_vec();
        places.extend(bin.map(|_| DATABASE));
        let mut text = format!("name: mixed\nports: {{ base: {}, block: 60 }}\nservices:\n", free_ports(60));
        for (name, _) in PEERS {
            let variants = site.variants(&format!("{name} peer ${{bind.http}} ${{port.http}}"));
            let _ = write!(text, "  {name}:\n{variants}    ports: {{ http: {{ container: 8080 }} }}\n");
            text += "    ready: { http: \"${addr.http}/hello/ready\" }\n    env:\n      PORT: \"${port.http}\"\n";
            text += &addresses(&places);
        }
        if let Some(bin) = bin {
            text += &database(&site, bin);
            text += &addresses(&places);
        }
        text += "environments:\n  local:\n    services:\n";
        for (name, runtime) in &places {
            let _ = writeln!(text, "      {name}: {{ runtime: {runtime} }}");
        }
        site.home.stack(&text);
        Some(Self { suite: suite.to_owned(), site, places, random: Random::new(Random::seed()), told: String::new() })
    }

    /// Where everybody runs when one service is moved.
    fn moved(&self, service: &str, to: &'static str) -> Places {
        self.places.iter().map(|(name, at)| (*name, if *name == service { to } else { *at })).collect()
    }

    /// Brings the stack up, and looks whether everybody is ready where it is meant to be.
    fn up(&self, words: &[&str], places: &Places) {
        let up = self.site.home.muster(&[&["up", "-d"], words].concat());
        if up.code != 0 {
            println!("{}", self.site.home.muster(&["logs", "-n", "40"]).stdout);
        }
        up.ok();
        for (name, runtime) in places {
            let status = self.site.home.service(name);
            assert_eq!((&status["state"], &status["runtime"]), (&"ready".into(), &(*runtime).into()), "{status}");
        }
    }

    /// The runs that there are: what has another one afterwards was started again.
    fn runs(&self) -> BTreeMap<String, Value> {
        let status = self.site.home.status(&[]);
        status.iter().map(|one| (one["name"].as_str().unwrap_or_default().to_owned(), one["run"].clone())).collect()
    }

    /// The name of the machine that a service sees itself on.
    fn machine(&self, service: &str, runtime: &str) -> String {
        match runtime {
            "process" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            "remote" => self.site.host.alias().to_owned(),
            _ => {
                let status = self.site.home.service(service);
                let id = status["container"].as_str().unwrap_or_else(|| panic!("no container: {status}"));
                id.chars().take(12).collect()
            }
        }
    }

    /// Everybody calls everybody, also itself: each service is told, by itself at its own port, to call each.
    fn calls(&mut self, places: &Places) -> Vec<Call> {
        let machines: Vec<String> = places.iter().map(|(name, runtime)| self.machine(name, runtime)).collect();
        let line = self.site.static_line();
        let mut calls = Vec::new();
        for from in places {
            let own = if from.0 == DATABASE.0 { "pg:127.0.0.1" } else { "127.0.0.1" };
            for (to, machine) in places.iter().zip(&machines) {
                let nonce = format!("{:016x}", self.random.next());
                let ask = format!("{line} {}.ask ask {own}:$PORT /call/{}/{nonce}", from.0, to.0);
                let output = self.site.home.muster(&["exec", from.0, "--", "sh", "-c", &ask]);
                let right = output.stdout.starts_with(&format!("{} {nonce} {machine} at ", to.0));
                let answer = format!("{}{}", output.stdout.trim(), output.stderr.trim());
                calls.push(Call { from: *from, to: *to, answer, right });
            }
        }
        calls
    }

    /// The same; all must be right.
    fn all_call(&mut self, places: &Places, when: &str) -> Vec<Call> {
        let calls = self.calls(places);
        let wrong: Vec<String> = calls
            .iter()
            .filter(|call| !call.right)
            .map(|call| format!("{} ({}) -> {} ({}): {}", call.from.0, call.from.1, call.to.0, call.to.1, call.answer))
            .collect();
        assert_eq!(wrong, Vec::<String>::new(), "{when}");
        calls
    }

    /// Moves one service to another runtime, and prints the line of that.
    fn moves(&mut self, service: &str, to: &'static str, words: &[&str]) {
        let places = self.moved(service, to);
        let before = self.runs();
        self.up(words, &places);
        let after = self.runs();
        let again: Vec<&str> =
            after.iter().filter(|(name, run)| before.get(*name) != Some(*run)).map(|(name, _)| name.as_str()).collect();
        assert!(again.contains(&service), "{service} was not started again");
        let calls = self.all_call(&places, &format!("{service} as {to}"));
        self.tell(&format!("  {service:<2} -> {to:<9}  {}; started again: {}", count(&calls), again.join(" ")));
        for (from, to) in [("pb", service), (service, "pb")] {
            let call = calls.iter().find(|call| call.from.0 == from && call.to.0 == to);
            self.tell(&call.map_or_else(String::new, |call| format!("       {from} asked {to}: {}", call.answer)));
        }
    }

    /// The stack as the file has it, then each of `services` on each other runtime, then as before.
    fn play(&mut self, services: &[(&str, &'static str)], mut then: impl FnMut(&Self, &str, &str)) {
        let places = self.places.clone();
        self.up(&[], &places);
        let calls = self.all_call(&places, "as the file has it");
        self.tell(&format!("as the file has it: {}; of each pair of runtimes:", count(&calls)));
        for from in RUNTIMES {
            for to in RUNTIMES {
                let pair = calls.iter().filter(|call| call.from.1 == from && call.to.1 == to && call.from != call.to);
                // the database where it is one of them
                if let Some(call) = pair.max_by_key(|call| [call.from.0, call.to.0].contains(&DATABASE.0)) {
                    self.tell(&format!("  {from:<9} -> {to:<9}  {} asked {}: {}", call.from.0, call.to.0, call.answer));
                }
            }
        }
        self.tell("moved, the graph as it is (muster up -d --runtime SERVICE=RUNTIME):");
        for (service, at_first) in services {
            then(self, service, at_first);
            for to in RUNTIMES.into_iter().filter(|to| to != at_first) {
                self.moves(service, to, &["--runtime", &format!("{service}={to}")]);
                then(self, service, to);
            }
            self.moves(service, at_first, &[]);
            then(self, service, at_first);
        }
    }

    fn tell(&mut self, line: &str) {
        self.told += line;
        self.told.push('\n');
    }

    /// Everything goes down, and nothing is left.
    fn down(&self) {
        muster_e2e::kit::shown(&format!("{}:\n{}", self.suite, self.told));
        self.site.home.muster(&["down", "--data"]).ok();
        assert_eq!(self.site.at_engine(), Vec::<String>::new(), "at the engine after `down`");
        assert_eq!(self.site.home.workers_alive(), [], "after `down`");
    }
}

fn count(calls: &[Call]) -> String {
    format!("{} of {} calls right", calls.iter().filter(|call| call.right).count(), calls.len())
}

/// The variables by which a service finds everybody, also itself.
fn addresses(places: &Places) -> String {
    places.iter().fold(String::new(), |text, (name, _)| {
        let address = if *name == DATABASE.0 { "pg:${services.db.addr.sql}" } else { "${services.NAME.addr.http}" };
        text + &format!("      PEER_{}: \"{}\"\n", name.to_uppercase(), address.replace("NAME", name))
    })
}

/// PostgreSQL in its three variants: the same programs, from an image that was made of this machine's.
fn database(site: &Site, bin: &Path) -> String {
    let (bin, data, user) = (bin.display(), "${dir.data}/pg", postgres::USER);
    let trust = format!("echo host all all all trust >> {data}/pg_hba.conf");
    let first = format!("{bin}/initdb -D {data} -U postgres -A trust --locale=C -E UTF8 && {trust}");
    let server = format!(
        "{bin}/postgres -D {data} -p ${{port.sql}} -c listen_addresses=${{bind.sql}} -c unix_socket_directories= \
         -c cluster_name=db -c fsync=off"
    );
    let way = format!(
        "user: {user}, before: [{{ shell: \"{first}\", creates: \"{data}/PG_VERSION\" }}], command: \"{server}\""
    );
    let (image, mounts, host) = (postgres::IMAGE, site.mounts(), site.host.alias());
    format!(
        "  db:\n    process: {{ {way} }}\n    container: {{ image: \"{image}\", pid: host, volumes: [{mounts}], {way} }}\n    \
             remote: {{ host: {host}, {way} }}\n    ports: {{ sql: {{ container: 5432 }} }}\n    \
             ready: {{ exec: [{bin}/pg_isready, -q, -h, 127.0.0.1, -p, \"${{port.sql}}\"] }}\n    \
             stop: {{ signal: INT }}\n    env:\n      PORT: \"${{port.sql}}\"\n"
    )
}

#[test]
fn all_nine_pairs_call_each_other_and_each_service_moves() {
    let Some(mut stage) = Stage::new("mixed-stack", None) else { return };
    stage.play(&[PEERS[0], PEERS[2], PEERS[4]], |_, _, _| {});
    stage.down();
}

#[test]
fn postgresql_is_asked_from_each_runtime_and_asks_each_and_moves() {
    let Some(bin) = components::postgres("mixed-postgresql") else { return };
    let Some(mut stage) = Stage::new("mixed-postgresql", Some(&bin)) else { return };
    if let Err(error) = postgres::ensure(&stage.site.engine, &bin) {
        return muster_e2e::skip("mixed-postgresql", &error.to_string());
    }
    // the server's user may enter the stack's folder, and its programs note what they do
    let home = &stage.site.home;
    for (folder, mode) in [(home.root().to_owned(), 0o711), (home.project(), 0o755), (home.marks_dir(), 0o777)] {
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("ours");
    }
    let psql = format!("{}/psql -h 127.0.0.1 -p $PORT -U postgres -qAtc", bin.display());
    let sql = |stage: &Stage, query: &str| {
        stage.site.home.muster(&["exec", "db", "--", "sh", "-c", &format!("{psql} '{query}'")]).expect_code(0).stdout
    };
    let mut kept = 0;
    stage.play(&[DATABASE, PEERS[2], PEERS[4]], |stage, service, runtime| {
        if service != DATABASE.0 {
            return;
        }
        // a process and a container of this machine have one `${dir.data}`, another host has its own
        let rows = if runtime == "remote" { 0 } else { kept };
        let query = "CREATE TABLE IF NOT EXISTS kept (); SELECT count(*) FROM kept; INSERT INTO kept DEFAULT VALUES;";
        assert_eq!(sql(stage, query).trim(), rows.to_string(), "rows in the table, db as {runtime}");
        kept += usize::from(runtime != "remote");
    });
    stage.tell(&format!("rows that db wrote as process and as container, kept through all moves: {kept}"));
    stage.down();
}
