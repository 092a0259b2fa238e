//! What lies between schemas, and what somebody changed since the last run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Outcome, Place, on_one_server, says};

/// Fails the test unless all of these are shown.
#[track_caller]
fn shows(outcome: &Outcome, parts: &[&str]) {
    for part in parts {
        assert!(outcome.stdout.contains(part), "{part:?} is not in\n{}", outcome.stdout);
    }
}

fn place() -> Place {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE SCHEMA app; CREATE TABLE app.users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL);\n\
         CREATE TABLE app.posts (id bigint PRIMARY KEY, author bigint NOT NULL REFERENCES app.users, body text);\n\
         CREATE INDEX posts_author ON app.posts (author);",
    );
    place.write("migrations/0002_b.sql", "CREATE VIEW app.authors AS SELECT DISTINCT author FROM app.posts;");
    place
}

#[test]
fn what_was_changed_by_hand_is_named_taken_back_and_accepted() {
    let place = place();
    let early = on_one_server(&place, &["diff"]).ends_with(2);
    says(&early, &["nothing of this project is applied"]);
    on_one_server(&place, &["apply"]).ends_with(0);
    let clean = on_one_server(&place, &["diff"]).ends_with(0);
    shows(&clean, &["are the same"]);
    shows(
        &on_one_server(&place, &["diff", "--replay"]).ends_with(0),
        &["what the applied migrations make", "are the same"],
    );
    let database = place.database();
    database.run(
        "DROP INDEX app.posts_author; ALTER TABLE app.users ALTER mail DROP NOT NULL; CREATE TABLE app.mine (n int, m int);
         CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.t (n int)",
    );
    let drift = [
        "~ column app.users.mail: not null no longer NOT NULL\n",
        "- index app.posts_author\n",
        "+ table app.mine (2 columns)\n",
        "3 differences\n",
    ];
    let found = on_one_server(&place, &["diff"]).ends_with(1);
    shows(&found, &drift);
    shows(&found, &["as run ", " left it ("]);
    assert!(!found.stdout.contains("elsewhere"), "no migration touches it: {}", found.stdout);
    shows(&on_one_server(&place, &["diff", "--replay"]).ends_with(1), &drift);
    shows(
        &on_one_server(&place, &["diff", "--schema", "elsewhere"]).ends_with(1),
        &["+ schema elsewhere", "+ table elsewhere.t (1 column)"],
    );
    let json: serde_json::Value =
        serde_json::from_str(&on_one_server(&place, &["diff", "--format", "json"]).ends_with(1).stdout)
            .unwrap();
    assert_eq!(json["changes"].as_array().unwrap().len(), 5);
    // Taken back by the statements themselves.
    let back = on_one_server(&place, &["diff", "--reverse", "--sql", "--unused"]).ends_with(1);
    shows(
        &back,
        &[
            "-- hazard: data-loss\nDROP TABLE app.mine;",
            "ALTER TABLE app.users ALTER COLUMN mail SET NOT NULL;",
        ],
    );
    database.run(&back.stdout);
    on_one_server(&place, &["diff"]).ends_with(0);
    // Or accepted.
    database.run("COMMENT ON TABLE app.users IS 'x'");
    on_one_server(&place, &["diff"]).ends_with(1);
    says(&on_one_server(&place, &["repair", "--accept-drift"]).ends_with(2), &["--yes"]);
    on_one_server(&place, &["repair", "--accept-drift", "--yes"]).ends_with(0);
    shows(&on_one_server(&place, &["diff"]).ends_with(0), &["accepted it ("]);
    shows(&on_one_server(&place, &["diff", "--replay"]).ends_with(1), &["~ table app.users: comment now x"]);
}

