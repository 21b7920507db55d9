//! `steward ledger prove`, `check-proof` and `consistency`: what a stranger can check.

use std::path::Path;

use serde::Serialize;
use steward_ledger::{
    Hash, Salt, TreeHead,
    tlog_proof::{self, TlogProof},
};
use steward_seal::{
    json::{self, Limits},
    note::NoteKey,
};
use steward_wire::{Consistency, InclusionProof};

use crate::{
    failure::Failure,
    heads::{self, continues},
    home::read_small,
    session::Session,
    show::{Ink, Looks, Word, facts, shown_lines},
};

/// The most that a proof with its entry may have.
const BUNDLE: Limits = Limits { bytes: 8 << 20, depth: 32 };

/// The shape of `ledger check-proof --json`.
#[derive(Debug, Serialize)]
struct Held {
    /// Always true: what does not hold is refused with exit code 1.
    holds: bool,
    origin: String,
    seq: u64,
    /// How many entries the signed tree head covers.
    size: u64,
    /// The root, in base 64.
    root: String,
    time: String,
    kind: String,
    /// The body, unless it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<serde_json::Value>,
}

/// Gets an entry with its proof, checks it with the pinned key, and writes it down. Prints the `InclusionProof`, with or
/// without `--json`.
pub(crate) async fn prove(session: &mut Session, seq: u64, output: Option<&Path>) -> Result<(), Failure> {
    let caller = session.caller()?;
    let watch = session.watch(&caller).await?;
    let bundle = caller.prove(seq).await?;
    let held = hold(&bundle, watch.key()).map_err(|why| no_proof(&format!("the node's proof of entry {seq}"), &why))?;
    if held.seq != seq {
        return Err(no_proof("the node's proof", &format!("it is about entry {}, and {seq} was asked for", held.seq)));
    }
    let proof = TlogProof::parse(bundle.proof.as_bytes()).map_err(Failure::refused)?;
    watch.see(&proof.head, &caller).await?;

    let mut text = serde_json::to_string_pretty(&bundle).map_err(Failure::refused)?;
    text.push('\n');
    match output {
        Some(file) => {
            std::fs::write(file, text).map_err(|e| Failure::file("write", file, &e))?;
            if session.is_json() {
                session.show.json(&bundle)?;
            }
        }
        None => session.show.text(&text)?,
    }
    if bundle.body.is_none() {
        session.show.aside(
            "What it said was redacted; that there was such an entry, of that kind and time, is proved all the same.",
        );
    }
    let file = output.map_or("FILE".to_owned(), |file| file.display().to_string());
    session.show.aside(&format!(
        "Entry {seq} stands in the ledger, under a signed tree head of {} entries. Anyone can check it, without a node:\n  \
         steward ledger check-proof {file} --vkey {}",
        held.size,
        watch.key()
    ));
    Ok(())
}

/// Checks what [`prove`] wrote with nothing but the file and the key.
pub(crate) fn check(session: &mut Session, file: &Path, vkey: &str) -> Result<(), Failure> {
    let key: NoteKey = vkey.trim().parse().map_err(Failure::misused)?;
    let unread = |error| Failure { exit: crate::Exit::Misused, ..Failure::file("read", file, &error) };
    let bytes = read_small(file, BUNDLE.bytes).map_err(unread)?;
    let what = format!("`{}`", file.display());
    let bundle: InclusionProof = json::read(&bytes, BUNDLE).map_err(|e| no_proof(&what, &e.to_string()))?;
    let held = hold(&bundle, &key).map_err(|why| no_proof(&what, &why))?;
    session.show.answer(&held, held_view)
}

fn no_proof(what: &str, why: &str) -> Failure {
    Failure::refused(format!("{what} does not hold: {why}"))
}

