//! `steward logs`: what the node logged, read from the files of its home. No node is asked.
//!
//! `--json` prints a line's own JSON for `tail`, one on each line, and for `analyze`:
//!
//! ```text
//! {"lines", "broken", "first", "last", "levels": {…}, "components": {…}, "hours": {…}, "messages": [{"count", "level", "component", "message"}]}
//! ```

use std::{path::Path, time::Duration};

use clap::{Args, Subcommand};
use steward_logs::{Analysis, Follow, Level, Line, Which, analyze, tail};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, shown_lines, table},
    times::moment,
};

/// How often it is looked for new lines.
const LOOK_EVERY_MS: u64 = 250;

/// The most lines that are shown at once.
const MAX_LINES: u32 = 100_000;

/// The most messages that are shown to people.
const MOST_FREQUENT: usize = 20;

/// What can be asked about the log.
#[derive(Debug, Subcommand)]
pub enum LogVerb {
    /// The newest lines, oldest first
    Tail(TailArgs),
    /// Counts by level, component, message and hour
    Analyze(WhichArgs),
}

/// Which lines.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Of a part of the program (store), or of a file (errors, agents/scribe.acme.internal)
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
    /// At least of this level: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<Level>,
    /// Not before: 2h, 2026-11-20, 2026-11-20T09:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// What was archived too
    #[arg(long)]
    pub archive: bool,
}

/// The newest lines.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// Which
    #[command(flatten)]
    pub which: WhichArgs,
    /// How many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LINES)))]
    pub lines: u32,
    /// Go on showing what comes, until Ctrl-C
    #[arg(long, short, conflicts_with = "archive")]
    pub follow: bool,
}

pub(crate) async fn carry_out(session: &mut Session, verb: LogVerb) -> Result<(), Failure> {
    let folder = session.home()?.join("logs");
    if !folder.is_dir() {
        return Err(Failure::refused(format!("there are no log files in `{}`", folder.display()))
            .hint("a node writes them when it runs; name its home with --home DIR"));
    }
    let unreadable = |error: std::io::Error| Failure::file("read", &folder, &error);
    match verb {
        LogVerb::Tail(arguments) => {
            let which = which(session, arguments.which)?;
            if !arguments.follow {
                let lines = tail(&folder, &which, arguments.lines as usize).map_err(unreadable)?;
                return show(session, &lines);
            }
            let following = async {
                // Before the newest are read, so that none is missed between; one that is seen twice does no harm.
                let follow = Follow::begin(&folder, which.clone()).map_err(unreadable)?;
                let lines = tail(&folder, &which, arguments.lines as usize).map_err(unreadable)?;
                show(session, &lines)?;
                go_on(session, follow, &folder).await
            };
            tokio::select! {
                // First, so that it is waited for from the beginning.
                biased;
                _ = tokio::signal::ctrl_c() => Ok(()),
                ended = following => ended,
            }
        }
        LogVerb::Analyze(arguments) => {
            let which = which(session, arguments)?;
            let analysis = analyze(&folder, &which).map_err(unreadable)?;
            session.show.answer(&analysis, analysis_view)
        }
    }
}

fn which(session: &Session, arguments: WhichArgs) -> Result<Which, Failure> {
    let since = match &arguments.since {
        Some(text) => Some(moment(text, session.now()).map_err(Failure::misused)?.to_string()),
        None => None,
    };
    Ok(Which { component: arguments.component, level: arguments.level, since, archive: arguments.archive })
}

async fn go_on(session: &mut Session, mut follow: Follow, folder: &Path) -> Result<(), Failure> {
    loop {
        session.show.flush()?;
        tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        let lines = follow.news().map_err(|error| Failure::file("read", folder, &error))?;
        show(session, &lines)?;
    }
}

fn show(session: &mut Session, lines: &[Line]) -> Result<(), Failure> {
    for line in lines {
        if session.is_json() {
            let text = serde_json::to_string(line).map_err(Failure::refused)?;
            session.show.text(&format!("{text}\n"))?;
        } else {
            session.show.view(|looks| line_view(line, looks))?;
        }
    }
    Ok(())
}

