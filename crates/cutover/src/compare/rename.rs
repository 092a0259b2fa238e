//! Declared renames: what has one name on one side and another on the other is never guessed to be the same. Where it is
//! declared, a copy of the first side is built, the names are changed there, and it is read again: every text that mentions
//! them follows as PostgreSQL makes it follow.

use cutover_analysis::diff::{Change, Options, What, diff};
use cutover_analysis::effects::{ObjectKind, SmolStr};
use cutover_analysis::schema::{Id, Schema, Value, by_word, words};
use cutover_analysis::sql::{quote_ident, quote_literal};

use thiserror::Error;

use super::side::SideError;
use crate::catalog;
use crate::text::suggest;
use crate::verify::SandboxProvider;
use crate::verify::failure_text;
use crate::verify::replay::{Likeness, Replay};

/// One declared rename.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// What is renamed.
    pub object: Id,
    /// Its new name, without a schema.
    pub to: SmolStr,
}

/// Why renames cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenameError {
    /// There is nothing of that name.
    #[error("--rename {0}: there is no {object} in what is there", object = .0.object)]
    Nothing(Box<Rename>),
    /// Another one is of the same object.
    #[error("--rename {0}: {object} is renamed already by another --rename", object = .0.object)]
    Twice(Box<Rename>),
    /// The second side has nothing of the new name: what is renamed would be changed, or dropped, under it.
    #[error("--rename {0}: the second side has no {word} of the new name", word = .0.object.kind.word())]
    Nowhere(Box<Rename>),
}

/// Kinds that are renamed by `ALTER kind name RENAME TO`.
const PLAIN: [ObjectKind; 13] = [
    ObjectKind::Table,
    ObjectKind::View,
    ObjectKind::MaterializedView,
    ObjectKind::ForeignTable,
    ObjectKind::Sequence,
    ObjectKind::Index,
    ObjectKind::Type,
    ObjectKind::Domain,
    ObjectKind::Schema,
    ObjectKind::Collation,
    ObjectKind::Statistics,
    ObjectKind::Publication,
    ObjectKind::EventTrigger,
];

/// Kinds that are renamed by `ALTER kind name ON table RENAME TO`.
const OF_TABLES: [ObjectKind; 3] = [ObjectKind::Trigger, ObjectKind::Policy, ObjectKind::Rule];

impl Rename {
    /// Reads `column app.users.mail=email` or `table app.users=people`; the schema `public` may be left out. Names are as
    /// stored, without quotes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "a rename is written KIND NAME=NEW, e.g. column app.users.mail=email";
        let (old, to) = text.split_once('=').ok_or(form)?;
        let word = words()
            .filter(|word| old.trim_start().strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))
            .max_by_key(|word| word.len());
        let Some(word) = word else {
            let first = old.split_whitespace().next().unwrap_or_default();
            let meant =
                suggest(first, words()).map_or_else(String::new, |word| format!("; did you mean {word}?"));
            return Err(format!("{first:?} is no kind of object{meant}\n{form}"));
        };
        let kind = by_word(word).ok_or(form)?;
        let name = old.trim_start()[word.len()..].trim();
        let parts: Vec<&str> = name.split('.').collect();
        let in_table =
            kind == ObjectKind::Column || kind == ObjectKind::Constraint || OF_TABLES.contains(&kind);
        if !in_table && !PLAIN.contains(&kind) {
            return Err(format!(
                "a {word} cannot be renamed by cutover: drop and make it, or rename it by hand"
            ));
        }
        let object = match (&parts[..], in_table) {
            ([name], false)
                if matches!(
                    kind,
                    ObjectKind::Schema | ObjectKind::Publication | ObjectKind::EventTrigger
                ) =>
            {
                Id::global(kind, *name)
            }
            ([name], false) => Id::new(kind, "public", *name),
            ([schema, name], false) => Id::new(kind, *schema, *name),
            ([table, name], true) => Id::part(kind, "public", *table, *name),
            ([schema, table, name], true) => Id::part(kind, *schema, *table, *name),
            _ => return Err(format!("{name:?} does not name a {word}\n{form}")),
        };
        let to = to.trim();
        if to.is_empty() || to.contains('.') {
            return Err(format!("{to:?} is no new name: it is one name, without a schema"));
        }
        if object.name == to {
            return Err(format!("{object} has that name already"));
        }
        Ok(Self { object, to: to.into() })
    }

    /// What gives the old name back.
    #[must_use]
    pub fn undone(&self) -> Self {
        Self { object: Id { name: self.to.clone(), ..self.object.clone() }, to: self.object.name.clone() }
    }

    /// The statement.
    pub fn sql(&self) -> String {
        let Self { object, to } = self;
        let to = quote_ident(to);
        let word = object.kind.word().to_uppercase();
        match object.kind {
            ObjectKind::Column | ObjectKind::Constraint => {
                format!(
                    "ALTER TABLE {} RENAME {word} {} TO {to}",
                    object.table_sql(),
                    quote_ident(&object.name)
                )
            }
            kind if OF_TABLES.contains(&kind) => {
                format!("ALTER {word} {} ON {} RENAME TO {to}", quote_ident(&object.name), object.table_sql())
            }
            _ => format!("ALTER {word} {} RENAME TO {to}", object.name_sql()),
        }
    }
}