/// Both sides are one database: its roles are the same on both, whoever asks.
#[test]
fn another_owner_is_drift_also_where_the_new_one_asks() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    let name = database.value("SELECT quote_ident(current_database())");
    database.run(&format!(
        "GRANT USAGE ON SCHEMA cutover TO pg_monitor; GRANT SELECT ON ALL TABLES IN SCHEMA cutover TO pg_monitor;
         ALTER DATABASE {name} SET role = 'pg_monitor'"
    ));
    on_one_server(&place, &["diff"]).ends_with(0);
    database.run("SET ROLE NONE; ALTER TABLE app.posts OWNER TO pg_monitor");
    let found = on_one_server(&place, &["diff"]).ends_with(1);
    shows(&found, &["~ table app.posts: owner ", " → pg_monitor\n", "1 difference\n"]);
}

#[test]
fn a_difference_is_a_migration_that_makes_the_first_into_the_second() {
    let place = place();
    place.write(
        "wanted.sql",
        "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('good', 'bad');
         CREATE FUNCTION app.posts_of(u bigint) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.posts WHERE author = u';",
    );
    // A function whose body names a table that comes later is no DDL that runs; the error says where.
    says(
        &on_one_server(&place, &["diff", "migrations", "wanted.sql"]).ends_with(4),
        &["wanted.sql:2: ERROR: relation \"app.posts\" does not exist"],
    );
    place.write(
        "wanted.sql",
        "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('good', 'bad');
         CREATE TABLE app.users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, mood app.mood);
         CREATE TABLE app.posts (id bigint PRIMARY KEY, author bigint NOT NULL REFERENCES app.users ON DELETE CASCADE, body text NOT NULL);
         CREATE VIEW app.authors AS SELECT author, count(*) FROM app.posts GROUP BY author;
         CREATE FUNCTION app.posts_of(u bigint) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.posts WHERE author = u';",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    place
        .database()
        .run("INSERT INTO app.users (mail) VALUES ('a'), ('b'); INSERT INTO app.posts VALUES (1, 1, 'x')");
    let asked = on_one_server(&place, &["diff", "wanted.sql"]).ends_with(1);
    says(&asked, &["perhaps renamed: if so, say --rename 'column app.users.mail=email'"]);
    shows(&asked, &["+ column app.users.email", "- column app.users.mail"]);
    let wrong = on_one_server(&place, &["diff", "wanted.sql", "--rename", "column app.users.male=email"])
        .ends_with(2);
    says(&wrong, &["there is no column app.users.male"]);
    on_one_server(
        &place,
        &["diff", "wanted.sql", "--rename", "column app.users.mail=email", "--out", "migrations/0003_c.sql"],
    )
    .ends_with(1);
    let again = on_one_server(&place, &["diff", "wanted.sql", "--out", "migrations/0003_c.sql"]).ends_with(2);
    says(&again, &["is a file of the project; nothing was written"]);
    on_one_server(
        &place,
        &["apply", "--allow", "rename-column", "--allow", "rename-table", "--allow", "rename-schema"],
    )
    .ends_with(0);
    shows(&on_one_server(&place, &["diff", "wanted.sql"]).ends_with(0), &["are the same"]);
    assert_eq!(place.database().value("SELECT string_agg(email, ',' ORDER BY id) FROM app.users"), "a,b");
}

#[test]
fn a_schema_is_saved_and_compared_with_later() {
    let place = place();
    on_one_server(&place, &["diff", "migrations", "--save", "saved.json"]).ends_with(0);
    on_one_server(&place, &["diff", "saved.json", "migrations"]).ends_with(0);
    on_one_server(&place, &["diff", "migrations", "--save", "saved.json"]).ends_with(2);
    on_one_server(&place, &["diff", "migrations", "--save", "saved.json", "--force"]).ends_with(0);
    for (text, why) in [
        ("{", "no saved schema"),
        ("{\"format_version\": 99}", "later version"),
        (
            "{\"format_version\": 1, \"server_version\": 150000, \"owner\": \"x\", \"objects\": [{\"kind\": \"tabel\", \"name\": \"x\"}]}",
            "tabel",
        ),
    ] {
        place.write("bad.json", text);
        says(&on_one_server(&place, &["diff", "bad.json", "migrations"]).ends_with(2), &["bad.json", why]);
    }
    says(
        &on_one_server(&place, &["diff", "nowhere", "migrations"]).ends_with(2),
        &["no file or folder nowhere", "postgres://"],
    );
    place.write("x.txt", "");
    says(
        &on_one_server(&place, &["diff", "x.txt", "migrations"]).ends_with(2),
        &["cannot be told from its name"],
    );
}

