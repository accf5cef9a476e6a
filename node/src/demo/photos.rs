//! A made-up shoot: a card as a camera leaves it, the same bytes every time, and none of them compressible.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// How large a shoot to make.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// RAW files, each with a JPEG and a sidecar beside it.
    pub raws: usize,
    /// Bytes of one RAW.
    pub raw_bytes: usize,
    /// JPEG files, the ones beside a RAW included.
    pub jpegs: usize,
    /// Bytes of the smallest JPEG; the largest has three times as many.
    pub jpeg_bytes: usize,
}

/// 20 RAW files of 25 MB, 200 JPEGs of 1 MB or so: 0.7 GB, the first hour of a wedding.
pub const WEDDING: Plan = Plan { raws: 20, raw_bytes: 25_000_000, jpegs: 200, jpeg_bytes: 500_000 };

/// Pictures in one folder of the card.
const FOLDER: usize = 100;

/// Bytes made at once.
const CHUNK: usize = 1 << 20;

impl Plan {
    /// Bytes of the whole shoot at most.
    pub fn most_bytes(&self) -> u64 {
        (self.raws * (self.raw_bytes + 10_000) + self.jpegs * 3 * self.jpeg_bytes) as u64
    }

    /// Makes the shoot under `card`. `go_on` is asked now and then, and ends it with its error.
    pub fn make(&self, card: &Path, mut go_on: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        for number in 1..=self.jpegs.max(self.raws) {
            go_on()?;
            let folder = card.join(format!("DCIM/{}CANON", 100 + (number - 1) / FOLDER));
            fs::create_dir_all(&folder)?;
            let stem = format!("IMG_{number:04}");
            if number <= self.jpegs {
                // Sizes spread as those of real pictures do, without a pattern.
                let spread = number.wrapping_mul(2_654_435_761) % (2 * self.jpeg_bytes);
                write(&folder.join(format!("{stem}.JPG")), JPEG, self.jpeg_bytes + spread, b"\xff\xd9")?;
            }
            if number <= self.raws {
                write(&folder.join(format!("{stem}.CR3")), CR3, self.raw_bytes, b"")?;
                fs::write(folder.join(format!("{stem}.xmp")), sidecar(number))?;
            }
        }
        Ok(())
    }
}

const JPEG: &[u8] = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00";
const CR3: &[u8] = b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom";

/// A file of `bytes` bytes that begins and ends as its kind does; the rest is noise from the file's own name.
fn write(path: &Path, head: &[u8], bytes: usize, tail: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(head)?;
    let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
    let mut noise = blake3::Hasher::new_derive_key("safelight demo photos").update(name).finalize_xof();
    let mut left = bytes.saturating_sub(head.len() + tail.len());
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let now = left.min(CHUNK);
        noise.fill(&mut chunk[..now]);
        file.write_all(&chunk[..now])?;
        left -= now;
    }
    file.write_all(tail)
}

fn sidecar(number: usize) -> String {
    format!(
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
         <rdf:Description xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating='{}' xmp:Label='{number}'/>\
         </rdf:RDF></x:xmpmeta>\n",
        number % 6
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::compare::{files, same_bytes};

    #[test]
    fn the_same_shoot_every_time_and_no_picture_twice() {
        let plan = Plan { raws: 3, raw_bytes: 5_000, jpegs: 105, jpeg_bytes: 100 };
        let temp = tempfile::tempdir().expect("temp");
        let (one, two) = (temp.path().join("one"), temp.path().join("two"));
        plan.make(&one, || Ok(())).expect("made");
        plan.make(&two, || Ok(())).expect("made");
        let names = files(&one).expect("readable");
        assert_eq!(names.len(), 105 + 2 * 3);
        assert_eq!(names, files(&two).expect("readable"));
        assert!(names.keys().any(|name| name.starts_with("DCIM/101CANON")));
        let size: u64 = names.values().sum();
        assert!(size <= plan.most_bytes() && size > 3 * 5_000 + 105 * 100);
        let mut hashes = std::collections::BTreeSet::new();
        for name in names.keys() {
            assert!(same_bytes(&one.join(name), &two.join(name)).expect("readable"));
            assert!(hashes.insert(*blake3::hash(&fs::read(one.join(name)).expect("readable")).as_bytes()));
        }
    }

    #[test]
    fn it_stops_when_told() {
        let temp = tempfile::tempdir().expect("temp");
        assert!(WEDDING.make(temp.path(), || Err(io::Error::other("interrupted"))).is_err());
    }
}
