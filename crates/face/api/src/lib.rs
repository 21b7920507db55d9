//! HTTP in: the API of people, services and strangers.
//!
//! A request becomes domain words at this door (strict JSON, parsed names), its key becomes a caller, and a verb of the app
//! floor answers. [`router`] is the table of contents.
//!
//! Deliberately absent: TLS (the binary's, below this), sessions and cookies (the console's, later), and any
//! decision: what is allowed is decided by the verbs.

mod alerts;
mod answer;
mod door;
mod exposition;
mod health;
mod node;
mod openapi;
mod operations;
mod process;
mod routes;
mod served;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, header},
    middleware,
    routing::{get, post},
};
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

pub use alerts::{RULES, Rule};
pub use answer::ERROR_URN;
pub use node::{Node, NodeParts};
pub use openapi::openapi;
pub use operations::{AlertRules, Certificate, Limits, Network, NoNetwork, Operations, Peer};

/// The most bytes of a body that carries a file: 8 MiB in base 64, and what is around it.
pub const MAX_BODY_BYTES: usize = 12 << 20;

/// The most bytes of a body that carries a packet: the largest packet, each byte of which may be written as two.
pub const MAX_PACKET_BODY_BYTES: usize = 2 * steward_governor::MAX_PACKET_BYTES + (64 << 10);

/// The most bytes of any other body.
pub const MAX_DOCUMENT_BYTES: usize = 256 << 10;

/// The most bytes of a log-in by a token: it is read before anybody is known.
pub const MAX_LOGIN_BYTES: usize = 32 << 10;

/// The most log-ins by tokens that are worked on at once, by strangers as by anybody.
pub const MAX_LOGINS: usize = 32;

/// The most exports that are written at once: each holds a thread, and a snapshot of the store.
pub const MAX_EXPORTS: usize = 4;

/// The longest that a request is worked on, in seconds. What it began is finished all the same.
pub const REQUEST_TIMEOUT_S: u64 = 60;

/// The most requests that are worked on at once; beyond, callers are told to come back.
pub const MAX_REQUESTS: usize = 512;

/// The most requests of agents, by their own ways in, that are worked on at once. They have places of their own, so that people can halt a
/// node that agents keep busy.
pub const MAX_REQUESTS_OF_AGENTS: usize = 256;

/// The most requests that take leave away (halt, stop, revoke) that are worked on at once. The rest waits for its turn.
pub const MAX_REQUESTS_TAKING_AWAY: usize = 8;

/// Every route.
pub fn router(node: Arc<Node>) -> Router {
    router_with(node, Router::new())
}

