//! `steward backup`: copy a node's home, check the copy, put it back. All of it is done on files: no node is asked, so that a node that is
//! gone can be restored, and one that runs is not disturbed.
//!
//! Deliberately absent: `backup accept`, which writes an entry and so is the node's own work (the binary has it).

use std::{
    collections::BTreeMap,
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::Serialize;
use steward_backup::{
    Backup, BackupError, Identity, KeyFile, Keys, LeftOut, Making, Passphrase, Problem, ROLLED_BACK_FILE, Recipient,
    Restoring, STORE_FILE, What,
};
use steward_ledger::{Audit, FindingCode, Place, Report, TreeHead, head, proof};
use steward_seal::{
    Sealed, SigningKey, VerifyingKey,
    note::{MAX_NOTE_BYTES, NoteKey},
};
use steward_store::{Archive, StoreError};
use zeroize::Zeroizing;

use crate::{
    failure::{Exit, Failure},
    heads::Watch,
    home::read_small,
    session::Session,
    show::{Ink, Looks, Word, facts_of, shown},
    verbs::{
        node::bytes,
        verify::{Found, MAX_KEY_BYTES, found, unreadable},
    },
};

/// The most bytes of a passphrase's file.
const MAX_PASSPHRASE_BYTES: usize = 4096;

/// The most bytes of a file of identities.
const MAX_IDENTITY_BYTES: usize = 64 << 10;

/// What the name of a backup ends with that is one file.
const PACKED: &str = "stwb";

/// The keys of a node, by their files.
const TREE_HEAD: &str = "keys/tree-head.pem";
const DOCUMENT: &str = "keys/document.pem";

/// What can be done about backups.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// Copy the node's home into a sealed backup, while the node runs or not
    Create(CreateArgs),
    /// Check a backup, without any node: every file, the ledger and every row
    Verify(CheckArgs),
    /// Put a backup into a home that is not there yet
    Restore(RestoreArgs),
    /// Open a restored home that is behind a known head, knowingly: its ledger gets a new origin that names the lost head
    Accept(AcceptArgs),
}

/// How to make one.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Where it is written to, and nothing is yet: a folder, or one file if it ends in `.stwb`; `-` writes that file to standard output
    #[arg(long, value_name = "PLACE")]
    to: PathBuf,
    /// A file with the passphrase that keys and secrets are sealed with; without one they are left out
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Seal keys and secrets to this public key instead, which is opened elsewhere (`age-keygen` makes one); several are allowed
    #[arg(long, value_name = "age1…", conflicts_with = "passphrase_file")]
    escrow_to: Vec<String>,
}

/// What to check, and by what.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The backup: a folder, or a file
    path: PathBuf,
    /// The node's document key (PEM) [default: the one that the backup names, which vouches for nothing]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The verifier key of the ledger [default: the one that is remembered here, else the backup's own]
    #[arg(long, value_name = "KEY")]
    vkey: Option<String>,
    /// A signed tree head that somebody kept (`ledger head` prints one); several are allowed
    #[arg(long, value_name = "FILE", visible_alias = "anchor")]
    against: Vec<PathBuf>,
}

/// How to put one back.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    check: CheckArgs,
    /// A file with the passphrase that keys and secrets were sealed with
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A file with the identity that opens what they were sealed to (`AGE-SECRET-KEY-1…`)
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    identity: Option<PathBuf>,
    /// The folder `keys` of the node's home, as it was kept elsewhere
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

