//! The store that is tampered with, and how a case is tried.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rusqlite::{Connection, types::Value};
use serde_json::json;
use steward_app_flows::runs::Asking;
use steward_app_hooks::{Event, Hook, Round, To};
use steward_app_models::{Limits, NewBudget, NewModel};
use steward_app_people::NewLink;
use steward_app_secrets::{Generator, Value as Holds};
use steward_app_tools::NewServer;
use steward_app_traces::Receiver;
use steward_gateway::ToolDefinition;
use steward_identity::IssuerSettings;
use steward_ledger::{Audit, FindingCode, Place, Report, TreeHead};
use steward_permit::{Role, Scope, Tier};
use steward_policy::Source;
use steward_seal::{Sealed, SigningKey, note::NoteKey};
use steward_store::{Archive, StoreError};
use steward_testkit::{Known, SignsWith, TestNode};
use tempfile::TempDir;

/// A store that a node left behind, and what an auditor knows of it.
pub(crate) struct Subject {
    pub(crate) entries: u64,
    /// Entries in full tiles: an entry of those is named by its tile too.
    pub(crate) tiled: u64,
    /// Fact tables with their columns, key first.
    pub(crate) tables: Vec<Table>,
    /// Heads that somebody kept: in the middle, and the last.
    pub(crate) heads: Vec<Sealed<TreeHead>>,
    /// The note of the first of them.
    pub(crate) old_note: String,
    /// The store as it was then.
    pub(crate) old_store: PathBuf,
    /// The node's own key, in the hands of a thief.
    pub(crate) stolen: SigningKey,
    pub(crate) key: NoteKey,
    store: PathBuf,
    folder: TempDir,
    copies: AtomicUsize,
}

pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// Something that is done to a copy, and what must be found.
pub(crate) struct Case {
    /// What it is done to.
    pub(crate) kind: &'static str,
    /// What is done, for people.
    pub(crate) what: String,
    /// What is done.
    pub(crate) edits: Vec<(String, Vec<Value>)>,
    /// All of these must be found.
    pub(crate) expected: Vec<Expected>,
    /// How far the audit goes.
    pub(crate) reach: Reach,
}

/// How far an audit goes. The most thorough one finds what the others find; the shorter ones are for thousands of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Hashes,
    Entries,
    State,
}

pub(crate) enum Expected {
    /// A finding of this code, at this place, whose message holds these words.
    Finding(FindingCode, Place, String),
    /// One of these codes at this place.
    OneOf(Vec<FindingCode>, Place),
    /// The store is refused as damaged, in words that hold these.
    Refused(&'static str),
}

impl Case {
    pub(crate) fn new(kind: &'static str, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), edits: Vec::new(), expected: Vec::new(), reach: Reach::Entries }
    }

    pub(crate) fn edit(mut self, sql: impl Into<String>, values: impl Into<Vec<Value>>) -> Self {
        self.edits.push((sql.into(), values.into()));
        self
    }

    pub(crate) fn finds(mut self, code: FindingCode, place: Place) -> Self {
        self.expected.push(Expected::Finding(code, place, String::new()));
        self
    }

    pub(crate) fn finds_saying(mut self, code: FindingCode, place: Place, words: impl Into<String>) -> Self {
        self.expected.push(Expected::Finding(code, place, words.into()));
        self
    }

    pub(crate) fn finds_one_of(mut self, codes: &[FindingCode], place: Place) -> Self {
        self.expected.push(Expected::OneOf(codes.to_vec(), place));
        self
    }

    pub(crate) fn refused_saying(mut self, words: &'static str) -> Self {
        self.expected.push(Expected::Refused(words));
        self
    }

    pub(crate) fn with_state(mut self) -> Self {
        self.reach = Reach::State;
        self
    }

    pub(crate) fn by_hashes(mut self) -> Self {
        self.reach = Reach::Hashes;
        self
    }
}

/// A writable copy of a store, removed when dropped.
pub(crate) struct Copy {
    pub(crate) path: PathBuf,
}

impl Copy {
    pub(crate) fn sql(&self) -> Connection {
        let connection = Connection::open(&self.path).expect("it opens");
        // Somebody with an editor is bound by nothing, and needs no fsync.
        connection
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
            .expect("it obeys");
        connection
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", self.path.display()));
        }
    }
}

