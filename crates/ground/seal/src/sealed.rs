//! A document whose signature was checked.

use crate::key::Fingerprint;

/// A value that came through a door: its signature was verified with a key that we already knew.
///
/// Only the doors of this crate make one. [`Sealed::map`] turns the signed bytes into what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed<T> {
    value: T,
    signer: Fingerprint,
}

impl<T> Sealed<T> {
    pub(crate) fn new(value: T, signer: Fingerprint) -> Self {
        Self { value, signer }
    }

    /// What was signed.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// What was signed, without the memory of who signed it.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The key that signed it.
    pub fn signer(&self) -> &Fingerprint {
        &self.signer
    }

    /// Reads the signed value as what it means; the seal stays.
    ///
    /// # Errors
    /// What `read` refuses.
    pub fn map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Sealed<U>, E> {
        Ok(Sealed { value: read(self.value)?, signer: self.signer })
    }
}
