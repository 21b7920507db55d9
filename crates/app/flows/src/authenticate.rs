//! A bearer token to a caller: keys know people and agents, and this knows both nouns.

use steward_app_node::{Caller, Context, Error};
use steward_naming::TraceId;

/// Checks a bearer token.
///
/// # Errors
/// The token is no good.
pub fn authenticate(context: &Context, token: &str, trace: Option<TraceId>) -> Result<Caller, Error> {
    steward_app_people::authenticate(context, token, trace, &|name| steward_app_agents::actor(context, name))
}
