//! The history is not for migrations: what would change, lock or build on it, or put things beside it, is refused before
//! the first statement, by the text of a file or by the search path it would run with.

use cutover::Project;
use cutover::apply::{ApplyError, Request};
use cutover::run::Outcome;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use testkit::{Database, database, role};

use crate::support::{APPLIED, OBJECTS, apply, apply_with, completes, failure, looking, project};

const FIRST: (&str, &str) = ("V1__a.sql", "CREATE TABLE a (n int);");

/// Everything that says what schema `cutover` is and whose.
const STATE: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT format('%s %s %s %s %s', relname, relowner, relacl, relhasrules, relhastriggers) AS line
    FROM pg_class WHERE relnamespace = 'cutover'::regnamespace
  UNION ALL SELECT format('%s %s', nspowner, nspacl) FROM pg_namespace WHERE nspname = 'cutover'
  UNION ALL SELECT 'default ' || defaclacl::text FROM pg_default_acl
  UNION ALL SELECT 'migrations ' || string_agg(version_text, ' ' ORDER BY version_text) FROM cutover.migration) AS state";

/// Each is refused, with the place of what it names, and nothing of it is done.
#[tokio::test]
async fn what_touches_the_history_is_refused_before_the_first_statement() {
    let database = database();
    completes(&project(&[FIRST]), &database.options()).await;
    let state = database.value(STATE);
    let cases = [
        (
            "CREATE RULE r AS ON INSERT TO a DO ALSO INSERT INTO ^cutover.deferral DEFAULT VALUES;",
            "relation cutover.deferral",
        ),
        ("CREATE RULE r AS ON INSERT TO ^cutover.migration DO INSTEAD NOTHING;", "rule cutover.migration.r"),
        ("LOCK TABLE a, ^cutover.fence IN ROW SHARE MODE;", "relation cutover.fence"),
        ("SELECT FROM ^cutover.fence FOR SHARE;", "relation cutover.fence"),
        ("SELECT FROM a, ^cutover.fence AS f FOR UPDATE OF f;", "relation cutover.fence"),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA ^cutover TO PUBLIC;", ""),
        ("REVOKE ALL ON ALL SEQUENCES IN SCHEMA ^cutover FROM PUBLIC;", ""),
        ("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ^cutover TO PUBLIC;", ""),
        ("GRANT USAGE ON SCHEMA ^cutover TO PUBLIC;", ""),
        ("GRANT SELECT ON ^cutover.run TO PUBLIC;", "relation cutover.run"),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA ^cutover GRANT SELECT ON TABLES TO PUBLIC;", ""),
        ("CREATE EXTENSION plpgsql SCHEMA ^cutover;", ""),
        ("ALTER EXTENSION plpgsql SET SCHEMA ^cutover;", ""),
        ("IMPORT FOREIGN SCHEMA far FROM SERVER s INTO ^cutover;", ""),
        ("ALTER TABLE ^a SET SCHEMA cutover;", "table cutover.a"),
        ("CREATE TRIGGER t AFTER INSERT ON ^cutover.run EXECUTE FUNCTION f();", "trigger cutover.run.t"),
        ("CREATE PUBLICATION p FOR TABLES IN SCHEMA ^cutover;", ""),
        ("CREATE PUBLICATION p FOR TABLE a, ^cutover.event;", "table cutover.event"),
        ("COMMENT ON TABLE ^cutover.event IS 'mine';", "table cutover.event"),
        ("SECURITY LABEL ON TABLE ^cutover.event IS 'mine';", "table cutover.event"),
        ("CREATE STATISTICS s ON run, seq FROM ^cutover.event;", "table cutover.event"),
        ("CREATE POLICY p ON ^cutover.event USING (false);", "policy cutover.event.p"),
        ("ALTER TABLE ^cutover.event OWNER TO CURRENT_USER;", "table cutover.event"),
        ("ALTER SCHEMA ^cutover OWNER TO CURRENT_USER;", ""),
        ("VACUUM ^cutover.event;", "relation cutover.event"),
        ("DO $$ BEGIN DELETE FROM ^cutover.migration; END $$;", "relation cutover.migration"),
        ("DO $$ BEGIN EXECUTE 'DELETE FROM ^cutover.migration'; END $$;", "relation cutover.migration"),
        ("CREATE TABLE b (m ^cutover.migration);", "type cutover.migration"),
        ("^DROP OWNED BY CURRENT_USER;", "may belong to the role that runs this"),
        ("SET ROLE ^cutover;", "role cutover"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = ^cutover AS 'SELECT 1';",
            "in search_path",
        ),
        ("ALTER ROLE CURRENT_USER SET search_path = public, ^cutover;", "in search_path"),
    ];
    for (marked, what) in cases {
        let column = marked.find('^').unwrap() + 1;
        let text =
            format!("CREATE TABLE before_it ();\n{}\nCREATE TABLE behind_it ();", marked.replace('^', ""));
        let error = apply(&project(&[FIRST, ("V2__b.sql", &text)]), &database.options()).await.unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("V2__b.sql:2:{column}: ")), "{text}:\n{said}");
        assert!(said.contains("schema cutover") && said.contains(what), "{text}:\n{said}");
        assert!(said.contains("`--allow own-schema` lets it pass"), "{text}:\n{said}");
        assert_eq!(database.value(STATE), state, "{text}");
        assert_eq!(database.value("SELECT to_regclass('before_it') IS NULL"), "t", "{text}");
    }
}

