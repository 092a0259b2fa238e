//! Models against databases.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use cutover_analysis::models::{
    About, Aspect, Check, Column, Default, Enum, Extension, ForeignKey, Identity, Index, Models, Part, Place,
    Table, Unique,
};

use super::{Alignment, Severity, align};
use crate::compare::Side;
use crate::verify::SandboxProvider;

pub(super) fn place(line: u32) -> Place {
    Place::new("models", line)
}

pub(super) fn column(name: &str, data_type: &str, line: u32) -> Column {
    let label = format!("Model.{name}");
    Column { name: name.into(), label, data_type: data_type.into(), place: place(line), ..Column::default() }
}

pub(super) fn not_null(name: &str, data_type: &str, line: u32) -> Column {
    Column { not_null: true, ..column(name, data_type, line) }
}

/// Two tables as a model says them, and the SQL that makes the same.
pub(super) fn models() -> Models {
    let parent = Table {
        name: "parents".into(),
        label: "Parent".into(),
        place: place(1),
        columns: vec![Column { identity: Some(Identity::Serial), ..not_null("id", "integer", 2) }],
        primary_key: vec!["id".into()],
        ..Table::default()
    };
    let child = Table {
        name: "children".into(),
        label: "Child".into(),
        place: place(10),
        columns: vec![
            not_null("id", "bigint", 11),
            column("parent_id", "integer", 12),
            not_null("name", "varchar(20)", 13),
            Column { default: Default::Sql("now()".into()), ..not_null("at", "timestamptz", 14) },
            column("mood", "mood", 15),
        ],
        primary_key: vec!["id".into()],
        uniques: vec![
            Unique { columns: vec!["name".into()], place: place(16), ..Unique::default() },
            Unique {
                name: Some("two".into()),
                columns: vec!["id".into(), "at".into()],
                place: place(16),
                ..Unique::default()
            },
        ],
        indexes: vec![Index {
            name: Some("by_at".into()),
            keys: vec!["at DESC".into()],
            place: place(17),
            ..Index::default()
        }],
        foreign_keys: vec![ForeignKey {
            columns: vec!["parent_id".into()],
            parent: "parents".into(),
            parent_columns: vec!["id".into()],
            on_delete: Some("CASCADE".into()),
            place: place(18),
            ..ForeignKey::default()
        }],
        checks: vec![Check { name: Some("named".into()), expression: "name <> ''".into(), place: place(19) }],
        ..Table::default()
    };
    let mood = Enum {
        name: "mood".into(),
        values: vec!["good".into(), "bad".into()],
        place: place(30),
        ..Enum::default()
    };
    Models { tables: vec![parent, child], enums: vec![mood], ..Models::default() }
}

pub(super) const SAME: &str = "CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE parents (id serial PRIMARY KEY);
    CREATE TABLE children (id bigint CONSTRAINT own_name PRIMARY KEY, parent_id int CONSTRAINT another REFERENCES parents ON DELETE CASCADE,
        name varchar(20) NOT NULL UNIQUE CONSTRAINT named CHECK (name <> ''), at timestamptz NOT NULL DEFAULT now(), mood mood, CONSTRAINT two UNIQUE (id, at));
    CREATE INDEX by_at ON children (at DESC);";

/// Models against a database that this SQL has made.
pub(super) async fn aligned(models: &Models, sql: &str) -> Alignment {
    let database = testkit::database();
    database.run(sql);
    let sandbox = SandboxProvider::dev_url(database.server().options("postgres"));
    let there = Side::Database(Box::new(database.options()));
    align(models, there, &[], Some(&database.options()), &sandbox).await.unwrap()
}

/// What is otherwise: code, table and column, line in the models.
pub(super) fn told(alignment: &Alignment) -> Vec<String> {
    let one = |difference: &super::Difference| {
        let column = difference.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
        format!("{} {}{column} :{}", difference.code, difference.table, difference.line)
    };
    alignment.differences.iter().map(one).collect()
}

#[tokio::test]
async fn what_says_the_same_is_the_same_whatever_constraints_are_called() {
    let alignment = aligned(&models(), SAME).await;
    assert_eq!(told(&alignment), [""; 0]);
    let by_another_word = SAME.replace("now()", "CURRENT_TIMESTAMP");
    assert_eq!(told(&aligned(&models(), &by_another_word).await), [""; 0]);
    assert!(alignment.is_aligned(&[]) && alignment.not_compared.is_empty(), "{alignment:?}");
    assert!(super::lines(&alignment, &[]).contains("2 tables of the models against database"));
}

