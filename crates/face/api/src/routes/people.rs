//! People and keys.

use axum::{Json, http::StatusCode};
use steward_app_node::{Caller, Context, Error, Problem};
use steward_app_people::{
    self as verbs, Created, DEFAULT_LIFETIME_S, Holder, KeyRow, LOGIN_LIFETIME_S, NewKey, PersonRow,
};
use steward_naming::{KeyId, Label, Name};
use steward_permit::{Actor, Role, Scope};
use steward_wire::{
    AddPerson, CreateKey, CreatedKey, KeyList, KeyRecord, Login, PersonList, PersonRecord, Problem as Refusal,
};

use crate::{
    answer::Refused,
    door::{Body, Part, Visit},
};

fn person(row: PersonRow) -> PersonRecord {
    PersonRecord {
        name: row.name.to_string(),
        namespace: row.namespace.to_string(),
        roles: row.roles.iter().map(ToString::to_string).collect(),
        status: if row.active { "active" } else { "disabled" }.to_owned(),
        added_at: row.added_at.to_string(),
        entry: row.entry_seq,
    }
}

fn key(context: &Context, row: KeyRow) -> KeyRecord {
    let ended = row.status == "active" && context.now() >= row.expires_at;
    KeyRecord {
        id: row.id.to_string(),
        holder: row.holder.full_name(context),
        holder_kind: row.holder.kind().to_owned(),
        label: row.label,
        scopes: row.scopes.iter().map(ToString::to_string).collect(),
        single_use: row.single_use,
        status: if ended { "expired".to_owned() } else { row.status },
        created_at: row.created_at.to_string(),
        expires_at: row.expires_at.to_string(),
        entry: row.entry_seq,
    }
}

pub(crate) fn created(context: &Context, created: Created) -> CreatedKey {
    CreatedKey { key: key(context, created.key), secret: created.secret.reveal() }
}

/// All words, or all that are none.
fn words<T: std::str::FromStr<Err: ToString>>(at: &str, texts: &[String]) -> Result<Vec<T>, Error> {
    let mut problems = Vec::new();
    let mut parsed = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(word) => parsed.push(word),
            Err(error) => problems.push(Problem { at: at.to_owned(), message: T::Err::to_string(&error) }),
        }
    }
    if problems.is_empty() { Ok(parsed) } else { Err(Error::problems(problems)) }
}

/// Exchanges a single-use log-in key for a key of one's own.
#[utoipa::path(post, path = "/v1/login", tag = "people", request_body = Login, responses((status = 201, body = CreatedKey), (status = 401, body = Refusal), (status = 403, body = Refusal)))]
pub(crate) async fn login(visit: Visit, Body(asked): Body<Login>) -> Result<(StatusCode, Json<CreatedKey>), Refused> {
    let made = visit
        .change(|context, caller| {
            let label = asked.label.clone();
            async move { Ok(created(&context, verbs::exchange(&context, &caller, label).await?)) }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Everybody who is enrolled.
#[utoipa::path(get, path = "/v1/people", tag = "people", responses((status = 200, body = PersonList), (status = 403, body = Refusal)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<PersonList>, Refused> {
    let people = visit.read(|context, caller| async move { verbs::people(&context, &caller).await }).await?;
    Ok(Json(PersonList { people: people.into_iter().map(person).collect() }))
}

/// Enrols a person.
#[utoipa::path(post, path = "/v1/people", tag = "people", request_body = AddPerson, responses((status = 201, body = PersonRecord), (status = 400, body = Refusal), (status = 403, body = Refusal), (status = 409, body = Refusal)))]
pub(crate) async fn add(
    visit: Visit,
    Body(asked): Body<AddPerson>,
) -> Result<(StatusCode, Json<PersonRecord>), Refused> {
    let row = visit
        .change(|context, caller| {
            let asked = asked.clone();
            async move {
                let name: Label = asked.name.parse()?;
                let roles: Vec<Role> = words("roles", &asked.roles)?;
                verbs::add(&context, &caller, name, roles).await
            }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(person(row))))
}

/// Disables a person: none of their keys is good for anything any more.
#[utoipa::path(post, path = "/v1/people/{name}/disable", tag = "people", params(("name" = String, Path)), responses((status = 200, body = PersonRecord), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
pub(crate) async fn disable(visit: Visit, Part(name): Part<String>) -> Result<Json<PersonRecord>, Refused> {
    let row = visit
        .change(|context, caller| {
            let name = name.clone();
            async move { verbs::disable(&context, &caller, &name.parse()?).await }
        })
        .await?;
    Ok(Json(person(row)))
}

/// All keys, for whoever may see them; else one's own.
#[utoipa::path(get, path = "/v1/keys", tag = "people", responses((status = 200, body = KeyList), (status = 403, body = Refusal)))]
pub(crate) async fn keys(visit: Visit) -> Result<Json<KeyList>, Refused> {
    let rows = visit.read(|context, caller| async move { verbs::keys(&context, &caller).await }).await?;
    let context = &visit.node().context;
    Ok(Json(KeyList { keys: rows.into_iter().map(|row| key(context, row)).collect() }))
}

/// Whose the key is to be, and that an agent is there.
fn holder(
    context: &Context,
    caller: &Caller,
    asked: &CreateKey,
) -> Result<(Holder, Option<steward_store::Guard>), Error> {
    match (&asked.person, &asked.agent) {
        (Some(_), Some(_)) => Err(Error::invalid("name a person or an agent, not both")),
        (Some(name), None) => Ok((Holder::Person(name.parse()?), None)),
        (None, Some(name)) => {
            let name = Name::resolve(name, &context.namespace)?;
            let found = steward_app_agents::actor(context, &name)?;
            let (actor, guard) = found.ok_or_else(|| Error::not_found(format!("agent `{name}`")))?;
            match actor {
                Actor::Agent { name, .. } => Ok((Holder::Agent(name), Some(guard))),
                _ => Err(Error::broken("an agent's actor is an agent")),
            }
        }
        (None, None) => Ok((Holder::of(caller)?, None)),
    }
}

/// Makes a key. Its secret is in the answer, and nowhere else.
#[utoipa::path(post, path = "/v1/keys", tag = "people", request_body = CreateKey, responses((status = 201, body = CreatedKey), (status = 400, body = Refusal), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
pub(crate) async fn create_key(
    visit: Visit,
    Body(asked): Body<CreateKey>,
) -> Result<(StatusCode, Json<CreatedKey>), Refused> {
    let made = visit
        .change(|context, caller| {
            let asked = asked.clone();
            async move {
                let scopes: Vec<Scope> = words("scopes", &asked.scopes)?;
                let by_itself = if scopes.contains(&Scope::Login) { LOGIN_LIFETIME_S } else { DEFAULT_LIFETIME_S };
                let (holder, holder_guard) = holder(&context, &caller, &asked)?;
                let new = NewKey {
                    holder,
                    holder_guard,
                    label: asked.label,
                    scopes,
                    lifetime_s: asked.lifetime_s.unwrap_or(by_itself),
                    single_use: asked.single_use,
                };
                Ok(created(&context, verbs::create_key(&context, &caller, new).await?))
            }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes a key.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "people", params(("id" = String, Path)), responses((status = 200, body = KeyRecord), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
pub(crate) async fn revoke_key(visit: Visit, Part(id): Part<String>) -> Result<Json<KeyRecord>, Refused> {
    let row = visit
        .change(|context, caller| {
            let id = id.clone();
            async move {
                let id: KeyId = id.parse()?;
                verbs::revoke_key(&context, &caller, &id).await
            }
        })
        .await?;
    Ok(Json(key(&visit.node().context, row)))
}
