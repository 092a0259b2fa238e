//! What lies between two databases, and the statements that make one into the other.

use cutover_analysis::diff::{Diff, Options, diff};
use cutover_analysis::schema::Schema;
use testkit::Database;

use super::{apply, session};
use crate::catalog::{fingerprint, schema};

const EVERYTHING: &str = include_str!("everything.sql");

pub(super) async fn read(database: &Database) -> Schema {
    schema(&mut session(database).await, &[]).await.unwrap()
}

/// Runs what lies between.
pub(super) async fn run(database: &Database, found: &Diff) {
    if let Err(error) = apply(&mut session(database).await, found).await {
        let all: Vec<&str> = found.statements.iter().map(|statement| statement.text.as_str()).collect();
        panic!("{error}\n\n{}", all.join(";\n"));
    }
}

/// The lines that are not the same.
pub(super) fn unlike(first: &Schema, second: &Schema) -> String {
    let changes = cutover_analysis::diff::changes(first, second);
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_schema_is_made_from_nothing_and_taken_away_again() {
    let (model, copy) = (testkit::database(), testkit::database());
    let nothing = read(&copy).await;
    model.run(EVERYTHING);
    let wanted = read(&model).await;
    let there = diff(&nothing, &wanted, Options::default());
    assert_eq!(there.left, []);
    run(&copy, &there).await;
    let made = read(&copy).await;
    assert_eq!(unlike(&made, &wanted), "");
    assert_eq!(fingerprint(&made), fingerprint(&wanted));
    let dumps = [&model, &copy].map(|database| testkit::catalogue_dump(&database.options(), &[]));
    assert_eq!(dumps[0], dumps[1]);
    let back = diff(&made, &nothing, Options::default());
    assert_eq!(back.left, []);
    run(&copy, &back).await;
    assert_eq!(unlike(&read(&copy).await, &nothing), "");
}

/// One change of each kind (and more), and how it is told.
const PLANTED: &[(&str, &str)] = &[
    ("COMMENT ON SCHEMA app IS 'x'", "~ schema app: comment the application → x"),
    ("ALTER TYPE app.mood ADD VALUE 'so so' AFTER 'sad'", "~ type app.mood: values +so so"),
    ("ALTER TYPE app.point ADD ATTRIBUTE z integer", "~ type app.point: attributes +z integer"),
    ("ALTER DOMAIN app.email DROP NOT NULL", "~ domain app.email: no longer not null"),
    (
        "ALTER DOMAIN app.email ADD CONSTRAINT \"long enough\" CHECK (length(VALUE) > 3)",
        "~ domain app.email: constraints +CONSTRAINT \"long enough\" CHECK ((length((VALUE)::text) > 3))",
    ),
    ("COMMENT ON COLLATION app.german IS 'x'", "~ collation app.german: comment now x"),
    (
        "ALTER SEQUENCE app.tickets INCREMENT BY 7 NO CYCLE",
        "~ sequence app.tickets: options −INCREMENT BY 5 −CYCLE +INCREMENT BY 7",
    ),
    (
        "CREATE OR REPLACE FUNCTION app.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n + n'",
        "~ function app.twice(integer): definition line 5: `AS $function$SELECT n * 2$function$` → `AS $function$SELECT n + n$function$`",
    ),
    (
        "GRANT EXECUTE ON PROCEDURE app.tidy() TO pg_monitor",
        "~ procedure app.tidy(): grants +EXECUTE TO pg_monitor",
    ),
    (
        "DROP AGGREGATE app.total (integer); CREATE AGGREGATE app.total (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '1')",
        "~ aggregate app.total(integer): definition SFUNC = int4pl, STYPE = integer, INITCOND = '0' → SFUNC = int4pl, STYPE = integer, INITCOND = '1'",
    ),
    ("DROP CAST (app.mood AS integer)", "- cast \"app.mood AS integer\""),
    (
        "ALTER TABLE app.users SET (fillfactor = 80)",
        "~ table app.users: options −fillfactor=70 +fillfactor=80",
    ),
    ("ALTER TABLE app.users REPLICA IDENTITY FULL", "~ table app.users: replica identity now FULL"),
    ("ALTER TABLE app.orders FORCE ROW LEVEL SECURITY", "~ table app.orders: now force row security"),
    (
        "ALTER TABLE app.users ADD COLUMN age integer DEFAULT 7 NOT NULL",
        "+ column app.users.age\n+ default app.users.age",
    ),
    ("ALTER TABLE app.users DROP COLUMN tags", "- column app.users.tags\n- default app.users.tags"),
    (
        "ALTER TABLE app.users ALTER COLUMN tags TYPE varchar(10)[]",
        "~ column app.users.tags: type text[] → character varying(10)[]",
    ),
    (
        "ALTER TABLE app.orders ALTER COLUMN during SET NOT NULL",
        "~ column app.orders.during: not null now NOT NULL",
    ),
    (
        "ALTER TABLE app.orders ALTER COLUMN id SET INCREMENT BY 10",
        "~ column app.orders.id: sequence +INCREMENT BY 10",
    ),
    (
        "ALTER TABLE app.orders ALTER COLUMN id DROP IDENTITY",
        "~ column app.orders.id: identity no longer ALWAYS; sequence −START WITH 1000",
    ),
    (
        "ALTER TABLE app.orders ALTER COLUMN doubled DROP EXPRESSION",
        "~ column app.orders.doubled: generated no longer app.twice(quantity) STORED",
    ),
    (
        "ALTER TABLE app.users ALTER COLUMN name SET STORAGE EXTERNAL, ALTER COLUMN name SET STATISTICS 500",
        "~ column app.users.name: statistics now 500; storage now EXTERNAL",
    ),
    (
        "ALTER TABLE app.users ALTER COLUMN updated_at SET DEFAULT clock_timestamp()",
        "~ default app.users.updated_at: expression now() → clock_timestamp()",
    ),
    ("ALTER TABLE app.events DETACH PARTITION app.events_2026", "- partition app.events_2026"),
    (
        "ALTER TABLE app.users DROP CONSTRAINT named, ADD CONSTRAINT named CHECK (name <> 'x')",
        "~ constraint app.users.named: definition CHECK ((name <> ''::text)) → CHECK ((name <> 'x'::text))",
    ),
    (
        "ALTER TABLE app.orders DROP CONSTRAINT orders_user_id_fkey",
        "- constraint app.orders.orders_user_id_fkey",
    ),
    ("ALTER TABLE app.users ADD CONSTRAINT once UNIQUE (name) INCLUDE (mood)", "+ constraint app.users.once"),
    (
        "DROP INDEX app.orders_user; CREATE INDEX orders_user ON app.orders (user_id, quantity)",
        "~ index app.orders_user: definition CREATE INDEX orders_user ON app.orders USING btree (user_id) INCLUDE (quantity) WHERE (quantity > 1) → CREATE INDEX orders_user ON app.orders USING btree (user_id, quantity)",
    ),
    (
        "CREATE INDEX events_id ON app.events (id)",
        "+ index app.events_id\n+ index app.events_2026_id_idx\n+ index app.events_rest_id_idx",
    ),
    ("ALTER TABLE app.users DISABLE TRIGGER touch", "~ trigger app.users.touch: fires now DISABLE"),
    ("DROP RULE quiet ON app.base", "- rule app.base.quiet"),
    (
        "ALTER POLICY own ON app.orders USING (true)",
        "~ policy app.orders.own: using (user_id = (current_setting('app.user'::text, true))::uuid) → true",
    ),
    (
        "CREATE OR REPLACE VIEW app.bigger AS SELECT id, email, 1 AS one FROM app.big_orders",
        "~ view app.bigger: columns +one integer; definition line 2: `big_orders.email` → `big_orders.email,`",
    ),
    (
        "DROP VIEW app.bigger; CREATE VIEW app.bigger AS SELECT id FROM app.big_orders",
        "~ view app.bigger: columns −email app.email; definition line 1: `SELECT big_orders.id,` → `SELECT big_orders.id`; grants +SELECT TO PUBLIC",
    ),
    (
        "ALTER VIEW app.big_orders SET (security_invoker = true)",
        "~ view app.big_orders: options +security_invoker=true",
    ),
    (
        "DROP MATERIALIZED VIEW app.totals; CREATE MATERIALIZED VIEW app.totals AS SELECT user_id, count(*) AS total FROM app.orders GROUP BY user_id; CREATE UNIQUE INDEX totals_user ON app.totals (user_id)",
        "~ materialized view app.totals: definition line 2: `sum(orders.quantity) AS total` → `count(*) AS total`; grants +SELECT TO PUBLIC",
    ),
    ("DROP STATISTICS app.related", "- statistics app.related"),
    ("ALTER PUBLICATION changes DROP TABLE app.users", "~ publication changes: tables −app.users"),
    ("ALTER PUBLICATION changes SET (publish = 'insert')", "~ publication changes: publish now insert"),
    ("ALTER EVENT TRIGGER noted ENABLE ALWAYS", "~ event trigger noted: fires DISABLE → ENABLE ALWAYS"),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM PUBLIC",
        "- default privileges app.postgres(TABLES)",
    ),
    (
        "ALTER SERVER elsewhere OPTIONS (SET host 'example.com', ADD port '1')",
        "~ server elsewhere: foreign options −host=example.org +host=example.com +port=1",
    ),
    (
        "ALTER FOREIGN TABLE app.remote ALTER COLUMN id OPTIONS (SET key 'false')",
        "~ column app.remote.id: foreign options −key=true +key=false",
    ),
    (
        "ALTER FOREIGN DATA WRAPPER nothing OPTIONS (ADD debug 'x')",
        "~ foreign data wrapper nothing: foreign options +debug=x",
    ),
    ("REVOKE UPDATE (name) ON app.users FROM PUBLIC", "~ column app.users.name: grants −UPDATE TO PUBLIC"),
    ("COMMENT ON COLUMN app.big_orders.email IS NULL", "- column app.big_orders.email"),
    ("COMMENT ON TYPE app.label IS 'x'", "~ type app.label: comment a base type → x"),
    (
        "ALTER OPERATOR app.=== (integer, integer) SET (RESTRICT = neqsel)",
        "~ operator app.\"===\"(integer, integer): restrict eqsel → neqsel",
    ),
    (
        "DROP OPERATOR app.!! (NONE, integer); CREATE OPERATOR app.!! (RIGHTARG = integer, FUNCTION = int4um)",
        "~ operator app.\"!!\"(NONE, integer): function app.twice → int4um",
    ),
    (
        "ALTER OPERATOR FAMILY app.integers USING btree DROP OPERATOR 1 (integer, bigint), FUNCTION 1 (integer, bigint)",
        "~ operator family app.integers(btree): members −FUNCTION 1 (integer, bigint) btint48cmp(integer,bigint) −OPERATOR 1 pg_catalog.< (integer, bigint)",
    ),
    (
        "DROP OPERATOR CLASS app.whole USING btree CASCADE",
        "- index app.base_whole\n- operator class app.whole(btree)",
    ),
    (
        "DROP CONVERSION app.latin; CREATE DEFAULT CONVERSION app.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
        "~ conversion app.latin: now default",
    ),
    ("COMMENT ON LANGUAGE calm IS 'x'", "~ language calm: comment now x"),
    ("DROP TRANSFORM FOR app.mood LANGUAGE calm", "- transform \"app.mood LANGUAGE calm\""),
    ("DROP ACCESS METHOD tree", "- access method tree"),
    (
        "DROP TEXT SEARCH PARSER app.words CASCADE; CREATE TEXT SEARCH PARSER app.words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)",
        "- text search configuration app.english\n~ text search parser app.words: headline no longer prsd_headline",
    ),
    ("COMMENT ON TEXT SEARCH TEMPLATE app.plain IS 'x'", "~ text search template app.plain: comment now x"),
    (
        "ALTER TEXT SEARCH DICTIONARY app.simple (accept = 'true')",
        "~ text search dictionary app.simple: options accept = 'false' → accept = 'true'",
    ),
    (
        "ALTER TEXT SEARCH CONFIGURATION app.english DROP MAPPING FOR word",
        "~ text search configuration app.english: mappings −word WITH app.simple, pg_catalog.simple",
    ),
    (
        "ALTER EXTENSION pgcrypto SET SCHEMA public",
        "~ default app.users.id: expression app.gen_random_uuid() → public.gen_random_uuid()\n~ extension pgcrypto: schema app → public",
    ),
];

