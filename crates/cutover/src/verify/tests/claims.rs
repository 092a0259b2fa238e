//! Claims in both directions, measured by running the migrations.

use std::fmt::Write as _;

use super::{World, expect, named};
use crate::run::Verdict::{False, Holds, NotMeasured};
use crate::verify::{SandboxProvider, VerifyRequest, verify};

/// A project with these claims for its migrations, each given with its SQL.
fn claimed(migrations: &[(&str, &str, &str)]) -> World {
    let mut config = "[[migrations]]\npath = \"migrations\"\n[[check]]\nname = \"it\"\nkind = \"claims\"\n[[stage]]\nid = \"s\"\n".to_owned();
    for (file, claims, _) in migrations {
        let version = file.split("__").next().unwrap().trim_start_matches('V');
        let _ = write!(config, "[[stage.migration]]\nversion = \"{version}\"\n{claims}\n");
    }
    let world = World::new(&[("cutover.toml", &config)]);
    for (file, _, sql) in migrations {
        world.write(&format!("migrations/{file}"), sql);
    }
    world
}

#[tokio::test]
async fn true_claims_hold_and_what_belongs_to_a_new_table_needs_none() {
    let mut world = claimed(&[
        ("V1__t.sql", "creates = ['t']", "CREATE TABLE t (id serial PRIMARY KEY, a int CHECK (a > 0)); CREATE INDEX ON t (a);"),
        ("V2__more.sql", "creates = ['index i', 'constraint t.k', 'view v', 'function f(int)']\nalters = ['table t']\nuses = ['table t']",
         "CREATE INDEX i ON t (id); ALTER TABLE t ADD CONSTRAINT k CHECK (id > 0), ADD extra text; CREATE VIEW v AS SELECT 1;
          CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'select 1';"),
        ("V3__outside.sql", "creates = ['index j']", "CREATE INDEX CONCURRENTLY j ON t (a);"),
        ("V4__data.sql", "uses = ['t']", "COPY t (a) FROM stdin;\n1\n2\n\\.\nINSERT INTO t (a) VALUES (3);"),
        ("V5__gone.sql", "alters = ['view v']", "DROP VIEW v;"),
    ]);
    world.apply(&["1", "2", "3", "4", "5"]).await;
    let results = world.verify(&VerifyRequest::default()).await;
    for result in &results {
        expect(result, Holds, "");
    }
    expect(named(&results, "it: V1__t.sql"), Holds, "creates table t and ");
    expect(named(&results, "it: V3__outside.sql"), Holds, "creates index j");
    expect(named(&results, "it: V4__data.sql"), Holds, "changes no object");
    expect(named(&results, "it: in this database"), Holds, "5 objects are there");
    assert_eq!(results[0].migration.as_ref().unwrap().version.text(), "1");
}

#[tokio::test]
async fn false_claims_are_named_in_both_directions() {
    let world = claimed(&[
        (
            "V1__a.sql",
            "creates = ['table claimed']\nalters = ['table other']",
            "CREATE TABLE made (id int); CREATE SEQUENCE s;",
        ),
        (
            "V2__b.sql",
            "creates = ['index i']\nuses = ['table nowhere']",
            "ALTER TABLE made ADD x int; CREATE INDEX i ON made (id); CREATE INDEX more ON made (x);",
        ),
        ("V3__c.sql", "creates = ['table later', 'table made']", "SELECT 1;"),
        ("V4__d.sql", "creates = []", "CREATE TABLE later (id int); DROP SEQUENCE s;"),
        ("V5__e.sql", "creates = ['table x']", "CREATE TABLE x (id nosuchtype);"),
    ]);
    let results = world.verify(&VerifyRequest::default()).await;
    let first = named(&results, "it: V1__a.sql");
    for text in [
        "claims to create table claimed, which no file creates",
        "creates table made, which is not claimed",
        "creates sequence s, which is not claimed",
        "claims to alter table other, and does not",
    ] {
        expect(first, False, text);
    }
    let second = named(&results, "it: V2__b.sql");
    for text in [
        "alters column made.x, which is not claimed",
        "creates index more, which is not claimed",
        "uses table nowhere, which is not there before it",
    ] {
        expect(second, False, text);
    }
    expect(named(&results, "it: V3__c.sql"), False, "claims to create table later, which V4__d.sql creates");
    expect(named(&results, "it: V3__c.sql"), False, "claims to create table made, which is there before it");
    expect(named(&results, "it: V4__d.sql"), False, "creates table later, which is not claimed");
    expect(named(&results, "it: V4__d.sql"), False, "drops sequence s, which is not claimed");
    expect(
        named(&results, "it: V5__e.sql"),
        NotMeasured,
        "migrations/V5__e.sql:1: ERROR: type \"nosuchtype\" does not exist",
    );
}

/// A replay reads files as a run does: under the same terms, and not at all where code of a file has changed them.
#[tokio::test]
async fn a_file_that_is_read_otherwise_is_not_measured() {
    let bend = "DO $$ BEGIN EXECUTE 'SET client_' || 'encoding = LATIN1'; END $$;\n";
    let strings = "DO $$ BEGIN EXECUTE 'SET standard_' || 'conforming_strings = off'; END $$;\n";
    let named_so = "CREATE TABLE größe ();";
    for (text, said) in [
        (
            format!("SELECT 1;\n{bend}{named_so}"),
            "V1__t.sql:2: code that this statement runs has set client_encoding to LATIN1",
        ),
        (
            format!("CREATE TABLE größe (x text);\n{bend}COPY größe FROM STDIN;\nö\n\\.\n"),
            "V1__t.sql:2: code that",
        ),
        (
            format!("CREATE TABLE c (x text);\n{bend}COPY c FROM STDIN;\nö\n\\.\n{named_so}"),
            "V1__t.sql:2: code that",
        ),
        (format!("{named_so}\n{strings}SELECT '\\';"), "V1__t.sql:2: code that"),
    ] {
        let world = claimed(&[("V1__t.sql", "creates = ['table größe']", &text)]);
        let results = world.verify(&VerifyRequest::default()).await;
        expect(named(&results, "it: V1__t.sql"), NotMeasured, said);
    }
    // Each part begins with the session's own settings, as in a run.
    let parts = format!("{bend}-- cutover: new-transaction\n{named_so}");
    let world = claimed(&[("V1__t.sql", "creates = ['table größe']", &parts)]);
    expect(
        named(&world.verify(&VerifyRequest::default()).await, "it: V1__t.sql"),
        Holds,
        "creates table \"größe\"",
    );
}

#[tokio::test]
async fn a_claimed_object_that_is_gone_from_the_database_is_missed() {
    let mut world =
        claimed(&[("V1__t.sql", "creates = ['t', 'table u']", "CREATE TABLE t (); CREATE TABLE u ();")]);
    world.apply(&["1"]).await;
    world.database.run("DROP TABLE u");
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "it: V1__t.sql"), Holds, "");
    expect(named(&results, "it: in this database"), False, "missing: table u (V1__t.sql)");
}

