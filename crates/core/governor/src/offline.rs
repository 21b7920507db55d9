//! The offline planner: what an agent does without any model. The same packet and the same knowledge give the same plan and the same
//! documents, and each says what made it (GOV-11).
//!
//! ```
//! use steward_governor::offline::{Known, OfflinePlanner};
//! let planner = OfflinePlanner { objective: "Say what is known.", paths: &["/reports/a.md"], wanted: &[], known: &[] };
//! assert_eq!(planner.steps()[0].path, "/reports/a.md");
//! assert!(planner.document("/reports/a.md").contains("without a model"));
//! ```
//!
//! It writes each file that the packet asks for, from the objective, what the criteria look for, and what is known: the lines of the
//! knowledge that share a word with the objective, with their files.
//!
//! Deliberately absent: judging whether that is any good. That is what criteria and people are for.

use std::collections::BTreeSet;

/// What a report says of it.
pub const OFFLINE: &str = "offline planner: deterministic, from packet, tools and knowledge; no model was asked";

/// The argument by which the program is told to be it.
pub const OFFLINE_AGENT: &str = "offline-agent";

/// The most lines of knowledge that a document quotes: a page.
const MAX_QUOTED: usize = 60;

/// The shortest word that tells something, in characters.
const MIN_WORD_CHARS: usize = 4;

/// Something that is known: a text file of the agent's own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where it stands.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A step: a file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineStep {
    /// In words.
    pub step: String,
    /// The file.
    pub path: String,
}

/// What it plans from.
#[derive(Debug, Clone, Copy)]
pub struct OfflinePlanner<'a> {
    /// The packet's objective.
    pub objective: &'a str,
    /// The files that are asked for: deliverables, and what required steps leave.
    pub paths: &'a [&'a str],
    /// What criteria look for in a file.
    pub wanted: &'a [(&'a str, &'a str)],
    /// What is known.
    pub known: &'a [Known],
}

impl OfflinePlanner<'_> {
    /// One step for each file, in the order in which they are asked for.
    pub fn steps(&self) -> Vec<OfflineStep> {
        let mut seen = BTreeSet::new();
        let paths = self.paths.iter().filter(|path| seen.insert(**path));
        paths.map(|path| OfflineStep { step: format!("write {path}"), path: (*path).to_owned() }).collect()
    }

    /// What is to be written at a path.
    pub fn document(&self, path: &str) -> String {
        let title = self.objective.lines().next().unwrap_or_default().trim();
        let mut text = format!("# {title}\n\nWritten without a model, by the {OFFLINE}.\n");
        let rest: Vec<&str> = self.objective.lines().skip(1).filter(|line| !line.trim().is_empty()).collect();
        if !rest.is_empty() {
            text.push_str(&format!("\n{}\n", rest.join("\n")));
        }
        let quoted = self.quoted();
        if quoted.is_empty() {
            text.push_str("\nNothing is known that shares a word with the objective.\n");
        } else {
            text.push_str("\n## What is known\n");
        }
        let mut last = "";
        for (from, line) in quoted {
            if from != last {
                text.push_str(&format!("\nFrom `{from}`:\n\n"));
                last = from;
            }
            text.push_str(&format!("> {line}\n"));
        }
        for (_, wanted) in
            self.wanted.iter().filter(|(of, wanted)| *of == path && !text.contains(wanted)).collect::<Vec<_>>()
        {
            text.push_str(&format!("\n## {wanted}\n\nAsked for by a criterion; nothing is known about it.\n"));
        }
        text
    }

    /// The lines of the knowledge that share a word with the objective, in their order.
    fn quoted(&self) -> Vec<(&str, &str)> {
        let words = words(self.objective);
        let fits = |line: &&str| !line.trim().is_empty() && words_of(line).any(|word| words.contains(&word));
        let lines = self
            .known
            .iter()
            .flat_map(|known| known.text.lines().filter(fits).map(|line| (known.path.as_str(), line.trim())));
        lines.take(MAX_QUOTED).collect()
    }
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| word.chars().count() >= MIN_WORD_CHARS).map(str::to_lowercase)
}

fn words(text: &str) -> BTreeSet<String> {
    words_of(text).collect()
}

#[cfg(test)]
mod tests {
    use super::{Known, OfflinePlanner};

    #[test]
    fn it_writes_what_is_asked_for_from_what_is_known() {
        let known = [
            Known {
                path: "/knowledge/orders.md".into(),
                text: "# Shop\n\nOrders come by mail.\nThe sky is blue.\n".into(),
            },
            Known { path: "/knowledge/other.md".into(), text: "Nothing of that.\n".into() },
        ];
        let planner = OfflinePlanner {
            objective: "Say how ORDERS come in.\nKeep it short.",
            paths: &["/reports/a.md", "/reports/b.md", "/reports/a.md"],
            wanted: &[("/reports/a.md", "Risks"), ("/reports/b.md", "Costs")],
            known: &known,
        };
        let steps: Vec<_> = planner.steps().into_iter().map(|step| step.path).collect();
        assert_eq!(steps, ["/reports/a.md", "/reports/b.md"]);
        let document = planner.document("/reports/a.md");
        assert_eq!(document, planner.document("/reports/a.md"));
        for part in [
            "# Say how ORDERS come in.",
            "without a model",
            "Keep it short.",
            "From `/knowledge/orders.md`:",
            "> Orders come by mail.",
            "## Risks",
        ] {
            assert!(document.contains(part), "{part}: {document}");
        }
        for part in ["blue", "Nothing of that", "Costs"] {
            assert!(!document.contains(part), "{part}: {document}");
        }
    }

    #[test]
    fn it_says_when_it_knows_nothing() {
        let planner = OfflinePlanner { objective: "", paths: &[], wanted: &[], known: &[] };
        assert!(planner.steps().is_empty());
        assert!(planner.document("/a").contains("Nothing is known"));
    }
}
