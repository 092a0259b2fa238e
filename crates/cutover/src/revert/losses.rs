//! What would be lost: tables and columns that go and hold something in the database itself.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Attribute, What};
use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::ours::IN_SQL;
use cutover_analysis::schema::{Id, Object, Schema, Value};
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;

use super::RevertError;
use super::code::{Codes, Writer};
use super::names::Key;
use super::rehearse::{Fits, Way};
use crate::apply::own_startup;
use crate::catalog;

/// How long it is looked for something in one table before it is taken to hold something.
/// Rows that a policy hides are an error then, and not nothing.
const LONGEST: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET row_security = off";

/// Something that goes by a way back.
#[derive(Debug)]
pub(super) struct Gone {
    /// What it is called when the way back begins.
    pub(super) then: Id,
    /// What it is called now, before any of the ways back; none where it is one of them that makes it.
    pub(super) now: Option<Id>,
    /// What it is, on the server where that was found out.
    pub(super) key: Option<Key>,
}

/// What goes, as it was found.
#[derive(Default)]
pub(super) struct Found {
    /// What is lost, in words.
    pub(super) lost: Vec<String>,
    /// Tables and columns that go and hold nothing.
    pub(super) emptied: Vec<Id>,
}

/// Asks whether a table or a column holds something; of anything else nothing is asked. A composite value whose fields are
/// all null is one.
pub(crate) fn holds_sql(id: &Id) -> Option<String> {
    match id.kind {
        ObjectKind::Table => Some(format!("SELECT EXISTS (SELECT FROM {})", id.name_sql())),
        ObjectKind::Column => {
            let name = quote_ident(&id.name);
            let table = id.table_sql();
            Some(format!("SELECT EXISTS (SELECT FROM {table} WHERE pg_catalog.num_nonnulls({name}) > 0)"))
        }
        _ => None,
    }
}

/// Asks whether a table or a column is there.
pub(crate) fn is_there_sql(id: &Id) -> String {
    let table = format!("pg_catalog.to_regclass({})", quote_literal(&id.table_sql()));
    if id.kind == ObjectKind::Column {
        let name = quote_literal(&id.name);
        return format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = {table} AND attname = {name} AND NOT attisdropped)"
        );
    }
    format!("SELECT {table} IS NOT NULL")
}

/// Asks whether a sequence that belongs to no column has given numbers.
fn was_used_sql(id: &Id) -> String {
    let name = id.name_sql();
    format!(
        "SELECT s.is_called AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
            AND d.objid = {}::regclass AND d.deptype IN ('a', 'i')) FROM {name} s",
        quote_literal(&name)
    )
}

/// A session that looks.
pub(super) struct Losses {
    pub(super) session: Session,
    real: Real,
    /// The code that is in the database; none where nobody has asked for it.
    codes: Option<Codes>,
}

/// All that is in the database.
enum Real {
    /// Nobody has asked for it.
    NotRead,
    Read(Schema),
    /// The server does not tell, or not in time.
    Unknown,
}

impl Losses {
    pub(super) async fn of(options: &ConnectOptions) -> Result<Self, RevertError> {
        let mut session = Session::connect(options, &own_startup("revert", None)).await?;
        session.execute(LONGEST).await?;
        Ok(Self { session, real: Real::NotRead, codes: None })
    }

    pub(super) async fn close(self) {
        self.session.close().await;
    }

    /// What is lost by a way back. `there` is all that is there before any of them in the rehearsal, none of its definitions where
    /// these are told by another version of PostgreSQL; `gone` is what ways back before
    /// it take away, by the names of now.
    pub(super) async fn of_way(
        &mut self,
        way: &Way,
        there: &Schema,
        gone: &mut BTreeSet<Id>,
    ) -> Result<Found, RevertError> {
        let mut found = Found::default();
        for one in &way.gone {
            self.gone(one, way, there, &mut found).await?;
        }
        self.by_hand(way, there, &mut found).await?;
        self.attached(way, there, &mut found).await?;
        gone.extend(way.gone.iter().filter_map(|one| one.now.clone()));
        for change in &way.changes {
            if let What::Altered { attributes } = &change.what {
                let is_rebuilt = way.rebuilt.contains(&change.object);
                found.lost.extend(changed(&change.object, attributes, is_rebuilt));
            }
        }
        for (one, how) in &way.touched {
            self.touched(one, how, &mut found).await?;
        }
        for meant in &way.perhaps {
            self.computed(meant, way, &mut found).await?;
        }
        for meant in &way.drops {
            self.dropped(meant, gone, &mut found).await?;
            self.dropped_by_hand(meant, way, there, &mut found).await?;
        }
        if way.cascades {
            found.lost.extend(self.by_cascade(way, there).await?);
        }
        self.run(way, gone, &mut found).await?;
        Ok(found)
    }

