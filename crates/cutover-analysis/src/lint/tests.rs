//! Each rule finds what it says it finds, and nothing else.

use super::*;
use crate::effects::{Context, Name, Prepared};
use crate::sql::{Item, Splitter, Statement};

fn statements(sql: &str) -> Vec<Statement> {
    let items = Splitter::new(sql.as_bytes()).map(|item| item.expect("SQL that can be split"));
    items
        .filter_map(|item| if let Item::Statement(statement) = item { Some(statement) } else { None })
        .collect()
}

/// What is found in an example with every rule at work.
fn found(example: &Example) -> Vec<Finding> {
    let mut context = Context::default();
    context.server_major = example.server / 10_000;
    context.complete = example.complete;
    let mut facts = Facts { server: example.server, ..Facts::default() };
    for table in example.empty {
        let (schema, name) = table.split_once('.').expect("a schema");
        let name = Name { schema: schema.into(), name: name.into() };
        facts.sizes.insert(name, Size::default());
    }
    let mut known = Known::new(context, facts);
    for statement in statements(example.there) {
        known.before(Prepared::of(&statement.text)).expect("what is there parses");
    }
    let mut linter = Linter::new(known);
    let selected = Selected::everything();
    let mut file = linter.file(&selected, false);
    for statement in statements(example.sql) {
        file.statement(&statement, Prepared::of(&statement.text))
            .unwrap_or_else(|error| panic!("{}: {error}", statement.text));
    }
    let mut findings = file.end();
    findings.extend(linter.end().0.into_iter().map(|(_, finding)| finding));
    findings
}

