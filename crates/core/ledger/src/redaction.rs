//! What the entry that records an erasure says of the entry that was erased (LED-5).
//!
//! Body and salt are gone; the leaf stands, and with it every proof. What is left beside the leaf (ids and words, nothing that people or
//! agents wrote) is restated here, so that an audit can hold the columns against something. The rows that only the erased entry vouched
//! for are restated in `rows` of the same body.
//!
//! A person erases one entry (`ledger.redacted`); what is older than it is kept is erased many at a time (`ledger.swept`), and stands in a list.
//!
//! Deliberately absent: why, and by whom. The body says that as every body does.

use serde_json::{Map, Value};

use crate::{
    body::{Body, Columns},
    kind,
};

/// What is left of an entry whose body was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// The entry that was erased.
    pub entry: u64,
    /// The namespace that it happened in.
    pub namespace: String,
    /// The decision's action: `fs.write`.
    pub action: Option<String>,
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// The decision's id: `act_…`.
    pub decision_id: Option<String>,
    /// The trace.
    pub trace: Option<String>,
}

impl Redaction {
    /// Writes it into the detail of the body that records it.
    pub fn write(&self, detail: &mut Map<String, Value>) {
        detail.insert("entry".to_owned(), self.entry.to_string().into());
        detail.insert("left".to_owned(), self.left().into());
    }

    /// Writes many into the detail of the body that records them.
    pub fn write_all(all: &[Self], detail: &mut Map<String, Value>) {
        let list = all.iter().map(|one| {
            let mut said = Map::new();
            one.write(&mut said);
            Value::Object(said)
        });
        detail.insert("erased".to_owned(), Value::Array(list.collect()));
    }

    fn left(&self) -> Map<String, Value> {
        let mut left = Map::new();
        left.insert("namespace".to_owned(), self.namespace.as_str().into());
        let optional = [
            ("action", &self.action),
            ("decision", &self.decision),
            ("decision_id", &self.decision_id),
            ("trace", &self.trace),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                left.insert(name.to_owned(), value.as_str().into());
            }
        }
        left
    }

    /// Those that the body of an entry of such a kind records. None for any other.
    pub fn all(kind: &str, body: &Body) -> Vec<Self> {
        match kind {
            kind::LEDGER_REDACTED => Self::read(&body.detail).into_iter().collect(),
            kind::LEDGER_SWEPT => {
                let list = body.detail.get("erased").and_then(Value::as_array);
                list.into_iter().flatten().filter_map(|one| Self::read(one.as_object()?)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn read(detail: &Map<String, Value>) -> Option<Self> {
        let left = detail.get("left")?.as_object()?;
        let word = |name: &str| left.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            entry: detail.get("entry")?.as_str()?.parse().ok()?,
            namespace: word("namespace")?,
            action: word("action"),
            decision: word("decision"),
            decision_id: word("decision_id"),
            trace: word("trace"),
        })
    }

    /// The columns as they are to be, beside what the leaf says.
    pub(crate) fn columns<'a>(&'a self, leaf: &Columns<'a>) -> Columns<'a> {
        Columns {
            time: leaf.time,
            kind: leaf.kind,
            namespace: &self.namespace,
            actor: "",
            subject: "",
            action: self.action.as_deref(),
            decision: self.decision.as_deref(),
            decision_id: self.decision_id.as_deref(),
            trace: self.trace.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Redaction;
    use crate::{body::Body, kind};

    #[test]
    fn what_is_written_is_read() {
        let whole = Redaction {
            entry: 7,
            namespace: "acme.internal".to_owned(),
            action: Some("fs.write".to_owned()),
            decision: Some("allow".to_owned()),
            decision_id: Some("act_1".to_owned()),
            trace: Some("trc_1".to_owned()),
        };
        let bare = Redaction { action: None, decision: None, decision_id: None, trace: None, ..whole.clone() };
        for redaction in [whole.clone(), bare.clone()] {
            let mut body = Body::by_node("acme.internal", "entry 7");
            assert_eq!(Redaction::all(kind::LEDGER_REDACTED, &body), []);
            redaction.write(&mut body.detail);
            let body = Body::decode(&body.encode().expect("it encodes")).expect("a body");
            assert_eq!(Redaction::all(kind::LEDGER_REDACTED, &body), [redaction]);
            assert_eq!(Redaction::all(kind::NODE_STARTED, &body), [], "others cannot say so");
        }
        let both = [whole, Redaction { entry: 8, ..bare }];
        let mut body = Body::by_node("acme.internal", "2 entries");
        assert_eq!(Redaction::all(kind::LEDGER_SWEPT, &body), []);
        Redaction::write_all(&both, &mut body.detail);
        let body = Body::decode(&body.encode().expect("it encodes")).expect("a body");
        assert_eq!(Redaction::all(kind::LEDGER_SWEPT, &body), both);
    }
}
