//! The examples of this repository run as they are.

use muster_e2e::kit::components;
use muster_e2e::{Home, free_ports};
use std::path::Path;

#[test]
fn the_social_platform_runs_as_its_author_meant() {
    let Some(engine) = components::docker("example-social-platform") else { return };
    let mut home = Home::new();
    home.set("DOCKER_HOST", &engine.address());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/social-platform/muster.yaml");
    let text = std::fs::read_to_string(file).expect("the example");
    // its ports are its own here: other tests run at the same time
    home.stack(&text.replacen(
        "name: social-platform\n",
        &format!("name: social-platform\nports: {{ base: {} }}\n", free_ports(10)),
        1,
    ));
    home.muster(&["up", "-d"]).ok();
    let services = [
        ("database", "process"),
        ("cache", "process"),
        ("api-gateway", "container"),
        ("user-service", "container"),
        ("feed-service", "process"),
        ("notification-service", "process"),
    ];
    for (name, runtime) in services {
        let service = home.service(name);
        assert_eq!((&service["state"], &service["runtime"]), (&"ready".into(), &runtime.into()), "{service}");
    }
    for (job, last) in [
        ("db-migration", "Migration completed successfully!"),
        ("cache-warmer", "Cache warmed with 1000 entries!"),
        ("deploy-assets", "Assets deployed to CDN!"),
    ] {
        home.wait_state(job, "done");
        assert!(home.muster(&["logs", "--raw", job]).stdout.contains(last), "{job}");
    }
    for (name, said) in [
        ("database", "[DB] Connections: "),
        ("cache", "[CACHE] GET user:"),
        ("api-gateway", "\"method\":"),
        ("user-service", "[USER] Action: "),
        ("feed-service", "[FEED] Generated feed"),
        ("notification-service", "[NOTIF] "),
    ] {
        muster_e2e::wait_until(said, || home.muster(&["logs", "--raw", name]).stdout.contains(said));
    }
    println!("{}", home.muster(&["status"]).stdout);
    // the order of the graph: nobody before those it needs
    let started = |name: &str| home.service(name)["started_at"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(started("database") < started("cache") && started("cache") < started("api-gateway"));
    assert!(
        started("api-gateway") < started("user-service") && started("feed-service") < started("notification-service")
    );
    home.muster(&["down"]).ok();
    let left = engine.get("/containers/json?all=true").expect("an answer").to_string();
    assert!(!left.contains(&home.root().display().to_string()), "left at the engine: {left}");
}
