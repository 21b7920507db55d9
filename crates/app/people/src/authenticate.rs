//! The door at which a bearer token becomes a caller.

use steward_app_node::{Caller, Context, Error, Kind, Spend, code};
use steward_naming::TraceId;
use steward_permit::{Actor, KeyUse, Scope};

use crate::{
    holder::Holder,
    identify::not_linked,
    links::LinkRow,
    rows::{self, KeyRow, PersonRow},
    secret::Secret,
};

/// What an agent's key needs to know of its agent: loaded by `flows`, which knows both nouns.
pub type LoadAgent<'a> =
    &'a (dyn Fn(&steward_naming::Name) -> Result<Option<(Actor, steward_store::Guard)>, Error> + Sync);

/// Checks a bearer token. The same answer for a token that is malformed, unknown or wrong.
///
/// # Errors
/// The token is no good: unknown, revoked, used, ended, or its holder is disabled.
pub fn authenticate(
    context: &Context,
    token: &str,
    trace: Option<TraceId>,
    agent: LoadAgent<'_>,
) -> Result<Caller, Error> {
    let unknown = || {
        let message = "this needs a key: run `steward login`, or send `Authorization: Bearer stw_…`";
        Error::new(Kind::Unauthenticated, code::UNAUTHENTICATED, message)
    };
    let refused = |code, message: &str| Error::new(Kind::Unauthenticated, code, message);
    let secret: Secret = token.parse().map_err(|_| unknown())?;
    let (row, person, link) = context.store.read(|reader| {
        let row = rows::api_key(reader, &context.namespace, secret.id())?.filter(|row| secret.is_of(&row.secret_hash));
        let person = match row.as_ref().map(|row| &row.holder) {
            Some(Holder::Person(name)) => rows::person(reader, &context.namespace, name)?,
            _ => None,
        };
        let link = match row.as_ref().and_then(|row| row.through.as_ref()) {
            Some(through) => rows::link(reader, &context.namespace, &through.issuer, &through.subject)?,
            None => None,
        };
        Ok::<_, Error>((row, person, link))
    })?;
    let row = row.ok_or_else(unknown)?;
    match row.status.as_str() {
        "active" if context.now() >= row.expires_at => {
            return Err(refused(code::KEY_EXPIRED, "this key has ended; ask for another, or run `steward login`"));
        }
        "active" => {}
        "used" => return Err(refused(code::KEY_USED, "this key was good for one request, and was used")),
        _ => return Err(refused(code::KEY_REVOKED, "this key was revoked; ask for another")),
    }
    let disabled = || refused(code::HOLDER_DISABLED, "the holder of this key is disabled; ask an administrator");
    let (actor, guard) = match &row.holder {
        Holder::Person(_) => {
            let person = person.filter(|p| p.active).ok_or_else(disabled)?;
            (actor_of(&person), person.guard())
        }
        Holder::Agent(name) => agent(name)?.ok_or_else(disabled)?,
    };
    let mut guards = vec![row.guard(), guard];
    if let Some(through) = &row.through {
        // The link that the key came from must stand, with whom it stood, and its issuer be one of ours.
        let link =
            link.filter(|link| is_link_of(link, &row)).filter(|_| context.issuers.named(&through.issuer).is_some());
        guards.push(link.ok_or_else(|| not_linked(&through.issuer, &through.subject))?.guard());
    }
    let key = KeyUse { id: row.id.clone(), scopes: row.scopes.clone() };
    let spend = spend(&row);
    Ok(Caller {
        actor,
        key: Some(key),
        run: None,
        trace,
        chain: Vec::new(),
        joins: None,
        through: row.through.clone(),
        guards,
        spend,
    })
}

/// Whether a link is the one that a key came from. One that was made after the key is another, though it says the same.
pub(crate) fn is_link_of(link: &LinkRow, key: &KeyRow) -> bool {
    Holder::Person(link.person.clone()) == key.holder && !link.is_service && link.entry_seq < key.entry_seq
}

/// A person as an actor.
pub(crate) fn actor_of(person: &PersonRow) -> Actor {
    Actor::Person { namespace: person.namespace.clone(), name: person.name.clone(), roles: person.roles.clone() }
}

/// A key that is good for one request, and every log-in key, is used up by the first change.
fn spend(row: &KeyRow) -> Option<Spend> {
    if !row.single_use && !row.scopes.contains(&Scope::Login) {
        return None;
    }
    let used = KeyRow { status: "used".to_owned(), ..row.clone() };
    Some(Spend { row: used.row(), key: KeyRow::key(&row.namespace, &row.id) })
}
