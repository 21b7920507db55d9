//! What is done to entries, rows, blobs, tiles and the tree head.

use rusqlite::types::Value;
use steward_ledger::{Body, FindingCode, Leaf, Place, Salt, TileId, leaf_hash};
use steward_seal::Digest;

use crate::subject::{Case, Subject, Table};

fn int(n: u64) -> Value {
    Value::Integer(i64::try_from(n).expect("it is small"))
}

fn blob(value: &Value) -> Vec<u8> {
    match value {
        Value::Blob(bytes) => bytes.clone(),
        Value::Text(text) => text.clone().into_bytes(),
        other => panic!("{other:?} has no bytes"),
    }
}

/// The bytes with the one at `at` changed.
fn flipped(bytes: &[u8], at: usize, by: u8) -> Value {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= by;
    Value::Blob(bytes)
}

/// Entries all over the ledger: the ends, both sides of a tile's edge, and some between.
fn sample(subject: &Subject) -> Vec<u64> {
    vec![0, 1, 37, 128, 200, 254, 255, 256, 257, 290, subject.entries - 2, subject.entries - 1]
}

/// That an entry's leaf is not the one in the tree: its tile says so, or for the newest entries the head alone.
fn out_of_tree(case: Case, subject: &Subject, seq: u64) -> Case {
    if seq < subject.tiled {
        case.finds_saying(FindingCode::TileChanged, Place::Tile(TileId::full(0, 0)), format!("entry {seq}:"))
    } else {
        case.finds(FindingCode::HeadWrong, Place::Head)
    }
}

pub(crate) fn entries(subject: &Subject, cases: &mut Vec<Case>) {
    for seq in sample(subject) {
        let place = || Place::Entry(seq);
        let of = |column: &str| subject.value(&format!("SELECT {column} FROM ledger_entry WHERE seq = {seq}"));
        let every = seq == 37;
        for (column, code) in [
            ("leaf", FindingCode::LeafChanged),
            ("leaf_hash", FindingCode::LeafChanged),
            ("salt", FindingCode::BodyChanged),
            ("body", FindingCode::BodyChanged),
        ] {
            let bytes = blob(&of(column));
            // `body` is a column of text, and holds whatever bytes somebody calls text.
            let marker = if column == "body" { "CAST(?1 AS TEXT)" } else { "?1" };
            let set = format!("UPDATE ledger_entry SET {column} = {marker} WHERE seq = ?2");
            let flips = (0..bytes.len()).filter(|at| every || at % 61 == 7);
            for (at, by) in flips.map(|at| (at, [0x01, 0x80, 0x20][at % 3])) {
                let mut case = Case::new("entry", format!("entry {seq}: byte {at} of {column} ^ {by:#x}"));
                if code == FindingCode::LeafChanged {
                    case = case.by_hashes();
                }
                cases.push(case.edit(&set, [flipped(&bytes, at, by), int(seq)]).finds(code, place()));
            }
            for (what, other) in [
                ("emptied", Vec::new()),
                ("cut", bytes[..bytes.len() - 1].to_vec()),
                ("longer", [bytes.as_slice(), b" "].concat()),
            ] {
                let case = Case::new("entry", format!("entry {seq}: {column} {what}"));
                cases.push(case.edit(&set, [Value::Blob(other), int(seq)]).finds(code, place()));
            }
        }
        for column in ["salt", "body"] {
            let case = Case::new("entry", format!("entry {seq}: {column} is gone"));
            let set = format!("UPDATE ledger_entry SET {column} = NULL WHERE seq = ?1");
            cases.push(case.edit(set, [int(seq)]).finds(FindingCode::BodyChanged, place()));
        }
        if matches!(seq, 0 | 128 | 256) || seq + 1 == subject.entries {
            mirrored(subject, seq, cases);
        }
        rewritten(subject, seq, cases);
        removed_and_moved(subject, seq, cases);
    }
    for n in [1, 2, 40, subject.entries - 256, subject.entries - 255, subject.entries - 1] {
        let place = Place::Entries { first: subject.entries - n, last: subject.entries - 1 };
        let case = Case::new("entry", format!("the last {n} entries are cut off"));
        let cut = case.edit("DELETE FROM ledger_entry WHERE seq >= ?1", [int(subject.entries - n)]);
        cases.push(cut.finds_saying(FindingCode::EntryMissing, place, "gone from the end"));
    }
    let all = Case::new("entry", "every entry is gone").edit("DELETE FROM ledger_entry", []);
    cases.push(all.finds(FindingCode::EntryMissing, Place::Entries { first: 0, last: subject.entries - 1 }));
    inserted(subject, cases);
}

