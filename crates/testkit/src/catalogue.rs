//! What a database holds, as PostgreSQL's own tools tell it.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::run_client;

use crate::clients;

/// The schema of a database on the shared server as `pg_dump` writes it, without what differs between two dumps of
/// the same thing (versions, the random key of `\restrict`). Two databases with equal texts have equal catalogues as
/// far as `pg_dump` knows them.
///
/// `exclude` names schemas to leave out, as patterns of `pg_dump -N`.
pub fn catalogue_dump(target: &ConnectOptions, exclude: &[&str]) -> String {
    let mut command = clients().pg_dump(target).expect("pg_dump");
    command.arg("--schema-only");
    command.args(exclude.iter().map(|schema| format!("--exclude-schema={schema}")));
    let text = run_client("pg_dump", &mut command).expect("a dump");
    let text = String::from_utf8(text).expect("a dump is UTF-8");
    let constant = |line: &&str| {
        !["-- Dumped ", "\\restrict ", "\\unrestrict "].iter().any(|prefix| line.starts_with(prefix))
    };
    text.lines().filter(constant).fold(String::new(), |text, line| text + line + "\n")
}
