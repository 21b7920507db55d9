//! `steward state`: the keys that operators know (GOV-6), as a Redis-protocol server's own client would show them.

use clap::Subcommand;
use serde_json::Value;
use steward_wire::{StateEntry, StateList};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, shown, shown_lines},
};

/// What can be asked about the state.
#[derive(Debug, Subcommand)]
pub enum StateVerb {
    /// Show a key, or all that match a pattern: `agent:*:state`
    Get {
        /// A key; `*` stands for any text, `?` for one character
        #[arg(value_name = "KEY|PATTERN")]
        pattern: String,
    },
}

pub(crate) async fn carry_out(session: &mut Session, verb: StateVerb) -> Result<(), Failure> {
    let StateVerb::Get { pattern } = verb;
    let list = session.caller()?.state(&pattern).await?;
    session.show.answer(&list, state_view)?;
    match list.entries.is_empty() {
        true if pattern.contains(['*', '?', '[']) => {
            session.show.aside("No key matches.");
            Ok(())
        }
        true => Err(Failure::refused(format!("there is no key `{pattern}`"))
            .hint(format!("look for it: `{}`", session.command("state get '*'")))),
        false => Ok(()),
    }
}

fn state_view(list: &StateList, looks: Looks) -> String {
    let mut out = String::new();
    for entry in &list.entries {
        let until = entry.expires_at.as_ref().map(|at| format!(", until {at}")).unwrap_or_default();
        let about = looks.ink(Ink::Dim, &shown(&format!("({}{until})", entry.kind)));
        out += &format!("{} {about}\n{}", looks.ink(Ink::Bold, &shown(&entry.key)), value_view(entry, looks));
    }
    out
}

/// A value: a JSON document in lines on a terminal, everything else as texts in quotation marks, numbered if there are several.
fn value_view(entry: &StateEntry, looks: Looks) -> String {
    let quoted = |value: &Value| match value {
        Value::String(text) => format!("\"{}\"", shown(text).replace('"', "\\\"")),
        other => shown(&other.to_string()),
    };
    let values: Vec<String> = match &entry.value {
        Value::Array(list) => list.iter().map(quoted).collect(),
        Value::Object(hash) => {
            hash.iter().flat_map(|(field, value)| [quoted(&field.as_str().into()), quoted(value)]).collect()
        }
        Value::String(text) if looks.is_terminal => {
            let document: Option<Value> = serde_json::from_str(text).ok().filter(Value::is_object);
            let pretty = document.and_then(|document| serde_json::to_string_pretty(&document).ok());
            return format!("{}\n", pretty.map_or_else(|| quoted(&entry.value), |text| shown_lines(&text)));
        }
        value => return format!("{}\n", quoted(value)),
    };
    if values.is_empty() {
        return "(empty)\n".to_owned();
    }
    let widest = values.len().to_string().len();
    values.iter().enumerate().map(|(n, value)| format!("{:>widest$}) {value}\n", n + 1)).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::{Value, json};
    use steward_wire::{StateEntry, StateList};

    use super::state_view;
    use crate::show::Looks;

    fn list(entries: &[(&str, &str, Value, Option<&str>)]) -> StateList {
        let entry = |(key, kind, value, until): &(&str, &str, Value, Option<&str>)| StateEntry {
            key: (*key).to_owned(),
            kind: (*kind).to_owned(),
            value: value.clone(),
            expires_at: until.map(str::to_owned),
        };
        StateList { entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn keys_are_shown_as_their_clients_show_them() {
        let list = list(&[
            ("agent:a.b:errors", "hash", json!({"denied: x": "2", "total": "3"}), None),
            ("agent:a.b:lock", "string", json!("7"), Some("2026-11-20T20:14:27.123Z")),
            ("agent:a.b:state", "string", json!("{\"phase\":\"PLAN\"}"), None),
            ("revocations:ledger", "list", json!(["one\u{1b}", "two"]), None),
            ("task:x:artifacts", "list", json!([]), None),
        ]);
        expect![[r#"
            agent:a.b:errors (hash)
            1) "denied: x"
            2) "2"
            3) "total"
            4) "3"
            agent:a.b:lock (string, until 2026-11-20T20:14:27.123Z)
            "7"
            agent:a.b:state (string)
            "{\"phase\":\"PLAN\"}"
            revocations:ledger (list)
            1) "one\u{1b}"
            2) "two"
            task:x:artifacts (list)
            (empty)
        "#]]
        .assert_eq(&state_view(&list, Looks::default()));
        let looks = Looks { is_terminal: true, colour: false, width: Some(80) };
        assert!(state_view(&list, looks).contains("{\n  \"phase\": \"PLAN\"\n}\n"));
    }
}
