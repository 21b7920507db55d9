//! Published test vectors and golden bytes: what others can check us by.
//!
//! One binary with a module per format, so that it links once.

mod dsse;
mod ed25519;
mod hmac;
mod jcs;
mod keys;
mod note;
mod reader;
mod small_order;
mod webhook;

use steward_seal::SigningKey;

/// The bytes that `digits` stand for.
fn hex(digits: &str) -> Vec<u8> {
    hex::decode(digits).expect("the table holds hexadecimal digits")
}

/// The 32 bytes that `digits` stand for.
pub(crate) fn hex32(digits: &str) -> [u8; 32] {
    hex(digits).try_into().expect("the table holds 32 bytes here")
}

/// The private key that RFC 8032 calls `seed`.
pub(crate) fn signing_key(seed: &[u8; 32]) -> SigningKey {
    struct Fixed([u8; 32]);
    impl steward_clock::Dice for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0);
        }
    }
    SigningKey::generate(&Fixed(*seed))
}
