//! Starting a run: BOOTSTRAP, PREFLIGHT, and the agent's process in its sandbox (GOV-3).
//!
//! Whoever may start a run gets one on record, even if it is refused: by a revocation that nobody took back, by a lock that another
//! run holds, by a packet that does not fit. Without a packet there is no run: that is an entry of its own.
//!
//! Deliberately absent: what the agent then does (drive.rs).

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;
use steward_app_actions::{WORK, minimum_grade, rows::effects_of_run};
use steward_app_agents::rows::{self as agents, AgentRow, Protocol, Status};
use steward_app_node::{Caller, Context, Error, Granted, Kind, Problem, code};
use steward_app_runs::{HandoffRow, NewRun as Beginning, RunRow, latest_handoff, runs_of_task};
use steward_clock::mishap;
use steward_governor::{Command, Ending, Handoff, Mistake, Packet, Template};
use steward_ledger::kind;
use steward_naming::{Label, Name, RunId};
use steward_permit::{ActionName, DenialCode, ResourceKind};
use steward_seal::Digest;
use steward_worker::{DOOR_PORT, Grade, GrantPath, Limits, Mount, Session, Spec};

use super::{
    attach,
    blocking::blocking,
    drive::{self, Way},
    follow::artifacts,
    offered,
    runner::{Live, MAX_LIVE_RUNS, Runner},
};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// The agent: its label or full name.
    pub agent: String,
    /// The packet, as JSON text.
    pub packet: Option<String>,
    /// The task, if there is no packet.
    pub task: Option<String>,
    /// What the agent is to reach, if there is no packet.
    pub objective: Option<String>,
    /// The run that it is to be a child of.
    pub parent: Option<RunId>,
}

impl Runner {
    /// Starts a run, and drives it from then on. The answer is the run as it stands once its agent's process runs, or once it is
    /// refused.
    ///
    /// # Errors
    /// It is not allowed; there is no such agent; there is no packet, or one with mistakes (all of them are told); or it cannot be
    /// recorded.
    pub async fn start(self: &Arc<Self>, caller: &Caller, new: NewRun) -> Result<RunRow, Error> {
        let context = &self.context;
        let name = Name::resolve(&new.agent, &context.namespace)?;
        let action = context.action("run.start", ResourceKind::Agent, name.to_string())?;
        let halt = context.halt();
        if halt.is_halted {
            return Err(context.refuse_for(caller, action, DenialCode::Halted, halt.to_string()).await?);
        }
        let granted = context.permit(caller, action, Some(name.to_string())).await?;
        context.has_room()?;
        let agent = context.store.read(|reader| agents::agent(reader, &name))?;
        let agent =
            agent.ok_or_else(|| Error::not_found(format!("agent `{name}`; `steward agent list` shows them")))?;
        let packet = match self.packet(caller, &agent, &new) {
            Ok(packet) => packet,
            Err(error) => return Err(self.not_begun(caller, granted, &name, error).await?),
        };
        let parent = match &new.parent {
            None => None,
            Some(id) => Some(steward_app_runs::find(context, id)?),
        };
        let left = left_for(context, &packet.task)?;
        let beginning = Beginning {
            tier: agent.tier,
            agent_version: agent.version.clone(),
            handoff: left.as_ref().map(|(row, _)| (row.id.clone(), row.document)),
            packet,
            parent,
        };
        let run = steward_app_runs::begin(context, caller, granted, beginning, halt.guard(&context.namespace)).await?;
        mishap::at("run.begun").map_err(Error::broken)?;
        let Some(live) = self.drive(run.id()) else {
            let message = format!("this node runs {MAX_LIVE_RUNS} agents already; wait until one has ended");
            return self.refuse(&run, code::TOO_MANY_RUNS, message).await;
        };
        // Whatever goes wrong from here on, the run ends, and says so.
        match Box::pin(self.boot(&run, &agent, left, &live)).await {
            Ok((run, None)) => Ok(self.given_up(run)),
            Ok((run, Some(mut session))) => {
                let way = match (agent.protocol, &agent.command) {
                    (Protocol::Line, _) => Way::Lines,
                    (Protocol::Mcp, Some(_)) => Way::Calls,
                    (Protocol::Mcp, None) => Way::Elsewhere,
                };
                let door = session.door.take();
                drive::spawn(Arc::clone(self), run.id().clone(), live, session, way);
                if let Some(door) = door {
                    self.open_door(run.id(), door);
                }
                Ok(run)
            }
            Err(error) => {
                if let Some(context) = error.context() {
                    tracing::error!(run.id = run.id().as_str(), context, "a run could not be started");
                }
                let (code, message) = (error.code.to_owned(), error.message.clone());
                let ended = self.step(run.id(), Command::Fail { code, message }).await;
                self.leave(run.id());
                match ended {
                    Ok(stepped) => Ok(stepped.run),
                    // It was over already: by a person, say.
                    Err(_) => steward_app_runs::find(context, run.id()),
                }
            }
        }
    }

