//! `steward agent init`: an agent that runs as it is, to begin from.
//!
//! ```text
//! steward agent init reporter                       # HOME/programs/reporter: agent.toml, packet.json, agent.py
//! steward agent init reporter --starter shell --into .
//! ```
//!
//! Deliberately absent: registering it (agents.rs), and any word with a node.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use serde::Serialize;
use steward_governor::offline::OFFLINE_AGENT;
use steward_naming::Label;

use crate::{
    failure::Failure,
    session::Session,
    show::{Looks, Word, facts_of},
};

const MANIFEST: &str = include_str!("../../starters/agent.toml");
const PACKET: &str = include_str!("../../starters/packet.json");
const PYTHON: &str = include_str!("../../starters/agent.py");
const SHELL: &str = include_str!("../../starters/agent.sh");

/// What to begin with.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Its name: small letters, digits and hyphens
    name: Label,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Starter::Python)]
    starter: Starter,
    /// What it may do; what it begins with needs T1
    #[arg(long, value_name = "TIER", default_value = "T1", value_parser = ["T1", "T2", "T3"])]
    tier: String,
    /// The folder to make its folder in [default: `programs` of the node's home, which sandboxes see as /programs]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

/// What an agent can be begun in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Starter {
    /// Python 3, with nothing but what comes with it
    Python,
    /// A shell script
    Shell,
    /// The offline planner, which needs no model: deterministic, from the packet and the texts in the agent's folder `knowledge`
    Offline,
}

impl Starter {
    /// The program that runs it, its file, and what stands in that.
    fn program(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Python => ("python3", "agent.py", PYTHON),
            Self::Shell => ("sh", "agent.sh", SHELL),
            Self::Offline => ("/run/steward/steward", "", ""),
        }
    }

    /// The files of an agent of this name and tier.
    fn files(self, name: &Label, tier: &str) -> Vec<(&'static str, String)> {
        let (runs, file, program) = self.program();
        let command = match self {
            Self::Offline => format!(r#"["{runs}", "{OFFLINE_AGENT}"]"#),
            Self::Python | Self::Shell => format!(r#"["{runs}", "/programs/{name}/{file}"]"#),
        };
        let filled = |text: &str| text.replace("{{name}}", name.as_str()).replace("{{command}}", &command);
        let manifest = filled(MANIFEST).replacen(r#"tier = "T1""#, &format!(r#"tier = "{tier}""#), 1);
        let mut files = vec![("packet.json", filled(PACKET))];
        match self {
            // It speaks in lines.
            Self::Offline => {
                files.push(("agent.toml", manifest.replacen(r#"protocol = "mcp""#, r#"protocol = "line""#, 1)))
            }
            Self::Python | Self::Shell => files.extend([("agent.toml", manifest), (file, filled(program))]),
        }
        files
    }
}

/// The shape of `agent init --json`.
#[derive(Debug, Serialize)]
struct Begun {
    agent: String,
    folder: PathBuf,
    files: Vec<PathBuf>,
}

/// Writes it, and says what to type next. Nothing that is there already is touched.
pub(crate) fn init(session: &mut Session, args: InitArgs) -> Result<(), Failure> {
    let programs = || session.home().map(|home| home.join("programs"));
    let into = args.into.map_or_else(programs, Ok)?;
    if !into.is_dir() {
        return Err(Failure::refused(format!("there is no folder `{}`", into.display()))
            .hint(format!("make a node with `{}`, or name a folder with --into DIR", session.command("up"))));
    }
    let elsewhere = programs().ok().filter(|programs| fs::canonicalize(programs).ok() != fs::canonicalize(&into).ok());
    let folder = into.join(args.name.as_str());
    let files = args.starter.files(&args.name, &args.tier);
    let files: Vec<_> = files.into_iter().map(|(file, text)| (folder.join(file), text)).collect();
    // Who begins an agent twice has worked on it meanwhile.
    if let Some((there, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(Failure::refused(format!("`{}` is there already; nothing was written", there.display()))
            .hint("take another name, or put the folder aside"));
    }
    fs::create_dir_all(&folder).map_err(|e| Failure::file("make", &folder, &e))?;
    for (path, text) in &files {
        let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| Failure::file("write", path, &e))?;
    }
    let begun =
        Begun { agent: args.name.to_string(), folder, files: files.into_iter().map(|(path, _)| path).collect() };
    session.show.answer(&begun, begun_view)?;
    if let Some(programs) = elsewhere {
        session.show.aside(&format!(
            "Its runs look for it in `{0}`: cp -r {1} {0}/",
            programs.display(),
            begun.folder.display()
        ));
    }
    let add = session.command(&format!("agent add {}", begun.folder.join("agent.toml").display()));
    let start = session.command(&format!("run start {} --task first \"Say hello\"", begun.agent));
    session.show.aside(&format!("Register it with `{add}`, run it with `{start}`."));
    Ok(())
}

fn begun_view(begun: &Begun, looks: Looks) -> String {
    let path = |path: &PathBuf| Word::from(path.display().to_string());
    let mut lines = vec![("agent".to_owned(), Word::from(&begun.agent)), ("folder".to_owned(), path(&begun.folder))];
    lines.extend(begun.files.iter().map(|file| ("file".to_owned(), path(file))));
    facts_of(looks, &lines)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use steward_governor::Template;
    use steward_wire::AddAgent;

    use super::{InitArgs, OFFLINE_AGENT, Starter, init};
    use crate::testing::session;

    #[test]
    fn nothing_is_left_to_fill_in_and_nothing_is_overwritten() {
        for starter in [Starter::Python, Starter::Shell, Starter::Offline] {
            let place = tempfile::tempdir().expect("a folder");
            let args = || InitArgs {
                name: "reporter".parse().expect("a label"),
                starter,
                tier: "T2".to_owned(),
                into: Some(place.path().to_owned()),
            };
            init(&mut session(), args()).expect("it is written");
            let folder = place.path().join("reporter");
            for (file, _) in starter.files(&args().name, "T2") {
                let text = fs::read_to_string(folder.join(file)).expect("it is there");
                assert!(!text.contains("{{"), "{file}: {text}");
            }
            let manifest = fs::read_to_string(folder.join("agent.toml")).expect("it is there");
            let agent: AddAgent = toml::from_str(&manifest).expect("a manifest");
            assert_eq!(agent.tier, "T2");
            let expected = match starter {
                Starter::Offline => OFFLINE_AGENT.to_owned(),
                Starter::Python | Starter::Shell => format!("/programs/reporter/{}", starter.program().1),
            };
            assert_eq!(agent.command.expect("a command")[1], expected);
            let packet = fs::read(folder.join("packet.json")).expect("it is there");
            Template::read(&packet, &"acme.internal".parse().expect("a namespace")).expect("a template");

            fs::write(folder.join("packet.json"), "mine").expect("a file");
            fs::remove_file(folder.join("agent.toml")).expect("it is there");
            init(&mut session(), args()).expect_err("it is there already");
            assert_eq!(fs::read_to_string(folder.join("packet.json")).expect("it is there"), "mine");
            assert!(!folder.join("agent.toml").exists());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let place = tempfile::tempdir().expect("a folder");
        let into = Some(place.path().join("none"));
        let args = InitArgs {
            name: "reporter".parse().expect("a label"),
            starter: Starter::Shell,
            tier: "T1".to_owned(),
            into,
        };
        init(&mut session(), args).expect_err("there is no such folder");
    }
}
