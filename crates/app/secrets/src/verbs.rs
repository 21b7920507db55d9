//! What people do with secrets and leases. A value comes in, is sealed, and goes nowhere else: no answer, entry or error holds one.

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_clock::mishap;
use steward_keeper::{GENERATED_BYTES, Keeper, KeeperError, MAX_SECRETS, fitting, generate};
use steward_ledger::kind;
use steward_naming::{Label, LeaseId, Name};
use steward_permit::ResourceKind;
use steward_seal::{Digest, secret::Secret};

use crate::rows::{self, Ended, GrantRow, LeaseFilter, LeaseRow, LeasedTo, SecretRow, Status};

/// The most leases that one answer lists.
pub const MAX_LEASES_LISTED: u32 = 1000;

/// The most agents that a secret is granted to.
const MAX_GRANTS: usize = 256;

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

/// Every agent, as a grant names it.
const EVERYBODY: &str = "*";

/// Where a secret's value comes from.
#[derive(Debug, Clone)]
pub enum Value {
    /// Somebody gives it.
    Given(Secret),
    /// So many bytes of chance.
    Generated(u64),
    /// As the one before: of as many bytes of chance, or made anew for each lease.
    Again,
    /// It has none of its own: this generator makes one for each lease.
    MadeBy(Label),
}

/// A secret, as it is shown: never what it holds.
#[derive(Debug, Clone)]
pub struct SecretView {
    /// The row; none of a secret that is a file.
    pub row: Option<SecretRow>,
    /// Its name.
    pub name: String,
    /// The agents that it was granted to.
    pub grants: Vec<GrantRow>,
    /// How many leases of it are not over.
    pub leases: usize,
}

/// Has the keeper hold what the store has.
///
/// # Errors
/// The store cannot be read.
pub fn hold(context: &Context, keeper: &Keeper) -> Result<(), Error> {
    keeper.hold(|| {
        let all = context.store.read(|reader| rows::secrets(reader, &context.namespace))?;
        Ok(all.iter().map(SecretRow::kept).collect())
    })
}

/// Why, as it may stand in the record.
fn reason(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("`reason` says why, on one line of at most {MAX_REASON} characters")));
    }
    Ok(text.to_owned())
}

fn unkept(error: KeeperError) -> Error {
    let (kind, code) = match &error {
        KeeperError::Locked(_) => (Kind::Unavailable, code::KEYSTORE_LOCKED),
        _ => (Kind::Invalid, code::INVALID_REQUEST),
    };
    Error::new(kind, code, error.to_string())
}

/// What a secret holds.
#[derive(Default)]
struct Holds {
    /// Its value, sealed; none of one whose values are made.
    sealed: Option<Vec<u8>>,
    /// Of how many bytes of chance it is.
    generated: Option<u64>,
    /// Who makes one for each lease.
    made_by: Option<Label>,
}

fn holds(
    context: &Context,
    keeper: &Keeper,
    name: &Label,
    version: u64,
    new: &Value,
    before: Option<&SecretRow>,
) -> Result<Holds, Error> {
    let made_by = match (new, before.and_then(|before| before.made_by.as_ref())) {
        (Value::MadeBy(generator), None) => Some(generator),
        (Value::Again, Some(generator)) => Some(generator),
        (_, Some(_)) => {
            let message = format!(
                "the values of `{name}` are made for each lease: rotate it without one, or revoke it and put it anew"
            );
            return Err(Error::invalid(message));
        }
        (_, None) => None,
    };
    if let Some(generator) = made_by {
        return Ok(Holds { made_by: Some(generator.clone()), ..Holds::default() });
    }
    let (secret, generated) = value(context, name.as_str(), new, before.and_then(|before| before.generated))?;
    let sealed = keeper.seal(name.as_str(), version, &secret, context.dice.as_ref()).map_err(unkept)?;
    Ok(Holds { sealed: Some(sealed), generated, made_by: None })
}

