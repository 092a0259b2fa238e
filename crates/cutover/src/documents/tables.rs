//! Tables as they are in the database, and the four consistency tables: what the applied migrations make on a throwaway server
//! against what is there.

use std::collections::BTreeSet;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Object, Schema};
use serde::Serialize;

use crate::erd;

/// The words of a comparison.
pub(super) const HOLDS: &str = "holds";
pub(super) const DIFFERS: &str = "differs";
pub(super) const MISSING: &str = "missing";
pub(super) const NOT_DECLARED: &str = "not declared";
pub(super) const NOT_MEASURED: &str = "not measured";

/// A table of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct TableNote {
    /// Its name, with its schema where that is not `public`.
    pub(super) name: String,
    /// The migration that creates it, as its file spells the version; none where no file of the project does.
    pub(super) migration: Option<String>,
    /// What has given it another name since, in its order.
    pub(super) renamed: Vec<Renamed>,
    pub(super) comment: Option<String>,
    pub(super) columns: Vec<ColumnNote>,
    /// Those that stand for themselves.
    pub(super) indexes: Vec<PartNote>,
    /// Primary keys, unique and exclusion constraints: each has an index of its own.
    pub(super) keys: Vec<PartNote>,
    pub(super) foreign_keys: Vec<PartNote>,
    pub(super) checks: Vec<PartNote>,
}

/// Another name that a table was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Renamed {
    /// The migration, as its file spells the version.
    pub(super) migration: String,
    /// What it was called before.
    pub(super) from: String,
}

/// The migration that creates a table, and those that have renamed it.
pub(super) type Origin = (Option<String>, Vec<Renamed>);

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ColumnNote {
    pub(super) name: String,
    /// Type, NOT NULL, default and the like, in PostgreSQL's words.
    pub(super) definition: String,
    pub(super) comment: Option<String>,
}

/// An index or a constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct PartNote {
    pub(super) name: String,
    /// In PostgreSQL's words.
    pub(super) definition: String,
}

/// How many parts a table has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Numbers {
    pub(super) columns: usize,
    /// All of them, with those behind keys.
    pub(super) indexes: usize,
    pub(super) foreign_keys: usize,
    pub(super) checks: usize,
}

impl TableNote {
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            columns: self.columns.len(),
            indexes: self.indexes.len() + self.keys.len(),
            foreign_keys: self.foreign_keys.len(),
            checks: self.checks.len(),
        }
    }
}

/// What is declared against what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Consistency {
    /// What the declared side is, in words.
    pub(super) declared_by: String,
    /// What the measured side is, in words.
    pub(super) measured_in: String,
    /// Why the declared side is not known, where it is not.
    pub(super) not_measured: Option<String>,
    pub(super) remarks: Vec<String>,
    pub(super) tables: Vec<ComparedTable>,
    pub(super) columns: Vec<Compared>,
    pub(super) indexes: Vec<Compared>,
    pub(super) foreign_keys: Vec<Compared>,
    /// Everything else: checks, views, routines, triggers, policies, types …
    pub(super) others: Vec<Compared>,
    pub(super) totals: Totals,
}

/// A table on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ComparedTable {
    pub(super) table: String,
    /// The migrations of which `cutover.toml` claims that they create it.
    pub(super) claimed_by: Vec<String>,
    pub(super) declared: Option<Numbers>,
    pub(super) found: Option<Numbers>,
    pub(super) verdict: &'static str,
}

/// A part on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Compared {
    /// The table it belongs to; of others, what kind of object it is.
    pub(super) of: String,
    pub(super) name: String,
    pub(super) declared: Option<String>,
    pub(super) found: Option<String>,
    pub(super) verdict: &'static str,
}

/// How many comparisons came to what, all of the above together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) hold: usize,
    pub(super) do_not_hold: usize,
    pub(super) not_measured: usize,
}

