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