/// Each column that only mirrors what leaf and body say.
fn mirrored(subject: &Subject, seq: u64, cases: &mut Vec<Case>) {
    let columns = ["time", "kind", "namespace", "actor", "subject", "action", "decision", "decision_id", "trace"];
    for (n, column) in columns.into_iter().enumerate() {
        let before = subject.value(&format!("SELECT {column} FROM ledger_entry WHERE seq = {seq}"));
        let mut others = vec![Value::Text("other".to_owned()), Value::Text("1999-01-01T00:00:00.000Z".to_owned())];
        others.push(Value::Text(String::new()));
        // Bytes that are no text at all.
        others.push(Value::Blob(vec![0xff, 0xfe]));
        let is_nullable = n >= 5;
        if is_nullable && before != Value::Null {
            others.push(Value::Null);
        }
        for other in others {
            let case = Case::new("entry", format!("entry {seq}: column {column} is {other:?} instead of {before:?}"));
            let set = format!("UPDATE ledger_entry SET {column} = CAST(?1 AS TEXT) WHERE seq = ?2");
            let words = format!("column {column} says");
            cases.push(case.edit(set, [other, int(seq)]).finds_saying(
                FindingCode::ColumnChanged,
                Place::Entry(seq),
                words,
            ));
        }
    }
}

/// An entry written anew so that it fits itself: only the tree knows.
fn rewritten(subject: &Subject, seq: u64, cases: &mut Vec<Case>) {
    let of = |column: &str| blob(&subject.value(&format!("SELECT {column} FROM ledger_entry WHERE seq = {seq}")));
    let leaf = Leaf::decode(&of("leaf")).expect("a leaf");
    let salt = Salt(of("salt").try_into().expect("32 bytes"));
    let mut body = Body::decode(&of("body")).expect("a body");
    body.subject = "somebody else".to_owned();
    let bytes = body.encode().expect("it encodes");
    let text = Value::Text(String::from_utf8(bytes.clone()).expect("JSON"));
    let new = Leaf { body: salt.mac(&bytes), ..leaf.clone() }.encode();
    let case = Case::new("entry", format!("entry {seq}: another body, with leaf, hash and column to fit")).edit(
        "UPDATE ledger_entry SET body = ?1, subject = 'somebody else', leaf = ?2, leaf_hash = ?3 WHERE seq = ?4",
        [text, Value::Blob(new.clone()), Value::Blob(leaf_hash(&new).0.to_vec()), int(seq)],
    );
    cases.push(out_of_tree(case, subject, seq));

    let time = leaf.time.plus_ms(1);
    let later = Leaf { time, ..leaf }.encode();
    let case = Case::new("entry", format!("entry {seq}: another time, with hash and column to fit")).edit(
        "UPDATE ledger_entry SET time = ?1, leaf = ?2, leaf_hash = ?3 WHERE seq = ?4",
        [
            Value::Text(time.to_string()),
            Value::Blob(later.clone()),
            Value::Blob(leaf_hash(&later).0.to_vec()),
            int(seq),
        ],
    );
    cases.push(out_of_tree(case, subject, seq));
}

