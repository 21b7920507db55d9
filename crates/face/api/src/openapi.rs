//! The description of the API (OpenAPI 3.1), generated from the handlers. docs/openapi.json is this text; a test compares.

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::routes::{
    actions, agents, alerts, effects, entries, halt, metrics, models, open, people, policies, runs, state, status,
    tools,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Steward", description = "A control plane for AI agents: names them, governs them, and proves what happened.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    modifiers(&Bearer),
    security(("key" = [])),
    paths(
        open::healthz, open::readyz, serve, open::identity, open::head, open::vkey, open::consistency, open::checkpoint, open::tile,
        people::login, people::list, people::add, people::disable, people::keys, people::create_key, people::revoke_key,
        agents::list, agents::add, agents::show, agents::revoke, agents::reinstate,
        runs::start, runs::list, runs::show, runs::stop, runs::evidence, runs::handoff,
        effects::list, effects::resolve, state::get,
        tools::list, tools::add, tools::show, tools::pin, tools::allow, tools::remove,
        models::list, models::add, models::test, models::remove, models::budgets, models::set_budget, models::usage,
        actions::act, actions::decide, actions::list, actions::show, actions::explain,
        policies::list, policies::explain,
        entries::search, entries::show, entries::proof, entries::export,
        status::status, status::doctor, alerts::list, metrics::metrics, halt::halt, halt::resume,
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

/// The description, as pretty JSON that ends in a newline.
pub fn openapi() -> String {
    let text = Description::openapi().to_pretty_json().expect("the description is JSON");
    format!("{text}\n")
}

/// This description of the API.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "node", responses((status = 200, description = "OpenAPI 3.1")), security(()))]
pub(crate) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()
}