#[tokio::test]
async fn hostile_names_can_be_claimed() {
    let name = "a \"b\".c;--\u{e9}d";
    let quoted = cutover_analysis::sql::quote_ident(name);
    let mut world = claimed(&[(
        "V1__t.sql",
        &format!("creates = ['''table {quoted}''']"),
        &format!("CREATE TABLE {quoted} ({quoted} int);"),
    )]);
    world.apply(&["1"]).await;
    for result in world.verify(&VerifyRequest::default()).await {
        expect(&result, Holds, "");
    }
}

#[tokio::test]
async fn tables_of_the_design_that_no_migration_creates_are_named() {
    let world = claimed(&[("V1__t.sql", "creates = ['t']", "CREATE TABLE t ();")]);
    let config = std::fs::read_to_string(world.folder.path().join("cutover.toml")).unwrap();
    world.write("cutover.toml", &format!("{config}\n[design]\nddl = [\"ddl/*.sql\"]"));
    world.write("ddl/a.sql", "CREATE TABLE t ();");
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "it: tables of the design"), Holds, "1 table, each");
    world.write("ddl/b.sql", "CREATE TABLE forgotten ();");
    let results = world.verify(&VerifyRequest::default()).await;
    expect(
        named(&results, "it: tables of the design"),
        False,
        "no migration creates table forgotten (ddl/b.sql)",
    );
}