/// What can be planted in [`SAME`], and what it is called.
pub(super) const PLANTED: &[(&str, &[&str])] = &[
    ("ALTER TABLE children ALTER name TYPE varchar(30)", &["column-type children.name :13"]),
    ("ALTER TABLE children ALTER name DROP NOT NULL", &["column-null children.name :13"]),
    ("ALTER TABLE children ALTER at DROP DEFAULT", &["column-default children.at :14"]),
    ("ALTER TABLE children ALTER at SET DEFAULT '2000-01-01'", &["column-default children.at :14"]),
    ("ALTER TABLE parents ALTER id DROP DEFAULT", &["column-identity parents.id :2"]),
    ("ALTER TABLE children DROP COLUMN mood", &["column-missing children.mood :15"]),
    ("ALTER TABLE children ADD more int", &["column-without-model children.more :10"]),
    ("ALTER TABLE children DROP CONSTRAINT own_name", &["primary-key children :11"]),
    ("ALTER TABLE children DROP CONSTRAINT children_name_key", &["unique children :13"]),
    (
        "ALTER TABLE children DROP CONSTRAINT children_name_key; CREATE UNIQUE INDEX u ON children (name)",
        &["index children :13"],
    ),
    (
        "ALTER TABLE children DROP CONSTRAINT two; CREATE UNIQUE INDEX two ON children (at, id)",
        &["index children :16"],
    ),
    ("ALTER TABLE children DROP CONSTRAINT another", &["foreign-key children :12"]),
    (
        "ALTER TABLE children DROP CONSTRAINT another, ADD FOREIGN KEY (parent_id) REFERENCES parents ON DELETE SET NULL",
        &["foreign-key-action children.parent_id :12"],
    ),
    ("ALTER TABLE children DROP CONSTRAINT named", &["check children :19"]),
    ("ALTER TABLE children RENAME CONSTRAINT named TO other", &["name children :19"]),
    ("DROP INDEX by_at", &["index children :17"]),
    ("ALTER INDEX by_at RENAME TO other", &["name children :17"]),
    ("DROP INDEX by_at; CREATE INDEX by_at ON children (at)", &["index children :17"]),
    ("ALTER TYPE mood ADD VALUE 'so so'", &["enum-values mood :30"]),
    ("CREATE TABLE more (n int)", &["table-without-model more :0"]),
    ("DROP TABLE children", &["table-missing children :10"]),
];

/// Each planted alone, it is named at its place, and nothing else is.
#[tokio::test]
async fn each_difference_is_named_at_its_place() {
    for (planted, expected) in PLANTED {
        let alignment = aligned(&models(), &format!("{SAME} {planted};")).await;
        assert_eq!(told(&alignment), *expected, "{planted}: {alignment:?}");
        assert!(!alignment.is_aligned(&[]), "{planted}");
        assert!(alignment.is_aligned(&[alignment.differences[0].code.to_owned()]), "{planted}");
    }
}

#[tokio::test]
async fn what_is_left_open_is_not_compared_and_said() {
    let mut models = models();
    let child = &mut models.tables[1];
    child.unstated =
        [Aspect::Check, Aspect::Index, Aspect::OnDelete, Aspect::Default, Aspect::Modifier].into();
    child.columns[4].unstated.insert(Aspect::Type);
    child.checks.clear();
    child.indexes.clear();
    let there = SAME
        .replace("ON DELETE CASCADE", "")
        .replace("DEFAULT now()", "DEFAULT '2000-01-01'")
        .replace("varchar(20)", "varchar(99)");
    let alignment = aligned(&models, &there).await;
    assert_eq!(told(&alignment), [""; 0]);
    let [said, open] = &alignment.not_compared[..] else { panic!("{:?}", alignment.not_compared) };
    let words =
        "what the models do not say of Child: lengths and precisions, defaults, ON DELETE, checks, indexes";
    assert_eq!((said.line, said.what.as_str()), (10, words));
    assert_eq!((open.line, open.what.as_str()), (15, "Model.mood: its type, which is public.mood there"));
}

/// What a model says in the place of an expression is one, or is not obeyed.
#[tokio::test]
async fn what_the_server_refuses_is_named_and_the_rest_is_compared() {
    let mut models = models();
    models.tables[1].checks[0].expression = "true); DROP TABLE parents CASCADE; SELECT (1".into();
    models.tables[0].columns.push(column("x", "nonsense", 3));
    let alignment = aligned(&models, SAME).await;
    let lines: Vec<u32> = alignment.not_compared.iter().map(|one| one.line).collect();
    assert_eq!(lines, [3, 19], "{:?}", alignment.not_compared);
    assert!(alignment.tables.iter().all(|table| table.is_compared));
    // What it could not build is not held against the other side either.
    assert_eq!(told(&alignment), ["column-missing parents.x :3"]);
}

