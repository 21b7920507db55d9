//! `steward login`: a login key, or a log-in at a provider, becomes a key of one's own, which is kept outside the node's home.

use std::{fs, io, path::PathBuf};

use clap::Args;
use steward_caller::Secret;
use steward_wire::Login;

use crate::{
    failure::Failure,
    heads::{self, Watch},
    home::{read_bounded, read_small},
    memory::Credential,
    session::Session,
    show::{Looks, Word, facts},
    verbs::sign_in,
};

/// The most bytes of a key's file that are read.
const MAX_KEY_BYTES: usize = 4096;

/// Gets a key of one's own.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The file with the login key [default: login.key in the node's home]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Read the login key from standard input
    #[arg(long, conflicts_with = "key_file")]
    key_stdin: bool,
    /// Log in at the provider of OpenID Connect that the node trusts, by a browser
    #[arg(long, conflicts_with_all = ["key_file", "key_stdin"])]
    pub(crate) oidc: bool,
    /// The same, where the node trusts several: the provider's address
    #[arg(long, value_name = "URL", conflicts_with_all = ["key_file", "key_stdin"])]
    pub(crate) issuer: Option<String>,
    /// The same without a browser on this machine: type a code on another
    #[arg(long, conflicts_with_all = ["key_file", "key_stdin"])]
    pub(crate) device: bool,
    /// What your new key is called in lists [default: the name of this machine]
    #[arg(long)]
    label: Option<String>,
    /// Put aside what is remembered of an earlier node in the same place: its key and its tree heads
    #[arg(long)]
    forget: bool,
}

/// Logs in. `--json` prints the new key's `KeyRecord`; its secret is kept and not shown.
pub(crate) async fn log_in(session: &mut Session, args: LoginArgs) -> Result<(), Failure> {
    let whereabouts = session.whereabouts()?;
    let (memory, node) = (session.memory()?, session.node_memory()?);
    let in_home = session.home().ok().map(|home| home.join("login.key"));
    let is_by_provider = args.oidc || args.device || args.issuer.is_some();

    // The ledger is looked at before the login key is spent, so that a refusal costs nothing.
    let caller = if is_by_provider {
        None
    } else {
        let secret = login_key(session, &args, in_home.as_deref())?;
        Some(session.caller_of(&whereabouts.address, Some(secret))?)
    };
    let stranger = session.stranger()?;
    let vkey = stranger.ledger_vkey().await?.vkey;
    let key = heads::parse(&vkey)?;
    if args.forget {
        if let Some(earlier) = heads::pinned(&node)?.and_then(|vkey| heads::parse(&vkey).ok()) {
            memory.ledger(earlier.name()).forget()?;
        }
        memory.ledger(key.name()).forget()?;
    } else if let Some(pinned) = heads::pinned(&node)?
        && pinned != vkey
    {
        return Err(heads::other_key(key.name(), &pinned, &vkey));
    }
    let watch = Watch::with_key(&memory, key)?;
    let head = stranger.ledger_head().await?;
    watch.glance(&head.note)?;

    let label = args.label.clone().unwrap_or_else(machine);
    let created = match &caller {
        Some(caller) => caller.login(&Login { label }).await?,
        None => sign_in::by_provider(session, &stranger, &args, label).await?,
    };
    let credential = Credential {
        secret: Secret::new(&created.secret),
        holder: created.key.holder.clone(),
        label: created.key.label.clone(),
        vkey: vkey.clone(),
    };
    node.keep_credential(&credential)?;
    node.keep_vkey(&vkey)?;
    let known = session.caller_of(&whereabouts.address, Some(credential.secret))?;
    watch.see(&head.note, &known).await?;
    if let (Some(file), false, None) = (&in_home, args.key_stdin || is_by_provider, &args.key_file) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                session.show.aside(&format!("`{}` was used and can be removed: {error}", file.display()));
            }
            _ => {}
        }
    }
    session.show.answer(&created.key, |key, looks| view(key, &vkey, &whereabouts.address, looks))?;
    let next = [session.command("node status"), session.command("agent list")];
    session.show.aside(&format!("next: `{}`, `{}`", next[0], next[1]));
    Ok(())
}

fn view(key: &steward_wire::KeyRecord, vkey: &str, address: &str, looks: Looks) -> String {
    facts(
        looks,
        [
            ("logged in as", Word::new(&key.holder, crate::show::Ink::Good)),
            ("at", address.into()),
            ("key", format!("{} ({})", key.id, key.label).into()),
            ("until", (&key.expires_at).into()),
            ("ledger key", vkey.into()),
        ],
    )
}

fn login_key(session: &Session, args: &LoginArgs, in_home: Option<&std::path::Path>) -> Result<Secret, Failure> {
    let bytes = if args.key_stdin {
        read_bounded(io::stdin().lock(), MAX_KEY_BYTES)
            .map_err(|e| Failure::refused(format!("cannot read the login key from standard input: {e}")))?
    } else {
        let file = args.key_file.as_deref().or(in_home);
        let file =
            file.ok_or_else(|| Failure::misused("it is not known where the login key is; give --key-file FILE"))?;
        read_small(file, MAX_KEY_BYTES).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if args.key_file.is_none() => no_key(session, file),
            _ => Failure::file("read", file, &error),
        })?
    };
    let text = String::from_utf8(bytes).map_err(|_| Failure::misused("the login key is not text"))?;
    match text.trim() {
        "" => Err(Failure::misused("the login key is empty")),
        key => Ok(Secret::new(key)),
    }
}

fn no_key(session: &Session, file: &std::path::Path) -> Failure {
    let logged_in = session.node_memory().ok().and_then(|node| node.credential().ok().flatten());
    match logged_in {
        Some(credential) => {
            Failure::refused(format!("you are logged in already, as {} ({})", credential.holder, credential.label))
                .hint("to log in as somebody else, give their login key with --key-stdin")
        }
        None => Failure::refused(format!("there is no login key in `{}`", file.display())).hint(
            "ask somebody who may manage people for one: `steward key create --person YOU --scope login --single-use`; \
             then give it with --key-stdin. If nobody can, whoever holds the home stops the node and makes one: `steward key rescue \
             ADMINISTRATOR --reason WHY`",
        ),
    }
}

/// The name of this machine.
fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).take(60).collect();
    if name.is_empty() { "terminal".to_owned() } else { name }
}
