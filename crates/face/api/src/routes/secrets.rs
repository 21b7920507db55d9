//! Secrets and leases. A value comes in, and none goes out.

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use steward_app_node::Error;
use steward_app_secrets::{self as verbs, LeaseFilter, LeaseRow, SecretRow, SecretView, Value};
use steward_clock::Timestamp;
use steward_naming::{IdError, LeaseId};
use steward_seal::secret::Secret;
use steward_wire::{
    GrantSecret, LeaseList, LeaseRecord, Problem, PutSecret, Reason, RotateSecret, SecretList, SecretRecord, SecretText,
};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Body, Part, Visit},
};

fn record(view: SecretView) -> SecretRecord {
    let row = view.row;
    let of = |text: fn(&SecretRow) -> String| row.as_ref().map(text);
    SecretRecord {
        kind: if row.is_some() { "keystore" } else { "file" }.to_owned(),
        status: of(|row| row.status.as_str().to_owned()).unwrap_or_else(|| "active".to_owned()),
        version: row.as_ref().map_or(0, |row| row.version),
        generated: row.as_ref().and_then(|row| row.generated),
        made_by: row.as_ref().and_then(|row| row.made_by.as_ref()).map(ToString::to_string),
        leased_to: of(|row| row.leased_to.as_str().to_owned()).unwrap_or_else(|| "any".to_owned()),
        grants: view.grants.iter().map(|grant| grant.agent.to_string()).collect(),
        leases: view.leases as u64,
        created_at: of(|row| row.created_at.to_string()),
        changed_at: of(|row| row.changed_at.to_string()),
        changed_by: of(|row| row.changed_by.clone()),
        reason: row.as_ref().and_then(|row| row.reason.clone()),
        entry: row.as_ref().map(|row| row.entry_seq),
        name: view.name,
    }
}

fn alone(row: SecretRow) -> SecretView {
    SecretView { name: row.name.to_string(), row: Some(row), grants: Vec::new(), leases: 0 }
}

fn lease(row: LeaseRow, now: Timestamp) -> LeaseRecord {
    let status = match row.over {
        Some((_, why)) => why.as_str(),
        None if row.is_good(now) => "active",
        None => "expired",
    };
    LeaseRecord {
        id: row.id.to_string(),
        secret: row.secret.to_string(),
        version: row.version,
        run: row.run.to_string(),
        agent: row.agent.to_string(),
        status: status.to_owned(),
        issued_at: row.issued_at.to_string(),
        expires_at: row.expires_at.to_string(),
        revoked_at: row.over.map(|(at, _)| at.to_string()),
        entry: row.entry_seq,
    }
}

/// Where a value is to come from.
fn source(value: Option<SecretText>, generate: Option<u64>, is_there: bool) -> Result<Value, Error> {
    match (value, generate) {
        (Some(text), None) => Ok(Value::Given(Secret::new(&text.0))),
        (None, Some(bytes)) => Ok(Value::Generated(bytes)),
        (None, None) if is_there => Ok(Value::Again),
        (None, None) => Err(one_of_them()),
        _ => Err(Error::invalid("give `value` or `generate`; one of the two")),
    }
}

fn one_of_them() -> Error {
    Error::invalid("give `value`, `generate` or `made_by`; one of the three")
}

/// Every secret, without what it holds.
#[utoipa::path(get, path = "/v1/secrets", tag = "secrets", responses((status = 200, body = SecretList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<SecretList>, Refused> {
    let views = visit
        .read(|context, caller| {
            let runner = visit.runner();
            async move { verbs::list(&context, runner.keeper(), &caller).await }
        })
        .await?;
    Ok(Json(SecretList { secrets: views.into_iter().map(record).collect() }))
}

/// Puts a secret into the keystore, where it stands before a file of that name. One that was revoked comes back with a new value. One that a
/// generator makes has a value for each lease, which ends with that.
#[utoipa::path(post, path = "/v1/secrets", tag = "secrets", request_body = PutSecret, responses((status = 201, body = SecretRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn put(
    visit: Visit,
    Body(asked): Body<PutSecret>,
) -> Result<(StatusCode, Json<SecretRecord>), Refused> {
    let value = match (asked.value, asked.generate, asked.made_by) {
        (None, None, Some(generator)) => generator.parse().map(Value::MadeBy).map_err(Error::from),
        (value, generate, None) => source(value, generate, false),
        _ => Err(one_of_them()),
    };
    let value = value.map_err(|e| visit.refused(e))?;
    let row = visit
        .change(|_, caller| {
            let (runner, name, value) = (visit.runner(), asked.name.clone(), value.clone());
            async move { runner.put_secret(&caller, &name, &value).await }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(record(alone(row)))))
}

