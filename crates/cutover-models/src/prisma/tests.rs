use std::fmt::Write as _;

use proptest::prelude::*;

use super::SOURCE;
use crate::model::ddl;
use crate::model::{Aspect, Default, Models};
use crate::source::{File, Settings, recognised};

const HEAD: &str = "datasource db {\n  provider = \"postgresql\"\n  url = env(\"DATABASE_URL\")\n}\n";

fn read(text: &str) -> Models {
    let file = File { path: "schema.prisma".into(), text: format!("{HEAD}{text}") };
    SOURCE.read(&[file], &Settings::default())
}

/// The statements of models in which everything is understood.
fn sql(text: &str) -> String {
    let models = read(text);
    assert_eq!(models.unsupported, [], "{text}");
    ddl(&models).text()
}

/// The lines that are not understood.
fn refused(text: &str) -> String {
    read(text).unsupported.iter().fold(String::new(), |mut all, one| {
        // The lines of the head are not counted.
        let _ = writeln!(all, "{}: {}", i64::from(one.place.line) - 4, one.what);
        all
    })
}

fn has(text: &str, wanted: &str) {
    let found = sql(text);
    assert!(found.contains(wanted), "{wanted}\nnot in\n{found}");
}

#[test]
fn scalars_have_their_types() {
    let text = "model A {
  a Int @id
  b BigInt
  c String?
  d Boolean
  e DateTime
  f Float
  g Decimal
  h Json
  i Bytes
  j Int[]
  k Unsupported(\"tsvector\")?
}";
    let wanted = r#"CREATE TABLE "A" (
    a integer NOT NULL,
    b bigint NOT NULL,
    c text,
    d boolean NOT NULL,
    e timestamp(3) NOT NULL,
    f double precision NOT NULL,
    g decimal(65,30) NOT NULL,
    h jsonb NOT NULL,
    i bytea NOT NULL,
    j integer[],
    k tsvector,
    CONSTRAINT "A_pkey" PRIMARY KEY (a)
);
"#;
    assert_eq!(sql(text), wanted);
}

#[test]
fn native_types_have_their_arguments() {
    let text = "model a {
  a String @db.VarChar(255)
  b String @db.Char(2)
  c Decimal @db.Decimal(10, 2)
  d DateTime @db.Timestamptz(6)
  e DateTime @db.Timestamptz
  f DateTime @db.Time(0)
  g String @db.Uuid
  h Int @db.SmallInt
  i Json @db.Json
  j String[] @db.VarChar(9)
  k Float @db.Real
  l String @db.VarBit(3)
}";
    for wanted in [
        "a varchar(255) ",
        "b char(2) ",
        "c decimal(10,2) ",
        "d timestamptz(6) ",
        "e timestamptz ",
        "f time(0) ",
        "g uuid ",
        "h smallint ",
        "i json ",
        "j varchar(9)[]",
        "k real ",
        "l varbit(3) ",
    ] {
        has(text, wanted);
    }
    assert_eq!(
        refused("model a {\n  id Int @id\n  a String @db.ObjectId\n b String @db.VarChar(\"x\")\n}"),
        "3: the type of a.a: @db.ObjectId\n4: the type of a.b: @db.VarChar\n"
    );
}

