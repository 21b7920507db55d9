//! Signed notes: the published example, the crate `signed_note` as an oracle, and what the door refuses.

use expect_test::expect;
use proptest::prelude::*;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use steward_seal::{
    SigningKey,
    note::{self, NoteError, NoteKey},
};

use crate::{hex32, signing_key};

/// The example of the documentation of the format's first implementation (Go's `sumdb/note`).
const EXAMPLE_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const EXAMPLE_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const EXAMPLE_SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn example_key() -> NoteKey {
    EXAMPLE_KEY.parse().expect("the example's key")
}

fn example_with(signatures: &str) -> String {
    format!("{EXAMPLE_TEXT}\n{signatures}")
}

#[track_caller]
fn refused_as_malformed(note: impl AsRef<[u8]>) {
    let refused = note::open(note.as_ref(), &example_key()).expect_err("refused");
    assert!(matches!(refused, NoteError::Malformed(_)), "{refused}");
}

#[test]
fn the_published_example() {
    let key = example_key();
    assert_eq!((key.name(), hex::encode(key.id())), ("PeterNeumann", "c74f20a3".to_owned()));
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let sealed = note::open(example_with(EXAMPLE_SIGNATURE).as_bytes(), &key).expect("the example verifies");
    assert_eq!(sealed.get(), EXAMPLE_TEXT);
    assert_eq!(*sealed.signer(), key.key().fingerprint());
    // The example's private key is published too.
    let signing = signing_key(&hex32("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173"));
    assert_eq!(
        note::sign(EXAMPLE_TEXT, "PeterNeumann", &signing).as_deref(),
        Ok(example_with(EXAMPLE_SIGNATURE).as_str())
    );
}

