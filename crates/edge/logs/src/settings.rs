//! What is logged, and how much is kept.

use std::collections::BTreeMap;

use crate::line::{Level, UnknownLevel};

/// The most components that have levels of their own.
pub const MAX_COMPONENTS: usize = 64;

/// The least bytes of a file before it is rotated: less would rotate with every line.
const MIN_FILE_BYTES: u64 = 64 << 10;

/// What is logged, and how much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The least level that is written.
    pub level: Level,
    /// The least level by component, where it is another.
    pub components: BTreeMap<String, Level>,
    /// A file that would have more bytes than this is rotated.
    pub max_file_bytes: u64,
    /// Days that the archive keeps.
    pub keep_days: u32,
    /// The most bytes of the archive; the oldest files go first.
    pub max_archive_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Level::Info,
            components: BTreeMap::new(),
            max_file_bytes: 16 << 20,
            keep_days: 30,
            max_archive_bytes: 1 << 30,
        }
    }
}

/// Settings that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not a level.
    #[error(transparent)]
    Level(#[from] UnknownLevel),
    /// Not a component with a level.
    #[error("`{0}` is not a component and a level; one looks like `store=debug`")]
    Component(String),
    /// Too many of them.
    #[error("there are more than {MAX_COMPONENTS} components with levels of their own")]
    TooMany,
    /// A limit that would keep nothing.
    #[error("`{0}` is too little to be of use; the least is {1}")]
    TooLittle(&'static str, u64),
}

impl Settings {
    /// Reads what a configuration says.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(
        level: &str,
        components: &[String],
        max_file_bytes: u64,
        keep_days: u32,
        max_archive_bytes: u64,
    ) -> Result<Self, SettingsError> {
        if components.len() > MAX_COMPONENTS {
            return Err(SettingsError::TooMany);
        }
        let one = |text: &String| {
            let (name, level) = text.split_once('=').ok_or_else(|| SettingsError::Component(text.clone()))?;
            if name.trim().is_empty() {
                return Err(SettingsError::Component(text.clone()));
            }
            Ok((name.trim().to_owned(), level.trim().parse()?))
        };
        let components = components.iter().map(one).collect::<Result<_, SettingsError>>()?;
        for (name, value, least) in [
            ("max_file_bytes", max_file_bytes, MIN_FILE_BYTES),
            ("max_archive_bytes", max_archive_bytes, MIN_FILE_BYTES),
            ("keep_days", u64::from(keep_days), 1),
        ] {
            if value < least {
                return Err(SettingsError::TooLittle(name, least));
            }
        }
        Ok(Self { level: level.parse()?, components, max_file_bytes, keep_days, max_archive_bytes })
    }

    /// Whether a line of this component and level is written.
    pub(crate) fn wants(&self, component: &str, level: Level) -> bool {
        level >= *self.components.get(component).unwrap_or(&self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Settings, SettingsError};

    fn parse(level: &str, components: &[&str]) -> Result<Settings, SettingsError> {
        let components: Vec<String> = components.iter().map(|text| (*text).to_owned()).collect();
        Settings::parse(level, &components, 1 << 20, 30, 1 << 20)
    }

    #[test]
    fn levels_by_component() {
        let settings = parse("warn", &["store=debug", " api = error "]).unwrap();
        assert!(settings.wants("store", Level::Debug) && !settings.wants("store", Level::Trace));
        assert!(settings.wants("flows", Level::Warn) && !settings.wants("flows", Level::Info));
        assert!(settings.wants("api", Level::Error) && !settings.wants("api", Level::Warn));
    }

    #[test]
    fn what_cannot_be_meant() {
        assert!(matches!(parse("loud", &[]), Err(SettingsError::Level(_))));
        assert!(matches!(parse("warn", &["store"]), Err(SettingsError::Component(_))));
        assert!(matches!(parse("warn", &["=info"]), Err(SettingsError::Component(_))));
        assert!(matches!(parse("warn", &["store=loud"]), Err(SettingsError::Level(_))));
        assert!(matches!(parse("warn", &["a=info"; 65]), Err(SettingsError::TooMany)));
        let little = |bytes, days, archive| Settings::parse("warn", &[], bytes, days, archive);
        assert!(matches!(little(1, 30, 1 << 20), Err(SettingsError::TooLittle("max_file_bytes", _))));
        assert!(matches!(little(1 << 20, 0, 1 << 20), Err(SettingsError::TooLittle("keep_days", _))));
        assert!(matches!(little(1 << 20, 1, 0), Err(SettingsError::TooLittle("max_archive_bytes", _))));
    }
}