/// Why a rollback is taken.
#[derive(Debug, Clone, Args)]
pub struct AcceptArgs {
    /// Why; it stands in the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// The shape of `backup create --json`.
#[derive(Debug, Serialize)]
struct Created {
    backup: String,
    namespace: String,
    origin: String,
    taken_at: String,
    /// Entries of the ledger in it.
    entries: u64,
    files: u64,
    bytes: u64,
    /// Keys and secrets that are sealed in it, by their path in the home.
    sealed: Vec<String>,
    /// To whose public keys; none: by a passphrase, or not at all.
    sealed_to: Vec<String>,
    left_out: Vec<Missing>,
    /// The fingerprint of the document key that signed it.
    signer: String,
}

#[derive(Debug, Serialize)]
struct Missing {
    path: String,
    why: String,
}

/// A tree head that was kept elsewhere.
#[derive(Debug, Serialize)]
struct Anchor {
    /// `remembered`, or the file.
    from: String,
    size: u64,
    /// `continued`: the backup has all of it; `ahead`: it ends before; `another`: it is of another history.
    standing: &'static str,
}

/// The shape of `backup verify --json`, and a part of that of `backup restore`.
#[derive(Debug, Serialize)]
struct Checked {
    backup: String,
    /// Whether everything fits together. A backup that is older than a kept head fits, and is behind.
    holds: bool,
    namespace: String,
    origin: String,
    taken_at: String,
    program: String,
    signer: String,
    /// Where the document key comes from: `argument` or `backup`.
    signer_from: &'static str,
    vkey: String,
    /// `argument`, `remembered` or `backup`.
    vkey_from: &'static str,
    entries: u64,
    root: String,
    rows: u64,
    erased: u64,
    anchors: Vec<Anchor>,
    anchored: u64,
    unanchored: u64,
    /// Entries that a kept head has more than the backup: a home that is restored from it starts read-only.
    behind: u64,
    files: u64,
    bytes: u64,
    sealed: Vec<String>,
    sealed_to: Vec<String>,
    left_out: Vec<Missing>,
    problems: Vec<Missing>,
    findings: Vec<Found>,
    finding_count: u64,
}

/// The shape of `backup restore --json`.
#[derive(Debug, Serialize)]
struct Restored {
    home: String,
    /// Whether somebody keeps a head of a longer ledger, or of another: the node starts read-only.
    rolled_back: bool,
    /// What is not in the home, and was in the one that was copied.
    missing: Vec<Missing>,
    backup: Checked,
}

/// What was found of a backup, and the head that it is behind or beside.
struct Judged {
    checked: Checked,
    /// The largest kept head that the backup does not continue, as it was signed.
    lost: Option<(u64, String)>,
    key: NoteKey,
}

/// Carries out what needs no node.
pub(crate) fn carry_out(session: &mut Session, verb: BackupVerb) -> Result<(), Failure> {
    match verb {
        BackupVerb::Create(args) => create(session, &args),
        BackupVerb::Verify(args) => verify(session, &args),
        BackupVerb::Restore(args) => restore(session, &args),
        BackupVerb::Accept(_) => {
            Err(Failure::misused("a rollback is not accepted from here").hint("run the program `steward`"))
        }
    }
}

fn failed(error: BackupError) -> Failure {
    match error {
        BackupError::ShortPassphrase(_)
        | BackupError::Occupied(_)
        | BackupError::NoRecipient(_)
        | BackupError::NoIdentity => Failure::misused(error),
        BackupError::WrongPassphrase => Failure::refused(error).hint("give the passphrase that it was made with"),
        error => Failure::refused(error),
    }
}

fn create(session: &mut Session, args: &CreateArgs) -> Result<(), Failure> {
    let home = session.home()?;
    let to = std::path::absolute(&args.to).map_err(|e| Failure::file("find", &args.to, &e))?;
    let is_streamed = args.to.as_os_str() == "-";
    if !is_streamed && to.starts_with(&home) {
        return Err(
            Failure::misused("a backup does not lie in the home that it is of").hint("choose a place outside of it")
        );
    }
    let passphrase = args.passphrase_file.as_deref().map(passphrase).transpose()?;
    let recipients: Vec<Recipient> =
        args.escrow_to.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(failed)?;
    if is_streamed && std::io::stdout().is_terminal() {
        return Err(Failure::misused("a backup is nothing to look at").hint("`--to - > FILE`, or `--to - | ssh …`"));
    }
    let archive = Archive::open(&home.join(STORE_FILE)).map_err(unreadable)?;
    let origin = archive.origin().to_owned();
    let key = private_key(&home.join(DOCUMENT))?;
    let head_key =
        NoteKey::new(&origin, private_key(&home.join(TREE_HEAD))?.verifying_key()).map_err(Failure::refused)?;
    let namespace =
        origin.split('/').next().unwrap_or_default().parse().map_err(|e| {
            Failure::refused(format!("the ledger's origin `{}` names no namespace: {e}", shown(&origin)))
        })?;
    let taken_at = session.now().to_string();
    let making = if is_streamed {
        Making::begin_stream(std::io::stdout())
    } else if to.extension().is_some_and(|end| end == PACKED) {
        Making::begin_file(&to)
    } else {
        Making::begin(&to)
    };
    let making = making.map_err(failed)?;
    archive.copy_to(&making.store()).map_err(unreadable)?;
    let copy = Archive::open(&making.store()).map_err(unreadable)?;
    let note = copy.head_note().map_err(unreadable)?;
    let head = head::open(note.as_bytes(), &head_key, &origin).map_err(|e| {
        Failure::refused(format!("the store's tree head is not signed by the home's key: {e}"))
            .hint("run `steward ledger verify --state`, and look who changed it")
    })?;
    let watch = Watch::with_key(&session.memory()?, head_key.clone())?;
    let is_continued = watch.remembered().map_or(Ok(true), |old| continues(&copy, old, head.get()))?;
    drop(copy);
    let what = What {
        program: format!("steward {}", session.version),
        taken_at,
        namespace,
        origin,
        head: note,
        vkey: head_key.to_string(),
    };
    let (note, head) = (what.head.clone(), head.into_inner());
    let keys = match &passphrase {
        Some(passphrase) => Keys::By(passphrase),
        None if !recipients.is_empty() => Keys::To(&recipients),
        None => Keys::LeftOut,
    };
    let made = making.finish(&home, what, &key, keys, session.dice()).map_err(failed)?;
    let manifest = made.manifest;
    let (sealed, sealed_to) = manifest.sealed.map(|part| (part.names, part.recipients)).unwrap_or_default();
    let created = Created {
        backup: made.place.display().to_string(),
        namespace: manifest.namespace.to_string(),
        origin: manifest.origin,
        taken_at: manifest.taken_at,
        entries: head.size,
        files: manifest.files.count,
        bytes: manifest.files.bytes,
        sealed,
        sealed_to,
        left_out: missing(&manifest.left_out),
        signer: key.verifying_key().fingerprint().to_string(),
    };
    if is_streamed {
        session.show.answer_aside(&created, created_view)?;
    } else {
        session.show.answer(&created, created_view)?;
    }
    if is_continued {
        // Whoever puts back an older one here is told.
        watch.keep(&note, &head)?;
    } else {
        session.show.aside(
            "This home does NOT continue the tree head that is remembered here: entries were taken back, or it is of another history. \
             `steward ledger verify` says more.",
        );
    }
    if created.sealed.is_empty() {
        session.show.aside(
            "Keys and secrets are NOT in it: to restore it you need the folder `keys` of this home, kept elsewhere. \
             `--passphrase-file FILE` or `--escrow-to age1…` seals them into it.",
        );
    }
    Ok(())
}

/// Whether the ledger in `copy`, whose head is `new`, begins with all that `old` covers.
pub(crate) fn continues(copy: &Archive, old: &TreeHead, new: &TreeHead) -> Result<bool, Failure> {
    if old.size > new.size {
        return Ok(false);
    }
    copy.read(|reader| {
        let root = proof::root(old.size, |id| reader.tile(id));
        Ok::<_, StoreError>(root.is_ok_and(|root| root == old.root))
    })
    .map_err(unreadable)
}

fn missing(left_out: &[LeftOut]) -> Vec<Missing> {
    left_out.iter().map(|one| Missing { path: one.path.clone(), why: one.why.clone() }).collect()
}

fn passphrase(file: &Path) -> Result<Passphrase, Failure> {
    let unread = |error| Failure { exit: Exit::Misused, ..Failure::file("read", file, &error) };
    let text = Zeroizing::new(read_small(file, MAX_PASSPHRASE_BYTES).map_err(unread)?);
    let text = std::str::from_utf8(&text).map_err(|_| Failure::misused("the passphrase is not UTF-8"))?;
    Passphrase::new(text).map_err(failed)
}

fn identities(file: &Path) -> Result<Vec<Identity>, Failure> {
    let unread = |error| Failure { exit: Exit::Misused, ..Failure::file("read", file, &error) };
    let text = Zeroizing::new(read_small(file, MAX_IDENTITY_BYTES).map_err(unread)?);
    Identity::read(&String::from_utf8_lossy(&text)).map_err(failed)
}

fn private_key(file: &Path) -> Result<SigningKey, Failure> {
    let pem = Zeroizing::new(read_small(file, MAX_KEY_BYTES).map_err(|e| Failure::file("read", file, &e))?);
    signing_key(&pem, &file.display().to_string())
}

fn signing_key(pem: &[u8], name: &str) -> Result<SigningKey, Failure> {
    let text = std::str::from_utf8(pem).map_err(|_| Failure::refused(format!("`{name}` is not a key")))?;
    SigningKey::from_pkcs8_pem(text).map_err(|e| Failure::refused(format!("`{name}` is not a key: {e}")))
}

fn verify(session: &mut Session, args: &CheckArgs) -> Result<(), Failure> {
    let judged = judge(session, args)?.1;
    session.show.answer(&judged.checked, checked_view)?;
    if judged.checked.holds { Ok(()) } else { Err(Failure::not_true()) }
}

/// Opens the backup, reads all of it, and holds it against everything that is known.
fn judge(session: &Session, args: &CheckArgs) -> Result<(Backup, Judged), Failure> {
    let document = args.key.as_deref().map(document_key).transpose()?;
    let backup = Backup::open(&args.path, document.as_ref()).map_err(failed)?;
    let manifest = backup.manifest().clone();
    let problems = backup.check().map_err(failed)?;
    let memory = session.memory()?;
    let remembered = memory.ledger(&manifest.origin).vkey()?;
    let (vkey, vkey_from) = match (&args.vkey, remembered) {
        (Some(vkey), _) => (vkey.trim().to_owned(), "argument"),
        (None, Some(vkey)) => (vkey, "remembered"),
        (None, None) => (manifest.vkey.clone(), "backup"),
    };
    let key: NoteKey = vkey.parse().map_err(Failure::misused)?;
    let mut kept: Vec<(String, Vec<u8>, Sealed<TreeHead>)> = Vec::new();
    let watch = Watch::with_key(&memory, key.clone())?;
    if let (Some(head), Some(note)) = (watch.sealed(), memory.ledger(key.name()).note()?) {
        kept.push(("remembered".to_owned(), note, head.clone()));
    }
    for file in &args.against {
        let unread = |error| Failure { exit: Exit::Misused, ..Failure::file("read", file, &error) };
        let note = read_small(file, MAX_NOTE_BYTES).map_err(unread)?;
        let head = head::open(&note, &key, key.name()).map_err(|error| {
            Failure::refused(format!("`{}` is no kept tree head of this ledger: {error}", file.display()))
                .hint("it holds what `steward ledger head` printed")
        })?;
        kept.push((file.display().to_string(), note, head));
    }
    let mut audit = Audit::new(key.clone(), key.name());
    kept.iter().for_each(|(_, _, head)| audit.anchor(head));
    let archive = Archive::open(&backup.store().map_err(failed)?).map_err(unreadable)?;
    let (note, report) = archive
        .read(|reader| Ok::<_, StoreError>((reader.head_note()?, reader.audit(audit, true)?)))
        .map_err(unreadable)?;
    let mut problems = as_missing(problems);
    if note.as_deref() != Some(manifest.head.as_str()) {
        let why = "the copied store has another tree head than the one that the manifest names".to_owned();
        problems.push(Missing { path: STORE_FILE.to_owned(), why });
    }
    let (anchors, lost) = compare(&report, &kept);
    let findings: Vec<Found> =
        report.findings().iter().filter(|f| !matches!(f.place, Place::Anchor(_))).map(found).collect();
    let others = anchors.iter().filter(|anchor| anchor.standing != "continued").count() as u64;
    let is_another = anchors.iter().any(|anchor| anchor.standing == "another");
    let (sealed, sealed_to) = manifest.sealed.map(|part| (part.names, part.recipients)).unwrap_or_default();
    let checked = Checked {
        backup: args.path.display().to_string(),
        holds: problems.is_empty() && findings.is_empty() && !is_another,
        namespace: manifest.namespace.to_string(),
        origin: manifest.origin,
        taken_at: manifest.taken_at,
        program: manifest.program,
        signer: backup.signer().to_string(),
        signer_from: if backup.is_pinned() { "argument" } else { "backup" },
        vkey: key.to_string(),
        vkey_from,
        entries: report.entries,
        root: report.root.to_base64(),
        rows: report.rows_compared,
        erased: report.erased,
        anchored: report.anchored_size,
        unanchored: report.unanchored(),
        behind: lost.as_ref().map_or(0, |(size, _)| size.saturating_sub(report.size)),
        anchors,
        files: manifest.files.count,
        bytes: manifest.files.bytes,
        sealed,
        sealed_to,
        left_out: missing(&manifest.left_out),
        problems,
        finding_count: report.finding_count().saturating_sub(others),
        findings,
    };
    Ok((backup, Judged { checked, lost, key }))
}

fn as_missing(problems: Vec<Problem>) -> Vec<Missing> {
    problems.into_iter().map(|problem| Missing { path: problem.path, why: problem.message }).collect()
}

fn document_key(file: &Path) -> Result<VerifyingKey, Failure> {
    let unread = |error| Failure { exit: Exit::Misused, ..Failure::file("read", file, &error) };
    let pem = read_small(file, MAX_KEY_BYTES).map_err(unread)?;
    VerifyingKey::from_spki_pem(&String::from_utf8_lossy(&pem))
        .map_err(|e| Failure::misused(format!("`{}` is not a public key in PEM: {e}", file.display())))
}

/// How the kept heads stand to the backup, and the largest that it does not continue.
fn compare(report: &Report, kept: &[(String, Vec<u8>, Sealed<TreeHead>)]) -> (Vec<Anchor>, Option<(u64, String)>) {
    let mut lost: Option<(u64, String)> = None;
    let mut anchors = Vec::new();
    for (from, note, head) in kept {
        let size = head.get().size;
        let code = report.findings().iter().find(|f| f.place == Place::Anchor(size)).map(|f| f.code);
        let standing = match code {
            None => "continued",
            Some(FindingCode::RolledBack) => "ahead",
            Some(_) => "another",
        };
        if standing != "continued" && lost.as_ref().is_none_or(|(largest, _)| size > *largest) {
            lost = Some((size, String::from_utf8_lossy(note).into_owned()));
        }
        anchors.push(Anchor { from: from.clone(), size, standing });
    }
    (anchors, lost)
}

fn restore(session: &mut Session, args: &RestoreArgs) -> Result<(), Failure> {
    let home = session.home()?;
    let mut restoring = Restoring::begin(&home).map_err(failed)?;
    let (backup, judged) = judge(session, &args.check)?;
    let Judged { checked, lost, key } = judged;
    if !(checked.problems.is_empty() && checked.findings.is_empty()) {
        session.show.answer(&checked, checked_view)?;
        return Err(Failure::refused("this backup does not hold; nothing was restored"));
    }
    if let Some(file) = &args.passphrase_file {
        restoring.open(&backup, &passphrase(file)?).map_err(failed)?;
    }
    if let Some(file) = &args.identity {
        restoring.open_by(&backup, &identities(file)?).map_err(failed)?;
    }
    if let Some(folder) = &args.keys {
        restoring.keys(keys_in(folder)?);
    }
    for (path, fits) in [
        (TREE_HEAD, &(|k: VerifyingKey| NoteKey::new(key.name(), k).is_ok_and(|k| k == key)) as &dyn Fn(_) -> bool),
        (DOCUMENT, &|k: VerifyingKey| k.fingerprint() == backup.signer()),
    ] {
        let Some(pem) = restoring.key(path) else { return Err(no_key(path, &checked)) };
        if !fits(signing_key(pem, path)?.verifying_key()) {
            return Err(Failure::refused(format!("`{path}` is the key of another node than the one that was copied")));
        }
    }
    restoring.copy(&backup).map_err(failed)?;
    if let Some((_, note)) = &lost {
        restoring.mark(note).map_err(failed)?;
    }
    let has = |path: &str| restoring.key(path).is_some();
    let missing = checked.left_out.iter().filter(|one| !has(&one.path));
    let missing = missing.map(|one| Missing { path: one.path.clone(), why: one.why.clone() }).collect();
    let home = restoring.settle().map_err(failed)?;
    let rolled_back = lost.is_some() || home.join(ROLLED_BACK_FILE).exists();
    let restored = Restored { home: home.display().to_string(), rolled_back, missing, backup: checked };
    session.show.answer(&restored, restored_view)?;
    if rolled_back {
        session.show.aside(&format!(
            "It is behind a head that somebody keeps: `{}` starts read-only. If a newer copy exists, restore that one instead. A node that \
             stands alone has nowhere to fetch the rest from; to go on without it: `{}`",
            session.command("up"),
            session.command("backup accept --reason WHY")
        ));
    }
    Ok(())
}

fn no_key(path: &str, checked: &Checked) -> Failure {
    let hint = if !checked.sealed_to.is_empty() {
        "they are sealed in the backup to a public key: give its other half, --identity FILE"
    } else if !checked.sealed.is_empty() {
        "they are sealed in the backup: give --passphrase-file FILE"
    } else {
        "they are not in the backup: give the folder where you kept them, --keys DIR"
    };
    Failure::refused(format!("`{path}` is needed: a node without its keys cannot continue its ledger")).hint(hint)
}

/// The files in a folder of keys: those that sign, and whatever else a node keeps beside them.
fn keys_in(folder: &Path) -> Result<Vec<KeyFile>, Failure> {
    let unread = |error| Failure { exit: Exit::Misused, ..Failure::file("read", folder, &error) };
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder).map_err(unread)? {
        let path = item.map_err(unread)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
        let Some(name) = name.filter(|_| path.is_file()) else { continue };
        let pem = read_small(&path, MAX_KEY_BYTES).map_err(|e| Failure::file("read", &path, &e))?;
        found.insert(format!("keys/{name}"), Zeroizing::new(pem));
    }
    Ok(found.into_iter().collect())
}

