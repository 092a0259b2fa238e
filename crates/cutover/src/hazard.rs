//! What a run refuses unless it is accepted by name (`--allow CODE`): one list of codes, with what each means and when it
//! is right to use it. `docs/allow.md` is made from it.

use cutover_analysis::lint;

use crate::text::suggest;

/// An applied file was edited.
pub const EDITED_MIGRATION: &str = "edited-migration";
/// A file was edited after some of its parts were applied.
pub const EDITED_UNFINISHED: &str = "edited-unfinished";
/// An applied file is gone.
pub const DELETED_MIGRATION: &str = "deleted-migration";
/// A begun file is gone.
pub const DELETED_UNFINISHED: &str = "deleted-unfinished";
/// An applied file has another number now.
pub const RENUMBERED_MIGRATION: &str = "renumbered-migration";
/// Another project of the database has applied the same files.
pub const APPLIED_ELSEWHERE: &str = "applied-elsewhere";
/// Another tool has applied what is pending.
pub const NOT_ADOPTED: &str = "not-adopted";
/// A statement does not parse.
pub const UNPARSED: &str = "unparsed";
/// A statement touches the schema of the history.
pub const OWN_SCHEMA: &str = "own-schema";
/// A SET in a file of several transactions.
pub const LOST_SETTINGS: &str = "lost-settings";

/// What a baseline records as applied is not there.
pub const BASELINE_MISSING: &str = "baseline-missing";
/// What a baseline records as applied is there otherwise.
pub const BASELINE_DIFFERS: &str = "baseline-differs";
/// A file that is to be adopted is not what another tool applied.
pub const ADOPT_CHANGED: &str = "adopt-changed";
/// Another tool has applied something of which there is no file.
pub const ADOPT_MISSING: &str = "adopt-missing";
/// What is to be adopted is otherwise there than the files make it.
pub const ADOPT_DIFFERS: &str = "adopt-differs";
/// A way back destroys rows or values.
pub const DATA_LOSS: &str = "data-loss";
/// A way back leaves what a migration did to rows.
pub const ROWS_STAY: &str = "rows-stay";
/// A way back does not lead to what was there before.
pub const REVERT_DIFFERS: &str = "revert-differs";
/// A file without a statement.
pub const EMPTY_MIGRATION: &str = "empty-migration";

/// Something that is refused unless it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hazard {
    /// What `--allow` calls it.
    pub code: &'static str,
    /// What was found, in one sentence.
    pub meaning: &'static str,
    /// What happens when it is accepted.
    pub accepted: &'static str,
    /// When it is right to accept it, and what to do otherwise.
    pub when: &'static str,
}

