//! An agent's action that is asked for from outside of a run: not while the agent is in one, whose packet and phase bind it.

use steward_app_actions::Asked;
use steward_app_node::{Caller, Context, Error};
use steward_naming::ActionId;
use steward_permit::{Actor, DenialCode};

/// Asks for one action as an agent; if it is allowed, has it done.
///
/// # Errors
/// The refusal, which is on record; or the node cannot record, and then nothing was done.
pub async fn act(context: &Context, mut caller: Caller, asked: Asked) -> Result<ActionId, Error> {
    if let Actor::Agent { name, .. } = &caller.actor {
        let lock = context.store.read(|reader| steward_app_runs::lock(reader, name))?;
        if let (Some(run), Ok(action)) = (&lock.run, asked.action(context)) {
            let why =
                format!("`{name}` is in {run}, whose packet and phase bind it; ask within the run, or stop it first");
            return Err(context.refuse_for(&caller, action, DenialCode::OutOfScope, why).await?);
        }
        // A run that begins in the same moment wins.
        caller.guards.push(lock.guard());
    }
    steward_app_actions::act(context, caller, asked).await
}