fn created_view(created: &Created, looks: Looks) -> String {
    let mut lines = vec![
        ("backup".to_owned(), Word::new(&created.backup, Ink::Good)),
        ("of".to_owned(), format!("{}, at {}", created.namespace, created.taken_at).into()),
        ("ledger".to_owned(), format!("{} entries, `{}`", created.entries, created.origin).into()),
        ("files".to_owned(), format!("{}, {}", created.files, bytes(created.bytes)).into()),
        ("signed by".to_owned(), (&created.signer).into()),
    ];
    lines.extend(contents(&created.sealed, &created.sealed_to, &created.left_out));
    facts_of(looks, &lines)
}

/// What is sealed in it, and what is not in it.
fn contents(sealed: &[String], to: &[String], left_out: &[Missing]) -> Vec<(String, Word)> {
    let keys = match (sealed.len(), to) {
        (0, _) => Word::new("no keys and no secrets are in it", Ink::Warn),
        (n, []) => Word::from(format!("{n} files of keys and secrets, by a passphrase")),
        (n, to) => Word::from(format!("{n} files of keys and secrets, to {}", to.join(", "))),
    };
    let mut lines = vec![("sealed".to_owned(), keys)];
    lines.extend(left_out.iter().map(|one| ("not in it".to_owned(), format!("{}: {}", one.path, one.why).into())));
    lines
}

