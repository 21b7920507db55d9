//! The ledger, for those who may read it.

use axum::{
    Json,
    body::{Body as Stream, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use steward_app_entries::{self as verbs, Filter, Format};
use steward_app_node::{Error, Kind, code};
use steward_store::EntryRow;
use steward_wire::{
    EntryList, EntryRecord, ExportQuery, InclusionProof, Problem, Reason, RedactionRecord, RetentionKind,
    RetentionReport, SearchQuery,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    answer::Refused,
    door::{Asked, Body, Part, Visit},
};

/// Entries in one answer if nobody says how many.
const DEFAULT_LIMIT: u32 = 50;

/// Lines of an export that wait to be sent: the store is not read faster than they are taken.
const EXPORT_WAITING: usize = 64;

fn record(entry: EntryRow, redacted_by: Option<u64>) -> Result<EntryRecord, Error> {
    let body = entry.body.as_deref().map(serde_json::from_slice).transpose().map_err(Error::broken)?;
    Ok(EntryRecord {
        seq: entry.seq,
        time: entry.time.to_string(),
        kind: entry.kind,
        namespace: entry.namespace,
        actor: entry.actor,
        subject: entry.subject,
        action: entry.action,
        decision: entry.decision,
        trace: entry.trace,
        redacted_by,
        body,
        leaf: text(entry.leaf)?,
        leaf_hash: hex(&entry.leaf_hash),
    })
}

fn text(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(Error::broken)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Entries, newest first. That they were read is on record.
#[utoipa::path(get, path = "/v1/ledger/entries", tag = "ledger", params(SearchQuery), responses((status = 200, body = EntryList), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn search(visit: Visit, Asked(asked): Asked<SearchQuery>) -> Result<Json<EntryList>, Refused> {
    let time = |text: &Option<String>| text.as_ref().map(|t| t.parse()).transpose().map_err(Error::invalid);
    let said = serde_json::to_string(&asked).map_err(|e| visit.refused(Error::broken(e)))?;
    let filter = Filter {
        since: time(&asked.since).map_err(|e| visit.refused(e))?,
        until: time(&asked.until).map_err(|e| visit.refused(e))?,
        actor: asked.actor,
        subject: asked.subject,
        action: asked.action,
        decision: asked.decision,
        kind: asked.kind,
        trace: asked.trace,
        before: asked.before,
        limit: asked.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, verbs::rows::MAX_LIMIT),
    };
    let entries = visit
        .read(|context, caller| {
            let (filter, said) = (filter.clone(), said.clone());
            async move { verbs::search(&context, &caller, filter, said).await }
        })
        .await?;
    let next = entries.last().filter(|_| entries.len() == filter.limit as usize).map(|last| last.seq);
    let entries = entries.into_iter().map(|entry| record(entry, None));
    let entries = entries.collect::<Result<_, _>>().map_err(|e| visit.refused(e))?;
    Ok(Json(EntryList { entries, next }))
}

/// One entry. That it was read is on record.
#[utoipa::path(get, path = "/v1/ledger/entries/{seq}", tag = "ledger", params(("seq" = u64, Path)), responses((status = 200, body = EntryRecord), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn show(visit: Visit, Part(seq): Part<String>) -> Result<Json<EntryRecord>, Refused> {
    let seq = number(&visit, &seq)?;
    let (entry, redacted_by) = visit
        .read(|context, caller| async move {
            let entry = verbs::entry(&context, &caller, seq).await?;
            let redacted_by = match &entry.body {
                Some(_) => None,
                None => context.store.read(|reader| verbs::rows::redaction(reader, seq))?,
            };
            Ok((entry, redacted_by))
        })
        .await?;
    Ok(Json(record(entry, redacted_by).map_err(|e| visit.refused(e))?))
}

/// Erases body and salt of an entry, for good. The entry still stands in the tree, and every proof holds. Why, and by whom, is on record.
#[utoipa::path(post, path = "/v1/ledger/entries/{seq}/redact", tag = "ledger", params(("seq" = u64, Path)), request_body = Reason, responses((status = 200, body = RedactionRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn redact(
    visit: Visit,
    Part(seq): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<RedactionRecord>, Refused> {
    let seq = number(&visit, &seq)?;
    let redacted = visit
        .change(|context, caller| {
            let why = why.reason.clone();
            async move { verbs::redact(&context, &caller, seq, &why).await }
        })
        .await?;
    Ok(Json(RedactionRecord {
        entry: redacted.entry,
        redacted_by: redacted.by,
        at: redacted.at.to_string(),
        folded: redacted.folded,
    }))
}