/// The renames as they can be made one after the other: each of what is there then. Names that are swapped, or go round, are
/// changed by way of another one. What a rename is of may be named by what
/// the others make of its table and schema, or as it is there.
///
/// # Errors
/// See [`RenameError`].
pub fn in_order(from: &Schema, renames: &[Rename]) -> Result<Vec<Rename>, RenameError> {
    let mut found: Vec<Rename> = Vec::new();
    for rename in renames {
        let object = before(from, renames, &rename.object);
        let object = object.ok_or_else(|| RenameError::Nothing(Box::new(rename.clone())))?;
        if found.iter().any(|other| other.object == object) {
            return Err(RenameError::Twice(Box::new(rename.clone())));
        }
        found.push(Rename { object, to: rename.to.clone() });
    }
    // Parts first, schemas last: until then their names are as they were.
    let turn = |rename: &Rename| match rename.object.kind {
        ObjectKind::Schema => 2,
        ObjectKind::Index => 0,
        _ => u8::from(!rename.object.is_part_of_a_table()),
    };
    let mut order: Vec<Rename> = Vec::new();
    for now in 0..=2 {
        let these = found.iter().filter(|rename| turn(rename) == now).cloned().collect();
        one_after_the_other(from, these, &mut order);
    }
    Ok(order)
}

/// Whether the second side has what these renames lead to.
///
/// # Errors
/// [`RenameError::Nowhere`].
pub fn lead_to(to: &Schema, renames: &[Rename]) -> Result<(), RenameError> {
    const WHOLES: [ObjectKind; 4] =
        [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::View, ObjectKind::MaterializedView];
    let called = |name: &Option<SmolStr>, kinds: &[ObjectKind]| -> Vec<Option<SmolStr>> {
        let new = renames
            .iter()
            .filter(|other| kinds.contains(&other.object.kind) && Some(&other.object.name) == name.as_ref())
            .map(|other| Some(other.to.clone()));
        std::iter::once(name.clone()).chain(new).collect()
    };
    let is_there = |rename: &&Rename| {
        let object = &rename.object;
        let schemas = called(&object.schema, &[ObjectKind::Schema]);
        let tables = called(&object.table, &WHOLES);
        to.objects.keys().any(|id| {
            let is_of = id.kind == ObjectKind::Index || tables.contains(&id.table);
            id.kind == object.kind && id.name == rename.to && schemas.contains(&id.schema) && is_of
        })
    };
    match renames.iter().find(|rename| !is_there(rename)) {
        Some(rename) => Err(RenameError::Nowhere(Box::new(rename.clone()))),
        None => Ok(()),
    }
}