/// The tables of a schema, by name; `origin` says which migration creates one, and which have renamed it.
pub(super) fn tables(schema: &Schema, origin: &dyn Fn(&Id) -> Origin) -> Vec<TableNote> {
    let ids = schema.objects.iter().filter(|(id, _)| is_table(id));
    let mut notes: Vec<TableNote> = ids
        .map(|(id, object)| (id, object, origin(id)))
        .map(|(id, object, (migration, renamed))| TableNote {
            name: erd::name(id),
            migration,
            renamed,
            comment: object.text("comment").map(str::to_owned),
            columns: columns(schema, id),
            indexes: parts(schema, id, |id, _| id.kind == ObjectKind::Index),
            keys: constraints(schema, id, &["PRIMARY KEY", "UNIQUE", "EXCLUDE"]),
            foreign_keys: constraints(schema, id, &["FOREIGN KEY"]),
            checks: constraints(schema, id, &["CHECK"]),
        })
        .collect();
    notes.sort_by(|a, b| a.name.cmp(&b.name));
    notes
}

pub(super) fn is_table(id: &Id) -> bool {
    matches!(id.kind, ObjectKind::Table | ObjectKind::ForeignTable)
}

fn columns(schema: &Schema, table: &Id) -> Vec<ColumnNote> {
    let names = schema.objects.get(table).map_or(&[][..], |object| object.list("columns"));
    let part =
        |kind, name: &str| Id::part(kind, table.schema.clone().unwrap_or_default(), table.name.clone(), name);
    let note = |name: &String| {
        let column = schema.get(&part(ObjectKind::Column, name))?;
        let default =
            schema.get(&part(ObjectKind::Default, name)).and_then(|object| object.text("expression"));
        let comment = column.text("comment").map(str::to_owned);
        Some(ColumnNote { name: name.clone(), definition: definition(column, default), comment })
    };
    names.iter().filter_map(note).collect()
}

/// A column as CREATE TABLE would have it.
fn definition(column: &Object, default: Option<&str>) -> String {
    let mut words = vec![column.text("type").unwrap_or_default().to_owned()];
    words.extend(column.text("collation").map(|collation| format!("COLLATE {collation}")));
    words.extend(column.text("not null").map(str::to_owned));
    words.extend(default.map(|default| format!("DEFAULT {default}")));
    words.extend(column.text("generated").map(|text| format!("GENERATED ALWAYS AS {text}")));
    words.extend(column.text("identity").map(|how| format!("GENERATED {how} AS IDENTITY")));
    words.join(" ")
}

fn parts(schema: &Schema, table: &Id, wanted: impl Fn(&Id, &Object) -> bool) -> Vec<PartNote> {
    let parts = schema.parts_of(table).filter(|(id, object)| wanted(id, object));
    let invalid = |object: &Object| if object.has("invalid") { " (invalid)" } else { "" };
    let note = |(id, object): (&Id, &Object)| PartNote {
        name: id.name.to_string(),
        definition: format!("{}{}", object.text("definition").unwrap_or_default(), invalid(object)),
    };
    parts.map(note).collect()
}

fn constraints(schema: &Schema, table: &Id, kinds: &[&str]) -> Vec<PartNote> {
    let is_one = |object: &Object| {
        let definition = object.text("definition").unwrap_or_default();
        kinds.iter().any(|kind| definition.starts_with(kind))
    };
    parts(schema, table, |id, object| id.kind == ObjectKind::Constraint && is_one(object))
}

