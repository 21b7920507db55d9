//! `steward policy`. `check` and `test` ask no node.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Serialize;
use steward_naming::Namespace;
use steward_policy::{Engine, MAX_SOURCES_BYTES, Mistake, Source, Sources, Table};
use steward_wire::{ExplainPolicy, PolicyList, PolicyVerdict};

use crate::{
    failure::Failure,
    home::read_small,
    session::Session,
    show::{Ink, Looks, Word, facts_of, shown, shown_lines, table},
    verbs::policy_diff,
};

/// How deep folders of policies may lie in each other: as deep as a node reads them.
const MAX_FOLDERS: usize = 4;

/// The most files of policies that are read: as many as a node reads.
const MAX_FILES: usize = 1000;

/// What can be done about policy.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Check policy files, and show every mistake
    Check {
        /// A folder, or one file [default: policies in the node's home]
        path: Option<PathBuf>,
    },
    /// Ask what would be decided, and why. Nothing is done
    Explain {
        /// Who: agent:scribe, person:olivia
        actor: String,
        /// What: fs.write
        action: String,
        /// To what: file:/reports/a.md, host:example.com
        #[arg(value_name = "KIND:RESOURCE", value_parser = kind_and_resource)]
        resource: (String, String),
    },
    /// Compare a table of expected decisions with what the policies decide
    Test {
        /// The table, in TOML [default: the one that ships]
        table: Option<PathBuf>,
        /// The folder of policies [default: policies in the node's home, or those that ship if it has none]
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
        /// What short names in the table are names of
        #[arg(long, default_value = "acme.internal")]
        namespace: String,
    },
    /// Ask the last decisions again under another policy, and show those that would come out otherwise
    #[command(
        after_help = "A folder is a whole policy. A file takes the place of the file of its name in the policy in force, or stands \
                      beside it. Exit code 0: nothing would differ; 1: something would."
    )]
    Diff {
        /// A folder of policies, or one file
        path: PathBuf,
        /// Which decisions
        #[arg(long, value_name = "last:N", default_value = "last:1000", value_parser = policy_diff::against)]
        against: u32,
    },
    /// List the policies in force
    List,
}

/// The shape of `policy check --json`.
#[derive(Serialize)]
struct Checked {
    /// How many policies there are; 0 if there are mistakes.
    policies: usize,
    /// Their version, if there are no mistakes.
    version: Option<String>,
    mistakes: Vec<MistakeRecord>,
}

#[derive(Serialize)]
struct MistakeRecord {
    file: String,
    line: usize,
    column: usize,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// The shape of `policy test --json`.
#[derive(Serialize)]
struct Tested {
    cases: usize,
    /// Those that were not decided as expected.
    failed: Vec<FailedCase>,
    policy_version: String,
}

#[derive(Serialize)]
struct FailedCase {
    name: String,
    line: usize,
    difference: String,
}

pub(crate) async fn carry_out(session: &mut Session, verb: PolicyVerb) -> Result<(), Failure> {
    match verb {
        PolicyVerb::Check { path } => check(session, path),
        PolicyVerb::Explain { actor, action, resource: (kind, resource) } => {
            let question = ExplainPolicy { actor: Some(actor), action, kind, resource };
            let verdict = session.caller()?.explain_policy(&question).await?;
            session.show.answer(&verdict, verdict_view)
        }
        PolicyVerb::Test { table, policies, namespace } => test(session, table, policies, &namespace),
        PolicyVerb::Diff { path, against } => {
            let sources = read_sources(&path)?;
            policy_diff::carry_out(session, &path, sources, against).await
        }
        PolicyVerb::List => {
            let list = session.caller()?.policies().await?;
            session.show.answer(&list, list_view)
        }
    }
}

fn check(session: &mut Session, path: Option<PathBuf>) -> Result<(), Failure> {
    let path = path.map_or_else(|| in_home(session), Ok)?;
    let checked = match Engine::compile(&read_sources(&path)?) {
        Ok(engine) => Checked {
            policies: engine.listed().len(),
            version: Some(engine.version().to_string()),
            mistakes: Vec::new(),
        },
        Err(mistakes) => Checked { policies: 0, version: None, mistakes: records(mistakes) },
    };
    session.show.answer(&checked, |checked, looks| checked_view(checked, &path, looks))?;
    if checked.mistakes.is_empty() { Ok(()) } else { Err(Failure::not_true()) }
}

fn in_home(session: &Session) -> Result<PathBuf, Failure> {
    let folder = session.home()?.join("policies");
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Failure::misused(format!("there are no policies in `{}`", folder.display()))
        .hint("name a folder or a file: `steward policy check DIR`"))
}

