//! Versions of agents: semantic versions (semver.org 2.0.0).

/// The longest version, in characters.
const MAX_VERSION: usize = 64;

/// Whether it is three numbers without leading zeroes, and perhaps a pre-release and a build.
pub fn is_semantic_version(text: &str) -> bool {
    let (core, build) = text.split_once('+').map_or((text, None), |(c, b)| (c, Some(b)));
    let (core, pre) = core.split_once('-').map_or((core, None), |(c, p)| (c, Some(p)));
    let number = |n: &str| {
        !n.is_empty() && n.len() <= 10 && n.bytes().all(|b| b.is_ascii_digit()) && (n == "0" || !n.starts_with('0'))
    };
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let pre_word = |w: &str| word(w) && (number(w) || !w.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= MAX_VERSION
        && core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|p| p.split('.').all(pre_word))
        && build.is_none_or(|b| b.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use super::is_semantic_version;

    #[test]
    fn versions() {
        for good in ["0.0.0", "1.2.3", "10.20.30", "1.0.0-alpha.1", "1.0.0-0.x-y", "1.0.0+build.007", "1.0.0-rc+b"] {
            assert!(is_semantic_version(good), "{good}");
        }
        for bad in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "v1.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3 ", "1..3"]
        {
            assert!(!is_semantic_version(bad), "{bad}");
        }
    }
}