/// The value, and of how many bytes of chance it is.
fn value(context: &Context, name: &str, value: &Value, before: Option<u64>) -> Result<(Secret, Option<u64>), Error> {
    match value {
        Value::Given(secret) => Ok((fitting(name, secret.clone()).map_err(unkept)?, None)),
        Value::MadeBy(_) => Err(Error::broken("it has no value of its own")),
        Value::Generated(bytes) if GENERATED_BYTES.contains(bytes) => {
            Ok((generate(*bytes, context.dice.as_ref()), Some(*bytes)))
        }
        Value::Generated(_) => {
            let (least, most) = (GENERATED_BYTES.start(), GENERATED_BYTES.end());
            Err(Error::invalid(format!("a secret is generated of {least} to {most} bytes of chance")))
        }
        Value::Again => match before {
            Some(bytes) => Ok((generate(bytes, context.dice.as_ref()), Some(bytes))),
            None => Err(Error::invalid(format!("`{name}` was not generated; give its new value, or --generate BYTES"))),
        },
    }
}

fn known(context: &Context, name: &Label) -> Result<SecretRow, Error> {
    let found = context.store.read(|reader| rows::secret(reader, &context.namespace, name))?;
    found.ok_or_else(|| {
        Error::not_found(format!(
            "secret `{name}` in the keystore; `steward secret list` shows them, `steward secret put` adds one"
        ))
    })
}

/// Puts a secret into the keystore. One that was revoked comes back with it.
///
/// # Errors
/// It is not allowed, there is one of that name, there are too many, or the keystore is locked.
pub async fn put(
    context: &Context,
    keeper: &Keeper,
    caller: &Caller,
    name: &str,
    new: &Value,
) -> Result<SecretRow, Error> {
    let name: Label = name.parse()?;
    // Before anything is told of what is there.
    context.allow(caller, context.action("secret.put", ResourceKind::Secret, name.as_str())?, None).await?;
    let all = context.store.read(|reader| rows::secrets(reader, &context.namespace))?;
    let before = all.iter().find(|known| known.name == name);
    let now = context.now();
    let by = caller.actor.full_name();
    let version = before.map_or(1, |before| before.version + 1);
    let Holds { sealed, generated, made_by } = holds(context, keeper, &name, version, new, None)?;
    let row = SecretRow {
        namespace: context.namespace.clone(),
        version,
        status: Status::Active,
        leased_to: before.map_or(LeasedTo::Any, |before| before.leased_to),
        generated,
        created_at: before.map_or(now, |before| before.created_at),
        created_by: before.map_or_else(|| by.clone(), |before| before.created_by.clone()),
        changed_at: now,
        changed_by: by,
        reason: None,
        entry_seq: 0,
        made_by,
        sealed,
        name,
    };
    let granted = permit(context, caller, "secret.put", &row).await?;
    if before.is_some_and(|before| before.status == Status::Active) {
        let message = format!("there is a secret `{0}`; `steward secret rotate {0}` gives it another value", row.name);
        return Err(Error::new(Kind::Taken, code::NAME_TAKEN, message));
    }
    if before.is_none() && all.len() >= MAX_SECRETS {
        return Err(Error::invalid(format!("a node has at most {MAX_SECRETS} secrets")));
    }
    let guard = before.map_or_else(|| SecretRow::absent(&row.namespace, &row.name), SecretRow::guard);
    let change = context.change(caller, granted, kind::SECRET_PUT, row.name.as_str()).guard(guard);
    write(context, keeper, change, row).await
}

/// Gives a secret another value. The one before is erased, and leases of it are replaced when they are needed.
///
/// # Errors
/// It is not allowed, there is no such secret, it was revoked, or the keystore is locked.
pub async fn rotate(
    context: &Context,
    keeper: &Keeper,
    caller: &Caller,
    name: &str,
    new: &Value,
) -> Result<SecretRow, Error> {
    let name: Label = name.parse()?;
    // Before anything is told of what is there.
    context.allow(caller, context.action("secret.rotate", ResourceKind::Secret, name.as_str())?, None).await?;
    let before = known(context, &name)?;
    if before.status == Status::Revoked {
        let message = format!("`{name}` was revoked; `steward secret put {name}` gives it another value");
        return Err(Error::new(Kind::Taken, code::INVALID_REQUEST, message));
    }
    let version = before.version + 1;
    let Holds { sealed, generated, made_by } = holds(context, keeper, &name, version, new, Some(&before))?;
    let row = SecretRow {
        version,
        generated,
        made_by,
        sealed,
        changed_at: context.now(),
        changed_by: caller.actor.full_name(),
        ..before.clone()
    };
    let granted = permit(context, caller, "secret.rotate", &row).await?;
    let change = context.change(caller, granted, kind::SECRET_ROTATED, name.as_str()).guard(before.guard());
    let row = write(context, keeper, change, row).await?;
    mishap::at("secret.rotated").map_err(Error::broken)?;
    Ok(row)
}