/// How long what entries say is kept, by kind, and how many would be erased now. Nothing is.
#[utoipa::path(get, path = "/v1/ledger/retention", tag = "ledger", responses((status = 200, body = RetentionReport), (status = 403, body = Problem)))]
pub(crate) async fn retention(visit: Visit) -> Result<Json<RetentionReport>, Refused> {
    let kinds = visit
        .read(|context, caller| {
            let retention = visit.node().runner.retention.clone();
            async move { verbs::retention::look(&context, &caller, &retention).await }
        })
        .await?;
    let kinds = kinds.into_iter().map(|kind| RetentionKind {
        kind: kind.kind.to_owned(),
        keep_days: kind.days,
        whole: kind.whole,
        due: kind.due,
        needed: kind.needed,
        erased: kind.erased,
    });
    Ok(Json(RetentionReport { kinds: kinds.collect() }))
}

fn number(visit: &Visit, text: &str) -> Result<u64, Refused> {
    text.parse().map_err(|_| visit.refused(Error::invalid("an entry is named by its number, counted from 0")))
}

/// One entry with body, salt and the proof that it is in the ledger: all that a stranger needs. That it was read is on record.
#[utoipa::path(get, path = "/v1/ledger/entries/{seq}/proof", tag = "ledger", params(("seq" = u64, Path)), responses((status = 200, body = InclusionProof), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn proof(visit: Visit, Part(seq): Part<String>) -> Result<Json<InclusionProof>, Refused> {
    let seq = number(&visit, &seq)?;
    let proof = visit.read(|context, caller| async move { verbs::proof(&context, &caller, seq).await }).await?;
    let written = |bytes| text(bytes).map_err(|e| visit.refused(e));
    Ok(Json(InclusionProof {
        seq,
        proof: proof.text,
        leaf: written(proof.entry.leaf)?,
        salt: proof.entry.salt.as_deref().map(hex),
        body: proof.entry.body.map(written).transpose()?,
        vkey: visit.node().context.store.head_key().to_string(),
    }))
}

/// All entries, or a view of them, as JSON Lines or CSV, streamed. That it was read is on record.
#[utoipa::path(get, path = "/v1/ledger/export", tag = "ledger", params(ExportQuery), responses((status = 200, description = "JSON Lines or CSV, as asked", content((String = "application/jsonl"), (String = "text/csv"))), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn export(visit: Visit, Asked(asked): Asked<ExportQuery>) -> Result<Response, Refused> {
    let (format, kind) = match asked.format.as_str() {
        "jsonl" => (Format::JsonLines, "application/jsonl"),
        "csv" => (Format::Csv, "text/csv; charset=utf-8"),
        _ => return Err(visit.refused(Error::invalid("`format` is `jsonl` or `csv`"))),
    };
    let place = std::sync::Arc::clone(&visit.node().exports).try_acquire_owned().map_err(|_| {
        let message = "other exports are being written; come back when one has ended";
        visit.refused(Error::new(Kind::Unavailable, code::BUSY, message))
    })?;
    let export = visit
        .read(|context, caller| {
            let view = asked.view.clone();
            async move { verbs::export(&context, &caller, view.as_deref(), format).await }
        })
        .await?;
    let context = std::sync::Arc::clone(&visit.node().context);
    let (lines, sent) = mpsc::channel::<Result<Bytes, std::io::Error>>(EXPORT_WAITING);
    tokio::task::spawn_blocking(move || {
        // Held until the last line is taken, or nobody listens any more.
        let _place = place;
        let written = export.write(&context, |line| lines.blocking_send(Ok(line.into())).is_ok());
        if let Err(error) = written {
            tracing::error!(%error, "an export was cut off");
            // The stream ends in an error, so that half an export is not taken for a whole one.
            let _ = lines.blocking_send(Err(std::io::Error::other("the export was cut off")));
        }
    });
    Ok(([(header::CONTENT_TYPE, kind)], Stream::from_stream(ReceiverStream::new(sent))).into_response())
}
