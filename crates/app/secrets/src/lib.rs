//! Secrets as facts: which there are, for whom, and which run has one now. Their values are sealed (the keeper's work), and stand in no entry.
//!
//! ```text
//! put(&context, &keeper, &caller, "openrouter", &Value::Given(secret)).await?;   // a row with the sealed value, version 1
//! rotate(&context, &keeper, &caller, "openrouter", &value).await?;               // version 2; the row holds no other
//! lease(&context, &asks, "openrouter").await?                                    // a run may use it, for its tier's lifetime
//! with_step(reader, run, …)                                                      // renewed, or ended, in the commit of the run's step
//! ```
//!
//! A lease is issued when a run first needs a secret, and is what is recorded of its use: one entry, and not one for each call. It is renewed
//! with each phase, issued anew when it lapsed or the secret has another value, and ends with the run. One that a person revoked is not
//! issued again.
//!
//! Deliberately absent: values (nothing here shows one), and what a secret is for (tools and models name theirs).

mod lease;
mod rows;
mod verbs;

pub use lease::{Asks, Found, Lacks, Needs, Unleased, end_left_over, issue, look, may_use, with_step};
pub use rows::{
    Ended, GrantRow, LeaseFilter, LeaseRow, LeasedTo, MIGRATIONS, SecretRow, Status, grants, is_new, leases, left_over,
    open_leases, secret, secrets,
};
pub use verbs::{
    MAX_LEASES_LISTED, SecretView, Value, grant, hold, list, list_leases, put, revoke, revoke_lease, rotate,
};
