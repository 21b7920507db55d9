//! Stories of language models: agents that ask them through the node, providers that behave and that do not, and budgets that hold.

mod asking;
mod budgets;
mod common;
mod provider;
mod providers;
mod traces;