fn test(session: &mut Session, table: Option<PathBuf>, policies: Option<PathBuf>, home: &str) -> Result<(), Failure> {
    let home: Namespace = home.parse().map_err(Failure::misused)?;
    let sources = match policies.map_or_else(|| in_home(session), Ok) {
        Ok(folder) => read_sources(&folder)?,
        Err(_) => {
            session.show.aside("There is no folder of policies here; the policies that ship are tested.");
            Sources::shipped()
        }
    };
    let listing = |what: &str, mistakes: Vec<Mistake>| {
        Failure::refused(what).details(mistakes.iter().map(Mistake::to_string).collect())
    };
    let engine = Engine::compile(&sources)
        .map_err(|mistakes| listing("the policies have mistakes; nothing was tested", mistakes))?;
    let (name, text) = match &table {
        None => ("expected.toml".to_owned(), Sources::EXPECTED.to_owned()),
        Some(file) => (file.display().to_string(), read_text(file, MAX_SOURCES_BYTES)?),
    };
    let table = Table::parse(&text).map_err(|mistakes| {
        let named = mistakes.into_iter().map(|mistake| Mistake { file: name.clone(), ..mistake }).collect();
        listing(&format!("`{name}` is no table of expected decisions"), named)
    })?;
    let results = table.run(&engine, &home);
    let failed = |result: &steward_policy::CaseResult| {
        let difference = result.difference.clone()?;
        Some(FailedCase { name: result.name.clone(), line: result.line, difference })
    };
    let tested = Tested {
        cases: results.len(),
        failed: results.iter().filter_map(failed).collect(),
        policy_version: engine.version().to_string(),
    };
    session.show.answer(&tested, |tested, looks| tested_view(tested, &name, looks))?;
    match (tested.failed.is_empty(), tested.cases) {
        (true, 0) => Err(Failure::refused(format!("`{name}` expects nothing, so that nothing was tested"))),
        (true, _) => Ok(()),
        (false, _) => Err(Failure::not_true()),
    }
}

/// Reads a folder of policies, or one file, as a node does: with the program's own schema, whatever lies beside them.
fn read_sources(path: &Path) -> Result<Sources, Failure> {
    let mut policies = Vec::new();
    if path.is_dir() {
        read_folder(path, path, 0, &mut policies)?;
        policies.sort();
    } else {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        policies.push(Source { name, text: read_text(path, MAX_SOURCES_BYTES)? });
    }
    Ok(Sources { schema: Sources::shipped().schema, policies })
}

fn read_folder(root: &Path, folder: &Path, depth: usize, found: &mut Vec<Source>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::file("read", folder, &e);
    if depth > MAX_FOLDERS {
        return Err(Failure::misused(format!("`{}` lies more than {MAX_FOLDERS} folders deep", folder.display())));
    }
    for item in fs::read_dir(folder).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        if path.is_dir() {
            read_folder(root, &path, depth + 1, found)?;
        } else if path.extension().is_some_and(|e| e == "cedar") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(Source { name, text: read_text(&path, MAX_SOURCES_BYTES)? });
            if found.len() > MAX_FILES {
                return Err(Failure::misused(format!("`{}` has more than {MAX_FILES} files", root.display())));
            }
        }
    }
    Ok(())
}

fn read_text(file: &Path, limit: usize) -> Result<String, Failure> {
    let failed = |error| Failure { exit: crate::Exit::Misused, ..Failure::file("read", file, &error) };
    String::from_utf8(read_small(file, limit).map_err(failed)?)
        .map_err(|_| Failure::misused(format!("`{}` is not UTF-8", file.display())))
}

fn kind_and_resource(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((kind, resource)) if !kind.is_empty() && !resource.is_empty() => {
            Ok((kind.to_owned(), resource.to_owned()))
        }
        _ => Err("it is written as a kind and a name, such as `file:/reports/a.md`".to_owned()),
    }
}

fn records(mistakes: Vec<Mistake>) -> Vec<MistakeRecord> {
    let record = |Mistake { file, line, column, message, help }| MistakeRecord { file, line, column, message, help };
    mistakes.into_iter().map(record).collect()
}

fn checked_view(checked: &Checked, path: &Path, looks: Looks) -> String {
    let folder = shown(&path.display().to_string());
    if let Some(version) = &checked.version {
        let count = checked.policies;
        return format!("{} {count} policies in {folder}, version {version}\n", looks.ink(Ink::Good, "no mistakes:"));
    }
    let mut out = String::new();
    for mistake in &checked.mistakes {
        let place = format!("{}:{}:{}:", shown(&mistake.file), mistake.line, mistake.column);
        out += &format!("{} {}\n", looks.ink(Ink::Bold, &place), shown_lines(&mistake.message));
        mistake
            .help
            .iter()
            .for_each(|help| out += &format!("  {} {}\n", looks.ink(Ink::Dim, "help:"), shown_lines(help)));
    }
    let count = match checked.mistakes.len() {
        1 => "1 mistake".to_owned(),
        n => format!("{n} mistakes"),
    };
    format!("{out}{} in {folder}\n", looks.ink(Ink::Bad, &count))
}

