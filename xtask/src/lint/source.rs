//! Rust source as far as the checks need it: what is code, which blocks there are, where functions and tests lie.
//!
//! No parser: comments and the insides of strings are blanked out, then braces are matched, and a block is known by the
//! text in front of its brace. That survives code which does not compile yet.

use std::ops::Range;

/// A file with everything blanked that is not code.
pub(crate) struct Source {
    /// As long as the original, line ends where they were.
    pub(crate) code: String,
    /// In the order in which they end.
    pub(crate) blocks: Vec<Block>,
}

/// Text in braces.
pub(crate) struct Block {
    /// What stands in front of the brace, back to the previous statement or block.
    pub(crate) header: Range<usize>,
    /// From brace to brace.
    pub(crate) body: Range<usize>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The line of `fn`, from 1.
    pub(crate) line: usize,
    /// From `fn` to the closing brace; attributes and docstrings do not count.
    pub(crate) lines: usize,
}

impl Source {
    /// Reads a file's text.
    pub(crate) fn new(text: &str) -> Self {
        let code = code_only(text);
        let blocks = blocks(&code);
        Self { code, blocks }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// Every function, also nested ones, in the order in which they begin.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions: Vec<Function> = self.blocks.iter().filter_map(|block| self.function(block)).collect();
        functions.sort_by_key(|function| function.line);
        functions
    }

    fn function(&self, block: &Block) -> Option<Function> {
        let header = &self.code[block.header.clone()];
        let at = words(header).find(|word| &header[word.clone()] == "fn")?;
        let name = words(&header[at.end..]).next().map(|word| &header[at.end..][word])?;
        // `fn(u8) -> u8` is a type: a name follows directly
        let named = header[at.end..].trim_start().starts_with(name) && header[at.end..].starts_with([' ', '\n']);
        let line = self.line(block.header.start + at.start);
        let lines = self.line(block.body.end - 1) - line + 1;
        named.then(|| Function { name: name.to_owned(), line, lines })
    }

    /// The blocks around a byte.
    pub(crate) fn around(&self, at: usize) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter(move |block| block.body.contains(&at)).map(|block| &self.code[block.header.clone()])
    }

    /// Whether a byte belongs to a test inside this file: `#[test]`, `#[tokio::test(..)]` and the like.
    pub(crate) fn in_test(&self, at: usize) -> bool {
        let marks = ["#[cfg(test)]", "#[test]", "::test]", "::test(", "#[rstest]"];
        self.around(at).any(|header| marks.iter().any(|mark| header.contains(mark)))
    }

    /// Whether a byte lies in the body of a loop.
    pub(crate) fn in_loop(&self, at: usize) -> bool {
        self.around(at).any(|header| {
            let mut words = words(header).map(|word| &header[word]);
            let first_is_impl = header.trim_start().starts_with("impl");
            !first_is_impl && words.any(|word| matches!(word, "loop" | "while" | "for"))
        })
    }
}

/// The identifiers and keywords of a text.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|byte| is_word(*byte))?;
        let length = bytes[start..].iter().position(|byte| !is_word(*byte)).unwrap_or(bytes.len() - start);
        at = start + length;
        Some(start..at)
    })
}

/// Matches braces. A header begins behind the last `;` outside parentheses, and behind the last brace.
fn blocks(code: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Vec<(Range<usize>, usize)> = Vec::new();
    let (mut header, mut parentheses) = (0, 0_usize);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => parentheses += 1,
            b')' | b']' => parentheses = parentheses.saturating_sub(1),
            b';' if parentheses == 0 => header = at + 1,
            b'{' => {
                open.push((header..at, parentheses));
                (header, parentheses) = (at + 1, 0);
            }
            b'}' => {
                header = at + 1;
                if let Some((header, outer)) = open.pop() {
                    parentheses = outer;
                    blocks.push(Block { body: header.end..at + 1, header });
                }
            }
            _ => {}
        }
    }
    blocks
}

/// The source with comments and the insides of strings and characters turned to spaces.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let after_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let blank = not_code(rest, after_word);
        let next = blank.unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        match blank {
            Some(length) => code.extend(rest[..length].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' })),
            None => code.push_str(&rest[..next]),
        }
        at += next;
    }
    code
}

/// The length of the comment, string or character that the text begins with.
fn not_code(rest: &str, after_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return Some(1 + until_quote(inside, '"'));
    }
    if after_word {
        return None;
    }
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let start = prefix.len() + hashes;
    rest[start..].starts_with('"').then(|| {
        let end = format!("\"{}", "#".repeat(hashes));
        rest[start + 1..].find(&end).map_or(rest.len(), |length| start + 1 + length + end.len())
    })
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = rest.as_bytes();
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// A character literal, not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inside = &rest[1..];
    if inside.starts_with('\\') {
        return Some(1 + until_quote(inside, '\''));
    }
    let length = inside.chars().next()?.len_utf8();
    inside[length..].starts_with('\'').then_some(length + 2)
}

/// The length up to and with the closing quote; a backslash hides the next character.
fn until_quote(inside: &str, quote: char) -> usize {
    let mut hidden = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    inside.len()
}

#[cfg(test)]
mod tests {
    use super::{Source, code_only};

    fn sizes(text: &str) -> Vec<(String, usize, usize)> {
        Source::new(text).functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let text = "a // {\nb /* { /* } */ { */ \"{ \\\" {\" '{' '\\'' r#\"}\"}\"# br\"{\" &'a str r#type \"ü{\" end";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains(['{', '}']), "{code}");
        assert!(code.contains("&'a str r#type") && code.ends_with("end"), "{code}");
        assert_eq!(code.matches('\n').count(), 1);
    }

    #[test]
    fn functions_are_counted_from_fn_to_the_closing_brace() {
        let text = "/// doc {\n#[inline]\npub(crate) async fn one(x: [u8; 4]) -> u8\nwhere\n    u8: Sized,\n{\n    x[0]\n}\n\nfn two() {}\n";
        assert_eq!(sizes(text), [("one".into(), 3, 6), ("two".into(), 10, 1)]);
    }

    #[test]
    fn nested_functions_count_for_themselves_and_for_the_outer_one() {
        let text = "fn outer() {\n    fn inner() {\n    }\n    call(|x| {\n        x;\n    });\n}";
        assert_eq!(sizes(text), [("outer".into(), 1, 7), ("inner".into(), 2, 2)]);
    }

    #[test]
    fn declarations_types_and_closures_are_no_functions() {
        let text =
            "trait T { fn declared(&self); }\nstruct S { f: fn(u8) -> u8 }\nfn real() { let f: fn(u8) = |x| { x; }; }";
        assert_eq!(sizes(text), [("real".into(), 3, 1)]);
    }

    #[test]
    fn tests_and_loops_are_known_by_their_headers() {
        let text = "impl A for B { fn f() { here; } }\n#[cfg(test)]\nmod tests { fn g() { for x in y { there; } } }\n#[tokio::test(x = 1)]\nasync fn h() { yonder; }";
        let source = Source::new(text);
        let at = |word: &str| text.find(word).unwrap();
        assert!(!source.in_loop(at("here;")) && !source.in_test(at("here;")));
        assert!(source.in_loop(at("there;")) && source.in_test(at("there;")));
        assert!(!source.in_loop(at("yonder;")) && source.in_test(at("yonder;")));
    }
}
