//! Stories of tools of other MCP servers: who may call them, what a server that lies or dies comes to, and what is on record.

mod allowing;
mod changed;
mod common;
mod findings;
mod lasting;
mod processes;
mod results;
mod secrets;
mod server;