    /// What code may do to rows: what the way back runs, and what hangs on what it writes.
    async fn run(&mut self, way: &Way, gone: &BTreeSet<Id>, found: &mut Found) -> Result<(), RevertError> {
        if self.codes.is_none() {
            self.codes = match Codes::read(&mut self.session).await {
                Ok(codes) => Some(codes),
                // What cannot be looked at in time may do anything.
                Err(failure) if failure.code().is_some() => None,
                Err(failure) => return Err(failure.into()),
            };
        }
        let mut unknown = way.unknown.clone();
        let mut along = Vec::new();
        let written: Vec<&Gone> = way.written.iter().collect();
        match &mut self.codes {
            Some(codes) => {
                for writer in codes.of_way(&way.statements, &way.runs, &written) {
                    match writer {
                        Writer::Any(what) => unknown.push(what),
                        Writer::Of(table, what) => along.push((table, what)),
                    }
                }
            }
            None if way.statements.is_empty() => {}
            None => unknown.push("code of the database that could not be read".to_owned()),
        }
        for (table, what) in along.into_iter().filter(|(table, _)| !gone.contains(table)) {
            let question = holds_sql(&table).unwrap_or_default();
            if self.holds(&table, &question).await? {
                found.lost.push(format!("perhaps rows of {table}, which {what} deletes or changes along"));
            }
        }
        if !unknown.is_empty() && self.any_rows().await? {
            let what = |one| {
                format!("perhaps rows of any table: nobody knows what its way back does to them by {one}")
            };
            found.lost.extend(unknown.iter().map(what));
        }
        Ok(())
    }

    /// What stays, and loses rows or values.
    async fn touched(&mut self, one: &Gone, how: &str, found: &mut Found) -> Result<(), RevertError> {
        let Some(now) = &one.now else { return Ok(()) };
        let Some(question) = holds_sql(now) else { return Ok(()) };
        let what = if now.kind == ObjectKind::Column { "perhaps values" } else { "rows" };
        if self.holds(now, &question).await? {
            found.lost.push(format!("{what} of {}, which {how}", one.then));
        } else {
            found.emptied.push(one.then.clone());
        }
        Ok(())
    }

    /// What a down file drops by name and the rehearsal did not see go: it was made by hand, or is dropped only where there is
    /// something.
    async fn dropped(
        &mut self,
        meant: &ObjectRef,
        gone: &mut BTreeSet<Id>,
        found: &mut Found,
    ) -> Result<(), RevertError> {
        let kind = meant.kind;
        let name = quote_literal(meant.table.as_ref().unwrap_or(&meant.name));
        let of = |what: &str| match &meant.schema {
            Some(schema) => format!("{what} = {}", quote_literal(schema)),
            None => format!("{what} !~ '^pg_' AND {what} NOT IN ('information_schema', {IN_SQL})"),
        };
        let relkinds = match kind {
            ObjectKind::Table | ObjectKind::Relation | ObjectKind::Column => "'r', 'p'",
            ObjectKind::Sequence => "'S'",
            _ => return Ok(()),
        };
        let relations = format!(
            "SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relname = {name} AND c.relkind IN ({relkinds}) AND {}",
            of("n.nspname")
        );
        for row in self.session.query_text(&relations).await?.rows {
            let Some(Some(schema)) = row.into_iter().next() else { continue };
            let id = match &meant.table {
                Some(table) => Id::part(ObjectKind::Column, schema, table.clone(), meant.name.clone()),
                None if kind == ObjectKind::Sequence => Id::new(kind, schema, meant.name.clone()),
                None => Id::new(ObjectKind::Table, schema, meant.name.clone()),
            };
            let table = id
                .table
                .clone()
                .zip(id.schema.clone())
                .map(|(table, schema)| Id::new(ObjectKind::Table, schema, table));
            if gone.contains(&id) || table.is_some_and(|table| gone.contains(&table)) {
                continue;
            }
            let question =
                if kind == ObjectKind::Sequence { Some(was_used_sql(&id)) } else { holds_sql(&id) };
            if let Some(question) = question
                && self.holds(&id, &question).await?
            {
                let what = match id.kind {
                    ObjectKind::Sequence => "how far it has counted",
                    ObjectKind::Column => "its values",
                    _ => "its rows",
                };
                found.lost.push(format!("{id} and {what}, which its way back drops where it is there"));
            }
            gone.insert(id);
        }
        Ok(())
    }

