//! `steward ledger verify`: the whole ledger read again from the node's home, without the node.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use steward_ledger::{Audit, Finding, Place, Report, TreeHead, head};
use steward_seal::{
    Sealed, SigningKey,
    note::{MAX_NOTE_BYTES, NoteKey},
};
use steward_store::{Archive, StoreError};

use crate::{
    failure::Failure,
    heads::Watch,
    home::read_small,
    session::Session,
    show::{Ink, Looks, Word, facts_of, shown},
    verbs::proofs::pinned_key,
};

/// The most bytes of a key's file that are read.
pub(crate) const MAX_KEY_BYTES: usize = 16 << 10;

/// The most entries that are named one by one.
const MAX_SHOWN: usize = 20;

/// What was found: the shape of `ledger verify --json`.
#[derive(Debug, Serialize)]
struct Verified {
    origin: String,
    /// The verifier key that was used, and where it comes from: `argument`, `pinned` or `home`.
    vkey: String,
    vkey_from: &'static str,
    /// Entries that were read.
    entries: u64,
    /// Entries from the first on without a gap.
    size: u64,
    /// The root over them, in base 64.
    root: String,
    /// Whether everything that was read fits together. Who holds the key could have written the unanchored entries anew.
    consistent: bool,
    anchors: Vec<Anchor>,
    /// Entries that a kept head vouches for.
    anchored: u64,
    /// Entries after those.
    unanchored: u64,
    /// Entries whose body was erased.
    erased: u64,
    /// The entries that say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redacted_by: Vec<u64>,
    /// How many of the erased ones were older than the node keeps them; the others were erased by a person.
    erased_by_age: u64,
    /// Rows that were compared; absent without `--state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    findings: Vec<Found>,
    /// How many there are, those that are not listed included.
    finding_count: u64,
    warnings: Vec<Found>,
    warning_count: u64,
}

/// A tree head that was kept outside the home.
#[derive(Debug, Serialize)]
struct Anchor {
    /// `remembered`, or the file.
    from: String,
    size: u64,
    /// Whether the ledger continues it.
    holds: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) code: &'static str,
    pub(crate) place: String,
    /// The entry that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    /// The table, if it is about a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// The row's key as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    pub(crate) message: String,
}

/// Where the verifier key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyFrom {
    Argument,
    Pinned,
    Home,
}

/// How to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Compare the rows and blobs too, and name those that were changed behind the ledger's back
    #[arg(long)]
    pub(crate) state: bool,
    /// A signed tree head that somebody kept (`ledger head` prints one); several are allowed
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Vec<PathBuf>,
    /// The verifier key [default: the one that was pinned at the login]
    #[arg(long, value_name = "KEY")]
    pub(crate) vkey: Option<String>,
}

/// Verifies the ledger in the home. Exit code 1 on any finding.
pub(crate) fn verify(session: &mut Session, args: &VerifyArgs) -> Result<(), Failure> {
    let home = session.home()?;
    let archive = Archive::open(&home.join("store.sqlite")).map_err(unreadable)?;
    let (key, key_from) = verifier_key(session, args, &home, archive.origin())?;
    // What is remembered is loaded before the store is read: a running node may go on meanwhile.
    let watch = Watch::with_key(&session.memory()?, key.clone())?;
    let mut kept: Vec<(String, Sealed<TreeHead>)> = Vec::new();
    if let Some(remembered) = watch.sealed() {
        kept.push(("remembered".to_owned(), remembered.clone()));
    }
    for file in &args.against {
        kept.push((file.display().to_string(), read_head(file, &key)?));
    }
    let mut audit = Audit::new(key.clone(), key.name());
    kept.iter().for_each(|(_, head)| audit.anchor(head));
    let (note, report) = archive
        .read(|reader| Ok::<_, StoreError>((reader.head_note()?, reader.audit(audit, args.state)?)))
        .map_err(unreadable)?;

    let verified = summarise(&report, &kept, args.state, &key, key_from);
    session.show.answer(&verified, verified_view)?;
    if !verified.consistent {
        return Err(Failure::not_true());
    }
    if let Some(note) = note {
        let head = watch.open(&note)?;
        watch.keep(&note, &head)?;
    }
    Ok(())
}

pub(crate) fn unreadable(error: StoreError) -> Failure {
    let hint = matches!(error, StoreError::Missing(_)).then(|| "name the node's folder with --home DIR".to_owned());
    Failure { hint, ..Failure::refused(error) }
}

