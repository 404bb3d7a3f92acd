//! Lines of logs under the names of their services.

use crate::render::harmless::harmless;
use crate::term::{Terminal, paint};
use anstyle::AnsiColor;
use muster_engine::documents::LogLine;
use std::borrow::Cow;

/// Colours that can be read on light and dark; red is kept for what is wrong.
const COLOURS: [AnsiColor; 6] =
    [AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::BrightCyan];

/// Puts names before lines.
#[derive(Debug)]
pub(crate) struct Painter {
    width: usize,
    names: Vec<String>,
    colour: bool,
    json: bool,
    /// Without names, and as it was written.
    pub(crate) raw: bool,
    /// With times.
    pub(crate) timestamps: bool,
}

impl Painter {
    /// A painter for the lines of these instances.
    pub(crate) fn new(names: &[String], terminal: &Terminal, json: bool) -> Self {
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        Self { width, names: names.to_vec(), colour: terminal.out_colour, json, raw: false, timestamps: false }
    }

    /// A painter for what is said beside the answer.
    pub(crate) fn for_errors(names: &[String], terminal: &Terminal) -> Self {
        Self { colour: terminal.err_colour, ..Self::new(names, terminal, false) }
    }

    /// A line of somebody, without a newline.
    pub(crate) fn said(&self, name: &str, text: &str) -> String {
        let painted = paint(&format!("{name:width$} |", width = self.width), self.colour_of(name), self.colour);
        format!("{painted} {}", harmless(text))
    }

    /// One line with its newline.
    pub(crate) fn line(&self, line: &LogLine) -> String {
        if self.json {
            return format!("{}\n", serde_json::to_string(line).unwrap_or_default());
        }
        let gap = match line.gap {
            0 => String::new(),
            bytes => format!("{}... {bytes} bytes are missing here ...\n", self.prefix(line)),
        };
        let text = if self.raw { Cow::Borrowed(line.text.as_str()) } else { harmless(&line.text) };
        format!("{gap}{}{text}\n", self.prefix(line))
    }

    fn prefix(&self, line: &LogLine) -> String {
        let time = if self.timestamps { format!("{} ", time(line.time_ns)) } else { String::new() };
        if self.raw {
            return time;
        }
        let name = format!("{:width$} |", line.instance, width = self.width);
        format!("{time}{} ", paint(&name, self.colour_of(&line.instance), self.colour))
    }

    /// By position where the services are known, so that neighbours differ; else by name.
    fn colour_of(&self, instance: &str) -> AnsiColor {
        let by_name = || instance.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let place = self.names.iter().position(|name| name == instance).unwrap_or_else(by_name);
        COLOURS[place % COLOURS.len()]
    }
}

fn time(ns: u64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => ns.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(instance: &str, text: &str) -> LogLine {
        LogLine {
            instance: instance.into(),
            run: 1,
            offset: 0,
            time_ns: 0,
            stderr: false,
            text: text.into(),
            gap: 0,
            partial: false,
        }
    }

    #[test]
    fn names_are_aligned_and_gaps_are_told() {
        let painter = Painter::new(&["api".into(), "worker#2".into()], &Terminal::default(), false);
        let mut lost = line("worker#2", "after");
        lost.gap = 512;
        let text: String = [line("api", "listening"), lost].iter().map(|l| painter.line(l)).collect();
        insta::assert_snapshot!(text, @r"
        api      | listening
        worker#2 | ... 512 bytes are missing here ...
        worker#2 | after
        ");
    }

    #[test]
    fn json_is_the_document() {
        let painter = Painter::new(&[], &Terminal::default(), true);
        let text = painter.line(&line("api", "x"));
        assert_eq!(serde_json::from_str::<LogLine>(&text).unwrap(), line("api", "x"));
    }
}