/// A default that calls what only migrations make leaves the rest of the column and of the table to be compared.
#[tokio::test]
async fn of_a_table_that_is_refused_as_a_whole_all_the_rest_is_compared() {
    let mut models = models();
    let code = Column { default: Default::Sql("short_code()".into()), ..not_null("code", "text", 3) };
    models.tables[0].columns.push(code);
    models.tables[1].foreign_keys.push(ForeignKey {
        columns: vec!["id".into()],
        parent: "elsewhere".into(),
        place: place(20),
        ..ForeignKey::default()
    });
    let there = "CREATE FUNCTION short_code() RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
        CREATE SCHEMA other; CREATE TABLE other.elsewhere (id bigint PRIMARY KEY);"
        .to_owned()
        + SAME
        + "ALTER TABLE parents ADD code text NOT NULL DEFAULT short_code();
           ALTER TABLE children ADD FOREIGN KEY (id) REFERENCES other.elsewhere;";
    let alignment = aligned(&models, &there).await;
    assert_eq!(told(&alignment), [""; 0], "{alignment:?}");
    let lines: Vec<u32> = alignment.not_compared.iter().map(|one| one.line).collect();
    assert_eq!(lines, [3, 20], "{:?}", alignment.not_compared);
    let there = there.replace("code text", "code int").replace("short_code();", "1;");
    assert_eq!(told(&aligned(&models, &there).await), ["column-type parents.code :3"]);
}

/// Of a field that is not understood, what is over its column alone is open, and nothing else.
#[tokio::test]
async fn what_is_open_of_a_column_leaves_the_rest_of_its_table_as_it_is() {
    let mut models = models();
    let open =
        [Aspect::Type, Aspect::Default, Aspect::Unique, Aspect::Index, Aspect::Check, Aspect::ForeignKey];
    models.tables[1].columns.push(Column { unstated: open.into(), ..not_null("own", "varchar(9)", 20) });
    models.tables[1].indexes.push(Index {
        name: Some("by_own".into()),
        keys: vec!["own".into(), "at".into()],
        condition: Some("own <> ''".into()),
        place: place(21),
        ..Index::default()
    });
    let there =
        SAME.replace("mood mood,", "mood mood, own text NOT NULL UNIQUE REFERENCES words CHECK (own > 'a'),");
    let there = "CREATE TABLE words (word text PRIMARY KEY);".to_owned()
        + &there
        + "CREATE INDEX own_alone ON children (lower(own)); CREATE INDEX by_own ON children (own, at) WHERE own <> '';";
    let more = ["table-without-model words :0"];
    assert_eq!(told(&aligned(&models, &there).await), more);
    for (change, what) in [
        ("DROP INDEX by_own", "index children :21"),
        ("ALTER TABLE children DROP CONSTRAINT named", "check children :19"),
        ("DROP INDEX by_at", "index children :17"),
        ("CREATE INDEX further ON children (own, mood)", "index children :15"),
        ("ALTER TABLE children ADD CHECK (name <> own)", "check children :13"),
        ("ALTER TABLE children DROP CONSTRAINT another", "foreign-key children :12"),
        ("ALTER TABLE children DROP CONSTRAINT two", "unique children :16"),
    ] {
        let found = aligned(&models, &format!("{there} {change};")).await;
        assert_eq!(told(&found), [what, more[0]], "{change}");
    }
}

/// Prisma takes an index for a constraint and values in any order, and has no words for some indexes.
#[tokio::test]
async fn what_a_source_takes_either_way_is_told_and_no_difference() {
    let there = SAME.replace("UNIQUE CONSTRAINT", "CONSTRAINT").replace("'good', 'bad'", "'bad', 'good'")
        + "CREATE UNIQUE INDEX name_key ON children (name) WITH (fillfactor = 90);
           CREATE UNIQUE INDEX partial ON children (parent_id) WHERE name <> 'x';
           CREATE INDEX lower ON children (lower(name));";
    let mut models = models();
    models.enums[0].unordered = true;
    models.tables[1].unstated = [Aspect::UniqueForm, Aspect::IndexForm, Aspect::IndexPart].into();
    let alignment = aligned(&models, &there).await;
    assert_eq!(told(&alignment), [""; 0], "{alignment:?}");
    assert_eq!(
        alignment.beyond,
        [
            "what the index name_key of children includes and is stored with",
            "the index lower of children: USING btree (lower((name)::text))",
            "the unique index partial of children: USING btree (parent_id) WHERE ((name)::text <> 'x'::text)",
            "the order of the values of mood",
        ]
    );
    // Where there are words for a part of the rows, an index over one is in no model.
    models.tables[1].unstated.remove(&Aspect::IndexPart);
    assert_eq!(told(&aligned(&models, &there).await), ["unique children :12"]);
    models.tables[1].unstated.insert(Aspect::IndexPart);
    // One that it has words for is in no model.
    let alignment = aligned(&models, &(there + "CREATE INDEX plain ON children (name);")).await;
    assert_eq!(told(&alignment), ["index children :13"]);
    models.enums[0].unordered = false;
    models.tables[1].unstated.clear();
    let alignment = aligned(&models, &SAME.replace("'good', 'bad'", "'bad', 'good'")).await;
    assert_eq!(told(&alignment), ["enum-order mood :30"]);
}