fn checked_view(checked: &Checked, looks: Looks) -> String {
    let signer = match checked.signer_from {
        "argument" => Word::from(format!("{}, as you said", checked.signer)),
        _ => Word::new(
            format!("{}, as the backup itself says: whoever changed it could have signed it anew", checked.signer),
            Ink::Warn,
        ),
    };
    let key = match checked.vkey_from {
        "argument" => Word::from(format!("{}, as you said", checked.vkey)),
        "remembered" => Word::from(format!("{}, as remembered here", checked.vkey)),
        _ => Word::new(format!("{}, as the backup itself says", checked.vkey), Ink::Warn),
    };
    let mut lines = vec![
        ("backup".to_owned(), Word::new(&checked.backup, Ink::Bold)),
        ("of".to_owned(), format!("{}, at {}, by {}", checked.namespace, checked.taken_at, checked.program).into()),
        ("signed by".to_owned(), signer),
        ("ledger".to_owned(), (&checked.origin).into()),
        ("entries".to_owned(), format!("{}, root {}", checked.entries, checked.root).into()),
        ("verifier key".to_owned(), key),
        ("rows".to_owned(), format!("{} compared with the entries that wrote them", checked.rows).into()),
        ("files".to_owned(), format!("{}, {}", checked.files, bytes(checked.bytes)).into()),
    ];
    if checked.erased > 0 {
        lines.push(("erased".to_owned(), format!("the bodies of {} entries", checked.erased).into()));
    }
    for anchor in &checked.anchors {
        let from = if anchor.from == "remembered" { "the head remembered here" } else { &anchor.from };
        let (said, ink) = match anchor.standing {
            "continued" => ("it is in the backup", Ink::Good),
            "ahead" => ("it is AHEAD of the backup", Ink::Warn),
            _ => ("it is of ANOTHER history", Ink::Bad),
        };
        lines.push(("anchor".to_owned(), Word::new(format!("{from}, of {} entries: {said}", anchor.size), ink)));
    }
    lines.extend(contents(&checked.sealed, &checked.sealed_to, &checked.left_out));
    let mut out = facts_of(looks, &lines);
    for problem in &checked.problems {
        let head = looks.ink(Ink::Bad, "changed:");
        out += &format!("{head} {}: {}\n", shown(&problem.path), shown(&problem.why));
    }
    for finding in &checked.findings {
        let head = looks.ink(Ink::Bad, &format!("finding: {}", finding.code));
        out += &format!("{head} at {}: {}\n", shown(&finding.place), shown(&finding.message));
    }
    let (ink, verdict) = verdict(checked);
    format!("{out}\n{}\n", looks.ink(ink, &looks.wrapped(&verdict, 0, 0)))
}

