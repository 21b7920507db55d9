//! A run that completed, as a file of evidence that holds.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use steward_ledger::{ActorKind, Body, BodyActor, BodyDecision, BodyOutcome, BodyResource, Verdict, kind};
use steward_permit::ResourceKind;
use steward_seal::{Digest, json::canonical};
use steward_wire::{EVIDENCE_FORMAT, EvidenceDocument, EvidenceEntry, EvidenceFile, RunRecord};

use super::Ledger;

pub(crate) const RUN: &str = "run_01KAHW5V8NQ4Z0M7C2R9T3XBYD";
pub(crate) const TRACE: &str = "trc_01KAHW5V8NQ4Z0M7C2R9T3XBYD";
pub(crate) const WRITE: &str = "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD";

/// What the run wrote.
const CONTENT: &[u8] = b"# A design\n";

/// A run that ended so, in EXECUTE unless it completed.
pub(crate) fn run_record(status: &str) -> RunRecord {
    let completed = status == "completed";
    let (code, message) = match completed {
        true => ("COMPLETED", "everything that was asked is there"),
        false => ("REPEATED_ERROR", "`no such host` twice"),
    };
    let over = status != "live";
    RunRecord {
        id: RUN.into(),
        task: "design".into(),
        agent: "scribe.acme.internal".into(),
        agent_version: "1.0.0".into(),
        tier: "T1".into(),
        phase: if over { "EXIT" } else { "EXECUTE" }.into(),
        status: status.into(),
        code: over.then(|| code.into()),
        message: over.then(|| message.into()),
        ended_in: over.then(|| if completed { "REPORT" } else { "EXECUTE" }.into()),
        started_by: "olivia@acme.internal".into(),
        started_at: "2026-11-20T20:14:27.123Z".into(),
        ended_at: over.then(|| "2026-11-20T20:14:40.000Z".into()),
        parent: None,
        objective: "Design a thing".into(),
        errors: 1,
        max_errors: 8,
        fence: 7,
        sandbox: Some("A, cgroup-v1".into()),
        trace: TRACE.into(),
        entry: 12,
    }
}

/// A ledger entry in the making.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) body: Body,
}

impl Told {
    fn new(kind: &'static str, subject: &str, detail: Value) -> Self {
        let Value::Object(detail) = detail else { panic!("an object") };
        let trace = Some(TRACE.parse().unwrap());
        let body = Body { detail, trace, ..Body::by_node("acme.internal", subject) };
        Self { kind, body }
    }
}

/// A story with its documents, to be changed by a test before it is told.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) run: RunRecord,
    pub(crate) told: Vec<Told>,
    /// By kind.
    pub(crate) documents: BTreeMap<&'static str, Vec<u8>>,
}

impl Story {
    /// A run that completed, with one artifact.
    pub(crate) fn completed() -> Self {
        let packet = json!({"agent_id": "scribe.acme.internal", "task_id": "design", "objective": "Design a thing"});
        let plan = json!({"summary": "write it", "steps": [{"step": "write"}]});
        let (packet, plan) = (canonical(&packet).unwrap(), canonical(&plan).unwrap());
        let named = |bytes: &[u8]| Digest::of(bytes).to_string();
        let package = json!({
            "run": RUN, "task": "design", "agent": "scribe.acme.internal", "packet": named(&packet), "plan": named(&plan),
            "artifacts": [{"path": "/design.md", "digest": named(CONTENT), "bytes": CONTENT.len()}],
            "decisions": [{"seq": "6", "action": "fs.write", "resource": "/design.md", "verdict": "allow", "policies": []}],
            "outputs": [{"action": WRITE, "tool": "fs.write", "status": "succeeded", "digest": named(CONTENT)}],
        });
        let package = canonical(&package).unwrap();
        let report = b"{}".to_vec();
        let phase = |from: &str, to: &str| Told::new(kind::RUN_PHASE, RUN, json!({"from": from, "to": to}));
        let mut started = Told::new(
            kind::RUN_STARTED,
            RUN,
            json!({"task": "design", "agent": "scribe.acme.internal", "packet": named(&packet)}),
        );
        started.body.actor = actor(ActorKind::Person, "olivia@acme.internal");
        let mut packaged = phase("PACKAGE", "REPORT");
        packaged.body.detail.insert("package".into(), named(&package).into());
        let ended = json!({
            "from": "REPORT", "to": "EXIT", "ending": "completed", "code": "COMPLETED",
            "message": "everything that was asked is there", "phase": "REPORT", "report": named(&report),
        });
        let told = vec![
            started,
            phase("BOOTSTRAP", "PREFLIGHT"),
            phase("PREFLIGHT", "PLAN"),
            Told::new(kind::RUN_AGENT_STARTED, RUN, json!({"sandbox": "A"})),
            Told::new(kind::RUN_PLANNED, RUN, json!({"plan": named(&plan)})),
            phase("PLAN", "EXECUTE"),
            write(kind::ACTION_INTENDED),
            write(kind::ACTION_PUBLISHING),
            settled(true),
            phase("EXECUTE", "VERIFY"),
            phase("VERIFY", "PACKAGE"),
            packaged,
            Told::new(kind::RUN_ENDED, RUN, ended),
            Told::new(kind::RUN_AGENT_ENDED, RUN, json!({"code": 0})),
        ];
        let documents = BTreeMap::from([("packet", packet), ("plan", plan), ("package", package), ("report", report)]);
        Self { run: run_record("completed"), told, documents }
    }

