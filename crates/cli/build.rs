//! Embeds the supervisor's binary when `MUSTER_EMBED_SHIM` names it: release builds are one file.
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=MUSTER_EMBED_SHIM");
    let source = match std::env::var("MUSTER_EMBED_SHIM") {
        Ok(path) if !path.is_empty() => {
            println!("cargo::rerun-if-changed={path}");
            format!("Some(include_bytes!({path:?}))")
        }
        Ok(_) | Err(_) => "None".to_owned(),
    };
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("invariant: cargo sets OUT_DIR"));
    let text =
        format!("/// The supervisor's binary, in release builds.\npub(crate) const SHIM: Option<&[u8]> = {source};\n");
    std::fs::write(out.join("shim.rs"), text).expect("invariant: OUT_DIR can be written");
}