/// A type that a model left behind is told; one that something still has is not.
#[tokio::test]
async fn types_that_nothing_has_any_more_are_told() {
    let there = SAME.to_owned()
        + "CREATE TYPE gone AS ENUM ('a'); CREATE TYPE listed AS ENUM ('b'); ALTER TABLE children ADD more listed[];
           CREATE SCHEMA other; CREATE TYPE other.elsewhere AS ENUM ('c');";
    let alignment = aligned(&models(), &there).await;
    assert_eq!(alignment.beyond, ["the type gone, which nothing has any more"]);
}

#[tokio::test]
async fn what_is_allowed_counts_as_no_error() {
    let there = SAME.replace("varchar(20)", "varchar(30)") + "ALTER TABLE children ADD more int";
    let alignment = aligned(&models(), &there).await;
    let sums = |allow: &[&str]| {
        let allow: Vec<String> = allow.iter().map(|code| (*code).to_owned()).collect();
        let text = super::lines(&alignment, &allow);
        let last = text.lines().last().unwrap_or_default();
        last.split(": ").last().and_then(|sums| sums.split(" (").next()).map(str::to_owned).unwrap()
    };
    assert_eq!(sums(&[]), "1 error, 1 warning");
    assert_eq!(sums(&["column-type"]), "0 errors, 1 warning, 1 allowed");
    assert_eq!(sums(&["column-type", "column-without-model"]), "0 errors, 0 warnings, 2 allowed");
}

/// Of a type of which a source says no more than its name, values are not compared.
#[tokio::test]
async fn a_type_of_which_no_more_than_the_name_is_said_is_compared_by_it() {
    let mut models = models();
    models.enums[0].values.clear();
    assert_eq!(told(&aligned(&models, SAME).await), [""; 0]);
    let there = SAME.replace("AS ENUM ('good', 'bad')", "AS (good text)");
    assert_eq!(told(&aligned(&models, &there).await), [""; 0]);
    let there = SAME.replace("mood mood", "mood text");
    assert_eq!(told(&aligned(&models, &there).await), ["column-type children.mood :15"]);
}

#[tokio::test]
async fn a_table_that_there_may_be_is_no_difference_either_way() {
    let mut models = models();
    models.perhaps = vec![(None, "at_times".to_owned()), (Some("apart".to_owned()), "gone".to_owned())];
    assert_eq!(told(&aligned(&models, SAME).await), [""; 0]);
    let there = format!("{SAME} CREATE TABLE at_times (id int); CREATE TABLE never (id int);");
    assert_eq!(told(&aligned(&models, &there).await), ["table-without-model never :0"]);
}

#[tokio::test]
async fn tables_of_tools_are_in_no_model_of_anybody() {
    let tables = "CREATE TABLE alembic_version (version_num text); CREATE TABLE _prisma_migrations (id text);
        CREATE TABLE django_migrations (id int); CREATE TABLE __diesel_schema_migrations (version text);";
    assert_eq!(told(&aligned(&models(), &format!("{SAME} {tables}")).await), [""; 0]);
}

#[tokio::test]
async fn an_extension_that_models_need_and_is_not_there_is_named() {
    let mut models = models();
    models.tables[0].columns.push(column("mail", "citext", 3));
    models.tables[0].columns.push(column("mood", "hstore[]", 4));
    let there = SAME.replace("id serial PRIMARY KEY", "id serial PRIMARY KEY, mail text, mood text");
    let alignment = aligned(&models, &there).await;
    assert_eq!(
        told(&alignment),
        [
            "extension-missing parents :3",
            "extension-missing parents :4",
            "column-type parents.mail :3",
            "column-type parents.mood :4"
        ]
    );
    let what = "the extension citext is not there, which the type citext of Parent needs";
    assert_eq!(alignment.differences[0].message, what);
    let there = "CREATE EXTENSION citext; CREATE SCHEMA apart; CREATE EXTENSION hstore SCHEMA apart;"
        .to_owned()
        + &SAME.replace("id serial PRIMARY KEY", "id serial PRIMARY KEY, mail citext, mood apart.hstore[]");
    let alignment = aligned(&models, &there).await;
    assert_eq!(told(&alignment), [""; 0], "{alignment:?}");
    // A type of its own of that name is one.
    let there = "CREATE DOMAIN citext AS text; CREATE EXTENSION hstore;".to_owned()
        + &SAME.replace("id serial PRIMARY KEY", "id serial PRIMARY KEY, mail citext, mood hstore[]");
    assert!(!told(&aligned(&models, &there).await).concat().contains("extension-missing"));
}

