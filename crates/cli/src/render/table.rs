//! Tables that fit.

use crate::term::Terminal;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};

/// Between two columns.
const GAP: usize = 2;
/// A word that is longer than this may be broken.
const LONG_WORD: usize = 24;
/// What several words have at least.
const SENTENCE: usize = 18;

/// The width below which a text is hard to read.
fn least(text: &str) -> usize {
    let longest = text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or_default();
    longest.min(LONG_WORD).max(text.chars().count().min(SENTENCE))
}

/// Columns under their heads; empty columns are left out. Fits a terminal's width, is unlimited in a pipe.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>], terminal: &Terminal) -> String {
    fitted(heads, rows, terminal, &[])
}

/// As [`table`]; where words would have to be broken the columns `less` are left out, one after the other.
pub(crate) fn fitted(heads: &[&str], rows: &[Vec<String>], terminal: &Terminal, less: &[&str]) -> String {
    let cell = |row: &'_ Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let mut used: Vec<usize> =
        (0..heads.len()).filter(|column| rows.iter().any(|row| !cell(row, *column).is_empty())).collect();
    let least = |column: usize| {
        let words = rows.iter().map(|row| least(&cell(row, column)));
        words.max().unwrap_or_default().max(heads[column].len()) + GAP
    };
    let fits = |used: &[usize]| {
        let all: usize = used.iter().map(|column| least(*column)).sum();
        terminal.width.is_none_or(|width| all <= usize::from(width) + GAP)
    };
    for head in less {
        if !fits(&used) {
            used.retain(|column| heads[*column] != *head);
        }
    }
    let whole_words = fits(&used);
    let pick = |cells: &dyn Fn(usize) -> String| used.iter().map(|column| cells(*column)).collect::<Vec<_>>();
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    match terminal.width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table.set_header(pick(&|column| heads[column].to_owned()));
    for row in rows {
        table.add_row(pick(&|column| row.get(column).cloned().unwrap_or_default()));
    }
    let last = used.len().saturating_sub(1);
    for (place, column) in table.column_iter_mut().enumerate() {
        let gap = if place == last { 0 } else { GAP };
        column.set_padding((0, u16::try_from(gap).unwrap_or_default()));
        if terminal.width.is_some() && whole_words {
            let width = u16::try_from(least(used[place]) - GAP + gap).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
    }
    let text = table.to_string();
    let mut trimmed: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if terminal.out_colour {
        trimmed = colour_states(&trimmed, terminal);
    }
    trimmed
}

/// Colours come after the layout, which counts characters: the first word of a state in each line.
fn colour_states(text: &str, terminal: &Terminal) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for (number, line) in text.lines().enumerate() {
        let word = line.split_whitespace().skip(1).find(|w| crate::term::state_colour(w).is_some());
        match word.and_then(|word| find_word(line, word).map(|at| (at, word))) {
            Some((at, word)) if number > 0 => {
                out.push_str(&line[..at]);
                out.push_str(&terminal.state(word));
                out.push_str(&line[at + word.len()..]);
            }
            Some(_) | None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Where the word stands by itself, after the first one.
fn find_word(line: &str, word: &str) -> Option<usize> {
    let start = line.find(char::is_whitespace)?;
    line[start..].match_indices(word).map(|(at, _)| start + at).find(|at| {
        let after = line[at + word.len()..].chars().next();
        line[..*at].ends_with(' ') && after.is_none_or(char::is_whitespace)
    })
}
