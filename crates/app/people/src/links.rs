//! Linking people of the node with somebody of an issuer.

use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_clock::Timestamp;
use steward_identity::MAX_SUBJECT_BYTES;
use steward_ledger::kind;
use steward_naming::{KeyId, Label, Namespace, visible};
use steward_permit::ResourceKind;
use steward_store::{Guard, Key, Row, key};

use crate::rows;

/// A person of the node, and who they are to an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The issuer's address, as its tokens say it.
    pub issuer: String,
    /// The issuer's name of them.
    pub subject: String,
    /// What stands in decisions and entries in the place of a key's id.
    pub id: KeyId,
    /// Who it is here.
    pub person: Label,
    /// Whether it is for a service's tokens, and not for logging in.
    pub is_service: bool,
    /// Who linked them: a full name.
    pub linked_by: String,
    /// When.
    pub linked_at: Timestamp,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl LinkRow {
    /// The row's key.
    pub fn key(&self) -> Key {
        key([
            ("namespace", self.namespace.as_str()),
            ("issuer", self.issuer.as_str()),
            ("subject", self.subject.as_str()),
        ])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("person_link", self.key(), self.entry_seq)
    }

    /// `login` or `service`.
    pub fn purpose(&self) -> &'static str {
        if self.is_service { "service" } else { "login" }
    }

    fn named(&self, row: Row) -> Row {
        row.text("namespace", self.namespace.as_str())
            .text("issuer", self.issuer.as_str())
            .text("subject", self.subject.as_str())
    }

    fn row(&self) -> Row {
        self.named(Row::put("person_link"))
            .text("id", self.id.as_str())
            .text("person", self.person.as_str())
            .text("use", self.purpose())
            .text("linked_by", self.linked_by.as_str())
            .text("linked_at", self.linked_at.to_string())
    }
}

/// A link to be made.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// The issuer's address: one of those that are configured.
    pub issuer: String,
    /// The issuer's name of somebody.
    pub subject: String,
    /// For a service's tokens, and not for logging in.
    pub is_service: bool,
}

/// Links a person with somebody of an issuer. From the commit on whoever the issuer says is that is the person.
///
/// # Errors
/// It is not allowed; the issuer is not configured for it; there is no such person; or that subject is linked already.
pub async fn link(context: &Context, caller: &Caller, person: &Label, new: NewLink) -> Result<LinkRow, Error> {
    let action = context.action("person.link", ResourceKind::Person, person.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let Some(issuer) = context.issuers.named(&new.issuer) else {
        let message =
            "this node has no such issuer; its operator names those in `[[issuers]]` of steward.toml, letter by letter";
        return Err(Error::invalid(message));
    };
    match (new.is_service, issuer.audience(), issuer.client()) {
        (true, None, _) => {
            return Err(Error::invalid("this issuer has no `audience` in steward.toml: no service can use it"));
        }
        (false, _, None) => {
            return Err(Error::invalid("this issuer has no `client` in steward.toml: nobody can log in by it"));
        }
        _ => {}
    }
    let subject = &new.subject;
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || visible(subject) != *subject {
        return Err(Error::invalid(
            "`subject` has 1 to 255 bytes, none of them hidden: it is `sub` of the issuer's tokens",
        ));
    }
    let (found, linked) = context.store.read(|reader| {
        let found = rows::person(reader, &context.namespace, person)?;
        Ok::<_, Error>((found, rows::link(reader, &context.namespace, &new.issuer, subject)?))
    })?;
    let found = found.filter(|p| p.active).ok_or_else(|| Error::not_found(format!("active person `{person}`")))?;
    if let Some(linked) = linked {
        let message = format!("that subject is linked with `{}` already; unlink it first", linked.person);
        return Err(Error::new(Kind::Taken, code::NAME_TAKEN, message));
    }
    let now = context.now();
    let row = LinkRow {
        namespace: context.namespace.clone(),
        issuer: new.issuer,
        subject: new.subject,
        id: KeyId::new(now, context.dice.as_ref()),
        person: person.clone(),
        is_service: new.is_service,
        linked_by: caller.actor.full_name(),
        linked_at: now,
        entry_seq: 0,
    };
    let change = context
        .change(caller, granted, kind::PERSON_LINKED, person.as_str())
        .guard(found.guard())
        .guard(Guard::absent("person_link", row.key()))
        .detail("issuer", row.issuer.as_str())
        .detail("subject_there", row.subject.as_str())
        .detail("use", row.purpose())
        .row(row.row());
    let done = context.commit(change).await?;
    Ok(LinkRow { entry_seq: done.recorded.seq, ..row })
}

/// Takes a link away, and with it every key and token that stood on it.
///
/// # Errors
/// It is not allowed, or there is no such link.
pub async fn unlink(
    context: &Context,
    caller: &Caller,
    person: &Label,
    issuer: &str,
    subject: &str,
) -> Result<LinkRow, Error> {
    let action = context.action("person.unlink", ResourceKind::Person, person.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let row = context.store.read(|reader| rows::link(reader, &context.namespace, issuer, subject))?;
    let row = row.filter(|row| row.person == *person);
    let row =
        row.ok_or_else(|| Error::not_found(format!("such link of `{person}`; `steward people links` lists them")))?;
    let change = context
        .change(caller, granted, kind::PERSON_UNLINKED, person.as_str())
        .urgent()
        .guard(row.guard())
        .detail("issuer", issuer)
        .detail("subject_there", subject)
        .detail("use", row.purpose())
        .row(row.named(Row::delete("person_link")));
    let done = context.commit(change).await?;
    Ok(LinkRow { entry_seq: done.recorded.seq, ..row })
}

/// All links.
///
/// # Errors
/// It is not allowed.
pub async fn links(context: &Context, caller: &Caller) -> Result<Vec<LinkRow>, Error> {
    let action = context.action("person.read", ResourceKind::Person, "*")?;
    context.allow(caller, action, None).await?;
    Ok(context.store.read(|reader| rows::links(reader, &context.namespace))?)
}