#[test]
fn what_was_changed_by_hand_stays_drift_whatever_runs() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    place
        .database()
        .run("ALTER TABLE app.users ADD COLUMN hand int; ALTER TABLE app.posts ALTER body SET DEFAULT 'x'");
    place.write("migrations/0003_c.sql", "CREATE TABLE app.more (n int);\nSELECT 1 / 0;");
    on_one_server(&place, &["apply"]).ends_with(4);
    shows(
        &on_one_server(&place, &["diff"]).ends_with(1),
        &["+ column app.users.hand", "+ default app.posts.body", "2 differences"],
    );
    place.write(
        "migrations/0003_c.sql",
        "CREATE TABLE app.more (n int); ALTER TABLE app.posts ALTER body SET DEFAULT 'y';",
    );
    let run = on_one_server(&place, &["apply"]).ends_with(0);
    shows(
        &run,
        &[
            "note: before the run the database was not as the last run of cutover had left it: column app.users.hand, default app.posts.body; ",
        ],
    );
    // What the run itself has set is its own.
    shows(&on_one_server(&place, &["diff"]).ends_with(1), &["+ column app.users.hand", "1 difference\n"]);
    on_one_server(&place, &["repair", "--accept-drift", "--yes"]).ends_with(0);
    place.write("migrations/0004_d.sql", "CREATE TABLE app.last (n int);");
    let run = on_one_server(&place, &["apply"]).ends_with(0);
    assert!(!run.stdout.contains("before the run"), "{}", run.stdout);
    on_one_server(&place, &["diff"]).ends_with(0);
}

#[test]
fn several_names_change_and_rows_stay() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("INSERT INTO app.users (mail) VALUES ('a')");
    place.write(
        "wanted.sql",
        "CREATE SCHEMA shop; CREATE TABLE shop.people (id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME shop.users_id_seq) CONSTRAINT users_pkey PRIMARY KEY, email text NOT NULL);
         CREATE TABLE shop.posts (id bigint PRIMARY KEY, author bigint NOT NULL REFERENCES shop.people, body text);
         CREATE INDEX by_author ON shop.posts (author); CREATE VIEW shop.authors AS SELECT DISTINCT author FROM shop.posts;",
    );
    let renames = [
        "schema app=shop",
        "table app.users=people",
        "column shop.people.mail=email",
        "index app.posts_author=by_author",
    ];
    let mut arguments = vec!["diff", "wanted.sql", "--out", "migrations/0003_c.sql"];
    arguments.extend(renames.iter().flat_map(|rename| ["--rename", rename]));
    on_one_server(&place, &arguments).ends_with(1);
    let made = std::fs::read_to_string(place.folder.join("migrations/0003_c.sql")).unwrap();
    assert!(!made.contains("DROP"), "{made}");
    on_one_server(
        &place,
        &["apply", "--allow", "rename-column", "--allow", "rename-table", "--allow", "rename-schema"],
    )
    .ends_with(0);
    shows(&on_one_server(&place, &["diff", "wanted.sql"]).ends_with(0), &["are the same"]);
    assert_eq!(place.database().value("SELECT email FROM shop.people"), "a");
}

