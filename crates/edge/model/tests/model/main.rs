//! The caller against a model server that keeps to a script, over real HTTP.

mod anthropic;
mod common;
mod failures;
mod streams;
mod whole;
