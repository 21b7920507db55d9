//! `steward secret` and `steward lease`: what tools and models are given, and which run has it now.
//!
//! Deliberately absent: showing a secret. Who put it knows it, and nobody else needs to.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use steward_caller::LeaseQuery;
use steward_wire::{
    GrantSecret, LeaseList, LeaseRecord, PutSecret, Reason, RotateSecret, SecretList, SecretRecord, SecretText,
};

use crate::{
    failure::Failure,
    home::{read_bounded, read_small},
    session::Session,
    show::{Ink, Looks, Word, facts, table},
};

/// The largest secret in bytes, as the node takes them.
const MAX_SECRET_BYTES: usize = 64 << 10;

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Put a secret into the keystore: from a file, from standard input, of chance, or made anew for each lease
    Put(PutArgs),
    /// List all secrets, without what they hold
    List,
    /// Give a secret another value; one that was generated, or is made for each lease, gets another by itself
    Rotate(RotateArgs),
    /// Revoke a secret: its value is erased, and nothing that needs it is done any more
    Revoke {
        /// The secret
        name: String,
        /// Why; recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Grant a secret to an agent: from the first grant on, runs of no other agent have it
    Grant {
        /// The secret
        name: String,
        /// The agent; '*' for every agent that policy lets use what needs it
        #[arg(long, value_name = "AGENT")]
        to: String,
        /// Take it back
        #[arg(long)]
        withdraw: bool,
    },
}

/// Puts one.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// What it is called: small letters, digits and hyphens
    name: String,
    /// The file with the value, of one line [default: standard input]
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Have the node make it of so many bytes of chance, 16 to 1024; nobody ever sees it
    #[arg(long, value_name = "BYTES", conflicts_with = "from_file")]
    generate: Option<u64>,
    /// Have this generator of the node's configuration make a value for each lease, and end it when that is over
    #[arg(long, value_name = "GENERATOR", conflicts_with_all = ["from_file", "generate"])]
    made_by: Option<String>,
}

/// Rotates one.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("value").multiple(false)))]
pub struct RotateArgs {
    /// The secret
    name: String,
    /// The file with the new value, of one line
    #[arg(long, value_name = "FILE", group = "value")]
    from_file: Option<PathBuf>,
    /// Read the new value from standard input
    #[arg(long, group = "value")]
    stdin: bool,
    /// Have the node make it of so many bytes of chance
    #[arg(long, value_name = "BYTES", group = "value")]
    generate: Option<u64>,
}

/// What can be done with leases.
#[derive(Debug, Subcommand)]
pub enum LeaseVerb {
    /// List leases that are not over
    List {
        /// Of this secret
        #[arg(long, value_name = "NAME")]
        secret: Option<String>,
        /// Of this run
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// Revoke a lease: its run has the secret no more
    Revoke {
        /// The lease
        id: String,
        /// Why; recorded
        #[arg(long, value_name = "TEXT", default_value = "no reason was given")]
        reason: String,
    },
}

/// Carries it out. `--json` prints `SecretRecord`, and `SecretList` of a list.
pub(crate) async fn carry_out(session: &mut Session, verb: SecretVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        SecretVerb::Put(args) => {
            let PutArgs { name, from_file: file, generate, made_by } = args;
            let value = match (&file, generate, &made_by) {
                (Some(file), ..) => Some(from_file(file)?),
                (None, None, None) => Some(from_stdin(session)?),
                _ => None,
            };
            let put = caller.put_secret(&PutSecret { name, value, generate, made_by }).await?;
            session.show.answer(&put, secret_view)
        }
        SecretVerb::List => session.show.answer(&caller.secrets().await?, list_view),
        SecretVerb::Rotate(args) => {
            let value = match &args.from_file {
                Some(file) => Some(from_file(file)?),
                None if args.stdin => Some(from_stdin(session)?),
                None => None,
            };
            let rotate = RotateSecret { value, generate: args.generate };
            session.show.answer(&caller.rotate_secret(&args.name, &rotate).await?, secret_view)
        }
        SecretVerb::Revoke { name, reason } => {
            session.show.answer(&caller.revoke_secret(&name, &Reason { reason }).await?, secret_view)
        }
        SecretVerb::Grant { name, to, withdraw } => {
            session.show.answer(&caller.grant_secret(&name, &GrantSecret { to, withdraw }).await?, secret_view)
        }
    }
}

