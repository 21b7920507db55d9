//! People at work with runs, several at once: they start, stop, revoke, reinstate, halt and resume, and keep what they are told.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use steward_caller::{CallError, Caller};
use steward_wire::{AddAgent, Reason, RunRecord, StartRun};

use crate::{chance::Chance, common::NAMESPACE, load::Killer, runs::known::Facts};

/// Agents that complete what they are asked for.
pub(crate) const CLERKS: [&str; 2] = ["anna", "ben"];

/// Between two looks at a run.
const LOOK_EVERY_MS: u64 = 10;

/// Looks before a run is taken for stuck.
const MAX_LOOKS: u64 = 60_000 / LOOK_EVERY_MS;

/// One of the people.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) operator: Caller,
    pub(crate) facts: Arc<Facts>,
    pub(crate) chance: Chance,
    /// Where the host outside listens.
    pub(crate) port: u16,
    /// In the name of the agents' program.
    pub(crate) token: String,
    /// Text that nobody else of any round has.
    pub(crate) tag: String,
    pub(crate) killer: Option<Arc<Killer>>,
}

/// What one of them does, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Has a clerk do its work.
    Clerk(&'static str),
    /// Has agents fail, their successors take over, and the failed come back.
    Succession,
    /// Has parents and children at work, and stops them.
    Family,
    /// Halts the node and lets it go on.
    Halt,
}

/// How the node refused; anything else is a node that is gone, or one that is broken.
fn refusal(error: CallError) -> Result<String, CallError> {
    match error {
        CallError::Refused(problem) => Ok(problem.code.clone()),
        other => Err(other),
    }
}

fn because(why: &str) -> Reason {
    Reason { reason: why.to_owned() }
}

fn full(agent: &str) -> String {
    format!("{agent}.{NAMESPACE}")
}

/// The packet of every run of these tests.
fn packet(agent: &str, task: &str, what: &str, port: u16) -> String {
    let criteria = json!([
        {"kind": "artifact", "path": "/out/shared", "contains": "run_"},
        {"kind": "command", "argv": ["grep", "-q", "run_", "/files/out/shared"]},
    ]);
    json!({
        "agent_id": agent,
        "task_id": task,
        "created_for": "olivia",
        "objective": what,
        "deliverables": ["/out/shared"],
        "constraints": {
            "scope": ["fs.write:/out/**", "exec:sleep", "tool.call:echo/*", format!("http.get:http://127.0.0.1:{port}/**")],
        },
        "success_criteria": criteria,
        "error_budget": {"max_total_errors": 3, "max_same_error_repeats": 2, "max_procedure_violations": 1},
        "created_at": "2026-11-20T09:00:00.000Z",
    })
    .to_string()
}

impl Work {
    /// Does it so often. Tells whether the node was there until the end.
    pub(crate) async fn go(mut self, duty: Duty, times: u64) -> bool {
        for n in 0..times {
            let tag = format!("{}-{n}", self.tag);
            let done = match duty {
                Duty::Clerk(clerk) => self.clerk(clerk, &tag).await,
                Duty::Succession => self.succession(&tag).await,
                Duty::Family => self.family(&tag).await,
                Duty::Halt => self.halt().await,
            };
            match done {
                Ok(()) => {}
                Err(CallError::Unreachable { .. }) => return false,
                Err(error) => panic!("{tag}: {error:?}"),
            }
        }
        true
    }

    /// Something was acknowledged.
    fn counts(&self) {
        if let Some(killer) = &self.killer {
            killer.counts();
        }
    }

    /// Has an agent of this name, and starts it. None while the node is halted.
    async fn begin(
        &self,
        agent: &str,
        task: &str,
        what: &str,
        parent: Option<&str>,
    ) -> Result<Option<RunRecord>, CallError> {
        let start = StartRun {
            agent: agent.to_owned(),
            packet: Some(packet(agent, task, what, self.port)),
            parent: parent.map(str::to_owned),
            ..StartRun::default()
        };
        match self.operator.start_run(&start).await {
            Ok(run) => {
                self.facts.heard(&run);
                self.counts();
                Ok(Some(run))
            }
            Err(error) => match refusal(error)?.as_str() {
                "HALTED" => Ok(None),
                // Its parent was stopped, with the node.
                "RUN_OVER" if parent.is_some() => Ok(None),
                code => panic!("{agent}, {what}: {code}"),
            },
        }
    }

    /// Looks at a run until it is as it should be, or over.
    async fn until(&self, id: &str, is: impl Fn(&RunRecord) -> bool) -> Result<RunRecord, CallError> {
        for _ in 0..MAX_LOOKS {
            let run = self.operator.run(id, None).await?.run;
            self.facts.heard(&run);
            if run.status != "live" || is(&run) {
                self.counts();
                return Ok(run);
            }
            tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        }
        panic!("{id} does not end");
    }

    /// Has an agent do something to its end, which is this one unless the node is halted. Tells whether it was not.
    async fn whole(&self, agent: &str, task: &str, what: &str, ending: &str) -> Result<bool, CallError> {
        let Some(run) = self.begin(agent, task, what, None).await? else { return Ok(false) };
        let run = self.until(&run.id, |_| false).await?;
        // A halt stops it, or refuses it the next step before it comes to that.
        let is_halted = run.status == "stopped" || run.code.as_deref() == Some("HALTED");
        assert!(run.status == ending || is_halted, "{agent}, {what}: {run:#?}");
        Ok(run.status == ending)
    }

