//! What joins the nouns: starting a node, telling callers apart, and the work that is done without being asked for.
//!
//! [`open()`] makes a context from a home; [`authenticate()`] knows people *and* agents; [`tend()`] is the background.

mod authenticate;
mod gateway;
mod open;
mod outside;
mod rescue;
pub mod reviews;
mod rollback;
pub mod runs;
mod secrets;
pub mod standing;
mod tend;
mod upgrade;

pub use authenticate::authenticate;
pub use gateway::{Gateway, GatewayParts, ServerView, ToolView};
pub use open::{DOCUMENT_KEY, OpenError, Opened, Settings, TREE_HEAD_KEY, Workers, close, migrations, open};
pub use outside::act;
pub use rescue::{Rescued, rescue};
pub use rollback::{Accepted, accept_rollback, mark_behind};
pub use tend::{Tended, tend};
pub use upgrade::{Look, check_upgrade};
