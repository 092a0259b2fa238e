//! Models built on a throwaway server. What of them the server refuses is left out, and is then not compared: as little as can be.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::diff::{Options, diff};
use cutover_analysis::effects::{Fenced, ObjectKind, effects_of_text, fenced, server_wide};
use cutover_analysis::models::{
    About, Aspect, Models, Needed, Part, Place, Table, ddl, needed, pieces, unsaid,
};
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};

use super::bodies::{self, Made};
use super::compare::id_of;
use super::model::NotCompared;
use super::unread::Unmade;
use super::{AlignError, said};
use crate::compare::likeness;
use crate::secrets::without_passwords;
use crate::verify::replay::Replay;
use crate::verify::{SandboxProvider, failure_text};

/// What models have been built into.
pub(super) struct Built {
    /// The models, with the tables that are said in statements alone.
    pub(super) models: Models,
    pub(super) schema: Schema,
    /// Where a table is that names no schema.
    pub(super) default_schema: String,
    /// What the server has refused.
    pub(super) refused: Vec<NotCompared>,
    /// Tables that could not be made at all.
    pub(super) unbuilt: BTreeSet<Id>,
    /// What of a table could not be made, and is not compared.
    pub(super) open: BTreeMap<Id, Open>,
    /// What was not read or not run, and may say more.
    pub(super) unmade: Vec<Unmade>,
    /// Others use the server on which they were built.
    pub(super) is_shared: bool,
}

/// What of a table is not compared, besides what its model leaves open.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Of a column.
    pub(super) columns: BTreeMap<String, BTreeSet<Aspect>>,
    /// Of the whole table.
    pub(super) aspects: BTreeSet<Aspect>,
    /// Constraints and indexes by their names.
    pub(super) names: BTreeSet<String>,
    /// Foreign keys by their columns.
    pub(super) keys: Vec<Vec<String>>,
}

