//! What is open to everybody: health, and what a stranger needs to verify the ledger (c2sp.org/tlog-tiles).

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use steward_app_entries as ledger;
use steward_app_node::{Context, Error};
use steward_ledger::{TileId, encode_bundle, parse_entries_path};
use steward_wire::{Consistency, LedgerHead, Problem, VerifierKey};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Part},
    health,
    node::Node,
};

/// Runs something that reads a little of the store.
fn read<T>(node: &Node, verb: impl FnOnce(&Context) -> Result<T, Error>) -> Result<T, Refused> {
    verb(&node.context).map_err(|e| Refused::new(e, None))
}

/// Whether the node answers.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, description = "`ok`: it answers, and its store takes changes", body = String), (status = 503, description = "its store takes no changes: it is closed, or full")), security(()))]
pub(crate) async fn healthz(State(node): State<Arc<Node>>) -> Result<&'static str, Refused> {
    health::takes_changes(&node).map(|()| "ok\n").map_err(|error| Refused::new(error, None))
}

/// Whether the node does its work: its store takes what is handed in, its background works, and it does not stop.
#[utoipa::path(get, path = "/readyz", tag = "node", responses((status = 200, description = "`ready`", body = String), (status = 503, description = "it does not, and why")), security(()))]
pub(crate) async fn readyz(State(node): State<Arc<Node>>) -> Result<&'static str, Refused> {
    match health::ready(&node).await {
        Ok(()) => Ok("ready\n"),
        Err(error) => Err(Refused::new(error, None)),
    }
}

/// The newest signed tree head.
#[utoipa::path(get, path = "/v1/ledger/head", tag = "ledger", responses((status = 200, body = LedgerHead)), security(()))]
pub(crate) async fn head(State(node): State<Arc<Node>>) -> Result<Json<LedgerHead>, Refused> {
    let (head, note) = read(&node, ledger::head)?;
    Ok(Json(LedgerHead { origin: head.origin, size: head.size, root: head.root.to_base64(), note }))
}

/// The key that verifies tree heads. Take it from here once, then keep it.
#[utoipa::path(get, path = "/v1/ledger/vkey", tag = "ledger", responses((status = 200, body = VerifierKey)), security(()))]
pub(crate) async fn vkey(State(node): State<Arc<Node>>) -> Json<VerifierKey> {
    let key = node.context.store.head_key();
    Json(VerifierKey { vkey: key.to_string(), fingerprint: key.key().fingerprint().to_string() })
}

/// Who this node is: a DSSE envelope over its namespace and ledger key, signed with its document key. Verify it with a document
/// key that you have from elsewhere, not with the one inside.
#[utoipa::path(get, path = "/v1/node/identity", tag = "node", responses((status = 200, description = "a DSSE envelope of `application/vnd.steward.identity.v1+json`", content_type = "application/json")), security(()))]
pub(crate) async fn identity(State(node): State<Arc<Node>>) -> Response {
    Json(node.context.identity()).into_response()
}

/// The newest signed tree head, as a note (c2sp.org/tlog-checkpoint).
#[utoipa::path(get, path = "/ledger/checkpoint", tag = "ledger", responses((status = 200, description = "a signed note", body = String)), security(()))]
pub(crate) async fn checkpoint(State(node): State<Arc<Node>>) -> Result<Response, Refused> {
    let (_, note) = read(&node, ledger::head)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}

/// A tile of hashes, or a bundle of leaves (c2sp.org/tlog-tiles): `<L>/<N>[.p/<W>]`, `entries/<N>[.p/<W>]`. Leaves show time, kind
/// and a keyed digest, never a body.
#[utoipa::path(get, path = "/ledger/tile/{path}", tag = "ledger", params(("path" = String, Path, description = "`0/x001/234`, `1/000.p/7`, `entries/000.p/12`")), responses((status = 200, description = "32-byte hashes, or leaves with their lengths before them", content_type = "application/octet-stream"), (status = 404, description = "the tree does not reach that far")), security(()))]
pub(crate) async fn tile(State(node): State<Arc<Node>>, Part(path): Part<String>) -> Result<Response, Refused> {
    let refused = |error| Refused::new(error, None);
    let (bytes, is_full) = if path.starts_with("entries/") {
        let (index, width) = parse_entries_path(&path).map_err(|e| refused(Error::invalid(e)))?;
        let leaves = read(&node, |context| ledger::leaves(context, index, width))?;
        let bundle = leaves.map(|leaves| encode_bundle(leaves.iter().map(Vec::as_slice))).transpose();
        (bundle.map_err(|e| refused(Error::broken(e)))?, width == 256)
    } else {
        let id: TileId = path.parse().map_err(|e: steward_ledger::TileError| refused(Error::invalid(e)))?;
        (read(&node, |context| ledger::tile(context, id))?, id.is_full())
    };
    let bytes = bytes.ok_or_else(|| refused(Error::not_found("such tile: the tree does not reach that far")))?;
    // A full tile never changes.
    let caching = if is_full { "public, max-age=31536000, immutable" } else { "no-store" };
    Ok(([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, caching)], bytes).into_response())
}

/// Which two sizes.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sizes {
    /// The smaller size.
    from: u64,
    /// The larger size.
    to: u64,
}

/// Proof that one state of the ledger continues another.
#[utoipa::path(get, path = "/v1/ledger/consistency", tag = "ledger", params(Sizes), responses((status = 200, body = Consistency), (status = 400, body = Problem)), security(()))]
pub(crate) async fn consistency(
    State(node): State<Arc<Node>>,
    Asked(Sizes { from, to }): Asked<Sizes>,
) -> Result<Json<Consistency>, Refused> {
    let (from_root, to_root, path) = read(&node, |context| ledger::consistency(context, from, to))?;
    Ok(Json(Consistency {
        from,
        from_root: from_root.to_base64(),
        to,
        to_root: to_root.to_base64(),
        hashes: path.iter().map(|hash| STANDARD.encode(hash.0)).collect(),
    }))
}