    /// The entry of this kind that comes first.
    pub(crate) fn first(&mut self, kind: &str) -> &mut Body {
        &mut self.told.iter_mut().find(|told| told.kind == kind).unwrap().body
    }

    /// Changes the evidence package, and whatever names it.
    pub(crate) fn repackage(&mut self, change: impl FnOnce(&mut Value)) {
        let mut package: Value = serde_json::from_slice(&self.documents["package"]).unwrap();
        change(&mut package);
        let bytes = canonical(&package).unwrap();
        let digest = Digest::of(&bytes).to_string();
        let names_it = self.told.iter_mut().find(|told| told.body.detail.contains_key("package")).unwrap();
        names_it.body.detail.insert("package".into(), digest.into());
        self.documents.insert("package", bytes);
    }

    /// The story as entries of a ledger of its own, and the file that a node gives.
    pub(crate) fn tell(&self) -> (EvidenceFile, Ledger) {
        let entries = self
            .told
            .iter()
            .map(|told| (told.kind.to_owned(), String::from_utf8(told.body.encode().unwrap()).unwrap()));
        let ledger = Ledger::holding(entries.collect());
        let documents = self.documents.iter().map(|(kind, bytes)| EvidenceDocument {
            kind: (*kind).to_owned(),
            digest: Digest::of(bytes).to_string(),
            bytes: STANDARD.encode(bytes),
        });
        let file = EvidenceFile {
            format: EVIDENCE_FORMAT.into(),
            run: self.run.clone(),
            vkey: ledger.key().to_string(),
            identity: Value::Object(Map::new()),
            documents: documents.collect(),
            entries: (0..self.told.len()).map(|seq| evidence_entry(&ledger, seq)).collect(),
        };
        (file, ledger)
    }
}

/// The evidence of a run that completed, and the ledger that it stands in.
pub(crate) fn completed_run() -> (EvidenceFile, Ledger) {
    Story::completed().tell()
}

/// An entry of a ledger as evidence holds it.
pub(crate) fn evidence_entry(ledger: &Ledger, seq: usize) -> EvidenceEntry {
    let proof = ledger.prove(seq);
    EvidenceEntry { seq: proof.seq, leaf: proof.leaf, body: proof.body, salt: proof.salt, proof: proof.proof }
}

fn actor(kind: ActorKind, name: &str) -> BodyActor {
    BodyActor { kind, name: name.into(), roles: Vec::new(), tier: None, version: None }
}

fn write(kind: &'static str) -> Told {
    let mut told = Told::new(kind, WRITE, json!({}));
    told.body.actor = actor(ActorKind::Agent, "scribe.acme.internal");
    told.body.decision = Some(BodyDecision {
        action: "fs.write".into(),
        arguments: (kind == kind::ACTION_INTENDED).then(|| Digest::of(CONTENT)),
        circumstances: None,
        code: None,
        digest: Digest::of(b"action"),
        errors: Vec::new(),
        id: WRITE.parse().unwrap(),
        outcome: Verdict::Allow,
        policies: Vec::new(),
        policy_version: Digest::of(b"policy"),
        resource: BodyResource { id: "/design.md".into(), kind: ResourceKind::File },
    });
    told
}

fn settled(success: bool) -> Told {
    let mut told = Told::new(kind::ACTION_SETTLED, WRITE, json!({}));
    told.body.outcome = Some(BodyOutcome { success, error_type: None, error_message: None });
    told
}