/// One that the throwaway server has not is a reason for what is not compared; everything else is.
#[tokio::test]
async fn a_type_that_cannot_be_made_here_is_not_compared_and_the_reason_is_said() {
    let mut models = models();
    models.extensions.push(Extension {
        name: "no_such_extension".into(),
        place: place(40),
        ..Extension::default()
    });
    models.tables[0].columns.push(column("code", "raster", 4));
    let there = SAME.replace("id serial PRIMARY KEY", "id serial PRIMARY KEY, code text");
    let alignment = aligned(&models, &there).await;
    let expected = ["extension-missing no_such_extension :40", "extension-missing parents :4"];
    assert_eq!(told(&alignment), expected);
    let [open] = &alignment.not_compared[..] else { panic!("{:?}", alignment.not_compared) };
    assert_eq!(open.line, 4);
    assert!(open.what.contains("the throwaway server has not the extension postgis_raster"), "{}", open.what);
}

#[tokio::test]
async fn what_models_cannot_say_is_listed_and_not_held_against_them() {
    let sql = format!(
        "{SAME} ALTER TABLE children ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON children USING (true);"
    );
    let alignment = aligned(&models(), &sql).await;
    assert!(alignment.is_aligned(&[]), "{:?}", told(&alignment));
    assert_eq!(alignment.beyond, ["1 policy of children", "row security of children"]);
}

#[tokio::test]
async fn a_model_of_a_view_is_not_compared() {
    let sql = SAME.replace("CREATE INDEX by_at ON children (at DESC);", "")
        + "ALTER TABLE children RENAME TO base; CREATE MATERIALIZED VIEW children AS SELECT * FROM base;";
    let alignment = aligned(&models(), &sql).await;
    assert_eq!(told(&alignment), ["table-without-model base :0"]);
    assert_eq!(alignment.not_compared[0].what, "Child: it is a materialized view there");
}

/// Also where the model writes the sequence itself.
#[tokio::test]
async fn a_sequence_that_is_not_there_is_a_difference() {
    let mut models = models();
    models.tables[0].columns[0].identity = None;
    models.tables[0].columns[0].default = Default::Sql("nextval('own'::text::regclass)".into());
    let alignment = aligned(&models, &SAME.replace("serial", "int")).await;
    assert_eq!(told(&alignment), ["column-identity parents.id :2"]);
}

/// Files of DDL: what their statements make, each thing where it is said.
#[tokio::test]
async fn what_is_said_in_statements_is_compared_at_its_line() {
    let statements = |sql: &str| {
        let part = |(at, text): (usize, &str)| Part {
            sql: text.trim().to_owned(),
            place: place(u32::try_from(at).unwrap() * 10 + 1),
            about: About::Said,
        };
        let texts = sql.split(';').filter(|text| !text.trim().is_empty());
        Models { statements: texts.enumerate().map(part).collect(), ..Models::default() }
    };
    assert_eq!(told(&aligned(&statements(SAME), SAME).await), [""; 0]);
    let said = "CREATE TYPE mood AS ENUM ('good', 'bad');
        CREATE TABLE parents (id serial PRIMARY KEY);
        CREATE TABLE children (
id bigint PRIMARY KEY,
parent_id int REFERENCES parents ON DELETE CASCADE,
name varchar(30) NOT NULL UNIQUE CONSTRAINT named CHECK (name <> ''),
at timestamptz NOT NULL,
mood mood,
more int);
        CREATE VIEW v AS SELECT 1;
        CREATE ROLE nobody_makes_this;
        CREATE INDEX by_name ON children (name, at)";
    let alignment = aligned(&statements(said), SAME).await;
    let expected = [
        "column-type children.name :24",
        "column-default children.at :25",
        "column-missing children.more :27",
        "index children :51",
        "unique children :22",
        "index children :25",
    ];
    assert_eq!(told(&alignment), expected, "{alignment:?}");
    let open: Vec<&str> = alignment.not_compared.iter().map(|one| one.what.as_str()).collect();
    assert!(open.contains(&"1 of kind view: `cutover diff` compares those"), "{open:?}");
    assert!(open.iter().any(|what| what.contains("others use that server")), "{open:?}");
}

/// Whoever adds rows by the model fails where there is a column that it does not know and that wants a value.
#[tokio::test]
async fn a_column_that_wants_a_value_and_has_no_model_is_an_error() {
    let sql =
        format!("{SAME} ALTER TABLE children ADD a int NOT NULL, ADD b int NOT NULL DEFAULT 1, ADD c int;");
    let alignment = aligned(&models(), &sql).await;
    let found: Vec<_> =
        alignment.differences.iter().map(|one| (one.column.as_deref().unwrap(), one.severity)).collect();
    assert_eq!(found, [("a", Severity::Error), ("b", Severity::Warning), ("c", Severity::Warning)]);
    // Unless a trigger sees to it, which one that comes behind cannot.
    for (when, severity) in
        [("BEFORE INSERT OR UPDATE", Severity::Warning), ("AFTER INSERT", Severity::Error)]
    {
        let trigger = format!(
            "{sql} CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := 1; RETURN NEW; END $$;
             CREATE TRIGGER t {when} ON children FOR EACH ROW EXECUTE FUNCTION f();"
        );
        let alignment = aligned(&models(), &trigger).await;
        assert_eq!(alignment.differences[0].severity, severity, "{when}: {alignment:?}");
    }
}