/// A run whose agent repeats an error and is revoked, and a halt that is over: a row in every table of runs.
async fn revoked_in_a_run(node: &TestNode, otto: &Known) {
    node.agent("runner", Tier::T1).await;
    let packet = json!({
        "agent_id": "runner", "task_id": "weekly", "created_for": "otto", "objective": "Try.", "deliverables": [],
        "constraints": {"scope": ["fs.write:/reports/**"]}, "success_criteria": [],
        "created_at": "2026-11-20T09:00:00.000Z",
    });
    let run = node.start_run(otto, "runner", &packet).await.expect("it begins");
    let mut agent = node.next_agent().await;
    agent.begin().await;
    for _ in 0..2 {
        agent.call("report_problem", json!({"kind": "PRINTER", "message": "it does not work"})).await;
    }
    assert_eq!(node.ended(run.id()).await.state.ended.expect("it ended").code, "REPEATED_ERROR");
    node.runner().halt(&node.again(otto), "a fire drill").await.expect("halted");
    node.runner().resume(&node.admin().await, "over").await.expect("resumed");
}

/// A server of tools and a model that nobody can reach, a budget, and a call that failed: a row in every table of these.
async fn with_tools_and_models(node: &TestNode, own: &Known) {
    let (context, admin) = (node.context(), node.admin().await);
    let server =
        NewServer { name: "files".to_owned(), url: Some("http://127.0.0.1:9/mcp".to_owned()), ..NewServer::default() };
    steward_app_tools::add(context, &admin, &server).await.expect("added");
    let tool = json!({"name": "read", "description": "Reads.", "inputSchema": {"type": "object"}});
    let tool = ToolDefinition::read(&tool).expect("a tool");
    steward_app_tools::pin(context, &admin, "files", &[tool]).await.expect("pinned");
    steward_app_tools::allow(context, &admin, "files", None, Some(Tier::T1), false).await.expect("allowed");
    let model = NewModel {
        name: "fast".to_owned(),
        wire: "openai".to_owned(),
        url: "http://127.0.0.1:9/v1".to_owned(),
        input_micros: Some(1),
        output_micros: Some(2),
        ..NewModel::default()
    };
    steward_app_models::add(context, &admin, &model).await.expect("added");
    let limits = Limits { calls: Some(9), tokens: Some(1_000_000), micros: Some(1_000_000) };
    let budget = NewBudget { agent: None, per: "day".to_owned(), limits };
    steward_app_models::set_budget(context, &admin, &budget).await.expect("set");
    let question = json!({"model": "fast", "messages": [{"role": "user", "content": "hi"}]});
    let asked = node.runner().chat(Asking::Outside(Box::new(node.again(own))), question).await;
    assert_eq!(asked.expect_err("nobody is there").code, "MODEL_UNAVAILABLE");
}

/// A secret that a run is leased, one that was revoked, and a grant: a row in every table of these.
async fn with_secrets(node: &TestNode, otto: &Known) {
    node.agent("leaser", Tier::T1).await;
    let (context, admin, runner) = (node.context(), node.admin().await, node.runner());
    for name in ["gone", "hook"] {
        runner.put_secret(&admin, name, &Holds::Generated(32)).await.expect("put");
    }
    runner.rotate_secret(&admin, "hook", &Holds::Again).await.expect("rotated");
    runner.revoke_secret(&admin, "gone", "a drill").await.expect("revoked");
    steward_app_secrets::grant(context, &admin, "hook", "leaser", true).await.expect("granted");
    let model = NewModel {
        name: "kept".to_owned(),
        wire: "openai".to_owned(),
        url: "http://127.0.0.1:9/v1".to_owned(),
        input_micros: Some(1),
        output_micros: Some(2),
        secret: Some("hook".to_owned()),
        ..NewModel::default()
    };
    steward_app_models::add(context, &admin, &model).await.expect("added");
    let packet = json!({
        "agent_id": "leaser", "task_id": "lease", "created_for": "otto", "objective": "Ask.", "deliverables": [],
        "constraints": {"scope": ["model.call:*"]}, "success_criteria": [], "created_at": "2026-11-20T09:00:00.000Z",
    });
    let run = node.start_run(otto, "leaser", &packet).await.expect("it begins");
    let mut agent = node.next_agent().await;
    agent.begin().await;
    let question = json!({"model": "kept", "messages": [{"role": "user", "content": "hi"}]});
    let asked = runner.chat(Asking::Run(run.id().clone(), None), question).await;
    assert_eq!(asked.expect_err("nobody is there").code, "MODEL_UNAVAILABLE");
    agent.exit(0);
    node.ended(run.id()).await;
}

