//! One graph over three runtimes: processes, containers and processes of another host call each other by the addresses
//! that `${services...}` gives them, and each can be moved to another runtime without a change of the graph.
//!
//! An answer counts when it has the nonce of this run and the name of the service that was asked: not a proxy, not a
//! service that was left from before, not the asker itself.

use muster_e2e::kit::components;
use muster_e2e::{Home, Random, Site, free_port};
use std::fmt::Write as _;
use std::path::Path;

/// Services that call each other, and where each runs at first: two of each runtime, so that all nine pairs are there.
const PEERS: [(&str, &str); 6] = [
    ("pa", "process"),
    ("pb", "process"),
    ("ca", "container"),
    ("cb", "container"),
    ("ra", "remote"),
    ("rb", "remote"),
];

fn nonce() -> String {
    format!("n{:016x}", Random::new(Random::seed()).next())
}

/// The services that call each other; with a database each of them asks it as well.
fn peers(site: &Site, database: bool) -> String {
    let mut text = String::new();
    for (name, _) in PEERS {
        let variants = site.variants(&format!("{name} peer 0.0.0.0 ${{port.http}}"));
        let _ = write!(text, "  {name}:\n{variants}    ports: {{ http: {{ container: 8080 }} }}\n");
        let _ = write!(
            text,
            "    ready: {{ http: \"${{addr.http}}/hello/ready\" }}\n    env:\n      PORT: \"${{port.http}}\"\n"
        );
        for (other, _) in PEERS {
            let _ = writeln!(text, "      PEER_{}: \"${{services.{other}.addr.http}}\"", other.to_uppercase());
        }
        if database {
            let _ = writeln!(text, "      PEER_DB: \"pg:${{services.db.addr.sql}}\"");
        }
    }
    text
}

/// What runs where, as the file has it.
fn stack(site: &Site, services: &str) {
    let mut text = format!(
        "name: mixed\nports: {{ base: {} }}\nservices:\n{services}environments:\n  local:\n    services:\n",
        free_port()
    );
    for (name, runtime) in PEERS {
        let _ = writeln!(text, "      {name}: {{ runtime: {runtime} }}");
    }
    site.home.stack(&text);
}

/// `caller` is told, by itself at its own port, to call `peer`; what it got.
fn call(site: &Site, caller: &str, runtime: &str, peer: &str, nonce: &str) -> String {
    let line = if runtime == "process" { site.home.worker_line() } else { site.static_line() };
    let ask = format!("{line} {caller}.ask ask 127.0.0.1:$PORT /call/{peer}/{nonce}");
    let output = site.home.muster(&["exec", caller, "--", "sh", "-c", &ask]);
    format!("{}{}", output.stdout.trim(), if output.code == 0 { "" } else { output.stderr.trim() })
}

/// Everybody calls everybody, also itself; the calls that failed.
fn wrong_calls(site: &Site, runtimes: &[(&str, &str)], more: &[(&str, &str)]) -> Vec<String> {
    let nonce = nonce();
    let mut wrong = Vec::new();
    for (caller, runtime) in runtimes {
        for (peer, of) in runtimes.iter().chain(more) {
            let answer = call(site, caller, runtime, peer, &nonce);
            if answer != format!("{peer} {nonce}") {
                wrong.push(format!("{caller} ({runtime}) -> {peer} ({of}): {answer}"));
            }
        }
    }
    wrong
}

#[test]
fn all_nine_pairs_call_each_other_and_each_service_moves() {
    let Some(site) = Site::namespaced("mixed-stack") else { return };
    stack(&site, &peers(&site, false));
    site.home.muster(&["up", "-d"]).ok();
    assert_eq!(wrong_calls(&site, &PEERS, &[]), Vec::<String>::new());

    for moved in ["pa", "ca", "ra"] {
        for runtime in ["process", "container", "remote"] {
            let runtimes: Vec<(&str, &str)> =
                PEERS.iter().map(|(name, at)| (*name, if *name == moved { runtime } else { *at })).collect();
            site.home.muster(&["up", "-d", "--runtime", &format!("{moved}={runtime}")]).ok();
            let status = site.home.service(moved);
            assert_eq!(status["runtime"], runtime, "{status}");
            assert_eq!(status["state"], "ready", "{status}");
            assert_eq!(wrong_calls(&site, &runtimes, &[]), Vec::<String>::new(), "{moved} as {runtime}");
        }
    }
    site.home.muster(&["down"]).ok();
    assert_eq!(site.at_engine(), Vec::<String>::new(), "at the engine after `down`");
    assert_eq!(site.home.workers_alive(), [], "after `down`");
}