#[tokio::test]
async fn reading_the_history_is_allowed_and_so_is_what_is_allowed_by_name() {
    let database = database();
    let reading = "CREATE TABLE b AS SELECT version FROM cutover.migration;\n\
                   CREATE VIEW v AS SELECT r.id FROM cutover.run AS r JOIN cutover.event ON run = r.id;\n\
                   SELECT b.version FROM b, cutover.migration AS m WHERE m.version = b.version FOR UPDATE OF b;\n\
                   CREATE FUNCTION f() RETURNS SETOF cutover.migration LANGUAGE sql AS 'SELECT * FROM cutover.migration';\n\
                   DO $$ BEGIN IF NOT EXISTS (SELECT FROM cutover.run) THEN RAISE 'no run'; END IF; END $$;";
    let files = [FIRST, ("V2__b.sql", reading)];
    completes(&project(&files), &database.options()).await;
    assert_eq!(database.value("SELECT count(*) FROM b"), "1");
    let granting =
        [files[0], files[1], ("V3__c.sql", "GRANT SELECT ON ALL TABLES IN SCHEMA cutover TO PUBLIC;")];
    let granting = project(&granting);
    assert!(apply(&granting, &database.options()).await.is_err());
    let request = Request { allow: vec!["own-schema".into()], ..Request::default() };
    let run = apply_with(&granting, &database.options(), &request).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(database.value("SELECT has_table_privilege('public', 'cutover.migration', 'SELECT')"), "t");
}

/// Whose the history is only the server knows.
#[tokio::test]
async fn what_its_owner_owns_is_not_given_away() {
    let (owner, other) = (role(""), role(""));
    let database = database();
    database.give_to(&owner);
    database.run(&format!("GRANT {} TO {}", other.name, owner.name));
    let options = database.options_as(&owner);
    let reassign = |role: &str| format!("CREATE TABLE b ();\nREASSIGN OWNED BY {role} TO {};", other.name);
    // Before the first run it will be the role that runs it.
    let files = [FIRST, ("V2__b.sql", &reassign(&owner.name))];
    for after in [false, true] {
        if after {
            completes(&project(&[FIRST]), &options).await;
        }
        let said = apply(&project(&files), &options).await.unwrap_err().to_string();
        let why = "schema cutover, which holds the history, belongs to role ";
        assert!(said.starts_with(&format!("V2__b.sql:2:19: {why}{}", owner.name)), "{said}");
        let there = database.value("SELECT to_regnamespace('cutover') IS NOT NULL");
        assert_eq!(
            (there, database.value("SELECT to_regclass('b') IS NULL")),
            (if after { "t" } else { "f" }.into(), "t".into())
        );
    }
    // What another role owns is nobody's concern.
    completes(&project(&[FIRST, ("V2__b.sql", &reassign(&other.name))]), &options).await;
    drop(database);
}

