//! The configuration: one TOML file whose committed default is the reference, overridden by the environment, then by the
//! command line.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use steward_api::{AlertRules, Network, Operations};
use steward_app_entries::Retention;
use steward_app_hooks::{Event, Hook, MAX_HOOKS, To};
use steward_app_secrets::Generator;
use steward_app_traces::Receiver;
use steward_fetch::Target;
use steward_identity::IssuerSettings;
use steward_keeper::{Credential, Unlock};
use steward_naming::{Label, Namespace};
use steward_state::Rate;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::generators::{self, GeneratorText};

/// The committed default, with a comment for each key.
pub(crate) const REFERENCE: &str = include_str!("../steward.toml");

/// What `log` takes.
const LEVELS: &str = "write error, warn, info, debug, trace or off";

/// What can be configured. steward.toml says what each key means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    pub(crate) listen: String,
    pub(crate) namespace: String,
    pub(crate) operator: String,
    pub(crate) max_store_bytes: u64,
    pub(crate) http_allow: Vec<String>,
    pub(crate) keeper_passphrase: String,
    pub(crate) keeper_key: String,
    pub(crate) log: String,
    pub(crate) demo: bool,
    pub(crate) names: Vec<String>,
    pub(crate) behind_proxy: bool,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) metrics_without_key: bool,
    pub(crate) issuers: Vec<IssuerSettings>,
    pub(crate) tls: Tls,
    pub(crate) limits: Limits,
    pub(crate) logs: Logs,
    pub(crate) retention: Kept,
    pub(crate) alerts: Alerts,
    pub(crate) traces: Traces,
    #[serde(default)]
    pub(crate) hooks: Vec<HookText>,
    #[serde(default)]
    pub(crate) generators: Vec<GeneratorText>,
}

/// Who is told what waits for people, as it is written. Each value is read where it stands, so that a mistake is shown at its line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, try_from = "HookWritten", into = "HookWritten")]
pub(crate) struct HookText(pub(crate) Hook);

/// The same, without what goes together.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookWritten {
    name: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<HookUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Label>,
    #[serde(default)]
    inside: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events: Option<Vec<HookEvent>>,
}

/// An address to post to: `https://chat.example.org/hooks/1`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
struct HookUrl(Target);

impl TryFrom<String> for HookUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // What goes without saying is said in configurations.
        let target = Target::parse(text.strip_prefix("https://").unwrap_or(&text));
        // The path may be a secret, and is not repeated.
        target.map(Self).map_err(|error| match error.to_string().rsplit_once("` ") {
            Some((_, why)) => format!("the address {why}"),
            None => "the address is none".to_owned(),
        })
    }
}

impl From<HookUrl> for String {
    fn from(url: HookUrl) -> Self {
        let text = url.0.as_str();
        if text.starts_with("http://") { text.to_owned() } else { format!("https://{text}") }
    }
}

/// Something that is told.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
struct HookEvent(Event);

impl TryFrom<String> for HookEvent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl From<HookEvent> for String {
    fn from(event: HookEvent) -> Self {
        event.0.as_str().to_owned()
    }
}

impl TryFrom<HookWritten> for HookText {
    type Error = String;

    fn try_from(written: HookWritten) -> Result<Self, String> {
        let HookWritten { name, url, secret, inside, command, events } = written;
        let to = match (url, secret, command) {
            (Some(HookUrl(target)), Some(secret), None) => To::Web { target, secret, inside },
            (Some(_), None, None) => {
                return Err(format!(
                    "the hook `{name}` has no `secret`: the name of one of `steward secret put`, which signs"
                ));
            }
            (None, None, Some(argv)) if !inside => match argv.first() {
                Some(program) if program.starts_with('/') => To::Command(argv),
                _ => return Err(format!("the hook `{name}`: `command` begins with the whole path of a program")),
            },
            _ => {
                return Err(format!("the hook `{name}` takes `url` and `secret` (and `inside`), or `command`"));
            }
        };
        let events = match events {
            None => Event::ALL.to_vec(),
            Some(events) if events.is_empty() => {
                return Err(format!("the hook `{name}` is told nothing: leave `events` out for all"));
            }
            Some(events) => events.into_iter().map(|event| event.0).collect(),
        };
        Ok(Self(Hook { name, to, events }))
    }
}

