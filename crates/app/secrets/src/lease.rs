//! Leases: that a run has a secret, for as long as its tier's credentials last.
//!
//! Deliberately absent: deciding whether the tool or the model may be called (policy did, before), and the run itself (whose step gives
//! what is renewed or ended with it).

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Kind};
use steward_clock::Timestamp;
use steward_keeper::Keeper;
use steward_ledger::kind;
use steward_naming::{Label, LeaseId, Name, RunId, TraceId};
use steward_permit::{DenialCode, ResourceKind};
use steward_store::{Guard, Reader, Row};

use crate::{
    making::Made,
    rows::{self, Ended, LeaseRow, LeasedTo, SecretRow, Status},
};

/// A run that needs a secret.
#[derive(Debug, Clone)]
pub struct Asks {
    /// Its agent.
    pub agent: Name,
    /// The run.
    pub run: RunId,
    /// What joins its entries.
    pub trace: TraceId,
    /// How long its credentials last, in milliseconds.
    pub lifetime_ms: u64,
    /// What must still hold of it: it is live, and its agent is not revoked.
    pub holds: Vec<Guard>,
}

/// Why a run has no lease of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unleased {
    /// The code.
    pub code: DenialCode,
    /// The same in words.
    pub why: String,
}

/// What must still hold of a secret, and of its lease, when something is done with it.
pub type Needs = Vec<Guard>;

/// A lease that a run has.
#[derive(Debug, Clone)]
pub struct Has {
    /// What must still hold.
    pub needs: Needs,
    /// The lease.
    pub lease: LeaseId,
}

/// What was found when a run needs a secret.
#[derive(Debug)]
pub enum Found {
    /// It has a lease.
    Has(Has),
    /// It may have one.
    Lacks(Lacks),
}

/// What a lease is issued from.
#[derive(Debug)]
pub struct Lacks {
    pub(crate) secret: Label,
    pub(crate) version: u64,
    pub(crate) as_it_is: Guard,
    /// The generator that makes a value for it, if it is made for each lease.
    pub(crate) made_by: Option<Label>,
    before: Option<Box<LeaseRow>>,
}

impl Lacks {
    /// Whether a value is made for it.
    pub fn is_made(&self) -> bool {
        self.made_by.is_some()
    }
}

/// A secret, if an agent may have it.
fn usable(
    context: &Context,
    reader: &Reader<'_>,
    agent: &Name,
    name: &Label,
) -> Result<Result<Option<SecretRow>, Unleased>, Error> {
    let Some(secret) = rows::secret(reader, &context.namespace, name)? else { return Ok(Ok(None)) };
    if secret.status == Status::Revoked {
        let why = format!(
            "the secret `{name}` that it needs was revoked; an administrator gives it another value: `steward secret put {name}`"
        );
        return Ok(Err(Unleased { code: DenialCode::SecretRevoked, why }));
    }
    let is_granted = secret.leased_to == LeasedTo::Any
        || rows::grants(reader, &context.namespace, name)?.iter().any(|grant| grant.agent == *agent);
    if is_granted {
        return Ok(Ok(Some(secret)));
    }
    let why = format!(
        "the secret `{name}` that it needs was granted to others; an administrator grants it: `steward secret grant {name} --to {}`",
        agent.label()
    );
    Ok(Err(Unleased { code: DenialCode::SecretNotGranted, why }))
}

/// Whether an agent may use what needs a secret, in a run or in none: what must still hold then.
///
/// # Errors
/// The name is none, or the store cannot be read.
pub fn may_use(context: &Context, agent: &Name, name: &str, in_run: bool) -> Result<Result<Needs, Unleased>, Error> {
    let name: Label = name.parse()?;
    let found = context.store.read(|reader| usable(context, reader, agent, &name))?;
    Ok(match found {
        Ok(Some(secret)) if secret.is_made() && !in_run => {
            let why = format!(
                "the values of the secret `{name}` that it needs are made for the leases of runs, and it is in none; ask in a run"
            );
            Err(Unleased { code: DenialCode::SecretNeedsRun, why })
        }
        Ok(Some(secret)) => Ok(vec![secret.guard()]),
        Ok(None) => Ok(vec![SecretRow::absent(&context.namespace, &name)]),
        Err(unleased) => Err(unleased),
    })
}

/// Whether a run has a lease of a secret, or may have one.
///
/// # Errors
/// The name is none, or the store cannot be read.
pub fn look(context: &Context, keeper: &Keeper, asks: &Asks, name: &str) -> Result<Result<Found, Unleased>, Error> {
    let name: Label = name.parse()?;
    let now = context.now();
    context.store.read(|reader| {
        let secret = match usable(context, reader, &asks.agent, &name)? {
            Ok(secret) => secret,
            Err(unleased) => return Ok(Err(unleased)),
        };
        let (version, as_it_is) = match &secret {
            Some(secret) => (secret.version, secret.guard()),
            None => (0, SecretRow::absent(&context.namespace, &name)),
        };
        let made_by = secret.filter(SecretRow::is_made).and_then(|secret| secret.made_by);
        // A value that was made is in memory; of a process that died, or once it is being ended, it is not.
        let is_there = |lease: &LeaseRow| made_by.is_none() || keeper.made(lease.id.as_str()).is_some();
        let before = rows::lease_of(reader, &asks.run, &name)?;
        match before {
            Some(LeaseRow { over: Some((_, Ended::Person)), id, .. }) => {
                let why = format!(
                    "a person revoked {id}, by which this run had the secret `{name}`; another run may have it"
                );
                Ok(Err(Unleased { code: DenialCode::LeaseRevoked, why }))
            }
            Some(lease) if lease.version == version && lease.is_good(now) && is_there(&lease) => {
                Ok(Ok(Found::Has(Has { needs: vec![as_it_is, lease.guard()], lease: lease.id })))
            }
            before => {
                let before = before.map(Box::new);
                Ok(Ok(Found::Lacks(Lacks { secret: name, version, as_it_is, made_by, before })))
            }
        }
    })
}

