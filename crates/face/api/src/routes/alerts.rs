//! Alerts: what is wrong now.

use std::sync::Arc;

use axum::Json;
use steward_app_node::Error;
use steward_wire::{AlertList, AlertRecord, Problem};

use super::status::may_read;
use crate::{
    alerts::{self, Firing, RULES},
    answer::Refused,
    door::Visit,
    node::Node,
};

impl Node {
    /// Looks for alerts, so that those that begin or end are logged, and it is known since when. Called now and then.
    ///
    /// # Errors
    /// The store or the disk cannot be read.
    pub async fn look_for_alerts(self: &Arc<Self>) -> Result<(), Error> {
        let node = Arc::clone(self);
        tokio::task::spawn_blocking(move || alerts::look(&node)).await.map_err(Error::broken)?.map(|_| ())
    }
}

fn record(firing: Firing) -> AlertRecord {
    AlertRecord {
        name: firing.rule.name.to_owned(),
        severity: firing.rule.severity.to_owned(),
        part: firing.rule.part.to_owned(),
        about: firing.about,
        since: firing.since.map(|at| at.to_string()),
        evidence: firing.evidence,
        mend: firing.rule.mend.to_owned(),
        page: format!("docs/operations/{}.md", firing.rule.name),
    }
}

/// What fires now, computed from evidence.
#[utoipa::path(get, path = "/v1/alerts", tag = "node", responses((status = 200, body = AlertList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<AlertList>, Refused> {
    let node = Arc::clone(visit.node());
    let firing = visit
        .read(move |context, caller| {
            let node = Arc::clone(&node);
            async move {
                may_read(&context, &caller).await?;
                tokio::task::spawn_blocking(move || alerts::look(&node)).await.map_err(Error::broken)?
            }
        })
        .await?;
    Ok(Json(AlertList { rules: RULES.len() as u64, alerts: firing.into_iter().map(record).collect() }))
}