fn one_after_the_other(from: &Schema, mut waiting: Vec<Rename>, order: &mut Vec<Rename>) {
    while let Some(first) = waiting.first() {
        // A name is free when what has it has another one.
        let taken = |rename: &Rename| waiting.iter().any(|other| in_the_way(&other.object, rename));
        if let Some(next) = waiting.iter().position(|rename| !taken(rename)) {
            order.push(waiting.remove(next));
            continue;
        }
        let aside = aside(from, order, &first.object);
        let object = Id { name: aside.clone(), ..first.object.clone() };
        order.push(Rename { object: first.object.clone(), to: aside });
        if let Some(first) = waiting.first_mut() {
            first.object = object;
        }
    }
}

/// Whether something has the name that something else is to have.
fn in_the_way(object: &Id, rename: &Rename) -> bool {
    // They have one namespace in each schema, tables and views for the sake of their types.
    let of_a_schema = |kind: ObjectKind| {
        matches!(
            kind,
            ObjectKind::Table
                | ObjectKind::View
                | ObjectKind::MaterializedView
                | ObjectKind::ForeignTable
                | ObjectKind::Sequence
                | ObjectKind::Index
                | ObjectKind::Type
                | ObjectKind::Domain
        )
    };
    let wanted = &rename.object;
    object.name == rename.to
        && object.schema == wanted.schema
        && (of_a_schema(object.kind) && of_a_schema(wanted.kind)
            || object.kind == wanted.kind && object.table == wanted.table)
}

/// A name that nothing has.
fn aside(from: &Schema, order: &[Rename], id: &Id) -> SmolStr {
    let free = |name: &SmolStr| {
        from.objects.keys().all(|other| other.name != *name) && order.iter().all(|other| other.to != *name)
    };
    let numbered = (1_u32..).map(|number| SmolStr::from(format!("cutover_renaming_{number}")));
    numbered.into_iter().find(free).unwrap_or_else(|| id.name.clone())
}

/// What is called by that name before any of the renames, or by its new table's or schema's name.
fn before(from: &Schema, renames: &[Rename], id: &Id) -> Option<Id> {
    let is_there = |id: &Id| {
        // Indexes are parts of their tables, and named without them.
        let is_index = |other: &Id| {
            other.kind == ObjectKind::Index && other.schema == id.schema && other.name == id.name
        };
        from.objects.contains_key(id) || id.kind == ObjectKind::Index && from.objects.keys().any(is_index)
    };
    let schemas = renames
        .iter()
        .filter(|rename| rename.object.kind == ObjectKind::Schema && Some(&rename.to) == id.schema.as_ref())
        .map(|rename| Some(rename.object.name.clone()));
    let schemas: Vec<Option<SmolStr>> = std::iter::once(id.schema.clone()).chain(schemas).collect();
    let wholes =
        [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::View, ObjectKind::MaterializedView];
    let tables = renames
        .iter()
        .filter(|rename| wholes.contains(&rename.object.kind) && Some(&rename.to) == id.table.as_ref())
        .map(|rename| Some(rename.object.name.clone()));
    let tables: Vec<Option<SmolStr>> = std::iter::once(id.table.clone()).chain(tables).collect();
    let spelled = schemas.iter().flat_map(|schema| {
        tables.iter().map(|table| Id { schema: schema.clone(), table: table.clone(), ..id.clone() })
    });
    spelled.into_iter().find(is_there)
}

