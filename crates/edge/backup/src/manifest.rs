//! What a backup says of itself: the signed manifest, and the list of its files.

use serde::{Deserialize, Serialize};
use steward_naming::Namespace;
use steward_seal::Digest;

/// The format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// The type of the signed manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.steward.backup.v1+json";

/// Keys and secrets, sealed by a passphrase.
pub(crate) const SEALED: &str = "sealed.json";

/// Keys and secrets, sealed to somebody's public key.
pub(crate) const SEALED_TO_KEYS: &str = "sealed.age";

/// What a backup is of, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// The program that made it: `steward 0.1.0`.
    pub program: String,
    /// When it was begun: RFC 3339.
    pub taken_at: String,
    /// The namespace of the node.
    pub namespace: Namespace,
    /// The origin of its ledger.
    pub origin: String,
    /// The signed tree head of the copied store.
    pub head: String,
    /// The verifier key of the tree heads.
    pub vkey: String,
    /// The document key that signed this, as SPKI in PEM. It vouches for nothing by itself.
    pub document_key: String,
    /// The list of the files.
    pub files: Listing,
    /// Keys and secrets, if they are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedPart>,
    /// What of the home is not in it, and why.
    pub left_out: Vec<LeftOut>,
}

/// The list of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// The digest of `files.jsonl`.
    pub digest: Digest,
    /// How many files, folders and links.
    pub count: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// Keys and secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPart {
    /// The digest of `sealed.json`, or of `sealed.age`.
    pub digest: Digest,
    /// The files that are sealed in it, by their path in the home.
    pub names: Vec<String>,
    /// To whom they are sealed, in `sealed.age`: age recipients. None: by a passphrase, in `sealed.json`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

impl SealedPart {
    /// The file of the backup that they are sealed in.
    pub(crate) fn file(&self) -> &'static str {
        if self.recipients.is_empty() { SEALED } else { SEALED_TO_KEYS }
    }
}

/// Something of the home that is not in the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its path in the home.
    pub path: String,
    /// Why.
    pub why: String,
}

/// A file, a folder or a link of a home: a line of `files.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    /// Its path in the home, with `/` between its parts.
    pub(crate) path: String,
    /// Who may do what with it, in the nine bits of `chmod`. Nothing of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<u32>,
    /// Of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<Content>,
    /// Of a link: what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

#[cfg(test)]
mod tests {
    use steward_seal::{Digest, json};

    use super::{Content, FileRecord, LeftOut, Listing, Manifest, SealedPart};

    /// Frozen: backups of every age are read with this.
    #[test]
    fn golden_forms() {
        let digest = Digest::of(b"");
        let manifest = Manifest {
            version: 1,
            program: "steward 0.1.0".into(),
            taken_at: "2026-11-20T20:14:27.123Z".into(),
            namespace: "acme.internal".parse().unwrap(),
            origin: "acme.internal/ledger/x".into(),
            head: "note\n".into(),
            vkey: "key".into(),
            document_key: "pem".into(),
            files: Listing { digest, count: 2, bytes: 3 },
            sealed: Some(SealedPart { digest, names: vec!["keys/document.pem".into()], recipients: Vec::new() }),
            left_out: vec![LeftOut { path: "logs".into(), why: "no facts".into() }],
        };
        let d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let written = format!(
            concat!(
                r#"{{"document_key":"pem","files":{{"bytes":3,"count":2,"digest":"{d}"}},"head":"note\n","#,
                r#""left_out":[{{"path":"logs","why":"no facts"}}],"namespace":"acme.internal","#,
                r#""origin":"acme.internal/ledger/x","program":"steward 0.1.0","#,
                r#""sealed":{{"digest":"{d}","names":["keys/document.pem"]}},"taken_at":"2026-11-20T20:14:27.123Z","#,
                r#""version":1,"vkey":"key"}}"#
            ),
            d = d
        );
        assert_eq!(String::from_utf8(json::canonical(&manifest).unwrap()).unwrap(), written);
        let part = SealedPart { digest, names: Vec::new(), recipients: vec!["age1x".into()] };
        assert_eq!(
            String::from_utf8(json::canonical(&part).unwrap()).unwrap(),
            format!(r#"{{"digest":"{d}","names":[],"recipients":["age1x"]}}"#)
        );
        let limits = json::Limits { bytes: 1 << 20, depth: 8 };
        assert_eq!(json::read::<Manifest>(written.as_bytes(), limits).unwrap(), manifest);
        for (file, text) in [
            (
                FileRecord {
                    path: "a".into(),
                    mode: Some(0o644),
                    content: Some(Content { digest, bytes: 0 }),
                    target: None,
                },
                format!(r#"{{"content":{{"bytes":0,"digest":"{d}"}},"mode":420,"path":"a"}}"#),
            ),
            (
                FileRecord { path: "b".into(), mode: Some(0o700), content: None, target: None },
                r#"{"mode":448,"path":"b"}"#.into(),
            ),
            (
                FileRecord { path: "c".into(), mode: None, content: None, target: Some("a".into()) },
                r#"{"path":"c","target":"a"}"#.into(),
            ),
        ] {
            assert_eq!(String::from_utf8(json::canonical(&file).unwrap()).unwrap(), text);
            assert_eq!(json::read::<FileRecord>(text.as_bytes(), limits).unwrap(), file);
        }
    }
}