/// Every code there is, in the order of the page.
pub const HAZARDS: [Hazard; 19] = [
    Hazard {
        code: EDITED_MIGRATION,
        meaning: "A file was changed after it was applied.",
        accepted: "The file is taken as it is. Nothing of it is run again; the history keeps the text that was applied, \
                   and every later run asks again.",
        when: "When the change cannot matter to a database that is made from the files: a comment, a corrected typing \
               mistake in a comment, other white space. Otherwise put the file back and write a new migration.",
    },
    Hazard {
        code: EDITED_UNFINISHED,
        meaning: "A file of several parts was changed after some of its parts were applied.",
        accepted: "The run goes on behind the parts that are done, with the rest as it is in the file now.",
        when: "When a later part was wrong and had to be mended. The parts that are done must be as they were: if one of \
               them was changed too, no code helps; put it back.",
    },
    Hazard {
        code: DELETED_MIGRATION,
        meaning: "A version is applied that no file has any more.",
        accepted: "The run goes on; the history keeps the version.",
        when: "When old migrations were removed on purpose, for example after they were put together into one. Not \
               when another branch is checked out, whose files are merely elsewhere: get them first.",
    },
    Hazard {
        code: DELETED_UNFINISHED,
        meaning: "Parts of a migration are applied, and no file has it any more.",
        accepted: "The run goes on; what is applied of it stays, and so does its record.",
        when: "When the rest is not wanted any more. Otherwise bring the file back (`cutover status --show VERSION` \
               prints its text) and finish it.",
    },
    Hazard {
        code: RENUMBERED_MIGRATION,
        meaning: "A file has the text of an applied migration, whose own number no file, or another file, has now.",
        accepted: "The history row follows the file to its new number and keeps what it ran as. The file counts as \
                   applied and is not run again; one of which parts are applied goes on under its new number.",
        when: "When the file was given another number on purpose. Where its text is to run once more, let it differ, if \
               only by a comment. Files that have the text of several applied migrations, of which some have no file, \
               are refused whatever is allowed: nobody can tell which is which.",
    },
    Hazard {
        code: APPLIED_ELSEWHERE,
        meaning: "Nothing of this project is applied, but most of its files are, under the name of another project.",
        accepted: "The files are run as those of a project of its own.",
        when: "When two projects really have files in common. More often the folder, which gives a project without a \
               `name` its name, is called otherwise than when its files were applied: set `name` in `[project]`.",
    },
    Hazard {
        code: NOT_ADOPTED,
        meaning: "The table of another migration tool says that migrations which are pending here are applied; or nothing of this \
                  project was ever run here, and such a table cannot be asked.",
        accepted: "They are run, perhaps once more.",
        when: "When the table is of other files than these, which merely have the same numbers. Otherwise `cutover adopt` takes \
               the database over from that tool: what is applied is recorded and not run again.",
    },
    Hazard {
        code: UNPARSED,
        meaning: "A statement, of a file or a check, is not in the grammar of PostgreSQL 18, which cutover reads SQL with.",
        accepted: "The statement is sent as it is and the server decides. What it does is not known: plans say so, and \
                   the session is cleaned behind it. The same goes for the SQL of checks, which is measured then.",
        when: "When the server is newer than 18 or a fork with a grammar of its own, and the statement is right there. \
               A typing mistake looks just the same: read the message first.",
    },
    Hazard {
        code: OWN_SCHEMA,
        meaning: "A statement creates, changes, drops, writes, locks, grants on or builds on something in schema cutover, \
                  which holds the history, puts that schema into a search path, or drops or gives away all that its owner \
                  owns. Reading it is allowed.",
        accepted: "The statement is run. What it does to the history is not looked at.",
        when: "For a repair that cutover itself has no verb for, best on a copy of the database first; also where \
               GRANTs on the schema are migrations.",
    },
    Hazard {
        code: LOST_SETTINGS,
        meaning: "A SET stands in a file of several transactions or with a statement outside one: each part starts from \
                  the session's defaults, so that the SET does not reach the parts after it.",
        accepted: "The file is run, and each SET holds in its own part alone.",
        when: "When only the part that the SET stands in needs it. Otherwise qualify the names, set it in each part \
               with SET LOCAL, or split the file.",
    },
    Hazard {
        code: BASELINE_MISSING,
        meaning: "`cutover baseline` would record migrations as applied of which something is not in the database.",
        accepted: "They are recorded as applied all the same; what is missing stays missing.",
        when: "When what they made was removed or replaced by hand since, and later migrations do without it. Otherwise \
               name the last version whose effects are there, and apply the rest.",
    },
    Hazard {
        code: BASELINE_DIFFERS,
        meaning: "`cutover baseline` would record migrations as applied of which something is in the database otherwise than \
                  they make it, or has parts (columns, constraints, indexes, triggers) that they do not make.",
        accepted: "They are recorded as applied all the same; what is there stays as it is.",
        when: "When the difference was made on purpose and later migrations do with it; write it into a migration, so that \
               databases made from the files have it too. Otherwise change the database or the files until they agree.",
    },
    Hazard {
        code: ADOPT_CHANGED,
        meaning: "`cutover adopt` would record a file as applied that is not what the other tool applied, by the checksum that it kept.",
        accepted: "The file is recorded as it is now.",
        when: "When the change cannot matter: a comment, white space, what the other tool itself would call repaired. Otherwise put \
               the file back, and write the change as a migration of its own.",
    },
    Hazard {
        code: ADOPT_MISSING,
        meaning: "The table that `cutover adopt` reads has rows of migrations that are applied and of which there is no file, or rows \
                  that its tool does not write.",
        accepted: "Nothing is recorded for such rows; everything else is.",
        when: "When the files were removed on purpose, or the migrations were programs: what they made is then the files' concern no \
               more. Not when another branch is checked out: get its files first.",
    },
    Hazard {
        code: ADOPT_DIFFERS,
        meaning: "`cutover adopt` would record migrations as applied of which something is not in the database, or is there otherwise \
                  than they make it.",
        accepted: "They are recorded as applied all the same; what is there stays as it is, and is what `cutover diff` compares with.",
        when: "When the difference was made on purpose and later migrations do with it; write it into a migration, so that databases \
               made from the files have it too. Otherwise change the database or the files until they agree.",
    },
    Hazard {
        code: DATA_LOSS,
        meaning: "`cutover revert` would drop a table or a column that holds something, change values that may not fit, or run a \
                  down file that deletes, changes or writes anew rows, or runs code that may write them: what it calls, and what \
                  hangs in the database itself on that which it writes or reads (triggers, rules, defaults, conditions, views, \
                  operators, casts, event triggers, foreign keys that delete or change along). A function whose body only \
                  computes is harmless; one that nobody can look into is not. What none of the migrations makes counts where it \
                  would go: dropped by name, by CASCADE, or with its table (columns, triggers, policies, partitions, membership \
                  in a publication). So do functions, views and the like that somebody has changed by hand, where they would be \
                  written over or dropped.",
        accepted: "What it holds is gone. Nothing but a backup brings it back.",
        when: "When nobody needs it any more, or it was saved elsewhere. What the migrations made \
               and is empty is dropped without being asked.",
    },
    Hazard {
        code: ROWS_STAY,
        meaning: "What undoes a migration was found out from the schema alone, and the migration also wrote rows of tables \
                  that were there before it, or dropped a table or a column, or does something that no statement takes \
                  back.",
        accepted: "The schema is taken back, the rows stay as the migration left them.",
        when: "When the rows do no harm. Otherwise write a down file that takes them back too.",
    },
    Hazard {
        code: REVERT_DIFFERS,
        meaning: "Rehearsed on a throwaway server, the ways back do not lead to what was there before.",
        accepted: "They are gone all the same; what is otherwise then was listed.",
        when: "When the difference is meant, for example a down file that keeps a column on purpose. Otherwise mend the file.",
    },
    Hazard {
        code: EMPTY_MIGRATION,
        meaning: "A file has no statement: nothing, or only comments, as `cutover new` makes it.",
        accepted: "The file is recorded as applied. What is written into it later is an edit of an applied file and is not \
                   run.",
        when: "When the number is to be taken up without anything to do, for example where a change was found not to be \
               needed. Otherwise write the statements, delete the file, or declare it `deferred` in `cutover.toml` until \
               it is written.",
    },
];

