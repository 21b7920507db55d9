//! Where answers go, and how they look.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, TableComponent, presets::NOTHING};
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// The narrowest terminal that tables are fitted into, in columns.
const MIN_WIDTH: u16 = 40;

/// How answers look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Looks {
    /// Lines and wrapping, because a person is looking.
    pub(crate) is_terminal: bool,
    pub(crate) colour: bool,
    /// Columns of the terminal, if it is not to be asked.
    pub(crate) width: Option<u16>,
}

/// Where answers go.
pub(crate) struct Show {
    out: io::BufWriter<Box<dyn Write + Send>>,
    looks: Looks,
    asides: Looks,
    json: bool,
}

impl Show {
    /// stdout and stderr. Colours and lines on a terminal only, no colours if `NO_COLOR` is set (no-color.org).
    pub(crate) fn for_terminal(json: bool) -> Self {
        let plain =
            |name: &str, is_set: &dyn Fn(&std::ffi::OsStr) -> bool| std::env::var_os(name).is_some_and(|v| is_set(&v));
        let colourless = plain("NO_COLOR", &|value| !value.is_empty()) || plain("TERM", &|value| value == "dumb");
        let looks = |is_terminal: bool| Looks { is_terminal, colour: is_terminal && !colourless, width: None };
        Self {
            out: io::BufWriter::new(Box::new(io::stdout())),
            looks: looks(io::stdout().is_terminal()),
            asides: looks(io::stderr().is_terminal()),
            json,
        }
    }

    /// Shows the answer: as JSON if that was asked for, else as `view` writes it.
    pub(crate) fn answer<T: Serialize>(
        &mut self,
        answer: &T,
        view: impl FnOnce(&T, Looks) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return self.json(answer);
        }
        let text = view(answer, self.looks);
        self.text(&text)
    }

    /// Shows the answer on stderr, where stdout has what was asked for.
    pub(crate) fn answer_aside<T: Serialize>(
        &mut self,
        answer: &T,
        view: impl FnOnce(&T, Looks) -> String,
    ) -> Result<(), Failure> {
        let text = match self.json {
            true => serde_json::to_string_pretty(answer).map_err(Failure::refused)? + "\n",
            false => view(answer, self.asides),
        };
        Ok(io::stderr().write_all(text.as_bytes())?)
    }

    pub(crate) fn json(&mut self, answer: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(answer).map_err(Failure::refused)?;
        self.text(&format!("{text}\n"))
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.write_all(bytes)?)
    }

    /// A part of the answer, as `view` writes it.
    pub(crate) fn view(&mut self, view: impl FnOnce(Looks) -> String) -> Result<(), Failure> {
        let text = view(self.looks);
        self.text(&text)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Tells something beside the answer, on stderr.
    pub(crate) fn aside(&mut self, text: &str) {
        // What cannot be told cannot be helped.
        let _ = writeln!(io::stderr(), "{}", self.asides.wrapped(&shown_lines(text), 0, 0));
    }

    /// Tells something beside the answer as `view` writes it, which makes what others wrote harmless.
    pub(crate) fn aside_as(&mut self, view: impl FnOnce(Looks) -> String) {
        let _ = writeln!(io::stderr(), "{}", view(self.asides));
    }

    /// Tells why something was not done, and gives the end that it means.
    pub(crate) fn failure(&mut self, failure: &Failure) -> Exit {
        if let (true, Some(problem)) = (self.json, &failure.problem) {
            let _ = self.json(problem);
        }
        let _ = self.out.flush();
        let _ = io::stderr().write_all(failure_text(failure, self.asides).as_bytes());
        failure.exit
    }
}

/// A failure as it is told on stderr.
fn failure_text(failure: &Failure, looks: Looks) -> String {
    let mut text = String::new();
    if !failure.message.is_empty() {
        let _ =
            writeln!(text, "{} {}", looks.ink(Ink::Bad, "error:"), looks.wrapped(&shown_lines(&failure.message), 7, 2));
    }
    for detail in &failure.details {
        let _ = writeln!(text, "  {}", looks.wrapped(&shown_lines(detail), 2, 4));
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "  {} {}", looks.ink(Ink::Bold, "try:"), shown_lines(hint));
    }
    text
}