fn verifier_key(
    session: &Session,
    args: &VerifyArgs,
    home: &Path,
    origin: &str,
) -> Result<(NoteKey, KeyFrom), Failure> {
    if let Some(vkey) = &args.vkey {
        return Ok((vkey.trim().parse().map_err(Failure::misused)?, KeyFrom::Argument));
    }
    if let Some(key) = pinned_key(session)? {
        return Ok((key, KeyFrom::Pinned));
    }
    let file: PathBuf = home.join("keys/tree-head.pem");
    let pem = read_small(&file, MAX_KEY_BYTES).map_err(|e| {
        Failure::file("read", &file, &e).hint("give the ledger's verifier key with --vkey KEY; `ledger vkey` prints it")
    })?;
    let pem = String::from_utf8_lossy(&pem);
    let key = SigningKey::from_pkcs8_pem(&pem).map_err(Failure::refused)?;
    let key = NoteKey::new(origin, key.verifying_key()).map_err(Failure::refused)?;
    Ok((key, KeyFrom::Home))
}

fn read_head(file: &Path, key: &NoteKey) -> Result<Sealed<TreeHead>, Failure> {
    let unread = |error| Failure { exit: crate::Exit::Misused, ..Failure::file("read", file, &error) };
    let note = read_small(file, MAX_NOTE_BYTES).map_err(unread)?;
    head::open(&note, key, key.name()).map_err(|error| {
        Failure::refused(format!("`{}` is no kept tree head of this ledger: {error}", file.display()))
            .hint("a file of --against holds what `steward ledger head` printed")
    })
}

fn summarise(
    report: &Report,
    kept: &[(String, Sealed<TreeHead>)],
    state: bool,
    key: &NoteKey,
    key_from: KeyFrom,
) -> Verified {
    let findings: Vec<Found> = report.findings().iter().map(found).collect();
    let anchors = kept.iter().map(|(from, head)| {
        let size = head.get().size;
        let is_found = report.findings().iter().any(|finding| finding.place == Place::Anchor(size));
        Anchor { from: from.clone(), size, holds: !is_found && size <= report.anchored_size }
    });
    Verified {
        origin: report.origin.clone(),
        vkey: key.to_string(),
        vkey_from: match key_from {
            KeyFrom::Argument => "argument",
            KeyFrom::Pinned => "pinned",
            KeyFrom::Home => "home",
        },
        entries: report.entries,
        size: report.size,
        root: report.root.to_base64(),
        consistent: report.is_consistent(),
        anchors: anchors.collect(),
        anchored: report.anchored_size,
        unanchored: report.unanchored(),
        erased: report.erased,
        redacted_by: report.redactions.iter().map(|(_, by)| *by).collect::<BTreeSet<_>>().into_iter().collect(),
        erased_by_age: report.redactions.iter().filter(|(_, by)| report.sweeps.contains(by)).count() as u64,
        rows: state.then_some(report.rows_compared),
        findings,
        finding_count: report.finding_count(),
        warnings: report.warnings().iter().map(found).collect(),
        warning_count: report.warning_count(),
    }
}

pub(crate) fn found(finding: &Finding) -> Found {
    let (table, key) = match &finding.place {
        Place::Row { table, key, .. } => (Some(table.clone()), Some(key.clone())),
        _ => (None, None),
    };
    Found {
        code: finding.code.as_str(),
        place: finding.place.to_string(),
        entry: finding.seq(),
        table,
        key,
        message: finding.message.clone(),
    }
}

fn verified_view(verified: &Verified, looks: Looks) -> String {
    let mut lines: Vec<(String, Word)> = vec![
        ("ledger".to_owned(), Word::new(&verified.origin, Ink::Bold)),
        ("entries".to_owned(), format!("{}, root {}", verified.entries, verified.root).into()),
    ];
    if verified.erased > 0 {
        let mut by: Vec<String> = verified.redacted_by.iter().take(MAX_SHOWN).map(u64::to_string).collect();
        if verified.redacted_by.len() > MAX_SHOWN {
            by.push("…".to_owned());
        }
        let by_age = match verified.erased_by_age {
            0 => String::new(),
            n => format!(" ({n} of them by age)"),
        };
        let said = format!("the bodies of {} entries{by_age}, as these say: {}", verified.erased, by.join(", "));
        lines.push(("erased".to_owned(), said.into()));
    }
    if let Some(rows) = verified.rows {
        lines.push(("rows".to_owned(), format!("{rows} compared with the entries that wrote them").into()));
    }
    let key = match verified.vkey_from {
        "argument" => Word::from(format!("{}, as you said", verified.vkey)),
        "pinned" => Word::from(format!("{}, as pinned before", verified.vkey)),
        _ => Word::new(
            format!("{}, taken from the home itself: whoever changed the home could have changed it", verified.vkey),
            Ink::Warn,
        ),
    };
    lines.push(("verifier key".to_owned(), key));
    for anchor in &verified.anchors {
        let from = if anchor.from == "remembered" { "the head remembered here" } else { &anchor.from };
        let (text, ink) = match anchor.holds {
            true => (format!("{from}, of {} entries: continued", anchor.size), Ink::Good),
            false => (format!("{from}, of {} entries: NOT continued", anchor.size), Ink::Bad),
        };
        lines.push(("anchor".to_owned(), Word::new(text, ink)));
    }
    let mut out = facts_of(looks, &lines);
    for (name, ink, list, count) in [
        ("finding", Ink::Bad, &verified.findings, verified.finding_count),
        ("warning", Ink::Warn, &verified.warnings, verified.warning_count),
    ] {
        for one in list {
            let head = looks.ink(ink, &format!("{name}: {}", one.code));
            let text = format!("{head} at {}: {}", shown(&one.place), shown(&one.message));
            out += &format!("{}\n", looks.wrapped(&text, 0, 2));
        }
        if count > list.len() as u64 {
            out += &format!("{} {name}s more\n", count - list.len() as u64);
        }
    }
    let (ink, verdict) = verdict(verified);
    format!("{out}\n{}\n", looks.ink(ink, &looks.wrapped(&verdict, 0, 0)))
}

