//! What every verb is given: where the node is, who is asking, and where to answer.

use std::{
    env::VarError,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use steward_caller::{Caller, Secret, are_authorities};
use steward_clock::{Clock, Dice, Timestamp};
use steward_naming::Namespace;

use crate::{
    failure::{Exit, Failure},
    globals::Globals,
    heads::Watch,
    home::{self, KEY_VARIABLE},
    memory::{Memory, NodeMemory},
    show::Show,
};

/// The namespace of a node that was not told another: that of the configuration that ships.
const USUAL_NAMESPACE: &str = "node.internal";

/// The most bytes of a home's configuration that are read.
const MAX_CONFIGURATION_BYTES: usize = 256 << 10;

/// The most bytes of a file with authorities: all that a system trusts.
const MAX_AUTHORITIES_BYTES: usize = 4 << 20;

/// What every verb is given.
pub(crate) struct Session {
    globals: Globals,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    /// The program's version.
    pub(crate) version: String,
    /// Where to answer.
    pub(crate) show: Show,
}

/// A node: how it is known, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Whereabouts {
    /// The home, or the address if only that is known: what its memory is filed under.
    pub(crate) identity: String,
    pub(crate) address: String,
}

impl Session {
    pub(crate) fn new(globals: Globals, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>, version: String) -> Self {
        let show = Show::for_terminal(globals.json);
        Self { globals, clock, dice, version, show }
    }

