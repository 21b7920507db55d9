//! A tool as its server describes it, within limits.
//!
//! ```text
//! let tool = ToolDefinition::read(&item)?;     // one item of `tools/list`
//! let listed = Listed::read(&items);           // all of them: the tools, and what was wrong with the others
//! tool.digest()                                // the pin
//! ```
//!
//! Deliberately absent: icons, `execution` and `_meta`. No agent is shown them, so no pin depends on them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use steward_naming::visible;
use steward_seal::{Digest, json::canonical};

/// The longest name of a tool: with its server's name and two lines between, it should fit the 64 characters of a model's API.
pub const MAX_TOOL_NAME_BYTES: usize = 64;

/// The longest title: one line for people.
pub const MAX_TITLE_BYTES: usize = 256;

/// The longest description, 4 KiB: a page, which a person can read before agreeing. Every agent's model reads it at every turn.
pub const MAX_DESCRIPTION_BYTES: usize = 4 * 1024;

/// The largest schema, 64 KiB of canonical JSON: generated ones with every type spelled out fit.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// How deep a schema may be nested: each level of arguments takes two or three of the schema.
pub const MAX_SCHEMA_DEPTH: usize = 16;

/// The largest annotations: a title and four hints.
pub const MAX_ANNOTATIONS_BYTES: usize = 4 * 1024;

/// The most tools of one server: more no model chooses among, and all of them are in the store and in every packet.
pub const MAX_TOOLS: usize = 256;

/// Why a tool is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolProblem {
    /// It is no object, or one of its members is of another kind than the protocol says.
    #[error("{tool}{what}; ask the author of the server to correct it")]
    Shape {
        /// The tool as `tool `x`: `, or nothing.
        tool: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Its name is no name of a tool.
    #[error(
        "`{0}` is no name of a tool: one has 1 to 64 letters, digits, `_`, `-` and `.`; ask the author of the server to rename it"
    )]
    Name(String),
    /// Something of it is larger than is read.
    #[error("tool `{tool}`: its {what} is larger than is read ({limit}); ask the author of the server to shorten it")]
    TooLarge {
        /// The tool's name.
        tool: String,
        /// What.
        what: &'static str,
        /// The limit, with its unit.
        limit: &'static str,
    },
    /// It holds a number that has no canonical form.
    #[error("tool `{0}` holds a number that cannot be pinned: use integers up to 2^53 and finite doubles")]
    NotCanonical(String),
    /// Another tool of the list has the same name.
    #[error("tool `{0}` is listed twice, and only the first is taken; ask the author of the server to rename one")]
    Twice(String),
    /// There are more than are read.
    #[error("the server lists more than 256 tools, and the others are not taken; ask its author for a smaller server")]
    TooMany,
}

/// A tool as its server describes it. What is here is within the limits and has a digest.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDefinition {
    name: String,
    title: Option<String>,
    description: String,
    input_schema: Value,
    output_schema: Option<Value>,
    annotations: Option<Value>,
    digest: Digest,
}

impl ToolDefinition {
    /// Reads an item of the answer to `tools/list`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(item: &Value) -> Result<Self, ToolProblem> {
        let item = item.as_object().ok_or_else(|| shape("", "a tool is no object"))?;
        let name = item.get("name").and_then(Value::as_str).ok_or_else(|| shape("", "a tool has no name"))?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > MAX_TOOL_NAME_BYTES || !name.bytes().all(is_plain) {
            return Err(ToolProblem::Name(visible(name)));
        }
        let title = text(item, name, "title", "its title is no text", MAX_TITLE_BYTES, "256 bytes")?;
        let description =
            text(item, name, "description", "its description is no text", MAX_DESCRIPTION_BYTES, "4 KiB")?;
        let input_schema =
            schema(item, name, "inputSchema")?.ok_or_else(|| shape(name, "it has no schema of its input"))?;
        let output_schema = schema(item, name, "outputSchema")?;
        let annotations = object(item, name, "annotations", "its annotations are no object")?;
        if let Some(annotations) = &annotations {
            bounded(annotations, name, "annotations", MAX_ANNOTATIONS_BYTES, "4 KiB")?;
        }
        let mut tool = Self {
            name: name.to_owned(),
            title,
            description: description.unwrap_or_default(),
            input_schema,
            output_schema,
            annotations,
            digest: Digest::from_bytes([0; 32]),
        };
        let bytes = canonical(&tool.to_value()).map_err(|_| ToolProblem::NotCanonical(name.to_owned()))?;
        tool.digest = Digest::of(&bytes);
        Ok(tool)
    }

    /// What it is called by its server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is called for people.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// What its server says that it does; empty if it says nothing.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The schema of its arguments.
    pub fn input_schema(&self) -> &Value {
        &self.input_schema
    }

    /// The schema of its structured result.
    pub fn output_schema(&self) -> Option<&Value> {
        self.output_schema.as_ref()
    }

    /// What its server hints about it, such as `readOnlyHint`. Not to be believed.
    pub fn annotations(&self) -> Option<&Value> {
        self.annotations.as_ref()
    }

    /// The pin: SHA-256 over the canonical JSON (RFC 8785) of [`ToolDefinition::to_value`].
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// As an item of `tools/list`: `name`, `description` and `inputSchema`; `title`, `outputSchema` and `annotations` if there
    /// are any. [`ToolDefinition::read`] reads it back.
    pub fn to_value(&self) -> Value {
        let mut item = Map::new();
        item.insert("name".to_owned(), self.name.clone().into());
        item.insert("description".to_owned(), self.description.clone().into());
        item.insert("inputSchema".to_owned(), self.input_schema.clone());
        let title = self.title.clone().map(Value::from);
        let others =
            [("title", title), ("outputSchema", self.output_schema.clone()), ("annotations", self.annotations.clone())];
        for (key, value) in others {
            if let Some(value) = value {
                item.insert(key.to_owned(), value);
            }
        }
        item.into()
    }
}

