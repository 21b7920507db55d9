//! Secrets as facts: which there are, for whom, and which run has one now. Their values are sealed (the keeper's work), and stand in no entry.
//!
//! ```text
//! put(&context, &keeper, &caller, "openrouter", &Value::Given(secret)).await?;   // a row with the sealed value, version 1
//! rotate(&context, &keeper, &caller, "openrouter", &value).await?;               // version 2; the row holds no other
//! issue(&context, &asks, lacks, None, "model.call:fast").await?                  // a run may use it, for its tier's lifetime
//! with_step(reader, run, …)                                                      // renewed, or ended, in the commit of the run's step
//! ```
//!
//! A lease is issued when a run first needs a secret, and is what is recorded of its use: one entry, and not one for each call. It is renewed
//! with each phase, issued anew when it lapsed or the secret has another value, and ends with the run. One that a person revoked is not
//! issued again.
//!
//! A secret may have no value of its own: a generator, which is a program of the operator's, makes one for each lease and ends it when that is over,
//! however that came about (making.rs).
//!
//! Deliberately absent: values (nothing here shows one), and what a secret is for (tools and models name theirs).

mod generator;
mod lease;
mod making;
mod rows;
mod verbs;

pub use generator::{GENERATOR_TIMEOUT_S, Generator, MAX_GENERATOR_TIMEOUT_S, MAX_GENERATORS, MAX_MAKER_ID};
pub use lease::{Asks, Found, Has, Lacks, Needs, Unleased, end_left_over, issue, look, may_use, with_step};
pub use making::{
    END_AGAIN_AFTER_S, Ended as RoundEnded, FAILURES_BEFORE_ALERT, Generators, Made, NotEnded, REST_AFTER_FAILURE_S,
    UNCERTAIN_FOR_S,
};
pub use rows::{
    Ended, GrantRow, LeaseFilter, LeaseRow, LeasedTo, MIGRATIONS, MadeRow, MadeState, SecretRow, Status, grants,
    is_new, leases, left_over, not_ended, open_leases, secret, secrets,
};
pub use verbs::{
    MAX_LEASES_LISTED, SecretView, Value, grant, hold, list, list_leases, put, revoke, revoke_lease, rotate,
};