#[test]
fn defaults_are_of_the_database_or_of_the_client() {
    let text = r#"enum Role {
  USER @map("user")
  ADMIN
  @@map("role")
}
model A {
  id Int @id @default(autoincrement())
  big BigInt @default(autoincrement())
  made DateTime @default(now())
  gen String @default(dbgenerated("gen_random_uuid()")) @db.Uuid
  text String @default("it's \"so\"")
  number Int @default(-5)
  part Float @default(1.5)
  dec Decimal @default("2.5")
  is Boolean @default(true)
  json Json @default("{}")
  bytes Bytes @default("aGU=")
  role Role @default(USER)
  roles Role[] @default([USER, ADMIN])
  tags String[] @default([])
  uuid String @default(uuid())
  seven String @default(uuid(7))
  cuid String @default(cuid())
  nano String @default(nanoid(10))
  at DateTime @updatedAt
}"#;
    for wanted in [
        "CREATE TYPE role AS ENUM ('user', 'ADMIN')",
        "id serial NOT NULL,",
        "big bigserial NOT NULL,",
        "made timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,",
        "gen uuid NOT NULL DEFAULT gen_random_uuid(),",
        "text text NOT NULL DEFAULT 'it''s \"so\"',",
        "number integer NOT NULL DEFAULT -5,",
        "part double precision NOT NULL DEFAULT 1.5,",
        "decimal(65,30) NOT NULL DEFAULT 2.5,",
        "DEFAULT true,",
        "jsonb NOT NULL DEFAULT '{}',",
        "bytes bytea NOT NULL DEFAULT E'\\\\x6865',",
        "role role NOT NULL DEFAULT 'user',",
        "roles role[] DEFAULT ARRAY['user', 'ADMIN']::role[],",
        "tags text[] DEFAULT ARRAY[]::text[],",
        "uuid text NOT NULL,",
    ] {
        has(text, wanted);
    }
    let models = read(text);
    let of = |name: &str| {
        let column = models.tables[0].columns.iter().find(|column| column.name == name);
        column.unwrap().default.clone()
    };
    assert_eq!(of("uuid"), Default::Client("uuid()".into()));
    assert_eq!(of("seven"), Default::Client("uuid(7)".into()));
    assert_eq!(of("cuid"), Default::Client("cuid()".into()));
    assert_eq!(of("nano"), Default::Client("nanoid(10)".into()));
    assert_eq!(of("at"), Default::Client("@updatedAt".into()));
}

#[test]
fn a_default_that_is_not_understood_is_not_compared() {
    let text = "model a {
  id Int @id @default(sequence())
  b String @default(dbgenerated())
  c String @default(five())
}";
    assert_eq!(
        refused(text),
        "2: the default of a.id: sequence()\n3: the default of a.b: dbgenerated()\n4: the default of a.c: five()\n"
    );
    for column in &read(text).tables[0].columns {
        assert!(column.unstated.contains(&Aspect::Default), "{column:?}");
    }
}

#[test]
fn whether_a_list_takes_null_is_open() {
    let models = read("model a {\n  id Int @id\n  b String[]\n}");
    let open: Vec<bool> =
        models.tables[0].columns.iter().map(|column| column.unstated.contains(&Aspect::Nullable)).collect();
    assert_eq!(open, [false, true]);
}

#[test]
fn names_are_mapped() {
    let text = r#"model UserThing {
  userId Int @map("user_id")
  groupId Int @map("group-id")
  @@id([userId, groupId])
  @@index([groupId])
  @@map("user_things")
  @@schema("app")
}"#;
    let wanted = r#"CREATE SCHEMA IF NOT EXISTS app;
CREATE TABLE app.user_things (
    user_id integer NOT NULL,
    "group-id" integer NOT NULL,
    CONSTRAINT user_things_pkey PRIMARY KEY (user_id, "group-id")
);
CREATE INDEX "user_things_group-id_idx" ON app.user_things ("group-id");
"#;
    assert_eq!(sql(text), wanted);
    let table = &read(text).tables[0];
    assert_eq!((table.label.as_str(), table.place.line), ("UserThing", 5));
    assert_eq!((table.columns[0].label.as_str(), table.columns[0].place.line), ("userId", 6));
}

