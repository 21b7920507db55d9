//! `steward ledger`: what is asked of the node. What is checked without it is in `verify` and `proofs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use steward_ledger::TreeHead;
use steward_wire::{EntryList, EntryRecord, ExportQuery, SearchQuery};

use crate::{
    failure::Failure,
    heads,
    session::Session,
    show::{Ink, Looks, Word, facts, shown_lines, table},
    times::moment,
    verbs::{proofs, verify},
};

/// What can be asked of the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerVerb {
    /// Print the newest signed tree head, which is what to keep
    Head,
    /// Print the verifier key of the tree heads (c2sp.org/signed-note)
    Vkey,
    /// Show one entry
    Show {
        /// Its number, counted from 0
        seq: u64,
    },
    /// Find entries, newest first
    Search(Box<SearchArgs>),
    /// Verify the whole ledger in the node's home, without the node
    Verify(verify::VerifyArgs),
    /// Get an entry with the proof that it is in the ledger
    Prove {
        /// The entry's number
        seq: u64,
        /// Where to write it [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check what `prove` wrote, without any node
    CheckProof {
        /// What `prove` wrote
        file: PathBuf,
        /// The verifier key of the ledger, from somewhere that you trust
        #[arg(long, value_name = "KEY")]
        vkey: String,
    },
    /// Prove that one state of the ledger continues another
    Consistency {
        /// The smaller number of entries
        from: u64,
        /// The larger number of entries
        to: u64,
    },
    /// Print all entries, or a view of them
    Export {
        /// A view: agent_actions, violations
        #[arg(long)]
        view: Option<String>,
        /// The format
        #[arg(long, value_parser = ["jsonl", "csv"])]
        format: String,
    },
}

/// Which entries.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Whose: a name, or "agent scribe.acme.internal"
    #[arg(long)]
    actor: Option<String>,
    /// About what: an action's id, a name, a key's id
    #[arg(long)]
    subject: Option<String>,
    /// Which action: fs.write
    #[arg(long)]
    action: Option<String>,
    /// Only what was allowed, or denied
    #[arg(long, value_parser = ["allow", "deny"])]
    decision: Option<String>,
    /// Which kind of entry: action.refused
    #[arg(long)]
    kind: Option<String>,
    /// Of which request: trc_…
    #[arg(long)]
    trace: Option<String>,
    /// Not before: 2h or 3d (so long ago), 2026-11-20, or RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before: written as for --since
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Entries before this one; the end of a list says which
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

pub(crate) async fn carry_out(session: &mut Session, verb: LedgerVerb) -> Result<(), Failure> {
    match verb {
        LedgerVerb::Head => head(session).await,
        LedgerVerb::Vkey => vkey(session).await,
        LedgerVerb::Show { seq } => {
            let caller = session.caller()?;
            session.check_head(&caller).await?;
            session.show.answer(&caller.entry(seq).await?, entry_view)
        }
        LedgerVerb::Search(args) => {
            let query = args.query(session)?;
            let caller = session.caller()?;
            session.check_head(&caller).await?;
            let list = caller.entries(&query).await?;
            session.show.answer(&list, list_view)?;
            if let Some(next) = list.next {
                session.show.aside(&format!("There are older ones: --before {next}"));
            }
            Ok(())
        }
        LedgerVerb::Verify(args) => verify::verify(session, &args),
        LedgerVerb::Prove { seq, output } => proofs::prove(session, seq, output.as_deref()).await,
        LedgerVerb::CheckProof { file, vkey } => proofs::check(session, &file, &vkey),
        LedgerVerb::Consistency { from, to } => proofs::consistency(session, from, to).await,
        LedgerVerb::Export { view, format } => {
            let caller = session.caller()?;
            session.check_head(&caller).await?;
            let mut export = caller.export(&ExportQuery { view, format }).await?;
            while let Some(piece) = export.next().await? {
                session.show.bytes(&piece)?;
            }
            Ok(())
        }
    }
}

impl SearchArgs {
    fn query(self: Box<Self>, session: &Session) -> Result<SearchQuery, Failure> {
        let now = session.now();
        let time = |text: Option<String>| {
            text.map(|text| moment(&text, now).map(|t| t.to_string()).map_err(Failure::misused)).transpose()
        };
        let Self { actor, subject, action, decision, kind, trace, since, until, before, limit } = *self;
        let (since, until) = (time(since)?, time(until)?);
        Ok(SearchQuery { actor, subject, action, decision, kind, trace, since, until, before, limit })
    }
}

/// Prints the note itself, so that `> FILE` keeps it for `verify --against FILE`.
async fn head(session: &mut Session) -> Result<(), Failure> {
    let caller = session.anyone()?;
    let watch = session.watch(&caller).await?;
    let answer = caller.ledger_head().await?;
    let head = watch.see(&answer.note, &caller).await?;
    session.show.answer(
        &answer,
        |answer, looks| {
            if looks.is_terminal { shown_lines(&answer.note) } else { answer.note.clone() }
        },
    )?;
    session.show.aside(&seen(watch.remembered(), &head));
    Ok(())
}

