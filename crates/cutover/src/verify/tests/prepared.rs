//! Keys of checks: every mistake is named with its place before anything is measured.

use super::World;
use crate::verify::prepare;

fn problems(checks: &str) -> String {
    prepare(&World::with_checks(checks).project()).map(|_| ()).unwrap_err().to_string()
}

fn of(kind: &str, keys: &str) -> String {
    problems(&format!("[[check]]\nname = \"it\"\nkind = \"{kind}\"\n{keys}\n"))
}

#[test]
fn mistakes_in_keys_are_named_with_their_place() {
    for (kind, keys, expected) in [
        ("no_row", "sql = 'SELECT 1'", "did you mean \"no_rows\"?"),
        ("no_rows", "", "needs sql"),
        ("no_rows", "sql = 'SELECT 1'\nsqll = 2", "unknown key \"sqll\""),
        ("no_rows", "sql = 'SELECT 1; SELECT 2'", "one statement is expected here, not 2"),
        ("no_rows", "sql = 'SELECT 1'\nfile = 'x.sql'", "either sql or file"),
        ("no_rows", "file = 'x.sql'", "cannot read x.sql"),
        ("no_rows", "file = '../../../../../../../../etc/passwd'", "outside the project"),
        ("no_rows", "sql = 'COMMIT'", "cannot end or divide"),
        ("no_rows", "sql = 'VACUUM'", "cannot run in a transaction"),
        ("scalar", "sql = 'SELECT 1'", "needs equals"),
        ("scalar", "sql = 'SELECT 1'\nequals = 1\nnull = true", "either equals or null"),
        ("scalar", "sql = 'SELECT 1'\nequals = [1]", "must be a single value"),
        (
            "scalar",
            "setup = 'SELECT 1; ROLLBACK; DROP TABLE t'\nsql = 'SELECT 1'\nequals = 1",
            "cannot end or divide",
        ),
        (
            "scalar",
            "setup = \"COPY t FROM STDIN;\\n1\\n\\\\.\\n\"\nsql = 'SELECT 1'\nequals = 1",
            "COPY FROM STDIN has no place",
        ),
        ("fails", "sql = 'SELECT 1'", "needs sqlstate"),
        ("fails", "sql = 'SELECT 1'\nsqlstate = ['2350', '23505']", "\"2350\" is no SQLSTATE"),
        ("explain", "sql = 'SELECT 1'", "needs index"),
        ("empty", "", "needs tables"),
        ("exists", "objects = ['tabel t']", "did you mean \"table\"?"),
        ("foreign_keys", "tables = ['a']\nschemas = ['b']", "either schemas or tables"),
        ("design", "", "the project has no design"),
        ("claims", "sql = 'x'", "unknown key \"sql\""),
        ("scalar", "requires = ['9']\nsql = 'SELECT 1'\nequals = 1", "9"),
        ("claims", "when = 'before'\nbefore = '1'", "cannot be a precondition"),
        ("no_rows", "sql = 'SELECT 1'\ntimeout = 5", "needs a unit"),
    ] {
        let found = of(kind, keys);
        assert!(found.contains(expected), "{kind} {keys}\nexpected {expected}\nfound {found}");
        assert!(found.contains("cutover.toml:"), "a place is missing: {found}");
    }
}

#[test]
fn check_files_are_checked_too() {
    for (text, expected) in [
        ("SELECT 1; COMMIT;", "checks/a.sql:1:11: a check runs in a transaction of its own"),
        ("-- cutover: nam x\nSELECT 1;", "unknown directive \"nam\""),
        ("-- cutover: name\nSELECT 1;", "the name is missing"),
        ("\\copy t from 'x'\n", "commands of psql"),
        ("SELECT 'open", "not terminated"),
    ] {
        let world = World::with_checks("[checks]\nsql = [\"checks/*.sql\"]");
        world.write("checks/a.sql", text);
        let found = prepare(&world.project()).map(|_| ()).unwrap_err().to_string();
        assert!(found.contains(expected) && found.contains("checks/a.sql"), "{text}: {found}");
    }
}

#[test]
fn every_kind_is_documented() {
    let page = include_str!("../../../../../docs/checks.md");
    for kind in crate::verify::kinds() {
        assert!(
            page.contains(&format!("**`{}`**: ", kind.name)),
            "{} is missing in docs/checks.md",
            kind.name
        );
    }
}