#[test]
fn keys_and_indexes_have_the_names_of_prisma() {
    let text = r#"model User {
  id Int @id(map: "pk")
  email String @unique
  name String @unique(map: "one_name", sort: Desc)
  data Json
  at DateTime
  @@unique([email, name])
  @@unique(fields: [name, at], name: "forTheClient", map: "name_at")
  @@index([at(sort: Desc), id])
  @@index(fields: [at], name: "of_old")
  @@index([data(ops: JsonbPathOps)], type: Gin)
  @@index([name(ops: raw("gin_trgm_ops"))], type: Gin, map: "trgm")
  @@index([id], type: Hash, map: "h")
  @@index([at(ops: TimestampMinMaxMultiOps)], type: Brin, map: "b")
  @@index([id], map: "part", where: raw("id > 5"))
}"#;
    for wanted in [
        "CONSTRAINT pk PRIMARY KEY (id)",
        "CREATE UNIQUE INDEX \"User_email_key\" ON \"User\" (email);",
        "CREATE UNIQUE INDEX one_name ON \"User\" (name DESC);",
        "CREATE UNIQUE INDEX \"User_email_name_key\" ON \"User\" (email, name);",
        "CREATE UNIQUE INDEX name_at ON \"User\" (name, at);",
        "CREATE INDEX \"User_at_id_idx\" ON \"User\" (at DESC, id);",
        "CREATE INDEX of_old ON \"User\" (at);",
        "CREATE INDEX \"User_data_idx\" ON \"User\" USING gin (data jsonb_path_ops);",
        "CREATE INDEX trgm ON \"User\" USING gin (name gin_trgm_ops);",
        "CREATE INDEX h ON \"User\" USING hash (id);",
        "CREATE INDEX b ON \"User\" USING brin (at timestamp_minmax_multi_ops);",
        "CREATE INDEX part ON \"User\" (id) WHERE id > 5;",
    ] {
        has(text, wanted);
    }
}

#[test]
fn long_names_are_cut_before_their_ending() {
    let long = "a".repeat(40);
    let text = format!("model {long} {{\n  id Int @id\n  {long}b Int @unique\n}}");
    has(&text, &format!("CREATE UNIQUE INDEX {long}_{}_key ", "a".repeat(18)));
    let long = "é".repeat(40);
    let text = format!("model A {{\n  id Int @id\n  @@map(\"{long}\")\n}}");
    has(&text, &format!("CONSTRAINT \"{}_pkey\"", "é".repeat(29)));
}

/// As the tests of Prisma's own engine have it (`partialIndexes`, since 7.4).
#[test]
fn conditions_of_indexes_are_read() {
    let text = r#"generator client {
  provider = "prisma-client"
  previewFeatures = ["views", "partialIndexes"]
}
enum State {
  OPEN
  GONE @map("gone")
}
model User {
  id Int @id
  isActive Boolean @map("is_active")
  state State
  goneAt DateTime?
  name String @unique(map: "named", where: { name: { not: "it's" } })
  @@unique([id], map: "a", where: { isActive: true, goneAt: null })
  @@index([id], map: "b", where: { goneAt: { not: null }, id: -1 })
  @@index([id], map: "c", where: { state: "OPEN", isActive: { not: false } })
  @@index([id], map: "d", where: raw("id > 5"))
  @@index([id], map: "e", where: { state: "GONE" })
  @@index([id], map: "f", where: {})
  @@index([id], map: "g", where: { isActive: 1 })
}"#;
    let models = read(text);
    let sql = ddl(&models).text();
    for wanted in [
        "CREATE UNIQUE INDEX named ON \"User\" (name) WHERE name <> 'it''s';",
        "CREATE UNIQUE INDEX a ON \"User\" (id) WHERE is_active = true AND \"goneAt\" IS NULL;",
        "CREATE INDEX b ON \"User\" (id) WHERE \"goneAt\" IS NOT NULL AND id = -1;",
        "CREATE INDEX c ON \"User\" (id) WHERE state = 'OPEN' AND is_active <> false;",
        "CREATE INDEX d ON \"User\" (id) WHERE id > 5;",
    ] {
        assert!(sql.contains(wanted), "{wanted}: {sql}");
    }
    let lines: Vec<u32> = models.unsupported.iter().map(|one| one.place.line).collect();
    assert_eq!(lines[lines.len() - 3..], [23, 24, 25], "{:?}", models.unsupported);
    // What is called so is left out; who has words for a part of the rows says all of such indexes.
    assert_eq!(models.tables[0].unread.iter().collect::<Vec<_>>(), ["e", "f", "g"]);
    assert!(!models.tables[0].unstated.contains(&Aspect::Index));
    assert!(!models.tables[0].unstated.contains(&Aspect::IndexPart));
    let without = read(&text.replace(", \"partialIndexes\"", ""));
    assert!(without.tables[0].unstated.contains(&Aspect::IndexPart));
}

