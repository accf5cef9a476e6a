//! The catalog blobs of all rolls, kept on every node: small files in the home, named by their hash.
//!
//! They are sealed; a vault keeps them without being able to read them, so that a studio that starts anew finds them
//! wherever it looks.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use safelight_core::restore::{CatalogBlobError, open_catalog};
use safelight_core::seal::{ReadingKey, WrappedKey};
use safelight_proto::catalog::Catalog;
use safelight_proto::id::{Hash, LibraryId};
use safelight_proto::record::Roll;
use safelight_proto::shard::StreamShape;

use crate::disk::durable;

/// Why a catalog cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The disk.
    #[error("a catalog cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// Bytes that are not what their hash says.
    #[error("catalog {0} is damaged")]
    Damaged(Hash),
    /// It does not open.
    #[error("the catalog of roll {roll} does not open: {error}")]
    Sealed {
        /// The roll's first digits.
        roll: String,
        /// Why.
        error: String,
    },
}

impl From<(&Roll, CatalogBlobError)> for CatalogError {
    fn from((roll, error): (&Roll, CatalogBlobError)) -> Self {
        Self::Sealed { roll: roll.roll.short(), error: error.to_string() }
    }
}

/// See the module's documentation. Blocks.
#[derive(Debug, Clone)]
pub struct Catalogs {
    folder: PathBuf,
}

impl Catalogs {
    /// The catalogs in `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    /// The catalogs that are here. What a crash left half-written is not among them.
    pub fn all(&self) -> io::Result<BTreeSet<Hash>> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(&self.folder)? {
            found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<Hash>().ok()));
        }
        Ok(found)
    }

    /// Keeps a blob, durably.
    pub fn keep(&self, hash: &Hash, blob: &[u8]) -> Result<(), CatalogError> {
        if Hash::of(blob) != *hash {
            return Err(CatalogError::Damaged(*hash));
        }
        Ok(durable::replace(&self.path(hash), blob)?)
    }

    /// A blob, checked against its hash. A damaged one is an error like a missing one: others have it too.
    pub fn read(&self, hash: &Hash) -> Result<Vec<u8>, CatalogError> {
        let blob = std::fs::read(self.path(hash))?;
        if Hash::of(&blob) == *hash { Ok(blob) } else { Err(CatalogError::Damaged(*hash)) }
    }

    /// The opened catalog of `roll`.
    pub fn catalog(
        &self,
        library: LibraryId,
        roll: &Roll,
        key: &ReadingKey,
    ) -> Result<Catalog, CatalogError> {
        let blob = self.read(&roll.catalog_hash)?;
        let shape = StreamShape { data_bytes: roll.data_bytes, catalog_bytes: roll.catalog_bytes };
        let opened = WrappedKey(roll.wrapped_key)
            .open(key, library, roll.roll)
            .map_err(|error| CatalogError::Sealed { roll: roll.roll.short(), error: error.to_string() })?;
        let opener = safelight_core::seal::Opener::new(&opened, library, roll.roll);
        open_catalog(blob, shape, &opener).map_err(|error| (roll, error).into())
    }
}
