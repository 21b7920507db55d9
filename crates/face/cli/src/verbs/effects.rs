//! `steward effect`.

use clap::Subcommand;
use steward_caller::EffectQuery;
use steward_wire::{EffectList, EffectSummary, ResolveEffect};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, facts, table},
};

/// What can be done about effects.
#[derive(Debug, Subcommand)]
pub enum EffectVerb {
    /// List effects, newest first
    List {
        /// Only those of which nobody knows whether they happened
        #[arg(long)]
        unknown: bool,
        /// Of this run only
        #[arg(long, value_name = "ID")]
        run: Option<String>,
    },
    /// Say what became of one of which nobody knows
    #[command(group(clap::ArgGroup::new("outcome").required(true)))]
    Resolve {
        /// Its id: act_…
        id: String,
        /// It happened
        #[arg(long, group = "outcome")]
        happened: bool,
        /// It did not happen
        #[arg(long, group = "outcome")]
        did_not_happen: bool,
        /// How you know; recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub(crate) async fn carry_out(session: &mut Session, verb: EffectVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        EffectVerb::List { unknown, run } => {
            let list = caller.effects(&EffectQuery { status: unknown.then(|| "unknown".to_owned()), run }).await?;
            session.show.answer(&list, list_view)?;
            if list.effects.iter().any(|effect| effect.status == "unknown") {
                let resolve = session.command("effect resolve ID --happened|--did-not-happen --reason TEXT");
                session.show.aside(&format!("Find out what became of the unknown ones, and say so: `{resolve}`"));
            }
            Ok(())
        }
        EffectVerb::Resolve { id, happened, did_not_happen: _, reason } => {
            let effect = caller.resolve_effect(&id, &ResolveEffect { happened, reason }).await?;
            session.show.answer(&effect, effect_view)
        }
    }
}

fn effect_view(effect: &EffectSummary, looks: Looks) -> String {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    facts(
        looks,
        [
            ("effect", Word::new(&effect.id, Ink::Bold)),
            ("status", Word::state(&effect.status)),
            ("agent", (&effect.agent).into()),
            ("run", text(&effect.run)),
            ("what", format!("{} {}", effect.action, effect.resource).into()),
            ("intended", (&effect.intended_at).into()),
            ("settled", text(&effect.settled_at)),
            ("error", text(&effect.error_message)),
            ("code", text(&effect.error_code)),
        ],
    )
}

fn list_view(list: &EffectList, looks: Looks) -> String {
    let what = |e: &EffectSummary| Word::from(format!("{} {}", e.action, e.resource));
    if looks.is_terminal {
        let rows = list.effects.iter().map(|e| {
            [looks.time(&e.intended_at), (&e.id).into(), looks.name(&e.agent), what(e), Word::state(&e.status)]
        });
        return table(looks, ["intended", "effect", "agent", "what", "status"], rows);
    }
    let rows = list.effects.iter().map(|e| {
        let run = e.run.as_deref().unwrap_or("-");
        let code = e.error_code.as_deref().unwrap_or("-");
        [
            Word::from(&e.intended_at),
            (&e.id).into(),
            (&e.agent).into(),
            run.into(),
            what(e),
            (&e.status).into(),
            code.into(),
        ]
    });
    table(looks, ["intended", "effect", "agent", "run", "what", "status", "code"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{EffectList, EffectSummary};

    use super::{effect_view, list_view};
    use crate::show::Looks;

    fn effect() -> EffectSummary {
        EffectSummary {
            id: "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into(),
            agent: "scribe.acme.internal".into(),
            run: Some("run_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into()),
            action: "http.get".into(),
            resource: "example.org/a\u{1b}".into(),
            status: "unknown".into(),
            intended_at: "2026-11-20T20:14:27.123Z".into(),
            settled_at: None,
            error_code: Some("OUTCOME_UNKNOWN".into()),
            error_message: Some("the answer broke off".into()),
        }
    }

    #[test]
    fn effects_as_they_look() {
        expect![[r#"
            effect    act_01KAHW5V8NQ4Z0M7C2R9T3XBYD
            status    unknown
            agent     scribe.acme.internal
            run       run_01KAHW5V8NQ4Z0M7C2R9T3XBYD
            what      http.get example.org/a\u{1b}
            intended  2026-11-20T20:14:27.123Z
            error     the answer broke off
            code      OUTCOME_UNKNOWN
        "#]]
        .assert_eq(&effect_view(&effect(), Looks::default()));
        let list = EffectList { effects: vec![effect()] };
        let text = list_view(&list, Looks::default());
        assert!(text.contains("run_01KAHW5V8NQ4Z0M7C2R9T3XBYD"), "{text}");
        let looks = Looks { is_terminal: true, colour: false, width: Some(80) };
        let text = list_view(&list, looks);
        assert!(text.contains("act_01KAHW5V8NQ4Z0M7C2R9T3XBYD"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
