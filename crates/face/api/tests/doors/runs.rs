//! Runs through the door: started, followed, stopped, revoked and handed over, taken as evidence; and the halt of the node.

use axum::http::Method;
use serde_json::{Value, json};
use steward_permit::Role;
use steward_testkit::Played;

use crate::House;

/// A packet for an agent that writes one report.
pub(crate) fn packet(agent: &str) -> Value {
    json!({
        "agent_id": agent,
        "task_id": "weekly",
        "created_for": "olivia",
        "objective": "Say what happened this week.",
        "deliverables": ["/reports/week.md"],
        "constraints": {
            "scope": ["fs.write:/reports/**"], "forbidden": [],
            "required_steps": [{"step": "write the report", "artifact": "/reports/week.md"}],
        },
        "success_criteria": [{"kind": "artifact", "path": "/reports/week.md"}],
        "error_budget": {},
        "escalation_rules": [],
        "created_at": "2026-11-20T09:00:00.000Z",
    })
}

/// Starts a run, through the door.
async fn start(house: &House, body: &Value) -> (String, Played) {
    let started = house.post("/v1/runs", body).await;
    assert_eq!(started.status, 201, "{started:?}");
    let run = started.json();
    assert_eq!((run["status"].as_str(), run["phase"].as_str()), (Some("live"), Some("PLAN")), "{run}");
    (run["id"].as_str().expect("an id").to_owned(), house.node.next_agent().await)
}

async fn ended(house: &House, run: &str) -> Value {
    house.node.ended(&run.parse().expect("an id")).await;
    house.get(&format!("/v1/runs/{run}")).await.json()
}

/// A run that ended because its agent was revoked, so that there is a handoff.
pub(crate) async fn revoked_run(house: &House) -> String {
    house.node.agent("elder", steward_permit::Tier::T1).await;
    let packet = packet("elder").to_string();
    let (run, _elder) = start(house, &json!({"agent": "elder", "packet": packet})).await;
    let revoked = house.post("/v1/agents/elder/revoke", &json!({"reason": "it is enough"})).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    house.node.ended(&run.parse().expect("an id")).await;
    run
}

#[tokio::test]
async fn a_run_is_followed_to_its_end_and_leaves_evidence() {
    let house = House::new().await;
    let (run, mut agent) = start(&house, &json!({"agent": "scribe", "packet": packet("scribe").to_string()})).await;
    let path = format!("/v1/runs/{run}");
    let first = house.get(&path).await.json();
    assert_eq!(first["packet"]["agent_id"], "scribe.acme.internal");
    let events = first["events"].as_array().expect("events");
    assert_eq!(events[0]["kind"], "run.started");
    let last = events.last().expect("one")["entry"].as_u64().expect("a number");

    agent.begin().await;
    agent.call("submit_plan", json!({"summary": "Write it.", "steps": [{"step": "write"}]})).await;
    let written = json!({"path": "/reports/week.md", "content": "Nothing burned.\n"});
    assert_eq!(agent.call("fs.write", written).await["ok"], true);
    assert_eq!(agent.call("finish", json!({})).await["ok"], true);
    agent.exit(0);
    let detail = ended(&house, &run).await;
    assert_eq!(detail["run"]["status"], "completed", "{}", detail["run"]);
    assert_eq!((&detail["run"]["code"], &detail["run"]["ended_in"]), (&json!("COMPLETED"), &json!("REPORT")));
    assert_eq!(detail["artifacts"][0]["path"], "/reports/week.md");
    assert_eq!(detail["plan"]["summary"], "Write it.");
    assert_eq!(detail["report"]["run"], run.as_str());

    let news = house.get(&format!("{path}?after={last}")).await.json();
    let news = news["events"].as_array().expect("events").clone();
    assert!(news.iter().all(|event| event["entry"].as_u64() > Some(last)), "{news:?}");
    assert_eq!(news.len() + events.len(), detail["events"].as_array().map_or(0, Vec::len));

    let evidence = house.get(&format!("{path}/evidence")).await.json();
    assert_eq!(evidence["format"], "steward.evidence/v1");
    assert_eq!(evidence["run"], detail["run"]);
    assert_eq!(evidence["vkey"], house.get("/v1/ledger/vkey").await.json()["vkey"]);
    assert_eq!(evidence["identity"]["payloadType"], "application/vnd.steward.identity.v1+json");
    let kinds: Vec<&str> =
        evidence["documents"].as_array().expect("documents").iter().filter_map(|d| d["kind"].as_str()).collect();
    assert_eq!(kinds, ["packet", "plan", "package", "report"]);
    let entry = &evidence["entries"][0];
    assert!(entry["leaf"].as_str().is_some_and(|leaf| leaf.contains("run.started")), "{entry}");
    assert_eq!(entry["salt"].as_str().map(str::len), Some(64));
    assert!(entry["proof"].as_str().is_some_and(|proof| proof.starts_with("c2sp.org/tlog-proof@v1\n")));

    let listed = house.get("/v1/runs?agent=scribe&task=weekly&limit=1").await.json();
    assert_eq!(listed["runs"][0], detail["run"]);
    for none in ["/v1/runs?live=true", "/v1/runs?task=other", "/v1/runs?agent=nobody"] {
        assert_eq!(house.get(none).await.json()["runs"], json!([]), "{none}");
    }
    let effects = house.get(&format!("/v1/effects?run={run}&status=succeeded")).await.json();
    assert_eq!(effects["effects"][0]["resource"], "/reports/week.md");
    assert_eq!(effects["effects"][0]["run"], run.as_str());
    assert_eq!(house.get(&format!("/v1/effects?run={run}&status=unknown")).await.json()["effects"], json!([]));
}