/// Carries it out. `--json` prints `LeaseRecord`, and `LeaseList` of a list.
pub(crate) async fn leases(session: &mut Session, verb: LeaseVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        LeaseVerb::List { secret, run, all } => {
            let query = LeaseQuery { secret, run, all: all.then_some(true), limit: None };
            session.show.answer(&caller.leases(&query).await?, leases_view)
        }
        LeaseVerb::Revoke { id, reason } => {
            session.show.answer(&caller.revoke_lease(&id, &Reason { reason }).await?, lease_view)
        }
    }
}

fn from_file(file: &Path) -> Result<SecretText, Failure> {
    text(read_small(file, MAX_SECRET_BYTES).map_err(|error| Failure::file("read", file, &error))?)
}

fn from_stdin(session: &mut Session) -> Result<SecretText, Failure> {
    if io::stdin().is_terminal() {
        session.show.aside("Type the value, which is shown as you type, then Enter and Ctrl-D.");
    }
    text(
        read_bounded(io::stdin().lock(), MAX_SECRET_BYTES)
            .map_err(|e| Failure::refused(format!("cannot read the value from standard input: {e}")))?,
    )
}

fn text(bytes: Vec<u8>) -> Result<SecretText, Failure> {
    let text = String::from_utf8(bytes).map_err(|_| Failure::misused("the value is not text"))?;
    match text.trim() {
        "" => Err(Failure::misused("the value is empty")),
        text => Ok(SecretText(text.to_owned())),
    }
}

/// Who may have it, in words.
fn leased_to(secret: &SecretRecord) -> String {
    match (secret.leased_to.as_str(), secret.grants.as_slice()) {
        ("any", _) => "any agent that policy lets".to_owned(),
        (_, []) => "nobody".to_owned(),
        (_, grants) => grants.join(", "),
    }
}

fn secret_view(secret: &SecretRecord, looks: Looks) -> String {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    let changed = match (&secret.changed_at, &secret.changed_by) {
        (Some(at), Some(by)) => format!("{at}, by {by}"),
        _ => String::new(),
    };
    facts(
        looks,
        [
            ("secret", Word::new(&secret.name, Ink::Bold)),
            ("status", Word::state(&secret.status)),
            ("version", secret.version.to_string().into()),
            ("generated", secret.generated.map(|n| format!("of {n} bytes of chance")).unwrap_or_default().into()),
            (
                "made by",
                secret.made_by.as_ref().map(|name| format!("{name}, for each lease")).unwrap_or_default().into(),
            ),
            ("for", leased_to(secret).into()),
            ("put", text(&secret.created_at)),
            ("changed", changed.into()),
            ("because", text(&secret.reason)),
            ("entry", secret.entry.map(|n| n.to_string()).unwrap_or_default().into()),
        ],
    )
}

fn list_view(list: &SecretList, looks: Looks) -> String {
    let rows = list.secrets.iter().map(|secret| {
        [
            Word::from(&secret.name),
            Word::state(&secret.status),
            secret.made_by.as_ref().map_or_else(|| secret.kind.clone(), |name| format!("made by {name}")).into(),
            secret.version.to_string().into(),
            secret.leases.to_string().into(),
            leased_to(secret).into(),
            secret.changed_at.as_deref().unwrap_or("-").into(),
        ]
    });
    table(looks, ["secret", "status", "kind", "version", "leases", "for", "changed"], rows)
}

fn lease_view(lease: &LeaseRecord, looks: Looks) -> String {
    facts(
        looks,
        [
            ("lease", Word::new(&lease.id, Ink::Bold)),
            ("secret", format!("{}, version {}", lease.secret, lease.version).into()),
            ("run", (&lease.run).into()),
            ("agent", looks.name(&lease.agent)),
            ("status", Word::state(&lease.status)),
            ("issued", (&lease.issued_at).into()),
            ("until", (&lease.expires_at).into()),
            ("ended", lease.revoked_at.as_deref().unwrap_or_default().into()),
            ("entry", lease.entry.to_string().into()),
        ],
    )
}

