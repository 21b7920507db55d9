//! Enrolling and disabling people.

use steward_app_node::{Caller, Context, Error, Kind, code, rows::open_reviews_of_person, void};
use steward_ledger::kind;
use steward_naming::Label;
use steward_permit::{Actor, DenialCode, ResourceKind, Role, Scope};
use steward_store::Guard;

use crate::{
    authenticate::is_link_of,
    holder::Holder,
    keys::{Created, LOGIN_LIFETIME_S, NewKey, draft},
    rows::{self, KeyRow, PersonRow},
};

/// The most reviews that end in the commit that disables somebody; the rest end right after.
const MAX_VOIDED: u32 = 500;

/// The most of them.
const MAX_OPEN: u32 = 100_000;

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

/// What the key of a rescue is called.
const RESCUE: &str = "rescue";

fn new_person(context: &Context, name: Label, mut roles: Vec<Role>) -> Result<PersonRow, Error> {
    if roles.is_empty() {
        return Err(Error::invalid("`roles` is empty: viewer, operator, reviewer and admin are known"));
    }
    roles.sort();
    roles.dedup();
    Ok(PersonRow {
        namespace: context.namespace.clone(),
        name,
        roles,
        active: true,
        added_at: context.now(),
        entry_seq: 0,
    })
}

/// Enrols a person.
///
/// # Errors
/// It is not allowed, or the name is in use.
pub async fn add(context: &Context, caller: &Caller, name: Label, roles: Vec<Role>) -> Result<PersonRow, Error> {
    let person = new_person(context, name, roles)?;
    let action = context.action("person.add", ResourceKind::Person, person.name.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let key = PersonRow::key(&person.namespace, &person.name);
    if context.store.read(|r| rows::person(r, &person.namespace, &person.name))?.is_some() {
        let message = format!("there is a person `{}` already; names are not given twice", person.name);
        return Err(Error::new(Kind::Taken, code::NAME_TAKEN, message));
    }
    let change = context
        .change(caller, granted, kind::PERSON_ADDED, person.name.as_str())
        .guard(Guard::absent("person", key))
        .row(person.row());
    let done = context.commit(change).await?;
    Ok(PersonRow { entry_seq: done.recorded.seq, ..person })
}

/// Gives the node's operator a way in when there is none: enrols the first person, or, when no administrator has a key that is
/// good, makes another log-in key for the first of them. The node's own act, recorded as such. Does nothing otherwise.
///
/// # Errors
/// The policy does not let the node do it.
pub async fn bootstrap(context: &Context, name: Label, roles: Vec<Role>) -> Result<Option<Created>, Error> {
    let (everybody, keys) = context.store.read(|reader| {
        let mut keys = rows::api_keys(reader, &context.namespace, None)?;
        let mut stand = Vec::new();
        for key in keys.drain(..) {
            let stands = match &key.through {
                None => true,
                // One that came from an issuer is good as long as its link is.
                Some(through) => {
                    let link = rows::link(reader, &context.namespace, &through.issuer, &through.subject)?;
                    context.issuers.named(&through.issuer).is_some() && link.is_some_and(|link| is_link_of(&link, &key))
                }
            };
            if stands {
                stand.push(key);
            }
        }
        Ok::<_, Error>((rows::people(reader, &context.namespace)?, stand))
    })?;
    let now = context.now();
    let has_key = |person: &PersonRow| {
        let holder = Holder::Person(person.name.clone());
        // A way in is a key that can make others. A log-in key may have been lost before anybody saw it, but for one of a rescue: somebody
        // has just made it, and it is not to be put in the shade by another.
        keys.iter().filter(|key| key.holder == holder && key.status == "active" && now < key.expires_at).any(|key| {
            let makes_others = key.scopes.contains(&Scope::All) || key.scopes.contains(&Scope::Keys);
            let is_rescue = key.label == RESCUE && key.scopes.contains(&Scope::Login);
            (makes_others && !key.single_use) || is_rescue
        })
    };
    let mut admins = everybody.iter().filter(|p| p.active && p.roles.contains(&Role::Admin));
    let person = match admins.clone().next() {
        _ if admins.any(has_key) => return Ok(None),
        Some(admin) => admin.clone(),
        None => new_person(context, name, roles)?,
    };
    let node = Caller::node(&context.namespace);
    let created = draft(context, way_in(&person.name, "first log-in"), None)?;
    let action = context.action("key.bootstrap", ResourceKind::Person, person.name.as_str())?;
    let granted = context.permit(&node, action, None).await?;
    let change = if person.entry_seq == 0 && !everybody.iter().any(|p| p.name == person.name) {
        context
            .change(&node, granted, kind::PERSON_ADDED, person.name.as_str())
            .guard(Guard::absent("person", PersonRow::key(&person.namespace, &person.name)))
            .row(person.row())
    } else {
        context.change(&node, granted, kind::KEY_CREATED, created.key.id.as_str()).guard(person.guard())
    };
    context.commit(change.row(created.key.row())).await?;
    Ok(Some(created))
}

/// A log-in key that the node makes by itself.
fn way_in(name: &Label, label: &str) -> NewKey {
    NewKey {
        holder: Holder::Person(name.clone()),
        holder_guard: None,
        label: label.to_owned(),
        scopes: vec![Scope::Login],
        lifetime_s: LOGIN_LIFETIME_S,
        single_use: true,
    }
}

/// Makes a log-in key for an administrator whose keys are lost or elsewhere: whoever holds the node's home rules the node, and this is on
/// record. The node's own act, for a home whose node does not run.
///
/// # Errors
/// There is no such administrator, the reason is none, or the policy does not let the node do it.
pub async fn rescue(context: &Context, name: &Label, reason: &str) -> Result<Created, Error> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        let message = format!("`reason` says why, on one line of at most {MAX_REASON} characters");
        return Err(Error::invalid(message));
    }
    let everybody = context.store.read(|reader| rows::people(reader, &context.namespace))?;
    let is_admin = |person: &&PersonRow| person.active && person.roles.contains(&Role::Admin);
    let Some(person) = everybody.iter().filter(is_admin).find(|person| person.name == *name) else {
        let admins: Vec<String> =
            everybody.iter().filter(is_admin).map(|person| format!("`{}`", person.name)).collect();
        let message = format!("`{name}` is no administrator who is enrolled; name one: {}", admins.join(", "));
        return Err(Error::new(Kind::Refused, DenialCode::NotPermitted.as_str(), message));
    };
    let created = draft(context, way_in(name, RESCUE), None)?;
    let node = Caller::node(&context.namespace);
    let action = context.action("key.bootstrap", ResourceKind::Person, name.as_str())?;
    let granted = context.permit(&node, action, None).await?;
    let change = context
        .change(&node, granted, kind::KEY_CREATED, created.key.id.as_str())
        .urgent()
        .guard(person.guard())
        .detail("holder", Holder::Person(name.clone()).full_name(context))
        .detail("rescue", reason)
        .row(created.key.row());
    let done = context.commit(change).await?;
    Ok(Created { key: KeyRow { entry_seq: done.recorded.seq, ..created.key }, secret: created.secret })
}