    /// A column that a down file gives a type where it is there, or in a block of which not all was run in the rehearsal.
    async fn computed(&mut self, meant: &ObjectRef, way: &Way, found: &mut Found) -> Result<(), RevertError> {
        for id in self.columns(meant).await? {
            let is_it = |other: &Id| {
                *other == id
                    || other.kind == ObjectKind::Table
                        && other.schema == id.schema
                        && Some(&other.name) == id.table.as_ref()
            };
            let was_seen = way.changes.iter().any(|change| change.object == id)
                || way
                    .gone
                    .iter()
                    .chain(way.touched.iter().map(|(gone, _)| gone))
                    .any(|gone| is_it(&gone.then));
            let question = holds_sql(&id).unwrap_or_default();
            if !was_seen && self.holds(&id, &question).await? {
                found.lost.push(format!(
                    "perhaps values of {id}, which its way back computes anew where it is there"
                ));
            }
        }
        Ok(())
    }

    /// Columns of tables that a statement may mean.
    async fn columns(&mut self, meant: &ObjectRef) -> Result<Vec<Id>, RevertError> {
        let sql = format!(
            "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE a.attname = {} AND c.relname = {} AND c.relkind IN ('r', 'p') AND NOT a.attisdropped AND n.nspname !~ '^pg_'",
            quote_literal(&meant.name),
            quote_literal(meant.table.as_deref().unwrap_or_default())
        );
        let rows = self.session.query_text(&sql).await?.rows;
        let ids = rows.into_iter().filter_map(|row| {
            let mut fields = row.into_iter().flatten();
            Some(Id::part(ObjectKind::Column, fields.next()?, fields.next()?, meant.name.clone()))
        });
        Ok(ids.filter(|id| meant.schema.is_none() || id.schema == meant.schema).collect())
    }

