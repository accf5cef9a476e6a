//! A file's bytes, checked as they come against what the file has to be.

use std::time::SystemTime;

use safelight_proto::id::Hash;

/// What a file has to be to count as restored.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Bytes.
    pub len: u64,
    /// BLAKE3 of the content.
    pub hash: Hash,
    /// Time of last change to set, where it is known.
    pub modified: Option<SystemTime>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Check {
    hasher: blake3::Hasher,
    taken: u64,
    wanted: Wanted,
}

impl Check {
    /// Nothing came yet.
    pub fn new(wanted: Wanted) -> Self {
        Self { hasher: blake3::Hasher::new(), taken: 0, wanted }
    }

    /// Takes the next bytes. More than the file has is refused, and says why it is not the file.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.taken += bytes.len() as u64;
        if self.taken > self.wanted.len {
            return Err("it is longer");
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Whether what came is the file; else why not.
    pub fn finish(&self) -> Result<(), &'static str> {
        if self.taken != self.wanted.len {
            return Err("it is shorter");
        }
        if Hash::from(self.hasher.finalize()) != self.wanted.hash {
            return Err("its hash differs");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_file_itself_will_do() {
        let wanted = Wanted { len: 6, hash: Hash::of(b"a file"), modified: None };
        let checked = |pieces: &[&[u8]]| {
            let mut check = Check::new(wanted);
            pieces.iter().try_for_each(|piece| check.take(piece))?;
            check.finish()
        };
        assert_eq!(checked(&[b"a ", b"", b"file"]), Ok(()));
        assert_eq!(checked(&[b"a f"]), Err("it is shorter"));
        assert_eq!(checked(&[b"a file", b"s"]), Err("it is longer"));
        assert_eq!(checked(&[b"A file"]), Err("its hash differs"));
    }
}
