//! Where rebuilt files go: below a folder, or nowhere, where only their hashes are compared.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::check::{Check, Wanted};
use crate::disk::restore::{RestoreError, RestoreFile, RestoreTarget, Restored};

/// See the module's documentation.
#[derive(Debug)]
pub enum Target {
    /// Below a folder.
    Folder(RestoreTarget),
    /// Nowhere: nothing is written, and every byte is hashed.
    Nowhere,
}

impl Target {
    /// Files go below `dir`, which is made if it is not there.
    pub fn folder(dir: &Path) -> Result<Self, RestoreError> {
        RestoreTarget::new(dir).map(Self::Folder)
    }

    /// Where an equal file stands already.
    pub fn already_there(&self, path: &[u8], wanted: &Wanted) -> Option<Restored> {
        match self {
            Self::Folder(folder) => folder.already_there(path, wanted),
            Self::Nowhere => None,
        }
    }

    /// Starts a file.
    pub fn create(&self, path: &[u8], wanted: Wanted) -> Result<TargetFile, RestoreError> {
        match self {
            Self::Folder(folder) => folder.create(path, wanted).map(TargetFile::Folder),
            Self::Nowhere => Ok(TargetFile::Nowhere(Check::new(wanted), path.to_vec())),
        }
    }

    /// Makes all names durable.
    pub fn finish(&self) -> io::Result<()> {
        match self {
            Self::Folder(folder) => folder.finish(),
            Self::Nowhere => Ok(()),
        }
    }
}

/// A file on its way.
#[derive(Debug)]
pub enum TargetFile {
    /// To its folder.
    Folder(RestoreFile),
    /// Nowhere; with its path, for errors.
    Nowhere(Check, Vec<u8>),
}

impl TargetFile {
    /// Adds the next bytes. More than the file has is refused.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        match self {
            Self::Folder(file) => file.write(bytes),
            Self::Nowhere(check, path) => check.take(bytes).map_err(|why| not_the_file(path, why)),
        }
    }

    /// Checks length and hash, and gives the file its name where it has one.
    pub fn finish(self) -> Result<Option<Restored>, RestoreError> {
        match self {
            Self::Folder(file) => file.finish().map(Some),
            Self::Nowhere(check, path) => {
                check.finish().map(|()| None).map_err(|why| not_the_file(&path, why))
            }
        }
    }
}

fn not_the_file(path: &[u8], why: &'static str) -> RestoreError {
    RestoreError::NotTheFile { path: PathBuf::from(String::from_utf8_lossy(path).into_owned()), why }
}
