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
        ("scalar", "sql = 'SELECT 1'", "needs equals, or null = true"),
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
        ("access", "", "needs matrix"),
        ("access", "matrix = \"a\\nt q\"", "'q' in q is none of r"),
        ("access", "matrix = \"a\\nt r\"\nactors = { b = 'x' }", "unknown key \"b\""),
        ("access", "matrix = \"a\\nt w2\"", "rows behind w and d are counted by changing them"),
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
fn claims_that_are_written_wrong_have_their_place() {
    let stage = "[[stage]]\nid = \"s\"\nuses = [\"table a b\"]\n[[stage.migration]]\nversion = \"1\"\n\
                 creates = [\"table t\", \"tabel u\"]\nalters = \"\\\"open\"\n";
    let found = problems(stage);
    for part in [
        "cutover.toml:5:9: \"table a b\": \" b\" is not expected after the name",
        "cutover.toml:8:23: \"tabel u\": \"tabel\" is no kind of object; did you mean \"table\"?",
        "8 | creates = [\"table t\", \"tabel u\"]\n  |                       ^",
        "cutover.toml:9:10: \"\\\"open\": a quoted name is not closed",
    ] {
        assert!(found.contains(part), "{part}\n{found}");
    }
}

/// What is to be refused may be written wrong; of the design the server is the judge.
#[test]
fn sql_that_does_not_parse_is_named_with_its_place() {
    let world = World::with_checks(
        "[checks]\nsql = [\"checks/*.sql\"]\n[[check]]\nname = \"a\"\nkind = \"no_rows\"\nsql = \"SELEC 1\"\n\
         [[check]]\nname = \"b\"\nkind = \"fails\"\nsql = \"SELEC 1\"\nsqlstate = \"42601\"\nsetup = \"INSRT\"\n\
         [[check]]\nname = \"c\"\nkind = \"no_rows\"\nfile = \"c.sql\"\n\
         [design]\nddl = [\"ddl/*.sql\"]\n",
    );
    world.write("checks/a.sql", "SELECT 1\nWHERE false;\nSELECT 1\n  FROM FROM x;");
    world.write("ddl/a.sql", "CREATE TABLE a (n inte ger);");
    world.write("c.sql", "SELECT 1\n WHERE;");
    let project = world.project();
    prepare(&project).unwrap();
    let unparsed = crate::verify::unparsed(&project).0;
    let unparsed: Vec<String> = unparsed.iter().map(ToString::to_string).collect();
    let begin = |at: usize, expected: &str| assert!(unparsed[at].starts_with(expected), "{unparsed:#?}");
    begin(0, "cutover.toml:8:7: syntax error at or near \"SELEC\"");
    begin(1, "cutover.toml:14:9: syntax error at or near \"INSRT\"");
    begin(2, "c.sql:2:7: syntax error at end of input");
    begin(3, "checks/a.sql:4:8: syntax error at or near \"FROM\"\n  |\n4 |   FROM FROM x;\n");
    assert_eq!(unparsed.len(), 4, "{unparsed:#?}");
    assert!(
        unparsed[0].contains("`apply --allow unparsed` leaves the verdict to the server"),
        "{unparsed:#?}"
    );
    let doubts = crate::verify::doubts(&project);
    assert!(doubts[0].to_string().starts_with("ddl/a.sql:1:24: syntax error at or near \"ger\""));
    assert_eq!(doubts.len(), 1, "{doubts:#?}");
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