fn removed_and_moved(subject: &Subject, seq: u64, cases: &mut Vec<Case>) {
    let last = subject.entries - 1;
    let place = Place::Entries { first: seq, last: seq };
    // Where the last one was, the gap reaches up to where it is now.
    let gap = if seq == last { Place::Entries { first: seq, last: last + 4 } } else { place.clone() };
    let case = Case::new("entry", format!("entry {seq} is deleted"));
    cases.push(
        case.edit("DELETE FROM ledger_entry WHERE seq = ?1", [int(seq)])
            .finds(FindingCode::EntryMissing, place.clone()),
    );

    let case = Case::new("entry", format!("entry {seq} is moved behind the last"));
    let moved = case.edit("UPDATE ledger_entry SET seq = ?1 WHERE seq = ?2", [int(last + 5), int(seq)]);
    cases.push(moved.finds(FindingCode::EntryMissing, gap));

    if seq < last {
        let case = Case::new("entry", format!("entries {seq} and {} are swapped", seq + 1))
            .edit("UPDATE ledger_entry SET seq = -2 WHERE seq = ?1", [int(seq)])
            .edit("UPDATE ledger_entry SET seq = ?1 WHERE seq = ?2", [int(seq), int(seq + 1)])
            .edit("UPDATE ledger_entry SET seq = ?1 WHERE seq = -2", [int(seq + 1)]);
        cases.push(out_of_tree(case, subject, seq));

        let swap = "UPDATE ledger_entry SET (salt, body) = (SELECT salt, body FROM ledger_entry WHERE seq = ?1) WHERE seq = ?2";
        let case =
            Case::new("entry", format!("entry {seq} has the body of the next")).edit(swap, [int(seq + 1), int(seq)]);
        cases.push(case.finds(FindingCode::BodyChanged, Place::Entry(seq)));
    }
}

fn inserted(subject: &Subject, cases: &mut Vec<Case>) {
    const COPY: &str = "INSERT INTO ledger_entry SELECT ?1, time, kind, namespace, actor, subject, action, decision, decision_id, \
                        trace, leaf, leaf_hash, salt, body FROM ledger_entry WHERE seq = ?2";
    let size = subject.entries;
    let case = Case::new("entry", "an entry is added at the end").edit(COPY, [int(size), int(size - 1)]);
    cases.push(case.finds_saying(FindingCode::HeadWrong, Place::Head, "never signed for"));

    let case = Case::new("entry", "an entry is added beyond the end").edit(COPY, [int(size + 7), int(3)]);
    cases.push(case.finds(FindingCode::EntryMissing, Place::Entries { first: size, last: size + 6 }));

    let case = Case::new("entry", "an entry is added before the first").edit(COPY, [Value::Integer(-1), int(0)]);
    cases.push(case.refused_saying("impossible number"));

    for seq in [0, 100, 255, 256, size - 1] {
        let case = Case::new("entry", format!("an entry is pushed in at {seq}"))
            .edit("UPDATE ledger_entry SET seq = -seq - 2 WHERE seq >= ?1", [int(seq)])
            .edit("UPDATE ledger_entry SET seq = -seq - 1 WHERE seq < 0", [])
            .edit(COPY, [int(seq), int(seq + 1)]);
        // A copy of the entry stands where it stood; from the next on, every entry is one too far.
        cases.push(if seq < subject.tiled - 1 {
            out_of_tree(case, subject, seq + 1).finds(FindingCode::HeadWrong, Place::Head)
        } else {
            case.finds(FindingCode::HeadWrong, Place::Head)
        });
    }
}

/// A row as findings name it.
fn row_place(table: &Table, row: &[Value]) -> (String, u64) {
    let at = |column: &str| &row[table.columns.iter().position(|c| c == column).expect("a column")];
    let mut key: Vec<&str> = table.key.to_vec();
    key.sort_unstable();
    let pairs: Vec<String> = key
        .iter()
        .map(|column| match at(column) {
            Value::Text(text) => format!("\"{column}\":\"{text}\""),
            other => panic!("{column} is {other:?}"),
        })
        .collect();
    let Value::Integer(seq) = at("entry_seq") else { panic!("a row has a version") };
    (format!("{{{}}}", pairs.join(",")), u64::try_from(*seq).expect("it is small"))
}

