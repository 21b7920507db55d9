//! `steward packet`: asks no node.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use steward_governor::{EVIDENCE_SCHEMA, HANDOFF_SCHEMA, Mistake, PACKET_SCHEMA, Packet, Template};
use steward_naming::Namespace;
use steward_seal::json::Limits;

use crate::{
    failure::{Exit, Failure},
    home::read_small,
    session::Session,
    show::{Ink, Looks, Word, facts, shown, shown_lines},
};

/// What can be done about packets.
#[derive(Debug, Subcommand)]
pub enum PacketVerb {
    /// Check an instruction packet, and show every mistake
    Check {
        /// JSON
        file: PathBuf,
        /// What short names in it are names of [default: the namespace of the node's home, else node.internal]
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// It is a template: agent, task, objective and who it is for are filled in when a run starts
        #[arg(long)]
        template: bool,
    },
    /// Print the JSON Schema of a document that runs have
    Schema {
        /// Which document
        #[arg(default_value = "packet", value_parser = ["packet", "handoff", "evidence"])]
        document: String,
    },
}

/// The shape of `packet check --json`.
#[derive(Debug, Serialize)]
struct Checked {
    /// `packet` or `template`.
    document: &'static str,
    /// What it is about, if it has no mistakes.
    #[serde(flatten)]
    found: Option<Found>,
    mistakes: Vec<MistakeRecord>,
}

#[derive(Debug, Serialize)]
struct Found {
    /// The agent's full name; a template may have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    /// The digest of the canonical form, which the ledger names it by.
    digest: String,
}

#[derive(Debug, Serialize)]
struct MistakeRecord {
    line: usize,
    column: usize,
    /// The JSON pointer of what is wrong.
    at: String,
    message: String,
}

pub(crate) fn carry_out(session: &mut Session, verb: PacketVerb) -> Result<(), Failure> {
    match verb {
        PacketVerb::Check { file, namespace, template } => {
            let namespace = session.namespace(namespace.as_deref())?;
            let checked = check(&read(&file)?, &namespace, template);
            session.show.answer(&checked, |checked, looks| checked_view(checked, &file, looks))?;
            if checked.mistakes.is_empty() { Ok(()) } else { Err(Failure::not_true()) }
        }
        // A schema is JSON already.
        PacketVerb::Schema { document } => session.show.text(match document.as_str() {
            "handoff" => HANDOFF_SCHEMA,
            "evidence" => EVIDENCE_SCHEMA,
            _ => PACKET_SCHEMA,
        }),
    }
}

fn check(text: &[u8], namespace: &Namespace, is_template: bool) -> Checked {
    let found = if is_template {
        Template::read(text, namespace).map(|template| Found {
            agent: None,
            task: None,
            digest: steward_seal::Digest::of(&template.canonical()).to_string(),
        })
    } else {
        Packet::read(text, namespace).map(|packet| Found {
            agent: Some(packet.agent.to_string()),
            task: Some(packet.task.to_string()),
            digest: packet.digest().to_string(),
        })
    };
    let record = |Mistake { line, column, at, message }| MistakeRecord { line, column, at, message };
    let (found, mistakes) = match found {
        Ok(found) => (Some(found), Vec::new()),
        Err(mistakes) => (None, mistakes.into_iter().map(record).collect()),
    };
    Checked { document: if is_template { "template" } else { "packet" }, found, mistakes }
}

/// The text of a packet that has no mistakes, to be sent.
pub(crate) fn read_packet(session: &Session, file: &Path) -> Result<String, Failure> {
    read_right(file, &check(&read(file)?, &session.namespace(None)?, false))
}

/// The text of a template that has no mistakes, to be sent.
pub(crate) fn read_template(session: &Session, file: &Path) -> Result<String, Failure> {
    read_right(file, &check(&read(file)?, &session.namespace(None)?, true))
}

fn read_right(file: &Path, checked: &Checked) -> Result<String, Failure> {
    if !checked.mistakes.is_empty() {
        let details = checked.mistakes.iter().map(|mistake| mistake_line(mistake, file)).collect();
        return Err(Failure::misused(format!("`{}` is no {}", file.display(), checked.document)).details(details));
    }
    String::from_utf8(read(file)?).map_err(|_| Failure::misused(format!("`{}` is not UTF-8", file.display())))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    read_small(file, Limits::BODY.bytes).map_err(|e| Failure { exit: Exit::Misused, ..Failure::file("read", file, &e) })
}