/// What the proof shows, if it holds. The verifier key in it is not believed.
fn hold(bundle: &InclusionProof, key: &NoteKey) -> Result<Held, String> {
    let entry = tlog_proof::verify_offline(bundle.proof.as_bytes(), bundle.leaf.as_bytes(), key, key.name())
        .map_err(|e| e.to_string())?;
    if entry.seq != bundle.seq {
        return Err(format!("it says that it is about entry {}, and proves entry {}", bundle.seq, entry.seq));
    }
    let body = match (&bundle.salt, &bundle.body) {
        (Some(salt), Some(body)) => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(salt, &mut bytes).map_err(|_| "its salt is not 32 bytes in hexadecimal")?;
            if !entry.leaf.is_of(&Salt(bytes), body.as_bytes()) {
                return Err("body and salt do not fit the leaf: one of them was changed".to_owned());
            }
            Some(json::value(body.as_bytes(), BUNDLE).map_err(|e| format!("its body is not JSON: {e}"))?)
        }
        (None, None) => None,
        _ => return Err("of body and salt it has only one, so that nothing can be said of either".to_owned()),
    };
    let TreeHead { origin, size, root } = entry.head;
    Ok(Held {
        holds: true,
        origin,
        seq: entry.seq,
        size,
        root: root.to_base64(),
        time: entry.leaf.time.to_string(),
        kind: entry.leaf.kind.to_string(),
        body,
    })
}

fn held_view(held: &Held, looks: Looks) -> String {
    let block = facts(
        looks,
        [
            ("holds", Word::new(format!("entry {} stands in the ledger `{}`", held.seq, held.origin), Ink::Good)),
            ("under", format!("a signed tree head of {} entries, root {}", held.size, held.root).into()),
            ("time", (&held.time).into()),
            ("kind", (&held.kind).into()),
        ],
    );
    let body = match &held.body {
        Some(body) => serde_json::to_string_pretty(body).unwrap_or_default(),
        None => "The body was erased; only that there was such an entry is proved.".to_owned(),
    };
    format!("{block}\n{}\n", shown_lines(&body))
}

/// Has the node prove that one state continues another, and checks the proof, also against the signed heads that are known.
/// `--json` prints `Consistency`.
pub(crate) async fn consistency(session: &mut Session, from: u64, to: u64) -> Result<(), Failure> {
    if from > to {
        return Err(Failure::misused(format!("{from} is more than {to}; the smaller number comes first")));
    }
    let caller = session.stranger()?;
    let watch = session.watch(&caller).await?;
    let newest = caller.ledger_head().await?;
    let newest = watch.see(&newest.note, &caller).await?;
    let proof = caller.consistency(from, to).await?;
    let known: Vec<&TreeHead> = [Some(&newest), watch.remembered()].into_iter().flatten().collect();
    proved(&proof, from, to, &known).map_err(|why| {
        Failure::refused(format!("it is NOT proved that the ledger of {to} entries continues that of {from}: {why}"))
    })?;
    session.show.answer(&proof, consistency_view)
}

fn proved(proof: &Consistency, from: u64, to: u64, known: &[&TreeHead]) -> Result<(), String> {
    if (proof.from, proof.to) != (from, to) {
        return Err(format!("the proof is about {} and {} entries", proof.from, proof.to));
    }
    let head = |size, root: &str| {
        let root = Hash::from_base64(root).ok_or("a root is not 32 bytes in base 64")?;
        match known.iter().find(|head| head.size == size && head.root != root) {
            Some(_) => Err(format!("the root over {size} entries is not the one that was signed")),
            None => Ok(TreeHead { origin: String::new(), size, root }),
        }
    };
    continues(&head(from, &proof.from_root)?, &head(to, &proof.to_root)?, proof)
}

fn consistency_view(proof: &Consistency, looks: Looks) -> String {
    facts(
        looks,
        [
            (
                "proved",
                Word::new(format!("the ledger of {} entries continues that of {}", proof.to, proof.from), Ink::Good),
            ),
            ("from", format!("{} entries, root {}", proof.from, proof.from_root).into()),
            ("to", format!("{} entries, root {}", proof.to, proof.to_root).into()),
            ("hashes", proof.hashes.len().to_string().into()),
        ],
    )
}