impl Consistency {
    /// Of two schemas; `claimed_by` says who claims to create a table. Without a declared one nothing is measured, and each row says so.
    pub(super) fn of(
        declared: Option<&Schema>,
        live: &Schema,
        claimed_by: &dyn Fn(&Id) -> Vec<String>,
    ) -> Self {
        let nobody = |_: &Id| (None, Vec::new());
        let here = tables(live, &nobody);
        let there = declared.map(|schema| tables(schema, &nobody));
        let names = there.iter().flatten().chain(&here).map(|table| table.name.as_str());
        let names: BTreeSet<&str> = names.collect();
        let mut found = Self::default();
        let of = |tables: &[TableNote], name: &str| tables.iter().find(|table| table.name == name).cloned();
        for name in names {
            let declared = there.as_deref().and_then(|tables| of(tables, name));
            found.table(name, there.is_some(), declared.as_ref(), of(&here, name).as_ref());
        }
        let both = declared.into_iter().chain([live]).flat_map(|schema| schema.objects.keys());
        let ids: BTreeSet<&Id> = both.filter(|id| is_table(id)).collect();
        for one in &mut found.tables {
            let id = ids.iter().find(|id| erd::name(id) == one.table);
            one.claimed_by = id.map(|id| claimed_by(id)).unwrap_or_default();
        }
        found.others = others(declared, live);
        found.totals = found.total();
        found
    }

    /// `known` says whether anything is known of the declared side.
    fn table(&mut self, name: &str, known: bool, declared: Option<&TableNote>, live: Option<&TableNote>) {
        let empty = TableNote::default();
        let (here, there) = (live.unwrap_or(&empty), declared.unwrap_or(&empty));
        let column = |column: &ColumnNote| (column.name.clone(), column.definition.clone());
        let part = |part: &PartNote| (part.name.clone(), part.definition.clone());
        let columns = |table: &TableNote| table.columns.iter().map(column).collect::<Vec<_>>();
        let indexes =
            |table: &TableNote| table.keys.iter().chain(&table.indexes).map(part).collect::<Vec<_>>();
        let keys = |table: &TableNote| table.foreign_keys.iter().map(part).collect::<Vec<_>>();
        let compared = |declared: Vec<(String, String)>, found: &[(String, String)]| {
            pairs(name, known.then_some(declared.as_slice()), found)
        };
        self.columns.extend(compared(columns(there), &columns(here)));
        self.indexes.extend(compared(indexes(there), &indexes(here)));
        self.foreign_keys.extend(compared(keys(there), &keys(here)));
        let all = |table: &TableNote| (columns(table), indexes(table), keys(table), table.checks.clone());
        let verdict =
            if known { verdict(declared.map(all).as_ref(), live.map(all).as_ref()) } else { NOT_MEASURED };
        let (declared, found) = (declared.map(TableNote::numbers), live.map(TableNote::numbers));
        self.tables.push(ComparedTable {
            table: name.to_owned(),
            claimed_by: Vec::new(),
            declared,
            found,
            verdict,
        });
    }

    fn total(&self) -> Totals {
        let parts = [&self.columns, &self.indexes, &self.foreign_keys, &self.others];
        let of_parts = parts.into_iter().flatten().map(|one| one.verdict);
        let mut totals = Totals::default();
        for verdict in self.tables.iter().map(|one| one.verdict).chain(of_parts) {
            match verdict {
                HOLDS => totals.hold += 1,
                NOT_MEASURED => totals.not_measured += 1,
                _ => totals.do_not_hold += 1,
            }
        }
        totals
    }
}

fn verdict<T: PartialEq>(declared: Option<&T>, found: Option<&T>) -> &'static str {
    match (declared, found) {
        (Some(declared), Some(found)) if declared == found => HOLDS,
        (Some(_), Some(_)) => DIFFERS,
        (Some(_), None) => MISSING,
        (None, _) => NOT_DECLARED,
    }
}

