//! Where agents come in: a run's own door, and the routes for those that come with a key.
//!
//! What is behind both is the same; who the caller is follows from the door, or from the key.

use std::{net::TcpListener, sync::Arc, time::Duration};

use axum::Router;
use steward_app_flows::runs::Runner;
use steward_naming::RunId;

use crate::connections::{Listener, Patience};

/// The most connections of one run at once: one for each of its programs that speaks, a few times over.
const MAX_OF_RUN: usize = 64;

/// How long a connection of a run may be quiet, in seconds: longer than a model thinks.
const QUIET_S: u64 = 15 * 60;

/// How long answers that are under way may take once a run is over.
const LEAVE_WITHIN_MS: u64 = 1_000;

/// The routes for agents that run elsewhere.
pub(crate) fn with_key(runner: &Arc<Runner>) -> Router {
    steward_mcp::with_key(Arc::clone(runner)).merge(steward_openai::with_key(Arc::clone(runner)))
}

/// How long what may take on a run's door.
fn patience() -> Patience {
    Patience { quiet: Duration::from_secs(QUIET_S), ..Patience::default() }
}

/// Serves the door of a run until the run is over.
pub(crate) fn serve(runner: Arc<Runner>, run: RunId, door: TcpListener) {
    tokio::spawn(async move {
        let ready = door.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(door));
        let listener = match ready {
            Ok(listener) => Listener::with(listener, MAX_OF_RUN, patience()),
            Err(error) => {
                tracing::error!(run.id = run.as_str(), %error, "the door of a run cannot be served");
                return;
            }
        };
        let routes = steward_mcp::of_run(Arc::clone(&runner), run.clone())
            .merge(steward_openai::of_run(Arc::clone(&runner), run.clone()));
        tokio::select! {
            served = axum::serve(listener, routes) => {
                if let Err(error) = served {
                    tracing::error!(run.id = run.as_str(), %error, "the door of a run is no longer served");
                }
            }
            () = async {
                runner.over(&run).await;
                tokio::time::sleep(Duration::from_millis(LEAVE_WITHIN_MS)).await;
            } => {}
        }
    });
}
