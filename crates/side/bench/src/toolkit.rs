//! Microsoft's Agent Governance Toolkit (the Python package agentmesh-platform): decide and log, in process and in memory.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::measure::Spent;

/// Wraps a function that does nothing with one rule, and calls it. Its log is in memory and is never written out.
const SCRIPT: &str = r#"
import json, time
from importlib.metadata import version
from agentmesh.governance import govern

POLICY = """
name: bench
default_action: deny
rules:
  - name: write-plans
    condition: "action.type == 'fs.write'"
    action: allow
"""
governed = govern(lambda **words: None, policy=POLICY)

def ask(times):
    for _ in range(times):
        governed(action="fs.write", resource="/plans/next.md")

ask(1000)
wall, cpu = time.perf_counter(), time.process_time()
ask(20000)
print(json.dumps({"count": 20000, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu,
                  "version": version("agentmesh-platform")}))
"#;

/// What the toolkit needs for a decision.
pub(crate) struct Toolkit {
    pub(crate) version: String,
    pub(crate) count: u64,
    pub(crate) spent: Spent,
}

/// Runs it in a Python that has it.
pub(crate) fn measure(python: &Path) -> Result<Toolkit> {
    let out = Command::new(python).args(["-c", SCRIPT]).output().context("Python could not be started")?;
    anyhow::ensure!(out.status.success(), "the toolkit failed: {}", String::from_utf8_lossy(&out.stderr));
    let said: Value = serde_json::from_slice(&out.stdout).context("what the toolkit's script said")?;
    let seconds = |name: &str| said[name].as_f64().map(Duration::from_secs_f64).context("a time");
    Ok(Toolkit {
        version: said["version"].as_str().context("a version")?.to_owned(),
        count: said["count"].as_u64().context("a count")?,
        spent: Spent { wall: seconds("wall")?, cpu: seconds("cpu")? },
    })
}
