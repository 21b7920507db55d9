//! Hooks: who is told what waits for people.

use std::sync::Arc;

use axum::Json;
use steward_app_hooks::HookView;
use steward_wire::{HookList, HookRecord, HookTested, Problem};

use super::status::may_read;
use crate::{
    answer::Refused,
    door::{Part, Visit},
};

fn record(view: HookView) -> HookRecord {
    let HookView { hook, row, waiting } = view;
    HookRecord {
        name: hook.name.to_string(),
        kind: hook.to.kind().to_owned(),
        to: hook.to.place().to_owned(),
        events: hook.events.iter().map(ToString::to_string).collect(),
        told: row.as_ref().map_or(0, |row| row.told),
        told_at: row.as_ref().and_then(|row| row.told_at).map(|at| at.to_string()),
        waiting,
        failing_since: row.as_ref().and_then(|row| row.failing_since).map(|at| at.to_string()),
        gave_up: row.as_ref().map_or(0, |row| row.gave_up),
        gave_up_at: row.as_ref().and_then(|row| row.gave_up_at).map(|at| at.to_string()),
        why: row.and_then(|row| row.why),
    }
}

/// Every hook of this node's configuration, and how it goes.
#[utoipa::path(get, path = "/v1/hooks", tag = "node", responses((status = 200, body = HookList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<HookList>, Refused> {
    let runner = visit.runner();
    let views = visit
        .read(|context, caller| {
            let runner = Arc::clone(&runner);
            async move {
                may_read(&context, &caller).await?;
                runner.hooks.views(&context)
            }
        })
        .await?;
    Ok(Json(HookList { hooks: views.into_iter().map(record).collect() }))
}

/// Tells a hook a test, signed like everything else, and says what came back.
#[utoipa::path(post, path = "/v1/hooks/{name}/test", tag = "node", params(("name" = String, Path)), responses((status = 200, body = HookTested), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn test(visit: Visit, Part(name): Part<String>) -> Result<Json<HookTested>, Refused> {
    let tested = visit
        .change(|context, caller| {
            let (runner, name) = (visit.runner(), name.clone());
            async move { runner.hooks.test(&context, runner.keeper(), &caller, &name).await }
        })
        .await?;
    let told = tested.why.is_none();
    Ok(Json(HookTested { hook: name, id: tested.id, told, status: tested.status, why: tested.why, ms: tested.ms }))
}
