//! Reed-Solomon over units.

use reed_solomon_erasure::galois_8::{mul_slice, mul_slice_xor};
use safelight_proto::limit::{K_MAX, N_MAX, UNIT_DEFAULT, UNIT_MIN};
use safelight_proto::shard::BadShape;

use super::matrix::{Rows, inverse, times, vandermonde};

/// Bytes worked on at a time, so that a tile of every unit stays in the processor's cache.
const TILE: usize = 16 * 1024;

/// Units that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Too few units, or one twice.
    #[error("{need} different units are needed, and {have} were given")]
    TooFew {
        /// Units needed.
        need: u8,
        /// Different units given.
        have: u8,
    },
    /// A unit of another length.
    #[error("units of {got} bytes among units of {want}")]
    Length {
        /// Bytes of the unit.
        got: usize,
        /// Bytes it should have.
        want: usize,
    },
    /// No code has so many rows.
    #[error("no code has a row 255")]
    Index,
}

/// The unit for a stream of about so many sealed bytes in k shards: 256 KiB, or less where most of the last
/// stripe would be padding.
pub fn unit_for(sealed_bytes: u64, k: u8) -> u32 {
    // At least 16 stripes, so that padding is a sixteenth at most, but for the smallest rolls.
    let wanted = sealed_bytes.div_ceil(16 * u64::from(k.max(1)));
    let unit = wanted.next_multiple_of(u64::from(UNIT_MIN)).clamp(u64::from(UNIT_MIN), UNIT_DEFAULT.into());
    unit as u32
}

/// The code for one k.
#[derive(Debug, Clone)]
pub struct Coder {
    k: u8,
    /// What turns a Vandermonde row into a row of the code: the inverse of its first k rows. So the first k rows
    /// of the code are the identity.
    systematic: Rows,
}

impl Coder {
    /// The code with this k.
    pub fn new(k: u8) -> Result<Self, BadShape> {
        if k == 0 || k > K_MAX {
            return Err(BadShape::K(k));
        }
        let top = (0..k).map(|row| vandermonde(row, k)).collect();
        let systematic = inverse(top).expect("a Vandermonde matrix of different points has an inverse");
        Ok(Self { k, systematic })
    }

    /// Shards that rebuild.
    pub fn k(&self) -> u8 {
        self.k
    }

    /// Row `index` of the code: the factors of the k data units.
    fn row(&self, index: u8) -> Vec<u8> {
        match self.k {
            1 => vec![1],
            k => times(&vandermonde(index, k), &self.systematic),
        }
    }

    /// Makes the units of `rows` from a stripe, that is k data units back to back. Each output takes the length
    /// of a unit. Rows below k are copies of the stripe's own units.
    pub fn encode(&self, stripe: &[u8], rows: &[u8], outputs: &mut [Vec<u8>]) {
        let unit = stripe.len() / usize::from(self.k);
        assert_eq!(stripe.len(), unit * usize::from(self.k), "a stripe is k units");
        assert_eq!(rows.len(), outputs.len(), "one output for each row");
        let inputs: Vec<&[u8]> = stripe.chunks_exact(unit.max(1)).collect();
        for output in outputs.iter_mut() {
            output.resize(unit, 0);
        }
        let factors: Rows = rows.iter().map(|&index| self.row(index)).collect();
        let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        combine(&factors, &inputs, &mut outputs);
    }

    /// Puts the stripe back together from k different rows, in any order, into `stripe`. More than k are fine: the
    /// rest is left out. The caller has checked them: a wrong unit gives a wrong stripe.
    pub fn decode(&self, units: &[(u8, &[u8])], stripe: &mut [u8]) -> Result<(), CodeError> {
        let k = usize::from(self.k);
        let unit = stripe.len() / k;
        let chosen = self.choose(units, unit)?;
        let mut missing = Vec::new();
        let mut outputs = Vec::new();
        for (row, output) in stripe.chunks_exact_mut(unit).enumerate() {
            match chosen.iter().find(|(index, _)| usize::from(*index) == row) {
                Some((_, bytes)) => output.copy_from_slice(bytes),
                None => {
                    missing.push(row);
                    outputs.push(output);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let rows = chosen.iter().map(|(index, _)| self.row(*index)).collect();
        let back = inverse(rows).expect("any k different rows of the code are independent");
        let factors: Rows = missing.into_iter().map(|row| back[row].clone()).collect();
        let inputs: Vec<&[u8]> = chosen.iter().map(|(_, bytes)| *bytes).collect();
        combine(&factors, &inputs, &mut outputs);
        Ok(())
    }

    /// k different units, the stripe's own first: they need no arithmetic.
    fn choose<'a>(&self, units: &[(u8, &'a [u8])], unit: usize) -> Result<Vec<(u8, &'a [u8])>, CodeError> {
        let mut chosen = units.to_vec();
        chosen.sort_by_key(|(index, _)| *index);
        chosen.dedup_by_key(|(index, _)| *index);
        if let Some((_, wrong)) = chosen.iter().find(|(_, bytes)| bytes.len() != unit) {
            return Err(CodeError::Length { got: wrong.len(), want: unit });
        }
        if chosen.iter().any(|(index, _)| *index == N_MAX) {
            return Err(CodeError::Index);
        }
        if chosen.len() < usize::from(self.k) {
            return Err(CodeError::TooFew { need: self.k, have: chosen.len() as u8 });
        }
        // Any row serves when k is 1: they are all copies.
        if self.k == 1 {
            chosen[0].0 = 0;
        }
        chosen.truncate(usize::from(self.k));
        Ok(chosen)
    }
}

