//! `steward traces`: where what agents did is sent as spans.
//!
//! Deliberately absent: setting a receiver up. It stands in steward.toml.

use steward_wire::TracesRecord;

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, facts},
};

/// Shows it. `--json` prints `TracesRecord`.
pub(crate) async fn carry_out(session: &mut Session) -> Result<(), Failure> {
    let traces = session.caller()?.traces().await?;
    session.show.answer(&traces, view)
}

fn view(traces: &TracesRecord, looks: Looks) -> String {
    let Some(to) = &traces.to else {
        return "They are sent to nobody. `url` in `[traces]` of steward.toml names a receiver.\n".to_owned();
    };
    let state = match (&traces.failing_since, &traces.why) {
        (Some(_), _) => Word::new("failing", Ink::Bad),
        (None, Some(_)) => Word::new("some were dropped", Ink::Warn),
        (None, None) => Word::new("good", Ink::Good),
    };
    let at = |at: &Option<String>| Word::from(at.as_deref().unwrap_or_default());
    facts(
        looks,
        [
            ("to", Word::new(to, Ink::Bold)),
            ("state", state),
            ("sent", traces.sent.to_string().into()),
            ("sent at", at(&traces.sent_at)),
            ("behind", format!("{} entries", traces.behind).into()),
            ("failing since", at(&traces.failing_since)),
            ("next try", at(&traces.next_at)),
            ("dropped", traces.dropped.to_string().into()),
            ("dropped at", at(&traces.dropped_at)),
            ("why", at(&traces.why)),
        ],
    )
}
