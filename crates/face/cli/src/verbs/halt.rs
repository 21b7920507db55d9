//! `steward halt` and `steward resume`: the whole node at once (SEC-5).
//!
//! Deliberately absent: a question whether it is meant. Who halts is in a hurry.

use clap::Args;
use steward_wire::{HaltRecord, Reason};

use crate::{
    failure::Failure,
    session::Session,
    show::{Looks, Word, facts_of},
};

/// Why.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// Why; recorded
    #[arg(long, value_name = "TEXT", default_value = "no reason was given")]
    reason: String,
}

/// Stops every run and every effect. `--json` prints `HaltRecord`.
pub(crate) async fn halt(session: &mut Session, why: WhyArgs) -> Result<(), Failure> {
    let halted = session.caller()?.halt(&Reason { reason: why.reason }).await?;
    let resume = session.command("resume");
    session.show.answer(&halted, halt_view)?;
    session.show.aside(&format!("Nothing runs until somebody says `{resume}`."));
    Ok(())
}

/// Lets the node go on. What was stopped stays stopped. `--json` prints `HaltRecord`.
pub(crate) async fn resume(session: &mut Session, why: WhyArgs) -> Result<(), Failure> {
    let resumed = session.caller()?.resume(&Reason { reason: why.reason }).await?;
    session.show.answer(&resumed, halt_view)
}

fn halt_view(halt: &HaltRecord, looks: Looks) -> String {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    let mut lines = vec![
        ("node".to_owned(), Word::state(if halt.halted { "halted" } else { "active" })),
        ("by".to_owned(), text(&halt.by)),
        ("because".to_owned(), text(&halt.reason)),
        ("at".to_owned(), text(&halt.at)),
    ];
    if halt.halted {
        let count = format!("{} runs", halt.stopped.len());
        lines.push(("stopped".to_owned(), count.into()));
    }
    lines.extend(halt.stopped.iter().map(|run| ("run".to_owned(), Word::from(run))));
    facts_of(looks, &lines)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::HaltRecord;

    use super::halt_view;
    use crate::show::Looks;

    #[test]
    fn a_halt_names_what_it_stopped() {
        let halt = HaltRecord {
            halted: true,
            by: Some("olivia@acme.internal".into()),
            reason: Some("smoke".into()),
            at: Some("2026-11-20T20:14:27.123Z".into()),
            stopped: vec!["run_1".into(), "run_2".into()],
        };
        expect![[r#"
            node     halted
            by       olivia@acme.internal
            because  smoke
            at       2026-11-20T20:14:27.123Z
            stopped  2 runs
            run      run_1
            run      run_2
        "#]]
        .assert_eq(&halt_view(&halt, Looks::default()));
        let resumed = HaltRecord { halted: false, stopped: Vec::new(), ..halt };
        assert!(halt_view(&resumed, Looks::default()).starts_with("node     active\n"));
    }
}
