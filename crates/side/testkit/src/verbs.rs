//! What tests do all the time.

use serde_json::Value;
use steward_app_actions::Asked;
use steward_app_agents::{AgentRow, Manifest};
use steward_app_flows::{authenticate, runs::NewRun};
use steward_app_node::{Caller, Error};
use steward_app_people::{DEFAULT_LIFETIME_S, Holder, KeyRow, NewKey, caller_of, exchange_token, identify};
use steward_app_runs::RunRow;
use steward_identity::Purpose;
use steward_naming::{ActionId, Label, Name, RunId, TraceId};
use steward_permit::{Role, Scope, Tier};

use crate::{node::TestNode, scripted::Played};

/// Somebody with a key.
#[derive(Debug, Clone)]
pub struct Known {
    /// As they were when they were made. The guards in it are of then.
    pub caller: Caller,
    /// Their bearer token, to authenticate anew.
    pub token: String,
    /// The key's id.
    pub key: steward_naming::KeyId,
}

/// The administrator that a test node has if the test names none.
const ROOT: &str = "root";

impl TestNode {
    /// Checks a bearer token, as the door of the API does.
    ///
    /// # Errors
    /// The token is no good.
    pub fn authenticate(&self, token: &str) -> Result<Caller, Error> {
        let trace = TraceId::new(self.now(), self.dice());
        authenticate(self.context(), token, Some(trace))
    }

    /// Checks a token of an issuer that a service shows, as the door of the API does.
    ///
    /// # Errors
    /// The token is no good.
    pub async fn come_with(&self, token: &str) -> Result<Caller, Error> {
        let proven = identify(self.context(), token, Purpose::Service).await?;
        caller_of(self.context(), &proven, Some(TraceId::new(self.now(), self.dice())))
    }

    /// Exchanges an ID token for a key, as the door of the API does; gives the key's token.
    ///
    /// # Errors
    /// It is no good, or was exchanged already.
    pub async fn log_in_with(&self, id_token: &str, proof: Option<&str>) -> Result<String, Error> {
        let context = self.context();
        let proven = identify(context, id_token, Purpose::Login(proof)).await?;
        let caller = caller_of(context, &proven, Some(TraceId::new(self.now(), self.dice())))?;
        let created = exchange_token(context, &caller, &proven, "a desk".to_owned()).await?;
        Ok(created.secret.reveal())
    }

    /// Somebody as they are now.
    ///
    /// # Panics
    /// Their key is no good any more.
    pub fn again(&self, known: &Known) -> Caller {
        self.authenticate(&known.token).expect("the key is good")
    }

    /// An administrator: the first who was enrolled, or one called `root`.
    ///
    /// # Panics
    /// Nobody can be enrolled.
    pub async fn admin(&self) -> Caller {
        let token = self.admin.lock().expect("no holder of this lock panics").clone();
        match token {
            Some(token) => self.authenticate(&token).expect("the administrator's key is good"),
            None => self.first(ROOT, &[Role::Admin]).await.caller,
        }
    }

    async fn first(&self, name: &str, roles: &[Role]) -> Known {
        let created = steward_app_people::bootstrap(self.context(), label(name), roles.to_vec()).await;
        let created = created.expect("the node may enrol the first person").expect("nobody is enrolled");
        let known = self.log_in(&created.secret.reveal()).await;
        *self.admin.lock().expect("no holder of this lock panics") = Some(known.token.clone());
        known
    }

    /// Exchanges a log-in key.
    ///
    /// # Panics
    /// It is good for nothing.
    pub async fn log_in(&self, login: &str) -> Known {
        let caller = self.authenticate(login).expect("the log-in key is good");
        let created = steward_app_people::exchange(self.context(), &caller, "a test".to_owned()).await;
        self.known(&created.expect("the log-in key can be exchanged"))
    }

    fn known(&self, created: &steward_app_people::Created) -> Known {
        let token = created.secret.reveal();
        Known { caller: self.authenticate(&token).expect("a new key is good"), token, key: created.key.id.clone() }
    }

    /// Enrols a person and logs them in. The first person of a node is made an administrator by the node itself; if these roles
    /// are others, an administrator is enrolled before.
    ///
    /// # Panics
    /// They cannot be enrolled.
    pub async fn person(&self, name: &str, roles: &[Role]) -> Known {
        let is_first = self.admin.lock().expect("no holder of this lock panics").is_none();
        if is_first && roles.contains(&Role::Admin) {
            return self.first(name, roles).await;
        }
        let admin = self.admin().await;
        let added = steward_app_people::add(self.context(), &admin, label(name), roles.to_vec()).await;
        added.expect("the person can be enrolled");
        let login = self.login_key(name).await;
        self.log_in(&login).await
    }