#[test]
fn names_may_be_swapped_and_go_round() {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (x text, y text, n int); CREATE TABLE b (p int, q int, r int); CREATE VIEW v AS SELECT x, y FROM a;",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("INSERT INTO a VALUES ('x', 'y', 1); INSERT INTO b VALUES (1, 2, 3)");
    place.write(
        "wanted.sql",
        "CREATE TABLE b (y text, x text, n int); CREATE TABLE a (q int, r int, p int); CREATE VIEW v AS SELECT y AS x, x AS y FROM b;",
    );
    let renames = [
        "table a=b",
        "table b=a",
        "column a.x=y",
        "column a.y=x",
        "column b.p=q",
        "column b.q=r",
        "column b.r=p",
    ];
    let mut arguments = vec!["diff", "wanted.sql", "--out", "migrations/0002_b.sql"];
    arguments.extend(renames.iter().flat_map(|rename| ["--rename", rename]));
    on_one_server(&place, &arguments).ends_with(1);
    let made = std::fs::read_to_string(place.folder.join("migrations/0002_b.sql")).unwrap();
    assert!(!made.contains("DROP") && !made.contains("CREATE"), "{made}");
    on_one_server(
        &place,
        &["apply", "--allow", "rename-column", "--allow", "rename-table", "--allow", "rename-schema"],
    )
    .ends_with(0);
    shows(&on_one_server(&place, &["diff", "wanted.sql"]).ends_with(0), &["are the same"]);
    assert_eq!(place.database().value("SELECT concat(x, y, n) FROM b"), "yx1");
    assert_eq!(place.database().value("SELECT concat(p, q, r) FROM a"), "312");
    let twice = ["diff", "wanted.sql", "--rename", "table a=c", "--rename", "table a=d"];
    says(&on_one_server(&place, &twice).ends_with(2), &["table a is renamed already by another --rename"]);
}

#[test]
fn a_file_of_ddl_may_mention_roles_that_nobody_has_and_dollar_signs() {
    // Roles are made on a server of cutover's own alone.
    let place = place();
    place.write(
        "wanted.sql",
        "CREATE TABLE public.t (i integer DEFAULT 1, v text DEFAULT '${x}');
         ALTER TABLE public.t OWNER TO nobody_here; GRANT SELECT ON public.t TO \"some Reader\";
         ALTER TABLE public.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.t TO nobody_else USING (true);",
    );
    let found = place.run(&["diff", "migrations", "wanted.sql", "--sql", "--schema", "public"]).ends_with(1);
    shows(
        &found,
        &[
            "DEFAULT '${x}'",
            "OWNER TO nobody_here",
            "GRANT SELECT ON TABLE public.t TO \"some Reader\"",
            "TO nobody_else",
        ],
    );
    says(
        &found,
        &["mentions the role nobody_here", "mentions the role some Reader", "mentions the role nobody_else"],
    );
    let filled = place
        .run(&["diff", "migrations", "wanted.sql", "--sql", "--schema", "public", "--var", "x=y"])
        .ends_with(1);
    shows(&filled, &["DEFAULT 'y'"]);
}

#[test]
fn a_schema_that_neither_side_has_and_a_file_that_is_a_side_are_refused() {
    let place = place();
    place.write("wanted.sql", "CREATE SCHEMA app; CREATE SCHEMA other;");
    says(
        &on_one_server(&place, &["diff", "migrations", "wanted.sql", "--schema", "nosuch"]).ends_with(2),
        &["--schema nosuch: neither side has it"],
    );
    on_one_server(&place, &["diff", "migrations", "wanted.sql", "--schema", "other"]).ends_with(1);
    for flag in ["--out", "--save"] {
        let refused =
            on_one_server(&place, &["diff", "migrations", "wanted.sql", flag, "./wanted.sql", "--force"])
                .ends_with(2);
        says(&refused, &["that is wanted.sql, one of the two that are compared"]);
    }
    let kept = std::fs::read_to_string(place.folder.join("wanted.sql")).unwrap();
    assert!(kept.starts_with("CREATE SCHEMA"), "{kept}");
}