/// Every route, and those of another way in, which admits nobody by itself but whom it knows: `agents` has those of agents.
pub fn router_with(node: Arc<Node>, agents: Router) -> Router {
    use routes::{
        actions, agents, alerts, effects, entries, halt, hooks, identities, metrics, models, open, people, policies,
        policy_diff, replay, reviews, runs, secrets, state, status, tools, traces,
    };
    Router::new()
        // Without a key: what a stranger needs to verify the ledger, and to see that the node is there.
        .route("/healthz", get(open::healthz))
        .route("/readyz", get(open::readyz))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/v1/node/identity", get(open::identity))
        .route("/v1/ledger/head", get(open::head))
        .route("/v1/ledger/vkey", get(open::vkey))
        .route("/v1/ledger/consistency", get(open::consistency))
        .route("/ledger/checkpoint", get(open::checkpoint))
        .route("/ledger/tile/{*path}", get(open::tile))
        // With a token of an issuer.
        .route("/v1/login/issuers", get(identities::issuers))
        .route("/v1/login/token", post(identities::login).layer(DefaultBodyLimit::max(MAX_LOGIN_BYTES)))
        // With a key.
        .route("/v1/login", post(people::login))
        .route("/v1/links", get(identities::links))
        .route("/v1/people/{name}/link", post(identities::link))
        .route("/v1/people/{name}/unlink", post(identities::unlink))
        .route("/v1/people", get(people::list).post(people::add))
        .route("/v1/people/{name}/disable", post(people::disable))
        .route("/v1/keys", get(people::keys).post(people::create_key))
        .route("/v1/keys/{id}/revoke", post(people::revoke_key))
        .route("/v1/agents", get(agents::list).post(agents::add).layer(DefaultBodyLimit::max(MAX_PACKET_BODY_BYTES)))
        .route("/v1/agents/{name}", get(agents::show))
        .route("/v1/agents/{name}/actions", post(actions::act).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)))
        .route("/v1/agents/{name}/history", get(replay::history))
        .route("/v1/agents/{name}/revoke", post(agents::revoke))
        .route("/v1/agents/{name}/reinstate", post(agents::reinstate))
        .route("/v1/runs", get(runs::list).post(runs::start).layer(DefaultBodyLimit::max(MAX_PACKET_BODY_BYTES)))
        .route("/v1/runs/{id}", get(runs::show))
        .route("/v1/runs/{id}/stop", post(runs::stop))
        .route("/v1/runs/{id}/replay", get(replay::replay))
        .route("/v1/runs/{id}/evidence", get(runs::evidence))
        .route("/v1/tasks/{task}/handoff", get(runs::handoff))
        .route("/v1/reviews", get(reviews::list))
        .route("/v1/reviews/{id}", get(reviews::show))
        .route("/v1/reviews/{id}/approve", post(reviews::approve))
        .route("/v1/reviews/{id}/reject", post(reviews::reject))
        .route("/v1/agents/{name}/promote", post(reviews::promote))
        .route("/v1/agents/{name}/appeal", post(reviews::appeal))
        .route("/v1/agents/{name}/demote", post(reviews::demote))
        .route("/v1/effects", get(effects::list))
        .route("/v1/effects/{id}/resolve", post(effects::resolve))
        .route("/v1/state", get(state::get))
        .route("/v1/tools", get(tools::list).post(tools::add))
        .route("/v1/tools/{name}", get(tools::show))
        .route("/v1/tools/{name}/pin", post(tools::pin))
        .route("/v1/tools/{name}/allow", post(tools::allow))
        .route("/v1/tools/{name}/remove", post(tools::remove))
        .route("/v1/models", get(models::list).post(models::add))
        .route("/v1/models/{name}/test", post(models::test))
        .route("/v1/models/{name}/remove", post(models::remove))
        .route("/v1/budgets", get(models::budgets).post(models::set_budget))
        .route("/v1/usage", get(models::usage))
        .route("/v1/secrets", get(secrets::list).post(secrets::put))
        .route("/v1/secrets/{name}/rotate", post(secrets::rotate))
        .route("/v1/secrets/{name}/revoke", post(secrets::revoke))
        .route("/v1/secrets/{name}/grant", post(secrets::grant))
        .route("/v1/leases", get(secrets::leases))
        .route("/v1/leases/{id}/revoke", post(secrets::revoke_lease))
        .route("/v1/decisions", post(actions::decide))
        .route("/v1/actions", get(actions::list))
        .route("/v1/actions/{id}", get(actions::show))
        .route("/v1/actions/{id}/explanation", get(actions::explain))
        .route("/v1/policy", get(policies::list))
        .route("/v1/policy/explain", post(policies::explain))
        .route("/v1/policy/diff", post(policy_diff::diff).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)))
        .route("/v1/ledger/entries", get(entries::search))
        .route("/v1/ledger/entries/{seq}", get(entries::show))
        .route("/v1/ledger/entries/{seq}/proof", get(entries::proof))
        .route("/v1/ledger/entries/{seq}/redact", post(entries::redact))
        .route("/v1/ledger/retention", get(entries::retention))
        .route("/v1/ledger/export", get(entries::export))
        .route("/v1/node/status", get(status::status))
        .route("/v1/node/doctor", get(status::doctor))
        .route("/v1/alerts", get(alerts::list))
        .route("/v1/traces", get(traces::show))
        .route("/v1/hooks", get(hooks::list))
        .route("/v1/hooks/{name}/test", post(hooks::test))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/node/halt", post(halt::halt))
        .route("/v1/node/resume", post(halt::resume))
        .with_state(Arc::clone(&node))
        .merge(agents)
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::no_such_method)
        // One layer made of all, the outermost first: each layer by itself would be boxed, and cloned with every request.
        .layer(
            ServiceBuilder::new()
                .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
                .layer(fixed(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
                .layer(fixed(header::CACHE_CONTROL, "no-store"))
                .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .layer(CatchPanicLayer::custom(answer::panicked))
                .layer(middleware::from_fn_with_state(Arc::clone(&node), door::admit))
                .layer(DefaultBodyLimit::max(MAX_DOCUMENT_BYTES)),
        )
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
