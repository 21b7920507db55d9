//! `steward login --oidc`: logging in at a provider, by a browser or by a code that is typed on another machine.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use steward_caller::{Back, Caller, Chance, Provider, Secret, SignedIn};
use steward_wire::{CreatedKey, LoginIssuer, LoginToken};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, shown},
    verbs::login::LoginArgs,
};

/// Logs in at a provider that the node trusts, and has the node exchange what it says.
pub(crate) async fn by_provider(
    session: &mut Session,
    node: &Caller,
    args: &LoginArgs,
    label: String,
) -> Result<CreatedKey, Failure> {
    let issuer = chosen(node.login_issuers().await?.issuers, args.issuer.as_deref())?;
    let provider = Provider::discover(&issuer.url, &issuer.client, session.authorities()?.as_deref()).await?;
    let chance = Chance { verifier: drawn(session), state: drawn(session), proof: drawn(session) };
    let SignedIn { id_token, proof } = if args.device {
        typed(session, &provider, &chance).await?
    } else {
        browsed(session, &provider, &chance).await?
    };
    let login = LoginToken {
        id_token: id_token.expose().to_owned(),
        proof: proof.map(|proof| proof.expose().to_owned()),
        label,
    };
    Ok(node.login_by_token(&login).await?)
}

/// The provider that was named, or the only one.
fn chosen(mut issuers: Vec<LoginIssuer>, named: Option<&str>) -> Result<LoginIssuer, Failure> {
    let all: Vec<String> = issuers.iter().map(|issuer| shown(&issuer.url)).collect();
    let list = || format!("it trusts {}", all.join(", "));
    match named {
        Some(named) => issuers.into_iter().find(|issuer| issuer.url == named).ok_or_else(|| {
            Failure::refused(format!("nobody logs in to this node by `{}`", shown(named))).hint(if all.is_empty() {
                "it trusts no provider".to_owned()
            } else {
                list()
            })
        }),
        None if issuers.len() == 1 => Ok(issuers.remove(0)),
        None if issuers.is_empty() => Err(Failure::refused("nobody logs in to this node by a provider")
            .hint("its operator names one in `[[issuers]]` of steward.toml; or log in with a login key")),
        None => Err(Failure::misused("this node trusts several providers; name one with --issuer URL").hint(list())),
    }
}

/// 256 bits of chance as text.
fn drawn(session: &Session) -> Secret {
    let mut bytes = [0; 32];
    session.dice().fill(&mut bytes);
    Secret::new(&URL_SAFE_NO_PAD.encode(bytes))
}

async fn browsed(session: &mut Session, provider: &Provider, chance: &Chance) -> Result<SignedIn, Failure> {
    let back = Back::listen().await?;
    let address = provider.address(&back.address, chance)?;
    session.show.aside("Open this in a browser on this machine (with --device it may be any):");
    // In one piece, however wide the terminal is.
    session.show.aside_as(|looks| looks.ink(Ink::Bold, &shown(&address)));
    Ok(provider.finish(&back, chance).await?)
}

async fn typed(session: &mut Session, provider: &Provider, chance: &Chance) -> Result<SignedIn, Failure> {
    let code = provider.device(chance).await?;
    session.show.aside("Open this in a browser on any machine, and see that the code is this one:");
    let address = code.verification_uri_complete.as_ref().unwrap_or(&code.verification_uri);
    session.show.aside_as(|looks| {
        format!("{}\n{}", looks.ink(Ink::Bold, &shown(address)), looks.ink(Ink::Bold, &shown(&code.user_code)))
    });
    Ok(provider.typed(&code, chance).await?)
}

#[cfg(test)]
mod tests {
    use steward_wire::LoginIssuer;

    use super::chosen;

    #[test]
    fn the_provider_is_the_one_that_was_named_or_the_only_one() {
        let all = |urls: &[&str]| -> Vec<LoginIssuer> {
            urls.iter().map(|url| LoginIssuer { url: (*url).to_owned(), client: "steward".to_owned() }).collect()
        };
        let a = "https://a.example";
        for (known, named, expected) in [
            (all(&[a]), None, Some(a)),
            (all(&[a, "https://b.example"]), Some(a), Some(a)),
            (all(&[a, "https://b.example"]), None, None),
            (all(&[a]), Some("https://evil.example"), None),
            (all(&[]), None, None),
            (all(&[]), Some(a), None),
        ] {
            assert_eq!(chosen(known, named).ok().map(|issuer| issuer.url).as_deref(), expected, "{named:?}");
        }
    }
}
