//! `steward alerts`: what is wrong now.

use steward_wire::AlertList;

use crate::{
    failure::Failure,
    session::Session,
    show::{Looks, Word, table},
};

/// Lists what fires. `--json` prints `AlertList`. Exit code 1 if anything does, so that scripts can ask.
pub(crate) async fn list(session: &mut Session) -> Result<(), Failure> {
    let alerts = session.caller()?.alerts().await?;
    session.show.answer(&alerts, view)?;
    if alerts.alerts.is_empty() { Ok(()) } else { Err(Failure::not_true()) }
}

fn view(alerts: &AlertList, looks: Looks) -> String {
    if alerts.alerts.is_empty() {
        return format!("Nothing: {} rules were looked at.\n", alerts.rules);
    }
    let rows = alerts.alerts.iter().map(|alert| {
        let about = alert.about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
        let since = alert.since.as_deref().unwrap_or_default();
        let mend = format!("{}; see {}", alert.mend, alert.page);
        [
            Word::state(&alert.severity),
            format!("{}{about}", alert.name).into(),
            since.into(),
            (&alert.evidence).into(),
            mend.into(),
        ]
    });
    table(looks, ["state", "alert", "since", "by what it is seen", "what to do"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{AlertList, AlertRecord};

    use super::view;
    use crate::show::Looks;

    #[test]
    fn an_alert_says_what_to_do() {
        let alert = AlertRecord {
            name: "breaker-open".into(),
            severity: "warning".into(),
            part: "models".into(),
            about: Some("fast".into()),
            since: Some("2026-11-20T09:00:00.000Z".into()),
            evidence: "`fast` is not asked".into(),
            mend: "try it".into(),
            page: "docs/operations/breaker-open.md".into(),
        };
        expect![[r#"
            state    alert                since                     by what it is seen   what to do
            warning  breaker-open (fast)  2026-11-20T09:00:00.000Z  `fast` is not asked  try it; see docs/operations/breaker-open.md
        "#]]
        .assert_eq(&view(&AlertList { rules: 17, alerts: vec![alert] }, Looks::default()));
        let none = view(&AlertList { rules: 17, alerts: Vec::new() }, Looks::default());
        assert_eq!(none, "Nothing: 17 rules were looked at.\n");
    }
}
