//! Hooks: people's own programs are told what waits for people, by a signed webhook or a command.
//!
//! ```text
//! let hooks = Hooks::new(configured);
//! hooks.round(&context, &keeper, &name).await?      // reads the ledger on from the hook's own cursor, tells what is due
//! hooks.test(&context, &keeper, &caller, &name)     // a person tries it
//! ```
//!
//! Each hook reads the ledger with a cursor of its own, which is a row (law 6). What it finds becomes deliveries in the commit that moves the
//! cursor; each attempt is decided and recorded before it is made, and how it ended after that. So nothing is lost and nothing is told twice as
//! something new: a node that dies in between tries again, under the same id.
//!
//! Deliberately absent: answering a review from outside (the one inbox is the node's), and what an agent wrote: a receiver shows what it is sent,
//! and a path or a reason can be written to be read by people.

mod hook;
mod letter;
mod news;
mod rows;
mod verbs;

pub use hook::{Event, Hook, MAX_HOOKS, To};
pub use news::NEWS_FOR_MS;
pub use rows::{DeliveryRow, HookRow, MIGRATIONS, deliveries, hook};
pub use verbs::{HookView, Hooks, MAX_WAITING, RETRY_AFTER_S, Round, Tested};
