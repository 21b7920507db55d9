//! The configuration: one TOML file whose committed default is the reference, overridden by the environment, then by the
//! command line.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use steward_keeper::Unlock;
use steward_naming::{Label, Namespace};

/// The committed default, with a comment for each key.
pub(crate) const REFERENCE: &str = include_str!("../steward.toml");

/// What can be configured. steward.toml says what each key means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    pub(crate) listen: String,
    pub(crate) namespace: String,
    pub(crate) operator: String,
    pub(crate) max_store_bytes: u64,
    pub(crate) http_allow: Vec<String>,
    pub(crate) keeper_passphrase: String,
    pub(crate) log: String,
    pub(crate) demo: bool,
}

impl Configuration {
    /// Reads the home's file over the default, and the environment over both.
    ///
    /// # Errors
    /// The file, with the line of the mistake; or a variable.
    pub(crate) fn read(file: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut table: toml::Table = REFERENCE.parse().context("the default configuration")?;
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).with_context(|| format!("`{}`", file.display())),
        };
        // Read by itself first, so that a mistake is shown at its line in the file.
        let _: Partial = toml::from_str(&text).with_context(|| format!("`{}`", file.display()))?;
        let own: toml::Table = text.parse().with_context(|| format!("`{}`", file.display()))?;
        table.extend(own);
        for (key, value) in &mut table {
            let name = format!("STEWARD_{}", key.to_uppercase());
            let Some(text) = variable(&name) else { continue };
            *value = match value {
                toml::Value::Integer(_) => {
                    toml::Value::Integer(text.parse().with_context(|| format!("{name}: `{text}` is not a number"))?)
                }
                toml::Value::Boolean(_) => toml::Value::Boolean(
                    text.parse().with_context(|| format!("{name}: `{text}` is neither true nor false"))?,
                ),
                toml::Value::Array(_) => {
                    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                    toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect())
                }
                _ => toml::Value::String(text),
            };
        }
        table.try_into().context("the configuration")
    }

    /// The file for a new home: the reference with this configuration's values.
    pub(crate) fn written(&self) -> String {
        REFERENCE
            .lines()
            .map(|line| match line.split_once(" = ") {
                Some(("listen", _)) => format!("listen = {:?}\n", self.listen),
                Some(("namespace", _)) => format!("namespace = {:?}\n", self.namespace),
                Some(("operator", _)) => format!("operator = {:?}\n", self.operator),
                Some(("max_store_bytes", _)) => format!("max_store_bytes = {}\n", self.max_store_bytes),
                Some(("http_allow", _)) => format!("http_allow = {:?}\n", self.http_allow),
                Some(("keeper_passphrase", _)) => format!("keeper_passphrase = {:?}\n", self.keeper_passphrase),
                Some(("log", _)) => format!("log = {:?}\n", self.log),
                Some(("demo", _)) => format!("demo = {}\n", self.demo),
                _ => format!("{line}\n"),
            })
            .collect()
    }

    /// The namespace, parsed.
    pub(crate) fn namespace(&self) -> Result<Namespace> {
        self.namespace.parse().context("`namespace`")
    }

    /// What opens the keystore, parsed. Whether it does is found out when the node starts.
    pub(crate) fn keeper(&self) -> Result<Unlock> {
        let (way, place) = self.keeper_passphrase.split_once(':').unwrap_or_default();
        match (self.keeper_passphrase.as_str(), way) {
            ("", _) => Ok(Unlock::KeyFile),
            (_, "env") if !place.is_empty() => Ok(Unlock::Variable(place.to_owned())),
            (_, "file") if !place.is_empty() => Ok(Unlock::File(place.into())),
            // Somebody may have written the passphrase itself.
            _ => bail!(
                "`keeper_passphrase` says where the passphrase is: `env:NAME` or `file:PATH`; leave it empty for the key file"
            ),
        }
    }

    /// The first person's name, parsed.
    pub(crate) fn operator(&self) -> Result<Label> {
        self.operator.parse().context("`operator`")
    }

    /// Where to listen, parsed. Loopback only, until the node can do TLS.
    pub(crate) fn listen(&self) -> Result<std::net::SocketAddr> {
        let address: std::net::SocketAddr = self.listen.parse().with_context(|| {
            format!("`listen`: `{}` is not an address and port; one looks like 127.0.0.1:7878", self.listen)
        })?;
        if !address.ip().is_loopback() {
            bail!(
                "`listen`: {address} can be reached from outside, and this version speaks no TLS; listen on 127.0.0.1 and put a \
                 proxy that does in front, or reach it through a tunnel"
            );
        }
        Ok(address)
    }
}

