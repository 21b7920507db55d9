//! Tables of expected decisions: `policy test`. Data, so that an operator can say what policy must do before changing it.
//!
//! ```toml
//! [[case]]
//! actor = "agent:scribe"          # or person:olivia, or node; a short name is one of the node's namespace
//! tier = "T1"                     # of an agent; a person has roles = ["viewer"]
//! action = "fs.write"
//! resource = "file:/reports/a.md"
//! owner = "agent:scribe"          # whom the resource belongs to
//! key_scopes = ["act"]            # asked with a key of these scopes; left out: without a key
//! approved = true                 # a person approved exactly this
//! review = "plan T3 own alone 1"  # of a decision about a review: its kind and tier, whether who decides asked and is alone, approvals
//! expect = "allow"
//! because = ["T1/write-reports"]  # exactly these policies; or a code, "NOT_PERMITTED"
//! ```

use std::fmt;

use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, KeyId, Label, Name, Namespace};
use steward_permit::{Action, ActionName, Actor, DenialCode, KeyUse, Resource, ResourceKind, Role, Scope, Tier};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    engine::{Engine, Verdict},
    mistake::Mistake,
    question::{Gives, Question, Reviewing},
};

/// The longest table that is read, in bytes: some ten thousand cases.
const MAX_TABLE_BYTES: usize = 4 << 20;

/// Who or whose, before the namespace is known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Agent(String),
    Person(Label, Option<Namespace>),
    Node,
}

/// Why a decision must be what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// It was decided by exactly these policies, in any order.
    Policies(Vec<String>),
    /// It was denied with this code.
    Code(DenialCode),
}

/// One expected decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What the case is called; made of what it asks if it was given no name.
    pub name: String,
    /// The line that it starts at, from 1.
    pub line: usize,
    actor: Who,
    tier: Option<Tier>,
    roles: Vec<Role>,
    key_scopes: Option<Vec<Scope>>,
    /// What is asked for. As it was written: that a name is refused can be expected, too.
    pub action: String,
    resource: (ResourceKind, String),
    owner: Option<Who>,
    needs: Option<Tier>,
    gives: Gives,
    approved: bool,
    review: Option<Reviewing>,
    /// Whether it must be allowed.
    pub allowed: bool,
    /// By what.
    pub because: Option<Because>,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// The line that it starts at.
    pub line: usize,
    /// What the policies said; none if the action or resource was refused before any policy saw it.
    pub verdict: Option<Verdict>,
    /// What differs from what was expected; none if nothing.
    pub difference: Option<String>,
}

impl CaseResult {
    /// Whether it was as expected.
    pub fn passed(&self) -> bool {
        self.difference.is_none()
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.difference {
            None => write!(f, "ok   {}", self.name),
            Some(difference) => write!(f, "FAIL {} (line {}): {difference}", self.name, self.line),
        }
    }
}

/// Expected decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// In the order of the file.
    pub cases: Vec<Case>,
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// Every mistake in it. Their file is called `table`; whoever read the file knows its name.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        if text.len() > MAX_TABLE_BYTES {
            return Err(vec![Mistake::at("table", "", 0, format!("longer than {MAX_TABLE_BYTES} bytes; split it"))]);
        }
        let mut reader = Reader { text, mistakes: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.mistake(error.span().map_or(0, |s| s.start), error.message(), "");
        }
        let malformed: Vec<usize> = reader.mistakes.iter().map(|m| m.line).collect();
        let mut cases = Vec::new();
        for (key, value) in root.get_ref() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("case", DeValue::Array(items)) => cases.extend(items.iter().filter_map(|item| reader.case(item))),
                (other, _) => {
                    reader.mistake(
                        key.span().start,
                        &format!("`{other}` is not known here"),
                        "write cases as `[[case]]`",
                    );
                }
            }
        }
        // What is guessed from a line that is no TOML is not worth a word.
        let mut seen = 0;
        reader.mistakes.retain(|m| {
            seen += 1;
            seen <= malformed.len() || !malformed.contains(&m.line)
        });
        reader.mistakes.sort();
        reader.mistakes.dedup();
        if reader.mistakes.is_empty() { Ok(Self { cases }) } else { Err(reader.mistakes) }
    }

    /// Asks an engine for every decision, short names being those of `home`.
    pub fn run(&self, engine: &Engine, home: &Namespace) -> Vec<CaseResult> {
        self.cases.iter().map(|case| case.run(engine, home)).collect()
    }
}

