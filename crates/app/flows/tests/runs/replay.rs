//! Runs that are lived again from their record, and what the record says of an agent.

use serde_json::json;
use steward_app_flows::runs::{self, live_again};
use steward_app_runs::{Found, Replay, RunRow, Story, replay};
use steward_ledger::{Body, Leaf, Salt, kind};
use steward_naming::RunId;
use steward_permit::Tier;
use steward_seal::Digest;
use steward_store::EntryRow;
use steward_testkit::{Known, TestNode};

use crate::common::{executing, message, node, over, packet, problem, report, verdict};

/// A run of `scribe` that completes, after an error.
async fn completed(node: &TestNode, who: &Known) -> RunRow {
    let (id, mut agent) = executing(node, who, &packet("scribe")).await;
    agent.call("report_problem", problem("PRINTER")).await;
    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    agent.exit(0);
    let run = over(node, &id, &agent).await;
    assert_eq!(verdict(&run), ("completed", "COMPLETED", Some(true)), "{}", message(&run));
    run
}

#[tokio::test]
async fn a_whole_run_is_lived_again_to_the_same_end() {
    let (node, olivia) = node().await;
    let run = completed(&node, &olivia).await;
    let replayed = runs::replayed(node.context(), &node.again(&olivia), run.id()).await.expect("told");
    assert!(replayed.agrees && replayed.troubles.is_empty(), "{replayed:#?}");
    let steps = replayed.events.iter().filter_map(|event| event.step.as_ref());
    let lived: Vec<_> = steps.map(|step| (step.command.as_str(), step.phase.expect("a phase"))).collect();
    let expected = [
        ("begin", "BOOTSTRAP"),
        ("booted", "PREFLIGHT"),
        ("preflight_passed", "PLAN"),
        ("(its process)", "PLAN"),
        ("submit", "PLAN"),
        ("approve", "EXECUTE"),
        ("error", "EXECUTE"),
        ("finish", "VERIFY"),
        ("verified", "PACKAGE"),
        ("packaged", "REPORT"),
        ("reported", "EXIT"),
    ];
    assert_eq!(lived, expected);
    assert_eq!(replayed.counts(), (expected.len() as u64, 0, 0));
    assert!(replayed.same > 5 && replayed.not_asked.is_empty());
    assert!(replayed.events.iter().all(|event| event.otherwise.is_none()));
    let read = crate::common::entries(&node, kind::LEDGER_READ).pop().expect("that it was read is on record");
    assert_eq!(read.detail["replay"], run.id().as_str());
}

#[tokio::test]
async fn what_todays_policy_would_decide_otherwise_is_shown() {
    let (node, olivia) = node().await;
    let run = completed(&node, &olivia).await;
    node.edit_policies(|sources| {
        let text =
            "@id(\"freeze\")\nforbid (principal is Agent, action == Action::\"fs.write\", resource);\n".to_owned();
        sources.policies.push(steward_policy::Source { name: "own.cedar".to_owned(), text });
    });
    let mut tended = steward_app_flows::Tended::default();
    steward_app_flows::tend(node.runner(), &node.home().policies(), &mut tended).await.expect("a round");
    let replayed = runs::replayed(node.context(), &node.again(&olivia), run.id()).await.expect("told");
    assert!(replayed.agrees, "the machine is another matter");
    let otherwise: Vec<_> = replayed.events.iter().filter_map(|event| event.otherwise.as_ref()).collect();
    assert!(!otherwise.is_empty());
    for (was, would_be) in otherwise {
        assert_eq!((was.action.as_str(), would_be.allowed), ("fs.write", false));
        assert_eq!(would_be.policies[0].id, "freeze");
    }
}

/// The record of a run, as it stands.
fn record(node: &TestNode, run: &RunRow) -> Vec<EntryRow> {
    let (entries, lived) = node.context().store.read(|reader| live_again(reader, run)).expect("it reads");
    assert!(lived.agrees(), "{lived:#?}");
    entries
}

fn lived(node: &TestNode, run: &RunRow, entries: &[EntryRow]) -> Replay {
    let document = |digest: &Digest| node.context().store.read(|reader| reader.blob(digest)).expect("it reads");
    replay(&Story { run, entries, depth: 0, document })
}

fn differs(replay: &Replay) -> Vec<u64> {
    replay.steps.iter().filter(|step| matches!(step.found, Found::Differs(_))).map(|step| step.seq).collect()
}

