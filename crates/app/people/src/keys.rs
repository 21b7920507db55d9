//! Making, listing and revoking keys.

use steward_app_node::{Caller, Context, Error, Kind, Through, code};
use steward_ledger::kind;
use steward_naming::KeyId;
use steward_permit::{ResourceKind, Scope};
use steward_policy::Gives;
use steward_store::Guard;

use crate::{
    holder::Holder,
    rows::{self, KeyRow},
    secret::Secret,
};

/// How long a key is good for if nobody says: 90 days, in seconds.
pub const DEFAULT_LIFETIME_S: u64 = 90 * 24 * 3600;

/// How long a key for logging in is good for if nobody says: a day, in seconds.
pub const LOGIN_LIFETIME_S: u64 = 24 * 3600;

/// The longest that a key is good for: a year, in seconds.
pub const MAX_LIFETIME_S: u64 = 366 * 24 * 3600;

/// The longest label of a key, in characters.
const MAX_LABEL: usize = 64;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose it will be.
    pub holder: Holder,
    /// That the holder is still there when it is made.
    pub holder_guard: Option<Guard>,
    /// What it will be called.
    pub label: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// How long it is good for, in seconds.
    pub lifetime_s: u64,
    /// Good for one request only.
    pub single_use: bool,
}

/// A key that was made, with the secret that is shown once.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub key: KeyRow,
    /// Its secret.
    pub secret: Secret,
}

pub(crate) fn draft(context: &Context, new: NewKey, through: Option<&Through>) -> Result<Created, Error> {
    let label = new.label.trim();
    if label.is_empty() || label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
        return Err(Error::invalid(
            "`label` has 1 to 64 characters and no control characters: say what the key is for",
        ));
    }
    if new.scopes.is_empty() {
        return Err(Error::invalid("`scopes` is empty: a key without a scope is good for nothing"));
    }
    if new.scopes.contains(&Scope::Login) && (new.scopes.len() > 1 || !new.single_use) {
        return Err(Error::invalid("the scope `login` stands alone, and on keys that are good for one request"));
    }
    if new.lifetime_s == 0 || new.lifetime_s > MAX_LIFETIME_S {
        return Err(Error::invalid("`lifetime_s` is 1 to 31622400 seconds (366 days)"));
    }
    let now = context.now();
    let id = KeyId::new(now, context.dice.as_ref());
    let secret = Secret::new(id.clone(), context.dice.as_ref());
    let key = KeyRow {
        namespace: context.namespace.clone(),
        id,
        holder: new.holder,
        label: label.to_owned(),
        scopes: new.scopes,
        secret_hash: secret.hash().to_string(),
        single_use: new.single_use,
        status: "active".to_owned(),
        created_at: now,
        expires_at: now.plus_ms(new.lifetime_s * 1000),
        through: through.cloned().map(Box::new),
        entry_seq: 0,
    };
    Ok(Created { key, secret })
}

/// Makes a key.
///
/// # Errors
/// It is not allowed, or the request is wrong.
pub async fn create_key(context: &Context, caller: &Caller, new: NewKey) -> Result<Created, Error> {
    let holder_guard = match &new.holder {
        Holder::Person(name) => {
            let person = context.store.read(|r| rows::person(r, &context.namespace, name))?;
            let person =
                person.filter(|p| p.active).ok_or_else(|| Error::not_found(format!("active person `{name}`")))?;
            Some(person.guard())
        }
        Holder::Agent(_) => new.holder_guard.clone(),
    };
    let owner = new.holder.full_name(context);
    // Who came in by an issuer's word stays bound to it: the key ends with the link, like the one that made it.
    let through = caller.through.as_deref().filter(|_| owner == caller.actor.full_name());
    let created = draft(context, new, through)?;
    let action = context.action("key.create", ResourceKind::Key, created.key.id.as_str())?;
    let gives = Gives { scopes: Some(created.key.scopes.clone()), tier: None };
    let granted = context.permit_giving(caller, action, Some(owner.clone()), gives).await?;
    let change = context
        .change(caller, granted, kind::KEY_CREATED, created.key.id.as_str())
        .guards(holder_guard)
        .detail("holder", owner)
        .row(created.key.row());
    let done = context.commit(change).await?;
    Ok(Created { key: KeyRow { entry_seq: done.recorded.seq, ..created.key }, secret: created.secret })
}

