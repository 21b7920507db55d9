//! Parsers of `worker`.

use steward_worker::GrantPath;

use crate::one_spelling;

/// A path is taken as it is or refused; it never leads out of the folder, and it is never empty.
pub(crate) fn grant_path(bytes: &[u8]) -> bool {
    let accepted = one_spelling(bytes, GrantPath::parse, |path| path.as_str().to_owned());
    if accepted {
        let text = String::from_utf8_lossy(bytes);
        let beneath = text.strip_prefix('/').expect("it starts at the folder");
        assert!(beneath.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255));
        assert!(!text.contains(char::is_control));
    }
    accepted
}