#[tokio::test]
async fn a_task_and_an_objective_fill_the_agents_own_template() {
    let house = House::new().await;
    let mut template = packet("clerk");
    template["objective"] = json!("Do this: {objective}");
    ["agent_id", "task_id", "created_for", "created_at"].iter().for_each(|name| {
        template.as_object_mut().expect("an object").remove(*name);
    });
    let manifest = |packet: String| json!({"name": "clerk", "version": "1.0.0", "tier": "T1", "command": ["clerk", "--quietly"], "packet": packet});
    let wrong = house.post("/v1/agents", &manifest("{\"scope\":\n[]}".to_owned())).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (400, "INVALID_REQUEST"));
    assert!(wrong.json()["problems"][0]["at"].as_str().is_some_and(|at| at.starts_with("packet:1:")), "{wrong:?}");
    let added = house.post("/v1/agents", &manifest(template.to_string())).await;
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(added.json()["command"], json!(["clerk", "--quietly"]));
    assert!(added.json()["packet"].as_str().is_some_and(|digest| digest.starts_with("sha256:")));

    let (run, agent) = start(&house, &json!({"agent": "clerk", "task": "tidy", "objective": "tidy up"})).await;
    let detail = house.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!(detail["run"]["objective"], "Do this: tidy up");
    assert_eq!(detail["run"]["started_by"], "olivia@acme.internal");
    let stopped = house.post(&format!("/v1/runs/{run}/stop"), &json!({"reason": "enough"})).await.json();
    assert_eq!((stopped["status"].as_str(), stopped["phase"].as_str()), (Some("stopped"), Some("EXIT")));
    ended(&house, &run).await;
    drop(agent);
    let again = house.post(&format!("/v1/runs/{run}/stop"), &json!({"reason": "enough"})).await;
    assert_eq!(again.status, 409, "{again:?}");
}

#[tokio::test]
async fn a_revoked_agent_leaves_a_handoff_and_comes_back_one_tier_lower() {
    let house = House::new().await;
    let run = revoked_run(&house).await;
    let elder = house.get("/v1/agents/elder").await.json();
    assert_eq!((&elder["status"], &elder["revoked"]), (&json!("revoked"), &json!("BY_PERSON: it is enough")));
    let listed = house.get("/v1/agents").await.json();
    let listed = listed["agents"].as_array().expect("agents").iter().find(|agent| agent["name"] == elder["name"]);
    assert_eq!(listed, Some(&elder));
    let handoff = house.get("/v1/tasks/weekly/handoff").await.json();
    assert_eq!(handoff["handoff"]["previous_agent_id"], "elder.acme.internal");
    assert_eq!(handoff["acknowledged_by"], Value::Null);
    let state = house.get("/v1/state?match=handoff:*").await.json();
    assert_eq!(state["entries"][0]["key"], "handoff:weekly:latest");
    assert_eq!(state["entries"][0]["type"], "string");

    let reason = json!({"reason": "it has learnt"});
    let back = house.post("/v1/agents/elder/reinstate", &reason).await.json();
    assert_eq!((&back["run"], &back["reason"]), (&json!(run), &json!("BY_PERSON")));
    assert_eq!((&back["reinstated_by"], &back["reinstated_tier"]), (&json!("olivia@acme.internal"), &json!("T0")));
    let elder = house.get("/v1/agents/elder").await.json();
    assert_eq!((&elder["status"], &elder["tier"], &elder["revoked"]), (&json!("active"), &json!("T0"), &Value::Null));
    assert_eq!(house.post("/v1/agents/elder/reinstate", &reason).await.status, 409);
}

