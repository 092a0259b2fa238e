//! What names of files say: versions that are there twice, that sort otherwise as text, that come late.

use std::collections::HashMap;

use cutover_analysis::lint::{Seen, by_code};

use super::Located;
use crate::migration::Migration;
use crate::project::Project;

const SORTS_WRONGLY: &str = "version-sorts-wrongly";

/// The findings about names of the files that are meant. (Two files of one version are refused before anything is looked at.)
pub(super) fn findings(project: &Project, is_meant: &dyn Fn(usize) -> bool) -> Vec<Located> {
    let mut before: HashMap<&str, &Migration> = HashMap::new();
    let mut found = Vec::new();
    for (place, migration) in project.migrations.iter().enumerate() {
        if !migration.id.version.is_ordered() {
            continue;
        }
        let earlier = before.insert(migration.id.root.as_str(), migration);
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
    let severity = project.lint.selected(&migration.path).severity(SORTS_WRONGLY)?;
    let about = by_code(SORTS_WRONGLY)?;
    Some(Located {
        code: about.code,
        severity,
        path: migration.path.clone(),
        line: 1,
        column: 1,
        source_line: String::new(),
        message: format!(
            "it comes after {}, and before it where names are sorted as text",
            earlier.file_name()
        ),
        help: about.safe.to_owned(),
        seen_by: Seen::Files,
        mending: None,
    })
}
