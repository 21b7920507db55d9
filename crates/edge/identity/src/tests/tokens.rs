//! What is believed, and every lie that is not.

use expect_test::expect;
use serde_json::{Value, json};

use super::{
    NOW, URL, b64, header, id_token, issuer, issuers, jwk, keys, minted, now, prove, raw, service, signer, with,
};
use crate::{MAX_TOKEN_BYTES, Purpose, Token, TokenError, looks_like_token};

fn of_service(claims: &Value) -> Result<String, TokenError> {
    prove(&minted(&header(), claims), Purpose::Service).map(|proven| proven.subject().to_owned())
}

fn of_login(claims: &Value, proof: Option<&str>) -> Result<String, TokenError> {
    prove(&minted(&header(), claims), Purpose::Login(proof)).map(|proven| proven.subject().to_owned())
}

#[test]
fn what_an_issuer_says_is_believed() {
    let proven = prove(&minted(&header(), &service()), Purpose::Service).expect("it is good");
    assert_eq!((proven.issuer(), proven.subject(), proven.is_login()), (URL, "ci", false));
    assert_eq!(proven.expires_at().to_string(), "2026-11-20T09:11:00.000Z", "with the leeway");
    for claims in [
        with(&service(), json!({"aud": ["x", "https://node.example.org"]})),
        with(&service(), json!({"iat": null})),
        with(&service(), json!({"iat": NOW as f64 - 0.5, "exp": NOW as f64 + 9.5})),
        with(&service(), json!({"nbf": NOW + 60, "groups": ["a", {"b": [1, 2.5, null]}]})),
        with(&service(), json!({"exp": NOW - 59})),
    ] {
        assert_eq!(of_service(&claims).as_deref(), Ok("ci"), "{claims}");
    }
    for typ in ["JWT", "at+jwt", "application/at+jwt", "jwt"] {
        let header = with(&header(), json!({ "typ": typ }));
        assert!(prove(&minted(&header, &service()), Purpose::Service).is_ok(), "{typ}");
    }
    // Keys that a token brings along are neither looked at nor in the way.
    let brings =
        with(&header(), json!({"jwk": jwk("one", &signer(9)), "x5t": "x", "jku": "https://evil.example/keys"}));
    assert!(prove(&minted(&brings, &service()), Purpose::Service).is_ok());
    assert!(
        looks_like_token(&minted(&header(), &service())) && !looks_like_token("stw_a.b.c") && !looks_like_token("x")
    );
}

#[test]
fn an_id_token_is_a_log_in_and_nothing_else() {
    assert_eq!(of_login(&id_token(), None).as_deref(), Ok("248289761001"));
    assert_eq!(of_service(&id_token()), Err(TokenError::Audience), "no service comes in with a person's log-in");
    assert_eq!(of_login(&service(), None), Err(TokenError::Audience), "and nobody logs in with a service's token");
    let both = json!({"aud": ["steward", "https://node.example.org"]});
    assert_eq!(of_service(&with(&service(), both.clone())), Err(TokenError::Audience), "one for both is for none");
    assert_eq!(of_login(&with(&id_token(), both), None), Err(TokenError::Audience), "without saying whose it is");
    for (azp, aud, good) in [
        ("steward", json!(["steward", "other"]), true),
        ("other", json!(["steward", "other"]), false),
        ("other", json!("steward"), false),
        ("steward", json!("steward"), true),
        ("steward", json!("other"), false),
    ] {
        let claims = with(&id_token(), json!({"azp": azp, "aud": aud}));
        assert_eq!(of_login(&claims, None).is_ok(), good, "{claims}");
    }
    let access = with(&header(), json!({"typ": "at+jwt"}));
    let refused = prove(&minted(&access, &id_token()), Purpose::Login(None));
    assert_eq!(refused, Err(TokenError::Type("at+jwt".to_owned())), "an access token is no log-in");
    for typ in ["logout+jwt", "dpop+jwt", ""] {
        let header = with(&header(), json!({ "typ": typ }));
        for (claims, purpose) in [(service(), Purpose::Service), (id_token(), Purpose::Login(None))] {
            assert!(matches!(prove(&minted(&header, &claims), purpose), Err(TokenError::Type(_))), "{typ}");
        }
    }
}

#[test]
fn whoever_has_the_id_token_alone_does_not_log_in() {
    // base64url of SHA-256 of `proof`: what RFC 7636 calls S256.
    let bound = with(&id_token(), json!({"nonce": b64(steward_seal::Digest::of(b"proof").as_bytes())}));
    assert!(of_login(&bound, Some("proof")).is_ok());
    for wrong in [None, Some(""), Some("Proof"), Some("proof ")] {
        assert_eq!(of_login(&bound, wrong), Err(TokenError::Nonce), "{wrong:?}");
    }
    let plain = with(&id_token(), json!({"nonce": "proof"}));
    assert_eq!(of_login(&plain, Some("proof")), Err(TokenError::Nonce), "the nonce itself proves nothing");
}