/// A column that was added stands last, whatever the other side says: that may be how it is.
#[test]
fn the_order_of_columns_can_be_left_out() {
    let place = place();
    let first = std::fs::read_to_string(place.folder.join("migrations/0001_a.sql")).unwrap();
    let second = std::fs::read_to_string(place.folder.join("migrations/0002_b.sql")).unwrap();
    place.write(
        "wanted.sql",
        &(first + &second).replace(
            "author bigint NOT NULL REFERENCES app.users, body text",
            "body text, author bigint NOT NULL REFERENCES app.users",
        ),
    );
    let found = on_one_server(&place, &["diff", "migrations", "wanted.sql"]).ends_with(1);
    shows(&found, &["order of columns"]);
    let found =
        on_one_server(&place, &["diff", "migrations", "wanted.sql", "--ignore", "column-order"]).ends_with(0);
    shows(&found, &["are the same"]);
    place.write("wanted.sql", "CREATE SCHEMA app;");
    let found =
        on_one_server(&place, &["diff", "migrations", "wanted.sql", "--ignore", "column-order"]).ends_with(1);
    shows(&found, &["- table app.posts"]);
}

/// A pipe that nobody writes to would be waited for.
#[cfg(unix)]
#[test]
fn a_side_that_is_no_file_is_refused() {
    let place = place();
    for name in ["pipe.sql", "pipe.json"] {
        std::os::unix::fs::symlink("/dev/zero", place.folder.join(name)).unwrap();
        let refused = on_one_server(&place, &["diff", "migrations", name]).ends_with(2);
        says(&refused, &[&format!("cannot read {name}: it is a pipe, a device or a folder")]);
    }
}

/// The server of `--dev-url` serves others too, with the roles that it has.
#[test]
fn a_copy_with_other_names_changes_no_role_of_a_server_that_is_not_our_own() {
    let place = place();
    let role = testkit::role("");
    place.database().give_to(&role);
    let url = place.database().url_as(&role);
    let run = |arguments: &[&str]| {
        let dev = place.database().url();
        let all = [arguments, &["--dev-url", &dev, "--allow-url-password"]].concat();
        common::outcome(&place.command(&all).env("CUTOVER_URL", &url).output().unwrap())
    };
    run(&["apply"]).ends_with(0);
    place.write(
        "wanted.sql",
        &std::fs::read_to_string(place.folder.join("migrations/0001_a.sql"))
            .unwrap()
            .replace("mail", "email"),
    );
    let found = run(&["diff", "wanted.sql", "--schema", "app", "--rename", "column app.users.mail=email"])
        .ends_with(1);
    // From 18 on NOT NULL has a name of its own, which a rename of the column leaves as it was.
    let version: u32 = place.database().value("SHOW server_version_num").parse().unwrap();
    let (name, count) = if version >= 180_000 {
        let name = "~ column app.users.email: not null CONSTRAINT users_mail_not_null NOT NULL → NOT NULL\n";
        (name, "2 differences")
    } else {
        ("", "1 difference")
    };
    shows(&found, &[&format!("→ column app.users.mail=email\n{name}- view app.authors\n{count}\n")]);
    let roles = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{}'", role.name);
    assert_eq!(place.database().value(&roles), "f");
}