struct Fixed;

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl Case {
    /// The question that the case asks; the message of what refused it before any policy could.
    ///
    /// # Errors
    /// The action or resource is malformed.
    pub fn question(&self, home: &Namespace) -> Result<Question, String> {
        let start = Timestamp::from_unix_ms(0);
        let name = ActionName::parse(&self.action).map_err(|e| e.to_string())?;
        let resource = Resource::new(self.resource.0, &self.resource.1).map_err(|e| e.to_string())?;
        let actor = match &self.actor {
            Who::Agent(name) => Actor::Agent {
                name: Name::resolve(name, home).map_err(|e| e.to_string())?,
                version: "1".to_owned(),
                tier: self.tier.unwrap_or(Tier::T0),
                via: None,
            },
            Who::Person(name, namespace) => Actor::Person {
                namespace: namespace.as_ref().unwrap_or(home).clone(),
                name: name.clone(),
                roles: self.roles.clone(),
            },
            Who::Node => Actor::Node { namespace: home.clone() },
        };
        let owner = self.owner.as_ref().map(|owner| match owner {
            Who::Agent(name) => Name::resolve(name, home).map(|n| n.to_string()).map_err(|e| e.to_string()),
            Who::Person(name, namespace) => Ok(format!("{name}@{}", namespace.as_ref().unwrap_or(home))),
            Who::Node => Ok(home.to_string()),
        });
        let key = self.key_scopes.clone().map(|scopes| KeyUse { id: KeyId::new(start, &Fixed), scopes });
        Ok(Question {
            id: ActionId::new(start, &Fixed),
            actor,
            key,
            run: None,
            action: Action::new(home.clone(), name, resource),
            owner: owner.transpose()?,
            needs: self.needs,
            gives: self.gives.clone(),
            approved: self.approved,
            review: self.review,
        })
    }

    fn run(&self, engine: &Engine, home: &Namespace) -> CaseResult {
        let (verdict, allowed, code, mut policies) = match self.question(home) {
            Ok(question) => {
                let verdict = engine.weigh(&question);
                let policies = verdict.policies.iter().map(|p| p.id.clone()).collect();
                let (allowed, code) = (verdict.allowed, verdict.code);
                (Some(verdict), allowed, code, policies)
            }
            Err(_) => (None, false, Some(DenialCode::Malformed), Vec::new()),
        };
        policies.sort();
        let as_expected = allowed == self.allowed
            && match &self.because {
                None => true,
                Some(Because::Code(expected)) => code == Some(*expected),
                Some(Because::Policies(expected)) => {
                    let mut expected = expected.clone();
                    expected.sort();
                    expected == policies
                }
            };
        let difference = (!as_expected).then(|| {
            let outcome = code.map_or("allowed".to_owned(), |code| format!("denied ({code})"));
            let by = if policies.is_empty() { "no policy".to_owned() } else { policies.join(", ") };
            format!("{outcome} by {by}; expected {}", self.expectation())
        });
        CaseResult { name: self.name.clone(), line: self.line, verdict, difference }
    }

    fn expectation(&self) -> String {
        let outcome = if self.allowed { "allow" } else { "deny" };
        match &self.because {
            None => outcome.to_owned(),
            Some(Because::Code(code)) => format!("{outcome} ({code})"),
            Some(Because::Policies(ids)) => format!("{outcome} by {}", ids.join(", ")),
        }
    }
}

/// Reads cases and keeps what is wrong with them.
struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

/// The fields of a case.
const FIELDS: [&str; 15] = [
    "name",
    "actor",
    "tier",
    "roles",
    "key_scopes",
    "action",
    "resource",
    "owner",
    "needs_tier",
    "gives_scopes",
    "gives_tier",
    "approved",
    "review",
    "expect",
    "because",
];