    fn given_up(&self, run: RunRow) -> RunRow {
        self.leave(run.id());
        run
    }

    async fn refuse(&self, run: &RunRow, code: &str, message: String) -> Result<RunRow, Error> {
        Ok(self.step(run.id(), Command::Refuse { code: code.to_owned(), message }).await?.run)
    }

    /// Records that no run came to be, and tells why.
    async fn not_begun(&self, caller: &Caller, granted: Granted, agent: &Name, error: Error) -> Result<Error, Error> {
        steward_app_runs::refuse_to_begin(&self.context, caller, granted, agent, &error).await?;
        Ok(error)
    }

    /// The packet that is asked for, or the agent's template, filled.
    fn packet(&self, caller: &Caller, agent: &AgentRow, new: &NewRun) -> Result<Packet, Error> {
        let context = &self.context;
        let packet = match (&new.packet, &new.task) {
            (Some(_), Some(_)) => return Err(Error::invalid("give a packet, or a task and an objective; not both")),
            (Some(text), None) => Packet::read(text.as_bytes(), &context.namespace).map_err(mistaken)?,
            (None, Some(task)) => {
                let Some(digest) = &agent.packet else { return Err(no_packet(agent, true)) };
                let task: Label = task.parse()?;
                let objective = new.objective.as_deref().unwrap_or_default();
                let bytes = context.store.read(|reader| reader.blob(digest))?;
                let bytes = bytes.ok_or_else(|| Error::broken("a template is kept"))?;
                let template = Template::read(&bytes, &context.namespace).map_err(mistaken)?;
                let now = context.now();
                template.fill(agent.name.clone(), task, objective, &caller.actor.full_name(), now).map_err(mistaken)?
            }
            (None, None) => return Err(no_packet(agent, false)),
        };
        if packet.agent != agent.name {
            let message = format!("the packet is for `{}`, and the run of `{}`", packet.agent, agent.name);
            return Err(Error::invalid(message));
        }
        Ok(packet)
    }

    /// BOOTSTRAP and PREFLIGHT. The session is none if the run was refused.
    async fn boot(
        &self,
        run: &RunRow,
        agent: &AgentRow,
        left: Option<(HandoffRow, Handoff)>,
        live: &Live,
    ) -> Result<(RunRow, Option<Session>), Error> {
        if agent.status == Status::Revoked {
            let message = format!(
                "`{}` was revoked, and no person has reinstated it; `steward agent reinstate {}` would",
                agent.name,
                agent.name.label()
            );
            return Ok((self.refuse(run, code::AGENT_PREVIOUSLY_REVOKED, message).await?, None));
        }
        match self.step(run.id(), Command::Booted).await {
            Ok(_) => {}
            Err(error) if error.code == code::CANNOT_ACQUIRE_LOCK || error.code == code::AGENT_REVOKED => {
                let code = if error.code == code::AGENT_REVOKED { code::AGENT_PREVIOUSLY_REVOKED } else { error.code };
                return Ok((self.refuse(run, code, error.message).await?, None));
            }
            Err(error) => return Err(error),
        }
        if let Err((code, why)) = self.preflight(run, agent) {
            return Ok((self.refuse(run, code, why).await?, None));
        }
        let handoff = match left {
            None => None,
            Some((row, handoff)) => {
                let why = self.hand_over(run, &row, &handoff).await?;
                if let Some(why) = why {
                    return Ok((self.refuse(run, code::PREFLIGHT_FAILED, why).await?, None));
                }
                Some(handoff)
            }
        };
        let run = self.step(run.id(), Command::PreflightPassed).await?.run;
        let mut offered = offered::of_packet(&run.state.packet);
        let (actor, _) = steward_app_agents::as_actor(agent)?;
        let asks = Caller { actor, ..Caller::node(&self.context.namespace) };
        offered.extend(offered::of_servers(&self.context, &run.state.packet, &asks)?);
        let tools: Vec<String> = offered.iter().map(|tool| tool.tool.clone()).collect();
        let _ = live.offered.set(offered);
        let (run, session) = match &agent.command {
            Some(_) => self.start_agent(&run, agent, live).await?,
            None => {
                let session = attach::elsewhere();
                live.holds(session.killer.clone());
                (run, session)
            }
        };
        let first = super::protocol::begin(run.id().as_str(), &run.state.packet, handoff.as_ref(), &tools);
        // Nobody may be there to read it; then the session says so.
        if agent.protocol == Protocol::Line {
            let _ = session.to_agent.send(first).await;
        }
        Ok((run, Some(session)))
    }