    pub(crate) async fn clerk(&self, clerk: &str, tag: &str) -> Result<(), CallError> {
        self.whole(clerk, &format!("t-{tag}"), "clerk", "completed").await?;
        let head = self.operator.ledger_head().await?;
        self.facts.with(|known| _ = known.heads.insert(head.note));
        self.counts();
        Ok(())
    }

    async fn hires(&self, name: &str) -> Result<(), CallError> {
        let program = format!("/programs/agent-{}.sh", self.token);
        let agent = AddAgent {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            tier: "T2".to_owned(),
            command: Some(vec!["sh".to_owned(), program]),
            ..AddAgent::default()
        };
        self.operator.add_agent(&agent).await?;
        self.counts();
        Ok(())
    }

    async fn succession(&self, tag: &str) -> Result<(), CallError> {
        let (first, heir, task) = (format!("f-{tag}"), format!("h-{tag}"), format!("t-{tag}"));
        self.hires(&first).await?;
        self.hires(&heir).await?;
        if !self.whole(&first, &task, "fumbler", "revoked").await?
            || !self.whole(&heir, &task, "clerk", "completed").await?
        {
            return Ok(());
        }
        self.operator.reinstate_agent(&first, &because("it was the packet")).await?;
        self.facts.with(|known| _ = known.back.insert(full(&first)));
        self.counts();
        // It comes back, and a person takes it away at work.
        let Some(run) = self.begin(&first, &format!("{task}-2"), "sleeper", None).await? else { return Ok(()) };
        self.until(&run.id, |run| run.phase == "EXECUTE").await?;
        self.revokes(&first).await?;
        // Without a run as well.
        self.revokes(&heir).await?;
        self.asks_back(&heir).await
    }

    async fn revokes(&self, agent: &str) -> Result<(), CallError> {
        self.facts.with(|known| _ = known.back.remove(&full(agent)));
        self.operator.revoke_agent(agent, &because("it is enough")).await?;
        self.facts.with(|known| _ = known.revoked.insert(full(agent), false));
        self.counts();
        Ok(())
    }

    async fn asks_back(&self, agent: &str) -> Result<(), CallError> {
        self.facts.with(|known| _ = known.revoked.insert(full(agent), true));
        self.operator.reinstate_agent(agent, &because("it is not enough")).await?;
        self.facts.with(|known| _ = known.back.insert(full(agent)));
        self.counts();
        Ok(())
    }

    async fn family(&mut self, tag: &str) -> Result<(), CallError> {
        let (parent, child) = (format!("p-{tag}"), format!("c-{tag}"));
        self.hires(&parent).await?;
        self.hires(&child).await?;
        let Some(above) = self.begin(&parent, &format!("t-{tag}"), "sleeper", None).await? else { return Ok(()) };
        self.until(&above.id, |run| run.phase == "EXECUTE").await?;
        let Some(below) = self.begin(&child, &format!("t-{tag}-c"), "sleeper", Some(&above.id)).await? else {
            return Ok(());
        };
        if self.chance.below(2) == 0 {
            self.until(&below.id, |run| run.phase == "EXECUTE").await?;
        }
        if self.chance.below(3) == 0 {
            self.revokes(&parent).await?;
        } else {
            match self.operator.stop_run(&above.id, &because("it takes too long")).await {
                Ok(run) => {
                    self.facts.heard(&run);
                    assert_eq!(run.status, "stopped", "{run:#?}");
                    self.counts();
                }
                // With the node.
                Err(error) => match refusal(error)?.as_str() {
                    "RUN_OVER" => return Ok(()),
                    code => panic!("{parent}: {code}"),
                },
            }
        }
        for id in [&above.id, &below.id] {
            let run = self.operator.run(id, None).await?.run;
            self.facts.heard(&run);
            assert_ne!(run.status, "live", "it has ended, with its children, before that is answered: {run:#?}");
        }
        Ok(())
    }

    async fn halt(&mut self) -> Result<(), CallError> {
        let pause = self.chance.below(150);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.facts.with(|known| known.is_halted = None);
        let halt = self.operator.halt(&because("wait")).await?;
        assert!(halt.halted);
        self.facts.with(|known| known.is_halted = Some(true));
        self.counts();
        let status = self.operator.node_status().await?;
        assert_eq!(status.runs_live, 0, "a halted node runs nothing");
        self.resumes().await
    }

    pub(crate) async fn resumes(&self) -> Result<(), CallError> {
        self.facts.with(|known| known.is_halted = None);
        let halt = self.operator.resume(&because("go on")).await?;
        assert!(!halt.halted);
        self.facts.with(|known| known.is_halted = Some(false));
        self.counts();
        Ok(())
    }

    /// Clerks that work before anybody else does, or after a node died.
    pub(crate) async fn hires_clerks(&self) {
        for clerk in CLERKS {
            self.hires(clerk).await.expect("agents can be added");
        }
    }
}
