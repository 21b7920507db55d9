//! Digests, fingerprints and key files against the tools of others.

use proptest::prelude::*;
use steward_seal::{Digest, KeyError, SigningKey, VerifyingKey};

use crate::{hex32, signing_key};

/// RFC 8410, section 10.3: the private key, without and with its public key and an attribute.
const RFC_8410_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const RFC_8410_WITH_PUBLIC: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";
/// RFC 8410, section 10.1.
const RFC_8410_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
/// What `openssl pkey -pubin -outform DER | sha256sum` (OpenSSL 3.0.19) says of that public key.
const RFC_8410_FINGERPRINT: &str = "sha256:a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f";

/// We write the form without the public key: OpenSSL 3.0 does not read the other.
#[test]
fn the_examples_of_rfc_8410() {
    let key = SigningKey::from_pkcs8_pem(RFC_8410_PRIVATE).expect("the RFC's key");
    assert_eq!(*key.to_pkcs8_pem(), RFC_8410_PRIVATE);
    assert_eq!(key.verifying_key().to_spki_pem(), RFC_8410_PUBLIC);
    assert_eq!(key.verifying_key().fingerprint().to_string(), RFC_8410_FINGERPRINT);
    assert_eq!(RFC_8410_FINGERPRINT.parse(), Ok(key.verifying_key().fingerprint()));
    assert_eq!(VerifyingKey::from_spki_pem(RFC_8410_PUBLIC), Ok(key.verifying_key()));
    assert_eq!(format!("{key:?}"), "SigningKey(***)");
}

/// A public key beside the private one is compared with it, and not written again.
#[test]
fn a_private_key_with_a_public_key() {
    let key = SigningKey::from_pkcs8_pem(RFC_8410_WITH_PUBLIC).expect("the RFC's second form");
    assert_eq!(*key.to_pkcs8_pem(), RFC_8410_PRIVATE);
    let seed = hex32("d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842");
    let public = *signing_key(&seed).verifying_key().as_bytes();
    let with_public = |public: &[u8; 32]| {
        let der = [
            &[0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..],
            &seed,
            &[0x81, 0x21, 0],
            public,
        ]
        .concat();
        pem("PRIVATE KEY", &der)
    };
    let key = SigningKey::from_pkcs8_pem(&with_public(&public)).expect("the public key fits");
    assert_eq!(*key.to_pkcs8_pem(), RFC_8410_PRIVATE);
    let other = *signing_key(&[1; 32]).verifying_key().as_bytes();
    assert!(
        SigningKey::from_pkcs8_pem(&with_public(&other)).is_err(),
        "signing with a false public key gives the private one away"
    );
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn what_is_not_such_a_key_is_refused() {
    for text in [
        "",
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
        RFC_8410_PUBLIC,
        &RFC_8410_PRIVATE.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        &RFC_8410_PRIVATE.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vx"), // Ed448
        &RFC_8410_PRIVATE.replace("dVhC", "dVh="),
        &RFC_8410_PRIVATE.replace("-----END PRIVATE KEY-----\n", ""),
    ] {
        assert!(SigningKey::from_pkcs8_pem(text).is_err(), "{text}");
    }
    for text in ["", RFC_8410_PRIVATE, &RFC_8410_PUBLIC.replace("MCowBQYDK2Vw", "MCowBQYDK2Vu")] {
        assert!(VerifyingKey::from_spki_pem(text).is_err(), "{text}");
    }
    let spki = |key: [u8; 32]| {
        pem("PUBLIC KEY", &[&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &key].concat())
    };
    assert!(VerifyingKey::from_spki_pem(&spki(*signing_key(&[1; 32]).verifying_key().as_bytes())).is_ok());
    assert_eq!(VerifyingKey::from_spki_pem(&spki([0; 32])), Err(KeyError::Weak), "a file is an enrolment too");
}

/// FIPS 180-4's examples.
#[test]
fn digests() {
    for (message, digest) in [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        let written = format!("sha256:{digest}");
        assert_eq!(Digest::of(message.as_bytes()).to_string(), written);
        assert_eq!(written.parse(), Ok(Digest::of(message.as_bytes())));
        assert_eq!(Digest::from_bytes(hex32(digest)), Digest::of(message.as_bytes()));
        assert_eq!(serde_json::to_string(&Digest::of(message.as_bytes())).expect("text"), format!("\"{written}\""));
    }
    let million = vec![b'a'; 1_000_000];
    assert_eq!(
        Digest::of(&million).to_string(),
        "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    );
}

#[test]
fn a_digest_has_one_spelling() {
    let good = Digest::of(b"").to_string();
    for text in [
        String::new(),
        good[7..].to_owned(),
        good.to_uppercase(),
        good.replace("sha256", "SHA256"),
        good.replace("e3", "E3"),
        good.replace(':', "-"),
        format!("{good}0"),
        format!("{good}00"),
        format!(" {good}"),
        format!("{good}\n"),
        good[..good.len() - 1].to_owned(),
        good[..good.len() - 2].to_owned(),
        good.replace("e3", "+3"),
        good.replace("e3", "é"),
        good.replace("sha256", "sha512"),
    ] {
        assert!(text.parse::<Digest>().is_err(), "{text:?}");
        assert!(serde_json::from_value::<Digest>(text.clone().into()).is_err(), "{text:?}");
        assert!(text.parse::<steward_seal::Fingerprint>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_key_survives_its_file(seed in any::<[u8; 32]>(), message in any::<Vec<u8>>()) {
        let key = signing_key(&seed);
        let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).expect("just written");
        prop_assert_eq!(again.sign(&message), key.sign(&message));
        let public = key.verifying_key();
        prop_assert_eq!(VerifyingKey::from_spki_pem(&public.to_spki_pem()), Ok(public.clone()));
        prop_assert_eq!(VerifyingKey::from_bytes(public.as_bytes()), Ok(public.clone()));
        prop_assert_eq!(public.fingerprint().to_string().parse(), Ok(public.fingerprint()));
        prop_assert_eq!(public.verify(&message, &key.sign(&message)), Ok(()));
    }
}
