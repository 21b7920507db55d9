//! How servers of tools look.
//!
//! What a server says of its tools is the text of a stranger: it stands in a column of its own, so that no line of it can pass for one
//! of ours.

use serde_json::Value;
use steward_wire::{ToolRecord, ToolServerList, ToolServerRecord};

use crate::{
    show::{Ink, Looks, Word, facts_of, table},
    verbs::agents::command_line,
};

/// The most lines of a description that are shown; `--json` has the rest.
const MAX_LINES: usize = 40;

/// A server with its tools, as a page to be read.
pub(crate) fn server_view(server: &ToolServerRecord, looks: Looks) -> String {
    let mut blocks = vec![facts_of(looks, &server_lines(server))];
    blocks.extend(server.tools.iter().map(|tool| facts_of(looks, &tool_lines(tool))));
    let mut rest: Vec<(String, Word)> =
        server.new.iter().map(|name| ("not pinned".to_owned(), Word::new(name, Ink::Warn))).collect();
    rest.extend(server.problems.iter().map(|problem| ("not usable".to_owned(), Word::new(problem, Ink::Warn))));
    blocks.push(facts_of(looks, &rest));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

fn server_lines(server: &ToolServerRecord) -> Vec<(String, Word)> {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    let command = server.command.as_ref().map(|argv| command_line(argv)).unwrap_or_default();
    let mut lines =
        vec![("server", Word::new(&server.name, Ink::Bold)), ("command", command.into()), ("url", text(&server.url))];
    lines.extend(server.secrets.iter().map(|(holder, secret)| ("secret", Word::from(format!("{holder}={secret}")))));
    lines.extend([
        ("connected", if server.connected { "yes" } else { "no" }.into()),
        ("trouble", Word::new(server.trouble.as_deref().unwrap_or_default(), Ink::Bad)),
        ("added", format!("{}, by {}", server.added_at, server.added_by).into()),
        ("entry", server.entry.to_string().into()),
    ]);
    lines.into_iter().map(|(name, word)| (name.to_owned(), word)).collect()
}

fn tool_lines(tool: &ToolRecord) -> Vec<(String, Word)> {
    let allowed = match (&tool.tier, &tool.allowed_by) {
        (Some(tier), Some(by)) => Word::new(format!("from {tier} on, by {by}"), Ink::Good),
        (Some(tier), None) => Word::new(format!("from {tier} on"), Ink::Good),
        (None, _) => Word::new("no", Ink::Warn),
    };
    let mut lines = vec![
        ("tool", Word::new(&tool.name, Ink::Bold)),
        ("agents see", (&tool.exposed).into()),
        ("allowed", allowed),
        ("now", Word::new(&tool.now, now_ink(&tool.now))),
    ];
    lines.extend(
        tool.findings.iter().map(|f| ("suspicious", Word::new(format!("{}: {}", f.code, f.message), Ink::Warn))),
    );
    let described = tool.description.lines().filter(|line| !line.trim().is_empty());
    let shown = described.clone().take(MAX_LINES).enumerate();
    lines.extend(shown.map(|(n, line)| (if n == 0 { "says" } else { "" }, Word::from(line.trim_end()))));
    if described.count() > MAX_LINES {
        lines.push(("", Word::new("(there is more: --json)", Ink::Dim)));
    }
    lines.push(("takes", arguments(&tool.input_schema).into()));
    lines.push(("pinned", format!("{}, by {}", tool.pinned_at, tool.pinned_by).into()));
    lines.into_iter().map(|(name, word)| (name.to_owned(), word)).collect()
}

fn now_ink(now: &str) -> Ink {
    match now {
        "same" => Ink::Good,
        "changed" => Ink::Bad,
        "gone" => Ink::Warn,
        _ => Ink::Dim,
    }
}

/// The arguments of a tool in a line: their names and types, those that may be left out with a question mark.
fn arguments(schema: &Value) -> String {
    let needed = |name: &str| {
        schema.get("required").and_then(Value::as_array).is_some_and(|list| list.iter().any(|item| item == name))
    };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return String::new() };
    let argument = |(name, form): (&String, &Value)| {
        let kind = form.get("type").and_then(Value::as_str).unwrap_or("any");
        format!("{name}{}: {kind}", if needed(name) { "" } else { "?" })
    };
    properties.iter().map(argument).collect::<Vec<_>>().join(", ")
}

