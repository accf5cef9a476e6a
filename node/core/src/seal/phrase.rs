//! The recovery phrase: 24 BIP-39 words, and the keys that descend from it.
//!
//! The secret is the words' 256-bit entropy, not the BIP-39 seed. Every use has its own BLAKE3 `derive_key`
//! context, so that no key says anything about another.

use std::fmt;

use bip39::{Error as MnemonicError, Language, Mnemonic};
use ed25519_dalek::{SigningKey, VerifyingKey};
use safelight_proto::id::LibraryId;
use zeroize::Zeroizing;

use super::keys::ReadingKey;

/// Words of a recovery phrase.
pub const WORDS: usize = 24;

const AUTHORITY: &str = "safelight 2026-11-23 authority signing key";
const READING: &str = "safelight 2026-11-23 reading key";

/// Why words are no recovery phrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Too few or too many words.
    #[error("a recovery phrase has 24 words; this one has {0}")]
    Count(usize),
    /// A word that is not on the list.
    #[error("word {position} of the recovery phrase, '{word}', is not on the word list{}", maybe(.close))]
    Word {
        /// Its place, counted from 1.
        position: usize,
        /// The word as it was typed.
        word: String,
        /// The word on the list that is most like it, if one is.
        close: Option<&'static str>,
    },
    /// All words are on the list, and together they are no phrase.
    #[error(
        "the recovery phrase does not add up: its checksum is wrong, so a word is another one than was written \
         down, or two have changed places"
    )]
    Checksum,
}

fn maybe(close: &Option<&'static str>) -> String {
    close.map_or_else(String::new, |word| format!(" (did you mean '{word}'?)"))
}

/// The root of a library's secrets. Wiped from memory when dropped.
pub struct RecoveryPhrase {
    entropy: Zeroizing<[u8; 32]>,
}

impl RecoveryPhrase {
    /// A new phrase from 256 random bits.
    pub fn from_entropy(entropy: [u8; 32]) -> Self {
        Self { entropy: Zeroizing::new(entropy) }
    }

    /// The phrase that a person typed. Case and spacing do not matter.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let text = Zeroizing::new(text.to_lowercase());
        let words = || text.split_whitespace();
        if words().count() != WORDS {
            return Err(PhraseError::Count(words().count()));
        }
        let mnemonic =
            Mnemonic::parse_in_normalized(Language::English, &text).map_err(|error| match error {
                MnemonicError::UnknownWord(at) => {
                    let word = words().nth(at).unwrap_or_default();
                    PhraseError::Word { position: at + 1, word: word.to_owned(), close: closest(word) }
                }
                _ => PhraseError::Checksum,
            })?;
        let bytes = Zeroizing::new(mnemonic.to_entropy_array().0);
        let mut entropy = Zeroizing::new([0; 32]);
        entropy.copy_from_slice(&bytes[..32]);
        Ok(Self { entropy })
    }

    /// The 24 words, with single spaces between them.
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &*self.entropy)
            .expect("256 bits are an entropy that BIP-39 knows");
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
        for word in mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The key that admits, removes and delegates.
    pub fn authority(&self) -> SigningKey {
        SigningKey::from_bytes(&self.derive(AUTHORITY))
    }

    /// The key that opens what is sealed to the library.
    pub fn reading_key(&self) -> ReadingKey {
        ReadingKey::from_secret(&self.derive(READING))
    }

    /// The library's id.
    pub fn library(&self) -> LibraryId {
        library_of(&self.authority().verifying_key())
    }

    fn derive(&self, context: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, &*self.entropy))
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(…)")
    }
}

/// The id of the library whose authority has this public key.
pub fn library_of(authority: &VerifyingKey) -> LibraryId {
    LibraryId(*blake3::hash(authority.as_bytes()).as_bytes())
}

/// The word on the list with the fewest changes to `word`, if two at most are enough. Four letters tell all
/// words of the list apart, so a right beginning decides first.
fn closest(word: &str) -> Option<&'static str> {
    let list = Language::English.word_list();
    let start: String = word.chars().take(4).collect();
    if let Some(found) = list.iter().find(|entry| start.len() == 4 && entry.starts_with(&start)) {
        return Some(found);
    }
    let (distance, found) = list.iter().map(|entry| (changes(word, entry), *entry)).min()?;
    (distance <= 2).then_some(found)
}

/// Letters to insert, drop or replace to make one word the other (Levenshtein).
fn changes(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    // The longest word of the list has eight letters; more typed ones cannot come within two changes.
    for (done, a) in from.chars().take(16).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], done + 1);
        for (at, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon art";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn there_and_back(entropy: [u8; 32]) {
            let phrase = RecoveryPhrase::from_entropy(entropy);
            let typed = phrase.words().to_uppercase().replace(' ', "\n  ");
            let again = RecoveryPhrase::parse(&typed).expect("our own words");
            prop_assert_eq!(*again.entropy, entropy);
            prop_assert_eq!(again.library(), phrase.library());
        }
    }

    #[test]
    fn the_standard_vector() {
        let phrase = RecoveryPhrase::from_entropy([0; 32]);
        assert_eq!(phrase.words().as_str(), ZEROS);
        assert!(RecoveryPhrase::parse(ZEROS).is_ok());
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = ZEROS.replacen("abandon", "abandom", 3).replacen("abandom", "abandon", 2);
        let error = RecoveryPhrase::parse(&wrong).expect_err("no word");
        assert_eq!(error, PhraseError::Word { position: 3, word: "abandom".into(), close: Some("abandon") });
        assert!(error.to_string().contains("did you mean 'abandon'"));
        assert_eq!(closest("zoi"), Some("zoo"));
        assert_eq!(closest("xxxxxxxxxxxxxxxxxxxxxxxxxx"), None);
        let swapped = ZEROS.replace(" art", " ability");
        assert_eq!(RecoveryPhrase::parse(&swapped).err(), Some(PhraseError::Checksum));
        assert_eq!(RecoveryPhrase::parse("abandon art").err(), Some(PhraseError::Count(2)));
    }

    #[test]
    fn secrets_do_not_print() {
        let phrase = RecoveryPhrase::from_entropy([7; 32]);
        assert_eq!(format!("{phrase:?}"), "RecoveryPhrase(…)");
        let printed = format!("{:?}", phrase.reading_key());
        let secret = data_secret(&phrase);
        assert!(!printed.contains(&secret), "{printed}");
    }

    fn data_secret(phrase: &RecoveryPhrase) -> String {
        safelight_proto::id::Hash(*phrase.reading_key().to_secret()).to_string()
    }

    /// Frozen: a phrase of today must open the library in twenty years.
    #[test]
    fn derivation_is_frozen() {
        let phrase = RecoveryPhrase::from_entropy([0; 32]);
        assert_eq!(
            phrase.library().to_string(),
            "4659446c283f1dfc0ea268fb21a46012f08afe0fef9ea9bb0cf5e3c0ffad9b4d"
        );
        let public = safelight_proto::id::Hash(phrase.reading_key().public().0);
        assert_eq!(public.to_string(), "d361bbd2ce136b1e207de3aa1d268a83d392322b21897dea8daee4ce4d2cbe1a");
    }
}
