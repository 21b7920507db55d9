//! How runs look.

use serde_json::Value;
use steward_wire::{RunDetail, RunEvent, RunList, RunRecord};

use crate::{
    show::{Ink, Looks, Word, facts_of, shown, table},
    verbs::handoffs::document_lines,
};

/// An event in one line: when and what on a terminal, with its entry and kind where a program may read it.
pub(crate) fn event_line(event: &RunEvent, looks: Looks) -> String {
    let says = shown(&event.says);
    if !looks.is_terminal {
        return format!("{} {} {} {says}", shown(&event.time), event.entry, shown(&event.kind));
    }
    let clock = event.time.get(11..19).unwrap_or(&event.time);
    let line = format!("{}  {}", looks.ink(Ink::Dim, &shown(clock)), looks.ink(ink(&event.kind), &says));
    looks.wrapped(&line, 0, 10)
}

fn ink(kind: &str) -> Ink {
    match kind {
        "run.started" | "run.phase" | "run.ended" => Ink::Bold,
        "run.error" | "run.escalated" => Ink::Warn,
        "run.refused" | "action.refused" | "agent.revoked" => Ink::Bad,
        _ => Ink::Plain,
    }
}

/// A run in a block.
pub(crate) fn run_view(run: &RunRecord, looks: Looks) -> String {
    facts_of(looks, &run_lines(run))
}

fn run_lines(run: &RunRecord) -> Vec<(String, Word)> {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    let ended = match (&run.ended_at, &run.ended_in) {
        (Some(at), Some(phase)) => format!("{at}, in {phase}"),
        (Some(at), None) => at.clone(),
        _ => String::new(),
    };
    let lines = vec![
        ("run", Word::new(&run.id, Ink::Bold)),
        ("agent", format!("{} {}, {}", run.agent, run.agent_version, run.tier).into()),
        ("task", (&run.task).into()),
        ("objective", (&run.objective).into()),
        ("status", Word::state(&run.status)),
        ("phase", (&run.phase).into()),
        ("because", text(&run.message)),
        ("code", text(&run.code)),
        ("started", format!("{}, by {}", run.started_at, run.started_by).into()),
        ("ended", ended.into()),
        ("child of", text(&run.parent)),
        ("errors", format!("{} of {}", run.errors, run.max_errors).into()),
        ("sandbox", text(&run.sandbox)),
        ("lock", run.fence.to_string().into()),
        ("trace", (&run.trace).into()),
        ("entry", run.entry.to_string().into()),
    ];
    lines.into_iter().map(|(name, word)| (name.to_owned(), word)).collect()
}

/// Runs in a table.
pub(crate) fn list_view(list: &RunList, looks: Looks) -> String {
    let outcome = |run: &RunRecord| match (&run.code, run.status.as_str()) {
        (_, "live") => Word::from(&run.phase),
        (_, "completed") | (None, _) => Word::state(&run.status),
        (Some(code), status) => {
            Word::new(format!("{status} ({code})"), if status == "stopped" { Ink::Warn } else { Ink::Bad })
        }
    };
    if looks.is_terminal {
        let rows = list.runs.iter().map(|run| {
            [looks.time(&run.started_at), (&run.id).into(), looks.name(&run.agent), (&run.task).into(), outcome(run)]
        });
        return table(looks, ["started", "run", "agent", "task", "outcome"], rows);
    }
    let rows = list.runs.iter().map(|run| {
        let code = run.code.as_deref().unwrap_or("-");
        [
            Word::from(&run.started_at),
            (&run.id).into(),
            (&run.agent).into(),
            (&run.task).into(),
            (&run.phase).into(),
            (&run.status).into(),
            code.into(),
        ]
    });
    table(looks, ["started", "run", "agent", "task", "phase", "status", "code"], rows)
}

