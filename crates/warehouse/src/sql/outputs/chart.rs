//! Charts for a person at a terminal: bars of numbers by a text, a line of numbers over time.
//!
//! The first column is what is counted by, the first number behind it is what is drawn. Rows are kept until the end, so
//! there is a limit to them: a chart of more is none.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Schema};
use unicode_width::UnicodeWidthStr;

use super::table::clean_within;
use super::text::Texts;
use super::{Encode, OutputError};

/// Rows of a chart.
const ROWS_MAX: usize = 10_000;
/// Bars that are drawn; more would scroll away.
const BARS_MAX: usize = 200;
/// The least and the most columns of a terminal.
const WIDTHS: (usize, usize) = (30, 400);
/// The height of a line chart.
const LINES: usize = 16;
/// Parts of a bar's last cell.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// Parts of a column's last cell.
const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A chart under way.
#[derive(Debug)]
pub(super) struct Chart {
    names: Vec<String>,
    /// Which column is drawn.
    value: Option<usize>,
    is_over_time: bool,
    width: usize,
    rows: Vec<(String, Option<f64>)>,
}

impl Chart {
    pub(super) fn new(names: &[String], schema: &Schema, width: usize) -> Self {
        let kinds: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        Self {
            names: names.iter().map(|name| clean_within(name, WIDTHS.1)).collect(),
            value: (1..kinds.len()).find(|at| kinds[*at].is_numeric()),
            is_over_time: kinds.first().is_some_and(|kind| kind.is_temporal()),
            width: width.clamp(WIDTHS.0, WIDTHS.1),
            rows: Vec::new(),
        }
    }

    fn bars(&self, out: &mut String, value: usize) {
        let shown = &self.rows[..self.rows.len().min(BARS_MAX)];
        let numbers: Vec<String> = shown.iter().map(|(_, number)| number.map_or("NULL".to_owned(), figure)).collect();
        let figures = numbers.iter().map(|text| text.width()).max().unwrap_or(0);
        let labels_max = (self.width / 2).max(8);
        let labels: Vec<String> = shown.iter().map(|(label, _)| clean_within(label, labels_max - 1)).collect();
        let widest = labels.iter().map(|label| label.width()).max().unwrap_or(0);
        let room = self.width.saturating_sub(widest + figures + 3).max(4);
        let most = shown.iter().filter_map(|(_, number)| *number).fold(0.0_f64, |most, number| most.max(number.abs()));
        _ = writeln!(out, "{} by {}", self.names[value], self.names[0]);
        for ((label, number), (_, value)) in labels.iter().zip(&numbers).zip(shown) {
            let pad = " ".repeat(widest - label.width());
            let bar = bar(value.unwrap_or(0.0), most, room);
            let line = format!("{label}{pad}  {number:>figures$} {bar}");
            _ = writeln!(out, "{}", line.trim_end());
        }
        if self.rows.len() > shown.len() {
            _ = writeln!(out, "and {} more", self.rows.len() - shown.len());
        }
    }

    fn line(&self, out: &mut String, value: usize) {
        let mut rows: Vec<(&str, f64)> =
            self.rows.iter().filter_map(|(time, number)| Some((time.as_str(), (*number)?))).collect();
        // Times as they are written sort as they are.
        rows.sort_by(|left, right| left.0.cmp(right.0));
        let most = rows.iter().map(|(_, number)| *number).fold(0.0_f64, f64::max);
        let least = rows.iter().map(|(_, number)| *number).fold(0.0_f64, f64::min);
        let (top, bottom) = (figure(most), figure(least));
        let axis = top.width().max(bottom.width());
        let room = self.width.saturating_sub(axis + 2).max(8);
        let columns = columns(&rows, room);
        _ = writeln!(out, "{} by {}", self.names[value], self.names[0]);
        let span = most - least;
        for line in (0..LINES).rev() {
            let label = if line == LINES - 1 {
                &top
            } else if line == 0 {
                &bottom
            } else {
                ""
            };
            let cells = columns.iter().map(|number| {
                let height = if span > 0.0 { (number - least) / span * LINES as f64 * 8.0 } else { 0.0 };
                let eighths = (height.round() - line as f64 * 8.0).clamp(0.0, 8.0);
                STEPS[eighths as usize]
            });
            let cells: String = cells.collect();
            _ = writeln!(out, "{label:>axis$} ┤{}", cells.trim_end());
        }
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else { return };
        let indent = " ".repeat(axis + 2);
        let gap = room.min(columns.len()).saturating_sub(first.width() + last.width());
        if first == last {
            _ = writeln!(out, "{indent}{first}");
        } else if gap > 0 {
            _ = writeln!(out, "{indent}{first}{}{last}", " ".repeat(gap));
        } else {
            _ = writeln!(out, "{indent}{first} to {last}");
        }
    }
}

/// A value for each column of the terminal: the mean of what falls on it, or each stretched over some.
fn columns(rows: &[(&str, f64)], room: usize) -> Vec<f64> {
    if rows.is_empty() {
        return Vec::new();
    }
    if rows.len() <= room {
        let wide = room / rows.len();
        return rows.iter().flat_map(|(_, number)| std::iter::repeat_n(*number, wide)).collect();
    }
    let part = |column: usize| {
        let (from, to) = (column * rows.len() / room, ((column + 1) * rows.len() / room).max(1));
        let part = &rows[from..to];
        part.iter().map(|(_, number)| number).sum::<f64>() / part.len() as f64
    };
    (0..room).map(part).collect()
}

fn bar(value: f64, most: f64, room: usize) -> String {
    let eighths = if most > 0.0 { (value.abs() / most * room as f64 * 8.0).round() as usize } else { 0 };
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

/// A number as short as it is exact enough.
fn figure(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 { format!("{number:.0}") } else { format!("{number:.3}") }
}

impl Encode for Chart {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), OutputError> {
        match self.value {
            Some(_) => Ok(()),
            None => Err(OutputError::Chart {
                expected: "a text or a time in the first column and a number in another",
                found: if self.names.is_empty() { "nothing".to_owned() } else { self.names.join(", ") },
            }),
        }
    }

    fn batch(&mut self, batch: &RecordBatch, _: &mut Vec<u8>) -> Result<(), OutputError> {
        let (Some(value), Some(label)) = (self.value, Texts::of(batch)?.into_iter().next()) else { return Ok(()) };
        let numbers = cast(batch.column(value), &DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        if self.rows.len() + batch.num_rows() > ROWS_MAX {
            let found = format!("{} and more", self.rows.len() + batch.num_rows());
            return Err(OutputError::Chart { expected: "10000 rows at most: group by less, or LIMIT", found });
        }
        for row in 0..batch.num_rows() {
            let mut text = String::new();
            if !label.write(row, &mut text)? {
                "NULL".clone_into(&mut text);
            }
            let number = numbers.is_valid(row).then(|| numbers.value(row)).filter(|number| number.is_finite());
            self.rows.push((clean_within(&text, WIDTHS.1), number));
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let Some(value) = self.value else { return Ok(()) };
        let mut text = String::new();
        match (self.rows.is_empty(), self.is_over_time) {
            (true, _) => text.push_str("0 rows\n"),
            (false, true) => self.line(&mut text, value),
            (false, false) => self.bars(&mut text, value),
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