pub(super) async fn build(
    models: &Models,
    against: &str,
    there: &Schema,
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<Built, AlignError> {
    let likeness = likeness(against, like).await?.of_major(there.server_version / 10_000);
    let mut replay =
        Replay::open_like(&likeness, sandbox).await.map_err(|trouble| AlignError::NoSandbox(trouble.0))?;
    let done = run(models, there, &mut replay).await;
    replay.finish().await;
    done
}

async fn run(models: &Models, there: &Schema, replay: &mut Replay) -> Result<Built, AlignError> {
    let is_shared = !replay.is_on_own_server();
    let session = &mut replay.session;
    let path = session.query_text("SELECT pg_catalog.current_schema()").await.map_err(AlignError::Lost)?;
    let default_schema = path.scalar().unwrap_or("public").to_owned();
    let missing = missing(models, there);
    let not_had = extensions(there, &missing, session).await?;
    if models.statements.is_empty() {
        collations(there, session).await?;
    }
    let given = models;
    let models = &with_types_of(there, models, &default_schema);
    let mut building = Building {
        models,
        is_shared,
        default_schema,
        not_had,
        refused: Vec::new(),
        open: BTreeMap::new(),
        unmade: super::unread::of(models),
    };
    let bodiless = building.all_said(session).await?;
    let parts = ddl(models).parts;
    if !all_at_once(&parts, session).await? {
        for part in &parts {
            building.part(part, session).await?;
        }
    }
    let mut schema = replay.schema().await?;
    let Building { default_schema, refused, open, unmade, .. } = building;
    let is_made = |id: &Id| schema.get(id).is_some();
    let unbuilt =
        models.tables.iter().map(|table| id_of(table, &default_schema)).filter(|id| !is_made(id)).collect();
    let mut models = given.clone();
    said::add(&mut models, &schema);
    // What is not as the models say is made nowhere.
    schema.objects.retain(|id, _| {
        let name = id.name.split('(').next().unwrap_or_default();
        !matches!(id.kind, ObjectKind::Function | ObjectKind::Procedure) || !bodiless.contains(name)
    });
    Ok(Built { models, schema, default_schema, refused, unbuilt, open, unmade, is_shared })
}

/// The models with the types that are there where their own are not known: what else is said of those columns is then compared as it is.
fn with_types_of(there: &Schema, models: &Models, default_schema: &str) -> Models {
    let mut models = models.clone();
    for table in &mut models.tables {
        let id = id_of(table, default_schema);
        for column in table.columns.iter_mut().filter(|column| column.data_type.is_empty()) {
            let schema = id.schema.clone().unwrap_or_default();
            let own = Id::part(ObjectKind::Column, schema, id.name.clone(), column.name.as_str());
            let found = there.get(&own).and_then(|column| column.text("type"));
            found.unwrap_or_default().clone_into(&mut column.data_type);
        }
    }
    models
}

/// Runs everything in one go: whether that went well. Where it did not, nothing has been done.
async fn all_at_once(parts: &[Part], session: &mut Session) -> Result<bool, AlignError> {
    // A model that says more than one statement in the place of an expression is not obeyed.
    let are_statements =
        parts.iter().all(|part| sql::parse(&part.sql).is_ok_and(|parsed| parsed.statement_count() == 1));
    if !are_statements {
        return Ok(false);
    }
    let whole: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
    match session.execute(&whole.join(";\n")).await {
        Ok(_) => Ok(true),
        Err(failure @ Failure::Lost(_)) => Err(AlignError::Lost(failure)),
        Err(_) => Ok(false),
    }
}

/// What is not there of what the models need: neither the extension nor anything else that is called so.
pub(super) fn missing(models: &Models, there: &Schema) -> Vec<Needed> {
    let has = |kind: &[ObjectKind], name: &str| {
        there.objects.keys().any(|id| kind.contains(&id.kind) && id.name.split('(').next() == Some(name))
    };
    let is_there = |one: &Needed| {
        let own = one.by.strip_prefix("the type ").unwrap_or(&one.by);
        has(&[ObjectKind::Extension], &one.extension)
            || has(&[ObjectKind::Type, ObjectKind::Domain, ObjectKind::Function], own)
    };
    needed(models).into_iter().filter(|one| !is_there(one)).collect()
}

/// Makes the extensions that are there, and those that the models need besides: types of models may be theirs. Returns those that the
/// throwaway server has not, with what it said.
async fn extensions(
    there: &Schema,
    missing: &[Needed],
    session: &mut Session,
) -> Result<BTreeMap<String, String>, AlignError> {
    let of_there = there
        .objects
        .iter()
        .filter(|(id, _)| id.kind == ObjectKind::Extension)
        .map(|(id, object)| (id.name.to_string(), Some(object.text("schema").unwrap_or("public"))));
    let all: Vec<(String, Option<&str>)> =
        of_there.chain(missing.iter().map(|one| (one.extension.clone(), None))).collect();
    let mut not_had = BTreeMap::new();
    let mut schemas: Vec<String> = Vec::new();
    for (extension, schema) in all {
        let name = sql::quote_ident(&extension);
        let text = match schema.map(sql::quote_ident) {
            Some(schema) => {
                if !schemas.contains(&schema) {
                    schemas.push(schema.clone());
                }
                format!(
                    "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {schema} CASCADE"
                )
            }
            None => format!("CREATE EXTENSION IF NOT EXISTS {name} CASCADE"),
        };
        match session.execute(&text).await {
            Ok(_) => {}
            Err(failure @ Failure::Lost(_)) => return Err(AlignError::Lost(failure)),
            Err(failure) => {
                not_had.insert(extension, failure_text(&failure));
            }
        }
    }
    if !schemas.is_empty() {
        // Models name what extensions have without their schemas.
        let text = format!(
            "SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', \
             NULLIF(pg_catalog.current_setting('search_path'), ''), {}), false)",
            sql::quote_literal(&schemas.join(", "))
        );
        session.query_text(&text).await.map_err(AlignError::Lost)?;
    }
    Ok(not_had)
}

/// Makes the collations that are there, which models name and do not make. One that the throwaway server cannot make is told where a
/// column needs it.
async fn collations(there: &Schema, session: &mut Session) -> Result<(), AlignError> {
    let nothing = Schema::empty(there.server_version, there.owner.clone());
    let mut own = nothing.clone();
    let all = there.objects.iter().filter(|(id, _)| id.kind == ObjectKind::Collation);
    own.objects.extend(all.map(|(id, object)| (id.clone(), object.clone())));
    let schemas: BTreeSet<_> = own.objects.keys().filter_map(|id| id.schema.as_deref()).collect();
    let schemas: Vec<String> = schemas
        .iter()
        .map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {}", sql::quote_ident(schema)))
        .collect();
    let made = diff(&nothing, &own, Options { safe: false });
    for text in schemas.into_iter().chain(made.statements.into_iter().map(|statement| statement.text)) {
        if let Err(failure @ Failure::Lost(_)) = session.execute(&text).await {
            return Err(AlignError::Lost(failure));
        }
    }
    Ok(())
}

/// A statement that is to be run again.
struct Waiting<'a> {
    part: &'a Part,
    fenced: Fenced,
    /// The search path under which it stands.
    path: String,
    /// Why it was refused.
    why: String,
}