/// Exchanges a log-in key for one that lasts. The log-in key is used up in the same transaction, so that of many who try
/// at once one wins.
///
/// # Errors
/// The caller did not come with a log-in key, or was not the first.
pub async fn exchange(context: &Context, caller: &Caller, label: String) -> Result<Created, Error> {
    if caller.spend.is_none() {
        let message = "only a single-use log-in key can be exchanged; ask an administrator for one";
        return Err(Error::new(Kind::Refused, code::NOT_A_LOGIN_KEY, message));
    }
    let holder = Holder::of(caller)?;
    let owner = holder.full_name(context);
    let new = NewKey {
        holder,
        holder_guard: None,
        label,
        scopes: vec![Scope::All],
        lifetime_s: DEFAULT_LIFETIME_S,
        single_use: false,
    };
    let created = draft(context, new, caller.through.as_deref())?;
    let action = context.action("key.exchange", ResourceKind::Key, created.key.id.as_str())?;
    let granted = context.permit(caller, action, Some(owner)).await?;
    let change = context.change(caller, granted, kind::KEY_EXCHANGED, created.key.id.as_str()).row(created.key.row());
    let done = context.commit(change).await?;
    Ok(Created { key: KeyRow { entry_seq: done.recorded.seq, ..created.key }, secret: created.secret })
}

/// One key, without asking whether the caller may see it.
///
/// # Errors
/// There is no such key.
pub fn key(context: &Context, id: &KeyId) -> Result<KeyRow, Error> {
    let row = context.store.read(|r| rows::api_key(r, &context.namespace, id))?;
    row.ok_or_else(|| Error::not_found(format!("key `{id}`")))
}

/// All keys if the caller may see them, else the caller's own.
///
/// # Errors
/// It is not allowed.
pub async fn keys(context: &Context, caller: &Caller) -> Result<Vec<KeyRow>, Error> {
    let all = context.action("key.read", ResourceKind::Key, "*")?;
    let holder = if context.would_allow(caller, all, None) {
        None
    } else {
        let own = Holder::of(caller)?;
        let action = context.action("key.read", ResourceKind::Key, "own")?;
        context.allow(caller, action, Some(own.full_name(context))).await?;
        Some(own)
    };
    Ok(context.store.read(|r| rows::api_keys(r, &context.namespace, holder.as_ref()))?)
}

/// Revokes a key. Revoking it again changes nothing.
///
/// # Errors
/// There is no such key, or it is not allowed.
pub async fn revoke_key(context: &Context, caller: &Caller, id: &KeyId) -> Result<KeyRow, Error> {
    let row = context.store.read(|r| rows::api_key(r, &context.namespace, id))?;
    let owner = row.as_ref().map(|row| row.holder.full_name(context));
    let action = context.action("key.revoke", ResourceKind::Key, id.as_str())?;
    let granted = context.permit(caller, action, owner).await?;
    let row = row.ok_or_else(|| Error::not_found(format!("key `{id}`")))?;
    if row.status == "revoked" {
        return Ok(row);
    }
    // A key that is good for one request, and revokes itself, is revoked: its row is written once.
    let used_up = Caller { spend: None, ..caller.clone() };
    let caller = if caller.key.as_ref().is_some_and(|key| key.id == *id) { &used_up } else { caller };
    let revoked = KeyRow { status: "revoked".to_owned(), ..row.clone() };
    let change =
        context.change(caller, granted, kind::KEY_REVOKED, id.as_str()).urgent().guard(row.guard()).row(revoked.row());
    let done = context.commit(change).await?;
    Ok(KeyRow { entry_seq: done.recorded.seq, ..revoked })
}
