//! Keys that seal to the library, and the keys of rolls.
//!
//! HPKE (RFC 9180, base mode) with X25519, HKDF-SHA256 and AES-256-GCM. The `info` names the purpose, the library
//! and the roll, so that nothing wrapped for one place opens in another.

use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use safelight_proto::id::{LibraryId, RollId};
use zeroize::Zeroizing;

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Bytes that HPKE adds: an encapsulated key and a tag.
const OVERHEAD: usize = 32 + 16;
/// Texts are padded to a multiple of this, so that a length says little.
const TEXT_GRAIN: usize = 64;
/// Longest text that [`seal_text`] takes, in bytes.
pub const TEXT_MAX: usize = 4096;

const ROLL_KEY: &[u8] = b"safelight roll key v1";
const TEXT: &[u8] = b"safelight text v1";

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The public key is none, such as a point of low order.
    #[error("this is no public reading key")]
    PublicKey,
    /// The key does not open it: another library's, another purpose, or damage.
    #[error("this was not sealed to this library, or it is damaged")]
    Open,
    /// The text is longer than [`TEXT_MAX`].
    #[error("a text of {0} bytes is too long to seal")]
    TooLong(usize),
}

/// The secret half of the library's reading key. Wiped from memory when dropped.
#[derive(Clone)]
pub struct ReadingKey(PrivateKey);

impl ReadingKey {
    /// The key with this X25519 secret.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(PrivateKey::from_bytes(secret).expect("any 32 bytes are an X25519 secret"))
    }

    /// The X25519 secret: what a studio node keeps, and hands to another.
    pub fn to_secret(&self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        self.0.write_exact(&mut *secret);
        secret
    }

    /// The public half.
    pub fn public(&self) -> ReadingPublic {
        let mut public = [0; 32];
        X25519HkdfSha256::sk_to_pk(&self.0).write_exact(&mut public);
        ReadingPublic(public)
    }

    fn open(&self, sealed: &[u8], info: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (encapped, sealed) = sealed.split_at_checked(32).ok_or(SealError::Open)?;
        let encapped = EncappedKey::from_bytes(encapped).map_err(|_| SealError::Open)?;
        hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.0,
            &encapped,
            info,
            sealed,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(|_| SealError::Open)
    }
}

impl fmt::Debug for ReadingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadingKey(of {:?})", self.public())
    }
}

/// The public half of the library's reading key: with it anyone can seal, a vault too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadingPublic(pub [u8; 32]);

impl ReadingPublic {
    fn seal(&self, plain: &[u8], info: &[u8], random: &mut impl CryptoRng) -> Result<Vec<u8>, SealError> {
        let key = PublicKey::from_bytes(&self.0).map_err(|_| SealError::PublicKey)?;
        let (encapped, sealed) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &key,
            info,
            plain,
            &[],
            random,
        )
        .map_err(|_| SealError::PublicKey)?;
        let mut bytes = encapped.to_bytes().to_vec();
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }
}

/// A roll key that has sealed nothing yet. It can be wrapped, and it becomes one [`super::Sealer`]; there is no way
/// from a key that was opened back to this type, so that no (key, segment number) is ever sealed twice.
pub struct FreshKey(Zeroizing<[u8; 32]>);

impl FreshKey {
    /// The key made of 256 random bits, which nothing else has used or will use.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The key wrapped to the library.
    pub fn wrap(
        &self,
        reader: &ReadingPublic,
        library: LibraryId,
        roll: RollId,
        random: &mut impl CryptoRng,
    ) -> Result<WrappedKey, SealError> {
        let sealed = reader.seal(&*self.0, &roll_info(library, roll), random)?;
        let bytes = sealed.try_into().expect("HPKE adds 48 bytes to a key of 32");
        Ok(WrappedKey(bytes))
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreshKey(…)")
    }
}

/// A roll key that was opened: it reads, and seals no more. Wiped from memory when dropped.
#[derive(Clone)]
pub struct RollKey(Zeroizing<[u8; 32]>);

impl RollKey {
    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RollKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RollKey(…)")
    }
}

/// A roll key wrapped to the library's reading key: an encapsulated key and 48 sealed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrappedKey(pub [u8; WrappedKey::LEN]);

impl WrappedKey {
    /// Length in bytes.
    pub const LEN: usize = OVERHEAD + 32;

    /// The roll key, if this was wrapped for that roll of that library.
    pub fn open(&self, key: &ReadingKey, library: LibraryId, roll: RollId) -> Result<RollKey, SealError> {
        let plain = key.open(&self.0, &roll_info(library, roll))?;
        let mut secret = Zeroizing::new([0; 32]);
        if plain.len() != secret.len() {
            return Err(SealError::Open);
        }
        secret.copy_from_slice(&plain);
        Ok(RollKey(secret))
    }
}

