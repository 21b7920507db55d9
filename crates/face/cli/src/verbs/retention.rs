//! `steward retention`: how long what the ledger's entries say is kept, and what would be erased.

use clap::Subcommand;
use steward_wire::{RetentionKind, RetentionReport};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, table},
};

/// What can be done about retention.
#[derive(Debug, Subcommand)]
pub enum RetentionVerb {
    /// Show for how long which kinds are kept, and how many entries would be erased now; nothing is
    Show {
        /// Also kinds that are kept for ever, and of which nothing was erased
        #[arg(long)]
        all: bool,
    },
}

/// Carries it out. `--json` prints `RetentionReport`.
pub(crate) async fn carry_out(session: &mut Session, verb: RetentionVerb) -> Result<(), Failure> {
    let RetentionVerb::Show { all } = verb;
    let mut report = session.caller()?.retention().await?;
    report.kinds.retain(|kind| all || kind.keep_days.is_some() || kind.erased > 0);
    session.show.answer(&report, view)?;
    session
        .show
        .aside("Days are set in `steward.toml`, under `[retention]`. What is older is erased once an hour, for good.");
    Ok(())
}

fn view(report: &RetentionReport, looks: Looks) -> String {
    if report.kinds.is_empty() {
        return "What entries say is kept for ever.\n".to_owned();
    }
    let row = |kind: &RetentionKind| {
        [
            Word::from(&kind.kind),
            kind.keep_days.map_or("for ever".to_owned(), |days| format!("{days} days")).into(),
            kind.whole.to_string().into(),
            Word::new(kind.due.to_string(), if kind.due > 0 { Ink::Warn } else { Ink::Plain }),
            kind.needed.to_string().into(),
            kind.erased.to_string().into(),
        ]
    };
    table(looks, ["kind", "kept", "whole", "due", "needed", "erased"], report.kinds.iter().map(row))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{RetentionKind, RetentionReport};

    use super::view;
    use crate::show::Looks;

    #[test]
    fn what_is_kept_and_what_is_due() {
        let kind = |kind: &str, keep_days, due| RetentionKind {
            kind: kind.into(),
            keep_days,
            whole: 12,
            due,
            needed: 1,
            erased: 30,
        };
        let report = RetentionReport { kinds: vec![kind("ledger.read", Some(90), 4), kind("run.ended", None, 0)] };
        expect![[r#"
            kind         kept      whole  due  needed  erased
            ledger.read  90 days   12     4    1       30
            run.ended    for ever  12     0    1       30
        "#]]
        .assert_eq(&view(&report, Looks::default()));
        let none = view(&RetentionReport { kinds: Vec::new() }, Looks::default());
        assert_eq!(none, "What entries say is kept for ever.\n");
    }
}
