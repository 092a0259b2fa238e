use std::fmt::Write as _;

use proptest::prelude::*;

use super::SOURCE;
use crate::model::ddl;
use crate::model::{Aspect, Models};
use crate::source::{File, Settings, recognised};

fn read(text: &str) -> Models {
    SOURCE.read(&[File { path: "schema.rs".into(), text: text.into() }], &Settings::default())
}

/// The statements of models in which everything is understood.
fn sql(text: &str) -> String {
    let models = read(text);
    assert_eq!(models.unsupported, [], "{text}");
    ddl(&models).text()
}

fn refused(text: &str) -> String {
    read(text).unsupported.iter().fold(String::new(), |mut all, one| {
        let _ = writeln!(all, "{}: {}", one.place.line, one.what);
        all
    })
}

/// The type of the only column of a table, but its key.
fn type_of(written: &str) -> String {
    let models = read(&format!("table! {{ a (id) {{ id -> Int4, x -> {written}, }} }}"));
    assert_eq!(models.unsupported, [], "{written}");
    models.tables[0].columns[1].data_type.clone()
}

const SCHEMA: &str = r#"// @generated automatically by Diesel CLI.

pub mod sql_types {
    #[derive(diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "mood", schema = "app"))]
    pub struct Mood;

    #[derive(diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "ltree"))]
    pub struct Ltree;
}