#[test]
fn each_rule_finds_its_bad_examples_and_not_its_good_ones() {
    let mut wrong = Vec::new();
    for about in all().filter(|about| about.origin == Origin::Sql) {
        assert!(!about.bad.is_empty() && !about.good.is_empty(), "{} has no examples", about.code);
        for example in about.bad {
            if !found(example).iter().any(|finding| finding.code == about.code) {
                wrong.push(format!("{} does not find {example:?}", about.code));
            }
        }
        for example in about.good {
            if let Some(finding) = found(example).iter().find(|finding| finding.code == about.code) {
                wrong.push(format!("{} finds {example:?}: {}", about.code, finding.message));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn codes_are_different_and_sentences_end() {
    let mut codes: Vec<&str> = all().map(|about| about.code).collect();
    codes.sort_unstable();
    assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
    for about in all() {
        assert!(about.why.ends_with('.') && !about.safe.ends_with('.'), "{}", about.code);
        assert!(!about.seen.is_empty(), "{}", about.code);
    }
}

/// What is found in a file by some rules, with the messages of the one about suppressions.
fn suppressed(sql: &'static str) -> Vec<(&'static str, String)> {
    let of_interest =
        ["create-index-blocks-writes", "drop-table", "policy-without-rls", "unused-suppression"];
    let findings = found(&Example::of(sql)).into_iter();
    let message = |finding: &Finding| {
        if finding.code == "unused-suppression" { finding.message.clone() } else { String::new() }
    };
    findings
        .filter(|finding| of_interest.contains(&finding.code))
        .map(|finding| (finding.code, message(&finding)))
        .collect()
}

fn codes(sql: &'static str) -> Vec<&'static str> {
    suppressed(sql).into_iter().map(|(code, _)| code).collect()
}

#[test]
fn what_is_allowed_with_a_reason_is_not_said() {
    assert_eq!(codes("CREATE INDEX ON a (n);"), ["create-index-blocks-writes"]);
    let allowed =
        "-- cutover: allow create-index-blocks-writes nobody writes at night\nCREATE INDEX ON a (n);";
    assert_eq!(codes(allowed), [""; 0]);
    // Inside the statement, and with something between code and reason.
    assert_eq!(
        codes("CREATE INDEX -- cutover: allow create-index-blocks-writes: at night\n ON a (n);"),
        [""; 0]
    );
    // In the other kind of comment, and behind the statement on its line.
    assert_eq!(codes("/* cutover: allow drop-table a copy */ DROP TABLE a;"), [""; 0]);
    assert_eq!(codes("DROP TABLE a; -- cutover: allow drop-table a copy\nDROP TABLE b;"), ["drop-table"]);
    // One statement, and no other.
    let two = "-- cutover: allow drop-table it is a copy\nDROP TABLE a;\nDROP TABLE b;";
    assert_eq!(codes(two), ["drop-table"]);
    // All findings of the code.
    assert_eq!(codes("-- cutover: allow drop-table copies\nDROP TABLE a, b;"), [""; 0]);
    // Several codes.
    let several = "-- cutover: allow drop-table a copy\n-- cutover: allow create-index-blocks-writes at night\nDO $$ BEGIN DROP TABLE a; CREATE INDEX ON b (n); END $$;";
    assert_eq!(codes(several), [""; 0]);
}

#[test]
fn what_is_said_at_the_end_of_a_run_can_be_allowed_too() {
    let sql = "CREATE TABLE a (n int);\nCREATE POLICY p ON a USING (n = 1);";
    assert_eq!(codes(sql), ["policy-without-rls"]);
    let allowed = "CREATE TABLE a (n int);\n-- cutover: allow policy-without-rls switched on with the release\nCREATE POLICY p ON a USING (n = 1);";
    assert_eq!(codes(allowed), [""; 0]);
}

#[test]
fn permissions_of_no_use_are_said() {
    let said = |sql| suppressed(sql);
    let unused = |message: &str| ("unused-suppression", message.to_owned());
    assert_eq!(
        said("-- cutover: allow drop-table a copy\nDROP VIEW a;"),
        [unused("nothing is suppressed: drop-table finds nothing here")]
    );
    assert_eq!(
        said("-- cutover: allow drop-tables a copy\nSELECT 1;"),
        [unused("there is no rule \"drop-tables\"")]
    );
    assert_eq!(said("-- cutover: allow\nSELECT 1;"), [unused("there is no rule \"\"")]);
    assert_eq!(
        said("-- cutover: alow drop-table a copy\nSELECT 1;"),
        [unused("unknown directive \"alow\" (known: new-transaction, no-transaction, name, allow)")]
    );
    let no_reason = said("-- cutover: allow drop-table\nDROP TABLE a;");
    assert_eq!(
        no_reason,
        [("drop-table", String::new()), unused("it does not say why drop-table is allowed, so it is not")]
    );
    // The same permission twice: once is enough.
    let twice = "-- cutover: allow drop-table a copy\n-- cutover: allow drop-table a copy\nDROP TABLE a;";
    assert_eq!(said(twice), [unused("nothing is suppressed: drop-table finds nothing here")]);
}

#[test]
fn a_rule_that_does_not_look_makes_no_permission_unused() {
    let mut selected = Selected::default();
    assert!(selected.set("drop-table", None) && !selected.set("no-such-rule", None));
    let mut linter = Linter::new(Known::default());
    let mut file = linter.file(&selected, false);
    for statement in statements("-- cutover: allow drop-table a copy\nDROP TABLE a;") {
        file.statement(&statement, Prepared::of(&statement.text)).expect("it parses");
    }
    assert_eq!(file.end(), []);
}

/// What is said at the end of a run of two files, by file, code and statement.
fn found_in_two(first: &str, second: &str) -> Vec<(usize, &'static str, usize)> {
    let selected = Selected::default();
    let mut linter = Linter::new(Known::default());
    for sql in [first, second] {
        let mut file = linter.file(&selected, false);
        for statement in statements(sql) {
            file.statement(&statement, Prepared::of(&statement.text)).expect("it parses");
        }
        assert_eq!(file.end(), []);
    }
    linter.end().0.into_iter().map(|(file, finding)| (file, finding.code, finding.statement)).collect()
}

#[test]
fn a_later_file_puts_right_what_an_earlier_one_left() {
    let policy = "CREATE TABLE a (n int); CREATE POLICY p ON a USING (n = 1);";
    assert_eq!(found_in_two(policy, "SELECT 1;"), [(0, "policy-without-rls", 1)]);
    assert_eq!(found_in_two(policy, "ALTER TABLE a ENABLE ROW LEVEL SECURITY;"), []);
    let key = "CREATE TABLE p (n int PRIMARY KEY); CREATE TABLE a (n int REFERENCES p);";
    assert_eq!(found_in_two("SELECT 1;", key), [(1, "foreign-key-without-index", 1)]);
    assert_eq!(found_in_two(key, "CREATE INDEX ON a (n);"), []);
    let two = "CREATE TABLE a (n int); CREATE INDEX old ON a (n); CREATE INDEX anew ON a (n);";
    assert_eq!(found_in_two(two, "SELECT 1;"), [(0, "duplicate-index", 2)]);
    assert_eq!(found_in_two(two, "DROP INDEX old;"), []);
}

/// Of files that are runs of their own too: what is there at the end counts, and what a file says itself.
#[test]
fn a_later_run_puts_right_what_an_earlier_one_left() {
    let found = |files: &[&str]| {
        let selected = Selected::default();
        let mut linter = Linter::new(Known::default());
        let mut said = Vec::new();
        for (number, sql) in files.iter().enumerate() {
            said.extend(Some(()).filter(|()| number > 0).into_iter().flat_map(|()| linter.begin_run()));
            let mut file = linter.file(&selected, false);
            for statement in statements(sql) {
                file.statement(&statement, Prepared::of(&statement.text)).expect("it parses");
            }
            file.end();
        }
        let (last, holds) = linter.end();
        said.extend(last);
        assert_eq!(said.len(), holds.len());
        let still = said.into_iter().zip(holds).filter(|(_, holds)| *holds);
        still.map(|((file, finding), _)| (file, finding.code)).collect::<Vec<_>>()
    };
    let key = "CREATE TABLE p (n int PRIMARY KEY); CREATE TABLE a (n int REFERENCES p);";
    assert_eq!(found(&[key, "SELECT 1;"]), [(0, "foreign-key-without-index")]);
    assert_eq!(found(&[key, "CREATE INDEX CONCURRENTLY i ON a (n);"]), []);
    let policy = "CREATE TABLE a (n int); CREATE POLICY p ON a USING (n = 1);";
    assert_eq!(found(&[policy, "SELECT 1;", "ALTER TABLE a ENABLE ROW LEVEL SECURITY;"]), []);
    // What was right when it was made is not its fault.
    let indexed =
        "CREATE TABLE p (n int PRIMARY KEY); CREATE TABLE a (n int REFERENCES p); CREATE INDEX i ON a (n);";
    assert_eq!(found(&[indexed, "DROP INDEX i;"]), []);
    let view = "CREATE TABLE a (n int); ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE VIEW v WITH (security_invoker) AS SELECT * FROM a;";
    assert_eq!(found(&[view, "DROP VIEW v; CREATE VIEW v AS SELECT * FROM a;"]), [(1, "view-bypasses-rls")]);
}

/// Each statement by what it says itself.
#[test]
fn a_view_that_is_replaced_later_is_not_at_fault() {
    let view = "CREATE TABLE a (n int); ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE VIEW v WITH (security_invoker = true) AS SELECT * FROM a;";
    assert_eq!(
        found_in_two(view, "CREATE OR REPLACE VIEW v AS SELECT * FROM a;"),
        [(1, "view-bypasses-rls", 0), (1, "replace-view-drops-options", 0)]
    );
    assert_eq!(
        found_in_two(
            view,
            "ALTER VIEW v SET (security_barrier, security_invoker); ALTER VIEW v RESET (security_invoker);"
        ),
        [(1, "view-bypasses-rls", 1)]
    );
}

#[test]
fn the_search_path_of_a_file_ends_with_it() {
    let made = "CREATE SCHEMA app; SET search_path = app; CREATE TABLE a (n int);";
    assert_eq!(found_in_two(made, "ALTER TABLE app.a ADD CHECK (n > 0);"), []);
    let selected = Selected::default();
    let mut linter = Linter::new(Known::default());
    let mut codes = Vec::new();
    for sql in [made, "ALTER TABLE a ADD CHECK (n > 0);"] {
        let mut file = linter.file(&selected, false);
        for statement in statements(sql) {
            file.statement(&statement, Prepared::of(&statement.text)).expect("it parses");
        }
        codes.extend(file.end().into_iter().map(|finding| finding.code));
    }
    assert_eq!(codes, ["check-without-not-valid"]);
}

/// Each file has a session as if of its own.
#[test]
fn what_is_temporary_ends_with_its_file() {
    let mut linter = Linter::new(Known::default());
    let selected = Selected::default();
    let mut codes = Vec::new();
    for sql in ["CREATE TEMP TABLE users (n int);", "DROP TABLE users;"] {
        let mut file = linter.file(&selected, false);
        for statement in statements(sql) {
            file.statement(&statement, Prepared::of(&statement.text)).expect("it parses");
        }
        codes.extend(file.end().into_iter().map(|finding| finding.code));
    }
    assert_eq!(codes, ["drop-table"]);
}

/// Every rule, how bad it is, and whether it looks where nobody says otherwise: configuration files rely on them.
const ALL: &str = "\
create-index-blocks-writes error on
drop-index-locks error on
concurrently-in-transaction error on
reindex-locks error on
concurrent-index-on-14.0-14.3 error on
foreign-key-without-not-valid error on
check-without-not-valid error on
validate-in-same-transaction warning on
unique-constraint-builds-index error on
unique-over-existing-data warning on
exclusion-constraint error on
primary-key-builds-index error on
primary-key-over-nullable-column error on
set-not-null-scans error on
add-column-not-null-without-default error on
volatile-default-rewrites error on
stored-generated-column-rewrites error on
identity-or-serial-on-existing-table error on
type-change-rewrites error on
type-change-breaks-prepared-statements warning on
domain-with-check-column error on
any-other-rewrite error on
rename-column error on
rename-table error on
rename-schema error on
rename-enum-value error on
drop-column error on
drop-table error on
drop-schema error on
drop-database error on
truncate-cascade error on
drop-if-exists-before-create error on
drop-not-null warning on
drop-foreign-key warning on
change-default-while-clients-omit-it warning on
no-lock-timeout warning off
no-statement-timeout warning off
work-while-holding-access-exclusive warning on
several-alters-of-one-table warning on
transaction-control-in-file error on
uncommitted-transaction error on
not-rerunnable-outside-transaction warning off
detach-partition-locks error on
create-partition-of-locks error on
attach-partition-scans error on
vacuum-full-or-cluster error on
refresh-materialized-view-locks error on
alter-domain-add-constraint warning on
enum-add-value-used-in-same-transaction error on
create-enum warning off
enum-add-value-without-position warning off
json-column warning on
int-primary-key warning off
serial-type warning off
varchar-length warning off
char-type warning off
timestamp-without-time-zone warning off
foreign-key-without-index warning on
duplicate-index warning on
index-over-three-columns warning off
unqualified-name warning off
identifier-too-long error on
duplicate-assignment error on
naming-convention warning off
out-of-order-file warning on
duplicate-version error on
version-sorts-wrongly warning on
unused-suppression warning on
backfill-with-ddl warning on
update-or-delete-without-where error on
security-definer-without-search-path error on
row-level-security-disabled warning on
policy-without-rls warning on
policy-always-true error on
view-bypasses-rls error on
replace-view-drops-options error on
policy-recursion error on
function-body-names-missing-object error on
function-name-unresolved-after-move error on
create-trigger-locks warning on
disable-trigger-or-rule warning on";

#[test]
fn rules_are_those_of_the_list() {
    let said =
        |about: &About| format!("{} {} {}", about.code, about.severity, if about.on { "on" } else { "off" });
    let listed: Vec<String> = all().map(said).collect();
    assert_eq!(listed, ALL.lines().collect::<Vec<_>>());
}

/// Which of our rules see what rules of other tools see.
#[test]
fn rules_of_other_tools_are_ours_or_it_is_said_why_not() {
    let mut seen = std::collections::BTreeSet::new();
    for other in of_other_tools() {
        assert!(seen.insert((other.tool, other.code)), "{other:?}");
        assert!(other.covered() != Covered::No || !other.why.is_empty(), "{other:?}");
        for code in other.ours() {
            assert!(by_code(code).is_some(), "{other:?}: there is no rule {code}");
        }
    }
    let lines = include_str!("../../facts/other_tools.tsv").lines().count() - 1;
    assert_eq!((seen.len(), lines), (254, 254));
}

/// What is found in a database of which sizes (in rows) are known, and who saw it.
fn found_in(there: &str, sizes: &[(&str, u64)], sql: &str) -> Vec<(&'static str, Seen)> {
    let mut facts = Facts { server: 150_000, ..Facts::default() };
    for (table, rows) in sizes {
        let name = Name { schema: "public".into(), name: (*table).into() };
        facts.sizes.insert(name, Size { rows: *rows, bytes: rows * 100 });
    }
    let mut context = Context::default();
    context.complete = true;
    let mut known = Known::new(context, facts);
    for statement in statements(there) {
        known.before(Prepared::of(&statement.text)).unwrap();
    }
    let mut linter = Linter::new(known);
    let selected = Selected::default();
    let mut file = linter.file(&selected, false);
    for statement in statements(sql) {
        file.statement(&statement, Prepared::of(&statement.text)).unwrap();
    }
    let mut findings = file.end();
    findings.extend(linter.end().0.into_iter().map(|(_, finding)| finding));
    findings.into_iter().map(|finding| (finding.code, finding.seen_by)).collect()
}

#[test]
fn a_finding_that_the_database_decides_says_so() {
    let there = "CREATE TABLE big (n int, m text); CREATE TABLE small (n int); CREATE TABLE none (n int);";
    let sizes = [("big", 5_000_000), ("small", 100), ("none", 0)];
    let found = |sql| found_in(there, &sizes, sql);
    assert_eq!(found("ALTER TABLE big ALTER n SET NOT NULL;"), [("set-not-null-scans", Seen::Catalogue)]);
    assert_eq!(found("ALTER TABLE small ALTER n SET NOT NULL;"), []);
    assert_eq!(found("DROP TABLE small;"), [("drop-table", Seen::Catalogue)]);
    assert_eq!(found("DROP TABLE none;"), []);
    // Only the text says it of a table that is not there, and of what no catalogue can know.
    let unknown = found_in("", &[], "CREATE TABLE a (n int); ALTER TABLE a ADD j json;");
    assert_eq!(unknown, [("json-column", Seen::Static)]);
    assert_eq!(
        found("ALTER TABLE big RENAME m TO o;"),
        [("rename-column", Seen::Static)],
        "its row in the list names the text alone"
    );
    let key = found("CREATE TABLE p (n int PRIMARY KEY); CREATE TABLE c (n int REFERENCES p);");
    assert_eq!(key, [("foreign-key-without-index", Seen::Catalogue)]);
    let offline = "CREATE TABLE p (n int PRIMARY KEY); CREATE TABLE c (n int REFERENCES p);";
    assert!(self::found(&Example::of(offline)).iter().all(|finding| finding.seen_by == Seen::Static));
}

#[test]
fn what_inherits_from_a_table_counts_with_it() {
    let there = "CREATE TABLE one (n int); CREATE TABLE heir () INHERITS (one);\
                 CREATE TABLE parts (n int) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF parts DEFAULT;\
                 CREATE TABLE bare (n int) PARTITION BY LIST (n);";
    let few = [("one", 0), ("heir", 0), ("parts", 0), ("part", 9), ("bare", 0)];
    let many = [("one", 0), ("heir", 9_999_999), ("parts", 0), ("part", 9_999_999), ("bare", 0)];
    let of = |sizes, table: &str| found_in(there, sizes, &format!("CREATE INDEX ON {table} (n);")).len();
    assert_eq!([of(&few, "parts"), of(&many, "parts"), of(&few, "bare")], [0, 1, 0]);
    let volatile = |sizes, table: &str| {
        found_in(there, sizes, &format!("ALTER TABLE {table} ADD u uuid DEFAULT gen_random_uuid();")).len()
    };
    assert_eq!([volatile(&few, "one"), volatile(&many, "one")], [0, 1]);
    // Each table proves for itself that it has no NULLs.
    let sql = "ALTER TABLE one ALTER n SET NOT NULL;";
    let proven = there.replace("CREATE TABLE heir ()", "CREATE TABLE heir (CHECK (n IS NOT NULL))");
    assert_eq!([found_in(&proven, &many, sql).len(), found_in(there, &many, sql).len()], [0, 1]);
}

/// Of a small table nothing is found, and of a large one in another database something.
#[test]
fn a_permission_is_of_use_where_another_database_is_larger() {
    let sql = "-- cutover: allow create-index-blocks-writes at night\nCREATE INDEX ON a (n);";
    assert_eq!(found_in("CREATE TABLE a (n int);", &[("a", 10)], sql), []);
    let silent = "-- cutover: allow create-index-blocks-writes\nCREATE INDEX ON a (n);";
    assert_eq!(
        found_in("CREATE TABLE a (n int);", &[("a", 10)], silent),
        [("unused-suppression", Seen::Files)]
    );
}

#[test]
fn each_column_has_its_finding_at_its_type() {
    let sql = "CREATE TABLE a (\n  n int,\n  one json,\n  two json\n);";
    let found = found(&Example::of(sql));
    let json: Vec<_> = found.iter().filter(|finding| finding.code == "json-column").collect();
    let [one, two] = json[..] else { panic!("{json:?}") };
    assert_eq!((one.offset, two.offset), (sql.find("json").unwrap(), sql.rfind("json").unwrap()));
    assert!(one.message.starts_with("a.one ") && two.message.starts_with("a.two "), "{json:?}");
}

/// What some rules find in a file over a database that holds nothing but what this SQL makes.
fn over(there: &'static str, sql: &'static str) -> Vec<&'static str> {
    let of_interest = [
        "create-index-blocks-writes",
        "drop-table",
        "rename-table",
        "set-not-null-scans",
        "truncate-cascade",
        "type-change-rewrites",
        "update-or-delete-without-where",
    ];
    let findings = found(&Example::of(sql).over(there).and_nothing_else()).into_iter();
    findings.map(|finding| finding.code).filter(|code| of_interest.contains(code)).collect()
}

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, a int);";

/// A DO block may find what it would make.
#[test]
fn what_a_block_makes_under_a_condition_may_have_been_there() {
    let drop = ["drop-table"].as_slice();
    for (sql, expected) in [
        (
            "DO $$ BEGIN IF to_regclass('users') IS NULL THEN CREATE TABLE users (id int); END IF; END $$; DROP TABLE users;",
            drop,
        ),
        (
            "DO $$ BEGIN CREATE TABLE users (id int); EXCEPTION WHEN duplicate_table THEN NULL; END $$; DROP TABLE users;",
            drop,
        ),
        (
            "DO $$ BEGIN IF false THEN NULL; ELSE EXECUTE 'CREATE TABLE users (id int)'; END IF; END $$; DROP TABLE users;",
            drop,
        ),
        (
            "DO $$ BEGIN CASE 1 WHEN 1 THEN CREATE TABLE users (id int); ELSE NULL; END CASE; END $$; DROP TABLE users;",
            drop,
        ),
        (
            "DO $$ BEGIN FOR i IN 1..0 LOOP CREATE TABLE users (id int); END LOOP; END $$; DROP TABLE users;",
            drop,
        ),
        (
            "DO $$ BEGIN IF to_regclass('users') IS NOT NULL THEN RETURN; END IF; CREATE TABLE users (id int); END $$; DROP TABLE users;",
            drop,
        ),
        (
            "DO $$ BEGIN IF false THEN CREATE TEMP TABLE users (id int); END IF; END $$; DROP TABLE users;",
            drop,
        ),
        (
            "DO $$ BEGIN IF false THEN ALTER TABLE users RENAME TO old; END IF; END $$; DROP TABLE users;",
            &["rename-table", "drop-table"],
        ),
        (
            "DO $$ BEGIN IF false THEN DROP TABLE users; END IF; END $$; DROP TABLE IF EXISTS users;",
            &["drop-table", "drop-table"],
        ),
        ("DO $$ BEGIN CREATE TABLE IF NOT EXISTS users (id int); END $$; DROP TABLE users;", drop),
        (
            "CREATE SCHEMA z; DO $$ BEGIN IF false THEN SET search_path = z; END IF; END $$; CREATE TABLE z.users (id int); DROP TABLE users;",
            drop,
        ),
        (
            "CREATE SCHEMA z; SET search_path = z; CREATE TABLE users (id int); RESET search_path; DROP TABLE users;",
            drop,
        ),
        (
            "CREATE SCHEMA z; SELECT set_config('search_path', 'z' || '', false); CREATE TABLE z.users (id int); DROP TABLE users;",
            drop,
        ),
        (
            "ALTER TABLE users ADD CONSTRAINT n CHECK (a IS NOT NULL) NOT VALID; DO $$ BEGIN IF false THEN ALTER TABLE users VALIDATE CONSTRAINT n; END IF; END $$; ALTER TABLE users ALTER a SET NOT NULL;",
            &["set-not-null-scans"],
        ),
        (
            "DO $$ BEGIN IF false THEN ALTER TABLE users ADD CONSTRAINT n CHECK (a IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT n; END IF; END $$; ALTER TABLE users ALTER a SET NOT NULL;",
            &["set-not-null-scans"],
        ),
        // What is taken back was not made.
        ("SAVEPOINT s; CREATE TEMP TABLE users (id int); ROLLBACK TO s; DROP TABLE users;", drop),
        ("DO $$ BEGIN CREATE TEMP TABLE users (id int); ROLLBACK; END $$; DROP TABLE users;", drop),
        ("CREATE TEMP TABLE users (id int); DISCARD TEMP; DROP TABLE users;", drop),
    ] {
        assert_eq!(over(USERS, sql), expected, "{sql}");
    }
    // Where nobody has told what is there, all of it may be.
    let sql =
        "DO $$ BEGIN IF to_regclass('t') IS NULL THEN CREATE TABLE t (id int); END IF; END $$; DROP TABLE t;";
    assert!(found(&Example::of(sql)).iter().any(|finding| finding.code == "drop-table"));
}

/// What is made in any case, or was nowhere, and what stands in the same branch is new.
#[test]
fn what_a_block_makes_otherwise_is_new() {
    for sql in [
        "DO $$ BEGIN CREATE TABLE other (id int); END $$; DROP TABLE other;",
        "DO $$ BEGIN BEGIN EXECUTE 'CREATE TABLE other (id int)'; END; END $$; DROP TABLE other;",
        "DO $$ BEGIN IF to_regclass('other') IS NULL THEN CREATE TABLE other (id int); END IF; END $$; DROP TABLE other;",
        "DO $$ BEGIN IF true THEN CREATE TEMP TABLE users AS SELECT 1; DELETE FROM users; DROP TABLE users; END IF; END $$;",
        "DO $$ BEGIN IF false THEN ALTER TABLE users ADD CONSTRAINT n CHECK (a IS NOT NULL) NOT VALID; END IF; END $$; ALTER TABLE users VALIDATE CONSTRAINT n; ALTER TABLE users ALTER a SET NOT NULL;",
        "CREATE SCHEMA z; DO $$ BEGIN IF true THEN SET search_path = z; END IF; END $$; CREATE TABLE t (id int); DROP TABLE t;",
    ] {
        assert_eq!(over(USERS, sql), [""; 0], "{sql}");
    }
}

/// What is new may lead to what is old.
#[test]
fn new_relations_do_not_free_old_ones() {
    let made = "CREATE TABLE np (id bigint, a int); ALTER TABLE users INHERIT np; ";
    let parted = "CREATE TABLE np (id bigint, a int) PARTITION BY LIST (id); ALTER TABLE np ATTACH PARTITION users DEFAULT; ";
    for (before, sql, expected) in [
        (made, "ALTER TABLE np ALTER a TYPE bigint;", vec!["type-change-rewrites"]),
        (made, "UPDATE np SET a = 1;", vec!["update-or-delete-without-where"]),
        (made, "DELETE FROM np;", vec!["update-or-delete-without-where"]),
        (made, "DROP TABLE np CASCADE;", vec!["drop-table"]),
        (made, "ALTER TABLE users NO INHERIT np; DELETE FROM np; DROP TABLE np;", vec![]),
        (made, "ALTER TABLE np RENAME TO nq;", vec![]),
        (parted, "DELETE FROM np;", vec!["update-or-delete-without-where"]),
        (parted, "CREATE INDEX ON np (a);", vec!["create-index-blocks-writes"]),
        (parted, "DROP TABLE np;", vec!["drop-table"]),
        (parted, "ALTER TABLE np RENAME TO nq;", vec![]),
        ("CREATE VIEW v AS SELECT * FROM users; ", "DELETE FROM v;", vec!["update-or-delete-without-where"]),
        (
            "CREATE TEMP VIEW v AS SELECT * FROM users; ",
            "DELETE FROM v;",
            vec!["update-or-delete-without-where"],
        ),
        (
            "CREATE VIEW w AS SELECT * FROM users; CREATE VIEW v AS SELECT * FROM w; ",
            "UPDATE v SET a = 1;",
            vec!["update-or-delete-without-where"],
        ),
        ("CREATE VIEW v AS SELECT * FROM users; ", "ALTER VIEW v RENAME TO w;", vec![]),
        ("CREATE TABLE t (n int); CREATE VIEW v AS SELECT * FROM t; ", "DELETE FROM v;", vec![]),
        ("CREATE TABLE copy AS SELECT * FROM users; ", "DELETE FROM copy; DROP TABLE copy;", vec![]),
    ] {
        let sql: &'static str = format!("{before}{sql}").leak();
        assert_eq!(over(USERS, sql), expected, "{sql}");
    }
}

/// Foreign keys point to a table as a whole, and so to its partitions.
#[test]
fn what_points_to_a_partitioned_table_is_emptied_with_a_partition() {
    let there = "CREATE TABLE pt (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE pt1 PARTITION OF pt DEFAULT;
        CREATE TABLE rp (id int PRIMARY KEY, p int REFERENCES pt); CREATE TABLE rr (r int REFERENCES rp); CREATE TABLE heir () INHERITS (rr);";
    let said = |sql| {
        let findings = found(&Example::of(sql).over(there).and_nothing_else()).into_iter();
        let mut said = findings.filter(|finding| finding.code == "truncate-cascade");
        said.next().map(|finding| finding.message).unwrap_or_default()
    };
    assert_eq!(said("TRUNCATE pt1 CASCADE;"), "besides pt1 it empties public.rp, public.rr");
    assert_eq!(said("TRUNCATE pt CASCADE;"), "besides pt it empties public.rp, public.rr");
    assert_eq!(said("TRUNCATE pt1, rp, rr CASCADE;"), "");
    assert_eq!(
        said("CREATE TABLE pt2 PARTITION OF pt FOR VALUES IN (1); TRUNCATE pt2 CASCADE;"),
        "besides pt2 it empties public.rp, public.rr"
    );
    assert_eq!(said("TRUNCATE rr CASCADE;"), "");
}

/// The files of a run are one run.
#[test]
fn what_an_earlier_file_has_filled_is_not_empty() {
    let mut facts = Facts { server: 150_000, ..Facts::default() };
    facts.sizes.insert(Name { schema: "public".into(), name: "none".into() }, Size::default());
    let mut linter = Linter::new(Known::new(Context::default(), facts));
    let selected = Selected::default();
    let mut codes = Vec::new();
    for sql in ["CREATE INDEX ON none (n);", "COPY none FROM '/rows';", "CREATE INDEX ON none (n);"] {
        let mut file = linter.file(&selected, false);
        for statement in statements(sql) {
            file.statement(&statement, Prepared::of(&statement.text)).expect("it parses");
        }
        codes.push(file.end().into_iter().any(|finding| finding.code == "create-index-blocks-writes"));
    }
    assert_eq!(codes, [false, false, true]);
}

/// What a run has put into a table the database did not say.
#[test]
fn what_the_run_has_filled_is_not_empty() {
    let over = |sql: &'static str| {
        let example = Example::of(sql)
            .over("CREATE TABLE none (n int); CREATE VIEW v AS SELECT * FROM none; CREATE TABLE small (n int); CREATE TABLE big (n int);")
            .with_empty(&["public.none", "public.small"])
            .on(150_000);
        let codes = found(&example).into_iter().map(|finding| finding.code);
        codes.filter(|code| ["create-index-blocks-writes", "drop-table"].contains(code)).collect::<Vec<_>>()
    };
    let index = ["create-index-blocks-writes"].as_slice();
    for (sql, expected) in [
        ("INSERT INTO none SELECT n FROM big; CREATE INDEX ON none (n);", index),
        ("INSERT INTO none SELECT generate_series(1, 300000); CREATE INDEX ON none (n);", index),
        ("INSERT INTO v SELECT n FROM big; CREATE INDEX ON none (n);", index),
        ("WITH w AS (INSERT INTO none SELECT n FROM big) SELECT 1; CREATE INDEX ON none (n);", index),
        (
            "MERGE INTO none USING big ON none.n = big.n WHEN NOT MATCHED THEN INSERT VALUES (big.n); CREATE INDEX ON none (n);",
            index,
        ),
        (
            "DO $$ BEGIN FOR i IN 1..99999 LOOP INSERT INTO none VALUES (i); END LOOP; END $$; CREATE INDEX ON none (n);",
            index,
        ),
        ("INSERT INTO none VALUES (1), (2); CREATE INDEX ON none (n);", &[]),
        ("INSERT INTO none SELECT 1 WHERE true UNION ALL SELECT 2; CREATE INDEX ON none (n);", &[]),
        ("INSERT INTO none SELECT n FROM small; CREATE INDEX ON none (n);", &[]),
        ("INSERT INTO none VALUES (1); DROP TABLE none;", &["drop-table"]),
        ("DROP TABLE none;", &[]),
    ] {
        assert_eq!(over(sql), expected, "{sql}");
    }
}
