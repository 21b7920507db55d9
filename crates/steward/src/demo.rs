//! What `up --demo` does: over the API, with a key, like anybody else.
//!
//! On a new home it logs in as the operator, enrols a reviewer, registers agents, and asks for a few actions that are allowed and
//! a few that are refused. Then it runs agents: one through all phases of a task, one that spends its error budget and is revoked, that
//! one once more, which is refused, and its successor, who takes the task over. It leaves a log-in key for whoever sits in front of it, and revokes its own. On a home that has
//! agents already it does nothing.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use steward_app_node::{
    Context, code,
    home::{Home, write_private},
};
use steward_caller::{CallError, Caller, Secret};
use steward_wire::{Act, AddAgent, AddPerson, CreateKey, Login, StartRun};

use crate::invocation::command;

/// Name, tier, what it is for.
const AGENTS: [(&str, &str, &str); 3] = [
    ("watcher", "T0", "Reads, and writes plans; may do nothing else."),
    ("scribe", "T1", "Writes plans and reports."),
    ("builder", "T2", "Writes anything in its own folder."),
];

/// Agents that run: name, which of the demo's programs, and what it is for.
const RUNNERS: [(&str, &str, &str); 3] = [
    ("designer", "planner", "Designs systems."),
    ("novice", "fumbler", "Reports problems."),
    ("veteran", "planner", "Takes over."),
];

/// The template of their packets.
const TEMPLATE: &str = r#"{
  "deliverables": ["/reports/{task}.md"],
  "constraints": {
    "scope": ["fs.read:/reports/**", "fs.write:/reports/**"],
    "forbidden": ["fs.write:/reports/secret/**"],
    "required_steps": [{"step": "write the report", "artifact": "/reports/{task}.md"}]
  },
  "success_criteria": [
    {"kind": "artifact", "path": "/reports/{task}.md", "contains": "Boundaries"},
    {"kind": "command", "argv": ["grep", "-q", "Proof", "/files/reports/{task}.md"]}
  ],
  "error_budget": {"max_total_errors": 8, "max_same_error_repeats": 2, "max_procedure_violations": 1},
  "escalation_rules": [{"when": "half_of_budget", "then": "notify"}]
}"#;

/// Agent, task, objective, and what it shows.
const RUNS: [(&str, &str, &str, &str); 4] = [
    ("designer", "design", "Design a microservices architecture", "a task through all phases"),
    ("novice", "migration", "Plan the migration of the shop", "eight problems spend its budget: it is revoked"),
    ("novice", "migration", "Plan the migration of the shop", "a revoked agent does not start again"),
    ("veteran", "migration", "Plan the migration of the shop", "its successor reads the handoff, and completes"),
];

/// How long a run of the demo may take before the demo goes on without it.
const RUN_WITHIN_S: u64 = 60;

/// Agent, action, resource, content, and what it shows.
const ACTIONS: [(&str, &str, &str, &str, &str); 7] = [
    ("watcher", "fs.write", "/plans/next.md", "# Next\n\nLook at the logs.\n", "an observer writes a plan"),
    ("watcher", "fs.write", "/reports/week.md", "# This week\n", "an observer writes no reports"),
    ("scribe", "fs.write", "/reports/week.md", "# This week\n\nNothing burned.\n", "an operator does"),
    ("builder", "fs.write", "/src/main.rs", "fn main() {}\n", "a builder writes anywhere in its own folder"),
    ("builder", "fs.write", "/../scribe/files/reports/week.md", "gone\n", "and not in anybody else's"),
    ("builder", "DROP", "customers", "", "an action is known or refused, in whatever spelling"),
    ("builder", "dr\u{043e}p", "customers", "", "and what looks like another name is refused"),
];