/// What `plan` and `apply --dry-run` say, by reading alone.
async fn looked(project: &Project, options: &ConnectOptions) -> Vec<String> {
    let mut session = looking(options).await;
    let selection = cutover::plan::select::Selection::default();
    let read = cutover::plan::build::Read::Pending;
    let mut inspection = cutover::inspect::database(project, &mut session, &selection, read).await.unwrap();
    session.close().await;
    cutover::inspect::look_closer(project, options, &mut inspection).await.unwrap();
    inspection.stops(&[]).map(|stop| stop.text).collect()
}

/// A run is refused for its search path, with these words; nothing is done, nor said otherwise by who only looks.
async fn refused_for_its_path(options: &ConnectOptions, files: &[(&str, &str)], words: &[&str]) {
    let project = project(files);
    let error = apply(&project, options).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotAllowed(_)), "{error:?}");
    let said = error.to_string();
    let why = "schema cutover, which holds the history, is in the search path of the migrations: ";
    assert!(said.starts_with(why) && said.ends_with("\nnothing was done"), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in\n{said}");
    }
    let looked = looked(&project, options).await;
    assert_eq!(looked, [said.trim_end_matches("\nnothing was done")]);
}

fn is_untouched(database: &Database) -> bool {
    database.value("SELECT to_regnamespace('cutover') IS NULL") == "t" && database.value(OBJECTS).is_empty()
}

#[tokio::test]
async fn a_search_path_that_leads_to_the_history_is_refused_wherever_it_is_set() {
    let owner = role("");
    let database = database();
    database.give_to(&owner);
    let (name, options) = (database.name().to_owned(), database.options_as(&owner));
    let role = &owner.name;
    let cases = [
        (format!("ROLE {role}"), "cutover", format!(": cutover, set for role {role}\n"), "public"),
        (
            format!("DATABASE {name}"),
            "public, cutover",
            format!(": public, cutover, set for database {name}\n"),
            "public",
        ),
        (
            format!("ROLE {role} IN DATABASE {name}"),
            "\"$user\", cutover, public",
            format!(": \"$user\", cutover, public, set for role {role} in database {name}\n"),
            "\"$user\", public",
        ),
    ];
    let by_options = ConnectOptions { options: Some("-c search_path=CutOver".into()), ..options.clone() };
    let words = [": CutOver, set by the connection\n", "\n  hint: leave search_path out of the options"];
    refused_for_its_path(&by_options, &[FIRST], &words).await;
    // Before the first run, which would make the schema, and after it.
    let second = [FIRST, ("V2__b.sql", "CREATE TABLE b (n int);")];
    for files in [&[FIRST][..], &second] {
        for (place, path, set, mended) in &cases {
            database.run(&format!("ALTER {place} SET search_path = {path}"));
            let mend = format!("\n  hint: ALTER {place} SET search_path = {mended}\n");
            refused_for_its_path(&options, files, &[set, &mend]).await;
            assert!(files.len() > 1 || is_untouched(&database));
            database.run(&format!("ALTER {place} RESET search_path"));
        }
        // What it says helps.
        completes(&project(files), &options).await;
    }
    assert_eq!(database.value(APPLIED), "1 2");
    assert_eq!(database.value("SELECT 'b'::regclass::text"), "b");
    // Where nothing is to be run, nothing can land there.
    database.run(&format!("ALTER DATABASE {name} SET search_path = cutover"));
    let run = apply(&project(&second), &options).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NothingToDo));
    drop(database);
}

/// The schema is found by the name of a role that is called as it is, and by the options of a connection.
#[tokio::test]
async fn a_role_called_as_the_schema_is_told_to_set_another_path() {
    let server = testkit::private_server(&[]);
    let mut session = Session::connect(&server.options("postgres"), &Startup::default()).await.unwrap();
    session.execute("CREATE ROLE cutover LOGIN PASSWORD 'its own'").await.unwrap();
    session.execute("CREATE DATABASE d OWNER cutover").await.unwrap();
    let options = server.server().options_as("cutover", "its own", "d");
    let words = [
        "$user\", public, the default (\"$user\" means it, for so the role is called)",
        "hint: ALTER ROLE cutover SET search_path = public, or connect as a role of another name",
    ];
    refused_for_its_path(&options, &[FIRST], &words).await;
    session.execute("ALTER ROLE cutover SET search_path = public").await.unwrap();
    completes(&project(&[FIRST]), &options).await;
    session.close().await;
}