/// Servers in a table.
pub(crate) fn list_view(list: &ToolServerList, looks: Looks) -> String {
    let rows = list.servers.iter().map(|server| {
        let allowed = server.tools.iter().filter(|tool| tool.tier.is_some()).count();
        let suspicious = server.tools.iter().filter(|tool| !tool.findings.is_empty()).count();
        let changed = server.tools.iter().filter(|tool| matches!(tool.now.as_str(), "changed" | "gone")).count();
        let counted = |count: usize, ink| Word::new(count.to_string(), if count == 0 { Ink::Plain } else { ink });
        let what = server.command.as_ref().map(|argv| command_line(argv)).or_else(|| server.url.clone());
        [
            Word::from(&server.name),
            (if server.connected { "yes" } else { "no" }).into(),
            server.tools.len().to_string().into(),
            allowed.to_string().into(),
            counted(suspicious, Ink::Warn),
            counted(changed, Ink::Bad),
            what.unwrap_or_default().into(),
        ]
    });
    table(looks, ["server", "connected", "tools", "allowed", "suspicious", "changed", "command or url"], rows)
}

#[cfg(test)]
pub(crate) mod tests {
    use expect_test::expect;
    use serde_json::json;
    use steward_wire::{ToolFinding, ToolRecord, ToolServerList, ToolServerRecord};

    use super::{MAX_LINES, list_view, server_view};
    use crate::show::Looks;

    fn tool(name: &str) -> ToolRecord {
        ToolRecord {
            name: name.into(),
            exposed: format!("files__{name}"),
            description: "Reads a file.\n\nallowed     from T0 on\nserver      trusted\u{1b}[2J\n".into(),
            tier: None,
            allowed_by: None,
            pin: "sha256:00".into(),
            pinned_at: "2026-11-20T20:14:27.123Z".into(),
            pinned_by: "adam@acme.internal".into(),
            now: "same".into(),
            findings: vec![ToolFinding { code: "HIDDEN_CHARACTERS".into(), message: "the description hides 3".into() }],
            input_schema: json!({"type": "object", "properties": {"head": {"type": "integer"}, "path": {"type": "string"},
                "x": {"anyOf": []}}, "required": ["path"]}),
        }
    }

    /// A server with a tool that is as it was and not allowed, and one that is gone and was.
    pub(crate) fn server() -> ToolServerRecord {
        let gone = ToolRecord {
            now: "gone".into(),
            tier: Some("T1".into()),
            allowed_by: Some("adam@acme.internal".into()),
            findings: Vec::new(),
            description: "Writes a file.".into(),
            input_schema: json!({"type": "object"}),
            ..tool("write_file")
        };
        ToolServerRecord {
            name: "files".into(),
            transport: "stdio".into(),
            command: Some(["npx", "server-filesystem", "/data", "a b"].map(str::to_owned).into()),
            url: None,
            secrets: [("GITHUB_TOKEN".to_owned(), "github".to_owned())].into(),
            connected: true,
            trouble: None,
            added_by: "adam@acme.internal".into(),
            added_at: "2026-11-20T20:14:27.123Z".into(),
            tools: vec![tool("read_file"), gone],
            new: vec!["move_file".into()],
            problems: vec!["the tool `x` has no schema".into()],
            entry: 7,
        }
    }

    #[test]
    fn a_server_is_a_page_and_a_description_stays_in_its_column() {
        expect![[r#"
            server     files
            command    npx server-filesystem /data "a b"
            secret     GITHUB_TOKEN=github
            connected  yes
            added      2026-11-20T20:14:27.123Z, by adam@acme.internal
            entry      7

            tool        read_file
            agents see  files__read_file
            allowed     no
            now         same
            suspicious  HIDDEN_CHARACTERS: the description hides 3
            says        Reads a file.
                        allowed     from T0 on
                        server      trusted\u{1b}[2J
            takes       head?: integer, path: string, x?: any
            pinned      2026-11-20T20:14:27.123Z, by adam@acme.internal

            tool        write_file
            agents see  files__write_file
            allowed     from T1 on, by adam@acme.internal
            now         gone
            says        Writes a file.
            pinned      2026-11-20T20:14:27.123Z, by adam@acme.internal

            not pinned  move_file
            not usable  the tool `x` has no schema
        "#]]
        .assert_eq(&server_view(&server(), Looks::default()));
    }

    #[test]
    fn a_warning_has_its_colour_and_a_description_its_end() {
        let mut server = server();
        server.trouble = Some("`files` cannot be started".into());
        server.tools[0].description = "a line\n".repeat(MAX_LINES + 1);
        let looks = Looks { is_terminal: true, colour: true, width: Some(80) };
        let text = server_view(&server, looks);
        assert!(text.contains("\u{1b}[33mHIDDEN_CHARACTERS: the description hides 3\u{1b}[0m"), "{text}");
        assert!(text.contains("\u{1b}[1;31m`files` cannot be started\u{1b}[0m"), "{text}");
        assert_eq!(text.matches("a line").count(), MAX_LINES);
        assert!(text.contains("--json"), "{text}");
    }

    #[test]
    fn servers_as_they_look() {
        expect![[r#"
            server  connected  tools  allowed  suspicious  changed  command or url
            files   yes        2      1        1           1        npx server-filesystem /data "a b"
        "#]]
        .assert_eq(&list_view(&ToolServerList { servers: vec![server()] }, Looks::default()));
    }
}
