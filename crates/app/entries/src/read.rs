//! Heads, tiles, entries and proofs.

use steward_app_node::{Caller, Context, Error};
use steward_ledger::{
    Hash, TileId, TreeHead,
    head::{self},
    kind,
    proof::{self, ProveError},
    tlog_proof::TlogProof,
};
use steward_permit::ResourceKind;
use steward_seal::note::NoteKey;
use steward_store::{EntryRow, Reader, StoreError};

use crate::rows::{self, Filter};

/// An entry with the proof that it is in the ledger.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The entry.
    pub entry: EntryRow,
    /// `c2sp.org/tlog-proof@v1`.
    pub text: String,
}

/// The newest tree head, and the signed note of it.
///
/// # Errors
/// The store cannot be read, or what it says is not signed by this node.
pub fn head(context: &Context) -> Result<(TreeHead, String), Error> {
    context.store.read(|reader| signed_head(context.store.head_key(), reader))
}

fn signed_head(key: &NoteKey, reader: &Reader<'_>) -> Result<(TreeHead, String), Error> {
    let note = reader.head_note()?.ok_or_else(|| Error::not_found("tree head yet"))?;
    let head = head::open(note.as_bytes(), key, key.name()).map_err(Error::broken)?;
    Ok((head.into_inner(), note))
}

/// The bytes of a tile, if the tree reaches that far.
///
/// # Errors
/// The store cannot be read.
pub fn tile(context: &Context, id: TileId) -> Result<Option<Vec<u8>>, Error> {
    context.store.read(|reader| {
        // Only what the signed head covers is served.
        match TileId::in_tree(id.level, id.index, reader.size()?) {
            Some(there) if there.width >= id.width => {
                Ok(Some(reader.tile(id)?).filter(|bytes| bytes.len() == id.bytes()))
            }
            _ => Ok(None),
        }
    })
}

/// The leaves of an entry bundle, if the tree reaches that far.
///
/// # Errors
/// The store cannot be read.
pub fn leaves(context: &Context, index: u64, width: u16) -> Result<Option<Vec<Vec<u8>>>, Error> {
    context.store.read(|reader| match TileId::in_tree(0, index, reader.size()?) {
        Some(there) if there.width >= width => Ok(Some(reader.leaves(index, width)?)),
        _ => Ok(None),
    })
}

/// Proves that the tree of `from` entries is the beginning of the tree of `to` entries: both roots and the path.
///
/// # Errors
/// The sizes are not in order, or beyond the ledger.
pub fn consistency(context: &Context, from: u64, to: u64) -> Result<(Hash, Hash, Vec<Hash>), Error> {
    context.store.read(|reader| {
        let size = reader.size()?;
        if from > to || to > size {
            return Err(Error::invalid(format!("`from` is at most `to`, and `to` at most the ledger's size, {size}")));
        }
        let path = proof::prove_consistency(from, to, |id| reader.tile(id)).map_err(unproved)?;
        let root = |size| proof::root(size, |id| reader.tile(id)).map_err(unproved);
        Ok((root(from)?, root(to)?, path))
    })
}

fn unproved(error: ProveError<StoreError>) -> Error {
    Error::broken(error)
}

/// Records that the audit is read, if the caller may.
async fn read_by(context: &Context, caller: &Caller, what: &str, of: String) -> Result<(), Error> {
    let action = context.action("ledger.read", ResourceKind::Ledger, context.namespace.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let change = context.change(caller, granted, kind::LEDGER_READ, context.namespace.as_str()).detail(what, of);
    context.commit(change).await?;
    Ok(())
}

/// Entries, newest first.
///
/// # Errors
/// It is not allowed.
pub async fn search(context: &Context, caller: &Caller, filter: Filter, said: String) -> Result<Vec<EntryRow>, Error> {
    read_by(context, caller, "search", said).await?;
    Ok(context.store.scan(move |reader| rows::search(reader, &filter)).await?)
}

/// One entry.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn entry(context: &Context, caller: &Caller, seq: u64) -> Result<EntryRow, Error> {
    read_by(context, caller, "entry", seq.to_string()).await?;
    let entry = context.store.read(|reader| reader.entry(seq))?;
    entry.ok_or_else(|| Error::not_found(format!("entry {seq}")))
}

/// One entry, with the proof that it is in the ledger.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn proof(context: &Context, caller: &Caller, seq: u64) -> Result<Proof, Error> {
    read_by(context, caller, "proof", seq.to_string()).await?;
    proof_of(context, seq)
}

/// The proof, for a verb that has asked already.
///
/// # Errors
/// There is no such entry.
pub fn proof_of(context: &Context, seq: u64) -> Result<Proof, Error> {
    let proved = context.store.read(|reader| prove(context.store.head_key(), reader, &[seq]))?.pop();
    proved.ok_or_else(|| Error::broken("one was asked for"))
}

/// The proofs of several entries, all under one tree head, for a verb that has asked already.
///
/// # Errors
/// There is no such entry.
pub async fn proofs_of(context: &Context, entries: Vec<u64>) -> Result<Vec<Proof>, Error> {
    let key = context.store.head_key().clone();
    context.store.scan(move |reader| prove(&key, reader, &entries)).await
}

fn prove(key: &NoteKey, reader: &Reader<'_>, entries: &[u64]) -> Result<Vec<Proof>, Error> {
    let (head, note) = signed_head(key, reader)?;
    let proved = entries.iter().map(|seq| {
        let entry = reader.entry(*seq)?.filter(|entry| entry.seq < head.size);
        let entry = entry.ok_or_else(|| Error::not_found(format!("entry {seq}")))?;
        let path = proof::prove_inclusion(head.size, *seq, |id| reader.tile(id)).map_err(unproved)?;
        let text = TlogProof { extra: Vec::new(), index: *seq, path, head: note.clone() }.encode();
        Ok(Proof { entry, text })
    });
    proved.collect()
}