/// A short text sealed to the library, such as a shoot's name. `purpose` says what it is: opening asks for the same.
pub fn seal_text(
    reader: &ReadingPublic,
    library: LibraryId,
    purpose: &str,
    text: &str,
    random: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let len = u16::try_from(text.len()).ok().filter(|len| usize::from(*len) <= TEXT_MAX);
    let len = len.ok_or(SealError::TooLong(text.len()))?;
    let mut plain = Zeroizing::new(Vec::with_capacity((text.len() + 2).next_multiple_of(TEXT_GRAIN)));
    plain.extend_from_slice(&len.to_le_bytes());
    plain.extend_from_slice(text.as_bytes());
    let padded = plain.len().next_multiple_of(TEXT_GRAIN);
    plain.resize(padded, 0);
    reader.seal(&plain, &text_info(library, purpose), random)
}

/// The text that [`seal_text`] sealed for that purpose.
pub fn open_text(
    key: &ReadingKey,
    library: LibraryId,
    purpose: &str,
    sealed: &[u8],
) -> Result<String, SealError> {
    if sealed.len() > OVERHEAD + (TEXT_MAX + 2).next_multiple_of(TEXT_GRAIN) {
        return Err(SealError::Open);
    }
    let plain = key.open(sealed, &text_info(library, purpose))?;
    let (len, text) = plain.split_first_chunk().ok_or(SealError::Open)?;
    let text = text.get(..usize::from(u16::from_le_bytes(*len))).ok_or(SealError::Open)?;
    String::from_utf8(text.to_vec()).map_err(|_| SealError::Open)
}

fn roll_info(library: LibraryId, roll: RollId) -> Vec<u8> {
    [ROLL_KEY, library.as_bytes(), roll.as_bytes()].concat()
}

fn text_info(library: LibraryId, purpose: &str) -> Vec<u8> {
    // The purpose stands last: what is before it has fixed lengths.
    [TEXT, library.as_bytes(), purpose.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    const LIBRARY: LibraryId = LibraryId([1; 32]);
    const ROLL: RollId = RollId([2; 32]);

    fn reading() -> ReadingKey {
        ReadingKey::from_secret(&[3; 32])
    }

    #[test]
    fn a_roll_key_opens_where_it_was_wrapped_for() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let fresh = FreshKey::from_random([9; 32]);
        let wrapped = fresh.wrap(&reading().public(), LIBRARY, ROLL, &mut random).expect("a good key");
        let opened = wrapped.open(&reading(), LIBRARY, ROLL).expect("ours");
        assert_eq!(opened.secret(), fresh.secret());

        let other = ReadingKey::from_secret(&[4; 32]);
        assert_eq!(wrapped.open(&other, LIBRARY, ROLL).err(), Some(SealError::Open));
        assert_eq!(wrapped.open(&reading(), LibraryId([8; 32]), ROLL).err(), Some(SealError::Open));
        assert_eq!(wrapped.open(&reading(), LIBRARY, RollId([8; 32])).err(), Some(SealError::Open));
        for at in 0..WrappedKey::LEN {
            let mut damaged = wrapped;
            // Not the highest bit of the point: X25519 ignores it.
            damaged.0[at] ^= 1;
            assert_eq!(damaged.open(&reading(), LIBRARY, ROLL).err(), Some(SealError::Open), "byte {at}");
        }
    }

    #[test]
    fn a_public_key_of_low_order_is_refused() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let wrapped =
            FreshKey::from_random([9; 32]).wrap(&ReadingPublic([0; 32]), LIBRARY, ROLL, &mut random);
        assert_eq!(wrapped, Err(SealError::PublicKey));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn texts_there_and_back(text in ".{0,200}", seed: u64) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let sealed = seal_text(&reading().public(), LIBRARY, "shoot name", &text, &mut random)
                .expect("short enough");
            prop_assert_eq!((sealed.len() - OVERHEAD) % TEXT_GRAIN, 0);
            let opened = open_text(&reading(), LIBRARY, "shoot name", &sealed);
            prop_assert_eq!(opened.as_deref(), Ok(text.as_str()));
            prop_assert!(open_text(&reading(), LIBRARY, "another", &sealed).is_err());
            prop_assert!(open_text(&reading(), LIBRARY, "shoot name", &sealed[..sealed.len() - 1]).is_err());
        }
    }

    #[test]
    fn long_texts_are_refused() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let public = reading().public();
        let mut seal = |len| seal_text(&public, LIBRARY, "p", &"x".repeat(len), &mut random);
        assert!(seal(TEXT_MAX).is_ok());
        assert_eq!(seal(TEXT_MAX + 1), Err(SealError::TooLong(TEXT_MAX + 1)));
        assert_eq!(seal(1 << 17), Err(SealError::TooLong(1 << 17)));
    }

    #[test]
    fn keys_do_not_print() {
        assert_eq!(format!("{:?}", FreshKey::from_random([9; 32])), "FreshKey(…)");
        assert_eq!(format!("{:?}", RollKey(Zeroizing::new([9; 32]))), "RollKey(…)");
    }
}