impl From<HookText> for HookWritten {
    fn from(HookText(hook): HookText) -> Self {
        let (url, secret, inside, command) = match hook.to {
            To::Web { target, secret, inside } => (Some(HookUrl(target)), Some(secret), inside, None),
            To::Command(argv) => (None, None, false, Some(argv)),
        };
        let events = Some(hook.events.into_iter().map(HookEvent).collect());
        Self { name: hook.name, url, secret, inside, command, events }
    }
}

/// How long what entries of the ledger say is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) keep_days: Vec<String>,
}

/// A certificate of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// How often who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) key_per_s: u32,
    pub(crate) key_burst: u32,
    pub(crate) address_per_s: u32,
    pub(crate) address_burst: u32,
    pub(crate) stranger_per_s: u32,
    pub(crate) stranger_burst: u32,
}

/// Log lines in files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Logs {
    pub(crate) level: String,
    pub(crate) components: Vec<String>,
    pub(crate) max_file_bytes: u64,
    pub(crate) keep_days: u32,
    pub(crate) max_archive_bytes: u64,
}

/// Who is sent what agents did, as spans.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traces {
    pub(crate) url: String,
    pub(crate) headers: Vec<String>,
    pub(crate) inside: bool,
}

/// What alerts look for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alerts {
    pub(crate) disk_free_bytes: u64,
    pub(crate) denials_per_hour: u32,
    pub(crate) run_stuck_minutes: u32,
    pub(crate) effect_stuck_minutes: u32,
    pub(crate) certificate_days: u32,
    pub(crate) background_silent_s: u32,
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
        // Over the default and nothing else first, so that a mistake is shown at its line in the file.
        let _: Partial = toml::from_str(&text).with_context(|| format!("`{}`", file.display()))?;
        let own: toml::Table = text.parse().with_context(|| format!("`{}`", file.display()))?;
        for (key, value) in own {
            match (table.get_mut(&key), value) {
                (Some(toml::Value::Table(section)), toml::Value::Table(own)) => section.extend(own),
                (_, value) => drop(table.insert(key, value)),
            }
        }
        for (key, value) in &mut table {
            let name = format!("STEWARD_{}", key.to_uppercase());
            match value {
                toml::Value::Table(section) => {
                    for (key, value) in section {
                        override_by(&format!("{name}_{}", key.to_uppercase()), value, &variable)?;
                    }
                }
                value => override_by(&name, value, &variable)?,
            }
        }
        table.try_into().context("the configuration")
    }

    /// The file for a new home: the reference with this configuration's values.
    pub(crate) fn written(&self) -> String {
        let own = toml::Table::try_from(self).unwrap_or_default();
        let mut section = &own;
        let mut out = String::new();
        for line in REFERENCE.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
                && let Some(toml::Value::Table(table)) = own.get(name)
            {
                section = table;
            }
            match line.split_once(" = ").and_then(|(key, _)| Some((key, section.get(key)?))) {
                Some((key, value)) => out.push_str(&format!("{key} = {value}\n")),
                None => out.push_str(&format!("{line}\n")),
            }
        }
        out
    }

    /// The namespace, parsed.
    pub(crate) fn namespace(&self) -> Result<Namespace> {
        self.namespace.parse().context("`namespace`")
    }

    /// What opens the keystore, parsed. Whether it does is found out when the node starts. `credentials` is the folder of what the service
    /// manager hands over, if it names one.
    pub(crate) fn keeper(&self, credentials: Option<PathBuf>) -> Result<Unlock> {
        let credential = |name: &str| Credential { folder: credentials.clone(), name: name.to_owned() };
        let by_passphrase = self.keeper_passphrase.split_once(':').filter(|(_, place)| !place.is_empty());
        let by_key = self.keeper_key.split_once(':').filter(|(_, place)| !place.is_empty());
        if !self.keeper_passphrase.is_empty() && !self.keeper_key.is_empty() {
            bail!("`keeper_passphrase` and `keeper_key`: one of them opens the keystore; leave the other empty");
        }
        match (self.keeper_passphrase.as_str(), by_passphrase, self.keeper_key.as_str(), by_key) {
            ("", _, "", _) => Ok(Unlock::KeyFile),
            (_, Some(("env", name)), ..) => Ok(Unlock::Variable(name.to_owned())),
            (_, Some(("file", path)), ..) => Ok(Unlock::File(path.into())),
            (_, Some(("credential", name)), ..) => Ok(Unlock::Credential(credential(name))),
            (.., Some(("file", path))) => Ok(Unlock::KeyAt(path.into())),
            (.., Some(("credential", name))) => Ok(Unlock::CredentialKey(credential(name))),
            // Somebody may have written the passphrase or the key itself.
            ("", ..) => bail!(
                "`keeper_key` says where the key is: `credential:NAME` or `file:PATH`; leave it empty for the key file"
            ),
            _ => bail!(
                "`keeper_passphrase` says where the passphrase is: `credential:NAME`, `env:NAME` or `file:PATH`; leave it empty for the key file"
            ),
        }
    }

    /// Who is told what waits for people.
    pub(crate) fn hooks(&self) -> Result<Vec<Hook>> {
        if self.hooks.len() > MAX_HOOKS {
            bail!("`[[hooks]]`: there are {}; a node has at most {MAX_HOOKS}", self.hooks.len());
        }
        let hooks: Vec<Hook> = self.hooks.iter().map(|text| text.0.clone()).collect();
        let twice =
            hooks.iter().enumerate().find(|(n, hook)| hooks[..*n].iter().any(|before| before.name == hook.name));
        match twice {
            Some((_, hook)) => bail!("`[[hooks]]`: two have the name `{}`; each has one of its own", hook.name),
            None => Ok(hooks),
        }
    }

    /// Who is sent what agents did, as spans, if somebody is.
    pub(crate) fn traces(&self) -> Result<Option<Receiver>> {
        let Traces { url, headers, inside } = &self.traces;
        if url.is_empty() {
            return Ok(None);
        }
        // Somebody may have written the secret itself, so that nothing of it is repeated.
        let header = |text: &String| {
            let (name, secret) = text.split_once('=').unwrap_or_default();
            match secret.trim().parse() {
                Ok(secret) if !name.trim().is_empty() => Ok((name.trim().to_owned(), secret)),
                _ => bail!(
                    "`traces.headers`: each is a header and the name of a secret, as in `authorization=otlp-token`; `steward secret put \
                     otlp-token` puts it"
                ),
            }
        };
        let headers = headers.iter().map(header).collect::<Result<_>>()?;
        // What is wrong is said of the receiver, and not of its address, which may be secret.
        let receiver = Receiver::new(url, headers, *inside);
        receiver.map(Some).map_err(|why| anyhow::anyhow!("`traces.url`: the receiver {why}"))
    }

    /// Who makes the values of secrets that have none of their own.
    pub(crate) fn generators(&self) -> Result<Vec<Generator>> {
        generators::of(&self.generators)
    }

    /// The first person's name, parsed.
    pub(crate) fn operator(&self) -> Result<Label> {
        self.operator.parse().context("`operator`")
    }

    /// Whether the node speaks TLS itself.
    pub(crate) fn has_certificate(&self) -> bool {
        !self.tls.certificate.is_empty() || !self.tls.key.is_empty()
    }

    /// The files of the certificate and its key, if the node speaks TLS itself.
    pub(crate) fn certificate(&self) -> Result<Option<(PathBuf, PathBuf)>> {
        match (self.tls.certificate.as_str(), self.tls.key.as_str()) {
            ("", "") => Ok(None),
            ("", _) => bail!("`tls.certificate` is missing: it names the file that goes with `tls.key`"),
            (_, "") => bail!("`tls.key` is missing: it names the file that goes with `tls.certificate`"),
            (certificate, key) => Ok(Some((certificate.into(), key.into()))),
        }
    }

    /// Where to listen, parsed. What others can reach needs TLS: the node's own, or a proxy's.
    pub(crate) fn listen(&self) -> Result<SocketAddr> {
        let address: SocketAddr = self.listen.parse().with_context(|| {
            format!("`listen`: `{}` is not an address and port; one looks like 127.0.0.1:7878", self.listen)
        })?;
        if !address.ip().is_loopback() && !self.has_certificate() && !self.behind_proxy {
            bail!(
                "`listen`: {address} can be reached from outside, and keys would go over the network in clear: give a certificate \
                 (`[tls]`), or put a proxy that speaks TLS in front and set `behind_proxy = true`, or listen on 127.0.0.1"
            );
        }
        Ok(address)
    }

    /// How the node is operated; the logs and the certificate come with what starts it.
    pub(crate) fn operations(&self) -> Result<Operations> {
        if self.metrics_without_key && self.behind_proxy {
            bail!(
                "`metrics_without_key` is for nodes without a proxy: behind one, everybody seems to come from this machine"
            );
        }
        let rate = |per_s, burst, name: &str| match (per_s, burst) {
            (0, 0) => Ok(None),
            (0, _) | (_, 0) => {
                bail!("`limits.{name}_per_s` and `limits.{name}_burst`: both 0 for no limit, or neither")
            }
            (per_s, burst) => Ok(Some(Rate { per_s, burst })),
        };
        let proxies = self.trusted_proxies.iter().map(|text| text.parse::<Network>()).collect::<Result<_, _>>();
        let limits = &self.limits;
        Ok(Operations {
            metrics_without_key: self.metrics_without_key,
            limits: steward_api::Limits {
                key: rate(limits.key_per_s, limits.key_burst, "key")?,
                address: rate(limits.address_per_s, limits.address_burst, "address")?,
                stranger: rate(limits.stranger_per_s, limits.stranger_burst, "stranger")?,
            },
            proxies: proxies.context("`trusted_proxies`")?,
            alerts: AlertRules {
                disk_free_bytes: self.alerts.disk_free_bytes,
                max_store_bytes: Some(self.max_store_bytes).filter(|bytes| *bytes > 0),
                denials_per_hour: self.alerts.denials_per_hour,
                run_stuck_minutes: self.alerts.run_stuck_minutes,
                effect_stuck_minutes: self.alerts.effect_stuck_minutes,
                certificate_days: self.alerts.certificate_days,
                background_silent_s: self.alerts.background_silent_s,
            },
            ..Operations::default()
        })
    }

    /// How long what entries of the ledger say is kept, parsed.
    pub(crate) fn retention(&self) -> Result<Retention> {
        Retention::parse(&self.retention.keep_days).map_err(anyhow::Error::msg).context("`retention.keep_days`")
    }

    /// What is logged on standard error, parsed. A word alone that is no level would be taken for a module, and silence all the others.
    pub(crate) fn log(&self) -> Result<EnvFilter> {
        let filter = &self.log;
        let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
        let is_word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "_:-".contains(c));
        let wrong = filter.split(',').map(str::trim).find(|part| is_word(part) && !is_level(part));
        match (wrong, EnvFilter::try_new(filter)) {
            (None, Ok(filter)) => Ok(filter),
            (None, Err(error)) => Err(error).with_context(|| format!("`log`: `{filter}` is not a filter; {LEVELS}")),
            (Some(word), _) => {
                bail!("`log`: `{word}` is not a level; {LEVELS}, and a level of a module as `{word}=debug`")
            }
        }
    }

    /// What is logged into files.
    pub(crate) fn log_files(&self) -> Result<steward_logs::Settings> {
        let logs = &self.logs;
        let (file, archive) = (logs.max_file_bytes, logs.max_archive_bytes);
        steward_logs::Settings::parse(&logs.level, &logs.components, file, logs.keep_days, archive).context("`[logs]`")
    }

    /// The authorities under which a node that listens there is asked.
    pub(crate) fn authorities(&self, address: SocketAddr) -> Vec<String> {
        let port = address.port();
        let mut all = vec![address.to_string(), near(address).to_string(), format!("localhost:{port}")];
        all.dedup();
        for name in &self.names {
            all.push(name.clone());
            // Browsers leave the port out where it is the usual one, and proxies pass on the name alone.
            if !name.contains(':') {
                all.push(format!("{name}:{port}"));
            }
        }
        all
    }
}