/// What a server lists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listed {
    /// The tools that are taken, in the server's order. No two have the same name.
    pub tools: Vec<ToolDefinition>,
    /// Why others are not.
    pub problems: Vec<ToolProblem>,
}

impl Listed {
    /// Reads all items, [`MAX_TOOLS`] at most.
    pub fn read(items: &[Value]) -> Self {
        let mut listed = Self::default();
        let mut names = BTreeSet::new();
        for item in &items[..items.len().min(MAX_TOOLS)] {
            match ToolDefinition::read(item) {
                Ok(tool) if names.insert(tool.name.clone()) => listed.tools.push(tool),
                Ok(tool) => listed.problems.push(ToolProblem::Twice(tool.name)),
                Err(problem) => listed.problems.push(problem),
            }
        }
        if items.len() > MAX_TOOLS {
            listed.problems.push(ToolProblem::TooMany);
        }
        listed
    }
}

fn shape(tool: &str, what: &'static str) -> ToolProblem {
    let tool = if tool.is_empty() { String::new() } else { format!("tool `{tool}`: ") };
    ToolProblem::Shape { tool, what }
}

fn text(
    item: &Map<String, Value>,
    tool: &str,
    key: &'static str,
    otherwise: &'static str,
    most: usize,
    limit: &'static str,
) -> Result<Option<String>, ToolProblem> {
    match item.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= most => Ok(Some(text.clone())),
        Some(Value::String(_)) => Err(ToolProblem::TooLarge { tool: tool.to_owned(), what: key, limit }),
        Some(_) => Err(shape(tool, otherwise)),
    }
}

fn object(
    item: &Map<String, Value>,
    tool: &str,
    key: &str,
    otherwise: &'static str,
) -> Result<Option<Value>, ToolProblem> {
    match item.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) if value.is_object() => Ok(Some(value.clone())),
        Some(_) => Err(shape(tool, otherwise)),
    }
}

fn schema(item: &Map<String, Value>, tool: &str, key: &'static str) -> Result<Option<Value>, ToolProblem> {
    let schema = object(item, tool, key, "a schema of it is no object")?;
    if let Some(schema) = &schema {
        bounded(schema, tool, key, MAX_SCHEMA_BYTES, "64 KiB, 16 levels")?;
    }
    Ok(schema)
}

/// Refuses what is too deep or too large. Depth first: nothing is written before it is known to end soon.
fn bounded(value: &Value, tool: &str, what: &'static str, most: usize, limit: &'static str) -> Result<(), ToolProblem> {
    let too_large = || ToolProblem::TooLarge { tool: tool.to_owned(), what, limit };
    if !fits(value, MAX_SCHEMA_DEPTH) {
        return Err(too_large());
    }
    let bytes = canonical(value).map_err(|_| ToolProblem::NotCanonical(tool.to_owned()))?;
    if bytes.len() > most { Err(too_large()) } else { Ok(()) }
}

