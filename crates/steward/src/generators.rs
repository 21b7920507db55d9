//! `[[generators]]` of the configuration: programs of the operator's that make the values of secrets, and end them.
//!
//! Deliberately absent: a way to add one over the API. It runs as the node's user, so that only whoever may write the node's configuration has
//! a say in it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use steward_app_secrets::{GENERATOR_TIMEOUT_S, Generator, MAX_GENERATOR_TIMEOUT_S, MAX_GENERATORS};
use steward_naming::Label;

/// Who makes the values of secrets, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, try_from = "GeneratorWritten", into = "GeneratorWritten")]
pub(crate) struct GeneratorText(pub(crate) Generator);

/// The same, without what goes together.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GeneratorWritten {
    name: Label,
    command: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_s: Option<u64>,
}

/// Variables that every program of the operator's has from the node.
const VARIABLES_OF_NODE: [&str; 3] = ["PATH", "LANG", "STEWARD_EVENT"];

impl TryFrom<GeneratorWritten> for GeneratorText {
    type Error = String;

    fn try_from(written: GeneratorWritten) -> Result<Self, String> {
        let GeneratorWritten { name, command, secrets, timeout_s } = written;
        if !command.first().is_some_and(|program| program.starts_with('/')) {
            return Err(format!("the generator `{name}`: `command` begins with the whole path of a program"));
        }
        let timeout_s = timeout_s.unwrap_or(GENERATOR_TIMEOUT_S);
        if !(1..=MAX_GENERATOR_TIMEOUT_S).contains(&timeout_s) {
            return Err(format!("the generator `{name}`: `timeout_s` is 1 to {MAX_GENERATOR_TIMEOUT_S}"));
        }
        let secret = |(variable, secret): (String, String)| {
            let is_name = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !VARIABLES_OF_NODE.contains(&variable.as_str());
            if !is_name {
                return Err(format!(
                    "the generator `{name}`: `secrets` gives variables like PGPASSWORD, and not {}",
                    VARIABLES_OF_NODE.join(", ")
                ));
            }
            // Somebody may have written the secret itself: it is not repeated.
            let label = secret.strip_prefix("keeper:").unwrap_or(&secret).parse();
            let label = label.map_err(|_| {
                format!("the generator `{name}`: `{variable}` is given the name of one of `steward secret put`")
            })?;
            Ok((variable, label))
        };
        let secrets = secrets.into_iter().map(secret).collect::<Result<_, _>>()?;
        Ok(Self(Generator { name, command, secrets, timeout_s }))
    }
}

impl From<GeneratorText> for GeneratorWritten {
    fn from(GeneratorText(generator): GeneratorText) -> Self {
        let Generator { name, command, secrets, timeout_s } = generator;
        let secrets = secrets.into_iter().map(|(variable, name)| (variable, name.to_string())).collect();
        Self { name, command, secrets, timeout_s: Some(timeout_s) }
    }
}

/// Those that are written, if they can be meant together.
pub(crate) fn of(written: &[GeneratorText]) -> Result<Vec<Generator>> {
    if written.len() > MAX_GENERATORS {
        bail!("`[[generators]]`: there are {}; a node has at most {MAX_GENERATORS}", written.len());
    }
    let all: Vec<Generator> = written.iter().map(|text| text.0.clone()).collect();
    let twice = all.iter().enumerate().find(|(n, one)| all[..*n].iter().any(|before| before.name == one.name));
    match twice {
        Some((_, one)) => bail!("`[[generators]]`: two have the name `{}`; each has one of its own", one.name),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::{GeneratorText, of};

    #[derive(Debug, serde::Deserialize)]
    struct File {
        generators: Vec<GeneratorText>,
    }

    fn read(text: &str) -> Result<Vec<steward_app_secrets::Generator>, String> {
        let file: File = toml::from_str(&format!("[[generators]]\n{text}")).map_err(|error| error.to_string())?;
        of(&file.generators).map_err(|error| error.to_string())
    }

    #[test]
    fn a_generator_is_a_program_and_what_it_is_given() {
        let text = "name = \"postgres\"\ncommand = [\"/usr/local/bin/make-role\", \"app\"]\nsecrets = { PGPASSWORD = \"keeper:pg-admin\" }";
        let generator = read(text).expect("one").remove(0);
        assert_eq!((generator.name.as_str(), generator.command.len(), generator.timeout_s), ("postgres", 2, 10));
        assert_eq!(generator.secrets["PGPASSWORD"].as_str(), "pg-admin");
        let written = toml::Value::try_from(GeneratorText(generator.clone())).expect("written");
        assert_eq!(written.try_into::<GeneratorText>().expect("what is written can be read").0, generator);
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let program = "name = \"a\"\ncommand = [\"/bin/true\"]";
        for (text, said) in [
            ("name = \"a\"\ncommand = []".to_owned(), "whole path"),
            ("name = \"a\"\ncommand = [\"make-role\"]".to_owned(), "whole path"),
            ("name = \"a\"".to_owned(), "command"),
            (format!("{program}\ntimeout_s = 0"), "1 to 60"),
            (format!("{program}\ntimeout_s = 61"), "1 to 60"),
            (format!("{program}\nsecrets = {{ PATH = \"x\" }}"), "PGPASSWORD"),
            (format!("{program}\nsecrets = {{ \"A-B\" = \"x\" }}"), "PGPASSWORD"),
            (format!("{program}\nshell = true"), "shell"),
            (format!("{program}\n[[generators]]\n{program}"), "two have the name"),
        ] {
            let why = read(&text).expect_err(&text);
            assert!(why.contains(said), "{text}: {why}");
        }
        let many: Vec<String> = (0..17).map(|n| format!("name = \"g{n}\"\ncommand = [\"/bin/true\"]")).collect();
        assert!(read(&many.join("\n[[generators]]\n")).expect_err("too many").contains("at most 16"));
        // Somebody may have written the secret itself.
        let why = read(&format!("{program}\nsecrets = {{ PGPASSWORD = \"hunter two\" }}")).expect_err("no name");
        assert!(why.contains("secret put") && why.matches("hunter").count() <= 1, "{why}");
    }
}
