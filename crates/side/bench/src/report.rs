//! A measure's section of docs/performance.md.

use std::fmt;

/// A section: what was asked for and whether it is met, then the figures.
pub(crate) struct Section {
    name: &'static str,
    title: &'static str,
    goals: Vec<[String; 4]>,
    parts: Vec<String>,
}

impl Section {
    /// The section of the measure `name`.
    pub(crate) fn new(name: &'static str, title: &'static str) -> Self {
        Self { name, title, goals: Vec::new(), parts: Vec::new() }
    }

    /// Something that was asked for, what was measured, and whether that is enough.
    pub(crate) fn goal(&mut self, what: &str, goal: &str, measured: String, is_met: bool) {
        let verdict = if is_met { "met" } else { "**not met**" };
        self.goals.push([what.to_owned(), goal.to_owned(), measured, verdict.to_owned()]);
    }

    /// A paragraph.
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.parts.push(format!("{}\n", text.into()));
    }

    /// A table.
    pub(crate) fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        self.parts.push(table(&head.map(str::to_owned), rows));
    }
}

fn table<const N: usize>(head: &[String; N], rows: &[[String; N]]) -> String {
    let line = |cells: &[String; N]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(N));
    line(head) + &rule + &rows.iter().map(line).collect::<String>()
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, title, goals, parts } = self;
        writeln!(f, "## {title}\n")?;
        if !goals.is_empty() {
            writeln!(f, "{}", table(&["what", "goal", "measured", ""].map(str::to_owned), goals))?;
        }
        for part in parts {
            writeln!(f, "{part}")?;
        }
        writeln!(f, "Again: `cargo xtask bench {name}`")
    }
}

/// A count with thousands apart.
pub(crate) fn count(n: f64) -> String {
    let digits = format!("{:.0}", n.abs());
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Section, count};

    #[test]
    fn thousands() {
        assert_eq!([0.4, 999.0, 1000.0, 1_234_567.0].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_section_says_plainly_what_is_not_met() {
        let mut section = Section::new("decide", "Deciding");
        section.goal("speed", "at most 1 µs", "2 µs".to_owned(), false);
        section.table(["a", "b"], &[["1".to_owned(), "2".to_owned()]]);
        let text = section.to_string();
        assert!(text.starts_with("## Deciding\n\n| what | goal | measured |  |\n|---|---|---|---|\n"), "{text}");
        assert!(text.contains("| speed | at most 1 µs | 2 µs | **not met** |\n"), "{text}");
        assert!(text.ends_with("| a | b |\n|---|---|\n| 1 | 2 |\n\nAgain: `cargo xtask bench decide`\n"), "{text}");
    }
}
