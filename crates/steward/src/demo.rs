//! What `up --demo` does: over the API, with a key, like anybody else.
//!
//! On a new home it logs in as the operator, enrols a reviewer, registers agents, and asks for a few actions that are allowed and
//! a few that are refused. It leaves a log-in key for whoever sits in front of it, and revokes its own. On a home that has
//! agents already it does nothing.

use std::fs;

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use steward_app_node::{
    Context, code,
    home::{Home, write_private},
};
use steward_caller::{CallError, Caller, Secret};
use steward_wire::{Act, AddAgent, AddPerson, CreateKey, Login};

use crate::invocation::command;

/// Name, tier, what it is for.
const AGENTS: [(&str, &str, &str); 3] = [
    ("watcher", "T0", "Reads, and writes plans; may do nothing else."),
    ("scribe", "T1", "Writes plans and reports."),
    ("builder", "T2", "Writes anything in its own folder."),
];

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
            capabilities: Vec::new(),
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
         \n  # read everything again, off-line\
         \n  {steward} ledger verify --state\n",
        refused.unwrap_or_default(),
        done.unwrap_or_default(),
    ));
    Ok(out)
}
