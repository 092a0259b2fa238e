//! No output of any command and no row of the history shows a password or a value that was given from outside. Every
//! secret in these tests has `S3CRET` in it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use common::{Outcome, Place};

/// The value of a placeholder that is given on the command line. One word: its pieces are hidden too, and `S3CRET` alone
/// would hide every other secret here.
const GIVEN: &str = "given=gaveS3CRETvalue";
/// One whose name says what it is, in the file.
const VARS: &str = "[vars]\nadmin_password = \"fileS3CRET\"\nregion = \"frankfurt\"\n";

/// Everything a place has said so far.
struct Said<'a> {
    place: &'a Place,
    texts: Vec<(String, String)>,
}

impl<'a> Said<'a> {
    fn new(place: &'a Place) -> Self {
        Self { place, texts: Vec::new() }
    }

    /// Runs a command as text and as JSON lines; the last one's outcome.
    fn run(&mut self, arguments: &[&str]) -> Outcome {
        self.one(&[arguments, &["--format", "json"]].concat());
        self.one(arguments)
    }

    fn one(&mut self, arguments: &[&str]) -> Outcome {
        let outcome = self.place.run(arguments);
        self.texts.push((arguments.join(" "), format!("{}\n{}", outcome.stdout, outcome.stderr)));
        outcome
    }

    /// Everything that shows a project and its runs.
    fn everything(&mut self) {
        for arguments in [
            &["plan", "--var", GIVEN, "-v"][..],
            &["plan", "--offline", "--var", GIVEN],
            &["status", "-v"],
            &["apply", "--dry-run", "--var", GIVEN],
            &["apply", "--var", GIVEN, "--lock-wait", "1s", "--verify"],
            &["apply", "--var", GIVEN, "--lock-wait", "1s"],
            &["verify", "-v"],
            &["config", "show"],
            &["report", "-v"],
        ] {
            self.run(arguments);
        }
        for format in ["markdown", "html"] {
            self.one(&["report", "--format", format, "-o", "-"]);
        }
    }

