//! What would differ under another policy.

use axum::Json;
use steward_app_policies::{self as verbs, Candidate, Diff, Difference};
use steward_policy::Source;
use steward_wire::{DiffPolicy, NotAsked, PolicyDiff, PolicyDifference, PolicyOutcome, Problem};

use super::actions::matched;
use crate::{
    answer::Refused,
    door::{Body, Visit},
};

pub(crate) fn difference(of: Difference) -> PolicyDifference {
    let Difference { seq, time, actor, was, would_be } = of;
    PolicyDifference {
        entry: seq,
        time: time.to_string(),
        actor: actor.name,
        tier: actor.tier.map(|tier| tier.to_string()),
        roles: actor.roles.iter().map(ToString::to_string).collect(),
        action: was.action,
        kind: was.resource.kind.to_string(),
        resource: was.resource.id,
        run: was.circumstances.and_then(|told| told.run).map(|run| run.id.to_string()),
        was: PolicyOutcome {
            decision: was.outcome.as_str().to_owned(),
            code: was.code.map(|code| code.to_string()),
            policies: matched(&was.policies),
            errors: was.errors,
        },
        would_be: PolicyOutcome {
            decision: if would_be.allowed { "allow" } else { "deny" }.to_owned(),
            code: would_be.code.map(|code| code.to_string()),
            policies: matched(&would_be.policies),
            errors: would_be.errors,
        },
    }
}

fn told(diff: Diff) -> PolicyDiff {
    let would_be = |allowed: bool| diff.differences.iter().filter(|d| d.would_be.allowed == allowed).count() as u64;
    PolicyDiff {
        version: diff.version.to_string(),
        in_force: diff.in_force.to_string(),
        policies: diff.policies as u64,
        from: diff.entries.map(|(oldest, _)| oldest),
        to: diff.entries.map(|(_, newest)| newest),
        same: diff.same,
        would_be_denied: would_be(false),
        would_be_allowed: would_be(true),
        not_asked: diff
            .not_asked
            .into_iter()
            .map(|(why, (count, entry))| NotAsked { why: why.to_string(), count, entry })
            .collect(),
        counted: diff.counted,
        replaced: diff.replaced,
        added: diff.added,
        differences: diff.differences.into_iter().map(difference).collect(),
    }
}

/// What would differ under another policy: the last decisions on record, asked again. Nothing is put in force; that the record was read is
/// recorded.
#[utoipa::path(post, path = "/v1/policy/diff", tag = "policy", request_body = DiffPolicy, responses((status = 200, body = PolicyDiff), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn diff(visit: Visit, Body(asked): Body<DiffPolicy>) -> Result<Json<PolicyDiff>, Refused> {
    let DiffPolicy { policies, whole, last } = asked;
    let policies = policies.into_iter().map(|file| Source { name: file.name, text: file.text }).collect();
    let candidate = Candidate { policies, whole };
    let diff = visit
        .change(|context, caller| {
            let candidate = candidate.clone();
            async move { verbs::diff(&context, &caller, candidate, last).await }
        })
        .await?;
    Ok(Json(told(diff)))
}
