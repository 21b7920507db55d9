//! What holds for every command.

use std::path::PathBuf;

use clap::Args;

use crate::home::{self, NoHome};

/// What holds for every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// The folder of the node: all of its state, and how it is found [default: ~/.local/share/steward]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "STEWARD_HOME",
        hide_env_values = true,
        help_heading = "For every command"
    )]
    pub home: Option<PathBuf>,
    /// Print JSON: what the node answered, in the shape of its API
    #[arg(long, global = true, help_heading = "For every command")]
    pub json: bool,
    /// The node's address, instead of the one in its home: http://127.0.0.1:7878
    #[arg(long, global = true, value_name = "URL", help_heading = "For every command")]
    pub node: Option<String>,
    /// Of a node at an https address: the authority that its certificate is by, as PEM, instead of those that the system trusts
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "STEWARD_CA",
        hide_env_values = true,
        help_heading = "For every command"
    )]
    pub ca: Option<PathBuf>,
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