/// The first version that knows what is planted.
fn since(planted: &str) -> u32 {
    let newer = [("DROP EXPRESSION", 130_000), ("security_invoker", 150_000)];
    newer.iter().find(|(what, _)| planted.contains(what)).map_or(0, |(_, version)| *version)
}

#[tokio::test]
async fn one_planted_change_of_each_kind_is_named_and_made_and_taken_back() {
    let template = || testkit::database_from_template(EVERYTHING, |database| database.run(EVERYTHING));
    let (mut model, mut copy) = (template(), template());
    let before = read(&model).await;
    let mut wrong = Vec::new();
    for (planted, told) in PLANTED {
        if before.server_version < since(planted) {
            continue;
        }
        model.run(planted);
        let to = read(&model).await;
        let found = diff(&before, &to, Options::default());
        let words: Vec<String> = found.changes.iter().map(ToString::to_string).collect();
        // From 16 on views are printed without the names of their only table.
        let exact = before.server_version < 160_000 || !told.contains("view ");
        let kept =
            |words: &str| if exact { words.to_owned() } else { words.split(':').next().unwrap().to_owned() };
        if kept(&words.join("\n")) != kept(told) {
            wrong.push(format!("{planted}\n  {}", words.join("\n  ")));
        }
        assert_eq!(found.left, [], "{planted}");
        run(&copy, &found).await;
        assert_eq!(unlike(&read(&copy).await, &to), "", "{planted}");
        let back = diff(&to, &before, Options::default());
        if back.left.is_empty() {
            run(&copy, &back).await;
            run(&model, &back).await;
            assert_eq!(unlike(&read(&copy).await, &before), "", "{planted}");
        } else {
            (model, copy) = (template(), template());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_subscription_is_read_and_changed_but_how_it_connects_is_not() {
    let (model, copy) = (testkit::database(), testkit::database());
    let make = "CREATE SUBSCRIPTION mirror CONNECTION 'dbname=nowhere password=geheim' PUBLICATION one, two WITH (connect = false, slot_name = NONE)";
    model.run(make);
    copy.run(make);
    let before = read(&model).await;
    model.run("ALTER SUBSCRIPTION mirror SET PUBLICATION one WITH (refresh = false)");
    let to = read(&model).await;
    assert!(!to.canonical_text().contains("geheim"));
    let found = diff(&before, &to, Options::default());
    let words: Vec<String> = found.changes.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["~ subscription mirror: publications −two"]);
    run(&copy, &found).await;
    assert_eq!(unlike(&read(&copy).await, &to), "");
    let gone = diff(&to, &Schema::empty(to.server_version, "x"), Options::default());
    for database in [&model, &copy] {
        let drop = gone.statements.iter().find(|sql| sql.text.starts_with("DROP SUBSCRIPTION")).unwrap();
        session(database).await.execute(&drop.text).await.unwrap();
    }
    let there = diff(&Schema::empty(to.server_version, "x"), &to, Options::default());
    let left: Vec<String> = there.left.iter().map(ToString::to_string).collect();
    assert_eq!(
        left,
        ["subscription mirror: how it connects may hold a password and is not read: make it by hand"]
    );
}

const TABLE: &str = "CREATE SCHEMA s; CREATE TABLE s.parent (id int PRIMARY KEY);
CREATE TABLE s.t (
  id bigint GENERATED BY DEFAULT AS IDENTITY, code varchar(8) COLLATE \"C\" NOT NULL DEFAULT 'x',
  amount numeric(10, 2), twice numeric GENERATED ALWAYS AS (amount * 2) STORED, parent int,
  CONSTRAINT pk_t PRIMARY KEY (id), CONSTRAINT ck_t CHECK (amount > 0),
  CONSTRAINT fk_t FOREIGN KEY (parent) REFERENCES s.parent (id));
CREATE STATISTICS s.st (ndistinct, dependencies) ON id, amount FROM s.t;
COMMENT ON COLUMN s.t.code IS 'a code';";

/// Differences within a table besides those above, each the only one.
#[tokio::test]
async fn each_difference_within_a_table_is_named() {
    let template = || testkit::database_from_template(TABLE, |database| database.run(TABLE));
    let before = read(&template()).await;
    assert_eq!(unlike(&before, &read(&template()).await), "");
    for (change, told) in [
        ("ALTER TABLE s.t ALTER code DROP NOT NULL", "~ column s.t.code: not null no longer NOT NULL"),
        (
            "ALTER TABLE s.t ALTER code TYPE varchar(8) COLLATE \"default\"",
            "~ column s.t.code: collation no longer pg_catalog.\"C\"",
        ),
        ("ALTER TABLE s.t ALTER id SET GENERATED ALWAYS", "~ column s.t.id: identity BY DEFAULT → ALWAYS"),
        ("ALTER TABLE s.t ADD extra int", "+ column s.t.extra"),
        ("ALTER TABLE s.t RENAME CONSTRAINT ck_t TO ck_u", "- constraint s.t.ck_t\n+ constraint s.t.ck_u"),
        (
            "ALTER TABLE s.t DROP CONSTRAINT fk_t, ADD CONSTRAINT fk_t FOREIGN KEY (parent) REFERENCES s.parent NOT VALID",
            "~ constraint s.t.fk_t: definition FOREIGN KEY (parent) REFERENCES s.parent(id) → FOREIGN KEY (parent) REFERENCES s.parent(id) NOT VALID",
        ),
        (
            "ALTER TABLE s.t ALTER CONSTRAINT fk_t DEFERRABLE",
            "~ constraint s.t.fk_t: definition FOREIGN KEY (parent) REFERENCES s.parent(id) → FOREIGN KEY (parent) REFERENCES s.parent(id) DEFERRABLE",
        ),
        ("ALTER TABLE s.t SET UNLOGGED", "~ table s.t: now unlogged"),
        ("COMMENT ON COLUMN s.t.code IS 'other'", "~ column s.t.code: comment a code → other"),
        ("COMMENT ON CONSTRAINT ck_t ON s.t IS 'why'", "~ constraint s.t.ck_t: comment now why"),
        (
            "ALTER TABLE s.t DROP parent, ADD parent int, ADD CONSTRAINT fk_t FOREIGN KEY (parent) REFERENCES s.parent (id), DROP code, ADD code varchar(8) COLLATE \"C\" NOT NULL DEFAULT 'x'; COMMENT ON COLUMN s.t.code IS 'a code'",
            "~ table s.t: order of columns id, code, amount, twice, parent → id, amount, twice, parent, code",
        ),
        // A column that was dropped in between moves the numbers of those behind it, not their names.
        (
            "DROP STATISTICS s.st; ALTER TABLE s.t ADD gone int, ADD late int; ALTER TABLE s.t DROP gone; CREATE STATISTICS s.st (ndistinct, dependencies) ON id, amount FROM s.t",
            "+ column s.t.late",
        ),
        (
            "DROP STATISTICS s.st; CREATE STATISTICS s.st (ndistinct) ON id, amount FROM s.t",
            "~ statistics s.st: definition CREATE STATISTICS s.st (ndistinct, dependencies) ON id, amount FROM s.t → CREATE STATISTICS s.st (ndistinct) ON id, amount FROM s.t",
        ),
    ] {
        let database = template();
        database.run(change);
        assert_eq!(unlike(&before, &read(&database).await), told, "{change}");
    }
}