/// Where who is on the same machine reaches a node that listens there: on every address is on loopback too.
pub(crate) fn near(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}

/// Puts what the environment says in the place of a value.
fn override_by(name: &str, value: &mut toml::Value, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    let Some(text) = variable(name) else { return Ok(()) };
    *value = match value {
        toml::Value::Integer(_) => {
            toml::Value::Integer(text.parse().with_context(|| format!("{name}: `{text}` is not a number"))?)
        }
        toml::Value::Boolean(_) => {
            toml::Value::Boolean(text.parse().with_context(|| format!("{name}: `{text}` is neither true nor false"))?)
        }
        // Tables are written as a file has them: `[{url = "…", client = "…"}]`.
        toml::Value::Array(_) if text.trim_start().starts_with("[{") => {
            let table: toml::Table =
                format!("it = {text}").parse().with_context(|| format!("{name}: not an array of tables"))?;
            table["it"].clone()
        }
        toml::Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect())
        }
        _ => toml::Value::String(text),
    };
    Ok(())
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
    keeper_key: Option<String>,
    log: Option<String>,
    demo: Option<bool>,
    names: Option<Vec<String>>,
    behind_proxy: Option<bool>,
    trusted_proxies: Option<Vec<String>>,
    metrics_without_key: Option<bool>,
    issuers: Option<Vec<IssuerSettings>>,
    tls: Option<PartialTls>,
    limits: Option<PartialLimits>,
    logs: Option<PartialLogs>,
    retention: Option<PartialKept>,
    alerts: Option<PartialAlerts>,
    traces: Option<PartialTraces>,
    hooks: Option<Vec<HookText>>,
    generators: Option<Vec<GeneratorText>>,
}

