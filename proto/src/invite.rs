//! The invite: one string that a person can paste, print or scan, with all that a newcomer needs.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

use crate::id::{LibraryId, NodeId};
use crate::limit;
use crate::vocabulary::Role;

/// Starts every invite, so that a person sees what it is and a program what it is not.
const PREFIX: &str = "SAFELIGHT";
/// Layout of the bytes below.
const VERSION: u8 = 1;
/// Bytes of the checksum at the end.
const CHECK: usize = 4;

/// What an invite carries.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// The library it opens.
    pub library: LibraryId,
    /// Who invites.
    pub inviter: NodeId,
    /// Where the inviter listens, as multiaddresses.
    pub addresses: Vec<String>,
    /// Proves that its bearer was invited; good for one node.
    pub secret: [u8; 16],
    /// What the newcomer becomes.
    pub role: Role,
    /// End of its life, in milliseconds since 1970.
    pub expires: u64,
}

/// Why a text is no invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not start like one.
    #[error("this is no Safelight invite; one starts with {PREFIX}-")]
    NotAnInvite,
    /// A character is missing or wrong.
    #[error("the invite is mangled: a part of it is missing or mistyped; copy it again as a whole")]
    Mangled,
    /// It was made by a later Safelight.
    #[error("the invite was made by a newer Safelight (format {0}); update this machine first")]
    Newer(u8),
}

impl fmt::Display for Invite {
    /// `SAFELIGHT-` and base32: upper case, so that a QR code packs it well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend(self.library.0);
        bytes.extend(self.inviter.0);
        bytes.extend(self.secret);
        bytes.push(match self.role {
            Role::Studio => 1,
            Role::Vault => 2,
        });
        bytes.extend(self.expires.to_be_bytes());
        for address in self.addresses.iter().take(limit::ADDRESSES) {
            bytes.extend(u16::try_from(address.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(address.as_bytes());
        }
        let check = check(&bytes);
        bytes.extend(check);
        write!(f, "{PREFIX}-{}", BASE32_NOPAD.encode(&bytes))
    }
}

impl fmt::Debug for Invite {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({:?} by {:?} as {})", self.library, self.inviter, self.role)
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text: String =
            text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
        let body = text.strip_prefix(PREFIX).ok_or(InviteError::NotAnInvite)?.trim_start_matches('-');
        let bytes = BASE32_NOPAD.decode(body.as_bytes()).map_err(|_| InviteError::Mangled)?;
        let split = bytes.len().checked_sub(CHECK).ok_or(InviteError::Mangled)?;
        let (bytes, sum) = bytes.split_at(split);
        if check(bytes) != sum {
            return Err(InviteError::Mangled);
        }
        parse(bytes).ok_or(match bytes.first() {
            Some(&version) if version > VERSION => InviteError::Newer(version),
            _ => InviteError::Mangled,
        })
    }
}

fn parse(bytes: &[u8]) -> Option<Invite> {
    let mut rest = Reader(bytes);
    if rest.array::<1>()? != [VERSION] {
        return None;
    }
    let library = LibraryId(rest.array()?);
    let inviter = NodeId(rest.array()?);
    let secret = rest.array()?;
    let role = match rest.array::<1>()? {
        [1] => Role::Studio,
        [2] => Role::Vault,
        _ => return None,
    };
    let expires = u64::from_be_bytes(rest.array()?);
    let mut addresses = Vec::new();
    while !rest.0.is_empty() && addresses.len() < limit::ADDRESSES {
        let length = u16::from_be_bytes(rest.array()?);
        addresses.push(String::from_utf8(rest.take(length.into())?.to_vec()).ok()?);
    }
    rest.0.is_empty().then_some(Invite { library, inviter, addresses, secret, role, expires })
}

/// The six digits by which people on both sides of a studio's invite see that they talk of the same two machines.
///
/// Both ends work it out for themselves and nobody sends it. It hangs on the inviter's and the newcomer's keys as the
/// channel between them has proven them, so a third machine that got hold of the code shows other digits. Six are
/// enough because an invite takes one newcomer only: who guesses has one guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortCode(u32);

impl ShortCode {
    /// The short code between the node that gave out `secret` and the one that came with it.
    pub fn of(library: &LibraryId, secret: &[u8; 16], inviter: &NodeId, newcomer: &NodeId) -> Self {
        let words = [library.0.as_slice(), secret, &inviter.0, &newcomer.0].concat();
        let hash = blake3::derive_key("safelight invite short code v1", &words);
        let number = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at| hash[at]));
        // The bias of a remainder is of no matter where the bound is far below 2^64.
        Self((number % 1_000_000) as u32)
    }
}

impl fmt::Display for ShortCode {
    /// In two groups, as people read numbers to each other: `482 913`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = blake3::derive_key("safelight invite checksum v1", bytes);
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn invite(addresses: Vec<String>) -> Invite {
        Invite {
            library: LibraryId([1; 32]),
            inviter: NodeId([2; 32]),
            addresses,
            secret: [3; 16],
            role: Role::Vault,
            expires: 1_795_000_000_000,
        }
    }

    #[test]
    fn frozen() {
        let text = invite(vec!["/ip4/192.0.2.7/tcp/3210".into()]).to_string();
        assert_eq!(
            blake3::hash(text.as_bytes()).to_hex().as_str(),
            "01acf79ee8a920cb7c605c60f9a16a8792694174651eeb72cd399b6bf8e15d37",
            "{text}"
        );
    }

    #[test]
    fn the_short_code_is_frozen_and_hangs_on_everything() {
        let code = |library, secret, inviter, newcomer| {
            ShortCode::of(
                &LibraryId([library; 32]),
                &[secret; 16],
                &NodeId([inviter; 32]),
                &NodeId([newcomer; 32]),
            )
            .to_string()
        };
        let ours = code(1, 3, 2, 4);
        assert_eq!(ours, "886 718");
        for other in
            [code(9, 3, 2, 4), code(1, 9, 2, 4), code(1, 3, 9, 4), code(1, 3, 2, 9), code(1, 3, 4, 2)]
        {
            assert_ne!(other, ours);
        }
        assert_eq!(ShortCode(7).to_string(), "000 007");
        assert_eq!(ShortCode(999_999).to_string(), "999 999");
    }

    proptest! {
        #[test]
        fn there_and_back(addresses in prop::collection::vec("[a-z0-9/.]{1,60}", 0..5)) {
            let invite = invite(addresses);
            let text = invite.to_string();
            prop_assert_eq!(text.parse::<Invite>(), Ok(invite.clone()));
            let untidy = format!(" {}\n", text.to_lowercase());
            prop_assert_eq!(untidy.parse::<Invite>(), Ok(invite));
        }

        #[test]
        fn one_wrong_character_is_noticed(at in 10usize..150, with in "[A-Z2-7]") {
            let text = invite(vec![]).to_string();
            let at = at.min(text.len() - 1);
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, &with);
            if wrong != text {
                prop_assert!(wrong.parse::<Invite>().is_err());
            }
        }

        #[test]
        fn anything_else_is_refused(text in ".{0,200}") {
            prop_assert!(text.parse::<Invite>().is_err());
            let prefixed = format!("SAFELIGHT-{text}");
            prop_assert!(prefixed.parse::<Invite>().is_err());
        }
    }
}