/// A generator whose program is not there, and which is therefore still to end what it may have made.
async fn with_a_generator(node: &mut TestNode, otto: &Known) {
    let generator = Generator {
        name: "roles".parse().expect("a label"),
        command: vec!["/nowhere/make-role".to_owned()],
        secrets: [("MAKER_KEY".to_owned(), "hook".parse().expect("a label"))].into(),
        timeout_s: 1,
    };
    node.generate(vec![generator]);
    node.restart().await;
    let admin = node.admin().await;
    let by = Holds::MadeBy("roles".parse().expect("a label"));
    node.runner().put_secret(&admin, "db", &by).await.expect("put");
    let model = NewModel {
        name: "made".to_owned(),
        wire: "openai".to_owned(),
        url: "http://127.0.0.1:9/v1".to_owned(),
        input_micros: Some(1),
        output_micros: Some(2),
        secret: Some("db".to_owned()),
        ..NewModel::default()
    };
    steward_app_models::add(node.context(), &admin, &model).await.expect("added");
    let packet = json!({
        "agent_id": "leaser", "task_id": "make", "created_for": "otto", "objective": "Ask.", "deliverables": [],
        "constraints": {"scope": ["model.call:*"]}, "success_criteria": [], "created_at": "2026-11-20T09:00:00.000Z",
    });
    let run = node.start_run(otto, "leaser", &packet).await.expect("it begins");
    let mut agent = node.next_agent().await;
    agent.begin().await;
    let question = json!({"model": "made", "messages": [{"role": "user", "content": "hi"}]});
    let asked = node.runner().chat(Asking::Run(run.id().clone(), None), question).await;
    assert_eq!(asked.expect_err("nobody makes it").code, "SECRET_NOT_MADE");
    agent.exit(0);
    node.ended(run.id()).await;
    assert_eq!(node.runner().end_made("roles").await.expect("a round").failed, 1);
}

/// A hook whose program is not there, and which is therefore still to be told.
async fn with_a_hook(node: &mut TestNode, otto: &Known) {
    let to = To::Command(vec!["/nowhere/page".to_owned()]);
    node.tell(vec![Hook { name: "page".parse().expect("a label"), to, events: Event::ALL.to_vec() }]);
    node.restart().await;
    tell(node).await;
    node.agent("planner", Tier::T4).await;
    // Every byte of the shortest document is looked at: it is not to be too short.
    let plan = "Another plan of an architect, of which somebody is to be told. ".repeat(3);
    let waits = node.act(otto, "planner", "fs.write", "/plans/b.md", plan.as_bytes()).await;
    assert_eq!(waits.expect_err("it waits").code, "NEEDS_REVIEW");
    assert_eq!((tell(node).await.queued, tell(node).await.failed), (1, 0), "it failed at once, and waits");
}

async fn tell(node: &TestNode) -> Round {
    let runner = node.runner();
    runner.hooks.round(node.context(), runner.keeper(), "page").await.expect("a round")
}

/// A receiver of spans that is not there.
async fn with_traces(node: &mut TestNode) {
    let receiver = Receiver::new("http://127.0.0.1:9", Vec::new(), false).expect("a receiver");
    node.trace_to(Some(receiver));
    node.restart().await;
    node.runner().traces.round(node.context(), node.runner().keeper()).await.expect("it begins");
}

/// Somebody who logged in by an issuer whose keys are a file: a row in every table of that.
async fn logged_in_by_an_issuer(node: &TestNode) {
    let (admin, otto) = (node.admin().await, "otto".parse().expect("a label"));
    let (issuer, subject) = ("https://id.example.org".to_owned(), "4711".to_owned());
    let new = NewLink { issuer: issuer.clone(), subject, is_service: false };
    steward_app_people::link(node.context(), &admin, &otto, new).await.expect("linked");
    let now = node.now().unix_ms() / 1000;
    let claims = json!({"iss": issuer, "sub": "4711", "aud": "steward", "iat": now, "exp": now + 600});
    node.log_in_with(&SignsWith::EdDsa.sign("one", 7, &claims), None).await.expect("logged in");
}

