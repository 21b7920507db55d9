//! What is run in a sandbox to find out whether it keeps in.
//!
//! ```text
//! steward sandbox-init probe        // as an agent would be started; prints `kept in`, or what it could do
//! ```
//!
//! Deliberately absent: the hostile agents of the tests. This one is run at every start, and takes a millisecond.

use std::{fs, net::TcpListener, process::ExitCode};

/// What the probe prints when it could do none of what it tried.
pub(crate) const KEPT_IN: &str = "kept in";

/// Tries what no agent may do.
pub(super) fn probe() -> ExitCode {
    let tries = [
        ("has new privileges", !rustix::thread::no_new_privs().unwrap_or(false)),
        ("can open a socket", TcpListener::bind(("127.0.0.1", 0)).is_ok()),
        ("can write to the root", fs::write("/steward-probe", "").is_ok()),
        ("can read the passwords", fs::read("/etc/shadow").is_ok()),
    ];
    let could: Vec<&str> = tries.iter().filter(|(_, could)| *could).map(|(what, _)| *what).collect();
    println!("{}", if could.is_empty() { KEPT_IN.to_owned() } else { could.join(", ") });
    ExitCode::SUCCESS
}
