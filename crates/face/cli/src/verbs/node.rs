//! `steward node` and `steward doctor`.

use std::time::Duration;

use clap::{Args, Subcommand};
use steward_caller::CallError;
use steward_wire::{Check, Doctor, NodeStatus};

use crate::{
    failure::Failure,
    home::KEY_VARIABLE,
    session::{Session, key_of_environment},
    show::{Ink, Looks, Word, facts_of, table},
    times::spoken,
};

/// What can be asked about the node.
#[derive(Debug, Subcommand)]
pub enum NodeVerb {
    /// What it is and does, measured now
    Status(StatusArgs),
}

/// How the status is shown.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Go on showing it, every two seconds, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// How often a status that is watched is measured anew.
const WATCH_EVERY_MS: u64 = 2_000;

/// What clears a terminal and puts the cursor at its beginning.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(crate) async fn carry_out(session: &mut Session, verb: NodeVerb) -> Result<(), Failure> {
    match verb {
        NodeVerb::Status(StatusArgs { watch: true }) => watch(session).await,
        NodeVerb::Status(StatusArgs { watch: false }) => {
            let caller = session.caller()?;
            session.check_head(&caller).await?;
            let status = caller.node_status().await?;
            let address = caller.address().to_owned();
            session.show.answer(&status, |status, looks| status_view(status, &address, looks))?;
            if status.version != session.version {
                let versions =
                    format!("The node runs version {}, this program is {}.", status.version, session.version);
                session.show.aside(&versions);
            }
            Ok(())
        }
    }
}

/// Shows the status again and again, until Ctrl-C.
async fn watch(session: &mut Session) -> Result<(), Failure> {
    tokio::select! {
        // First, so that it is waited for from the beginning.
        biased;
        _ = tokio::signal::ctrl_c() => Ok(()),
        ended = again_and_again(session) => ended,
    }
}

/// A node that does not answer is said to, and asked again.
async fn again_and_again(session: &mut Session) -> Result<(), Failure> {
    let caller = session.caller()?;
    let address = caller.address().to_owned();
    loop {
        match caller.node_status().await {
            Ok(status) => session.show.answer(&status, |status, looks| {
                let clear = if looks.is_terminal { CLEAR } else { "" };
                format!("{clear}{}", status_view(status, &address, looks))
            })?,
            Err(error @ (CallError::Unreachable { .. } | CallError::Untrusted { .. } | CallError::Unreadable(_))) => {
                session.show.aside(&Failure::from(error).message);
            }
            Err(error) => return Err(error.into()),
        }
        session.show.flush()?;
        tokio::time::sleep(Duration::from_millis(WATCH_EVERY_MS)).await;
    }
}

/// Looks at what can be seen from here, then has the node look at itself. `--json` prints `Doctor`, with both. Exit code 1
/// if anything failed, 3 if the node cannot be asked.
pub(crate) async fn doctor(session: &mut Session) -> Result<(), Failure> {
    let mut checks = Vec::new();
    let asked = session.caller();
    match session.whereabouts() {
        Ok(whereabouts) => {
            checks.push(check("address", "ok", format!("the node should be at {}", whereabouts.address), None))
        }
        Err(failure) => checks.push(check("address", "failed", failure.message, failure.hint)),
    }
    if let Ok(node) = session.node_memory() {
        checks.push(match (key_of_environment(), node.credential()) {
            (Ok(Some(_)), _) => check("login", "ok", format!("with the key in {KEY_VARIABLE}"), None),
            (Err(failure), _) | (_, Err(failure)) => check("login", "failed", failure.message, failure.hint),
            (_, Ok(Some(key))) => check("login", "ok", format!("logged in as {} ({})", key.holder, key.label), None),
            (_, Ok(None)) => {
                check("login", "failed", "not logged in".into(), Some(format!("run `{}`", session.command("login"))))
            }
        });
    }
    let mut exit = None;
    if let Ok(caller) = &asked {
        checks.push(match session.check_head(caller).await {
            Ok(()) => check("ledger", "ok", "it continues what was seen of it before".into(), None),
            Err(failure) => {
                exit = Some(failure.exit);
                check("ledger", "failed", failure.message, failure.hint)
            }
        });
        if exit != Some(crate::Exit::Unreachable) {
            match caller.doctor().await {
                Ok(doctor) => checks.extend(doctor.checks),
                Err(error) => {
                    let failure = Failure::from(error);
                    exit = Some(failure.exit);
                    checks.push(check("node", "failed", failure.message, failure.hint));
                }
            }
        }
    } else if let Err(failure) = &asked {
        exit = Some(failure.exit);
    }
    let doctor = Doctor { checks };
    session.show.answer(&doctor, doctor_view)?;
    let failed = doctor.checks.iter().any(|check| check.status == "failed");
    match exit {
        Some(exit) => Err(Failure { exit, ..Failure::not_true() }),
        None if failed => Err(Failure::not_true()),
        None => Ok(()),
    }
}

fn check(name: &str, status: &str, found: String, mend: Option<String>) -> Check {
    Check { name: name.to_owned(), status: status.to_owned(), found, mend }
}

