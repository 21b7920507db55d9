//! `steward redact`: erases what an entry says.

use clap::Args;
use steward_wire::{Reason, RedactionRecord};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, facts},
};

/// Which entry, and why.
#[derive(Debug, Args)]
pub struct RedactArgs {
    /// The entry's number
    seq: u64,
    /// Why; it stands in the record, so do not repeat what is to be erased
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Erases body and salt of an entry. `--json` prints `RedactionRecord`.
pub(crate) async fn redact(session: &mut Session, args: RedactArgs) -> Result<(), Failure> {
    let redacted = session.caller()?.redact(args.seq, &Reason { reason: args.reason }).await?;
    session.show.answer(&redacted, redacted_view)?;
    session.show.aside(
        "Rows of other tables that say the same stay as they are, and so do backups, exports and evidence that were made before.",
    );
    Ok(())
}

fn redacted_view(redacted: &RedactionRecord, looks: Looks) -> String {
    let gone = if redacted.folded {
        Word::new("from every file of the store", Ink::Good)
    } else {
        Word::new(
            "from the store; its log still has it while somebody reads an older state, until the node stops",
            Ink::Warn,
        )
    };
    facts(
        looks,
        [
            ("erased", format!("the body and the salt of entry {}", redacted.entry).into()),
            ("by", format!("entry {}", redacted.redacted_by).into()),
            ("at", (&redacted.at).into()),
            ("gone", gone),
        ],
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::RedactionRecord;

    use super::redacted_view;
    use crate::show::Looks;

    #[test]
    fn what_is_gone_and_what_may_not_be() {
        let redacted =
            RedactionRecord { entry: 7, redacted_by: 40, at: "2026-11-20T20:14:27.123Z".into(), folded: true };
        expect![[r#"
            erased  the body and the salt of entry 7
            by      entry 40
            at      2026-11-20T20:14:27.123Z
            gone    from every file of the store
        "#]]
        .assert_eq(&redacted_view(&redacted, Looks::default()));
        let held = redacted_view(&RedactionRecord { folded: false, ..redacted }, Looks::default());
        assert!(held.contains("its log still has it"), "{held}");
    }
}
