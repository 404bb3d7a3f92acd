//! Supervises one run of one service and outlives the daemon: `muster-shim FOLDER SOCKET FD`.

fn main() -> std::process::ExitCode {
    muster_shim::server::main()
}
