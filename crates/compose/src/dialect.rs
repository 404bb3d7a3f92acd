//! Where the YAML that Compose reads and the YAML of the parser at hand differ.

/// A byte that the parser at hand stumbles over though Compose does not, and that a space can stand for: a tab between two
/// tokens of a line, or the line break before what goes on at the line's beginning within braces or brackets.
pub(crate) fn mendable(text: &str, at: usize, problem: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let line_of = |index: usize| text[..index].rfind('\n').map_or(0, |end| end + 1);
    if let Some(tab) = (at.saturating_sub(1)..=at + 1).find(|index| bytes.get(*index) == Some(&b'\t')) {
        return (!text[line_of(tab)..tab].trim().is_empty()).then_some(tab);
    }
    let before = text[..at].trim_end_matches(' ');
    let line_break = before.len().checked_sub(1).filter(|index| bytes[*index] == b'\n')?;
    let commented = text[line_of(line_break)..line_break].contains('#');
    let open = text[..at].bytes().fold(0i64, |open, byte| match byte {
        b'{' | b'[' => open + 1,
        b'}' | b']' => open - 1,
        _ => open,
    });
    (problem.contains("indentation") && open > 0 && !commented).then_some(line_break)
}

/// The line of a directive at the top that Compose does not take, and what is wrong with it.
pub(crate) fn directive(text: &str) -> Option<(u32, String)> {
    let lines = text.lines().zip(1u32..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    for (line, number) in lines.take_while(|(line, _)| line.starts_with('%')) {
        let mut words = line.split_whitespace();
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("%YAML", "1.1") | ("%TAG", _) => {}
            ("%YAML", version) => return Some((number, format!("a document of YAML {version}, Compose reads 1.1"))),
            (name, _) => return Some((number, format!("there is no directive `{name}`"))),
        }
    }
    None
}

/// The first tab that indents, or that follows a `-` or `?`: only within braces, brackets and scalars may it stand there.
/// `covered` are the bytes of those.
pub(crate) fn stray_tab(text: &str, covered: &[(u32, u32)]) -> Option<usize> {
    text.match_indices('\t').map(|(at, _)| at).find(|at| {
        let inside = covered.iter().any(|(start, end)| (*start as usize..*end as usize).contains(at));
        let line = text[..*at].rfind('\n').map_or(0, |end| end + 1);
        let before = text[line..*at].trim_matches([' ', '\t']);
        !inside && before.split(' ').all(|word| matches!(word, "" | "-" | "?"))
    })
}

/// Whether a text in double quotes, as it is written, has a `\/`.
pub(crate) fn has_slash_escape(raw: &str) -> bool {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && bytes.next() == Some(b'/') {
            return true;
        }
    }
    false
}
