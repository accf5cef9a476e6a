//! `api.json`: how commands find the node that runs on a home.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::home::Home;

/// Largest `api.json` that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// What a running node leaves in its home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    /// Where it listens, as this machine reaches it.
    pub address: SocketAddr,
    /// Who may ask.
    pub token: Token,
    /// Its process.
    pub pid: u32,
}

/// 32 random bytes in hex; whoever can read the home has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(not shown)")
    }
}

impl Token {
    /// A new one, from the system's randomness.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self(HEXLOWER.encode(&bytes)))
    }

    /// Whether `given` is this token; takes the same time wherever they differ.
    pub fn accepts(&self, given: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(given.as_bytes())
    }

    /// The value of an `Authorization` header.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Its text.
    #[cfg(test)]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ApiFile {
    /// The file in `home`; nothing when no node says how to reach it, or said it only in part.
    pub fn read(home: &Home) -> io::Result<Option<Self>> {
        let file = match File::open(home.api()) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Ok(serde_json::from_str(&text).ok())
    }

    /// Puts the file into `home`, whole or not at all, for the owner's eyes only. It goes when the guard does.
    pub fn publish(&self, home: &Home) -> io::Result<Published> {
        let path = home.api();
        let draft = path.with_extension("json.new");
        remove_if_there(&draft)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        Ok(Published { path })
    }
}

/// Removes `api.json` when the node stops.
#[derive(Debug)]
pub struct Published {
    path: PathBuf,
}

impl Drop for Published {
    fn drop(&mut self) {
        if let Err(error) = remove_if_there(&self.path) {
            tracing::warn!(%error, "the node's address stays behind in its home");
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn published_privately_and_taken_back() {
        let temp = tempfile::tempdir().expect("temp");
        let home = Home::create(temp.path()).expect("empty");
        assert_eq!(ApiFile::read(&home).expect("readable"), None);
        let token = Token::random().expect("randomness");
        let api = ApiFile { address: ([127, 0, 0, 1], 3211).into(), token, pid: 7 };
        let published = api.publish(&home).expect("writable");
        assert_eq!(ApiFile::read(&home).expect("readable"), Some(api.clone()));
        assert_eq!(fs::metadata(home.api()).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(!format!("{api:?}").contains(api.token.as_str()));
        drop(published);
        assert_eq!(ApiFile::read(&home).expect("readable"), None);
    }

    #[test]
    fn half_a_file_is_none() {
        let temp = tempfile::tempdir().expect("temp");
        let home = Home::create(temp.path()).expect("empty");
        fs::write(home.api(), b"{\"address\":\"127.0.").expect("writable");
        assert_eq!(ApiFile::read(&home).expect("readable"), None);
    }

    #[test]
    fn only_the_token_itself_is_accepted() {
        let token = Token::random().expect("randomness");
        assert!(token.accepts(token.as_str()));
        assert!(!token.accepts(""));
        assert!(!token.accepts(&token.as_str()[1..]));
        assert_ne!(token, Token::random().expect("randomness"));
    }
}
