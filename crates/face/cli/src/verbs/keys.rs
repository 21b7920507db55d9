//! `steward key`.

use clap::{Args, Subcommand};
use steward_wire::{CreateKey, CreatedKey, KeyList, KeyRecord};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, facts, table},
    times::duration_ms,
};

/// How long a login key is good for: a day is enough to walk over.
pub(crate) const LOGIN_LIFETIME_S: u64 = 24 * 3600;

/// What can be done about keys.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Make a key; its secret is shown this once
    Create {
        /// The person it is for; you, if neither person nor agent is said
        #[arg(long, value_name = "NAME", conflicts_with = "agent")]
        person: Option<String>,
        /// The agent it is for
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// What it is called in lists
        #[arg(long)]
        label: String,
        /// all, read, act, agents, people, keys, policy or login; several are allowed
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// How long it is good for: 12h, 30d [default: 90d; for the scope login 1d]
        #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
        expires: Option<u64>,
        /// Good for one request only
        #[arg(long)]
        single_use: bool,
    },
    /// List keys, without their secrets
    List,
    /// Revoke a key at once
    Revoke {
        /// Its id: key_…
        id: String,
    },
    /// Make a login key for an administrator when nobody can log in any more, with the node stopped
    Rescue(RescueArgs),
}

/// Whose way in is to be made, and why.
#[derive(Debug, Args)]
pub struct RescueArgs {
    /// An administrator who is enrolled
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Why, in words; it is recorded
    #[arg(long, value_name = "WHY")]
    pub reason: String,
}

pub(crate) async fn carry_out(session: &mut Session, verb: KeyVerb) -> Result<(), Failure> {
    if let KeyVerb::Rescue(_) = verb {
        return Err(Failure::misused("a way in is not made from here").hint("run the program `steward`"));
    }
    let caller = session.caller()?;
    match verb {
        KeyVerb::Create { person, agent, label, scopes, expires, single_use } => {
            let lifetime_s = expires.map(|ms| ms / 1000);
            let created =
                caller.create_key(&CreateKey { person, agent, label, scopes, lifetime_s, single_use }).await?;
            session.show.answer(&created, created_view)?;
            session.show.aside("The secret is shown this once; only its hash is kept.");
            Ok(())
        }
        KeyVerb::List => session.show.answer(&caller.keys().await?, list_view),
        KeyVerb::Revoke { id } => session.show.answer(&caller.revoke_key(&id).await?, key_view),
        KeyVerb::Rescue(_) => Ok(()),
    }
}

fn created_view(created: &CreatedKey, looks: Looks) -> String {
    let secret = facts(looks, [("secret    ", Word::new(&created.secret, Ink::Warn))]);
    key_view(&created.key, looks) + &secret
}

fn key_view(key: &KeyRecord, looks: Looks) -> String {
    facts(
        looks,
        [
            ("key", Word::new(&key.id, Ink::Bold)),
            ("holder", format!("{} ({})", key.holder, key.holder_kind).into()),
            ("label", (&key.label).into()),
            ("scopes", scopes(key).into()),
            ("status", Word::state(&key.status)),
            ("created", (&key.created_at).into()),
            ("expires", (&key.expires_at).into()),
            ("entry     ", key.entry.to_string().into()),
        ],
    )
}

fn scopes(key: &KeyRecord) -> String {
    let once = if key.single_use { " (once)" } else { "" };
    key.scopes.join(", ") + once
}

fn list_view(list: &KeyList, looks: Looks) -> String {
    let rows = list.keys.iter().map(|k| {
        [
            Word::from(&k.id),
            looks.name(&k.holder),
            (&k.label).into(),
            scopes(k).into(),
            Word::state(&k.status),
            looks.time(&k.expires_at),
        ]
    });
    table(looks, ["key", "holder", "label", "scopes", "status", "expires"], rows)
}