/// The schema as it is when the renames were made, read from a copy built on a throwaway server.
///
/// # Errors
/// [`SideError::NotBuilt`].
pub async fn renamed(
    from: &Schema,
    renames: &[Rename],
    sandbox: &SandboxProvider,
) -> Result<Schema, SideError> {
    let not_built = |why: String| SideError::NotBuilt("a copy with the new names".to_owned(), why);
    let likeness = Likeness::of_version(from.server_version / 10_000);
    let mut replay = Replay::open_like(&likeness, sandbox).await.map_err(|trouble| not_built(trouble.0))?;
    let built = copy(&mut replay, from, renames).await;
    replay.finish().await;
    let mut schema = built.map_err(not_built)?;
    // Who owns what is the same; that somebody else built the copy is nobody's change.
    schema.owner.clone_from(&from.owner);
    Ok(schema)
}

async fn copy(replay: &mut Replay, from: &Schema, renames: &[Rename]) -> Result<Schema, String> {
    let is_own_server = replay.is_on_own_server();
    let session = &mut replay.session;
    let nothing = catalog::schema(session, &[]).await.map_err(|error| error.to_string())?;
    let made = diff(&nothing, from, Options { safe: false });
    // Each statement ends its own transaction here, and with it what is said of bodies for that.
    let unchecked = "SET check_function_bodies = off".to_owned();
    // Roles are the whole server's: on one that serves others too they stay as they are.
    let cast = if is_own_server { played_by(from) } else { Vec::new() };
    let texts = cast
        .into_iter()
        .chain([unchecked])
        .chain(made.statements.into_iter().map(|statement| statement.text))
        .chain(renames.iter().map(Rename::sql));
    for text in texts {
        session.execute(&text).await.map_err(|failure| format!("{text}: {}", failure_text(&failure)))?;
    }
    let mut made = catalog::schema(session, &[]).await.map_err(|error| error.to_string())?;
    made.with_hidden_options_of(from);
    if made.owner != from.owner {
        given_to(&mut made, &from.owner);
    }
    Ok(made)
}

/// The statements that make the roles of a schema on a throwaway server and go on as its owner.
fn played_by(from: &Schema) -> Vec<String> {
    let roles = roles_of(from).into_iter().map(|role| {
        format!("DO $do$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $do$")
    });
    let superuser = format!("ALTER ROLE {} SUPERUSER", quote_ident(&from.owner));
    let become_owner = format!("SET SESSION AUTHORIZATION {}", quote_literal(&from.owner));
    roles.chain([superuser, become_owner]).collect()
}

/// What the role that built the copy owns is the owner's.
fn given_to(schema: &mut Schema, owner: &str) {
    let built_by = std::mem::replace(&mut schema.owner, owner.to_owned());
    for object in schema.objects.values_mut() {
        if object.text("owner") == Some(&built_by) {
            object.attributes.insert("owner".into(), Value::Text(owner.to_owned()));
        }
    }
}

/// The roles that a schema mentions, as SQL spells them.
fn roles_of(schema: &Schema) -> std::collections::BTreeSet<String> {
    let mut roles = std::collections::BTreeSet::from([quote_ident(&schema.owner)]);
    for (id, object) in &schema.objects {
        roles.extend(object.text("owner").map(quote_ident));
        roles.extend(object.list("roles").iter().filter(|_| id.kind == ObjectKind::Policy).cloned());
        for entry in object.list("grants").iter().chain(object.list("revoked")) {
            let role =
                entry.split_once(" TO ").map_or("", |(_, role)| role.trim_end_matches(" WITH GRANT OPTION"));
            roles.extend((!role.is_empty() && role != "PUBLIC").then(|| role.to_owned()));
        }
        if id.kind == ObjectKind::DefaultPrivileges {
            roles.insert(id.name.to_string());
        }
    }
    roles.retain(|role| !role.starts_with("pg_"));
    roles
}

