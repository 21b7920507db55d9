//! `steward run replay` and `steward agent history`: what the record says, lived again and told.
//!
//! Deliberately absent: verifying that the record is the ledger's; `ledger verify` and `evidence verify` do that off-line.

use steward_wire::{AgentHistory, ReplayEvent, RunReplay};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, shown, table},
    verbs::policy_diff::difference_row,
};

/// `run replay`. Exit code 0 if every step was made again and agrees with the record, and 1 if not.
pub(crate) async fn replay(session: &mut Session, id: &str) -> Result<(), Failure> {
    let replay = session.caller()?.replay_run(id).await?;
    session.show.answer(&replay, replay_view)?;
    if replay.agrees { Ok(()) } else { Err(Failure::not_true()) }
}

/// `agent history`.
pub(crate) async fn history(session: &mut Session, name: &str) -> Result<(), Failure> {
    let history = session.caller()?.agent_history(name).await?;
    session.show.answer(&history, history_view)
}

fn row(event: &ReplayEvent) -> [Word; 5] {
    let (found, ink) = match (event.found.as_deref(), &event.why) {
        (Some("same"), _) => ("same".to_owned(), Ink::Good),
        (Some("differs"), why) => (format!("differs: {}", why.as_deref().unwrap_or_default()), Ink::Bad),
        (Some(_), why) => (format!("not replayed: {}", why.as_deref().unwrap_or_default()), Ink::Warn),
        (None, _) => (String::new(), Ink::Plain),
    };
    let phase = event.phase.as_deref().filter(|_| event.found.is_some());
    [
        event.entry.to_string().into(),
        event.time.get(11..23).unwrap_or(&event.time).into(),
        (&event.says).into(),
        phase.unwrap_or_default().into(),
        Word::new(found, ink),
    ]
}

fn replay_view(replay: &RunReplay, looks: Looks) -> String {
    let mut out =
        table(looks, ["entry", "time", "what happened", "phase after", "replayed"], replay.events.iter().map(row));
    out.push('\n');
    if !replay.decisions_otherwise.is_empty() {
        out += "Under the policy in force now these would be decided otherwise:\n";
        let rows = replay.decisions_otherwise.iter().map(difference_row);
        out += &table(looks, ["entry", "who", "asked for", "was", "would be"], rows);
        out.push('\n');
    }
    let verdict = if replay.agrees {
        looks.ink(Ink::Good, "every step leads to what was recorded")
    } else {
        looks.ink(Ink::Bad, "the record does not lead to what it says")
    };
    let RunReplay { same, differ, not_replayed, .. } = replay;
    out += &format!(
        "{}: {same} steps the same, {differ} differ, {not_replayed} not replayed: {verdict}\n",
        shown(&replay.run)
    );
    for trouble in &replay.troubles {
        out += &format!("{}\n", looks.ink(Ink::Bad, &shown(trouble)));
    }
    let asked = replay.decisions_same + replay.decisions_otherwise.len() as u64;
    out += &format!(
        "{asked} decisions asked again: {} would be decided otherwise now\n",
        replay.decisions_otherwise.len()
    );
    for one in &replay.decisions_not_asked {
        out += &format!("{} not asked: {} (entry {})\n", one.count, shown(&one.why), one.entry);
    }
    out
}