/// `FILE:LINE:COLUMN: at: message`.
fn mistake_line(mistake: &MistakeRecord, file: &Path) -> String {
    let MistakeRecord { line, column, at, message } = mistake;
    let at = if at.is_empty() { String::new() } else { format!(" {at}:") };
    format!("{}:{line}:{column}:{at} {message}", file.display())
}

fn checked_view(checked: &Checked, file: &Path, looks: Looks) -> String {
    let name = shown(&file.display().to_string());
    if let Some(found) = &checked.found {
        let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
        return facts(
            looks,
            [
                (checked.document, Word::new("no mistakes", Ink::Good)),
                ("agent", text(&found.agent)),
                ("task", text(&found.task)),
                ("digest", (&found.digest).into()),
            ],
        );
    }
    let lines = checked.mistakes.iter().map(|mistake| {
        let MistakeRecord { line, column, at, message } = mistake;
        let place = looks.ink(Ink::Bold, &format!("{name}:{line}:{column}:"));
        let at = if at.is_empty() { String::new() } else { format!(" {}:", shown(at)) };
        format!("{place}{at} {}\n", shown_lines(message))
    });
    let count = match checked.mistakes.len() {
        1 => "1 mistake".to_owned(),
        n => format!("{n} mistakes"),
    };
    format!("{}{} in {name}\n", lines.collect::<String>(), looks.ink(Ink::Bad, &count))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::{check, checked_view, read_right};
    use crate::{failure::Exit, show::Looks};

    fn packet() -> serde_json::Value {
        json!({
            "agent_id": "scribe", "task_id": "design", "created_for": "the board", "objective": "Design a thing",
            "deliverables": ["/design.md"],
            "constraints": {"scope": ["fs.write:/**"], "forbidden": [], "required_steps": []},
            "success_criteria": [], "escalation_rules": [], "created_at": "2026-11-20T20:14:27.123Z",
        })
    }

    fn view(text: &str, is_template: bool) -> String {
        let checked = check(text.as_bytes(), &"acme.internal".parse().unwrap(), is_template);
        checked_view(&checked, "p.json".as_ref(), Looks::default())
    }

    #[test]
    fn a_right_packet_is_named_by_its_digest() {
        let text = view(&packet().to_string(), false);
        assert!(
            text.starts_with("packet  no mistakes\nagent   scribe.acme.internal\ntask    design\ndigest  sha256:"),
            "{text}"
        );
        let mut template = packet();
        for name in ["agent_id", "task_id", "created_for", "objective", "created_at"] {
            template.as_object_mut().unwrap().remove(name);
        }
        assert!(view(&template.to_string(), true).starts_with("template  no mistakes\ndigest    sha256:"));
        assert!(view(&template.to_string(), false).ends_with("5 mistakes in p.json\n"));
    }

    #[test]
    fn every_mistake_has_its_place() {
        let mut wrong = packet();
        wrong["constraints"]["scope"] = json!(["write everything"]);
        wrong["objectif"] = json!("x");
        let text = serde_json::to_string_pretty(&wrong).unwrap();
        let shown = view(&text, false);
        assert!(shown.lines().all(|line| line.starts_with("p.json:") || line == "2 mistakes in p.json"), "{shown}");
        assert!(shown.contains(" /constraints/scope/0: "), "{shown}");
        expect![[r#"
            p.json:1:1: EOF while parsing an object
            1 mistake in p.json
        "#]]
        .assert_eq(&view("{", false));
    }

    #[test]
    fn a_packet_with_mistakes_is_not_sent() {
        let checked = check(b"{}", &"acme.internal".parse().unwrap(), false);
        let refused = read_right("p.json".as_ref(), &checked).unwrap_err();
        assert_eq!(refused.exit, Exit::Misused);
        assert!(refused.details.iter().all(|detail| detail.starts_with("p.json:1:1:")), "{:?}", refused.details);
    }
}
