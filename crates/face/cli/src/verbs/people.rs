//! `steward people`.

use clap::Subcommand;
use serde::Serialize;
use steward_wire::{
    AddPerson, CreateKey, CreatedKey, LinkList, LinkPerson, LinkRecord, PersonList, PersonRecord, UnlinkPerson,
};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, facts, shown, table},
    verbs::keys::LOGIN_LIFETIME_S,
};

/// What can be done about people.
#[derive(Debug, Subcommand)]
pub enum PeopleVerb {
    /// Enrol a person, and make the login key that they start with
    Add {
        /// Their name: letters, digits, hyphens
        name: String,
        /// viewer, operator, reviewer or admin; several are allowed
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
    },
    /// List everybody
    List,
    /// Link a person with somebody of a provider, who logs in as them from then on
    Link {
        /// Their name here
        name: String,
        /// The provider's address, as the node's configuration has it
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// The provider's name of them: `sub` of its tokens
        #[arg(long, value_name = "SUBJECT")]
        subject: String,
        /// For a service, which comes with the provider's tokens, and not for logging in
        #[arg(long)]
        service: bool,
    },
    /// Take a link away: no key and no token that stood on it is good any more
    Unlink {
        /// Their name here
        name: String,
        /// The provider's address
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// The provider's name of them
        #[arg(long, value_name = "SUBJECT")]
        subject: String,
    },
    /// List who is linked with whom
    Links,
    /// Disable a person: none of their keys is good any more
    Disable {
        /// Their name
        name: String,
    },
}

/// The shape of `people add --json`: two answers of the node.
#[derive(Serialize)]
struct Added {
    person: PersonRecord,
    login_key: CreatedKey,
}

pub(crate) async fn carry_out(session: &mut Session, verb: PeopleVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        PeopleVerb::Add { name, roles } => {
            let person = caller.add_person(&AddPerson { name, roles }).await?;
            let key = CreateKey {
                person: Some(person.name.clone()),
                label: "first login".to_owned(),
                scopes: vec!["login".to_owned()],
                lifetime_s: Some(LOGIN_LIFETIME_S),
                single_use: true,
                ..CreateKey::default()
            };
            let login_key = caller.create_key(&key).await.map_err(|error| {
                let again = session
                    .command(&format!("key create --person {} --label login --scope login --single-use", person.name));
                let mut failure = Failure::from(error);
                failure.message = format!("{} is enrolled, but has no login key: {}", person.name, failure.message);
                failure.hint(again)
            })?;
            let command = format!("steward --node {} login --key-stdin", caller.address());
            session.show.answer(&Added { person, login_key }, added_view)?;
            session.show.aside(&format!("They log in with `{command}`, and paste the key."));
            Ok(())
        }
        PeopleVerb::Link { name, issuer, subject, service } => {
            let link = LinkPerson { issuer, subject, service };
            session.show.answer(&caller.link_person(&name, &link).await?, link_view)
        }
        PeopleVerb::Unlink { name, issuer, subject } => {
            let link = UnlinkPerson { issuer, subject };
            session.show.answer(&caller.unlink_person(&name, &link).await?, link_view)
        }
        PeopleVerb::Links => session.show.answer(&caller.links().await?, links_view),
        PeopleVerb::List => session.show.answer(&caller.people().await?, list_view),
        PeopleVerb::Disable { name } => session.show.answer(&caller.disable_person(&name).await?, person_view),
    }
}

fn added_view(added: &Added, looks: Looks) -> String {
    let person = facts(
        looks,
        [
            ("enrolled", Word::new(&added.person.name, Ink::Bold)),
            ("roles", added.person.roles.join(", ").into()),
            ("login key", Word::new(&added.login_key.secret, Ink::Warn)),
        ],
    );
    format!(
        "{person}{}\n",
        looks.ink(
            Ink::Dim,
            &format!("The key is shown this once, is good once, until {}.", shown(&added.login_key.key.expires_at))
        )
    )
}

fn person_view(person: &PersonRecord, looks: Looks) -> String {
    facts(
        looks,
        [
            ("name", Word::new(&person.name, Ink::Bold)),
            ("namespace", (&person.namespace).into()),
            ("roles", person.roles.join(", ").into()),
            ("status", Word::state(&person.status)),
            ("added", (&person.added_at).into()),
            ("entry", person.entry.to_string().into()),
        ],
    )
}

fn link_view(link: &LinkRecord, looks: Looks) -> String {
    facts(
        looks,
        [
            ("person", Word::new(&link.person, Ink::Bold)),
            ("issuer", (&link.issuer).into()),
            ("subject", (&link.subject).into()),
            ("for", (&link.purpose).into()),
            ("linked by", (&link.linked_by).into()),
            ("linked", (&link.linked_at).into()),
            ("id", (&link.id).into()),
            ("entry", link.entry.to_string().into()),
        ],
    )
}

fn links_view(list: &LinkList, looks: Looks) -> String {
    let rows = list.links.iter().map(|link| {
        [
            Word::from(&link.person),
            (&link.purpose).into(),
            (&link.issuer).into(),
            (&link.subject).into(),
            (&link.linked_by).into(),
            looks.time(&link.linked_at),
        ]
    });
    table(looks, ["person", "for", "issuer", "subject", "linked by", "linked"], rows)
}

fn list_view(list: &PersonList, looks: Looks) -> String {
    let rows = list.people.iter().map(|p| {
        [
            Word::from(&p.name),
            p.roles.join(", ").into(),
            Word::state(&p.status),
            looks.time(&p.added_at),
            p.entry.to_string().into(),
        ]
    });
    table(looks, ["name", "roles", "status", "added", "entry"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{CreatedKey, KeyRecord, PersonList, PersonRecord};

    use super::{Added, added_view, list_view};
    use crate::show::Looks;

    fn rita(name: &str) -> PersonRecord {
        PersonRecord {
            name: name.into(),
            namespace: "acme.internal".into(),
            roles: vec!["reviewer".into(), "viewer".into()],
            status: "active".into(),
            added_at: "2026-11-20T20:14:27.123Z".into(),
            entry: 7,
        }
    }

    #[test]
    fn a_list_is_aligned_and_shows_no_tricks() {
        let list = PersonList { people: vec![rita("rita"), rita("o\u{1b}[2J\u{202e}li\nvia")] };
        expect![[r#"
            name                       roles             status  added                     entry
            rita                       reviewer, viewer  active  2026-11-20T20:14:27.123Z  7
            o\u{1b}[2J\u{202e}li\nvia  reviewer, viewer  active  2026-11-20T20:14:27.123Z  7
        "#]]
        .assert_eq(&list_view(&list, Looks::default()));
    }

    #[test]
    fn a_new_person_comes_with_a_login_key() {
        let key = KeyRecord {
            id: "key_1".into(),
            holder: "rita@acme.internal".into(),
            holder_kind: "person".into(),
            label: "first login".into(),
            scopes: vec!["login".into()],
            single_use: true,
            status: "active".into(),
            created_at: String::new(),
            expires_at: "2026-11-21T20:14:27.123Z".into(),
            entry: 8,
        };
        let added = Added { person: rita("rita"), login_key: CreatedKey { key, secret: "stw_once".into() } };
        expect![[r#"
            enrolled   rita
            roles      reviewer, viewer
            login key  stw_once
            The key is shown this once, is good once, until 2026-11-21T20:14:27.123Z.
        "#]]
        .assert_eq(&added_view(&added, Looks::default()));
    }
}
