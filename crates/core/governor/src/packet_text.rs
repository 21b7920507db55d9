//! From a text to a packet, or to every mistake in it (GOV-2).
//!
//! ```text
//! Packet::read(br#"{"agent_id": "scribe", …}"#, &home) ──► Packet
//!                                              └─► line 4, column 12: /constraints/scope/0: `anything` is free text, …
//! ```
//!
//! Deliberately absent: whether the agent exists, and whether its tier may have such a scope. The node knows that.

use serde_json::Value;
use steward_naming::{Label, Name, Namespace};
use steward_seal::json::{JsonError, Limits, value};

use crate::{
    locate::position,
    mistake::Mistake,
    packet::{Constraints, Criterion, ErrorBudget, EscalationRule, MAX_ERROR_LIMIT, Packet, RequiredStep, When},
    pattern::Pattern,
    reader::{ARGUMENT, Field, LINE, LINES, Object, Reader},
};

/// The largest packet in bytes. It is read by an agent at the start of each conversation.
pub const MAX_PACKET_BYTES: usize = 256 * 1024;

/// Objects and lists within each other: the packet, `constraints`, `required_steps`, a step, and one to spare.
const MAX_DEPTH: usize = 5;

/// Patterns in `scope`, and in `forbidden`. Each is tried on every action.
pub const MAX_PATTERNS: usize = 64;

/// Deliverables, required steps and success criteria, each. A task with more is several tasks.
pub const MAX_ITEMS: usize = 64;

/// Arguments of a command.
pub const MAX_ARGUMENTS: usize = 32;

/// What must be there. `Template` asks for less.
pub(crate) const NEEDED: [&str; 8] = [
    "agent_id",
    "task_id",
    "created_for",
    "objective",
    "deliverables",
    "constraints",
    "success_criteria",
    "created_at",
];

const FIELDS: [&str; 10] = [
    "agent_id",
    "task_id",
    "created_for",
    "objective",
    "deliverables",
    "constraints",
    "success_criteria",
    "error_budget",
    "escalation_rules",
    "created_at",
];

impl Packet {
    /// Reads a packet. A short `agent_id` is one of `namespace`.
    ///
    /// # Errors
    /// Every mistake (at most [`MAX_MISTAKES`](crate::mistake::MAX_MISTAKES)), each at the line and column of its value: a field that is
    /// missing at the object that lacks it, one that is unknown at its key. A text that is no strict JSON has one mistake.
    pub fn read(text: &[u8], namespace: &Namespace) -> Result<Self, Vec<Mistake>> {
        let (text, value) = strict(text)?;
        let mut reader = Reader::default();
        let draft = draft(&mut reader, &Field::whole(&value), namespace, "a packet", &NEEDED);
        match draft.and_then(Draft::complete) {
            Some(packet) if reader.is_clean() => Ok(packet),
            _ => Err(reader.mistakes(Some(text))),
        }
    }
}

/// A packet of which some fields may be missing.
pub(crate) struct Draft {
    pub(crate) agent: Option<Name>,
    task: Option<Label>,
    created_for: Option<String>,
    objective: Option<String>,
    deliverables: Option<Vec<String>>,
    constraints: Option<Constraints>,
    success_criteria: Option<Vec<Criterion>>,
    error_budget: ErrorBudget,
    escalation_rules: Vec<EscalationRule>,
    created_at: Option<steward_clock::Timestamp>,
}

impl Draft {
    pub(crate) fn complete(self) -> Option<Packet> {
        Some(Packet {
            agent: self.agent?,
            task: self.task?,
            created_for: self.created_for?,
            objective: self.objective?,
            deliverables: self.deliverables?,
            constraints: self.constraints?,
            success_criteria: self.success_criteria?,
            error_budget: self.error_budget,
            escalation_rules: self.escalation_rules,
            created_at: self.created_at?,
        })
    }
}

/// The text and its value, or the one mistake of a text that is no strict JSON.
pub(crate) fn strict(text: &[u8]) -> Result<(&str, Value), Vec<Mistake>> {
    let limits = Limits { bytes: MAX_PACKET_BYTES, depth: MAX_DEPTH };
    let read = value(text, limits).map_err(|error| {
        let (line, column, message) = match error {
            JsonError::Malformed { line, column, message } => (line, in_characters(text, line, column), message),
            other => (1, 1, other.to_string()),
        };
        Mistake { line, column, at: String::new(), message }
    });
    let both = read.and_then(|value| match std::str::from_utf8(text) {
        Ok(text) => Ok((text, value)),
        Err(_) => Err(Mistake { line: 1, column: 1, at: String::new(), message: "the text is not UTF-8".to_owned() }),
    });
    both.map_err(|mistake| vec![mistake])
}

/// JSON readers count columns in bytes.
fn in_characters(text: &[u8], line: usize, column: usize) -> usize {
    let line = text.split(|b| *b == b'\n').nth(line - 1).unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    position(&line, column - 1).1
}

