//! The helper of this crate's own tests: a program whose subcommand `sandbox-init` is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(arg) if arg == "sandbox-init" => steward_worker::sandbox_init(args),
        _ => ExitCode::from(2),
    }
}