/// What a word is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Looks {
    /// Columns of the terminal; none where nothing is to be fitted into it.
    fn columns(self) -> Option<usize> {
        let width = self.is_terminal.then(|| self.width.or_else(|| comfy_table::Table::new().width())).flatten();
        width.filter(|width| *width >= MIN_WIDTH).map(usize::from)
    }

    /// `text`, which begins at the column `from`, in lines that fit the terminal, broken between words, and indented but for the
    /// first. What has no spaces stays whole, so that it can be copied.
    pub(crate) fn wrapped(self, text: &str, from: usize, indent: usize) -> String {
        let Some(columns) = self.columns() else { return text.to_owned() };
        let mut out = String::new();
        let mut used = from;
        for (n, word) in text.split(' ').enumerate() {
            let long = word.chars().count();
            if n > 0 && used + 1 + long > columns {
                let _ = write!(out, "\n{:indent$}", "");
                used = indent;
            } else if n > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += long;
        }
        out
    }

    /// A time in a table: to the second on a terminal, where it is in the way of what happened; always in UTC.
    pub(crate) fn time(self, time: &str) -> Word {
        match time.split_once('.') {
            Some((seconds, _)) if self.is_terminal => Word::from(seconds.replace('T', " ")),
            _ => Word::from(time),
        }
    }

    /// A name in a table: its first label on a terminal. `show` has the whole.
    pub(crate) fn name(self, name: &str) -> Word {
        let bare = name.rsplit(' ').next().unwrap_or(name);
        match bare.split(['.', '@']).next() {
            Some(label) if self.is_terminal && bare.contains(['.', '@']) => Word::from(label),
            _ => Word::from(name),
        }
    }

    /// `text` in a colour, where there are colours. The text is to be safe already.
    pub(crate) fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.colour => return text.to_owned(),
            Ink::Plain => return text.to_owned(),
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Warn => "33",
            Ink::Bad => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A word in a table or a block, with its ink.
#[derive(Debug, Clone)]
pub(crate) struct Word(String, Ink);

impl Word {
    pub(crate) fn new(text: impl AsRef<str>, ink: Ink) -> Self {
        Self(shown(text.as_ref()), ink)
    }

    /// A word whose meaning decides about its ink: decisions, states, findings.
    pub(crate) fn state(text: &str) -> Self {
        let ink = match text {
            "allow" | "active" | "succeeded" | "ok" | "completed" => Ink::Good,
            "deny" | "failed" | "revoked" | "disabled" | "refused" | "halted" => Ink::Bad,
            "unknown" | "warning" | "intended" | "publishing" | "expired" | "stopped" => Ink::Warn,
            _ => Ink::Plain,
        };
        Self::new(text, ink)
    }
}

impl<T: AsRef<str>> From<T> for Word {
    fn from(text: T) -> Self {
        Self::new(text, Ink::Plain)
    }
}