/// The hazard of a code.
pub fn find(code: &str) -> Option<&'static Hazard> {
    HAZARDS.iter().find(|hazard| hazard.code == code)
}

/// Whether there is such a code: of a hazard, or of a rule of lint.
pub fn is_known(code: &str) -> bool {
    find(code).is_some() || lint::by_code(code).is_some()
}

/// A code that nobody knows, in words: what is known, and which one was probably meant.
///
/// # Errors
/// The complaint about the first unknown code.
pub fn all_known(codes: &[String]) -> Result<(), String> {
    let Some(unknown) = codes.iter().find(|code| !is_known(code)) else { return Ok(()) };
    let known: Vec<&str> = HAZARDS.iter().map(|hazard| hazard.code).collect();
    let rules = lint::all().map(|rule| rule.code);
    let meant = suggest(unknown, known.iter().copied().chain(rules))
        .map_or_else(String::new, |code| format!("; did you mean {code}?"));
    Err(format!(
        "there is no hazard {unknown:?} to allow{meant}\n  known: {}, and the rules of `cutover lint --rules`",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_says_what_the_list_says() {
        let mut page = "# What `--allow` accepts\n\nSome things stop a run before its first statement because they \
                        are more often a mistake than meant. `cutover apply --allow CODE` accepts one of them, for \
                        that run; the flag may be repeated. Unknown codes are refused. `cutover plan` and `cutover \
                        apply --dry-run` show what would be refused, with the code.\n\nThe codes below are of what the tool itself \
                        refuses. So is what a rule of lint calls an error in what would run, against what is in the database: \
                        its code is accepted in the same way, with `-- cutover: allow CODE REASON` above the statement, or in \
                        `[lint]` of `cutover.toml`, see [the rules](rules/README.md). `apply = \"warn\"` there lets no finding stop \
                        a run, `apply = \"off\"` looks at nothing.\n"
            .to_owned();
        for Hazard { code, meaning, accepted, when } in HAZARDS {
            page += &[
                format!("\n## `{code}`\n\n{meaning}\n"),
                format!("\n**Accepted:** {accepted}\n\n**Right to use:** {when}\n"),
            ]
            .concat();
        }
        expect_test::expect_file!["../../../docs/allow.md"].assert_eq(&page);
    }

    #[test]
    fn unknown_codes_are_refused_with_the_one_that_was_meant() {
        let codes = |codes: &[&str]| all_known(&codes.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(codes(&["unparsed", "own-schema", "drop-table"]), Ok(()));
        let complaint = codes(&["drop-tabel"]).unwrap_err();
        assert!(complaint.contains("did you mean drop-table?"), "{complaint}");
        let complaint = codes(&["unparsed", "edited-migrations"]).unwrap_err();
        assert!(complaint.contains("did you mean edited-migration?"), "{complaint}");
        assert!(complaint.contains("known: edited-migration, edited-unfinished"), "{complaint}");
    }

    /// Whatever is said to be allowed by a code, anywhere in the sources and pages, is in the list.
    #[test]
    fn every_code_that_is_spoken_of_is_in_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found = 0;
        let mut folders = vec![root.join("crates"), root.join("docs"), root.join("systems")];
        let mut files = vec![root.join("README.md"), root.join("ARCHITECTURE.md"), root.join("CHANGELOG.md")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.extension().and_then(|ending| ending.to_str()) {
                    _ if path.is_dir() => folders.push(path),
                    Some("rs" | "md") => files.push(path),
                    _ => {}
                }
            }
        }
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for (at, _) in text.match_indices("--allow") {
                let after = text[at + "--allow".len()..].trim_start_matches([' ', '"', ',', '\\', '\n', '`']);
                let code: String =
                    after.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                // A word with a dash is a code; anything else is a sentence that goes on.
                if code.contains('-') && !code.starts_with('-') {
                    let is_of_align = crate::align::CODES.iter().any(|(known, ..)| *known == code);
                    assert!(is_known(&code) || is_of_align, "{}: --allow {code}", file.display());
                    found += 1;
                }
            }
        }
        assert!(found > 8, "{found}");
    }
}
