//! Text of services on a terminal: colours pass, what would move the cursor or make the terminal answer does not.
//!
//! A service with a terminal of its own (`tty: true`) writes for that one: a shell's line editor asks where the cursor is
//! (`ESC [ 6 n`), and the answer would be typed into the shell of whoever reads the log.

use std::borrow::Cow;

const ESCAPE: char = '\x1b';

/// The text with its colours (`ESC [ ... m`, ECMA-48 8.3.117) and tabs, without other controls. Colours end with it.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut coloured = false;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        out.push_str(&rest[..at]);
        let length = sequence(&rest[at..]);
        let found = &rest[at..at + length];
        if found.starts_with("\x1b[") && found.ends_with('m') {
            out.push_str(found);
            coloured = !matches!(found, "\x1b[m" | "\x1b[0m");
        }
        rest = &rest[at + length..];
        // a progress bar writes its line again and again
        if found == "\r" && !rest.is_empty() {
            out.push(' ');
        }
    }
    out.push_str(rest);
    if coloured {
        out.push_str("\x1b[0m");
    }
    Cow::Owned(out)
}

/// Bytes of the control that `text` begins with (ECMA-48 5.3 to 5.6); one that is cut off goes to the end.
fn sequence(text: &str) -> usize {
    let mut chars = text.char_indices();
    let first = chars.next().map_or(0, |(_, first)| first.len_utf8());
    if !text.starts_with(ESCAPE) {
        return first;
    }
    match chars.next() {
        None => first,
        // parameters and intermediates, then one final character
        Some((_, '[')) => {
            chars.find(|(_, c)| ('\x40'..='\x7e').contains(c)).map_or(text.len(), |(at, c)| at + c.len_utf8())
        }
        // a command string: up to BEL or ESC \
        Some((_, ']' | 'P' | 'X' | '^' | '_')) => {
            let end = text[2..].find(['\x07', ESCAPE]).map(|at| at + 2);
            end.map_or(text.len(), |at| if text[at..].starts_with("\x1b\\") { at + 2 } else { at + 1 })
        }
        // intermediates, then one final character
        Some((_, ' '..='/')) => {
            chars.find(|(_, c)| !(' '..='/').contains(c)).map_or(text.len(), |(at, c)| at + c.len_utf8())
        }
        Some((at, other)) => at + other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_as_it_was() {
        assert!(matches!(harmless("a\tb ü"), Cow::Borrowed("a\tb ü")));
    }

    #[test]
    fn colours_pass_and_end() {
        assert_eq!(harmless("\x1b[31mred\x1b[0m"), "\x1b[31mred\x1b[0m");
        assert_eq!(harmless("\x1b[1;31mred"), "\x1b[1;31mred\x1b[0m");
    }

    #[test]
    fn nothing_moves_the_cursor_or_asks() {
        for (text, left) in [
            ("/ # \x1b[6n", "/ # "),
            ("\x1b[2J\x1b[Hx", "x"),
            ("\x1b]0;title\x07x", "x"),
            ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bP1$r\x1b\\x", "x"),
            ("\x1b(Bx\x1b7y\x1bc", "xy"),
            ("a\x07b\x08c\r", "abc"),
            ("10%\r20%", "10% 20%"),
            ("cut\x1b[3", "cut"),
            ("cut\x1b]0;t", "cut"),
            ("cut\x1b", "cut"),
            ("\u{9b}6nx", "6nx"),
        ] {
            assert_eq!(harmless(text), left, "{text:?}");
        }
    }
}
