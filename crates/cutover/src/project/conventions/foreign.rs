//! Migrations written in other languages: what to do instead of leaving them out. cutover runs SQL and nothing else.

use super::{file_name, leading_digits};

/// What to do about a file that is a migration in another language, by its name; none for all others.
pub(super) fn advice(path: &str) -> Option<String> {
    let name = file_name(path);
    let (stem, ending) = name.rsplit_once('.')?;
    let (digits, rest) = leading_digits(stem);
    let numbered = !digits.is_empty() && rest.starts_with(['_', '-']);
    let language = match ending {
        "rb" if numbered => {
            "a migration of Rails, in Ruby: set config.active_record.schema_format = :sql, begin from db/structure.sql as \
             the first migration, and write what follows as SQL"
        }
        "py" if numbered && digits.len() == 4 => {
            let app = path.strip_suffix(name).and_then(|folder| folder.strip_suffix("/migrations/"));
            let app = app.map_or("APP", file_name);
            return Some(format!(
                "a migration of Django, in Python: `python manage.py sqlmigrate {} {digits}` prints its SQL; keep that as a \
                 migration",
                crate::text::visible(app)
            ));
        }
        "py" if is_revision(stem) => {
            "a migration of Alembic, in Python: `alembic upgrade FROM:TO --sql` prints its SQL; keep that as a migration"
        }
        "exs" if numbered => {
            "a migration of Ecto, in Elixir: `mix ecto.migrate --log-migrations-sql` shows its SQL; keep that as a migration"
        }
        "go" if numbered && !stem.ends_with("_test") => {
            "a migration in Go, which is a program: write its statements as a .sql file of the same number"
        }
        "js" | "ts" | "mjs" | "cjs" if numbered && digits.len() >= 13 => {
            "a migration in JavaScript, which is a program: write its statements as a .sql file of the same number"
        }
        "java" | "kt" if is_java(stem) => {
            "a migration in Java, which is a program: write its statements as a .sql file of the same version"
        }
        _ => return None,
    };
    Some(language.to_owned())
}

/// What to do about a file that stands beside migrations in SQL and is numbered as they are; none for all others.
pub(super) fn beside_sql(path: &str) -> Option<String> {
    if let Some(advice) = advice(path) {
        return Some(advice);
    }
    let (stem, ending) = file_name(path).rsplit_once('.')?;
    let (digits, rest) = leading_digits(stem);
    let is_test = ["_test", ".test", ".spec", ".d"].iter().any(|end| stem.ends_with(end));
    if digits.is_empty() || !rest.starts_with(['_', '-']) || is_test {
        return None;
    }
    let language = match ending {
        "js" | "mjs" | "cjs" => "JavaScript",
        "ts" | "mts" | "cts" => "TypeScript",
        "py" => "Python",
        "rb" => "Ruby",
        "php" => "PHP",
        "exs" | "ex" => "Elixir",
        "rs" => "Rust",
        _ => return None,
    };
    Some(format!(
        "a migration in {language}, which is a program: write its statements as a .sql file of the same number, or keep the \
         file elsewhere if it is none"
    ))
}

/// `V1__name`, as Flyway names classes.
pub(super) fn is_java(stem: &str) -> bool {
    stem.strip_prefix(['V', 'R', 'U', 'B']).and_then(|rest| rest.split_once("__")).is_some_and(
        |(version, _)| version.bytes().all(|byte| byte.is_ascii_digit() || b"._".contains(&byte)),
    )
}

/// `1975ea83b712_name`, as Alembic names revisions.
fn is_revision(stem: &str) -> bool {
    stem.split_once('_').is_some_and(|(revision, _)| {
        revision.len() == 12 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