fn tested_view(tested: &Tested, name: &str, looks: Looks) -> String {
    let mut out = String::new();
    for case in &tested.failed {
        let place = format!("{}:{}:", shown(name), case.line);
        out +=
            &format!("{} {}\n  {}\n", looks.ink(Ink::Bold, &place), shown(&case.name), shown_lines(&case.difference));
    }
    let verdict = match tested.failed.len() {
        0 => looks.ink(Ink::Good, "all as expected"),
        n => looks.ink(Ink::Bad, &format!("{n} not as expected")),
    };
    format!("{out}{} decisions: {verdict}\n", tested.cases)
}

fn verdict_view(verdict: &PolicyVerdict, looks: Looks) -> String {
    let mut out: String =
        verdict.sentences.iter().map(|sentence| format!("{}\n", looks.wrapped(&shown(sentence), 0, 0))).collect();
    out.push('\n');
    let code = verdict.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let ink = if verdict.decision == "allow" { Ink::Good } else { Ink::Bad };
    let mut lines = vec![("decision".to_owned(), Word::new(format!("{}{code}", verdict.decision), ink))];
    for (n, policy) in verdict.policies.iter().enumerate() {
        let description = policy.description.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
        let label = if n == 0 { "policies" } else { "" };
        lines.push((label.to_owned(), format!("{} ({}){description}", policy.id, policy.file).into()));
    }
    for error in &verdict.errors {
        lines.push(("error".to_owned(), Word::new(error, Ink::Bad)));
    }
    lines.push(("looked at".to_owned(), format!("{} policies", verdict.considered).into()));
    lines.push(("policy version".to_owned(), (&verdict.policy_version).into()));
    out + &facts_of(looks, &lines)
}

fn list_view(list: &PolicyList, looks: Looks) -> String {
    let rows = list.policies.iter().map(|p| {
        let effect = if p.effect == "forbid" { Word::new(&p.effect, Ink::Bad) } else { Word::from(&p.effect) };
        let description = p.description.as_deref().unwrap_or_default();
        [Word::new(&p.id, Ink::Bold), effect, format!("{}:{}", p.file, p.line).into(), description.into()]
    });
    let table = table(looks, ["policy", "effect", "file", "what it means"], rows);
    format!("{table}\nversion {}, loaded by entry {}\n", shown(&list.version), list.entry)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_policy::{Engine, Sources};

    use super::{Checked, Tested, checked_view, kind_and_resource, read_sources, records, tested_view};
    use crate::show::Looks;

    fn write_shipped(folder: &std::path::Path) {
        let Sources { schema, policies } = Sources::shipped();
        for source in policies.into_iter().chain([schema]) {
            let file = folder.join(source.name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, source.text).unwrap();
        }
    }

    #[test]
    fn a_folder_is_read_as_the_node_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        write_shipped(folder.path());
        std::fs::write(folder.path().join("notes.txt"), "not a policy").unwrap();
        // The node knows its own words, and this file is there to be read.
        std::fs::write(folder.path().join(Sources::SCHEMA_FILE), "entity Other;").unwrap();
        assert_eq!(read_sources(folder.path()).unwrap().version(), Sources::shipped().version());
    }

    #[test]
    fn every_mistake_of_every_file_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        write_shipped(folder.path());
        std::fs::write(folder.path().join("a.cedar"), "permit (principal, action, resource) when { ;\n").unwrap();
        let b = "@id(\"b\")\npermit (principal, action == Action::\"no.such\", resource);\n";
        std::fs::write(folder.path().join("b.cedar"), b).unwrap();
        let Err(mistakes) = Engine::compile(&read_sources(folder.path()).unwrap()) else { panic!("mistakes") };
        let files: Vec<&str> = mistakes.iter().map(|m| m.file.as_str()).collect();
        assert!(files.contains(&"a.cedar") && files.contains(&"b.cedar"), "{mistakes:?}");
        let checked = Checked { policies: 0, version: None, mistakes: records(mistakes) };
        let text = checked_view(&checked, "policies".as_ref(), Looks::default());
        assert!(text.contains("a.cedar:1:") && text.ends_with("mistakes in policies\n"), "{text}");
    }

    #[test]
    fn one_file_is_checked_with_the_schema_that_ships() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.cedar");
        std::fs::write(&file, &Sources::shipped().policies[0].text).unwrap();
        let sources = read_sources(&file).unwrap();
        assert_eq!((sources.policies.len(), sources.schema), (1, Sources::shipped().schema));
    }

    #[test]
    fn a_test_says_what_differs() {
        let failed = vec![super::FailedCase {
            name: "scribe writes".into(),
            line: 4,
            difference: "expected allow, was deny".into(),
        }];
        let tested = Tested { cases: 9, failed, policy_version: "sha256:00".into() };
        expect![[r#"
            t.toml:4: scribe writes
              expected allow, was deny
            9 decisions: 1 not as expected
        "#]]
        .assert_eq(&tested_view(&tested, "t.toml", Looks::default()));
    }

    #[test]
    fn a_resource_has_a_kind() {
        assert_eq!(kind_and_resource("host:db:5432"), Ok(("host".into(), "db:5432".into())));
        for text in ["", "file", "file:", ":/a"] {
            assert!(kind_and_resource(text).is_err(), "{text}");
        }
    }
}
