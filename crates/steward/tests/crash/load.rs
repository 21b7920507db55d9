//! Several callers at once, who ask for what a node does and keep what it answers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::process::Signal;
use steward_caller::{CallError, Caller};
use steward_seal::Digest;
use steward_wire::{Act, AddPerson, CreateKey, Decide};

use crate::{
    chance::Chance,
    common::Up,
    facts::{Facts, Key},
};

/// Agents that may write anywhere in their folders.
pub(crate) const WRITERS: [&str; 2] = ["anna", "ben"];

/// An agent that may write plans only.
pub(crate) const WATCHER: &str = "watcher";

/// A plain file, so that nothing can be written beneath it.
pub(crate) const BLOCK: &str = "/block";

/// Files that everybody writes.
const SHARED: u64 = 3;

/// The largest content in bytes.
const MAX_BYTES: u64 = 40_000;

/// One caller's way to the node.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(crate) operator: Caller,
    /// One for each of [`WRITERS`], with the agent's own key.
    pub(crate) writers: Vec<Caller>,
}

impl Ways {
    pub(crate) fn new(node: &Up, operator: &str, writers: &[String]) -> Self {
        let writers = writers.iter().map(|key| node.caller(Some(key))).collect();
        Self { operator: node.caller(Some(operator)), writers }
    }
}

/// Sends a node a signal after so many answers.
pub(crate) struct Killer {
    pub(crate) node: Arc<Up>,
    pub(crate) signal: Signal,
    pub(crate) left: AtomicU64,
}

impl Killer {
    pub(crate) fn counts(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.node.signal(self.signal);
        }
    }
}

/// One of the callers.
pub(crate) struct Work {
    pub(crate) ways: Ways,
    pub(crate) facts: Arc<Facts>,
    pub(crate) chance: Chance,
    /// Text that no other caller of any round has.
    pub(crate) tag: String,
    pub(crate) killer: Option<Arc<Killer>>,
}

/// What to write: asked for by nobody else.
pub(crate) fn content(tag: &str, chance: &mut Chance) -> Vec<u8> {
    let line = format!("{tag} {:016x}\n", chance.next());
    let bytes = if chance.below(3) == 0 { chance.up_to(MAX_BYTES) } else { chance.up_to(200) };
    line.repeat(1 + bytes as usize / line.len()).into_bytes()
}

/// A request to write.
pub(crate) fn write(path: &str, content: &[u8]) -> Act {
    Act {
        action: "fs.write".to_owned(),
        resource: path.to_owned(),
        content: Some(STANDARD.encode(content)),
        confidence_bp: None,
    }
}

impl Work {
    /// Asks for so many things. Tells whether the node was there until the end.
    pub(crate) async fn go(mut self, things: u64) -> bool {
        for n in 0..things {
            let tag = format!("{}-{n}", self.tag);
            match self.thing(&tag).await {
                Ok(()) => {
                    if let Some(killer) = &self.killer {
                        killer.counts();
                    }
                }
                Err(CallError::Unreachable { .. }) => return false,
                Err(error) => panic!("{tag}: {error:?}"),
            }
        }
        true
    }

    async fn thing(&mut self, tag: &str) -> Result<(), CallError> {
        match self.chance.below(16) {
            0..=4 => self.writes(&format!("/own/{tag}"), tag).await,
            5..=8 => {
                let path = format!("/shared/{}", self.chance.below(SHARED));
                self.writes(&path, tag).await
            }
            9 => self.writes(&format!("{BLOCK}/{tag}"), tag).await,
            10 => self.is_refused(tag).await,
            11 => self.decides().await,
            12 => self.makes_a_key(tag).await,
            13 => self.revokes_a_key().await,
            14 => {
                let person = AddPerson { name: format!("p-{tag}"), roles: vec!["viewer".to_owned()] };
                let added = self.ways.operator.add_person(&person).await?;
                self.keeps(|known| _ = known.people.insert(added.name, added.entry));
                Ok(())
            }
            _ => {
                let head = self.ways.operator.ledger_head().await?;
                self.keeps(|known| _ = known.heads.insert(head.note));
                Ok(())
            }
        }
    }

    fn keeps(&self, what: impl FnOnce(&mut crate::facts::Known)) {
        self.facts.with(|known| {
            known.acknowledged += 1;
            what(known);
        });
    }

    async fn writes(&mut self, path: &str, tag: &str) -> Result<(), CallError> {
        let who = self.chance.below(WRITERS.len() as u64) as usize;
        let content = content(tag, &mut self.chance);
        let write_number = self.facts.asks(WRITERS[who], path, Digest::of(&content).to_string());
        let answer = self.ways.writers[who].act(WRITERS[who], &write(path, &content)).await?;
        self.facts.answered(write_number, answer.action);
        Ok(())
    }

    /// The content is not among what was asked for and may be there: it must not.
    async fn is_refused(&mut self, tag: &str) -> Result<(), CallError> {
        let content = content(tag, &mut self.chance);
        match self.ways.operator.act(WATCHER, &write(&format!("/reports/{tag}"), &content)).await {
            Err(CallError::Refused(problem)) if problem.status == 403 => Ok(()),
            Err(error) => Err(error),
            Ok(answer) => panic!("a watcher wrote a report: {answer:?}"),
        }
    }

    async fn decides(&mut self) -> Result<(), CallError> {
        let host = format!("host-{}.acme.internal", self.chance.next());
        let question = Decide {
            agent: Some(if self.chance.below(2) == 0 { WATCHER } else { WRITERS[0] }.to_owned()),
            action: "http.get".to_owned(),
            kind: "host".to_owned(),
            resource: host,
            confidence_bp: None,
        };
        let decided = self.ways.operator.decide(&question).await?;
        if let Some(entry) = decided.entry {
            self.keeps(|known| _ = known.decisions.insert(entry, decided.id));
        }
        Ok(())
    }

    async fn makes_a_key(&mut self, tag: &str) -> Result<(), CallError> {
        let new = CreateKey { label: tag.to_owned(), scopes: vec!["read".to_owned()], ..CreateKey::default() };
        let made = self.ways.operator.create_key(&new).await?;
        let key = Key { secret: made.secret, entry: made.key.entry, asked: false, revoked: None };
        self.keeps(|known| _ = known.keys.insert(made.key.id, key));
        Ok(())
    }

    async fn revokes_a_key(&mut self) -> Result<(), CallError> {
        let chosen = self.facts.with(|known| {
            let (id, key) = known.keys.iter_mut().find(|(_, key)| !key.asked)?;
            key.asked = true;
            Some(id.clone())
        });
        let Some(id) = chosen else { return Ok(()) };
        let revoked = self.ways.operator.revoke_key(&id).await?;
        self.keeps(|known| {
            if let Some(key) = known.keys.get_mut(&id) {
                key.revoked = Some(revoked.entry);
            }
        });
        Ok(())
    }
}