#[test]
fn golden() {
    let key = signing_key(&[7; 32]);
    let note = note::sign("steward.example/log\n1\nAAAA\n", "steward.example/log", &key).expect("well formed");
    expect![[r#"
        steward.example/log
        1
        AAAA

        — steward.example/log R8klMFzpek5SfgAIMfB5R0ksK9gXVJlT6967jsJoIvrD+F0aZurM99z3tvzYWuC39Omp5ZAYAwynDqRa7AtASVPrJAk=
    "#]].assert_eq(&note);
    let verifier = NoteKey::new("steward.example/log", key.verifying_key()).expect("a good name");
    expect!["steward.example/log+47c92530+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"]
        .assert_eq(&verifier.to_string());
    assert_eq!(verifier.to_string().parse(), Ok(verifier.clone()));
    assert!(note::open(note.as_bytes(), &verifier).is_ok());
}

#[test]
fn signatures_of_others_are_passed_over() {
    let enoch = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
    // The same name with another id is another key; what it signed is not ours to judge.
    let namesake = "\u{2014} PeterNeumann AAAAAAAA\n";
    for signatures in [
        format!("{enoch}{EXAMPLE_SIGNATURE}"),
        format!("{EXAMPLE_SIGNATURE}{enoch}"),
        format!("{namesake}{EXAMPLE_SIGNATURE}"),
        format!("{EXAMPLE_SIGNATURE}{EXAMPLE_SIGNATURE}"),
        format!("{}{EXAMPLE_SIGNATURE}", enoch.repeat(99)),
    ] {
        assert!(note::open(example_with(&signatures).as_bytes(), &example_key()).is_ok(), "{signatures}");
    }
    for signatures in [enoch, namesake] {
        let refused = note::open(example_with(signatures).as_bytes(), &example_key());
        assert_eq!(refused.err(), Some(NoteError::NotSigned("PeterNeumann".to_owned())));
    }
    refused_as_malformed(example_with(&format!("{}{EXAMPLE_SIGNATURE}", enoch.repeat(100))));
}

#[test]
fn a_wrong_signature_of_the_right_key_is_not_passed_over() {
    let wrong = EXAMPLE_SIGNATURE.replace("/ZJkuBS9", "/ZJkuBS8");
    for signatures in [wrong.clone(), format!("{wrong}{EXAMPLE_SIGNATURE}")] {
        let refused = note::open(example_with(&signatures).as_bytes(), &example_key());
        assert_eq!(refused.err(), Some(NoteError::Signature { name: "PeterNeumann".to_owned() }));
    }
    let changed = example_with(EXAMPLE_SIGNATURE).replace("answer", "Answer");
    assert!(matches!(note::open(changed.as_bytes(), &example_key()), Err(NoteError::Signature { .. })));
    let longer = format!("one more line\n{}", example_with(EXAMPLE_SIGNATURE));
    assert!(matches!(note::open(longer.as_bytes(), &example_key()), Err(NoteError::Signature { .. })));
}

#[test]
fn malformed_notes() {
    let good = example_with(EXAMPLE_SIGNATURE);
    let body = EXAMPLE_SIGNATURE.trim_end().rsplit_once(' ').expect("three words").1;
    for note in [
        String::new(),
        "\n".to_owned(),
        "\n\n".to_owned(),
        EXAMPLE_TEXT.to_owned(),
        example_with(""),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        format!("{good}\n\n"),
        format!("{good} "),
        format!("{good}not a signature\n"),
        format!("not a signature\n{good}").replace("\n\n", "\n"),
        good.replace("\n\n", "\n"),
        good.replace('\n', "\r\n"),
        good.replace("\n\n", "\n \n"),
        good.replace('\u{2014}', "-"),
        good.replace("\u{2014} ", "\u{2014}"),
        good.replace("\u{2014} ", "\u{2014}  "),
        good.replace("PeterNeumann ", "PeterNeumann  "),
        good.replace("PeterNeumann ", "PeterNeumann\t"),
        good.replace("PeterNeumann ", "Peter Neumann "),
        good.replace("PeterNeumann ", "Peter+Neumann "),
        good.replace("PeterNeumann ", "Peter\u{a0}Neumann "),
        good.replace("PeterNeumann ", "Peter\u{1}Neumann "),
        good.replace("PeterNeumann ", ""),
        good.replace("nAM=", "nAM"),
        good.replace("nAM=", "nAM=="),
        good.replace("nAM=", "nAN="),
        good.replace("nAM=", "nAM= "),
        good.replace('/', "_"),
        good.replace(body, ""),
        good.replace(body, "x08gow=="),
        good.replace("answer", "an\u{0}swer"),
        good.replace("answer", "an\u{1b}swer"),
        good.replace("answer", "an\tswer"),
        good.replace("answer", "an\rswer"),
        format!("{}{good}", "x".repeat(note::MAX_NOTE_BYTES)),
    ] {
        refused_as_malformed(note);
    }
    refused_as_malformed([&b"\xff"[..], good.as_bytes()].concat());
    // Other texts than ASCII are texts; the last blank line is the one that counts.
    let key = signing_key(&[7; 32]);
    let verifier = NoteKey::new("x", key.verifying_key()).expect("a good name");
    for text in ["\n", "\n\n", "größe\u{7f}\u{85}\u{2028}\n", "a\n\nb\n", "a\n\n\u{2014} x AAAAAAAA\n"] {
        let note = note::sign(text, "x", &key).expect("well formed");
        assert_eq!(note::open(note.as_bytes(), &verifier).expect("just signed").get(), text);
    }
    for text in ["", "a", "a\n\nb", "\t\n", "a\r\n", "a\0\n"] {
        assert!(matches!(note::sign(text, "x", &key), Err(NoteError::Malformed(_))), "{text:?}");
    }
}

#[test]
fn malformed_keys() {
    for text in [
        "",
        "+",
        "++",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a3+!",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+0c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", // algorithm 2
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq_LDE4izWy10TW",
        "weak+a8d9e3f1+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert!(text.parse::<NoteKey>().is_err(), "{text}");
    }
    let key = signing_key(&[7; 32]).verifying_key();
    for name in ["", " ", "a b", "a+b", "a\n", "a\u{a0}b", "a\u{2003}b", "a\u{1}", "\u{0}"] {
        assert_eq!(NoteKey::new(name, key.clone()).err(), Some(NoteError::Name), "{name:?}");
    }
}

/// The oracle's private key, in its own notation.
fn oracle_signer(name: &str, seed: &[u8; 32], id: [u8; 4]) -> StandardSigner {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode([&[1], &seed[..]].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{name}+{}+{encoded}", hex::encode(id))).expect("the oracle reads it")
}

fn oracle_opens(note: &[u8], key: &NoteKey) -> bool {
    let verifier = StandardVerifier::new(&key.to_string()).expect("the oracle reads our key");
    Note::from_bytes(note).is_ok_and(|n| n.verify(&VerifierList::new(vec![Box::new(verifier)])).is_ok())
}

proptest! {
    #[test]
    fn each_reads_what_the_other_signed(
        seed in any::<[u8; 32]>(),
        text in "([ -~\u{e4}\u{2014}\u{1f600}]{0,8}\n){1,4}",
        name in "[a-z./\u{e4}]{1,12}",
    ) {
        let key = signing_key(&seed);
        let ours = NoteKey::new(&name, key.verifying_key()).expect("a good name");
        let signed = note::sign(&text, &name, &key).expect("well formed");
        prop_assert!(oracle_opens(signed.as_bytes(), &ours));
        let mut theirs = Note::new(text.as_bytes(), &[]).expect("well formed");
        theirs.add_sigs(&[&oracle_signer(&name, &seed, ours.id())]).expect("it signs");
        let theirs = theirs.to_bytes();
        prop_assert_eq!(String::from_utf8(theirs.clone()).expect("text"), signed);
        prop_assert_eq!(note::open(&theirs, &ours).expect("it verifies").into_inner(), text);
    }

    /// On damaged notes both give the same answer.
    #[test]
    fn each_refuses_what_the_other_refuses(
        at in 0..400_usize,
        with in prop_oneof![
            Just(""), Just("\n"), Just("\n\n"), Just(" "), Just("\u{2014} "), Just("="), Just("A"), Just("\u{1}"), Just("+"),
            Just(EXAMPLE_SIGNATURE), Just("\u{2014} x AAAAAAAA\n"), Just("\u{2014} PeterNeumann x08goAAA\n"),
        ],
        cut in 0..4_usize,
    ) {
        let mut note = example_with(EXAMPLE_SIGNATURE).into_bytes();
        let at = at.min(note.len());
        note.splice(at..(at + cut).min(note.len()), with.bytes());
        prop_assert_eq!(note::open(&note, &example_key()).is_ok(), oracle_opens(&note, &example_key()), "{:?}", String::from_utf8_lossy(&note));
    }

    #[test]
    fn each_refuses_the_keys_that_the_other_refuses(at in 0..80_usize, with in "[A-Za-z0-9+/= ]{0,2}", cut in 0..3_usize) {
        let mut text = EXAMPLE_KEY.to_owned();
        let at = at.min(text.len());
        text.replace_range(at..(at + cut).min(text.len()), &with);
        // The oracle takes the hash in capitals too; here a key has one spelling.
        prop_assume!(text == EXAMPLE_KEY || !text.eq_ignore_ascii_case(EXAMPLE_KEY));
        prop_assert_eq!(text.parse::<NoteKey>().is_ok(), StandardVerifier::new(&text).is_ok(), "{}", text);
    }
}

/// `open` takes the signer as a parameter; a note cannot bring its own.
#[test]
fn only_the_expected_key_counts() {
    let (ours, theirs): (SigningKey, SigningKey) = (signing_key(&[1; 32]), signing_key(&[2; 32]));
    let expected = NoteKey::new("log", ours.verifying_key()).expect("a good name");
    let note = note::sign("text\n", "log", &theirs).expect("well formed");
    assert_eq!(note::open(note.as_bytes(), &expected).err(), Some(NoteError::NotSigned("log".to_owned())));
    let as_other = note::sign("text\n", "other", &ours).expect("well formed");
    assert_eq!(note::open(as_other.as_bytes(), &expected).err(), Some(NoteError::NotSigned("log".to_owned())));
}
