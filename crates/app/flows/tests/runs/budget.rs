//! A budget holds: however many calls come at once, and whatever dies in between.

use serde_json::json;
use steward_app_agents::rows::Status;
use steward_app_runs::revocations;
use steward_ledger::kind;

use crate::common::{entries, executing, file, node, over, packet, problem, standing, verdict};

/// As many as an agent can have under way.
const CALLS: u64 = 32;

/// Kinds of problems, all different.
fn kind_of(n: u64) -> String {
    let letter = |n: u64| char::from(b'A' + u8::try_from(n).expect("small"));
    format!("{}{}", letter(n / 8), letter(n % 8))
}

#[tokio::test]
async fn of_32_errors_at_once_eight_are_charged() {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    let held = node.hold_writer();
    let mut asked = Vec::new();
    for n in 0..CALLS {
        asked.push(agent.ask("report_problem", problem(&kind_of(n))).await);
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    drop(held);
    let mut charged = 0;
    for id in asked {
        // Who is over is not answered any more.
        charged += u64::from(agent.answer(id).await.is_some_and(|said| said["ok"] == true));
    }
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("revoked", "ERROR_BUDGET_EXCEEDED", Some(false)));
    assert_eq!((run.state.spent.total, charged), (8, 8));
    let totals: Vec<_> = entries(&node, kind::RUN_ERROR).iter().map(|b| b.detail["errors"]["total"].clone()).collect();
    assert_eq!(totals, (1..8).map(|n| json!(n)).collect::<Vec<_>>(), "each once, and the eighth is the end");
    assert_eq!(entries(&node, kind::RUN_ENDED).len(), 1);
    let revoked = node.context().store.read(|reader| revocations(reader, 10)).expect("it reads");
    assert_eq!(revoked.len(), 1);
    assert_eq!(standing(&node, "scribe").1, Status::Revoked);
    let read = |sql: &str| -> u64 {
        let count = |reader: &steward_store::Reader<'_>| {
            reader.sql().query_row(sql, [], |row| row.get(0)).map_err(steward_store::StoreError::from)
        };
        node.context().store.read(count).expect("it reads")
    };
    assert_eq!(read("SELECT count(*) FROM handoff"), 1);
}

#[tokio::test]
async fn of_32_refused_actions_at_once_no_more_are_charged_than_there_are() {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    let mut asked = Vec::new();
    for n in 0..CALLS {
        asked.push(agent.ask("fs.write", file(&format!("/plans/{n}.md"))).await);
    }
    for id in asked {
        if let Some(said) = agent.answer(id).await {
            assert_eq!(said["ok"], false, "{said}");
        }
    }
    let run = over(&node, &id, &agent).await;
    assert_eq!((verdict(&run).1, run.state.spent.total), ("REPEATED_ERROR", 2), "all of them are one error");
    assert_eq!(entries(&node, kind::RUN_ENDED).len(), 1);
}

#[tokio::test]
async fn a_crash_refills_nothing() {
    let (mut node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    for n in 0..5 {
        agent.call("report_problem", problem(&kind_of(n))).await;
    }
    node.kill();
    node.revive().await.expect("it starts");
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!((verdict(&run), run.state.spent.total), (("failed", "INTERRUPTED", None), 5));
    let said = agent.ask("report_problem", problem("LATE")).await;
    assert_eq!(agent.answer(said).await, None);
    assert_eq!(node.run(&id).state.spent, run.state.spent);
}
