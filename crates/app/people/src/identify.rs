//! The door at which a token of an issuer becomes a caller.

use std::sync::Arc;

use steward_app_node::{Caller, Context, Error, Kind, Through, code};
use steward_identity::{KeySet, Known, Proven, Purpose, Token, TokenError, TokenIssuer};
use steward_ledger::kind;
use steward_naming::{TraceId, visible};
use steward_permit::{KeyUse, ResourceKind, Scope};
use steward_store::{Guard, Row, key};

use crate::{
    authenticate::actor_of,
    holder::Holder,
    keys::{Created, NewKey, draft},
    rows::{self, KeyRow},
};

/// Reads and checks a token of an issuer. Asks the issuer for its keys, if those that are known will not do; that is permitted and
/// recorded before it is done.
///
/// # Errors
/// The token is not believed, or the issuer's keys cannot be had.
pub async fn identify(context: &Context, text: &str, purpose: Purpose<'_>) -> Result<Proven, Error> {
    let token = Token::read(text).map_err(|e| refused(&e))?;
    let issuer = context.issuers.of(&token).map_err(|e| refused(&e))?;
    // First what costs nothing: a token that is none of ours makes nobody ask.
    issuer.expect(&token, purpose, context.now()).map_err(|e| refused(&e))?;
    let keys = keys(context, issuer, token.kid()).await?;
    issuer.prove(&token, &keys, purpose, context.now()).map_err(|e| refused(&e))
}

fn refused(error: &TokenError) -> Error {
    Error::new(Kind::Unauthenticated, code::TOKEN_REFUSED, format!("this token is not believed: {error}"))
}

async fn keys(context: &Context, issuer: &TokenIssuer, kid: Option<&str>) -> Result<Arc<KeySet>, Error> {
    let unavailable = || {
        let message =
            format!("the keys of `{}` cannot be had now; the node's log says why: try again in a minute", issuer.url());
        Error::new(Kind::Unavailable, code::ISSUER_UNAVAILABLE, message)
    };
    let turn = match issuer.keys(kid, context.now()).await {
        Known::Keys(keys) => return Ok(keys),
        Known::NoSuchKey => return Err(refused(&TokenError::Key)),
        Known::Unreachable => return Err(unavailable()),
        Known::Ask(turn) => turn,
    };
    let node = Caller::node(&context.namespace);
    let action = issuer.action(&context.namespace)?;
    let recorded = async {
        let granted = context.permit(&node, action.clone(), None).await?;
        // Who comes with a token may come to halt the node, in a store that is full.
        let change = context.change(&node, granted, kind::ISSUER_ASKED, issuer.url()).urgent();
        Ok::<_, Error>(context.commit(change).await?.warrant)
    };
    let asked = match recorded.await {
        Ok(warrant) => turn.ask(warrant, &action, context.now()).await,
        Err(error) => Err(error.to_string()),
    };
    asked.or_else(|why| {
        tracing::warn!(issuer = issuer.url(), why, "the keys of an issuer could not be had");
        turn.kept(context.now()).ok_or_else(unavailable)
    })
}

/// Nobody is who the issuer says it is.
pub(crate) fn not_linked(issuer: &str, subject: &str) -> Error {
    let message = format!(
        "nobody of this node is linked with `{}` of `{}` for this; an administrator does that with `steward people link`",
        visible(subject),
        visible(issuer)
    );
    Error::new(Kind::Unauthenticated, code::NOT_LINKED, message)
}

/// Who somebody is here of whom an issuer said who they are there. What was loaded is guarded until the caller's change is written, so that
/// whoever unlinks or disables them in between wins.
///
/// # Errors
/// Nobody is linked with them for that; that person is disabled; or the token has ended meanwhile.
pub fn caller_of(context: &Context, proven: &Proven, trace: Option<TraceId>) -> Result<Caller, Error> {
    if context.now() >= proven.expires_at() {
        return Err(refused(&TokenError::Ended));
    }
    let nobody = || not_linked(proven.issuer(), proven.subject());
    let (link, person) = context.store.read(|reader| {
        let link = rows::link(reader, &context.namespace, proven.issuer(), proven.subject())?;
        let person = match &link {
            Some(link) => rows::person(reader, &context.namespace, &link.person)?,
            None => None,
        };
        Ok::<_, Error>((link, person))
    })?;
    let link = link.filter(|link| link.is_service != proven.is_login()).ok_or_else(nobody)?;
    let issuer = context.issuers.named(proven.issuer()).ok_or_else(nobody)?;
    let person = person.filter(|person| person.active).ok_or_else(|| {
        let message = "whom this token is linked with is disabled; ask an administrator";
        Error::new(Kind::Unauthenticated, code::HOLDER_DISABLED, message)
    })?;
    // To policy it is a key: of a service one with the issuer's scopes, of a person one that is good for logging in.
    let scopes = if proven.is_login() { vec![Scope::Login] } else { issuer.scopes().to_vec() };
    Ok(Caller {
        actor: actor_of(&person),
        key: Some(KeyUse { id: link.id.clone(), scopes }),
        run: None,
        trace,
        chain: Vec::new(),
        joins: None,
        through: Some(Box::new(Through { issuer: link.issuer.clone(), subject: link.subject.clone() })),
        guards: vec![link.guard(), person.guard()],
        spend: None,
    })
}

/// Exchanges an ID token for a key, once: that it was exchanged is kept in the same transaction.
///
/// # Errors
/// It was exchanged already, or it is not allowed.
pub async fn exchange_token(
    context: &Context,
    caller: &Caller,
    proven: &Proven,
    label: String,
) -> Result<Created, Error> {
    let token = proven.token().to_string();
    if context.store.read(|reader| rows::is_spent(reader, &context.namespace, &token))? {
        let message = "this log-in was used already: an ID token is good for one; log in again";
        return Err(Error::new(Kind::Unauthenticated, code::TOKEN_USED, message));
    }
    let issuer = context.issuers.named(proven.issuer()).ok_or_else(|| not_linked(proven.issuer(), proven.subject()))?;
    let holder = Holder::of(caller)?;
    let (owner, person) = (holder.full_name(context), holder.name());
    let lifetime_s = issuer.login_lifetime_s();
    let new = NewKey { holder, holder_guard: None, label, scopes: vec![Scope::All], lifetime_s, single_use: false };
    let created = draft(context, new, caller.through.as_deref())?;
    let action = context.action("key.exchange", ResourceKind::Key, created.key.id.as_str())?;
    let granted = context.permit(caller, action, Some(owner)).await?;
    let spent = Row::put("login_token")
        .text("namespace", context.namespace.as_str())
        .text("token", token.as_str())
        .text("issuer", proven.issuer())
        .text("subject", proven.subject())
        .text("person", person)
        .text("expires_at", proven.expires_at().to_string());
    let absent = key([("namespace", context.namespace.as_str()), ("token", token.as_str())]);
    let change = context
        .change(caller, granted, kind::KEY_EXCHANGED, created.key.id.as_str())
        .guard(Guard::absent("login_token", absent))
        .row(created.key.row())
        .row(spent);
    let done = context.commit(change).await?;
    Ok(Created { key: KeyRow { entry_seq: done.recorded.seq, ..created.key }, secret: created.secret })
}
