//! What would differ under another policy: the last decisions on record are asked again.
//!
//! ```text
//! diff(&context, &caller, Candidate { policies, whole: true }, 1_000).await?
//!     the candidate compiles ─► that the record is read is recorded ─► each decision, asked again ─► those that would differ
//! ```
//!
//! Deliberately absent: putting it in force. That is done by changing the files.

use std::collections::BTreeMap;

use steward_app_node::{Caller, Context, Error, Problem};
use steward_clock::Timestamp;
use steward_ledger::{Body, BodyActor, BodyDecision, Verdict, kind};
use steward_permit::{DenialCode, Matched, ResourceKind};
use steward_policy::{Engine, Source, Sources};
use steward_seal::Digest;
use steward_store::EntryRow;

use crate::{
    asked::{Unasked, again},
    load::{compile, may_ask},
    rows,
};

/// The most decisions that are asked again at once: each takes some hundredths of a millisecond, and an entry in memory.
pub const MAX_COMPARED: u32 = 10_000;

/// A policy that is thought about.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its files.
    pub policies: Vec<Source>,
    /// Whether they are all that there is. Else each takes the place of the file of its name in the policy in force, or stands beside.
    pub whole: bool,
}

/// What would differ.
#[derive(Debug, Clone)]
pub struct Diff {
    /// The candidate's version.
    pub version: Digest,
    /// The version in force.
    pub in_force: Digest,
    /// How many policies the candidate has.
    pub policies: usize,
    /// The files of the policy in force that it replaces.
    pub replaced: Vec<String>,
    /// The files that it adds.
    pub added: Vec<String>,
    /// The oldest and the newest entry that was looked at.
    pub entries: Option<(u64, u64)>,
    /// Decisions that were asked again and come out the same.
    pub same: u64,
    /// Decisions that could not be asked again, by the reason; and the newest of them.
    pub not_asked: BTreeMap<Unasked, (u64, u64)>,
    /// Refusals of that time that were counted, and are not on record one by one.
    pub counted: u64,
    /// Those that come out otherwise, newest first.
    pub differences: Vec<Difference>,
}

/// A decision that would come out otherwise.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Its entry.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// Who asked.
    pub actor: BodyActor,
    /// What was asked, and how it came out.
    pub was: BodyDecision,
    /// How it would.
    pub would_be: WouldBe,
}

/// How a decision would come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldBe {
    /// Whether it would be allowed.
    pub allowed: bool,
    /// Why not.
    pub code: Option<DenialCode>,
    /// The policies that would make it.
    pub policies: Vec<Matched>,
    /// Messages of those that could not be evaluated.
    pub errors: Vec<String>,
}

/// A decision on record, asked again. None if it comes out the same.
///
/// # Errors
/// It cannot be asked again.
pub fn asked_again(engine: &Engine, body: &Body) -> Result<Option<WouldBe>, Unasked> {
    let question = again(body)?;
    let was = body.decision.as_ref().is_some_and(|decision| decision.outcome == Verdict::Allow);
    let verdict = engine.weigh(&question);
    let steward_policy::Verdict { allowed, code, policies, errors, .. } = verdict;
    Ok((allowed != was).then_some(WouldBe { allowed, code, policies, errors }))
}

