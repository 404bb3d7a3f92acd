//! What the terminal can do: colours, width, characters.

use crate::cli::When;
use anstyle::{AnsiColor, Style};
use std::io::IsTerminal;

/// What standard output and standard error can show.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terminal {
    /// Standard output takes colours.
    pub(crate) out_colour: bool,
    /// Standard error takes colours.
    pub(crate) err_colour: bool,
    /// Standard output is a terminal.
    pub(crate) interactive: bool,
    /// Characters beyond ASCII are understood.
    pub(crate) unicode: bool,
    /// Columns of a terminal; a pipe has no width.
    pub(crate) width: Option<u16>,
}

/// Fewer columns than these are no terminal's true width.
const NARROWEST: u16 = 20;

impl Terminal {
    /// Looks at the descriptors and at NO_COLOR, TERM and the locale.
    pub(crate) fn detect(when: When) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let colour = |terminal: bool| match when {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !plain,
        };
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let width = out.then(|| crossterm::terminal::size().ok()).flatten().map(|(columns, _)| columns);
        // a terminal that was never told its size says 0
        let width = width.filter(|columns| *columns >= NARROWEST);
        Self {
            out_colour: colour(out),
            err_colour: colour(err),
            interactive: out,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
            width,
        }
    }

    /// A text for standard output in a colour.
    pub(crate) fn style(&self, text: &str, colour: AnsiColor) -> String {
        paint(text, colour, self.out_colour)
    }

    /// A text for standard error in a colour.
    pub(crate) fn err_style(&self, text: &str, colour: AnsiColor) -> String {
        paint(text, colour, self.err_colour)
    }

    /// A mark that is not the only bearer of its meaning.
    pub(crate) fn mark(&self, good: bool) -> &'static str {
        match (self.unicode, good) {
            (true, true) => "✓",
            (true, false) => "✗",
            (false, true) => "+",
            (false, false) => "!",
        }
    }

    /// The colour of a state's word.
    pub(crate) fn state(&self, state: &str) -> String {
        match state_colour(state) {
            Some(colour) => self.style(state, colour),
            None => state.to_owned(),
        }
    }
}

/// Green is good, red wants somebody, yellow is on its way.
pub(crate) fn state_colour(state: &str) -> Option<AnsiColor> {
    Some(match state {
        "ready" | "done" | "healthy" => AnsiColor::Green,
        "failed" | "unhealthy" | "lost" => AnsiColor::Red,
        "starting" | "waiting" | "backoff" | "stopping" | "running" => AnsiColor::Yellow,
        "exited" | "stopped" => AnsiColor::BrightBlack,
        _other => return None,
    })
}

pub(crate) fn paint(text: &str, colour: AnsiColor, on: bool) -> String {
    if !on {
        return text.to_owned();
    }
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}