/// A run with everything about it: what it is, what it was told, what happened, what it left, and what to do next.
pub(crate) fn detail_view(detail: &RunDetail, advice: &str, looks: Looks) -> String {
    let mut blocks =
        vec![run_view(&detail.run, looks), block(looks, "What it was told", &packet_lines(&detail.packet))];
    if let Some(handoff) = &detail.handoff {
        blocks.push(block(looks, "What it took over", &document_lines(handoff)));
    }
    if let Some(plan) = &detail.plan {
        blocks.push(block(looks, "What it planned", &plan_lines(plan)));
    }
    let events = detail.events.iter().map(|event| {
        let says = Word::new(&event.says, ink(&event.kind));
        match looks.is_terminal {
            true => [looks.time(&event.time), event.entry.to_string().into(), says],
            false => [(&event.time).into(), event.entry.to_string().into(), says],
        }
    });
    blocks.push(format!("{}\n{}", title(looks, "What happened"), table(looks, ["time", "entry", "what"], events)));
    let artifacts: Vec<(String, Word)> = detail
        .artifacts
        .iter()
        .map(|artifact| (shown(&artifact.path), format!("{} bytes, {}", artifact.bytes, artifact.digest).into()))
        .collect();
    blocks.push(block(looks, "What it left", &artifacts));
    let children: Vec<(String, Word)> = detail.children.iter().map(|run| ("child".to_owned(), run.into())).collect();
    blocks.push(block(looks, "Its live children", &children));
    let waits: Vec<(String, Word)> = detail
        .waits_for
        .iter()
        .map(|review| (shown(review), Word::new(format!("steward review show {}", shown(review)), Ink::Warn)))
        .collect();
    blocks.push(block(looks, "What it waits for a person to decide", &waits));
    if let Some(report) = &detail.report {
        blocks.push(block(looks, "Its report", &report_lines(report)));
    }
    blocks.push(format!("{}\n", looks.wrapped(&shown(advice), 0, 0)));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

fn title(looks: Looks, text: &str) -> String {
    looks.ink(Ink::Bold, text)
}

/// A title and lines beneath it; nothing if there are none.
fn block(looks: Looks, name: &str, lines: &[(String, Word)]) -> String {
    if lines.is_empty() { String::new() } else { format!("{}\n{}", title(looks, name), facts_of(looks, lines)) }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A line for each item, the first one with the name.
fn list(name: &str, items: &Value, line: impl Fn(&Value) -> String) -> Vec<(String, Word)> {
    let items = items.as_array().into_iter().flatten().enumerate();
    items.map(|(n, item)| (if n == 0 { name.to_owned() } else { String::new() }, line(item).into())).collect()
}

fn packet_lines(packet: &Value) -> Vec<(String, Word)> {
    let constraints = &packet["constraints"];
    let mut lines: Vec<(String, Word)> = vec![
        ("for".to_owned(), text(&packet["created_for"]).into()),
        ("written".to_owned(), text(&packet["created_at"]).into()),
    ];
    lines.extend(list("may", &constraints["scope"], text));
    lines.extend(list("must not", &constraints["forbidden"], text));
    lines.extend(list("must", &constraints["required_steps"], |step| match step["artifact"].as_str() {
        Some(artifact) => format!("{} ({artifact})", text(&step["step"])),
        None => text(&step["step"]),
    }));
    lines.extend(list("delivers", &packet["deliverables"], text));
    lines.extend(list("is checked by", &packet["success_criteria"], |criterion| match criterion["kind"].as_str() {
        Some("artifact") => match criterion["contains"].as_str() {
            Some(contains) => format!("{} is there and holds `{contains}`", text(&criterion["path"])),
            None => format!("{} is there", text(&criterion["path"])),
        },
        Some("command") => {
            let words: Vec<String> = criterion["argv"].as_array().into_iter().flatten().map(text).collect();
            format!("`{}` ends with 0", words.join(" "))
        }
        _ => text(&criterion["question"]),
    }));
    let budget = &packet["error_budget"];
    let number = |name: &str| text(&budget[name]);
    lines.push((
        "error budget".to_owned(),
        format!(
            "{} errors, {} of one kind, {} violations",
            number("max_total_errors"),
            number("max_same_error_repeats"),
            number("max_procedure_violations")
        )
        .into(),
    ));
    lines.extend(list("escalates", &packet["escalation_rules"], |rule| {
        format!("{}: {}", text(&rule["when"]), text(&rule["then"]))
    }));
    lines
}

fn plan_lines(plan: &Value) -> Vec<(String, Word)> {
    let mut lines: Vec<(String, Word)> = vec![("summary".to_owned(), text(&plan["summary"]).into())];
    lines.extend(list("steps", &plan["steps"], |step| {
        let details: Vec<String> =
            ["action", "artifact"].iter().map(|name| text(&step[*name])).filter(|t| !t.is_empty()).collect();
        match details.is_empty() {
            true => text(&step["step"]),
            false => format!("{} ({})", text(&step["step"]), details.join(", ")),
        }
    }));
    lines
}

fn report_lines(report: &Value) -> Vec<(String, Word)> {
    let actions = &report["actions"];
    let count = |name: &str| format!("{} {name}", text(&actions[name]));
    let counts = ["succeeded", "failed", "denied", "unknown"].map(count).join(", ");
    let mut lines: Vec<(String, Word)> = vec![("actions".to_owned(), counts.into())];
    lines
        .extend(list("phases", &report["phases"], |phase| format!("{} {}", text(&phase["at"]), text(&phase["phase"]))));
    lines.push(("planner".to_owned(), text(&report["planner"]).into()));
    lines.push(("note".to_owned(), text(&report["note"]).into()));
    lines
}

/// What to do next about a run that stands as it does. `command` writes a command for the same node.
pub(crate) fn advice(run: &RunRecord, command: &dyn Fn(&str) -> String) -> String {
    let RunRecord { id, task, agent, .. } = run;
    let evidence = command(&format!("run evidence {id} --output FILE"));
    let show = command(&format!("run show {id}"));
    match run.status.as_str() {
        "live" => format!("stop it with `{}`", command(&format!("run stop {id}"))),
        "completed" => format!("take what it leaves with `{evidence}`"),
        "revoked" => format!(
            "see what its successor is told with `{}`, and start one: `{}`; `{}` lets {agent} work again, one tier lower",
            command(&format!("handoff show {task}")),
            command(&format!("run start AGENT --task {task} OBJECTIVE")),
            command(&format!("agent reinstate {agent} --reason TEXT"))
        ),
        "refused" => format!("mend what was refused (`{show}` says what), and start a new run of the task"),
        "stopped" => {
            format!("start a new run of the task when the reason is gone; `{show}` says how far this one came")
        }
        _ => format!("see what went wrong with `{show}`, and start a new run of the task"),
    }
}

#[cfg(test)]
mod tests;
