//! The corners of Ed25519 where verifiers disagree: points of small order, second spellings, mixed orders.
//!
//! The classes are those of the C2SP CCTV Ed25519 vectors; the points and signatures are made here from their definitions,
//! and the outcomes are frozen. Two verifiers that do not agree about a signature make a log that forks.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION},
    edwards::CompressedEdwardsY,
    traits::IsIdentity as _,
};
use expect_test::expect;
use sha2::{Digest as _, Sha512};
use steward_seal::{KeyError, VerifyingKey};

use crate::hex32;

/// Every encoding of a point of small order: the eight canonical ones, and second spellings of some (y beyond the field's
/// prime, or a sign for x = 0), which lenient decoders read as the same points.
const SMALL_ORDER: [(&str, &str); 14] = [
    ("0100000000000000000000000000000000000000000000000000000000000000", "order 1"),
    ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "order 2"),
    ("0000000000000000000000000000000000000000000000000000000000000000", "order 4"),
    ("0000000000000000000000000000000000000000000000000000000000000080", "order 4"),
    ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "order 8"),
    ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", "order 8"),
    ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "order 8"),
    ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", "order 8"),
    ("0100000000000000000000000000000000000000000000000000000000000080", "second spelling, order 1"),
    ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "second spelling, order 2"),
    ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "second spelling, order 1"),
    ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "second spelling, order 1"),
    ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "second spelling, order 4"),
    ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "second spelling, order 4"),
];

