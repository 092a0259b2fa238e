//! What names of files say: versions that are there twice, that sort otherwise as text, that come late.

use std::collections::HashMap;

use cutover_analysis::lint::{Seen, by_code};

use super::{Found, Located};
use crate::migration::Migration;
use crate::project::{Problem, Problems, Project};

const SORTS_WRONGLY: &str = "version-sorts-wrongly";
const OUT_OF_ORDER: &str = "out-of-order-file";
/// Of two files that have one version.
const DUPLICATE_VERSION: &str = "duplicate-version";

impl Found {
    /// Adds files that come late: their versions are below the highest one that is applied.
    pub fn add_out_of_order(&mut self, project: &Project, paths: &[String], highest: &str) {
        for path in paths {
            let message = format!("its version is below the highest one that is applied, {highest}");
            self.findings.extend(of_file(project, path, OUT_OF_ORDER, message));
        }
    }

    /// Adds what is wrong with a project that is a matter of rules: the rest is given back.
    pub fn take_problems(&mut self, project: &Project, problems: Problems) -> Problems {
        let (ours, rest): (Vec<Problem>, Vec<Problem>) =
            problems.0.into_iter().partition(|problem| problem.twin);
        for problem in ours {
            self.findings.extend(of_file(project, &problem.path, DUPLICATE_VERSION, problem.message));
        }
        Problems(rest)
    }
}

/// The findings about names of the files that are meant. (Two files of one version are problems of the project, see
/// [`Found::take_problems`].)
pub(super) fn findings(project: &Project, is_meant: &dyn Fn(usize) -> bool) -> Vec<Located> {
    let mut before: HashMap<&str, &Migration> = HashMap::new();
    let mut found = Vec::new();
    for (place, migration) in project.migrations.iter().enumerate() {
        if !migration.id.version.is_ordered() {
            continue;
        }
        let earlier = before.insert(migration.id.root.as_str(), migration);
        // A project that is read has none: this is one that somebody writes.
        if let Some(earlier) = earlier.filter(|earlier| is_meant(place) && earlier.id == migration.id) {
            let message = format!("the same version as {}", earlier.path);
            found.extend(of_file(project, &migration.path, DUPLICATE_VERSION, message));
            continue;
        }
        if let Some(earlier) = earlier.filter(|earlier| is_meant(place) && sorts_before(migration, earlier)) {
            found.extend(located(project, migration, earlier));
        }
    }
    found
}

/// Whether a later file comes first where names are sorted as text, as `ls`, psql's loops and some tools do.
fn sorts_before(later: &Migration, earlier: &Migration) -> bool {
    later.file_name() < earlier.file_name()
}

fn located(project: &Project, migration: &Migration, earlier: &Migration) -> Option<Located> {
    let message =
        format!("it comes after {}, and before it where names are sorted as text", earlier.file_name());
    of_file(project, &migration.path, SORTS_WRONGLY, message)
}

fn of_file(project: &Project, path: &str, code: &str, message: String) -> Option<Located> {
    let severity = project.lint.selected(path).severity(code)?;
    let about = by_code(code)?;
    Some(Located {
        code: about.code.to_owned(),
        severity,
        path: path.to_owned(),
        line: 1,
        column: 1,
        source_line: String::new(),
        message,
        help: about.safe.to_owned(),
        seen_by: Seen::Files,
        mending: None,
    })
}