#[test]
fn its_time_is_now() {
    for (claims, error) in [
        (json!({"exp": null}), TokenError::Missing("exp")),
        (json!({"exp": NOW - 60}), TokenError::Ended),
        (json!({"exp": 0}), TokenError::Ended),
        (json!({"nbf": NOW + 61}), TokenError::Early),
        (json!({"iat": NOW + 61}), TokenError::Early),
        (json!({"exp": NOW + 3600}), TokenError::TooLong),
        (json!({"exp": NOW + 3601, "iat": null}), TokenError::TooLong),
        // It does not begin later by saying so.
        (json!({"exp": NOW + 3630, "iat": NOW + 60}), TokenError::TooLong),
        (json!({"sub": null}), TokenError::Missing("sub")),
        (json!({"iss": null}), TokenError::UnknownIssuer),
        (json!({"iss": "https://id.example.org/"}), TokenError::UnknownIssuer),
        (json!({"aud": null}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"aud": "https://node.example.org/"}), TokenError::Audience),
        (json!({"aud": "HTTPS://node.example.org"}), TokenError::Audience),
    ] {
        assert_eq!(of_service(&with(&service(), claims.clone())), Err(error), "{claims}");
    }
    for (claims, error) in [
        (json!({"iat": null}), TokenError::Missing("iat")),
        (json!({"iat": NOW - 660}), TokenError::Old),
        (json!({"exp": null}), TokenError::Missing("exp")),
        (json!({"exp": NOW - 60}), TokenError::Ended),
    ] {
        assert_eq!(of_login(&with(&id_token(), claims.clone()), None), Err(error), "{claims}");
    }
    assert!(of_login(&with(&id_token(), json!({"iat": NOW - 659})), None).is_ok());
}

#[test]
fn an_algorithm_is_chosen_by_the_key_and_not_by_the_token() {
    let claims = service().to_string();
    for alg in ["none", "None", "NONE", "HS256", "HS512", "ES384", "RS512", "RS1", "Ed448", "eddsa", "", "dir"] {
        let token = raw(&json!({"alg": alg, "kid": "one"}).to_string(), &claims, &signer(1));
        assert!(matches!(Token::read(&token), Err(TokenError::Algorithm(_))), "{alg}");
    }
    assert!(matches!(Token::read(&raw("{}", &claims, &signer(1))), Err(TokenError::Missing("alg"))));
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(&claims));
    assert!(matches!(Token::read(&unsigned), Err(TokenError::Algorithm(_))));
    // The public key of one kind as the secret, or as the key, of another.
    for alg in ["ES256", "RS256", "PS256"] {
        let token = raw(&json!({"alg": alg, "kid": "one"}).to_string(), &claims, &signer(1));
        assert_eq!(prove(&token, Purpose::Service), Err(TokenError::Key), "{alg}");
        let token = raw(&json!({"alg": alg}).to_string(), &claims, &signer(1));
        assert_eq!(prove(&token, Purpose::Service), Err(TokenError::Key), "{alg} without a name");
    }
    let narrow = super::IssuerSettings { algorithms: vec!["RS256".to_owned()], ..super::settings() };
    let all = crate::Issuers::parse(&[narrow]).expect("it can be meant");
    let token = Token::read(&minted(&header(), &service())).expect("it reads");
    let proven = issuer(&all).prove(&token, &keys(&[jwk("one", &signer(1))]), Purpose::Service, now());
    assert_eq!(proven, Err(TokenError::Algorithm("EdDSA".to_owned())));
}