impl Subject {
    /// A node that works: people, keys, agents, files, refusals, a reload, a restart; then it is stopped.
    pub(crate) fn build() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(Self::work())
    }

    async fn work() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys.json");
        let set = json!({"keys": [SignsWith::EdDsa.jwk("one", 7)]});
        fs::write(&keys, set.to_string()).expect("written");
        let issuer = IssuerSettings {
            url: "https://id.example.org".to_owned(),
            client: "steward".to_owned(),
            keys: format!("file:{}", keys.display()),
            ..IssuerSettings::default()
        };
        let mut node = TestNode::builder().issuer(issuer).start().await;
        let olivia = node.person("olivia", &[Role::Admin, Role::Operator]).await;
        let otto = node.person("otto", &[Role::Operator]).await;
        let rita = node.person("rita", &[Role::Reviewer, Role::Viewer]).await;
        node.agent("scribe", Tier::T1).await;
        node.agent("watcher", Tier::T0).await;
        let own = node.agent_key("scribe").await;
        let mut heads = Vec::new();
        let old_store = folder.path().join("old.sqlite");
        let mut old_note = String::new();
        for round in 0..96_u32 {
            node.clock().advance_ms(1_700);
            let by = [&olivia, &otto, &own][round as usize % 3];
            let path = format!("/reports/{round}.md");
            node.act(by, "scribe", "fs.write", &path, format!("report {round}").as_bytes()).await.expect("allowed");
            if round % 4 == 0 {
                let refused = node.act(by, "scribe", "fs.write", "/etc/passwd", b"x").await;
                assert_eq!(refused.expect_err("refused").code, "NOT_PERMITTED");
            }
            match round {
                20 => {
                    node.revoke(&rita).await.expect("revoked");
                    node.key(&otto, &[Scope::Read], true).await;
                }
                40 => {
                    node.edit_policies(|sources| {
                        let text = "@id(\"more\")\n@description(\"Nothing that matters.\")\nforbid (principal, action == \
                                    Action::\"shell\", resource);\n";
                        sources.policies.push(Source { name: "more.cedar".to_owned(), text: text.to_owned() });
                    });
                    node.restart().await;
                }
                50 => {
                    node.stop().await;
                    heads.push(node.kept_head());
                    old_note = Archive::open(&node.home().store()).and_then(|a| a.head_note()).expect("it has one");
                    copy(&node.home().store(), &old_store);
                    node.revive().await.expect("it starts");
                }
                60 => {
                    let name = "rita".parse().expect("a label");
                    let admin = node.admin().await;
                    steward_app_people::disable(node.context(), &admin, &name).await.expect("disabled");
                }
                70 => revoked_in_a_run(&node, &otto).await,
                75 => {
                    node.agent("architect", Tier::T4).await;
                    // Every byte of the shortest document is looked at: it is not to be too short.
                    let plan = "What an architect would write, and a person must approve first. ".repeat(3);
                    let waits = node.act(&otto, "architect", "fs.write", "/plans/a.md", plan.as_bytes()).await;
                    assert_eq!(waits.expect_err("it waits").code, "NEEDS_REVIEW");
                }
                80 => with_tools_and_models(&node, &own).await,
                85 => with_secrets(&node, &otto).await,
                90 => logged_in_by_an_issuer(&node).await,
                92 => with_a_hook(&mut node, &otto).await,
                93 => with_traces(&mut node).await,
                94 => with_a_generator(&mut node, &otto).await,
                _ => {}
            }
        }
        let stolen = node.signing_key();
        node.stop().await;
        heads.push(node.kept_head());
        let report = node.audit_against(true, &heads);
        assert!(report.is_consistent(), "{:?}", report.findings());
        assert_eq!((report.unanchored(), report.warning_count()), (0, 0));
        let store = folder.path().join("store.sqlite");
        copy(&node.home().store(), &store);
        let mut subject = Self {
            entries: report.entries,
            tiled: report.entries / 256 * 256,
            tables: Vec::new(),
            heads,
            old_note,
            old_store,
            stolen,
            key: node.head_key().clone(),
            store,
            folder,
            copies: AtomicUsize::new(0),
        };
        subject.tables = subject.describe();
        subject
    }

    fn describe(&self) -> Vec<Table> {
        let copy = self.copy();
        let sql = copy.sql();
        let tables: [(&'static str, &'static [&'static str]); 27] = [
            ("agent", &["namespace", "name"]),
            ("api_key", &["namespace", "id"]),
            ("credential", &["namespace", "id"]),
            ("effect", &["namespace", "id"]),
            ("halt", &["namespace"]),
            ("handoff", &["namespace", "id"]),
            ("hook", &["namespace", "name"]),
            ("hook_delivery", &["namespace", "hook", "id"]),
            ("login_token", &["namespace", "token"]),
            ("model", &["namespace", "name"]),
            ("model_budget", &["namespace", "holder", "per"]),
            ("model_call", &["namespace", "id"]),
            ("model_turn", &["namespace"]),
            ("person", &["namespace", "name"]),
            ("person_link", &["namespace", "issuer", "subject"]),
            ("policy", &["namespace"]),
            ("review", &["namespace", "id"]),
            ("revocation", &["namespace", "id"]),
            ("run", &["namespace", "id"]),
            ("run_lock", &["namespace", "agent"]),
            ("secret", &["namespace", "name"]),
            ("secret_grant", &["namespace", "secret", "agent"]),
            ("secret_lease", &["namespace", "id"]),
            ("secret_made", &["namespace", "lease"]),
            ("tool", &["namespace", "server", "name"]),
            ("tool_server", &["namespace", "name"]),
            ("trace_export", &["namespace"]),
        ];
        let known: Vec<String> = sql
            .prepare(
                "SELECT s.name FROM sqlite_schema s, pragma_table_info(s.name) c WHERE s.type = 'table' AND c.name = 'entry_seq'
                 ORDER BY s.name",
            )
            .and_then(|mut names| names.query_map([], |r| r.get(0))?.collect())
            .expect("tables");
        assert_eq!(known, tables.map(|(name, _)| name), "every fact table is in the matrix");
        let table = |(name, key): (&'static str, &'static [&'static str])| {
            let mut statement = sql.prepare(&format!("SELECT * FROM {name} ORDER BY entry_seq")).expect("a table");
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let width = columns.len();
            let rows = statement.query_map([], |r| (0..width).map(|n| r.get(n)).collect());
            let rows = rows.and_then(Iterator::collect).expect("rows");
            Table { name, key, columns, rows }
        };
        tables.map(table).into()
    }

    /// A copy to be tampered with.
    pub(crate) fn copy(&self) -> Copy {
        self.copy_of(&self.store)
    }

    pub(crate) fn copy_of(&self, store: &Path) -> Copy {
        let n = self.copies.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("copy-{n}.sqlite"));
        fs::copy(store, &path).expect("it can be copied");
        Copy { path }
    }

    /// What somebody finds who knows the key, the origin, and these heads.
    pub(crate) fn audit(&self, copy: &Copy, reach: Reach, kept: &[Sealed<TreeHead>]) -> Result<Report, StoreError> {
        let mut audit = Audit::new(self.key.clone(), self.key.name());
        if reach == Reach::Hashes {
            audit = audit.hashes_only();
        }
        kept.iter().for_each(|head| audit.anchor(head));
        Archive::open(&copy.path)?.audit(audit, reach == Reach::State)
    }

    /// What a case expects and does not get.
    pub(crate) fn miss(&self, case: &Case) -> Option<String> {
        let copy = self.copy();
        let sql = copy.sql();
        for (edit, values) in &case.edits {
            let changed = sql.execute(edit, rusqlite::params_from_iter(values));
            match changed {
                Ok(0) => return Some(format!("{}: `{edit}` changed nothing", case.what)),
                Ok(_) => {}
                Err(e) => return Some(format!("{}: `{edit}`: {e}", case.what)),
            }
        }
        drop(sql);
        let outcome = self.audit(&copy, case.reach, &[]);
        let is_found = |expected: &Expected| match (expected, &outcome) {
            (Expected::Finding(code, place, words), Ok(report)) => report
                .findings()
                .iter()
                .any(|f| f.code == *code && f.place == *place && f.message.contains(words.as_str())),
            (Expected::OneOf(codes, place), Ok(report)) => {
                report.findings().iter().any(|f| codes.contains(&f.code) && f.place == *place)
            }
            (Expected::Refused(words), Err(StoreError::Damaged(reason))) => reason.contains(words),
            _ => false,
        };
        if !case.expected.is_empty() && case.expected.iter().all(is_found) {
            return None;
        }
        let found = match &outcome {
            Ok(report) => report.findings().iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(" | "),
            Err(error) => format!("cannot be read: {error}"),
        };
        Some(format!("{}: found [{found}]", case.what))
    }

    /// One value of the store.
    pub(crate) fn value(&self, query: &str) -> Value {
        let copy = self.copy();
        copy.sql().query_row(query, [], |r| r.get(0)).expect("there is one")
    }
}

/// A store that nobody has open, with what its log holds.
fn copy(from: &Path, to: &Path) {
    let wal = PathBuf::from(format!("{}-wal", from.display()));
    let left = fs::metadata(wal).map_or(0, |m| m.len());
    assert_eq!(left, 0, "a store that was closed in order has no log");
    fs::copy(from, to).expect("it can be copied");
}