/// The last decisions on record, asked again under a candidate. That they were read is recorded.
///
/// # Errors
/// It is not allowed, or the candidate has mistakes (all of them are said).
pub async fn diff(context: &Context, caller: &Caller, candidate: Candidate, last: u32) -> Result<Diff, Error> {
    may_ask(context, caller).await?;
    if !(1..=MAX_COMPARED).contains(&last) {
        return Err(Error::invalid(format!("from 1 to {MAX_COMPARED} decisions are asked again at once")));
    }
    let in_force = context.policy();
    let (sources, replaced, added) = join(&in_force.sources, candidate);
    let engine = compile(&sources, &context.namespace, context.dice.as_ref()).map_err(|mistakes| {
        let problem = |mistake: &steward_policy::Mistake| Problem {
            at: format!("{}:{}:{}", mistake.file, mistake.line, mistake.column),
            message: mistake
                .help
                .as_ref()
                .map_or_else(|| mistake.message.clone(), |help| format!("{}; {help}", mistake.message)),
        };
        Error::problems(mistakes.iter().map(problem).collect())
    })?;
    let action = context.action("ledger.read", ResourceKind::Ledger, context.namespace.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let change = context
        .change(caller, granted, kind::LEDGER_READ, context.namespace.as_str())
        .detail("policy_diff", engine.version().to_string())
        .detail("decisions", last);
    let read = context.commit(change).await?.recorded.seq;
    let (version, policies) = (engine.version(), engine.listed().len());
    let namespace = context.namespace.clone();
    let scanned = context.store.scan(move |reader| {
        let entries = rows::last_decisions(reader, &namespace, read, last)?;
        let mut diff = Diff {
            version,
            in_force: in_force.engine.version(),
            policies,
            replaced,
            added,
            entries: entries.last().zip(entries.first()).map(|(oldest, newest)| (oldest.seq, newest.seq)),
            same: 0,
            not_asked: BTreeMap::new(),
            counted: 0,
            differences: Vec::new(),
        };
        for entry in &entries {
            diff.look_at(&engine, entry)?;
        }
        if let Some((oldest, _)) = diff.entries {
            diff.counted = rows::counted_since(reader, &namespace, oldest)?;
        }
        Ok::<_, Error>(diff)
    });
    scanned.await
}

impl Diff {
    fn look_at(&mut self, engine: &Engine, entry: &EntryRow) -> Result<(), Error> {
        let body = entry.read_body()?;
        let asked = body.as_ref().ok_or(Unasked::Erased).and_then(|body| asked_again(engine, body));
        match (asked, body) {
            (Ok(Some(would_be)), Some(Body { actor, decision: Some(was), .. })) => {
                self.differences.push(Difference { seq: entry.seq, time: entry.time, actor, was, would_be });
            }
            (Ok(_), _) => self.same += 1,
            (Err(why), _) => {
                let (count, _) = self.not_asked.entry(why).or_insert((0, entry.seq));
                *count += 1;
            }
        }
        Ok(())
    }
}

/// The candidate's files, and which of those in force they replace, and which they add.
fn join(in_force: &Sources, candidate: Candidate) -> (Sources, Vec<String>, Vec<String>) {
    let Candidate { policies, whole } = candidate;
    // The words are the program's, as of the files in the home.
    let mut sources = Sources {
        schema: Sources::shipped().schema,
        policies: if whole { Vec::new() } else { in_force.policies.clone() },
    };
    let (mut replaced, mut added) = (Vec::new(), Vec::new());
    for file in policies {
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let alike: Vec<usize> =
            (0..sources.policies.len()).filter(|i| last(&sources.policies[*i].name) == last(&file.name)).collect();
        let exact = sources.policies.iter().position(|known| known.name == file.name);
        // By its whole name, or by its last part where only one has that: `T1.cedar` is `tiers/T1.cedar`.
        let only = if whole { None } else { alike.first().copied().filter(|_| alike.len() == 1) };
        match exact.or(only) {
            Some(at) => {
                replaced.push(sources.policies[at].name.clone());
                sources.policies[at].text = file.text;
            }
            None => {
                added.push(file.name.clone());
                sources.policies.push(file);
            }
        }
    }
    if whole {
        replaced = in_force.policies.iter().map(|source| source.name.clone()).collect();
        added.retain(|name| !replaced.contains(name));
    }
    (sources, replaced, added)
}

#[cfg(test)]
mod tests {
    use steward_policy::{Source, Sources};

    use super::{Candidate, join};

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_takes_the_place_of_the_one_of_its_name_or_stands_beside() {
        let policies = vec![
            source("a.cedar", "1"),
            source("tiers/T1.cedar", "2"),
            source("x/b.cedar", "3"),
            source("y/b.cedar", "4"),
        ];
        let in_force = Sources { schema: source("s", ""), policies };
        let given = vec![
            source("T1.cedar", "new"),
            source("b.cedar", "which"),
            source("x/b.cedar", "that"),
            source("c.cedar", "more"),
        ];
        let (sources, replaced, added) = join(&in_force, Candidate { policies: given.clone(), whole: false });
        let told: Vec<(&str, &str)> = sources.policies.iter().map(|s| (s.name.as_str(), s.text.as_str())).collect();
        let expected = [
            ("a.cedar", "1"),
            ("tiers/T1.cedar", "new"),
            ("x/b.cedar", "that"),
            ("y/b.cedar", "4"),
            ("b.cedar", "which"),
            ("c.cedar", "more"),
        ];
        assert_eq!(told, expected);
        assert_eq!(
            (replaced, added),
            (
                vec!["tiers/T1.cedar".to_owned(), "x/b.cedar".to_owned()],
                vec!["b.cedar".to_owned(), "c.cedar".to_owned()]
            )
        );
        let (sources, replaced, added) = join(&in_force, Candidate { policies: given.clone(), whole: true });
        assert_eq!(sources.policies, given);
        assert_eq!((replaced.len(), added), (4, ["T1.cedar", "b.cedar", "c.cedar"].map(str::to_owned).to_vec()));
    }
}
