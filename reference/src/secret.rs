//! Texts that are never printed, and where they may come from: the environment or a file, never the command line, which every user of the
//! machine can read.

use std::path::{Path, PathBuf};

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one call that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text of a file, without the white space around it.
    ///
    /// # Errors
    /// It cannot be read, or nothing is in it.
    pub(crate) fn read(path: &Path) -> Result<Self, SecretError> {
        let failed = |source| SecretError::File { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        match text.trim() {
            "" => Err(SecretError::Empty { path: path.to_owned() }),
            secret => Ok(secret.into()),
        }
    }

    /// Whether it is a URL that holds a password: behind its user, or, where it names a socket, as a parameter.
    pub(crate) fn is_url_with_password(&self) -> bool {
        let user = self.0.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map(|(user, _)| user);
        let behind_user = user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty());
        let mut parameters = self.0.split_once('?').map_or("", |(_, parameters)| parameters).split('&');
        behind_user || parameters.any(|parameter| parameter.strip_prefix("pass").is_some_and(|rest| rest.contains('=')))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// A secret that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its file holds nothing.
    #[error("{path} is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_seen_and_a_user_alone_is_none() {
        let has = |url: &str| Secret::from(url).is_url_with_password();
        for url in [
            "redis://:pw@h/",
            "mysql://u:pw@h:3306/d",
            "mysql://u:p@w@h/d",
            "mysql://u:p/w@h/d",
            "redis://u:p@[::1]:6379/",
            "redis+unix:///run/r?db=0&pass=pw",
        ] {
            assert!(has(url), "{url}");
        }
        for url in [
            "redis://h:6379/",
            "mysql://u@h:3306/d",
            "mysql://u:@h/d",
            "redis://[::1]:6379/",
            "h:6379",
            "redis+unix:///run/r?db=0",
            "",
        ] {
            assert!(!has(url), "{url}");
        }
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "(secret)");
    }
}