fn challenge(r: &[u8], a: &[u8], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(a).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

/// The cofactored rule, which RFC 8032 allows and this house does not: `[8](S B - R - k A) = 0`.
fn cofactored_rule_accepts(a: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    equation(a, message, signature).is_some_and(|rest| rest.mul_by_cofactor().is_identity())
}

/// The same without the cofactor: `S B - R - k A = 0`.
fn plain_rule_accepts(a: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    equation(a, message, signature).is_some_and(|rest| rest.is_identity())
}

fn equation(a: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Option<EdwardsPoint> {
    let (r, s) = signature.split_at(32);
    let s: Option<Scalar> = Scalar::from_canonical_bytes(s.try_into().expect("half of 64")).into();
    let key = CompressedEdwardsY(*a).decompress()?;
    let point = CompressedEdwardsY(r.try_into().expect("half of 64")).decompress()?;
    Some(s? * B - point - challenge(r, a, message) * key)
}

fn signature(r: &[u8; 32], s: &Scalar) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(r);
    bytes[32..].copy_from_slice(s.as_bytes());
    bytes
}

/// A private scalar and a nonce, fixed.
fn secrets() -> (Scalar, Scalar) {
    (Scalar::from_bytes_mod_order([7; 32]), Scalar::from_bytes_mod_order([9; 32]))
}

#[test]
fn the_table_holds_the_eight_torsion_points() {
    let table: Vec<EdwardsPoint> = SMALL_ORDER
        .iter()
        .map(|(digits, what)| {
            let point = CompressedEdwardsY(hex32(digits)).decompress().expect("a lenient decoder reads all of them");
            assert!(point.is_small_order(), "{digits}");
            let canonical = point.compress().as_bytes() == &hex32(digits);
            assert_eq!(canonical, !what.starts_with("second spelling"), "{digits}");
            let order = (0..4).map(|n| 1_u8 << n).find(|n| (point * Scalar::from(*n)).is_identity());
            assert_eq!(
                order.map(|n| format!("order {n}")).as_deref(),
                what.rsplit_once(", ").map_or(Some(*what), |(_, o)| Some(o))
            );
            point
        })
        .collect();
    for point in EIGHT_TORSION {
        assert!(table[..8].contains(&point));
    }
}

#[test]
fn a_key_of_small_order_is_not_enrolled() {
    for (digits, what) in SMALL_ORDER {
        let expected =
            if what.starts_with("second") { KeyError::Malformed("a canonical point") } else { KeyError::Weak };
        assert_eq!(VerifyingKey::from_bytes(&hex32(digits)), Err(expected), "{digits}");
    }
}

/// Why they are refused: with the cofactored rule, R = B and S = 1 is a signature of every message by every such key.
#[test]
fn under_the_cofactored_rule_one_signature_of_a_small_order_key_fits_every_message() {
    let forged = signature(B.compress().as_bytes(), &Scalar::ONE);
    for (digits, _) in SMALL_ORDER {
        for n in 0..50_u32 {
            let message = format!("pay {n} to the bearer");
            assert!(cofactored_rule_accepts(&hex32(digits), message.as_bytes(), &forged), "{digits}");
        }
        assert!(VerifyingKey::from_bytes(&hex32(digits)).is_err(), "{digits}");
    }
}

/// Good keys, and an R of small order: `S = k a` fits the equation exactly where R is the identity, and up to the cofactor
/// elsewhere. Strict verification refuses them all.
#[test]
fn a_signature_whose_r_has_small_order_is_refused() {
    let (a, _) = secrets();
    let public = (a * B).compress().to_bytes();
    let key = VerifyingKey::from_bytes(&public).expect("a good key");
    let mut plain = 0;
    for (digits, _) in SMALL_ORDER {
        let r = hex32(digits);
        let forged = signature(&r, &(challenge(&r, &public, b"message") * a));
        assert!(cofactored_rule_accepts(&public, b"message", &forged), "{digits}");
        plain += u32::from(plain_rule_accepts(&public, b"message", &forged));
        assert!(key.verify(b"message", &forged).is_err(), "{digits}");
    }
    assert_eq!(plain, 4, "the spellings of the identity fit even without the cofactor");
}

/// S + L is the same number to whoever reduces it: a second signature that nobody made.
#[test]
fn s_beyond_the_order_is_refused() {
    // The order of the base point, little-endian (RFC 8032, section 5.1).
    let order = hex32("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let (a, nonce) = secrets();
    let public = (a * B).compress().to_bytes();
    let key = VerifyingKey::from_bytes(&public).expect("a good key");
    let r = (nonce * B).compress().to_bytes();
    let good = signature(&r, &(nonce + challenge(&r, &public, b"message") * a));
    assert_eq!(key.verify(b"message", &good), Ok(()));
    let mut moved = good;
    for times in 1..=7 {
        let mut carry = 0;
        for (byte, add) in moved[32..].iter_mut().zip(order) {
            carry += u32::from(*byte) + u32::from(add);
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(carry, 0, "it still fits 32 bytes");
        assert!(key.verify(b"message", &moved).is_err(), "S + {times} L");
    }
    let mut high_bits = good;
    high_bits[63] |= 0xe0;
    assert!(key.verify(b"message", &high_bits).is_err());
}

/// Keys and Rs with a part of small order besides the good one: of 64 honestly made signatures, how many each rule accepts.
///
/// The cofactored rule accepts all; ours accepts those whose small parts happen to cancel, as the plain rule says. A mixed
/// key is enrolled: its owner needs the private scalar to sign, so that nothing can be forged; and every verifier
/// without the cofactor gives the same answer.
#[test]
fn mixed_orders() {
    let (a, nonce) = secrets();
    let mut table = String::from("A + n/8  R + n/8  cofactored  ours\n");
    for in_key in [0, 1, 2, 4] {
        for in_r in [0, 1, 2, 4, 7] {
            let public = (a * B + EIGHT_TORSION[in_key]).compress().to_bytes();
            let enrolled = VerifyingKey::from_bytes(&public).expect("a key of mixed order");
            let r = (nonce * B + EIGHT_TORSION[in_r]).compress().to_bytes();
            let (mut cofactored, mut ours) = (0, 0);
            for n in 0..64_u8 {
                let k = challenge(&r, &public, &[n]);
                let signed = signature(&r, &(nonce + k * a));
                let accepted = enrolled.verify(&[n], &signed).is_ok();
                assert_eq!(
                    accepted,
                    plain_rule_accepts(&public, &[n], &signed),
                    "ours is the rule without the cofactor"
                );
                cofactored += u32::from(cofactored_rule_accepts(&public, &[n], &signed));
                ours += u32::from(accepted);
            }
            table.push_str(&format!("{in_key}        {in_r}        {cofactored:<10}  {ours}\n"));
        }
    }
    expect![[r#"
        A + n/8  R + n/8  cofactored  ours
        0        0        64          64
        0        1        64          0
        0        2        64          0
        0        4        64          0
        0        7        64          0
        1        0        64          5
        1        1        64          7
        1        2        64          6
        1        4        64          11
        1        7        64          7
        2        0        64          20
        2        1        64          0
        2        2        64          11
        2        4        64          13
        2        7        64          0
        4        0        64          26
        4        1        64          0
        4        2        64          0
        4        4        64          35
        4        7        64          0
    "#]]
    .assert_eq(&table);
}

#[test]
fn what_is_not_a_point_is_refused() {
    let (a, nonce) = secrets();
    let key = VerifyingKey::from_bytes(&(a * B).compress().to_bytes()).expect("a good key");
    let mut refused = 0;
    for y in 0..=255_u8 {
        let mut bytes = [0; 32];
        bytes[0] = y;
        if CompressedEdwardsY(bytes).decompress().is_none() {
            refused += 1;
            assert_eq!(VerifyingKey::from_bytes(&bytes), Err(KeyError::Malformed("a canonical point")));
            assert!(key.verify(b"message", &signature(&bytes, &nonce)).is_err());
        }
    }
    assert_eq!(refused, 128, "about half of all y are on no point");
}

/// The 19 values of y from the prime up to 2^255 are second spellings of 0 to 18; some are of points of full order.
#[test]
fn a_second_spelling_of_a_key_is_not_enrolled() {
    let mut full_order = 0;
    for beyond in 0..19_u8 {
        for sign in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (0xed + beyond, sign);
            let point = CompressedEdwardsY(bytes).decompress();
            full_order += u32::from(point.is_some_and(|p| !p.is_small_order()));
            assert_eq!(VerifyingKey::from_bytes(&bytes), Err(KeyError::Malformed("a canonical point")));
        }
    }
    assert_eq!(full_order, 20);
}
