//! `steward evidence verify`, which asks no node, and the taking of evidence for `steward run evidence`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Serialize;
use steward_ledger::{TreeHead, tlog_proof::TlogProof};
use steward_seal::{
    Sealed,
    json::{self, Limits},
    note::NoteKey,
};
use steward_wire::EvidenceFile;

use crate::{
    evidence::{Examination, examine},
    failure::{Exit, Failure},
    heads::{self, Watch},
    home::read_small,
    memory::Memory,
    session::Session,
    show::{Ink, Looks, Word, facts_of, shown},
    verbs::proofs::pinned_key,
};

/// The most that an evidence file may have: what an answer of a node may.
const FILE: Limits = Limits { bytes: steward_caller::MAX_RESPONSE_BYTES, depth: 32 };

/// What can be done about evidence.
#[derive(Debug, Subcommand)]
pub enum EvidenceVerb {
    /// Check what a run left, with nothing but the file and a verifier key
    Verify {
        /// What `run evidence` wrote
        file: PathBuf,
        /// The verifier key that you have from elsewhere [default: the one that is remembered, else that of the file]
        #[arg(long, value_name = "KEY")]
        vkey: Option<String>,
    },
}

/// The shape of `evidence verify --json`.
#[derive(Debug, Serialize)]
struct Verified {
    /// Whether nothing is wrong. What is not proven is beside it.
    holds: bool,
    run: String,
    status: String,
    agent: String,
    task: String,
    /// The verifier key that was used, and where it comes from: `argument`, `remembered` or `file`.
    vkey: String,
    vkey_from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// How many entries the signed tree head covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The root, in base 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    entries: usize,
    documents: usize,
    artifacts: usize,
    proven: Vec<String>,
    not_proven: Vec<String>,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<WrongRecord>,
}

#[derive(Debug, Serialize)]
struct WrongRecord {
    at: String,
    message: String,
}

/// Where the verifier key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyFrom {
    Argument,
    Remembered,
    File,
}

pub(crate) fn carry_out(session: &mut Session, verb: EvidenceVerb) -> Result<(), Failure> {
    let EvidenceVerb::Verify { file, vkey } = verb;
    let unread = |error| Failure { exit: Exit::Misused, ..Failure::file("read", &file, &error) };
    let bytes = read_small(&file, FILE.bytes).map_err(unread)?;
    let evidence: EvidenceFile = json::read(&bytes, FILE)
        .map_err(|e| Failure::refused(format!("`{}` is no evidence of a run: {e}", file.display())))?;
    let memory = session.memory()?;
    // Who says the key needs no home.
    let pinned = if vkey.is_none() { pinned_key(session)? } else { None };
    let (key, from) = verifier_key(&memory, pinned, &evidence, vkey.as_deref())?;
    let remembered = remembered(&memory, &key)?;
    let found = examine(&evidence, &key, remembered.as_ref());
    let verified = summarise(&evidence, found, &key, from);
    session.show.answer(&verified, verified_view)?;
    if verified.holds { Ok(()) } else { Err(Failure::not_true()) }
}

/// The key that was said; else the one that is remembered of the ledger that the file names, or pinned for the home's node if that
/// is its ledger; else the file's own.
fn verifier_key(
    memory: &Memory,
    pinned: Option<NoteKey>,
    file: &EvidenceFile,
    said: Option<&str>,
) -> Result<(NoteKey, KeyFrom), Failure> {
    if let Some(said) = said {
        return Ok((said.trim().parse().map_err(Failure::misused)?, KeyFrom::Argument));
    }
    let own = heads::parse(&file.vkey)?;
    let known = match memory.ledger(own.name()).vkey()? {
        Some(kept) => Some(heads::parse(&kept)?),
        None => pinned.filter(|pinned| pinned.name() == own.name()),
    };
    match known {
        None => Ok((own, KeyFrom::File)),
        Some(known) if known.to_string() == own.to_string() => Ok((known, KeyFrom::Remembered)),
        Some(known) => Err(heads::other_key(own.name(), &known.to_string(), &own.to_string())),
    }
}

/// The largest tree head of that ledger that was seen, if it was signed with this key.
fn remembered(memory: &Memory, key: &NoteKey) -> Result<Option<TreeHead>, Failure> {
    if memory.ledger(key.name()).vkey()?.is_none_or(|kept| kept != key.to_string()) {
        return Ok(None);
    }
    Ok(Watch::with_key(memory, key.clone())?.sealed().map(Sealed::get).cloned())
}

