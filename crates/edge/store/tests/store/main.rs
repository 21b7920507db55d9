//! The store, from outside: what it promises to whoever commits.

mod closing;
mod copying;
mod durable;
mod erasing;
mod groups;
mod guards;
mod opening;
mod room;

use std::{path::PathBuf, sync::Arc};

use steward_clock::{Clock, Dice};
use steward_ledger::{Audit, Report, kind};
use steward_naming::{ActionId, Namespace};
use steward_permit::{Action, ActionName, Actor, Denial, Permit, Resource, ResourceKind};
use steward_policy::{Engine, Gives, Question, Sources};
use steward_seal::SigningKey;
use steward_store::{Archive, Change, Guard, Key, Migration, Options, Row, Store, StoreError, key};
use steward_testkit::{HandClock, SeededDice};
use tempfile::TempDir;

/// A fact table of the tests' own.
const THINGS: Migration = Migration {
    name: "things-0001",
    sql: "
CREATE TABLE thing (
    name      TEXT NOT NULL PRIMARY KEY,
    size      INTEGER NOT NULL CHECK (size >= 0),
    note      TEXT,
    entry_seq INTEGER NOT NULL
) STRICT;
",
};

const ORIGIN: &str = "acme.internal/ledger/test";

/// A folder for a store, and what is needed to open it and to be permitted something.
struct World {
    folder: TempDir,
    clock: Arc<HandClock>,
    dice: Arc<SeededDice>,
    engine: Engine,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: Arc::new(HandClock::at("2026-11-20T09:00:00.000Z".parse().expect("a time"))),
            dice: Arc::new(SeededDice::new(5)),
            engine: Engine::compile(&Sources::shipped()).expect("what ships compiles"),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.sqlite")
    }

    fn options(&self) -> Options {
        Options {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            dice: Arc::clone(&self.dice) as Arc<dyn Dice>,
            tree_head_key: SigningKey::generate(&SeededDice::new(1)),
            new_origin: ORIGIN.to_owned(),
            migrations: vec![THINGS],
            max_bytes: None,
            behind: None,
        }
    }

    fn open(&self) -> Store {
        Store::open(&self.path(), self.options()).expect("it opens")
    }

    fn question(&self, name: &str) -> Question {
        let namespace: Namespace = "acme.internal".parse().expect("valid");
        let resource = Resource::new(ResourceKind::Node, "acme.internal").expect("valid");
        Question {
            id: ActionId::new(self.clock.now(), self.dice.as_ref()),
            actor: Actor::Node { namespace: namespace.clone() },
            key: None,
            run: None,
            action: Action::new(namespace, ActionName::parse(name).expect("valid"), resource),
            owner: None,
            needs: None,
            approved: false,
            review: None,
            gives: Gives::default(),
        }
    }

    fn permit(&self) -> Permit {
        self.engine.decide(self.question("node.start"), self.clock.now()).expect("the node may start")
    }

    fn denial(&self) -> Denial {
        *self.engine.decide(self.question("person.add"), self.clock.now()).expect_err("the node enrols nobody")
    }

    /// A change that writes one row.
    fn change(&self, name: &str, size: i64) -> Change {
        Change::new(self.permit(), kind::NODE_STARTED, name).row(thing(name, size))
    }

    /// Audits with everything: by a connection of its own.
    fn audit(&self) -> Report {
        let archive = Archive::open(&self.path()).expect("there is a store");
        let key = SigningKey::generate(&SeededDice::new(1)).verifying_key();
        let key = steward_seal::note::NoteKey::new(ORIGIN, key).expect("a name");
        archive.audit(Audit::new(key, ORIGIN), true).expect("it reads")
    }

    /// That it verifies, has no warnings, and has so many entries.
    fn verifies(&self, entries: u64) {
        let report = self.audit();
        assert!(report.is_consistent(), "{:?}", report.findings());
        assert_eq!((report.entries, report.size, report.warning_count()), (entries, entries, 0));
    }
}

fn thing(name: &str, size: i64) -> Row {
    Row::put("thing").text("name", name).integer("size", size)
}

fn named(name: &str) -> Key {
    key([("name", name)])
}

fn unchanged(name: &str, seq: u64) -> Guard {
    Guard::unchanged("thing", named(name), seq)
}

/// The things that are there, by name: size, and version.
fn things(store: &Store) -> Vec<(String, i64, u64)> {
    store
        .read(|reader| {
            let mut statement = reader.sql().prepare("SELECT name, size, entry_seq FROM thing ORDER BY name")?;
            let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
            Ok::<_, StoreError>(rows.collect::<Result<_, _>>()?)
        })
        .expect("it reads")
}