/// A collation that is there is nothing that models make: a column that names it is compared as any other. One that names none has that of
/// its type.
#[tokio::test]
async fn collations_that_are_there_may_be_named_and_are_compared() {
    let of = |collation: Option<&str>, data_type: &str| {
        let mut models = models();
        models.tables[1].columns[2] =
            Column { collation: collation.map(Into::into), ..not_null("name", data_type, 13) };
        models
    };
    let there = format!(
        "CREATE COLLATION own (PROVIDER = libc, LOCALE = 'C'); {}",
        SAME.replace("name varchar(20)", "name varchar(20) COLLATE own")
    );
    for (models, found) in [
        (of(Some("own"), "varchar(20)"), &[][..]),
        (of(Some("own"), "varchar(30)"), &["column-type children.name :13"]),
        (of(None, "varchar(20)"), &["column-collation children.name :13"]),
        (of(Some("C"), "varchar(20)"), &["column-collation children.name :13"]),
    ] {
        let alignment = aligned(&models, &there).await;
        assert_eq!(told(&alignment), found, "{alignment:?}");
        assert!(alignment.not_compared.is_empty(), "{alignment:?}");
    }
    assert_eq!(
        told(&aligned(&of(Some("C"), "varchar(20)"), SAME).await),
        ["column-collation children.name :13"]
    );
}

/// A column of a type that is not understood takes that which is there: what else is said of it is compared as it is.
#[tokio::test]
async fn what_is_said_of_a_column_whose_type_is_open_is_compared() {
    let mut models = models();
    models.tables[1].columns[2] = Column { unstated: [Aspect::Type].into(), ..not_null("name", "", 13) };
    let alignment = aligned(&models, SAME).await;
    assert_eq!(told(&alignment), [""; 0], "{alignment:?}");
    assert_eq!(alignment.not_compared.len(), 1);
    let alignment = aligned(&models, &SAME.replace("name <> ''", "name <> 'x'")).await;
    assert_eq!(told(&alignment), ["check children :19"]);
}

/// A base that is in no file may have more columns, and what is about them.
#[tokio::test]
async fn what_is_about_columns_of_an_unknown_base_is_not_held_against_the_models() {
    let mut models = models();
    models.tables[1].unstated.insert(Aspect::Columns);
    let there = SAME.replace("id bigint CONSTRAINT own_name PRIMARY KEY", "id bigint NOT NULL, part int")
        + "ALTER TABLE children ADD PRIMARY KEY (id, part), ADD UNIQUE (part), ADD CHECK (part > 0); CREATE INDEX i ON children (name);";
    let alignment = aligned(&models, &there).await;
    assert_eq!(told(&alignment), ["index children :13"], "{alignment:?}");
    // What is computed from its own columns, and from nothing else, is.
    for (more, found) in [
        ("ADD CHECK (length(name) > 1)", "check children :13"),
        ("ADD CHECK (length(name) > part)", ""),
        ("DROP CONSTRAINT named, ADD CONSTRAINT named CHECK (name <> 'x')", "check children :19"),
    ] {
        let alignment = aligned(&models, &format!("{there} ALTER TABLE children {more};")).await;
        let expected: Vec<&str> =
            ["index children :13", found].into_iter().filter(|one| !one.is_empty()).collect();
        let mut all = told(&alignment);
        all.sort_by_key(|one| !one.starts_with("index"));
        assert_eq!(all, expected, "{more}: {alignment:?}");
    }
    let alignment =
        aligned(&models, &format!("{there} CREATE INDEX j ON children (name DESC, lower(name));")).await;
    assert_eq!(told(&alignment), ["index children :13", "index children :13"], "{alignment:?}");
}

/// Statements that say themselves what is meant, one a line.
pub(super) fn said(statements: &[&str]) -> Models {
    let part = |(at, text): (usize, &&str)| Part {
        sql: (*text).to_owned(),
        place: place(u32::try_from(at).unwrap() + 1),
        about: About::Said,
    };
    Models { statements: statements.iter().enumerate().map(part).collect(), ..Models::default() }
}

