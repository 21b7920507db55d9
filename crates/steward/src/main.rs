//! The executable: reads the configuration, builds the parts, serves; or runs a command against a node that is up.

mod configuration;
mod connections;
mod demo;
mod demo_agent;
mod doors;
mod generators;
mod invocation;
mod notify;
mod offline;
mod offline_agent;
mod tls;
mod up;
mod writable;

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use steward_app_node::system::{SystemClock, SystemDice};
use steward_cli::{BackupVerb, Cli, Command, KeyVerb, UpgradeVerb};

/// A request makes a few hundred small things and drops them; the allocator of the C library takes a fifth of the time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ended well.
const DONE: u8 = 0;
/// The configuration or the command line is wrong.
const MISUSED: u8 = 2;
/// The node could not start, or stopped because something is broken.
const FAILED: u8 = 1;

/// The stack of each worker, in bytes: Cedar refuses to evaluate a policy where little of it is left, which is a denial.
const STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    // In a sandbox, before there are threads: these are for the node itself to start, and stand in no help.
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|first| first.to_str()) {
        Some("sandbox-init") => return steward_worker::sandbox_init(arguments),
        Some(steward_governor::offline::OFFLINE_AGENT) => return offline_agent::run(),
        Some("demo-agent") => return demo_agent::run(arguments.next().as_deref().and_then(|role| role.to_str())),
        _ => {}
    }
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::from(FAILED);
        }
    };
    runtime.block_on(async {
        let failed = |code: u8, error: anyhow::Error| {
            eprintln!("error: {error:#}");
            ExitCode::from(code)
        };
        match &cli.command {
            Command::Backup(BackupVerb::Accept(arguments)) => match offline::accept(&cli.globals, arguments).await {
                Ok(()) => ExitCode::from(DONE),
                Err(error) => failed(FAILED, error),
            },
            Command::Key(KeyVerb::Rescue(arguments)) => match offline::rescue(&cli.globals, arguments).await {
                Ok(()) => ExitCode::from(DONE),
                Err(error) => failed(FAILED, error),
            },
            Command::Upgrade(UpgradeVerb::Check) => match offline::check_before_upgrade(&cli.globals) {
                Ok(true) => ExitCode::from(DONE),
                Ok(false) => ExitCode::from(FAILED),
                Err(error) => failed(MISUSED, error),
            },
            Command::Up(arguments) => match up::plan(&cli.globals, arguments) {
                Err(error) => failed(MISUSED, error),
                Ok(plan) => up::up(plan).await.map_or_else(|error| failed(FAILED, error), |()| ExitCode::from(DONE)),
            },
            _ => steward_cli::run(cli, Arc::new(SystemClock), Arc::new(SystemDice), env!("CARGO_PKG_VERSION")).await,
        }
    })
}
