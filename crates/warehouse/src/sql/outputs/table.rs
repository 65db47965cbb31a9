//! A table for a person at a terminal.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::text::Texts;
use super::{Encode, OutputError};

/// Rows that are kept back to find out how wide the columns are. A later value that is wider pushes its line.
const MEASURED_ROWS: usize = 1_000;
/// Width from which a text is cut.
const CELL_WIDTH_MAX: usize = 100;
const NULL: &str = "NULL";

/// Columns with a head, and how many rows there were.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<String>,
    right: Vec<bool>,
    widths: Vec<usize>,
    kept: Vec<Vec<String>>,
    is_measured: bool,
    rows: u64,
}

impl Table {
    pub(super) fn new(names: &[String], schema: &Schema) -> Self {
        let names: Vec<String> = names.iter().map(|name| clean(name)).collect();
        let right = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
        let widths = names.iter().map(|name| name.width()).collect();
        Self { names, right, widths, kept: Vec::new(), is_measured: false, rows: 0 }
    }

    /// Writes the head and what was kept back.
    fn release(&mut self, out: &mut Vec<u8>) {
        if self.is_measured {
            return;
        }
        self.is_measured = true;
        for row in &self.kept {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let rules: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
        self.line(&self.names, out);
        self.line(&rules, out);
        for row in std::mem::take(&mut self.kept) {
            self.line(&row, out);
        }
    }

    fn line(&self, cells: &[String], out: &mut Vec<u8>) {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let room = " ".repeat(self.widths[column].saturating_sub(cell.width()));
            let parts = if self.right[column] { [room.as_str(), cell] } else { [cell, room.as_str()] };
            parts.iter().for_each(|part| line.push_str(part));
        }
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }
}

impl Encode for Table {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), OutputError> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let columns = Texts::of(batch)?;
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            let mut cells = Vec::with_capacity(columns.len());
            for column in &columns {
                text.clear();
                cells.push(if column.write(row, &mut text)? { clean(&text) } else { NULL.to_owned() });
            }
            self.rows += 1;
            if self.is_measured {
                self.line(&cells, out);
            } else {
                self.kept.push(cells);
                if self.kept.len() >= MEASURED_ROWS {
                    self.release(out);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError> {
        self.release(out);
        let rows = if self.rows == 1 { "row" } else { "rows" };
        out.extend_from_slice(format!("\n{} {rows}\n", self.rows).as_bytes());
        Ok(())
    }
}

/// Without what a terminal would obey, and no longer than a cell may be.
fn clean(text: &str) -> String {
    clean_within(text, CELL_WIDTH_MAX)
}

/// Without what a terminal would obey, and cut behind `width_max`.
pub(super) fn clean_within(text: &str, width_max: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    for c in text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }) {
        width += c.width().unwrap_or(0);
        if width > width_max {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

/// Whether a terminal would obey it: controls, and what turns the direction of the text around it.
pub(super) fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}