/// Gets the evidence of a run, writes it down for its owner only, and checks it. `--json` prints the `EvidenceFile`.
pub(crate) async fn take(session: &mut Session, run: &str, output: &Path, force: bool) -> Result<(), Failure> {
    if !force && output.exists() {
        return Err(there_is(output));
    }
    let caller = session.caller()?;
    let watch = session.watch(&caller).await?;
    let evidence = caller.evidence(run).await?;
    let mut text = serde_json::to_string_pretty(&evidence).map_err(Failure::refused)?;
    text.push('\n');
    write(output, text.as_bytes(), force)?;
    let found = examine(&evidence, watch.key(), watch.remembered());
    if session.is_json() {
        session.show.json(&evidence)?;
    }
    let file = output.display();
    if let Some(wrong) = found.wrong {
        let message = format!("`{file}` was written, and does not hold: {}: {}", wrong.at, wrong.message);
        return Err(Failure::refused(message).hint(format!("look closer with `steward evidence verify {file}`")));
    }
    if let Some(entry) = evidence.entries.first() {
        // What everything stands under is to continue what was seen before.
        let proof = TlogProof::parse(entry.proof.as_bytes()).map_err(Failure::refused)?;
        watch.see(&proof.head, &caller).await?;
    }
    session.show.aside(&format!(
        "The evidence of {run} is in `{file}`, and holds. Anyone can check it, without a node:\n  \
         steward evidence verify {file} --vkey {}",
        watch.key()
    ));
    Ok(())
}

fn there_is(file: &Path) -> Failure {
    Failure::misused(format!("`{}` is there already", file.display()))
        .hint("name another file, or replace it with --force")
}

/// Writes a file whole or not at all, readable by its owner only. Without `force`, nothing is replaced, also nothing that came
/// to be meanwhile.
fn write(file: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => there_is(file),
        _ => Failure::file("write", file, &error),
    };
    let name = file.file_name().ok_or_else(|| Failure::misused(format!("`{}` names no file", file.display())))?;
    let beside = file.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = (|| {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        if force { fs::rename(&beside, file) } else { fs::hard_link(&beside, file) }
    })();
    let _ = fs::remove_file(&beside); // after a rename it is not there any more
    written.map_err(failed)
}

fn summarise(file: &EvidenceFile, found: Examination, key: &NoteKey, from: KeyFrom) -> Verified {
    let Examination { head, proven, mut not_proven, wrong, artifacts } = found;
    let (origin, size, root) = match head {
        Some(TreeHead { origin, size, root }) => (Some(origin), Some(size), Some(root.to_base64())),
        None => (None, None, None),
    };
    if from == KeyFrom::File {
        not_proven
            .insert(0, "that this ledger is who it says it is: the verifier key comes from the file itself".to_owned());
    }
    Verified {
        holds: wrong.is_none(),
        run: file.run.id.clone(),
        status: file.run.status.clone(),
        agent: file.run.agent.clone(),
        task: file.run.task.clone(),
        vkey: key.to_string(),
        vkey_from: match from {
            KeyFrom::Argument => "argument",
            KeyFrom::Remembered => "remembered",
            KeyFrom::File => "file",
        },
        origin,
        size,
        root,
        entries: file.entries.len(),
        documents: file.documents.len(),
        artifacts,
        proven,
        not_proven,
        wrong: wrong.map(|wrong| WrongRecord { at: wrong.at, message: wrong.message }),
    }
}