    /// Whether any table holds rows.
    async fn any_rows(&mut self) -> Result<bool, RevertError> {
        let tables = format!("SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', {IN_SQL})
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                                AND d.objid = c.oid AND d.deptype = 'e')
             ORDER BY c.reltuples DESC, c.relpages DESC");
        for row in self.session.query_text(&tables).await?.rows {
            let mut fields = row.into_iter().flatten();
            let (Some(schema), Some(table)) = (fields.next(), fields.next()) else { continue };
            let id = Id::new(ObjectKind::Table, schema, table);
            if let Some(question) = holds_sql(&id)
                && self.holds(&id, &question).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What would make a way back fail that was found out, in words.
    pub(super) async fn misfits(&mut self, way: &Way) -> Result<Vec<String>, RevertError> {
        let mut misfits = Vec::new();
        for fits in &way.fits {
            match fits {
                Fits::NoRows(Gone { now: Some(now), then, .. }, column) => {
                    let question = holds_sql(now).unwrap_or_default();
                    if self.holds(now, &question).await? {
                        misfits.push(format!("{then} has rows, and {column}, which it had before, is never null and has no default: what it held is gone"));
                    }
                }
                Fits::NoNull(Gone { now: Some(now), then, .. }) => {
                    let (table, name) = (now.table_sql(), quote_ident(&now.name));
                    let question = format!("SELECT EXISTS (SELECT FROM {table} WHERE {name} IS NULL)");
                    if self.holds(now, &question).await? {
                        misfits.push(format!("{then} has nulls by now, which it was not to have before"));
                    }
                }
                _ => {}
            }
        }
        Ok(misfits)
    }

    /// What goes with CASCADE beside what went in the rehearsal: what nobody has made there depends on what is dropped.
    async fn by_cascade(&mut self, way: &Way, there: &Schema) -> Result<Vec<String>, RevertError> {
        let Some(real) = self.real().await? else {
            return Ok(vec!["whatever depends on what its way back drops with CASCADE".to_owned()]);
        };
        let dropped = way.changes.iter().filter(|change| change.what == What::Dropped);
        let mut gone: BTreeSet<&Id> = dropped.map(|change| &change.object).collect();
        gone.extend(way.gone.iter().filter_map(|gone| gone.now.as_ref()));
        let mut found = Vec::new();
        loop {
            let next = real.objects.iter().find(|(id, object)| {
                let unknown = !there.objects.contains_key(*id) && !gone.contains(*id);
                unknown && (object.needs.iter().any(|needed| gone.contains(needed)) || is_within(id, &gone))
            });
            let Some((id, _)) = next else { break };
            // The parts of a table go with it, whatever is said.
            let part = gone.iter().any(|whole| {
                id.table.as_ref() == Some(&whole.name) && id.schema == whole.schema && whole.table.is_none()
            });
            if !part {
                found.push(format!("{id}, which none of the migrations makes, by CASCADE"));
            }
            gone.insert(id);
        }
        Ok(found)
    }

    async fn real(&mut self) -> Result<Option<&Schema>, RevertError> {
        if matches!(self.real, Real::NotRead) {
            self.real = match catalog::schema(&mut self.session, &[]).await {
                Ok(real) => Real::Read(real),
                Err(error) if error.code().is_some() => Real::Unknown,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(if let Real::Read(real) = &self.real { Some(real) } else { None })
    }

    /// What a way back writes over, or drops, that somebody has made otherwise than the migrations did.
    async fn by_hand(&mut self, way: &Way, there: &Schema, found: &mut Found) -> Result<(), RevertError> {
        let is_defined = |id: &Id| {
            use ObjectKind::{Aggregate, Function, MaterializedView, Policy, Procedure, Rule, Trigger, View};
            matches!(
                id.kind,
                Aggregate | Function | MaterializedView | Policy | Procedure | Rule | Trigger | View
            )
        };
        let made =
            way.changes.iter().filter(|change| change.what != What::Created && is_defined(&change.object));
        let made = made.map(|change| &change.object).filter(|id| there.objects.contains_key(*id));
        let is_remade = |id: &Id| {
            way.makes.iter().any(|meant| {
                let schema = meant.schema.is_none() || meant.schema == id.schema;
                schema && meant.name == id.name && (meant.table.is_none() || meant.table == id.table)
            })
        };
        let remade = there.objects.keys().filter(|id| is_defined(id) && is_remade(id));
        let made: BTreeSet<&Id> = made.chain(remade).collect();
        if made.is_empty() {
            return Ok(());
        }
        let Some(real) = self.real().await? else { return Ok(()) };
        for id in made {
            let (Some(made), Some(is)) = (there.get(id), real.get(id)) else { continue };
            let matters = |name: &str| !Attribute::is_privilege(name) && name != "comment";
            let definition = |object: &Object| -> Vec<String> {
                let attributes = object.attributes.iter().filter(|(name, _)| matters(name));
                attributes.map(|(name, value)| format!("{name} {}", value.text())).collect()
            };
            if !made.attributes.is_empty() && definition(made) != definition(is) {
                found.lost.push(format!("{id} as it is now, which is not as the migrations have made it: `cutover diff --replay` says how"));
            }
        }
        Ok(())
    }

    async fn gone(
        &mut self,
        Gone { then, now, .. }: &Gone,
        way: &Way,
        there: &Schema,
        found: &mut Found,
    ) -> Result<(), RevertError> {
        if then.kind == ObjectKind::Sequence {
            if let Some(now) = now
                && self.holds(now, &was_used_sql(now)).await?
            {
                found.lost.push(format!("{then} and how far it has counted"));
            }
            return Ok(());
        }
        if then.kind == ObjectKind::Extension {
            return self.with_extension(then, found).await;
        }
        let question = now.as_ref().and_then(|now| Some((now, holds_sql(now)?)));
        let holds = match question {
            Some((now, question)) => self.holds(now, &question).await?,
            None => false,
        };
        if holds && then.kind == ObjectKind::Table {
            let stay = |id: &Id| {
                there.objects.contains_key(id) && way.gone.iter().all(|gone| gone.now.as_ref() != Some(id))
            };
            if let Some(now) = now
                && self.only_in(now, &stay).await?
            {
                return Ok(());
            }
        }
        if holds {
            let what = if then.kind == ObjectKind::Table { "rows" } else { "values" };
            let called = now.as_ref().filter(|now| *now != then);
            let called = called.map_or_else(String::new, |now| format!(" (now {now})"));
            found.lost.push(format!("{then} and its {what}{called}"));
        } else {
            found.emptied.push(then.clone());
        }
        match now {
            Some(now) if now.kind == ObjectKind::Column => self.within_values(now, found).await,
            _ => Ok(()),
        }
    }

    /// Whether all rows of a partitioned table are in partitions that `stay`.
    async fn only_in(&mut self, table: &Id, stay: &dyn Fn(&Id) -> bool) -> Result<bool, RevertError> {
        let leaves = format!(
            "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class p CROSS JOIN LATERAL pg_catalog.pg_partition_tree(p.oid) t
               JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE p.oid = pg_catalog.to_regclass({}) AND p.relkind = 'p' AND t.isleaf AND t.relid <> p.oid",
            quote_literal(&table.table_sql())
        );
        let rows = self.session.query_text(&leaves).await?.rows;
        let is_partitioned = !rows.is_empty();
        for row in rows {
            let mut fields = row.into_iter().flatten();
            let (Some(schema), Some(name)) = (fields.next(), fields.next()) else { continue };
            let leaf = Id::new(ObjectKind::Table, schema, name);
            if stay(&leaf) {
                continue;
            }
            if let Some(question) = holds_sql(&leaf)
                && self.holds(&leaf, &question).await?
            {
                return Ok(false);
            }
        }
        Ok(is_partitioned)
    }

    /// What is lost with an extension: rows of its tables that are not its own, as it says itself for the sake of backups, or, where
    /// it says nothing of a table, that came later than the table itself.
    async fn with_extension(&mut self, id: &Id, found: &mut Found) -> Result<(), RevertError> {
        let tables = format!(
            "SELECT c.oid::pg_catalog.regclass::text, k.condition FROM pg_catalog.pg_extension x
               CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(x.extconfig), pg_catalog.unnest(x.extcondition)) k(oid, condition)
               JOIN pg_catalog.pg_class c ON c.oid = k.oid AND c.relkind IN ('r', 'p') WHERE x.extname = {0}
             UNION ALL
             SELECT c.oid::pg_catalog.regclass::text, 'WHERE xmin <> ' || pg_catalog.quote_literal(d.xmin) FROM pg_catalog.pg_extension x
               JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = x.oid
                AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'e'
               JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'r'
              WHERE x.extname = {0} AND NOT coalesce(c.oid = ANY (x.extconfig), false)",
            quote_literal(&id.name)
        );
        for row in self.session.query_text(&tables).await?.rows {
            let mut fields = row.into_iter();
            let Some(Some(table)) = fields.next() else { continue };
            let condition = fields.next().flatten().unwrap_or_default();
            if self.holds(id, &format!("SELECT EXISTS (SELECT FROM {table} {condition})")).await? {
                found.lost.push(format!("rows of {table}, which goes with {id}"));
            }
        }
        Ok(())
    }

    /// Whether something is there; what cannot be looked at in time is taken to hold something, what is not there to hold
    /// nothing.
    pub(super) async fn holds(&mut self, id: &Id, question: &str) -> Result<bool, RevertError> {
        match self.session.query_text(question).await {
            Ok(done) => Ok(done.scalar() == Some("t")),
            // No such table or column: somebody has dropped it.
            Err(failure) if matches!(failure.code(), Some("42P01" | "42703" | "3F000")) => Ok(false),
            Err(failure) if failure.code().is_some() => {
                tracing::debug!(%id, %failure, "taken to hold something");
                Ok(true)
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Whether it is in a schema that goes.
fn is_within(id: &Id, gone: &BTreeSet<&Id>) -> bool {
    let schema = id.schema.as_ref().map(|name| Id::global(ObjectKind::Schema, name.clone()));
    schema.is_some_and(|schema| gone.contains(&schema))
}

/// What may not fit any more. A type that is `rebuilt` is another one of that name: a value in the place of another is not that one
/// renamed.
fn changed(id: &Id, attributes: &[Attribute], is_rebuilt: bool) -> Option<String> {
    let names: &[&str] = match id.kind {
        ObjectKind::Column => &["type"],
        ObjectKind::Type => &["values", "attributes"],
        _ => return None,
    };
    let found = attributes.iter().find(|attribute| names.contains(&attribute.name.as_str()))?;
    if let (ObjectKind::Type, Some(Value::List(from)), Some(Value::List(to))) =
        (id.kind, &found.from, &found.to)
    {
        // What only comes to it takes nothing away, nor does another name in the same place.
        let renamed = found.name == "values"
            && !is_rebuilt
            && from.len() == to.len()
            && from.iter().zip(to).filter(|(a, b)| a != b).count() == 1;
        if renamed || from.iter().all(|value| to.contains(value)) {
            return None;
        }
    }
    Some(format!("perhaps values of {id}: {found}"))
}