type Field<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn mistake(&mut self, offset: usize, message: &str, help: &str) {
        let mistake = Mistake::at("table", self.text, offset, message);
        self.mistakes.push(if help.is_empty() { mistake } else { mistake.with_help(help) });
    }

    fn case(&mut self, item: &Field<'_>) -> Option<Case> {
        let start = item.span().start;
        let DeValue::Table(fields) = item.get_ref() else {
            self.mistake(start, "a case is a table", "write `[[case]]` and its fields below");
            return None;
        };
        let known = self.mistakes.len();
        for (key, _) in fields {
            if !FIELDS.contains(&key.get_ref().as_ref()) {
                let message = format!("`{}` is not a field of a case", key.get_ref());
                self.mistake(key.span().start, &message, &format!("the fields are {}", FIELDS.join(", ")));
            }
        }
        for needed in ["actor", "action", "resource", "expect"] {
            if !fields.contains_key(needed) {
                self.mistake(start, &format!("the case has no `{needed}`"), "");
            }
        }
        let actor = fields.get("actor").and_then(|f| self.who(f));
        let tier = fields.get("tier").and_then(|f| self.word::<Tier>(f));
        let roles = fields.get("roles").map(|f| self.words::<Role>(f)).unwrap_or_default();
        let key_scopes = fields.get("key_scopes").map(|f| self.words::<Scope>(f));
        let action = fields.get("action").and_then(|f| self.string(f)).unwrap_or_default();
        let resource = fields.get("resource").and_then(|f| self.resource(f));
        let owner = fields.get("owner").and_then(|f| self.who(f));
        let needs = fields.get("needs_tier").and_then(|f| self.word::<Tier>(f));
        let gives = Gives {
            scopes: fields.get("gives_scopes").map(|f| self.words::<Scope>(f)),
            tier: fields.get("gives_tier").and_then(|f| self.word::<Tier>(f)),
        };
        let approved = fields.get("approved").is_some_and(|f| self.yes(f));
        let review = fields.get("review").and_then(|f| self.review(f));
        let allowed = fields.get("expect").and_then(|f| self.expect(f));
        let because = fields.get("because").and_then(|f| self.because(f));
        match (&actor, fields.get("tier"), fields.get("roles")) {
            (Some(Who::Agent(_)), None, _) => self.mistake(start, "an agent needs a `tier`", "write `tier = \"T0\"`"),
            (Some(Who::Person(..) | Who::Node), Some(tier), _) => {
                self.mistake(tier.span().start, "only agents have a tier", "");
            }
            (Some(Who::Agent(_) | Who::Node), _, Some(roles)) => {
                self.mistake(roles.span().start, "only persons have roles", "");
            }
            _ => {}
        }
        if let (Some(true), Some(Because::Code(_)), Some(field)) = (allowed, &because, fields.get("because")) {
            let help = "name the policies that permit it, in a list";
            self.mistake(field.span().start, "what is allowed has no denial code", help);
        }
        let name = match fields.get("name") {
            Some(field) => self.string(field).unwrap_or_default(),
            None => {
                let plain = |f: &str| fields.get(f).and_then(|v| v.get_ref().as_str()).unwrap_or("?").to_owned();
                let rank = tier.map(|t| format!(" ({t})")).unwrap_or_default();
                let ranks: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
                let rank = if ranks.is_empty() { rank } else { format!(" ({})", ranks.join(", ")) };
                format!("{}{rank} {} {}", plain("actor"), plain("action"), plain("resource"))
            }
        };
        if self.mistakes.len() > known {
            return None;
        }
        let line = crate::mistake::position(self.text, start).0;
        let (actor, resource, allowed) = (actor?, resource?, allowed?);
        Some(Case {
            name,
            line,
            actor,
            tier,
            roles,
            key_scopes,
            action,
            resource,
            owner,
            needs,
            gives,
            approved,
            review,
            allowed,
            because,
        })
    }

    fn string(&mut self, field: &Field<'_>) -> Option<String> {
        let text = field.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.mistake(field.span().start, "a text is expected here", "put it into quotation marks");
        }
        text
    }

    fn strings(&mut self, field: &Field<'_>) -> Vec<(usize, String)> {
        match field.get_ref() {
            DeValue::Array(items) => {
                items.iter().filter_map(|i| self.string(i).map(|text| (i.span().start, text))).collect()
            }
            _ => {
                self.mistake(field.span().start, "a list of texts is expected here", "write `[\"…\"]`");
                Vec::new()
            }
        }
    }

    fn word<W: std::str::FromStr<Err: fmt::Display>>(&mut self, field: &Field<'_>) -> Option<W> {
        let text = self.string(field)?;
        text.parse().map_err(|e: W::Err| self.mistake(field.span().start, &e.to_string(), "")).ok()
    }

    fn words<W: std::str::FromStr<Err: fmt::Display>>(&mut self, field: &Field<'_>) -> Vec<W> {
        let texts = self.strings(field);
        let parsed = texts.into_iter();
        parsed.filter_map(|(at, t)| t.parse().map_err(|e: W::Err| self.mistake(at, &e.to_string(), "")).ok()).collect()
    }

    fn who(&mut self, field: &Field<'_>) -> Option<Who> {
        let text = self.string(field)?;
        let at = field.span().start;
        let read = match text.split_once(':') {
            None if text == "node" => Ok(Who::Node),
            Some(("agent", name)) => {
                let home = "home.internal".parse().expect("a plain namespace");
                Name::resolve(name, &home).map(|_| Who::Agent(name.to_owned())).map_err(|e| e.to_string())
            }
            Some(("person", name)) => person(name),
            _ => Err(format!("`{}` is nobody", steward_naming::visible(&text))),
        };
        let help = "write `agent:NAME`, `person:NAME` or `node`";
        read.map_err(|message| self.mistake(at, &message, help)).ok()
    }

    fn resource(&mut self, field: &Field<'_>) -> Option<(ResourceKind, String)> {
        let text = self.string(field)?;
        let at = field.span().start;
        let Some((kind, id)) = text.split_once(':') else {
            self.mistake(at, "a resource is a kind and what names it", "write `file:/reports/a.md`");
            return None;
        };
        let kind = kind.parse().map_err(|e: steward_permit::UnknownWord| self.mistake(at, &e.to_string(), "")).ok()?;
        Some((kind, id.to_owned()))
    }

    fn yes(&mut self, field: &Field<'_>) -> bool {
        let yes = field.get_ref().as_bool();
        if yes.is_none() {
            self.mistake(field.span().start, "true or false is expected here", "");
        }
        yes == Some(true)
    }

    /// `promotion T4 own alone 2`: kind and tier; whether who decides asked, and is alone; how many people approved.
    fn review(&mut self, field: &Field<'_>) -> Option<Reviewing> {
        let text = self.string(field)?;
        let read = || {
            let mut words = text.split_whitespace();
            let (kind, tier) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let mut review = Reviewing { kind, tier, own: false, alone: false, approvals: 0 };
            for word in words {
                match word {
                    "own" => review.own = true,
                    "alone" => review.alone = true,
                    number => review.approvals = number.parse().ok()?,
                }
            }
            Some(review)
        };
        let review = read();
        if review.is_none() {
            let help = "write kind and tier, and what else is so: `promotion T4 own alone 2`";
            self.mistake(field.span().start, "this is no review", help);
        }
        review
    }

    fn expect(&mut self, field: &Field<'_>) -> Option<bool> {
        match self.string(field)?.as_str() {
            "allow" => Some(true),
            "deny" => Some(false),
            other => {
                let message = format!("`{}` cannot be expected", steward_naming::visible(other));
                self.mistake(field.span().start, &message, "write `allow` or `deny`");
                None
            }
        }
    }

    fn because(&mut self, field: &Field<'_>) -> Option<Because> {
        if field.get_ref().is_array() {
            return Some(Because::Policies(self.strings(field).into_iter().map(|(_, id)| id).collect()));
        }
        self.word::<DenialCode>(field).map(Because::Code)
    }
}

fn person(text: &str) -> Result<Who, String> {
    let (name, namespace) = match text.split_once('@') {
        Some((name, namespace)) => (name, Some(namespace.parse::<Namespace>().map_err(|e| e.to_string())?)),
        None => (text, None),
    };
    Ok(Who::Person(name.parse().map_err(|e: steward_naming::NameError| e.to_string())?, namespace))
}