/// Whether objects and arrays are nested at most `depth` deep.
fn fits(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
        Value::Object(members) => depth > 0 && members.values().all(|member| fits(member, depth - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::{Value, json};

    use super::{
        Listed, MAX_DESCRIPTION_BYTES, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_TOOLS, ToolDefinition, ToolProblem,
    };

    fn full() -> Value {
        json!({
            "name": "read_page",
            "title": "Read a page",
            "description": "Reads a page of the wiki.",
            "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
            "outputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": true},
        })
    }

    #[test]
    fn a_tool_is_its_digest() {
        let tool = ToolDefinition::read(&full()).unwrap();
        // Golden: pins that people agreed to are bound to this.
        expect!["sha256:50e806697af8e57c648d90bc73300c8d59b9665a9d2073410cbb756c75b452eb"]
            .assert_eq(&tool.digest().to_string());
        assert_eq!(ToolDefinition::read(&tool.to_value()).unwrap(), tool);
        for (key, value) in [
            ("name", json!("read_pages")),
            ("title", json!("Read the page")),
            ("title", json!(null)),
            ("description", json!("Reads a page of the wiki. ")),
            ("inputSchema", json!({"type": "object", "properties": {"id": {"type": "string", "default": "1"}}})),
            ("outputSchema", json!({"type": "object", "properties": {}})),
            ("annotations", json!({"readOnlyHint": false})),
            ("annotations", json!(null)),
        ] {
            let mut other = full();
            other[key] = value;
            assert_ne!(ToolDefinition::read(&other).unwrap().digest(), tool.digest(), "{key}");
        }
        // Neither the order of keys nor what no agent sees matters.
        let mut same = full();
        same["_meta"] = json!({"a": 1});
        same["icons"] = json!([]);
        assert_eq!(ToolDefinition::read(&same).unwrap().digest(), tool.digest());
    }

    #[test]
    fn what_is_missing_is_not_made_up() {
        let tool = ToolDefinition::read(&json!({"name": "a", "inputSchema": {}})).unwrap();
        assert_eq!(
            (tool.title(), tool.description(), tool.output_schema(), tool.annotations()),
            (None, "", None, None)
        );
        assert_eq!(tool.to_value(), json!({"name": "a", "description": "", "inputSchema": {}}));
    }

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn limits_hold() {
        let with = |key: &str, value: Value| {
            let mut item = full();
            item[key] = value;
            ToolDefinition::read(&item).map(|_| ()).map_err(|problem| problem.to_string())
        };
        let schema_of = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
        for (key, value) in [
            ("name", json!("a".repeat(64))),
            ("name", json!("A-z_0.9")),
            ("description", json!("x".repeat(MAX_DESCRIPTION_BYTES))),
            ("inputSchema", schema_of(MAX_SCHEMA_BYTES)),
            ("inputSchema", nested(MAX_SCHEMA_DEPTH)),
        ] {
            assert_eq!(with(key, value), Ok(()), "{key}");
        }
        for (key, value, message) in [
            ("name", json!("a".repeat(65)), "is no name of a tool"),
            ("name", json!(""), "is no name of a tool"),
            ("name", json!("a b"), "`a b` is no name of a tool"),
            ("name", json!("a\u{200b}"), "`a\\u{200b}` is no name of a tool"),
            ("name", json!("server/tool"), "is no name of a tool"),
            ("name", json!(7), "a tool has no name"),
            ("title", json!("x".repeat(257)), "its title is larger"),
            ("title", json!([]), "its title is no text"),
            ("description", json!("x".repeat(MAX_DESCRIPTION_BYTES + 1)), "its description is larger"),
            ("description", json!(7), "its description is no text"),
            ("inputSchema", json!(null), "no schema of its input"),
            ("inputSchema", json!([]), "is no object"),
            ("inputSchema", schema_of(MAX_SCHEMA_BYTES + 1), "its inputSchema is larger"),
            ("inputSchema", nested(MAX_SCHEMA_DEPTH + 1), "its inputSchema is larger"),
            ("inputSchema", json!({"default": 9_007_199_254_740_993_u64}), "cannot be pinned"),
            ("outputSchema", json!("x"), "is no object"),
            ("annotations", json!("x"), "annotations are no object"),
            ("annotations", json!({"title": "x".repeat(5000)}), "its annotations is larger"),
        ] {
            let refused = with(key, value).unwrap_err();
            assert!(refused.contains(message), "{key}: {refused}");
        }
        assert!(ToolDefinition::read(&json!([])).is_err());
    }

    #[test]
    fn a_list_is_read_as_far_as_it_goes() {
        let item = |name: &str| json!({"name": name, "inputSchema": {}});
        let listed = Listed::read(&[item("a"), json!(1), item("b"), item("a")]);
        let names: Vec<&str> = listed.tools.iter().map(ToolDefinition::name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(matches!(&listed.problems[..], [ToolProblem::Shape { .. }, ToolProblem::Twice(_)]));
        let many: Vec<Value> = (0..=MAX_TOOLS).map(|n| item(&format!("t{n}"))).collect();
        let listed = Listed::read(&many);
        assert_eq!((listed.tools.len(), &listed.problems[..]), (MAX_TOOLS, &[ToolProblem::TooMany][..]));
        assert!(Listed::read(&many[..MAX_TOOLS]).problems.is_empty());
    }
}