/// What a run changes of an object says nothing of the rest of it.
#[test]
fn what_was_changed_by_hand_of_an_object_stays_drift_when_a_run_changes_something_else_of_it() {
    let place = place();
    place.write(
        "migrations/0003_c.sql",
        "CREATE TABLE app.safe (n int); ALTER TABLE app.safe ENABLE ROW LEVEL SECURITY;\n\
         CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run(
        "ALTER TABLE app.safe DISABLE ROW LEVEL SECURITY; CREATE TABLE app.hand (n int);
         CREATE OR REPLACE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 666'",
    );
    place.write(
        "migrations/0004_d.sql",
        "ALTER TABLE app.safe ADD COLUMN more int; GRANT EXECUTE ON FUNCTION app.f() TO pg_monitor;\n\
         COMMENT ON TABLE app.safe IS 'of the run'; DO $$ BEGIN GRANT SELECT ON app.hand TO pg_monitor; END $$;",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    shows(
        &on_one_server(&place, &["diff"]).ends_with(1),
        &[
            "+ table app.hand",
            "table app.safe: no longer row security",
            "function app.f(): definition",
            "3 differences\n",
        ],
    );
    // What a run makes anew is its own.
    place.write(
        "migrations/0005_e.sql",
        "CREATE OR REPLACE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    let found = on_one_server(&place, &["diff"]).ends_with(1).stdout;
    assert!(!found.contains("app.f()") && found.contains("2 differences\n"), "{found}");
}

#[test]
fn a_file_of_the_project_is_never_written_over() {
    let place = place();
    place.write("cutover.toml", "[project]\nname = \"shop\"\n");
    place.write("wanted.sql", "CREATE SCHEMA app;");
    let (first, config) = (place.folder.join("migrations/0001_a.sql"), place.folder.join("cutover.toml"));
    let before = [&first, &config].map(|file| std::fs::read(file).unwrap());
    std::fs::hard_link(&first, place.folder.join("hard.sql")).unwrap();
    std::os::unix::fs::symlink(&config, place.folder.join("soft.json")).unwrap();
    for (flag, file) in [
        ("--out", "migrations/0001_a.sql"),
        ("--out", "hard.sql"),
        ("--save", "cutover.toml"),
        ("--save", "soft.json"),
    ] {
        let refused =
            on_one_server(&place, &["diff", "migrations", "wanted.sql", flag, file, "--force"]).ends_with(2);
        says(&refused, &["is a file of the project; nothing was written"]);
    }
    assert_eq!([&first, &config].map(|file| std::fs::read(file).unwrap()), before);
    // A link that leads nowhere is something that is there.
    std::os::unix::fs::symlink("/nowhere/at/all", place.folder.join("loose.json")).unwrap();
    says(
        &on_one_server(&place, &["diff", "migrations", "wanted.sql", "--save", "loose.json"]).ends_with(2),
        &["loose.json is there already"],
    );
}

#[test]
fn a_side_that_was_meant_to_be_a_database_is_not_repeated() {
    let place = place();
    for side in [
        "user=u password=sesame host=127.0.0.1 port=1",
        "Postgres://u:sesame@127.0.0.1:1/d",
        "postgres:/u:sesame@127.0.0.1:1/d",
        "jdbc:postgresql://127.0.0.1:1/d?password=sesame",
        " postgres://u:sesame@127.0.0.1:1/d",
    ] {
        let refused = on_one_server(&place, &["diff", side, "migrations"]);
        assert!([2, 3].contains(&refused.code), "{refused:?}");
        let all = format!("{}{}", refused.stdout, refused.stderr);
        assert!(!all.contains("sesame"), "{all}");
    }
}

#[test]
fn a_file_among_migrations_is_one_of_them() {
    let to = |place: &Place, out: &str| on_one_server(place, &["diff", "old.sql", "new.sql", "--out", out]);
    let sides = |files: &[(&str, &str)]| {
        let place = Place::new();
        place.write("old.sql", "CREATE TABLE t (a int);");
        place.write("new.sql", "CREATE TABLE t (a int, b int);");
        for (path, text) in files {
            place.write(path, text);
        }
        place
    };
    for (first, text, out, mark) in [
        ("db/migrations/1_a.sql", "-- migrate:up\nSELECT 1;\n", "db/migrations/2_b.sql", "-- migrate:up\n"),
        ("migrations/1_a.sql", "-- +goose Up\nSELECT 1;\n", "migrations/2_b.sql", "-- +goose Up\n"),
        (
            "migrations/1_a.sql",
            "-- Up Migration\nSELECT 1;\n-- Down Migration\n",
            "migrations/2_b.sql",
            "-- Up Migration\n",
        ),
        ("migrations/V1__a.sql", "SELECT 1;\n", "migrations/V2__b.sql", "-- "),
    ] {
        let place = sides(&[(first, text), ("cutover.toml", "[project]\nname = \"p\"\n")]);
        to(&place, out).ends_with(1);
        let written = std::fs::read_to_string(place.folder.join(out)).unwrap();
        assert!(written.starts_with(mark) && written.contains("ADD COLUMN b integer"), "{written}");
        let plan = place.run(&["plan", "--offline"]).ends_with(0).stdout;
        assert!(plan.contains("2 "), "{plan}");
        // Elsewhere it is what it is.
        to(&place, "changes.sql").ends_with(1);
        assert!(std::fs::read_to_string(place.folder.join("changes.sql")).unwrap().starts_with("-- "));
    }
    let config = ("cutover.toml", "[project]\nname = \"p\"\n");
    for (files, out, part) in [
        (
            vec![("migrations/2026-01-01-000000_a/up.sql", "SELECT 1;"), config],
            "migrations/b.sql",
            "cutover new TITLE",
        ),
        (
            vec![("prisma/migrations/1_a/migration.sql", "SELECT 1;"), config],
            "prisma/migrations/b.sql",
            "migration.sql",
        ),
        (vec![("sqitch.plan", "a\n"), ("deploy/a.sql", "SELECT 1;"), config], "deploy/b.sql", "sqitch add"),
        (
            vec![("migrations/1_a.sql", "SELECT 1;"), config],
            "migrations/1_b.sql",
            "migrations/1_a.sql has that version",
        ),
        (vec![("migrations/1_a.sql", "SELECT 1;"), config], "migrations/2-b.sql", "0001_create_users.sql"),
    ] {
        let place = sides(&files);
        says(&to(&place, out).ends_with(2), &["it would be no migration there", part]);
        assert!(!place.folder.join(out).exists());
    }
}

/// A change by hand that becomes a migration, recorded by a baseline, is no drift any more; others are.
#[test]
fn what_a_baseline_records_is_settled() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("ALTER TABLE app.users ADD COLUMN hand int; CREATE TABLE app.other (n int)");
    place.write("migrations/0003_hand.sql", "ALTER TABLE app.users ADD COLUMN hand int;");
    on_one_server(&place, &["baseline", "0003", "--yes"]).ends_with(0);
    shows(&on_one_server(&place, &["diff"]).ends_with(1), &["+ table app.other", "1 difference\n"]);
    // One that begins a history is compared with at once.
    let place = self::place();
    place.database().run("CREATE SCHEMA app; CREATE TABLE app.t (n int)");
    place.write("migrations/0001_a.sql", "CREATE SCHEMA app; CREATE TABLE app.t (n int);");
    std::fs::remove_file(place.folder.join("migrations/0002_b.sql")).unwrap();
    on_one_server(&place, &["baseline", "0001", "--yes"]).ends_with(0);
    on_one_server(&place, &["diff"]).ends_with(0);
    place.database().run("ALTER TABLE app.t ADD COLUMN hand int");
    on_one_server(&place, &["diff"]).ends_with(1);
}

/// Two projects of one schema: what a run of the other one left is no drift.
#[test]
fn what_another_project_has_applied_is_no_drift() {
    let place = place();
    place.write("cutover.toml", "[project]\nname = \"one\"\n");
    place.write("two/cutover.toml", "[project]\nname = \"two\"\n");
    place.write("two/migrations/0001_t.sql", "CREATE TABLE app.of_two (n int);");
    on_one_server(&place, &["apply"]).ends_with(0);
    on_one_server(&place, &["-C", "two", "apply"]).ends_with(0);
    shows(&on_one_server(&place, &["diff"]).ends_with(0), &["of project two left it"]);
    place.database().run("CREATE TABLE app.by_hand (n int)");
    for two in [&["diff"][..], &["-C", "two", "diff"]] {
        shows(&on_one_server(&place, two).ends_with(1), &["+ table app.by_hand", "1 difference\n"]);
    }
}

/// What only looks like a placeholder is a text, in a migration too.
#[test]
fn a_written_migration_has_no_placeholders() {
    let place = place();
    place.write("old.sql", "CREATE TABLE t (a int);");
    place.write("new.sql", "CREATE TABLE t (a int); COMMENT ON TABLE t IS 'of ${nobody}';");
    place.write("migrations/0003_t.sql", "CREATE TABLE t (a int);");
    on_one_server(&place, &["diff", "old.sql", "new.sql", "--out", "migrations/0004_c.sql"]).ends_with(1);
    on_one_server(&place, &["apply"]).ends_with(0);
    assert_eq!(place.database().value("SELECT obj_description('t'::regclass)"), "of ${nobody}");
}