fn leases_view(list: &LeaseList, looks: Looks) -> String {
    let rows = list.leases.iter().map(|lease| {
        [
            Word::from(&lease.id),
            (&lease.secret).into(),
            lease.version.to_string().into(),
            Word::state(&lease.status),
            (&lease.run).into(),
            looks.name(&lease.agent),
            (&lease.expires_at).into(),
        ]
    });
    table(looks, ["lease", "secret", "version", "status", "run", "agent", "until"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{LeaseList, LeaseRecord, SecretList, SecretRecord};

    use super::{lease_view, leases_view, list_view, secret_view};
    use crate::show::Looks;

    fn secret() -> SecretRecord {
        SecretRecord {
            name: "wiki".into(),
            kind: "keystore".into(),
            status: "revoked".into(),
            version: 3,
            generated: Some(32),
            made_by: None,
            leased_to: "granted".into(),
            grants: vec!["scribe.acme.internal".into()],
            leases: 1,
            created_at: Some("2026-11-20T20:14:27.123Z".into()),
            changed_at: Some("2026-11-21T20:14:27.123Z".into()),
            changed_by: Some("adam@acme.internal".into()),
            reason: Some("it leaked".into()),
            entry: Some(7),
        }
    }

    #[test]
    fn secrets_as_they_look() {
        expect![[r#"
            secret     wiki
            status     revoked
            version    3
            generated  of 32 bytes of chance
            for        scribe.acme.internal
            put        2026-11-20T20:14:27.123Z
            changed    2026-11-21T20:14:27.123Z, by adam@acme.internal
            because    it leaked
            entry      7
        "#]]
        .assert_eq(&secret_view(&secret(), Looks::default()));
        let file = SecretRecord {
            name: "old".into(),
            kind: "file".into(),
            status: "active".into(),
            version: 0,
            generated: None,
            made_by: None,
            leased_to: "any".into(),
            grants: Vec::new(),
            leases: 0,
            created_at: None,
            changed_at: None,
            changed_by: None,
            reason: None,
            entry: None,
        };
        let made = SecretRecord {
            name: "db".into(),
            made_by: Some("postgres".into()),
            entry: Some(9),
            version: 1,
            ..file.clone()
        };
        expect![[r#"
            secret   db
            status   active
            version  1
            made by  postgres, for each lease
            for      any agent that policy lets
            entry    9
        "#]]
        .assert_eq(&secret_view(&made, Looks::default()));
        expect![[r#"
            secret  status   kind              version  leases  for                         changed
            db      active   made by postgres  1        0       any agent that policy lets  -
            old     active   file              0        0       any agent that policy lets  -
            wiki    revoked  keystore          3        1       scribe.acme.internal        2026-11-21T20:14:27.123Z
        "#]]
        .assert_eq(&list_view(&SecretList { secrets: vec![made, file, secret()] }, Looks::default()));
    }

    #[test]
    fn leases_as_they_look() {
        let lease = LeaseRecord {
            id: "lse_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into(),
            secret: "wiki".into(),
            version: 3,
            run: "run_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into(),
            agent: "scribe.acme.internal".into(),
            status: "active".into(),
            issued_at: "2026-11-20T20:14:27.123Z".into(),
            expires_at: "2026-11-20T20:44:27.123Z".into(),
            revoked_at: None,
            entry: 9,
        };
        expect![[r#"
            lease   lse_01KAHW5V8NQ4Z0M7C2R9T3XBYD
            secret  wiki, version 3
            run     run_01KAHW5V8NQ4Z0M7C2R9T3XBYD
            agent   scribe.acme.internal
            status  active
            issued  2026-11-20T20:14:27.123Z
            until   2026-11-20T20:44:27.123Z
            entry   9
        "#]]
        .assert_eq(&lease_view(&lease, Looks::default()));
        expect![[r#"
            lease                           secret  version  status  run                             agent                 until
            lse_01KAHW5V8NQ4Z0M7C2R9T3XBYD  wiki    3        active  run_01KAHW5V8NQ4Z0M7C2R9T3XBYD  scribe.acme.internal  2026-11-20T20:44:27.123Z
        "#]].assert_eq(&leases_view(&LeaseList { leases: vec![lease] }, Looks::default()));
    }
}