fn verdict(checked: &Checked) -> (Ink, String) {
    if !checked.holds {
        return (Ink::Bad, "This backup does NOT hold.".to_owned());
    }
    let behind = match checked.behind {
        0 => String::new(),
        n => {
            format!(" It is {n} entries behind a head that is kept: a home that is restored from it starts read-only.")
        }
    };
    let anchored = match checked.anchored {
        0 => "nothing outside vouches for its ledger".to_owned(),
        n => format!("a head kept outside vouches for {n} of its {} entries", checked.entries),
    };
    let ink = if checked.behind > 0 || checked.anchored == 0 { Ink::Warn } else { Ink::Good };
    (ink, format!("Every file is as the manifest says, and the ledger and its rows fit together; {anchored}.{behind}"))
}

fn restored_view(restored: &Restored, looks: Looks) -> String {
    let mut lines = vec![
        ("home".to_owned(), Word::new(&restored.home, Ink::Good)),
        ("of".to_owned(), format!("{}, as of {}", restored.backup.namespace, restored.backup.taken_at).into()),
        ("entries".to_owned(), restored.backup.entries.to_string().into()),
    ];
    if restored.rolled_back {
        lines.push(("state".to_owned(), Word::new("ROLLED_BACK: it starts read-only", Ink::Bad)));
    }
    lines
        .extend(restored.missing.iter().map(|one| ("missing".to_owned(), format!("{}: {}", one.path, one.why).into())));
    facts_of(looks, &lines)
}