    /// Fails where any text or any row of the history shows a secret.
    fn shows_no_secret(&mut self, what: &str) {
        let database = self.place.database();
        let tables = database.rows("SELECT c.relname FROM pg_class c WHERE c.relnamespace = to_regnamespace('cutover') AND c.relkind = 'r'");
        for table in tables.iter().filter_map(|row| row[0].as_deref()) {
            let rows = database
                .value(&format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM cutover.{table} t"));
            self.texts.push((format!("table cutover.{table}"), rows));
        }
        for (source, text) in &self.texts {
            let line = text.lines().find(|line| line.contains("S3CRET"));
            assert!(line.is_none(), "{what}: {source} shows a secret:\n{line:?}");
        }
    }

    /// Whether any text has these words: what was looked for in vain must have had a chance to be there.
    fn says(&self, words: &str) -> bool {
        self.texts.iter().any(|(_, text)| text.contains(words))
    }
}

/// A project whose last migration has this text, after one that makes tables.
fn project(text: &str) -> Place {
    let place = Place::new();
    place.write("cutover.toml", &format!("[project]\nname = \"p\"\n{VARS}"));
    let tables = "CREATE TABLE vault (id int PRIMARY KEY, secret text NOT NULL);\n";
    place.write("migrations/1_tables.sql", tables);
    place.write("migrations/2_last.sql", text);
    place
}

/// Applies each of these texts as the last migration of a project, and fails where its secret is shown or the words that
/// come with it are not.
fn show_no_secret(cases: &[(&str, &str, &str)]) {
    for (what, text, said) in cases {
        let place = project(text);
        let mut said_so_far = Said::new(&place);
        said_so_far.everything();
        assert!(said_so_far.says(said), "{what}: nobody said {said:?}: {:#?}", said_so_far.texts);
        // Passwords are starred; of placeholders the file's own text is shown.
        let hidden = said_so_far.says("****") || said_so_far.says("${given}");
        assert!(hidden, "{what}: nothing was hidden");
        said_so_far.shows_no_secret(what);
    }
}

#[test]
fn passwords_that_stand_again() {
    show_no_secret(&[
        (
            "a password that stands again",
            "DO $$ BEGIN RAISE NOTICE 'before: again-S3CRET'; END $$;\nCREATE ROLE again_of_mine PASSWORD 'again-S3CRET';\n\
             DROP ROLE again_of_mine;\nCOMMENT ON TABLE vault IS 'again-S3CRET';\n\
             DO $$ BEGIN RAISE WARNING 'it is again-S3CRET'; RAISE 'not again-S3CRET'; END $$;\n",
            "before: ****",
        ),
        (
            "a password that stands again on the line of an error",
            "COMMENT ON TABLE nowhere IS 'twice-S3CRET'; ALTER ROLE nobody_of_mine PASSWORD 'twice-S3CRET';\n",
            "COMMENT ON TABLE nowhere IS '****",
        ),
        (
            "YAML, and a key",
            "SELECT nowhere, 'a: b\n  password: yaml-S3CRET\n', set_config('app.signing_key', 'k', true), '{signing_key: key-S3CRET}';\n",
            "column \"nowhere\" does not exist",
        ),
        (
            "parts of a file",
            "VACUUM /* parts-S3CRET */ vault;\nALTER ROLE nobody_of_mine PASSWORD 'parts-S3CRET';\n",
            "nobody_of_mine",
        ),
    ]);
}

#[test]
fn values_of_columns_that_hold_secrets() {
    let table = "CREATE TABLE logins (name text PRIMARY KEY, password text UNIQUE);\n";
    show_no_secret(&[
        (
            "rows of an INSERT",
            &format!(
                "{table}INSERT INTO logins (name, password) VALUES ('a', 'first-S3CRET'), ('b', 'other-S3CRET' || nowhere);\n"
            ),
            "column \"nowhere\" does not exist",
        ),
        (
            "a key that is there already",
            &format!(
                "{table}INSERT INTO logins (name, password) VALUES ('a', 'twice-S3CRET'), ('b', 'twice-S3CRET');\n"
            ),
            "Key (password)=(****",
        ),
        (
            "a line of data",
            &format!("{table}COPY logins (name, password) FROM STDIN;\na\tcopied-S3CRET\tmore\n\\.\n"),
            "extra data after last expected column",
        ),
        (
            "a key among data",
            &format!(
                "{table}COPY logins (name, password) FROM STDIN (FORMAT csv);\na,\"csv-S3CRET\"\nb,csv-S3CRET\n\\.\n"
            ),
            "duplicate key value",
        ),
    ]);
}

/// Nothing in the statement says which values are secret: the columns of the table do, wherever it was made.
#[test]
fn values_for_columns_that_are_not_listed() {
    let table = "CREATE TABLE logins (name text PRIMARY KEY, shout text GENERATED ALWAYS AS (upper(name)) STORED, password text UNIQUE);\n";
    show_no_secret(&[
        (
            "a line of data",
            &format!("{table}COPY logins FROM stdin;\na\tcopied-S3CRET\tmore\n\\.\n"),
            "extra data after last expected column",
        ),
        (
            "a key among data",
            &format!(
                "{table}COPY public.logins FROM stdin (FORMAT csv, HEADER, DELIMITER '|');\nname|password\n\"a|b\"|\"csv-S3CRET\"\nc|csv-S3CRET\n\\.\n"
            ),
            "duplicate key value",
        ),
        (
            "rows of an INSERT",
            &format!(
                "{table}INSERT INTO logins VALUES ('a', DEFAULT, 'twice-S3CRET'), ('b', DEFAULT, 'twice-S3CRET');\n"
            ),
            "Key (password)=(****",
        ),
        (
            "a table of an earlier migration",
            "COPY vault FROM stdin;\n1\tvault-S3CRET\n1\tvault-S3CRET\n\\.\n",
            "duplicate key value",
        ),
        ("an INSERT into it", "INSERT INTO vault VALUES (NULL, 'null-S3CRET');\n", "null value in column"),
        (
            "an INSERT within a body",
            &format!(
                "{table}DO $$ BEGIN INSERT INTO logins (name, password) VALUES ('a', 'body-S3CRET'), ('b', 'body-S3CRET'); END $$;\n"
            ),
            "Key (password)=(****",
        ),
    ]);
}

#[test]
fn keys_headers_and_commands() {
    show_no_secret(&[
        (
            "a program",
            "COPY vault FROM PROGRAM 'false --user u:program-S3CRET https://localhost/';\n",
            "program \"false ****",
        ),
        (
            "a program to write to",
            "COPY vault TO PROGRAM 'KEY=program-S3CRET false -pprogram-S3CRET';\nSELECT 1;\n",
            "program \"****",
        ),
        (
            "a program that is made at run time",
            "DO $$ BEGIN EXECUTE 'COPY vault FROM PROGRAM ''false -pmade-S3CRET'''; END $$;\n",
            "program \"false ****",
        ),
        (
            "a key",
            "SELECT nowhere, pgp_sym_encrypt('data-S3CRET', 'key-S3CRET'), public.hmac('a', 'mac-S3CRET', 'sha256');\n",
            "needs routine pgp_sym_encrypt (called), which does not exist",
        ),
        (
            "a function that is not there",
            "CREATE TABLE keys AS SELECT crypt('crypt-S3CRET', gen_salt('bf')) AS k, pgp_sym_decrypt(nowhere, 'key-S3CRET');\n",
            "needs routine crypt (",
        ),
        (
            "what the server says of an argument",
            "CREATE FUNCTION encrypt(a text, b text, c text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''no % with %'', a, b; END';\n\
             SELECT encrypt('Text-S3CRET', 'key-S3CRET', 'aes');\n",
            "no ****",
        ),
        (
            "headers",
            "SELECT nowhere, 'Authorization: Bearer header-S3CRET', http_header('Authorization', 'Basic basic-S3CRET');\n",
            "needs routine http_header (called), which does not exist",
        ),
        (
            "a token that is put behind its header",
            "DO $$ BEGIN RAISE 'cannot: %', 'Authorization: Bearer ' || 'token-S3CRET'; END $$;\n",
            "cannot: Authorization: Bearer ****",
        ),
        (
            "JSON",
            "SELECT nowhere, '{\"Authorization\": \"json-S3CRET\", \"a\": \"b\"}'::jsonb;\n",
            "column \"nowhere\" does not exist",
        ),
        (
            "a connection by dblink",
            "SELECT nowhere, dblink_connect('c', 'host=h user=u password=dblink-S3CRET'), dblink_connect_u('host=h password=''u-S3CRET''');\n",
            "needs routine dblink_connect (called), which does not exist",
        ),
        (
            "a subscription",
            "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1 user=u password=sub-S3CRET' PUBLICATION p WITH (connect = false, slot_name = 'x', bogus);\n",
            "unrecognized subscription parameter",
        ),
        (
            "a user mapping for a server that is not there",
            "CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere_of_mine OPTIONS (user 'u', password 'mapped-S3CRET');\n",
            "nowhere_of_mine",
        ),
        (
            "a string that never ends",
            "SELECT pgp_sym_encrypt(a, 'never-S3CRET);\n",
            "a string that is not terminated",
        ),
    ]);
}

#[test]
fn failing_statements_and_what_the_server_says_of_them() {
    show_no_secret(&[
        (
            "a literal",
            "SELECT nowhere\n  FROM vault WHERE secret = '${given}';\n",
            "column \"nowhere\" does not exist",
        ),
        (
            "the line itself",
            "SELECT nowhere, '${given}', '${admin_password}';\n",
            "column \"nowhere\" does not exist",
        ),
        ("a value that is no name", "SELECT \"${given}\" FROM vault;\n", "does not exist (42703)"),
        ("a row", "INSERT INTO vault VALUES (NULL, '${given}');\n", "null value in column"),
        (
            "a key",
            "ALTER TABLE vault ADD UNIQUE (secret);\nINSERT INTO vault VALUES (1, '${given}'), (2, '${given}');\n",
            "Key (secret)=(",
        ),
        (
            "a notice",
            "DO $$ BEGIN RAISE NOTICE 'it is ${given}'; RAISE WARNING 'ALTER ROLE a PASSWORD ''warned-S3CRET'''; END $$;\n",
            "it is ****",
        ),
        (
            "a role",
            "CREATE ROLE mine LOGIN\n  PASSWORD\n  'role-S3CRET' BOGUS;\n",
            "unrecognized role option",
        ),
        (
            "a context",
            "DO $$ BEGIN EXECUTE 'ALTER ROLE nobody_of_this_name PASSWORD ''context-S3CRET'''; END $$;\n",
            "ALTER ROLE nobody_of_this_name PASSWORD",
        ),
        (
            "a user mapping",
            "CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (user 'u', password 'mapped-S3CRET') BOGUS;\n",
            "syntax error",
        ),
        (
            "a connection string",
            "CREATE TABLE link AS SELECT nowhere, concat('host=h password=linked-S3CRET user=u', 'postgres://u:url-S3CRET@h/db');\n",
            "column \"nowhere\" does not exist",
        ),
        (
            "a statement outside a transaction",
            "VACUUM /* ${given}, password = 'vacuumed-S3CRET' */ vault;\nSELECT nowhere, '${given}';\n",
            "column \"nowhere\" does not exist",
        ),
        ("a syntax error", "CREATE TABL t (a text DEFAULT '${given}');\n", "syntax error"),
        ("a piece of a value", "SELECT 'it''s ${given}' '${given}' nonsense here;\n", "syntax error"),
        ("a psql command", "\\connect \"host=h password=psql-S3CRET\"\n", "psql command"),
        ("transaction control", "CREATE TABLE t ();\nSAVEPOINT \"${given}\";\n", "transaction control"),
        (
            "an unknown placeholder",
            "ALTER ROLE a PASSWORD 'typed-S3CRET' ${unknown};\n",
            "no value for the placeholder",
        ),
    ]);
}

#[test]
fn what_is_applied_keeps_its_values_in_the_database_alone() {
    let text = "INSERT INTO vault VALUES (1, '${given}'), (2, '${admin_password}'), (3, '${region}');\nVACUUM /* ${given} */ vault;\n";
    let place = project(text);
    let mut said = Said::new(&place);
    said.everything();
    said.shows_no_secret("a run that went well");
    let stored = place.database().value("SELECT string_agg(secret, ' ' ORDER BY id) FROM vault");
    assert_eq!(stored, "gaveS3CRETvalue fileS3CRET frankfurt");
    assert!(said.says("vars.region") && said.says("frankfurt"), "what is no secret is shown");
    // The text of the file is kept as it is, without values.
    let project = cutover::Project::load(&place.folder, &cutover::project::Overrides::default()).unwrap();
    let id = &project.migrations[1].id;
    let options = place.database().options();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(async {
        let mut session = cutover::inspect::connect(&options, None).await.unwrap();
        cutover::history::records::kept(&mut session, "p", id).await.unwrap().unwrap()
    });
    assert_eq!(kept.text.as_deref(), Some(text));
}

/// Names of objects that are given from outside are no secrets: they are in the catalogue.
#[test]
fn the_name_of_a_schema_is_shown() {
    let place = project(
        "CREATE TABLE ${schema}.t (n int);\nDO 'BEGIN RAISE ''something of ${schema} is missing''; END';\n",
    );
    place.database().run("CREATE SCHEMA tenant_of_mine");
    let apply = place.run(&["apply", "--var", "schema=tenant_of_mine"]).ends_with(4);
    assert!(apply.stderr.contains("something of tenant_of_mine is missing"), "{}", apply.stderr);
}

#[test]
fn edited_files_and_sessions_in_the_way() {
    let place = project("SELECT 'fine';\n-- PASSWORD 'old-S3CRET'\n");
    place.run(&["apply"]).ends_with(0);
    place.write("migrations/2_last.sql", "SELECT 'fine!';\n-- PASSWORD 'new-S3CRET'\n");
    let mut said = Said::new(&place);
    said.everything();
    assert!(said.says("-- PASSWORD '**********'") && said.says("+SELECT 'fine!'"), "{:#?}", said.texts);
    said.shows_no_secret("a diff");

    let place = project("ALTER TABLE vault ADD more text;\n");
    place.run(&["apply", "--to", "1"]).ends_with(0);
    let holds = "BEGIN; LOCK public.vault; SELECT 1 /* ALTER ROLE a PASSWORD 'in-the-way-S3CRET', given: gaveS3CRETvalue */";
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let holder = runtime.block_on(async {
        let mut session = cutover::inspect::connect(&place.database().options(), None).await.unwrap();
        // The session's own settings keep it from writing, not from locking.
        session.execute(holds).await.unwrap();
        session
    });
    let mut said = Said::new(&place);
    said.everything();
    assert!(said.says("ALTER ROLE a PASSWORD '****"), "{:#?}", said.texts);
    said.shows_no_secret("a blocker");
    runtime.block_on(holder.close());
}

/// What differs is told with stars; the SQL that makes it so needs the values.
#[test]
fn what_differs_between_two_schemas() {
    let place = project("SELECT 'fine';\n");
    place.run(&["apply"]).ends_with(0);
    place.database().run(
        "CREATE TABLE keys (api_key text DEFAULT 'default-S3CRET'); ALTER TABLE keys ALTER api_key SET DEFAULT 'one-S3CRET';
         CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'host=x password=body-S3CRET' $$;
         COMMENT ON TABLE keys IS 'password: said-S3CRET'",
    );
    let database = place.database().url();
    std::fs::write(
        place.folder.join("other.sql"),
        "CREATE TABLE keys (api_key text DEFAULT 'two-S3CRET'); COMMENT ON TABLE keys IS 'password: other-S3CRET';
         CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'host=x password=other-S3CRET' $$;",
    )
    .unwrap();
    let mut said = Said::new(&place);
    said.one(&["diff"]).ends_with(1);
    said.one(&["diff", &database, "other.sql", "--allow-url-password"]).ends_with(1);
    assert!(
        said.says("function f()") && said.says("default keys.api_key") && said.says("***"),
        "{:#?}",
        said.texts
    );
    said.shows_no_secret("a difference");
}

#[test]
fn checks_and_the_design() {
    let place = project("SELECT 'fine';\n");
    place.write(
        "cutover.toml",
        &format!(
            "[project]\nname = \"p\"\n{VARS}\n[design]\nddl = [\"ddl/*.sql\"]\n\n[[check]]\nname = \"linked\"\nkind = \"no_rows\"\n\
             sql = \"SELECT n FROM nosuchfunction('host=h password=checked-S3CRET', 'SELECT 1') AS t (n)\"\n\n\
             [[check]]\nname = \"refused\"\nkind = \"fails\"\nsqlstate = \"42P01\"\n\
             sql = \"ALTER USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (SET password 'measured-S3CRET')\"\n"
        ),
    );
    let design =
        "CREATE TABLE vault (id int PRIMARY KEY, secret text NOT NULL DEFAULT '${admin_password}');\n";
    place.write("ddl/all.sql", design);
    let mut said = Said::new(&place);
    said.everything();
    assert!(said.says("password=**************"), "{:#?}", said.texts);
    said.shows_no_secret("checks");
}

#[test]
fn connections_that_are_written_wrong() {
    let place = Place::without_database();
    place.write("migrations/1_a.sql", "SELECT 1;");
    for url in [
        "postgres://u:p-S3CRET@h/db?sslmode=on",
        "postgres://u@h/db?password=p-S3CRET&sslmode=S3CRET",
        "postgres://u:p/S3CRET@h/db",
        "postgres://u:p@S3CRET@h/db",
        "postgres://u:p?S3CRET@h:x/db",
        "S3CRET",
        "mysql://u:S3CRET@h/db",
        "host=h password=p S3CRET",
        "host=h port=S3CRET",
        "host=h service=S3CRET",
    ] {
        for arguments in
            [&["config", "show"][..], &["config", "show", "--format", "json"], &["status"], &["apply"]]
        {
            for variable in ["CUTOVER_URL", "DATABASE_URL"] {
                let output = place.command(arguments).env(variable, url).output().unwrap();
                let said = format!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
                assert_eq!(output.status.code(), Some(2), "{url}: {said}");
                assert!(!said.contains("S3CRET"), "{url}: {arguments:?}:\n{said}");
            }
        }
    }
    // Right ones are shown without their password, also where no server answers.
    for arguments in [&["config", "show"][..], &["status"], &["apply"]] {
        let mut command = place.command(arguments);
        let options = "options=-c%20app.password%3Dset-S3CRET";
        let url = format!("postgres://u:p-S3CRET@127.0.0.1:1/db?connect_timeout=2&{options}");
        command.env("CUTOVER_URL", url);
        let output = command.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("127.0.0.1") && !said.contains("S3CRET"), "{arguments:?}:\n{said}");
    }
}
