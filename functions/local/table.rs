//! Rows under titles: whole for whatever reads them, and no wider than the terminal for people.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::terminal::shown_in_line;

/// What stands for the rest of a cell that is cut.
const REST: char = '…';
/// To how few places a cell is cut, if its title is no longer.
const LEAST: usize = 8;
/// Between two columns.
const GAP: usize = 2;
/// How far lines are in that go on with a row.
const INDENT: usize = 2;

/// A column of a table.
pub(crate) struct Column {
    title: &'static str,
    cell: fn(&Value) -> String,
    is_cut: bool,
}

impl Column {
    /// One that is cut where there is no room for it.
    pub(crate) const fn text(title: &'static str, cell: fn(&Value) -> String) -> Self {
        Self { title, cell, is_cut: true }
    }

    /// One that is no good if a part of it is missing: an id, a time, a number.
    pub(crate) const fn whole(title: &'static str, cell: fn(&Value) -> String) -> Self {
        Self { title, cell, is_cut: false }
    }
}

/// Rows under titles.
pub(crate) struct Table {
    columns: Vec<Shape>,
    /// The titles, and then a row for each item.
    rows: Vec<Vec<String>>,
}

/// What the layout has to know of a column.
#[derive(Clone, Copy)]
struct Shape {
    /// Its widest cell.
    widest: usize,
    /// How narrow it may be.
    least: usize,
}

impl Table {
    /// What the columns show of the items.
    pub(crate) fn new(items: &[Value], columns: &[Column]) -> Self {
        let titles = columns.iter().map(|column| column.title.to_owned()).collect();
        let row = |item| columns.iter().map(|column| in_a_line(&(column.cell)(item))).collect();
        let rows: Vec<Vec<String>> = [titles].into_iter().chain(items.iter().map(row)).collect();
        let shape = |(at, column): (usize, &Column)| {
            let widest = rows.iter().map(|row| length(&row[at])).max().unwrap_or_default();
            let least = LEAST.max(column.title.len()).min(widest);
            let least = if column.is_cut { least } else { widest };
            Shape { widest, least }
        };
        let columns = columns.iter().enumerate().map(shape).collect();
        Self { columns, rows }
    }

    /// Every row in a line as long as that takes, or in lines that are no longer than the terminal is
    /// wide. Longest columns are cut first, and only what may be. Where that does not do a row goes
    /// on in the next line.
    pub(crate) fn within(&self, width: Option<usize>) -> String {
        let width = width.unwrap_or(usize::MAX);
        let lines: Vec<Vec<(usize, usize)>> =
            self.lines(width).into_iter().map(|line| self.fitted(line, width)).collect();
        let rows = self.rows.iter().flat_map(|row| lines.iter().map(|line| laid(row, line)));
        rows.collect::<Vec<_>>().join("\n")
    }

    /// Which columns stand in each line of a row.
    fn lines(&self, width: usize) -> Vec<Vec<usize>> {
        let mut lines: Vec<Vec<usize>> = Vec::new();
        let mut used = 0;
        for (at, column) in self.columns.iter().enumerate() {
            match lines.last_mut() {
                Some(line) if used + GAP + column.least <= width => {
                    line.push(at);
                    used += GAP + column.least;
                }
                None => {
                    lines.push(vec![at]);
                    used = column.least;
                }
                Some(_) => {
                    lines.push(vec![at]);
                    used = INDENT + column.least;
                }
            }
        }
        lines
    }

    /// The columns of a line with their widths: as wide as they are, less what there is no room for.
    fn fitted(&self, line: Vec<usize>, width: usize) -> Vec<(usize, usize)> {
        let indent = if line.first() == Some(&0) { 0 } else { INDENT };
        let mut widths: Vec<usize> = line.iter().map(|at| self.columns[*at].widest).collect();
        let room = width.saturating_sub(indent + GAP * (line.len() - 1));
        while widths.iter().sum::<usize>() > room {
            let wider = |n: &usize| widths[*n] > self.columns[line[*n]].least;
            match (0..line.len()).filter(wider).max_by_key(|n| widths[*n]) {
                Some(widest) => widths[widest] -= 1,
                None => break,
            }
        }
        line.into_iter().zip(widths).collect()
    }
}

/// A line of a row: these columns, each so wide.
fn laid(row: &[String], line: &[(usize, usize)]) -> String {
    let cell = |(at, width): &(usize, usize)| {
        let text = cut(&row[*at], *width);
        // `{:<width$}` would count characters.
        let padding = width.saturating_sub(length(&text));
        text + &" ".repeat(padding)
    };
    let cells = line.iter().map(cell).collect::<Vec<_>>().join(&" ".repeat(GAP));
    let is_first = line.first().is_some_and(|(at, _)| *at == 0);
    let indent = if is_first { 0 } else { INDENT };
    format!("{:indent$}{}", "", cells.trim_end())
}

/// As much of a text as there is room for.
fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = |c: &char| match room.checked_sub(c.width().unwrap_or_default()) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).chain([REST]).collect()
}

/// A text in one line, which does nothing to a terminal.
fn in_a_line(text: &str) -> String {
    shown_in_line(text)
}

/// How many places a text takes in a terminal, where some characters take two.
fn length(text: &str) -> usize {
    text.width()
}