fn status_view(status: &NodeStatus, address: &str, looks: Looks) -> String {
    let time = |text: &str| text.parse::<steward_clock::Timestamp>().ok();
    let up = match (time(&status.now), time(&status.started_at)) {
        (Some(now), Some(start)) => format!("for {}, since {}", spoken(now.since_ms(start)), status.started_at),
        _ => format!("since {}", status.started_at),
    };
    let demo = if status.demo { " (demo)" } else { "" };
    let mut lines = vec![
        ("node".to_owned(), Word::new(format!("{}{demo}", status.namespace), Ink::Bold)),
        ("at".to_owned(), address.into()),
        ("version".to_owned(), (&status.version).into()),
        ("up".to_owned(), up.into()),
        ("ledger".to_owned(), format!("{} entries, `{}`", status.entries, status.origin).into()),
        ("policy".to_owned(), (&status.policy_version).into()),
    ];
    if let Some(halted) = &status.halted {
        lines.push(("halted".to_owned(), Word::new(halted, Ink::Bad)));
    }
    if let Some(why) = &status.rolled_back {
        lines.push(("rolled back".to_owned(), Word::new(why, Ink::Bad)));
    }
    for mistake in &status.policy_mistakes {
        lines.push(("mistake".to_owned(), Word::new(mistake, Ink::Bad)));
    }
    let unknown = match status.effects_unknown {
        0 => Word::from(format!("{} on their way", status.effects_open)),
        n => Word::new(
            format!("{} on their way; {n} unknown: nobody knows whether they happened", status.effects_open),
            Ink::Bad,
        ),
    };
    lines.extend([
        ("people".to_owned(), status.people.to_string().into()),
        ("agents".to_owned(), status.agents.to_string().into()),
        ("runs".to_owned(), format!("{} live", status.runs_live).into()),
        ("sandbox".to_owned(), (&status.sandbox).into()),
        ("effects".to_owned(), unknown),
        (
            "keystore".to_owned(),
            Word::new(&status.keystore, if status.keystore.starts_with("unlocked") { Ink::Plain } else { Ink::Bad }),
        ),
        ("strangers".to_owned(), format!("{} requests without a valid key", status.unauthenticated).into()),
        ("disk".to_owned(), format!("{} free", bytes(status.disk_free_bytes)).into()),
    ]);
    for part in &status.health {
        let ink = match part.status.as_str() {
            "ok" => continue,
            "warning" => Ink::Warn,
            _ => Ink::Bad,
        };
        lines.push((part.name.clone(), Word::new(format!("{}: {}", part.status, part.found), ink)));
    }
    let well = status.health.iter().filter(|part| part.status == "ok").count();
    if !status.health.is_empty() {
        lines.push(("health".to_owned(), format!("{well} of {} parts are well", status.health.len()).into()));
    }
    facts_of(looks, &lines)
}

/// Bytes in the largest unit that leaves at least one, rounded down to a tenth.
pub(crate) fn bytes(n: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| n >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(n) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{n} bytes"),
    }
}

fn doctor_view(doctor: &Doctor, looks: Looks) -> String {
    let rows = doctor.checks.iter().map(|c| {
        let mend = c.mend.as_deref().unwrap_or_default();
        [Word::state(&c.status), (&c.name).into(), (&c.found).into(), mend.into()]
    });
    table(looks, ["state", "looked at", "found", "to mend it"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{Doctor, NodeStatus};

    use super::{bytes, check, doctor_view, status_view};
    use crate::show::Looks;

    #[test]
    fn a_status_is_read_at_a_glance() {
        let status = NodeStatus {
            version: "0.1.0".into(),
            namespace: "acme.internal".into(),
            origin: "acme.internal/ledger".into(),
            started_at: "2026-11-20T20:00:00.000Z".into(),
            now: "2026-11-20T22:05:00.000Z".into(),
            entries: 41,
            policy_version: "sha256:00".into(),
            policy_mistakes: vec!["tiers/T0.cedar:4:7: unknown action".into()],
            people: 2,
            agents: 3,
            effects_open: 1,
            effects_unknown: 1,
            runs_live: 2,
            halted: Some("by olivia@acme.internal: smoke".into()),
            rolled_back: None,
            sandbox: "grade A, limits by cgroup-v1".into(),
            keystore: "unlocked by the key file keys/keeper.key".into(),
            unauthenticated: 9,
            disk_free_bytes: 53_687_091_200,
            demo: true,
            health: vec![
                check("store", "ok", "it works".into(), None),
                check("models", "warning", "`fast` is not asked".into(), Some("look at the provider".into())),
            ],
        };
        expect![[r#"
            node       acme.internal (demo)
            at         http://127.0.0.1:7878
            version    0.1.0
            up         for 2 h 5 min, since 2026-11-20T20:00:00.000Z
            ledger     41 entries, `acme.internal/ledger`
            policy     sha256:00
            halted     by olivia@acme.internal: smoke
            mistake    tiers/T0.cedar:4:7: unknown action
            people     2
            agents     3
            runs       2 live
            sandbox    grade A, limits by cgroup-v1
            effects    1 on their way; 1 unknown: nobody knows whether they happened
            keystore   unlocked by the key file keys/keeper.key
            strangers  9 requests without a valid key
            disk       50.0 GiB free
            models     warning: `fast` is not asked
            health     1 of 2 parts are well
        "#]]
        .assert_eq(&status_view(&status, "http://127.0.0.1:7878", Looks::default()));
    }

    #[test]
    fn a_doctor_says_how_to_mend() {
        let checks = vec![
            check("address", "ok", "the node should be at http://127.0.0.1:7878".into(), None),
            check("login", "failed", "not logged in".into(), Some("run `steward login`".into())),
        ];
        expect![[r#"
            state   looked at  found                                        to mend it
            ok      address    the node should be at http://127.0.0.1:7878
            failed  login      not logged in                                run `steward login`
        "#]]
        .assert_eq(&doctor_view(&Doctor { checks }, Looks::default()));
    }

    #[test]
    fn sizes() {
        let sizes = [0, 1023, 1024, 1_610_612_736, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB", "16777215.9 TiB"]);
    }
}