/// The same, with every key left out at will.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its mistakes only")]
struct Partial {
    listen: Option<String>,
    namespace: Option<String>,
    operator: Option<String>,
    max_store_bytes: Option<u64>,
    http_allow: Option<Vec<String>>,
    keeper_passphrase: Option<String>,
    log: Option<String>,
    demo: Option<bool>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use steward_keeper::Unlock;

    use super::{Configuration, REFERENCE};

    fn read(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Configuration> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("steward.toml");
        std::fs::write(&file, text).expect("written");
        Configuration::read(&file, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn the_reference_is_the_default() {
        let default = Configuration::read(Path::new("/nowhere/steward.toml"), |_| None).expect("the default");
        assert_eq!(default, toml::from_str(REFERENCE).expect("the reference"));
        assert_eq!(default.written(), REFERENCE);
    }

    #[test]
    fn file_then_environment() {
        let variables = [
            ("STEWARD_LISTEN", "[::1]:0"),
            ("STEWARD_MAX_STORE_BYTES", "5"),
            ("STEWARD_DEMO", "true"),
            ("STEWARD_HTTP_ALLOW", "example.org/docs/**, *.example.com"),
        ];
        let read = read("listen = \"127.0.0.1:1\"\nnamespace = \"acme.internal\"\n", &variables).expect("valid");
        assert_eq!((read.listen.as_str(), read.namespace.as_str()), ("[::1]:0", "acme.internal"));
        assert_eq!((read.max_store_bytes, read.demo), (5, true));
        assert_eq!(read.http_allow, ["example.org/docs/**", "*.example.com"]);
        let again: Configuration = toml::from_str(&read.written()).expect("what is written can be read");
        assert_eq!(again, read);
    }

    #[test]
    fn a_mistake_is_shown_at_its_line() {
        for (text, line) in [
            ("log = 1\n", "line 1"),
            ("\nlisten = \"x\"\nports = 3\n", "line 3"),
            ("log = \"a\"\nlog = \"b\"", "line 2"),
        ] {
            let message = format!("{:#}", read(text, &[]).expect_err("a mistake"));
            assert!(message.contains(line) && message.contains("steward.toml"), "{message}");
        }
        assert!(
            format!("{:#}", read("", &[("STEWARD_DEMO", "maybe")]).expect_err("a mistake")).contains("STEWARD_DEMO")
        );
    }

    #[test]
    fn where_the_passphrase_is() {
        let with = |text: &str| read(&format!("keeper_passphrase = {text:?}"), &[]).expect("read").keeper();
        assert_eq!(with("").expect("none"), Unlock::KeyFile);
        assert_eq!(with("env:STEWARD_PASSPHRASE").expect("a variable"), Unlock::Variable("STEWARD_PASSPHRASE".into()));
        assert_eq!(with("file:/run/secrets/x").expect("a file"), Unlock::File("/run/secrets/x".into()));
        for wrong in ["correct horse", "env:", "file:", "vault:x"] {
            let error = with(wrong).expect_err("it says no place").to_string();
            assert!(error.contains("env:NAME") && !error.contains("horse"), "{error}");
        }
    }

    #[test]
    fn loopback_only() {
        let with = |listen: &str| read(&format!("listen = {listen:?}"), &[]).expect("read").listen();
        assert!(with("127.0.0.1:0").is_ok() && with("[::1]:80").is_ok());
        for outside in ["0.0.0.0:80", "10.0.0.1:80", "[::]:80", "localhost:80", "127.0.0.1"] {
            assert!(with(outside).is_err(), "{outside}");
        }
    }
}
