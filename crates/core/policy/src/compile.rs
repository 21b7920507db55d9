//! From texts to an engine, or to every mistake in them.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{
    Policy, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;

use crate::{
    listed::{Effect, Listed},
    mistake::{Mistake, position},
    slice::SlicedSet,
    sources::{MAX_SOURCES_BYTES, Source, Sources},
    split::statements,
    vocabulary::Vocabulary,
};

/// Policies in force at once, in all files.
pub const MAX_POLICIES: usize = 10_000;

/// The characters that an `@id` may have.
const MAX_ID: usize = 128;

/// What an engine is made of.
pub(crate) struct Compiled {
    pub(crate) set: SlicedSet,
    pub(crate) listed: Vec<Listed>,
    pub(crate) vocabulary: Vocabulary,
}

/// A policy that Cedar can read, and where it stands.
struct Read<'a> {
    source: &'a Source,
    start: usize,
    policy: Policy,
}

/// Reads and validates everything.
pub(crate) fn compile(sources: &Sources) -> Result<Compiled, Vec<Mistake>> {
    let schema_source = &sources.schema;
    if sources.len() > MAX_SOURCES_BYTES {
        let message =
            format!("all policies together have {} bytes; at most {MAX_SOURCES_BYTES} are read", sources.len());
        return Err(vec![
            Mistake::at(&schema_source.name, "", 0, message).with_help("remove policies that nobody needs"),
        ]);
    }
    let mut mistakes = Vec::new();
    let schema = match Schema::from_cedarschema_str(&schema_source.text) {
        Ok((schema, warnings)) => {
            for warning in warnings {
                collect(&warning, schema_source, 0, &mut mistakes);
            }
            Some(schema)
        }
        Err(error) => {
            collect(&error, schema_source, 0, &mut mistakes);
            None
        }
    };
    let vocabulary = schema.as_ref().map(|schema| {
        let vocabulary = Vocabulary::new(schema);
        for (action, reason) in vocabulary.check(schema) {
            let offset = schema_source.text.find(&format!("\"{action}\"")).unwrap_or(0);
            let message = format!("the node does not speak of `{action}` in this way: {reason}");
            let help = "declare the entities and the context as the schema that ships does";
            mistakes.push(Mistake::at(&schema_source.name, &schema_source.text, offset, message).with_help(help));
        }
        vocabulary
    });

    let read = read(sources, &mut mistakes);
    let policies = name(&read, &mut mistakes);
    if let Some(schema) = schema {
        validate(schema, &read, &policies, &mut mistakes);
    }
    let listed = read.iter().zip(&policies).map(|(read, policy)| Listed {
        id: policy.id().to_string(),
        file: read.source.name.clone(),
        line: position(&read.source.text, read.start).0,
        effect: match policy.effect() {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        },
        description: policy.annotation("description").map(str::to_owned),
    });
    let listed = listed.collect();
    match (SlicedSet::new(policies), vocabulary) {
        (Some(set), Some(vocabulary)) if mistakes.is_empty() => Ok(Compiled { set, listed, vocabulary }),
        _ => {
            mistakes.sort();
            mistakes.dedup();
            Err(mistakes)
        }
    }
}

fn read<'a>(sources: &'a Sources, mistakes: &mut Vec<Mistake>) -> Vec<Read<'a>> {
    let mut names = HashSet::from([sources.schema.name.as_str()]);
    let mut found = Vec::new();
    for source in &sources.policies {
        if !names.insert(&source.name) {
            mistakes.push(Mistake::at(&source.name, "", 0, "two files have this name").with_help("rename one of them"));
        }
        for statement in statements(&source.text) {
            if found.len() >= MAX_POLICIES {
                let message = format!("there are more than {MAX_POLICIES} policies");
                mistakes.push(Mistake::at(&source.name, &source.text, statement.start, message));
                return found;
            }
            match Policy::parse(None, statement.text) {
                Ok(policy) => found.push(Read { source, start: statement.start, policy }),
                Err(errors) => errors.iter().for_each(|error| collect(error, source, statement.start, mistakes)),
            }
        }
    }
    found
}

