//! What a store cannot show by itself, because whoever holds its key made it fit: only heads that others kept show it.

use rusqlite::{Connection, params};
use steward_clock::Dice as _;
use steward_ledger::{Body, Edge, FindingCode, Leaf, Place, Report, Salt, TreeHead, leaf_hash, tile_root};
use steward_seal::SigningKey;
use steward_testkit::SeededDice;

use crate::subject::{Reach, Subject};

/// That nothing is found, and that the report is honest about what that means.
fn passes_unanchored(report: &Report, entries: u64) {
    assert!(report.is_consistent(), "{:?}", report.findings());
    assert_eq!((report.entries, report.anchored_size, report.unanchored()), (entries, 0, entries));
}

pub(crate) fn rolled_back(subject: &Subject) {
    let copy = subject.copy_of(&subject.old_store);
    let old_size = subject.heads[0].get().size;
    passes_unanchored(&subject.audit(&copy, Reach::State, &[]).expect("it reads"), old_size);

    let newest = &subject.heads[1..];
    let report = subject.audit(&copy, Reach::State, newest).expect("it reads");
    let found: Vec<_> = report.findings().iter().map(|f| (f.code, f.place.clone())).collect();
    assert_eq!(found, [(FindingCode::RolledBack, Place::Anchor(subject.entries))]);

    // A head of before the rollback does not show it: it vouches for what it covers, and for nothing else.
    let report = subject.audit(&copy, Reach::State, &subject.heads[..1]).expect("it reads");
    assert!(report.is_consistent());
    assert_eq!((report.anchored_size, report.unanchored()), (old_size, 0));
}

pub(crate) fn written_anew(subject: &Subject) {
    let old_size = subject.heads[0].get().size;
    for k in [0, 5, 100, 255, 256, 270, subject.entries - 1] {
        let copy = subject.copy();
        rewrite(&copy.sql(), k, subject.key.name(), &subject.stolen);
        passes_unanchored(&subject.audit(&copy, Reach::State, &[]).expect("it reads"), subject.entries);

        let report = subject.audit(&copy, Reach::State, &subject.heads).expect("it reads");
        let found: Vec<_> = report.findings().iter().map(|f| (f.code, f.place.clone())).collect();
        let split = |size| (FindingCode::SplitView, Place::Anchor(size));
        if k < old_size {
            assert_eq!(found, [split(old_size), split(subject.entries)], "entry {k}");
            assert_eq!(report.anchored_size, 0);
        } else {
            // The kept heads also tell between which of them it happened.
            assert_eq!(found, [split(subject.entries)], "entry {k}");
            assert_eq!((report.anchored_size, report.unanchored()), (old_size, subject.entries - old_size));
        }
    }
}

pub(crate) fn signed_by_another(subject: &Subject) {
    let mut seed = [0; 8];
    SeededDice::new(99).fill(&mut seed);
    let other = SigningKey::generate(&SeededDice::new(u64::from_be_bytes(seed)));
    let copy = subject.copy();
    rewrite(&copy.sql(), 7, subject.key.name(), &other);
    let report = subject.audit(&copy, Reach::State, &[]).expect("it reads");
    let found: Vec<_> = report.findings().iter().map(|f| (f.code, f.place.clone())).collect();
    assert_eq!(found, [(FindingCode::HeadNotOurs, Place::Head)], "the true key signs, or it is noticed");
}

/// Taking a body and its salt away leaves every proof valid (LED-5); it is found all the same, because no entry says that they were erased,
/// and rows that only it vouched for are named.
pub(crate) fn erased(subject: &Subject) {
    let agents = subject.tables.iter().find(|t| t.name == "agent").expect("a table");
    let version = agents.columns.iter().position(|c| c == "entry_seq").expect("a column");
    let rusqlite::types::Value::Integer(seq) = agents.rows[0][version] else { panic!("a number") };
    let copy = subject.copy();
    let erased = copy.sql().execute("UPDATE ledger_entry SET salt = NULL, body = NULL WHERE seq = ?1", [seq]);
    assert_eq!(erased.expect("it runs"), 1);
    let hashes = subject.audit(&copy, Reach::Hashes, &subject.heads).expect("it reads");
    assert!(hashes.is_consistent(), "{:?}", hashes.findings());
    assert_eq!(hashes.unanchored(), 0);
    let state = subject.audit(&copy, Reach::State, &subject.heads).expect("it reads");
    assert_eq!(state.erased, 1);
    let codes: Vec<_> = state.findings().iter().map(|f| f.code).collect();
    assert_eq!(
        codes,
        [FindingCode::BodyMissing, FindingCode::RowUnrecorded],
        "it was not redacted, and nobody vouches for the agent's row"
    );
}

/// What a thief of the key does: says something else in entry `k`, and makes all that comes after fit.
fn rewrite(sql: &Connection, k: u64, origin: &str, key: &SigningKey) {
    let of = |column: &str| -> Vec<u8> {
        let query = format!("SELECT CAST({column} AS BLOB) FROM ledger_entry WHERE seq = ?1");
        sql.query_row(&query, [k], |r| r.get(0)).expect("there is one")
    };
    let mut body = Body::decode(&of("body")).expect("a body");
    body.subject = "somebody else".to_owned();
    let bytes = body.encode().expect("it encodes");
    let salt = Salt(of("salt").try_into().expect("32 bytes"));
    let leaf = Leaf { body: salt.mac(&bytes), ..Leaf::decode(&of("leaf")).expect("a leaf") }.encode();
    sql.execute(
        "UPDATE ledger_entry SET body = ?1, subject = ?2, leaf = ?3, leaf_hash = ?4 WHERE seq = ?5",
        params![String::from_utf8(bytes).expect("JSON"), body.subject, leaf, leaf_hash(&leaf).0, k],
    )
    .expect("it runs");
    let mut statement = sql.prepare("SELECT leaf FROM ledger_entry ORDER BY seq").expect("a table");
    let leaves = statement.query_map([], |r| r.get::<_, Vec<u8>>(0)).expect("it runs");
    let (mut edge, mut tiles) = (Edge::new(), Vec::new());
    leaves.for_each(|leaf| edge.append(leaf_hash(&leaf.expect("a leaf")), &mut tiles));
    for (id, hashes) in tiles {
        let root = tile_root(&hashes).expect("a full tile");
        sql.execute(
            "UPDATE ledger_tile SET hashes = ?1, root = ?2 WHERE level = ?3 AND idx = ?4",
            params![hashes, root.0, id.level, id.index],
        )
        .expect("it runs");
    }
    let head = TreeHead { origin: origin.to_owned(), size: edge.size(), root: edge.root() };
    sql.execute("UPDATE ledger_head SET note = ?1", [head.sign(key).expect("it signs")]).expect("it runs");
}