/// What was shown, and not more than that.
fn verdict(verified: &Verified) -> (Ink, String) {
    let Verified { size, anchored, unanchored, finding_count, .. } = verified;
    if !verified.consistent {
        let things = if *finding_count == 1 { "1 thing does" } else { &format!("{finding_count} things do") };
        return (Ink::Bad, format!("This ledger does NOT verify: {things} not fit."));
    }
    let text = match (*anchored, *unanchored) {
        (0, _) => {
            return (
                Ink::Warn,
                format!(
                    "The {size} entries are consistent with themselves; nothing outside vouches for them. \
                     Keep what `steward ledger head` prints somewhere else, and give it with --against."
                ),
            );
        }
        (anchored, 0) => {
            format!("All {anchored} entries are anchored: they are those that a head kept outside stands for.")
        }
        (anchored, unanchored) => format!(
            "{anchored} entries are anchored: they are those that a head kept outside stands for. \
             The {unanchored} after them are consistent with themselves; nothing outside vouches for them yet."
        ),
    };
    (Ink::Good, text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Anchor, Found, Verified, verdict, verified_view};
    use crate::show::Looks;

    fn verified() -> Verified {
        Verified {
            origin: "acme.internal".into(),
            vkey: "acme.internal+00000000+AQ".into(),
            vkey_from: "pinned",
            entries: 41,
            size: 41,
            root: "cm9vdA==".into(),
            consistent: true,
            anchors: vec![Anchor { from: "remembered".into(), size: 38, holds: true }],
            anchored: 38,
            unanchored: 3,
            erased: 2,
            erased_by_age: 0,
            redacted_by: vec![39, 40],
            rows: Some(20),
            findings: Vec::new(),
            finding_count: 0,
            warnings: Vec::new(),
            warning_count: 0,
        }
    }

    fn damaged() -> Verified {
        let found = Found {
            code: "ROW_CHANGED",
            place: "row {\"name\":\"scribe\"} of agent (entry 7)".into(),
            entry: Some(7),
            table: Some("agent".into()),
            key: Some("{\"name\":\"scribe\"}".into()),
            message: "it is not as entry 7 wrote it".into(),
        };
        let anchors = vec![Anchor { from: "kept.note".into(), size: 50, holds: false }];
        Verified {
            consistent: false,
            findings: vec![found],
            finding_count: 3,
            anchors,
            vkey_from: "home",
            ..verified()
        }
    }

    #[test]
    fn a_report_says_what_is_anchored_and_what_is_not() {
        expect![[r#"
            ledger        acme.internal
            entries       41, root cm9vdA==
            erased        the bodies of 2 entries, as these say: 39, 40
            rows          20 compared with the entries that wrote them
            verifier key  acme.internal+00000000+AQ, as pinned before
            anchor        the head remembered here, of 38 entries: continued

            38 entries are anchored: they are those that a head kept outside stands for. The 3 after them are consistent with themselves; nothing outside vouches for them yet.
        "#]].assert_eq(&verified_view(&verified(), Looks::default()));
        expect![[r#"
            ledger        acme.internal
            entries       41, root cm9vdA==
            erased        the bodies of 2 entries, as these say: 39, 40
            rows          20 compared with the entries that wrote them
            verifier key  acme.internal+00000000+AQ, taken from the home itself: whoever changed the home could have changed it
            anchor        kept.note, of 50 entries: NOT continued
            finding: ROW_CHANGED at row {"name":"scribe"} of agent (entry 7): it is not as entry 7 wrote it
            2 findings more

            This ledger does NOT verify: 3 things do not fit.
        "#]].assert_eq(&verified_view(&damaged(), Looks::default()));
    }

    #[test]
    fn nothing_is_called_valid() {
        let all = Verified { anchored: 41, unanchored: 0, ..verified() };
        let none = Verified { anchored: 0, unanchored: 41, anchors: Vec::new(), vkey_from: "home", ..verified() };
        assert!(verdict(&none).1.contains("nothing outside vouches for them"));
        for report in [verified(), all, none, damaged()] {
            let text = verified_view(&report, Looks::default());
            assert!(!text.to_lowercase().contains("valid"), "{text}");
        }
    }
}