/// A statement of somebody's file does not go on for ever, whatever the file sets (`pg_dump` writes `SET statement_timeout = 0`).
async fn limit(session: &mut Session) -> Result<(), AlignError> {
    session.execute(LIMIT).await.map(drop).map_err(AlignError::Lost)
}

/// What makes an empty database takes a moment.
#[cfg(not(test))]
const LIMIT: &str = "SET statement_timeout = '30s'";
#[cfg(test)]
const LIMIT: &str = "SET statement_timeout = '3s'";

/// Whether a statement takes something away, and makes nothing.
fn takes_away(sql: &str) -> bool {
    effects_of_text(sql).is_ok_and(|effects| !effects.drops.is_empty() && effects.creates.is_empty())
}

/// Whether a statement changes a table if that is there, and else says nothing.
fn is_optional(sql: &str) -> bool {
    let code = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let words: Vec<String> =
        code.flat_map(str::split_whitespace).take(4).map(str::to_ascii_uppercase).collect();
    matches!(words.iter().map(String::as_str).collect::<Vec<_>>()[..], ["ALTER", _, "IF", "EXISTS"])
}

/// Models while they are built statement by statement.
struct Building<'a> {
    models: &'a Models,
    /// Others use the server too.
    is_shared: bool,
    default_schema: String,
    /// Extensions that the throwaway server has not, with what it said.
    not_had: BTreeMap<String, String>,
    refused: Vec<NotCompared>,
    open: BTreeMap<Id, Open>,
    unmade: Vec<Unmade>,
}