/// Everybody.
///
/// # Errors
/// It is not allowed.
pub async fn people(context: &Context, caller: &Caller) -> Result<Vec<PersonRow>, Error> {
    let action = context.action("person.read", ResourceKind::Person, "*")?;
    context.allow(caller, action, None).await?;
    Ok(context.store.read(|r| rows::people(r, &context.namespace))?)
}

/// Disables a person: from the commit on, none of their keys is good for anything.
///
/// # Errors
/// There is nobody of that name, it is not allowed, or they are the last administrator.
pub async fn disable(context: &Context, caller: &Caller, name: &Label) -> Result<PersonRow, Error> {
    let action = context.action("person.disable", ResourceKind::Person, name.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let everybody = context.store.read(|r| rows::people(r, &context.namespace))?;
    let is_admin = |p: &&PersonRow| p.active && p.roles.contains(&Role::Admin);
    let row = everybody.iter().find(|p| p.name == *name);
    let row = row.cloned().ok_or_else(|| Error::not_found(format!("person `{name}`")))?;
    if !row.active {
        return Ok(row);
    }
    let others: Vec<&PersonRow> = everybody.iter().filter(is_admin).filter(|p| p.name != *name).collect();
    if others.is_empty() && is_admin(&&row) {
        let message = "this is the last administrator; enrol another first, so that somebody can manage this node";
        return Err(Error::new(Kind::Refused, code::LAST_ADMIN, message));
    }
    let disabled = PersonRow { active: false, ..row.clone() };
    // What they asked for, and what they approved, nobody does any more.
    let full_name = format!("{name}@{}", context.namespace);
    let open = |most| context.store.read(|reader| open_reviews_of_person(reader, &full_name, most));
    let why = format!("`{full_name}` was disabled");
    // One other administrator must still be there, or two who disable each other would leave nobody.
    let change = context
        .change(caller, granted, kind::PERSON_DISABLED, name.as_str())
        .urgent()
        .guard(row.guard())
        .guards(others.first().map(|p| p.guard()))
        .row(disabled.row());
    let voided = open(MAX_VOIDED)?.into_iter().filter_map(|review| void(&review, &why, context.now()));
    let change = voided.fold(change, |change, (row, guard)| change.guard(guard).row(row));
    let done = context.commit(change).await?;
    context.tell_reviewed();
    // What one entry does not hold; each by itself.
    for review in open(MAX_OPEN)? {
        context.void_review(&review, &why).await?;
    }
    Ok(PersonRow { entry_seq: done.recorded.seq, ..disabled })
}

/// A person as an actor.
///
/// # Errors
/// There is nobody of that name who is active.
pub fn actor(context: &Context, name: &Label) -> Result<Actor, Error> {
    let person = context.store.read(|r| rows::person(r, &context.namespace, name))?;
    let person = person.filter(|p| p.active).ok_or_else(|| Error::not_found(format!("active person `{name}`")))?;
    Ok(crate::authenticate::actor_of(&person))
}
