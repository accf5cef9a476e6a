//! A roll's plaintext, cut and handed to the files that it belongs to.

use bytes::Bytes;

use super::passes::Piece;
use super::writer::Writer;

/// Spreads a roll's plaintext to the files that it belongs to.
pub(super) struct Spread {
    /// By where they begin.
    pub(super) pieces: Vec<Piece>,
    /// Bytes that each piece was given.
    pub(super) given: Vec<u64>,
    /// Pieces before this one are complete.
    from: usize,
    first: usize,
}

impl Spread {
    /// Files are told to the writer by their number from `first` on.
    pub(super) fn new(pieces: Vec<Piece>, first: usize) -> Self {
        Self { given: vec![0; pieces.len()], pieces, from: 0, first }
    }

    /// Hands on what of these bytes belongs to files; `false` when nothing more can be written.
    pub(super) fn give(&mut self, offset: u64, bytes: &[u8], writer: &Writer) -> bool {
        let end = offset + bytes.len() as u64;
        for (piece, given) in self.pieces.iter().zip(&mut self.given).skip(self.from) {
            if piece.plain.start >= end {
                break;
            }
            let (start, stop) = ((piece.plain.start + *given).max(offset), piece.plain.end.min(end));
            if start >= stop {
                continue;
            }
            let cut = Bytes::copy_from_slice(&bytes[(start - offset) as usize..(stop - offset) as usize]);
            if !writer.bytes(self.first + piece.job, cut) {
                return false;
            }
            *given += stop - start;
        }
        let complete = |at: usize| self.given[at] == self.pieces[at].plain.end - self.pieces[at].plain.start;
        while self.from < self.pieces.len() && complete(self.from) {
            self.from += 1;
        }
        true
    }
}
