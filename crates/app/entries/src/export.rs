//! Exporting the ledger, or a view of it, as JSON Lines or CSV.

use serde_json::{Map, Value, json};
use steward_app_node::{Caller, Context, Error};
use steward_ledger::kind;
use steward_permit::ResourceKind;
use steward_store::{EntryRow, StoreError};

use crate::rows::{self, VIEWS};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// RFC 4180, with a header. A cell that a spreadsheet would run as a formula is written with a leading `'`.
    Csv,
}

/// An export that was permitted and recorded.
#[derive(Debug, Clone, Copy)]
pub struct Export {
    view: Option<&'static str>,
    format: Format,
}

/// The columns of an exported entry.
const ENTRY: [&str; 11] =
    ["seq", "time", "kind", "namespace", "actor", "subject", "action", "decision", "decision_id", "trace", "body"];

/// Asks for an export. What it says is read by [`Export::write`].
///
/// # Errors
/// It is not allowed, or there is no such view.
pub async fn export(context: &Context, caller: &Caller, view: Option<&str>, format: Format) -> Result<Export, Error> {
    let view = match view {
        None => None,
        Some(name) => Some(*VIEWS.iter().find(|known| **known == name).ok_or_else(|| {
            let name = steward_naming::visible(name);
            Error::invalid(format!("there is no view `{name}`; there are {}", VIEWS.join(", ")))
        })?),
    };
    let action = context.action("ledger.export", ResourceKind::Ledger, context.namespace.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let change = context
        .change(caller, granted, kind::LEDGER_READ, context.namespace.as_str())
        .detail("export", view.unwrap_or("entries"));
    context.commit(change).await?;
    Ok(Export { view, format })
}

impl Export {
    /// Writes all of it, line by line, until `write` says that nobody listens.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn write(&self, context: &Context, mut write: impl FnMut(String) -> bool) -> Result<(), StoreError> {
        let format = self.format;
        context.store.read(|reader| match self.view {
            None => {
                if format == Format::Csv && !write(line(&ENTRY.map(str::to_owned))) {
                    return Ok(());
                }
                rows::each_entry(reader, |entry| write(written(format, &ENTRY.map(str::to_owned), record(&entry))))
            }
            Some(view) => {
                let mut header = format == Format::Csv;
                let columns = rows::each_row(reader, view, |columns, row| {
                    (!std::mem::take(&mut header) || write(line(columns))) && write(written(format, columns, row))
                })?;
                if header {
                    write(line(&columns));
                }
                Ok(())
            }
        })
    }
}

fn record(entry: &EntryRow) -> Map<String, Value> {
    let body = entry.body.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Value::Null);
    let value = json!({
        "seq": entry.seq, "time": entry.time.to_string(), "kind": entry.kind, "namespace": entry.namespace,
        "actor": entry.actor, "subject": entry.subject, "action": entry.action, "decision": entry.decision,
        "decision_id": entry.decision_id, "trace": entry.trace, "body": body,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn written(format: Format, columns: &[String], row: Map<String, Value>) -> String {
    match format {
        Format::JsonLines => format!("{}\n", Value::Object(row)),
        Format::Csv => {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| match row.get(column) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                })
                .collect();
            line(&cells)
        }
    }
}

/// A line of CSV.
fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| {
            let cell =
                if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.clone() };
            if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
        })
        .collect();
    format!("{}\r\n", cells.join(","))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn cells_are_quoted_and_run_nothing() {
        let cells = ["a", "b,c", "say \"x\"", "=1+1", "-2", "@x", "two\nlines", ""].map(str::to_owned);
        assert_eq!(line(&cells), "a,\"b,c\",\"say \"\"x\"\"\",'=1+1,'-2,'@x,\"two\nlines\",\r\n");
    }
}
