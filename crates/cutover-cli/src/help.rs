//! What stands below the options of `--help`, laid out for the width of the terminal: paragraphs that are filled, and
//! examples with their remarks beside or below them. clap would only cut what is too long.

use clap::{Command, CommandFactory as _};

use crate::args::Cli;

/// Help is never wider.
pub(crate) const WIDEST: usize = 100;
/// A remark that would have less room beside its example stands below it.
const ROOM: usize = 24;
/// How far it is set in there.
const BELOW: usize = 6;

/// The command line with its help for so many columns.
pub(crate) fn command(width: usize) -> Command {
    let width = width.min(WIDEST);
    laid_out(Cli::command(), width).term_width(width)
}

fn laid_out(command: Command, width: usize) -> Command {
    let footer = command.get_after_help().map(|text| filled(&text.to_string(), width));
    let command = match footer {
        Some(footer) => command.after_help(footer),
        None => command,
    };
    command.mut_subcommands(|verb| laid_out(verb, width))
}

/// The text with its paragraphs filled and its indented lines kept one by one.
fn filled(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut paragraph = String::new();
    let end = |paragraph: &mut String, lines: &mut Vec<String>| {
        if !paragraph.is_empty() {
            lines.extend(wrapped(paragraph.split(' '), " ", "", "", width));
            paragraph.clear();
        }
    };
    for line in text.lines() {
        let flows = !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
        if flows {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
            continue;
        }
        end(&mut paragraph, &mut lines);
        lines.extend(set_in(line, width));
    }
    end(&mut paragraph, &mut lines);
    lines.join("\n")
}

/// A heading, or a line that is set in: an example with a remark, or a row of things three spaces apart.
fn set_in(line: &str, width: usize) -> Vec<String> {
    if columns(line) <= width {
        return vec![line.to_owned()];
    }
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let pieces: Vec<&str> = text.split("  ").map(str::trim).filter(|piece| !piece.is_empty()).collect();
    match pieces.as_slice() {
        [example, remark] => {
            let at = line.rfind(remark).map_or(0, |at| columns(&line[..at]));
            let beside = format!("{:at$}", format!("{indent}{example}"));
            if at + ROOM <= width {
                return wrapped(remark.split(' '), " ", &beside, &" ".repeat(at), width);
            }
            let below = " ".repeat(BELOW);
            let mut lines = vec![format!("{indent}{example}")];
            lines.extend(wrapped(remark.split(' '), " ", &below, &below, width));
            lines
        }
        [one] => wrapped(one.split(' '), " ", indent, indent, width),
        several => wrapped(several.iter().copied(), "   ", indent, indent, width),
    }
}

/// Words in lines that are as full as they can be. One that is too long has a line of its own.
fn wrapped<'a>(
    words: impl Iterator<Item = &'a str>,
    between: &str,
    first: &str,
    rest: &str,
    width: usize,
) -> Vec<String> {
    let mut lines = vec![first.to_owned()];
    let mut is_begun = false;
    for word in words {
        let Some(line) = lines.last_mut() else { break };
        if is_begun && columns(line) + columns(between) + columns(word) > width {
            lines.push(format!("{rest}{word}"));
            continue;
        }
        if is_begun {
            line.push_str(between);
        }
        line.push_str(word);
        is_begun = true;
    }
    lines
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_filled_and_examples_keep_their_remarks() {
        let text = "One two three\nfour five.\n\nExamples:\n  cutover a        what it does in words\n  cutover b\n\nCodes:\n  0 done   1 no   2 usage";
        assert_eq!(
            filled(text, 100),
            "One two three four five.\n\nExamples:\n  cutover a        what it does in words\n  cutover b\n\nCodes:\n  0 done   1 no   2 usage"
        );
        assert_eq!(
            filled(text, 45).lines().skip(3).take(2).collect::<Vec<_>>(),
            ["  cutover a        what it does in words", "  cutover b"]
        );
        assert_eq!(
            filled("  cutover a        what it does in words, and more", 43),
            "  cutover a        what it does in words,\n                   and more"
        );
        assert_eq!(
            filled(text, 20),
            "One two three four\nfive.\n\nExamples:\n  cutover a\n      what it does\n      in words\n  cutover b\n\nCodes:\n  0 done   1 no\n  2 usage"
        );
    }

    /// No line is cut a second time by clap: none is wider than the help, and no paragraph has a short line within it.
    #[test]
    fn footers_are_wrapped_once_at_every_width() {
        for width in [40, 60, 80, 100] {
            let mut command = command(width);
            command.build();
            for verb in command.get_subcommands_mut() {
                let Some(footer) = verb.get_after_help().map(ToString::to_string) else { continue };
                let shown = verb.render_long_help().to_string();
                // An example that is longer is cut all the same.
                let fits = footer.lines().all(|line| columns(line) <= width);
                assert!(!fits || shown.contains(footer.trim_end()), "{width}\n{footer}\n{shown}");
                assert!(fits || width < 80, "{width}\n{footer}");
                for lines in footer.lines().collect::<Vec<_>>().windows(2) {
                    let next = lines[1].split(' ').next().unwrap_or_default();
                    let flows =
                        |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
                    if flows(lines[0]) && flows(lines[1]) {
                        assert!(columns(lines[0]) + 1 + columns(next) > width, "{width}\n{footer}");
                    }
                }
            }
        }
    }
}