    /// PREFLIGHT: scope and dependencies.
    fn preflight(&self, run: &RunRow, agent: &AgentRow) -> Result<(), (&'static str, String)> {
        let failed = |why: String| Err((code::PREFLIGHT_FAILED, why));
        let packet = &run.state.packet;
        let is_elsewhere = agent.command.is_none() && agent.protocol == Protocol::Mcp;
        if agent.command.is_none() && !is_elsewhere {
            let label = agent.name.label();
            return failed(format!(
                "`{label}` says no `command` in its manifest, so that nothing can be started; one that runs elsewhere says `protocol = \"mcp\"`"
            ));
        }
        let known: Vec<String> = self.context.policy().engine.actions().into_iter().map(|(name, _)| name).collect();
        for pattern in &packet.constraints.scope {
            let (action, _) = pattern.as_str().split_once(':').unwrap_or((pattern.as_str(), ""));
            let prefix = action.strip_suffix('*');
            if !known.iter().any(|name| prefix.map_or(name == action, |prefix| name.starts_with(prefix))) {
                return failed(format!("the scope's `{pattern}` is for an action that no policy knows"));
            }
        }
        let write = ActionName::parse("fs.write").map_err(|e| (code::PREFLIGHT_FAILED, e.to_string()))?;
        for path in &packet.deliverables {
            let there = GrantPath::parse(path)
                .ok()
                .and_then(|path| self.context.folders.published(&agent.name, &path).ok().flatten());
            let writes = packet.constraints.scope.iter().any(|pattern| pattern.matches(&write, path));
            if there.is_none() && !writes {
                return failed(format!(
                    "the deliverable `{path}` is not there, and the scope does not let it be written"
                ));
            }
        }
        match &self.worker {
            // Nothing is started here: only its tools would need a sandbox, and say so then.
            _ if is_elsewhere => Ok(()),
            None => failed(self.no_worker.clone()),
            Some(worker) if !worker.grade().meets(minimum_grade(run.state.tier)) => failed(format!(
                "this system gives sandboxes of grade {}, and tier {} needs grade {}",
                worker.grade().as_str(),
                run.state.tier,
                minimum_grade(run.state.tier).as_str()
            )),
            Some(_) => Ok(()),
        }
    }

    /// Copies what the predecessor left to where the successor's sandbox shows it. Tells why that cannot be done.
    async fn hand_over(&self, run: &RunRow, row: &HandoffRow, handoff: &Handoff) -> Result<Option<String>, Error> {
        if handoff.artifacts.is_empty() {
            return Ok(None);
        }
        let folders = Arc::clone(&self.context.folders);
        let to = self.handed(run.id());
        let artifacts = origins(&self.context, &run.state.task, row, handoff)?;
        let copied = blocking(move || {
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            folders.copy_all(&artifacts, &to).map_err(std::io::Error::other)
        })
        .await?;
        Ok(copied.err().map(|error| format!("what the predecessor left cannot be handed over: {error}")))
    }