/// An entry that says something else; with the leaf made to fit, as somebody who rewrites the whole ledger would.
fn rewritten(entry: &EntryRow, rewrite: impl FnOnce(&mut Body)) -> EntryRow {
    let mut body = entry.read_body().expect("read").expect("there");
    rewrite(&mut body);
    let bytes = body.encode().expect("encodes");
    let salt: [u8; 32] = entry.salt.as_deref().expect("there").try_into().expect("a salt");
    let leaf = Leaf { time: entry.time, kind: entry.kind.clone(), body: Salt(salt).mac(&bytes) };
    EntryRow { body: Some(bytes), leaf: leaf.encode(), ..entry.clone() }
}

#[tokio::test]
async fn a_record_that_was_tampered_with_does_not_lead_to_what_it_says() {
    let (node, olivia) = node().await;
    let run = completed(&node, &olivia).await;
    let whole = record(&node, &run);
    let at = |kind: &str| whole.iter().position(|entry| entry.kind == kind).expect("there is one");
    let with = |place: usize, entry: EntryRow| {
        let mut entries = whole.clone();
        entries[place] = entry;
        lived(&node, &run, &entries)
    };
    // What an entry says is changed, and its leaf is not.
    let error = at(kind::RUN_ERROR);
    let changed = rewritten(&whole[error], |body| {
        body.detail.insert("at".to_owned(), json!("2026-11-20T09:00:00.000Z"));
    });
    let found = with(error, EntryRow { leaf: whole[error].leaf.clone(), ..changed.clone() });
    assert_eq!(differs(&found)[0], whole[error].seq);
    assert!(
        matches!(&found.steps.iter().find(|s| s.seq == whole[error].seq).expect("told").found, Found::Differs(why) if why.contains("it was changed"))
    );
    assert!(!found.agrees());
    // And its leaf too: then the machine comes to another run than the one whose digest stands there.
    let phase = at(kind::RUN_PHASE);
    let found = with(
        phase,
        rewritten(&whole[phase], |body| {
            body.detail.insert("at".to_owned(), json!("2026-11-20T09:00:00.000Z"));
        }),
    );
    assert_eq!(differs(&found).first(), Some(&whole[phase].seq), "{found:#?}");
    for rewrite in [
        (|body: &mut Body| body.detail["command"]["message"] = json!("something else")) as fn(&mut Body),
        |body| body.detail["command"]["name"] = json!("denied"),
        |body| body.detail["command"] = json!({"name": "violation", "details": "x"}),
        |body| body.detail["command"] = json!({"name": "approve"}),
        |body| body.rows.clear(),
    ] {
        let found = with(error, rewritten(&whole[error], rewrite));
        assert_eq!(differs(&found).first(), Some(&whole[error].seq), "{found:#?}");
    }
    // The end is told otherwise.
    let end = at(kind::RUN_ENDED);
    let found = with(
        end,
        rewritten(&whole[end], |body| {
            body.detail["command"] = json!({"name": "stop", "reason": "enough"});
        }),
    );
    assert_eq!(differs(&found), [whole[end].seq]);
    assert!(found.troubles.iter().any(|why| why.contains("completed") && why.contains("stopped")), "{found:#?}");
    // A step is missing, whichever.
    for (place, entry) in whole.iter().enumerate() {
        let is_step = lived(&node, &run, &whole).steps.iter().any(|step| step.seq == entry.seq);
        let without: Vec<EntryRow> = whole.iter().filter(|other| other.seq != entry.seq).cloned().collect();
        let found = lived(&node, &run, &without);
        assert_eq!(found.agrees(), !is_step, "without entry {place}, a {}", entry.kind);
    }
    // Twice the same.
    let mut twice = whole.clone();
    twice.insert(error, whole[error].clone());
    assert!(!lived(&node, &run, &twice).agrees());
    assert!(lived(&node, &run, &[]).troubles[0].contains("no step"));
}

#[tokio::test]
async fn the_record_of_another_run_is_noticed() {
    let (node, olivia) = node().await;
    let (first, second) = (completed(&node, &olivia).await, completed(&node, &olivia).await);
    let (one, other) = (record(&node, &first), record(&node, &second));
    assert!(!lived(&node, &first, &other).agrees());
    // The end of the other in place of its own.
    let mut mixed = one.clone();
    let end = mixed.iter().position(|entry| entry.kind == kind::RUN_ENDED).expect("it ended");
    mixed[end] = other.iter().find(|entry| entry.kind == kind::RUN_ENDED).expect("it ended").clone();
    assert!(!lived(&node, &first, &mixed).agrees());
    // The run's own row says something else than its record.
    let mut row = first.clone();
    row.state.spent.total = 0;
    let found = lived(&node, &row, &one);
    assert_eq!((differs(&found).len(), found.troubles.len()), (0, 1), "{found:#?}");
}

