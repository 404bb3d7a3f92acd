//! From the parser's marks to places in the text.

use saphyr_parser::Marker;

use crate::tree::Span;

/// What it takes to say where a mark of the parser is.
#[derive(Debug)]
pub struct Marks<'t> {
    file: u32,
    text: &'t str,
    /// Where lines begin, when they have to be counted here: what is parsed is not quite the text.
    lines: Option<Vec<usize>>,
    /// Byte of each character, when the text is not ASCII: the parser counts characters.
    bytes: Option<Vec<u32>>,
}

impl<'t> Marks<'t> {
    /// Marks in a text; `changed`: in one in which some line breaks became spaces.
    #[must_use]
    pub fn new(file: u32, text: &'t str, changed: bool) -> Self {
        let lines = changed.then(|| {
            let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(breaks).collect()
        });
        let bytes = (!text.is_ascii()).then(|| {
            let ends = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
            ends.map(small).collect()
        });
        Self { file, text, lines, bytes }
    }

    /// The place between two marks.
    #[must_use]
    pub fn span(&self, start: Marker, end: Marker) -> Span {
        let first = self.byte(start.index());
        let (line, column) = match &self.lines {
            None => (start.line(), start.col() + 1),
            Some(lines) => {
                let line = lines.partition_point(|begin| *begin <= first as usize);
                let begin = lines[line.saturating_sub(1)];
                (line, self.text.get(begin..first as usize).map_or(0, |before| before.chars().count()) + 1)
            }
        };
        let end = self.byte(end.index()).max(first);
        Span { file: self.file, line: small(line), column: small(column), start: first, end }
    }

    fn byte(&self, index: usize) -> u32 {
        match &self.bytes {
            Some(bytes) => bytes.get(index).or(bytes.last()).copied().unwrap_or(0),
            None => small(index),
        }
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