    /// A log-in key for a person, made by an administrator.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn login_key(&self, person: &str) -> String {
        let new = NewKey { scopes: vec![Scope::Login], single_use: true, ..new_key(Holder::Person(label(person))) };
        let created = steward_app_people::create_key(self.context(), &self.admin().await, new).await;
        created.expect("a log-in key can be made").secret.reveal()
    }

    /// A key of a person's own, with these scopes.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn key(&self, known: &Known, scopes: &[Scope], single_use: bool) -> Known {
        let caller = self.again(known);
        let holder = Holder::of(&caller).expect("people and agents hold keys");
        let new = NewKey { scopes: scopes.to_vec(), single_use, ..new_key(holder) };
        let created = steward_app_people::create_key(self.context(), &caller, new).await;
        self.known(&created.expect("a key of one's own can be made"))
    }

    /// A key of an agent, made by an administrator.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn agent_key(&self, agent: &str) -> Known {
        let name = Name::resolve(agent, self.namespace()).expect("a name");
        let found = steward_app_agents::actor(self.context(), &name).expect("agents can be read");
        let (_, guard) = found.expect("the agent is there");
        let new = NewKey { scopes: vec![Scope::Act], holder_guard: Some(guard), ..new_key(Holder::Agent(name)) };
        let created = steward_app_people::create_key(self.context(), &self.admin().await, new).await;
        self.known(&created.expect("an agent's key can be made"))
    }

    /// Revokes a key as an administrator.
    ///
    /// # Errors
    /// What the verb says.
    pub async fn revoke(&self, known: &Known) -> Result<KeyRow, Error> {
        steward_app_people::revoke_key(self.context(), &self.admin().await, &known.key).await
    }

    /// Registers an agent.
    ///
    /// # Panics
    /// It cannot be registered.
    pub async fn agent(&self, name: &str, tier: Tier) -> AgentRow {
        let manifest = Manifest {
            protocol: None,
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            tier: tier.to_string(),
            description: format!("The agent {name} of a test."),
            capabilities: vec!["writing".to_owned()],
            command: Some(vec!["agent".to_owned(), name.to_owned()]),
            packet: None,
        };
        let added = steward_app_agents::add(self.context(), &self.admin().await, &manifest).await;
        added.expect("the agent can be registered")
    }

    /// Has an agent do something for somebody, who authenticates anew.
    ///
    /// # Errors
    /// What the verbs say.
    pub async fn act(
        &self,
        known: &Known,
        agent: &str,
        action: &str,
        resource: &str,
        content: &[u8],
    ) -> Result<ActionId, Error> {
        self.act_as(self.authenticate(&known.token)?, agent, action, resource, content).await
    }

    /// Has an agent do something for a caller who was authenticated before.
    ///
    /// # Errors
    /// What the verbs say.
    pub async fn act_as(
        &self,
        caller: Caller,
        agent: &str,
        action: &str,
        resource: &str,
        content: &[u8],
    ) -> Result<ActionId, Error> {
        let caller = steward_app_agents::drive(self.context(), caller, agent).await?;
        let asked = Asked {
            action: action.to_owned(),
            resource: resource.to_owned(),
            content: Some(content.to_vec()),
            ..Asked::default()
        };
        steward_app_flows::act(self.context(), caller, asked).await
    }

    /// Starts a run of an agent with a packet, for somebody who authenticates anew.
    ///
    /// # Errors
    /// What the verb says.
    pub async fn start_run(&self, known: &Known, agent: &str, packet: &Value) -> Result<RunRow, Error> {
        let new = NewRun { agent: agent.to_owned(), packet: Some(packet.to_string()), ..NewRun::default() };
        self.runner().start(&self.authenticate(&known.token)?, new).await
    }

    /// The next agent whose process was started.
    pub async fn next_agent(&self) -> Played {
        self.worker().next().await
    }

    /// A run as it stands.
    ///
    /// # Panics
    /// There is none.
    pub fn run(&self, id: &RunId) -> RunRow {
        steward_app_runs::find(self.context(), id).expect("the run is there")
    }

    /// A run once it has ended and nothing of it is left.
    ///
    /// # Panics
    /// It does not end for a long time.
    pub async fn ended(&self, id: &RunId) -> RunRow {
        for _ in 0..10_000 {
            let run = self.run(id);
            if !run.is_live() && !self.runner().is_driven(id) {
                return run;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("the run {id} does not end: {:?}", self.run(id).state.phase);
    }

    /// What is at a path of an agent's own folder.
    pub fn file(&self, agent: &str, path: &str) -> Option<Vec<u8>> {
        let files = self.home().agents().join(self.namespace().as_str()).join(agent).join("files");
        std::fs::read(files.join(path.trim_start_matches('/'))).ok()
    }
}

fn label(name: &str) -> Label {
    name.parse().expect("a label")
}

fn new_key(holder: Holder) -> NewKey {
    NewKey {
        holder,
        holder_guard: None,
        label: "a test".to_owned(),
        scopes: vec![Scope::All],
        lifetime_s: DEFAULT_LIFETIME_S,
        single_use: false,
    }
}