#[test]
fn an_index_that_is_not_understood_is_not_compared() {
    let text = "model a {
  id Int @id
  @@index([none])
  @@index([id], where: { id: { less: 5 } })
  @@unique([id(length: 5)])
  @@fulltext([id])
}";
    assert_eq!(
        refused(text),
        "3: the index of a: index([none])
4: the index of a: index([id], where: { id: { less: 5 } })
5: the unique index of a: unique([id(length: 5)])
6: @@fulltext of a
"
    );
    let unstated = &read(text).tables[0].unstated;
    assert!(unstated.contains(&Aspect::Index) && unstated.contains(&Aspect::Unique));
}

const FOREIGN: &str = r#"model User {
  id Int @id
  posts Post[]
  edits Post[] @relation("edits")
  one One?
}
model Post {
  id Int @id
  userId Int @map("user_id")
  user User @relation(fields: [userId], references: [id])
  editorId Int?
  editor User? @relation("edits", fields: [editorId], references: [id])
}
model One {
  id Int @id
  user User @relation(fields: [id], references: [id], onDelete: Cascade, onUpdate: NoAction, map: "fk")
}"#;

#[test]
fn relations_are_foreign_keys() {
    for wanted in [
        "ALTER TABLE \"Post\" ADD CONSTRAINT \"Post_user_id_fkey\" FOREIGN KEY (user_id) REFERENCES \"User\" (id) ON DELETE RESTRICT ON UPDATE CASCADE;",
        "ALTER TABLE \"Post\" ADD CONSTRAINT \"Post_editorId_fkey\" FOREIGN KEY (\"editorId\") REFERENCES \"User\" (id) ON DELETE SET NULL ON UPDATE CASCADE;",
        "ALTER TABLE \"One\" ADD CONSTRAINT fk FOREIGN KEY (id) REFERENCES \"User\" (id) ON DELETE CASCADE ON UPDATE NO ACTION;",
    ] {
        has(FOREIGN, wanted);
    }
}

#[test]
fn an_optional_relation_with_a_required_field_restricts() {
    let text = "model A {
  id Int
  org Int
  b B? @relation(fields: [id, org], references: [id, org])
  other Int?
  @@id([id])
}
model B {
  id Int
  org Int
  a A[]
  @@unique([org, id])
}";
    has(text, "(id, org) REFERENCES \"B\" (id, org) ON DELETE RESTRICT ON UPDATE CASCADE");
}

#[test]
fn the_relation_mode_prisma_has_no_foreign_keys() {
    let text =
        format!("datasource x {{\n  provider = \"postgres\"\n  relationMode = \"prisma\"\n}}\n{FOREIGN}");
    let file = File { path: "a.prisma".into(), text };
    let models = SOURCE.read(&[file], &Settings::default());
    assert_eq!(models.unsupported, []);
    assert!(models.tables.iter().all(|table| table.foreign_keys.is_empty()));
    assert!(models.tables.iter().all(|table| !table.unstated.contains(&Aspect::ForeignKey)));
}