    /// Chance.
    pub(crate) fn dice(&self) -> &dyn Dice {
        self.dice.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn is_json(&self) -> bool {
        self.globals.json
    }

    /// The node's home.
    pub(crate) fn home(&self) -> Result<PathBuf, Failure> {
        self.globals.home().map_err(Failure::misused)
    }

    /// The namespace that short names are of, where no node is asked: what was said, else that of the home's configuration, else
    /// that of a node that was not told another.
    pub(crate) fn namespace(&self, said: Option<&str>) -> Result<Namespace, Failure> {
        if let Some(said) = said {
            return said.parse().map_err(Failure::misused);
        }
        match self.globals.home() {
            Ok(home) => namespace_in(&home.join("steward.toml")),
            Err(_) => namespace_of(None),
        }
    }

    /// A command to be typed next, for the same node.
    pub(crate) fn command(&self, verb: &str) -> String {
        // What is in the environment need not be typed again.
        let in_environment = std::env::var_os("STEWARD_HOME").map(PathBuf::from);
        match (&self.globals.node, &self.globals.home) {
            (Some(node), _) => format!("steward --node {node} {verb}"),
            (None, Some(home)) if Some(home) != in_environment.as_ref() => {
                format!("steward --home {} {verb}", home.display())
            }
            _ => format!("steward {verb}"),
        }
    }

    /// Where the node is.
    pub(crate) fn whereabouts(&self) -> Result<Whereabouts, Failure> {
        let home = self.globals.home();
        let in_home = match &home {
            Ok(home) => home::address(home).map_err(|e| Failure::file("read", &home::address_file(home), &e))?,
            Err(_) => None,
        };
        let identity = |address: &str| match &home {
            // A key is never sent to another address than the one that its node wrote down itself.
            Ok(home) if in_home.as_deref() == Some(address) => home.display().to_string(),
            _ => address.to_owned(),
        };
        if let Some(node) = &self.globals.node {
            let address = node.trim().trim_end_matches('/').to_owned();
            return Ok(Whereabouts { identity: identity(&address), address });
        }
        let home = home.clone().map_err(Failure::misused)?;
        match in_home.clone() {
            Some(address) => Ok(Whereabouts { identity: identity(&address), address }),
            None if home.join("store.sqlite").exists() => {
                Err(Failure::unreachable(format!("the node of `{}` is not running", home.display()))
                    .hint(format!("start it with `{}`", self.command("up"))))
            }
            None => Err(Failure::unreachable(format!("there is no node in `{}`", home.display())).hint(format!(
                "start one with `{}`, or name another with --home DIR or --node URL",
                self.command("up")
            ))),
        }
    }

    /// What is remembered outside the homes.
    pub(crate) fn memory(&self) -> Result<Memory, Failure> {
        Memory::usual()
    }

    /// What is remembered of the node.
    pub(crate) fn node_memory(&self) -> Result<NodeMemory, Failure> {
        Ok(self.memory()?.node(&self.whereabouts()?.identity))
    }

    /// A caller without a key.
    pub(crate) fn stranger(&self) -> Result<Caller, Failure> {
        self.caller_of(&self.whereabouts()?.address, None)
    }

    /// A caller of the node at an address, which trusts whom it was told to trust.
    pub(crate) fn caller_of(&self, address: &str, key: Option<Secret>) -> Result<Caller, Failure> {
        Ok(Caller::trusting(address, key, self.authorities()?.as_deref())?)
    }

    /// Whom it was told to trust.
    pub(crate) fn authorities(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(file) = &self.globals.ca else { return Ok(None) };
        let pem = home::read_small(file, MAX_AUTHORITIES_BYTES).map_err(|e| Failure::file("read", file, &e))?;
        if !are_authorities(&pem) {
            let message = format!("`{}` is not a certificate of an authority, in PEM", file.display());
            return Err(Failure::misused(message).hint("--ca (or STEWARD_CA) names that file"));
        }
        Ok(Some(pem))
    }

    /// A caller with a key, if there is one: that of the environment, else one's own as it is remembered.
    pub(crate) fn anyone(&self) -> Result<Caller, Failure> {
        let whereabouts = self.whereabouts()?;
        let key = match key_of_environment()? {
            Some(key) => Some(key),
            None => self.memory()?.node(&whereabouts.identity).credential()?.map(|c| c.secret),
        };
        self.caller_of(&whereabouts.address, key)
    }

    /// A caller with a key.
    pub(crate) fn caller(&self) -> Result<Caller, Failure> {
        let caller = self.anyone()?;
        if caller.has_key() {
            return Ok(caller);
        }
        Err(Failure::refused(format!("you are not logged in to the node at {}", caller.address()))
            .hint(format!("run `{}`, or give a key in {KEY_VARIABLE}", self.command("login"))))
    }

    /// What is remembered of the node's ledger; begun before the node is asked for a head.
    pub(crate) async fn watch(&mut self, caller: &Caller) -> Result<Watch, Failure> {
        let watch = Watch::begin(&self.memory()?, &self.node_memory()?, caller).await?;
        if watch.is_first {
            self.show.aside(&format!(
                "this ledger's verifier key was not known here; it is now pinned, on the node's own word: {}",
                watch.key()
            ));
        }
        Ok(watch)
    }

    /// Looks at the node's newest tree head beside doing something else with its ledger.
    pub(crate) async fn check_head(&mut self, caller: &Caller) -> Result<(), Failure> {
        let watch = self.watch(caller).await?;
        let head = caller.ledger_head().await?;
        watch.see(&head.note, caller).await.map(|_| ())
    }

    /// Tells why something was not done, and how the program ends.
    pub(crate) fn conclude(&mut self, done: Result<(), Failure>) -> Exit {
        match done.and_then(|()| self.show.flush()) {
            Ok(()) => Exit::Done,
            Err(failure) => self.show.failure(&failure),
        }
    }
}

/// The namespace that a node's configuration names.
fn namespace_in(file: &Path) -> Result<Namespace, Failure> {
    let text = match home::read_small(file, MAX_CONFIGURATION_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return namespace_of(None),
        Err(error) => return Err(Failure::file("read", file, &error)),
    };
    let wrong = |why: &dyn fmt::Display| {
        Failure::refused(format!("`{}` cannot be read: {why}", file.display()))
            .hint("name the namespace: --namespace NAMESPACE")
    };
    let table: toml::Table =
        String::from_utf8_lossy(&text).parse().map_err(|e: toml::de::Error| wrong(&e.message()))?;
    match table.get("namespace").map(toml::Value::as_str) {
        None => namespace_of(None),
        Some(Some(said)) => namespace_of(Some(said)).map_err(|failure| wrong(&failure.message)),
        Some(None) => Err(wrong(&"`namespace` is not a text")),
    }
}

fn namespace_of(said: Option<&str>) -> Result<Namespace, Failure> {
    said.unwrap_or(USUAL_NAMESPACE).parse().map_err(Failure::misused)
}

/// The key in the environment; nothing if there is none, or an empty one.
pub(crate) fn key_of_environment() -> Result<Option<Secret>, Failure> {
    match std::env::var(KEY_VARIABLE) {
        Ok(key) => Ok(Some(Secret::new(&key)).filter(|key| !key.expose().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(Failure::misused(format!("{KEY_VARIABLE} holds no key; one is `stw_` and letters and digits")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::namespace_in;

    #[test]
    fn the_namespace_is_that_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("steward.toml");
        let read = || namespace_in(&file).map(|namespace| namespace.to_string()).map_err(|failure| failure.message);
        assert_eq!(read().as_deref(), Ok("node.internal"), "there is none");
        for (text, namespace) in [("", "node.internal"), ("namespace = 'acme.internal'\n[x]\ny = 1", "acme.internal")] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read().as_deref(), Ok(namespace), "{text}");
        }
        for text in ["namespace = 3", "namespace = 'A B'", "namespace ="] {
            std::fs::write(&file, text).unwrap();
            assert!(read().unwrap_err().contains("cannot be read"), "{text}");
        }
    }
}