/// Gives each policy the name that it has by its `@id`; one without a name of its own is called by its place.
fn name(read: &[Read<'_>], mistakes: &mut Vec<Mistake>) -> Vec<Policy> {
    let mut taken = HashMap::<&str, String>::new();
    let mut policies = Vec::with_capacity(read.len());
    for Read { source, start, policy } in read {
        let (line, column) = position(&source.text, *start);
        let place = format!("{}:{line}:{column}", source.name);
        let mut mistake = |message: String, help: &str| {
            mistakes.push(Mistake::at(&source.name, &source.text, *start, message).with_help(help));
        };
        let name = match policy.annotation("id") {
            None => {
                mistake("a policy without a name".to_owned(), "write `@id(\"file/what-it-does\")` before it");
                place
            }
            Some(id) if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|b| b.is_ascii_graphic()) => {
                let written = steward_naming::visible(id);
                mistake(
                    format!("`{written}` cannot be the name of a policy"),
                    "use 1 to 128 plain letters, digits and marks, without spaces",
                );
                place
            }
            Some(id) => match taken.get(id) {
                Some(first) => {
                    mistake(
                        format!("a second policy with the name `{id}`; the first is at {first}"),
                        "rename one of them",
                    );
                    place
                }
                None => {
                    taken.insert(id, place);
                    id.to_owned()
                }
            },
        };
        policies.push(policy.new_id(PolicyId::new(name)));
    }
    policies
}

fn validate(schema: Schema, read: &[Read<'_>], policies: &[Policy], mistakes: &mut Vec<Mistake>) {
    let by_id: HashMap<&PolicyId, &Read<'_>> = policies.iter().map(Policy::id).zip(read).collect();
    // A name that equals another's place would clash; ids with `:` and a number are somebody's joke, and say so.
    let Ok(set) = PolicySet::from_policies(policies.iter().cloned()) else {
        if let Some(read) = read.first() {
            let message = "a policy is named by another's file and line";
            mistakes.push(Mistake::at(&read.source.name, "", 0, message).with_help("rename it"));
        }
        return;
    };
    let validator = Validator::new(schema);
    let mut actions: Vec<&str> = validator.schema().actions().map(|a| a.id().unescaped()).collect();
    actions.sort_unstable();
    let result = validator.validate(&set, ValidationMode::Strict);
    // A warning is a policy that can never apply or that shows its reader something else than it says: a mistake here.
    // That a policy cannot apply often follows from another mistake in it; of what follows from what, the cause is shown.
    let mut unknown = HashSet::new();
    let mut by_policy = BTreeMap::<&PolicyId, Vec<(u8, &dyn Diagnostic)>>::new();
    for error in result.validation_errors() {
        match (error, by_id.get(error.policy_id())) {
            (ValidationError::UnrecognizedActionId(_), Some(read)) => {
                mistakes.push(unknown_action(error, read, &actions));
                // What follows from it is left out below.
                unknown.insert(error.policy_id());
            }
            _ => {
                let depth = u8::from(matches!(error, ValidationError::InvalidActionApplication(_)));
                by_policy.entry(error.policy_id()).or_default().push((depth, error));
            }
        }
    }
    for warning in result.validation_warnings() {
        let depth = match warning {
            ValidationWarning::InvalidActionApplication(_) => 1,
            ValidationWarning::ImpossiblePolicy(_) => 2,
            _ => 0,
        };
        by_policy.entry(warning.policy_id()).or_default().push((depth, warning));
    }
    for (id, diagnostics) in by_policy {
        let Some(read) = by_id.get(id) else { continue };
        let cause = if unknown.contains(id) { Some(0) } else { diagnostics.iter().map(|(depth, _)| *depth).min() };
        for (_, diagnostic) in diagnostics.into_iter().filter(|(depth, _)| Some(*depth) == cause) {
            collect(diagnostic, read.source, read.start, mistakes);
        }
    }
}

/// An action that the schema does not have, with the nearest one that it has: Cedar's own suggestion changes from one run to
/// the next.
fn unknown_action(error: &dyn Diagnostic, read: &Read<'_>, actions: &[&str]) -> Mistake {
    let mut found = Vec::new();
    collect(error, read.source, read.start, &mut found);
    let mistake = found.swap_remove(0);
    let message = mistake.message.clone();
    let written = message.split('"').nth(1).unwrap_or_default();
    let nearest = actions.iter().map(|a| (distance(written, a), a)).min();
    match nearest.filter(|(steps, _)| *steps <= (written.len() / 3).max(2)) {
        Some((_, action)) => mistake.with_help(format!("did you mean `Action::\"{action}\"`?")),
        None => mistake.with_help("the schema lists all actions"),
    }
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A diagnostic of Cedar's about a part of a file that starts at `start`, and those that it brings along.
fn collect(diagnostic: &dyn Diagnostic, source: &Source, start: usize, mistakes: &mut Vec<Mistake>) {
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    let offset = start + label.as_ref().map_or(0, miette::LabeledSpan::offset);
    let help = diagnostic.help().map(|h| h.to_string()).or_else(|| label.and_then(|l| l.label().map(str::to_owned)));
    let mistake = Mistake::at(&source.name, &source.text, offset, diagnostic.to_string());
    mistakes.push(match help {
        Some(help) => mistake.with_help(help),
        None => mistake,
    });
    for related in diagnostic.related().into_iter().flatten() {
        collect(related, source, start, mistakes);
    }
}