pub(crate) fn facts(subject: &Subject, cases: &mut Vec<Case>) {
    for table in &subject.tables {
        assert!(!table.rows.is_empty(), "{}", table.name);
        let last = table.rows.len() - 1;
        let mut sample = vec![0, last / 2, last];
        sample.dedup();
        for n in sample {
            let row = &table.rows[n];
            let (key, seq) = row_place(table, row);
            let place = |code_seq| Place::Row { table: table.name.to_owned(), key: key.clone(), seq: code_seq };
            let which = format!("entry_seq = {seq}{}", row_condition(table, row));
            for (column, before) in table.columns.iter().zip(row) {
                let is_key = table.key.contains(&column.as_str());
                // Of one row each of these every byte: those of the others are columns of the same kinds.
                let every = n == 0 && matches!(table.name, "person" | "policy");
                for other in others(before, column, every) {
                    let what = format!("{} {key}: column {column} is {other:?} instead of {before:?}", table.name);
                    let is_text = matches!(other, Value::Blob(_)) && column != SEALED;
                    let cast = if is_text { "CAST(?1 AS TEXT)" } else { "?1" };
                    let set = format!("UPDATE {} SET {column} = {cast} WHERE {which}", table.name);
                    let case = Case::new("row", what).edit(set, [other]).with_state();
                    let code = if is_key { FindingCode::RowMissing } else { FindingCode::RowChanged };
                    cases.push(case.finds(code, place(Some(seq))));
                }
            }
            let case = Case::new("row", format!("{} {key} is deleted", table.name)).with_state();
            let delete = case.edit(format!("DELETE FROM {} WHERE {which}", table.name), []);
            cases.push(delete.finds(FindingCode::RowMissing, place(Some(seq))));

            let column = table.key[table.key.len() - 1];
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|c| if c == column { format!("'forged' || substr({c}, 7)") } else { c.clone() })
                .collect();
            let insert = format!("INSERT INTO {0} SELECT {1} FROM {0} WHERE {which}", table.name, columns.join(", "));
            let Some(Value::Text(name)) = table.columns.iter().position(|c| c == column).map(|at| &row[at]) else {
                panic!("keys are text")
            };
            let forged = key.replace(
                &format!("\"{column}\":\"{name}\""),
                &format!("\"{column}\":\"forged{}\"", name.get(6..).unwrap_or_default()),
            );
            let unrecorded = Place::Row { table: table.name.to_owned(), key: forged, seq: None };
            let case = Case::new("row", format!("{}: a row is added beside {key}", table.name)).with_state();
            cases.push(case.edit(insert, []).finds(FindingCode::RowUnrecorded, unrecorded));
        }
    }
}

fn row_condition(table: &Table, row: &[Value]) -> String {
    let keys = table.key.iter().map(|column| {
        let at = table.columns.iter().position(|c| c == column).expect("a column");
        match &row[at] {
            Value::Text(text) => format!(" AND {column} = '{text}'"),
            other => panic!("{column} is {other:?}"),
        }
    });
    keys.collect()
}

/// The one column that holds bytes.
const SEALED: &str = "sealed";

