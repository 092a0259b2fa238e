//! Files of DDL: their statements say themselves what is meant, and are run as they stand, on a throwaway server alone.

use cutover_analysis::models::{About, Models, Part, Place};
use cutover_analysis::sql::{Item, Splitter};

use crate::source::{File, Settings, Source};

/// See [`Source`].
pub(crate) static SOURCE: Source = Source {
    name: "sql",
    about: "files of DDL: CREATE TABLE and what belongs to it",
    extension: "sql",
    is_so,
    read,
};

fn is_so(text: &str) -> bool {
    let mut words = text.split_whitespace().map(str::to_ascii_lowercase).peekable();
    while let Some(word) = words.next() {
        if word == "create" && words.peek().is_some_and(|next| matches!(next.as_str(), "table" | "unlogged"))
        {
            return true;
        }
    }
    false
}

fn read(files: &[File], _settings: &Settings) -> Models {
    let mut models = Models::default();
    for file in files {
        one_file(file, &mut models);
    }
    models
}

fn one_file(file: &File, models: &mut Models) {
    for item in Splitter::new(file.text.as_bytes()) {
        match item {
            Ok(Item::Statement(statement)) if is_meant(&statement.text) => models.statements.push(Part {
                sql: statement.text,
                place: Place::new(&file.path, statement.line),
                about: About::Said,
            }),
            Ok(Item::Statement(statement)) if is_of_roles(&statement.text) => {
                let what = "who may do what, and owns what: `cutover diff` compares that".to_owned();
                if !models.unsupported.iter().any(|known| known.what == what && known.place.path == file.path)
                {
                    models.unsupported(Place::new(&file.path, statement.line), what);
                }
            }
            // Rows and settings of a transaction are no matter of models.
            Ok(Item::Statement(_) | Item::CopyData(_) | Item::CopyEnd) => {}
            Ok(Item::PsqlCommand { text, line, .. }) => {
                let (place, what) = (Place::new(&file.path, line), format!("`{text}`, which is psql's own"));
                if runs_more(&text) {
                    models.unread(place, what);
                } else {
                    models.unsupported(place, what);
                }
            }
            Err(error) => {
                let line = error.place().map_or(1, |place| place.line);
                models.unread(Place::new(&file.path, line), format!("what follows: {error}"));
            }
        }
    }
}

/// Whether a command of psql runs statements that stand elsewhere.
fn runs_more(command: &str) -> bool {
    let word = command.trim_start_matches('\\').split_whitespace().next().unwrap_or_default();
    matches!(word, "i" | "ir" | "include" | "include_relative" | "gexec" | "!")
}

/// Whether a statement says who may do what.
fn is_of_roles(statement: &str) -> bool {
    let words: Vec<String> = statement.split_whitespace().take(8).map(str::to_ascii_uppercase).collect();
    matches!(words.first().map(String::as_str), Some("GRANT" | "REVOKE"))
        || words.windows(2).any(|pair| pair == ["OWNER", "TO"])
}

/// Whether a statement may say something of what tables are.
fn is_meant(statement: &str) -> bool {
    let mut words = statement.split_whitespace().map(str::to_ascii_uppercase);
    let first = words.next().unwrap_or_default();
    match first.as_str() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "GRANT" | "REVOKE"
        | "COPY" | "INSERT" | "UPDATE" | "DELETE" | "ANALYZE" | "VACUUM" => false,
        "ALTER" => {
            let words: Vec<String> = words.collect();
            // A table may be given away, and something of it be said, in one.
            let is_one = !(words.first().is_some_and(|first| first == "TABLE") && statement.contains(','));
            !is_one || !words.windows(2).any(|pair| pair == ["OWNER", "TO"])
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use crate::source::{File, Settings, recognised};

    #[test]
    fn statements_are_read_with_their_lines_and_what_is_not_meant_is_left_out() {
        let text = "-- what the app needs\nBEGIN;\nCREATE TABLE a (\n  n int\n);\n\\set x 1\nGRANT ALL ON a TO b;\nALTER TABLE a OWNER TO b;\n\
                    CREATE INDEX i ON a (n);\nCOPY a FROM stdin;\n1\n\\.\nCOMMIT;\n";
        let file = File { path: "schema.sql".into(), text: text.into() };
        let source = recognised(&file).unwrap();
        assert_eq!(source.name, "sql");
        let models = source.read(&[file], &Settings::default());
        let read: Vec<(u32, &str)> = models
            .statements
            .iter()
            .map(|part| (part.place.line, part.sql.lines().next().unwrap()))
            .collect();
        assert_eq!(read, [(3, "CREATE TABLE a ("), (9, "CREATE INDEX i ON a (n)")]);
        let unsupported: Vec<u32> = models.unsupported.iter().map(|one| one.place.line).collect();
        assert_eq!(unsupported, [6, 7]);
    }

    #[test]
    fn a_file_that_does_not_end_is_named_at_the_place() {
        let file = File {
            path: "schema.sql".into(),
            text: "CREATE TABLE a (n int);\nCREATE TABLE b (t text DEFAULT 'x".into(),
        };
        let models = recognised(&file).unwrap().read(&[file], &Settings::default());
        assert_eq!(models.statements.len(), 1);
        assert_eq!(models.unsupported[0].place.line, 2);
        assert_eq!(models.unread, [models.unsupported[0].place.clone()]);
    }

    #[test]
    fn what_stands_in_other_files_is_not_read_and_what_a_table_gets_with_its_owner_is() {
        let text = "CREATE TABLE a (n int);\n\\ir more.sql\n\\set x 1\nALTER TABLE a OWNER TO b;\nALTER TABLE a ADD m int, OWNER TO b;\n";
        let file = File { path: "schema.sql".into(), text: text.into() };
        let models = recognised(&file).unwrap().read(&[file], &Settings::default());
        let unread: Vec<u32> = models.unread.iter().map(|place| place.line).collect();
        assert_eq!(unread, [2]);
        let read: Vec<u32> = models.statements.iter().map(|part| part.place.line).collect();
        assert_eq!(read, [1, 5]);
    }
}