fn seen(remembered: Option<&TreeHead>, head: &TreeHead) -> String {
    match remembered {
        None => {
            format!("{} entries. It is the first tree head of this ledger seen here, and now remembered.", head.size)
        }
        Some(old) if old.size == head.size => format!("{} entries, the same as were seen before.", head.size),
        Some(old) => format!("{} entries; it is proved that they continue the {} seen before.", head.size, old.size),
    }
}

/// Prints the key alone, so that `> FILE` keeps it.
async fn vkey(session: &mut Session) -> Result<(), Failure> {
    let caller = session.stranger()?;
    let answer = caller.ledger_vkey().await?;
    let node = session.node_memory()?;
    let key = heads::parse(&answer.vkey)?;
    match heads::pinned(&node)? {
        Some(pinned) if pinned != answer.vkey => return Err(heads::other_key(key.name(), &pinned, &answer.vkey)),
        Some(_) => {}
        None => {
            node.keep_vkey(&answer.vkey)?;
            session.show.aside("It was not known here before, and is now pinned, on the node's own word.");
        }
    }
    session.show.answer(&answer, |answer, _| format!("{}\n", shown_lines(&answer.vkey)))
}

fn entry_view(entry: &EntryRecord, looks: Looks) -> String {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    let block = facts(
        looks,
        [
            ("entry", Word::new(entry.seq.to_string(), Ink::Bold)),
            ("time", (&entry.time).into()),
            ("kind", (&entry.kind).into()),
            ("namespace", (&entry.namespace).into()),
            ("actor", (&entry.actor).into()),
            ("subject", (&entry.subject).into()),
            ("action", text(&entry.action)),
            ("decision", Word::state(entry.decision.as_deref().unwrap_or_default())),
            ("request", text(&entry.trace)),
            ("leaf hash", (&entry.leaf_hash).into()),
            ("leaf", (&entry.leaf).into()),
        ],
    );
    let body = match &entry.body {
        Some(body) => serde_json::to_string_pretty(body).unwrap_or_default(),
        None => match entry.redacted_by {
            Some(by) => format!("The body was erased, as entry {by} says; this entry still stands in the tree."),
            None => "The body was erased; the entry still stands in the tree.".to_owned(),
        },
    };
    format!("{block}\n{}\n", shown_lines(&body))
}

fn list_view(list: &EntryList, looks: Looks) -> String {
    let state = |decision: &Option<String>| Word::state(decision.as_deref().unwrap_or_default());
    if looks.is_terminal {
        // The kind says nearly always what the action would: there is little room.
        let rows = list.entries.iter().map(|e| {
            let (time, actor) = (looks.time(&e.time), looks.name(&e.actor));
            [Word::from(e.seq.to_string()), time, (&e.kind).into(), actor, (&e.subject).into(), state(&e.decision)]
        });
        return table(looks, ["entry", "time", "kind", "actor", "subject", "decision"], rows);
    }
    let rows = list.entries.iter().map(|e| {
        let action = e.action.as_deref().unwrap_or_default();
        let (seq, time, kind) = (Word::from(e.seq.to_string()), (&e.time).into(), (&e.kind).into());
        [seq, time, kind, (&e.actor).into(), (&e.subject).into(), action.into(), state(&e.decision)]
    });
    table(looks, ["entry", "time", "kind", "actor", "subject", "action", "decision"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{EntryList, EntryRecord};

    use super::{entry_view, list_view};
    use crate::show::Looks;

    fn entry() -> EntryRecord {
        EntryRecord {
            seq: 12,
            time: "2026-11-20T20:14:27.123Z".into(),
            kind: "action.intended".into(),
            namespace: "acme.internal".into(),
            actor: "agent scribe.acme.internal".into(),
            subject: "act_1".into(),
            action: Some("fs.write".into()),
            decision: Some("allow".into()),
            trace: None,
            redacted_by: None,
            body: Some(serde_json::json!({"resource": "/a\u{202e}b"})),
            leaf: "{}".into(),
            leaf_hash: "00".into(),
        }
    }

    #[test]
    fn entries_as_they_look() {
        expect![[r#"
            entry      12
            time       2026-11-20T20:14:27.123Z
            kind       action.intended
            namespace  acme.internal
            actor      agent scribe.acme.internal
            subject    act_1
            action     fs.write
            decision   allow
            leaf hash  00
            leaf       {}

            {
              "resource": "/a\u{202e}b"
            }
        "#]]
        .assert_eq(&entry_view(&entry(), Looks::default()));
        let erased = EntryRecord { seq: 3, redacted_by: Some(9), body: None, decision: None, action: None, ..entry() };
        assert!(entry_view(&erased, Looks::default()).contains("erased, as entry 9 says"));
        let list = EntryList { entries: vec![entry(), erased], next: None };
        expect![[r#"
            entry  time                      kind             actor                       subject  action    decision
            12     2026-11-20T20:14:27.123Z  action.intended  agent scribe.acme.internal  act_1    fs.write  allow
            3      2026-11-20T20:14:27.123Z  action.intended  agent scribe.acme.internal  act_1
        "#]]
        .assert_eq(&list_view(&list, Looks::default()));
    }
}
