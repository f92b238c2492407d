//! The key of a server, kept out of files, logs and messages.

use std::env;
use std::fmt;

use crate::language::LanguageError;

/// A key that a server asks for; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    secret: String,
    /// Where it came from, as messages name it.
    origin: String,
}

impl ApiKey {
    /// The key in the environment variable `variable`.
    ///
    /// # Errors
    /// [`LanguageError::NoKey`] and [`LanguageError::BadKey`].
    pub fn from_environment(variable: &str) -> Result<Self, LanguageError> {
        let found = env::var(variable).unwrap_or_default();
        if found.trim().is_empty() {
            return Err(LanguageError::NoKey {
                variable: variable.to_owned(),
            });
        }
        Self::checked(&found, format!("the key in {variable}"))
    }

    /// A key from a keyring or a field of the window.
    ///
    /// # Errors
    /// [`LanguageError::BadKey`].
    pub fn new(secret: &str) -> Result<Self, LanguageError> {
        Self::checked(secret, "the key".to_owned())
    }

    fn checked(secret: &str, origin: String) -> Result<Self, LanguageError> {
        let secret = secret.trim();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LanguageError::BadKey);
        }
        Ok(Self {
            secret: secret.to_owned(),
            origin,
        })
    }

    /// What the header holds.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.secret)
    }

    /// What messages call it.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// `text` with the key, should a server repeat it, blotted out.
    pub(super) fn blotted(&self, text: &str) -> String {
        text.replace(&self.secret, "…")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = ApiKey::new(" sk-12345 ").unwrap();
        assert_eq!(key.header(), "Bearer sk-12345");
        assert!(!format!("{key:?}").contains("12345"));
        assert_eq!(key.blotted("bad key sk-12345!"), "bad key …!");
        for bad in ["", "  ", "a\nb", "a b", "ü"] {
            assert!(matches!(ApiKey::new(bad), Err(LanguageError::BadKey)), "{bad:?}");
        }
        let error = ApiKey::from_environment("SAMTOK_SURELY_UNSET").unwrap_err();
        assert!(error.to_string().contains("SAMTOK_SURELY_UNSET"));
    }
}
