//! Embeds what other processes are made of, so that release builds are one file: the supervisor's binary that
//! `MUSTER_EMBED_SHIM` names, and for other hosts what `MUSTER_EMBED_HOSTS` does: `MACHINE=AGENT:SHIM`, separated by commas.
use std::fmt::Write as _;
use std::path::PathBuf;

fn main() {
    let shim = match named("MUSTER_EMBED_SHIM") {
        Some(path) => format!("Some({})", embedded(&path)),
        None => "None".to_owned(),
    };
    let mut hosts = String::new();
    for host in named("MUSTER_EMBED_HOSTS").iter().flat_map(|hosts| hosts.split(',')) {
        let (machine, files) = host.split_once('=').expect("MUSTER_EMBED_HOSTS: MACHINE=AGENT:SHIM,...");
        let (agent, shim) = files.split_once(':').expect("MUSTER_EMBED_HOSTS: MACHINE=AGENT:SHIM,...");
        let (agent, shim) = (embedded(agent), embedded(shim));
        let _ = write!(hosts, "daemon::EmbeddedHost {{ machine: {machine:?}, agent: {agent}, shim: {shim} }}, ");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("invariant: cargo sets OUT_DIR"));
    let text = format!(
        "/// The supervisor's binary, in release builds.\npub(crate) const SHIM: Option<&[u8]> = {shim};\n\
         /// What is brought to other hosts, in release builds.\n\
         pub(crate) const HOSTS: &[daemon::EmbeddedHost] = &[{hosts}];\n"
    );
    std::fs::write(out.join("shim.rs"), text).expect("invariant: OUT_DIR can be written");
}

fn named(variable: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={variable}");
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

fn embedded(path: &str) -> String {
    println!("cargo::rerun-if-changed={path}");
    format!("include_bytes!({path:?})")
}
