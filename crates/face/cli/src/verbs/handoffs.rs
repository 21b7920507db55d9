//! `steward handoff`.

use clap::Subcommand;
use serde_json::Value;
use steward_wire::HandoffRecord;

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, facts_of},
};

/// What can be asked about handoffs.
#[derive(Debug, Subcommand)]
pub enum HandoffVerb {
    /// Show what the last revoked agent on a task left
    Show {
        /// The task
        task: String,
    },
}

pub(crate) async fn carry_out(session: &mut Session, verb: HandoffVerb) -> Result<(), Failure> {
    let HandoffVerb::Show { task } = verb;
    let handoff = session.caller()?.handoff(&task).await?;
    session.show.answer(&handoff, handoff_view)?;
    if handoff.acknowledged_by.is_none() {
        let next = session.command(&format!("run start AGENT --task {task} OBJECTIVE"));
        session.show.aside(&format!("Nobody has taken it over yet; another agent does with `{next}`."));
    }
    Ok(())
}

/// As it is shown by `handoff show`.
fn handoff_view(record: &HandoffRecord, looks: Looks) -> String {
    let mut lines = vec![("handoff".to_owned(), Word::new(&record.id, Ink::Bold))];
    lines.extend(document_lines(&record.handoff));
    let taken = match &record.acknowledged_by {
        Some(run) => Word::from(run),
        None => Word::new("nobody yet", Ink::Warn),
    };
    lines.push(("taken over by".to_owned(), taken));
    lines.push(("entry".to_owned(), record.entry.to_string().into()));
    facts_of(looks, &lines)
}

/// A handoff's document, a line for each thing that it says.
pub(crate) fn document_lines(handoff: &Value) -> Vec<(String, Word)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reason = &handoff["revocation_reason"];
    let state = &handoff["last_known_state"];
    let mut lines: Vec<(String, Word)> = vec![
        ("task".to_owned(), text(&handoff["task_id"]).into()),
        ("from".to_owned(), text(&handoff["previous_agent_id"]).into()),
        ("revoked".to_owned(), Word::new(format!("{}: {}", text(&reason["type"]), text(&reason["details"])), Ink::Bad)),
        ("came to".to_owned(), format!("{}, {}", text(&state["phase"]), text(&state["step"])).into()),
        ("blocked by".to_owned(), text(&handoff["blocking_issue"]).into()),
    ];
    let mut list = |name: &str, items: &Value, line: &dyn Fn(&Value) -> String| {
        for (n, item) in items.as_array().into_iter().flatten().enumerate() {
            lines.push((if n == 0 { name.to_owned() } else { String::new() }, line(item).into()));
        }
    };
    list("to do", &handoff["required_next_actions"], &text);
    list("constraints", &handoff["constraints_reminder"], &text);
    list("tried", &handoff["what_was_tried"], &|tried| {
        let error = tried["error"].as_str().map(|error| format!(" ({error})")).unwrap_or_default();
        format!("{} {}: {}{error}", text(&tried["action"]), text(&tried["resource"]), text(&tried["outcome"]))
    });
    list("artifacts", &handoff["artifacts"], &|artifact| {
        format!("{} ({} bytes, {})", text(&artifact["path"]), artifact["bytes"], text(&artifact["digest"]))
    });
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;
    use steward_wire::HandoffRecord;

    use super::handoff_view;
    use crate::show::Looks;

    #[test]
    fn a_successor_reads_what_to_do() {
        let record = HandoffRecord {
            id: "hnd_1".into(),
            handoff: json!({
                "id": "hnd_1", "task_id": "design", "previous_agent_id": "scribe.acme.internal", "revoked": true,
                "revocation_reason": {"type": "REPEATED_ERROR", "details": "`no such host` twice"},
                "last_known_state": {"phase": "EXECUTE", "step": "step 2 of 3: fetch"},
                "what_was_tried": [
                    {"action": "fs.write", "resource": "/a.md", "outcome": "succeeded"},
                    {"action": "http.get", "resource": "x.org/\u{1b}", "outcome": "failed", "error": "no such host"},
                ],
                "blocking_issue": "REPEATED_ERROR: `no such host` twice",
                "required_next_actions": ["write `/b.md`"], "constraints_reminder": ["allowed: `fs.write:/**`"],
                "artifacts": [{"path": "/a.md", "digest": "sha256:00", "bytes": 3}],
            }),
            acknowledged_by: None,
            entry: 40,
        };
        expect![[r#"
            handoff        hnd_1
            task           design
            from           scribe.acme.internal
            revoked        REPEATED_ERROR: `no such host` twice
            came to        EXECUTE, step 2 of 3: fetch
            blocked by     REPEATED_ERROR: `no such host` twice
            to do          write `/b.md`
            constraints    allowed: `fs.write:/**`
            tried          fs.write /a.md: succeeded
                           http.get x.org/\u{1b}: failed (no such host)
            artifacts      /a.md (3 bytes, sha256:00)
            taken over by  nobody yet
            entry          40
        "#]]
        .assert_eq(&handoff_view(&record, Looks::default()));
    }
}
