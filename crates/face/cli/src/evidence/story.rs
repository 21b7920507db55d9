//! The run's story, as its entries tell it: from the start through the phases in their order to one end.

use steward_governor::{Ending, Phase};
use steward_ledger::kind;
use steward_wire::EvidenceFile;

use super::read::{Document, Entry, Wrong};

/// What cannot happen after a run has ended.
const NOT_AFTER_THE_END: [&str; 7] = [
    kind::RUN_STARTED,
    kind::RUN_PHASE,
    kind::RUN_PLANNED,
    kind::RUN_AGENT_STARTED,
    kind::RUN_ENDED,
    kind::ACTION_INTENDED,
    kind::ACTION_PUBLISHING,
];

/// Follows the phases, and holds the summary of the run against what the entries say.
pub(super) fn follow(file: &EvidenceFile, entries: &[Entry]) -> Result<String, Wrong> {
    let (first, rest) = entries.split_first().ok_or_else(|| Wrong::at("entries", "there are none"))?;
    if first.kind() != kind::RUN_STARTED {
        let message =
            format!("the first entry is a `{}`, not a `{}`: the beginning is missing", first.kind(), kind::RUN_STARTED);
        return Err(Wrong::entry(first.seq, message));
    }
    started(file, first)?;
    let mut phase = Phase::Bootstrap;
    let mut walked = vec![phase];
    let mut end: Option<&Entry> = None;
    for entry in rest {
        if end.is_some() && NOT_AFTER_THE_END.contains(&entry.kind()) {
            return Err(Wrong::entry(entry.seq, format!("there is a `{}` after the run's end", entry.kind())));
        }
        match entry.kind() {
            kind::RUN_STARTED => return Err(Wrong::entry(entry.seq, "the run starts a second time")),
            kind::RUN_PHASE => {
                phase = advance(entry, phase)?;
                walked.push(phase);
            }
            kind::RUN_PLANNED if phase != Phase::Plan => {
                return Err(Wrong::entry(entry.seq, format!("a plan was submitted in {phase}")));
            }
            kind::RUN_ENDED => {
                ended(file, entry, phase)?;
                end = Some(entry);
            }
            _ => {}
        }
    }
    let missing = || {
        Wrong::at("entries", format!("there is no `{}`: the run is not over, or its end is missing", kind::RUN_ENDED))
    };
    let end = end.ok_or_else(missing)?;
    let walked: Vec<&str> = walked.iter().map(|phase| phase.as_str()).collect();
    Ok(format!(
        "the run's story is whole: started by {} at {}, through {} to EXIT, and ended {} at {}",
        file.run.started_by,
        first.leaf.time,
        walked.join(", "),
        file.run.status,
        end.leaf.time
    ))
}

/// The summary's beginning is that of the entry.
fn started(file: &EvidenceFile, entry: &Entry) -> Result<(), Wrong> {
    let (run, body) = (&file.run, entry.told()?);
    let is = [
        ("task", entry.says("task"), Some(run.task.as_str())),
        ("agent", entry.says("agent"), Some(run.agent.as_str())),
        ("started_by", Some(body.actor.name.as_str()), Some(run.started_by.as_str())),
        ("parent", entry.says("parent"), run.parent.as_deref()),
    ];
    same(entry, &is)
}

/// The phase after an entry that says that it changed.
fn advance(entry: &Entry, phase: Phase) -> Result<Phase, Wrong> {
    entry.told()?;
    let word = |name: &str| -> Result<Phase, Wrong> {
        let text = entry.says(name).unwrap_or_default();
        text.parse::<Phase>().map_err(|e| Wrong::entry(entry.seq, format!("`{name}`: {e}")))
    };
    let (from, to) = (word("from")?, word("to")?);
    if from != phase {
        return Err(Wrong::entry(
            entry.seq,
            format!("the run leaves {from}, and was in {phase}: something is missing before"),
        ));
    }
    if phase.next() != Some(to) || to == Phase::Exit {
        return Err(Wrong::entry(
            entry.seq,
            format!("the run goes from {from} to {to}, which is not the phase after it"),
        ));
    }
    Ok(to)
}

/// The summary's end is that of the entry, which fits the phase.
fn ended(file: &EvidenceFile, entry: &Entry, phase: Phase) -> Result<(), Wrong> {
    let run = &file.run;
    entry.told()?;
    let is = [
        ("phase", entry.says("phase"), Some(phase.as_str())),
        ("ended_in", entry.says("phase"), run.ended_in.as_deref()),
        ("status", entry.says("ending"), Some(run.status.as_str())),
        ("code", entry.says("code"), run.code.as_deref()),
        ("message", entry.says("message"), run.message.as_deref()),
    ];
    same(entry, &is)?;
    let ending = run.status.parse::<Ending>().map_err(|e| Wrong::entry(entry.seq, e.to_string()))?;
    if ending == Ending::Completed && phase != Phase::Report {
        return Err(Wrong::entry(entry.seq, format!("the run is called completed, and had only come to {phase}")));
    }
    Ok(())
}

/// What the entry says is what is expected.
fn same(entry: &Entry, pairs: &[(&str, Option<&str>, Option<&str>)]) -> Result<(), Wrong> {
    match pairs.iter().find(|(_, recorded, expected)| recorded != expected) {
        None => Ok(()),
        Some((name, recorded, expected)) => {
            let quoted = |text: &Option<&str>| text.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"));
            let message = format!("`{name}`: it says {}, where {} is claimed", quoted(recorded), quoted(expected));
            Err(Wrong::entry(entry.seq, message))
        }
    }
}

/// The packet is the one of this agent and this task.
pub(super) fn packet_fits(file: &EvidenceFile, documents: &[Document<'_>]) -> Result<String, Wrong> {
    let run = &file.run;
    let packet = documents.iter().find(|document| document.kind == "packet");
    let packet = packet.ok_or_else(|| Wrong::at("documents", "the packet is missing"))?;
    let value = packet.value()?;
    for (name, claimed) in [("agent_id", &run.agent), ("task_id", &run.task), ("objective", &run.objective)] {
        let said = value[name].as_str().unwrap_or_default();
        if said != claimed {
            return Err(Wrong::at(packet.at(), format!("`{name}` is `{said}`, where `{claimed}` is claimed")));
        }
    }
    Ok(format!("what `{}` was told on the task `{}` is the packet {}", run.agent, run.task, packet.digest))
}