/// Parts by name, those that are declared first, in their order.
fn pairs(of: &str, declared: Option<&[(String, String)]>, found: &[(String, String)]) -> Vec<Compared> {
    let known = declared.is_some();
    let declared = declared.unwrap_or_default();
    let has = |list: &[(String, String)], name: &str| {
        list.iter().find(|(known, _)| known == name).map(|(_, definition)| definition.clone())
    };
    let mut names: Vec<&String> = declared.iter().map(|(name, _)| name).collect();
    names.extend(found.iter().map(|(name, _)| name).filter(|name| has(declared, name).is_none()));
    let one = |name: &String| {
        let (declared, found) = (has(declared, name), has(found, name));
        let verdict = if known { verdict(declared.as_ref(), found.as_ref()) } else { NOT_MEASURED };
        Compared { of: of.to_owned(), name: name.clone(), declared, found, verdict }
    };
    names.into_iter().map(one).collect()
}

/// What is no table, column, index, foreign key or the like: each object as a whole, with what of it differs.
fn others(declared: Option<&Schema>, live: &Schema) -> Vec<Compared> {
    let of_both = declared.into_iter().chain([live]).flat_map(|schema| schema.objects.iter());
    let also = |id: &Id| declared.is_some_and(|declared| differs_otherwise(declared.get(id), live.get(id)));
    let of_both = of_both.filter(|(id, object)| is_other(id, object) || also(id));
    let ids: BTreeSet<&Id> = of_both.map(|(id, _)| id).collect();
    let words = |object: &Object, other: Option<&Object>| {
        let differs = |name: &&cutover_analysis::effects::SmolStr| {
            other.is_some_and(|other| other.attributes.get(*name) != object.attributes.get(*name))
        };
        let mut named: Vec<String> = object
            .attributes
            .keys()
            .filter(differs)
            .map(|name| format!("{name}: {}", object.attributes[name].text()))
            .collect();
        if named.is_empty() {
            named.push("there".to_owned());
        }
        named.join("; ")
    };
    let one = |id: &Id| {
        let there = declared.map(|schema| schema.get(id));
        let here = live.get(id);
        let verdict = match there {
            None => NOT_MEASURED,
            Some(there) => verdict(there, here),
        };
        let there = there.flatten();
        Compared {
            of: id.kind.word().to_owned(),
            name: id.to_string().trim_start_matches(id.kind.word()).trim_start().to_owned(),
            declared: there.map(|object| words(object, here)),
            found: here.map(|object| words(object, there)),
            verdict,
        }
    };
    ids.into_iter().map(one).collect()
}

/// Whether a part of a table differs in something that no other comparison shows: comments, privileges, options.
fn differs_otherwise(declared: Option<&Object>, live: Option<&Object>) -> bool {
    const SHOWN: [&str; 8] =
        ["columns", "type", "collation", "not null", "generated", "identity", "definition", "invalid"];
    let (Some(declared), Some(live)) = (declared, live) else { return false };
    let mut names = declared.attributes.keys().chain(live.attributes.keys());
    names.any(|name| {
        !SHOWN.contains(&name.as_str()) && declared.attributes.get(name) != live.attributes.get(name)
    })
}

fn is_other(id: &Id, object: &Object) -> bool {
    let definition = object.text("definition").unwrap_or_default();
    match id.kind {
        ObjectKind::Table
        | ObjectKind::ForeignTable
        | ObjectKind::Column
        | ObjectKind::Default
        | ObjectKind::Index => false,
        ObjectKind::Constraint => definition.starts_with("CHECK"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_on_one_side_never_holds() {
        let found = vec![("a".to_owned(), "int".to_owned())];
        let unknown = pairs("t", None, &found);
        assert_eq!(unknown[0].verdict, NOT_MEASURED);
        let declared = vec![("a".to_owned(), "text".to_owned()), ("b".to_owned(), "int".to_owned())];
        let words: Vec<&str> = pairs("t", Some(&declared), &found).iter().map(|one| one.verdict).collect();
        assert_eq!(words, [DIFFERS, MISSING]);
        assert_eq!(pairs("t", Some(&[]), &found)[0].verdict, NOT_DECLARED);
        assert_eq!(pairs("t", Some(&found), &found)[0].verdict, HOLDS);
    }
}