/// Each output becomes the sum of the inputs times its row of factors.
fn combine(factors: &Rows, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let len = inputs.first().map_or(0, |input| input.len());
    for start in (0..len).step_by(TILE) {
        let tile = start..(start + TILE).min(len);
        for (row, output) in factors.iter().zip(outputs.iter_mut()) {
            let output = &mut output[tile.clone()];
            let mut empty = true;
            for (&factor, input) in row.iter().zip(inputs) {
                let input = &input[tile.clone()];
                match (factor, empty) {
                    (0, _) => continue,
                    (1, true) => output.copy_from_slice(input),
                    (_, true) => mul_slice(factor, input, output),
                    (_, false) => mul_slice_xor(factor, input, output),
                }
                empty = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reed_solomon_erasure::galois_8::ReedSolomon;

    use super::*;

    fn stripe(k: u8, unit: usize, seed: u8) -> Vec<u8> {
        (0..usize::from(k) * unit)
            .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 8) as u8)
            .collect()
    }

    fn encode(k: u8, n: u8, stripe: &[u8]) -> Vec<Vec<u8>> {
        let rows: Vec<u8> = (0..n).collect();
        let mut units = vec![Vec::new(); rows.len()];
        Coder::new(k).expect("k in bounds").encode(stripe, &rows, &mut units);
        units
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_k_of_n_rebuild(k in 1u8..=8, extra in 0u8..=6, unit in 1usize..2000, seed: u8, picks: [u8; 14]) {
            let n = k + extra;
            let whole = stripe(k, unit, seed);
            let units = encode(k, n, &whole);
            let mut order: Vec<u8> = (0..n).collect();
            order.sort_by_key(|i| picks[usize::from(*i)]);
            let some: Vec<(u8, &[u8])> =
                order[..usize::from(k)].iter().map(|&i| (i, units[usize::from(i)].as_slice())).collect();
            let mut back = vec![0; whole.len()];
            let coder = Coder::new(k).expect("k in bounds");
            prop_assert_eq!(coder.decode(&some, &mut back), Ok(()));
            prop_assert_eq!(&back, &whole);
            let few = coder.decode(&some[1..], &mut back);
            prop_assert_eq!(few, Err(CodeError::TooFew { need: k, have: k - 1 }));
        }

        /// Row i depends on (k, i) only: with more shards the old ones stay as they are.
        #[test]
        fn growing_n_leaves_old_rows_alone(k in 1u8..=8, n in 1u8..=8, more in 1u8..=30) {
            let whole = stripe(k, 100, 1);
            let few = encode(k, n, &whole);
            let many = encode(k, n + more, &whole);
            prop_assert_eq!(&few[..], &many[..usize::from(n)]);
        }

        #[test]
        fn the_code_is_the_crates(k in 2u8..=16, parity in 1u8..=8, unit in 1usize..40_000) {
            let whole = stripe(k, unit, 3);
            let theirs = ReedSolomon::new(k.into(), parity.into()).expect("within the field");
            let mut shards: Vec<Vec<u8>> = whole.chunks(unit).map(<[u8]>::to_vec).collect();
            shards.resize(usize::from(k + parity), vec![0; unit]);
            theirs.encode(&mut shards).expect("even shards");
            prop_assert_eq!(shards, encode(k, k + parity, &whole));
        }
    }

    #[test]
    fn the_ends_of_the_field() {
        let whole = stripe(32, 64, 9);
        let coder = Coder::new(32).expect("k in bounds");
        let rows: Vec<u8> = (223..255).collect();
        let mut units = vec![Vec::new(); 32];
        coder.encode(&whole, &rows, &mut units);
        let given: Vec<(u8, &[u8])> = rows.iter().zip(&units).map(|(&i, u)| (i, u.as_slice())).collect();
        let mut back = vec![0; whole.len()];
        assert_eq!(coder.decode(&given, &mut back), Ok(()));
        assert_eq!(back, whole);
        assert!(Coder::new(0).is_err() && Coder::new(33).is_err());
    }

    #[test]
    fn bad_units_are_errors() {
        let coder = Coder::new(2).expect("k in bounds");
        let (a, short) = ([0; 8], [0; 7]);
        let mut out = [0; 16];
        let twice = coder.decode(&[(3, &a), (3, &a)], &mut out);
        assert_eq!(twice, Err(CodeError::TooFew { need: 2, have: 1 }));
        let uneven = coder.decode(&[(0, &a), (1, &short)], &mut out);
        assert_eq!(uneven, Err(CodeError::Length { got: 7, want: 8 }));
        assert_eq!(coder.decode(&[(0, &a), (255, &a)], &mut out), Err(CodeError::Index));
    }

    #[test]
    fn units_fit_the_roll() {
        assert_eq!(unit_for(0, 4), UNIT_MIN);
        assert_eq!(unit_for(5_000, 1), UNIT_MIN);
        assert_eq!(unit_for(4 << 30, 4), UNIT_DEFAULT);
        assert_eq!(unit_for(4 << 20, 4), 64 * 1024);
        assert!(super::super::check_cpu().is_ok());
    }
}