/// What is gone and what is new and looks like it: perhaps the same under another name. For people to decide.
pub fn candidates(from: &Schema, to: &Schema, changes: &[Change]) -> Vec<Rename> {
    let gone = changes.iter().filter(|change| change.what == What::Dropped).map(|change| &change.object);
    let new: Vec<&Id> =
        changes.iter().filter(|change| change.what == What::Created).map(|change| &change.object).collect();
    let alike = |old: &Id, other: &Id| {
        let same_place = old.kind == other.kind && old.schema == other.schema && old.table == other.table;
        let same = |attribute: &str| {
            from.get(old).and_then(|object| object.attributes.get(attribute))
                == to.get(other).and_then(|object| object.attributes.get(attribute))
        };
        match old.kind {
            ObjectKind::Column => same_place && same("type") && same("not null"),
            ObjectKind::Table => same_place && same("columns"),
            ObjectKind::Type => same_place && same("form") && same("values") && same("attributes"),
            _ => false,
        }
    };
    let mut found = Vec::new();
    for old in gone {
        let others: Vec<&&Id> = new.iter().filter(|other| alike(old, other)).collect();
        if let [only] = others[..] {
            found.push(Rename { object: old.clone(), to: only.name.clone() });
        }
    }
    found
}

impl std::fmt::Display for Rename {
    /// As [`Rename::parse`] reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { object, to } = self;
        let parts = [object.schema.as_deref(), object.table.as_deref(), Some(object.name.as_str())];
        let name: Vec<&str> = parts.into_iter().flatten().collect();
        write!(f, "{} {}={to}", object.kind.word(), name.join("."))
    }
}

#[cfg(test)]
mod tests {
    use cutover_analysis::effects::ObjectKind;
    use cutover_analysis::schema::{Id, Object, Schema};

    use super::{Rename, RenameError, in_order, lead_to};

    #[test]
    fn renames_are_put_in_an_order_in_which_each_finds_what_it_is_of() {
        let mut from = Schema::empty(150_000, "x");
        for id in [
            Id::global(ObjectKind::Schema, "app"),
            Id::new(ObjectKind::Table, "app", "users"),
            Id::part(ObjectKind::Column, "app", "users", "a"),
            Id::part(ObjectKind::Column, "app", "users", "b"),
            Id::part(ObjectKind::Index, "app", "users", "ix"),
        ] {
            from.objects.insert(id, Object::default());
        }
        let read = |texts: &[&str]| -> Vec<Rename> {
            texts.iter().map(|text| Rename::parse(text).unwrap()).collect()
        };
        let given = read(&[
            "schema app=shop",
            "table shop.users=people",
            "column app.users.a=b",
            "column shop.people.b=c",
            "index app.ix=iy",
        ]);
        let found: Vec<String> = in_order(&from, &given).unwrap().iter().map(Rename::sql).collect();
        assert_eq!(
            found,
            [
                "ALTER TABLE app.users RENAME COLUMN b TO c",
                "ALTER TABLE app.users RENAME COLUMN a TO b",
                "ALTER INDEX app.ix RENAME TO iy",
                "ALTER TABLE app.users RENAME TO people",
                "ALTER SCHEMA app RENAME TO shop",
            ]
        );
        let unknown = read(&["column app.users.c=d"]);
        assert_eq!(in_order(&from, &unknown), Err(RenameError::Nothing(Box::new(unknown[0].clone()))));
        // By its own name, and by that of its new table.
        let twice = read(&["table app.users=people", "column app.users.a=c", "column app.people.a=d"]);
        assert_eq!(in_order(&from, &twice), Err(RenameError::Twice(Box::new(twice[2].clone()))));
    }

