//! A node of this crate's own tests, to be killed: starts an agent and says so.
//!
//! `sandbox_node <instance> <A|B> <script>`: runs `/bin/sh -c script`, prints its first line, and waits until it ends.

#[path = "../tests/sandbox/common.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod common;

use steward_worker::{Grade, Launcher, LauncherSettings};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [instance, grade, script] = &args[..] else { panic!("an instance, a grade and a script") };
    let settings = LauncherSettings { helper: common::helper(), instance: instance.clone() };
    let grade = if grade == "A" { Grade::A } else { Grade::B };
    let launcher = Launcher::start_poorer(settings, grade, None).expect("a sandbox");
    let mut session = common::start(&launcher, &common::sh(script)).expect("starts");
    println!("{}", common::line(&mut session).expect("it says something"));
    let _ = session.exit.blocking_recv();
}