/// What a column could be instead: for `every`, each of its bytes flipped.
fn others(before: &Value, column: &str, every: bool) -> Vec<Value> {
    let is_nullable = matches!(column, "settled_at" | "error_code" | "error_message" | "digest" | "bytes");
    let mut others = match before {
        Value::Null if column == SEALED => vec![Value::Blob(vec![0])],
        Value::Null if matches!(column, "bytes" | "generated") => vec![Value::Integer(0)],
        Value::Null => vec![Value::Text(String::new())],
        Value::Blob(bytes) if column == SEALED => {
            vec![flipped(bytes, bytes.len() / 2, 0x01), Value::Blob(bytes[1..].to_vec()), Value::Null]
        }
        Value::Integer(n) => vec![Value::Integer(n + 1), Value::Integer(-n - 1)],
        Value::Text(text) => {
            let flips = (0..text.len()).filter(|at| every || *at == text.len() / 2);
            let mut others: Vec<Value> = flips.map(|at| flipped(text.as_bytes(), at, 0x01)).collect();
            others.extend([Value::Text(String::new()), Value::Text(format!("{text} ")), Value::Blob(vec![0xff])]);
            others.retain(|other| *other != Value::Text(text.clone()));
            others
        }
        other => panic!("{column} is {other:?}"),
    };
    if is_nullable && *before != Value::Null {
        others.push(Value::Null);
    }
    others
}

pub(crate) fn blobs(subject: &Subject, cases: &mut Vec<Case>) {
    let copy = subject.copy();
    let sql = copy.sql();
    let mut statement = sql.prepare("SELECT digest, bytes FROM blob ORDER BY length(bytes)").expect("a table");
    let blobs = statement.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, Vec<u8>>(1)?)));
    let blobs: Vec<(String, Vec<u8>)> = blobs.and_then(Iterator::collect).expect("blobs");
    assert!(blobs.len() >= 4, "two manifests and two policies: {}", blobs.len());
    for (n, (name, bytes)) in blobs.iter().enumerate() {
        let digest: Digest = name.parse().expect("a digest");
        let key = || Value::Text(name.clone());
        let set = "UPDATE blob SET bytes = ?1 WHERE digest = ?2";
        for at in (0..bytes.len()).filter(|at| n == 0 || at % 4001 == 11) {
            let case = Case::new("blob", format!("blob {name}: byte {at}")).with_state();
            cases.push(
                case.edit(set, [flipped(bytes, at, 0x01), key()]).finds(FindingCode::BlobChanged, Place::Blob(digest)),
            );
        }
        for other in [Vec::new(), bytes[1..].to_vec(), [bytes.as_slice(), &[0]].concat()] {
            let case = Case::new("blob", format!("blob {name}: another length")).with_state();
            cases
                .push(case.edit(set, [Value::Blob(other), key()]).finds(FindingCode::BlobChanged, Place::Blob(digest)));
        }
        let missing = |case: Case| case.with_state().finds(FindingCode::BlobMissing, Place::Blob(digest));
        let case = Case::new("blob", format!("blob {name} is deleted"));
        cases.push(missing(case.edit("DELETE FROM blob WHERE digest = ?1", [key()])));
        let case = Case::new("blob", format!("blob {name} has another name"));
        cases.push(missing(case.edit("UPDATE blob SET digest = digest || 'x' WHERE digest = ?1", [key()])));
    }
}