#[test]
fn relations_that_are_not_understood_are_not_compared() {
    let text = "model A {
  id Int @id
  b B @relation(fields: [none], references: [id])
  c B @relation(\"c\", fields: [id], references: [other])
  d B @relation(\"d\", fields: [id], references: [id], onDelete: Explode)
  e B? @relation(\"e\")
  f Missing @relation(fields: [id], references: [id])
}
model B {
  id Int @id
  other Int
}";
    assert_eq!(
        refused(text),
        "3: the relation A.b: its fields or actions
4: the relation A.c: its fields or actions
5: the relation A.d: its fields or actions
6: the relation A.e: no side has fields
7: the type of A.f: Missing
"
    );
    assert!(read(text).tables[0].unstated.contains(&Aspect::ForeignKey));
}

#[test]
fn two_lists_have_a_table_between_them() {
    let text = "model Tag {
  id String @id @db.Uuid
  posts Post[]
}
model Post {
  id Int @id @default(autoincrement())
  tags Tag[]
  likes Post[] @relation(\"likes\")
  liked Post[] @relation(\"likes\")
}";
    let wanted = "CREATE TABLE \"_PostToTag\" (
    \"A\" integer NOT NULL,
    \"B\" uuid NOT NULL,
    CONSTRAINT \"_PostToTag_AB_pkey\" PRIMARY KEY (\"A\", \"B\")
);";
    has(text, wanted);
    for wanted in [
        "CREATE TABLE _likes (",
        "CREATE INDEX \"_PostToTag_B_index\" ON \"_PostToTag\" (\"B\");",
        "ALTER TABLE \"_PostToTag\" ADD CONSTRAINT \"_PostToTag_A_fkey\" FOREIGN KEY (\"A\") REFERENCES \"Post\" (id) ON DELETE CASCADE ON UPDATE CASCADE;",
        "ALTER TABLE \"_PostToTag\" ADD CONSTRAINT \"_PostToTag_B_fkey\" FOREIGN KEY (\"B\") REFERENCES \"Tag\" (id) ON DELETE CASCADE ON UPDATE CASCADE;",
    ] {
        has(text, wanted);
    }
    let models = read(text);
    assert_eq!(models.tables.len(), 4);
    assert!(models.tables[2].unstated.contains(&Aspect::PrimaryKey), "Prisma 5 has a unique index");
    let models = read(&format!("generator client {{\n  provider = \"prisma-client\"\n}}\n{text}"));
    assert!(!models.tables[2].unstated.contains(&Aspect::PrimaryKey), "that is Prisma 6");
}

#[test]
fn other_databases_are_refused() {
    let text = "datasource db {\n  provider = \"mysql\"\n}\nmodel A {\n  id Int @id\n}";
    let file = File { path: "a.prisma".into(), text: text.into() };
    let models = SOURCE.read(&[file], &Settings::default());
    let what =
        "the provider of datasource db is \"mysql\": models of another database than PostgreSQL are not read";
    assert_eq!(models.unsupported[0].what, what);
    assert_eq!(models.tables, []);
}

#[test]
fn files_are_read_together() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let files = [
        file(
            "a.prisma",
            "model A {\n  id Int @id\n  bId Int\n  b B @relation(fields: [bId], references: [id])\n}",
        ),
        file("b.prisma", "model B {\n  id Int @id\n  kind Kind\n  a A[]\n}"),
        file("base.prisma", &format!("{HEAD}\nenum Kind {{\n  X\n}}")),
    ];
    let models = SOURCE.read(&files, &Settings::default());
    assert_eq!(models.unsupported, []);
    assert_eq!(models.tables[0].foreign_keys[0].parent, "B");
    assert_eq!(models.tables[1].place.path, "b.prisma");
    let models = SOURCE.read(&files[..2], &Settings::default());
    assert_eq!(models.unsupported.len(), 2, "no datasource, and no enum: {:?}", models.unsupported);
    assert!(models.tables[0].unstated.contains(&Aspect::ForeignKey));
}

#[test]
fn what_else_there_is_is_named_with_its_line() {
    let text = "/// about
// not
/* nor
this */
view V {
  id Int @unique
}
type Address {
  street String
}
what is this
model A {
  id Int @id // here
  v V?
  a Address
  nonsense ! here
  b String @custom(x: [1, f(\"y\")])
  @@allow('all', true)
}
model A {
  id Int
}
model Open {
  id Int @id
";
    assert_eq!(
        refused(text),
        "5: view V
8: type Address
11: `what is this`
15: the type of A.a: Address
16: `nonsense ! here` in model A
17: @custom of A.b
18: `@@allow('all', true)` in model A
20: a second model A
23: model Open has no end
"
    );
    assert_eq!(read(text).tables.len(), 2);
}

#[test]
fn what_the_client_ignores_is_there_and_what_prisma_cannot_say_is_open() {
    let text = "model A {\n  id Int @id\n  b Int @ignore\n  @@ignore\n}";
    has(text, "b integer NOT NULL");
    let open = read(text).tables[0].unstated.clone();
    assert_eq!(
        open.into_iter().collect::<Vec<_>>(),
        [
            Aspect::Comment,
            Aspect::Collation,
            Aspect::Deferrable,
            Aspect::Check,
            Aspect::UniqueForm,
            Aspect::IndexForm,
            Aspect::IndexPart
        ]
    );
}

#[test]
fn a_file_is_recognised() {
    let of = |path: &str, text: &str| {
        recognised(&File { path: path.into(), text: text.into() }).map(|source| source.name)
    };
    assert_eq!(of("prisma/schema.prisma", HEAD), Some("prisma"));
    assert_eq!(of("a.prisma", "// x\nmodel A{\n}"), Some("prisma"));
    assert_eq!(of("a.prisma", "enum A {"), Some("prisma"));
    assert_eq!(of("a.prisma", "type User {\n  id: ID! @id\n}"), None, "Prisma 1");
    assert_eq!(of("a.txt", HEAD), None);
}

#[test]
fn deep_values_end() {
    let deep = format!("model A {{\n  id Int @default({})\n}}", "[".repeat(100_000));
    assert_eq!(read(&deep).tables.len(), 1);
    let deep = format!("model A {{\n  id Int @default({})\n}}", "f(".repeat(100_000));
    assert_eq!(read(&deep).tables.len(), 1);
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
        put in "[\\[\\]{}()@\"\\\\:,.?=\nA-Zé0-9 ]{0,6}",
        again in any::<proptest::sample::Index>(),
    ) {
        let whole = format!("{FOREIGN}\nenum Role {{\n  A @map(\"a\")\n}}\nmodel T {{\n  id Role @id @default(A)\n  x DateTime[] @db.Timestamp(3)\n  t T[] @relation(\"t\")\n  u T[] @relation(\"t\")\n  @@index([x(ops: raw(\"x\"), sort: Desc)], type: Gin, map: \"i\")\n}}\n");
        let mut chars: Vec<char> = whole.chars().collect();
        for index in [at, again] {
            let start = index.index(chars.len());
            let end = (start + len).min(chars.len());
            chars.splice(start..end, put.chars());
            if chars.is_empty() {
                chars.push(' ');
            }
        }
        let text: String = chars.into_iter().collect();
        let _ = ddl(&read(&text));
    }
}

#[test]
fn extensions_are_named_as_the_database_calls_them() {
    let named = "extensions = [citext, uuidOssp(map: \"uuid-ossp\", schema: \"ext\")]";
    let text = HEAD.replace("url = env(\"DATABASE_URL\")", named);
    let models = SOURCE.read(&[File { path: "schema.prisma".into(), text }], &Settings::default());
    let told: Vec<_> = models
        .extensions
        .iter()
        .map(|one| (one.name.as_str(), one.schema.as_deref(), one.place.line))
        .collect();
    assert_eq!(told, [("citext", None, 3), ("uuid-ossp", Some("ext"), 3)]);
    assert_eq!(models.unsupported, []);
}