/// The pinned key, for commands without a node.
pub(crate) fn pinned_key(session: &Session) -> Result<Option<NoteKey>, Failure> {
    let home = session.home()?;
    let node = session.memory()?.node(&home.display().to_string());
    heads::pinned(&node)?.map(|vkey| heads::parse(&vkey)).transpose()
}

#[cfg(test)]
mod tests {
    use steward_wire::InclusionProof;

    use super::{hold, proved};
    use crate::testing::Ledger;

    #[test]
    fn a_proof_holds_with_its_key_only() {
        let ledger = Ledger::of(10);
        let bundle = ledger.prove(4);
        let held = hold(&bundle, &ledger.key()).unwrap();
        assert_eq!((held.seq, held.size, held.kind.as_str()), (4, 10, "action.intended"));
        assert_eq!(held.body, Some(serde_json::json!({"n": 4})));
        assert!(hold(&bundle, &Ledger::of(10).signed_by(9).key()).is_err());
    }

    #[test]
    fn whatever_is_changed_in_a_proof_is_found() {
        let ledger = Ledger::of(10);
        let good = || ledger.prove(4);
        let other = ledger.prove(5);
        let changed: Vec<(&str, InclusionProof)> = vec![
            ("number", InclusionProof { seq: 5, ..good() }),
            ("leaf", InclusionProof { leaf: other.leaf.clone(), ..good() }),
            ("leaf's spelling", InclusionProof { leaf: good().leaf + " ", ..good() }),
            ("salt", InclusionProof { salt: other.salt.clone(), ..good() }),
            ("salt's form", InclusionProof { salt: Some("00".into()), ..good() }),
            ("body", InclusionProof { body: other.body.clone(), ..good() }),
            ("no body", InclusionProof { body: None, ..good() }),
            ("no salt", InclusionProof { salt: None, ..good() }),
            ("path", InclusionProof { proof: other.proof.clone(), ..good() }),
            ("another ledger's", InclusionProof { proof: Ledger::of(10).rewritten_at(1).prove(4).proof, ..good() }),
        ];
        // The last is a good proof of another history, which the true key signed: only the memory of heads finds it.
        for (what, bundle) in &changed[..changed.len() - 1] {
            assert!(hold(bundle, &ledger.key()).is_err(), "{what}");
        }
        assert!(hold(&changed[changed.len() - 1].1, &ledger.key()).is_ok());
        let erased = InclusionProof { salt: None, body: None, ..good() };
        assert!(hold(&erased, &ledger.key()).unwrap().body.is_none());
        // The key in the bundle is not what is believed.
        let lying = InclusionProof { vkey: "nobody".into(), ..good() };
        assert!(hold(&lying, &ledger.key()).is_ok());
    }

    #[test]
    fn consistency_is_checked_against_signed_heads() {
        let ledger = Ledger::of(10);
        let proof = ledger.consistency(4, 10);
        assert_eq!(proved(&proof, 4, 10, &[&ledger.head()]), Ok(()));
        assert!(proved(&proof, 5, 10, &[]).is_err());
        let rewritten = Ledger::of(10).rewritten_at(2);
        assert_eq!(proved(&rewritten.consistency(4, 10), 4, 10, &[]), Ok(()), "consistent with itself");
        assert!(proved(&rewritten.consistency(4, 10), 4, 10, &[&ledger.head()]).is_err());
        assert!(proved(&rewritten.consistency(4, 10), 4, 10, &[&Ledger::of(4).head()]).is_err());
        let mixed = steward_wire::Consistency { from_root: rewritten.consistency(4, 10).from_root, ..proof };
        assert!(proved(&mixed, 4, 10, &[]).is_err());
    }
}