/// Reads what is there of a packet.
pub(crate) fn draft(
    reader: &mut Reader,
    field: &Field<'_>,
    namespace: &Namespace,
    what: &str,
    needed: &[&str],
) -> Option<Draft> {
    let fields = reader.object(field, what, &FIELDS, needed)?;
    let get = |name| fields.get(name);
    Some(Draft {
        agent: get("agent_id").and_then(|f| agent(reader, &f, namespace)),
        task: get("task_id").and_then(|f| reader.parsed(&f)),
        created_for: get("created_for").and_then(|f| reader.text(&f, LINE)),
        objective: get("objective").and_then(|f| reader.text(&f, LINES)),
        deliverables: get("deliverables").and_then(|f| reader.each(&f, MAX_ITEMS, Reader::path)),
        constraints: get("constraints").and_then(|f| constraints(reader, &f)),
        success_criteria: get("success_criteria").and_then(|f| reader.each(&f, MAX_ITEMS, criterion)),
        error_budget: get("error_budget").and_then(|f| error_budget(reader, &f)).unwrap_or_default(),
        escalation_rules: get("escalation_rules").map(|f| escalation_rules(reader, &f)).unwrap_or_default(),
        created_at: get("created_at").and_then(|f| reader.parsed(&f)),
    })
}

fn agent(reader: &mut Reader, field: &Field<'_>, namespace: &Namespace) -> Option<Name> {
    let text = reader.text(field, LINE)?;
    Name::resolve(&text, namespace).map_err(|e| reader.refuse(&field.at, e.to_string())).ok()
}

fn constraints(reader: &mut Reader, field: &Field<'_>) -> Option<Constraints> {
    let known = ["scope", "forbidden", "required_steps"];
    let fields = reader.object(field, "`constraints`", &known, &["scope"])?;
    let mut patterns = |name| fields.get(name).and_then(|f| reader.each(&f, MAX_PATTERNS, Reader::parsed::<Pattern>));
    let (scope, forbidden) = (patterns("scope"), patterns("forbidden"));
    let steps = fields.get("required_steps").and_then(|f| reader.each(&f, MAX_ITEMS, required_step));
    Some(Constraints {
        scope: scope?,
        forbidden: forbidden.unwrap_or_default(),
        required_steps: steps.unwrap_or_default(),
    })
}

fn required_step(reader: &mut Reader, field: &Field<'_>) -> Option<RequiredStep> {
    let fields = reader.object(field, "a required step", &["step", "artifact"], &["step"])?;
    let step = fields.get("step").and_then(|f| reader.text(&f, LINE));
    let artifact = fields.get("artifact").and_then(|f| reader.path(&f));
    Some(RequiredStep { step: step?, artifact })
}

fn criterion(reader: &mut Reader, field: &Field<'_>) -> Option<Criterion> {
    let kinds = "a criterion is of the kind `artifact`, `command` or `review`; write `\"kind\": \"artifact\"`";
    let Value::Object(map) = field.value else {
        reader.refuse(&field.at, kinds);
        return None;
    };
    match map.get("kind").and_then(Value::as_str) {
        Some("artifact") => {
            let known = ["kind", "path", "contains"];
            let fields = reader.object(field, "an artifact criterion", &known, &["path"])?;
            let path = fields.get("path").and_then(|f| reader.path(&f));
            let contains = fields.get("contains").and_then(|f| reader.text(&f, LINE));
            Some(Criterion::Artifact { path: path?, contains })
        }
        Some("command") => {
            let fields = reader.object(field, "a command criterion", &["kind", "argv"], &["argv"])?;
            let list = fields.get("argv")?;
            let argv = reader.each(&list, MAX_ARGUMENTS, |reader, f| reader.text(f, ARGUMENT))?;
            let program = list.value.as_array().and_then(|items| items.first()).and_then(Value::as_str);
            if program.is_none_or(str::is_empty) {
                reader.refuse(
                    &list.at,
                    "a command has a program; write `[\"grep\", \"-q\", \"done\", \"/reports/a.md\"]`",
                );
            }
            Some(Criterion::Command { argv })
        }
        Some("review") => {
            let fields = reader.object(field, "a review criterion", &["kind", "question"], &["question"])?;
            let question = fields.get("question").and_then(|f| reader.text(&f, LINE));
            Some(Criterion::Review { question: question? })
        }
        _ => {
            let at = if map.contains_key("kind") { format!("{}/kind", field.at) } else { field.at.clone() };
            reader.refuse(&at, kinds);
            None
        }
    }
}

fn error_budget(reader: &mut Reader, field: &Field<'_>) -> Option<ErrorBudget> {
    let known = ["max_total_errors", "max_same_error_repeats", "max_procedure_violations"];
    let fields: Object<'_> = reader.object(field, "`error_budget`", &known, &[])?;
    let default = ErrorBudget::default();
    let mut limit = |name, default| fields.get(name).map_or(Some(default), |f| reader.number(&f, MAX_ERROR_LIMIT));
    let total = limit(known[0], default.max_total_errors);
    let repeats = limit(known[1], default.max_same_error_repeats);
    let violations = limit(known[2], default.max_procedure_violations);
    Some(ErrorBudget {
        max_total_errors: total?,
        max_same_error_repeats: repeats?,
        max_procedure_violations: violations?,
    })
}

fn escalation_rules(reader: &mut Reader, field: &Field<'_>) -> Vec<EscalationRule> {
    let mut seen = Vec::new();
    let rules = reader.each(field, When::ALL.len(), |reader, f| {
        let fields = reader.object(f, "an escalation rule", &["when", "then"], &["when", "then"])?;
        let when = fields.get("when").and_then(|f| reader.parsed(&f));
        let then = fields.get("then").and_then(|f| reader.parsed(&f));
        if let Some(when) = when {
            if seen.contains(&when) {
                reader.refuse(&format!("{}/when", f.at), format!("`{when}` has a rule already; write one for each"));
            }
            seen.push(when);
        }
        Some(EscalationRule { when: when?, then: then? })
    });
    rules.unwrap_or_default()
}
