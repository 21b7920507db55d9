//! Following a run: what happens in it, line by line on stderr, until it is over.
//!
//! The node is asked again and again for what is new. Ctrl-C ends the following, never the run.

use std::time::Duration;

use steward_caller::Caller;
use steward_wire::RunRecord;

use crate::{failure::Failure, session::Session, verbs::run_view::event_line};

/// How often the node is asked for what is new: seldom enough to cost nothing, often enough to seem at once.
const ASK_EVERY_MS: u64 = 300;

/// Tells what happens in a run until it is over, and gives how it stands then; nothing if Ctrl-C came first.
pub(crate) async fn follow(session: &mut Session, caller: &Caller, id: &str) -> Result<Option<RunRecord>, Failure> {
    tokio::select! {
        ended = to_the_end(session, caller, id) => ended.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    }
}

async fn to_the_end(session: &mut Session, caller: &Caller, id: &str) -> Result<RunRecord, Failure> {
    let mut seen: Option<u64> = None;
    loop {
        let detail = caller.run(id, seen).await.map_err(|error| {
            let show = session.command(&format!("run show {id}"));
            Failure::from(error).details(vec![format!("the run may go on without anybody looking; see with `{show}`")])
        })?;
        let mut is_news = false;
        for event in detail.events.iter().filter(|event| seen.is_none_or(|seen| event.entry > seen)) {
            session.show.aside_as(|looks| event_line(event, looks));
            is_news = true;
        }
        seen = detail.events.iter().map(|event| event.entry).max().max(seen);
        // An answer may hold a part of what is new: only one without news is the last.
        match (detail.run.status == "live", is_news) {
            (false, false) => return Ok(detail.run),
            (_, true) => {}
            (true, false) => tokio::time::sleep(Duration::from_millis(ASK_EVERY_MS)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Json, Router,
        extract::{RawQuery, State},
        routing::get,
    };
    use serde_json::json;
    use steward_caller::Caller;
    use steward_wire::{RunDetail, RunEvent};

    use super::to_the_end;
    use crate::{
        failure::Exit,
        testing::{session, story::run_record},
    };

    /// What is answered, the last first, and what was asked.
    type Script = Arc<Mutex<(Vec<RunDetail>, Vec<String>)>>;

    fn detail(status: &str, entries: &[u64]) -> RunDetail {
        let event = |entry: &u64| RunEvent {
            entry: *entry,
            time: "2026-11-20T20:14:27.123Z".into(),
            kind: "run.phase".into(),
            says: format!("event {entry}"),
        };
        RunDetail {
            run: run_record(status),
            packet: json!({}),
            plan: None,
            handoff: None,
            report: None,
            artifacts: Vec::new(),
            children: Vec::new(),
            waits_for: Vec::new(),
            events: entries.iter().map(event).collect(),
        }
    }

    async fn answer(State(script): State<Script>, RawQuery(query): RawQuery) -> Json<RunDetail> {
        let mut script = script.lock().unwrap();
        script.1.push(query.unwrap_or_default());
        Json(script.0.pop().expect("nothing more is asked"))
    }

    async fn followed(mut answers: Vec<RunDetail>) -> (String, Vec<String>) {
        answers.reverse();
        let script: Script = Arc::new(Mutex::new((answers, Vec::new())));
        let router = Router::new().route("/v1/runs/{id}", get(answer)).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let caller = Caller::new(&address, None).unwrap();
        let run = to_the_end(&mut session(), &caller, "run_1").await.unwrap();
        server.abort();
        let asked = script.lock().unwrap().1.clone();
        (run.status, asked)
    }

    #[tokio::test]
    async fn a_run_is_followed_to_its_last_event() {
        let answers =
            vec![detail("live", &[3, 4]), detail("live", &[]), detail("revoked", &[4, 7]), detail("revoked", &[7])];
        let (status, asked) = followed(answers).await;
        assert_eq!(
            (status.as_str(), asked),
            ("revoked", ["", "after=4", "after=4", "after=7"].map(str::to_owned).to_vec())
        );
    }

    #[tokio::test]
    async fn a_node_that_goes_away_is_said_and_so_is_that_the_run_may_go_on() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let caller = Caller::new(&address, None).unwrap();
        let failure = to_the_end(&mut session(), &caller, "run_1").await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.details[0].contains("run show run_1"), "{:?}", failure.details);
    }
}