diesel::table! {
    /// People.
    people (id) {
        /// The key.
        id -> Int4,
        #[max_length = 255]
        name -> Varchar,
        nick -> Nullable<Varchar>,
        #[sql_name = "type"]
        type_ -> Text,
        r#fn -> Int8,
        tags -> Array<Nullable<Text>>,
        #[max_length = 3]
        codes -> Nullable<Array<Nullable<Bpchar>>>,
        born -> diesel::sql_types::Date,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::{Mood, Ltree as Path};

    #[sql_name = "the posts"]
    app.posts (person, number) {
        person -> Int4,
        number -> Int2,
        mood -> Nullable<Mood>,
        path -> Path,
    }
}

diesel::joinable!(posts -> people (person));
diesel::allow_tables_to_appear_in_same_query!(people, posts,);
"#;

#[test]
fn tables_are_read() {
    // Of a type of the application's no more than its name is stated, and that it is there.
    let wanted = r#"CREATE SCHEMA IF NOT EXISTS app;
CREATE TYPE app.mood AS ENUM ();
CREATE TABLE people (
    id integer NOT NULL,
    name varchar(255) NOT NULL,
    nick varchar,
    type text NOT NULL,
    fn bigint NOT NULL,
    tags text[] NOT NULL,
    codes bpchar(3)[],
    born date NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE app."the posts" (
    person integer NOT NULL,
    number smallint NOT NULL,
    mood app.mood,
    path ltree NOT NULL,
    PRIMARY KEY (person, number)
);
ALTER TABLE app."the posts" ADD FOREIGN KEY (person) REFERENCES people (id);
"#;
    assert_eq!(sql(SCHEMA), wanted);
}

#[test]
fn what_is_stated_and_what_is_not() {
    let models = read(SCHEMA);
    let [people, posts] = models.tables.as_slice() else { panic!("two tables") };
    for aspect in [
        Aspect::Default,
        Aspect::Identity,
        Aspect::Comment,
        Aspect::Collation,
        Aspect::Unique,
        Aspect::ForeignKey,
        Aspect::OnDelete,
        Aspect::OnUpdate,
        Aspect::Deferrable,
        Aspect::Check,
        Aspect::Index,
    ] {
        assert!(people.unstated.contains(&aspect) && posts.unstated.contains(&aspect), "{aspect:?}");
    }
    for aspect in [Aspect::PrimaryKey, Aspect::Type, Aspect::Nullable, Aspect::Modifier] {
        assert!(!people.unstated.contains(&aspect), "{aspect:?}");
    }
    let open = |name: &str, aspect: Aspect| {
        let mut columns = people.columns.iter().chain(&posts.columns);
        columns.find(|column| column.label == name).unwrap().unstated.contains(&aspect)
    };
    assert!(!open("name", Aspect::Modifier) && open("nick", Aspect::Modifier));
    assert!(!open("mood", Aspect::Type) && !open("mood", Aspect::Nullable) && !open("path", Aspect::Type));
    assert_eq!((people.label.as_str(), people.place.line, people.columns[1].place.line), ("people", 13, 19));
    assert_eq!((posts.label.as_str(), posts.columns[0].label.as_str()), ("posts", "person"));
}

#[test]
fn types_are_those_of_postgresql() {
    for (written, wanted) in [
        ("Bool", "boolean"),
        ("SmallInt", "smallint"),
        ("Integer", "integer"),
        ("BigInt", "bigint"),
        ("Float4", "real"),
        ("Double", "double precision"),
        ("Numeric", "numeric"),
        ("Binary", "bytea"),
        ("Timestamp", "timestamp"),
        ("Timestamptz", "timestamptz"),
        ("Interval", "interval"),
        ("Uuid", "uuid"),
        ("Jsonb", "jsonb"),
        ("CChar", "\"char\""),
        ("Range<Int4>", "int4range"),
        ("Nullable<Range<Timestamptz>>", "tstzrange"),
        ("Array<Array<Int4>>", "integer[]"),
        ("Tstzrange", "tstzrange"),
        ("Multirange<Date>", "datemultirange"),
        ("diesel_full_text_search::TsVector", "tsvector"),
        ("::diesel::sql_types::Citext", "citext"),
    ] {
        assert_eq!(type_of(written), wanted, "{written}");
    }
}

#[test]
fn the_forms_of_diesel_1_are_read() {
    let text = r#"
pub mod other {
    #[derive(SqlType)]
    #[postgres(type_name = "my_int")]
    pub struct Mine;
    table! {
        #[sql_name = "other.self"]
        other.self_ {
            id -> Integer,
            mine -> Mine,
        }
    }
    table! { other.b (id) { id -> Integer, up -> Integer, } }
    joinable!(b -> self_ (up));
}
table! { self_ (id) { id -> Integer, } }
"#;
    let found = sql(text);
    assert!(found.contains("CREATE TABLE other.self (\n    id integer NOT NULL,\n    mine my_int NOT NULL,\n    PRIMARY KEY (id)\n)"), "{found}");
    assert!(
        found.contains("ALTER TABLE other.b ADD FOREIGN KEY (up) REFERENCES other.self (id);"),
        "{found}"
    );
    assert!(found.contains("CREATE TABLE self_ ("), "{found}");
}

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    let text = "table! {
    a (id) {
        id -> Int4,
        odd -> Strange<Int4>,
        other -> Unsigned<Int4>,
        what => Int4,
        #[colour = \"red\"]
        last -> (Int4, Int4),
        fine -> Nullable<Missing>,
    }
}
table! { a (id) { id -> Int4, } }
table! { b (none) { id -> Int4, id -> Int4, } }
table! { c (id, ) }
joinable!(a -> nothing (id));
joinable!(a -> b);
view! { v (id) { id -> Int4, } }
macro_rules! table_of { ($x:ident) => { table! { $x (id) { id -> Int4, } } } }
#[cfg(test)]
mod tests {
    table! { only_here (id) { id -> Int4, } }
}
";
    let wanted = "4: the type of a.odd: Strange<Int4>
5: the type of a.other: Unsigned<Int4>
6: a column of a: expected `->`
7: #[colour = \"red\"]
8: the type of a.last: (Int4, Int4)
9: the type of a.fine: Nullable<Missing>
12: a second table a
13: a second column b.id
13: the primary key of b: none
14: table!: unexpected end of input, expected group token
15: joinable!(a -> nothing (id))
16: joinable!: unexpected end of input, expected parentheses
17: view!: v (id) { id -> Int4, }
";
    assert_eq!(refused(text).replace(" ,", ","), wanted);
    let models = read(text);
    assert_eq!(models.tables.len(), 2);
    let columns: Vec<_> = models.tables[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["id", "odd", "other", "last", "fine"]);
    assert!(!models.tables[0].columns[4].not_null);
    assert_eq!(
        refused("table! { a (id) {"),
        "1: the file is no Rust: cannot parse string into token stream\n"
    );
}

