//! Tables that fit.

use crate::term::Terminal;
use comfy_table::{ContentArrangement, Table};

/// Columns under their heads; empty columns are left out. Fits a terminal's width, is unlimited in a pipe.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>], terminal: &Terminal) -> String {
    let used: Vec<usize> = (0..heads.len())
        .filter(|column| rows.iter().any(|row| row.get(*column).is_some_and(|c| !c.is_empty())))
        .collect();
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
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
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