#[tokio::test]
async fn without_a_server_to_try_on_nothing_is_said_to_hold() {
    let world = claimed(&[("V1__t.sql", "creates = ['t']", "CREATE TABLE t ();")]);
    let none = SandboxProvider::none("no server programs here");
    let options = world.database.options();
    let results =
        verify(&world.project(), &options, &none, &world.history, &VerifyRequest::default(), |_| {})
            .await
            .unwrap();
    assert_eq!(results.len(), 1);
    expect(&results[0], NotMeasured, "no server programs here");
}

#[tokio::test]
async fn a_throwaway_server_serves_all_checks_of_a_run() {
    let role = testkit::role("");
    let world = claimed(&[(
        "V1__t.sql",
        "creates = ['t']",
        &format!("CREATE TABLE t (); GRANT SELECT ON t TO {};", role.name),
    )]);
    let config = std::fs::read_to_string(world.folder.path().join("cutover.toml")).unwrap();
    world.write("cutover.toml", &format!("{config}\n[[check]]\nname = \"again\"\nkind = \"claims\""));
    let local = SandboxProvider::local(testkit::sandbox_options());
    let options = world.database.options();
    let results =
        verify(&world.project(), &options, &local, &world.history, &VerifyRequest::default(), |_| {})
            .await
            .unwrap();
    expect(named(&results, "it: V1__t.sql"), Holds, "creates table t");
    expect(named(&results, "again: V1__t.sql"), Holds, "creates table t");
}

/// A claim is a claim: nobody has to ask for its measurement.
#[tokio::test]
async fn claims_and_design_are_measured_without_being_asked_for() {
    let mut world = World::new(&[
        (
            "cutover.toml",
            "[[migrations]]\npath = \"migrations\"\n[design]\nddl = [\"ddl/*.sql\"]\n[[stage]]\nid = \"s\"\n\
             [[stage.migration]]\nversion = \"1\"\ncreates = [\"table userz\"]\nsource = \"ddl/a.sql\"\n",
        ),
        ("migrations/V1__a.sql", "CREATE TABLE users (id int PRIMARY KEY);"),
        ("ddl/a.sql", "CREATE TABLE users (id bigint PRIMARY KEY);"),
    ]);
    world.apply(&["1"]).await;
    let results = world.verify(&VerifyRequest::default()).await;
    for kind in ["claims", "design"] {
        assert!(results.iter().any(|result| result.kind == kind && result.verdict == False), "{results:#?}");
    }
}

/// What is no object of its own to PostgreSQL, or only along with another one, can be claimed by its name, and need not be.
#[tokio::test]
async fn what_comes_along_with_another_object_may_be_claimed() {
    let mut world = claimed(&[
        (
            "V1__t.sql",
            "creates = ['t', 'index t_pkey', 'sequence t_n_seq', 'sequence t_o_seq', 'type span']",
            "CREATE TABLE t (id int PRIMARY KEY, n serial, o int GENERATED ALWAYS AS IDENTITY); CREATE TYPE span AS RANGE (subtype = int);",
        ),
        (
            "V2__key.sql",
            "creates = ['constraint t.once']\nalters = ['index t_pkey', 'sequence t_o_seq']\nuses = ['index t_pkey', 'sequence t_n_seq', 'extension plpgsql']",
            "ALTER TABLE t ADD CONSTRAINT once UNIQUE (n); ALTER INDEX t_pkey SET (fillfactor = 50); ALTER TABLE t ALTER o SET INCREMENT 2;",
        ),
        ("V3__gone.sql", "alters = ['constraint t.once']", "ALTER TABLE t DROP CONSTRAINT once;"),
        (
            "V4__parts.sql",
            "creates = ['e', 'p']",
            "CREATE TABLE e (n int) PARTITION BY RANGE (n); CREATE TABLE p PARTITION OF e FOR VALUES FROM (1) TO (2);",
        ),
        (
            "V5__whole.sql",
            "creates = ['index e_n']\nalters = ['e']",
            "CREATE INDEX e_n ON e (n); ALTER TABLE e ADD m int;",
        ),
        ("V6__apart.sql", "alters = ['p']", "ALTER TABLE e DETACH PARTITION p;"),
    ]);
    world.apply(&["1", "2", "3", "4", "5", "6"]).await;
    for result in &world.verify(&VerifyRequest::default()).await {
        expect(result, Holds, "");
    }
}