fn ink_of(level: Level) -> Ink {
    match level {
        Level::Error => Ink::Bad,
        Level::Warn => Ink::Warn,
        Level::Info => Ink::Plain,
        Level::Debug | Level::Trace => Ink::Dim,
    }
}

/// `2026-11-20T09:00:00.000Z warn  store  slow  ms=3`, without anything that could steer a terminal.
fn line_view(line: &Line, looks: Looks) -> String {
    let level = looks.ink(ink_of(line.level), &format!("{:<5}", line.level.as_str()));
    let fields: String = line
        .fields
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            format!("  {name}={value}")
        })
        .collect();
    let rest = format!("{:<9} {}{fields}", line.component, line.message).replace('\n', "\\n");
    format!("{} {level} {}\n", shown_lines(&line.time), shown_lines(&rest))
}

fn analysis_view(analysis: &Analysis, looks: Looks) -> String {
    let mut text = match (&analysis.first, &analysis.last) {
        (Some(first), Some(last)) => {
            format!("{} lines from {} to {}", analysis.lines, shown_lines(first), shown_lines(last))
        }
        _ => "no lines".to_owned(),
    };
    if analysis.broken > 0 {
        text.push_str(&format!("; {} could not be read", analysis.broken));
    }
    text.push('\n');
    if analysis.lines == 0 {
        return text;
    }
    for (name, counts) in [("level", &analysis.levels), ("component", &analysis.components), ("hour", &analysis.hours)]
    {
        let rows = counts.iter().map(|(what, count)| [Word::from(what), count.to_string().into()]);
        text.push_str(&format!("\n{}", table(looks, [name, "lines"], rows)));
    }
    let rows = analysis.messages.iter().take(MOST_FREQUENT).map(|message| {
        [
            Word::from(message.count.to_string()),
            Word::new(message.level.as_str(), ink_of(message.level)),
            (&message.component).into(),
            (&message.message).into(),
        ]
    });
    text.push_str(&format!("\n{}", table(looks, ["lines", "level", "component", "message"], rows)));
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::{Map, json};
    use steward_logs::{Analysis, Level, Line};

    use super::{analysis_view, line_view};
    use crate::show::Looks;

    #[test]
    fn a_line_is_one_line_and_steers_no_terminal() {
        let line = Line {
            time: "2026-11-20T09:00:00.000Z".into(),
            level: Level::Warn,
            component: "flows".into(),
            message: "an agent wrote".into(),
            fields: Map::from_iter([("text".to_owned(), json!("a\nb\u{1b}[2J"))]),
        };
        let shown = line_view(&line, Looks::default());
        assert!(shown.starts_with("2026-11-20T09:00:00.000Z warn  flows     an agent wrote  text=a\\nb"), "{shown}");
        assert!(shown.ends_with('\n') && shown.lines().count() == 1 && !shown.contains('\u{1b}'), "{shown:?}");
    }

    #[test]
    fn counts_are_tables() {
        let analysis = Analysis {
            lines: 2,
            broken: 1,
            first: Some("2026-11-20T09:00:00.000Z".into()),
            last: Some("2026-11-20T10:00:00.000Z".into()),
            levels: [("warn".to_owned(), 2)].into(),
            components: [("store".to_owned(), 2)].into(),
            hours: [("2026-11-20T09".to_owned(), 1), ("2026-11-20T10".to_owned(), 1)].into(),
            messages: Vec::new(),
        };
        expect![[r#"
            2 lines from 2026-11-20T09:00:00.000Z to 2026-11-20T10:00:00.000Z; 1 could not be read

            level  lines
            warn   2

            component  lines
            store      2

            hour           lines
            2026-11-20T09  1
            2026-11-20T10  1

            lines  level  component  message
        "#]]
        .assert_eq(&analysis_view(&analysis, Looks::default()));
        assert_eq!(analysis_view(&Analysis::default(), Looks::default()), "no lines\n");
    }
}
