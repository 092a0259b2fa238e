//! What is known of the terminal: whether there is one, its width, and whether colours are wanted.

use std::io::IsTerminal;

use cutover::report::text::TextStyle;
use cutover_postgres::Environment;

use crate::args::Color;
use crate::help;

/// Width of tables in a file or a pipe, and on a terminal of unknown width.
const ASSUMED_WIDTH: usize = 120;

/// How standard output and standard error are written to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Styles {
    pub(crate) stdout: TextStyle,
    pub(crate) stderr: TextStyle,
}

impl Styles {
    pub(crate) fn find(color: Color, environment: &Environment) -> Self {
        let style = |is_terminal: bool| TextStyle {
            color: wants_color(color, is_terminal, environment),
            width: width(is_terminal, environment),
        };
        Self {
            stdout: style(std::io::stdout().is_terminal()),
            stderr: style(std::io::stderr().is_terminal()),
        }
    }
}

/// `--color` decides; then `NO_COLOR`, `CLICOLOR_FORCE` and the kind of terminal.
fn wants_color(color: Color, is_terminal: bool, environment: &Environment) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            if environment.var("NO_COLOR").is_some() {
                return false;
            }
            let forced = environment.var("CLICOLOR_FORCE").is_some_and(|value| value != "0");
            forced || (is_terminal && environment.var("TERM") != Some("dumb"))
        }
    }
}

/// Width of what `--help` says, which is for reading rather than for tables.
pub(crate) fn help_width(environment: &Environment) -> usize {
    width(std::io::stdout().is_terminal(), environment).min(help::WIDEST)
}

fn width(is_terminal: bool, environment: &Environment) -> usize {
    let told =
        environment.var("COLUMNS").and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    let measured =
        || terminal_size::terminal_size().filter(|_| is_terminal).map(|(width, _)| usize::from(width.0));
    told.or_else(measured).unwrap_or(ASSUMED_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Environment {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { vars, ..Environment::default() }
    }

    #[test]
    fn the_option_is_stronger_than_variables_and_those_than_the_terminal() {
        let none = environment(&[]);
        let no = environment(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]);
        let force = environment(&[("CLICOLOR_FORCE", "1")]);
        assert!(wants_color(Color::Always, false, &no));
        assert!(!wants_color(Color::Never, true, &force));
        assert!(!wants_color(Color::Auto, true, &no));
        assert!(wants_color(Color::Auto, false, &force));
        assert!(wants_color(Color::Auto, true, &none));
        assert!(!wants_color(Color::Auto, false, &none));
        assert!(!wants_color(Color::Auto, true, &environment(&[("TERM", "dumb")])));
        assert!(!wants_color(Color::Auto, false, &environment(&[("CLICOLOR_FORCE", "0")])));
    }
}
