//! A command line as words, without a shell (compose-spec 05, `command` and `entrypoint` as a text).
//!
//! Quotes and backslashes group as in a shell; nothing is expanded. Like Compose's own splitting it stops where a shell
//! would begin something else, at `;`, `&`, `|`, `<` and `>` outside quotes, and the rest of the line is lost; text in
//! backticks or `$( )` stays as it is, but must be closed.

/// The words of a line; nothing when a quote is left open or a bracket stands where it means something to a shell.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Words::default();
    for c in line.chars() {
        if words.take(c)? == Next::End {
            break;
        }
    }
    words.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Goes,
    End,
}

/// The construct that the reading is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Inside {
    escape: bool,
    double: bool,
    single: bool,
    backtick: bool,
    bracket: bool,
}

impl Inside {
    fn quoted(self) -> bool {
        self.double || self.single || self.backtick || self.bracket
    }
}

#[derive(Debug, Default)]
struct Words {
    done: Vec<String>,
    word: String,
    /// There is a word, though it may be empty: `""`.
    any: bool,
    inside: Inside,
}

impl Words {
    fn take(&mut self, c: char) -> Option<Next> {
        if self.inside.escape {
            self.inside.escape = false;
            self.push(c);
            return Some(Next::Goes);
        }
        if c == '\\' && !self.inside.single {
            self.inside.escape = true;
            return Some(Next::Goes);
        }
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            self.space(c);
            return Some(Next::Goes);
        }
        self.character(c)
    }

    fn space(&mut self, c: char) {
        if self.inside.quoted() {
            self.word.push(c);
        } else if self.any {
            self.done.push(std::mem::take(&mut self.word));
            self.any = false;
        }
    }

    fn character(&mut self, c: char) -> Option<Next> {
        let inside = &mut self.inside;
        match c {
            '`' if !(inside.single || inside.double || inside.bracket) => inside.backtick = !inside.backtick,
            ')' if !(inside.single || inside.double || inside.backtick) => inside.bracket = !inside.bracket,
            '(' if !(inside.single || inside.double || inside.backtick) => {
                if inside.bracket || !self.word.ends_with('$') {
                    return None;
                }
                inside.bracket = true;
                self.word.push('(');
                return Some(Next::Goes);
            }
            '"' if !(inside.single || inside.bracket) => {
                self.any |= inside.double;
                inside.double = !inside.double;
                return Some(Next::Goes);
            }
            '\'' if !(inside.double || inside.bracket) => {
                self.any |= inside.single;
                inside.single = !inside.single;
                return Some(Next::Goes);
            }
            ';' | '&' | '|' | '<' | '>' if !inside.quoted() => {
                // `2>file`: the number belongs to what a shell would do, and is lost with it
                if c == '>' && self.word.starts_with(|c: char| c.is_ascii_digit()) {
                    self.any = false;
                }
                return Some(Next::End);
            }
            _ => {}
        }
        self.push(c);
        Some(Next::Goes)
    }

    fn push(&mut self, c: char) {
        self.word.push(c);
        self.any = true;
    }

    fn finish(mut self) -> Option<Vec<String>> {
        if self.any {
            self.done.push(self.word);
        }
        (!self.inside.quoted() && !self.inside.escape).then_some(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_group_and_vanish() {
        for (line, wanted) in [
            ("a 'b c' -d", vec!["a", "b c", "-d"]),
            (r#"a "b 'c'" d\ e"#, vec!["a", "b 'c'", "d e"]),
            ("  a\t\nb  ", vec!["a", "b"]),
            (r#"a "" ''"#, vec!["a", "", ""]),
            ("", vec![]),
            (r"'a\b'", vec![r"a\b"]),
            ("echo $(date +%s) `x y`", vec!["echo", "$(date +%s)", "`x y`"]),
        ] {
            assert_eq!(
                split(line).as_deref(),
                Some(&wanted.into_iter().map(String::from).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn what_a_shell_would_begin_ends_the_line() {
        for (line, wanted) in [
            ("a && b", vec!["a"]),
            ("a;b", vec!["a"]),
            ("a 2>log b", vec!["a"]),
            ("a 'x && y' | b", vec!["a", "x && y"]),
            ("a>b", vec!["a"]),
        ] {
            assert_eq!(split(line).unwrap_or_default(), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_left_open_is_refused() {
        for line in ["'a", "\"a", "a\\", "`a", "$(a", "(a)", "a (b)", "a)"] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