/// A section, with every key left out at will.
macro_rules! partial {
    ($name:ident { $($key:ident: $type:ty),* $(,)? }) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "read for its mistakes only")]
        struct $name { $($key: Option<$type>),* }
    };
}

partial!(PartialTls { certificate: String, key: String });
partial!(PartialLimits {
    key_per_s: u32,
    key_burst: u32,
    address_per_s: u32,
    address_burst: u32,
    stranger_per_s: u32,
    stranger_burst: u32,
});
partial!(PartialLogs {
    level: String,
    components: Vec<String>,
    max_file_bytes: u64,
    keep_days: u32,
    max_archive_bytes: u64,
});
partial!(PartialKept { keep_days: Vec<String> });
partial!(PartialTraces { url: String, headers: Vec<String>, inside: bool });
partial!(PartialAlerts {
    disk_free_bytes: u64,
    denials_per_hour: u32,
    run_stuck_minutes: u32,
    effect_stuck_minutes: u32,
    certificate_days: u32,
    background_silent_s: u32,
});

#[cfg(test)]
mod tests {
    use std::path::Path;

    use steward_app_hooks::Event;
    use steward_keeper::{Credential, Unlock};

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
        let with = |text: &str| read(&format!("keeper_passphrase = {text:?}"), &[]).expect("read").keeper(None);
        assert_eq!(with("").expect("none"), Unlock::KeyFile);
        assert_eq!(with("env:STEWARD_PASSPHRASE").expect("a variable"), Unlock::Variable("STEWARD_PASSPHRASE".into()));
        assert_eq!(with("file:/run/secrets/x").expect("a file"), Unlock::File("/run/secrets/x".into()));
        for wrong in ["correct horse", "env:", "file:", "vault:x"] {
            let error = with(wrong).expect_err("it says no place").to_string();
            assert!(error.contains("env:NAME") && !error.contains("horse"), "{error}");
        }
        let folder = || Some(std::path::PathBuf::from("/run/credentials/steward.service"));
        let credential = || Credential { folder: folder(), name: "passphrase".into() };
        let with = |text: &str| read(text, &[]).expect("read").keeper(folder());
        let handed = with("keeper_passphrase = \"credential:passphrase\"").expect("a credential");
        assert_eq!(handed, Unlock::Credential(credential()));
        let handed = with("keeper_key = \"credential:passphrase\"").expect("a credential");
        assert_eq!(handed, Unlock::CredentialKey(credential()));
        assert_eq!(with("keeper_key = \"file:/media/key\"").expect("a file"), Unlock::KeyAt("/media/key".into()));
        let hex = "07".repeat(32);
        for wrong in [hex.as_str(), "env:KEY", "credential:", "file:"] {
            let error = with(&format!("keeper_key = {wrong:?}")).expect_err("it says no place").to_string();
            assert!(error.contains("credential:NAME") && !error.contains("0707"), "{error}");
        }
        let both = with("keeper_key = \"file:/k\"\nkeeper_passphrase = \"file:/p\"").expect_err("both").to_string();
        assert!(both.contains("one of them"), "{both}");
    }

    #[test]
    fn sections_are_read_over_their_defaults() {
        let file = "[limits]\nkey_per_s = 7\n[logs]\ncomponents = [\"store=debug\"]\n";
        let variables = [("STEWARD_LIMITS_STRANGER_BURST", "9"), ("STEWARD_LOGS_LEVEL", "warn")];
        let read = read(file, &variables).expect("valid");
        assert_eq!((read.limits.key_per_s, read.limits.key_burst, read.limits.stranger_burst), (7, 2_000, 9));
        assert_eq!((read.logs.level.as_str(), read.logs.keep_days), ("warn", 30));
        assert!(read.log_files().is_ok() && read.operations().is_ok());
        let again: Configuration = toml::from_str(&read.written()).expect("what is written can be read");
        assert_eq!(again, read);
    }

    #[test]
    fn the_defaults_are_those_of_the_parts() {
        let operations = read("", &[]).expect("the default").operations().expect("it can be meant");
        assert_eq!(operations.limits, steward_api::Limits::default());
        assert_eq!(operations.alerts, steward_api::AlertRules::default());
        assert_eq!(
            read("", &[]).expect("the default").log_files().expect("they can be meant"),
            steward_logs::Settings::default()
        );
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (text, said) in [
            ("[limits]\nkey_per_s = 0\n", "limits.key_per_s"),
            ("trusted_proxies = [\"proxy\"]", "trusted_proxies"),
            ("behind_proxy = true\nmetrics_without_key = true", "metrics_without_key"),
        ] {
            let message = format!("{:#}", read(text, &[]).expect("read").operations().err().expect("a mistake"));
            assert!(message.contains(said), "{message}");
        }
        let message =
            format!("{:#}", read("[logs]\nlevel = \"loud\"", &[]).expect("read").log_files().expect_err("a mistake"));
        assert!(message.contains("loud"), "{message}");
        for (log, said) in
            [("loud", "`loud` is not a level"), ("warn,steward_store", "`steward_store=debug`"), ("a=b", "a=b")]
        {
            let message =
                format!("{:#}", read(&format!("log = {log:?}"), &[]).expect("read").log().expect_err("a mistake"));
            assert!(message.contains(said), "{message}");
        }
        for log in ["warn", "off", "INFO", "", "warn,steward_store=debug", "error,steward_store::writer=trace"] {
            assert!(read(&format!("log = {log:?}"), &[]).expect("read").log().is_ok(), "{log}");
        }
        assert!(read("[tls]\nkey = \"k\"", &[]).expect("read").certificate().is_err());
        assert!(read("[tls]\nports = 1", &[]).is_err());
        let message = format!(
            "{:#}",
            read("[retention]\nkeep_days = [\"key.created=30\"]", &[])
                .expect("read")
                .retention()
                .expect_err("a mistake")
        );
        assert!(message.contains("retention.keep_days") && message.contains("who may approve"), "{message}");
        assert!(read("", &[]).expect("the default").retention().expect("it can be meant").is_for_ever());
    }

    #[test]
    fn hooks_are_read_where_they_stand() {
        let file = r#"
[[hooks]]
name = "chat"
url = "https://chat.example.org/hooks/1?a=b"
secret = "chat-hook"
[[hooks]]
name = "page"
command = ["/usr/local/bin/page", "--urgent"]
events = ["review.opened"]
"#;
        let read_back = read(file, &[]).expect("valid");
        let hooks = read_back.hooks().expect("they can be meant");
        assert_eq!((hooks[0].to.place(), hooks[0].events.len()), ("chat.example.org", Event::ALL.len()));
        assert_eq!((hooks[1].to.place(), hooks[1].events.as_slice()), ("/usr/local/bin/page", &[Event::Opened][..]));
        for (text, line, said) in [
            ("[[hooks]]\nname = \"a\"\nurl = \"ftp://x/\"\nsecret = \"s\"", "line 3", "address"),
            ("[[hooks]]\nname = \"a\"\nurl = \"https://x.org/h/../token\"\nsecret = \"s\"", "line 3", "address"),
            ("[[hooks]]\nname = \"A b\"\ncommand = [\"/a\"]", "line 2", ""),
            ("[[hooks]]\nname = \"a\"\ncommand = [\"/a\"]\nevents = [\"review.open\"]", "line 4", "review.opened"),
            ("\n[[hooks]]\nname = \"a\"\nurl = \"https://x.org/\"", "line 2", "no `secret`"),
            ("[[hooks]]\nname = \"a\"\ncommand = [\"page\"]", "line 1", "whole path"),
            ("[[hooks]]\nname = \"a\"\ncommand = [\"/a\"]\nsecret = \"s\"", "line 1", "or `command`"),
            ("[[hooks]]\nname = \"a\"", "line 1", "or `command`"),
            ("[[hooks]]\nname = \"a\"\ncommand = [\"/a\"]\nevents = []", "line 1", "told nothing"),
            ("[[hooks]]\nname = \"a\"\ncommand = [\"/a\"]\nshell = true", "line 4", "shell"),
        ] {
            let message = format!("{:#}", read(text, &[]).expect_err("a mistake"));
            assert!(message.contains(line) && message.contains(said), "{text}: {message}");
        }
        let twice = "[[hooks]]\nname = \"a\"\ncommand = [\"/a\"]\n".repeat(2);
        assert!(read(&twice, &[]).expect("read").hooks().expect_err("twice").to_string().contains("`a`"));
        let many: String = (0..=16).map(|n| format!("[[hooks]]\nname = \"a{n}\"\ncommand = [\"/a\"]\n")).collect();
        assert!(read(&many, &[]).expect("read").hooks().is_err());
    }

    #[test]
    fn names_are_asked_for_with_and_without_a_port() {
        let read = read("names = [\"steward.example.org\", \"other:8443\"]", &[]).expect("read");
        let all = read.authorities("127.0.0.1:7878".parse().expect("an address"));
        assert_eq!(
            all,
            ["127.0.0.1:7878", "localhost:7878", "steward.example.org", "steward.example.org:7878", "other:8443"]
        );
        let everywhere = read.authorities("[::]:1".parse().expect("an address"));
        assert_eq!(everywhere[..3], ["[::]:1", "[::1]:1", "localhost:1"], "who is on the same machine comes in too");
    }

    #[test]
    fn outside_of_loopback_keys_do_not_go_in_clear() {
        let with =
            |rest: &str, listen: &str| read(&format!("listen = {listen:?}\n{rest}"), &[]).expect("read").listen();
        assert!(with("", "127.0.0.1:0").is_ok() && with("", "[::1]:80").is_ok());
        for outside in ["0.0.0.0:80", "10.0.0.1:80", "[::]:80"] {
            assert!(with("", outside).is_err(), "{outside}");
            assert!(with("behind_proxy = true", outside).is_ok(), "{outside}");
            assert!(with("[tls]\ncertificate = \"c\"\nkey = \"k\"", outside).is_ok(), "{outside}");
        }
        for wrong in ["localhost:80", "127.0.0.1"] {
            assert!(with("behind_proxy = true", wrong).is_err(), "{wrong}");
        }
    }
}
