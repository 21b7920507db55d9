//! `steward hook`: who is told what waits for people.
//!
//! Deliberately absent: adding one. Hooks stand in steward.toml, as whoever may write that file may run commands on the node.

use clap::Subcommand;
use steward_wire::{HookList, HookTested};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, facts, table},
};

/// What can be done with hooks.
#[derive(Debug, Subcommand)]
pub enum HookVerb {
    /// List all hooks of the node's configuration, and how each goes
    List,
    /// Tell one a signed test, and say what came back; exit code 1 if it was not told
    Test {
        /// Its name
        name: String,
    },
}

/// Carries it out. `--json` prints `HookList`, and `HookTested` of a test.
pub(crate) async fn carry_out(session: &mut Session, verb: HookVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        HookVerb::List => session.show.answer(&caller.hooks().await?, list_view),
        HookVerb::Test { name } => {
            let tested = caller.test_hook(&name).await?;
            session.show.answer(&tested, tested_view)?;
            if tested.told { Ok(()) } else { Err(Failure::not_true()) }
        }
    }
}

fn list_view(list: &HookList, looks: Looks) -> String {
    if list.hooks.is_empty() {
        return "None. `[[hooks]]` in steward.toml sets one up.\n".to_owned();
    }
    let rows = list.hooks.iter().map(|hook| {
        let state = match (&hook.failing_since, hook.gave_up) {
            (Some(_), _) => Word::new("failing", Ink::Bad),
            (None, 0) => Word::new("good", Ink::Good),
            (None, _) => Word::new("told again", Ink::Warn),
        };
        [
            Word::from(&hook.name),
            (&hook.kind).into(),
            (&hook.to).into(),
            state,
            hook.told.to_string().into(),
            hook.waiting.to_string().into(),
            hook.gave_up.to_string().into(),
            hook.why.as_deref().unwrap_or_default().into(),
        ]
    });
    table(looks, ["hook", "kind", "to", "state", "told", "waits", "given up", "why"], rows)
}

fn tested_view(tested: &HookTested, looks: Looks) -> String {
    let state = if tested.told { Word::new("told", Ink::Good) } else { Word::new("not told", Ink::Bad) };
    facts(
        looks,
        [
            ("hook", Word::new(&tested.hook, Ink::Bold)),
            ("state", state),
            ("answer", tested.status.map(|status| status.to_string()).unwrap_or_default().into()),
            ("why", tested.why.as_deref().unwrap_or_default().into()),
            ("message", (&tested.id).into()),
            ("took", format!("{} ms", tested.ms).into()),
        ],
    )
}
