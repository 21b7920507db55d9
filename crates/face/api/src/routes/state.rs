//! The runtime's state, in the keys that operators know (GOV-6).

use axum::Json;
use serde::Deserialize;
use steward_app_flows::runs as flows;
use steward_wire::{Problem, StateEntry, StateList};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Visit},
};

/// Which keys.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// A key, or a pattern: `*` stands for any text.
    r#match: String,
}

fn record(entry: flows::StateEntry) -> StateEntry {
    StateEntry {
        key: entry.key,
        kind: entry.kind.to_owned(),
        value: entry.value,
        expires_at: entry.expires_at.map(|at| at.to_string()),
    }
}

/// The keys that match, in order.
#[utoipa::path(get, path = "/v1/state", tag = "runs", params(Which), responses((status = 200, body = StateList), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn get(visit: Visit, Asked(which): Asked<Which>) -> Result<Json<StateList>, Refused> {
    let entries = visit
        .read(|_, caller| {
            let (runner, pattern) = (visit.runner(), which.r#match.clone());
            async move { flows::state(&runner, &caller, &pattern).await }
        })
        .await?;
    Ok(Json(StateList { entries: entries.into_iter().map(record).collect() }))
}