#[test]
fn the_key_is_the_issuers() {
    let all = issuers();
    let two = keys(&[jwk("one", &signer(1)), jwk("two", &signer(2))]);
    let check = |token: &str| {
        let token = Token::read(token).expect("it reads");
        issuer(&all).prove(&token, &two, Purpose::Service, now()).map(|_| ())
    };
    let claims = service().to_string();
    assert_eq!(check(&raw(r#"{"alg":"EdDSA","kid":"two"}"#, &claims, &signer(2))), Ok(()));
    assert_eq!(check(&raw(r#"{"alg":"EdDSA","kid":"one"}"#, &claims, &signer(2))), Err(TokenError::Signature));
    assert_eq!(check(&raw(r#"{"alg":"EdDSA","kid":"three"}"#, &claims, &signer(1))), Err(TokenError::Key));
    assert_eq!(
        check(&raw(r#"{"alg":"EdDSA"}"#, &claims, &signer(1))),
        Err(TokenError::Key),
        "one of two is not guessed"
    );
    // Brought along, and named as if it were the issuer's.
    let brings = json!({"alg": "EdDSA", "kid": "one", "jwk": jwk("one", &signer(7))}).to_string();
    assert_eq!(check(&raw(&brings, &claims, &signer(7))), Err(TokenError::Signature));
    // Changed after it was signed.
    let good = raw(r#"{"alg":"EdDSA","kid":"one"}"#, &claims, &signer(1));
    let parts: Vec<&str> = good.split('.').collect();
    let admin = b64(claims.replace("\"ci\"", "\"root\""));
    assert_eq!(check(&format!("{}.{admin}.{}", parts[0], parts[2])), Err(TokenError::Signature));
    assert_eq!(check(&format!("{}.{}.", parts[0], parts[1])), Err(TokenError::Signature));
    let cut = b64(&signer(1).sign(format!("{}.{}", parts[0], parts[1]).as_bytes())[..63]);
    assert_eq!(check(&format!("{}.{}.{cut}", parts[0], parts[1])), Err(TokenError::Signature));
}

#[test]
fn what_must_be_understood_and_is_not() {
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
    ] {
        let header = with(&header(), json!({ name: value }));
        assert_eq!(Token::read(&minted(&header, &service())).err(), Some(TokenError::Extension(name)));
    }
}

#[test]
fn two_readers_read_the_same_or_nothing() {
    let good = minted(&header(), &service());
    let (signed, signature) = good.rsplit_once('.').expect("parts");
    let (head, body) = signed.split_once('.').expect("parts");
    let key = signer(1);
    let claims = service().to_string();
    let long = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{}\"}}", "k".repeat(1025));
    let lines: Vec<String> = [
        String::new(),
        "..".to_owned(),
        "a.b".to_owned(),
        format!("{good}.x"),
        format!("{good}="),
        format!("{head}=.{body}.{signature}"),
        format!("{head} .{body}.{signature}"),
        format!("{head}.{body}.+{signature}"),
        // The last digit holds bits that nobody reads.
        format!("{signed}.{}B", &signature[..signature.len() - 1]),
        raw(r#"{"alg":"EdDSA","alg":"none"}"#, &claims, &key),
        raw(r#"{"alg":"EdDSA","kid":"one"}"#, r#"{"sub":"ci","sub":"root"}"#, &key),
        raw(r#"{"alg":"EdDSA","kid":7}"#, &claims, &key),
        raw(&long, &claims, &key),
        raw(r#"["EdDSA"]"#, &claims, &key),
        raw(r#"{"alg":"EdDSA"} x"#, &claims, &key),
        raw(r#"{"alg":"EdDSA"}"#, "7", &key),
        raw(r#"{"alg":"EdDSA"}"#, "{\"sub\":\"\u{0}\"}", &key),
        raw(r#"{"alg":"EdDSA"}"#, r#"{"exp":"soon"}"#, &key),
        raw(r#"{"alg":"EdDSA"}"#, r#"{"exp":-1}"#, &key),
        raw(r#"{"alg":"EdDSA"}"#, r#"{"exp":1e300}"#, &key),
        raw(r#"{"alg":"EdDSA"}"#, r#"{"aud":[1]}"#, &key),
        raw(r#"{"alg":"EdDSA"}"#, r#"{"aud":{"a":1}}"#, &key),
        raw(r#"{"alg":"EdDSA"}"#, &json!({"aud": vec!["x"; 17]}).to_string(), &key),
        raw(r#"{"alg":"EdDSA"}"#, &format!("{}1{}", "[".repeat(40), "]".repeat(40)), &key),
        "x".repeat(MAX_TOKEN_BYTES + 1),
    ]
    .iter()
    .map(|text| match Token::read(text) {
        Ok(_) => panic!("{text} was read"),
        Err(error) => error.to_string().replace("it is not a signed token in its compact form: ", ""),
    })
    .collect();
    expect![[r#"
        it has no three parts
        its header: line 1, column 1: EOF while parsing a value
        it has no three parts
        it has more than three parts
        a part is not base64url without padding
        a part is not base64url without padding
        a part is not base64url without padding
        a part is not base64url without padding
        a part is not base64url without padding
        its header: line 1, column 20: the key `alg` is written twice
        its payload: line 1, column 17: the key `sub` is written twice
        `kid` is not a text
        `kid` is too long
        its header is not a JSON object
        its header: line 1, column 17: trailing characters
        its payload is not a JSON object
        its payload: line 1, column 9: control character (\u0000-\u001F) found while parsing a string
        `exp` is not a date in seconds
        `exp` is not a date in seconds
        `exp` is not a date in seconds
        `aud` has something that is no text
        `aud` is not a text
        `aud` has more than 16 audiences
        its payload: line 1, column 9: more than 8 levels of nesting
        it has more than 16384 bytes"#]]
    .assert_eq(&lines.join("\n"));
    for sub in ["", "a\nb", &"s".repeat(256)] {
        assert!(matches!(of_service(&with(&service(), json!({ "sub": sub }))), Err(TokenError::Malformed(_))), "{sub}");
    }
}

#[test]
fn a_token_is_spent_in_each_of_its_forms() {
    let token = Token::read(&minted(&header(), &id_token())).expect("it reads");
    let mut other = token.clone();
    other.signature.reverse();
    assert_eq!(token.digest(), other.digest(), "whatever its signature is: some have two that verify");
}