    #[test]
    fn names_that_are_swapped_or_go_round_are_changed_by_way_of_another() {
        let mut from = Schema::empty(150_000, "x");
        for id in [
            Id::new(ObjectKind::Table, "public", "a"),
            Id::new(ObjectKind::View, "public", "b"),
            Id::new(ObjectKind::Table, "public", "c"),
            Id::new(ObjectKind::Table, "public", "cutover_renaming_1"),
            Id::global(ObjectKind::Schema, "s"),
            Id::part(ObjectKind::Column, "public", "a", "x"),
            Id::part(ObjectKind::Column, "public", "a", "y"),
        ] {
            from.objects.insert(id, Object::default());
        }
        let texts = ["schema s=t", "table a=b", "view b=c", "table c=a", "column a.x=y", "column a.y=x"];
        let given: Vec<Rename> = texts.iter().map(|text| Rename::parse(text).unwrap()).collect();
        let found: Vec<String> = in_order(&from, &given).unwrap().iter().map(Rename::sql).collect();
        assert_eq!(
            found,
            [
                "ALTER TABLE public.a RENAME COLUMN x TO cutover_renaming_2",
                "ALTER TABLE public.a RENAME COLUMN y TO x",
                "ALTER TABLE public.a RENAME COLUMN cutover_renaming_2 TO y",
                "ALTER TABLE public.a RENAME TO cutover_renaming_3",
                "ALTER TABLE public.c RENAME TO a",
                "ALTER VIEW public.b RENAME TO c",
                "ALTER TABLE public.cutover_renaming_3 RENAME TO b",
                "ALTER SCHEMA s RENAME TO t",
            ]
        );
    }

    #[test]
    fn what_is_renamed_is_called_so_on_the_second_side() {
        let mut to = Schema::empty(150_000, "x");
        for id in [
            Id::new(ObjectKind::Table, "t", "people"),
            Id::part(ObjectKind::Column, "t", "people", "email"),
            Id { table: Some("people".into()), ..Id::new(ObjectKind::Index, "t", "people_email") },
        ] {
            to.objects.insert(id, Object::default());
        }
        let leads = |to: &Schema, texts: &[&str]| {
            let given: Vec<Rename> = texts.iter().map(|text| Rename::parse(text).unwrap()).collect();
            lead_to(to, &given).map_err(|error| error.to_string())
        };
        let all = [
            "schema s=t",
            "table s.users=people",
            "column s.users.mail=email",
            "index s.users_mail=people_email",
        ];
        let nothing = leads(&to, &all).unwrap_err();
        assert_eq!(nothing, "--rename schema s=t: the second side has no schema of the new name");
        to.objects.insert(Id::global(ObjectKind::Schema, "t"), Object::default());
        assert_eq!(leads(&to, &all), Ok(()));
        assert!(
            leads(&to, &["column t.people.mail=emial"]).unwrap_err().contains("no column of the new name")
        );
    }

    #[test]
    fn a_rename_is_read_and_written() {
        for (text, sql) in [
            ("column app.users.mail=email", "ALTER TABLE app.users RENAME COLUMN mail TO email"),
            ("table app.users=people", "ALTER TABLE app.users RENAME TO people"),
            ("materialized view app.sums=totals", "ALTER MATERIALIZED VIEW app.sums RENAME TO totals"),
            ("trigger app.users.touch=touched", "ALTER TRIGGER touch ON app.users RENAME TO touched"),
            ("schema app=shop", "ALTER SCHEMA app RENAME TO shop"),
            ("type public.Mood=mood", "ALTER TYPE public.\"Mood\" RENAME TO mood"),
        ] {
            let rename = Rename::parse(text).unwrap();
            assert_eq!((rename.sql().as_str(), rename.to_string().as_str()), (sql, text));
        }
        assert_eq!(
            Rename::parse("table users=people").unwrap().sql(),
            "ALTER TABLE public.users RENAME TO people"
        );
    }

    #[test]
    fn what_is_no_rename_is_told_why() {
        for (text, why) in [
            ("users", "KIND NAME=NEW"),
            ("tabel users=people", "did you mean table?"),
            ("table a.b.c=d", "does not name a table"),
            ("table a=b.c", "one name, without a schema"),
            ("cast x=y", "cannot be renamed"),
            ("table a=a", "has that name already"),
        ] {
            let message = Rename::parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