#[test]
fn a_file_is_recognised() {
    let of = |text: &str| {
        recognised(&File { path: "src/schema.rs".into(), text: text.into() }).map(|source| source.name)
    };
    assert_eq!(of(SCHEMA), Some("diesel"));
    assert_eq!(of("table! { a (id) { id -> Int4 } }"), Some("diesel"));
    assert_eq!(of("diesel::view! { a { id -> Int4 } }"), Some("diesel"));
    assert_eq!(of("fn main() -> X { my_table! { a -> b } }"), None);
    assert_eq!(of("fn main() { println!(\"table!\") }"), None);
}

#[test]
fn deep_input_ends() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("mod a {", "}")] {
        let deep = format!("{}{}", open.repeat(50_000), close.repeat(50_000));
        let _ = read(&deep);
        let _ = read(&format!("table! {{ {deep} }}"));
        let _ = read(&format!("table! {{ a (id) {{ id -> {deep}, }} }}"));
        let _ = read(&format!("joinable!({deep})"));
    }
    let _ = read(&format!(
        "table! {{ a (id) {{ id -> {}Int4{}, }} }}",
        "Nullable<".repeat(50_000),
        ">".repeat(50_000)
    ));
    let _ = read(&format!(
        "table! {{ use {}a; a (id) {{ id -> {}Int4, }} }}",
        "a::".repeat(50_000),
        "a::".repeat(50_000)
    ));
}

proptest! {
    #[test]
    fn nothing_breaks_it(text in "(?s).{0,200}") {
        let _ = ddl(&read(&text));
    }

    #[test]
    fn nothing_that_is_nearly_right_breaks_it(
        at in any::<proptest::sample::Index>(),
        len in 0_usize..12,
        put in "[(){}<>#!\"=:,.;\\->a-zA-Zé0-9 ]{0,6}",
        again in any::<proptest::sample::Index>(),
    ) {
        let mut chars: Vec<char> = SCHEMA.chars().collect();
        for index in [at, again] {
            let start = index.index(chars.len());
            let end = (start + len).min(chars.len());
            chars.splice(start..end, put.chars());
        }
        let text: String = chars.into_iter().collect();
        let _ = ddl(&read(&text));
    }
}

/// Each may make a table, or does: none is passed over.
#[test]
fn what_makes_tables_in_other_ways_is_named() {
    let text = "include!(\"other.rs\");
diesel::infer_schema!(\"dotenv:DATABASE_URL\");
mine!(gen_t);
println!(\"table\");
macro_rules! mine { ($name:ident) => { diesel::table! { $name { id -> Int4, } } }; }
fn f() { diesel::table! { inner { id -> Int4, } } }
#[cfg(test)]
diesel::table! { tested { id -> Int4, } }
#[cfg(feature = \"more\")]
diesel::table! { more { id -> Int4, } }
#[cfg(test)]
fn g() { diesel::table! { inner { id -> Int4, } } }
diesel::table! { plain { id -> Int4, } }
";
    let models = read(text);
    let names: Vec<&str> = models.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["plain"]);
    let told: Vec<(u32, &str)> =
        models.unsupported.iter().map(|one| (one.place.line, one.what.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "include!: \"other.rs\""),
            (2, "infer_schema!: \"dotenv:DATABASE_URL\""),
            (3, "mine!, which makes tables: gen_t"),
            (6, "table! inside something else than a module"),
            (10, "the table more: #[cfg (feature = \"more\")]"),
        ]
    );
    assert_eq!(models.perhaps, [(None, "more".to_owned())]);
}
