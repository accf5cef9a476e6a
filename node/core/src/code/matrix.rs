//! Small matrices over GF(2^8): at most k by k, so a stripe costs thousands of times more than they do.

use reed_solomon_erasure::galois_8::{div, exp, mul};

/// A matrix as its rows.
pub(super) type Rows = Vec<Vec<u8>>;

/// Row `index` of a Vandermonde matrix of `columns` columns.
pub(super) fn vandermonde(index: u8, columns: u8) -> Vec<u8> {
    (0..columns).map(|column| exp(index, usize::from(column))).collect()
}

/// `row` times `matrix`.
pub(super) fn times(row: &[u8], matrix: &Rows) -> Vec<u8> {
    let column = |at: usize| row.iter().zip(matrix).fold(0, |sum, (&a, other)| sum ^ mul(a, other[at]));
    (0..matrix.len()).map(column).collect()
}

/// The inverse of a square matrix, by Gauss and Jordan; `None` if it has none.
pub(super) fn inverse(mut matrix: Rows) -> Option<Rows> {
    let size = matrix.len();
    for (at, row) in matrix.iter_mut().enumerate() {
        row.extend((0..size).map(|column| u8::from(column == at)));
    }
    for at in 0..size {
        let pivot = (at..size).find(|&row| matrix[row][at] != 0)?;
        matrix.swap(at, pivot);
        let scale = matrix[at][at];
        matrix[at].iter_mut().for_each(|cell| *cell = div(*cell, scale));
        let pivot_row = matrix[at].clone();
        for (other, row) in matrix.iter_mut().enumerate() {
            let factor = row[at];
            if other != at && factor != 0 {
                row.iter_mut().zip(&pivot_row).for_each(|(cell, &p)| *cell ^= mul(factor, p));
            }
        }
    }
    Some(matrix.into_iter().map(|row| row[size..].to_vec()).collect())
}