#[tokio::test]
async fn what_the_record_lacks_is_said_and_nothing_is_made_up() {
    let (node, olivia) = node().await;
    let run = completed(&node, &olivia).await;
    let whole = record(&node, &run);
    // As an earlier version wrote it: without what the machine was told.
    let older: Vec<EntryRow> = whole
        .iter()
        .map(|entry| {
            rewritten(entry, |body| {
                body.detail.remove("command");
                body.detail.remove("at");
            })
        })
        .collect();
    let found = lived(&node, &run, &older);
    assert!(!found.agrees() && differs(&found).is_empty(), "{found:#?}");
    assert!(found.steps.iter().all(|step| matches!(&step.found, Found::NotReplayed(_))));
    // An entry whose body was erased.
    let plan = whole.iter().position(|entry| entry.kind == kind::RUN_PLANNED).expect("there is one");
    let mut erased = whole.clone();
    (erased[plan].body, erased[plan].salt) = (None, None);
    let found = lived(&node, &run, &erased);
    let step = |seq: u64| found.steps.iter().find(|step| step.seq == seq).expect("told").found.clone();
    assert_eq!(step(whole[plan].seq), Found::NotReplayed("what the entry says was erased".to_owned()));
    assert!(differs(&found).is_empty() && !found.agrees());
    // A document that is not kept.
    let document = |_: &Digest| None;
    let found = replay(&Story { run: &run, entries: &whole, depth: 0, document });
    assert!(matches!(&found.steps[0].found, Found::NotReplayed(why) if why.contains("not kept")), "{found:#?}");
}

#[tokio::test]
async fn the_record_tells_an_agents_history() {
    let (node, olivia) = node().await;
    node.agent("second", Tier::T2).await;
    completed(&node, &olivia).await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    for _ in 0..2 {
        agent.call("report_problem", problem("PRINTER")).await;
    }
    over(&node, &id, &agent).await;
    node.clock().advance_ms(1_000);
    let admin = node.admin().await;
    node.runner().reinstate(&admin, "scribe", "it was the printer").await.expect("reinstated");
    node.runner().revoke(&node.again(&olivia), "scribe", "we do without it").await.expect("revoked");
    let (name, history) = runs::history(node.context(), &node.again(&olivia), "scribe").await.expect("told");
    assert_eq!(name.to_string(), "scribe.acme.internal");
    let told: Vec<_> = history
        .turns
        .iter()
        .map(|turn| (turn.kind.as_str(), turn.tier.as_deref(), turn.ending.as_deref(), turn.compliant))
        .collect();
    let expected = [
        (kind::AGENT_ADDED, Some("T1"), None, None),
        (kind::RUN_STARTED, None, None, None),
        (kind::RUN_ENDED, None, Some("completed"), Some(true)),
        (kind::RUN_STARTED, None, None, None),
        (kind::RUN_ENDED, None, Some("revoked"), Some(false)),
        (kind::AGENT_REINSTATED, Some("T0"), None, None),
        (kind::AGENT_REVOKED, None, None, None),
    ];
    assert_eq!(told, expected);
    assert!(!history.is_cut && history.turns.windows(2).all(|two| two[0].seq < two[1].seq));
    assert_eq!(history.turns[0].says, "registered in tier T1");
    assert!(history.turns[4].says.contains("REPEATED_ERROR"), "{}", history.turns[4].says);
    assert_eq!(history.turns[4].run.as_deref(), Some(id.as_str()));
    assert_eq!(history.turns[5].says, "reinstated, from T1 to T0: it was the printer");
    assert!(history.turns[6].says.contains("we do without it") && history.turns[6].by == "olivia@acme.internal");
    // Not another's.
    let (_, other) = runs::history(node.context(), &node.again(&olivia), "second").await.expect("told");
    assert_eq!(other.turns.len(), 1);
    assert_eq!(runs::history(node.context(), &admin, "nobody").await.expect_err("none").code, "NOT_FOUND");
    let unknown = RunId::new(node.now(), node.dice());
    assert_eq!(runs::replayed(node.context(), &admin, &unknown).await.expect_err("none").code, "NOT_FOUND");
}
