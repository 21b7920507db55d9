//! Why was this allowed or refused? Everything here is read from the ledger and the store when it is asked.

use steward_app_node::{Caller, Context, Error};
use steward_ledger::{ActorKind, Body, Verdict, kind};
use steward_naming::{ActionId, Namespace, visible};
use steward_permit::{DenialCode, ResourceKind};
use steward_store::EntryRow;

use crate::rows::{self, EffectRow, Filter, Status};

/// An action: the entry that decided it, what that says, and what became of it.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The entry that decided it.
    pub entry: EntryRow,
    /// What the entry says, unless it was erased.
    pub body: Option<Body>,
    /// What became of it, if it was allowed and done here.
    pub effect: Option<EffectRow>,
    /// The places of all entries about it.
    pub entries: Vec<u64>,
}

fn explained(namespace: &Namespace, reader: &steward_store::Reader<'_>, entry: EntryRow) -> Result<Explained, Error> {
    let body = entry.read_body()?;
    let id = entry.decision_id.as_deref().and_then(|id| id.parse::<ActionId>().ok());
    let (effect, entries) = match id {
        None => (None, vec![entry.seq]),
        Some(id) => {
            let entries = rows::entries_of(reader, &id)?.into_iter().map(|e| e.seq).collect();
            (rows::effect(reader, namespace, &id)?, entries)
        }
    };
    Ok(Explained { entry, body, effect, entries })
}

/// Actions, newest first.
///
/// # Errors
/// It is not allowed.
pub async fn actions(context: &Context, caller: &Caller, filter: &Filter) -> Result<Vec<Explained>, Error> {
    context
        .allow(caller, context.action("action.read", ResourceKind::Ledger, context.namespace.as_str())?, None)
        .await?;
    let (namespace, filter) = (context.namespace.clone(), filter.clone());
    let scanned = context.store.scan(move |reader| {
        let entries = rows::decisions(reader, &filter)?;
        entries.into_iter().map(|entry| explained(&namespace, reader, entry)).collect()
    });
    scanned.await
}

/// One action.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn action(context: &Context, caller: &Caller, id: &ActionId) -> Result<Explained, Error> {
    let action = context.action("action.read", ResourceKind::Ledger, context.namespace.as_str())?;
    context.allow(caller, action, None).await?;
    own(context, id)
}

/// One action, for whoever asked for it: the answer to their own request.
///
/// # Errors
/// There is none.
pub fn own(context: &Context, id: &ActionId) -> Result<Explained, Error> {
    context.store.read(|reader| {
        let entries = rows::entries_of(reader, id)?;
        let decided = |entry: &EntryRow| {
            matches!(entry.kind.as_str(), kind::ACTION_INTENDED | kind::ACTION_REFUSED | kind::ACTION_DECIDED)
        };
        let entry = entries.into_iter().find(decided);
        let entry = entry.ok_or_else(|| {
            Error::not_found(format!(
                "action `{id}` on record; a refusal that was repeated within a minute is only counted"
            ))
        })?;
        explained(&context.namespace, reader, entry)
    })
}

/// One action, with that it was read on record: its explanation shows the entry's body.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn explain(context: &Context, caller: &Caller, id: &ActionId) -> Result<Explained, Error> {
    let action = context.action("ledger.read", ResourceKind::Ledger, context.namespace.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let found = own(context, id)?;
    let change = context
        .change(caller, granted, kind::LEDGER_READ, context.namespace.as_str())
        .detail("explanation", id.as_str());
    context.commit(change).await?;
    Ok(found)
}

/// Characters of a digest that a person needs to tell two versions apart; the record has the whole.
const SHORT_DIGEST: usize = 15;

