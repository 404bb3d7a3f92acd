//! Compose projects with real containers: `muster up` runs them as they are, and `down` leaves nothing of them.
//!
//! Three are projects of awesome-compose, unchanged, with a second file that puts images of this machine in place of those of
//! a registry and ports of this run in place of the usual ones; two were written for what those do not have.

use muster_e2e::kit::{Engine, components};
use muster_e2e::{Home, PATIENCE, free_port, wait_for};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The label on everything that Muster makes at an engine: the environment's identity.
const ENVIRONMENT: &str = "dev.muster.environment";

/// A project in a home of its own.
struct Project {
    home: Home,
    engine: Engine,
    port: u16,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

impl Project {
    /// What lies in `tests/data/compose-up/NAME`, and the project of awesome-compose of that name where there is one.
    fn new(name: &str) -> Option<Self> {
        let engine = components::docker("compose-up")?;
        let mut home = Home::new();
        let port = free_port();
        home.set("DOCKER_HOST", &engine.address());
        home.set("HTTP_PORT", &port.to_string());
        home.set("RUN", &std::process::id().to_string());
        copy(&repository().join("tests/data/compose-up").join(name), &home.project());
        let real = repository().join("crates/compose/tests/data/awesome-compose/files").join(name);
        if real.is_dir() {
            copy(&real, &home.project());
        }
        Some(Self { home, engine, port })
    }

    /// What the project answers at its port.
    fn page(&self) -> String {
        let what = format!("a page at port {}", self.port);
        wait_for(&what, PATIENCE, || get(self.port, "/").ok().filter(|page| !page.is_empty()))
    }

    /// The names of services that are in `state`.
    fn in_state(&self, state: &str) -> Vec<String> {
        let services = self.home.status(&[]);
        let of = services.iter().filter(|service| service["state"] == state);
        let name = |service: &serde_json::Value| match service["replica"].as_u64() {
            Some(1) | None => service["name"].as_str().unwrap_or_default().to_owned(),
            Some(replica) => format!("{}#{replica}", service["name"].as_str().unwrap_or_default()),
        };
        let mut names: Vec<String> = of.map(name).collect();
        names.sort();
        names
    }

    /// The lines that a service wrote.
    fn logs(&self, service: &str) -> String {
        self.home.muster(&["logs", "--raw", service]).expect_code(0).stdout
    }

    /// What the engine has of the project, and volumes without a name that belong to nobody.
    fn left(&self) -> Vec<String> {
        let environments = fs::read_dir(self.home.state().join("state")).into_iter().flatten().flatten();
        let of = |entry: fs::DirEntry| {
            let label = format!("{ENVIRONMENT}={}", entry.file_name().to_string_lossy());
            self.engine.labelled(&label).expect("the engine answers")
        };
        environments.flat_map(of).collect()
    }

    /// `down`: only volumes with names stay; `down --data`: nothing does.
    fn end(&self, volumes: &[&str]) {
        let anonymous = self.anonymous();
        self.home.muster(&["down"]).ok();
        let left = self.left();
        assert_eq!(left.len(), volumes.len(), "after `down` there is {left:?}");
        for volume in volumes {
            let named = |left: &String| left.starts_with("volume ") && left.ends_with(&format!("_{volume}"));
            assert!(left.iter().any(named), "`{volume}` is not among {left:?}");
        }
        let there = self.volumes();
        assert!(anonymous.iter().all(|volume| !there.contains(volume)), "of {anonymous:?} some are left: {there:?}");
        self.home.muster(&["down", "--data"]).ok();
        assert_eq!(self.left(), Vec::<String>::new(), "after `down --data`");
    }

    /// All volumes of the engine.
    fn volumes(&self) -> Vec<String> {
        let volumes = self.engine.get("/volumes").expect("the engine answers");
        let names = volumes["Volumes"].as_array().into_iter().flatten();
        names.filter_map(|volume| volume["Name"].as_str().map(str::to_owned)).collect()
    }

