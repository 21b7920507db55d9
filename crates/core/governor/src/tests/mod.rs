//! The tables, the models and the golden bytes of the governor.

mod budgets;
mod golden;
mod machine;
mod model;
mod packets;
mod patterns;
mod runs;
mod sample;
mod schemas;
mod templates;