/// Defaults are within their columns, and what is said of a view's column is within the view.
#[tokio::test]
async fn parts_without_a_name_are_claimed_with_what_they_belong_to() {
    let world = claimed(&[
        (
            "V1__t.sql",
            "creates = ['t', 'view v']",
            "CREATE TABLE t (n int); CREATE VIEW v AS SELECT n FROM t;",
        ),
        ("V2__default.sql", "alters = ['column t.n']", "ALTER TABLE t ALTER n SET DEFAULT 1;"),
        (
            "V3__said.sql",
            "alters = ['view v']",
            "COMMENT ON COLUMN v.n IS 'x'; ALTER VIEW v ALTER n SET DEFAULT 2;",
        ),
        ("V4__both.sql", "", "ALTER TABLE t ALTER n DROP DEFAULT; COMMENT ON COLUMN v.n IS NULL;"),
        (
            "V5__rights.sql",
            "",
            "GRANT SELECT ON t TO PUBLIC; GRANT SELECT (n) ON v TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;",
        ),
    ]);
    let results = world.verify(&VerifyRequest::default()).await;
    for name in ["V1__t.sql", "V2__default.sql", "V3__said.sql"] {
        expect(named(&results, &format!("it: {name}")), Holds, "");
    }
    let both = named(&results, "it: V4__both.sql");
    assert_eq!(
        both.found, "alters column t.n, which is not claimed; alters view v, which is not claimed",
        "{both:#?}"
    );
    expect(named(&results, "it: V5__rights.sql"), Holds, "changes no object");
}

/// Of every kind that a schema has, what is made must be claimed, as it is shown.
#[tokio::test]
async fn objects_of_every_kind_are_claimed_as_they_are_shown() {
    let sql = "CREATE COLLATION german (provider = libc, locale = 'C');
        CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER seen ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION noted();
        CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
        CREATE OPERATOR CLASS whole FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int);
        CREATE TYPE mood AS ENUM ('ok'); CREATE FUNCTION f(mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE CAST (mood AS int) WITH FUNCTION f(mood);
        CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;
        CREATE TEXT SEARCH CONFIGURATION english (COPY = pg_catalog.english);";
    let claims = [
        "collation german",
        "function noted()",
        "event trigger seen",
        "operator \"===\"(integer, integer)",
        "operator class whole(btree)",
        "type mood",
        "function f(mood)",
        "cast \"public.mood AS integer\"",
        "foreign data wrapper nothing",
        "server elsewhere",
        "text search configuration english",
    ];
    let all: Vec<String> = claims.iter().map(|claim| format!("'{claim}'")).collect();
    let world = claimed(&[
        ("V1__all.sql", &format!("creates = [{}]", all.join(", ")), sql),
        (
            "V2__less.sql",
            "",
            "CREATE COLLATION other (provider = libc, locale = 'C'); CREATE TABLE server ();",
        ),
        ("V3__uses.sql", "uses = ['server', 'server elsewhere']", "SELECT 1;"),
    ]);
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "it: V1__all.sql"), Holds, "");
    let less = named(&results, "it: V2__less.sql");
    expect(less, False, "creates collation other, which is not claimed");
    expect(named(&results, "it: V3__uses.sql"), Holds, "");
    let bare = claimed(&[("V1__all.sql", "", sql)]).verify(&VerifyRequest::default()).await;
    for claim in claims {
        let shown = claim.replace("f(mood)", "f(public.mood)");
        expect(&bare[0], False, &format!("creates {shown}, which is not claimed"));
    }
}
