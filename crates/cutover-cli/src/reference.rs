//! The reference page, `docs/cli.md`, is made from the command line's own help; this test keeps the two equal.
//! `UPDATE_EXPECT=1 cargo test -p cutover-cli` rewrites the page.

use std::fmt::Write as _;

use clap::Command;
use expect_test::expect_file;

use crate::help;

const HEAD: &str = "# The command line\n\nThis page is what `cutover --help` and `cutover VERB --help` say. \
                    The options under “Global options” are the same for every verb and shown once, at the top.\n";

#[test]
fn the_reference_page_says_what_the_help_says() {
    let mut command = help::command(help::WIDEST).color(clap::ColorChoice::Never);
    command.build();
    let mut page = HEAD.to_owned();
    section(&mut page, &mut command, 2, true);
    expect_file!["../../../docs/cli.md"].assert_eq(&page);
}

fn section(page: &mut String, command: &mut Command, level: usize, global: bool) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help = if global { help } else { without_global_options(&help) };
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(page, "\n{} {name}\n\n```text\n{}\n```\n", "#".repeat(level), lines.join("\n"));
    for verb in command.get_subcommands_mut().filter(|verb| !verb.is_hide_set()) {
        section(page, verb, level + 1, false);
    }
}

/// The text without the section that every verb has.
fn without_global_options(help: &str) -> String {
    let mut within = false;
    let kept = help.lines().filter(|line| {
        if !line.is_empty() && !line.starts_with(' ') {
            within = line.starts_with("Global options");
        }
        !within
    });
    kept.collect::<Vec<_>>().join("\n")
}