/// The permit is for what is written: sealed bytes, of which nobody learns anything, or who makes the values.
async fn permit(
    context: &Context,
    caller: &Caller,
    verb: &'static str,
    row: &SecretRow,
) -> Result<steward_app_node::Granted, Error> {
    let action = context.action(verb, ResourceKind::Secret, row.name.as_str())?;
    let sealed = match (&row.sealed, &row.made_by) {
        (Some(sealed), _) => sealed.as_slice(),
        (None, made_by) => made_by.as_ref().map(Label::as_str).unwrap_or_default().as_bytes(),
    };
    context.permit(caller, action.with_arguments(Digest::of(sealed)), None).await
}

async fn write(
    context: &Context,
    keeper: &Keeper,
    change: steward_store::Change,
    row: SecretRow,
) -> Result<SecretRow, Error> {
    let mut change =
        change.row(row.row()).detail("version", row.version.to_string()).detail("generated", json!(row.generated));
    if let Some(generator) = &row.made_by {
        change = change.detail("made_by", generator.as_str());
    }
    let done = context.commit(change).await?;
    hold(context, keeper)?;
    Ok(SecretRow { entry_seq: done.recorded.seq, ..row })
}

/// Revokes a secret: its value is erased, its leases end, and nothing that needs it is done any more. Gives it as it is now.
///
/// # Errors
/// It is not allowed, there is no such secret, or it was revoked already.
pub async fn revoke(
    context: &Context,
    keeper: &Keeper,
    caller: &Caller,
    name: &str,
    why: &str,
) -> Result<SecretRow, Error> {
    let (name, why): (Label, String) = (name.parse()?, reason(why)?);
    let action = context.action("secret.revoke", ResourceKind::Secret, name.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let before = known(context, &name)?;
    if before.status == Status::Revoked {
        let said = before.reason.unwrap_or_default();
        let message = format!("`{name}` was revoked already, at {}: {said}", before.changed_at);
        return Err(Error::new(Kind::Taken, code::INVALID_REQUEST, message));
    }
    let now = context.now();
    let row = SecretRow {
        status: Status::Revoked,
        sealed: None,
        changed_at: now,
        changed_by: caller.actor.full_name(),
        reason: Some(why.clone()),
        ..before.clone()
    };
    let open = context.store.read(|reader| rows::open_leases_of(reader, &name))?;
    let mut change = context
        .change(caller, granted, kind::SECRET_REVOKED, name.as_str())
        .urgent()
        .guard(before.guard())
        .row(row.row())
        .detail("version", before.version.to_string())
        .detail("reason", why)
        .detail("leases", json!(open.iter().map(|lease| lease.id.as_str()).collect::<Vec<_>>()));
    for lease in open {
        let over = LeaseRow { over: Some((now, Ended::Secret)), ..lease.clone() };
        change = change.guard(lease.guard()).row(over.row());
    }
    let done = context.commit(change).await?;
    hold(context, keeper)?;
    Ok(SecretRow { entry_seq: done.recorded.seq, ..row })
}

/// Grants a secret to an agent, or takes that back. From the first grant on, only runs of agents with one have it; a grant to `*` lets all
/// have it again that policy lets use what needs it.
///
/// # Errors
/// It is not allowed, there is no such secret or agent, or it was granted to too many.
pub async fn grant(
    context: &Context,
    caller: &Caller,
    name: &str,
    to: &str,
    is_granted: bool,
) -> Result<SecretView, Error> {
    let name: Label = name.parse()?;
    let action = context.action("secret.grant", ResourceKind::Secret, name.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let before = known(context, &name)?;
    let grants = context.store.read(|reader| rows::grants(reader, &context.namespace, &name))?;
    let mut change = context.change(caller, granted, kind::SECRET_GRANTED, name.as_str()).guard(before.guard());
    let leased_to = if to == EVERYBODY && is_granted { LeasedTo::Any } else { LeasedTo::Granted };
    // Written anew, so that a lease that was about to be issued is decided again.
    let row = SecretRow { leased_to, ..before };
    change = change.row(row.row()).detail("granted", is_granted);
    if to == EVERYBODY {
        for grant in &grants {
            change = change.guard(grant.guard()).row(grant.gone());
        }
        change = change.detail("to", EVERYBODY);
    } else {
        let agent = Name::resolve(to, &context.namespace)?;
        change = change.detail("to", agent.to_string());
        let known = grants.iter().find(|grant| grant.agent == agent);
        match (known, is_granted) {
            (Some(_), true) => {}
            (Some(known), false) => change = change.guard(known.guard()).row(known.gone()),
            (None, false) => return Err(Error::not_found(format!("grant of `{name}` to `{agent}`"))),
            (None, true) => {
                if !context.store.read(|reader| rows::has_agent(reader, &agent))? {
                    return Err(Error::not_found(format!("agent `{agent}`; `steward agent list` shows them")));
                }
                if grants.len() >= MAX_GRANTS {
                    return Err(Error::invalid(format!("a secret is granted to at most {MAX_GRANTS} agents")));
                }
                let grant = GrantRow {
                    namespace: context.namespace.clone(),
                    secret: name.clone(),
                    agent,
                    granted_by: caller.actor.full_name(),
                    granted_at: context.now(),
                    entry_seq: 0,
                };
                change = change.guard(grant.guard()).row(grant.row());
            }
        }
    }
    context.commit(change).await?;
    view(context, known(context, &name)?)
}

fn view(context: &Context, row: SecretRow) -> Result<SecretView, Error> {
    context.store.read(|reader| {
        let grants = rows::grants(reader, &context.namespace, &row.name)?;
        let leases = rows::open_leases_of(reader, &row.name)?.len();
        Ok(SecretView { name: row.name.to_string(), row: Some(row), grants, leases })
    })
}

/// Every secret, by name: those of the keystore, and files that none of them stands before.
///
/// # Errors
/// It is not allowed, or they cannot be read.
pub async fn list(context: &Context, keeper: &Keeper, caller: &Caller) -> Result<Vec<SecretView>, Error> {
    context.allow(caller, context.action("secret.read", ResourceKind::Secret, "*")?, None).await?;
    let rows = context.store.read(|reader| rows::secrets(reader, &context.namespace))?;
    let mut views = rows.into_iter().map(|row| view(context, row)).collect::<Result<Vec<_>, _>>()?;
    for name in keeper.files().map_err(Error::broken)? {
        let label: Label = name.parse()?;
        let leases = context.store.read(|reader| rows::open_leases_of(reader, &label))?.len();
        views.push(SecretView { row: None, name, grants: Vec::new(), leases });
    }
    views.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(views)
}

/// Leases, newest first.
///
/// # Errors
/// It is not allowed, or they cannot be read.
pub async fn list_leases(context: &Context, caller: &Caller, filter: &LeaseFilter) -> Result<Vec<LeaseRow>, Error> {
    context.allow(caller, context.action("secret.read", ResourceKind::Secret, "*")?, None).await?;
    let limit = if filter.limit == 0 { 100 } else { filter.limit.min(MAX_LEASES_LISTED) };
    let filter = LeaseFilter { limit, ..filter.clone() };
    Ok(context.store.read(|reader| rows::leases(reader, &filter))?)
}

/// Revokes a lease: its run has the secret no more, and gets no other lease of it.
///
/// # Errors
/// It is not allowed, there is no such lease, or it is over.
pub async fn revoke_lease(context: &Context, caller: &Caller, id: &LeaseId, why: &str) -> Result<LeaseRow, Error> {
    let why = reason(why)?;
    let found = context.store.read(|reader| rows::lease(reader, &context.namespace, id))?;
    let asked = found.as_ref().map_or("*", |lease| lease.secret.as_str());
    let action = context.action("secret.lease.revoke", ResourceKind::Secret, asked)?;
    let granted = context.permit(caller, action, None).await?;
    let before = found.ok_or_else(|| Error::not_found(format!("lease `{id}`; `steward lease list` shows them")))?;
    if let Some((at, _)) = before.over {
        return Err(Error::new(Kind::Taken, code::INVALID_REQUEST, format!("{id} is over, since {at}")));
    }
    let row = LeaseRow { over: Some((context.now(), Ended::Person)), ..before.clone() };
    let change = context
        .change(caller, granted, kind::SECRET_LEASE_ENDED, id.as_str())
        .urgent()
        .guard(before.guard())
        .row(row.row())
        .detail("secret", row.secret.as_str())
        .detail("run", row.run.as_str())
        .detail("ended", Ended::Person.as_str())
        .detail("reason", why);
    let done = context.commit(change).await?;
    Ok(LeaseRow { entry_seq: done.recorded.seq, ..row })
}
