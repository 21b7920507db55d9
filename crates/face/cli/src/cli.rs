//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    home::{self, NoHome},
    verbs::{
        actions::{ActArgs, ActionVerb},
        agents::AgentVerb,
        keys::KeyVerb,
        ledger::LedgerVerb,
        login::LoginArgs,
        manual::{CompletionsArgs, ManArgs},
        node::NodeVerb,
        people::PeopleVerb,
        policy::PolicyVerb,
    },
};

/// Governs AI agents: names them, decides what they may do, and records it so that anyone can check.
#[derive(Debug, Parser)]
#[command(name = "steward", version, propagate_version = true, max_term_width = 120)]
#[command(after_help = "Exit codes: 0 done; 1 refused, or not true; 2 wrong use; 3 the node cannot be reached.")]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// The folder of the node: all of its state, and how it is found [default: ~/.local/share/steward]
    #[arg(long, global = true, value_name = "DIR", env = "STEWARD_HOME", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// Print JSON: what the node answered, in the shape of its API
    #[arg(long, global = true)]
    pub json: bool,
    /// The node's address, instead of the one in its home: http://127.0.0.1:7878
    #[arg(long, global = true, value_name = "URL")]
    pub node: Option<String>,
}

impl Globals {
    /// The node's home, as an absolute path: what was said, or the usual place.
    ///
    /// # Errors
    /// Nothing was said, and there is no home directory to have a usual place in.
    pub fn home(&self) -> Result<PathBuf, NoHome> {
        home::home(self.home.as_deref())
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the node, and make it on the first start
    Up(UpArgs),
    /// Get a key of your own from a login key, and keep it
    Login(LoginArgs),
    /// People who may use this node
    #[command(subcommand)]
    People(PeopleVerb),
    /// Keys of people and agents
    #[command(subcommand)]
    Key(KeyVerb),
    /// Agents of this node
    #[command(subcommand)]
    Agent(AgentVerb),
    /// Do one governed action, as an agent
    Act(ActArgs),
    /// Actions that were asked for, and why they were allowed or refused
    #[command(subcommand)]
    Action(ActionVerb),
    /// What is allowed: check it, ask it, test it
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// The record: read it, search it, prove it, verify it
    #[command(subcommand)]
    Ledger(LedgerVerb),
    /// The node itself
    #[command(subcommand)]
    Node(NodeVerb),
    /// Look for what is wrong, and say how to mend it
    Doctor,
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    Man(ManArgs),
}

/// Starts the node.
#[derive(Debug, Clone, Default, Args)]
pub struct UpArgs {
    /// Where to listen, on loopback; port 0 picks one [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Make a node to try things with: people, agents, and a few actions
    #[arg(long)]
    pub demo: bool,
    /// The namespace that a new node is the authority for: acme.internal
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The name of a new node's first person
    #[arg(long, value_name = "NAME")]
    pub operator: Option<String>,
}