pub(crate) fn tiles(subject: &Subject, cases: &mut Vec<Case>) {
    let tile = Place::Tile(TileId::full(0, 0));
    let changed = |case: Case| case.finds(FindingCode::TileChanged, tile.clone());
    for column in ["hashes", "root"] {
        let bytes = blob(&subject.value(&format!("SELECT {column} FROM ledger_tile WHERE level = 0 AND idx = 0")));
        let set = format!("UPDATE ledger_tile SET {column} = ?1 WHERE level = 0 AND idx = 0");
        // Of the root and of three hashes every byte, of every other hash one: another one each time.
        let flips = (0..bytes.len()).filter(|at| {
            let (hash, byte) = (at / 32, at % 32);
            column == "root" || matches!(hash, 0 | 100 | 255) || hash % 32 == byte
        });
        for at in flips {
            let case = Case::new("tile", format!("tile: byte {at} of {column}")).by_hashes();
            cases.push(changed(case.edit(&set, [flipped(&bytes, at, 0x10)])));
        }
        for other in [Vec::new(), bytes[..bytes.len() - 32].to_vec(), [bytes.as_slice(), &[0; 32]].concat()] {
            let case = Case::new("tile", format!("tile: another length of {column}"));
            cases.push(changed(case.edit(&set, [Value::Blob(other)])));
        }
    }
    // Hashes and root that fit each other, and not the entries.
    let hashes = blob(&subject.value("SELECT hashes FROM ledger_tile WHERE level = 0 AND idx = 0"));
    for n in [0, 100, 255] {
        let mut other = hashes.clone();
        other[n * 32] ^= 1;
        let root = steward_ledger::tile_root(&other).expect("a full tile");
        let case = Case::new("tile", format!("tile: hash {n}, and the root to fit")).edit(
            "UPDATE ledger_tile SET hashes = ?1, root = ?2 WHERE level = 0 AND idx = 0",
            [Value::Blob(other), Value::Blob(root.0.to_vec())],
        );
        cases.push(case.finds_saying(FindingCode::TileChanged, tile.clone(), format!("entry {n}:")));
    }
    let gone = |case: Case| case.finds(FindingCode::TileMissing, tile.clone());
    cases.push(gone(Case::new("tile", "the tile is deleted").edit("DELETE FROM ledger_tile WHERE idx = 0", [])));
    // Places that the tree does not reach, the last of any tree among them.
    let places =
        [(0, 1), (1, 0), (0, 255), (2, 0), (6, 0), (6, 255), (7, 0), (7, 1), (63, 1), (255, 0), (255, i64::MAX)];
    for (level, index) in places {
        let index_u64 = u64::try_from(index).expect("it is positive");
        let place = Place::Tile(TileId::full(level, index_u64));
        let values = [Value::Integer(level.into()), Value::Integer(index)];
        let copy = "INSERT INTO ledger_tile SELECT ?1, ?2, root, hashes FROM ledger_tile WHERE level = 0 AND idx = 0";
        let case = Case::new("tile", format!("a tile is added at {level}/{index}")).edit(copy, values.clone());
        cases.push(case.finds(FindingCode::TileChanged, place.clone()));
        let moved = "UPDATE ledger_tile SET level = ?1, idx = ?2 WHERE level = 0 AND idx = 0";
        let case = Case::new("tile", format!("the tile is moved to {level}/{index}")).edit(moved, values);
        cases.push(gone(case).finds(FindingCode::TileChanged, place));
    }
    for (level, index) in [(-1, 0), (0, -1), (256, 0)] {
        let copy = "INSERT INTO ledger_tile SELECT ?1, ?2, root, hashes FROM ledger_tile WHERE level = 0 AND idx = 0";
        let case = Case::new("tile", format!("a tile is added at {level}/{index}"));
        cases.push(case.edit(copy, [Value::Integer(level), Value::Integer(index)]).refused_saying("impossible number"));
    }
}

pub(crate) fn heads(subject: &Subject, cases: &mut Vec<Case>) {
    let note = blob(&subject.value("SELECT note FROM ledger_head"));
    let wrong = [FindingCode::HeadWrong, FindingCode::HeadNotOurs];
    let set = "UPDATE ledger_head SET note = CAST(?1 AS TEXT)";
    for (at, by) in (0..note.len()).flat_map(|at| [(at, 0x01), (at, 0x80)]) {
        let case = Case::new("head", format!("the head: byte {at} ^ {by:#x}")).by_hashes();
        cases.push(case.edit(set, [flipped(&note, at, by)]).finds_one_of(&wrong, Place::Head));
    }
    for at in (0..note.len()).step_by(7) {
        let case = Case::new("head", format!("the head: cut at {at}"));
        cases.push(case.edit(set, [Value::Blob(note[..at].to_vec())]).finds_one_of(&wrong, Place::Head));
    }
    let old = Case::new("head", "the head is an older one").edit(set, [Value::Text(subject.old_note.clone())]);
    cases.push(old.finds_saying(FindingCode::HeadWrong, Place::Head, "never signed for"));
    let gone = Case::new("head", "the head is deleted").edit("DELETE FROM ledger_head", []);
    cases.push(gone.refused_saying("no tree head"));
}
