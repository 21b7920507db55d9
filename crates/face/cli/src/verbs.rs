//! What each command does; one file per noun, with its arguments, its calls and how its answers look.

pub(crate) mod actions;
pub(crate) mod agents;
pub(crate) mod alerts;
pub(crate) mod backup;
pub(crate) mod budgets;
pub(crate) mod effects;
pub(crate) mod evidence;
pub(crate) mod follow;
pub(crate) mod halt;
pub(crate) mod handoffs;
pub(crate) mod hooks;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod manual;
pub(crate) mod mcp;
pub(crate) mod models;
pub(crate) mod node;
pub(crate) mod packets;
pub(crate) mod people;
pub(crate) mod policy;
pub(crate) mod policy_diff;
pub(crate) mod proofs;
pub(crate) mod redact;
pub(crate) mod replay;
pub(crate) mod retention;
pub(crate) mod reviews;
pub(crate) mod run_view;
pub(crate) mod runs;
pub(crate) mod secrets;
pub(crate) mod sign_in;
pub(crate) mod state;
pub(crate) mod tool_view;
pub(crate) mod tools;
pub(crate) mod traces;
pub(crate) mod verify;

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
    session::Session,
};

/// Carries out a command.
pub(crate) async fn carry_out(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(_) => Err(Failure::misused("a node is not started from here").hint("run the program `steward`")),
        Command::Login(login) => login::log_in(session, login).await,
        Command::People(verb) => people::carry_out(session, verb).await,
        Command::Key(verb) => keys::carry_out(session, verb).await,
        Command::Agent(verb) => agents::carry_out(session, verb).await,
        Command::Act(act) => actions::act(session, act).await,
        Command::Action(verb) => actions::carry_out(session, verb).await,
        Command::Packet(verb) => packets::carry_out(session, verb),
        Command::Run(verb) => runs::carry_out(session, verb).await,
        Command::Evidence(verb) => evidence::carry_out(session, verb),
        Command::Handoff(verb) => handoffs::carry_out(session, verb).await,
        Command::Review(verb) => reviews::carry_out(session, verb).await,
        Command::Effect(verb) => effects::carry_out(session, verb).await,
        Command::State(verb) => state::carry_out(session, verb).await,
        Command::Tool(verb) => tools::carry_out(session, verb).await,
        Command::Model(verb) => models::carry_out(session, verb).await,
        Command::Budget(verb) => budgets::carry_out(session, verb).await,
        Command::Usage(args) => budgets::usage(session, args).await,
        Command::Secret(verb) => secrets::carry_out(session, verb).await,
        Command::Lease(verb) => secrets::leases(session, verb).await,
        Command::Hook(verb) => hooks::carry_out(session, verb).await,
        Command::Traces => traces::carry_out(session).await,
        Command::Mcp(arguments) => mcp::carry_out(session, arguments).await,
        Command::Halt(why) => halt::halt(session, why).await,
        Command::Resume(why) => halt::resume(session, why).await,
        Command::Policy(verb) => policy::carry_out(session, verb).await,
        Command::Ledger(verb) => ledger::carry_out(session, verb).await,
        Command::Node(verb) => node::carry_out(session, verb).await,
        Command::Logs(verb) => logs::carry_out(session, verb).await,
        Command::Alerts => alerts::list(session).await,
        Command::Redact(args) => redact::redact(session, args).await,
        Command::Retention(verb) => retention::carry_out(session, verb).await,
        Command::Backup(verb) => backup::carry_out(session, verb),
        Command::Upgrade(_) => {
            Err(Failure::misused("an upgrade is not checked from here").hint("run the program `steward`"))
        }
        Command::Doctor => node::doctor(session).await,
        Command::Completions(completions) => manual::complete(session, &completions, Cli::command()),
        Command::Man(man) => manual::man(session, &man, Cli::command()),
    }
}