#[tokio::test]
async fn a_halted_node_starts_nothing_until_it_is_resumed() {
    let house = House::new().await;
    let body = json!({"agent": "scribe", "packet": packet("scribe").to_string()});
    let (run, _agent) = start(&house, &body).await;
    let halted = house.post("/v1/node/halt", &json!({"reason": "smoke"})).await.json();
    assert_eq!((&halted["halted"], &halted["reason"]), (&json!(true), &json!("smoke")));
    assert_eq!((&halted["by"], &halted["stopped"]), (&json!("olivia@acme.internal"), &json!([run])));
    assert_eq!(ended(&house, &run).await["run"]["status"], "stopped");
    let status = house.get("/v1/node/status").await.json();
    assert_eq!((&status["halted"], &status["runs_live"]), (&json!("by olivia@acme.internal: smoke"), &json!(0)));
    let refused = house.post("/v1/runs", &body).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "HALTED"));
    let resumed = house.post("/v1/node/resume", &json!({"reason": "it was toast"})).await.json();
    assert_eq!((&resumed["halted"], &resumed["stopped"]), (&json!(false), &json!([])));
    assert_eq!(house.post("/v1/node/resume", &json!({"reason": "once more"})).await.status, 409);
}

#[tokio::test]
async fn what_there_is_not_and_what_is_malformed_is_refused() {
    let house = House::new().await;
    let nobody = "run_01KAHW5V8NQ4Z0M7C2R9T3XBYD";
    for (path, status, code) in [
        (format!("/v1/runs/{nobody}"), 404, "NOT_FOUND"),
        (format!("/v1/runs/{nobody}/evidence"), 404, "NOT_FOUND"),
        ("/v1/runs/7".to_owned(), 400, "INVALID_REQUEST"),
        (format!("/v1/runs/{nobody}?since=3"), 400, "INVALID_REQUEST"),
        ("/v1/runs?limit=x".to_owned(), 400, "INVALID_REQUEST"),
        ("/v1/tasks/none/handoff".to_owned(), 404, "NOT_FOUND"),
        ("/v1/tasks/A%20b/handoff".to_owned(), 400, "INVALID_REQUEST"),
        ("/v1/effects?status=perhaps".to_owned(), 400, "INVALID_REQUEST"),
        ("/v1/effects?run=7".to_owned(), 400, "INVALID_REQUEST"),
        ("/v1/state".to_owned(), 400, "INVALID_REQUEST"),
        (format!("/v1/state?match={}", "x".repeat(300)), 400, "INVALID_REQUEST"),
    ] {
        let answer = house.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
    }
    let packet = packet("scribe").to_string();
    let mut mistaken: Value = serde_json::from_str(&packet).expect("JSON");
    mistaken["objectif"] = json!("x");
    mistaken["constraints"]["scope"] = json!(["everything"]);
    let answer = house.post("/v1/runs", &json!({"agent": "scribe", "packet": mistaken.to_string()})).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "INVALID_REQUEST"));
    assert_eq!(answer.json()["problems"].as_array().map(Vec::len), Some(2), "{answer:?}");
    for (body, status) in [
        (json!({"agent": "scribe"}), 400),
        (json!({"agent": "scribe", "packet": packet, "task": "t", "objective": "o"}), 400),
        (json!({"agent": "scribe", "packet": packet, "parent": "7"}), 400),
        (json!({"agent": "scribe", "packet": packet, "parent": nobody}), 404),
        (json!({"agent": "nobody", "packet": packet}), 404),
        (json!({"agent": "scribe", "packet": packet, "more": 1}), 400),
    ] {
        assert_eq!(house.post("/v1/runs", &body).await.status, status, "{body}");
    }
    let unsaid = house.post("/v1/node/halt", &json!({"reason": " "})).await;
    assert_eq!((unsaid.status.as_u16(), unsaid.code().as_str()), (400, "INVALID_REQUEST"));
}

#[tokio::test]
async fn what_became_of_an_effect_is_a_reviewers_to_say() {
    let house = House::new().await;
    let rita = house.node.person("rita", &[Role::Reviewer]).await;
    let otto = house.node.person("otto", &[Role::Operator]).await;
    let written = house.node.act(&house.operator, "scribe", "fs.write", "/reports/a.md", b"x").await;
    let id = written.expect("it is permitted");
    let path = format!("/v1/effects/{id}/resolve");
    let body = json!({"happened": true, "reason": "it is there"});
    assert_eq!(house.ask(Method::POST, &path, Some(&otto.token), Some(&body)).await.status, 403);
    // It is known already what became of this one.
    let known = house.ask(Method::POST, &path, Some(&rita.token), Some(&body)).await;
    assert_eq!(known.status, 409, "{known:?}");
    let nobody = "/v1/effects/act_01KAHW5V8NQ4Z0M7C2R9T3XBYD/resolve";
    assert_eq!(house.ask(Method::POST, nobody, Some(&rita.token), Some(&body)).await.status, 404);
    let wrong = "/v1/effects/7/resolve";
    assert_eq!(house.ask(Method::POST, wrong, Some(&rita.token), Some(&body)).await.status, 400);
}
