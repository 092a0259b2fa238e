//! Findings as annotations of GitHub's workflow commands: one line each, shown at the lines of a pull request.
//!
//! Source: "Workflow commands for GitHub Actions" in GitHub's documentation (`::error file=…,line=…,col=…,title=…::message`;
//! `%`, line ends and, in properties, `:` and `,` are escaped as URLs do).

use std::fmt::Write as _;

use cutover_analysis::lint::Severity;

use super::{Found, Located};

/// The annotations. `prefix` leads from the repository to the project: nothing, or a path that ends in `/`.
pub fn annotations(found: &Found, prefix: &str) -> String {
    let mut text = String::new();
    for problem in &found.broken {
        let line = problem.place.map_or(1, |place| place.line);
        let column = problem.place.map_or(1, |place| place.column);
        let at = At { path: &problem.path, line, column, title: "does not parse" };
        one(&mut text, "error", prefix, &at, &problem.message);
    }
    for finding in &found.findings {
        let Located { path, line, column, code, message, help, .. } = finding;
        let level = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let at = At { path, line: *line, column: *column, title: code };
        one(&mut text, level, prefix, &at, &format!("{message}\nhelp: {help}"));
    }
    text
}

struct At<'a> {
    path: &'a str,
    line: u32,
    column: u32,
    title: &'a str,
}

fn one(text: &mut String, level: &str, prefix: &str, at: &At<'_>, message: &str) {
    let At { path, line, column, title } = *at;
    let _ = writeln!(
        text,
        "::{level} file={},line={line},col={column},title={}::{}",
        property(&format!("{prefix}{path}")),
        property(title),
        data(message)
    );
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use cutover_analysis::lint::{Seen, Severity};

    use super::*;

    #[test]
    fn whatever_stands_in_a_name_stays_in_its_place() {
        let finding = Located {
            code: "drop-table".to_owned(),
            severity: Severity::Error,
            path: "a,b:%\n.sql".to_owned(),
            line: 3,
            column: 5,
            source_line: String::new(),
            message: "50% of it\n::error::x".to_owned(),
            help: "look first".to_owned(),
            seen_by: Seen::Static,
            mending: None,
        };
        let found = Found { findings: vec![finding], ..Found::default() };
        assert_eq!(
            annotations(&found, "db/"),
            "::error file=db/a%2Cb%3A%25%0A.sql,line=3,col=5,title=drop-table::50%25 of it%0A::error::x%0Ahelp: look first\n"
        );
    }
}
