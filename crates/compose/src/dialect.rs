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

/// The line and version of a `%YAML` directive at the top that says other than 1.1.
pub(crate) fn other_version(text: &str) -> Option<(u32, &str)> {
    let mut lines = text.lines().zip(1u32..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let (version, line) = lines.find_map(|(line, number)| Some((line.strip_prefix("%YAML")?, number)))?;
    let version = version.split('#').next().unwrap_or_default().trim();
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    (version != "1.1" && first.is_some_and(|line| line.starts_with('%'))).then_some((line, version))
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
