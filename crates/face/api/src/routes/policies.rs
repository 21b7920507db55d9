//! The policy in force.

use axum::Json;
use steward_app_node::{Caller, Context, Error};
use steward_app_policies as verbs;
use steward_naming::Name;
use steward_permit::{Action, ActionName, Actor, Resource, ResourceKind};
use steward_policy::{Effect, Verdict};
use steward_wire::{ExplainPolicy, PolicyList, PolicyRecord, PolicyVerdict, Problem};

use super::actions::matched;
use crate::{
    answer::Refused,
    door::{Body, Visit},
};

/// The policies in force.
#[utoipa::path(get, path = "/v1/policy", tag = "policy", responses((status = 200, body = PolicyList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<PolicyList>, Refused> {
    let list = visit
        .read(|context, caller| async move {
            let action = context.action("policy.read", ResourceKind::Policy, context.namespace.as_str())?;
            context.allow(&caller, action, None).await?;
            let policy = context.policy();
            let policies = policy.engine.listed().iter().map(|p| PolicyRecord {
                id: p.id.clone(),
                file: p.file.clone(),
                line: u32::try_from(p.line).unwrap_or(u32::MAX),
                effect: match p.effect {
                    Effect::Permit => "permit",
                    Effect::Forbid => "forbid",
                }
                .to_owned(),
                description: p.description.clone(),
            });
            Ok(PolicyList {
                version: policy.engine.version().to_string(),
                entry: policy.entry_seq.unwrap_or(0),
                policies: policies.collect(),
            })
        })
        .await?;
    Ok(Json(list))
}

/// `agent:scribe`, `person:olivia`; oneself if not said. With what the node knows of them.
fn actor(context: &Context, caller: &Caller, said: Option<&str>) -> Result<Actor, Error> {
    let Some(said) = said else { return Ok(caller.actor.clone()) };
    match said.split_once(':') {
        Some(("agent", name)) => {
            let name = Name::resolve(name, &context.namespace)?;
            let found = steward_app_agents::actor(context, &name)?;
            Ok(found.ok_or_else(|| Error::not_found(format!("agent `{name}`")))?.0)
        }
        Some(("person", name)) => steward_app_people::actor(context, &name.parse()?),
        _ => Err(Error::invalid("`actor` is `agent:NAME` or `person:NAME`")),
    }
}

fn sentences(actor: &Actor, action: &Action, verdict: &Verdict, all: usize) -> Vec<String> {
    let would = if verdict.allowed { "would be allowed" } else { "would be refused" };
    let mut sentences = vec![format!("If the {actor} asked for {action} now, it {would}.")];
    if verdict.policies.is_empty() {
        sentences.push("No policy permits it, and what is not permitted is refused.".to_owned());
    }
    for policy in &verdict.policies {
        let meaning = policy.description.as_deref().unwrap_or("it has no description").trim_end_matches('.');
        sentences.push(format!("Policy {} in {}: {meaning}.", policy.id, policy.file));
    }
    sentences.push(format!("{} of {all} policies could apply and were looked at.", verdict.considered));
    sentences
}

/// What would be decided. Nothing is permitted, done or recorded.
#[utoipa::path(post, path = "/v1/policy/explain", tag = "policy", request_body = ExplainPolicy, responses((status = 200, body = PolicyVerdict), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn explain(visit: Visit, Body(asked): Body<ExplainPolicy>) -> Result<Json<PolicyVerdict>, Refused> {
    let verdict = visit
        .read(|context, caller| {
            let asked = asked.clone();
            async move {
                let resource = Resource::new(asked.kind.parse()?, asked.resource)?;
                let action = Action::new(context.namespace.clone(), ActionName::parse(&asked.action)?, resource);
                verbs::may_ask(&context, &caller).await?;
                let actor = actor(&context, &caller, asked.actor.as_deref())?;
                // As `act` would ask: an agent's files are its own.
                let owner = Some(actor.full_name());
                let verdict = verbs::weigh(&context, actor.clone(), action.clone(), owner);
                let policy = context.policy();
                Ok(PolicyVerdict {
                    decision: if verdict.allowed { "allow" } else { "deny" }.to_owned(),
                    code: verdict.code.map(|c| c.to_string()),
                    policies: matched(&verdict.policies),
                    sentences: sentences(&actor, &action, &verdict, policy.engine.listed().len()),
                    errors: verdict.errors,
                    considered: verdict.considered as u64,
                    policy_version: policy.engine.version().to_string(),
                })
            }
        })
        .await?;
    Ok(Json(verdict))
}