impl Building<'_> {
    /// The statements that say themselves what is meant. Files know nothing of their order: what needs something that is not there yet is
    /// run again once others have been. Returns the functions that have no body.
    async fn all_said(&mut self, session: &mut Session) -> Result<BTreeSet<String>, AlignError> {
        let models = self.models;
        let mut waiting = Vec::new();
        for part in &models.statements {
            match self.as_run(part) {
                Ok(fenced) => waiting.push((part, fenced)),
                Err(why) => self.leave_out(part, &why),
            }
        }
        let mut bodies = Vec::new();
        let mut waiting = self.first_time(waiting, &mut bodies, session).await?;
        loop {
            let mut still = Vec::new();
            let before = waiting.len();
            for mut one in waiting {
                bodies::search(&one.path, session).await?;
                limit(session).await?;
                match bodies::made(one.part, &one.fenced, session).await? {
                    Made::Refused(why) => {
                        one.why = why;
                        still.push(one);
                    }
                    Made::Whole => {}
                    Made::Empty(body) => bodies.push(body),
                }
            }
            if still.len() == before {
                for one in &still {
                    self.leave_out(one.part, &one.why);
                }
                let (bodiless, refused) = bodies::put(bodies, session).await?;
                session.execute("RESET statement_timeout").await.map_err(AlignError::Lost)?;
                for (part, why) in refused {
                    self.leave_out(part, &why);
                }
                return Ok(bodiless);
            }
            waiting = still;
        }
    }

    /// Each statement once, each file under the search path with which it begins. Returns what has to be run again: what was refused, and
    /// what says nothing where its table is not there yet. What takes away something that is not there has nothing to do, also later.
    async fn first_time<'b>(
        &mut self,
        all: Vec<(&'b Part, Fenced)>,
        bodies: &mut Vec<bodies::Body<'b>>,
        session: &mut Session,
    ) -> Result<Vec<Waiting<'b>>, AlignError> {
        let begins_with = bodies::search_path(session).await?;
        let (mut waiting, mut file) = (Vec::new(), None);
        for (part, fenced) in all {
            if file != Some(&part.place.path) {
                file = Some(&part.place.path);
                session.execute("RESET ROLE").await.map_err(AlignError::Lost)?;
                bodies::search(&begins_with, session).await?;
            }
            limit(session).await?;
            let why = if is_optional(&part.sql) {
                "nothing is there that it changes".to_owned()
            } else {
                match bodies::made(part, &fenced, session).await? {
                    Made::Refused(why) => why,
                    Made::Whole => continue,
                    Made::Empty(body) => {
                        bodies.push(body);
                        continue;
                    }
                }
            };
            let is_gone = why.contains("does not exist") && takes_away(&part.sql);
            if !is_gone {
                let path = bodies::search_path(session).await?;
                waiting.push(Waiting { part, fenced, path, why });
            }
        }
        session.execute("RESET ROLE").await.map_err(AlignError::Lost)?;
        bodies::search(&begins_with, session).await?;
        Ok(waiting)
    }

    /// What it would have said is not known to be said by nothing.
    fn leave_out(&mut self, part: &Part, why: &str) {
        self.tell(&part.place, &part.sql, why);
        self.unmade.push(Unmade { place: part.place.clone(), says: unsaid(&part.sql) });
    }

    /// A statement that says itself what is meant, as it may be run.
    ///
    /// # Errors
    /// Why it may not.
    fn as_run(&self, part: &Part) -> Result<Fenced, String> {
        let parsed = sql::parse(&part.sql).ok();
        // What a server refuses too does nothing, and it says what is wrong.
        if self.is_shared && parsed.is_some() {
            return fenced(&part.sql).map_err(|why| {
                format!("it may do something beyond its database, and others use that server: {why}")
            });
        }
        if parsed.is_some_and(|parsed| server_wide(&parsed).is_some()) {
            return Err("it is of the whole server, and not run".to_owned());
        }
        Ok(Fenced { sql: part.sql.clone(), whole: None, routine: None })
    }

    async fn part(&mut self, part: &Part, session: &mut Session) -> Result<(), AlignError> {
        let Some(why) = refusal(&part.sql, session).await? else { return Ok(()) };
        let models = self.models;
        let of = |at: usize| models.tables.get(at);
        match part.about {
            About::Table(at) => match of(at) {
                Some(table) => return self.in_pieces(table, &why, session).await,
                None => self.tell(&part.place, &part.sql, &why),
            },
            // Of one without values, no more is said than that it is there.
            About::Enum(at) if models.enums.get(at).is_some_and(|made| made.values.is_empty()) => {}
            _ => self.tell(&part.place, &part.sql, &why),
        }
        match part.about {
            About::Unique(at, which) => {
                let one = of(at).and_then(|table| Some((table, table.uniques.get(which)?)));
                self.leave(one.map(|(table, one)| (table, &one.name)), &[Aspect::Unique]);
            }
            About::Check(at, which) => {
                let one = of(at).and_then(|table| Some((table, table.checks.get(which)?)));
                self.leave(one.map(|(table, one)| (table, &one.name)), &[Aspect::Check]);
            }
            About::Index(at, which) => {
                let one = of(at).and_then(|table| Some((table, table.indexes.get(which)?)));
                let aspect =
                    if one.is_some_and(|(_, one)| one.unique) { Aspect::Unique } else { Aspect::Index };
                self.leave(one.map(|(table, one)| (table, &one.name)), &[aspect]);
            }
            About::ForeignKey(at, which) => {
                if let Some((table, key)) =
                    of(at).and_then(|table| Some((table, table.foreign_keys.get(which)?)))
                {
                    self.of(table).keys.push(key.columns.clone());
                }
            }
            About::Schema | About::Enum(_) | About::Table(_) | About::Comment(_) | About::Said => {}
        }
        Ok(())
    }

    fn of(&mut self, table: &Table) -> &mut Open {
        self.open.entry(id_of(table, &self.default_schema)).or_default()
    }

    /// Leaves a constraint or index out: what is called so there, or all of that kind where it has no name.
    fn leave(&mut self, part: Option<(&Table, &Option<String>)>, aspects: &[Aspect]) {
        let Some((table, name)) = part else { return };
        match name {
            Some(name) => {
                self.of(table).names.insert(name.clone());
            }
            None => self.of(table).aspects.extend(aspects),
        }
    }

    fn tell(&mut self, place: &Place, sql: &str, why: &str) {
        let sql = &without_passwords(sql);
        let first = sql.lines().next().unwrap_or_default();
        let what = format!("the server refuses what it comes to, `{first} …`: {why}{}", self.reason(sql));
        self.refused.push(NotCompared { path: place.path.clone(), line: place.line, what });
    }

    /// The extension that is mentioned and that the throwaway server has not.
    fn reason(&self, sql: &str) -> String {
        let found = cutover_analysis::models::mentioned(sql)
            .into_iter()
            .find_map(|extension| self.not_had.get_key_value(extension));
        found.map_or_else(String::new, |(extension, why)| {
            format!("; the throwaway server has not the extension {extension}: {why}")
        })
    }

    /// A table that cannot be made as a whole: column by column, each without what the server refuses of it.
    async fn in_pieces(&mut self, table: &Table, why: &str, session: &mut Session) -> Result<(), AlignError> {
        let (empty, pieces) = pieces(table);
        if refusal(&empty, session).await?.is_some() {
            self.tell(&table.place, &empty, why);
            return Ok(());
        }
        for piece in pieces {
            let column = piece.column.and_then(|at| table.columns.get(at));
            let place = column.map_or(&table.place, |column| &column.place);
            let mut told = false;
            for (sql, aspects) in &piece.ways {
                match refusal(sql, session).await? {
                    None => {
                        if let Some(column) = column.filter(|_| !aspects.is_empty()) {
                            self.of(table).columns.entry(column.name.clone()).or_default().extend(aspects);
                        }
                        break;
                    }
                    // The first refusal is about what the model says; those of the ways around are not.
                    Some(why) if !told => {
                        told = true;
                        self.tell(place, sql, &why);
                    }
                    Some(_) => {}
                }
            }
            if column.is_none() && told {
                self.of(table).aspects.insert(Aspect::PrimaryKey);
            }
        }
        Ok(())
    }
}

/// Runs a statement: why the server refuses it.
pub(super) async fn refusal(text: &str, session: &mut Session) -> Result<Option<String>, AlignError> {
    match sql::parse(text) {
        Err(error) => return Ok(Some(error.to_string())),
        // A model that says more than one statement in the place of an expression is not obeyed.
        Ok(parsed) if parsed.statement_count() != 1 => return Ok(Some("it is not one statement".to_owned())),
        Ok(_) => {}
    }
    match session.execute(text).await {
        Ok(_) => Ok(None),
        Err(failure @ Failure::Lost(_)) => Err(AlignError::Lost(failure)),
        Err(failure) => Ok(Some(failure_text(&failure))),
    }
}
