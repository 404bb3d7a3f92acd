//! The files of a project as text and as trees.

use std::path::Path;

use crate::files::{Files, SourceFile};
use crate::parse::parse;
use crate::problem::{Code, Report};
use crate::tree::Node;

/// What was read, in order: the number of a file is its place here.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    list: Vec<SourceFile>,
}

impl Sources {
    /// Reads and parses a file; a file that was read before keeps its number.
    pub(crate) fn documents(&mut self, path: &Path, files: &dyn Files, report: &mut Report) -> Option<Vec<Node>> {
        let number = match self.list.iter().position(|file| file.path == path) {
            Some(known) => known,
            None => {
                let text = read(path, files, report)?;
                self.list.push(SourceFile { path: path.to_path_buf(), text });
                self.list.len() - 1
            }
        };
        let file = u32::try_from(number).expect("invariant: fewer files than u32::MAX");
        let text = &self.list[number].text;
        if let Some((at, found)) = text.char_indices().find(|(_, c)| !is_printable(*c)) {
            let line = text[..at].matches('\n').count() + 1;
            let message = format!("`{}` line {line}: the character {found:?} cannot stand in YAML", path.display());
            report.general(Code::Syntax, message);
            return None;
        }
        parse(file, text, report)
    }

    /// The files.
    pub(crate) fn into_list(self) -> Vec<SourceFile> {
        self.list
    }
}

fn read(path: &Path, files: &dyn Files, report: &mut Report) -> Option<String> {
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.general(Code::Unreadable, format!("`{}` cannot be read: {error}", path.display()));
            return None;
        }
    };
    let text = decode(&bytes);
    if text.is_none() {
        report.general(Code::Unreadable, format!("`{}` is neither UTF-8 nor UTF-16", path.display()));
    }
    text
}

/// UTF-8, or UTF-16 when a byte order mark says so.
fn decode(bytes: &[u8]) -> Option<String> {
    let units = |rest: &[u8], from: fn([u8; 2]) -> u16| {
        let pairs = rest.chunks_exact(2);
        let whole = pairs.remainder().is_empty();
        let units: Vec<u16> = pairs.map(|pair| from([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok().filter(|_| whole)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// YAML 1.1, c-printable.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && c != '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_text_as_well() {
        assert_eq!(decode(b"\xff\xfea\0:\0").as_deref(), Some("a:"));
        assert_eq!(decode(b"\xfe\xff\0a\0:").as_deref(), Some("a:"));
        assert_eq!(decode(b"\xef\xbb\xbfa:").as_deref(), Some("a:"));
        assert_eq!(decode(b"\xff\xfea"), None);
        assert_eq!(decode(b"\xffa"), None);
    }
}