    /// Volumes without a name that the project's containers have.
    fn anonymous(&self) -> Vec<String> {
        let ids =
            self.home.status(&[]).into_iter().filter_map(|service| service["container"].as_str().map(str::to_owned));
        let mounts = |id: String| {
            let container = self.engine.container(&id).expect("the engine answers").unwrap_or_default();
            let mounts = container["Mounts"].as_array().cloned().unwrap_or_default();
            let volume = mounts.into_iter().filter(|mount| mount["Type"] == "volume");
            volume.filter_map(|mount| mount["Name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        ids.flat_map(mounts).filter(|name| !name.contains('_')).collect()
    }
}

/// Copies a folder's files.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the project is there").map(|entry| entry.expect("an entry")) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            fs::create_dir_all(&to).expect("a folder");
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("a file");
        }
    }
}

/// The body of an answer with status 200.
fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Ok(String::new()) }
}

/// awesome-compose: three images built, a secret from a file, two networks, `service_healthy`, a bound folder, a volume
/// without a name.
#[test]
fn react_java_mysql() {
    let Some(project) = Project::new("react-java-mysql") else { return };
    let files = ["-f", "compose.yaml", "-f", "local.yaml"];
    project.home.muster(&[&["up", "-d"], files.as_slice()].concat()).ok();
    assert_eq!(project.in_state("ready"), ["backend", "db", "frontend"]);
    assert_eq!(
        project.page(),
        "database=example\npassword=db-57$ecret\nstarts=1\ncommand=mysqld\nsecret of the backend: db-57$ecret\n\
         export default \"src of the host\"\nfrom-image\n"
    );
    assert!(project.logs("backend").ends_with("backend is up\n"));
    let health = project.home.muster(&["health", "db"]).expect_code(0).stdout;
    assert!(health.contains("the container's own health check"), "{health}");
    assert_eq!(project.anonymous().len(), 1);
    project.end(&["db-data"]);
}

/// awesome-compose: names of containers, one port for TCP and UDP, a health check that fails at first, a service that
/// nobody answers for at its port.
#[test]
fn elasticsearch_logstash_kibana() {
    let Some(mut project) = Project::new("elasticsearch-logstash-kibana") else { return };
    let both = free_port().to_string();
    project.home.set("BOTH_PORT", &both);
    project.home.set("COMPOSE_FILE", "compose.yaml:local.yaml");
    project.home.muster(&["up", "-d"]).ok();
    assert_eq!(project.in_state("ready"), ["elasticsearch", "kibana", "logstash"]);
    assert_eq!(project.page(), "green\nES_JAVA_OPTS=-Xms512m -Xmx512m\n");
    assert_eq!(
        project.logs("logstash").lines().collect::<Vec<_>>()[..],
        [
            "logstash -f /usr/share/logstash/pipeline/logstash-nginx.config",
            "input { udp { port => 5000 } }",
            "127.0.0.1 - GET /"
        ]
    );
    let name = format!("log-{}", std::process::id());
    let container = project.engine.container(&name).expect("an answer").expect("it has the name that the file gives");
    let bound = |port: &str| container["NetworkSettings"]["Ports"][port][0]["HostPort"].clone();
    assert_eq!((bound("5000/tcp"), bound("5000/udp")), (both.as_str().into(), both.as_str().into()));
    project.end(&[]);
}

/// awesome-compose: two networks, two volumes with names, `restart: always`, commands as text and as lists.
#[test]
fn nextcloud_redis_mariadb() {
    let Some(project) = Project::new("nextcloud-redis-mariadb") else { return };
    let up = ["up", "-d", "-f", "compose.yaml", "-f", "local.yaml"];
    project.home.muster(&up).ok();
    assert_eq!(project.in_state("ready"), ["db", "nc", "redis"]);
    let page = |starts: &str| {
        format!(
            "{starts}--transaction-isolation=READ-COMMITTED --binlog-format=ROW\nPONG\nuser nextcloud of nextcloud\n"
        )
    };
    assert_eq!(project.page(), page("start\n"));
    project.home.muster(&["down"]).ok();
    project.home.muster(&up).ok();
    assert_eq!(project.page(), page("start\nstart\n"), "what a volume with a name holds outlives `down`");
    project.end(&["db_data", "nc_data"]);
}