fn verified_view(verified: &Verified, looks: Looks) -> String {
    let key = match verified.vkey_from {
        "argument" => Word::from(format!("{}, as you said", verified.vkey)),
        "remembered" => Word::from(format!("{}, as remembered from before", verified.vkey)),
        _ => Word::new(
            format!("{}, taken from the file itself: whoever made the file could have made the key", verified.vkey),
            Ink::Warn,
        ),
    };
    let mut out = facts_of(
        looks,
        &[
            ("run".to_owned(), Word::new(&verified.run, Ink::Bold)),
            ("agent".to_owned(), (&verified.agent).into()),
            ("task".to_owned(), (&verified.task).into()),
            ("ended".to_owned(), Word::state(&verified.status)),
            ("verifier key".to_owned(), key),
        ],
    );
    for (name, ink, list) in [("proven", Ink::Good, &verified.proven), ("not proven", Ink::Warn, &verified.not_proven)]
    {
        for one in list {
            out += &format!(
                "{}\n",
                looks.wrapped(&format!("{} {}", looks.ink(ink, &format!("{name}:")), shown(one)), 0, 2)
            );
        }
    }
    if let Some(WrongRecord { at, message }) = &verified.wrong {
        let text = format!("{} {}: {}", looks.ink(Ink::Bad, "WRONG:"), shown(at), shown(message));
        out += &format!("{}\n", looks.wrapped(&text, 0, 2));
    }
    let (ink, verdict) = match (&verified.wrong, verified.vkey_from) {
        (Some(_), _) => {
            (Ink::Bad, "This evidence does NOT hold. What comes after the first thing that is wrong was not looked at.")
        }
        (None, "file") => (
            Ink::Warn,
            "This evidence fits together; nothing outside the file vouches for it. Get the ledger's verifier key from its \
             operator, and give it with --vkey.",
        ),
        (None, _) => (Ink::Good, "This evidence holds: it is what the ledger recorded."),
    };
    format!("{out}\n{}\n", looks.ink(ink, &looks.wrapped(verdict, 0, 0)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use expect_test::expect;

    use super::{KeyFrom, remembered, summarise, verified_view, verifier_key, write};
    use crate::{
        evidence::{Examination, Wrong},
        failure::Exit,
        memory::Memory,
        show::Looks,
        testing::{Ledger, story::completed_run},
    };

    #[test]
    fn evidence_is_its_owners_alone_and_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.json");
        write(&file, b"one", false).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        let refused = write(&file, b"two", false).unwrap_err();
        assert_eq!(refused.exit, Exit::Misused);
        assert!(refused.hint.unwrap().contains("--force"));
        assert_eq!(fs::read(&file).unwrap(), b"one");
        write(&file, b"two", true).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_key_is_the_one_that_is_known_and_only_then_the_files_own() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path().to_owned());
        let (file, ledger) = completed_run();
        let (own, other) = (ledger.key(), ledger.clone().signed_by(9).key());
        let found = |pinned, said: Option<&str>| {
            verifier_key(&memory, pinned, &file, said)
                .map(|(key, from)| (key.to_string(), from))
                .map_err(|failure| failure.message)
        };
        assert_eq!(found(None, None), Ok((own.to_string(), KeyFrom::File)));
        assert_eq!(found(Some(own.clone()), None), Ok((own.to_string(), KeyFrom::Remembered)));
        assert_eq!(found(None, Some(&other.to_string())), Ok((other.to_string(), KeyFrom::Argument)));
        assert!(found(Some(other.clone()), None).unwrap_err().starts_with("ANOTHER KEY"));
        assert!(found(None, Some("key")).is_err());
        assert_eq!(remembered(&memory, &own).unwrap(), None);
        // What was seen of this ledger goes before what is pinned for the home.
        let note = ledger.note();
        memory.ledger(own.name()).keep(note.as_bytes(), &own.to_string(), |kept| kept.is_none()).unwrap();
        assert_eq!(found(Some(other.clone()), None), Ok((own.to_string(), KeyFrom::Remembered)));
        assert_eq!(remembered(&memory, &own).unwrap(), Some(ledger.head()));
        assert_eq!(remembered(&memory, &other).unwrap(), None);
    }

    fn view(found: Examination, from: KeyFrom) -> String {
        let (file, _) = completed_run();
        verified_view(&summarise(&file, found, &Ledger::of(0).key(), from), Looks::default())
    }

    #[test]
    fn a_key_from_the_file_vouches_for_nothing() {
        let found = || Examination {
            proven: vec!["9 entries stand".into()],
            not_proven: vec!["what the artifacts say".into()],
            ..Examination::default()
        };
        let text = view(found(), KeyFrom::File);
        assert!(text.contains("taken from the file itself"), "{text}");
        assert!(text.contains("nothing outside the file vouches for it"), "{text}");
        assert!(!text.contains("This evidence holds"), "{text}");
        let text = view(found(), KeyFrom::Argument);
        assert!(text.contains("This evidence holds"), "{text}");
        let wrong = Some(Wrong { at: "entry 3".into(), message: "it is\u{1b} wrong".into() });
        let text = view(Examination { wrong, ..found() }, KeyFrom::Argument);
        let after_the_key = text.split_once("\nproven").map_or("", |(_, rest)| rest);
        expect![[r#"
            : 9 entries stand
            not proven: what the artifacts say
            WRONG: entry 3: it is\u{1b} wrong

            This evidence does NOT hold. What comes after the first thing that is wrong was not looked at.
        "#]]
        .assert_eq(after_the_key);
    }
}
