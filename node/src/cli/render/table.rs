//! Columns that line up.

use unicode_width::UnicodeWidthStr;

use crate::cli::units::plain;

/// Where a cell stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A table with a head, unless all of its titles are empty; each line starts with two spaces. Cells are made safe for a terminal.
pub fn table(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let head_row: Vec<String> = head.iter().map(|(title, _)| (*title).to_owned()).collect();
    let head_row = head_row.iter().any(|title| !title.is_empty()).then_some(&head_row);
    let rows: Vec<Vec<String>> =
        head_row.into_iter().chain(rows).map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| cells(c)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((cell, (_, align)), width) in row.iter().zip(head).zip(&widths) {
            let gap = " ".repeat(width - cells(cell));
            line.push_str("  ");
            match align {
                Align::Left => line.extend([cell.as_str(), &gap]),
                Align::Right => line.extend([&gap, cell.as_str()]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Columns that a text takes in a terminal.
fn cells(text: &str) -> usize {
    text.width()
}