/// Rows beneath a header: with a line and wrapping on a terminal, plainly aligned elsewhere.
pub(crate) fn table<const N: usize>(
    looks: Looks,
    header: [&str; N],
    rows: impl IntoIterator<Item = [Word; N]>,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(NOTHING);
    if looks.is_terminal {
        table.set_style(TableComponent::HeaderLines, '─').set_style(TableComponent::MiddleHeaderIntersections, '─');
        looks.width.map(|width| table.set_width(width));
        // A terminal that does not know its width, or has next to none, would get a letter in each line.
        let is_wide = table.width().is_some_and(|width| width >= MIN_WIDTH);
        table.set_content_arrangement(if is_wide { ContentArrangement::Dynamic } else { ContentArrangement::Disabled });
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if looks.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let cell = |Word(text, ink): Word| match ink {
        _ if !looks.colour => Cell::new(text),
        Ink::Plain => Cell::new(text),
        Ink::Bold => Cell::new(text).add_attribute(Attribute::Bold),
        Ink::Dim => Cell::new(text).add_attribute(Attribute::Dim),
        Ink::Good => Cell::new(text).fg(Color::DarkGreen),
        Ink::Warn => Cell::new(text).fg(Color::DarkYellow),
        Ink::Bad => Cell::new(text).fg(Color::DarkRed),
    };
    table.set_header(header.map(|name| cell(Word::new(name, Ink::Bold))));
    let mut has_ids = [false; N];
    for row in rows {
        has_ids.iter_mut().zip(&row).for_each(|(has, Word(text, _))| *has |= is_id(text));
        table.add_row(row.map(cell));
    }
    for (column, has_ids) in table.column_iter_mut().zip(has_ids) {
        column.set_padding((0, 2));
        if has_ids {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Whether it is an id, which is there to be copied and therefore never broken.
fn is_id(text: &str) -> bool {
    ["act_", "key_", "trc_", "run_", "hnd_", "rev_", "rvw_"].iter().any(|prefix| text.starts_with(prefix))
        && !text.contains(' ')
}

/// Names and what they are, one beneath the other. A value that is empty is left out.
pub(crate) fn facts<const N: usize>(looks: Looks, facts: [(&str, Word); N]) -> String {
    facts_of(looks, &facts.map(|(name, word)| (name.to_owned(), word)))
}

/// As [`facts`], of any number.
pub(crate) fn facts_of(looks: Looks, facts: &[(String, Word)]) -> String {
    let facts: Vec<_> = facts.iter().filter(|(_, Word(text, _))| !text.is_empty()).collect();
    let widest = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    facts.iter().fold(String::new(), |mut out, (name, Word(text, ink))| {
        let name = looks.ink(Ink::Dim, &format!("{name:widest$}"));
        let _ = writeln!(out, "{name}  {}", looks.ink(*ink, &looks.wrapped(text, widest + 2, widest + 2)));
        out
    })
}

/// `text` with what could steer a terminal, hide, or turn the reading direction written out: control characters, format
/// characters, line separators. One line stays one line.
pub(crate) fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if is_trick(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// As [`shown`], of a text that may have several lines.
pub(crate) fn shown_lines(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// Control characters, and what Unicode calls format characters (Cf), line and paragraph separators, variation selectors and
/// letters that show nothing.
fn is_trick(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Looks, Word, facts, failure_text, shown, shown_lines, table};
    use crate::failure::Failure;

    const TERMINAL: Looks = Looks { is_terminal: true, colour: true, width: Some(60) };

    #[test]
    fn text_of_others_plays_no_tricks() {
        for (text, safe) in [
            ("plain, größe, 東京 — “quoted” …", "plain, größe, 東京 — “quoted” …"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("rl\u{202e}o\u{2066}", "rl\\u{202e}o\\u{2066}"),
            ("zero\u{200b}width\u{feff}\u{ad}", "zero\\u{200b}width\\u{feff}\\u{ad}"),
            ("\u{e0041}tag\u{2028}", "\\u{e0041}tag\\u{2028}"),
        ] {
            assert_eq!(shown(text), safe);
        }
        assert_eq!(shown_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    }

    fn rows() -> [[Word; 3]; 2] {
        [
            [
                Word::from("act_1"),
                Word::state("allow"),
                Word::from("a text that is long enough to be wrapped on this terminal"),
            ],
            [Word::from("act_22"), Word::state("deny"), Word::from("")],
        ]
    }

    #[test]
    fn tables_are_plain_where_nobody_looks() {
        expect![[r#"
            id      decision  why
            act_1   allow     a text that is long enough to be wrapped on this terminal
            act_22  deny
        "#]]
        .assert_eq(&table(Looks::default(), ["id", "decision", "why"], rows()));
    }

    #[test]
    fn tables_have_lines_and_colours_on_a_terminal() {
        let text = table(TERMINAL, ["id", "decision", "why"], rows());
        expect![[r#"
            ^[1mid      ^[0m ^[1mdecision  ^[0m ^[1mwhy                               ^[0m
            ──────────────────────────────────────────────────────
            act_1    ^[38;5;2mallow     ^[39m a text that is long enough to be
                                wrapped on this terminal
            act_22   ^[38;5;1mdeny      ^[39m
        "#]]
        .assert_eq(&text.replace('\u{1b}', "^"));
        let text = table(Looks { colour: false, ..TERMINAL }, ["id", "decision", "why"], rows());
        assert!(!text.contains('\u{1b}') && text.contains('─'), "{text}");
    }

    #[test]
    fn a_terminal_without_a_width_gets_whole_lines() {
        for width in [0, 1, 39] {
            let text = table(Looks { width: Some(width), ..TERMINAL }, ["id", "decision", "why"], rows());
            assert_eq!(text.lines().count(), 4, "{text}");
        }
    }

    #[test]
    fn ids_are_never_broken_and_names_and_times_are_short() {
        let id = "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD";
        let row = [TERMINAL.time("2026-11-20T20:14:27.123Z"), id.into(), TERMINAL.name("agent scribe.acme.internal")];
        let text = table(Looks { colour: false, width: Some(60), ..TERMINAL }, ["time", "action", "actor"], [row]);
        expect![[r#"
            time         action                           actor
            ──────────────────────────────────────────────────────
            2026-11-20   act_01KAHW5V8NQ4Z0M7C2R9T3XBYD   scribe
            20:14:27
        "#]]
        .assert_eq(&text);
        let plain = Looks::default();
        let words = [plain.time("2026-11-20T20:14:27.123Z"), plain.name("agent scribe.acme.internal")].map(|w| w.0);
        assert_eq!(words, ["2026-11-20T20:14:27.123Z", "agent scribe.acme.internal"]);
        assert_eq!(TERMINAL.name("olivia@acme.internal").0, "olivia");
    }

    #[test]
    fn long_lines_are_broken_between_words_and_indented() {
        let looks = Looks { colour: false, width: Some(40), ..TERMINAL };
        let text = "a text that is long enough to be broken, and act_01KAHW5V8NQ4Z0M7C2R9T3XBYDact_01KAHW5V8NQ4";
        expect![[r#"
            why  a text that is long enough to be
                 broken, and
                 act_01KAHW5V8NQ4Z0M7C2R9T3XBYDact_01KAHW5V8NQ4
        "#]]
        .assert_eq(&facts(looks, [("why", text.into())]));
        assert_eq!(Looks::default().wrapped(text, 5, 5), text);
    }

    #[test]
    fn facts_leave_out_what_is_empty() {
        let text =
            facts(Looks::default(), [("id", "act_1".into()), ("decision", Word::state("allow")), ("code", "".into())]);
        expect![[r#"
            id        act_1
            decision  allow
        "#]]
        .assert_eq(&text);
        let text = facts(TERMINAL, [("decision", Word::state("allow"))]);
        assert_eq!(text, "\u{1b}[2mdecision\u{1b}[0m  \u{1b}[32mallow\u{1b}[0m\n");
    }

    #[test]
    fn failures_say_what_to_try() {
        let failure = Failure::refused("no\u{1b}").details(vec!["tier: wrong".into()]).hint("run `steward login`");
        expect![[r#"
            error: no\u{1b}
              tier: wrong
              try: run `steward login`
        "#]]
        .assert_eq(&failure_text(&failure, Looks::default()));
        assert!(failure_text(&failure, TERMINAL).starts_with("\u{1b}[1;31merror:\u{1b}[0m no\\u{1b}\n"));
        assert_eq!(failure_text(&Failure::not_true(), Looks::default()), "");
    }
}