/// Gives a secret another value; the one before is erased. Servers of tools that have it are ended, and started anew when they are called.
#[utoipa::path(post, path = "/v1/secrets/{name}/rotate", tag = "secrets", params(("name" = String, Path)), request_body = RotateSecret, responses((status = 200, body = SecretRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn rotate(
    visit: Visit,
    Part(name): Part<String>,
    Body(asked): Body<RotateSecret>,
) -> Result<Json<SecretRecord>, Refused> {
    let value = source(asked.value, asked.generate, true).map_err(|e| visit.refused(e))?;
    let row = visit
        .change(|_, caller| {
            let (runner, name, value) = (visit.runner(), name.clone(), value.clone());
            async move { runner.rotate_secret(&caller, &name, &value).await }
        })
        .await?;
    Ok(Json(record(alone(row))))
}

/// Revokes a secret: its value is erased, its leases end, and nothing that needs it is done until it is put anew.
#[utoipa::path(post, path = "/v1/secrets/{name}/revoke", tag = "secrets", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = SecretRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    visit: Visit,
    Part(name): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<SecretRecord>, Refused> {
    let row = visit
        .change(|_, caller| {
            let (runner, name, why) = (visit.runner(), name.clone(), why.reason.clone());
            async move { runner.revoke_secret(&caller, &name, &why).await }
        })
        .await?;
    Ok(Json(record(alone(row))))
}

/// Grants a secret to an agent, or takes that back. From the first grant on, runs of no other agent have it.
#[utoipa::path(post, path = "/v1/secrets/{name}/grant", tag = "secrets", params(("name" = String, Path)), request_body = GrantSecret, responses((status = 200, body = SecretRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn grant(
    visit: Visit,
    Part(name): Part<String>,
    Body(asked): Body<GrantSecret>,
) -> Result<Json<SecretRecord>, Refused> {
    let view = visit
        .change(|context, caller| {
            let (name, asked) = (name.clone(), asked.clone());
            async move { verbs::grant(&context, &caller, &name, &asked.to, !asked.withdraw).await }
        })
        .await?;
    Ok(Json(record(view)))
}

/// Which leases.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Of this secret.
    secret: Option<String>,
    /// Of this run.
    run: Option<String>,
    /// Also those that are over.
    #[serde(default)]
    all: bool,
    /// At most so many; 100, if nothing is said.
    #[serde(default)]
    limit: u32,
}

/// Leases that are not over, newest first.
#[utoipa::path(get, path = "/v1/leases", tag = "secrets", params(Which), responses((status = 200, body = LeaseList), (status = 403, body = Problem)))]
pub(crate) async fn leases(visit: Visit, Asked(which): Asked<Which>) -> Result<Json<LeaseList>, Refused> {
    let Which { secret, run, all, limit } = which;
    let filter = LeaseFilter { secret, run, all, limit };
    let (rows, now) = visit
        .read(|context, caller| {
            let filter = filter.clone();
            async move { Ok((verbs::list_leases(&context, &caller, &filter).await?, context.now())) }
        })
        .await?;
    Ok(Json(LeaseList { leases: rows.into_iter().map(|row| lease(row, now)).collect() }))
}

/// Revokes a lease: its run has the secret no more, and gets no other lease of it.
#[utoipa::path(post, path = "/v1/leases/{id}/revoke", tag = "secrets", params(("id" = String, Path)), request_body = Reason, responses((status = 200, body = LeaseRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn revoke_lease(
    visit: Visit,
    Part(id): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<LeaseRecord>, Refused> {
    let id: LeaseId = id.parse().map_err(|e: IdError| visit.refused(e.into()))?;
    let (row, now) = visit
        .change(|context, caller| {
            let (id, why) = (id.clone(), why.reason.clone());
            async move { Ok((verbs::revoke_lease(&context, &caller, &id, &why).await?, context.now())) }
        })
        .await?;
    Ok(Json(lease(row, now)))
}
