//! Packets to be filled in: the same agent, another task.
//!
//! ```text
//! Template::read(text, namespace) ──► Template ──fill(agent, task, objective, …)──► Packet
//! ```
//!
//! `{objective}` and `{task}` are filled in, in the objective, deliverables, steps, artifacts, and the criteria's paths,
//! arguments and questions; other braces stay as they are. What was filled in is checked again, and filled in once only.
//!
//! Deliberately absent: conditions and loops, and filling in patterns: what an agent may do does not depend on a text.

use serde_json::{Value, json};
use steward_clock::Timestamp;
use steward_naming::{Label, Name, Namespace};
use steward_seal::json::canonical;

use crate::{
    mistake::Mistake,
    packet::Packet,
    packet_text::{Draft, NEEDED, draft, strict},
    reader::{Field, Reader},
};

/// A packet of which some fields may be missing, and others have gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    value: Value,
    namespace: Namespace,
    agent: Option<Name>,
}

/// What `fill` gives.
const GIVEN: [&str; 5] = ["agent_id", "task_id", "created_for", "objective", "created_at"];

impl Template {
    /// Reads a template: a packet in which `agent_id`, `task_id`, `created_for`, `objective` and `created_at` may be missing.
    ///
    /// # Errors
    /// As [`Packet::read`].
    pub fn read(text: &[u8], namespace: &Namespace) -> Result<Self, Vec<Mistake>> {
        let (text, value) = strict(text)?;
        // With a plain word in the gaps, everything else can be judged now.
        let sample = Gaps { objective: "x", task: "x" }.fill(&value);
        let needed: Vec<&str> = NEEDED.into_iter().filter(|name| !GIVEN.contains(name)).collect();
        let mut reader = Reader::default();
        refuse_gaps_in_patterns(&mut reader, &value);
        match draft(&mut reader, &Field::whole(&sample), namespace, "a template", &needed) {
            Some(Draft { agent, .. }) if reader.is_clean() => Ok(Self { value, namespace: namespace.clone(), agent }),
            _ => Err(reader.mistakes(Some(text))),
        }
    }

    /// The one form that is hashed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&self.value).expect("strict JSON has a canonical form")
    }

    /// The packet for a task. A template without an objective takes the one that is given as it is.
    ///
    /// # Errors
    /// What is wrong once the gaps are filled, without lines and columns: a path that leaves its place, a text that is too
    /// long, an agent other than the one that the template is for.
    pub fn fill(
        &self,
        agent: Name,
        task: Label,
        objective: &str,
        created_for: &str,
        now: Timestamp,
    ) -> Result<Packet, Vec<Mistake>> {
        let mut reader = Reader::default();
        if let Some(own) = self.agent.as_ref().filter(|own| **own != agent) {
            reader.refuse(
                "/agent_id",
                format!("the template is for `{own}`; give it to that agent, or use another template"),
            );
        }
        let mut value = Gaps { objective, task: task.as_str() }.fill(&self.value);
        let fields = value.as_object_mut().expect("a template was read from an object");
        fields.insert("agent_id".to_owned(), json!(agent));
        fields.insert("task_id".to_owned(), json!(task));
        fields.insert("created_for".to_owned(), json!(created_for));
        fields.insert("created_at".to_owned(), json!(now.to_string()));
        fields.entry("objective").or_insert_with(|| json!(objective));
        let draft = draft(&mut reader, &Field::whole(&value), &self.namespace, "a packet", &NEEDED);
        match draft.and_then(Draft::complete) {
            Some(packet) if reader.is_clean() => Ok(packet),
            _ => Err(reader.mistakes(None)),
        }
    }
}

/// What an agent may do does not depend on a text, so that a gap there would stay what it is, and mean nothing.
fn refuse_gaps_in_patterns(reader: &mut Reader, value: &Value) {
    for name in ["scope", "forbidden"] {
        let list = value.get("constraints").and_then(|c| c.get(name)).and_then(Value::as_array);
        for (i, pattern) in list.into_iter().flatten().enumerate() {
            if pattern.as_str().is_some_and(|text| text.contains("{task}") || text.contains("{objective}")) {
                let at = format!("/constraints/{name}/{i}");
                reader.refuse(&at, "patterns are not filled in; write `*` for what differs from task to task");
            }
        }
    }
}

/// What goes into the gaps.
struct Gaps<'a> {
    objective: &'a str,
    task: &'a str,
}

impl Gaps<'_> {
    /// The same document with its gaps filled.
    fn fill(&self, document: &Value) -> Value {
        let mut filled = document.clone();
        let Some(fields) = filled.as_object_mut() else { return filled };
        for name in ["objective", "deliverables"] {
            fields.get_mut(name).into_iter().for_each(|value| self.fill_texts(value));
        }
        let steps = fields.get_mut("constraints").and_then(|c| c.get_mut("required_steps"));
        self.fill_items(steps, &["step", "artifact"]);
        self.fill_items(fields.get_mut("success_criteria"), &["path", "argv", "question"]);
        filled
    }

    /// These fields of each object of a list.
    fn fill_items(&self, list: Option<&mut Value>, names: &[&str]) {
        for item in list.and_then(Value::as_array_mut).into_iter().flatten() {
            for name in names {
                item.get_mut(*name).into_iter().for_each(|value| self.fill_texts(value));
            }
        }
    }

    /// A text, or each of a list of texts.
    fn fill_texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.fill_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| {
                if let Value::String(text) = item {
                    *text = self.fill_text(text);
                }
            }),
            _ => {}
        }
    }

    /// One pass: braces in what is filled in are not gaps.
    fn fill_text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(brace) = rest.find('{') {
            out.push_str(&rest[..brace]);
            rest = &rest[brace..];
            if let Some(after) = rest.strip_prefix("{objective}") {
                out.push_str(self.objective);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("{task}") {
                out.push_str(self.task);
                rest = after;
            } else {
                out.push('{');
                rest = &rest[1..];
            }
        }
        out + rest
    }
}
