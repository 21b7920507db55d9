//! Language models: which there are, what may be used of them, and what was.
//!
//! ```text
//! add(&context, &caller, &NewModel { … }).await?;
//! set_budget(&context, &caller, &NewBudget { … }).await?;
//! let reserved = reserve(&context, &asks)?;                    // rows and guards, for the commit that begins a call
//! let settled = reserved.call.settled(Some(usage), now);       // a row, for the commit that ends it
//! let used = usage(&context, &caller, …).await?;               // summed from the calls, each time
//! ```
//!
//! A call reserves the most that it could use before it is sent, in the commit that records it; when it ends, what it used takes the
//! place of that. One that did not end counts with all that it reserved: after a crash, too.
//!
//! Deliberately absent: calling a model (the edge's), and deciding (policy's).

mod budget;
pub mod rows;
mod usage;
mod verbs;

pub use budget::{Asks, DEFAULT_RUN_CALLS, DEFAULT_RUN_TOKENS, Over, Reserved, price_micros, reserve};
pub use rows::{BudgetRow, CallRow, CallStatus, Limits, MIGRATIONS, ModelRow, Per, Spent, WireName};
pub use usage::{Used, usage};
pub use verbs::{MAX_MODELS, NewBudget, NewModel, add, budgets, find, models, remove, set_budget};
