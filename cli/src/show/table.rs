//! A plain table: aligned columns, a dim header, no lines.

use owo_colors::OwoColorize;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// At the left, for names.
    Left,
    /// At the right, for numbers.
    Right,
}

/// A table that is filled row by row.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Makes a table with its columns.
    pub(crate) fn new(header: &[(&'static str, Align)]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; control characters are dropped.
    pub(crate) fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.iter().map(|cell| crate::output::printable(cell)).collect());
    }

    /// Writes the table.
    pub(crate) fn to_text(&self) -> String {
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell));
                cells.chain([length(self.header[column].0)]).max().unwrap_or(0)
            })
            .collect();
        let titles: Vec<String> = self.header.iter().map(|(title, _)| (*title).to_owned()).collect();
        let mut text = format!("{}\n", self.line(&titles, &widths).dimmed());
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let columns = self.header.iter().zip(widths).enumerate();
        let parts = columns.map(|(index, ((_, align), width))| {
            pad(cells.get(index).map_or("", String::as_str), *width, *align)
        });
        parts.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// Counts a text's columns; names are in scripts whose characters take one column each.
pub(super) fn length(text: &str) -> usize {
    text.chars().count()
}

/// Pads a text to a width.
pub(super) fn pad(text: &str, width: usize, align: Align) -> String {
    let blanks = " ".repeat(width.saturating_sub(length(text)));
    match align {
        Align::Left => format!("{text}{blanks}"),
        Align::Right => format!("{blanks}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_are_dropped() {
        let mut table = Table::new(&[("name", Align::Left), ("count", Align::Right)]);
        table.row(&["PTCL\u{1b}".into(), "3".into()]);
        table.row(&["Nayatel".into(), "1,200".into()]);
        let text = anstream::adapter::strip_str(&table.to_text()).to_string();
        assert_eq!(text, "name     count\nPTCL         3\nNayatel  1,200\n");
    }
}