    /// Starts the agent's process, after that is on record.
    async fn start_agent(&self, run: &RunRow, agent: &AgentRow, live: &Live) -> Result<(RunRow, Session), Error> {
        let context = &self.context;
        let worker = self.worker()?;
        let argv = agent.command.clone().unwrap_or_default();
        let mut mounts = self.mounts(run.id());
        mounts.push(Mount {
            from: context.folders.path_of(&agent.name),
            at: WORK.to_owned(),
            executable: true,
            writable: false,
        });
        let door = agent.protocol == Protocol::Mcp;
        let minimum = if door { Grade::A } else { minimum_grade(run.state.tier) };
        let env = if door { ways_to_the_node() } else { Vec::new() };
        let spec = Spec { argv, env, mounts, limits: Limits::AGENT, minimum, door };
        let node = Caller { trace: Some(run.trace.clone()), ..Caller::node(&context.namespace) };
        let action = context.action("agent.start", ResourceKind::Agent, agent.name.to_string())?;
        let action = action.with_arguments(spec.digest());
        let granted = context.permit(&node, action.clone(), None).await?;
        let sandbox = self.sandbox();
        let after = RunRow { sandbox: Some(sandbox.clone()), ..run.clone() };
        let change = context
            .change(&node, granted, kind::RUN_AGENT_STARTED, run.id().as_str())
            .guard(run.guard())
            .row(after.row())
            .detail("sandbox", sandbox)
            .detail("argv", json!(spec.argv))
            .detail("limits", json!(spec.limits));
        let done = context.commit(change).await?;
        mishap::at("run.agent_recorded").map_err(Error::broken)?;
        let started = blocking(move || worker.start(&done.warrant, &action, &spec)).await?;
        let session = started.map_err(|error| Error::new(Kind::Unavailable, error.code(), error.to_string()))?;
        live.holds(session.killer.clone());
        mishap::at("run.agent_started").map_err(Error::broken)?;
        Ok((RunRow { entry_seq: done.recorded.seq, ..after }, session))
    }
}

/// Where an agent with a door finds its node, by the variables that clients look at. The key opens nothing: clients want one.
fn ways_to_the_node() -> Vec<(String, String)> {
    let node = format!("http://127.0.0.1:{DOOR_PORT}");
    [
        ("STEWARD_MCP_URL", format!("{node}/mcp")),
        ("OPENAI_BASE_URL", format!("{node}/openai/v1")),
        ("OPENAI_API_KEY", "not-needed-in-a-sandbox".to_owned()),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The newest handoff of a task, unless a run completed the task since.
fn left_for(context: &Context, task: &Label) -> Result<Option<(HandoffRow, Handoff)>, Error> {
    context.store.read(|reader| {
        let Some(row) = latest_handoff(reader, task)? else { return Ok(None) };
        let completed = runs_of_task(reader, task)?.into_iter().any(|run| {
            *run.id() > row.run && run.state.ended.as_ref().is_some_and(|ended| ended.ending == Ending::Completed)
        });
        if completed {
            return Ok(None);
        }
        let bytes = reader.blob(&row.document)?.ok_or_else(|| Error::broken("a handoff is kept"))?;
        let handoff = serde_json::from_slice(&bytes).map_err(Error::broken)?;
        Ok(Some((row, handoff)))
    })
}

/// Whose folder each artifact of a handoff is in: of the agent who wrote it last in a run of the task.
fn origins(
    context: &Context,
    task: &Label,
    row: &HandoffRow,
    handoff: &Handoff,
) -> Result<Vec<(Name, String, Digest)>, Error> {
    let mut left: Vec<_> =
        handoff.artifacts.iter().map(|a| (row.previous_agent.clone(), a.path.clone(), a.digest)).collect();
    context.store.read(|reader| {
        let mut found = BTreeSet::new();
        for run in runs_of_task(reader, task)?.into_iter().rev() {
            let wrote = artifacts(&effects_of_run(reader, run.id())?);
            for (agent, path, digest) in &mut left {
                if wrote.iter().any(|a| a.path == *path && a.digest == *digest) && found.insert(path.clone()) {
                    *agent = run.state.agent.clone();
                }
            }
        }
        Ok(left)
    })
}

fn no_packet(agent: &AgentRow, template: bool) -> Error {
    let label = agent.name.label();
    let message = if template {
        format!(
            "`{label}` has no packet template in its manifest; give a packet: `steward run start {label} --packet FILE`"
        )
    } else {
        format!("no agent starts without instructions; give a packet: `steward run start {label} --packet FILE`")
    };
    Error::new(Kind::Invalid, code::NO_INSTRUCTION_PACKET, message)
}

fn mistaken(mistakes: Vec<Mistake>) -> Error {
    let problem = |m: &Mistake| Problem {
        at: format!("{}:{}{}{}", m.line, m.column, if m.at.is_empty() { "" } else { " " }, m.at),
        message: m.message.clone(),
    };
    Error::problems(mistakes.iter().map(problem).collect())
}