/// Does it, and says what happened and what to try.
pub(crate) async fn run(home: &Home, url: &str, context: &Context) -> Result<String> {
    if !context.store.read(steward_app_agents::rows::agents)?.is_empty() {
        return Ok("This demo's home has its agents already; nothing was added.\n".to_owned());
    }
    let token = fs::read_to_string(home.login_key()).context("the log-in key of a new home")?;
    let door = Caller::new(url, Some(Secret::new(token.trim())))?;
    let own = door.login(&Login { label: "demo".to_owned() }).await.with_context(|| {
        format!("a demo that was cut short before it left a way in; remove `{}` and start again", home.path().display())
    })?;
    let api = Caller::new(url, Some(Secret::new(own.secret.as_str())))?;
    // Before anything else, so that a demo that is cut short leaves a way in.
    let left = CreateKey {
        label: "for whoever sits in front of the demo".to_owned(),
        scopes: vec!["login".to_owned()],
        lifetime_s: Some(24 * 3600),
        single_use: true,
        ..CreateKey::default()
    };
    let left = api.create_key(&left).await?;
    write_private(&home.login_key(), format!("{}\n", left.secret).as_bytes())?;
    let reviewer = AddPerson { name: "reviewer".to_owned(), roles: vec!["reviewer".to_owned()] };
    match api.add_person(&reviewer).await {
        Ok(_) => {}
        // A demo that was cut short did that already.
        Err(error) if error.code() == Some(code::NAME_TAKEN) => {}
        Err(error) => bail!(error),
    }
    for (name, tier, description) in AGENTS {
        let agent = AddAgent {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            tier: tier.to_owned(),
            description: description.to_owned(),
            ..AddAgent::default()
        };
        api.add_agent(&agent).await?;
    }
    for (name, program, description) in RUNNERS {
        let agent = AddAgent {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            tier: "T1".to_owned(),
            description: description.to_owned(),
            command: Some(["steward", "demo-agent", program].map(str::to_owned).to_vec()),
            packet: Some(TEMPLATE.to_owned()),
            ..AddAgent::default()
        };
        api.add_agent(&agent).await?;
    }
    let mut out =
        format!("Demo: agents {} are registered. They asked for a few things:\n\n", AGENTS.map(|a| a.0).join(", "));
    let mut refused = None;
    let mut done = None;
    for (agent, action, resource, content, shows) in ACTIONS {
        let asked = Act {
            action: action.to_owned(),
            resource: resource.to_owned(),
            content: Some(STANDARD.encode(content)),
            confidence_bp: None,
        };
        let (verdict, why, id) = match api.act(agent, &asked).await {
            Ok(result) => {
                let effect = result.action.effect;
                let happened = effect.as_ref().is_some_and(|e| e.status == "succeeded");
                let why = effect.and_then(|e| e.error_code).unwrap_or_default();
                (if happened { "done" } else { "failed" }, why, Some(result.action.id))
            }
            Err(CallError::Refused(problem)) => ("refused", problem.code, problem.action),
            Err(error) => bail!(error),
        };
        match verdict {
            "done" => done = id.or(done),
            _ => refused = refused.or(id),
        }
        let shown = format!("{agent} {} {resource}", steward_naming::visible(action));
        out.push_str(&format!(
            "  {verdict:<9}{shown:<50}  {shows}{}\n",
            if why.is_empty() { why } else { format!(" [{why}]") }
        ));
    }
    out.push_str(&runs(&api).await?);
    api.revoke_key(&own.key.id).await?;
    let steward = command(home.path());
    out.push_str(&format!(
        "\nLook, after logging in:\n\
         \n  # what was asked, and what became of it\
         \n  {steward} action list\
         \n  # why it was refused, with the proof; and why it was allowed\
         \n  {steward} action explain {}\
         \n  {steward} action explain {}\
         \n  # ask for something yourself, as an agent\
         \n  echo '# Mine' | {steward} act scribe fs.write /reports/mine.md --from -\
         \n  # what ran, what it left for its successor, and a run of your own\
         \n  {steward} run list\
         \n  {steward} handoff show migration\
         \n  {steward} run start designer --task shop \"Design a shop\"\
         \n  # read everything again, off-line\
         \n  {steward} ledger verify --state\n",
        refused.unwrap_or_default(),
        done.unwrap_or_default(),
    ));
    Ok(out)
}

/// Runs the agents, one after the other, and tells how each ended.
async fn runs(api: &Caller) -> Result<String> {
    let mut out = "\nThen some of them ran, each in a sandbox of its own:\n\n".to_owned();
    for (agent, task, objective, shows) in RUNS {
        let asked = StartRun {
            agent: agent.to_owned(),
            task: Some(task.to_owned()),
            objective: Some(objective.to_owned()),
            ..StartRun::default()
        };
        let mut run = api.start_run(&asked).await?;
        let until = Instant::now() + Duration::from_secs(RUN_WITHIN_S);
        while run.status == "live" && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
            run = api.run(&run.id, None).await?.run;
        }
        let why = run.code.as_deref().filter(|_| run.status != "completed");
        let why = why.map(|code| format!(" [{code}]")).unwrap_or_default();
        out.push_str(&format!("  {:<11}{:<38}  {shows}{why}\n", run.status, format!("{agent} on {task}")));
        if run.code.as_deref() == Some("PREFLIGHT_FAILED") {
            out.push_str(&format!("\n  No agent can be run here: {}\n", run.message.unwrap_or_default()));
            break;
        }
    }
    Ok(out)
}
