//! The description of the API (OpenAPI 3.1), generated from the handlers. docs/openapi.json is this text; a test compares.

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, ContentBuilder, HeaderBuilder, KnownFormat, Object, Ref, RefOr, Response as Answer,
        ResponseBuilder, Schema, SchemaFormat, Type,
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::routes::{
    actions, agents, alerts, effects, entries, halt, hooks, identities, metrics, models, open, people, policies,
    policy_diff, replay, reviews, runs, secrets, state, status, tools, traces,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Steward", description = "A control plane for AI agents: names them, governs them, and proves what happened.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    modifiers(&Bearer, &Refusals),
    security(("key" = [])),
    paths(
        open::healthz, open::readyz, serve, open::identity, open::head, open::vkey, open::consistency, open::checkpoint, open::tile,
        people::login, people::list, people::add, people::disable, people::keys, people::create_key, people::revoke_key,
        identities::issuers, identities::login, identities::links, identities::link, identities::unlink,
        agents::list, agents::add, agents::show, agents::revoke, agents::reinstate,
        reviews::list, reviews::show, reviews::approve, reviews::reject, reviews::promote, reviews::appeal, reviews::demote,
        runs::start, runs::list, runs::show, runs::stop, runs::evidence, runs::handoff, replay::replay, replay::history,
        effects::list, effects::resolve, state::get,
        tools::list, tools::add, tools::show, tools::pin, tools::allow, tools::remove,
        models::list, models::add, models::test, models::remove, models::budgets, models::set_budget, models::usage,
        secrets::list, secrets::put, secrets::rotate, secrets::revoke, secrets::grant, secrets::leases, secrets::revoke_lease,
        actions::act, actions::decide, actions::list, actions::show, actions::explain,
        status::status, status::doctor, alerts::list, hooks::list, hooks::test, traces::show, metrics::metrics, halt::halt, halt::resume,
        entries::search, entries::show, entries::proof, entries::redact, entries::retention, entries::export,

        policies::list, policies::explain, policy_diff::diff,
    )
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        if let Some(components) = openapi.components.as_mut() {
            components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        }
    }
}

/// How a refusal is written (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// The schema of refusals.
const PROBLEM_SCHEMA: &str = "Problem";

/// A refusal that routes share: its status, its name, and when it is given.
const SHARED: [(&str, &str, &str); 10] = [
    ("400", "Wrong", "the request is wrong; `detail` and `problems` say where"),
    ("401", "Unauthenticated", "no key came with it, or one that is not good (any more)"),
    ("403", "Refused", "it is not allowed; the refusal is on record"),
    ("408", "TooSlow", "it did not arrive in time, or took too long; what it began is finished all the same"),
    ("409", "Changed", "something changed meanwhile, three times in a row; look, and ask again"),
    ("413", "TooLarge", "the body is larger than this route reads"),
    ("421", "NotOurName", "the node does not go by the name in `Host`"),
    ("429", "TooOften", "too many requests by this key or from this address; `Retry-After` says when to come back"),
    ("500", "Broken", "something is broken inside; the node's log has it under `trace`"),
    ("503", "NotNow", "too many requests at once, or the node cannot do it now; `Retry-After` says when to come back"),
];

/// Refusals are written alike, and those that any route may give stand at each: what is true of all is said once.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let shared = SHARED.map(|(status, name, says)| (name.to_owned(), RefOr::T(refusal(status, says))));
        openapi.components.get_or_insert_with(Components::new).responses.extend(shared);
        for item in openapi.paths.paths.values_mut() {
            for (operation, changes) in [(&mut item.get, false), (&mut item.post, true)] {
                if let Some(operation) = operation {
                    describe(operation, changes);
                }
            }
        }
    }
}

fn refusal(status: &str, says: &str) -> Answer {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM_SCHEMA))).build();
    with_headers(status, ResponseBuilder::new().description(says).content(PROBLEM, content).build())
}

/// The headers that come with a status.
fn with_headers(status: &str, mut answer: Answer) -> Answer {
    let (name, kind, says) = match status {
        "401" => ("WWW-Authenticate", Type::String, "`Bearer`"),
        "429" | "503" => ("Retry-After", Type::Integer, "seconds until it is worth asking again"),
        _ => return answer,
    };
    let header = HeaderBuilder::new().schema(Some(Object::with_type(kind))).description(Some(says)).build();
    answer.headers.insert(name.to_owned(), RefOr::T(header));
    answer
}

/// Of a number in a query: up to where it is read. A format with a sign would say half of it.
fn bounded(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    let (format, most) = match &object.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Int32)) => ("uint32", u64::from(u32::MAX)),
        Some(SchemaFormat::KnownFormat(KnownFormat::Int64)) => ("uint64", u64::MAX),
        _ => return,
    };
    object.format = Some(SchemaFormat::Custom(format.to_owned()));
    object.maximum = Some(most.into());
}

fn describe(operation: &mut Operation, changes: bool) {
    let needs_key = operation.security.is_none();
    let has_body = operation.request_body.is_some();
    let is_asked_something = has_body || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameter.schema.iter_mut().for_each(bounded);
        }
    }
    for (status, answer) in &mut operation.responses.responses {
        let RefOr::T(answer) = answer else { continue };
        if !status.starts_with('2') {
            // Whatever the route itself says of a refusal, it is one.
            let says = answer.description.clone();
            let shared = SHARED.iter().find(|(of, ..)| of == status).map(|(.., says)| *says);
            *answer = refusal(status, if says.is_empty() { shared.unwrap_or_default() } else { &says });
        }
    }
    for (status, name, _) in SHARED {
        let may = match status {
            "400" => is_asked_something,
            "401" | "403" => needs_key,
            "409" => changes,
            "413" => has_body,
            _ => true,
        };
        if may {
            let all = &mut operation.responses.responses;
            all.entry(status.to_owned()).or_insert_with(|| Ref::from_response_name(name).into());
        }
    }
}

/// The description, as pretty JSON that ends in a newline.
pub fn openapi() -> String {
    let text = Description::openapi().to_pretty_json().expect("the description is JSON");
    format!("{text}\n")
}

/// This description of the API.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "node", responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")), security(()))]
pub(crate) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()
}
