//! Supervises one run of one service and outlives the daemon. The daemon executes it as a fork server; each run's shim is
//! a fork of that.

fn main() -> std::process::ExitCode {
    muster_shim::server::main()
}
