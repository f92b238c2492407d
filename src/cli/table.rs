//! Small aligned tables on standard output; the last column is never padded, so that it can be copied whole.

use std::io::{self, Write};

/// Rows of text under headings.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(headings: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned)],
        }
    }

    pub(super) fn add(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row);
    }

    /// Writes the headings and all rows; nothing if there is no row.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.len() < 2 {
            return Ok(());
        }
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rows: &[[&str; 2]]) -> String {
        let mut table = Table::new(["name", "é"]);
        for row in rows {
            table.add(row.map(str::to_owned));
        }
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(written(&[]), "");
        assert_eq!(
            written(&[["a", "1"], ["längster", "22"]]),
            "name      é\na         1\nlängster  22\n"
        );
    }
}