/// What a model says, what is there, and what is told.
const AS_A_WHOLE: &[(&str, &str, &str)] = &[
    (
        "CREATE TABLE t (r int4range, EXCLUDE USING gist (r WITH &&))",
        "CREATE TABLE t (r int4range)",
        "exclusion t :1",
    ),
    (
        "CREATE TABLE t (r int4range)",
        "CREATE TABLE t (r int4range, EXCLUDE USING gist (r WITH &&))",
        "exclusion t :1",
    ),
    ("CREATE UNLOGGED TABLE t (n int)", "CREATE TABLE t (n int)", "table-options t :1"),
    ("CREATE TABLE t (n int) PARTITION BY RANGE (n)", "CREATE TABLE t (n int)", "table-options t :1"),
    (
        "CREATE TABLE t (n int) PARTITION BY RANGE (n)",
        "CREATE TABLE t (n int) PARTITION BY LIST (n)",
        "table-options t :1",
    ),
    ("CREATE TABLE t (n int) WITH (fillfactor = 70)", "CREATE TABLE t (n int)", "table-options t :1"),
    (
        "CREATE TABLE t (n int GENERATED ALWAYS AS IDENTITY (START 100))",
        "CREATE TABLE t (n int GENERATED ALWAYS AS IDENTITY)",
        "column-options t.n :1",
    ),
    (
        "CREATE TABLE t (n bigserial)",
        "CREATE TABLE t (n bigserial); ALTER SEQUENCE t_n_seq AS int",
        "column-options t.n :1",
    ),
    (
        "CREATE TABLE t (n serial)",
        "CREATE TABLE t (n serial); ALTER SEQUENCE t_n_seq INCREMENT 5",
        "column-options t.n :1",
    ),
    (
        "CREATE TABLE p (n int) PARTITION BY RANGE (n);CREATE TABLE t PARTITION OF p FOR VALUES FROM (0) TO (20)",
        "CREATE TABLE p (n int) PARTITION BY RANGE (n); CREATE TABLE t PARTITION OF p FOR VALUES FROM (0) TO (10)",
        "table-options t :2",
    ),
    (
        "CREATE TABLE p (n int) PARTITION BY RANGE (n);CREATE TABLE t PARTITION OF p FOR VALUES FROM (0) TO (20)",
        "CREATE TABLE p (n int) PARTITION BY RANGE (n); CREATE TABLE t (n int)",
        "table-options t :2",
    ),
    (
        "CREATE TABLE p (n int) PARTITION BY RANGE (n);CREATE TABLE t (n int)",
        "CREATE TABLE p (n int) PARTITION BY RANGE (n); CREATE TABLE t PARTITION OF p DEFAULT",
        "table-options t :2",
    ),
    (
        "CREATE TABLE p (n int);CREATE TABLE t () INHERITS (p)",
        "CREATE TABLE p (n int); CREATE TABLE t (more int) INHERITS (p)",
        "column-without-model t.more :2",
    ),
    (
        "CREATE SEQUENCE q;CREATE SEQUENCE r;CREATE TABLE t (n bigint DEFAULT nextval('q'))",
        "CREATE SEQUENCE q; CREATE SEQUENCE r; CREATE TABLE t (n bigint DEFAULT nextval('r'))",
        "column-default t.n :3",
    ),
    (
        "CREATE TABLE t (n bigserial)",
        "CREATE SEQUENCE t_n_seq AS smallint MAXVALUE 100; CREATE TABLE t (n bigint NOT NULL DEFAULT nextval('t_n_seq'))",
        "column-identity t.n :1",
    ),
    (
        "CREATE TABLE t (n bigserial)",
        "CREATE SCHEMA s; CREATE TABLE s.other (n bigserial); CREATE TABLE t (n bigserial); ALTER TABLE t ALTER n SET DEFAULT nextval('s.other_n_seq')",
        "column-identity t.n :1",
    ),
    (
        "CREATE TABLE t (n int, UNIQUE (n))",
        "CREATE TABLE t (n int); CREATE UNIQUE INDEX u ON t (n); UPDATE pg_index SET indisvalid = false WHERE indrelid = 't'::regclass",
        "unique t :1",
    ),
];

/// Of files of DDL a table is compared with all that it is, also with what other models have no words for.
#[tokio::test]
async fn what_a_table_is_as_a_whole_is_compared_where_all_of_it_is_said() {
    for (model, there, expected) in AS_A_WHOLE {
        let statements: Vec<&str> = model.split(';').collect();
        let alignment = aligned(&said(&statements), there).await;
        assert_eq!(told(&alignment), [*expected], "{model} against {there}: {alignment:?}");
        // The same on both sides is the same.
        let alignment = aligned(&said(&statements), model).await;
        assert_eq!(told(&alignment), [""; 0], "{model}: {alignment:?}");
    }
    // More partitions than the models have are no difference, and said.
    let there = "CREATE TABLE t (n int) PARTITION BY LIST (n); CREATE TABLE more PARTITION OF t DEFAULT";
    let alignment = aligned(&said(&["CREATE TABLE t (n int) PARTITION BY LIST (n)"]), there).await;
    assert_eq!(
        (told(&alignment), alignment.beyond),
        (vec![], vec!["1 partition of t in no model".to_owned()])
    );
    let model = said(&["CREATE TABLE t (n int)", "ALTER TABLE t ENABLE ROW LEVEL SECURITY"]);
    assert_eq!(told(&aligned(&model, "CREATE TABLE t (n int)").await), ["table-options t :1"]);
}

