//! Labels, namespaces, and the full names of agents (REG-1).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::text::{NameError, normalise, visible};

/// The longest label in bytes, in the form that goes to DNS.
const MAX_LABEL_BYTES: usize = 63;

/// The longest namespace in bytes, which leaves room for one label in a DNS name of 253.
const MAX_NAMESPACE_BYTES: usize = 189;

/// Labels that nobody may take: the product uses them for itself.
const RESERVED: [&str; 6] = ["localhost", "node", "self", "steward", "system", "www"];

/// One part of a name, in the form that goes to DNS: lower-case letters, digits and inner hyphens.
///
/// Letters outside ASCII are carried as IDNA A-labels (`xn--…`), made by UTS 46.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The label as it is stored and compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse_any(text: &str) -> Result<Self, NameError> {
        let form = || NameError::Form {
            text: visible(text),
            what: "a label: letters, digits and inner hyphens, at most 63, such as `billing-agent`",
        };
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        // An A-label is decoded first, so that its letters meet the same rules as if they had been written plainly.
        let written = if text.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("xn--")) {
            let (unicode, result) = idna::domain_to_unicode(text);
            result.map_err(|_| form())?;
            unicode
        } else {
            text.to_owned()
        };
        let normal = normalise(&written)?;
        if normal.contains(['.', '_', ':', '/']) {
            return Err(form());
        }
        // IDNA's own refusal of a label that is too long does not say so.
        let ascii =
            if normal.is_ascii() { normal } else { idna::domain_to_ascii_strict(&normal).map_err(|_| form())? };
        if ascii.len() > MAX_LABEL_BYTES {
            return Err(NameError::TooLong(visible(text)));
        }
        let well_formed = ascii.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !ascii.starts_with('-')
            && !ascii.ends_with('-');
        if well_formed { Ok(Self(ascii)) } else { Err(form()) }
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let label = Self::parse_any(text)?;
        if RESERVED.contains(&label.as_str()) { Err(NameError::Reserved(label.0)) } else { Ok(label) }
    }
}

/// The namespace that a node is the authority for: one or more labels, the parent to the right (`acme.internal`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

impl Namespace {
    /// The namespace as it is stored and compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > crate::text::MAX_IDENTIFIER_BYTES {
            return Err(NameError::TooLong(visible(text)));
        }
        let labels = text.split('.').map(|l| Label::parse_any(l).map(|l| l.0)).collect::<Result<Vec<_>, _>>()?;
        let joined = labels.join(".");
        if joined.len() > MAX_NAMESPACE_BYTES {
            return Err(NameError::TooLong(visible(text)));
        }
        Ok(Self(joined))
    }
}

/// The full name of an agent: a label within a namespace (`scribe.acme.internal`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name {
    label: Label,
    namespace: Namespace,
}

impl Name {
    /// The name of `label` in `namespace`.
    pub fn new(label: Label, namespace: Namespace) -> Self {
        Self { label, namespace }
    }

    /// Reads a full name, or a short one (without a dot) as a name of `home`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn resolve(text: &str, home: &Namespace) -> Result<Self, NameError> {
        if text.contains('.') { text.parse() } else { Ok(Self::new(text.parse()?, home.clone())) }
    }

    /// The first label.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The namespace that the name belongs to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('.') {
            Some((label, namespace)) => Ok(Self::new(label.parse()?, namespace.parse()?)),
            None if text.is_empty() => Err(NameError::Empty),
            None => Err(NameError::Form {
                text: visible(text),
                what: "a full name: a label and a namespace, such as `scribe.acme.internal`",
            }),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.label, self.namespace)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

macro_rules! text_of {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
    )*};
}
text_of!(Label, Namespace);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Label, Name, NameError, Namespace};

    #[test]
    fn names_are_normalised() {
        for (written, name) in [
            ("scribe.acme.internal", "scribe.acme.internal"),
            ("Scribe.ACME.Internal", "scribe.acme.internal"),
            ("größe.acme.internal", "xn--gre-6ka8i.acme.internal"),
            ("xn--gre-6ka8i.acme.internal", "xn--gre-6ka8i.acme.internal"),
            ("orchestrator.vibe-agency.com.steward-registry.org", "orchestrator.vibe-agency.com.steward-registry.org"),
        ] {
            assert_eq!(written.parse::<Name>().map(|n| n.to_string()).as_deref(), Ok(name), "{written}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for written in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a.b",
            "a-.b",
            "a b.c",
            "a_b.c",
            "a/b.c",
            "ѕсоре.acme",
            "xn--a.acme",
            "scr\u{200b}ibe.acme",
            "steward.acme",
            "a.*",
        ] {
            assert!(written.parse::<Name>().is_err(), "{written:?}");
        }
        assert!(matches!(format!("{}.b", "a".repeat(64)).parse::<Name>(), Err(NameError::TooLong(_))));
        assert!(matches!("system".parse::<Label>(), Err(NameError::Reserved(_))));
    }

    #[test]
    fn short_names_resolve_at_home() {
        let home: Namespace = "acme.internal".parse().expect("valid");
        assert_eq!(Name::resolve("scribe", &home).expect("valid").to_string(), "scribe.acme.internal");
        assert_eq!(Name::resolve("scribe.other.internal", &home).expect("valid").to_string(), "scribe.other.internal");
    }

    proptest! {
        #[test]
        fn a_name_survives_its_text(text in "[a-zA-Z0-9.äé-]{1,40}") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.to_string().parse::<Name>(), Ok(name));
            }
        }
    }
}