/// The database in its three variants. Only the programs of this machine's PostgreSQL are there: its folders are
/// mounted into the container, which has nothing else, and the host shares them.
fn database(site: &Site, bin: &Path) -> String {
    let bin = bin.display();
    let peers: String = PEERS.iter().fold(String::new(), |text, (name, _)| {
        text + &format!("      PEER_{}: \"${{services.{name}.addr.http}}\"\n", name.to_uppercase())
    });
    let server = |data: &str| {
        format!(
            "\"{bin}/postgres -D {data} -p ${{port.sql}} -c listen_addresses=* -c unix_socket_directories= -c cluster_name=db -c fsync=off\""
        )
    };
    let first = |data: &str| {
        let trust =
            format!("{bin}/initdb -D {data} -U postgres -A trust && echo host all all all trust >> {data}/pg_hba.conf");
        format!("[{{ shell: \"{trust}\", creates: \"{data}/PG_VERSION\" }}]")
    };
    let (own, inside, there) = ("${dir.data}/pg", "/data/pg", format!("{}/pg", site.host.home().display()));
    let mounts =
        "\"/usr:/usr:ro\", \"/lib:/lib:ro\", \"/lib64:/lib64:ro\", \"/etc/passwd:/etc/passwd:ro\", \"pgdata:/data\"";
    format!(
        "  db:\n    process: {{ user: postgres, before: {}, command: {} }}\n    \
             container: {{ image: muster-test/busybox:1, user: postgres, volumes: [{mounts}], before: {}, command: {} }}\n    \
             remote: {{ host: {}, user: postgres, before: {}, command: {} }}\n    \
             ports: {{ sql: {{ container: 5432 }} }}\n    ready: {{ tcp: sql }}\n    stop: {{ signal: INT }}\n    env:\n{peers}",
        first(own),
        server(own),
        first(inside),
        server(inside),
        site.host.alias(),
        first(&there),
        server(&there),
    )
}

/// The database calls a service: a server-side program with the server's environment.
fn database_calls(home: &Home, line: &str, address: &str, peer: &str, nonce: &str) -> String {
    let variable = format!("PEER_{}", peer.to_uppercase());
    let copy = format!("COPY answers FROM PROGRAM '{line} db.ask ask $$PEER /hello/{nonce}'")
        .replace("$$PEER", &format!("${variable}"));
    let sql = format!("CREATE TEMP TABLE answers (text text); {copy}; SELECT text FROM answers;");
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let output = std::process::Command::new("psql")
        .args(["-h", host, "-p", port, "-U", "postgres", "-qAtc", &sql, "postgres"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(home.root())
        .output()
        .expect("psql can be run");
    format!("{}{}", String::from_utf8_lossy(&output.stdout).trim(), String::from_utf8_lossy(&output.stderr).trim())
}

#[test]
fn postgresql_is_asked_from_each_runtime_and_asks_each() {
    let Some(site) = Site::namespaced("mixed-postgresql") else { return };
    let Some(bin) = components::postgres("mixed-postgresql") else { return };
    let services = database(&site, &bin) + &peers(&site, true);
    stack(&site, &services);
    // who the server is notes nothing: another user may not write there
    let _ = std::fs::set_permissions(site.home.marks_dir(), std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let _ = std::fs::set_permissions(site.home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755));
    site.home.muster(&["up", "-d"]).ok();
    assert_eq!(wrong_calls(&site, &PEERS, &[("db", "process")]), Vec::<String>::new());

    let nonce = nonce();
    let ports = site.home.muster(&["ports", "--json", "db"]).expect_code(0).json();
    let address = format!("127.0.0.1:{}", ports["ports"][0]["port"]);
    for (peer, runtime) in PEERS {
        let answer = database_calls(&site.home, &site.static_line(), &address, peer, &nonce);
        assert_eq!(answer, format!("{peer} {nonce}"), "db -> {peer} ({runtime})");
    }
    site.home.muster(&["down"]).ok();
    assert_eq!(
        site.at_engine().into_iter().filter(|what| !what.starts_with("volume")).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}