/// One name in two schemas is two tables, and the order of files is not that of what needs what.
#[tokio::test]
async fn tables_of_files_are_told_apart_and_built_in_any_order() {
    let model = said(&[
        "CREATE TABLE child (n int REFERENCES parent)",
        "CREATE TABLE s2.t (a int, b int)",
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE SCHEMA s2",
        "CREATE TABLE t (a int)",
    ]);
    let there = "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (n int REFERENCES parent); CREATE TABLE t (a int);
        CREATE SCHEMA s2; CREATE TABLE s2.t (a int);";
    let alignment = aligned(&model, there).await;
    assert_eq!(told(&alignment), ["column-missing s2.t.b :2"], "{alignment:?}");
    assert!(alignment.not_compared.is_empty(), "{:?}", alignment.not_compared);
}

/// Files as `pg_dump --clean` writes them, and what one of them sets: neither undoes what the others say.
#[tokio::test]
async fn what_files_clear_away_first_stays_as_they_make_it() {
    let mut model = said(&[
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "ALTER TABLE ONLY public.a DROP CONSTRAINT a_pkey",
        "DROP TABLE public.a",
        "DROP SCHEMA s",
        "CREATE SCHEMA s",
        "ALTER TABLE IF EXISTS u ADD COLUMN y int NOT NULL",
        "CREATE TABLE public.a (id int)",
        "ALTER TABLE ONLY public.a ADD CONSTRAINT a_pkey PRIMARY KEY (id)",
        "CREATE TABLE u (x int)",
        "SET search_path = s",
        "CREATE TABLE child (x int REFERENCES late)",
        "CREATE TABLE late (x int PRIMARY KEY)",
    ]);
    for (at, part) in model.statements.iter_mut().enumerate() {
        let file = match at {
            0..5 | 6..8 => "dump",
            5 => "early",
            8 => "then",
            _ => "last",
        };
        part.place.path = file.to_owned();
    }
    model.statements.swap(5, 7);
    let there = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE u (x int); CREATE SCHEMA s; CREATE TABLE s.late (x int PRIMARY KEY)";
    let alignment = aligned(&model, there).await;
    assert_eq!(told(&alignment), ["column-missing u.y :6", "table-missing s.child :11"], "{alignment:?}");
    assert!(alignment.not_compared.is_empty(), "{:?}", alignment.not_compared);
}

/// A file that waits for ever, and sets that it may, holds nobody up.
#[tokio::test]
async fn a_statement_of_a_file_has_its_time() {
    let model = said(&["SET statement_timeout = 0", "CREATE TABLE t (n int)", "SELECT pg_sleep(3600)"]);
    let database = testkit::database();
    database.run("CREATE TABLE t (n int)");
    let there = Side::Database(Box::new(database.options()));
    let sandbox = SandboxProvider::local(testkit::sandbox_options());
    let alignment = align(&model, there, &[], Some(&database.options()), &sandbox).await.unwrap();
    let [late] = &alignment.not_compared[..] else { panic!("{alignment:?}") };
    assert!(late.line == 3 && late.what.contains("statement timeout"), "{late:?}");
}

/// On a server that others use nothing is run that may go beyond the database; what is left out is named, without what is secret in it.
#[tokio::test]
async fn files_of_ddl_do_nothing_to_a_server_that_others_use() {
    let role = format!("align_said_{}", std::process::id());
    let hidden = format!("DO $$ BEGIN CREATE ROLE {role}; END $$");
    let plain = format!("CREATE ROLE {role} PASSWORD 'not to be told'");
    let model =
        said(&["CREATE TABLE t (n int)", &hidden, &plain, "ALTER DATABASE postgres SET work_mem = '8MB'"]);
    let alignment = aligned(&model, "CREATE TABLE t (n int)").await;
    assert_eq!(told(&alignment), [""; 0]);
    let lines: Vec<u32> = alignment.not_compared.iter().map(|one| one.line).collect();
    assert_eq!(lines, [2, 3, 4], "{:?}", alignment.not_compared);
    assert!(!format!("{alignment:?}").contains("not to be told"));
    let database = testkit::database();
    assert_eq!(database.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")), "0");
    assert_eq!(
        database.value("SELECT count(*) FROM pg_db_role_setting WHERE 'work_mem=8MB' = ANY (setconfig)"),
        "0"
    );
}
