//! Halting the node, and letting it go on (SEC-5).

use axum::Json;
use steward_app_node::Halt;
use steward_naming::RunId;
use steward_wire::{HaltRecord, Problem, Reason};

use crate::{
    answer::Refused,
    door::{Body, Visit},
};

fn record(halt: &Halt, stopped: &[RunId]) -> HaltRecord {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    HaltRecord {
        halted: halt.is_halted,
        by: text(&halt.by),
        reason: text(&halt.reason),
        at: halt.at.map(|at| at.to_string()),
        stopped: stopped.iter().map(ToString::to_string).collect(),
    }
}

/// Stops every run and every effect. It lasts until somebody resumes, also over a restart.
#[utoipa::path(post, path = "/v1/node/halt", tag = "node", request_body = Reason, responses((status = 200, body = HaltRecord), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn halt(visit: Visit, Body(why): Body<Reason>) -> Result<Json<HaltRecord>, Refused> {
    let (halt, stopped) = visit
        .change(|_, caller| {
            let (runner, why) = (visit.runner(), why.reason.clone());
            async move { runner.halt(&caller, &why).await }
        })
        .await?;
    Ok(Json(record(&halt, &stopped)))
}

/// Lets a halted node go on. What was stopped stays stopped.
#[utoipa::path(post, path = "/v1/node/resume", tag = "node", request_body = Reason, responses((status = 200, body = HaltRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn resume(visit: Visit, Body(why): Body<Reason>) -> Result<Json<HaltRecord>, Refused> {
    let halt = visit
        .change(|_, caller| {
            let (runner, why) = (visit.runner(), why.reason.clone());
            async move { runner.resume(&caller, &why).await }
        })
        .await?;
    Ok(Json(record(&halt, &[])))
}