fn history_view(history: &AgentHistory, looks: Looks) -> String {
    let rows = history.turns.iter().map(|turn| {
        let ink = match (turn.kind.as_str(), turn.compliant) {
            ("agent.revoked", _) | (_, Some(false)) => Ink::Bad,
            (_, Some(true)) => Ink::Good,
            _ => Ink::Plain,
        };
        [
            Word::from(turn.entry.to_string()),
            (&turn.time).into(),
            turn.tier.as_deref().unwrap_or_default().into(),
            turn.run.as_deref().unwrap_or_default().into(),
            Word::new(&turn.says, ink),
            (&turn.by).into(),
        ]
    });
    let told = table(looks, ["entry", "time", "tier", "run", "what happened", "by"], rows);
    let compliant = history.turns.iter().filter(|turn| turn.compliant == Some(true)).count();
    let ended = history.turns.iter().filter(|turn| turn.ending.is_some()).count();
    let cut = if history.cut { "; older entries are not told" } else { "" };
    format!("{told}\n{}: {ended} runs ended, {compliant} of them compliant{cut}\n", shown(&history.agent))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{AgentHistory, AgentTurn, NotAsked, ReplayEvent, RunReplay};

    use super::{history_view, replay_view};
    use crate::show::Looks;

    fn event(entry: u64, says: &str, phase: Option<&str>, found: Option<&str>, why: Option<&str>) -> ReplayEvent {
        ReplayEvent {
            entry,
            time: "2026-11-20T20:14:27.123Z".into(),
            kind: "run.phase".into(),
            says: says.into(),
            command: found.map(|_| "booted".into()),
            phase: phase.map(str::to_owned),
            found: found.map(str::to_owned),
            why: why.map(str::to_owned),
        }
    }

    #[test]
    fn a_replay_as_it_looks() {
        let replay = RunReplay {
            run: "run_1".into(),
            agent: "scribe.acme.internal".into(),
            task: "weekly".into(),
            status: "completed".into(),
            agrees: false,
            same: 1,
            differ: 1,
            not_replayed: 0,
            troubles: vec!["the run as it stands differs".into()],
            policy_version: "sha256:aa".into(),
            decisions_same: 4,
            decisions_not_asked: vec![NotAsked { why: "it was erased".into(), count: 1, entry: 9 }],
            decisions_otherwise: vec![],
            events: vec![
                event(7, "BOOTSTRAP → PREFLIGHT", Some("PREFLIGHT"), Some("same"), None),
                event(8, "fs.write /a was allowed", None, None, None),
                event(
                    9,
                    "PREFLIGHT → PLAN",
                    Some("PLAN"),
                    Some("differs"),
                    Some("phase: recorded EXECUTE, replayed PLAN"),
                ),
            ],
        };
        expect![[r#"
            entry  time          what happened            phase after  replayed
            7      20:14:27.123  BOOTSTRAP → PREFLIGHT    PREFLIGHT    same
            8      20:14:27.123  fs.write /a was allowed
            9      20:14:27.123  PREFLIGHT → PLAN         PLAN         differs: phase: recorded EXECUTE, replayed PLAN

            run_1: 1 steps the same, 1 differ, 0 not replayed: the record does not lead to what it says
            the run as it stands differs
            4 decisions asked again: 0 would be decided otherwise now
            1 not asked: it was erased (entry 9)
        "#]]
        .assert_eq(&replay_view(&replay, Looks::default()));
    }

    #[test]
    fn a_history_as_it_looks() {
        let turn = |entry, kind: &str, says: &str| AgentTurn {
            entry,
            time: "2026-11-20T20:14:27.123Z".into(),
            kind: kind.into(),
            by: "olivia@acme.internal".into(),
            says: says.into(),
            tier: None,
            run: None,
            task: None,
            ending: None,
            code: None,
            compliant: None,
        };
        let ended = AgentTurn {
            run: Some("run_1".into()),
            ending: Some("completed".into()),
            compliant: Some(true),
            ..turn(9, "run.ended", "the run ended completed")
        };
        let history = AgentHistory {
            agent: "scribe.acme.internal".into(),
            turns: vec![
                AgentTurn { tier: Some("T1".into()), ..turn(3, "agent.added", "registered in tier T1") },
                ended,
            ],
            cut: false,
        };
        expect![[r#"
            entry  time                      tier  run    what happened            by
            3      2026-11-20T20:14:27.123Z  T1           registered in tier T1    olivia@acme.internal
            9      2026-11-20T20:14:27.123Z        run_1  the run ended completed  olivia@acme.internal

            scribe.acme.internal: 1 runs ended, 1 of them compliant
        "#]]
        .assert_eq(&history_view(&history, Looks::default()));
    }
}