/// Issues a lease: the one entry that tells of the use of a secret in a run. One that lapsed, or is of another value, ends with it.
/// The run takes no step meanwhile: its end would not know of the lease. `made` is the value that was made for it, if it is one of these; if
/// the lease does not come to be, that is ended.
///
/// # Errors
/// It is stale, or cannot be recorded.
pub async fn issue(
    context: &Context,
    asks: &Asks,
    lacks: Lacks,
    made: Option<Made>,
    used_by: &str,
) -> Result<Has, Error> {
    let now = context.now();
    if lacks.is_made() != made.is_some() {
        return Err(Error::broken("a lease has a value that was made for it exactly if its secret says so"));
    }
    let lease = LeaseRow {
        namespace: context.namespace.clone(),
        id: made.as_ref().map_or_else(|| LeaseId::new(now, context.dice.as_ref()), |made| made.lease().clone()),
        secret: lacks.secret,
        version: lacks.version,
        run: asks.run.clone(),
        agent: asks.agent.clone(),
        issued_at: now,
        // A value that was made holds from when its generator was told.
        expires_at: made.as_ref().map_or_else(|| now.plus_ms(asks.lifetime_ms), |made| made.row.expires_at),
        over: None,
        entry_seq: 0,
    };
    let node = Caller { trace: Some(asks.trace.clone()), ..Caller::node(&context.namespace) };
    let action = context.action("secret.lease", ResourceKind::Secret, lease.secret.as_str())?;
    // A policy that does not let the node lease is broken; it is not the doing of the agent, which would be charged.
    let granted = context.permit(&node, action, None).await;
    let granted = granted.map_err(|e| if e.kind == Kind::Refused { Error::broken(e) } else { e })?;
    let mut change = context
        .change(&node, granted, kind::SECRET_LEASED, lease.id.as_str())
        .guard(lacks.as_it_is.clone())
        .guards(asks.holds.iter().cloned())
        .guard(lease.guard())
        .row(lease.row())
        .detail("secret", lease.secret.as_str())
        .detail("version", lease.version.to_string())
        .detail("run", lease.run.as_str())
        .detail("agent", lease.agent.to_string())
        .detail("for", used_by)
        .detail("until", lease.expires_at.to_string());
    if let Some(before) = lacks.before {
        let why = if before.version == lease.version { Ended::Lapsed } else { Ended::Replaced };
        let over = LeaseRow { over: Some((now, why)), ..LeaseRow::clone(&before) };
        change = change.guard(before.guard()).row(over.row()).detail(why.as_str(), before.id.as_str());
    }
    if let Some(made) = &made {
        change = change
            .guard(made.row.guard())
            .row(made.row.row())
            .detail("made_by", made.row.generator.as_str())
            .detail("maker_id", json!(made.row.maker_id));
    }
    let done = context.commit(change).await?;
    if let Some(made) = made {
        made.keep();
    }
    let lease = LeaseRow { entry_seq: done.recorded.seq, ..lease };
    Ok(Has { needs: vec![lacks.as_it_is, lease.guard()], lease: lease.id })
}

/// What a step of a run does to its leases, with what must still hold of them: they are renewed until then, or ended.
///
/// # Errors
/// The store cannot be read.
pub fn with_step(
    reader: &Reader<'_>,
    run: &RunId,
    now: Timestamp,
    renewed_until: Option<Timestamp>,
) -> Result<Vec<(Row, Guard)>, Error> {
    let mut stepped = Vec::new();
    for lease in rows::open_leases(reader, run)? {
        let after = match renewed_until {
            // What was made for it holds no longer than it was made for.
            Some(_) if rows::is_made(reader, &lease)? => continue,
            Some(until) if now < lease.expires_at => LeaseRow { expires_at: until, ..lease.clone() },
            // One that lapsed stays so; another takes its place if it is needed.
            Some(_) => continue,
            None => LeaseRow { over: Some((now, Ended::Run)), ..lease.clone() },
        };
        stepped.push((after.row(), lease.guard()));
    }
    Ok(stepped)
}

/// Ends leases whose runs are over, if there are any: their runs' ends did. Tells how many.
///
/// # Errors
/// The store cannot be read or written.
pub async fn end_left_over(context: &Context) -> Result<usize, Error> {
    let left = context.store.read(rows::left_over)?;
    for lease in &left {
        let node = Caller::node(&context.namespace);
        let action = context.action("secret.lease", ResourceKind::Secret, lease.secret.as_str())?;
        let granted = context.permit(&node, action, None).await?;
        let over = LeaseRow { over: Some((context.now(), Ended::Run)), ..lease.clone() };
        let change = context
            .change(&node, granted, kind::SECRET_LEASE_ENDED, lease.id.as_str())
            .urgent()
            .guard(lease.guard())
            .row(over.row())
            .detail("secret", lease.secret.as_str())
            .detail("run", lease.run.as_str())
            .detail("ended", json!(Ended::Run.as_str()));
        context.commit(change).await?;
    }
    Ok(left.len())
}