impl Explained {
    /// The explanation, a sentence each, for a person who reads no code.
    pub fn sentences(&self) -> Vec<String> {
        let Some(body) = &self.body else {
            return vec![format!(
                "What entry {} says was erased; that it happened, and when, is still proved by the ledger.",
                self.entry.seq
            )];
        };
        let Some(decision) = &body.decision else {
            return vec![format!("Entry {} records no decision.", self.entry.seq)];
        };
        let mut sentences = Vec::new();
        let who = match body.actor.kind {
            ActorKind::Agent => format!("The agent {}", body.actor.name),
            ActorKind::Person => format!("The person {}", body.actor.name),
            ActorKind::Node => "The node itself".to_owned(),
        };
        let tier = body.actor.tier.map(|tier| format!(" (tier {tier})")).unwrap_or_default();
        let via = body.via.as_ref().map(|via| format!(", driven by {via},")).unwrap_or_default();
        let (what, kind, to) = (&decision.action, decision.resource.kind, visible(&decision.resource.id));
        sentences.push(format!("{who}{tier}{via} asked to do {what} on the {kind} {to} at {}.", self.entry.time));
        match decision.outcome {
            Verdict::Allow => {
                sentences.push("It was allowed, because a policy permits it and none forbids it.".to_owned());
            }
            Verdict::Deny => sentences.push(refused(decision.code)),
        }
        for policy in &decision.policies {
            let meaning = policy.description.as_deref().unwrap_or("it has no description").trim_end_matches('.');
            sentences.push(format!("Policy {} in {}: {meaning}.", policy.id, policy.file));
        }
        let said = body.detail.get("approved_by").and_then(|list| list.as_array());
        if let Some(by) = said {
            let by: Vec<&str> = by.iter().filter_map(|name| name.as_str()).collect();
            let review = body.detail.get("review").and_then(|id| id.as_str()).unwrap_or_default();
            sentences.push(format!("{} approved exactly this, in {review}.", by.join(" and ")));
        }
        let of_run = decision.code.is_some_and(DenialCode::is_of_run);
        if of_run {
            sentences.push(format!("The reason: {}.", decision.errors.join("; ").trim_end_matches('.')));
        }
        if let Some(run) = body.detail.get("run").and_then(|run| run.as_str()) {
            let phase = body.detail.get("phase").and_then(|phase| phase.as_str()).unwrap_or_default();
            sentences.push(format!("It was asked in {run}, in the phase {phase}."));
        }
        if decision.action == "shell" && decision.outcome == Verdict::Allow {
            sentences.push("What a shell does is bounded by its sandbox alone; no policy looks inside.".to_owned());
        }
        for error in decision.errors.iter().filter(|_| !of_run) {
            sentences.push(format!("A policy could not be evaluated: {error}. Somebody must look."));
        }
        if let Some(effect) = &self.effect {
            sentences.push(became(effect));
        } else if let Some(outcome) = body.outcome.as_ref().filter(|o| !o.success) {
            sentences.push(format!(
                "It was not done: {}.",
                outcome.error_message.as_deref().unwrap_or("no reason is on record")
            ));
        } else if decision.outcome == Verdict::Allow {
            sentences.push("Only the decision is on record here: whoever asked enforces it.".to_owned());
        }
        let short: String = decision.policy_version.to_string().chars().take(SHORT_DIGEST).collect();
        sentences.push(format!(
            "The decision, made under policy version {short}…, is entry {} of the ledger.",
            self.entry.seq
        ));
        sentences
    }
}

fn refused(code: Option<DenialCode>) -> String {
    match code {
        Some(DenialCode::Forbidden) => "It was refused, because a policy forbids it, whatever others permit.",
        Some(DenialCode::PolicyError) => {
            "It was refused, because a policy could not be evaluated; when in doubt, the answer is no."
        }
        Some(DenialCode::UnknownAction) => "It was refused, because no policy knows such an action.",
        Some(DenialCode::Malformed) => {
            "It was refused, because what was written is malformed, or could be mistaken for something else."
        }
        Some(DenialCode::Halted) => "It was refused, because the node is halted.",
        Some(DenialCode::RunOver) => "It was refused, because the run that it was asked in is over.",
        Some(DenialCode::WrongPhase) => "It was refused, because the run's phase does not allow it.",
        Some(DenialCode::ForbiddenAction) => "It was refused, because the run's packet forbids it.",
        Some(DenialCode::OutOfScope) => "It was refused, because the run's packet does not allow it.",
        Some(DenialCode::ToolChanged) => {
            "It was refused, because what the tool's server says of it is not what a person looked at and pinned."
        }
        Some(DenialCode::ToolSuspicious) => {
            "It was refused, because something about the tool is suspicious, and nobody said that they saw it."
        }
        Some(DenialCode::OverBudget) => "It was refused, because a budget for models has nothing left for it.",
        Some(DenialCode::NeedsReview) => "It was not done, because a person must approve it first.",
        Some(DenialCode::ReviewRefused) => {
            "It was refused, because a person was asked and said no, or nobody answered in time."
        }
        Some(DenialCode::SecretRevoked) => "It was refused, because the secret that it needs was revoked.",
        Some(DenialCode::SecretNotGranted) => "It was refused, because the secret that it needs was granted to others.",
        Some(DenialCode::LeaseRevoked) => {
            "It was refused, because a person took back that its run has the secret that it needs."
        }
        Some(DenialCode::SecretNeedsRun) => {
            "It was refused, because the secret that it needs is made for the leases of runs, and it was asked for in none."
        }
        Some(DenialCode::NotPermitted) | None => {
            "It was refused, because no policy permits it; what is not permitted is refused."
        }
    }
    .to_owned()
}

fn became(effect: &EffectRow) -> String {
    match (effect.status, &effect.written, &effect.error) {
        (Status::Succeeded, Some((digest, bytes)), _) if effect.action == "fs.write" => {
            format!("It was done: {bytes} bytes were written, with the digest {digest}.")
        }
        (Status::Succeeded, Some((digest, bytes)), _) => {
            format!("It was done, and gave {bytes} bytes with the digest {digest}.")
        }
        (Status::Succeeded, None, _) => "It was done.".to_owned(),
        (Status::Failed, _, Some((code, message))) => format!("It was not done ({code}): {message}."),
        (Status::Failed, _, None) => "It was not done.".to_owned(),
        (Status::Unknown, ..) => {
            "Whether it was done is not known: the node died at that moment. A person must look.".to_owned()
        }
        (Status::Intended, ..) => "It has not begun yet.".to_owned(),
        (Status::Publishing, ..) => "It is being done now.".to_owned(),
    }
}
