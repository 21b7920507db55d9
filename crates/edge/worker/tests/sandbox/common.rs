//! A launcher of its own for each test, warrants for what it is to run, and scripts.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, Name};
use steward_permit::{Action, ActionName, Actor, Issuer, Resource, ResourceKind, Ruling, Tier, Warrant};
use steward_seal::Digest;
use steward_worker::{
    EffectError, Exit, Grade, Launcher, LauncherSettings, Limits, LimitsBy, Line, Mount, Output, Session, Spec,
    Worker as _,
};

pub(crate) const BOTH: [Grade; 2] = [Grade::A, Grade::B];

/// The program beside the tests whose `sandbox-init` is the library's.
pub(crate) fn helper() -> PathBuf {
    let own = std::env::current_exe().expect("known");
    let profile = own.parent().and_then(Path::parent).expect("deps lies in the profile's folder");
    let helper = profile.join("examples/sandbox_init");
    assert!(helper.exists(), "build the examples too: `cargo nextest run -p steward-worker`");
    helper
}

/// A name that no other test has.
pub(crate) fn instance() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn settings() -> LauncherSettings {
    LauncherSettings { helper: helper(), instance: instance() }
}

pub(crate) fn launcher(grade: Grade) -> Launcher {
    launcher_by(grade, None)
}

/// A launcher whose limits hold on everything together.
pub(crate) fn launcher_with_groups(grade: Grade) -> Launcher {
    let launcher = launcher(grade);
    assert_ne!(
        launcher.limits_by(),
        LimitsBy::Rlimits,
        "this test needs control groups that it can write: run it as root"
    );
    launcher
}

pub(crate) fn launcher_by(grade: Grade, by: Option<LimitsBy>) -> Launcher {
    let launcher = Launcher::start_poorer(settings(), grade, by).expect("a sandbox");
    assert_eq!(launcher.grade(), grade, "this machine has no user namespaces; the tests need a machine that has them");
    launcher
}

pub(crate) fn spec(argv: &[&str]) -> Spec {
    let argv = argv.iter().map(|a| (*a).to_owned()).collect();
    Spec { argv, env: Vec::new(), mounts: Vec::new(), limits: tight(), minimum: Grade::B, door: false }
}

/// Small enough that a flood ends soon, large enough for an interpreter on a busy machine.
pub(crate) fn tight() -> Limits {
    Limits { wall_ms: 60_000, memory_bytes: 128 << 20, scratch_bytes: 8 << 20, processes: 24, ..Limits::TOOL }
}

pub(crate) fn mount(from: &Path, at: &str) -> Mount {
    Mount { from: from.to_owned(), at: at.to_owned(), executable: false, writable: false }
}

/// A number that only this test's processes have on their command lines: what a script's `NAP` becomes, a time to sleep.
pub(crate) fn mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(10);
    thread_local!(static OWN: String = format!("1{}{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    OWN.with(String::clone)
}

pub(crate) fn marked(script: &str) -> String {
    script.replace("NAP", &mark())
}

/// A script, in the language of its own.
pub(crate) fn sh(script: &str) -> Spec {
    spec(&["/bin/sh", "-c", &marked(script)])
}

pub(crate) fn python(script: &str) -> Spec {
    let program = "/usr/bin/python3";
    assert!(Path::new(program).exists(), "python3 is missing: `apt-get install --yes python3-minimal`");
    spec(&[program, "-c", &marked(script)])
}

pub(crate) fn perl(script: &str) -> Spec {
    spec(&["/usr/bin/perl", "-e", &marked(script)])
}

fn permitted(name: &str, kind: ResourceKind, id: &str, spec: &Spec) -> (Warrant, Action) {
    let agent: Name = "scribe.acme.internal".parse().expect("valid");
    let resource = Resource::new(kind, id).expect("valid");
    let action = Action::new(agent.namespace().clone(), ActionName::parse(name).expect("valid"), resource)
        .with_arguments(spec.digest());
    (warrant(&action), action)
}

/// The warrant that the store would give for it.
pub(crate) fn warrant(action: &Action) -> Warrant {
    let name: Name = "scribe.acme.internal".parse().expect("valid");
    let ruling = Ruling {
        id: ActionId::new(Timestamp::from_unix_ms(0), &Ones),
        actor: Actor::Agent { name, version: "1.0.0".to_owned(), tier: Tier::T2, via: None },
        key: None,
        action: action.clone(),
        circumstances: None,
        policies: Vec::new(),
        policy_version: Digest::of(b"policy"),
        at: Timestamp::from_unix_ms(0),
    };
    Issuer::for_policy_engine().permit(ruling).spend(1)
}

struct Ones;

impl Dice for Ones {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(1);
    }
}

pub(crate) fn start(launcher: &Launcher, spec: &Spec) -> Result<Session, EffectError> {
    let (warrant, action) = permitted("agent.start", ResourceKind::Agent, "scribe.acme.internal", spec);
    launcher.start(&warrant, &action, spec)
}

pub(crate) fn run(launcher: &Launcher, spec: &Spec) -> Output {
    let (warrant, action) = permitted("exec", ResourceKind::Command, &spec.argv[0], spec);
    launcher.run(&warrant, &action, spec, b"").expect("it runs")
}

/// What it wrote, when it ended well.
pub(crate) fn said(launcher: &Launcher, spec: &Spec) -> String {
    let output = run(launcher, spec);
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.exit.code, Some(0), "{text} {:?}", output.exit);
    text
}

pub(crate) fn line(session: &mut Session) -> Option<String> {
    match session.from_agent.blocking_recv()? {
        Line::Text(text) => Some(text),
        other => panic!("no text: {other:?}"),
    }
}

pub(crate) fn ended(session: Session) -> Exit {
    session.exit.blocking_recv().expect("it ends")
}

/// The processes of the machine whose command line holds `mark`, a word that only the test's scripts have.
pub(crate) fn with_mark(mark: &str) -> Vec<i32> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").expect("readable").flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| pid.unsigned_abs() != own)
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        })
        .collect()
}