/// include, extends over files, a found override, anchors, profiles, env files, configs, a secret from a variable, aliases,
/// a job that others wait for, a Dockerfile in the file.
#[test]
fn shop() {
    let Some(project) = Project::new("shop") else { return };
    project.home.muster(&["up", "-d"]).ok();
    assert_eq!(project.in_state("ready"), ["api", "gateway", "metrics", "store"]);
    assert_eq!(project.in_state("done"), ["migrate"]);
    let page = project.page();
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(lines[..2], ["7.1 of north", "answer of store, a file beside the base"]);
    for line in ["A=north a", "B=two", "lines", "C=\"quoted $REGION\"", "EXTRA=of the list"] {
        assert!(lines.contains(&line), "`{line}` is not in {lines:?}");
    }
    assert!(page.ends_with("from a file\nconfigured for north\nt0ken"), "{page}");
    assert_eq!(get(project.port, "/metrics").expect("an answer"), "metrics kept 7d\n");

    let said = project.home.muster(&["status", "--json"]).expect_code(0).stdout + &project.logs("api");
    assert!(!said.contains("t0ken"), "a secret is told: {said}");
    let before = project.home.service("api")["container"].clone();
    project.home.muster(&["up", "-d", "--profile", "debug"]).ok();
    assert_eq!(project.in_state("ready"), ["api", "debug", "gateway", "metrics", "store"]);
    assert_eq!(project.home.service("api")["container"], before, "what did not change runs on");

    // another name is another project: it has nothing of the first, and ends without it
    let port = free_port().to_string();
    project.home.muster_with(&["up", "-d", "-p", "second", "store", "debug"], &[("HTTP_PORT", &port)]).ok();
    let second = project.home.muster(&["--env", "second", "status", "--json"]).expect_code(0).json();
    let ready = second["services"].as_array().into_iter().flatten().filter(|service| service["state"] == "ready");
    assert_eq!(ready.map(|service| service["name"].clone()).collect::<Vec<_>>(), ["debug", "store"]);
    assert_eq!(second["stack"], "second");
    project.home.muster(&["down", "--data", "-p", "second"]).ok();
    assert_eq!(project.in_state("ready").len(), 5);
    project.end(&["state"]);
}

/// Replicas, limits and rights of a container, a stop signal, restarts on failure, a condition on what has to fail first,
/// services that end, and one that is not there.
#[test]
fn fleet() {
    let Some(project) = Project::new("fleet") else { return };
    let up = project.home.muster(&["up", "-d", "-f", "docker-compose.yml"]).expect_code(0);
    assert!(up.stderr.contains("fields are kept differently"), "{}", up.stderr);
    assert_eq!(project.in_state("ready"), ["after", "flaky", "worker", "worker#2", "worker#3"]);
    assert_eq!((project.in_state("done"), project.in_state("exited")), (vec!["seed".into()], vec!["greeter".into()]));
    assert_eq!(project.home.service("flaky")["restarts"], 1);
    for replica in ["worker", "worker#2", "worker#3"] {
        let logs = project.logs(replica);
        assert!(logs.contains("65534 worker 512 1\n") && logs.contains("read-only\n"), "{logs}");
    }
    let id = project.home.service("worker")["container"].as_str().unwrap_or_default().to_owned();
    let container = project.engine.container(&id).expect("an answer").expect("it runs");
    let host = &container["HostConfig"];
    assert_eq!((&host["Memory"], &host["NanoCpus"]), (&(32 << 20).into(), &500_000_000.into()));
    assert_eq!(host["CapDrop"][0], "ALL");
    project.home.muster(&["stop", "--force", "worker"]).ok();
    assert!(project.logs("worker").ends_with("asked to end\n"), "INT is its stop signal");
    project.end(&["shared"]);
}
